//! A tenant's subjects together: which of many alarms survive that there are many, and how many false ones to expect. It
//! opens, closes and suppresses nothing: it says how far to trust what is open. The procedures are in `trimtab-stats`.

use std::collections::{BTreeMap, BTreeSet};

use trimtab_stats::multiplicity::{Correction, FalseAlarmBudget, e_detector_bh, reject};
use trimtab_types::{Baseline, Fleet, Subject, Timestamp};

use crate::{
    Configuration,
    config::{Detectors, Span},
    detector::DetectorKind,
    state::State,
    watch::SubjectState,
};

const WEEK: f64 = 7.0 * 86_400.0;
const DAY: f64 = 86_400.0;
const HOURS_A_WEEK: f64 = 168.0;

/// What is gathered of a tenant.
#[derive(Default)]
struct Gathered {
    /// e-values with the run length, in bets, that each detector was made for.
    streams: Vec<(String, f64, f64)>,
    tests: Vec<(String, f64)>,
    budget: FalseAlarmBudget,
    without_promise: BTreeSet<&'static str>,
}

/// Every tenant's subjects together, over all logs, under the configuration in force.
pub fn fleets<'a>(states: impl IntoIterator<Item = &'a State>, configuration: &Configuration) -> Vec<Fleet> {
    let mut tenants: BTreeMap<&str, Gathered> = BTreeMap::new();
    for state in states {
        for (subject, known) in &state.subjects {
            let settings = configuration.detectors(&subject.model_key());
            let now = state.clock(&subject.model_key());
            tenants.entry(&subject.tenant).or_default().take(subject, known, settings, now);
        }
    }
    let alpha = configuration.fleet.alpha;
    tenants.into_iter().map(|(tenant, gathered)| gathered.fleet(tenant, alpha)).collect()
}

impl Gathered {
    fn take(&mut self, subject: &Subject, known: &SubjectState, settings: &Detectors, now: Timestamp) {
        for (kind, e_value, run_length) in known.evidence() {
            self.streams.push((format!("{subject} {}", kind.name()), e_value, run_length));
        }
        for (kind, quantity, p_value) in known.p_values(settings, now) {
            self.tests.push((format!("{subject} {} {quantity}", kind.name()), p_value));
        }
        let judged = judged_a_week(known, now);
        let predicted = judged * known.predictions as f64 / known.resolved.max(1) as f64;
        for kind in DetectorKind::ALL {
            let has_something = |baseline: &Baseline| match kind {
                DetectorKind::Categories => !baseline.categories.is_empty(),
                DetectorKind::FeatureHealth => !baseline.supplies.is_empty(),
                _ => true,
            };
            let runs = settings.is_enabled(kind)
                && (!kind.needs_baseline() || known.baseline.as_deref().is_some_and(has_something));
            if runs && !self.promise(kind, settings, judged, predicted) {
                self.without_promise.insert(kind.name());
            }
        }
    }

    /// Adds what a detector promises. False: nothing, or nothing that its settings were checked for.
    fn promise(&mut self, kind: DetectorKind, settings: &Detectors, judged: f64, predicted: f64) -> bool {
        let budget = &mut self.budget;
        let looks = |window: Span, every: u32| match window {
            Span::Rows(_) => predicted / f64::from(every),
            Span::Time(_) => HOURS_A_WEEK,
        };
        let added = match kind {
            DetectorKind::ESr => budget.add_detector(settings.e_sr.run_length, judged),
            DetectorKind::ECusum => budget.add_detector(settings.e_cusum.0.run_length, judged),
            DetectorKind::OwnPast => budget.add_detector(settings.own_past.run_length, judged),
            DetectorKind::Psi => {
                budget.add_tests(settings.psi.alpha, 1, looks(settings.psi.window, settings.psi.every))
            }
            DetectorKind::Ks => {
                budget.add_tests(settings.ks.alpha, 1, looks(settings.ks.window, settings.ks.every))
            }
            DetectorKind::Categories => {
                let every = f64::from(settings.categories.every);
                budget.add_tests(settings.categories.alpha, 1, predicted / every)
            }
            DetectorKind::Calibration => {
                let every = f64::from(settings.calibration.every);
                budget.add_tests(settings.calibration.alpha, 1, judged / every)
            }
            DetectorKind::FeatureHealth => budget.add_detector(settings.feature_health.run_length, predicted),
            // What stays away is a fact, not a guess.
            DetectorKind::Staleness | DetectorKind::Coverage => Ok(()),
            DetectorKind::Adwin
            | DetectorKind::AdwinRiver
            | DetectorKind::PageHinkley
            | DetectorKind::Ddm
            | DetectorKind::Eddm
            | DetectorKind::HddmA
            | DetectorKind::HddmW
            | DetectorKind::Kswin
            | DetectorKind::AccuracyZ
            | DetectorKind::Performance
            | DetectorKind::Trading => return false,
        };
        added.is_ok()
    }

    fn fleet(self, tenant: &str, alpha: f64) -> Fleet {
        let Self { streams, tests, budget, without_promise } = self;
        // Where detectors were made for several run lengths, the longest is valid for all of them.
        let longest = streams.iter().map(|(_, _, run_length)| *run_length).fold(0.0, f64::max);
        let e_values: Vec<f64> = streams.iter().map(|(_, e_value, _)| *e_value).collect();
        let changed = e_detector_bh(&e_values, longest).unwrap_or_default();
        let p_values: Vec<f64> = tests.iter().map(|(_, p_value)| *p_value).collect();
        let significant = reject(&p_values, alpha, Correction::BenjaminiHochberg).unwrap_or_default();
        let named = |names: Vec<String>, found: Vec<bool>| -> Vec<String> {
            names.into_iter().zip(found).filter(|(_, found)| *found).map(|(name, _)| name).collect()
        };
        Fleet {
            tenant: tenant.to_owned(),
            streams: streams.len(),
            changed: named(streams.into_iter().map(|(name, ..)| name).collect(), changed),
            tests: tests.len(),
            significant: named(tests.into_iter().map(|(name, _)| name).collect(), significant),
            false_alarms_per_week: budget.per_week,
            without_promise: without_promise.into_iter().map(str::to_owned).collect(),
        }
    }
}

/// Judged predictions a week, by the last seven days, or as many as there are, at least one.
fn judged_a_week(known: &SubjectState, now: Timestamp) -> f64 {
    let Some(first) = known.times.first_day() else { return 0.0 };
    let count = f64::from(known.times.between(now, WEEK as u32, 0).all);
    let span = (now.since(first) as f64).clamp(DAY, WEEK);
    count * WEEK / span
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(e_values: &[f64], p_values: &[f64]) -> Fleet {
        let streams = e_values.iter().map(|e| (format!("e {e}"), *e, 500.0)).collect();
        let tests = p_values.iter().map(|p| (format!("p {p}"), *p)).collect();
        Gathered { streams, tests, ..Gathered::default() }.fleet("acme", 0.05)
    }

    #[test]
    fn one_alarm_of_many_has_to_be_stronger() {
        assert_eq!(gathered(&[600.0], &[]).changed, ["e 600"]);
        assert!(gathered(&[600.0, 1.0, 1.0], &[]).changed.is_empty(), "one of three needs 1,500");
        assert_eq!(gathered(&[800.0, 790.0, 1.0], &[]).changed, ["e 800", "e 790"], "two of three need 750");
        assert_eq!(gathered(&[], &[0.02, 0.9]).significant, ["p 0.02"]);
        assert!(gathered(&[], &[0.03, 0.9]).significant.is_empty());
        let nothing = gathered(&[], &[]);
        assert_eq!((nothing.streams, nothing.tests), (0, 0));
    }
}
