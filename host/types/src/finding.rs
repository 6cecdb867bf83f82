//! Findings: episodes in which a detector says that something got worse.

use serde::{Deserialize, Serialize};

use crate::{DigestBuilder, Estimate, Position, Subject, Timestamp};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum Severity {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Severity {
    /// All severities, mildest first.
    pub const ALL: [Self; 5] = [Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical];

    /// The name that people read and write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What just happened to an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It began.
    Opened,
    /// Its severity rose.
    Raised,
    /// It ended: recovery or reset.
    Closed,
}

impl Phase {
    /// The name that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Raised => "raised",
            Self::Closed => "closed",
        }
    }
}

/// One change of an episode: it opened, was raised or closed. This is what is stored, shown and put to a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The episode's id: the same from opening to closing.
    pub id: String,
    /// Whose predictions.
    pub subject: Subject,
    /// What just happened.
    pub phase: Phase,
    /// Log position of this change.
    pub position: Position,
    /// The log's clock at this change.
    pub at: Timestamp,
    /// The log's clock when the episode opened.
    pub opened: Timestamp,
    /// Which detector: `e-sr`, `adwin`, `accuracy-z`, …
    pub detector: String,
    /// What was watched: a metric's name, `error`, `score` or `feature/NAME`.
    pub quantity: String,
    /// How bad it is now.
    pub severity: Severity,
    /// The detector's own number.
    pub statistic: f64,
    /// The limit that `statistic` was held against.
    pub threshold: f64,
    /// Probability of data at least as extreme if nothing had changed.
    pub p_value: Option<f64>,
    /// Betting evidence against "nothing changed".
    pub e_value: Option<f64>,
    /// Whether the evidence passes the detector's own limit.
    pub significant: bool,
    /// The watched quantity before.
    pub baseline: Option<Estimate>,
    /// The watched quantity now.
    pub current: Option<Estimate>,
    /// What was compared, in words.
    pub window: String,
    /// The accuracy that pure chance would have reached on the same rows, where there is one.
    #[serde(default)]
    pub chance: Option<f64>,
    /// How much was compared, of what compares samples.
    #[serde(default)]
    pub sizes: Option<Sizes>,
}

/// How much two samples hold, and how many independent values each is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sizes {
    /// Values of the baseline.
    pub baseline: u64,
    /// How many independent ones they are worth.
    pub baseline_worth: f64,
    /// Values of the window.
    pub window: u64,
    /// How many independent ones they are worth.
    pub window_worth: f64,
}

impl Finding {
    /// The name under which policies are asked about a version that serves anew; no detector has it.
    pub const ACTIVATION: &str = "activation";

    /// The id of the episode that `detector` opened on `quantity` of `subject` at `position`.
    pub fn episode_id(subject: &Subject, detector: &str, quantity: &str, position: Position) -> String {
        DigestBuilder::new("finding")
            .part(subject.tenant.as_bytes())
            .part(subject.model.as_bytes())
            .part(subject.version.as_bytes())
            .part(subject.segment.as_bytes())
            .part(detector.as_bytes())
            .part(quantity.as_bytes())
            .number(position.0)
            .id('f')
    }
}
