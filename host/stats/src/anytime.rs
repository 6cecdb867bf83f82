//! Evidence that may be looked at after every observation: a confidence sequence for a mean, and two arms of an
//! experiment against each other. Not for changes within a stream: these take each arm's mean as constant.
//!
//! Sources: J. Ville (1939), by whose inequality a test martingale exceeds 1/alpha at any time with probability at
//! most alpha; I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random variables by betting" (2024),
//! theorem 2 for the confidence sequence (predictable plug-in, empirical Bernstein) and section 4 for the bets.

use serde::{Deserialize, Serialize};

use crate::betting::{BETS, MAX_E_VALUE, WEIGHT};
use crate::error::{finite, require, unit};
use crate::moments::Mean;
use crate::{Estimate, Interval, StatsError};

/// An interval for the mean of values in [0, 1] that holds at all times at once with the stated confidence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfidenceSequence {
    alpha: f64,
    count: u64,
    sum: f64,
    /// Squared deviations, each from the mean up to and with its value.
    squares: f64,
    weight_sum: f64,
    weighted_sum: f64,
    uncertainty: f64,
}

impl ConfidenceSequence {
    /// No value is weighted more than this, however small the variance seems.
    const MAX_WEIGHT: f64 = 0.5;

    /// Before the first value.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless `confidence` is strictly between 0 and 1.
    pub fn new(confidence: f64) -> Result<Self, StatsError> {
        require(
            confidence > 0.0 && confidence < 1.0,
            "confidence",
            confidence,
            "between 0 and 1, both excluded",
        )?;
        Ok(Self {
            alpha: 1.0 - confidence,
            count: 0,
            sum: 0.0,
            squares: 0.0,
            weight_sum: 0.0,
            weighted_sum: 0.0,
            uncertainty: 0.0,
        })
    }

    /// Adds one value in [0, 1].
    ///
    /// # Errors
    /// [`StatsError::Observation`] for a value outside [0, 1].
    pub fn add(&mut self, x: f64) -> Result<(), StatsError> {
        let x = unit(x)?;
        // Weight and centre use only what came before, which is what makes the sum below a martingale.
        let before = self.count as f64;
        let step = before + 1.0;
        let centre = (0.5 + self.sum) / (before + 1.0);
        let variance = (0.25 + self.squares) / (before + 1.0);
        let weight = (2.0 * libm::log(2.0 / self.alpha) / (variance * step * libm::log1p(step))).sqrt();
        let weight = weight.min(Self::MAX_WEIGHT);
        self.weight_sum += weight;
        self.weighted_sum += weight * x;
        self.uncertainty += (x - centre) * (x - centre) * (-libm::log1p(-weight) - weight);
        self.count += 1;
        self.sum += x;
        let mean = (0.5 + self.sum) / (self.count as f64 + 1.0);
        self.squares += (x - mean) * (x - mean);
        Ok(())
    }

    /// Plain mean and count; `None` before the first value.
    pub fn estimate(&self) -> Option<Estimate> {
        (self.count > 0).then(|| Estimate { mean: self.sum / self.count as f64, count: self.count })
    }

    /// The present interval; all of [0, 1] before the first value.
    pub fn interval(&self) -> Interval {
        if self.count == 0 {
            return Interval { low: 0.0, high: 1.0 };
        }
        let centre = self.weighted_sum / self.weight_sum;
        let half = (libm::log(2.0 / self.alpha) + self.uncertainty) / self.weight_sum;
        Interval { low: (centre - half).clamp(0.0, 1.0), high: (centre + half).clamp(0.0, 1.0) }
    }
}

/// An arm of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arm {
    /// What is in production.
    Champion,
    /// What may replace it.
    Challenger,
}

/// What the evidence says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The challenger is better by more than the margin.
    Better,
    /// The challenger is worse by more than the margin.
    Worse,
    /// Neither is shown yet.
    Open,
}

/// Parameters of [`ArmComparison`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ArmConfig {
    /// Least value that an outcome is taken for; what lies below is cut off there.
    pub low: f64,
    /// Greatest value that an outcome is taken for, more than `low`.
    pub high: f64,
    /// Difference that does not matter, in the outcome's unit, at least 0 and less than `high − low`.
    pub margin: f64,
    /// Probability of a wrong verdict in either direction each, at any time, in (0, 1).
    pub alpha: f64,
}

impl Default for ArmConfig {
    /// For wins and losses (1 and 0), any difference, 5 %.
    fn default() -> Self {
        Self { low: 0.0, high: 1.0, margin: 0.0, alpha: 0.05 }
    }
}

/// Two arms against each other, to be looked at whenever one likes.
///
/// Outcomes are compared in rounds: a round ends as soon as both arms have one, with each arm's mean since the last
/// round, so unequal splits lose nothing. Which arm an item goes to, and when its outcome comes, must not depend on
/// how good it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ArmComparison {
    config: ArmConfig,
    waiting: [Mean; 2],
    all: [Mean; 2],
    better: [f64; BETS.len()],
    worse: [f64; BETS.len()],
    difference: ConfidenceSequence,
}

impl ArmComparison {
    /// Before the first outcome.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: ArmConfig) -> Result<Self, StatsError> {
        let ArmConfig { low, high, margin, alpha } = config;
        require(finite(low).is_ok(), "low", low, "a number between -1e100 and 1e100")?;
        require(finite(high).is_ok() && high > low, "high", high, "more than low, up to 1e100")?;
        require(margin >= 0.0 && margin < high - low, "margin", margin, "0 up to but not high - low")?;
        require(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1, both excluded")?;
        Ok(Self {
            config,
            waiting: [Mean::default(); 2],
            all: [Mean::default(); 2],
            better: [1.0; BETS.len()],
            worse: [1.0; BETS.len()],
            difference: ConfidenceSequence::new(1.0 - alpha)?,
        })
    }

    /// The parameters.
    pub fn config(&self) -> &ArmConfig {
        &self.config
    }

    /// Adds an outcome.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for NaN and infinities.
    pub fn add(&mut self, arm: Arm, outcome: f64) -> Result<(), StatsError> {
        let ArmConfig { low, high, margin, .. } = self.config;
        let outcome = finite(outcome)?.clamp(low, high);
        let index = arm as usize;
        self.all[index].add(outcome);
        self.waiting[index].add((outcome - low) / (high - low));
        let [champion, challenger] = self.waiting;
        if champion.count() == 0 || challenger.count() == 0 {
            return Ok(());
        }
        self.waiting = [Mean::default(); 2];
        // From [−1, 1] to [0, 1], where no difference is ½.
        let x = (0.5 * (challenger.get() - champion.get()) + 0.5).clamp(0.0, 1.0);
        let edge = 0.5 + 0.5 * margin / (high - low);
        for (wealth, x) in [(&mut self.better, x), (&mut self.worse, 1.0 - x)] {
            for (wealth, bet) in wealth.iter_mut().zip(BETS) {
                *wealth = (*wealth * (1.0 + bet * (x / edge - 1.0))).min(MAX_E_VALUE);
            }
        }
        self.difference.add(x)
    }

    /// Mean and count of an arm's (cut-off) outcomes; `None` before its first.
    pub fn arm(&self, arm: Arm) -> Option<Estimate> {
        self.all[arm as usize].estimate()
    }

    /// Evidence that the challenger is better by more than the margin: an e-value.
    pub fn e_better(&self) -> f64 {
        WEIGHT * self.better.iter().sum::<f64>()
    }

    /// Evidence that the challenger is worse by more than the margin: an e-value.
    pub fn e_worse(&self) -> f64 {
        WEIGHT * self.worse.iter().sum::<f64>()
    }

    /// What the evidence says. Once shown it should be acted on: later evidence can take it back.
    pub fn verdict(&self) -> Verdict {
        let needed = 1.0 / self.config.alpha;
        match (self.e_better() >= needed, self.e_worse() >= needed) {
            (true, false) => Verdict::Better,
            (false, true) => Verdict::Worse,
            _ => Verdict::Open,
        }
    }

    /// Interval for challenger minus champion, in the outcome's unit, that holds at all times at once with confidence
    /// 1 − alpha.
    pub fn interval(&self) -> Interval {
        let width = self.config.high - self.config.low;
        let Interval { low, high } = self.difference.interval();
        Interval { low: (2.0 * low - 1.0) * width, high: (2.0 * high - 1.0) * width }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, round_trip};

    /// The theorem: in at most a share alpha of all runs is the mean ever outside.
    #[test]
    fn confidence_sequences_hold_at_all_times() {
        for rate in [0.03, 0.5] {
            let (mut ever_outside, mut width) = (0, 0.0);
            for seed in 0..200 {
                let mut rng = Rng::new(seed);
                let mut sequence = ConfidenceSequence::new(0.9).expect("valid");
                let mut outside = false;
                for _ in 0..2_000 {
                    sequence.add(rng.bernoulli(rate)).expect("usable");
                    let Interval { low, high } = sequence.interval();
                    outside |= !(low..=high).contains(&rate);
                }
                ever_outside += i32::from(outside);
                let Interval { low, high } = sequence.interval();
                width += (high - low) / 200.0;
            }
            assert!(ever_outside <= 20, "{rate}: {ever_outside} of 200");
            // A fixed-time interval is 2·1.64·√(p(1−p)/n) wide; being valid always costs a factor of 2 to 3.
            let fixed = 2.0 * 1.645 * (rate * (1.0 - rate) / 2_000.0f64).sqrt();
            assert!(width < 3.5 * fixed, "{rate}: {width} against {fixed}");
        }
    }

    /// Champion and challenger at a 90/10 split, looked at after every outcome; the verdict at the end of up to
    /// `limit` outcomes and how many it took.
    fn decide(config: ArmConfig, rates: [f64; 2], seed: u64, limit: u64) -> (Verdict, u64) {
        let mut rng = Rng::new(seed);
        let mut arms = ArmComparison::new(config).expect("valid");
        for i in 1..=limit {
            let arm = if rng.uniform() < 0.9 { Arm::Champion } else { Arm::Challenger };
            arms.add(arm, rng.bernoulli(rates[arm as usize])).expect("usable");
            if arms.verdict() != Verdict::Open {
                return (arms.verdict(), i);
            }
        }
        (Verdict::Open, limit)
    }

    #[test]
    fn equal_arms_are_rarely_told_apart_and_different_ones_soon() {
        let config = ArmConfig::default();
        let wrong =
            (0..200).filter(|&seed| decide(config, [0.55, 0.55], seed, 5_000).0 != Verdict::Open).count();
        assert!(wrong <= 20, "{wrong} of 200 at 5 % in each direction");
        for (rates, want) in [([0.5, 0.7], Verdict::Better), ([0.7, 0.5], Verdict::Worse)] {
            let mut took = 0;
            for seed in 0..40 {
                let (verdict, length) = decide(config, rates, seed, 20_000);
                assert_eq!(verdict, want);
                took += length / 40;
            }
            assert!(took < 6_000, "{took} outcomes");
        }
    }

    #[test]
    fn a_difference_within_the_margin_is_none() {
        let config = ArmConfig { margin: 0.1, ..ArmConfig::default() };
        let wrong =
            (0..100).filter(|&seed| decide(config, [0.50, 0.58], seed, 5_000).0 != Verdict::Open).count();
        assert!(wrong <= 5, "{wrong} of 100");
    }

    #[test]
    fn returns_are_measured_in_their_unit() {
        let config = ArmConfig { low: -0.05, high: 0.05, ..ArmConfig::default() };
        let mut arms = ArmComparison::new(config).expect("valid");
        let mut rng = Rng::new(4);
        for i in 0..4_000 {
            let arm = if i % 2 == 0 { Arm::Champion } else { Arm::Challenger };
            let gain = if arm == Arm::Challenger { 0.01 } else { 0.0 };
            arms.add(arm, gain + 0.06 * (rng.uniform() - 0.5)).expect("usable");
        }
        let Interval { low, high } = arms.interval();
        assert!(low < 0.01 && 0.01 < high && high - low < 0.01, "{low} {high}");
        assert!(arms.add(Arm::Champion, -1.0).is_ok(), "far outcomes are cut off");
        assert!(arms.arm(Arm::Champion).expect("known").mean >= -0.05);
        assert_eq!(round_trip(&arms), arms);
    }

    #[test]
    fn bad_input_is_refused() {
        let base = ArmConfig::default();
        for (name, config) in [
            ("low", ArmConfig { low: f64::NAN, ..base }),
            ("high", ArmConfig { high: 0.0, ..base }),
            ("margin", ArmConfig { margin: 1.0, ..base }),
            ("alpha", ArmConfig { alpha: 0.0, ..base }),
        ] {
            let error = ArmComparison::new(config).err();
            assert!(
                matches!(error, Some(StatsError::Parameter { parameter, .. }) if parameter == name),
                "{name}: {error:?}"
            );
        }
        assert!(ConfidenceSequence::new(1.0).is_err());
        let mut arms = ArmComparison::new(base).expect("valid");
        assert!(arms.add(Arm::Champion, f64::NAN).is_err());
        assert_eq!((arms.arm(Arm::Champion), arms.verdict()), (None, Verdict::Open));
    }
}
