//! How trades went for the account behind them: what was won, what is left of it, and its Sharpe ratio by day. Returns are
//! net of fees, as fractions of what was put in; profits and losses in the account's currency. Metrics of a plain series of
//! returns are in [`crate::trading`].

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::require;
use crate::trading::{Drawdown, Sharpe, usable};
use crate::windowed::at_least;

/// Fewer days give no verdict on a Sharpe ratio: its standard error is about √(252/30), 2.9 a year, there.
pub const LEAST_DAYS: usize = 30;

/// Whether a trade is won: it left something after its fees.
pub fn is_won(net_return: f64) -> bool {
    net_return > 0.0
}

/// Trades won and not won, by one judgement: [`is_won`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Wins {
    /// Trades.
    pub n: u64,
    /// Trades that were won.
    pub won: u64,
    /// Trades in a row that were not won, at the newest end.
    pub losing_run: u64,
    /// Most of them in a row.
    pub longest_losing_run: u64,
}

impl Wins {
    /// Adds the next trade's net return.
    ///
    /// # Errors
    /// [`StatsError`] for an unusable return.
    pub fn add(&mut self, net_return: f64) -> Result<(), StatsError> {
        let is_won = is_won(usable(net_return)?);
        self.n += 1;
        self.won += u64::from(is_won);
        self.losing_run = if is_won { 0 } else { self.losing_run + 1 };
        self.longest_losing_run = self.longest_losing_run.max(self.losing_run);
        Ok(())
    }

    /// Of trades, oldest first.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn of(net_returns: &[f64]) -> Result<Self, StatsError> {
        let mut wins = Self::default();
        net_returns.iter().try_for_each(|&net_return| wins.add(net_return))?;
        Ok(wins)
    }

    /// Share of trades that were won; `None` of none.
    pub fn rate(&self) -> Option<f64> {
        (self.n > 0).then(|| self.won as f64 / self.n as f64)
    }
}

/// Equity that starts at 1 and is multiplied by 1 + return with each trade. A return of −1 or less ends it at 0, for good.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Equity {
    value: f64,
    peak: f64,
    /// Trades so far, and those up to the peak.
    trades: usize,
    peak_at: usize,
    deepest: Drawdown,
}

impl Default for Equity {
    fn default() -> Self {
        let deepest = Drawdown { depth: 0.0, peak: 0, trough: 0 };
        Self { value: 1.0, peak: 1.0, trades: 0, peak_at: 0, deepest }
    }
}

impl Equity {
    /// Adds the next trade's net return.
    ///
    /// # Errors
    /// [`StatsError`] for an unusable return.
    pub fn add(&mut self, net_return: f64) -> Result<(), StatsError> {
        let factor = 1.0 + usable(net_return)?.max(-1.0);
        self.trades += 1;
        self.value = (self.value * factor).min(f64::MAX);
        if self.value > self.peak {
            (self.peak, self.peak_at) = (self.value, self.trades);
        }
        let depth = self.drawdown();
        if depth > self.deepest.depth {
            self.deepest = Drawdown { depth, peak: self.peak_at, trough: self.trades };
        }
        Ok(())
    }

    /// Of trades, oldest first.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub fn of(net_returns: &[f64]) -> Result<Self, StatsError> {
        let mut equity = Self::default();
        net_returns.iter().try_for_each(|&net_return| equity.add(net_return))?;
        Ok(equity)
    }

    /// Compounded return of all trades, −1 or more.
    pub fn cumulative_return(&self) -> f64 {
        self.value - 1.0
    }

    /// Whether nothing is left.
    pub fn is_ruined(&self) -> bool {
        self.value <= 0.0
    }

    /// How far equity is below its peak at present, as a share of it, 0 to 1. 1 once nothing is left.
    pub fn drawdown(&self) -> f64 {
        1.0 - self.value / self.peak
    }

    /// The deepest fall from a peak; indices count trades, 0 is before the first.
    pub fn deepest(&self) -> Drawdown {
        self.deepest
    }
}

/// Profit and loss by day: one sum for each of the calendar's days, 0 where nothing was traded. What is made on a day that
/// the calendar does not have counts to the next one that it has; what comes after its last day is left out.
///
/// `trades` are (day, profit or loss) in any order; `calendar` ascends.
///
/// # Errors
/// [`StatsError`] for an unusable profit, or a calendar that does not ascend.
pub fn daily_profits(trades: &[(i64, f64)], calendar: &[i64]) -> Result<Vec<f64>, StatsError> {
    if !calendar.is_sorted_by(|a, b| a < b) {
        return Err(StatsError::Undefined {
            what: "profit by day",
            reason: "the calendar's days do not ascend",
        });
    }
    let mut days = vec![0.0; calendar.len()];
    for &(day, profit) in trades {
        let profit = usable(profit)?;
        if let Some(sum) = days.get_mut(calendar.partition_point(|&session| session < day)) {
            *sum += profit;
        }
    }
    Ok(days)
}

/// Sharpe ratio of daily profit and loss, a year.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DailySharpe {
    /// Per day.
    pub daily: Sharpe,
    /// A year: times the root of the calendar's days in a year.
    pub annual: f64,
    /// Standard error of the annual ratio.
    pub standard_error: f64,
}

impl DailySharpe {
    /// Of the calendar's days in order, `days_per_year` of which make a year (252 of an exchange, 365 without a close).
    /// Profits may be in any currency: the ratio has none.
    ///
    /// # Errors
    /// [`StatsError::TooFew`] below 30 days: that is no verdict and no failure. Else as [`Sharpe::of`], and for
    /// `days_per_year` outside 1 to 366.
    pub fn of(daily_profits: &[f64], days_per_year: f64) -> Result<Self, StatsError> {
        at_least("days", daily_profits.len(), LEAST_DAYS)?;
        require((1.0..=366.0).contains(&days_per_year), "days_per_year", days_per_year, "1 to 366")?;
        let daily = Sharpe::of(daily_profits)?;
        let root = days_per_year.sqrt();
        Ok(Self { daily, annual: root * daily.per_period, standard_error: root * daily.standard_error() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trading::{cumulative_return, drawdown_compounded};

    #[test]
    fn a_trade_that_earns_less_than_its_fee_is_not_won() {
        // Gross 0.1 %, fees of 0.2 %: lost in the rate and in the run. A trade of exactly nothing is not won either.
        let wins = Wins::of(&[0.05, 0.001 - 0.002, 0.0, -0.01]).expect("valid");
        assert_eq!(wins, Wins { n: 4, won: 1, losing_run: 3, longest_losing_run: 3 });
        assert_eq!(wins.rate(), Some(0.25));
        assert_eq!(Wins::default().rate(), None);
        assert!(Wins::of(&[f64::NAN]).is_err());
    }

    #[test]
    fn losing_everything_is_a_drawdown_of_one_for_good() {
        for all in [-1.0, -1.5, -1e9] {
            let mut equity = Equity::of(&[0.5, all]).expect("valid");
            for later in [0.3, 10.0, -2.0] {
                assert_eq!(
                    (equity.drawdown(), equity.cumulative_return(), equity.is_ruined()),
                    (1.0, -1.0, true)
                );
                assert_eq!(equity.deepest(), Drawdown { depth: 1.0, peak: 1, trough: 2 });
                equity.add(later).expect("valid");
            }
        }
        assert_eq!(Equity::default().drawdown(), 0.0);
        assert!(Equity::of(&[f64::INFINITY]).is_err());
        let first = Equity::of(&[-2.0]).expect("valid");
        assert_eq!(first.deepest(), Drawdown { depth: 1.0, peak: 0, trough: 1 });
    }

    #[test]
    fn days_without_trades_count_and_weekends_go_to_monday() {
        // Days 1 to 5 are Monday to Friday, 8 is Monday.
        let calendar = [1, 2, 3, 4, 5, 8];
        let trades = [(1, 10.0), (1, -4.0), (6, 2.0), (8, 1.0), (9, 100.0), (0, 1.0)];
        assert_eq!(daily_profits(&trades, &calendar), Ok(vec![7.0, 0.0, 0.0, 0.0, 0.0, 3.0]));
        assert_eq!(daily_profits(&trades, &[]), Ok(vec![]));
        assert!(daily_profits(&trades, &[2, 1]).is_err() && daily_profits(&trades, &[1, 1]).is_err());
        assert!(daily_profits(&[(1, f64::NAN)], &calendar).is_err());
    }

    #[test]
    fn a_month_of_days_is_needed_for_a_sharpe_ratio() {
        let days: Vec<f64> = (0..30).map(|day| if day % 2 == 0 { 3.0 } else { -1.0 }).collect();
        assert!(matches!(
            DailySharpe::of(&days[..29], 252.0),
            Err(StatsError::TooFew { needed: 30, got: 29, .. })
        ));
        // Mean 1, standard deviation 2·√(30/29).
        let found = DailySharpe::of(&days, 252.0).expect("enough");
        let want = 252f64.sqrt() / (2.0 * (30.0f64 / 29.0).sqrt());
        assert!((found.annual - want).abs() < 1e-12 * want);
        let crypto = DailySharpe::of(&days, 365.0).expect("enough");
        assert!((crypto.annual / found.annual - (365.0f64 / 252.0).sqrt()).abs() < 1e-12);
        assert!(DailySharpe::of(&days, 0.0).is_err() && DailySharpe::of(&[1.0; 40], 252.0).is_err());
    }

    proptest! {
        /// While nothing is ever lost in full, equity and drawdown are the plain ones.
        #[test]
        fn without_ruin_equity_is_the_compounded_series(returns in prop::collection::vec(-0.9..0.9f64, 1..80)) {
            let equity = Equity::of(&returns).expect("valid");
            prop_assert_eq!(equity.deepest(), drawdown_compounded(&returns).expect("valid"));
            prop_assert_eq!(equity.cumulative_return(), cumulative_return(&returns).expect("valid"));
            prop_assert!(!equity.is_ruined() && equity.drawdown() <= equity.deepest().depth);
        }

        /// The Sharpe ratio has no currency.
        #[test]
        fn scale_does_not_matter(days in prop::collection::vec(-100.0..100.0f64, 40..60), scale in 0.01..100.0f64) {
            let scaled: Vec<f64> = days.iter().map(|day| day * scale).collect();
            let (a, b) = (DailySharpe::of(&days, 252.0).expect("varies"), DailySharpe::of(&scaled, 252.0).expect("varies"));
            prop_assert!((a.annual - b.annual).abs() < 1e-9 * (1.0 + a.annual.abs()));
        }
    }
}
