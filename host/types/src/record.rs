//! A record: an entry of the log with its place and the row that it completes. This is what a fold takes.

use crate::{Entry, Outcome, Position, Prediction};

/// An entry of the log with the row that it completes, as of its position.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where.
    pub position: Position,
    /// What.
    pub entry: Entry,
    /// The other half, if the entry resolves a prediction.
    pub resolves: Option<Resolution>,
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
