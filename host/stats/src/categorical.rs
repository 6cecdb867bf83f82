//! Two lists of counts by category: the chi-square test and distances between the shares. Not for ordered bins of
//! a number, whose order these forget; see [`crate::psi`].
//!
//! Conforms to scipy 1.14 (`chi2_contingency` without correction, `jensenshannon`) and numpy.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::special::chi_square_sf;
use crate::windowed::{at_least, same_length};
use crate::{Comparison, StatsError, WindowedTest};

/// Counts of both samples over the categories of either, in the order of their names.
pub fn align<K: Ord>(baseline: &BTreeMap<K, u64>, current: &BTreeMap<K, u64>) -> (Vec<u64>, Vec<u64>) {
    let names: std::collections::BTreeSet<&K> = baseline.keys().chain(current.keys()).collect();
    let count = |counts: &BTreeMap<K, u64>, name: &K| counts.get(name).copied().unwrap_or(0);
    names.into_iter().map(|name| (count(baseline, name), count(current, name))).unzip()
}

fn totals(baseline: &[u64], current: &[u64]) -> Result<(f64, f64), StatsError> {
    same_length("baseline", baseline.len(), "current", current.len())?;
    let (n, m): (u64, u64) = (baseline.iter().sum(), current.iter().sum());
    at_least("baseline", n as usize, 1)?;
    at_least("current sample", m as usize, 1)?;
    Ok((n as f64, m as f64))
}

/// Pearson's chi-square test of homogeneity, without continuity correction. Categories that neither sample has do
/// not count. The approximation wants expected counts of 5 or so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChiSquare;

impl WindowedTest for ChiSquare {
    type Sample = [u64];

    /// Statistic: chi-square with (categories − 1) degrees of freedom. With a single category there is nothing to
    /// differ: statistic 0, p-value 1.
    fn compare(&self, baseline: &[u64], current: &[u64]) -> Result<Comparison, StatsError> {
        let (n, m) = totals(baseline, current)?;
        let (mut statistic, mut categories) = (0.0, 0u32);
        for (&b, &c) in baseline.iter().zip(current).filter(|&(&b, &c)| b + c > 0) {
            categories += 1;
            for (seen, total) in [(b, n), (c, m)] {
                let expected = (b + c) as f64 * total / (n + m);
                let gap = seen as f64 - expected;
                statistic += gap * gap / expected;
            }
        }
        let p_value = if categories < 2 { 1.0 } else { chi_square_sf(statistic, f64::from(categories - 1)) };
        Ok(comparison(statistic, Some(p_value), n, m))
    }
}

fn comparison(statistic: f64, p_value: Option<f64>, n: f64, m: f64) -> Comparison {
    Comparison { statistic, p_value, direction: None, baseline_count: n as u64, current_count: m as u64 }
}

/// A distance between two lists of shares. All lie in [0, 1]; none has a p-value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ShareDistance {
    /// Square root of the Jensen–Shannon divergence in bits.
    JensenShannon,
    /// Half the sum of the absolute differences: the share that would have to move.
    TotalVariation,
    /// Square root of one minus the sum of √(p·q).
    Hellinger,
    /// The greatest absolute difference of one share.
    Largest,
}

impl WindowedTest for ShareDistance {
    type Sample = [u64];

    /// Statistic: the distance.
    fn compare(&self, baseline: &[u64], current: &[u64]) -> Result<Comparison, StatsError> {
        let (n, m) = totals(baseline, current)?;
        let shares = || baseline.iter().zip(current).map(|(&b, &c)| (b as f64 / n, c as f64 / m));
        let statistic = match self {
            Self::JensenShannon => {
                let part = |p: f64, middle: f64| if p == 0.0 { 0.0 } else { p * libm::log2(p / middle) };
                let bits = shares().map(|(p, q)| {
                    let middle = 0.5 * (p + q);
                    part(p, middle) + part(q, middle)
                });
                (0.5 * bits.sum::<f64>()).clamp(0.0, 1.0).sqrt()
            }
            Self::TotalVariation => 0.5 * shares().map(|(p, q)| (p - q).abs()).sum::<f64>(),
            Self::Hellinger => {
                let squares = shares().map(|(p, q)| {
                    let gap = p.sqrt() - q.sqrt();
                    gap * gap
                });
                (0.5 * squares.sum::<f64>()).sqrt()
            }
            Self::Largest => shares().map(|(p, q)| (p - q).abs()).fold(0.0, f64::max),
        };
        Ok(comparison(statistic.min(1.0), None, n, m))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DISTANCES: [ShareDistance; 4] = [
        ShareDistance::JensenShannon,
        ShareDistance::TotalVariation,
        ShareDistance::Hellinger,
        ShareDistance::Largest,
    ];

    #[test]
    fn categories_of_either_sample_are_aligned() {
        let baseline = BTreeMap::from([("a", 3), ("c", 1)]);
        let current = BTreeMap::from([("b", 2), ("c", 5)]);
        assert_eq!(align(&baseline, &current), (vec![3, 0, 1], vec![0, 2, 5]));
    }

    #[test]
    fn samples_without_a_common_category_are_as_far_as_can_be() {
        for distance in DISTANCES {
            let found = distance.compare(&[5, 0], &[0, 9]).expect("valid");
            assert!((found.statistic - 1.0).abs() < 1e-12, "{distance:?}");
        }
        assert!(ChiSquare.compare(&[50, 0], &[0, 90]).expect("valid").p_value < Some(1e-20));
    }

    #[test]
    fn bad_input_is_refused() {
        for (baseline, current) in [(&[][..], &[][..]), (&[1], &[1, 2]), (&[0, 0], &[1, 1])] {
            assert!(ChiSquare.compare(baseline, current).is_err());
            assert!(ShareDistance::Hellinger.compare(baseline, current).is_err());
        }
        let single = ChiSquare.compare(&[5], &[7]).expect("valid");
        assert_eq!((single.statistic, single.p_value), (0.0, Some(1.0)));
    }

    proptest! {
        #[test]
        fn distances_are_symmetric_and_bounded(counts in prop::collection::vec((0u64..50, 0u64..50), 1..8)) {
            let (a, b): (Vec<u64>, Vec<u64>) = counts.into_iter().unzip();
            prop_assume!(a.iter().sum::<u64>() > 0 && b.iter().sum::<u64>() > 0);
            for distance in DISTANCES {
                let there = distance.compare(&a, &b).expect("valid").statistic;
                let back = distance.compare(&b, &a).expect("valid").statistic;
                prop_assert!((there - back).abs() < 1e-12 && (0.0..=1.0).contains(&there));
                prop_assert!(distance.compare(&a, &a).expect("valid").statistic < 1e-7);
            }
        }
    }
}
