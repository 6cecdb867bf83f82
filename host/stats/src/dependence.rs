//! How much a series whose neighbouring values are alike really tells. Not a model of the series.
//!
//! Source: C. J. Geyer, "Practical Markov Chain Monte Carlo" (1992): the initial positive sequence estimator of
//! the variance of a mean.

use serde::{Deserialize, Serialize};

use crate::error::{finite, require};
use crate::windowed::at_least;
use crate::{Betting, StatsError};

/// Lags looked at; dependence over longer distances is not seen in full.
const MAX_LAG: usize = 500;

/// Autocovariance at `lag` (divisor n) of values with their mean taken off.
fn autocovariance(centred: &[f64], lag: usize) -> f64 {
    let products = centred.iter().zip(&centred[lag..]).map(|(a, b)| a * b);
    products.sum::<f64>() / centred.len() as f64
}

fn centred(values: &[f64]) -> Result<Vec<f64>, StatsError> {
    at_least("series", values.len(), 1)?;
    let mut sum = 0.0;
    for &x in values {
        sum += finite(x)?;
    }
    // A constant series is its own mean; the quotient may miss it by a rounding error, which would then look like
    // dependence.
    let mean = if values.iter().all(|x| *x == values[0]) { values[0] } else { sum / values.len() as f64 };
    Ok(values.iter().map(|x| x - mean).collect())
}

/// Correlation of a series with itself `lag` steps later; 0 for a constant series or `lag ≥ n`.
///
/// # Errors
/// [`StatsError`] for an empty series or unusable values.
pub fn autocorrelation(values: &[f64], lag: usize) -> Result<f64, StatsError> {
    let centred = centred(values)?;
    let variance = autocovariance(&centred, 0);
    if lag >= centred.len() || variance == 0.0 {
        return Ok(0.0);
    }
    Ok(autocovariance(&centred, lag) / variance)
}

/// The number of independent values whose mean is as uncertain as that of this series (in order of time): n over
/// 1 + 2·Σρ, between 1 and n. Negative correlation is not rewarded, and a constant series counts in full.
///
/// # Errors
/// [`StatsError`] for an empty series or unusable values.
pub fn effective_sample_size(values: &[f64]) -> Result<f64, StatsError> {
    let centred = centred(values)?;
    let n = centred.len();
    let variance = autocovariance(&centred, 0);
    if variance == 0.0 {
        return Ok(n as f64);
    }
    // Sums of two neighbouring autocovariances are positive and fall; the first that is not is noise.
    let (mut inflation, mut previous) = (-1.0, f64::INFINITY);
    for lag in (0..MAX_LAG.min(n.saturating_sub(1))).step_by(2) {
        let pair = (autocovariance(&centred, lag) + autocovariance(&centred, lag + 1)) / variance;
        if pair <= 0.0 {
            break;
        }
        previous = pair.min(previous);
        inflation += 2.0 * previous;
    }
    Ok((n as f64 / inflation.max(1.0)).max(1.0))
}

/// How an e-detector is to bet on a series whose neighbouring values are alike: on blocks of so many, so cautiously.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BlockInflation {
    /// Values in a block.
    pub block: u32,
    /// κ: how many times more the mean of many blocks varies than if they were independent, 1 to
    /// [`Betting::MAX_INFLATION`].
    pub inflation: f64,
}

impl BlockInflation {
    /// Fewer blocks than this say nothing of how alike they are.
    pub const LEAST_BLOCKS: usize = 50;
    /// What is bet on where they are fewer: blocks of 20 at face value.
    pub const UNMEASURED: Self = Self { block: 20, inflation: 1.0 };
}

/// Measures on a baseline (in order of time) how alike neighbouring blocks of `block` values are: the number of whole
/// blocks over the [`effective_sample_size`] of their means. [`BlockInflation::UNMEASURED`] where there are too few.
///
/// # Errors
/// [`StatsError`] for unusable values, or a `block` outside 1 to 10,000.
pub fn block_inflation(values: &[f64], block: u32) -> Result<BlockInflation, StatsError> {
    require((1..=10_000).contains(&block), "block", block.into(), "1 to 10000")?;
    let means: Vec<f64> = values
        .chunks_exact(block as usize)
        .map(|values| values.iter().sum::<f64>() / f64::from(block))
        .collect();
    if means.len() < BlockInflation::LEAST_BLOCKS {
        values.iter().try_for_each(|&x| finite(x).map(drop))?;
        return Ok(BlockInflation::UNMEASURED);
    }
    let inflation = means.len() as f64 / effective_sample_size(&means)?;
    Ok(BlockInflation { block, inflation: inflation.clamp(1.0, Betting::MAX_INFLATION) })
}

/// Correlation of a stream with itself one step later, updated value by value.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct LagOne {
    count: u64,
    mean: f64,
    /// Sums of squares and of products of neighbours, about the mean so far.
    squares: f64,
    products: f64,
    last: f64,
}

impl LagOne {
    /// Takes the next value; what is not finite is left out.
    pub fn add(&mut self, x: f64) {
        if !x.is_finite() {
            return;
        }
        let before = self.last - self.mean;
        let away = x - self.mean;
        self.count += 1;
        self.mean += away / self.count as f64;
        let now = x - self.mean;
        self.squares += away * now;
        if self.count > 1 {
            self.products += before * now;
        }
        self.last = x;
    }

    /// What share of the values is independent, if the stream is autoregressive of order one: (1 − ρ)/(1 + ρ), for a mean.
    /// Negative correlation is not rewarded, and a constant stream counts in full. Longer patterns, such as days, are
    /// not seen.
    pub fn worth(&self) -> f64 {
        if self.squares <= 0.0 {
            return 1.0;
        }
        let rho = (self.products / self.squares).clamp(0.0, 0.999);
        (1.0 - rho) / (1.0 + rho)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, Runs, inflation_of_runs};

    /// For an AR(1) series the inflation is (1+φ)/(1−φ).
    #[test]
    fn an_autoregressive_series_shrinks_as_theory_says() {
        for (phi, tolerance) in [(0.0, 0.15), (0.5, 0.25), (0.9, 0.35)] {
            let mut rng = Rng::new(3);
            let mut x = 0.0;
            let series: Vec<f64> = (0..20_000)
                .map(|_| {
                    x = phi * x + rng.uniform() - 0.5;
                    x
                })
                .collect();
            let want = 20_000.0 * (1.0 - phi) / (1.0 + phi);
            let got = effective_sample_size(&series).expect("valid");
            assert!((got / want - 1.0).abs() < tolerance, "{phi}: {got} instead of {want}");
            assert!((autocorrelation(&series, 1).expect("valid") - phi).abs() < 0.03);
            // About a level far from 0, too.
            let mut online = LagOne::default();
            series.iter().for_each(|x| online.add(x + 1_000.0));
            assert!(
                (online.worth() / ((1.0 - phi) / (1.0 + phi)) - 1.0).abs() < tolerance,
                "{phi}: {online:?}"
            );
        }
    }

    #[test]
    fn the_inflation_of_blocks_is_that_of_theory() {
        for (stay, block, tolerance) in [
            (0.0, 5, 0.12),
            (0.3, 5, 0.15),
            (0.6, 5, 0.15),
            (0.9, 5, 0.25),
            (0.6, 1, 0.2),
            (0.6, 20, 0.2),
            (0.9, 20, 0.25),
        ] {
            let mut found = 0.0;
            for seed in 0..20 {
                let errors = Runs::new(seed, stay, 0.3).take(10_000, 0.3);
                let measured = block_inflation(&errors, block).expect("valid");
                assert_eq!(measured.block, block);
                found += measured.inflation / 20.0;
            }
            let want = inflation_of_runs(stay, block);
            assert!(
                (found / want - 1.0).abs() < tolerance,
                "φ {stay}, blocks of {block}: {found} and not {want}"
            );
        }
    }

    #[test]
    fn what_cannot_be_measured_is_bet_on_in_blocks_of_20() {
        assert_eq!(block_inflation(&[1.0; 249], 5), Ok(BlockInflation::UNMEASURED));
        assert_eq!(block_inflation(&[1.0; 250], 5), Ok(BlockInflation { block: 5, inflation: 1.0 }));
        assert_eq!(block_inflation(&[], 1), Ok(BlockInflation::UNMEASURED));
        assert!(block_inflation(&[f64::NAN], 5).is_err() && block_inflation(&[0.0], 0).is_err());
        // A trend is dependence without end.
        let trend: Vec<f64> = (0..20_000).map(|i| f64::from(i) / 20_000.0).collect();
        assert_eq!(block_inflation(&trend, 5).expect("valid").inflation, Betting::MAX_INFLATION);
    }

    #[test]
    fn edges_are_defined() {
        assert_eq!(effective_sample_size(&[2.0; 50]), Ok(50.0));
        assert_eq!(effective_sample_size(&[0.003467; 10_000]), Ok(10_000.0));
        assert_eq!(effective_sample_size(&[1.0]), Ok(1.0));
        assert_eq!(autocorrelation(&[1.0, 2.0], 5), Ok(0.0));
        let alternating: Vec<f64> = (0..100).map(|i| f64::from(i % 2)).collect();
        assert_eq!(effective_sample_size(&alternating), Ok(100.0));
        for series in [&[2.0; 50][..], &alternating, &[]] {
            let mut online = LagOne::default();
            series.iter().chain(&[f64::NAN]).for_each(|x| online.add(*x));
            assert_eq!(online.worth(), 1.0);
        }
        assert!(effective_sample_size(&[]).is_err());
        assert!(effective_sample_size(&[f64::INFINITY]).is_err());
    }
}
