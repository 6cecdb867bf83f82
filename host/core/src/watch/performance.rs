//! Metrics of the newest judged rows that fell below the baseline's, by fixed limits. The metrics are in `measure`. A fall that
//! chance explains, or of a metric of which nobody can say that, is at most medium.

use trimtab_stats::proportion::{IntervalMethod, interval};
use trimtab_types::{Baseline, Estimate, Severity};

use super::{
    episode::Evidence,
    events::Events,
    look::{Look, ROUNDING, number},
};
use crate::{
    config::{MetricSettings, PerformanceSettings},
    detector::DetectorKind,
    judged::JudgedRows,
    measure,
    metric::Metric,
};

/// Both intervals have to be apart at this level: windows are looked at again and again.
const CONFIDENCE: f64 = 0.999;

/// What is looked at: the newest rows, and the newest events of rare classes.
#[derive(Clone, Copy)]
pub(super) struct Newest<'a> {
    pub(super) rows: &'a JudgedRows,
    pub(super) events: &'a Events,
}

/// `None` where baseline or rows do not say.
pub(super) fn look(
    metric: Metric,
    settings: &PerformanceSettings,
    metrics: &MetricSettings,
    newest: Newest<'_>,
    baseline: &Baseline,
) -> Option<Look> {
    // A drop is a share of what there was.
    let before = measure::of_baseline(metric, baseline, metrics).filter(|before| *before > 0.0)?;
    let (now, of_what) = now(metric, settings, metrics, newest);
    let now = now.filter(|now| now.samples >= settings.minimum)?;
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
    let significant = is_significant(metric, before, now, baseline);
    Some(Look {
        kind: DetectorKind::Performance,
        quantity: metric.name().into(),
        level: level.map(|level| if significant { level } else { level.min(Severity::Medium) }),
        recovered: drop < settings.medium * settings.hysteresis,
        evidence: Evidence {
            statistic: drop,
            threshold: settings.medium,
            significant,
            baseline: Some(number(before, baseline.samples)),
            current: Some(now),
            window: format!("the newest {} {of_what} against the baseline", now.samples),
            ..Evidence::default()
        },
    })
}

/// The metric now, and of what it is made.
fn now(
    metric: Metric,
    settings: &PerformanceSettings,
    metrics: &MetricSettings,
    newest: Newest<'_>,
) -> (Option<Estimate>, &'static str) {
    let last = settings.window as usize;
    let events = newest.events.of(metric, last);
    if events.is_some() {
        let of_what = match metric {
            Metric::Recall => "positives",
            Metric::Precision => "that were called positive",
            _ => "that were positive or called so",
        };
        return (events, of_what);
    }
    (measure::of(metric, &newest.rows.newest(last), metrics), "")
}

/// Why a metric is not looked at, in words; `None`: it is, or nothing can be said yet.
pub(super) fn cannot_look(
    metric: Metric,
    settings: &PerformanceSettings,
    metrics: &MetricSettings,
    newest: Newest<'_>,
    baseline: &Baseline,
) -> Option<String> {
    let name = metric.name();
    match measure::of_baseline(metric, baseline, metrics) {
        None => return Some(format!("performance of {name}: the baseline does not have it")),
        Some(before) if before <= 0.0 => {
            return Some(format!("performance of {name}: it is {before} in the baseline, and cannot fall"));
        }
        Some(_) => {}
    }
    let rows = newest.rows.newest(settings.window as usize);
    let (now, _) = now(metric, settings, metrics, newest);
    let samples = now.map_or(0, |now| now.samples);
    (rows.len() >= settings.window as usize && samples < settings.minimum).then(|| {
        format!(
            "performance of {name}: the newest {} rows have {samples} that it is made of, and `minimum` is {}",
            settings.window, settings.minimum
        )
    })
}

/// Whether a share fell further than chance explains. Of metrics that are no shares that cannot be said.
fn is_significant(metric: Metric, before: f64, now: Estimate, baseline: &Baseline) -> bool {
    let n = match metric {
        Metric::Accuracy | Metric::WinRate | Metric::IntervalCoverage => baseline.samples,
        // Of the positives; where the baseline does not know how many there were, nothing can be said.
        Metric::Recall => {
            let positive = |name: &str| name == "1" || name == "up";
            match baseline.classes.iter().find(|known| positive(&known.name)) {
                Some(known) => known.events,
                None => return false,
            }
        }
        _ => return false,
    };
    let worth = baseline.effective_samples.map_or(1.0, |worth| worth / baseline.samples as f64);
    let n = libm::floor(n as f64 * worth) as u64;
    let bounds = |share: f64, n: u64| {
        let hits = libm::round(share * n as f64) as u64;
        interval(hits.min(n), n, CONFIDENCE, IntervalMethod::Wilson).ok()
    };
    match (bounds(before, n), bounds(now.value, u64::from(now.samples))) {
        (Some(before), Some(now)) => now.high < before.low,
        _ => false,
    }
}
