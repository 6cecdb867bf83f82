//! One observed share against a given one, and intervals for a share. Not for two samples against each other.
//!
//! Conforms to statsmodels 0.15 (`proportions_ztest` with the null variance, `binom_test`,
//! `proportion_confint`). Sources: E. B. Wilson (1927); C. J. Clopper and E. S. Pearson (1934);
//! L. D. Brown, T. T. Cai, A. DasGupta, "Interval Estimation for a Binomial Proportion" (2001).

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::require;
use crate::special::{
    LARGE, beta_quantile, beta_split, beta_upper_quantile, ln_beta, ln_beta_power, normal_cdf,
    normal_quantile,
};

/// Which departures from the null hypothesis count as evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Alternative {
    /// The quantity is lower than the null says.
    Less,
    /// The quantity is higher than the null says.
    Greater,
    /// Either.
    TwoSided,
}

impl Alternative {
    /// p-value of a standard normal statistic.
    pub(crate) fn normal_p(self, z: f64) -> f64 {
        match self {
            Self::Less => normal_cdf(z),
            Self::Greater => normal_cdf(-z),
            Self::TwoSided => (2.0 * normal_cdf(-z.abs())).min(1.0),
        }
    }
}

/// A test statistic on the test's own scale, and its p-value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TestResult {
    /// The statistic.
    pub statistic: f64,
    /// Probability, under the null, of a statistic at least this extreme; in [0, 1].
    pub p_value: f64,
}

/// A range of plausible values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How an interval for a share is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum IntervalMethod {
    /// Inverts the z-test; close to nominal coverage on average, good default for display.
    Wilson,
    /// Inverts the exact binomial test; coverage is never below nominal, hence wider.
    ClopperPearson,
    /// Equal-tailed posterior under the Jeffreys prior Beta(½, ½).
    Jeffreys,
    /// Wilson's centre with a plain normal width, clipped to [0, 1].
    AgrestiCoull,
}

/// Successes and size as numbers; up to 1e15, where both are still exact.
pub(crate) fn check_counts(successes: u64, n: u64) -> Result<(f64, f64), StatsError> {
    require((1..=1_000_000_000_000_000).contains(&n), "n", n as f64, "1 to 1e15")?;
    require(successes <= n, "successes", successes as f64, "0 to n")?;
    Ok((successes as f64, n as f64))
}

fn check_share(name: &'static str, p: f64) -> Result<(), StatsError> {
    require(p > 0.0 && p < 1.0, name, p, "between 0 and 1, both excluded")
}

/// z-test of a share against `p0`, with the variance under the null, p0(1−p0)/n.
///
/// # Errors
/// [`StatsError::Parameter`] if `n` is 0, `successes > n`, or `p0` is not strictly between 0 and 1.
pub fn z_test(successes: u64, n: u64, p0: f64, alternative: Alternative) -> Result<TestResult, StatsError> {
    let (k, count) = check_counts(successes, n)?;
    check_share("p0", p0)?;
    let statistic = (k / count - p0) / (p0 * (1.0 - p0) / count).sqrt();
    Ok(TestResult { statistic, p_value: alternative.normal_p(statistic) })
}

/// Exact binomial test of a share against `p0`; returns the p-value. Two-sided sums every outcome that is no
/// more probable than the one seen (with a relative slack of 1e-7 for ties, as R and scipy do).
///
/// # Errors
/// As [`z_test`].
pub fn binomial_test(successes: u64, n: u64, p0: f64, alternative: Alternative) -> Result<f64, StatsError> {
    check_counts(successes, n)?;
    check_share("p0", p0)?;
    Ok(match alternative {
        Alternative::Less => binomial_at_most(successes, n, p0),
        Alternative::Greater => binomial_at_least(successes, n, p0),
        Alternative::TwoSided => binomial_two_sided(successes, n, p0),
    })
}

/// P(X ≤ k).
fn binomial_at_most(k: u64, n: u64, p: f64) -> f64 {
    if k >= n { 1.0 } else { beta_split(1.0 - p, p, (n - k) as f64, (k + 1) as f64) }
}

/// P(X ≥ k).
fn binomial_at_least(k: u64, n: u64, p: f64) -> f64 {
    if k == 0 { 1.0 } else { beta_split(p, 1.0 - p, k as f64, (n - k + 1) as f64) }
}

fn ln_binomial_mass(k: u64, n: u64, p: f64) -> f64 {
    let (kf, nf) = (k as f64, n as f64);
    if nf > LARGE {
        return ln_beta_power(p, 1.0 - p, kf + 1.0, nf - kf + 1.0)
            - libm::log(nf + 1.0)
            - libm::log(p)
            - libm::log1p(-p);
    }
    let ln_choose = -libm::log(nf + 1.0) - ln_beta(kf + 1.0, nf - kf + 1.0);
    ln_choose + kf * libm::log(p) + (nf - kf) * libm::log1p(-p)
}

fn binomial_two_sided(k: u64, n: u64, p: f64) -> f64 {
    let limit = ln_binomial_mass(k, n, p) + libm::log1p(1e-7);
    let mode = (((n + 1) as f64 * p) as u64).min(n);
    // The mass rises up to the mode and falls after it, so each tail's edge is found by bisection.
    let both = if k <= mode {
        let edge = first(mode, n + 1, |i| ln_binomial_mass(i, n, p) <= limit).max(k + 1);
        let upper = if edge > n { 0.0 } else { binomial_at_least(edge, n, p) };
        binomial_at_most(k, n, p) + upper
    } else {
        let edge = first(0, mode + 1, |i| ln_binomial_mass(i, n, p) > limit).min(k);
        let lower = if edge == 0 { 0.0 } else { binomial_at_most(edge - 1, n, p) };
        binomial_at_least(k, n, p) + lower
    };
    both.min(1.0)
}

/// The first `i` in `low..high` for which `test` holds, or `high`; `test` must go from false to true once.
fn first(mut low: u64, mut high: u64, test: impl Fn(u64) -> bool) -> u64 {
    while low < high {
        let middle = low + (high - low) / 2;
        if test(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// Two-sided interval for a share at `confidence` (e.g. 0.95).
///
/// # Errors
/// [`StatsError::Parameter`] if `n` is 0, `successes > n`, or `confidence` is not strictly between 0 and 1.
pub fn interval(
    successes: u64,
    n: u64,
    confidence: f64,
    method: IntervalMethod,
) -> Result<Interval, StatsError> {
    let (k, count) = check_counts(successes, n)?;
    check_share("confidence", confidence)?;
    let tail = 0.5 * (1.0 - confidence);
    let share = k / count;
    Ok(match method {
        IntervalMethod::Wilson => {
            let z = -normal_quantile(tail);
            let z2 = z * z;
            let centre = (share + z2 / (2.0 * count)) / (1.0 + z2 / count);
            let half =
                z / (1.0 + z2 / count) * (share * (1.0 - share) / count + z2 / (4.0 * count * count)).sqrt();
            Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
        }
        IntervalMethod::ClopperPearson => Interval {
            low: if successes == 0 { 0.0 } else { beta_quantile(tail, k, count - k + 1.0) },
            high: if successes == n { 1.0 } else { beta_upper_quantile(tail, k + 1.0, count - k) },
        },
        IntervalMethod::Jeffreys => Interval {
            low: beta_quantile(tail, k + 0.5, count - k + 0.5),
            high: beta_upper_quantile(tail, k + 0.5, count - k + 0.5),
        },
        IntervalMethod::AgrestiCoull => {
            let z = -normal_quantile(tail);
            let adjusted = count + z * z;
            let centre = (k + 0.5 * z * z) / adjusted;
            let half = z * (centre * (1.0 - centre) / adjusted).sqrt();
            Interval { low: (centre - half).max(0.0), high: (centre + half).min(1.0) }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn impossible_inputs_are_named() {
        let cases = [
            ("n", z_test(0, 0, 0.5, Alternative::Less).err()),
            ("successes", z_test(3, 2, 0.5, Alternative::Less).err()),
            ("p0", z_test(1, 2, 0.0, Alternative::Less).err()),
            ("p0", binomial_test(1, 2, f64::NAN, Alternative::Less).err()),
            ("confidence", interval(1, 2, 1.0, IntervalMethod::Wilson).err()),
        ];
        for (name, error) in cases {
            assert!(
                matches!(error, Some(StatsError::Parameter { parameter, .. }) if parameter == name),
                "{name}: {error:?}"
            );
        }
    }

    #[test]
    fn an_outcome_at_the_end_of_the_range_has_no_other_tail_beyond_it() {
        for (k, n, p, want) in [(3, 3, 0.9, 1.0), (1, 1, 0.5, 1.0), (0, 4, 0.5, 0.125), (4, 4, 0.5, 0.125)] {
            let got = binomial_test(k, n, p, Alternative::TwoSided).expect("valid");
            assert!((got - want).abs() < 1e-12, "{k} of {n}: {got}");
        }
    }

    proptest! {
        #[test]
        fn tails_of_the_exact_test_overlap_in_one_outcome(k in 0u64..300, n in 1u64..300, p in 0.01..0.99f64) {
            let k = k % (n + 1);
            let less = binomial_test(k, n, p, Alternative::Less).expect("valid");
            let greater = binomial_test(k, n, p, Alternative::Greater).expect("valid");
            let mass = libm::exp(ln_binomial_mass(k, n, p));
            prop_assert!((less + greater - 1.0 - mass).abs() < 1e-10);
            let both = binomial_test(k, n, p, Alternative::TwoSided).expect("valid");
            prop_assert!(both >= less.min(greater) * (1.0 - 1e-9) && both <= 1.0);
        }

        #[test]
        fn intervals_lie_in_the_unit_range_and_the_exact_ones_hold_the_share(k in 0u64..500, n in 1u64..500) {
            let k = k % (n + 1);
            let share = k as f64 / n as f64;
            for method in [
                IntervalMethod::Wilson, IntervalMethod::ClopperPearson,
                IntervalMethod::Jeffreys, IntervalMethod::AgrestiCoull,
            ] {
                let Interval { low, high } = interval(k, n, 0.95, method).expect("valid");
                prop_assert!(0.0 <= low && low < high && high <= 1.0, "{method:?} {low} {high}");
                // The Jeffreys interval is known to leave out a share of exactly 0 or 1.
                let holds = low - 1e-12 <= share && share <= high + 1e-12;
                prop_assert!(holds || method == IntervalMethod::Jeffreys);
            }
        }
    }
}
