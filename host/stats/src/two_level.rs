//! One episode of errors with two levels of evidence: an early sign, and what the promised run length holds for. Not what
//! is done about either.
//!
//! Two sums run over the same values. Blocks of 20 at face value give an early sign: their promise holds for independent
//! errors. Blocks with an inflation measured on the baseline open the episode in full, or raise it: their promise holds
//! for errors as dependent as the baseline's. Whichever opened it, [`Recovery`] closes it, and what opened it then starts
//! from nothing. An early sign that is over leaves the other sum alone, so the full level opens when it would have opened
//! without early signs, and keeps its promise. Each level's promise is its own: both together open a little more often.

use serde::{Deserialize, Serialize};

use crate::dependence::BlockInflation;
use crate::error::unit;
use crate::recovery::{RECOVERY_RUN_LENGTH, Recovery, RecoveryConfig};
use crate::{
    AfterAlarm, Betting, EDetector, EDetectorConfig, EDetectorKind, Estimate, OnlineDetector, Side,
    StatsError,
};

/// Blocks of the early sign.
pub const EARLY: BlockInflation = BlockInflation::UNMEASURED;

/// Parameters of [`TwoLevel`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TwoLevelConfig {
    /// How evidence is combined.
    pub kind: EDetectorKind,
    /// The bound on the mean that nothing is wrong with; see [`crate::null_mean_upper`].
    pub null_mean: f64,
    /// Observations between false openings, of each level.
    pub average_run_length: f64,
    /// What the full level bets on; see [`crate::dependence::block_inflation`].
    pub blocks: BlockInflation,
    /// Whether there is an early sign.
    pub early_sign: bool,
    /// Observations between false recoveries.
    pub recovery_run_length: f64,
}

impl Default for TwoLevelConfig {
    /// Against ½, 10,000 and 2,000 observations, with nothing known of dependence.
    fn default() -> Self {
        Self {
            kind: EDetectorKind::ShiryaevRoberts,
            null_mean: 0.5,
            average_run_length: 10_000.0,
            blocks: BlockInflation::UNMEASURED,
            early_sign: false,
            recovery_run_length: RECOVERY_RUN_LENGTH,
        }
    }
}

/// How far an open episode has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Level {
    /// The promise holds for independent errors.
    Early,
    /// The promise holds for errors as dependent as the baseline's.
    Full,
}

/// Evidence, and what it must reach.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sum {
    /// The e-value.
    pub e_value: f64,
    /// Its threshold.
    pub threshold: f64,
}

impl Sum {
    fn of(detector: &EDetector) -> Self {
        Self { e_value: detector.e_value(), threshold: detector.threshold() }
    }

    fn of_recovery(recovery: &Recovery) -> Self {
        let (e_value, threshold) = recovery.evidence();
        Self { e_value, threshold }
    }
}

/// All that is known at present.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sums {
    /// For the full level.
    pub full: Sum,
    /// For the early sign, where one is wanted.
    pub early: Option<Sum>,
    /// For the end, while the episode is open.
    pub recovery: Option<Sum>,
}

/// What one value changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum LevelChange {
    /// An episode opened at this level.
    Opened(Level),
    /// The early sign became full.
    Raised,
    /// The episode is over, by this evidence.
    Closed(Sum),
}

/// The state: two sums and, while an episode is open, its recovery.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TwoLevel {
    config: TwoLevelConfig,
    full: EDetector,
    early: Option<EDetector>,
    open: Option<(Level, Recovery)>,
}

impl TwoLevel {
    /// Without observations.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: TwoLevelConfig) -> Result<Self, StatsError> {
        let sum = |BlockInflation { block, inflation }| {
            let watched = EDetectorConfig {
                kind: config.kind,
                null_mean: config.null_mean,
                side: Side::Upper,
                average_run_length: config.average_run_length,
                block,
                after_alarm: AfterAlarm::Continue,
            };
            EDetector::with_betting(watched, Betting { inflation, ..Betting::default() })
        };
        Recovery::new(recovery(&config))?;
        let early = config.early_sign.then(|| sum(EARLY)).transpose()?;
        Ok(Self { config, full: sum(config.blocks)?, early, open: None })
    }

    /// The parameters.
    pub fn config(&self) -> &TwoLevelConfig {
        &self.config
    }

    /// The open episode's level.
    pub fn level(&self) -> Option<Level> {
        self.open.as_ref().map(|(level, _)| *level)
    }

    /// The evidence of both sums, and for the end while an episode is open. Both go on meanwhile.
    pub fn sums(&self) -> Sums {
        Sums {
            full: Sum::of(&self.full),
            early: self.early.as_ref().map(Sum::of),
            recovery: self.open.as_ref().map(|(_, recovery)| Sum::of_recovery(recovery)),
        }
    }

    /// The mean since the evidence began to grow, and of how many; of the early sign's where only that has any.
    pub fn since_onset(&self) -> Option<Estimate> {
        self.full.since_onset().or_else(|| self.early.as_ref()?.since_onset())
    }

    /// Takes the next value, in [0, 1].
    ///
    /// # Errors
    /// [`StatsError::Observation`] for a value that cannot be used; the state is unchanged then.
    pub fn update(&mut self, x: f64) -> Result<Option<LevelChange>, StatsError> {
        let x = unit(x)?;
        self.full.update(x)?;
        if let Some(early) = &mut self.early {
            early.update(x)?;
        }
        let reached = self.reached();
        let Some((level, recovery)) = &mut self.open else {
            let Some(level) = reached else { return Ok(None) };
            self.open = Some((level, Recovery::new(recovery(&self.config))?));
            return Ok(Some(LevelChange::Opened(level)));
        };
        if *level < Level::Full && reached == Some(Level::Full) {
            *level = Level::Full;
            recovery.restart();
            return Ok(Some(LevelChange::Raised));
        }
        if !recovery.is_over(x)? {
            return Ok(None);
        }
        let closing = Sum::of_recovery(recovery);
        if *level == Level::Full {
            self.full.reset();
        }
        self.early.iter_mut().for_each(EDetector::reset);
        self.open = None;
        Ok(Some(LevelChange::Closed(closing)))
    }

    /// The highest level that the present evidence reaches.
    fn reached(&self) -> Option<Level> {
        if self.full.is_above() {
            Some(Level::Full)
        } else {
            self.early.as_ref().is_some_and(EDetector::is_above).then_some(Level::Early)
        }
    }

    /// Forgets every value, and the open episode.
    pub fn restart(&mut self) {
        self.full.reset();
        self.early.iter_mut().for_each(EDetector::reset);
        self.open = None;
    }
}

fn recovery(config: &TwoLevelConfig) -> RecoveryConfig {
    RecoveryConfig {
        kind: config.kind,
        limit: config.null_mean,
        blocks: config.blocks,
        average_run_length: config.recovery_run_length,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Runs, inflation_of_runs, round_trip};

    fn in_runs(stay: f64) -> TwoLevelConfig {
        TwoLevelConfig {
            null_mean: 0.32,
            blocks: BlockInflation { block: 5, inflation: inflation_of_runs(stay, 5) },
            early_sign: true,
            ..TwoLevelConfig::default()
        }
    }

    fn watch(config: TwoLevelConfig) -> TwoLevel {
        TwoLevel::new(config).expect("valid")
    }

    /// Every change within so many values.
    fn changes(watch: &mut TwoLevel, errors: &mut Runs, rate: f64, count: u32) -> Vec<(u32, LevelChange)> {
        let change = |row| Some((row, watch.update(errors.next(rate)).expect("usable")?));
        (1..=count).filter_map(change).collect()
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let base = TwoLevelConfig::default();
        for (name, config) in [
            ("null_mean", TwoLevelConfig { null_mean: 1.0, ..base }),
            ("average_run_length", TwoLevelConfig { average_run_length: 3.0, ..base }),
            ("average_run_length", TwoLevelConfig { recovery_run_length: 3.0, ..base }),
            ("inflation", TwoLevelConfig { blocks: BlockInflation { block: 5, inflation: 0.5 }, ..base }),
            ("block", TwoLevelConfig { blocks: BlockInflation { block: 0, inflation: 1.0 }, ..base }),
        ] {
            match TwoLevel::new(config) {
                Err(StatsError::Parameter { parameter, .. }) => assert_eq!(parameter, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    /// Errors that come in long runs: the early sign comes first, then it is raised; both before it closes.
    #[test]
    fn an_early_sign_is_raised_and_closed() {
        let mut watch = watch(in_runs(0.9));
        let mut errors = Runs::new(3, 0.9, 0.2);
        assert_eq!(changes(&mut watch, &mut errors, 0.2, 3_000), []);
        let worse = changes(&mut watch, &mut errors, 0.7, 3_000);
        let kinds: Vec<LevelChange> = worse.iter().map(|(_, change)| *change).collect();
        assert_eq!(kinds, [LevelChange::Opened(Level::Early), LevelChange::Raised]);
        assert_eq!(watch.level(), Some(Level::Full));
        let sums = watch.sums();
        assert!(sums.full.e_value >= sums.full.threshold && sums.full.threshold == 2_000.0);
        assert!(sums.early.is_some_and(|early| early.e_value >= early.threshold && early.threshold == 500.0));
        assert!((watch.since_onset().expect("known").mean - 0.7).abs() < 0.15);
        let better = changes(&mut watch, &mut errors, 0.1, 3_000);
        assert!(
            matches!(better[..], [(_, LevelChange::Closed(Sum { e_value, threshold: 400.0 }))] if e_value >= 400.0),
            "{better:?}"
        );
        assert_eq!((watch.level(), watch.sums().recovery), (None, None));
    }

    #[test]
    fn recovery_starts_anew_when_the_episode_is_raised() {
        let mut watch = watch(in_runs(0.9));
        let mut errors = Runs::new(3, 0.9, 0.7);
        let evidence = |watch: &TwoLevel| watch.sums().recovery.map_or(0.0, |sum| sum.e_value);
        let mut before = 0.0;
        loop {
            match watch.update(errors.next(0.7)).expect("usable") {
                Some(LevelChange::Raised) => break,
                _ => before = evidence(&watch),
            }
        }
        assert!(before > 0.0 && evidence(&watch) == 0.0);
    }

    /// Early signs come and go on errors at the limit; the full level does not heed them.
    #[test]
    fn an_early_sign_never_moves_the_full_level() {
        let mut signs = 0;
        for seed in 0..30 {
            let config = TwoLevelConfig { null_mean: 0.3, average_run_length: 1_000.0, ..in_runs(0.9) };
            let (mut both, mut alone) =
                (watch(config), watch(TwoLevelConfig { early_sign: false, ..config }));
            let mut errors = Runs::new(seed, 0.9, 0.3);
            for row in 0..10_000 {
                let x = errors.next(0.3);
                let (change, full) = (both.update(x).expect("usable"), alone.update(x).expect("usable"));
                signs += u32::from(change == Some(LevelChange::Opened(Level::Early)));
                assert_eq!(
                    both.level() == Some(Level::Full),
                    alone.level().is_some(),
                    "seed {seed}, row {row}"
                );
                if full.is_some() {
                    break;
                }
            }
        }
        assert!(signs > 20, "{signs}");
    }

    #[test]
    fn without_an_early_sign_there_is_one_level() {
        let mut watch = watch(TwoLevelConfig { early_sign: false, ..in_runs(0.9) });
        let found = changes(&mut watch, &mut Runs::new(3, 0.9, 0.7), 0.7, 5_000);
        assert!(matches!(found[..], [(_, LevelChange::Opened(Level::Full))]), "{found:?}");
        assert_eq!(watch.sums().early, None);
    }

    /// At the very limit each level keeps the promise as far as it claims to: the full one for errors in runs.
    #[test]
    fn the_full_level_keeps_the_promise_for_errors_in_runs() {
        let promised = 2_000.0;
        for stay in [0.6, 0.9] {
            let config = TwoLevelConfig {
                null_mean: 0.3,
                average_run_length: promised,
                early_sign: false,
                ..in_runs(stay)
            };
            let wait = |seed| {
                let (mut watch, mut errors) = (watch(config), Runs::new(seed, stay, 0.3));
                (1..=40_000u64)
                    .find(|_| watch.update(errors.next(0.3)).expect("usable").is_some())
                    .unwrap_or(40_000)
            };
            let mean = (0..200).map(wait).sum::<u64>() as f64 / 200.0;
            assert!(mean >= 0.93 * promised, "{stay}: {mean}");
        }
    }

    #[test]
    fn what_was_stored_goes_on_and_what_cannot_be_used_changes_nothing() {
        let (mut whole, mut parted) = (watch(in_runs(0.9)), watch(in_runs(0.9)));
        let mut errors = Runs::new(3, 0.9, 0.2);
        for row in 0..9_000 {
            let x = errors.next(if (3_000..6_000).contains(&row) { 0.7 } else { 0.1 });
            if row % 101 == 0 {
                parted = round_trip(&parted);
                assert!(parted.update(f64::NAN).is_err() && parted.update(1.5).is_err());
            }
            assert_eq!(whole.update(x), parted.update(x), "{row}");
        }
        assert_eq!(whole, parted);
        whole.restart();
        assert_eq!(whole, watch(in_runs(0.9)), "restarted is like new");
    }
}
