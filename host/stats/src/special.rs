//! Distribution functions, on `libm` only. Not a general library of special functions: what the tests here need.
//!
//! They are written here rather than taken from a crate because the logarithms and exponentials of other
//! crates come from the platform, whose last bits differ between machines.
//! Sources: W. H. Press et al., *Numerical Recipes* (incomplete beta and gamma by continued fraction, modified
//! Lentz); NIST DLMF 8.17.22 and 8.9.2 for the fractions, 5.11.3 for Stirling's correction; C. Loader,
//! "Fast and Accurate Computation of Binomial Probabilities" (2000), for large counts.

use core::f64::consts::{PI, SQRT_2};

/// Smallest denominator in a continued fraction, so that it never divides by zero.
const TINY: f64 = 1e-300;
/// A continued fraction has converged when a step changes it by less.
const CONVERGED: f64 = 1e-16;
/// Upper bound on steps; they grow with the square root of the parameters, so this serves counts up to 1e10.
const MAX_STEPS: u32 = 200_000;
/// From here on differences of large logarithms lose digits that matter, and are written out.
pub(crate) const LARGE: f64 = 1e6;

/// Standard normal distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * libm::erfc(-z / SQRT_2)
}

/// Standard normal quantile: the `z` with `normal_cdf(z) = p`. Infinite at 0 and 1, NaN outside [0, 1].
pub fn normal_quantile(p: f64) -> f64 {
    if !(0.0..=1.0).contains(&p) {
        return f64::NAN;
    }
    if p == 0.0 || p == 1.0 {
        return if p == 0.0 { f64::NEG_INFINITY } else { f64::INFINITY };
    }
    // The lower tail is where `normal_cdf` keeps its relative accuracy.
    let tail = p.min(1.0 - p);
    // Start within 3e-3 (Hastings), then Halley's steps, each of which triples the number of digits.
    let t = (-2.0 * libm::log(tail)).sqrt();
    let mut z = (2.30753 + 0.27061 * t) / (1.0 + t * (0.99229 + 0.04481 * t)) - t;
    for _ in 0..3 {
        let density = libm::exp(-0.5 * z * z) / (2.0 * PI).sqrt();
        let step = (normal_cdf(z) - tail) / density;
        z -= step / (1.0 + 0.5 * z * step);
    }
    if p < 0.5 { z } else { -z }
}

/// ln B(a, b) for a, b > 0. Where both are large, by Stirling's series: the plain difference of log-gammas
/// would cancel.
pub(crate) fn ln_beta(a: f64, b: f64) -> f64 {
    let (small, large) = (a.min(b), a.max(b));
    if small < 10.0 {
        let difference = if large > LARGE {
            stirling_difference(small, large)
        } else {
            libm::lgamma(large) - libm::lgamma(small + large)
        };
        return libm::lgamma(small) + difference;
    }
    let share = small / (small + large);
    let correction = stirling_rest(small) + stirling_rest(large) - stirling_rest(small + large);
    0.5 * libm::log(2.0 * PI / large)
        + correction
        + (small - 0.5) * libm::log(share)
        + large * libm::log1p(-share)
}

/// ln Γ(large) − ln Γ(small + large), by the difference of Stirling's series, each part of which is small.
fn stirling_difference(small: f64, large: f64) -> f64 {
    let sum = small + large;
    small - (large - 0.5) * libm::log1p(small / large) - small * libm::log(sum) + stirling_rest(large)
        - stirling_rest(sum)
}

/// ln(xᵃ·yᵇ / B(a, b)) with y = 1 − x.
///
/// Above [`LARGE`] the three terms are so large that their sum would have lost its digits; there it is taken as how far
/// (a, b) lies from its expectation (n·x, n·y), as C. Loader does it for the binomial distribution.
pub(crate) fn ln_beta_power(x: f64, y: f64, a: f64, b: f64) -> f64 {
    let n = a + b;
    if n <= LARGE {
        let ln_x = if x < 0.5 { libm::log(x) } else { libm::log1p(-y) };
        let ln_y = if y < 0.5 { libm::log(y) } else { libm::log1p(-x) };
        return a * ln_x + b * ln_y - ln_beta(a, b);
    }
    if a > b {
        return ln_beta_power(y, x, b, a);
    }
    if a < 10.0 {
        // Γ(a) stays as it is; b and n go by Stirling's series.
        let ln_y = if y < 0.5 { libm::log(y) } else { libm::log1p(-x) };
        return a * libm::log(n * x) - a + b * ln_y + (b - 0.5) * libm::log1p(a / b) - libm::lgamma(a)
            + stirling_rest(n)
            - stirling_rest(b);
    }
    let rest = stirling_rest(a) + stirling_rest(b) - stirling_rest(n);
    0.5 * libm::log(a / n * b / (2.0 * PI)) - deviance(a, n * x) - deviance(b, n * y) - rest
}

/// k·ln(k/mean) + mean − k, also where k and mean are nearly equal.
fn deviance(k: f64, mean: f64) -> f64 {
    let away = k - mean;
    if away.abs() >= 0.1 * (k + mean) {
        return k * libm::log(k / mean) - away;
    }
    // (k − mean)·v + 2k·Σ v^(2j + 1)/(2j + 1) with v = (k − mean)/(k + mean), from artanh v = ½·ln(k/mean).
    let v = away / (k + mean);
    let (mut sum, mut power, mut odd) = (away * v, 2.0 * k * v, 1.0);
    loop {
        power *= v * v;
        odd += 2.0;
        let next = sum + power / odd;
        if next == sum {
            return sum;
        }
        sum = next;
    }
}

/// ln Γ(x) minus the leading part of Stirling's formula, for x ≥ 10.
pub(crate) fn stirling_rest(x: f64) -> f64 {
    const TERMS: [f64; 8] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
        -3617.0 / 122_400.0,
    ];
    let inverse_square = 1.0 / (x * x);
    TERMS.iter().rev().fold(0.0, |sum, term| sum * inverse_square + term) / x
}

/// Regularised incomplete beta function I_x(a, b): the probability that a Beta(a, b) variable is at most `x`.
pub fn beta_cdf(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    beta_split(x, 1.0 - x, a, b)
}

/// I_x(a, b) given `x` and its complement `y = 1 - x`, for callers that know the small one exactly.
pub(crate) fn beta_split(x: f64, y: f64, a: f64, b: f64) -> f64 {
    // The fraction converges fast only below the mean.
    if x > (a + 1.0) / (a + b + 2.0) { 1.0 - beta_tail(y, x, b, a) } else { beta_tail(x, y, a, b) }
}

fn beta_tail(x: f64, y: f64, a: f64, b: f64) -> f64 {
    if a + b > LARGE {
        return (libm::exp(ln_beta_power(x, y, a, b)) / large_fraction(x, y, a, b)).clamp(0.0, 1.0);
    }
    let front = libm::exp(ln_beta_power(x, y, a, b)) / a;
    let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
    let mut c = 1.0;
    let mut d = 1.0 / guard(1.0 - (a + b) * x / (a + 1.0));
    let mut fraction = d;
    for step in 1..MAX_STEPS {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        let mut change = 1.0;
        for term in [even, odd] {
            d = 1.0 / guard(1.0 + term * d);
            c = guard(1.0 + term / c);
            fraction *= d * c;
            change = d * c;
        }
        if (change - 1.0).abs() < CONVERGED {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

/// The same continued fraction with every two steps as one (its even part), written with what is left of `a` after its
/// expectation (a + b)·x is taken off. Below the mean all its parts are then positive, and nothing cancels where `x` or
/// `y` is tiny.
fn large_fraction(x: f64, y: f64, a: f64, b: f64) -> f64 {
    let left = if a > b { (a + b) * y - b } else { a - (a + b) * x };
    let guard = |v: f64| if v.abs() < TINY { TINY } else { v };
    let main = |m: f64| (a + m) / (a + 2.0 * m + 1.0) * (left + 1.0 + m * (1.0 + y));
    let mut fraction = guard(main(0.0));
    let (mut c, mut d) = (fraction, 0.0);
    for step in 1..MAX_STEPS {
        let m = f64::from(step);
        let scale = x / (a + 2.0 * m - 1.0);
        let numerator = (a + m - 1.0) * scale * (a + b + m - 1.0) * scale * m * (b - m);
        let denominator = m + m * (b - m) * scale + main(m);
        d = 1.0 / guard(denominator + numerator * d);
        c = guard(denominator + numerator / c);
        fraction *= c * d;
        if (c * d - 1.0).abs() < CONVERGED {
            break;
        }
    }
    fraction
}

/// Quantile of Beta(a, b): the `x` with `beta_cdf(x, a, b) = p`; 0 and 1 at the ends.
pub fn beta_quantile(p: f64, a: f64, b: f64) -> f64 {
    if p <= 0.0 {
        return 0.0;
    }
    if p >= 1.0 {
        return 1.0;
    }
    if a + b > LARGE {
        return large_quantile(a, b, |x, y| beta_split(x, y, a, b) - p);
    }
    // Newton's method kept inside a shrinking bracket.
    let (mut low, mut high) = (0.0, 1.0);
    let mut x = a / (a + b);
    let ln_b = ln_beta(a, b);
    for _ in 0..200 {
        let error = beta_cdf(x, a, b) - p;
        if error > 0.0 {
            high = x
        } else {
            low = x
        }
        let density = libm::exp((a - 1.0) * libm::log(x) + (b - 1.0) * libm::log1p(-x) - ln_b);
        let newton = x - error / density;
        let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
        if (next - x).abs() <= 1e-16 * x || high - low <= f64::MIN_POSITIVE {
            return next;
        }
        x = next;
    }
    x
}

/// The `x` that a Beta(a, b) variable exceeds with probability `tail`: from the tail itself, so that a small `x` keeps
/// its digits.
pub(crate) fn beta_upper_quantile(tail: f64, a: f64, b: f64) -> f64 {
    if a + b > LARGE && tail > 0.0 && tail < 1.0 {
        return large_quantile(a, b, |x, y| tail - beta_split(y, x, b, a));
    }
    1.0 - beta_quantile(tail, b, a)
}

/// The `x` at which `error(x, 1 − x)` is 0, which grows as the distribution function of Beta(a, b) does.
fn large_quantile(a: f64, b: f64, error: impl Fn(f64, f64) -> f64) -> f64 {
    let (mut low, mut high) = (0.0, 1.0);
    let mut x = a / (a + b);
    for _ in 0..200 {
        let off = error(x, 1.0 - x);
        if off > 0.0 {
            high = x
        } else {
            low = x
        }
        let density = libm::exp(ln_beta_power(x, 1.0 - x, a, b)) / (x * (1.0 - x));
        let newton = x - off / density;
        // Where Newton's step leaves the bracket, halve it, but go up at most twofold: the answer may be tiny.
        let next = if newton > low && newton < high {
            newton
        } else if off > 0.0 {
            0.5 * (low + x)
        } else {
            (2.0 * x).min(0.5 * (x + high))
        };
        // A step is squared by the next one; a smaller one would be noise.
        if (next - x).abs() <= 1e-13 * x || next <= low || next >= high {
            return next;
        }
        x = next;
    }
    x
}

/// Upper tail of the gamma distribution, Q(a, x) = Γ(a, x)/Γ(a).
pub(crate) fn gamma_sf(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    let front = libm::exp(a * libm::log(x) - x - libm::lgamma(a));
    if x < a + 1.0 {
        let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, a);
        for _ in 0..MAX_STEPS {
            n += 1.0;
            term *= x / n;
            sum += term;
            if term < sum * CONVERGED {
                break;
            }
        }
        return (1.0 - front * sum).clamp(0.0, 1.0);
    }
    let mut b = x + 1.0 - a;
    let mut c = 1.0 / TINY;
    let mut d = 1.0 / b;
    let mut fraction = d;
    for step in 1..MAX_STEPS {
        let i = f64::from(step);
        let term = -i * (i - a);
        b += 2.0;
        d = term * d + b;
        d = 1.0 / if d.abs() < TINY { TINY } else { d };
        c = b + term / c;
        c = if c.abs() < TINY { TINY } else { c };
        fraction *= d * c;
        if (d * c - 1.0).abs() < CONVERGED {
            break;
        }
    }
    (front * fraction).clamp(0.0, 1.0)
}

/// Probability that a chi-square variable with `df` degrees of freedom exceeds `x`.
pub fn chi_square_sf(x: f64, df: f64) -> f64 {
    gamma_sf(0.5 * df, 0.5 * x)
}

/// The value that a chi-square variable with `df` degrees of freedom stays below with probability `p`; 0 and
/// infinity at the ends.
pub fn chi_square_quantile(p: f64, df: f64) -> f64 {
    if p <= 0.0 || p >= 1.0 {
        return if p <= 0.0 { 0.0 } else { f64::INFINITY };
    }
    // Bisection in the upper tail, where the function above is accurate.
    let (mut low, mut high) = (0.0, df.max(1.0));
    while chi_square_sf(high, df) > 1.0 - p {
        high *= 2.0;
    }
    for _ in 0..200 {
        let middle = 0.5 * (low + high);
        if middle <= low || middle >= high {
            break;
        }
        if chi_square_sf(middle, df) > 1.0 - p { low = middle } else { high = middle }
    }
    high
}

/// Probability that a Student t variable with `df` degrees of freedom exceeds `t`.
pub fn student_t_sf(t: f64, df: f64) -> f64 {
    let squared = t * t;
    let tail = if squared.is_infinite() {
        0.0
    } else {
        0.5 * beta_split(df / (df + squared), squared / (df + squared), 0.5 * df, 0.5)
    };
    if t >= 0.0 { tail } else { 1.0 - tail }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(got: f64, want: f64, relative: f64) -> bool {
        (got - want).abs() <= relative * want.abs()
    }

    /// `statrs` computes the same functions another way; it is not used outside of tests, because its logarithms and
    /// exponentials are the platform's.
    #[test]
    fn an_independent_library_agrees() {
        use statrs::distribution::{Beta, ChiSquared, ContinuousCDF, Normal, StudentsT};
        let normal = Normal::standard();
        for z in [-8.0, -2.5, -0.1, 0.0, 0.7, 3.0] {
            assert!(close(normal_cdf(z), normal.cdf(z), 1e-9), "normal at {z}");
        }
        for (a, b) in [(0.5, 0.5), (2.0, 5.0), (40.0, 3.5), (300.0, 700.0)] {
            let beta = Beta::new(a, b).expect("valid");
            for x in [0.05, 0.3, 0.5, 0.9] {
                let want = beta.cdf(x);
                assert!((beta_cdf(x, a, b) - want).abs() < 1e-10, "beta({a}, {b}) at {x}: {want}");
            }
        }
        for df in [1.0, 4.0, 25.0] {
            let chi = ChiSquared::new(df).expect("valid");
            let t = StudentsT::new(0.0, 1.0, df).expect("valid");
            for x in [0.2, 1.0, 7.5, 30.0] {
                assert!((chi_square_sf(x, df) - chi.sf(x)).abs() < 1e-10, "chi-square({df}) at {x}");
                assert!((student_t_sf(x, df) - t.sf(x)).abs() < 1e-10, "t({df}) at {x}");
            }
        }
    }

    #[test]
    fn textbook_values() {
        // Closed forms and values printed in statistical tables (Abramowitz & Stegun 26.2, 26.5).
        let cases = [
            ("normal at 0", normal_cdf(0.0), 0.5),
            ("normal quantile .975", normal_quantile(0.975), 1.959963984540054),
            ("normal quantile .05", normal_quantile(0.05), -1.6448536269514722),
            ("I_x(1, 1) = x", beta_cdf(0.37, 1.0, 1.0), 0.37),
            ("I_x(a, 1) = x^a", beta_cdf(0.5, 3.0, 1.0), 0.125),
            ("I_x(1, b) = 1 - (1-x)^b", beta_cdf(0.25, 1.0, 2.0), 1.0 - 0.5625),
            ("half by symmetry", beta_cdf(0.5, 1234.5, 1234.5), 0.5),
            ("half by symmetry, large", beta_cdf(0.5, 5e8, 5e8), 0.5),
            ("I_x(a, 1), large", beta_cdf(1.0 - 1e-7, 5e6, 1.0), libm::exp(5e6 * libm::log1p(-1e-7))),
            ("I_x(1, b), large", beta_cdf(1e-7, 1.0, 5e6), -libm::expm1(5e6 * libm::log1p(-1e-7))),
            ("arcsine law", beta_cdf(0.25, 0.5, 0.5), 1.0 / 3.0),
            ("chi-square with 2 df is exponential", chi_square_sf(3.0, 2.0), libm::exp(-1.5)),
            ("chi-square with 4 df", chi_square_sf(7.0, 4.0), libm::exp(-3.5) * 4.5),
            ("Student with 1 df is Cauchy", student_t_sf(1.0, 1.0), 0.25),
            ("Student with 2 df", student_t_sf(2f64.sqrt(), 2.0), 0.5 - 0.5 * 0.5f64.sqrt()),
            (
                "ln B(20, 30)",
                ln_beta(20.0, 30.0),
                -(libm::lgamma(50.0) - libm::lgamma(20.0) - libm::lgamma(30.0)),
            ),
        ];
        for (name, got, want) in cases {
            let tolerance = if name.contains("large") { 1e-9 } else { 1e-13 };
            assert!(close(got, want, tolerance), "{name}: {got} is not {want}");
        }
        assert_eq!(normal_quantile(0.0), f64::NEG_INFINITY);
        assert_eq!(normal_quantile(1.0), f64::INFINITY);
        assert!(normal_quantile(f64::NAN).is_nan());
    }

    proptest! {
        #[test]
        fn quantiles_invert(p in 1e-12..1.0f64, a in 0.5..2000.0f64, b in 0.5..2000.0f64) {
            prop_assert!(close(normal_cdf(normal_quantile(p)), p, 1e-12));
            prop_assert!(close(beta_cdf(beta_quantile(p, a, b), a, b), p, 1e-7));
        }

        /// P(X ≤ k) of a binomial, summed term by term, against the incomplete beta function.
        #[test]
        fn beta_is_the_binomial_tail(n in 1u32..60, k in 0u32..60, p in 0.01..0.99f64) {
            let k = k % n;
            let mut term = libm::pow(1.0 - p, f64::from(n));
            let mut sum = term;
            for i in 0..k {
                term *= f64::from(n - i) / f64::from(i + 1) * p / (1.0 - p);
                sum += term;
            }
            prop_assert!(close(beta_cdf(1.0 - p, f64::from(n - k), f64::from(k + 1)), sum, 1e-10));
        }
    }
}
