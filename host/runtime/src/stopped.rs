//! Policies that people stopped. It holds ahead of the log: from the moment at which it is on disk nobody asks them, however
//! far the fold is. What they are not asked is recorded as that, so that a replay comes to the same.

use std::{collections::BTreeMap, sync::Mutex};

use trimtab_core::fold::KillNote;
use trimtab_policy::Loaded;
use trimtab_types::{Ask, Asked, Asking, FailureKind};

use crate::progress::lock;

/// Who stopped which policy, and why.
#[derive(Debug, Default)]
pub(crate) struct Stopped(Mutex<BTreeMap<String, KillNote>>);

impl Stopped {
    pub(crate) fn of(known: BTreeMap<String, KillNote>) -> Self {
        Self(Mutex::new(known))
    }

    pub(crate) fn set(&self, policy: &str, note: Option<KillNote>) {
        let mut known = lock(&self.0);
        match note {
            Some(note) => known.insert(policy.to_owned(), note),
            None => known.remove(policy),
        };
    }

    pub(crate) fn all(&self) -> BTreeMap<String, KillNote> {
        lock(&self.0).clone()
    }

    fn why(&self, policy: &str) -> Option<String> {
        let known = lock(&self.0);
        let note = known.get(policy)?;
        let reason = if note.reason.is_empty() { String::new() } else { format!(": {}", note.reason) };
        Some(format!("policy `{policy}` was stopped by {} at {}{reason}", note.by, note.at.for_people()))
    }
}

/// Asks policies, but for those that are stopped.
pub(crate) struct Heeding<'a> {
    pub(crate) loaded: &'a mut Loaded,
    pub(crate) stopped: &'a Stopped,
}

impl Ask for Heeding<'_> {
    fn ask(&mut self, asking: &Asking<'_>) -> Asked {
        match self.stopped.why(&asking.policy.name) {
            Some(why) => Asked::failed(FailureKind::Stopped, why),
            None => self.loaded.ask(asking),
        }
    }
}
