//! Experiments for the tests of rules.

use crate::{Arm, Design, Estimate, Experiment, Metric};

/// An arm with these metrics.
pub fn arm(version: &str, samples: u32, metrics: &[(&str, f64)]) -> Arm {
    let estimate = |value| Estimate { value, samples, interval: None, from_outcomes: true };
    Arm {
        version: version.into(),
        samples,
        metrics: metrics
            .iter()
            .map(|(name, value)| Metric { name: (*name).into(), estimate: estimate(*value) })
            .collect(),
        critical_findings: 0,
    }
}

/// A healthy canary v8 of 900 outcomes against v7 of 8000, after eight days, of which nothing else is known.
pub fn experiment() -> Experiment {
    Experiment {
        id: "e".into(),
        tenant: "t".into(),
        model: "m".into(),
        design: Design::Canary,
        fraction: 0.1,
        running: 8 * 86_400,
        concerns: Vec::new(),
        champion: arm("v7", 8000, &[]),
        challenger: arm("v8", 900, &[]),
        differences: Vec::new(),
    }
}
