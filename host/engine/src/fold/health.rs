//! What the newest judged rows say of a subject's health: calibration, metrics below the baseline's, how trades go. Looks
//! now and then, by fixed limits: how often these are passed without drift, host/stats/README.md says. The metrics
//! themselves are in `metrics`.

use std::borrow::Cow;

use trimtab_types::{Estimate, Finding, Judged, Severity};

use super::{
    distribution::RECOVERED,
    episode::{self, Evidence, Moment},
    state::SubjectState,
};
use crate::{
    config::{CalibrationSettings, Detectors, MetricSettings, PerformanceSettings, TradingSettings},
    detector::DetectorKind,
    measure::{self, reliability},
    metric::Metric,
};

/// Differences are rounded to this before they are held against a limit, so that 0.85 − 0.80 counts as 5 points.
const ROUNDING: f64 = 1e-9;
/// An episode of calibration or of trades is over below this share of its limit.
const HYSTERESIS: f64 = 0.5;

/// What a look at one quantity found.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) kind: DetectorKind,
    pub(super) quantity: Cow<'static, str>,
    pub(super) level: Option<Severity>,
    pub(super) recovered: bool,
    pub(super) evidence: Evidence,
}

impl SubjectState {
    /// Looks at the newest judged rows after another one. Returns the changes of episodes.
    pub(crate) fn examine(
        &mut self,
        settings: &Detectors,
        metrics: &MetricSettings,
        judged: Judged,
        moment: Moment<'_>,
    ) -> Vec<Finding> {
        let is_due = |every: u32| judged.right.is_some() && self.resolved.is_multiple_of(u64::from(every));
        let mut looks = Vec::new();
        if settings.calibration.enabled && is_due(settings.calibration.every) {
            looks.extend(self.calibration(&settings.calibration));
        }
        if settings.performance.enabled && is_due(settings.performance.every) {
            let dropped = |metric: &Metric| self.dropped(*metric, &settings.performance, metrics);
            looks.extend(settings.performance.metrics.iter().filter_map(dropped));
        }
        if settings.trading.enabled && judged.won.is_some() {
            looks.extend(self.trading(&settings.trading, metrics));
        }
        self.conclude(looks, moment)
    }

    /// Opens, raises and closes episodes by what was found.
    pub(super) fn conclude(&mut self, looks: Vec<Look>, moment: Moment<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for Look { kind, quantity, level, recovered, evidence } in looks {
            let open = self.severity(kind, &quantity);
            let Some(change) = episode::change(open, level, recovered, || evidence) else { continue };
            let episodes = self.episodes.entry(kind).or_default();
            let mut episode = episodes.remove(quantity.as_ref());
            found.extend(episode::advance(&mut episode, (kind.name(), quantity.as_ref()), change, moment));
            if let Some(open) = episode {
                episodes.insert(quantity.into_owned(), open);
            }
        }
        found
    }

    /// How grave an open episode of a detector that looks now and then is.
    pub(super) fn severity(&self, kind: DetectorKind, quantity: &str) -> Option<Severity> {
        Some(self.episodes.get(&kind)?.get(quantity)?.severity)
    }

    pub(super) fn calibration(&self, settings: &CalibrationSettings) -> Option<Look> {
        let rows = self.rows.newest(settings.window as usize);
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
        let baseline = self.baseline.as_ref();
        let before = baseline
            .and_then(|baseline| Some((*baseline.metrics.get(Metric::Ece.name())?, baseline.samples)));
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

    fn dropped(
        &self,
        metric: Metric,
        settings: &PerformanceSettings,
        metrics: &MetricSettings,
    ) -> Option<Look> {
        let baseline = self.baseline.as_ref()?;
        // A drop is a share of what there was.
        let before = measure::of_baseline(metric, baseline, metrics).filter(|before| *before > 0.0)?;
        let rows = self.rows.newest(settings.window as usize);
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

    fn trading(&self, settings: &TradingSettings, metrics: &MetricSettings) -> Vec<Look> {
        let rows = self.rows.newest(settings.window as usize);
        let of = |metric: Metric| {
            measure::of(metric, &rows, metrics).filter(|now| now.samples >= settings.minimum)
        };
        let mut looks = Vec::new();
        let against_baseline = [
            (Metric::Sharpe, settings.sharpe_drop, settings.least_sharpe),
            (Metric::WinRate, settings.win_rate_drop, settings.least_win_rate),
        ];
        for (metric, limit, floor) in against_baseline {
            let Some(now) = of(metric) else { continue };
            let baseline = self.baseline.as_ref();
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
            looks.push(Look {
                kind: DetectorKind::Trading,
                quantity: metric.name().into(),
                level: (dropped || below).then_some(Severity::High),
                recovered: !below && drop.is_none_or(|drop| drop < limit * HYSTERESIS),
                evidence: Evidence {
                    statistic,
                    threshold,
                    baseline: before,
                    current: Some(now),
                    window: format!("{window}; the newest {} trades", now.samples),
                    ..Evidence::default()
                },
            });
        }
        let run = self.won.losing_run() as u64;
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
}

fn number(value: f64, samples: u64) -> Estimate {
    let samples = u32::try_from(samples).unwrap_or(u32::MAX);
    Estimate { value, samples, interval: None, from_outcomes: true }
}
