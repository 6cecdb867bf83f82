//! The answer to "may I trade?".

use serde::{Deserialize, Serialize};

/// "May I trade, and how much?"
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MayTrade {
    /// Whose.
    pub tenant: String,
    /// Which model.
    pub model: String,
    /// The answer.
    pub allowed: bool,
    /// Share of the usual exposure; 0 where trading is not allowed.
    pub exposure: f64,
    /// Predictions below this confidence are not to be served.
    pub minimum_confidence: Option<f64>,
    /// Why not, or why less.
    pub reasons: Vec<String>,
}
