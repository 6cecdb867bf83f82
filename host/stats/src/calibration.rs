//! Whether scores can be read as probabilities: reliability, calibration errors, isotonic recalibration, and
//! coverage of prediction intervals. Not for how well scores rank.
//!
//! Sources: M. P. Naeini, G. F. Cooper, M. Hauskrecht, "Obtaining Well Calibrated Probabilities Using Bayesian
//! Binning" (2015), for ECE and MCE; M. Ayer et al. (1955) for the pool-adjacent-violators algorithm. Isotonic
//! regression conforms to scikit-learn 1.9 (`IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")`).

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::{finite, require, unit};
use crate::special::normal_cdf;
use crate::windowed::{at_least, same_length};

/// How scores are cut into bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Binning {
    /// Bins of equal width over [0, 1], each with its upper end but not its lower (the first with both).
    EqualWidth,
    /// Bins of equally many predictions, in order of their scores; the first ones get the remainder.
    EqualMass,
}

/// One bin of a reliability diagram.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ReliabilityBin {
    /// Predictions in it.
    pub count: u64,
    /// Mean score and share of positive outcomes; `None` in an empty bin.
    pub means: Option<(f64, f64)>,
}

impl ReliabilityBin {
    fn of(items: &[(f64, bool)]) -> Self {
        let n = items.len() as f64;
        let score: f64 = items.iter().map(|item| item.0).sum();
        let positive = items.iter().filter(|item| item.1).count() as f64;
        Self { count: items.len() as u64, means: (!items.is_empty()).then_some((score / n, positive / n)) }
    }

    /// Distance of mean score and share of positives; 0 in an empty bin.
    pub fn gap(&self) -> f64 {
        self.means.map_or(0.0, |(score, share)| (score - share).abs())
    }
}

/// A reliability diagram with its errors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reliability {
    /// By ascending score.
    pub bins: Vec<ReliabilityBin>,
    /// Expected calibration error: the bins' gaps weighted by their counts, 0 to 1.
    pub ece: f64,
    /// Maximum calibration error: the greatest gap, 0 to 1.
    pub mce: f64,
}

impl Reliability {
    /// Of scores in [0, 1] and outcomes.
    ///
    /// # Errors
    /// [`StatsError`] for empty series, series of different length, scores outside [0, 1], or `bins` outside 1 to
    /// 1000.
    pub fn of(actual: &[bool], scores: &[f64], bins: u32, binning: Binning) -> Result<Self, StatsError> {
        let items = pairs(actual, scores)?;
        require((1..=1000).contains(&bins), "bins", bins.into(), "1 to 1000")?;
        let count = bins as usize;
        let bins: Vec<ReliabilityBin> = match binning {
            Binning::EqualWidth => {
                let mut parts = vec![Vec::new(); count];
                for item in items {
                    let place = libm::ceil(item.0 * count as f64) as usize;
                    parts[place.clamp(1, count) - 1].push(item);
                }
                parts.iter().map(|part| ReliabilityBin::of(part)).collect()
            }
            Binning::EqualMass => {
                let mut sorted = items;
                sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
                let (size, longer) = (sorted.len() / count, sorted.len() % count);
                let start = |bin: usize| bin * size + bin.min(longer);
                (0..count).map(|bin| ReliabilityBin::of(&sorted[start(bin)..start(bin + 1)])).collect()
            }
        };
        let total: u64 = bins.iter().map(|bin| bin.count).sum();
        let ece = bins.iter().map(|bin| bin.count as f64 * bin.gap()).sum::<f64>() / total as f64;
        let mce = bins.iter().map(ReliabilityBin::gap).fold(0.0, f64::max);
        Ok(Self { bins, ece, mce })
    }
}

impl Reliability {
    /// Probability of an expected calibration error at least this large if every score were the probability of its
    /// outcome and outcomes were independent. Even then the error is above 0: with ten bins of 50 near 0.056.
    ///
    /// A bin's gap is then about half-normal, so the error has mean Σ wσ√(2/π) and variance Σ w²σ²(1 − 2/π), with the
    /// bin's weight w and σ² = s(1 − s)/n of its mean score s (at most so much where scores differ: Jensen); their sum
    /// is taken as normal. `None` where no bin can vary.
    pub fn p_value(&self) -> Option<f64> {
        let total = self.bins.iter().map(|bin| bin.count).sum::<u64>() as f64;
        let (mut mean, mut variance) = (0.0, 0.0);
        for bin in &self.bins {
            let Some((score, _)) = bin.means else { continue };
            let (n, score) = (bin.count as f64, score.clamp(0.0, 1.0));
            let deviation = n / total * (score * (1.0 - score) / n).sqrt();
            mean += deviation * core::f64::consts::FRAC_2_PI.sqrt();
            variance += deviation * deviation * (1.0 - core::f64::consts::FRAC_2_PI);
        }
        (variance > 0.0).then(|| normal_cdf((mean - self.ece) / variance.sqrt()))
    }
}

fn pairs(actual: &[bool], scores: &[f64]) -> Result<Vec<(f64, bool)>, StatsError> {
    same_length("outcomes", actual.len(), "scores", scores.len())?;
    at_least("outcomes", actual.len(), 1)?;
    scores.iter().zip(actual).map(|(&score, &y)| Ok((unit(score)?, y))).collect()
}

/// A non-decreasing map from scores to probabilities, straight between its knots and level beyond them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    /// (score, probability), both ascending; at least one.
    knots: Vec<(f64, f64)>,
}

impl Isotonic {
    /// The map that is nearest to the outcomes in (weighted) squares. `weights`, where given, are positive.
    ///
    /// # Errors
    /// [`StatsError`] for empty series, series of different length, scores outside [0, 1] or weights that are not
    /// positive.
    pub fn fit(actual: &[bool], scores: &[f64], weights: Option<&[f64]>) -> Result<Self, StatsError> {
        let items = pairs(actual, scores)?;
        if let Some(weights) = weights {
            same_length("weights", weights.len(), "scores", scores.len())?;
            for &weight in weights {
                require(finite(weight)? > 0.0, "weight", weight, "more than 0")?;
            }
        }
        let weight = |i: usize| weights.map_or(1.0, |weights| weights[i]);
        let mut points: Vec<Pool> = items
            .iter()
            .enumerate()
            .map(|(i, &(score, y))| Pool::of(score, f64::from(u8::from(y)), weight(i)))
            .collect();
        points.sort_by(|a, b| a.first.total_cmp(&b.first));

        // Equal scores must get equal values, so they start out pooled.
        let mut unique: Vec<Pool> = Vec::new();
        for point in points {
            match unique.last_mut() {
                Some(last) if last.first == point.first => last.absorb(&point),
                _ => unique.push(point),
            }
        }
        // Whenever a pool lies below its predecessor, both become one.
        let mut pools: Vec<Pool> = Vec::new();
        for mut pool in unique {
            while let Some(last) = pools.pop_if(|last| last.value() >= pool.value()) {
                pool = last.followed_by(&pool);
            }
            pools.push(pool);
        }
        // A pool is level: its first and last score say all.
        let mut knots = Vec::new();
        for pool in &pools {
            let value = pool.value().clamp(0.0, 1.0);
            knots.push((pool.first, value));
            if pool.last > pool.first {
                knots.push((pool.last, value));
            }
        }
        Ok(Self { knots })
    }

    /// Knots (score, probability) in ascending order.
    pub fn knots(&self) -> &[(f64, f64)] {
        &self.knots
    }

    /// The probability for a score.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for a score outside [0, 1].
    pub fn map(&self, score: f64) -> Result<f64, StatsError> {
        let score = unit(score)?;
        let after = self.knots.partition_point(|knot| knot.0 < score);
        Ok(match (after.checked_sub(1).map(|i| self.knots[i]), self.knots.get(after)) {
            (Some((x0, y0)), Some(&(x1, y1))) => y0 + (y1 - y0) * ((score - x0) / (x1 - x0)),
            (None, Some(&(_, y))) | (Some((_, y)), None) => y,
            (None, None) => score,
        })
    }
}

/// Neighbouring scores with one value.
#[derive(Debug, Clone, Copy)]
struct Pool {
    first: f64,
    last: f64,
    weight: f64,
    total: f64,
}

impl Pool {
    fn of(score: f64, value: f64, weight: f64) -> Self {
        Self { first: score, last: score, weight, total: value * weight }
    }

    fn value(&self) -> f64 {
        self.total / self.weight
    }

    fn absorb(&mut self, other: &Self) {
        self.weight += other.weight;
        self.total += other.total;
        self.last = other.last;
    }

    fn followed_by(mut self, later: &Self) -> Self {
        self.absorb(later);
        self
    }
}

/// A recalibration that proved itself on later rows, with the errors before and after.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recalibration {
    /// The fitted map.
    pub map: Isotonic,
    /// Expected calibration error of the raw scores on the later rows (10 bins of equal mass).
    pub ece_before: f64,
    /// The same of the mapped scores.
    pub ece_after: f64,
}

impl Recalibration {
    /// Fits on the earlier rows and measures on the later ones; rows are in order of time.
    ///
    /// # Errors
    /// [`StatsError`] as [`Isotonic::fit`], or unless `later` leaves rows on both sides.
    pub fn fit(actual: &[bool], scores: &[f64], later: usize) -> Result<Self, StatsError> {
        same_length("outcomes", actual.len(), "scores", scores.len())?;
        require(
            later >= 1 && later < actual.len(),
            "later rows",
            later as f64,
            "1 up to but not the number of rows",
        )?;
        let split = actual.len() - later;
        let map = Isotonic::fit(&actual[..split], &scores[..split], None)?;
        let held_out = &scores[split..];
        let mapped = held_out.iter().map(|&score| map.map(score)).collect::<Result<Vec<f64>, _>>()?;
        let ece = |scores: &[f64]| Ok(Reliability::of(&actual[split..], scores, 10, Binning::EqualMass)?.ece);
        Ok(Self { ece_before: ece(held_out)?, ece_after: ece(&mapped)?, map })
    }

    /// Whether the map lowers the error and is to be kept.
    pub fn improves(&self) -> bool {
        self.ece_after < self.ece_before
    }
}

/// How prediction intervals did.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IntervalReport {
    /// Intervals.
    pub count: u64,
    /// Share of outcomes inside their interval, ends included.
    pub coverage: f64,
    /// Mean of upper minus lower end, in the predicted quantity's unit.
    pub mean_width: f64,
    /// Share of intervals no wider than the limit.
    pub narrow: f64,
}

impl IntervalReport {
    /// Of (low, high, actual) rows.
    ///
    /// # Errors
    /// [`StatsError`] without rows, for unusable values, or an interval whose low end is above its high end.
    pub fn of(rows: &[(f64, f64, f64)], narrow_limit: f64) -> Result<Self, StatsError> {
        at_least("intervals", rows.len(), 1)?;
        let (mut inside, mut width, mut narrow) = (0u64, 0.0, 0u64);
        for &(low, high, actual) in rows {
            finite(actual)?;
            if finite(low)? > finite(high)? {
                return Err(StatsError::Observation { value: low, allowed: "a low end up to the high end" });
            }
            inside += u64::from((low..=high).contains(&actual));
            width += high - low;
            narrow += u64::from(high - low <= narrow_limit);
        }
        let n = rows.len() as f64;
        Ok(Self {
            count: rows.len() as u64,
            coverage: inside as f64 / n,
            mean_width: width / n,
            narrow: narrow as f64 / n,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Rng;

    #[test]
    fn intervals_are_counted() {
        let rows = [(0.0, 1.0, 0.5), (0.0, 1.0, 1.0), (0.0, 4.0, 5.0), (2.0, 2.0, 2.0)];
        let report = IntervalReport::of(&rows, 1.0).expect("valid");
        let want = IntervalReport { count: 4, coverage: 0.75, mean_width: 1.5, narrow: 0.75 };
        assert_eq!(report, want);
        assert!(IntervalReport::of(&[(1.0, 0.0, 0.5)], 1.0).is_err());
        assert!(IntervalReport::of(&[], 1.0).is_err());
    }

    /// Scores that are too sure of themselves: the probability is halfway between the score and ½.
    #[test]
    fn recalibration_is_kept_where_it_helps() {
        let mut rng = Rng::new(11);
        let scores: Vec<f64> = (0..4000).map(|_| rng.uniform()).collect();
        let mut draw = |p: f64| rng.uniform() < p;
        let overconfident: Vec<bool> = scores.iter().map(|s| draw(0.25 + 0.5 * s)).collect();
        let found = Recalibration::fit(&overconfident, &scores, 1000).expect("valid");
        assert!(found.improves() && found.ece_before > 0.08 && found.ece_after < 0.06, "{found:?}");
        // What is learned no longer holds later: the raw scores were right all along.
        let changed: Vec<bool> = scores
            .iter()
            .enumerate()
            .map(|(i, s)| draw(if i < 3000 { 0.25 + 0.5 * s } else { *s }))
            .collect();
        assert!(!Recalibration::fit(&changed, &scores, 1000).expect("valid").improves());
        assert!(Recalibration::fit(&changed, &scores, 4000).is_err());
    }

    /// Scores that are right have an error, too; it is improbable in about as many samples as its p-value says.
    #[test]
    fn an_error_is_held_against_what_calibrated_scores_have() {
        let (mut beyond, mut found) = (0, 0);
        for seed in 0..400 {
            let mut rng = Rng::new(seed);
            let scores: Vec<f64> = (0..500).map(|_| rng.uniform()).collect();
            let mut draw = |p: &dyn Fn(f64) -> f64| -> Vec<bool> {
                scores.iter().map(|&s| rng.uniform() < p(s)).collect()
            };
            let (right, overconfident) = (draw(&|s| s), draw(&|s| 0.25 + 0.5 * s));
            let p_value = |actual: &[bool]| {
                let found = Reliability::of(actual, &scores, 10, Binning::EqualWidth).expect("valid");
                found.p_value().expect("varies")
            };
            beyond += i32::from(p_value(&right) < 0.05);
            found += i32::from(p_value(&overconfident) < 0.001);
        }
        // 20 of 400 are expected; four standard deviations are 17.
        assert!(beyond <= 37, "{beyond} of 400 at 5 %");
        assert!(found >= 396, "{found} of 400 found");
        let sure = Reliability::of(&[true], &[1.0], 10, Binning::EqualWidth).expect("valid");
        assert_eq!(sure.p_value(), None);
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(Reliability::of(&[], &[], 10, Binning::EqualWidth).is_err());
        assert!(Reliability::of(&[true], &[1.5], 10, Binning::EqualWidth).is_err());
        assert!(Reliability::of(&[true], &[0.5], 0, Binning::EqualMass).is_err());
        assert!(Isotonic::fit(&[true], &[0.5], Some(&[0.0])).is_err());
        assert!(Isotonic::fit(&[true], &[0.5], Some(&[1.0, 1.0])).is_err());
    }

    proptest! {
        #[test]
        fn isotonic_maps_rise_and_stay_in_range(
            rows in prop::collection::vec((0.0..=1.0f64, any::<bool>()), 1..80), a in 0.0..=1.0f64, b in 0.0..=1.0f64,
        ) {
            let (scores, actual): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            let map = Isotonic::fit(&actual, &scores, None).expect("valid");
            let (low, high) = (map.map(a.min(b)).expect("valid"), map.map(a.max(b)).expect("valid"));
            prop_assert!(0.0 <= low && low <= high + 1e-15 && high <= 1.0);
            // Pooling keeps the mean.
            let mapped: f64 = scores.iter().map(|&s| map.map(s).expect("valid")).sum();
            let positive = actual.iter().filter(|&&y| y).count() as f64;
            prop_assert!((mapped - positive).abs() < 1e-9);
        }

        #[test]
        fn bins_hold_everything(
            rows in prop::collection::vec((0.0..=1.0f64, any::<bool>()), 1..80), bins in 1u32..30,
        ) {
            let (scores, actual): (Vec<f64>, Vec<bool>) = rows.into_iter().unzip();
            for binning in [Binning::EqualWidth, Binning::EqualMass] {
                let found = Reliability::of(&actual, &scores, bins, binning).expect("valid");
                prop_assert_eq!(found.bins.len(), bins as usize);
                prop_assert_eq!(found.bins.iter().map(|bin| bin.count).sum::<u64>(), scores.len() as u64);
                prop_assert!(found.ece <= found.mce + 1e-12 && found.mce <= 1.0);
            }
        }
    }
}
