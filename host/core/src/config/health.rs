//! Settings of what watches whether score and features still come as they did.

use serde::{Deserialize, Serialize};
use trimtab_stats::health::allowed::Margins;

use super::check::{Need, is_level};

/// Whether score and features still come as they did: missing, outside their range, under new names, or stuck.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct FeatureHealthSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Predictions between false openings, on average, at least, of all quantities of a subject together.
    pub run_length: f64,
    /// Predictions whose mean is one bet; more where values left their range for longer in the baseline.
    pub block: u16,
    /// A rise of a share by this much is nobody's business.
    pub tolerance: f64,
    /// The same of the share that is repeated.
    pub repeated_tolerance: f64,
    /// Confidence with which the baseline's shares are bounded.
    pub confidence: f64,
    /// Predictions that pass on average, at least, before what lasts is called over.
    pub recovery: f64,
}

impl Default for FeatureHealthSettings {
    fn default() -> Self {
        let Margins { tolerance, repeated_tolerance, confidence } = Margins::default();
        Self {
            enabled: true,
            run_length: 10_000.0,
            block: trimtab_stats::health::allowed::BLOCK,
            tolerance,
            repeated_tolerance,
            confidence,
            recovery: trimtab_stats::recovery::RECOVERY_RUN_LENGTH,
        }
    }
}

impl FeatureHealthSettings {
    pub(crate) fn margins(&self) -> Margins {
        let Self { tolerance, repeated_tolerance, confidence, .. } = *self;
        Margins { tolerance, repeated_tolerance, confidence }
    }

    pub(super) fn check(&self, need: &mut Need<'_>) {
        let mut need = |ok: bool, key: &str, problem: &str| {
            need(ok, &format!("feature-health.{key}"), problem);
        };
        for (key, rows) in [("run-length", self.run_length), ("recovery", self.recovery)] {
            // The longest block there is has 200.
            need((201.0..=1e9).contains(&rows), key, "must lie between 201 and 1e9 predictions");
        }
        need((1..=200).contains(&self.block), "block", "must lie between 1 and 200");
        for (key, share) in [("tolerance", self.tolerance), ("repeated-tolerance", self.repeated_tolerance)] {
            need((0.0..0.5).contains(&share), key, "must be at least 0 and below 0.5");
        }
        need(is_level(self.confidence), "confidence", "must lie between 0 and 1");
    }
}
