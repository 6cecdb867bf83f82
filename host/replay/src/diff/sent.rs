//! The messages of two series: how often people hear of it, by occasion. What a message says is compared elsewhere.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use trimtab_core::decide::Heard;
use trimtab_types::{Effect, Occasion, Position, Subject};

/// How many messages there were on an occasion, and how many there would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sent {
    /// As recorded.
    pub recorded: u64,
    /// With the candidate.
    pub candidate: u64,
}

impl Sent {
    /// Adds others.
    pub(super) fn add(&mut self, other: Self) {
        self.recorded += other.recorded;
        self.candidate += other.candidate;
    }
}

/// The messages that these effects are, each with where it was decided: one message may go to many.
pub(crate) fn messages(effects: &[Effect]) -> Vec<(Position, Heard)> {
    let mut ids = BTreeSet::new();
    let of = |effect: &Effect| {
        let alert = effect.body.get("alert").filter(|_| effect.kind == "alert")?;
        if !ids.insert(alert.get("id")?.as_str()?.to_owned()) {
            return None;
        }
        let subject: Subject = serde_json::from_value(alert.get("subject")?.clone()).ok()?;
        let occasion: Occasion = serde_json::from_value(alert.get("occasion")?.clone()).ok()?;
        Some((effect.position, Heard { subject, occasion, at: effect.at }))
    };
    effects.iter().filter_map(of).collect()
}
