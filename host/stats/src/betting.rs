//! How an e-detector bets: on what, how much, and how cautiously. Not when it alarms: see [`crate::e_detector`].
//!
//! Sources: J. Shin, A. Ramdas, A. Rinaldo, "E-detectors" (2023), for mixtures of bets; J. L. W. V. Jensen for the
//! inflation: E L^(1/κ) ≤ (E L)^(1/κ) ≤ 1 for κ ≥ 1, so a cautious bet is still a fair one.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::e_detector::EDetectorKind;
use crate::error::require;

/// Bets, as shares of the largest admissible one (1/mean), spaced evenly on a log scale. The best bet for a
/// change from m to q is about (q−m)/(1−m) for single 0/1 errors and more for blocks; ten of them put one
/// within a factor 1.3 of the best. The largest stays below 1, so that one observation never ruins a bet.
pub(crate) const BETS: [f64; 10] =
    [0.01, 0.0166, 0.0275, 0.0456, 0.0757, 0.1255, 0.2082, 0.3453, 0.5728, 0.95];
/// Each bet starts with the same share of the wealth: no kind of change is preferred.
pub(crate) const WEIGHT: f64 = 0.1;
/// Evidence above this is recorded as this; lowering an e-value never harms its guarantee.
pub const MAX_E_VALUE: f64 = 1e280;
/// Every other one of the five largest: for streams of which there are many and whose changes are large.
const SPREAD: [f64; 3] = [BETS[5], BETS[7], BETS[9]];

/// Which bets are placed, in equal shares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Bets {
    /// All ten, 0.01 to 0.95: a change of any size is seen.
    #[default]
    Ten,
    /// The five largest, from 0.1255: a small bet grows by about 1 a block whatever happens, so that a detector that is
    /// to wait for evidence and not for time has none.
    FiveLargest,
    /// 0.1255, 0.3453 and 0.95: the smallest state.
    Three,
}

impl Bets {
    /// The bets, ascending.
    pub fn sizes(self) -> &'static [f64] {
        match self {
            Self::Ten => &BETS,
            Self::FiveLargest => &BETS[5..],
            Self::Three => &SPREAD,
        }
    }

    /// The share of the wealth that each starts with.
    pub(crate) fn weight(self) -> f64 {
        match self {
            Self::Ten => WEIGHT,
            Self::FiveLargest => 0.2,
            Self::Three => 1.0 / 3.0,
        }
    }

    /// The mixture's value.
    pub(crate) fn mixture(self, wealth: &[f64]) -> f64 {
        self.weight() * wealth.iter().sum::<f64>()
    }
}

/// How a detector bets. The default is ten bets at face value, from nothing.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Betting {
    /// Which bets are placed.
    pub bets: Bets,
    /// κ, 1 to 40: how many times more the mean of a stretch varies than it would if its blocks were independent (see
    /// [`crate::dependence::block_inflation`]). Gains are taken to the power 1/κ.
    ///
    /// The promised run length holds for every κ where the conditional mean never exceeds the null's. Where neighbouring
    /// blocks are alike it is a correction by the central limit, as good as κ is, and no theorem.
    pub inflation: f64,
    /// Whether every bet starts where a quiet stream leaves it, and not from nothing. The threshold is higher by as much,
    /// so the promised run length holds.
    pub head_start: bool,
}

impl Default for Betting {
    fn default() -> Self {
        Self { bets: Bets::Ten, inflation: 1.0, head_start: false }
    }
}

impl Betting {
    /// The largest inflation that is taken for one.
    pub const MAX_INFLATION: f64 = 40.0;

    pub(crate) fn validate(&self) -> Result<(), StatsError> {
        require((1.0..=Self::MAX_INFLATION).contains(&self.inflation), "inflation", self.inflation, "1 to 40")
    }

    /// What a bet multiplies its stake by when a block's mean is `excess` = mean/null − 1 from the null's.
    pub(crate) fn gain(&self, bet: f64, excess: f64) -> f64 {
        let plain = 1.0 + bet * excess;
        if self.inflation == 1.0 { plain } else { libm::pow(plain, 1.0 / self.inflation) }
    }

    /// Every bet's next wealth.
    pub(crate) fn step(&self, kind: EDetectorKind, wealth: &mut [f64], excess: f64) {
        for (wealth, &bet) in wealth.iter_mut().zip(self.bets.sizes()) {
            let staked = match kind {
                EDetectorKind::ShiryaevRoberts => *wealth + 1.0,
                EDetectorKind::Cusum => wealth.max(1.0),
            };
            *wealth = (self.gain(bet, excess) * staked).min(MAX_E_VALUE);
        }
    }

    /// Where a bet settles while nothing at all happens (every block's mean is 0): w = g·(w + 1) for the sum over change
    /// points, w = g for their maximum, with the gain g of an empty block.
    pub(crate) fn resting(&self, kind: EDetectorKind, bet: f64) -> f64 {
        let gain = self.gain(bet, -1.0);
        match kind {
            EDetectorKind::ShiryaevRoberts => gain / (1.0 - gain),
            EDetectorKind::Cusum => gain,
        }
    }

    /// What every bet starts from.
    pub(crate) fn start(&self, kind: EDetectorKind) -> impl Iterator<Item = f64> {
        let betting = *self;
        let start = move |&bet| if betting.head_start { betting.resting(kind, bet) } else { 0.0 };
        self.bets.sizes().iter().map(start)
    }

    /// What the mixture must reach so that `blocks` of them pass on average before a false alarm: e-values that start from
    /// s and gain at most 1 a block have expectation at most s + blocks.
    pub(crate) fn threshold(&self, kind: EDetectorKind, blocks: f64) -> f64 {
        if self.head_start { blocks + self.bets.weight() * self.start(kind).sum::<f64>() } else { blocks }
    }

    /// Whether every bet lies within 1 % of where a quiet stream leaves it.
    pub(crate) fn is_at_rest(&self, kind: EDetectorKind, wealth: &[f64]) -> bool {
        let settled = |(wealth, &bet): (&f64, &f64)| {
            let resting = self.resting(kind, bet);
            (wealth - resting).abs() <= 0.01 * resting
        };
        wealth.iter().zip(self.bets.sizes()).all(settled)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ALL: [Bets; 3] = [Bets::Ten, Bets::FiveLargest, Bets::Three];
    const KINDS: [EDetectorKind; 2] = [EDetectorKind::ShiryaevRoberts, EDetectorKind::Cusum];

    #[test]
    fn shares_add_up_and_bets_ascend() {
        for bets in ALL {
            assert!((bets.weight() * bets.sizes().len() as f64 - 1.0).abs() < 1e-15, "{bets:?}");
            assert!(bets.sizes().is_sorted() && bets.sizes().iter().all(|bet| BETS.contains(bet)));
        }
        assert_eq!(Bets::FiveLargest.sizes(), [0.1255, 0.2082, 0.3453, 0.5728, 0.95]);
        assert_eq!(Bets::Three.sizes(), [0.1255, 0.3453, 0.95]);
    }

    #[test]
    fn without_inflation_a_gain_is_the_bet_itself() {
        let betting = Betting::default();
        for bet in BETS {
            assert_eq!(betting.gain(bet, 0.37).to_bits(), (1.0 + bet * 0.37).to_bits());
        }
    }

    #[test]
    fn quiet_streams_settle_where_they_are_said_to() {
        for (bets, kind) in ALL.into_iter().flat_map(|bets| KINDS.map(|kind| (bets, kind))) {
            let betting = Betting { bets, head_start: true, ..Betting::default() };
            let mut wealth: Vec<f64> = betting.start(kind).collect();
            for (start, &bet) in wealth.iter().zip(bets.sizes()) {
                let want = if kind == EDetectorKind::Cusum { 1.0 - bet } else { (1.0 - bet) / bet };
                assert!((start - want).abs() < 1e-12 * want.max(1.0), "{bets:?} {kind:?}");
            }
            let before = wealth.clone();
            (0..50).for_each(|_| betting.step(kind, &mut wealth, -1.0));
            for (now, before) in wealth.iter().zip(&before) {
                assert!((now - before).abs() < 1e-9 * before, "{bets:?} {kind:?}: {now} {before}");
            }
            assert!(betting.is_at_rest(kind, &wealth));
            // One block in which something happened is no rest; a long quiet is one again.
            betting.step(kind, &mut wealth, 3.0);
            assert!(!betting.is_at_rest(kind, &wealth));
            let blocks = (0..).take_while(|_| {
                betting.step(kind, &mut wealth, -1.0);
                !betting.is_at_rest(kind, &wealth)
            });
            assert!(blocks.count() < 2_000, "{bets:?} {kind:?}");
        }
    }

    proptest! {
        /// One bet's expected factor is at most 1 at the null's edge, for either outcome of a 0/1 error and any inflation:
        /// the mixture is linear in it, so this is the whole of the guarantee's arithmetic.
        #[test]
        fn bets_are_fair_and_never_ruined(m in 1e-6..=0.999_999f64, inflation in 1.0..40.0f64) {
            for bet in BETS {
                let plain = Betting::default();
                let (win, lose) = (plain.gain(bet, 1.0 / m - 1.0), plain.gain(bet, -1.0));
                prop_assert!((m * win + (1.0 - m) * lose - 1.0).abs() < 1e-9);
                prop_assert!(lose > 0.0);
                let cautious = Betting { inflation, ..plain };
                let (win, lose) = (cautious.gain(bet, 1.0 / m - 1.0), cautious.gain(bet, -1.0));
                prop_assert!(m * win + (1.0 - m) * lose <= 1.0 + 1e-9);
                prop_assert!(lose > 0.0);
            }
        }

        /// No block leaves a bet below its resting point if it was not below: so forgetting a stream that rests never
        /// adds evidence.
        #[test]
        fn rest_is_approached_from_above(above in 0.0..1e6f64, excess in -1.0..100.0f64, inflation in 1.0..40.0f64) {
            for kind in KINDS {
                let betting = Betting { bets: Bets::Three, inflation, head_start: true };
                let resting: Vec<f64> = betting.start(kind).collect();
                let mut wealth: Vec<f64> = resting.iter().map(|w| w + above).collect();
                betting.step(kind, &mut wealth, excess);
                for (now, rest) in wealth.iter().zip(&resting) {
                    prop_assert!(*now >= rest * (1.0 - 1e-12));
                }
            }
        }
    }
}
