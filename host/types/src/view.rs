//! What a policy may read about the subject that it is asked about. Who asks implements it on its state at that position;
//! who answers records every answer.

use crate::{Estimate, Finding, ModelVersion, Seconds, Severity};

/// The subject's history as of the question. All of it must be a function of the log up to that position.
pub trait View: Send + Sync {
    /// A metric over the newest `last` predictions that have an outcome. `None`: too few, or no such metric.
    fn recent(&self, metric: &str, last: u32) -> Option<Estimate>;
    /// The same over a stretch of time, from `from_ago` (the larger number) until `until_ago` before now.
    fn between(&self, metric: &str, from_ago: Seconds, until_ago: Seconds) -> Option<Estimate>;
    /// The same over the baseline period.
    fn baseline(&self, metric: &str) -> Option<Estimate>;
    /// Changes of findings not older than `within`, and the newest change of each that is still open, however old; newest
    /// first, at most `limit`.
    fn findings(&self, within: Seconds, at_least: Severity, limit: u32) -> Vec<Finding>;
    /// Findings of a detector since it was last reset.
    fn drift_count(&self, detector: &str) -> u32;
    /// All versions of the model, newest first.
    fn versions(&self) -> Vec<ModelVersion>;
    /// How long the champion has been serving.
    fn since_activation(&self) -> Option<Seconds>;
    /// How long ago the last retrain began.
    fn since_retrain(&self) -> Option<Seconds>;
}

/// A subject without any history: what `self-check` and `alert-format` see.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHistory;

impl View for NoHistory {
    fn recent(&self, _: &str, _: u32) -> Option<Estimate> {
        None
    }
    fn between(&self, _: &str, _: Seconds, _: Seconds) -> Option<Estimate> {
        None
    }
    fn baseline(&self, _: &str) -> Option<Estimate> {
        None
    }
    fn findings(&self, _: Seconds, _: Severity, _: u32) -> Vec<Finding> {
        Vec::new()
    }
    fn drift_count(&self, _: &str) -> u32 {
        0
    }
    fn versions(&self) -> Vec<ModelVersion> {
        Vec::new()
    }
    fn since_activation(&self) -> Option<Seconds> {
        None
    }
    fn since_retrain(&self) -> Option<Seconds> {
        None
    }
}
