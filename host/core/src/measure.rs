//! How well predictions did: metrics over judged rows. Not whether that is good enough; the formulas are in
//! `trimtab-stats`.

use trimtab_stats::{
    IntervalMethod, Window,
    account::Equity,
    calibration::{Binning, Reliability},
    classification::{Averaging, ConfusionMatrix, PrecisionRecall},
    proportion,
    trading::{self, Sharpe},
};

use trimtab_stats::classification::Confusion;
use trimtab_types::{Baseline, Estimate, Interval, Timestamp};

use crate::{
    config::MetricSettings,
    judged::{Called, JudgedRow},
    metric::Metric,
};

/// Confidence of every interval that is shown, and the normal quantile that goes with it.
const CONFIDENCE: f64 = 0.95;
pub(crate) const SPREAD: f64 = 1.959_963_984_540_054;
/// Bins of a reliability diagram.
const RELIABILITY_BINS: u32 = 10;
/// Recall at which precision is read.
const RECALL: f64 = 0.8;
const DAY: f64 = 86_400.0;
const MILLIS_A_DAY: i64 = 86_400_000;
const DAYS_A_YEAR: f64 = 365.25;
/// Fewer days say nothing of a Sharpe ratio …
const LEAST_DAYS: usize = 30;
/// … and the newest rows of a century are no newest rows.
const MOST_DAYS: usize = 36_525;

/// What a baseline says of a metric.
pub fn of_baseline(metric: Metric, baseline: &Baseline, settings: &MetricSettings) -> Option<f64> {
    match metric {
        Metric::Accuracy => Some(baseline.accuracy),
        Metric::Precision => baseline.precision,
        Metric::Recall => baseline.recall,
        Metric::F1 => baseline.f1,
        // A baseline knows nothing of the settings, which may change: it has the ratio per trade.
        Metric::Sharpe => Some(settings.sharpe_scale() * baseline.metrics.get(metric.name())?),
        _ => baseline.metrics.get(metric.name()).copied(),
    }
}

/// A metric of some judged rows, in their order; `None` where they do not say.
///
/// Precision, recall and F1 of several classes are macro means. The Sharpe ratio is per trade, or annualised where the settings
/// say how many trades a year has; that of days is annualised, and needs thirty of them. Drawdown and cumulative return compound
/// the returns of trades.
pub fn of(metric: Metric, rows: &[&JudgedRow], settings: &MetricSettings) -> Option<Estimate> {
    match metric {
        Metric::Accuracy => share(rows.iter().filter_map(|row| row.right)),
        Metric::WinRate => share(rows.iter().filter_map(|row| row.won)),
        Metric::IntervalCoverage => share(rows.iter().filter_map(|row| Some(row.interval?.0))),
        Metric::Precision | Metric::Recall | Metric::F1 => of_classes(metric, rows),
        Metric::PrAuc | Metric::PrecisionAt80Recall => of_ranking(metric, rows),
        Metric::Ece => {
            let found = reliability(rows)?;
            plain(found.ece, found.bins.iter().map(|bin| bin.count as usize).sum())
        }
        Metric::IntervalWidth => {
            let widths: Vec<f64> = rows.iter().filter_map(|row| Some(row.interval?.1)).collect();
            plain(widths.iter().sum::<f64>() / widths.len() as f64, widths.len())
        }
        Metric::Sharpe => ratio(Sharpe::of(&gains(rows)).ok()?, settings.sharpe_scale()),
        Metric::SharpeDaily => ratio(Sharpe::of(&daily(rows)?).ok()?, libm::sqrt(DAYS_A_YEAR)),
        Metric::Drawdown => {
            let gains = gains(rows);
            plain(Equity::of(&gains).ok()?.deepest().depth, gains.len())
        }
        Metric::CumulativeReturn => {
            let gains = gains(rows);
            plain(Equity::of(&gains).ok()?.cumulative_return(), gains.len())
        }
        Metric::Pnl => {
            let profits: Vec<f64> = rows.iter().filter_map(|row| row.pnl).collect();
            plain(profits.iter().sum(), profits.len())
        }
        Metric::DailyVolatility => daily_volatility(rows, settings.volatility_window as usize),
        Metric::Mae => {
            let misses = misses(rows);
            plain(misses.iter().map(|miss| miss.abs()).sum::<f64>() / misses.len() as f64, misses.len())
        }
        Metric::Rmse => {
            let misses = misses(rows);
            let squares = misses.iter().map(|miss| miss * miss).sum::<f64>();
            plain(libm::sqrt(squares / misses.len() as f64), misses.len())
        }
    }
}

/// A share has an interval of its own; what has no denominator is undefined.
fn of_classes(metric: Metric, rows: &[&JudgedRow]) -> Option<Estimate> {
    if let Some(counts) = confusion(rows) {
        let (tp, fp, negative) = (counts.true_positive, counts.false_positive, counts.false_negative);
        return match metric {
            Metric::Precision => rate(tp, tp + fp),
            Metric::Recall => rate(tp, tp + negative),
            _ => plain(counts.f1()?, counts.total() as usize),
        };
    }
    let classes: Vec<(u32, u32)> = rows.iter().filter_map(|row| row.called?.classes()).collect();
    let most = classes.iter().map(|(predicted, actual)| predicted.max(actual) + 1).max()?;
    let mut matrix = ConfusionMatrix::new(most.max(2)).ok()?;
    for (predicted, actual) in &classes {
        matrix.add(*actual, *predicted).ok()?;
    }
    let of_one = match metric {
        Metric::Precision => Confusion::precision,
        Metric::Recall => Confusion::recall,
        _ => Confusion::f1,
    };
    plain(matrix.average(Averaging::Macro, of_one)?, classes.len())
}

fn of_ranking(metric: Metric, rows: &[&JudgedRow]) -> Option<Estimate> {
    let (actual, scores) = scored(rows);
    let curve = PrecisionRecall::of(&actual, &scores).ok()?;
    match metric {
        Metric::PrAuc => plain(curve.average_precision(), scores.len()),
        _ => plain(curve.at_recall(RECALL)?.precision, scores.len()),
    }
}

/// Counts of the rows that are positive or not; `None` where none is.
pub fn confusion(rows: &[&JudgedRow]) -> Option<Confusion> {
    let mut counts = Confusion::default();
    for row in rows {
        if let Some(Called::Positive { predicted, actual }) = row.called {
            counts.add(actual, predicted);
        }
    }
    (counts.total() > 0).then_some(counts)
}

/// How far what was claimed came true; `None` where nothing was claimed.
pub(crate) fn reliability(rows: &[&JudgedRow]) -> Option<Reliability> {
    let claims = rows.iter().filter_map(|row| row.claim);
    let (scores, actual): (Vec<f64>, Vec<bool>) = claims.unzip();
    Reliability::of(&actual, &scores, RELIABILITY_BINS, Binning::EqualWidth).ok()
}

/// Scores of the positive class with their outcomes.
pub(crate) fn scored(rows: &[&JudgedRow]) -> (Vec<bool>, Vec<f64>) {
    let positive = |row: &&JudgedRow| match (row.called, row.claim) {
        (Some(Called::Positive { actual, .. }), Some((score, _))) if row.is_score => Some((actual, score)),
        _ => None,
    };
    rows.iter().filter_map(positive).unzip()
}

fn gains(rows: &[&JudgedRow]) -> Vec<f64> {
    rows.iter().filter_map(|row| row.gain).collect()
}

/// A Sharpe ratio with its interval.
fn ratio(found: Sharpe, scale: f64) -> Option<Estimate> {
    let (value, reach) = (scale * found.per_period, scale * SPREAD * found.standard_error());
    let interval = Some(Interval { lower: value - reach, upper: value + reach });
    Some(Estimate { interval, ..plain(value, found.count as usize)? })
}

fn misses(rows: &[&JudgedRow]) -> Vec<f64> {
    rows.iter().filter_map(|row| row.miss).collect()
}

/// Returns by the day in which they became known, from the first to the last; a day without any is 0, so that the calendar of
/// the market does not matter. `None` of fewer than 30 days.
fn daily(rows: &[&JudgedRow]) -> Option<Vec<f64>> {
    let day = |at: Timestamp| at.as_millis().div_euclid(MILLIS_A_DAY);
    let known: Vec<(i64, f64)> = rows.iter().filter_map(|row| Some((day(row.known), row.gain?))).collect();
    let (first, last) = (known.iter().map(|(day, _)| *day).min()?, known.iter().map(|(day, _)| *day).max()?);
    let days =
        usize::try_from(last - first + 1).ok().filter(|days| (LEAST_DAYS..=MOST_DAYS).contains(days))?;
    let mut returns = vec![0.0; days];
    for (day, gain) in known {
        returns[usize::try_from(day - first).ok()?] += gain;
    }
    Some(returns)
}

/// Standard deviation of log returns of the newest prices, times the root of the bars in a day; a bar is as long as the
/// median step between them.
fn daily_volatility(rows: &[&JudgedRow], window: usize) -> Option<Estimate> {
    let mut prices: Vec<(Timestamp, f64)> =
        rows.iter().filter_map(|row| Some((row.made, row.price?))).collect();
    prices.sort_by_key(|(made, _)| *made);
    let newest = prices.split_off(prices.len().checked_sub(window + 1)?);
    let mut steps: Vec<u64> = newest.windows(2).map(|pair| pair[1].0.since(pair[0].0)).collect();
    steps.sort_unstable();
    let bar = *steps.get(steps.len() / 2).filter(|bar| **bar > 0)? as f64;
    let values: Vec<f64> = newest.iter().map(|(_, price)| *price).collect();
    let returns = trading::log_returns(&values).ok()?;
    plain(trading::realised_volatility(&returns, DAY / bar).ok()?, returns.len())
}

fn share(hits: impl Iterator<Item = bool>) -> Option<Estimate> {
    let (mut successes, mut n) = (0, 0);
    hits.for_each(|hit| {
        successes += u64::from(hit);
        n += 1;
    });
    rate(successes, n)
}

/// The share of hits among the newest `last`, or all if there are fewer.
pub(crate) fn share_of(window: &Window, last: usize) -> Option<Estimate> {
    let counts = window.newest(last);
    rate(counts.successes, counts.n)
}

/// F1 of so many true positives among those that were positive or called so; `None` of none.
pub(crate) fn f1(true_positives: u64, either: u64) -> Option<Estimate> {
    // 2 TP + FP + FN is one TP more than all of them.
    plain(2.0 * true_positives as f64 / (true_positives + either) as f64, either as usize)
}

/// A share with its Wilson interval; `None` of nothing.
pub(crate) fn rate(successes: u64, n: u64) -> Option<Estimate> {
    let interval = proportion::interval(successes, n, CONFIDENCE, IntervalMethod::Wilson).ok()?;
    Some(Estimate {
        value: successes as f64 / n as f64,
        samples: u32::try_from(n).unwrap_or(u32::MAX),
        interval: Some(Interval { lower: interval.low, upper: interval.high }),
        from_outcomes: true,
    })
}

fn plain(value: f64, samples: usize) -> Option<Estimate> {
    let samples = u32::try_from(samples).unwrap_or(u32::MAX);
    (samples > 0 && value.is_finite()).then_some(Estimate {
        value,
        samples,
        interval: None,
        from_outcomes: true,
    })
}

#[cfg(test)]
mod tests {
    use trimtab_types::{Actual, Outcome, Predicted, Trade};

    use super::*;
    use crate::judged::tests::{outcome, row};

    fn value(metric: Metric, rows: &[JudgedRow]) -> Option<f64> {
        let rows: Vec<&JudgedRow> = rows.iter().collect();
        of(metric, &rows, &MetricSettings::default()).map(|estimate| estimate.value)
    }

    /// Five scores with outcomes: above one half are 0.9 (positive), 0.8 (not), 0.6 (positive); below 0.4 (positive) and
    /// 0.1 (not). So TP 2, FP 1, FN 1, TN 1; ranked, precision is 1, 1/2, 2/3, 3/4, 3/5.
    #[test]
    fn classifications_are_counted_as_by_hand() {
        let of = |score, label| {
            row(Predicted::Binary(score), Trade::default(), &outcome(Some(Actual::Label(label))))
        };
        let rows = [of(0.9, 1), of(0.8, 0), of(0.6, 1), of(0.4, 1), of(0.1, 0)];
        let near = |metric, expected: f64| {
            let value = value(metric, &rows).expect("defined");
            assert!((value - expected).abs() < 1e-12, "{metric:?}: {value}, not {expected}");
        };
        near(Metric::Accuracy, 0.6);
        near(Metric::Precision, 2.0 / 3.0);
        near(Metric::Recall, 2.0 / 3.0);
        near(Metric::F1, 2.0 / 3.0);
        near(Metric::PrAuc, (1.0 + 2.0 / 3.0 + 0.75) / 3.0);
        near(Metric::PrecisionAt80Recall, 0.75);
        // Each score is alone in its bin: gaps of 0.1, 0.8, 0.4, 0.6 and 0.1.
        near(Metric::Ece, 2.0 / 5.0);
        for undefined in [Metric::Sharpe, Metric::Drawdown, Metric::IntervalCoverage, Metric::DailyVolatility]
        {
            assert_eq!(value(undefined, &rows), None, "{undefined:?}");
        }
        let classes = [(0, 0), (1, 1), (1, 0), (2, 2)];
        let of = |(predicted, actual): (u32, i64)| {
            row(Predicted::Multiclass(predicted), Trade::default(), &outcome(Some(Actual::Label(actual))))
        };
        // By class, precision is 1, 1/2 and 1.
        assert_eq!(value(Metric::Precision, &classes.map(of)), Some(2.5 / 3.0));
    }

    #[test]
    fn returns_compound_and_a_sharpe_ratio_is_annualised() {
        let long = Trade { entry_price: Some(100.0), side: Some(1), size: Some(2.0), fee: Some(1.0) };
        let returns = [0.1, -0.5, 0.2];
        let rows = returns.map(|gain| {
            let mut row = row(Predicted::Direction(1), long, &outcome(None));
            row.gain = Some(gain);
            row
        });
        assert!((value(Metric::Drawdown, &rows).expect("defined") - 0.5).abs() < 1e-12);
        let cumulative = value(Metric::CumulativeReturn, &rows).expect("defined");
        assert!((cumulative - (1.1 * 0.5 * 1.2 - 1.0)).abs() < 1e-12);
        // Who loses more than there was has nothing left, whatever comes after.
        let mut ruined = rows.clone();
        ruined[1].gain = Some(-1.5);
        assert_eq!(value(Metric::Drawdown, &ruined), Some(1.0));
        assert_eq!(value(Metric::CumulativeReturn, &ruined), Some(-1.0));
        let refs: Vec<&JudgedRow> = rows.iter().collect();
        let by_trade = |periods: f64| {
            let yearly = MetricSettings { periods_per_year: Some(periods), ..MetricSettings::default() };
            of(Metric::Sharpe, &refs, &yearly).expect("defined").value
        };
        assert!((by_trade(252.0) / by_trade(1.0) - 252_f64.sqrt()).abs() < 1e-12);
        assert_eq!(value(Metric::SharpeDaily, &rows), None, "trades of one day say nothing of days");
    }

    /// Two trades on each working day, which come to 1 % on odd days and to −0.5 % on even ones: 5 of 7 days. Over four weeks and
    /// three days a Sharpe ratio by hand: mean and standard deviation of 31 days, weekends among them, times √365.25.
    #[test]
    fn the_sharpe_ratio_is_of_days_and_needs_thirty() {
        let long = Trade { entry_price: Some(100.0), side: Some(1), size: Some(2.0), fee: None };
        let rows = |days: u64| -> Vec<JudgedRow> {
            let of_day = |day: u64| {
                let is_open = day % 7 < 5;
                let gain = if day % 2 == 1 { 0.005 } else { -0.0025 };
                (0..if is_open { 2 } else { 0 }).map(move |trade| (day, trade, gain))
            };
            let one = |(day, trade, gain): (u64, u64, f64)| {
                let time = Timestamp::EPOCH.plus(day * 86_400 + trade * 3_600);
                let mut row = row(Predicted::Direction(1), long, &Outcome { time, ..outcome(None) });
                row.gain = Some(gain);
                row
            };
            (0..days).flat_map(of_day).map(one).collect()
        };
        let found = value(Metric::SharpeDaily, &rows(31)).expect("defined");
        let days: Vec<f64> = (0..31)
            .map(|day: u64| match (day % 7 < 5, day % 2) {
                (false, _) => 0.0,
                (true, 1) => 0.01,
                (true, _) => -0.005,
            })
            .collect();
        let mean = days.iter().sum::<f64>() / 31.0;
        let variance = days.iter().map(|day| (day - mean).powi(2)).sum::<f64>() / 30.0;
        let expected = mean / variance.sqrt() * 365.25_f64.sqrt();
        assert!((found - expected).abs() < 1e-9, "{found}, not {expected}");
        assert_eq!(value(Metric::SharpeDaily, &rows(29)), None);
    }

    #[test]
    fn numbers_have_errors_in_their_own_unit() {
        let of = |predicted: f64, actual: f64| {
            row(Predicted::Regression(predicted), Trade::default(), &outcome(Some(Actual::Value(actual))))
        };
        let rows = [of(10.0, 13.0), of(5.0, 1.0)];
        assert_eq!(value(Metric::Mae, &rows), Some(3.5));
        assert_eq!(value(Metric::Rmse, &rows), Some(12.5_f64.sqrt()));
    }

    /// Prices that go up and down by the same log return a: their standard deviation is a·√(n/(n − 1)).
    #[test]
    fn volatility_is_per_day() {
        let hour = |n: u64| Timestamp::EPOCH.plus(3_600 * n);
        let at = |n: u64| {
            let price = if n.is_multiple_of(2) { 100.0 } else { 101.0 };
            let trade = Trade { entry_price: Some(price), ..Trade::default() };
            row(Predicted::Direction(1), trade, &Outcome { time: hour(n), ..outcome(Some(Actual::Label(1))) })
        };
        let rows: Vec<JudgedRow> = (0..25).map(at).collect();
        let step = libm::log(1.01);
        let expected = step * (24.0_f64 / 23.0).sqrt() * 24.0_f64.sqrt();
        let found = value(Metric::DailyVolatility, &rows).expect("defined");
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        assert_eq!(value(Metric::DailyVolatility, &rows[1..]), None, "24 returns need 25 prices");
    }
}
