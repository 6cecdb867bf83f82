//! When something that had become worse is over: the same kind of evidence, the other way. Not what opened it, and not the
//! episode around both: see [`crate::e_detector`] and [`crate::two_level`].
//!
//! The null is "the mean is still at least the limit", which a lower-side e-detector gathers evidence against. As long as
//! it holds, at least the promised run length passes on average before it is called over. The limit is never above what
//! was found, so this covers every lasting change. It bets on the five largest sizes only: a bet of 0.01 grows by about 1
//! a block whatever happens, so that with it the detector would be a clock that rings after its run length.

use serde::{Deserialize, Serialize};

use crate::dependence::BlockInflation;
use crate::{
    AfterAlarm, Bets, Betting, EDetector, EDetectorConfig, EDetectorKind, OnlineDetector, Side, StatsError,
};

/// Observations that pass on average, at least, before a change that lasts is called over.
pub const RECOVERY_RUN_LENGTH: f64 = 2_000.0;

/// Parameters of [`Recovery`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RecoveryConfig {
    /// How evidence is combined.
    pub kind: EDetectorKind,
    /// The mean below which it is over: the null mean of the detector that opened.
    pub limit: f64,
    /// The blocks that are bet on, as by the detector that opened.
    pub blocks: BlockInflation,
    /// Observations between false recoveries; usually [`RECOVERY_RUN_LENGTH`].
    pub average_run_length: f64,
}

/// Waits for the end of a change for the worse; made when it opens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recovery(EDetector);

impl Recovery {
    /// Without observations.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range (see [`EDetector::new`]).
    pub fn new(config: RecoveryConfig) -> Result<Self, StatsError> {
        let RecoveryConfig { kind, limit, blocks, average_run_length } = config;
        let BlockInflation { block, inflation } = blocks;
        let watched = EDetectorConfig {
            kind,
            null_mean: limit,
            side: Side::Lower,
            average_run_length,
            block,
            after_alarm: AfterAlarm::Continue,
        };
        let betting = Betting { bets: Bets::FiveLargest, inflation, head_start: false };
        Ok(Self(EDetector::with_betting(watched, betting)?))
    }

    /// Takes the next value, in [0, 1]; returns whether it is over.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for a value that cannot be used; the state is unchanged then.
    pub fn is_over(&mut self, x: f64) -> Result<bool, StatsError> {
        self.0.update(x)?;
        Ok(self.0.is_above())
    }

    /// Forgets every value.
    pub fn restart(&mut self) {
        self.0.reset();
    }

    /// The evidence, and what it must reach.
    pub fn evidence(&self) -> (f64, f64) {
        (self.0.e_value(), self.0.threshold())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::null_mean_upper;
    use crate::testing::{Runs, inflation_of_runs};

    fn config(limit: f64, block: u32, inflation: f64) -> RecoveryConfig {
        RecoveryConfig {
            kind: EDetectorKind::ShiryaevRoberts,
            limit,
            blocks: BlockInflation { block, inflation },
            average_run_length: RECOVERY_RUN_LENGTH,
        }
    }

    /// Values until it is over, or `limit`.
    fn wait(config: RecoveryConfig, errors: &mut Runs, rate: f64, limit: u64) -> u64 {
        let mut recovery = Recovery::new(config).expect("valid");
        (1..=limit).find(|_| recovery.is_over(errors.next(rate)).expect("usable")).unwrap_or(limit)
    }

    fn mean_wait(config: RecoveryConfig, stay: f64, rate: f64, runs: u64) -> f64 {
        let waits = (0..runs).map(|seed| wait(config, &mut Runs::new(seed, stay, rate), rate, 40_000));
        waits.sum::<u64>() as f64 / runs as f64
    }

    #[test]
    fn what_stays_at_the_limit_is_hardly_ever_called_over() {
        for (stay, rate) in [(0.0, 0.3), (0.0, 0.05), (0.6, 0.3)] {
            for kind in [EDetectorKind::ShiryaevRoberts, EDetectorKind::Cusum] {
                let config = RecoveryConfig { kind, ..config(rate, 5, inflation_of_runs(stay, 5)) };
                let mean = mean_wait(config, stay, rate, 200);
                // 200 runs know a mean to 7 %.
                assert!(mean >= 0.93 * RECOVERY_RUN_LENGTH, "{kind:?} {stay} {rate}: {mean}");
            }
        }
    }

    #[test]
    fn what_fell_back_is_over_within_a_thousand() {
        for (stay, rate) in [(0.0, 0.3), (0.6, 0.3), (0.0, 0.05)] {
            let errors = (5_000.0 * rate) as u64;
            let worth = 5_000.0 * (1.0 - stay) / (1.0 + stay);
            let limit = null_mean_upper(errors, 5_000, 0.02, 0.95, Some(worth)).expect("valid");
            let mean = mean_wait(config(limit, 5, inflation_of_runs(stay, 5)), stay, rate, 100);
            assert!(mean < 1_000.0, "{stay} {rate}: {mean}");
        }
    }

    /// Errors of 5 % that became 10 %: a mixture with small bets closes by the clock, the five largest do not.
    #[test]
    fn it_is_no_clock() {
        let limit = null_mean_upper(250, 5_000, 0.02, 0.95, None).expect("valid");
        let watched = EDetectorConfig {
            null_mean: limit,
            side: Side::Lower,
            average_run_length: RECOVERY_RUN_LENGTH,
            block: 5,
            ..EDetectorConfig::default()
        };
        let rows = 20_000;
        let (mut by_all, mut by_five) = (0, 0);
        for seed in 0..20 {
            let mut errors = Runs::new(seed, 0.0, 0.1);
            let mut all = EDetector::new(watched).expect("valid");
            let mut five = Recovery::new(config(limit, 5, 1.0)).expect("valid");
            for _ in 0..rows {
                let x = errors.next(0.1);
                by_all += u32::from(all.update(x).expect("usable").drift().is_some());
                if five.is_over(x).expect("usable") {
                    by_five += 1;
                    five.restart();
                }
            }
        }
        // 400,000 rows.
        assert!(by_all > 40 && by_five < 10, "{by_all} {by_five}");
    }
}
