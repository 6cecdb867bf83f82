//! The Kolmogorov–Smirnov test of two samples: the greatest distance of their distribution functions.
//! Not for categories; on few distinct values its p-value is conservative.
//!
//! Conforms to scipy 1.14 `ks_2samp` (`exact` as far as it goes here, `asymp` and one-sided), which ignores ties likewise.

use serde::{Deserialize, Serialize};

use crate::dependence::effective_sample_size;
use crate::kolmogorov::{
    two_sample_asymptotic, two_sample_exact, two_sample_exact_one_sided, two_sample_one_sided,
};
use crate::windowed::{at_least, same_length, sorted};
use crate::{Alternative, Comparison, Direction, StatsError, WindowedTest};

/// How the p-value is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KsMethod {
    /// Exact up to [`EXACT_LIMIT`] pairs of values, else asymptotic.
    Auto,
    /// By the distribution of one sample of size nm/(n+m).
    Asymptotic,
    /// Asymptotic with each sample's effective size, for series whose neighbouring values are alike.
    AsymptoticDependent,
}

/// Sample sizes whose product is at most this get the exact p-value under [`KsMethod::Auto`]: a few
/// milliseconds. (scipy's limit is 10,000 values a side.)
pub const EXACT_LIMIT: u64 = 4_000_000;

/// The test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ks {
    /// `Less`: the current values are smaller than the baseline's; `Greater`: they are larger.
    pub alternative: Alternative,
    /// How the p-value is computed.
    pub method: KsMethod,
}

impl Default for Ks {
    fn default() -> Self {
        Self { alternative: Alternative::TwoSided, method: KsMethod::Auto }
    }
}

/// The extreme distances of two distribution functions, both at least 0.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KsDistance {
    /// Most by which the first sample's distribution function lies above the second's (its values are smaller).
    pub(crate) above: f64,
    /// Most by which it lies below.
    pub(crate) below: f64,
    /// The value at which the larger of the two is reached first (the lowest value if there is no distance); an
    /// equal distance counts as above.
    pub(crate) location: f64,
}

impl KsDistance {
    /// The two-sided statistic.
    pub(crate) fn distance(&self) -> f64 {
        self.above.max(self.below)
    }
}

/// Two-sided p-value of a distance between samples of these sizes, as [`KsMethod::Auto`] computes it; 1 for an empty
/// sample.
pub fn ks_p_value(distance: f64, n: u64, m: u64) -> f64 {
    if n == 0 || m == 0 {
        1.0
    } else if n.saturating_mul(m) <= EXACT_LIMIT {
        two_sample_exact(distance, n, m)
    } else {
        two_sample_asymptotic(distance, n as f64, m as f64)
    }
}

/// Two-sided asymptotic p-value of a distance between samples that are worth so many independent values (more than 0):
/// what [`KsMethod::AsymptoticDependent`] computes.
pub fn ks_p_value_effective(distance: f64, n: f64, m: f64) -> f64 {
    if n > 0.0 && m > 0.0 { two_sample_asymptotic(distance, n, m) } else { 1.0 }
}

/// Distance of two distribution functions at the edges of bins, from counts in the same bins. Never more than the
/// distance of the samples, and less by at most what one bin holds of either (the smaller of the two shares).
///
/// # Errors
/// [`StatsError`] if the lists differ in length, or either is empty or all zero.
pub fn ks_binned(baseline: &[u64], current: &[u64]) -> Result<f64, StatsError> {
    same_length("baseline", baseline.len(), "current", current.len())?;
    let (n, m): (u64, u64) = (baseline.iter().sum(), current.iter().sum());
    at_least("baseline", n as usize, 1)?;
    at_least("current sample", m as usize, 1)?;
    let (mut first, mut second) = (0, 0);
    let gaps = baseline.iter().zip(current).map(|(&b, &c)| {
        first += b;
        second += c;
        (first as f64 / n as f64 - second as f64 / m as f64).abs()
    });
    Ok(gaps.fold(0.0, f64::max))
}

/// The least distance of two samples of these sizes whose p-value is at most `alpha`; above 1 where there is none.
pub(crate) fn ks_critical_distance(alpha: f64, n: u64, m: u64) -> f64 {
    let pairs = n * m;
    let distance = |steps: u64| steps as f64 / pairs as f64;
    // Not significant, and significant or impossible.
    let (mut low, mut high) = (0, pairs + 1);
    while high - low > 1 {
        let middle = low.midpoint(high);
        if ks_p_value(distance(middle), n, m) <= alpha { high = middle } else { low = middle }
    }
    distance(high)
}

/// The distances between two samples in ascending order, neither of them empty: one pass over both.
pub(crate) fn ks_distance_sorted(first: &[f64], second: &[f64]) -> KsDistance {
    // In units of 1/(n·m), so that there is no rounding.
    let (step_first, step_second) = (second.len() as i64, first.len() as i64);
    let (mut i, mut j, mut gap) = (0, 0, 0i64);
    let lowest = first[0].min(second[0]);
    let (mut above, mut below) = ((0, lowest), (0, lowest));
    while i < first.len() && j < second.len() {
        let x = if first[i] <= second[j] { first[i] } else { second[j] };
        while i < first.len() && first[i] == x {
            i += 1;
            gap += step_first;
        }
        while j < second.len() && second[j] == x {
            j += 1;
            gap -= step_second;
        }
        if gap > above.0 {
            above = (gap, x);
        }
        if -gap > below.0 {
            below = (-gap, x);
        }
    }
    let unit = first.len() as f64 * second.len() as f64;
    KsDistance {
        above: above.0 as f64 / unit,
        below: below.0 as f64 / unit,
        location: if above.0 >= below.0 { above.1 } else { below.1 },
    }
}

impl WindowedTest for Ks {
    type Sample = [f64];

    /// Statistic: the distance, 0 to 1. `direction` says to which side the current sample lies where the
    /// distance is greatest. Needs one value a side.
    fn compare(&self, baseline: &[f64], current: &[f64]) -> Result<Comparison, StatsError> {
        let (base, now) = (sorted("baseline", baseline, 1)?, sorted("current sample", current, 1)?);
        let found = ks_distance_sorted(&base, &now);
        let (n, m) = (base.len() as u64, now.len() as u64);
        let statistic = match self.alternative {
            Alternative::TwoSided => found.distance(),
            Alternative::Greater => found.above,
            Alternative::Less => found.below,
        };
        let sizes = || match self.method {
            KsMethod::AsymptoticDependent => {
                Ok::<_, StatsError>((effective_sample_size(baseline)?, effective_sample_size(current)?))
            }
            KsMethod::Auto | KsMethod::Asymptotic => Ok((n as f64, m as f64)),
        };
        let exact = match self.method {
            KsMethod::Auto => n.saturating_mul(m) <= EXACT_LIMIT,
            KsMethod::Asymptotic | KsMethod::AsymptoticDependent => false,
        };
        let p_value = match (exact, self.alternative) {
            (true, Alternative::TwoSided) => two_sample_exact(statistic, n, m),
            (true, Alternative::Less) => two_sample_exact_one_sided(statistic, m, n),
            (true, Alternative::Greater) => two_sample_exact_one_sided(statistic, n, m),
            (false, Alternative::TwoSided) => sizes().map(|(n, m)| two_sample_asymptotic(statistic, n, m))?,
            (false, Alternative::Less | Alternative::Greater) => {
                sizes().map(|(n, m)| two_sample_one_sided(statistic, n, m))?
            }
        };
        let direction = (found.distance() > 0.0).then_some(if found.above >= found.below {
            Direction::Up
        } else {
            Direction::Down
        });
        Ok(Comparison { statistic, p_value: Some(p_value), direction, baseline_count: n, current_count: m })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Rng;

    #[test]
    fn a_shift_is_found_with_its_side() {
        let base: Vec<f64> = (0..50).map(f64::from).collect();
        let up: Vec<f64> = base.iter().map(|x| x + 30.0).collect();
        for (baseline, current, direction) in [(&base, &up, Direction::Up), (&up, &base, Direction::Down)] {
            let found = Ks::default().compare(baseline, current).expect("valid");
            assert!((found.statistic - 0.6).abs() < 1e-15);
            assert_eq!(found.direction, Some(direction));
            let side = |alternative| {
                Ks { alternative, ..Ks::default() }.compare(baseline, current).expect("valid").p_value
            };
            let (seen, other) = match direction {
                Direction::Up => (Alternative::Greater, Alternative::Less),
                Direction::Down => (Alternative::Less, Alternative::Greater),
            };
            assert!(side(seen) < Some(1e-6) && side(other) == Some(1.0));
        }
    }

    #[test]
    fn the_critical_distance_parts_significant_from_not() {
        for (n, m) in [(30, 70), (30, 30), (1, 2), (2_100, 2_000)] {
            for alpha in [0.005, 0.05, 0.999] {
                let critical = ks_critical_distance(alpha, n, m);
                // Every distance there is where there are few, some around the critical one where there are many.
                let pairs = n * m;
                let around = (critical * pairs as f64) as u64;
                let steps = if pairs < 10_000 { 0..=pairs } else { around - 3..=around + 3 };
                for distance in steps.map(|step| step as f64 / pairs as f64) {
                    assert_eq!(ks_p_value(distance, n, m) <= alpha, distance >= critical, "{n} {m} {alpha}");
                }
            }
        }
        assert!(ks_critical_distance(0.005, 1, 2) > 1.0, "three values are never significant");
    }

    /// Between edges a gap can grow by no more than what one bin holds.
    #[test]
    fn the_distance_at_edges_is_a_bound_from_below() {
        for seed in 0..200 {
            let mut rng = Rng::new(seed);
            let shift = rng.uniform();
            let base: Vec<f64> = (0..300).map(|_| rng.uniform()).collect();
            let now: Vec<f64> = (0..200).map(|_| shift * rng.uniform() + rng.uniform()).collect();
            let bins = crate::Bins::quantiles(&base, 100).expect("valid");
            let (b, c) = (bins.count(&base).expect("valid"), bins.count(&now).expect("valid"));
            let binned = ks_binned(&b, &c).expect("valid");
            let exact = Ks::default().compare(&base, &now).expect("valid").statistic;
            let held = b.iter().zip(&c).map(|(&b, &c)| (b as f64 / 300.0).min(c as f64 / 200.0));
            let slack = held.fold(0.0, f64::max);
            assert!(binned <= exact + 1e-12 && exact <= binned + slack + 1e-12, "{binned} {exact} {slack}");
        }
        assert!(ks_binned(&[1, 2], &[1]).is_err() && ks_binned(&[0], &[1]).is_err());
        assert_eq!(ks_p_value_effective(0.5, 0.0, 10.0), 1.0);
    }

    #[test]
    fn unusable_samples_are_refused() {
        for (baseline, current) in [(&[][..], &[1.0][..]), (&[1.0], &[]), (&[f64::NAN], &[1.0])] {
            assert!(Ks::default().compare(baseline, current).is_err());
        }
    }

    /// Under a strong autocorrelation the plain test cries wolf; with effective sizes it does not.
    #[test]
    fn effective_sizes_calm_the_test_on_dependent_series() {
        let mut alarms = [0, 0];
        for seed in 0..100 {
            let mut rng = Rng::new(seed);
            let mut level = 0.0;
            let mut series = || {
                (0..400)
                    .map(|_| {
                        level = 0.9 * level + rng.uniform() - 0.5;
                        level
                    })
                    .collect::<Vec<f64>>()
            };
            let (baseline, current) = (series(), series());
            for (count, method) in
                alarms.iter_mut().zip([KsMethod::Asymptotic, KsMethod::AsymptoticDependent])
            {
                let found = Ks { method, ..Ks::default() }.compare(&baseline, &current).expect("valid");
                *count += i32::from(found.p_value < Some(0.05));
            }
        }
        assert!(alarms[0] > 40, "plain: {} of 100", alarms[0]);
        assert!(alarms[1] <= 12, "with effective sizes: {} of 100", alarms[1]);
    }

    proptest! {
        /// Against the definition, on values with many ties.
        #[test]
        fn distance_is_the_greatest_gap(
            mut a in prop::collection::vec((0i32..12).prop_map(f64::from), 1..60),
            mut b in prop::collection::vec((0i32..12).prop_map(f64::from), 1..60),
        ) {
            a.sort_by(f64::total_cmp);
            b.sort_by(f64::total_cmp);
            let share = |s: &[f64], x: f64| s.iter().filter(|&&v| v <= x).count() as f64 / s.len() as f64;
            let gaps: Vec<f64> = (0..12).map(|x| share(&a, x.into()) - share(&b, x.into())).collect();
            let found = ks_distance_sorted(&a, &b);
            prop_assert!((found.above - gaps.iter().fold(0.0, |m: f64, &g| m.max(g))).abs() < 1e-12);
            prop_assert!((found.below - gaps.iter().fold(0.0, |m: f64, &g| m.max(-g))).abs() < 1e-12);
            let at = share(&a, found.location) - share(&b, found.location);
            prop_assert!((at.abs() - found.distance()).abs() < 1e-12);
        }
    }
}
