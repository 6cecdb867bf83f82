//! Metrics of a series of returns. Not for what is left of an account (see [`crate::account`]), nor for prices or
//! positions: returns per period come in, oldest first, as fractions (0.01 is one per cent).
//!
//! Sources: W. F. Sharpe, "The Sharpe Ratio" (1994); A. W. Lo, "The Statistics of Sharpe Ratios" (2002), for the
//! standard error under independence; E. Mertens (2002) for that with skewness and kurtosis; D. H. Bailey and
//! M. López de Prado, "The Sharpe Ratio Efficient Frontier" (2012), for the probabilistic Sharpe ratio.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::{finite, require};
use crate::moments::Moments;
use crate::special::normal_cdf;
use crate::windowed::at_least;

/// The least spread, relative to the mean, that counts as variation: a constant series leaves rounding errors.
const NO_SPREAD: f64 = 1e-12;

/// Far beyond any return, and small enough that its fourth power is a number.
const MAX_RETURN: f64 = 1e15;

fn check(returns: &[f64], needed: usize) -> Result<(), StatsError> {
    at_least("returns", returns.len(), needed)?;
    returns.iter().try_for_each(|&r| usable(r).map(drop))
}

pub(crate) fn usable(r: f64) -> Result<f64, StatsError> {
    if r.abs() <= MAX_RETURN {
        Ok(r)
    } else {
        Err(StatsError::Observation { value: r, allowed: "returns between -1e15 and 1e15" })
    }
}

/// A Sharpe ratio and how sure it is. The risk-free rate is taken as 0.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sharpe {
    /// Mean over standard deviation (divisor n − 1), **per period**.
    pub per_period: f64,
    /// Periods it is made of.
    pub count: u64,
    /// Skewness of the returns (biased moment ratio).
    pub skewness: f64,
    /// Kurtosis of the returns (biased moment ratio; 3 for a normal distribution).
    pub kurtosis: f64,
}

impl Sharpe {
    /// Of at least two returns that are not all alike.
    ///
    /// # Errors
    /// [`StatsError`] for too few or unusable returns, or if they do not vary.
    pub fn of(returns: &[f64]) -> Result<Self, StatsError> {
        check(returns, 2)?;
        let moments = Moments::of(returns);
        let (mean, deviation) = (moments.mean(), moments.variance().sqrt());
        if deviation <= NO_SPREAD * mean.abs() {
            return Err(StatsError::Undefined { what: "Sharpe ratio", reason: "the returns do not vary" });
        }
        let variance = moments.population_variance();
        let central = |power: i32| {
            let powers = returns.iter().map(|r| (0..power).fold(1.0, |product, _| product * (r - mean)));
            powers.sum::<f64>() / returns.len() as f64
        };
        Ok(Self {
            per_period: mean / deviation,
            count: moments.count(),
            skewness: central(3) / (variance * variance.sqrt()),
            kurtosis: central(4) / (variance * variance),
        })
    }

    /// Annualised by the square root of the periods in a year (e.g. 252 for trading days, 365·24 for hours).
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless `periods_per_year` is positive and finite.
    pub fn annualised(&self, periods_per_year: f64) -> Result<f64, StatsError> {
        Ok(self.per_period * scale(periods_per_year, "periods_per_year")?)
    }

    /// Standard error of the ratio per period if returns are independent and normal (Lo).
    pub fn standard_error_normal(&self) -> f64 {
        ((1.0 + 0.5 * self.per_period * self.per_period) / self.count as f64).sqrt()
    }

    /// Standard error of the ratio per period with the returns' skewness and kurtosis (Mertens).
    pub fn standard_error(&self) -> f64 {
        let s = self.per_period;
        let factor = 1.0 + 0.5 * s * s - self.skewness * s + 0.25 * (self.kurtosis - 3.0) * s * s;
        (factor.max(0.0) / (self.count as f64 - 1.0)).sqrt()
    }

    /// Probability that the true ratio exceeds `benchmark` (per period), given these returns. `None` where the
    /// moments are so extreme that the approximation has no variance left.
    pub fn probability_above(&self, benchmark: f64) -> Option<f64> {
        let error = self.standard_error();
        (error > 0.0).then(|| normal_cdf((self.per_period - benchmark) / error))
    }
}

fn scale(periods: f64, parameter: &'static str) -> Result<f64, StatsError> {
    require(periods > 0.0 && periods.is_finite(), parameter, periods, "more than 0")?;
    Ok(periods.sqrt())
}

/// Mean over downside deviation (root mean square of the losses over all periods), per period.
///
/// # Errors
/// [`StatsError`] for no or unusable returns, or without a loss.
pub fn sortino(returns: &[f64]) -> Result<f64, StatsError> {
    check(returns, 1)?;
    let n = returns.len() as f64;
    let downside = (returns.iter().map(|r| r.min(0.0) * r.min(0.0)).sum::<f64>() / n).sqrt();
    if downside == 0.0 {
        return Err(StatsError::Undefined { what: "Sortino ratio", reason: "there is no loss" });
    }
    Ok(returns.iter().sum::<f64>() / n / downside)
}

/// The deepest fall from a peak.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Drawdown {
    /// Its depth: a fraction of the peak when compounded, else in units of return. 0 if there was no fall.
    pub depth: f64,
    /// Index of the peak in the equity series, which has one entry more than returns (entry 0 is the start).
    pub peak: usize,
    /// Index of the lowest point after it.
    pub trough: usize,
}

/// Deepest fall of equity that starts at 1 and is multiplied by 1 + return each period. Where an account may lose more than
/// everything, [`crate::account::Equity`] ends it at 0.
///
/// # Errors
/// [`StatsError`] for no or unusable returns, or a return below −1 (equity cannot fall below nothing).
pub fn drawdown_compounded(returns: &[f64]) -> Result<Drawdown, StatsError> {
    check(returns, 1)?;
    for &r in returns {
        if r < -1.0 {
            return Err(StatsError::Observation { value: r, allowed: "returns of −1 or more" });
        }
    }
    let mut equity = 1.0;
    let curve = returns.iter().map(|r| {
        equity = (equity * (1.0 + r)).min(f64::MAX);
        equity
    });
    Ok(deepest(1.0, curve, |peak, value| if peak > 0.0 { 1.0 - value / peak } else { 0.0 }))
}

/// Deepest fall of the running sum of returns, which starts at 0.
///
/// # Errors
/// [`StatsError`] for no or unusable returns.
pub fn drawdown_additive(returns: &[f64]) -> Result<Drawdown, StatsError> {
    check(returns, 1)?;
    let mut sum = 0.0;
    let curve = returns.iter().map(|r| {
        sum += r;
        sum
    });
    Ok(deepest(0.0, curve, |peak, value| peak - value))
}

fn deepest(start: f64, curve: impl Iterator<Item = f64>, depth: impl Fn(f64, f64) -> f64) -> Drawdown {
    let mut peak = (0, start);
    let mut worst = Drawdown { depth: 0.0, peak: 0, trough: 0 };
    for (index, value) in curve.enumerate().map(|(i, value)| (i + 1, value)) {
        if value > peak.1 {
            peak = (index, value);
        }
        let fall = depth(peak.1, value);
        if fall > worst.depth {
            worst = Drawdown { depth: fall, peak: peak.0, trough: index };
        }
    }
    worst
}

/// Compounded return over all periods: Π(1 + r) − 1.
///
/// # Errors
/// [`StatsError`] for unusable returns.
pub fn cumulative_return(returns: &[f64]) -> Result<f64, StatsError> {
    check(returns, 0)?;
    Ok(returns.iter().fold(1.0, |equity: f64, r| (equity * (1.0 + r)).clamp(f64::MIN, f64::MAX)) - 1.0)
}

/// Log returns of positive prices: one fewer than prices.
///
/// # Errors
/// [`StatsError`] for fewer than two prices or one that is not positive and finite.
pub fn log_returns(prices: &[f64]) -> Result<Vec<f64>, StatsError> {
    at_least("prices", prices.len(), 2)?;
    for &price in prices {
        if finite(price)? <= 0.0 {
            return Err(StatsError::Observation { value: price, allowed: "prices above 0" });
        }
    }
    Ok(prices.windows(2).map(|pair| libm::log(pair[1] / pair[0])).collect())
}

/// Realised volatility: standard deviation (divisor n − 1) of returns per period, times √`periods`. With the periods
/// of a day it is per day, with those of a year annualised.
///
/// # Errors
/// [`StatsError`] for fewer than two or unusable returns, or `periods` that are not positive.
pub fn realised_volatility(returns: &[f64], periods: f64) -> Result<f64, StatsError> {
    check(returns, 2)?;
    Ok(Moments::of(returns).variance().sqrt() * scale(periods, "periods")?)
}

/// Volatility about 0 instead of the mean, which short windows estimate badly: √(mean square · `periods`).
///
/// # Errors
/// [`StatsError`] for no or unusable returns, or `periods` that are not positive.
pub fn realised_volatility_zero_mean(returns: &[f64], periods: f64) -> Result<f64, StatsError> {
    check(returns, 1)?;
    let mean_square = returns.iter().map(|r| r * r).sum::<f64>() / returns.len() as f64;
    Ok(mean_square.sqrt() * scale(periods, "periods")?)
}

/// Exponentially weighted variance per period about 0, started at the first squared return (RiskMetrics, λ 0.94).
///
/// # Errors
/// [`StatsError`] for no or unusable returns, or `lambda` outside (0, 1).
pub fn ewma_variance(returns: &[f64], lambda: f64) -> Result<f64, StatsError> {
    check(returns, 1)?;
    require(lambda > 0.0 && lambda < 1.0, "lambda", lambda, "between 0 and 1, both excluded")?;
    let mut squares = returns.iter().map(|r| r * r);
    let first = squares.next().unwrap_or_default();
    Ok(squares.fold(first, |variance, square| lambda * variance + (1.0 - lambda) * square))
}

/// Wins and losses of a series of returns; a return of 0 is neither. Trades are judged by [`crate::account::Wins`].
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct WinLoss {
    /// Returns above 0.
    pub wins: u64,
    /// Returns below 0.
    pub losses: u64,
    /// Returns of 0.
    pub flat: u64,
    /// Sum of the wins.
    pub gained: f64,
    /// Sum of the losses, as a positive number.
    pub lost: f64,
    /// Most losses in a row; a return of 0 ends a run.
    pub longest_losing_run: u64,
    /// Losses in a row at the newest end.
    pub current_losing_run: u64,
}

impl WinLoss {
    /// Of a series, oldest first.
    ///
    /// # Errors
    /// [`StatsError`] for unusable returns.
    pub fn of(returns: &[f64]) -> Result<Self, StatsError> {
        let mut found = Self::default();
        returns.iter().try_for_each(|&r| found.add(r))?;
        Ok(found)
    }

    /// Adds the next return.
    ///
    /// # Errors
    /// [`StatsError`] for an unusable return.
    pub fn add(&mut self, r: f64) -> Result<(), StatsError> {
        let r = usable(r)?;
        if r > 0.0 {
            self.wins += 1;
            self.gained += r;
        } else if r < 0.0 {
            self.losses += 1;
            self.lost -= r;
        } else {
            self.flat += 1;
        }
        self.current_losing_run = if r < 0.0 { self.current_losing_run + 1 } else { 0 };
        self.longest_losing_run = self.longest_losing_run.max(self.current_losing_run);
        Ok(())
    }

    /// Share of wins among all returns; `None` of nothing.
    pub fn win_rate(&self) -> Option<f64> {
        let n = self.wins + self.losses + self.flat;
        (n > 0).then(|| self.wins as f64 / n as f64)
    }

    /// Share of wins among wins and losses; `None` if there is neither.
    pub fn win_rate_decided(&self) -> Option<f64> {
        let n = self.wins + self.losses;
        (n > 0).then(|| self.wins as f64 / n as f64)
    }

    /// Gains over losses; `None` without a loss.
    pub fn profit_factor(&self) -> Option<f64> {
        (self.lost > 0.0).then(|| self.gained / self.lost)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_has_no_answer_is_refused() {
        assert!(matches!(Sharpe::of(&[0.1]), Err(StatsError::TooFew { .. })));
        assert!(matches!(Sharpe::of(&[0.1; 20]), Err(StatsError::Undefined { .. })));
        assert!(Sharpe::of(&[0.1, f64::NAN]).is_err());
        assert!(Sharpe::of(&[0.1, 0.2]).expect("valid").annualised(0.0).is_err());
        assert!(matches!(sortino(&[0.1, 0.2]), Err(StatsError::Undefined { .. })));
        assert!(drawdown_compounded(&[-1.5]).is_err());
        assert!(log_returns(&[1.0, 0.0]).is_err());
        assert!(realised_volatility(&[0.1], 24.0).is_err());
        assert!(ewma_variance(&[0.1], 1.0).is_err());
        assert_eq!(WinLoss::default().win_rate(), None);
    }

    #[test]
    fn losing_everything_is_a_drawdown_of_one() {
        let found = drawdown_compounded(&[0.5, -1.0, 0.3]).expect("valid");
        assert_eq!(found, Drawdown { depth: 1.0, peak: 1, trough: 2 });
    }

    #[test]
    fn volatility_of_a_day_is_scaled_by_its_periods() {
        // ±1 % every hour: 0.01·√(n/(n−1)) a period, times √24.
        let returns: Vec<f64> = (0..24).map(|i| if i % 2 == 0 { 0.01 } else { -0.01 }).collect();
        let want = 0.01 * (24.0f64 / 23.0).sqrt() * 24f64.sqrt();
        assert!((realised_volatility(&returns, 24.0).expect("valid") - want).abs() < 1e-15);
    }

    proptest! {
        #[test]
        fn a_drawdown_lies_between_its_ends(returns in prop::collection::vec(-0.5..0.5f64, 1..80)) {
            for found in [drawdown_compounded(&returns), drawdown_additive(&returns)] {
                let found = found.expect("valid");
                prop_assert!(found.peak <= found.trough && found.trough <= returns.len());
                prop_assert!(found.depth >= 0.0 && (found.depth > 0.0) == (found.trough > found.peak));
            }
            let sum: f64 = returns.iter().sum();
            let wins = WinLoss::of(&returns).expect("valid");
            prop_assert!((wins.gained - wins.lost - sum).abs() < 1e-9);
            prop_assert!(wins.current_losing_run <= wins.longest_losing_run);
        }
    }
}
