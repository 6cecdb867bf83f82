//! Moments: what changed about a subject or a model at one position. Everything that is decided is decided at a moment or
//! at a tick, from what the moment says and what was decided before.

use serde::{Deserialize, Serialize};

use crate::{About, Estimate, Finding, Metric, Position, Timestamp};

/// What changed about one of them at one position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// Where.
    pub position: Position,
    /// Whom it is about.
    pub about: About,
    /// Why.
    pub kind: MomentKind,
    /// What time it was for the model.
    pub at: Timestamp,
    /// What deciding needs to know of the rows besides.
    pub facts: Facts,
    /// The changes of findings, gravest first.
    pub findings: Vec<Finding>,
}

/// Why there is a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MomentKind {
    /// An entry changed findings.
    Found,
    /// A decision started a detector anew, which closed what was open of it. Nobody is asked about it.
    Ordered,
    /// Something was done about a model, or reported.
    Act,
    /// Time passed, and that changed findings.
    Tick,
    /// Experiments of a model were looked at.
    Look,
}

impl MomentKind {
    /// All.
    pub const ALL: [Self; 5] = [Self::Found, Self::Ordered, Self::Act, Self::Tick, Self::Look];

    /// As it is stored. Numbers are never used again.
    pub fn number(self) -> u8 {
        match self {
            Self::Found => 1,
            Self::Ordered => 2,
            Self::Act => 3,
            Self::Tick => 4,
            Self::Look => 5,
        }
    }

    /// The opposite of `number`.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.number() == number)
    }
}

/// What deciding needs to know of the rows.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Resolved predictions of the model.
    pub resolved: u64,
    /// What alerts state.
    pub metrics: Vec<Metric>,
    /// What policies read most.
    pub recent: Vec<Recent>,
}

/// A metric over the newest rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// Its name.
    pub metric: String,
    /// Over how many.
    pub last: u32,
    /// What it was; `None`: there are fewer rows.
    pub answer: Option<Estimate>,
}
