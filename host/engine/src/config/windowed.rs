//! Settings of what is held against the baseline, or an earlier time, now and then: distributions, calibration, drops,
//! trades, and what is missing. Not of detectors that watch every error; see `detectors`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::Duration;
use crate::metric::Metric;

/// Reports a problem with a key: whether it is fine, its name, and what it must be.
pub(super) type Need<'a> = dyn FnMut(bool, &str, &str) + 'a;

/// How much is "now": the newest so many predictions, or those of the newest so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Written as a number.
    Rows(u32),
    /// Written as `7d`.
    Time(Duration),
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => rows.serialize(serializer),
            Self::Time(time) => time.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Span;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of predictions, or a length of time such as \"7d\"")
            }
            fn visit_u64<E: de::Error>(self, rows: u64) -> Result<Span, E> {
                u32::try_from(rows).map(Span::Rows).map_err(|_| E::custom("is too many predictions"))
            }
            fn visit_i64<E: de::Error>(self, rows: i64) -> Result<Span, E> {
                u32::try_from(rows).map(Span::Rows).map_err(|_| E::custom("must be above 0"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                let time =
                    trimtab_types::parse_duration(text).map_err(|invalid| E::custom(invalid.problem))?;
                Ok(Span::Time(Duration(time)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Span {
    /// The stretch of time, if it is one.
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::Time(time) => Some(time),
            Self::Rows(_) => None,
        }
    }

    pub(super) fn check(self, key: &str, need: &mut Need<'_>) {
        match self {
            Self::Rows(rows) => need((50..=5_000).contains(&rows), key, "must lie between 50 and 5000"),
            Self::Time(time) => {
                need(time.0 >= 3_600, key, "must be a number of predictions, or at least 1h");
            }
        }
    }
}

pub(super) fn is_level(x: f64) -> bool {
    x > 0.0 && x < 1.0
}

/// Limits that rise, each above 0; `most` is the highest that makes sense.
fn rise(limits: &[f64], most: f64) -> bool {
    limits.first().is_some_and(|first| *first > 0.0)
        && limits.windows(2).all(|pair| pair[0] <= pair[1])
        && limits.last().is_some_and(|last| *last <= most)
}

/// Which metrics of the newest judged predictions are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MetricSettings {
    /// How many of the newest judged predictions metrics other than accuracy and win rate are computed over; 0: none.
    pub window: u32,
    /// How many trades a year has, to annualise the Sharpe ratio; per trade where nothing is said.
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

/// Kolmogorov–Smirnov distance of the score and of each numeric feature.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct KsSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// What is held against the baseline, as a number; or, as a length of time, against the stretch that `sketches` names.
    pub window: Span,
    /// After how many predictions it is tested again; a stretch of time is tested every hour.
    pub every: u32,
    /// No test below this many values on either side.
    pub minimum: u32,
    /// A distance of this much is medium …
    pub medium: f64,
    /// … and of this much high.
    pub high: f64,
    /// The distance must also be improbable without drift: at this level for all quantities of a subject together.
    pub alpha: f64,
}

impl Default for KsSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            window: Span::Rows(500),
            every: 50,
            minimum: 30,
            medium: 0.15,
            high: 0.25,
            alpha: 0.01,
        }
    }
}

impl KsSettings {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        self.window.check("ks.window", need);
        need(self.every > 0, "ks.every", "must be at least 1");
        let most = if let Span::Rows(rows) = self.window { rows } else { 1_000_000 };
        need((2..=most).contains(&self.minimum), "ks.minimum", "must be at least 2 and not above `window`");
        need(
            rise(&[self.medium, self.high], 1.0),
            "ks.medium",
            "must be above 0 and not above `high`, which is at most 1",
        );
        need(is_level(self.alpha), "ks.alpha", "must lie between 0 and 1");
    }
}

/// Mergeable sketches of score and numeric features by hour and day. Kept where the window of `psi` or `ks` is a length of
/// time, and nowhere else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SketchSettings {
    /// Numbers that a sketch keeps exactly; beyond that it holds about three times as many. Governs the error of a rank.
    pub size: u16,
    /// Hours become days after this time.
    pub hours: Duration,
    /// The earlier stretch that a recent one is held against begins so long ago …
    pub from: Duration,
    /// … and ends so long ago.
    pub until: Duration,
    /// Bytes for a subject; when they are used up, hours become days early and the oldest days go.
    pub budget: u32,
}

impl Default for SketchSettings {
    fn default() -> Self {
        Self {
            size: 128,
            hours: Duration(3 * 86_400),
            from: Duration(60 * 86_400),
            until: Duration(30 * 86_400),
            budget: 4 << 20,
        }
    }
}

impl SketchSettings {
    /// `longest` is the longest recent stretch.
    pub(super) fn check(&self, longest: Option<Duration>, need: &mut Need<'_>) {
        need((16..=4_096).contains(&self.size), "sketches.size", "must lie between 16 and 4096");
        let hours = 86_400..=30 * 86_400;
        need(hours.contains(&self.hours.0), "sketches.hours", "must lie between 1d and 30d");
        need(
            self.until < self.from && self.from.0 <= 400 * 86_400,
            "sketches.from",
            "must be longer ago than `until`, and at most 400d",
        );
        need(
            longest.is_none_or(|longest| longest <= self.until),
            "sketches.until",
            "must be at least as long ago as the longest `window` reaches, or recent is held against itself",
        );
        need(
            (65_536..=1 << 30).contains(&self.budget),
            "sketches.budget",
            "must lie between 65536 and 1073741824 bytes",
        );
    }
}

/// How far apart two lists of shares are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CategoryDistance {
    /// Square root of the Jensen–Shannon divergence in bits.
    JensenShannon,
    /// The share that would have to move.
    TotalVariation,
}

/// How often each category of a feature comes, and each predicted class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CategorySettings {
    /// Whether it runs.
    pub enabled: bool,
    /// How many of the newest predictions are held against the baseline.
    pub window: u32,
    /// After how many predictions it is tested again.
    pub every: u32,
    /// No test below this many values on either side.
    pub minimum: u32,
    /// What says how large a difference is.
    pub distance: CategoryDistance,
    /// A distance of this much is medium …
    pub medium: f64,
    /// … and of this much high.
    pub high: f64,
    /// The chi-square test must also be significant: at this level for all quantities of a subject together.
    pub alpha: f64,
}

impl Default for CategorySettings {
    fn default() -> Self {
        Self {
            enabled: false,
            window: 500,
            every: 50,
            minimum: 30,
            distance: CategoryDistance::JensenShannon,
            medium: 0.1,
            high: 0.2,
            alpha: 0.01,
        }
    }
}

impl CategorySettings {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        need((50..=5_000).contains(&self.window), "categories.window", "must lie between 50 and 5000");
        need(self.every > 0, "categories.every", "must be at least 1");
        need(
            (2..=self.window).contains(&self.minimum),
            "categories.minimum",
            "must be at least 2 and not above `window`",
        );
        need(
            rise(&[self.medium, self.high], 1.0),
            "categories.medium",
            "must be above 0 and not above `high`, which is at most 1",
        );
        need(is_level(self.alpha), "categories.alpha", "must lie between 0 and 1");
    }
}

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
