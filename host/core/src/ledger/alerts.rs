//! What people were told about a model, and what is held back for them. The rules that change it are `decide::alerts`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{AlertKind, Seconds, Severity, Subject, Timestamp};

use super::KillNote;

/// Most lines that a group remembers to have told; further ones count as told.
pub(crate) const MOST_LINES: usize = 1_024;
/// Most lines that are held back by themselves; of more, the gravest.
pub(crate) const MOST_HELD: usize = 64;

/// Alerts that are told together, of one model.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct GroupKey {
    /// What is wrong.
    pub kind: AlertKind,
    /// Empty unless versions are told apart.
    pub version: String,
    /// Empty unless segments are told apart.
    pub segment: String,
}

/// One thing that is wrong in a group: a version and a quantity, or a policy that fails. Segments are told together.
pub type Line = (String, String);

/// What was told of a group, and what is to be told yet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct AlertGroup {
    /// What people know to be firing; `None`: nothing.
    pub told: Option<Told>,
    /// When people were told last that it is over, for as long as that matters.
    pub over: Option<Timestamp>,
    /// What was held back and is told later, if it is still there then.
    pub held: BTreeMap<Line, Held>,
}

/// What people know to be firing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// As it was said last.
    pub severity: Severity,
    /// Since when it fires.
    pub since: Timestamp,
    /// Since when it is as grave as was said: reminders count from here.
    pub grave_since: Timestamp,
    /// When there was news last.
    pub news: Timestamp,
    /// When anything was said last.
    pub said: Timestamp,
    /// What was said to be wrong, and how grave.
    pub lines: BTreeMap<Line, Severity>,
    /// All of it had passed when it was said: nothing will close.
    pub momentary: bool,
    /// The newest news.
    pub decided: Decided,
    /// Who knows, so that it is not said again.
    pub acknowledged: Option<KillNote>,
}

/// News that were held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Held {
    /// As it was decided.
    pub severity: Severity,
    /// It had passed when it was decided: it is told though nothing is open.
    pub momentary: bool,
    /// What is to be said.
    pub decided: Decided,
}

/// What somebody decided to tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// Whom it is about.
    pub subject: Subject,
    /// In the words of whoever decided it.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// How long afterwards whoever decided it wants it to be said again; `None`: as the operator's reminders have it.
    pub repeat: Option<Seconds>,
}

/// Alerts are not sent for a while, because a person said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silence {
    /// Until when.
    pub until: Timestamp,
    /// Who, when and why.
    pub note: KillNote,
}
