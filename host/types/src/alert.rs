//! Alerts: what is put to a formatting policy, and the message that it makes.

use serde::{Deserialize, Serialize};

use crate::{Finding, Metric, Severity, Subject, Timestamp};

/// Why the alert is sent now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// For the first time.
    Firing,
    /// Still firing.
    Repeated,
    /// Firing with a higher severity than before.
    Escalated,
    /// Still firing, and about more than was told.
    Grown,
    /// Firing after it was said to be over.
    Again,
    /// Over.
    Resolved,
}

impl Occasion {
    /// The name that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Firing => "firing",
            Self::Repeated => "repeated",
            Self::Escalated => "escalated",
            Self::Grown => "grown",
            Self::Again => "again",
            Self::Resolved => "resolved",
        }
    }
}

/// What kind of thing is wrong: with the model, what alerts are told together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertKind {
    /// Errors, accuracy, trading, calibration.
    Performance,
    /// Score, features, categories.
    Data,
    /// Predictions or outcomes stay away.
    Feed,
    /// A policy failed.
    Policy,
    /// A retrain began, failed, or brought a version.
    Retrain,
}

impl AlertKind {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Performance, Self::Data, Self::Feed, Self::Policy, Self::Retrain];

    /// The name that people read and write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Performance => "performance",
            Self::Data => "data",
            Self::Feed => "feed",
            Self::Policy => "policy",
            Self::Retrain => "retrain",
        }
    }
}

impl std::fmt::Display for AlertKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// An alert before it is put into words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Derived from the decision that raised it.
    pub id: String,
    /// What it is about.
    pub subject: Subject,
    /// How bad it is.
    pub severity: Severity,
    /// Why now.
    pub occasion: Occasion,
    /// When the oldest of its findings opened.
    pub started: Timestamp,
    /// Empty: raised by the host itself.
    pub findings: Vec<Finding>,
    /// The subject's metrics at that position.
    pub metrics: Vec<Metric>,
    /// What was decided, in the deciding policy's words.
    pub reason: String,
    /// What was done, waits for a person, or was refused by a safeguard, and why.
    pub actions: Vec<String>,
    /// Page of the alert on the dashboard.
    pub link: Option<String>,
}

/// An alert in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// One line.
    pub title: String,
    /// Plain text.
    pub body: String,
    /// The channel's own form.
    pub rich: Option<String>,
}
