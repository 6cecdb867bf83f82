//! Two arms of an experiment by means of blocks: evidence that may be looked at after every block, where what follows each
//! other is not independent. And whether traffic was shared out as it should have been. Not for changes within a stream.
//!
//! Sources: J. Ville (1939), for test martingales; I. Waudby-Smith and A. Ramdas, "Estimating means of bounded random
//! variables by betting" (2024), section 4 for the bets, and for the interval, which is what they have not excluded; M. Lindon and A. Malek, "Anytime-valid
//! inference for multinomial count data" (2022), for the shares.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Interval, MAX_E_VALUE, StatsError,
    betting::{BETS, WEIGHT},
    error::{finite, require},
    special::ln_beta,
};

/// Blocks that are kept; after them a comparison says nothing new.
pub const MOST_BLOCKS: usize = 50_000;
/// Halvings in which a bound is found: to a thousandth of a point.
const HALVINGS: u32 = 18;

/// Two arms by means of blocks: the newest evidence, to be looked at whenever one likes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockComparison {
    margin: f64,
    /// E-value from which a bound is shown on one side.
    needed: f64,
    means: Arc<Vec<f64>>,
    sum: f64,
    better: [f64; BETS.len()],
    worse: [f64; BETS.len()],
    bounds: Interval,
    /// Blocks at which the bounds were found; they hold at all times at once, so they need not be found at each.
    bounded_at: usize,
}

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
    /// For the mean, in −1..1: the differences against which there is no evidence. It holds at all times at once with the
    /// confidence asked for.
    pub interval: Interval,
}

impl BlockComparison {
    /// Before the first block.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless `0 ≤ margin < 1` and `0 < confidence < 1`.
    pub fn new(margin: f64, confidence: f64) -> Result<Self, StatsError> {
        require((0.0..1.0).contains(&margin), "margin", margin, "at least 0 and less than 1")?;
        let is_level = confidence > 0.0 && confidence < 1.0;
        require(is_level, "confidence", confidence, "between 0 and 1, both excluded")?;
        Ok(Self {
            margin,
            needed: 2.0 / (1.0 - confidence),
            means: Arc::default(),
            sum: 0.0,
            better: [1.0; BETS.len()],
            worse: [1.0; BETS.len()],
            bounds: Interval { low: -1.0, high: 1.0 },
            bounded_at: 0,
        })
    }

    /// Adds the mean of a block, in −1..1; what lies outside is cut off. Beyond [`MOST_BLOCKS`] nothing is added.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for NaN and infinities.
    pub fn add(&mut self, mean: f64) -> Result<(), StatsError> {
        let mean = finite(mean)?.clamp(-1.0, 1.0);
        if self.means.len() >= MOST_BLOCKS {
            return Ok(());
        }
        Arc::make_mut(&mut self.means).push(mean);
        self.sum += mean;
        grow(&mut self.better, mean, self.margin);
        grow(&mut self.worse, -mean, self.margin);
        // Each hundredth more, so that finding bounds costs little in all.
        if self.means.len() > self.bounded_at + self.bounded_at / 100 {
            self.bounded_at = self.means.len();
            let turned: Vec<f64> = self.means.iter().map(|mean| -mean).collect();
            self.bounds =
                Interval { low: lower(&self.means, self.needed), high: -lower(&turned, self.needed) };
        }
        Ok(())
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.means.len()
    }

    /// What they say; `None` before the first.
    pub fn evidence(&self) -> Option<BlockEvidence> {
        (!self.means.is_empty()).then(|| BlockEvidence {
            blocks: self.means.len() as u64,
            mean: self.sum / self.means.len() as f64,
            better: WEIGHT * self.better.iter().sum::<f64>(),
            worse: WEIGHT * self.worse.iter().sum::<f64>(),
            interval: self.bounds,
        })
    }

    /// Correlation of a block with the next; `None` under three blocks, or where all are alike.
    pub fn correlation(&self) -> Option<f64> {
        lag_one(&self.means)
    }
}

/// Bets once more against "the mean is at most `most`".
fn grow(wealth: &mut [f64; BETS.len()], mean: f64, most: f64) {
    for (wealth, bet) in wealth.iter_mut().zip(BETS) {
        *wealth = (*wealth * (1.0 + bet * (mean - most) / (1.0 + most))).min(MAX_E_VALUE);
    }
}

/// The greatest mean against which there is evidence: what is lower is excluded. Evidence falls as the mean rises, so that the
/// bound is found by halving. For the true mean the evidence is a test martingale, and so the bound holds at all times at once.
fn lower(means: &[f64], needed: f64) -> f64 {
    let is_shown = |most: f64| {
        let mut wealth = [1.0; BETS.len()];
        means.iter().for_each(|mean| grow(&mut wealth, *mean, most));
        WEIGHT * wealth.iter().sum::<f64>() >= needed
    };
    let (mut shown, mut open) = (-1.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (shown + open);
        if is_shown(middle) { shown = middle } else { open = middle }
    }
    shown
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

    /// The share that is meant now.
    pub fn share(&self) -> f64 {
        self.share
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
        let compare = |means: &[f64], step: usize| {
            let mut comparison = BlockComparison::new(0.0, 0.95).expect("valid");
            means.iter().enumerate().any(|(place, mean)| {
                comparison.add(*mean).expect("finite");
                place % step == 0 && comparison.evidence().is_some_and(|evidence| evidence.better >= 20.0)
            })
        };
        // Of a hundred.
        let crossed = |block: usize, seeds: u64| {
            let step = if block == 1 { 40 } else { 2 };
            let crosses = |seed: &u64| compare(&blocks(&mut Rng::new(*seed), block, 4_000, 0.0), step);
            (0..seeds).filter(crosses).count() as f64 * 100.0 / seeds as f64
        };
        let (singly, in_blocks) = (crossed(1, 20), crossed(20, 200));
        assert!(in_blocks <= 5.0, "{in_blocks} of 100 at 5 %");
        assert!(singly > 2.0 * in_blocks + 10.0, "{singly} of 100 rows singly");
    }

    fn of(means: &[f64], margin: f64) -> BlockEvidence {
        let mut comparison = BlockComparison::new(margin, 0.95).expect("valid");
        means.iter().for_each(|mean| comparison.add(*mean).expect("finite"));
        comparison.evidence().expect("some")
    }

    /// The interval holds at all times: in few runs is the true difference ever outside.
    #[test]
    fn the_interval_holds_however_often_one_looks() {
        let (mut ever_outside, mut width) = (0, 0.0);
        for seed in 0..200 {
            let mut comparison = BlockComparison::new(0.0, 0.9).expect("valid");
            let mut outside = false;
            for mean in blocks(&mut Rng::new(seed), 20, 4_000, 0.05) {
                comparison.add(mean).expect("finite");
                let Interval { low, high } = comparison.evidence().expect("some").interval;
                // The expected difference is that of `better`, up to the first row of a block.
                outside |= !(low..=high).contains(&0.05);
                width = high - low;
            }
            ever_outside += i32::from(outside);
        }
        assert!(ever_outside <= 20, "{ever_outside} of 200 at 10 %");
        assert!(width < 0.2, "{width} after 200 blocks");
    }

    #[test]
    fn what_is_better_is_shown_and_its_size_is_covered() {
        let means = blocks(&mut Rng::new(1), 20, 8_000, 0.1);
        let evidence = of(&means, 0.01);
        assert_eq!(evidence.blocks, 400);
        assert!(evidence.better > 20.0 && evidence.worse < 1.0, "{evidence:?}");
        assert!(evidence.interval.low > 0.0 && evidence.interval.low < evidence.mean, "{evidence:?}");
        // The other way round it is the other way round.
        let turned: Vec<f64> = means.iter().map(|mean| -mean).collect();
        let worse = of(&turned, 0.01);
        assert_eq!((worse.better, worse.worse), (evidence.worse, evidence.better));
    }

    /// By hand: one block of 0.5 and margin 0 with one bet of 0.95 would multiply by 1.475; the mixture has ten.
    #[test]
    fn one_block_by_hand() {
        let evidence = of(&[0.5], 0.0);
        let expected = BETS.iter().map(|bet| 1.0 + bet * 0.5).sum::<f64>() / 10.0;
        assert!((evidence.better - expected).abs() < 1e-12, "{} {expected}", evidence.better);
        let mut none = BlockComparison::new(0.0, 0.95).expect("valid");
        assert_eq!(none.evidence(), None);
        assert!(none.add(f64::NAN).is_err());
        assert!(BlockComparison::new(1.0, 0.95).is_err() && BlockComparison::new(0.0, 1.0).is_err());
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
