//! Which metrics are kept of the newest judged rows, and how a tenant's subjects are judged together.

use serde::{Deserialize, Serialize};

use super::check::Need;

/// Which metrics of the newest judged predictions are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MetricSettings {
    /// How many of the newest judged predictions metrics other than accuracy and win rate are computed over; 0: none.
    pub window: u32,
    /// How many trades a year has: annualises the Sharpe ratio of trades, and has it judge; without, that of days judges.
    pub periods_per_year: Option<f64>,
    /// Returns that the realised volatility is computed over.
    pub volatility_window: u32,
}

impl Default for MetricSettings {
    fn default() -> Self {
        Self { window: 0, periods_per_year: None, volatility_window: 24 }
    }
}

impl MetricSettings {
    /// What a Sharpe ratio per trade is multiplied by.
    pub(crate) fn sharpe_scale(&self) -> f64 {
        self.periods_per_year.map_or(1.0, f64::sqrt)
    }

    pub(super) fn check(&self, need: &mut Need<'_>) {
        need(self.window <= 5_000, "window", "must be at most 5000");
        need(
            self.periods_per_year.is_none_or(|periods| periods > 0.0 && periods <= 1e9),
            "periods-per-year",
            "must be above 0 and at most 1e9",
        );
        need(
            (2..=1_000).contains(&self.volatility_window),
            "volatility-window",
            "must lie between 2 and 1000",
        );
    }
}

/// A tenant's subjects together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FleetSettings {
    /// Of the tests that are called significant for all subjects together, at most this share is false, on average.
    pub alpha: f64,
}

impl Default for FleetSettings {
    fn default() -> Self {
        Self { alpha: 0.05 }
    }
}
