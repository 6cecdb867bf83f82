//! What is in force for a model, and what was done about it. Nothing of its rows but their number.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use trimtab_types::{Severity, Stage, Subject, Timestamp, VersionTransition};

/// Who stopped trading, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillNote {
    /// A person, or `policy NAME`.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelState {
    /// A person stopped trading; only a person allows it again.
    pub killed_by_operator: Option<KillNote>,
    /// A policy stopped trading.
    pub killed_by_policy: Option<KillNote>,
    /// Share of the usual exposure, 0..1.
    pub exposure: f64,
    /// No prediction below this confidence is served.
    pub minimum_confidence: Option<f64>,
    /// When the last retrain was allowed to begin.
    pub last_retrain: Option<Timestamp>,
    /// Until when a retrain is planned to begin.
    pub retrain_planned: Option<Timestamp>,
    /// The job that is active.
    pub active_job: Option<String>,
    /// Predictions logged, over all subjects; a model without any is unknown.
    pub predictions: u64,
    /// Resolved predictions, over all subjects.
    pub resolved: u64,
    /// How many of them the last retrain had seen.
    pub resolved_at_retrain: u64,
    /// The version that serves.
    pub champion: Option<String>,
    /// Since when.
    pub activated: Option<Timestamp>,
    /// Versions marked degraded.
    pub degraded: BTreeSet<String>,
    /// The newest alert of each segment and kind.
    pub alerts: BTreeMap<(String, String), SentAlert>,
}

/// An alert that went out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentAlert {
    /// Its severity.
    pub severity: Severity,
    /// When.
    pub at: Timestamp,
    /// Whether it is still firing.
    pub firing: bool,
    /// Whom it was about.
    pub subject: Subject,
    /// What it said had been decided.
    pub reason: String,
}

impl Default for ModelState {
    fn default() -> Self {
        Self {
            killed_by_operator: None,
            killed_by_policy: None,
            exposure: 1.0,
            minimum_confidence: None,
            last_retrain: None,
            retrain_planned: None,
            active_job: None,
            predictions: 0,
            resolved: 0,
            resolved_at_retrain: 0,
            champion: None,
            activated: None,
            degraded: BTreeSet::new(),
            alerts: BTreeMap::new(),
        }
    }
}

impl ModelState {
    /// A person allows trading again, in full.
    pub(crate) fn release(&mut self) {
        self.killed_by_operator = None;
        self.killed_by_policy = None;
        self.exposure = 1.0;
    }

    pub(crate) fn transition(&mut self, transition: &VersionTransition) {
        match transition.to {
            Stage::Production => {
                self.champion = Some(transition.version.clone());
                self.activated = Some(transition.at);
                self.degraded.remove(&transition.version);
            }
            Stage::Degraded => {
                self.degraded.insert(transition.version.clone());
            }
            Stage::Candidate | Stage::Shadow | Stage::Canary | Stage::Archived | Stage::Deleted => {}
        }
    }

    pub(crate) fn trained(&mut self, at: Timestamp) {
        self.active_job = None;
        self.retrain_planned = None;
        self.last_retrain = Some(at);
        self.resolved_at_retrain = self.resolved;
    }
}
