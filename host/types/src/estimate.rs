//! Numbers and what is known of their precision.

use serde::{Deserialize, Serialize};

/// A confidence interval; 95 % unless the operator chose another level.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub lower: f64,
    /// Upper end.
    pub upper: f64,
}

/// A number and what is known of its precision.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The number itself; a rate is a fraction.
    pub value: f64,
    /// Observations behind it; `u32::MAX` stands for that many or more.
    pub samples: u32,
    /// Its confidence interval, if one is known.
    pub interval: Option<Interval>,
    /// False: estimated while outcomes are missing.
    pub from_outcomes: bool,
}

/// A named estimate, such as `accuracy`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// A well-known name: `accuracy`, `win-rate`, `sharpe`, …
    pub name: String,
    /// The number.
    pub estimate: Estimate,
}
