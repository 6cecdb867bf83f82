//! Distributions of the Kolmogorov–Smirnov statistics. Not the statistics themselves; those are in [`crate::ks`].
//!
//! Sources: J. L. Hodges, "The Significance Probability of the Smirnov Two-Sample Test" (1958), for two samples;
//! R. Simard and P. L'Ecuyer, "Computing the Two-Sided Kolmogorov-Smirnov Distribution" (2011), for which method
//! serves where with one sample; G. Marsaglia, W. W. Tsang, J. Wang (2003) for the matrix power; W. Pelz and
//! I. J. Good (1976) for the series; Z. W. Birnbaum and F. H. Tingey (1951) for one side.

use core::f64::consts::PI;

use crate::special::stirling_rest;

/// P(D ≥ `distance`) for two samples of `n` and `m` independent values without ties; exact.
///
/// For equal sizes this takes O(n) steps, else O(n·m·distance).
pub(crate) fn two_sample_exact(distance: f64, n: u64, m: u64) -> f64 {
    // The statistic is a multiple of 1/lcm; rounding it there removes its floating-point error.
    let lcm = n / gcd(n, m) * m;
    let steps = libm::round(distance * lcm as f64) as u64;
    if steps == 0 {
        1.0
    } else if n == m {
        equal_sizes(n, steps)
    } else {
        unequal_sizes(n, m, lcm, steps, |above| above.unsigned_abs() >= steps)
    }
}

/// P(D⁺ ≥ `distance`) for two samples, one-sided; exact.
pub(crate) fn two_sample_exact_one_sided(distance: f64, n: u64, m: u64) -> f64 {
    let lcm = n / gcd(n, m) * m;
    let steps = libm::round(distance * lcm as f64) as i64;
    if steps <= 0 {
        return 1.0;
    }
    unequal_sizes(n, m, lcm, lcm + 1, |above| above >= steps)
}

/// P(D⁺ ≥ `distance`) by Hodges' approximation, symmetric in the samples.
pub(crate) fn two_sample_one_sided(distance: f64, n: f64, m: f64) -> f64 {
    let (large, small) = (n.max(m), n.min(m));
    let z2 = large * small / (large + small) * distance * distance;
    let shift = 2.0 * z2.sqrt() * (large + 2.0 * small) / (large * small * (large + small)).sqrt() / 3.0;
    libm::exp(-2.0 * z2 - shift).clamp(0.0, 1.0)
}

/// P(D ≥ `distance`) as if it were the distance of one sample of size nm/(n+m), rounded: what scipy calls
/// "asymp". Sizes may be fractional (effective sample sizes).
pub(crate) fn two_sample_asymptotic(distance: f64, n: f64, m: f64) -> f64 {
    one_sample_sf(distance, libm::rint(n * m / (n + m)).max(1.0))
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// 2·Σ (−1)^(k+1) C(2n, n − k·steps)/C(2n, n): reflections of the paths that reach the line.
fn equal_sizes(n: u64, steps: u64) -> f64 {
    let (mut sum, mut ratio, mut sign, mut offset) = (0.0, 1.0, 1.0, 0);
    while offset + steps <= n {
        for t in offset..offset + steps {
            ratio *= (n - t) as f64 / (n + t + 1) as f64;
        }
        offset += steps;
        sum += sign * ratio;
        sign = -sign;
    }
    (2.0 * sum).clamp(0.0, 1.0)
}

/// Share of the lattice paths from (0, 0) to (n, m) that pass a point which is `outside`, given the point's
/// scaled signed distance from the diagonal. No point further off than `reach` is inside.
///
/// By columns: the share at (i, j) is the mean of those at its two predecessors, weighted by how many of the
/// paths come from each. Only terms of one sign are added, so small probabilities keep their accuracy.
fn unequal_sizes(n: u64, m: u64, lcm: u64, reach: u64, outside: impl Fn(i64) -> bool) -> f64 {
    let (step_i, step_j) = ((lcm / n) as i64, (lcm / m) as i64);
    let mut column: Vec<f64> = vec![0.0; m as usize + 1];
    for i in 0..=n {
        // Rows whose distance can be below `reach`; all others are outside.
        let centre = i as i64 * step_i;
        let low = (centre - reach as i64).max(0) / step_j;
        let high = ((centre + reach as i64) / step_j).min(m as i64);
        if low > 0 {
            column[low as usize - 1] = 1.0;
        }
        for j in low..=high {
            let slot = j as usize;
            let share = if outside(centre - j * step_j) {
                1.0
            } else if i == 0 && j == 0 {
                0.0
            } else {
                let (i, j) = (i as f64, j as f64);
                let from_left = if i > 0.0 { i * column[slot] } else { 0.0 };
                let from_below = if slot > 0 { j * column[slot - 1] } else { 0.0 };
                (from_left + from_below) / (i + j)
            };
            column[slot] = share;
        }
        // The next column's band reaches further up; what it reads there has not been inside yet.
        for slot in high + 1..=((centre + step_i + reach as i64) / step_j).min(m as i64) {
            column[slot as usize] = 1.0;
        }
    }
    column[m as usize].clamp(0.0, 1.0)
}

/// P(Dₙ ≥ x) for one sample of size `n` (a whole number as f64, at least 1).
pub(crate) fn one_sample_sf(x: f64, n: f64) -> f64 {
    let nx = n * x;
    let nxx = nx * x;
    if nx <= 0.5 {
        return 1.0;
    }
    if x >= 1.0 {
        return 0.0;
    }
    if nx <= 1.0 {
        // n!·(2x − 1/n)^n
        let ln = libm::lgamma(n + 1.0) + n * libm::log((2.0 * nx - 1.0) / n);
        return 1.0 - libm::exp(ln);
    }
    if nx >= n - 1.0 {
        return 2.0 * libm::pow(1.0 - x, n);
    }
    let two_tails = || (2.0 * one_sided_sf(x, n)).min(1.0);
    if x >= 0.5 {
        return two_tails();
    }
    if n <= 140.0 {
        return if nxx <= 4.0 { 1.0 - matrix_power_cdf(x, n) } else { two_tails() };
    }
    if nxx >= 370.0 {
        return 0.0;
    }
    if nxx >= 2.2 {
        return two_tails();
    }
    // Below this the distribution function is less than 1e-15.
    if nxx < 0.03 {
        return 1.0;
    }
    let cdf = if n <= 1e5 && nx * x.sqrt() <= 1.4 { matrix_power_cdf(x, n) } else { pelz_good_cdf(x, n) };
    (1.0 - cdf).clamp(0.0, 1.0)
}

/// P(Dₙ⁺ ≥ x) = Σⱼ x/(x + j/n) · b(j; n, x + j/n), with b the binomial probability, for 1 < n·x < n.
///
/// The terms vanish with all their derivatives at both ends, so for large `n` every s-th term, times s, gives
/// the sum to full accuracy (Euler–Maclaurin), as long as a few thousand remain.
fn one_sided_sf(x: f64, n: f64) -> f64 {
    let stride = libm::ceil(n / 4000.0).max(1.0);
    let nx = n * x;
    let mut sum = libm::pow(1.0 - x, n);
    let mut j = stride;
    while n - j - nx > 0.0 {
        let rest = n - j;
        let ln = stirling(n)
            - stirling(j)
            - stirling(rest)
            - (nx - j * libm::log1p(nx / j))
            - (-nx - rest * libm::log1p(-nx / rest));
        sum += stride * libm::exp(ln) * (n / (2.0 * PI * j * rest)).sqrt() * nx / (nx + j);
        j += stride;
    }
    sum.min(1.0)
}

/// ln x! minus the leading part of Stirling's formula, for x ≥ 1.
fn stirling(x: f64) -> f64 {
    if x >= 10.0 {
        stirling_rest(x)
    } else {
        libm::lgamma(x + 1.0) - (x + 0.5) * libm::log(x) + x - 0.5 * libm::log(2.0 * PI)
    }
}

/// P(Dₙ < x), exact, by the n-th power of a matrix of size about 2nx.
fn matrix_power_cdf(x: f64, n: f64) -> f64 {
    let k = libm::floor(n * x) as usize + 1;
    let h = k as f64 - n * x;
    let size = 2 * k - 1;
    let mut step = Matrix::zero(size);
    for row in 0..size {
        let mut inverse_factorial = 1.0;
        for column in (0..=(row + 1).min(size - 1)).rev() {
            if row + 1 > column {
                inverse_factorial /= (row + 1 - column) as f64;
            }
            *step.at(row, column) = inverse_factorial;
        }
    }
    // The first column and last row lose the paths that start or end beyond the boundary.
    let mut term = 1.0;
    for i in 0..size {
        term *= h / (i + 1) as f64;
        *step.at(i, 0) -= term;
        *step.at(size - 1, size - 1 - i) -= term;
    }
    if h > 0.5 {
        let doubled = 2.0 * h - 1.0;
        *step.at(size - 1, 0) += (1..=size).fold(1.0, |term, i| term * doubled / i as f64);
    }
    let power = step.power(n as u64);
    // times n!/n^n, by logarithms because both factors leave the range of numbers
    let (value, exponent) = (power.entries[(k - 1) * size + k - 1], f64::from(power.exponent));
    let ln_factor = libm::lgamma(n + 1.0) - n * libm::log(n) + exponent * core::f64::consts::LN_2;
    (value * libm::exp(ln_factor)).clamp(0.0, 1.0)
}

/// A square matrix times 2^exponent.
struct Matrix {
    size: usize,
    entries: Vec<f64>,
    exponent: i32,
}

impl Matrix {
    fn zero(size: usize) -> Self {
        Self { size, entries: vec![0.0; size * size], exponent: 0 }
    }

    fn at(&mut self, row: usize, column: usize) -> &mut f64 {
        &mut self.entries[row * self.size + column]
    }

    fn times(&self, other: &Self) -> Self {
        let mut product = Self::zero(self.size);
        product.exponent = self.exponent + other.exponent;
        for (row, out) in product.entries.chunks_exact_mut(self.size).enumerate() {
            for (inner, line) in other.entries.chunks_exact(self.size).enumerate() {
                let factor = self.entries[row * self.size + inner];
                out.iter_mut().zip(line).for_each(|(sum, x)| *sum += factor * x);
            }
        }
        // Keeps entries in range; the scale is a power of two and hence exact.
        if product.entries[self.size / 2 * self.size + self.size / 2] > 1e140 {
            product.entries.iter_mut().for_each(|x| *x = libm::ldexp(*x, -460));
            product.exponent += 460;
        }
        product
    }

    fn power(self, n: u64) -> Self {
        let (mut base, mut result, mut n) = (self, None::<Self>, n);
        loop {
            if n & 1 == 1 {
                result = Some(result.map_or_else(|| base.copy(), |r| r.times(&base)));
            }
            n >>= 1;
            match (n, result) {
                (0, Some(done)) => return done,
                (_, partial) => result = partial,
            }
            base = base.times(&base);
        }
    }

    fn copy(&self) -> Self {
        Self { size: self.size, entries: self.entries.clone(), exponent: self.exponent }
    }
}

/// P(Dₙ < x) by Pelz and Good's series in 1/√n, for n > 140.
fn pelz_good_cdf(x: f64, n: f64) -> f64 {
    let z = n.sqrt() * x;
    let (z2, z4) = (z * z, z * z * z * z);
    let z6 = z4 * z2;
    let (mut k0, mut k1, mut k2, mut k3) = (0.0, 0.0, 0.0, 0.0);
    // Both sums run over all whole k; terms die off like exp(−k²), 12 are far more than enough for z ≤ 1.5.
    for k in 0..12 {
        let half = PI * (f64::from(k) + 0.5);
        let (a2, weight) = (half * half, libm::exp(-half * half / (2.0 * z2)));
        let (a4, a6) = (a2 * a2, a2 * a2 * a2);
        k0 += weight;
        k1 += (a2 - z2) * weight;
        k2 += (6.0 * z6 + 2.0 * z4 + (2.0 * z4 - 5.0 * z2) * a2 + (1.0 - 2.0 * z2) * a4) * weight;
        k3 += (-30.0 * z6 - 90.0 * z4 * z4
            + (135.0 * z4 - 96.0 * z6) * a2
            + (212.0 * z4 - 60.0 * z2) * a4
            + (5.0 - 30.0 * z2) * a6)
            * weight;
    }
    let (mut whole2, mut whole3) = (0.0, 0.0);
    for k in 1..12 {
        let a2 = PI * PI * f64::from(k * k);
        let weight = libm::exp(-a2 / (2.0 * z2));
        whole2 += a2 * weight;
        whole3 += (3.0 * z2 * a2 - a2 * a2) * weight;
    }
    let root = (PI / 2.0).sqrt();
    // Each sum over k ≥ 0 stands for twice as many terms.
    let k0 = 2.0 * root / z * k0;
    let k1 = 2.0 * root / (6.0 * z4) * k1;
    let k2 = 2.0 * root * (k2 / (72.0 * z6 * z) - whole2 / (36.0 * z2 * z));
    let k3 = 2.0 * root * (k3 / (6480.0 * z4 * z6) + whole3 / (216.0 * z6));
    (k0 + k1 / n.sqrt() + k2 / n + k3 / (n * n.sqrt())).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::special::ln_beta;

    /// ln of the number of ways to interleave two samples.
    fn ln_paths(n: u64, m: u64) -> f64 {
        -libm::log((n + m + 1) as f64) - ln_beta(n as f64 + 1.0, m as f64 + 1.0)
    }

    /// Every interleaving of the two samples, counted.
    fn enumerated(distance: f64, n: u32, m: u32, two_sided: bool) -> f64 {
        let (mut all, mut far) = (0u32, 0u32);
        for order in 0u32..1 << (n + m) {
            if order.count_ones() != n {
                continue;
            }
            all += 1;
            let (mut i, mut j, mut reached) = (0, 0, false);
            for step in 0..n + m {
                if order >> step & 1 == 1 {
                    i += 1
                } else {
                    j += 1
                }
                let gap = f64::from(i) / f64::from(n) - f64::from(j) / f64::from(m);
                reached |= (if two_sided { gap.abs() } else { gap }) >= distance - 1e-12;
            }
            far += u32::from(reached);
        }
        f64::from(far) / f64::from(all)
    }

    #[test]
    fn exact_probabilities_are_shares_of_interleavings() {
        for (n, m) in [(1, 1), (2, 3), (3, 3), (5, 4), (6, 8), (7, 7)] {
            let lcm = u64::from(n) * u64::from(m) / gcd(u64::from(n), u64::from(m));
            for steps in 0..=lcm {
                let d = steps as f64 / lcm as f64;
                let (got, want) = (two_sample_exact(d, n.into(), m.into()), enumerated(d, n, m, true));
                assert!((got - want).abs() < 1e-12, "two-sided {n} {m} {d}: {got} {want}");
                let (got, want) =
                    (two_sample_exact_one_sided(d, n.into(), m.into()), enumerated(d, n, m, false));
                // At 0 the path's start counts too: the one-sided statistic is never negative.
                assert!(steps == 0 || (got - want).abs() < 1e-12, "one-sided {n} {m} {d}: {got} {want}");
            }
        }
    }

    #[test]
    fn disjoint_samples_are_two_of_all_interleavings() {
        for (n, m) in [(40, 40), (30, 200), (999, 1000)] {
            let want = libm::exp(libm::log(2.0) - ln_paths(n, m));
            let got = two_sample_exact(1.0, n, m);
            assert!((got - want).abs() <= 1e-9 * want, "{n} {m}: {got} {want}");
        }
    }

    /// One sample: closed forms at the ends of the range, and the methods agree where they meet.
    #[test]
    fn one_sample_methods_agree() {
        assert!(
            (one_sample_sf(0.3, 1.0) - (1.0 - 0.0)).abs() < 1e-15,
            "a single value is never nearer than ½"
        );
        assert!((one_sample_sf(0.75, 1.0) - 0.5).abs() < 1e-15);
        // n = 2, ½ ≤ x ≤ 1: 2(1−x)²
        assert!((one_sample_sf(0.6, 2.0) - 0.32).abs() < 1e-12);
        for n in [20.0, 60.0, 140.0] {
            // Far out the two sides exclude each other up to squares of the tail.
            let x = (2.5f64 / n).sqrt();
            let (matrix, tails) = (1.0 - matrix_power_cdf(x, n), 2.0 * one_sided_sf(x, n));
            assert!((matrix - tails).abs() < 1e-3 * tails * tails + 1e-13, "{n}: {matrix} {tails}");
        }
        for n in [150.0, 1000.0, 5000.0] {
            for z in [0.6, 0.9, 1.3] {
                let (series, exact) =
                    (pelz_good_cdf(z / f64::sqrt(n), n), matrix_power_cdf(z / f64::sqrt(n), n));
                assert!((series - exact).abs() < 1.0 / (n * n), "{n} {z}: {series} {exact}");
            }
        }
    }

    /// Every s-th term gives what all terms give.
    #[test]
    fn the_one_sided_sum_may_be_thinned() {
        for n in [5_000.0, 50_000.0] {
            for z2 in [1.5, 2.2, 6.0, 30.0] {
                let x = f64::sqrt(z2 / n);
                let nx = n * x;
                let all: f64 = (1..)
                    .map(f64::from)
                    .take_while(|j| n - j - nx > 0.0)
                    .map(|j| {
                        let p = x + j / n;
                        let ln = -libm::log(n + 1.0) - ln_beta(j + 1.0, n - j + 1.0)
                            + j * libm::log(p)
                            + (n - j) * libm::log1p(-p);
                        libm::exp(ln) * x / p
                    })
                    .sum();
                let got = one_sided_sf(x, n);
                assert!((got - all).abs() < 1e-9 * all, "{n} {z2}: {got} {all}");
            }
        }
    }

    proptest! {
        #[test]
        fn probabilities_fall_with_distance(n in 1u64..80, m in 1u64..80, a in 0.0..=1.0f64, b in 0.0..=1.0f64) {
            let (near, far) = (a.min(b), a.max(b));
            for p in [two_sample_exact, two_sample_exact_one_sided] {
                prop_assert!(p(near, n, m) >= p(far, n, m) - 1e-12);
            }
            let en = (n * m) as f64;
            prop_assert!(one_sample_sf(near, en) >= one_sample_sf(far, en) - 1e-7);
        }
    }
}
