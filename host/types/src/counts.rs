//! How much has been recorded.

use serde::{Deserialize, Serialize};

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Predictions.
    pub predictions: u64,
    /// Ids that have an outcome; corrections do not count again.
    pub outcomes: u64,
    /// Findings: openings, raises and closings.
    pub findings: u64,
    /// Decisions.
    pub decisions: u64,
    /// Effects.
    pub effects: u64,
}
