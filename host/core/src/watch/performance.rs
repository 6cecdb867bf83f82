//! Metrics of the newest judged rows that fell below the baseline's, by fixed limits. The metrics are in `measure`.

use trimtab_types::{Baseline, Severity};

use super::{
    episode::Evidence,
    look::{Look, ROUNDING, number},
};
use crate::{
    config::{MetricSettings, PerformanceSettings},
    detector::DetectorKind,
    judged::JudgedRows,
    measure,
    metric::Metric,
};

/// `None` where baseline or rows do not say.
pub(super) fn look(
    metric: Metric,
    settings: &PerformanceSettings,
    metrics: &MetricSettings,
    rows: &JudgedRows,
    baseline: &Baseline,
) -> Option<Look> {
    // A drop is a share of what there was.
    let before = measure::of_baseline(metric, baseline, metrics).filter(|before| *before > 0.0)?;
    let rows = rows.newest(settings.window as usize);
    let now = measure::of(metric, &rows, metrics).filter(|now| now.samples >= settings.minimum)?;
    let drop = 1.0 - now.value / before;
    let level = if drop > settings.critical + ROUNDING {
        Some(Severity::Critical)
    } else if drop + ROUNDING >= settings.high {
        Some(Severity::High)
    } else if drop + ROUNDING >= settings.medium {
        Some(Severity::Medium)
    } else {
        None
    };
    Some(Look {
        kind: DetectorKind::Performance,
        quantity: metric.name().into(),
        level,
        recovered: drop < settings.medium * settings.hysteresis,
        evidence: Evidence {
            statistic: drop,
            threshold: settings.medium,
            baseline: Some(number(before, baseline.samples)),
            current: Some(now),
            window: format!("the newest {} against the baseline", rows.len()),
            ..Evidence::default()
        },
    })
}
