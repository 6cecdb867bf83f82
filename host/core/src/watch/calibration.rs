//! Whether stated probabilities come true: the expected calibration error of the newest judged rows. How often its limits
//! are passed without drift, host/stats/README.md says.

use trimtab_types::{Baseline, Severity};

use super::{
    difference::RECOVERED,
    episode::Evidence,
    look::{HYSTERESIS, Look, number},
};
use crate::{
    config::CalibrationSettings, detector::DetectorKind, judged::JudgedRows, measure::reliability,
    metric::Metric,
};

/// `None` where too few rows stated a probability.
pub(super) fn look(
    settings: &CalibrationSettings,
    rows: &JudgedRows,
    baseline: Option<&Baseline>,
) -> Option<Look> {
    let rows = rows.newest(settings.window as usize);
    let found = reliability(&rows)?;
    let count: u64 = found.bins.iter().map(|bin| bin.count).sum();
    if count < u64::from(settings.minimum) {
        return None;
    }
    let p_value = found.p_value();
    let significant = p_value.is_none_or(|p| p < settings.alpha);
    let level = if found.ece > settings.high {
        Some(Severity::High)
    } else if found.ece > settings.medium {
        Some(Severity::Medium)
    } else {
        None
    };
    let before =
        baseline.and_then(|baseline| Some((*baseline.metrics.get(Metric::Ece.name())?, baseline.samples)));
    Some(Look {
        kind: DetectorKind::Calibration,
        quantity: Metric::Ece.name().into(),
        level: level.filter(|_| significant),
        // Calibrated scores have an error, too: what is probable for them is over.
        recovered: found.ece < settings.medium * HYSTERESIS || p_value.is_some_and(|p| p > RECOVERED),
        evidence: Evidence {
            statistic: found.ece,
            threshold: settings.medium,
            p_value,
            significant,
            baseline: before.map(|(ece, samples)| number(ece, samples)),
            current: Some(number(found.ece, count)),
            window: format!("the newest {count} that stated a probability"),
            ..Evidence::default()
        },
    })
}
