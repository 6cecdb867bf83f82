//! What is looked at as time passes, by the log's clock and its ticks: predictions that stay away, outcomes that stay
//! away, stretches of time held against each other (`timelines`). Nothing here reads a clock of its own: without ticks nothing is late.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Finding, Prediction, Severity, Subject, Timestamp};

use super::{
    episode::{self, Evidence, Moment},
    health::Look,
    state::{State, SubjectState},
};
use crate::{
    config::{CoverageSettings, Detectors, StalenessSettings},
    detector::DetectorKind,
    measure::rate,
};

const HOUR: i64 = 3_600_000;
/// Outcomes are back when their share is so much above the limit.
const MARGIN: f64 = 0.05;
/// Hours kept: the longest window, the longest grace, and a day.
const HOURS_KEPT: i64 = 61 * 24;

/// Predictions that came due and those of them that have an outcome, by the hour in which they came due.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Due {
    hours: BTreeMap<i64, (u32, u32)>,
}

impl Due {
    fn expect(&mut self, prediction: &Prediction) {
        let hour = due_hour(prediction);
        let (due, _) = self.hours.entry(hour).or_default();
        *due = due.saturating_add(1);
        while self.hours.first_key_value().is_some_and(|(oldest, _)| *oldest < hour - HOURS_KEPT) {
            self.hours.pop_first();
        }
    }

    /// A prediction has its first outcome.
    pub(crate) fn resolved(&mut self, prediction: &Prediction) {
        if let Some((due, resolved)) = self.hours.get_mut(&due_hour(prediction)) {
            // What was predicted before this was watched is not among those that are due.
            *resolved = due.min(&mut resolved.saturating_add(1)).to_owned();
        }
    }

    /// How many came due in the window that ends before the grace, and have an outcome.
    fn counts(&self, settings: &CoverageSettings, now: Timestamp) -> (u64, u64) {
        let millis = |seconds: u32| i64::from(seconds) * 1_000;
        let end = now.as_millis() - millis(settings.grace.0);
        let hours = (end - millis(settings.window.0)).div_euclid(HOUR)..end.div_euclid(HOUR);
        let counts = self.hours.range(hours);
        counts.fold((0, 0), |(due, resolved), (_, more)| {
            (due + u64::from(more.0), resolved + u64::from(more.1))
        })
    }
}

fn due_hour(prediction: &Prediction) -> i64 {
    prediction.time.plus(u64::from(prediction.horizon.unwrap_or(0))).as_millis().div_euclid(HOUR)
}

/// Time has passed. Returns the changes of episodes.
pub(super) fn tick(state: &mut State) -> Vec<Finding> {
    let hour = state.clock.as_millis().div_euclid(HOUR);
    let is_new_hour = hour > state.looked;
    if is_new_hour {
        state.looked = hour;
        state.touch_global();
    }
    let configuration = std::sync::Arc::clone(&state.configuration);
    if !configuration.watches_time() {
        return Vec::new();
    }
    let now = state.clock;
    let mut looks: Vec<(Subject, Vec<Look>)> = Vec::new();
    for (subject, known) in &state.subjects {
        let settings = configuration.detectors(&subject.model_key());
        let mut found = Vec::new();
        if settings.staleness.enabled {
            found.extend(known.staleness(&settings.staleness, now));
        }
        if settings.coverage.enabled && is_new_hour {
            found.extend(known.coverage(&settings.coverage, now));
        }
        if is_new_hour {
            found.extend(known.over_time(settings, now));
        }
        // Only those that change are touched, because what is touched is stored.
        found.retain(|look| {
            let open = known.severity(look.kind, &look.quantity);
            episode::change(open, look.level, look.recovered, Evidence::default).is_some()
        });
        if !found.is_empty() {
            looks.push((subject.clone(), found));
        }
    }
    let position = state.position;
    looks
        .into_iter()
        .flat_map(|(subject, looks)| {
            let moment = Moment { subject: &subject, position, clock: now };
            let known = state.subject_mut(&subject);
            let findings = known.conclude(looks, moment);
            known.note(&findings);
            findings
        })
        .collect()
}

impl SubjectState {
    /// A prediction arrived. Returns the changes of episodes.
    pub(crate) fn arrived(
        &mut self,
        settings: &Detectors,
        prediction: &Prediction,
        moment: Moment<'_>,
    ) -> Vec<Finding> {
        self.newest = self.newest.max(Some(prediction.time));
        if settings.coverage.enabled {
            self.due.expect(prediction);
        }
        if settings.staleness.enabled && self.severity(DetectorKind::Staleness, "age").is_some() {
            let looks = self.staleness(&settings.staleness, moment.clock).into_iter().collect();
            return self.conclude(looks, moment);
        }
        Vec::new()
    }

    /// Age of the newest prediction against the log's clock.
    fn staleness(&self, settings: &StalenessSettings, now: Timestamp) -> Option<Look> {
        let age = now.since(self.newest?) as f64;
        let is_retired = age > f64::from(settings.retired.0);
        let limit = settings.limit();
        Some(Look {
            kind: DetectorKind::Staleness,
            quantity: "age".into(),
            level: (age > limit && !is_retired).then_some(Severity::High),
            recovered: age <= limit || is_retired,
            evidence: Evidence {
                statistic: age,
                threshold: limit,
                window: if is_retired {
                    "seconds since the newest prediction: no longer expected".to_owned()
                } else {
                    "seconds since the newest prediction".to_owned()
                },
                ..Evidence::default()
            },
        })
    }

    /// Share of the predictions that came due in the window and have an outcome.
    fn coverage(&self, settings: &CoverageSettings, now: Timestamp) -> Option<Look> {
        let (due, resolved) = self.due.counts(settings, now);
        let share = rate(resolved, due).filter(|_| due >= u64::from(settings.minimum));
        // Where nothing is due any more nothing is missing either.
        let value = share.map_or(1.0, |share| share.value);
        let level = if value < settings.below / 2.0 {
            Some(Severity::High)
        } else if value < settings.below {
            Some(Severity::Medium)
        } else {
            None
        };
        Some(Look {
            kind: DetectorKind::Coverage,
            quantity: "outcomes".into(),
            level,
            recovered: value >= (settings.below + MARGIN).min(1.0),
            evidence: Evidence {
                statistic: value,
                threshold: settings.below,
                current: share,
                window: format!("{resolved} of {due} predictions that came due have an outcome"),
                ..Evidence::default()
            },
        })
    }
}
