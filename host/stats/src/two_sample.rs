//! Two samples against each other: means, ranks and shares. Not for repeated looks at a growing sample: each of
//! these tests holds for one look.
//!
//! Conforms to scipy 1.14 (`ttest_ind(equal_var=False)`, `mannwhitneyu(method="asymptotic")`, `fisher_exact`) and
//! statsmodels 0.15 (`proportions_ztest`). Differences and statistics are current minus baseline throughout.

use serde::{Deserialize, Serialize};

use crate::error::{finite, require};
use crate::moments::Moments;
use crate::proportion::check_counts;
use crate::special::{beta_quantile, ln_beta, student_t_sf};
use crate::windowed::{at_least, sorted};
use crate::{Alternative, Comparison, Direction, Interval, Proportion, StatsError, TestResult, WindowedTest};

fn direction(difference: f64) -> Option<Direction> {
    (difference != 0.0).then_some(if difference > 0.0 { Direction::Up } else { Direction::Down })
}

/// Welch's t-test of two means with unequal variances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welch {
    /// Which departures count.
    pub alternative: Alternative,
}

/// Difference of two means and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MeanDifference {
    /// Current mean minus baseline mean.
    pub difference: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Welch–Satterthwaite degrees of freedom.
    pub degrees_of_freedom: f64,
}

impl MeanDifference {
    /// Of two samples of at least two values each.
    ///
    /// # Errors
    /// [`StatsError`] for too small samples, unusable values, or if neither sample varies.
    pub fn of(baseline: &[f64], current: &[f64]) -> Result<Self, StatsError> {
        at_least("baseline", baseline.len(), 2)?;
        at_least("current sample", current.len(), 2)?;
        for &x in baseline.iter().chain(current) {
            finite(x)?;
        }
        Self::of_moments(&Moments::of(baseline), &Moments::of(current))
    }

    /// Of two samples of which only the moments are known, of at least two values each.
    ///
    /// # Errors
    /// [`StatsError`] for too small samples or if neither sample varies.
    pub fn of_moments(baseline: &Moments, current: &Moments) -> Result<Self, StatsError> {
        at_least("baseline", baseline.count() as usize, 2)?;
        at_least("current sample", current.count() as usize, 2)?;
        let (n, m) = (baseline.count() as f64, current.count() as f64);
        let (a, b) = (baseline.variance() / n, current.variance() / m);
        if a + b == 0.0 {
            return Err(StatsError::Undefined { what: "t statistic", reason: "neither sample varies" });
        }
        let share = a / (a + b);
        Ok(Self {
            difference: current.mean() - baseline.mean(),
            standard_error: (a + b).sqrt(),
            degrees_of_freedom: 1.0 / (share * share / (n - 1.0) + (1.0 - share) * (1.0 - share) / (m - 1.0)),
        })
    }

    /// The t statistic.
    pub fn t(&self) -> f64 {
        self.difference / self.standard_error
    }

    /// p-value of the t statistic.
    pub fn p_value(&self, alternative: Alternative) -> f64 {
        let upper = |t: f64| student_t_sf(t, self.degrees_of_freedom);
        match alternative {
            Alternative::Less => upper(-self.t()),
            Alternative::Greater => upper(self.t()),
            Alternative::TwoSided => (2.0 * upper(self.t().abs())).min(1.0),
        }
    }

    /// Two-sided confidence interval of the difference.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless `confidence` is strictly between 0 and 1.
    pub fn interval(&self, confidence: f64) -> Result<Interval, StatsError> {
        require(
            confidence > 0.0 && confidence < 1.0,
            "confidence",
            confidence,
            "between 0 and 1, both excluded",
        )?;
        // t² = df·(1 − b)/b where b is a Beta(df/2, 1/2) quantile at the two tails' probability.
        let df = self.degrees_of_freedom;
        let b = beta_quantile(1.0 - confidence, 0.5 * df, 0.5);
        let half = (df * (1.0 - b) / b).sqrt() * self.standard_error;
        Ok(Interval { low: self.difference - half, high: self.difference + half })
    }
}

impl WindowedTest for Welch {
    type Sample = [f64];

    /// Statistic: t. Needs two values a side and some variation.
    fn compare(&self, baseline: &[f64], current: &[f64]) -> Result<Comparison, StatsError> {
        let found = MeanDifference::of(baseline, current)?;
        Ok(Comparison {
            statistic: found.t(),
            p_value: Some(found.p_value(self.alternative)),
            direction: direction(found.difference),
            baseline_count: baseline.len() as u64,
            current_count: current.len() as u64,
        })
    }
}

/// Mann–Whitney rank test by the normal approximation, corrected for ties and continuity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MannWhitney {
    /// Which departures count.
    pub alternative: Alternative,
}

impl WindowedTest for MannWhitney {
    type Sample = [f64];

    /// Statistic: U of the current sample, the number of pairs in which its value is larger (ties half). Needs one
    /// value a side and two different values in all.
    fn compare(&self, baseline: &[f64], current: &[f64]) -> Result<Comparison, StatsError> {
        let (base, now) = (sorted("baseline", baseline, 1)?, sorted("current sample", current, 1)?);
        let (n, m) = (base.len() as f64, now.len() as f64);
        let (mut u, mut tied, mut i, mut j) = (0.0, 0.0, 0, 0);
        while i < base.len() || j < now.len() {
            let x = match (base.get(i), now.get(j)) {
                (Some(a), Some(b)) => a.min(*b),
                (Some(a), None) => *a,
                (None, b) => b.copied().unwrap_or_default(),
            };
            let run = |values: &[f64]| values.iter().take_while(|&&v| v == x).count();
            let (a, b) = (run(&base[i..]), run(&now[j..]));
            u += b as f64 * (i as f64 + 0.5 * a as f64);
            let all = (a + b) as f64;
            tied += all * all * all - all;
            (i, j) = (i + a, j + b);
        }
        let total = n + m;
        let variance = n * m / 12.0 * (total + 1.0 - tied / (total * (total - 1.0)));
        if variance <= 0.0 {
            return Err(StatsError::Undefined { what: "rank test", reason: "all values are equal" });
        }
        let excess = u - 0.5 * n * m;
        let p_value = match self.alternative {
            Alternative::TwoSided => {
                Alternative::TwoSided.normal_p((excess.abs() - 0.5).max(0.0) / variance.sqrt())
            }
            Alternative::Greater => Alternative::Greater.normal_p((excess - 0.5) / variance.sqrt()),
            Alternative::Less => Alternative::Less.normal_p((excess + 0.5) / variance.sqrt()),
        };
        Ok(Comparison {
            statistic: u,
            p_value: Some(p_value),
            direction: direction(excess),
            baseline_count: base.len() as u64,
            current_count: now.len() as u64,
        })
    }
}

/// z-test of two shares with the pooled variance.
///
/// # Errors
/// [`StatsError`] for impossible counts, or if both shares are 0 or both are 1.
pub fn two_proportion_z(
    baseline: Proportion,
    current: Proportion,
    alternative: Alternative,
) -> Result<TestResult, StatsError> {
    let ((a, n), (b, m)) =
        (check_counts(baseline.successes, baseline.n)?, check_counts(current.successes, current.n)?);
    let pooled = (a + b) / (n + m);
    let variance = pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m);
    if variance == 0.0 {
        return Err(StatsError::Undefined { what: "z statistic", reason: "all outcomes are equal" });
    }
    let statistic = (b / m - a / n) / variance.sqrt();
    Ok(TestResult { statistic, p_value: alternative.normal_p(statistic) })
}

/// Fisher's exact test of two shares; returns the p-value. Two-sided sums every table that is no more probable than
/// the one seen (with a relative slack of 1e-7 for ties). Takes time linear in the smaller margin.
///
/// # Errors
/// [`StatsError`] for impossible counts.
pub fn fisher_exact(
    baseline: Proportion,
    current: Proportion,
    alternative: Alternative,
) -> Result<f64, StatsError> {
    check_counts(baseline.successes, baseline.n)?;
    check_counts(current.successes, current.n)?;
    let (n, m, seen) = (baseline.n, current.n, current.successes);
    let successes = baseline.successes + current.successes;
    // Successes in the current sample, given all margins: hypergeometric.
    let (low, high) = (successes.saturating_sub(n), successes.min(m));
    let ln_choose = |n: u64, k: u64| -libm::log1p(n as f64) - ln_beta(k as f64 + 1.0, (n - k) as f64 + 1.0);
    let ln_total = ln_choose(n + m, successes);
    let ln_mass = |k: u64| ln_choose(m, k) + ln_choose(n, successes - k) - ln_total;
    let limit = ln_mass(seen) + 1e-7;
    let counts = |k: u64| match alternative {
        Alternative::Less => k <= seen,
        Alternative::Greater => k >= seen,
        Alternative::TwoSided => ln_mass(k) <= limit,
    };
    let p: f64 = (low..=high).filter(|&k| counts(k)).map(|k| libm::exp(ln_mass(k))).sum();
    Ok(p.min(1.0))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn share(successes: u64, n: u64) -> Proportion {
        Proportion { successes, n }
    }

    /// R. A. Fisher's tea-tasting lady: all four right of four and four is 1 of 70 orders.
    #[test]
    fn the_lady_tasting_tea() {
        let p = |alternative| fisher_exact(share(0, 4), share(4, 4), alternative).expect("valid");
        assert!((p(Alternative::Greater) - 1.0 / 70.0).abs() < 1e-12);
        assert!((p(Alternative::TwoSided) - 2.0 / 70.0).abs() < 1e-12);
        assert!((p(Alternative::Less) - 1.0).abs() < 1e-12);
    }

    #[test]
    fn what_has_no_answer_is_refused() {
        let welch = Welch { alternative: Alternative::TwoSided };
        let ranks = MannWhitney { alternative: Alternative::TwoSided };
        assert!(matches!(welch.compare(&[1.0], &[1.0, 2.0]), Err(StatsError::TooFew { .. })));
        assert!(matches!(welch.compare(&[1.0; 3], &[2.0; 3]), Err(StatsError::Undefined { .. })));
        assert!(welch.compare(&[1.0, f64::NAN], &[1.0, 2.0]).is_err());
        assert!(matches!(ranks.compare(&[1.0; 3], &[1.0; 3]), Err(StatsError::Undefined { .. })));
        assert!(ranks.compare(&[], &[1.0]).is_err());
        for (a, b) in [(share(0, 0), share(1, 2)), (share(3, 2), share(1, 2)), (share(0, 5), share(0, 5))] {
            assert!(two_proportion_z(a, b, Alternative::TwoSided).is_err());
        }
        assert!(fisher_exact(share(3, 2), share(1, 2), Alternative::Less).is_err());
        let interval = MeanDifference::of(&[1.0, 2.0], &[3.0, 5.0]).expect("valid").interval(1.0);
        assert!(interval.is_err());
    }

    proptest! {
        /// U counts pairs.
        #[test]
        fn u_is_the_number_of_pairs_won(
            a in prop::collection::vec((0i32..9).prop_map(f64::from), 1..30),
            b in prop::collection::vec((0i32..9).prop_map(f64::from), 1..30),
        ) {
            let ranks = MannWhitney { alternative: Alternative::TwoSided };
            let Ok(found) = ranks.compare(&a, &b) else { return Ok(()) };
            let pairs = a.iter().flat_map(|x| b.iter().map(move |y| (x, y)));
            let wins: f64 = pairs.map(|(x, y)| if y > x { 1.0 } else if y == x { 0.5 } else { 0.0 }).sum();
            prop_assert_eq!(found.statistic, wins);
            let p = found.p_value.expect("known");
            prop_assert!((0.0..=1.0).contains(&p));
        }

        /// Swapping the samples swaps the sides.
        #[test]
        fn sides_are_symmetric(a in 0u64..40, b in 0u64..40) {
            let (x, y) = (share(a, 40), share(b, 45));
            let less = fisher_exact(x, y, Alternative::Less).expect("valid");
            let greater = fisher_exact(y, x, Alternative::Greater).expect("valid");
            prop_assert!((less - greater).abs() < 1e-9);
        }
    }
}
