//! How much of a quantity may be missing, outside, new or repeated before it counts, by what its baseline held. Not the
//! streams that are held against it: see [`super`].
//!
//! Every limit is the upper confidence bound of [`null_mean_upper`] for what the baseline had, plus a tolerance.
//! Sources: S. S. Wilks (1941): the share of a new value's distribution below the k-th smallest or above the k-th greatest
//! of n exchangeable values is Beta(2k, n + 1 − 2k); I. J. Good (1953): of what comes next, the share never seen is about
//! the share seen exactly once.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::{finite, require};
use crate::null_mean::null_mean_upper;
use crate::windowed::at_least;

/// Rows of a block, unless values leave their range for longer at a time.
pub const BLOCK: u16 = 5;
/// The longest block.
const LONGEST_BLOCK: usize = 200;
/// An `outside` limit above this says that the baseline does not know the range.
const KNOWS_NO_RANGE: f64 = 0.5;
/// A quantity that may repeat itself more often than this is constant, or nearly.
const CONSTANT: f64 = 0.9;
/// Values of the baseline that may be wild on either side: one, and one more for each so many.
const WILD_IN: usize = 1_000;
/// Parts of the baseline that are held against the others.
const PARTS: usize = 10;

/// How sure a limit is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Margins {
    /// Added to every bound but that of `repeated`.
    pub tolerance: f64,
    /// Added to the bound of `repeated`.
    pub repeated_tolerance: f64,
    /// Of every bound.
    pub confidence: f64,
}

impl Default for Margins {
    fn default() -> Self {
        Self { tolerance: 0.02, repeated_tolerance: 0.1, confidence: 0.95 }
    }
}

/// The share that a baseline allows.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Allowed {
    /// So much.
    UpTo(f64),
    /// The baseline knows too little to tell.
    CannotTell,
    /// So much that there is nothing to watch.
    NotWatched,
}

/// `missing` of `n` values of a baseline were missing; `worth` is the effective size of that indicator (n where none was).
///
/// # Errors
/// [`StatsError::Parameter`] as [`null_mean_upper`].
pub fn missing(missing: u64, n: u64, worth: f64, margins: &Margins) -> Result<Allowed, StatsError> {
    limit(missing, n, worth, margins.tolerance, margins.confidence)
}

/// `once` of the names in `n` values of a baseline came exactly once; `worth` is the effective size of the series. Names
/// that the baseline does not hold are new.
///
/// Good's estimate varies more than a count of as many does (W. W. Esty 1983: names seen twice count, too), so that the
/// bound alone holds in about nine baselines of ten; with the usual tolerance it holds in more than 95 of 100.
///
/// # Errors
/// [`StatsError::Parameter`] as [`null_mean_upper`].
pub fn new(once: u64, n: u64, worth: f64, margins: &Margins) -> Result<Allowed, StatsError> {
    limit(once, n, worth, margins.tolerance, margins.confidence)
}

/// `repeated` of the `n` values of a baseline equalled the one before; `worth` is the effective size of that indicator.
///
/// # Errors
/// [`StatsError::Parameter`] as [`null_mean_upper`].
pub fn repeated(repeated: u64, n: u64, worth: f64, margins: &Margins) -> Result<Allowed, StatsError> {
    Ok(match limit(repeated, n, worth, margins.repeated_tolerance, margins.confidence)? {
        Allowed::UpTo(limit) if limit > CONSTANT => Allowed::NotWatched,
        allowed => allowed,
    })
}

fn limit(count: u64, n: u64, worth: f64, tolerance: f64, confidence: f64) -> Result<Allowed, StatsError> {
    null_mean_upper(count, n, tolerance, confidence, Some(worth)).map(Allowed::UpTo)
}

/// The range of a baseline's values, without the wildest on either side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// The k-th smallest value; below it is outside.
    pub low: f64,
    /// The k-th greatest value; above it is outside.
    pub high: f64,
    /// k.
    pub wild: u32,
    /// Values of the baseline.
    pub n: u64,
    /// Rows of a block: as long as the longest run of values outside when each tenth of the baseline is held against the
    /// other nine, 5 to 200.
    pub block: u16,
}

impl Bounds {
    /// Of a baseline's values, in order of time.
    ///
    /// # Errors
    /// [`StatsError`] for fewer than two values or unusable ones.
    pub fn of(values: &[f64]) -> Result<Self, StatsError> {
        at_least("baseline", values.len(), 2)?;
        values.iter().try_for_each(|&x| finite(x).map(drop))?;
        let mut order: Vec<usize> = (0..values.len()).collect();
        order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
        let wild = wild_in(values.len());
        Ok(Self {
            low: values[order[wild - 1]],
            high: values[order[values.len() - wild]],
            wild: wild as u32,
            n: values.len() as u64,
            block: longest_run(values, &order).clamp(BLOCK.into(), LONGEST_BLOCK) as u16,
        })
    }

    /// Whether a value lies outside.
    pub fn is_outside(&self, x: f64) -> bool {
        x < self.low || x > self.high
    }

    /// How often that is allowed, if the baseline's values are worth `worth` independent ones.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] as [`null_mean_upper`].
    pub fn allowed(&self, worth: f64, margins: &Margins) -> Result<Allowed, StatsError> {
        require(worth > 0.0, "worth", worth, "more than 0")?;
        let count = u64::from(2 * self.wild - 1);
        Ok(match limit(count.min(self.n), self.n, worth, margins.tolerance, margins.confidence)? {
            Allowed::UpTo(limit) if limit > KNOWS_NO_RANGE => Allowed::CannotTell,
            allowed => allowed,
        })
    }
}

/// k: how many of n values may be wild on either side.
fn wild_in(n: usize) -> usize {
    1 + n / WILD_IN
}

/// The longest run of neighbouring values outside the range of the other nine tenths.
fn longest_run(values: &[f64], order: &[usize]) -> usize {
    let mut longest = 0;
    for part in 0..PARTS {
        let own = values.len() * part / PARTS..values.len() * (part + 1) / PARTS;
        let others = || order.iter().filter(|place| !own.contains(place)).map(|&place| values[place]);
        let wild = wild_in(values.len() - own.len());
        let greatest = others().rev().nth(wild - 1);
        let (Some(low), Some(high)) = (others().nth(wild - 1), greatest) else { continue };
        let mut run = 0;
        for &x in &values[own.clone()] {
            run = if x < low || x > high { run + 1 } else { 0 };
            longest = longest.max(run);
        }
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::special::beta_cdf;
    use crate::testing::Rng;

    const MARGINS: Margins = Margins { tolerance: 0.02, repeated_tolerance: 0.1, confidence: 0.95 };

    fn up_to(allowed: Result<Allowed, StatsError>) -> f64 {
        match allowed {
            Ok(Allowed::UpTo(limit)) => limit,
            other => panic!("{other:?}"),
        }
    }

    /// Wilks: what lies outside is Beta(2k, n + 1 − 2k), and the limit without its tolerance is that one's quantile.
    #[test]
    fn the_limit_of_outside_is_wilks_quantile() {
        for (n, k) in [(200, 1), (999, 1), (1_000, 2), (5_000, 6)] {
            let values: Vec<f64> = (0..n).map(f64::from).collect();
            let bounds = Bounds::of(&values).expect("valid");
            assert_eq!(
                (bounds.wild, bounds.low, bounds.high),
                (k, f64::from(k - 1), f64::from(n - k as i32))
            );
            let limit = up_to(bounds.allowed(n.into(), &MARGINS)) - 0.02;
            let (a, b) = (2.0 * f64::from(k), f64::from(n) + 1.0 - 2.0 * f64::from(k));
            assert!((beta_cdf(limit, a, b) - 0.95).abs() < 1e-9, "{n}");
        }
    }

    /// The true share outside exceeds the bound in 5 of 100 baselines, whatever the distribution.
    #[test]
    fn what_lies_outside_is_within_the_bound_as_often_as_stated() {
        for n in [100, 2_000] {
            let mut beyond = 0;
            for seed in 0..1_000 {
                let mut rng = Rng::new(seed);
                let values: Vec<f64> = (0..n).map(|_| rng.uniform()).collect();
                let bounds = Bounds::of(&values).expect("valid");
                let outside = bounds.low + 1.0 - bounds.high;
                beyond += i32::from(outside > up_to(bounds.allowed(f64::from(n), &MARGINS)) - 0.02);
            }
            assert!((35..=65).contains(&beyond), "{n}: {beyond} of 1000");
        }
    }

    /// Good: names that came once stand for those that never came. The limit holds in at least 95 of 100 baselines.
    #[test]
    fn names_never_seen_are_within_the_bound() {
        let names = 3_000;
        let weights: Vec<f64> = (1..=names).map(|rank| 1.0 / f64::from(rank)).collect();
        let total: f64 = weights.iter().sum();
        let (mut beyond, mut estimated, mut truly) = (0, 0.0, 0.0);
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let mut seen = vec![0u32; weights.len()];
            for _ in 0..1_000 {
                let mut left = rng.uniform() * total;
                let name = weights.iter().position(|weight| {
                    left -= weight;
                    left < 0.0
                });
                seen[name.unwrap_or(0)] += 1;
            }
            let once = seen.iter().filter(|&&count| count == 1).count() as u64;
            let unseen: f64 =
                weights.iter().zip(&seen).filter(|(_, count)| **count == 0).map(|(w, _)| w / total).sum();
            beyond += i32::from(unseen > up_to(new(once, 1_000, 1_000.0, &MARGINS)));
            estimated += once as f64 / 1_000.0;
            truly += unseen;
        }
        assert!(beyond <= 10, "{beyond} of 200");
        assert!((estimated / truly - 1.0).abs() < 0.02, "{estimated} {truly}");
    }

    #[test]
    fn little_knowledge_is_said_to_be_little() {
        let wandering: Vec<f64> = (0..2_000).map(f64::from).collect();
        let bounds = Bounds::of(&wandering).expect("valid");
        assert_eq!(bounds.allowed(4.0, &MARGINS), Ok(Allowed::CannotTell));
        assert_eq!(bounds.block, 200, "a trend leaves the range of its past for long");
        assert_eq!(repeated(1_900, 2_000, 2_000.0, &MARGINS), Ok(Allowed::NotWatched));
        assert!(up_to(repeated(20, 2_000, 2_000.0, &MARGINS)) > 0.11);
        assert!(
            up_to(missing(0, 30, 30.0, &MARGINS)) < 0.12,
            "nothing missing in 30 rows: the rule of three"
        );
        assert!(Bounds::of(&[1.0]).is_err() && Bounds::of(&[1.0, f64::NAN]).is_err());
        assert!(bounds.allowed(0.0, &MARGINS).is_err() && missing(2, 1, 1.0, &MARGINS).is_err());
    }

    #[test]
    fn blocks_are_as_long_as_values_stay_outside() {
        let mut rng = Rng::new(2);
        let mut values: Vec<f64> = (0..900).map(|_| rng.uniform()).collect();
        assert_eq!(Bounds::of(&values).expect("valid").block, BLOCK);
        values[400..430].iter_mut().for_each(|x| *x += 5.0);
        assert_eq!(Bounds::of(&values).expect("valid").block, 30);
        // One wild value on each side of a large baseline does not widen its range.
        let mut large: Vec<f64> = (0..3_000).map(|_| rng.uniform()).collect();
        (large[7], large[70]) = (1e9, -1e9);
        let bounds = Bounds::of(&large).expect("valid");
        assert!(bounds.is_outside(1.1) && bounds.is_outside(-0.1) && !bounds.is_outside(0.5));
        let constant = Bounds::of(&[3.0; 500]).expect("valid");
        assert!(!constant.is_outside(3.0) && constant.is_outside(3.1));
    }
}
