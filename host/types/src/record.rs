//! A record: an entry of the log with its place and the row that it completes. This is what a fold takes.

use crate::{Entry, ModelKey, Outcome, Position, Prediction, Timestamp};

/// An entry of the log with the row that it completes, as of its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where.
    pub position: Position,
    /// What.
    pub entry: Entry,
    /// The other half, if the entry resolves a prediction.
    pub resolves: Option<Resolution>,
    /// Predictions that came due because this entry moved the clock. They are judged before it.
    pub due: Vec<Due>,
}

impl Record {
    /// Of an entry that makes nothing due.
    pub fn new(position: Position, entry: Entry, resolves: Option<Resolution>) -> Self {
        Self { position, entry, resolves, due: Vec::new() }
    }
}

/// Predictions of a model whose horizon has passed.
#[derive(Debug, Clone, PartialEq)]
pub struct Due {
    /// Whose.
    pub model: ModelKey,
    /// Those of them that have an outcome, in the order in which they came due.
    pub rows: Vec<DueRow>,
    /// All that came due up to here are among them.
    pub upto: (Timestamp, Position),
    /// The model's clock, as the entry moved it.
    pub clock: Timestamp,
}

/// A prediction that came due, with the outcome that counted then.
#[derive(Debug, Clone, PartialEq)]
pub struct DueRow {
    /// When it was due.
    pub at: Timestamp,
    /// The prediction's position.
    pub position: Position,
    /// The prediction.
    pub prediction: Prediction,
    /// The newest outcome before the entry that moved the clock.
    pub outcome: Outcome,
}

/// The other half of a resolved prediction.
#[derive(Debug, Clone, PartialEq)]
pub enum Resolution {
    /// The entry is an outcome; this is its prediction.
    Of {
        /// The prediction's position.
        position: Position,
        /// The prediction.
        prediction: Box<Prediction>,
        /// For a correction: what counted until now.
        previous: Option<Box<Outcome>>,
    },
    /// The entry is a prediction whose outcome came first; this is the newest one.
    By(Box<Outcome>),
}
