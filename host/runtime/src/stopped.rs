//! Policies that people stopped. It holds ahead of the log: from the moment at which it is on disk nobody asks them, however
//! far the fold is. What they are not asked is recorded as that, so that a replay comes to the same.

use std::{collections::BTreeMap, sync::Mutex};

use trimtab_core::fold::KillNote;
use trimtab_policy::Loaded;
use trimtab_types::{Answer, Ask, Asked, Asking, FailureKind};

use crate::progress::{Progress, lock};

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

/// Asks policies, but for those that are stopped, and lets everybody know that somebody is being asked.
pub(crate) struct Heeding<'a> {
    pub(crate) loaded: &'a mut Loaded,
    pub(crate) stopped: &'a Stopped,
    pub(crate) progress: &'a Progress,
    /// Whether a call did not come to its end, because the host closes. What it led to never was.
    pub(crate) cut: bool,
}

impl Ask for Heeding<'_> {
    fn ask(&mut self, asking: &Asking<'_>) -> Asked {
        if let Some(why) = self.stopped.why(&asking.policy.name) {
            return Asked::failed(FailureKind::Stopped, why);
        }
        self.progress.asks(&asking.policy.name);
        let asked = self.loaded.ask(asking);
        self.progress.asked();
        let failed = matches!(asked.answer, Answer::Failed(_));
        self.cut |= failed && self.progress.is_stopping();
        asked
    }
}
