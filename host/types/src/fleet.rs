//! A tenant's subjects together, as people see them.

use serde::{Deserialize, Serialize};

/// A tenant's subjects together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// Whose.
    pub tenant: String,
    /// Streams with betting evidence.
    pub streams: usize,
    /// Those that have changed by e-d-BH, as `SUBJECT DETECTOR`.
    pub changed: Vec<String>,
    /// Newest tests with a p-value.
    pub tests: usize,
    /// Those that are findings by Benjamini and Hochberg, as `SUBJECT DETECTOR QUANTITY`.
    pub significant: Vec<String>,
    /// Without any drift, at most so many openings a week are expected of detectors that promise a rate.
    pub false_alarms_per_week: f64,
    /// Detectors that run and promise none.
    pub without_promise: Vec<String>,
}
