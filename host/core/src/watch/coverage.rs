//! Outcomes that stay away: the share of the predictions that came due and have one. By the log's clock; without ticks
//! nothing is late.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Prediction, Severity, Timestamp};

use super::{episode::Evidence, look::Look};
use crate::{config::CoverageSettings, detector::DetectorKind, measure::rate};

const HOUR: i64 = 3_600_000;
/// Outcomes are back when their share is so much above the limit.
const MARGIN: f64 = 0.05;

/// Predictions that came due and those of them that have an outcome, by the hour in which they came due.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Due {
    hours: BTreeMap<i64, (u32, u32)>,
}

impl Due {
    /// A prediction arrived.
    pub(super) fn expect(&mut self, settings: &CoverageSettings, prediction: &Prediction) {
        if prediction.horizon.is_none() && !settings.of_all {
            return;
        }
        let (due, _) = self.hours.entry(due_hour(prediction)).or_default();
        *due = due.saturating_add(1);
        let now = prediction.time.as_millis().div_euclid(HOUR);
        while self.hours.first_key_value().is_some_and(|(oldest, _)| *oldest < now - settings.hours()) {
            self.hours.pop_first();
        }
    }

    /// A prediction has its first outcome.
    pub(super) fn resolved(&mut self, prediction: &Prediction) {
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

/// Share of the predictions that came due in the window and have an outcome.
pub(super) fn look(settings: &CoverageSettings, due: &Due, now: Timestamp) -> Option<Look> {
    let (due, resolved) = due.counts(settings, now);
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
