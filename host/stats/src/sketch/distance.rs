//! Distances between what two sketches have seen, with how far sketching may have put them off. Not for samples that are
//! there in full: see [`crate::ks`] and [`crate::psi`].

use serde::{Deserialize, Serialize};

use super::Kll;
use crate::StatsError;
use crate::psi::{EmptyBins, psi, smoothed_share};
use crate::windowed::at_least;

/// An estimate, and the range in which the true value lies with about 98 % confidence (99 % for each sketch).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounded {
    /// The estimate.
    pub value: f64,
    /// Lower end; the estimate itself where both sketches are exact.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Kolmogorov–Smirnov distance of what two sketches have seen. A test that must not cry wolf takes the p-value of
/// `low` (see [`crate::ks::ks_p_value`]).
///
/// # Errors
/// [`StatsError::TooFew`] if either is empty.
pub fn sketch_ks(first: &Kll, second: &Kll) -> Result<Bounded, StatsError> {
    at_least("first sketch", first.count as usize, 1)?;
    at_least("second sketch", second.count as usize, 1)?;
    let (a, b) = (first.view(), second.view());
    let (n, m) = (a.count() as f64, b.count() as f64);
    let gaps = a
        .values
        .iter()
        .chain(&b.values)
        .map(|&x| (a.count_up_to(x) as f64 / n - b.count_up_to(x) as f64 / m).abs());
    let value = gaps.fold(0.0, f64::max);
    let error = first.share_error() + second.share_error();
    Ok(Bounded { value, low: (value - error).max(0.0), high: (value + error).min(1.0) })
}

/// Population stability index of what two sketches have seen, over quantile bins of the first.
///
/// # Errors
/// [`StatsError`] if either is empty, or for parameters that [`psi`] or [`SketchView::bins`] refuse.
pub fn sketch_psi(baseline: &Kll, current: &Kll, bins: u32, empty: EmptyBins) -> Result<Bounded, StatsError> {
    at_least("current sample", current.count as usize, 1)?;
    let (base, now) = (baseline.view(), current.view());
    let bins = base.bins(bins)?;
    let (expected, seen) = (base.counts(&bins), now.counts(&bins));
    let value = psi(&expected, &seen, empty)?;
    let (mut low, mut high) = (0.0, 0.0);
    for (&b, &c) in expected.iter().zip(&seen) {
        let p = ShareRange::of(b, base.count(), bins.len(), empty, baseline.share_error());
        let q = ShareRange::of(c, now.count(), bins.len(), empty, current.share_error());
        // A term grows with the distance of its two shares, so its extremes lie at the ranges' ends.
        low += if p.high < q.low {
            term(p.high, q.low)
        } else if q.high < p.low {
            term(q.high, p.low)
        } else {
            0.0
        };
        high += term(p.low, q.high).max(term(p.high, q.low));
    }
    Ok(Bounded { value, low: low.min(value), high: high.max(value) })
}

fn term(p: f64, q: f64) -> f64 {
    (q - p) * libm::log(q / p)
}

/// The range in which a bin's true share lies, never below what an empty bin counts as.
struct ShareRange {
    low: f64,
    high: f64,
}

impl ShareRange {
    fn of(count: u64, total: u64, bins: usize, empty: EmptyBins, error: f64) -> Self {
        let share = smoothed_share(count, total, bins, empty);
        let least = smoothed_share(0, total, bins, empty);
        Self { low: (share - error).max(least.min(share)), high: (share + error).min(1.0).max(share) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ks::ks_distance_sorted;
    use crate::testing::Rng;

    fn sketch_of(values: &[f64], seed: u64) -> Kll {
        let mut sketch = Kll::new(Kll::DEFAULT_K, seed).expect("valid");
        values.iter().for_each(|&x| sketch.add(x).expect("usable"));
        sketch
    }

    #[test]
    fn distances_lie_within_their_bounds() {
        let (mut ks_off, mut psi_off) = (0, 0);
        for seed in 0..60 {
            let mut rng = Rng::new(5_000 + seed);
            let mut a: Vec<f64> = (0..8_000).map(|_| rng.uniform()).collect();
            let mut b: Vec<f64> = (0..6_000).map(|_| rng.uniform() * 0.8 + 0.1 * rng.uniform()).collect();
            let (first, second) = (sketch_of(&a, seed), sketch_of(&b, 77 + seed));
            let ks = sketch_ks(&first, &second).expect("valid");
            let index = sketch_psi(&first, &second, 10, EmptyBins::HalfCount).expect("valid");
            // The index is defined by its bins, so the true one is taken over the same.
            let bins = first.view().bins(10).expect("valid");
            let count = |values: &[f64]| bins.count(values).expect("valid");
            let true_psi = psi(&count(&a), &count(&b), EmptyBins::HalfCount).expect("valid");
            a.sort_by(f64::total_cmp);
            b.sort_by(f64::total_cmp);
            let true_ks = ks_distance_sorted(&a, &b).distance();
            ks_off += i32::from(!(ks.low..=ks.high).contains(&true_ks));
            psi_off += i32::from(!(index.low..=index.high).contains(&true_psi));
            assert!(ks.high - ks.low < 0.1 && index.high - index.low < 2.0 * index.value + 0.3, "{index:?}");
        }
        assert!(ks_off <= 2 && psi_off <= 2, "{ks_off} {psi_off}");
    }

    #[test]
    fn exact_sketches_give_exact_distances() {
        let (a, b): (Vec<f64>, Vec<f64>) =
            ((0..100).map(f64::from).collect(), (30..130).map(f64::from).collect());
        let (first, second) = (sketch_of(&a, 1), sketch_of(&b, 2));
        let ks = sketch_ks(&first, &second).expect("valid");
        assert!((ks.value - 0.3).abs() < 1e-15 && ks.low == ks.value && ks.high == ks.value);
        let index = sketch_psi(&first, &second, 5, EmptyBins::Floor(1e-4)).expect("valid");
        assert!((index.low - index.high).abs() < 1e-12);
        let empty = Kll::new(200, 0).expect("valid");
        assert!(
            sketch_ks(&first, &empty).is_err()
                && sketch_psi(&empty, &first, 5, EmptyBins::HalfCount).is_err()
        );
    }
}
