//! Population stability index on bins of the baseline's quantiles. Not a test by itself: read with its size-aware
//! p-value, because without any drift its expected value grows with the number of bins over the sample size.
//!
//! Sources: N. Siddiqi, *Credit Risk Scorecards* (2006), for the index; B. Yurdakul, "Statistical Properties of
//! Population Stability Index" (2018), for its distribution: PSI/(1/n + 1/m) is about chi-square with bins − 1
//! degrees of freedom. Conforms to the plain formula on numpy's linear quantiles.

use serde::{Deserialize, Serialize};

use crate::error::{finite, require};
use crate::special::{chi_square_quantile, chi_square_sf};
use crate::windowed::{at_least, sorted};
use crate::{Comparison, StatsError, WindowedTest};

/// Cuts of the real line, made from a baseline: bin `i` holds edge `i−1` ≤ x < edge `i`; the outer bins are open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Bins {
    edges: Vec<f64>,
}

/// Values beside those with a bin of their own are cut by themselves where they are at least one in so many …
const LITTLE: usize = 20;
/// … and into at least so many bins.
const LEAST_CUTS: u32 = 4;
/// Most edges where values have bins of their own.
const MOST_EDGES: usize = 250;

impl Bins {
    /// Bins that hold about the same number of the baseline's values each. Equal quantiles (ties) leave fewer
    /// bins, and the baseline's extremes are no edges, so that no bin starts out empty. A constant baseline gets
    /// three: below, at and above its value, so that a move in either direction shows.
    ///
    /// # Errors
    /// [`StatsError`] for an empty baseline, unusable values, or `count` outside 2 to 1000.
    pub fn quantiles(baseline: &[f64], count: u32) -> Result<Self, StatsError> {
        Self::quantiles_sorted(&sorted("baseline", baseline, 1)?, count)
    }

    pub(crate) fn quantiles_sorted(baseline: &[f64], count: u32) -> Result<Self, StatsError> {
        require((2..=1000).contains(&count), "bins", count.into(), "2 to 1000")?;
        // Multiples of a rounded step, as numpy's `linspace` makes them: where a quantile falls on a value of the
        // baseline, the last bit decides on which side of the edge that value lies.
        let step = 1.0 / f64::from(count);
        let mut edges: Vec<f64> =
            (1..count).map(|i| quantile_sorted(baseline, f64::from(i) * step)).collect();
        edges.dedup();
        if let (Some(&least), Some(&greatest)) = (baseline.first(), baseline.last()) {
            if least == greatest {
                edges = vec![least, least.next_up()];
            } else {
                edges.retain(|&edge| least < edge && edge < greatest);
            }
        }
        Ok(Self { edges })
    }

    /// The same, with a bin of its own for each value that is at least one in `count` of the baseline's: where most values
    /// are 0, what happens to the others would be lost among them. No bin starts out empty.
    ///
    /// # Errors
    /// As [`Self::quantiles`].
    pub fn with_atoms(baseline: &[f64], count: u32) -> Result<Self, StatsError> {
        let sorted = sorted("baseline", baseline, 1)?;
        let bins = Self::quantiles_sorted(&sorted, count)?;
        let (Some(&least), Some(&greatest)) = (sorted.first(), sorted.last()) else { return Ok(bins) };
        if least == greatest {
            return Ok(bins);
        }
        let mut edges = bins.edges;
        let mut others = Vec::new();
        for run in sorted.chunk_by(|a, b| a == b) {
            if run.len() * count as usize >= sorted.len() {
                edges.extend([run[0], run[0].next_up()]);
            } else {
                others.extend_from_slice(run);
            }
        }
        // What is left is cut by itself, as finely as it can be compared.
        let is_much = others.len() < sorted.len() && others.len() * LITTLE >= sorted.len();
        if is_much {
            let share = (others.len() * count as usize).div_ceil(sorted.len());
            let cuts = u32::try_from(share).unwrap_or(count).max(LEAST_CUTS.min(count));
            edges.extend(Self::quantiles_sorted(&others, cuts)?.edges);
        }
        edges.retain(|&edge| least < edge && edge <= greatest);
        edges.sort_by(f64::total_cmp);
        edges.dedup();
        // Of a bin that holds nothing the lower edge goes.
        let mut kept: Vec<f64> = Vec::with_capacity(edges.len());
        let mut below = 0;
        for edge in edges {
            let at = sorted.partition_point(|&value| value < edge);
            if at == below {
                kept.pop();
            }
            kept.push(edge);
            below = at;
        }
        kept.truncate(MOST_EDGES);
        Ok(Self { edges: kept })
    }

    /// Bins between given inner edges.
    ///
    /// # Errors
    /// [`StatsError`] unless the edges are usable and strictly ascending.
    pub fn between(edges: Vec<f64>) -> Result<Self, StatsError> {
        for &edge in &edges {
            finite(edge)?;
        }
        let unordered = edges.windows(2).find(|pair| pair[0] >= pair[1]);
        if let Some(pair) = unordered {
            return Err(StatsError::Parameter {
                parameter: "edges",
                value: pair[1],
                allowed: "strictly ascending numbers",
            });
        }
        Ok(Self { edges })
    }

    /// Number of bins.
    pub fn len(&self) -> usize {
        self.edges.len() + 1
    }

    /// Never: there is at least one bin.
    pub fn is_empty(&self) -> bool {
        false
    }

    /// Inner edges, ascending.
    pub fn edges(&self) -> &[f64] {
        &self.edges
    }

    /// The bin of one value, counted from 0.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for an unusable value.
    pub fn index(&self, x: f64) -> Result<usize, StatsError> {
        let x = finite(x)?;
        Ok(self.edges.partition_point(|&edge| edge <= x))
    }

    /// How many values fall into each bin.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for unusable values.
    pub fn count(&self, values: &[f64]) -> Result<Vec<u64>, StatsError> {
        let mut counts = vec![0; self.len()];
        for &x in values {
            counts[self.index(x)?] += 1;
        }
        Ok(counts)
    }
}

/// Quantile of an ascending sample by linear interpolation between order statistics (numpy's default, Hyndman and
/// Fan's type 7). NaN for an empty sample.
pub(crate) fn quantile_sorted(sorted: &[f64], q: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let position = q * last as f64;
    let low = libm::floor(position) as usize;
    let (a, b) = (sorted[low.min(last)], sorted[(low + 1).min(last)]);
    let share = position - low as f64;
    // From the nearer end, as numpy does, so that equal neighbours and whole positions give exact values.
    if share < 0.5 { a + (b - a) * share } else { b - (b - a) * (1.0 - share) }
}

/// What an empty bin counts as; its logarithm would be infinite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum EmptyBins {
    /// Every bin of both samples gets half a value more. Shares stay shares, and small samples do not explode.
    HalfCount,
    /// A share is at least this.
    Floor(f64),
    /// A share of 0 becomes this; others stay.
    Zero(f64),
}

/// The index of two lists of counts over the same bins: Σ (q − p)·ln(q/p).
///
/// # Errors
/// [`StatsError`] if the lists differ in length, are empty or all zero, or the empty-bin share is not in (0, 0.1].
pub fn psi(baseline: &[u64], current: &[u64], empty: EmptyBins) -> Result<f64, StatsError> {
    crate::windowed::same_length("baseline", baseline.len(), "current", current.len())?;
    if let EmptyBins::Floor(share) | EmptyBins::Zero(share) = empty {
        require(share > 0.0 && share <= 0.1, "empty bin share", share, "more than 0, up to 0.1")?;
    }
    let (n, m): (u64, u64) = (baseline.iter().sum(), current.iter().sum());
    at_least("baseline", n as usize, 1)?;
    at_least("current sample", m as usize, 1)?;
    let bins = baseline.len();
    let terms = baseline.iter().zip(current).map(|(&b, &c)| {
        let (p, q) = (smoothed_share(b, n, bins, empty), smoothed_share(c, m, bins, empty));
        (q - p) * libm::log(q / p)
    });
    Ok(terms.sum())
}

/// What share a bin counts as.
pub(crate) fn smoothed_share(count: u64, total: u64, bins: usize, empty: EmptyBins) -> f64 {
    let plain = count as f64 / total as f64;
    match empty {
        EmptyBins::HalfCount => (count as f64 + 0.5) / (total as f64 + 0.5 * bins as f64),
        EmptyBins::Floor(least) => plain.max(least),
        EmptyBins::Zero(instead) => {
            if count == 0 {
                instead
            } else {
                plain
            }
        }
    }
}

/// Probability of an index at least this large without drift. Sizes may be effective ones.
pub fn psi_p_value(psi: f64, bins: usize, n: f64, m: f64) -> f64 {
    if bins < 2 { 1.0 } else { chi_square_sf(psi / (1.0 / n + 1.0 / m), (bins - 1) as f64) }
}

/// The index that is exceeded with probability `alpha` without drift: what a fixed threshold should be at these
/// sizes.
///
/// # Errors
/// [`StatsError::Parameter`] unless `alpha` is strictly between 0 and 1, `bins` at least 2 and sizes positive.
pub fn psi_threshold(bins: usize, n: f64, m: f64, alpha: f64) -> Result<f64, StatsError> {
    require(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1, both excluded")?;
    require(bins >= 2, "bins", bins as f64, "2 or more")?;
    require(n > 0.0, "n", n, "more than 0")?;
    require(m > 0.0, "m", m, "more than 0")?;
    Ok(chi_square_quantile(1.0 - alpha, (bins - 1) as f64) * (1.0 / n + 1.0 / m))
}

/// The index between two samples, with its size-aware p-value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Psi {
    /// Quantile bins to cut the baseline into, 2 to 1000.
    pub bins: u32,
    /// What an empty bin counts as.
    pub empty: EmptyBins,
}

impl Default for Psi {
    fn default() -> Self {
        Self { bins: 10, empty: EmptyBins::HalfCount }
    }
}

impl WindowedTest for Psi {
    type Sample = [f64];

    /// Statistic: the index, at least 0. Has no direction. Needs one value a side.
    fn compare(&self, baseline: &[f64], current: &[f64]) -> Result<Comparison, StatsError> {
        let bins = Bins::quantiles(baseline, self.bins)?;
        let statistic = psi(&bins.count(baseline)?, &bins.count(current)?, self.empty)?;
        let p_value = psi_p_value(statistic, bins.len(), baseline.len() as f64, current.len() as f64);
        Ok(Comparison {
            statistic,
            p_value: Some(p_value),
            direction: None,
            baseline_count: baseline.len() as u64,
            current_count: current.len() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Rng;

    /// Drawn from one distribution, 30 against 30: the fixed threshold 0.2 alarms nearly always, the size-aware
    /// one about as often as it says.
    /// A shop's spending: most buy nothing, and what the others spend is seven times as much.
    #[test]
    fn what_most_values_are_does_not_hide_the_others() {
        let spend = |n: u32, times: f64| if n % 20 < 17 { 0.0 } else { times * (1.0 + f64::from(n % 97)) };
        let before: Vec<f64> = (0..2_000).map(|n| spend(n, 1.0)).collect();
        let after: Vec<f64> = (0..500).map(|n| spend(n, 7.0)).collect();
        let index = |bins: &Bins| {
            psi(
                &bins.count(&before).expect("counts"),
                &bins.count(&after).expect("counts"),
                EmptyBins::HalfCount,
            )
        };
        let merged = index(&Bins::quantiles(&before, 10).expect("valid")).expect("an index");
        let apart = index(&Bins::with_atoms(&before, 10).expect("valid")).expect("an index");
        assert!(merged < 0.1 && apart > 0.1, "{merged} {apart}");
        let check = |values: &[f64], counts: &[u64]| {
            let bins = Bins::with_atoms(values, 4).expect("valid");
            assert_eq!(bins.count(values).expect("counts"), counts, "{values:?}: {:?}", bins.edges());
        };
        check(&[0.0, 0.0, 1.0, 1.0], &[2, 2]);
        check(&[0.0, 1.0, 1.0, 2.0], &[1, 2, 1]);
        check(&[1.0, 2.0, 3.0, 4.0], &[1, 1, 1, 1]);
        check(&[5.0; 3], &[0, 3, 0]);
        // However many values have a bin of their own, none is empty but those beside a constant.
        for distinct in 2..40_u32 {
            let values: Vec<f64> = (0..400).map(|n| f64::from(n % distinct)).collect();
            let counts = Bins::with_atoms(&values, 10).expect("valid");
            let counts = counts.count(&values).expect("counts");
            assert!(counts.iter().all(|count| *count > 0), "{distinct}: {counts:?}");
        }
    }

    #[test]
    fn size_matters_more_than_the_famous_thresholds() {
        for (n, fixed_alarms_at_least) in [(30, 300), (100, 40)] {
            let (mut fixed, mut sized) = (0, 0);
            for seed in 0..400 {
                let mut rng = Rng::new(seed);
                let mut sample = || (0..n).map(|_| rng.uniform()).collect::<Vec<f64>>();
                let found = Psi::default().compare(&sample(), &sample()).expect("valid");
                fixed += i32::from(found.statistic > 0.2);
                sized += i32::from(found.p_value < Some(0.05));
            }
            assert!(fixed >= fixed_alarms_at_least, "{n}: {fixed} of 400 beyond 0.2");
            assert!(sized <= 40, "{n}: {sized} of 400 at 5 %");
        }
    }

    #[test]
    fn a_constant_baseline_shows_a_move_either_way() {
        for moved in [4.0, 6.0] {
            let found = Psi::default().compare(&[5.0; 40], &[moved; 40]).expect("valid");
            assert!(found.p_value < Some(1e-6), "{found:?}");
        }
        let same = Psi::default().compare(&[5.0; 40], &[5.0; 40]).expect("valid");
        assert_eq!(same.statistic, 0.0);
    }

    #[test]
    fn threshold_and_p_value_are_inverse() {
        for (bins, n, m, alpha) in [(10, 30.0, 30.0, 0.05), (5, 1000.0, 200.0, 0.01)] {
            let threshold = psi_threshold(bins, n, m, alpha).expect("valid");
            assert!((psi_p_value(threshold, bins, n, m) - alpha).abs() < 1e-12);
        }
        // Chi-square with 9 degrees of freedom exceeds 16.919 in 5 % (printed tables); 1/30 + 1/30 = 1/15.
        assert!((psi_threshold(10, 30.0, 30.0, 0.05).expect("valid") - 16.919 / 15.0).abs() < 1e-4);
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(psi(&[1], &[1, 2], EmptyBins::HalfCount).is_err());
        assert!(psi(&[0, 0], &[1, 2], EmptyBins::HalfCount).is_err());
        assert!(psi(&[1, 1], &[1, 2], EmptyBins::Floor(0.0)).is_err());
        assert!(Bins::between(vec![1.0, 1.0]).is_err());
        assert!(Bins::quantiles(&[1.0], 1).is_err());
        assert!(psi_threshold(10, 30.0, 30.0, 1.0).is_err());
    }

    proptest! {
        #[test]
        fn the_index_is_a_distance(a in prop::collection::vec(0u64..100, 4), b in prop::collection::vec(0u64..100, 4)) {
            prop_assume!(a.iter().sum::<u64>() > 0 && b.iter().sum::<u64>() > 0);
            for empty in [EmptyBins::HalfCount, EmptyBins::Floor(1e-4), EmptyBins::Zero(1e-4)] {
                let there = psi(&a, &b, empty).expect("valid");
                let back = psi(&b, &a, empty).expect("valid");
                prop_assert!(there >= 0.0 && (there - back).abs() < 1e-9);
                prop_assert!(psi(&a, &a, empty).expect("valid") == 0.0);
            }
        }

        #[test]
        fn every_value_falls_into_one_bin(values in prop::collection::vec(-5.0..5.0f64, 1..100), count in 2u32..30) {
            let bins = Bins::quantiles(&values, count).expect("valid");
            let counts = bins.count(&values).expect("valid");
            prop_assert_eq!(counts.len(), bins.len());
            prop_assert_eq!(counts.iter().sum::<u64>(), values.len() as u64);
        }
    }
}
