//! Outcomes that do not count yet, and those that were corrected after they had counted. For people: what a horizon would have
//! to be, and how many wait for theirs.

use serde::{Deserialize, Serialize};
use trimtab_types::{Provisional, Timestamp};

const HOUR: u64 = 3_600;
/// Bounds of how long after the prediction its outcome was corrected, in hours; the last class is open.
const BOUNDS: [u64; 15] = [1, 6, 24, 48, 72, 120, 168, 240, 336, 504, 720, 1_080, 1_440, 2_160, 8_760];
/// Below this share of the judged, corrections are nobody's business.
const MANY: f64 = 0.01;
/// Fewer judged predictions say nothing.
const ENOUGH: u64 = 100;
/// The share of the corrections that a horizon should cover.
const COVERED: f64 = 0.9;

/// Counts of a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Corrections {
    /// Predictions with an outcome that wait for their horizon.
    pub(crate) waiting: u64,
    /// Outcomes that came after the horizon of a prediction that was judged.
    pub(crate) after_horizon: u64,
    /// Outcomes that were corrected after they had judged, by how long after the prediction.
    delays: Vec<u32>,
}

impl Corrections {
    /// An outcome that had judged was corrected.
    pub(super) fn corrected(&mut self, predicted: Timestamp, corrected: Timestamp) {
        let hours = corrected.since(predicted).div_ceil(HOUR);
        let class = BOUNDS.partition_point(|bound| *bound < hours);
        if self.delays.len() <= class {
            self.delays.resize(class + 1, 0);
        }
        self.delays[class] = self.delays[class].saturating_add(1);
    }

    /// As people are shown it.
    pub(crate) fn shown(&self, judged: u64) -> Provisional {
        let corrected: u64 = self.delays.iter().map(|count| u64::from(*count)).sum();
        let share = corrected as f64 / judged.max(1) as f64;
        let mut seen = 0;
        let covers = |count: &u32| {
            seen += u64::from(*count);
            seen as f64 >= COVERED * corrected as f64
        };
        let class = self.delays.iter().position(covers);
        let within = class.and_then(|class| Some(BOUNDS.get(class)? * HOUR));
        Provisional {
            waiting: self.waiting,
            after_horizon: self.after_horizon,
            corrected: (judged >= ENOUGH && share > MANY).then_some(share),
            within: within.and_then(|within| u32::try_from(within).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_that_covers_nine_of_ten_corrections_is_named() {
        let mut known = Corrections::default();
        let day = 24 * HOUR;
        let correct = |known: &mut Corrections, after: u64| {
            known.corrected(Timestamp::EPOCH, Timestamp::EPOCH.plus(after));
        };
        assert_eq!(known.shown(1_000).corrected, None);
        (0..18).for_each(|_| correct(&mut known, 20 * day));
        correct(&mut known, HOUR / 2);
        correct(&mut known, 400 * day);
        let shown = known.shown(1_000);
        assert_eq!((shown.corrected, shown.within), (Some(0.02), Some(21 * 86_400)));
        // Too few judged, or hardly any corrected.
        assert_eq!((known.shown(99).corrected, known.shown(2_000).corrected), (None, None));
        (0..90).for_each(|_| correct(&mut known, 400 * day));
        assert_eq!(known.shown(1_000).within, None, "no horizon is so long");
    }
}
