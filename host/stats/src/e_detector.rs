//! E-detectors: anytime-valid evidence that the mean of a bounded stream has left its allowed range.
//! Not for unbounded data; scale them into [0, 1] first.
//!
//! Source: J. Shin, A. Ramdas, A. Rinaldo, "E-detectors: a nonparametric framework for sequential change
//! detection" (2023), e-SR and e-CUSUM procedures with a mixture over baselines. If, before a change, the
//! conditional mean never exceeds `null_mean`, the expected number of observations up to the first alarm is at
//! least `average_run_length`, whatever the distribution.
//!
//! Blocking bets on means of consecutive observations. It costs delay on independent data and makes the bets
//! robust where neighbouring errors are correlated, because only the blocks' means enter. What is left of correlation
//! between blocks is met by an inflation ([`Betting`]), measured on a baseline.

use serde::{Deserialize, Serialize};

use crate::betting::{Betting, MAX_E_VALUE};
use crate::error::{require, unit};
use crate::{Alarm, Direction, Estimate, OnlineDetector, Signal, StatsError};

/// The bet whose CUSUM dates the onset: the middle of the changes that matter in practice.
const ONSET_BET: f64 = 0.2082;
/// Means are kept this far from 0 and 1, where bets would grow without bound.
pub(crate) const MARGIN: f64 = 1e-6;

/// How evidence about an unknown change point is combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EDetectorKind {
    /// Sum over all possible change points (e-SR): M ← L·(M + 1). Quicker at the same run length.
    ShiryaevRoberts,
    /// Maximum over all possible change points (e-CUSUM): M ← L·max(M, 1).
    Cusum,
}

/// On which side of the mean evidence is sought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// Null: the mean is at most `null_mean`. Watches for an increase, e.g. of errors.
    Upper,
    /// Null: the mean is at least `null_mean`. Watches for a decrease, e.g. recovery.
    Lower,
}

/// What becomes of the evidence after an alarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AfterAlarm {
    /// It starts anew with the next observation, so the run length holds between alarms too, and a change that
    /// lasts is reported again and again.
    Restart,
    /// It goes on and the detector stays silent until [`OnlineDetector::reset`]: for readers of
    /// [`EDetector::e_value`], such as a fleet's e-d-BH.
    Continue,
}

/// Parameters of [`EDetector`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EDetectorConfig {
    /// How evidence is combined.
    pub kind: EDetectorKind,
    /// The bound on the mean under the null, in [1e-6, 1 − 1e-6]; see [`crate::null_mean_upper`].
    pub null_mean: f64,
    /// On which side evidence is sought.
    pub side: Side,
    /// Observations between false alarms, at least, on average; more than `block`, up to 1e15.
    pub average_run_length: f64,
    /// Observations whose mean is one bet, 1 to 10,000; 1 = no blocking.
    pub block: u32,
    /// What becomes of the evidence after an alarm.
    pub after_alarm: AfterAlarm,
}

impl Default for EDetectorConfig {
    /// Watches an error rate against ½, with a false alarm in 10,000 observations and blocks of 20.
    fn default() -> Self {
        Self {
            kind: EDetectorKind::ShiryaevRoberts,
            null_mean: 0.5,
            side: Side::Upper,
            average_run_length: 10_000.0,
            block: 20,
            after_alarm: AfterAlarm::Restart,
        }
    }
}

impl EDetectorConfig {
    fn validate(&self) -> Result<(), StatsError> {
        require((1..=10_000).contains(&self.block), "block", self.block.into(), "1 to 10000")?;
        require(
            (MARGIN..=1.0 - MARGIN).contains(&self.null_mean),
            "null_mean",
            self.null_mean,
            "0.000001 to 0.999999",
        )?;
        require(
            self.average_run_length > f64::from(self.block) && self.average_run_length <= 1e15,
            "average_run_length",
            self.average_run_length,
            "more than one block, up to 1e15 observations",
        )
    }
}

/// The detector. It fires at the end of the block at which the e-value reaches the threshold; e-value and
/// onset can be read until the next observation even if the evidence then starts anew.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EDetector {
    config: EDetectorConfig,
    betting: Betting,
    /// Of each bet.
    wealth: Box<[f64]>,
    block_sum: f64,
    block_count: u32,
    observations: u64,
    alarms: u64,
    /// Whether the present evidence was reported.
    reported: bool,
    onset: Onset,
}

/// A CUSUM of one bet, kept to say when the evidence began to grow.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Onset {
    wealth: f64,
    sum: f64,
    count: u64,
}

impl EDetector {
    /// A detector without observations that bets as is usual.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: EDetectorConfig) -> Result<Self, StatsError> {
        Self::with_betting(config, Betting::default())
    }

    /// A detector without observations that bets in a way of its own.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_betting(config: EDetectorConfig, betting: Betting) -> Result<Self, StatsError> {
        config.validate()?;
        betting.validate()?;
        Ok(Self {
            config,
            betting,
            wealth: betting.start(config.kind).collect(),
            block_sum: 0.0,
            block_count: 0,
            observations: 0,
            alarms: 0,
            reported: false,
            onset: Onset::default(),
        })
    }

    /// The parameters.
    pub fn config(&self) -> &EDetectorConfig {
        &self.config
    }

    /// The mixture's present value, 0 to [`MAX_E_VALUE`]; it changes at the end of each block.
    pub fn e_value(&self) -> f64 {
        self.betting.bets.mixture(&self.wealth)
    }

    /// What the e-value must reach: the average run length in blocks, and what it started from.
    pub fn threshold(&self) -> f64 {
        let blocks = self.config.average_run_length / f64::from(self.config.block);
        self.betting.threshold(self.config.kind, blocks)
    }

    /// How it bets.
    pub fn betting(&self) -> &Betting {
        &self.betting
    }

    /// Whether it is, within 1 %, where a stream leaves it in which nothing happens, and no block is under way: then it
    /// need not be stored, if it has a head start.
    pub fn is_at_rest(&self) -> bool {
        self.block_count == 0 && self.betting.is_at_rest(self.config.kind, &self.wealth)
    }

    /// Observations since construction or reset.
    pub fn observations(&self) -> u64 {
        self.observations
    }

    /// Alarms since construction or reset.
    pub fn alarms(&self) -> u64 {
        self.alarms
    }

    /// Whether the e-value is at or above the threshold.
    pub fn is_above(&self) -> bool {
        self.e_value() >= self.threshold()
    }

    /// The mean of the observations since evidence began to grow (rough: by the CUSUM of one bet); their count
    /// dates the onset. `None` while there is no such evidence.
    pub fn since_onset(&self) -> Option<Estimate> {
        let Onset { sum, count, .. } = self.onset;
        (count > 0).then(|| Estimate { mean: sum / count as f64, count })
    }

    fn forget_evidence(&mut self) {
        self.wealth
            .iter_mut()
            .zip(self.betting.start(self.config.kind))
            .for_each(|(wealth, start)| *wealth = start);
        self.block_sum = 0.0;
        self.block_count = 0;
        self.reported = false;
        self.onset = Onset::default();
    }

    fn bet(&mut self, mean: f64) {
        // Upper side: 1 + λ(x − m) with λ = bet/m. The lower side is the same for 1 − x and 1 − m.
        let (x, m) = match self.config.side {
            Side::Upper => (mean, self.config.null_mean),
            Side::Lower => (1.0 - mean, 1.0 - self.config.null_mean),
        };
        let excess = x / m - 1.0;
        self.betting.step(self.config.kind, &mut self.wealth, excess);
        let onset = &mut self.onset;
        onset.wealth = ((1.0 + ONSET_BET * excess) * onset.wealth.max(1.0)).min(MAX_E_VALUE);
        if onset.wealth <= 1.0 {
            *onset = Onset::default();
        } else {
            onset.sum += self.block_sum;
            onset.count += u64::from(self.block_count);
        }
    }
}

impl OnlineDetector for EDetector {
    /// Accepts [0, 1]. A drift carries the e-value, the threshold and the mean since the estimated onset.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = unit(x)?;
        if self.reported && self.config.after_alarm == AfterAlarm::Restart {
            self.forget_evidence();
        }
        self.observations += 1;
        self.block_sum += x;
        self.block_count += 1;
        if self.block_count < self.config.block {
            return Ok(Signal::None);
        }
        // Rounding must not carry the mean out of the range that the bets rely on.
        self.bet((self.block_sum / f64::from(self.block_count)).min(1.0));
        self.block_sum = 0.0;
        self.block_count = 0;

        let (statistic, threshold) = (self.e_value(), self.threshold());
        if self.reported || statistic < threshold {
            return Ok(Signal::None);
        }
        self.reported = true;
        self.alarms += 1;
        let direction = match self.config.side {
            Side::Upper => Direction::Up,
            Side::Lower => Direction::Down,
        };
        Ok(Signal::Drift(Alarm {
            e_value: Some(statistic),
            after: self.since_onset(),
            ..Alarm::of(statistic, threshold, Some(direction))
        }))
    }

    fn reset(&mut self) {
        self.forget_evidence();
        self.observations = 0;
        self.alarms = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Bets;
    use crate::betting::BETS;
    use crate::testing::{Rng, Runs, inflation_of_runs};

    fn detector(config: EDetectorConfig) -> EDetector {
        EDetector::new(config).expect("valid parameters")
    }

    /// Observations up to the first alarm on errors at `rate`, or `limit`.
    fn run_length(config: EDetectorConfig, rate: f64, seed: u64, limit: u64) -> u64 {
        let mut rng = Rng::new(seed);
        let mut detector = detector(config);
        (1..=limit)
            .find(|_| detector.update(rng.bernoulli(rate)).expect("usable").drift().is_some())
            .unwrap_or(limit)
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let base = EDetectorConfig::default();
        let cases = [
            ("null_mean", EDetectorConfig { null_mean: 0.0, ..base }),
            ("null_mean", EDetectorConfig { null_mean: 1.0, ..base }),
            ("null_mean", EDetectorConfig { null_mean: f64::NAN, ..base }),
            ("block", EDetectorConfig { block: 0, ..base }),
            ("average_run_length", EDetectorConfig { average_run_length: 20.0, ..base }),
            ("average_run_length", EDetectorConfig { average_run_length: f64::INFINITY, ..base }),
        ];
        for (name, config) in cases {
            match EDetector::new(config) {
                Err(StatsError::Parameter { parameter, .. }) => assert_eq!(parameter, name),
                other => panic!("{name}: {other:?}"),
            }
        }
        for inflation in [0.99, 40.1, f64::NAN] {
            let betting = Betting { inflation, ..Betting::default() };
            let refused = EDetector::with_betting(base, betting).err();
            assert!(
                matches!(refused, Some(StatsError::Parameter { parameter: "inflation", .. })),
                "{inflation}"
            );
        }
    }

    /// The theorem: on data that satisfy the null, the mean run length is at least the promised one. Cutting
    /// runs off can only shorten them, so the simulated mean is conservative.
    #[test]
    fn false_alarms_are_as_rare_as_promised() {
        let promised = 600.0;
        for kind in [EDetectorKind::ShiryaevRoberts, EDetectorKind::Cusum] {
            for (side, block, rate) in [
                (Side::Upper, 1, 0.3),
                (Side::Upper, 1, 0.02),
                (Side::Upper, 20, 0.3),
                (Side::Lower, 1, 0.3),
                (Side::Lower, 20, 0.6),
            ] {
                let config = EDetectorConfig {
                    kind,
                    side,
                    block,
                    null_mean: rate,
                    average_run_length: promised,
                    ..EDetectorConfig::default()
                };
                let total: u64 = (0..200).map(|seed| run_length(config, rate, seed, 20_000)).sum();
                let mean = total as f64 / 200.0;
                assert!(mean >= promised, "{kind:?} {side:?} block {block} rate {rate}: {mean}");
            }
        }
    }

    /// Why blocking is the default. An error that sticks (lag-one correlation 0.6) breaks the null of the plain
    /// form, whose next error is then likelier than `null_mean`; blocks of 20 are nearly independent.
    #[test]
    fn blocking_protects_against_correlated_errors() {
        let mean_run = |block| {
            let config = EDetectorConfig {
                null_mean: 0.35,
                average_run_length: 2_000.0,
                block,
                ..EDetectorConfig::default()
            };
            let wait = |seed| {
                let (mut errors, mut detector) = (Runs::new(seed, 0.6, 0.3), detector(config));
                (1..=20_000)
                    .find(|_| detector.update(errors.next(0.3)).expect("usable").drift().is_some())
                    .unwrap_or(20_000)
            };
            let total: u64 = (0..40).map(wait).sum();
            total as f64 / 40.0
        };
        assert!(mean_run(1) < 2_000.0, "the plain form's promise does not hold here");
        assert!(mean_run(20) >= 2_000.0);
    }

    /// Errors go from 30 to 50 %. With the best of the bets a block of 20 multiplies wealth by about
    /// 1 + 0.95·(0.5/0.3 − 1) = 1.63, so 500·10 (threshold over weight) takes about 18 blocks, 360 observations;
    /// twice that is allowed. Without blocks the best bet grows by 0.087 a step (the relative entropy of the two
    /// rates), so 10,000·10 takes about 132.
    #[test]
    fn a_real_change_is_seen_soon() {
        for (block, allowed) in [(20, 720.0), (1, 264.0)] {
            for kind in [EDetectorKind::ShiryaevRoberts, EDetectorKind::Cusum] {
                let config = EDetectorConfig { kind, block, null_mean: 0.3, ..EDetectorConfig::default() };
                let delays: Vec<u64> = (0..60)
                    .map(|seed| {
                        let (mut rng, mut detector) = (Rng::new(900 + seed), detector(config));
                        for _ in 0..400 {
                            detector.update(rng.bernoulli(0.25)).expect("usable");
                        }
                        (1..).find(|_| detector.update(rng.bernoulli(0.5)).expect("usable").drift().is_some())
                    })
                    .map(|delay| delay.expect("detected"))
                    .collect();
                let mean = delays.iter().sum::<u64>() as f64 / 60.0;
                assert!(mean <= allowed, "{kind:?} block {block}: {mean}");
            }
        }
    }

    /// What a detector did before there were inflation and a choice of bets, it still does to the bit.
    #[test]
    fn without_inflation_the_recursion_is_the_plain_one() {
        for (kind, block) in [(EDetectorKind::ShiryaevRoberts, 20), (EDetectorKind::Cusum, 3)] {
            let config = EDetectorConfig { kind, block, null_mean: 0.3, ..EDetectorConfig::default() };
            let (mut rng, mut detector) = (Rng::new(8), detector(config));
            let mut wealth = [0.0f64; 10];
            for _ in 0..200 {
                let values: Vec<f64> = (0..block).map(|_| rng.bernoulli(0.27)).collect();
                values.iter().for_each(|&x| drop(detector.update(x)));
                let excess = values.iter().sum::<f64>() / f64::from(block) / 0.3 - 1.0;
                for (wealth, bet) in wealth.iter_mut().zip(BETS) {
                    let staked = if kind == EDetectorKind::Cusum { wealth.max(1.0) } else { *wealth + 1.0 };
                    *wealth = (1.0 + bet * excess) * staked;
                }
                assert_eq!(detector.e_value().to_bits(), (0.1 * wealth.iter().sum::<f64>()).to_bits());
            }
        }
    }

    /// With the inflation that theory gives for errors in runs, the promise holds at the very limit.
    #[test]
    fn the_right_inflation_keeps_the_promise_for_errors_in_runs() {
        let (promised, block) = (2_000.0, 5);
        for stay in [0.3, 0.6, 0.9] {
            let config = EDetectorConfig {
                null_mean: 0.3,
                average_run_length: promised,
                block,
                ..EDetectorConfig::default()
            };
            let mean_run = |betting| {
                let wait = |seed| {
                    let mut errors = Runs::new(seed, stay, 0.3);
                    let mut detector = EDetector::with_betting(config, betting).expect("valid");
                    (1..=40_000)
                        .find(|_| detector.update(errors.next(0.3)).expect("usable").drift().is_some())
                        .unwrap_or(40_000)
                };
                (0..200).map(wait).sum::<u64>() as f64 / 200.0
            };
            let inflation = inflation_of_runs(stay, block);
            let cautious = mean_run(Betting { inflation, ..Betting::default() });
            // 200 runs know a mean to 7 %.
            assert!(cautious >= 0.93 * promised, "{stay}: {cautious}");
            assert!(
                stay < 0.5 || mean_run(Betting::default()) < promised,
                "{stay}: without it, it does not hold"
            );
        }
    }

    #[test]
    fn a_head_start_keeps_the_promise_and_is_quicker() {
        let config = EDetectorConfig {
            null_mean: 0.05,
            average_run_length: 3_000.0,
            block: 5,
            ..EDetectorConfig::default()
        };
        let mean = |head_start, rate, seeds: core::ops::Range<u64>| {
            let runs = (seeds.end - seeds.start) as f64;
            let wait = |seed| {
                let mut rng = Rng::new(seed);
                let betting = Betting { bets: Bets::Three, head_start, ..Betting::default() };
                let mut detector = EDetector::with_betting(config, betting).expect("valid");
                (1..=60_000)
                    .find(|_| detector.update(rng.bernoulli(rate)).expect("usable").drift().is_some())
                    .unwrap_or(60_000)
            };
            seeds.map(wait).sum::<u64>() as f64 / runs
        };
        assert!(mean(true, 0.05, 0..200) >= 0.93 * 3_000.0);
        assert!(mean(true, 0.5, 0..100) < mean(false, 0.5, 0..100));
    }

    #[test]
    fn a_quiet_stream_with_a_head_start_need_not_be_stored() {
        let config = EDetectorConfig { null_mean: 0.02, block: 5, ..EDetectorConfig::default() };
        let betting = Betting { bets: Bets::Three, head_start: true, ..Betting::default() };
        let mut detector = EDetector::with_betting(config, betting).expect("valid");
        assert!(detector.is_at_rest());
        for row in 1..=500u32 {
            detector.update(0.0).expect("usable");
            assert_eq!(detector.is_at_rest(), row % 5 == 0, "{row}");
        }
        detector.update(1.0).expect("usable");
        (0..4).for_each(|_| drop(detector.update(0.0)));
        assert!(!detector.is_at_rest(), "something happened");
        (0..500).for_each(|_| drop(detector.update(0.0)));
        assert!(detector.is_at_rest(), "long ago");
    }

    #[test]
    fn the_lower_side_sees_recovery_and_not_worsening() {
        let config = EDetectorConfig { side: Side::Lower, null_mean: 0.4, ..EDetectorConfig::default() };
        let mut rng = Rng::new(5);
        let mut detector = detector(config);
        for _ in 0..3_000 {
            assert_eq!(detector.update(rng.bernoulli(0.7)), Ok(Signal::None));
        }
        let alarm =
            (0..1_000).find_map(|_| detector.update(rng.bernoulli(0.1)).expect("usable").drift().copied());
        let alarm = alarm.expect("recovery is seen");
        assert_eq!(alarm.direction, Some(Direction::Down));
        assert!((alarm.after.expect("known").mean - 0.1).abs() < 0.1);
    }

    #[test]
    fn a_lasting_change_is_reported_again_with_fresh_evidence() {
        let mut detector = detector(EDetectorConfig::default());
        let mut seen = Vec::new();
        for i in 0..2_000 {
            if detector.update(1.0).expect("usable").drift().is_some() {
                assert!(detector.is_above());
                seen.push(i);
            }
        }
        assert_eq!(detector.alarms(), seen.len() as u64);
        assert!(seen.len() > 2);
        let apart: Vec<_> = seen.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(apart.iter().all(|&gap| gap == seen[0] + 1), "each alarm is like the first: {seen:?}");
    }

    #[test]
    fn evidence_saturates_and_is_told_once() {
        for (null_mean, block) in [(1e-6, 1), (0.5, 1), (0.01, 20)] {
            let after_alarm = AfterAlarm::Continue;
            let config = EDetectorConfig { null_mean, block, after_alarm, ..EDetectorConfig::default() };
            let mut detector = detector(config);
            let alarms =
                (0..50_000).filter(|_| detector.update(1.0).expect("usable").drift().is_some()).count();
            assert_eq!(alarms, 1);
            assert!(detector.is_above());
            assert!(detector.e_value() <= MAX_E_VALUE * 1.000_001 && detector.e_value() > 1e200);
        }
    }
}
