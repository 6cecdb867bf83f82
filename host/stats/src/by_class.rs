//! Errors of each true class by themselves: a rare class can be missed altogether while the error rate hardly moves. What
//! is watched, against which limit; the stream itself is a [`crate::TwoLevel`] of one level, counted in events of the
//! class. Not for what the classes' shares are: see [`crate::categorical`].

use serde::{Deserialize, Serialize};

use crate::dependence::{BlockInflation, block_inflation, effective_sample_size};
use crate::error::bit;
use crate::windowed::at_least;
use crate::{EDetectorKind, StatsError, TwoLevelConfig, null_mean_upper};

/// Fewer events in the baseline say nothing of a class.
pub const LEAST_EVENTS: u64 = 10;
/// At most so many classes are watched, the most frequent.
pub const MOST_CLASSES: usize = 20;
/// From here on there are events enough for blocks.
const ENOUGH_FOR_BLOCKS: usize = 500;
const BLOCK: u32 = 5;

/// What a baseline says of one true class.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassBaseline {
    /// Predictions whose outcome was this class.
    pub events: u64,
    /// Those of them that were wrong.
    pub errors: u64,
    /// Independent events that would tell as much.
    pub worth: f64,
    /// What is bet on.
    pub blocks: BlockInflation,
}

/// What all classes are held to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ClassSettings {
    /// How evidence is combined.
    pub kind: EDetectorKind,
    /// Observations between false openings of the whole family; each class gets as many times more as there are classes,
    /// and counts its own events, which are fewer.
    pub average_run_length: f64,
    /// Events between false recoveries.
    pub recovery_run_length: f64,
    /// Worsening that is tolerated.
    pub tolerance: f64,
    /// Confidence in the baseline's bound.
    pub confidence: f64,
}

impl ClassBaseline {
    /// Of a class's errors (1 wrong, 0 right) in order of time.
    ///
    /// Below 500 events every event is a bet of its own; the inflation is measured from 50 events on.
    ///
    /// # Errors
    /// [`StatsError`] for no errors or ones that are not 0 or 1.
    pub fn of(errors: &[f64]) -> Result<Self, StatsError> {
        at_least("events", errors.len(), 1)?;
        let mut wrong = 0;
        for &error in errors {
            wrong += u64::from(bit(error)? == 1.0);
        }
        let block = if errors.len() < ENOUGH_FOR_BLOCKS { 1 } else { BLOCK };
        let unmeasured = BlockInflation { block, inflation: 1.0 };
        let blocks = if errors.len() < BlockInflation::LEAST_BLOCKS * block as usize {
            unmeasured
        } else {
            block_inflation(errors, block)?
        };
        Ok(Self { events: errors.len() as u64, errors: wrong, worth: effective_sample_size(errors)?, blocks })
    }

    /// The stream that watches this class, one of `classes`.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] as [`null_mean_upper`].
    pub fn watch(&self, settings: &ClassSettings, classes: u32) -> Result<TwoLevelConfig, StatsError> {
        let ClassSettings { kind, average_run_length, recovery_run_length, tolerance, confidence } =
            *settings;
        Ok(TwoLevelConfig {
            kind,
            null_mean: null_mean_upper(self.errors, self.events, tolerance, confidence, Some(self.worth))?,
            average_run_length: average_run_length * f64::from(classes.max(1)),
            blocks: self.blocks,
            early_sign: false,
            recovery_run_length,
        })
    }
}

/// The classes that are watched, most frequent first, and those that are not: with fewer than ten events, or beyond the
/// twenty most frequent. Equally frequent ones stay in their order.
pub fn watched<C>(classes: impl IntoIterator<Item = (C, u64)>) -> (Vec<C>, Vec<C>) {
    let mut classes: Vec<(C, u64)> = classes.into_iter().collect();
    classes.sort_by_key(|(_, events)| core::cmp::Reverse(*events));
    let enough = classes.iter().take_while(|(_, events)| *events >= LEAST_EVENTS).count();
    let others = classes.split_off(enough.min(MOST_CLASSES));
    let names = |classes: Vec<(C, u64)>| classes.into_iter().map(|(class, _)| class).collect();
    (names(classes), names(others))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, Runs, round_trip};
    use crate::{LevelChange, TwoLevel};

    const SETTINGS: ClassSettings = ClassSettings {
        kind: EDetectorKind::ShiryaevRoberts,
        average_run_length: 10_000.0,
        recovery_run_length: 2_000.0,
        tolerance: 0.02,
        confidence: 0.95,
    };

    /// A baseline of so many events at an error rate, in a drawn order.
    fn baseline(rng: &mut Rng, events: usize, rate: f64) -> ClassBaseline {
        let errors: Vec<f64> = (0..events).map(|_| rng.bernoulli(rate)).collect();
        ClassBaseline::of(&errors).expect("valid")
    }

    #[test]
    fn the_most_frequent_twenty_with_ten_events_are_watched() {
        let (on, off) = watched([("a", 9), ("b", 10), ("c", 900), ("d", 10)]);
        assert_eq!((on, off), (vec!["c", "b", "d"], vec!["a"]));
        let (on, off) = watched((0..30).map(|class| (class, 100 + class)));
        assert_eq!(on, (10..30).rev().collect::<Vec<u64>>());
        assert_eq!(off, (0..10).rev().collect::<Vec<u64>>());
        assert_eq!(watched::<u8>([]), (vec![], vec![]));
    }

    #[test]
    fn blocks_and_inflation_need_events() {
        let of = |events| ClassBaseline::of(&Runs::new(1, 0.6, 0.3).take(events, 0.3)).expect("valid");
        assert_eq!(of(49).blocks, BlockInflation { block: 1, inflation: 1.0 });
        let measured = of(499).blocks;
        assert!(measured.block == 1 && measured.inflation > 1.5, "{measured:?}");
        assert_eq!(of(500).blocks.block, 5);
        assert!(ClassBaseline::of(&[]).is_err() && ClassBaseline::of(&[0.5]).is_err());
    }

    /// One in a thousand is positive, nine of ten were found, then none is. Figures of an independent prototype in Python
    /// (run length 30,000 for each class): missed positives until it opens, the median, by positives in the baseline.
    #[test]
    fn a_class_that_is_missed_altogether_is_found_within_a_few_events() {
        for (events, median) in [(10, 15), (20, 11), (50, 9), (200, 8)] {
            let mut waits: Vec<u32> = (0..401)
                .map(|seed| {
                    let mut rng = Rng::new(seed);
                    let config = baseline(&mut rng, events, 0.1).watch(&SETTINGS, 3).expect("valid");
                    assert_eq!(config.average_run_length, 30_000.0);
                    let mut watch = TwoLevel::new(config).expect("valid");
                    (0..50).for_each(|_| drop(watch.update(rng.bernoulli(0.1))));
                    (1..1_000).find(|_| watch.update(1.0).expect("usable").is_some()).unwrap_or(1_000)
                })
                .collect();
            waits.sort_unstable();
            let found = waits[200];
            assert!(found.abs_diff(median) <= 2, "{events}: {found} and not {median}");
        }
    }

    /// Quiet: of 300 baselines of 50 positives, hardly any opens in 2,000 positives, which are 2 million rows.
    #[test]
    fn a_quiet_class_stays_quiet() {
        let mut opened = 0;
        for seed in 0..300 {
            let mut rng = Rng::new(seed);
            let config = baseline(&mut rng, 50, 0.1).watch(&SETTINGS, 2).expect("valid");
            let mut watch = TwoLevel::new(config).expect("valid");
            opened +=
                u32::from((0..2_000).any(|_| watch.update(rng.bernoulli(0.1)).expect("usable").is_some()));
        }
        assert!(opened <= 6, "{opened}");
    }

    #[test]
    fn a_class_recovers_in_its_own_events_and_its_state_is_small() {
        let config = baseline(&mut Rng::new(1), 400, 0.1).watch(&SETTINGS, 2).expect("valid");
        let mut watch = TwoLevel::new(config).expect("valid");
        assert!(postcard::to_allocvec(&watch).expect("serialises").len() < 260);
        let mut rng = Rng::new(2);
        assert!((0..40).any(|_| watch.update(1.0).expect("usable").is_some()));
        watch = round_trip(&watch);
        let closed = (0..2_000).any(|_| {
            matches!(watch.update(rng.bernoulli(0.1)).expect("usable"), Some(LevelChange::Closed(_)))
        });
        assert!(closed);
    }
}
