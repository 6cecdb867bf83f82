//! Outcomes that do not count yet, and those that were corrected after they had counted. For people: what a horizon would have
//! to be, and how many wait for theirs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Judged, Outcome, Prediction, Provisional};

const HOUR: u64 = 3_600;
/// Bounds of how long after the prediction its outcome was corrected, in hours; the last class is open.
const BOUNDS: [u64; 15] = [1, 6, 24, 48, 72, 120, 168, 240, 336, 504, 720, 1_080, 1_440, 2_160, 8_760];
/// Below this share of the judged, corrections are nobody's business …
const MANY: f64 = 0.01;
/// … unless a rare class comes by them: this share of it …
const MANY_OF_A_CLASS: f64 = 0.2;
/// … and so many.
const ENOUGH_OF_A_CLASS: u64 = 10;
/// Fewer judged predictions say nothing.
const ENOUGH: u64 = 100;
/// The share of the corrections that a horizon should cover.
const COVERED: f64 = 0.9;
/// Most classes that are counted.
const CLASSES: usize = 64;

/// Counts of a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Corrections {
    /// Predictions with an outcome that wait for their horizon.
    pub(crate) waiting: u64,
    /// Outcomes that came after the horizon of a prediction that was judged.
    pub(crate) after_horizon: u64,
    /// Outcomes that were corrected after they had judged, by how long after the prediction.
    delays: Vec<u32>,
    /// Judged predictions by true class.
    judged: BTreeMap<u32, u64>,
    /// What became a class by a correction, with the name of the class.
    became: BTreeMap<u32, (String, u64)>,
}

impl Corrections {
    /// A prediction was judged.
    pub(super) fn judged(&mut self, judged: Judged) {
        let Some((_, class)) = judged.classes else { return };
        if self.judged.len() < CLASSES || self.judged.contains_key(&class) {
            *self.judged.entry(class).or_default() += 1;
        }
    }

    /// An outcome came after one that had judged, and is judged so.
    pub(crate) fn corrected(&mut self, prediction: &Prediction, outcome: &Outcome, judged: Judged) {
        let hours = outcome.time.since(prediction.time).div_ceil(HOUR);
        let length = BOUNDS.partition_point(|bound| *bound < hours);
        if self.delays.len() <= length {
            self.delays.resize(length + 1, 0);
        }
        self.delays[length] = self.delays[length].saturating_add(1);
        let Some((_, class)) = judged.classes else { return };
        if self.became.len() < CLASSES || self.became.contains_key(&class) {
            let name = || (Judged::class_name(class, prediction.predicted), 0);
            self.became.entry(class).or_insert_with(name).1 += 1;
        }
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
        let length = self.delays.iter().position(covers);
        let within = length.and_then(|length| Some(BOUNDS.get(length)? * HOUR));
        let of_class = |(class, (name, became)): (&u32, &(String, u64))| {
            let judged = self.judged.get(class).copied().unwrap_or_default();
            let share = *became as f64 / (*became + judged) as f64;
            (*became >= ENOUGH_OF_A_CLASS && share > MANY_OF_A_CLASS).then(|| (name.clone(), share))
        };
        let classes = self.became.iter().filter_map(of_class);
        Provisional {
            waiting: self.waiting,
            after_horizon: self.after_horizon,
            corrected: (judged >= ENOUGH && share > MANY).then_some(share),
            class: classes.max_by(|a, b| a.1.total_cmp(&b.1)).filter(|_| judged >= ENOUGH),
            within: within.and_then(|within| u32::try_from(within).ok()),
        }
    }
}

#[cfg(test)]
mod tests {
    use trimtab_types::{
        Actual, Judging, Predicted, judge,
        testing::{outcome, prediction},
    };

    use super::*;

    const DAY: u64 = 24 * HOUR;

    fn correct(known: &mut Corrections, after: u64, label: i64) {
        let prediction = prediction(Predicted::Binary(0.1), None);
        let time = prediction.time.plus(after);
        let outcome = Outcome { time, ..outcome(Some(Actual::Label(label)), None, None) };
        let judged = judge(&prediction, &outcome, &Judging::default());
        known.corrected(&prediction, &outcome, judged);
    }

    #[test]
    fn the_horizon_that_covers_nine_of_ten_corrections_is_named() {
        let mut known = Corrections::default();
        assert_eq!(known.shown(1_000).corrected, None);
        (0..18).for_each(|n| correct(&mut known, 20 * DAY, n % 2));
        correct(&mut known, HOUR / 2, 0);
        correct(&mut known, 400 * DAY, 1);
        let shown = known.shown(1_000);
        assert_eq!((shown.corrected, shown.within), (Some(0.02), Some(21 * 86_400)));
        // Too few judged, or hardly any corrected.
        assert_eq!((known.shown(99).corrected, known.shown(2_000).corrected), (None, None));
        (0..90).for_each(|_| correct(&mut known, 400 * DAY, 1));
        assert_eq!(known.shown(1_000).within, None, "no horizon is so long");
    }

    /// One payment in two hundred is fraud, and every one of these is good at first.
    #[test]
    fn a_rare_class_that_comes_by_corrections_is_named() {
        let mut known = Corrections::default();
        let (row, good) =
            (prediction(Predicted::Binary(0.1), None), outcome(Some(Actual::Label(0)), None, None));
        (0..4_000).for_each(|_| known.judged(judge(&row, &good, &Judging::default())));
        (0..20).for_each(|_| correct(&mut known, 20 * DAY, 1));
        let shown = known.shown(4_000);
        assert_eq!((shown.corrected, shown.class), (None, Some(("1".to_owned(), 1.0))));
        let words = known.shown(4_000).words(&trimtab_types::testing::subject()).expect("words");
        assert!(words.contains("100 % of the outcomes of") && words.contains("within 21d"), "{words}");
    }
}
