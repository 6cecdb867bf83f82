//! What a baseline can find: after how many observations errors that became more are expected to open an episode. A
//! prediction for people who plan, made from a cold start. Nothing is decided by it.
//!
//! The mixture of bets is followed block by block in a kind of average: a bet's factor counts for 0.7 by its mean
//! logarithm, which is how wealth grows in the long run, and for 0.3 by the logarithm of its mean, which is what lucky runs
//! do. The weights were fitted to simulations; below 1,000 predicted observations the result lies within 20 % of them.
//! Errors within a block are beta-binomial, so that they may be as alike as the baseline's.

use serde::{Deserialize, Serialize};

use crate::betting::Bets;
use crate::dependence::BlockInflation;
use crate::error::require;
use crate::{Betting, EDetector, EDetectorConfig, EDetectorKind, StatsError};

/// Predictions beyond this are too uncertain to be told as a number.
pub const MOST_ROWS: u32 = 2_000;
/// How much a bet's mean logarithm counts; the logarithm of its mean counts for the rest.
const TYPICAL: f64 = 0.7;

/// What is known of a baseline, and of the detector that watches for more errors: an e-SR with ten bets.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Power {
    /// The bound on the mean that nothing is wrong with; see [`crate::null_mean_upper`].
    pub null_mean: f64,
    /// Observations between false openings.
    pub average_run_length: f64,
    /// What is bet on.
    pub blocks: BlockInflation,
    /// How many times more a long mean of errors varies than if they were independent: n over its worth, 1 or more.
    pub dependence: f64,
}

/// After how many observations a rise is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rows {
    /// About so many, up to [`MOST_ROWS`].
    About(u32),
    /// More than [`MOST_ROWS`].
    More,
    /// It is not: the baseline allows this rate.
    Never,
}

impl Power {
    /// Observations until a rise of the error rate to `rate` opens an episode, from a cold start as after a deployment.
    /// A detector that has run is up to a third quicker.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] for a `rate` outside 0 to 1, a `dependence` below 1, or what [`EDetector::new`] refuses.
    pub fn rows_to(&self, rate: f64) -> Result<Rows, StatsError> {
        require((0.0..=1.0).contains(&rate), "rate", rate, "0 to 1")?;
        let dependence = self.dependence;
        require(dependence >= 1.0 && dependence.is_finite(), "dependence", dependence, "1 or more")?;
        let BlockInflation { block, inflation } = self.blocks;
        let betting = Betting { inflation, ..Betting::default() };
        let threshold = EDetector::with_betting(
            EDetectorConfig {
                kind: EDetectorKind::ShiryaevRoberts,
                null_mean: self.null_mean,
                average_run_length: self.average_run_length,
                block,
                ..EDetectorConfig::default()
            },
            betting,
        )?
        .threshold();
        if rate <= self.null_mean {
            return Ok(Rows::Never);
        }
        let errors = errors_in_block(block, rate, self.dependence / inflation);
        let growth: Vec<f64> =
            Bets::Ten.sizes().iter().map(|&bet| self.growth(betting, bet, &errors)).collect();
        let mut wealth = vec![0.0; growth.len()];
        for step in 1..=MOST_ROWS / block {
            wealth.iter_mut().zip(&growth).for_each(|(wealth, growth)| *wealth = growth * (*wealth + 1.0));
            if Bets::Ten.mixture(&wealth) >= threshold {
                return Ok(Rows::About(step * block));
            }
        }
        Ok(Rows::More)
    }

    /// Whether a baseline with this error rate finds too little: neither ten points more nor twice as many errors within
    /// [`MOST_ROWS`].
    ///
    /// # Errors
    /// As [`Self::rows_to`].
    pub fn finds_too_little(&self, rate: f64) -> Result<bool, StatsError> {
        require((0.0..=1.0).contains(&rate), "rate", rate, "0 to 1")?;
        for to in [rate + 0.1, 2.0 * rate] {
            if let Rows::About(_) = self.rows_to(to.min(1.0))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// By what a bet grows in a block, between the typical and the mean.
    fn growth(&self, betting: Betting, bet: f64, errors: &[f64]) -> f64 {
        let block = (errors.len() - 1) as f64;
        let (mut ln_mean, mut mean) = (0.0, 0.0);
        for (count, probability) in errors.iter().enumerate() {
            let gain = betting.gain(bet, count as f64 / block / self.null_mean - 1.0);
            ln_mean += probability * libm::log(gain);
            mean += probability * gain;
        }
        libm::exp(TYPICAL * ln_mean + (1.0 - TYPICAL) * libm::log(mean))
    }
}

/// Probabilities of 0 to `block` errors in a block: beta-binomial with mean `rate`, whose variance is `spread` times that
/// of the binomial (taken as 1 to `block`).
fn errors_in_block(block: u32, rate: f64, spread: f64) -> Vec<f64> {
    let size = f64::from(block);
    if rate >= 1.0 {
        return (0..=block).map(|count| f64::from(u8::from(count == block))).collect();
    }
    // The correlation of two errors of one block. At 1 the distribution has no density; it stays just below.
    let alike =
        if block == 1 { 0.0 } else { ((spread.clamp(1.0, size) - 1.0) / (size - 1.0)).min(1.0 - 1e-9) };
    // Pólya's urn: after i others of its kind, the next is one with weight share·(1 − alike) + i·alike.
    let weight = |share: f64, before: f64| share * (1.0 - alike) + before * alike;
    let steps = (0..block).map(f64::from);
    let mut ln: f64 = steps.map(|i| libm::log(weight(1.0 - rate, i) / weight(1.0, i))).sum();
    (0..=block)
        .map(|count| {
            let (probability, count) = (libm::exp(ln), f64::from(count));
            let left = size - count;
            ln += libm::log(left / (count + 1.0) * weight(rate, count) / weight(1.0 - rate, left - 1.0));
            probability
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Runs, inflation_of_runs};
    use crate::{OnlineDetector, null_mean_upper};

    /// A baseline of n errors in runs, with what theory says of them.
    fn baseline(rate: f64, n: u64, stay: f64) -> Power {
        let dependence = (1.0 + stay) / (1.0 - stay);
        let errors = libm::round(rate * n as f64) as u64;
        let null_mean = null_mean_upper(errors, n, 0.02, 0.95, Some(n as f64 / dependence)).expect("valid");
        let blocks = BlockInflation { block: 5, inflation: inflation_of_runs(stay, 5) };
        Power { null_mean, average_run_length: 10_000.0, blocks, dependence }
    }

    fn simulated(power: &Power, stay: f64, rate: f64, runs: u64) -> f64 {
        let config = EDetectorConfig {
            null_mean: power.null_mean,
            average_run_length: power.average_run_length,
            block: power.blocks.block,
            ..EDetectorConfig::default()
        };
        let betting = Betting { inflation: power.blocks.inflation, ..Betting::default() };
        let wait = |seed| {
            let mut detector = EDetector::with_betting(config, betting).expect("valid");
            let mut errors = Runs::new(seed, stay, rate);
            (1..=50_000)
                .find(|_| detector.update(errors.next(rate)).expect("usable").drift().is_some())
                .unwrap_or(50_000)
        };
        (0..runs).map(wait).sum::<u64>() as f64 / runs as f64
    }

    #[test]
    fn predictions_below_a_thousand_rows_are_within_a_fifth_of_simulation() {
        let mut told = 0;
        for (rate, n, stay) in [0.05, 0.17, 0.3].into_iter().flat_map(|rate| {
            [500, 1_000, 2_000, 5_000, 10_000]
                .into_iter()
                .flat_map(move |n| [0.0, 0.3, 0.6, 0.9].map(|stay| (rate, n, stay)))
        }) {
            let power = baseline(rate, n, stay);
            for to in [rate + 0.05, rate + 0.1, 2.0 * rate] {
                let Rows::About(rows) = power.rows_to(to).expect("valid") else { continue };
                if rows >= 1_000 {
                    continue;
                }
                told += 1;
                let seen = simulated(&power, stay, to, 300);
                let ratio = f64::from(rows) / seen;
                assert!((0.8..=1.25).contains(&ratio), "{rate} of {n}, φ {stay}, to {to}: {rows} and {seen}");
            }
        }
        assert!(told >= 60, "{told}");
    }

    #[test]
    fn what_the_baseline_allows_is_never_found_and_little_more_is_found_late() {
        let power = baseline(0.3, 200, 0.0);
        assert_eq!(power.rows_to(power.null_mean), Ok(Rows::Never));
        assert_eq!(power.rows_to(0.0), Ok(Rows::Never));
        assert_eq!(power.rows_to(power.null_mean + 0.001), Ok(Rows::More));
        // All errors: the largest bet grows by 1 + 0.95·(1/m − 1) a block, which no detector can beat.
        let Ok(Rows::About(rows)) = power.rows_to(1.0) else { panic!("a baseline of 200 finds that") };
        let best = libm::log(20_000.0) / libm::log(1.0 + 0.95 * (1.0 / power.null_mean - 1.0));
        assert!((5.0 * best - 15.0..=5.0 * best + 5.0).contains(&f64::from(rows)), "{rows} {best}");
        // An independent prototype in Python, rows to .40: 200 rows of baseline 2,468, 500 rows 1,036.
        assert_eq!(power.finds_too_little(0.3), Ok(false), "to .60 it is soon");
        assert_eq!(power.rows_to(0.4), Ok(Rows::More));
        assert_eq!(baseline(0.01, 2_000, 0.0).finds_too_little(0.01), Ok(false), "to .11 it is found");
        assert_eq!(baseline(0.05, 30, 0.0).finds_too_little(0.05), Ok(true));
        assert!(power.finds_too_little(f64::NAN).is_err());
        for (name, result) in [
            ("rate", power.rows_to(1.1)),
            ("dependence", Power { dependence: 0.5, ..power }.rows_to(0.5)),
            ("null_mean", Power { null_mean: 0.0, ..power }.rows_to(0.5)),
        ] {
            assert!(
                matches!(result, Err(StatsError::Parameter { parameter, .. }) if parameter == name),
                "{name}"
            );
        }
    }

    proptest! {
        /// Mean and variance are what the parameters say: b·q, and spread times b·q·(1 − q).
        #[test]
        fn errors_in_a_block_have_the_stated_moments(block in 1u32..200, rate in 0.001..0.999f64, spread in 1.0..300.0f64) {
            let errors = errors_in_block(block, rate, spread);
            let b = f64::from(block);
            let moment = |f: &dyn Fn(f64) -> f64| errors.iter().enumerate().map(|(j, p)| p * f(j as f64)).sum::<f64>();
            prop_assert!((moment(&|_| 1.0) - 1.0).abs() < 1e-6);
            prop_assert!((moment(&|j| j) - b * rate).abs() < 1e-6 * b);
            let variance = b * rate * (1.0 - rate) * spread.clamp(1.0, b);
            prop_assert!((moment(&|j| (j - b * rate) * (j - b * rate)) / variance - 1.0).abs() < 1e-4);
        }

        /// More errors are never found later.
        #[test]
        fn larger_rises_are_found_sooner(rate in 0.02..0.4f64, rise in 0.0..0.5f64, more in 0.0..0.1f64) {
            let power = baseline(rate, 2_000, 0.3);
            let rank = |rows| match rows {
                Rows::About(rows) => rows,
                Rows::More => MOST_ROWS + 1,
                Rows::Never => MOST_ROWS + 2,
            };
            let found = |to| rank(power.rows_to(to).expect("valid"));
            prop_assert!(found(rate + rise + more) <= found(rate + rise));
        }
    }
}
