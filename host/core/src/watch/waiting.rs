//! Predictions whose outcome has not come: their scores, from which performance is estimated meanwhile (CBPE). Always
//! marked as an estimate; not a measurement, and blind to a change of what scores mean. The formula is in `trimtab-stats`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use trimtab_stats::{calibration::Recalibration, cbpe::EstimatedPerformance};
use trimtab_types::{Estimate, Interval, Position};

use crate::{
    judged::JudgedRows,
    measure::{SPREAD, scored},
    metric::Metric,
};

/// Scores are recalibrated from so many judged ones or more; the newest third says whether that helps.
const ENOUGH_TO_RECALIBRATE: usize = 150;

/// Fewer that wait are no news: an outcome takes its time.
const ENOUGH_TO_SHOW: usize = 30;

/// Scores of the newest predictions without an outcome, oldest first. Bounded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Waiting {
    scores: VecDeque<(Position, f64)>,
}

impl Waiting {
    /// Takes the score of a prediction and keeps the newest `most`.
    pub(super) fn push(&mut self, at: Position, score: f64, most: usize) {
        if most > 0 {
            self.scores.push_back((at, score));
        }
        while self.scores.len() > most {
            self.scores.pop_front();
        }
    }

    /// The outcome has come.
    pub(super) fn resolved(&mut self, at: Position) {
        if let Ok(place) = self.scores.binary_search_by_key(&at, |(at, _)| *at) {
            self.scores.remove(place);
        }
    }

    /// Accuracy, precision, recall or F1 of the newest `last` predictions without an outcome, as their scores suggest:
    /// recalibrated by the judged ones where that helps. `None`: fewer wait, or another metric.
    ///
    /// `rows` are the judged ones; a score from `threshold` on predicts the positive class.
    pub(super) fn estimated(
        &self,
        rows: &JudgedRows,
        metric: Metric,
        last: usize,
        threshold: f64,
    ) -> Option<Estimate> {
        let scores = &self.scores;
        let first = scores.len().checked_sub(last.max(1))?;
        let (actual, judged) = scored(&rows.newest(rows.len()));
        let map = (judged.len() >= ENOUGH_TO_RECALIBRATE)
            .then(|| Recalibration::fit(&actual, &judged, judged.len() / 3).ok())
            .flatten()
            .filter(Recalibration::improves)
            .map(|found| found.map);
        let calibrated: Vec<(bool, f64)> = scores
            .range(first..)
            .map(|(_, score)| {
                let probability = map.as_ref().and_then(|map| map.map(*score).ok()).unwrap_or(*score);
                (*score >= threshold, probability)
            })
            .collect();
        let found = EstimatedPerformance::of_calibrated(&calibrated).ok()?;
        let (value, interval) = match metric {
            Metric::Accuracy => {
                let (value, reach) = (found.accuracy(), SPREAD * found.accuracy_deviation);
                let interval = Interval { lower: (value - reach).max(0.0), upper: (value + reach).min(1.0) };
                (value, Some(interval))
            }
            Metric::Precision => (found.precision()?, None),
            Metric::Recall => (found.recall()?, None),
            Metric::F1 => (found.f1()?, None),
            _ => return None,
        };
        let samples = u32::try_from(found.count).unwrap_or(u32::MAX);
        Some(Estimate { value, samples, interval, from_outcomes: false })
    }

    /// What can be estimated of all predictions that wait and are kept; nothing where it is too few of them.
    pub(super) fn estimates(&self, rows: &JudgedRows, threshold: f64) -> Vec<trimtab_types::Metric> {
        let waiting = self.scores.len();
        if waiting < ENOUGH_TO_SHOW {
            return Vec::new();
        }
        [Metric::Accuracy, Metric::Precision, Metric::Recall, Metric::F1]
            .into_iter()
            .filter_map(|metric| {
                let estimate = self.estimated(rows, metric, waiting, threshold)?;
                Some(trimtab_types::Metric { name: metric.name().to_owned(), estimate })
            })
            .collect()
    }
}
