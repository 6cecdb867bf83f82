//! Two arms of an experiment by means of blocks: evidence that may be looked at after every block, where what follows each
//! other is not independent. And whether traffic was shared out as it should have been. Not for changes within a stream.
//!
//! Sources: J. Ville (1939), for test martingales; I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random
//! variables by betting" (2024), section 4 for the bets and theorem 2 for the interval; M. Lindon and A. Malek, "Anytime-valid
//! inference for multinomial count data" (2022), for the shares.

use serde::{Deserialize, Serialize};

use crate::{
    ConfidenceSequence, Interval, StatsError,
    betting::{BETS, MAX_E_VALUE, WEIGHT},
    error::require,
    special::ln_beta,
};

/// What blocks say about the difference of two arms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockEvidence {
    /// How many there are.
    pub blocks: u64,
    /// Their mean: above 0, the challenger is better.
    pub mean: f64,
    /// E-value against "the challenger is better by no more than the margin".
    pub better: f64,
    /// E-value against "it is worse by no more than the margin".
    pub worse: f64,
    /// For the mean, in −1..1: holds at all times at once with the confidence asked for.
    pub interval: Interval,
    /// Correlation of a block with the next; `None` under three blocks, or where all are alike.
    pub correlation: Option<f64>,
}

/// Holds the means of blocks, in −1..1 and in their order, against a margin. `None`: there is no block.
///
/// # Errors
/// [`StatsError::Parameter`] unless `0 ≤ margin < 1` and `0 < confidence < 1`; [`StatsError::Observation`] for a mean outside
/// −1..1.
pub fn block_evidence(
    means: &[f64],
    margin: f64,
    confidence: f64,
) -> Result<Option<BlockEvidence>, StatsError> {
    require((0.0..1.0).contains(&margin), "margin", margin, "at least 0 and less than 1")?;
    let mut interval = ConfidenceSequence::new(confidence)?;
    let (mut better, mut worse) = ([1.0_f64; BETS.len()], [1.0_f64; BETS.len()]);
    for mean in means {
        interval.add(0.5 * mean + 0.5)?;
        for (wealth, x) in [(&mut better, *mean), (&mut worse, -mean)] {
            for (wealth, bet) in wealth.iter_mut().zip(BETS) {
                *wealth = (*wealth * (1.0 + bet * (x - margin) / (1.0 + margin))).min(MAX_E_VALUE);
            }
        }
    }
    let Some(all) = interval.estimate() else { return Ok(None) };
    let Interval { low, high } = interval.interval();
    Ok(Some(BlockEvidence {
        blocks: all.count,
        mean: 2.0 * all.mean - 1.0,
        better: WEIGHT * better.iter().sum::<f64>(),
        worse: WEIGHT * worse.iter().sum::<f64>(),
        interval: Interval { low: 2.0 * low - 1.0, high: 2.0 * high - 1.0 },
        correlation: lag_one(means),
    }))
}

/// The correlation of each with the next.
fn lag_one(values: &[f64]) -> Option<f64> {
    if values.len() < 3 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let squares: f64 = values.iter().map(|value| (value - mean) * (value - mean)).sum();
    let products: f64 = values.windows(2).map(|pair| (pair[0] - mean) * (pair[1] - mean)).sum();
    (squares > 0.0).then(|| products / squares)
}

/// Whether a share of what came is what it should have been, looked at whenever one likes. The share may be changed on the
/// way: each stretch is held against its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShareTest {
    /// The share that is meant, in (0, 1).
    share: f64,
    hits: u64,
    all: u64,
    /// Logarithm of the evidence of the stretches before.
    before: f64,
    expected_before: f64,
    hits_before: u64,
    all_before: u64,
}

impl ShareTest {
    /// What the share is believed to be beforehand weighs as much as so many observations.
    const PRIOR: f64 = 10.0;
    const MOST: f64 = 600.0;

    /// Nothing has come yet.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless the share lies in (0, 1).
    pub fn new(share: f64) -> Result<Self, StatsError> {
        require(share > 0.0 && share < 1.0, "share", share, "between 0 and 1, both excluded")?;
        Ok(Self { share, hits: 0, all: 0, before: 0.0, expected_before: 0.0, hits_before: 0, all_before: 0 })
    }

    /// One more came, and belongs to the share or not.
    pub fn add(&mut self, hit: bool) {
        self.all += 1;
        self.hits += u64::from(hit);
    }

    /// Another share is meant from here on.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless it lies in (0, 1).
    pub fn change(&mut self, share: f64) -> Result<(), StatsError> {
        require(share > 0.0 && share < 1.0, "share", share, "between 0 and 1, both excluded")?;
        self.before = self.ln_e_value();
        self.expected_before += self.share * self.all as f64;
        self.hits_before += self.hits;
        self.all_before += self.all;
        (self.share, self.hits, self.all) = (share, 0, 0);
        Ok(())
    }

    /// Evidence that another share came than was meant: an e-value.
    pub fn e_value(&self) -> f64 {
        libm::exp(self.ln_e_value())
    }

    fn ln_e_value(&self) -> f64 {
        let (hits, rest) = (self.hits as f64, (self.all - self.hits) as f64);
        let (a, b) = (Self::PRIOR * self.share, Self::PRIOR * (1.0 - self.share));
        let alternative = ln_beta(a + hits, b + rest) - ln_beta(a, b);
        let null = hits * libm::log(self.share) + rest * libm::log1p(-self.share);
        (self.before + alternative - null).min(Self::MOST)
    }

    /// By how much the share that came differs from the one that was meant, over all stretches; 0 before anything came.
    pub fn off(&self) -> f64 {
        let all = (self.all + self.all_before) as f64;
        let expected = self.expected_before + self.share * self.all as f64;
        if all > 0.0 { ((self.hits + self.hits_before) as f64 - expected) / all } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, round_trip};

    /// Means of blocks of differences whose rows follow each other with correlation 0.6, as the design measured.
    fn blocks(rng: &mut Rng, block: usize, rows: usize, better: f64) -> Vec<f64> {
        let mut difference = 0.0;
        let values: Vec<f64> = (0..rows)
            .map(|_| {
                if rng.uniform() >= 0.6 {
                    let u = rng.uniform();
                    difference = if u < 0.15 + better {
                        1.0
                    } else if u < 0.30 + better {
                        -1.0
                    } else {
                        0.0
                    };
                }
                difference
            })
            .collect();
        values.chunks_exact(block).map(|rows| rows.iter().sum::<f64>() / block as f64).collect()
    }

    /// Looked at after every block: how often 20 is crossed. Rows taken singly are dependent, and lie.
    #[test]
    fn equal_arms_are_rarely_told_apart_on_blocks() {
        let crossed = |block: usize| {
            (0..200)
                .filter(|&seed| {
                    let means = blocks(&mut Rng::new(seed), block, 4_000, 0.0);
                    (1..=means.len()).step_by(if block == 1 { 40 } else { 2 }).any(|upto| {
                        let evidence =
                            block_evidence(&means[..upto], 0.0, 0.95).expect("usable").expect("some");
                        evidence.better >= 20.0
                    })
                })
                .count()
        };
        let (singly, in_blocks) = (crossed(1), crossed(20));
        assert!(in_blocks <= 10, "{in_blocks} of 200 at 5 %");
        assert!(singly > 2 * in_blocks + 10, "{singly} of 200 rows singly");
    }

    #[test]
    fn what_is_better_is_shown_and_its_size_is_covered() {
        let means = blocks(&mut Rng::new(1), 20, 8_000, 0.1);
        let evidence = block_evidence(&means, 0.01, 0.95).expect("usable").expect("some");
        assert_eq!(evidence.blocks, 400);
        assert!(evidence.better > 20.0 && evidence.worse < 1.0, "{evidence:?}");
        assert!(evidence.interval.low > 0.0 && evidence.interval.low < evidence.mean, "{evidence:?}");
        // The other way round it is the other way round.
        let turned: Vec<f64> = means.iter().map(|mean| -mean).collect();
        let worse = block_evidence(&turned, 0.01, 0.95).expect("usable").expect("some");
        assert_eq!((worse.better, worse.worse), (evidence.worse, evidence.better));
    }

    /// By hand: one block of 0.5 and margin 0 with one bet of 0.95 would multiply by 1.475; the mixture has ten.
    #[test]
    fn one_block_by_hand() {
        let evidence = block_evidence(&[0.5], 0.0, 0.95).expect("usable").expect("some");
        let expected = BETS.iter().map(|bet| 1.0 + bet * 0.5).sum::<f64>() / 10.0;
        assert!((evidence.better - expected).abs() < 1e-12, "{} {expected}", evidence.better);
        assert_eq!(block_evidence(&[], 0.0, 0.95), Ok(None));
        assert!(block_evidence(&[1.5], 0.0, 0.95).is_err());
        assert!(block_evidence(&[0.5], 1.0, 0.95).is_err());
    }

    #[test]
    fn a_share_that_is_off_is_seen_and_one_that_was_moved_is_not() {
        let run = |seed: u64, shares: [f64; 2], meant: [f64; 2]| {
            let mut rng = Rng::new(seed);
            let mut test = ShareTest::new(meant[0]).expect("valid");
            let mut most = 0.0_f64;
            for (stretch, share) in shares.into_iter().enumerate() {
                if stretch > 0 {
                    test.change(meant[stretch]).expect("valid");
                }
                for _ in 0..2_000 {
                    test.add(rng.uniform() < share);
                    most = most.max(test.e_value());
                }
            }
            (most, test)
        };
        let wrong = (0..200).filter(|&seed| run(seed, [0.1, 0.3], [0.1, 0.3]).0 >= 1_000.0).count();
        assert!(wrong <= 1, "{wrong} of 200 at one in a thousand");
        let (most, test) = run(7, [0.05, 0.05], [0.1, 0.1]);
        assert!(most > 1_000.0 && (test.off() + 0.05).abs() < 0.02, "{most} {}", test.off());
        assert_eq!(round_trip(&test), test);
        assert!(ShareTest::new(0.0).is_err() && ShareTest::new(1.0).is_err());
    }
}
