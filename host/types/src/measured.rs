//! What is measured of a subject, as people see it.

use serde::{Deserialize, Serialize};

/// Counts of a binary classification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confusion {
    /// Predicted positive and is.
    pub true_positive: u64,
    /// Predicted positive and is not.
    pub false_positive: u64,
    /// Predicted negative and is.
    pub true_negative: u64,
    /// Predicted negative and is not.
    pub false_negative: u64,
}
