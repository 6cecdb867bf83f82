//! Settings of what looks now and then, at the newest judged rows or at what stays away.

use serde::{Deserialize, Serialize};
use trimtab_stats::silence::SilenceSettings;

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

/// Predictions that stay away.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct StalenessSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// So many times the longest usual gap is too long.
    pub factor: f64,
    /// Days that say what is usual.
    pub days: u32,
    /// Shorter silences are none.
    pub least: Duration,
    /// What is too long until so many days have passed.
    pub at_first: Duration,
    /// What is too long, whatever is usual.
    pub limit: Option<Duration>,
}

impl Default for StalenessSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            factor: 2.5,
            days: 15,
            least: Duration(900),
            at_first: Duration(72 * 3_600),
            limit: None,
        }
    }
}

impl StalenessSettings {
    /// What is too long, by what is usual.
    pub(crate) fn rule(&self) -> SilenceSettings {
        let millis = |length: Duration| u64::from(length.0) * 1_000;
        SilenceSettings {
            factor: self.factor,
            days: self.days,
            least: millis(self.least),
            at_first: millis(self.at_first),
        }
    }

    pub(super) fn check(&self, need: &mut Need<'_>) {
        need((1.0..=100.0).contains(&self.factor), "staleness.factor", "must lie between 1 and 100");
        need((2..=60).contains(&self.days), "staleness.days", "must lie between 2 and 60");
        need(self.least.0 > 0, "staleness.least", "must be above 0");
        need(self.at_first >= self.least, "staleness.at-first", "must not be shorter than `least`");
        need(self.limit.is_none_or(|limit| limit.0 > 0), "staleness.limit", "must be above 0");
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
    /// Predictions without a horizon count, too; they are due at once.
    #[serde(skip_serializing_if = "Clone::clone")]
    pub of_all: bool,
}

impl Default for CoverageSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            window: Duration(86_400),
            grace: Duration(3_600),
            minimum: 30,
            below: 0.5,
            of_all: false,
        }
    }
}

impl CoverageSettings {
    /// Hours in which predictions came due that are remembered.
    pub(crate) fn hours(&self) -> i64 {
        (i64::from(self.window.0) + i64::from(self.grace.0)) / 3_600 + 2
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
