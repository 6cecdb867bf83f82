//! Settings of what looks now and then, at the newest judged rows or at what stays away.

use serde::{Deserialize, Serialize};

use super::{
    check::{Need, is_level, rise},
    span::Duration,
};
use crate::metric::Metric;

/// Whether stated probabilities come true: the expected calibration error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CalibrationSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// How many of the newest judged predictions are looked at.
    pub window: u32,
    /// No test below this many.
    pub minimum: u32,
    /// After how many it is tested again.
    pub every: u32,
    /// An error above this is medium …
    pub medium: f64,
    /// … and above this high.
    pub high: f64,
    /// The error must also be improbable for calibrated scores, which have one, too.
    pub alpha: f64,
}

impl Default for CalibrationSettings {
    fn default() -> Self {
        Self { enabled: false, window: 500, minimum: 200, every: 50, medium: 0.06, high: 0.12, alpha: 0.01 }
    }
}

impl CalibrationSettings {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        need((50..=5_000).contains(&self.window), "calibration.window", "must lie between 50 and 5000");
        need(
            (1..=self.window).contains(&self.minimum),
            "calibration.minimum",
            "must be at least 1 and not above `window`",
        );
        need(self.every > 0, "calibration.every", "must be at least 1");
        need(
            rise(&[self.medium, self.high], 1.0),
            "calibration.medium",
            "must be above 0 and not above `high`, which is at most 1",
        );
        need(is_level(self.alpha), "calibration.alpha", "must lie between 0 and 1");
    }
}

/// Metrics that fell below the baseline's, as a share of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PerformanceSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Which metrics.
    pub metrics: Vec<Metric>,
    /// How many of the newest judged predictions are "now".
    pub window: u32,
    /// No look below this many.
    pub minimum: u32,
    /// After how many it looks again.
    pub every: u32,
    /// A drop by this share is medium …
    pub medium: f64,
    /// … by this share high …
    pub high: f64,
    /// … and by more than this share critical.
    pub critical: f64,
    /// Closes when the drop has shrunk below this share of `medium`.
    pub hysteresis: f64,
}

impl Default for PerformanceSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            metrics: vec![Metric::Accuracy],
            window: 200,
            minimum: 100,
            every: 20,
            medium: 0.05,
            high: 0.10,
            critical: 0.20,
            hysteresis: 0.5,
        }
    }
}

impl PerformanceSettings {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        need((10..=5_000).contains(&self.window), "performance.window", "must lie between 10 and 5000");
        need(
            (1..=self.window).contains(&self.minimum),
            "performance.minimum",
            "must be at least 1 and not above `window`",
        );
        need(self.every > 0, "performance.every", "must be at least 1");
        need(
            rise(&[self.medium, self.high, self.critical], 1.0),
            "performance.medium",
            "must be above 0, not above `high`, and that not above `critical`, which is at most 1",
        );
        need((0.0..=1.0).contains(&self.hysteresis), "performance.hysteresis", "must lie between 0 and 1");
        need(!self.metrics.is_empty(), "performance.metrics", "must name at least one metric");
        for metric in &self.metrics {
            need(
                metric.can_drop(),
                "performance.metrics",
                &format!(
                    "cannot hold `{}`: only a metric of which more is better, and which does not grow with time, \
                     can drop by a share",
                    metric.name()
                ),
            );
        }
    }
}

/// Whether trades still go well.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct TradingSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// How many of the newest trades are looked at.
    pub window: u32,
    /// No Sharpe ratio, win rate or drawdown below this many.
    pub minimum: u32,
    /// A Sharpe ratio lower than the baseline's by this much is high.
    pub sharpe_drop: f64,
    /// A win rate lower than the baseline's by this much is high.
    pub win_rate_drop: f64,
    /// So many losses in a row are medium.
    pub losses: u32,
    /// A fall of this share from the peak is high.
    pub drawdown: f64,
    /// A win rate below this is high, whatever the baseline says.
    pub least_win_rate: Option<f64>,
    /// A Sharpe ratio below this is high, whatever the baseline says.
    pub least_sharpe: Option<f64>,
}

impl Default for TradingSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            window: 200,
            minimum: 30,
            sharpe_drop: 0.3,
            win_rate_drop: 0.10,
            losses: 5,
            drawdown: 0.15,
            least_win_rate: None,
            least_sharpe: None,
        }
    }
}

impl TradingSettings {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        need((10..=5_000).contains(&self.window), "trading.window", "must lie between 10 and 5000");
        need(
            (2..=self.window).contains(&self.minimum),
            "trading.minimum",
            "must be at least 2 and not above `window`",
        );
        need(
            self.sharpe_drop > 0.0 && self.sharpe_drop.is_finite(),
            "trading.sharpe-drop",
            "must be above 0",
        );
        need(is_level(self.win_rate_drop), "trading.win-rate-drop", "must lie between 0 and 1");
        need((2..=200).contains(&self.losses), "trading.losses", "must lie between 2 and 200");
        need(is_level(self.drawdown), "trading.drawdown", "must lie between 0 and 1");
        need(self.least_win_rate.is_none_or(is_level), "trading.least-win-rate", "must lie between 0 and 1");
        need(self.least_sharpe.is_none_or(f64::is_finite), "trading.least-sharpe", "must be a number");
    }
}

/// How old the newest prediction is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StalenessSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// How often a prediction is expected: the length of a bar.
    pub interval: Option<Duration>,
    /// So many intervals without a prediction are too many.
    pub factor: f64,
    /// So much time without one is too much where the interval is not known.
    pub unknown: Duration,
    /// What has been silent for so long is not stale but retired.
    pub retired: Duration,
}

impl Default for StalenessSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            interval: None,
            factor: 2.0,
            unknown: Duration(1_800),
            retired: Duration(7 * 86_400),
        }
    }
}

impl StalenessSettings {
    /// Seconds from which on the newest prediction is too old.
    pub(crate) fn limit(&self) -> f64 {
        self.interval.map_or(f64::from(self.unknown.0), |interval| self.factor * f64::from(interval.0))
    }

    pub(super) fn check(&self, need: &mut Need<'_>) {
        need(self.interval.is_none_or(|interval| interval.0 > 0), "staleness.interval", "must be above 0");
        need((1.0..=1_000.0).contains(&self.factor), "staleness.factor", "must lie between 1 and 1000");
        need(self.unknown.0 > 0, "staleness.unknown", "must be above 0");
        need(
            f64::from(self.retired.0) > self.limit(),
            "staleness.retired",
            "must be longer than what is stale already",
        );
    }
}

/// How many of the predictions that are due have an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CoverageSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Predictions that came due in this time are looked at …
    pub window: Duration,
    /// … after so much time for the outcome to come.
    pub grace: Duration,
    /// No look below this many.
    pub minimum: u32,
    /// A share below this is medium, below half of it high.
    pub below: f64,
}

impl Default for CoverageSettings {
    fn default() -> Self {
        Self { enabled: false, window: Duration(86_400), grace: Duration(3_600), minimum: 30, below: 0.5 }
    }
}

impl CoverageSettings {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        let most = 30 * 86_400;
        need((3_600..=most).contains(&self.window.0), "coverage.window", "must lie between 1h and 30d");
        need(self.grace.0 <= most, "coverage.grace", "must be at most 30d");
        need(self.minimum > 0, "coverage.minimum", "must be at least 1");
        need(is_level(self.below), "coverage.below", "must lie between 0 and 1");
    }
}
