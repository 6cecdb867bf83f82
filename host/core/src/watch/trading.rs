//! How the newest trades go, against the baseline and by fixed limits: Sharpe ratio, win rate, losses in a row, drawdown.
//! The metrics are in `measure`.

use trimtab_stats::Window;
use trimtab_types::{Baseline, Severity};

use super::{
    episode::Evidence,
    look::{HYSTERESIS, Look, ROUNDING, number},
};
use crate::{
    config::{MetricSettings, TradingSettings},
    detector::DetectorKind,
    judged::JudgedRows,
    measure,
    metric::Metric,
};

/// `won` says which of the newest trades won.
pub(super) fn looks(
    settings: &TradingSettings,
    metrics: &MetricSettings,
    (rows, won): (&JudgedRows, &Window),
    baseline: Option<&Baseline>,
) -> Vec<Look> {
    let rows = rows.newest(settings.window as usize);
    let of =
        |metric: Metric| measure::of(metric, &rows, metrics).filter(|now| now.samples >= settings.minimum);
    let mut looks = Vec::new();
    let against_baseline = [
        (sharpe(metrics), settings.sharpe_drop, settings.least_sharpe),
        (Metric::WinRate, settings.win_rate_drop, settings.least_win_rate),
    ];
    for (metric, limit, floor) in against_baseline {
        let Some(now) = of(metric) else { continue };
        let before = baseline.and_then(|baseline| {
            Some(number(measure::of_baseline(metric, baseline, metrics)?, baseline.samples))
        });
        let drop = before.map(|before| before.value - now.value);
        let below = floor.is_some_and(|floor| now.value < floor);
        let dropped = drop.is_some_and(|drop| drop + ROUNDING >= limit);
        let (statistic, threshold, window) = match (drop, floor) {
            (Some(drop), _) if dropped || !below => (drop, limit, "a drop below the baseline"),
            (_, Some(floor)) => (now.value, floor, "below the least that is allowed"),
            _ => continue,
        };
        let of_what = if metric == Metric::SharpeDaily { "days" } else { "trades" };
        looks.push(Look {
            kind: DetectorKind::Trading,
            quantity: if metric == Metric::SharpeDaily { Metric::Sharpe } else { metric }.name().into(),
            level: (dropped || below).then_some(Severity::High),
            recovered: !below && drop.is_none_or(|drop| drop < limit * HYSTERESIS),
            evidence: Evidence {
                statistic,
                threshold,
                baseline: before,
                current: Some(now),
                window: format!("{window}; the newest {} {of_what}", now.samples),
                ..Evidence::default()
            },
        });
    }
    let run = won.losing_run() as u64;
    looks.push(Look {
        kind: DetectorKind::Trading,
        quantity: "losing-run".into(),
        level: (run >= u64::from(settings.losses)).then_some(Severity::Medium),
        recovered: run == 0,
        evidence: Evidence {
            statistic: run as f64,
            threshold: f64::from(settings.losses),
            window: "losses in a row".to_owned(),
            ..Evidence::default()
        },
    });
    if let Some(now) = of(Metric::Drawdown) {
        looks.push(Look {
            kind: DetectorKind::Trading,
            quantity: Metric::Drawdown.name().into(),
            level: (now.value + ROUNDING >= settings.drawdown).then_some(Severity::High),
            recovered: now.value < settings.drawdown * HYSTERESIS,
            evidence: Evidence {
                statistic: now.value,
                threshold: settings.drawdown,
                current: Some(now),
                window: format!("deepest fall over the newest {} trades", now.samples),
                ..Evidence::default()
            },
        });
    }
    looks
}

/// Which Sharpe ratio judges: that of days, but where somebody says how many trades a year has.
fn sharpe(metrics: &MetricSettings) -> Metric {
    if metrics.periods_per_year.is_some() { Metric::Sharpe } else { Metric::SharpeDaily }
}

/// Why the Sharpe ratio is not looked at though there are trades enough, in words.
pub(super) fn cannot_look(
    settings: &TradingSettings,
    metrics: &MetricSettings,
    rows: &JudgedRows,
) -> Option<String> {
    let rows = rows.newest(settings.window as usize);
    let trades = measure::of(Metric::CumulativeReturn, &rows, metrics)?.samples;
    let is_there = measure::of(sharpe(metrics), &rows, metrics).is_some();
    (metrics.periods_per_year.is_none() && trades >= settings.window && !is_there).then(|| {
        format!(
            "trading of sharpe: the newest {trades} trades are of fewer than 30 days; \
             a longer `window`, or `[metrics] periods-per-year` for a ratio of trades"
        )
    })
}
