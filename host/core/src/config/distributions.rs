//! Settings of what holds the distributions of score and features against the baseline or an earlier time.

use serde::{Deserialize, Serialize};

use super::{
    check::{Need, is_level, rise},
    span::{Duration, Span},
};

/// Population stability index of the score and of each feature, newest predictions against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PsiSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// What is held against the baseline, as a number; or, as a length of time, against the stretch that `sketches` names.
    pub window: Span,
    /// After how many predictions it is tested again; a stretch of time is tested every hour.
    pub every: u32,
    /// An index of this much is medium …
    pub medium: f64,
    /// … of this much high …
    pub high: f64,
    /// … and above this critical.
    pub critical: f64,
    /// The index must also be improbable without drift, given the sizes: at this level for all quantities of a subject
    /// together. Values are taken to be as dependent on each other as the baseline's.
    pub alpha: f64,
}

impl Default for PsiSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            window: Span::Rows(500),
            every: 50,
            medium: 0.1,
            high: 0.2,
            critical: 0.3,
            alpha: 0.001,
        }
    }
}

impl PsiSettings {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        self.window.check("psi.window", need);
        need(self.every > 0, "psi.every", "must be at least 1");
        need(
            self.medium > 0.0
                && self.medium <= self.high
                && self.high <= self.critical
                && self.critical.is_finite(),
            "psi.medium",
            "must be above 0, not above `high`, and that not above `critical`",
        );
        need(is_level(self.alpha), "psi.alpha", "must lie between 0 and 1");
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
            enabled: true,
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
