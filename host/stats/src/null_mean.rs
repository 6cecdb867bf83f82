//! How high the mean of a stream may be before it counts as changed, when a baseline is all that is known of it. Not
//! the detector that watches the stream: that is [`crate::e_detector`].
//!
//! Sources: C. J. Clopper and E. S. Pearson (1934) for 0/1 errors; W. Hoeffding (1963), theorem 1, for errors of any
//! size in [0, 1].

use crate::StatsError;
use crate::e_detector::MARGIN;
use crate::error::require;
use crate::special::beta_upper_quantile;

/// The `null_mean` for a baseline that was itself only estimated: the one-sided upper confidence bound of its
/// error rate, plus the tolerated worsening, kept just below 1.
///
/// The bound is Clopper and Pearson's and not Wilson's, because its coverage is never below `confidence`: the
/// promised run length then holds with at least that probability, also for rare errors, where Wilson's bound is
/// too low. `effective_n` (0 < it ≤ n) replaces `n` where the baseline's errors are correlated; the rate stays.
///
/// # Errors
/// [`StatsError::Parameter`] if `n` is 0, `errors > n`, `tolerance` is not in [0, 1), `confidence` not strictly
/// between 0 and 1, or `effective_n` not in (0, n].
pub fn null_mean_upper(
    errors: u64,
    n: u64,
    tolerance: f64,
    confidence: f64,
    effective_n: Option<f64>,
) -> Result<f64, StatsError> {
    require(n >= 1, "n", n as f64, "1 or more")?;
    require(errors <= n, "errors", errors as f64, "0 to n")?;
    check_margins(tolerance, confidence)?;
    let size = effective_n.unwrap_or(n as f64);
    require(size > 0.0 && size <= n as f64, "effective_n", size, "more than 0, up to n")?;
    let rate = errors as f64 / n as f64;
    let bound = if errors == n {
        1.0
    } else {
        beta_upper_quantile(1.0 - confidence, rate * size + 1.0, (1.0 - rate) * size)
    };
    Ok((bound + tolerance).clamp(MARGIN, 1.0 - MARGIN))
}

/// As [`null_mean_upper`], for an error of any size in [0, 1] (e.g. a scaled regression error) of which only the
/// baseline's mean is known. The bound is Chernoff's, which holds for any independent values in [0, 1]; `n` is the
/// number of values, or the effective one.
///
/// # Errors
/// [`StatsError::Parameter`] if `mean` is not in [0, 1], `n` not at least 1, or as [`null_mean_upper`].
pub fn null_mean_upper_bounded(
    mean: f64,
    n: f64,
    tolerance: f64,
    confidence: f64,
) -> Result<f64, StatsError> {
    require((0.0..=1.0).contains(&mean), "mean", mean, "0 to 1")?;
    require(n >= 1.0 && n.is_finite(), "n", n, "1 or more")?;
    check_margins(tolerance, confidence)?;
    Ok((chernoff_upper(mean, n, 1.0 - confidence) + tolerance).clamp(MARGIN, 1.0 - MARGIN))
}

fn check_margins(tolerance: f64, confidence: f64) -> Result<(), StatsError> {
    require((0.0..1.0).contains(&tolerance), "tolerance", tolerance, "0 up to but not 1")?;
    require(confidence > 0.0 && confidence < 1.0, "confidence", confidence, "between 0 and 1, both excluded")
}

/// The greatest mean that `n` independent values in [0, 1] with this `mean` leave plausible: the `m ≥ mean` with
/// n·KL(mean ‖ m) = ln(1/risk). (W. Hoeffding 1963, theorem 1.)
pub(crate) fn chernoff_upper(mean: f64, n: f64, risk: f64) -> f64 {
    let limit = libm::log(1.0 / risk) / n;
    let part = |p: f64, q: f64| if p == 0.0 { 0.0 } else { p * libm::log(p / q) };
    let divergence = |m: f64| part(mean, m) + part(1.0 - mean, 1.0 - m);
    let (mut low, mut high) = (mean, 1.0);
    for _ in 0..60 {
        let middle = 0.5 * (low + high);
        if divergence(middle) > limit { high = middle } else { low = middle }
    }
    high
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_baselines_own_uncertainty_is_included() {
        // Clopper and Pearson with no error in n: 1 - (1 - confidence)^(1/n), the "rule of three".
        let none_in_100 = null_mean_upper(0, 100, 0.0, 0.95, None).expect("valid");
        assert!((none_in_100 - (1.0 - libm::pow(0.05, 0.01))).abs() < 1e-12);
        let large = null_mean_upper(3_000, 10_000, 0.02, 0.95, None).expect("valid");
        let small = null_mean_upper(30, 100, 0.02, 0.95, None).expect("valid");
        let correlated = null_mean_upper(3_000, 10_000, 0.02, 0.95, Some(100.0)).expect("valid");
        assert!(0.32 < large && large < 0.33, "{large}");
        assert!((small - correlated).abs() < 1e-12, "a hundred effective errors weigh like a hundred");
        assert!(null_mean_upper(10, 10, 0.5, 0.95, None).expect("valid") < 1.0);
        for (name, result) in [
            ("n", null_mean_upper(0, 0, 0.0, 0.95, None)),
            ("errors", null_mean_upper(2, 1, 0.0, 0.95, None)),
            ("tolerance", null_mean_upper(1, 2, -0.1, 0.95, None)),
            ("confidence", null_mean_upper(1, 2, 0.0, 1.0, None)),
            ("effective_n", null_mean_upper(1, 2, 0.0, 0.95, Some(3.0))),
        ] {
            assert!(matches!(result, Err(StatsError::Parameter { parameter, .. }) if parameter == name));
        }
    }

    #[test]
    fn any_bounded_error_has_an_uncertain_mean_too() {
        // No error in n: m with −n·ln(1 − m) = ln(1/risk).
        let none_in_100 = null_mean_upper_bounded(0.0, 100.0, 0.0, 0.95).expect("valid");
        assert!((none_in_100 - (1.0 - libm::pow(0.05, 0.01))).abs() < 1e-12);
        let bound = null_mean_upper_bounded(0.3, 1000.0, 0.02, 0.95).expect("valid");
        let binary = null_mean_upper(300, 1000, 0.02, 0.95, None).expect("valid");
        assert!(
            binary < bound && bound < binary + 0.02,
            "a little wider than for 0/1 errors: {bound} {binary}"
        );
        assert!(null_mean_upper_bounded(1.0, 10.0, 0.0, 0.95).expect("valid") < 1.0);
        for (name, result) in [
            ("mean", null_mean_upper_bounded(f64::NAN, 10.0, 0.0, 0.95)),
            ("n", null_mean_upper_bounded(0.5, 0.0, 0.0, 0.95)),
            ("tolerance", null_mean_upper_bounded(0.5, 10.0, 1.0, 0.95)),
            ("confidence", null_mean_upper_bounded(0.5, 10.0, 0.0, 0.0)),
        ] {
            assert!(matches!(result, Err(StatsError::Parameter { parameter, .. }) if parameter == name));
        }
    }
}
