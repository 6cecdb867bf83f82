//! How well predictions did: metrics by their well-known names over judged rows. Not whether that is good enough; the
//! formulas are in `trimtab-stats`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    IntervalMethod,
    calibration::{Binning, Reliability},
    classification::{Averaging, ConfusionMatrix, PrecisionRecall},
    proportion,
    trading::{self, Sharpe},
};

pub use trimtab_stats::classification::Confusion;
use trimtab_types::{
    Actual, Baseline, Estimate, Interval, Judged, Outcome, Position, Predicted, Prediction, Timestamp,
};

use crate::config::MetricSettings;

/// Confidence of every interval that is shown, and the normal quantile that goes with it.
const CONFIDENCE: f64 = 0.95;
pub(crate) const SPREAD: f64 = 1.959_963_984_540_054;
/// Bins of a reliability diagram.
const RELIABILITY_BINS: u32 = 10;
/// Recall at which precision is read.
const RECALL: f64 = 0.8;
/// A class with a number from here on is not counted: class numbers index a square matrix.
const CLASSES: u32 = 256;
const DAY: f64 = 86_400.0;

/// A metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the field's own; `of` says how each is computed")]
pub enum Metric {
    Accuracy,
    WinRate,
    Precision,
    Recall,
    F1,
    PrAuc,
    #[serde(rename = "precision-at-80-recall")]
    PrecisionAt80Recall,
    Ece,
    IntervalCoverage,
    IntervalWidth,
    Sharpe,
    Drawdown,
    CumulativeReturn,
    Pnl,
    DailyVolatility,
}

impl Metric {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Accuracy,
        Self::WinRate,
        Self::Precision,
        Self::Recall,
        Self::F1,
        Self::PrAuc,
        Self::PrecisionAt80Recall,
        Self::Ece,
        Self::IntervalCoverage,
        Self::IntervalWidth,
        Self::Sharpe,
        Self::Drawdown,
        Self::CumulativeReturn,
        Self::Pnl,
        Self::DailyVolatility,
    ];

    /// The name in configuration, findings and what policies read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::WinRate => "win-rate",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::F1 => "f1",
            Self::PrAuc => "pr-auc",
            Self::PrecisionAt80Recall => "precision-at-80-recall",
            Self::Ece => "ece",
            Self::IntervalCoverage => "interval-coverage",
            Self::IntervalWidth => "interval-width",
            Self::Sharpe => "sharpe",
            Self::Drawdown => "drawdown",
            Self::CumulativeReturn => "cumulative-return",
            Self::Pnl => "pnl",
            Self::DailyVolatility => "daily-volatility",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// Whether more is better and the value does not grow with the number of rows, so that a drop by a share means
    /// something.
    pub fn can_drop(self) -> bool {
        match self {
            Self::Accuracy
            | Self::WinRate
            | Self::Precision
            | Self::Recall
            | Self::F1
            | Self::PrAuc
            | Self::PrecisionAt80Recall
            | Self::IntervalCoverage
            | Self::Sharpe => true,
            Self::Ece
            | Self::IntervalWidth
            | Self::Drawdown
            | Self::CumulativeReturn
            | Self::Pnl
            | Self::DailyVolatility => false,
        }
    }

    /// What a baseline says of it.
    pub fn of_baseline(self, baseline: &Baseline, settings: &MetricSettings) -> Option<f64> {
        match self {
            Self::Accuracy => Some(baseline.accuracy),
            Self::Precision => baseline.precision,
            Self::Recall => baseline.recall,
            Self::F1 => baseline.f1,
            // A baseline knows nothing of the settings, which may change: it has the ratio per trade.
            Self::Sharpe => Some(settings.sharpe_scale() * baseline.metrics.get(self.name())?),
            _ => baseline.metrics.get(self.name()).copied(),
        }
    }

    /// The metric of some judged rows, in their order; `None` where they do not say.
    ///
    /// Precision, recall and F1 of several classes are macro means. The Sharpe ratio is per trade, or annualised where
    /// the settings say how many periods a year has; drawdown and cumulative return compound the returns of trades.
    pub fn of(self, rows: &[&Row], settings: &MetricSettings) -> Option<Estimate> {
        match self {
            Self::Accuracy => share(rows.iter().filter_map(|row| row.right)),
            Self::WinRate => share(rows.iter().filter_map(|row| row.won)),
            Self::IntervalCoverage => share(rows.iter().filter_map(|row| Some(row.interval?.0))),
            Self::Precision | Self::Recall | Self::F1 => self.of_classes(rows),
            Self::PrAuc | Self::PrecisionAt80Recall => self.of_ranking(rows),
            Self::Ece => {
                let found = reliability(rows)?;
                plain(found.ece, found.bins.iter().map(|bin| bin.count as usize).sum())
            }
            Self::IntervalWidth => {
                let widths: Vec<f64> = rows.iter().filter_map(|row| Some(row.interval?.1)).collect();
                plain(widths.iter().sum::<f64>() / widths.len() as f64, widths.len())
            }
            Self::Sharpe => {
                let found = Sharpe::of(&gains(rows)).ok()?;
                let scale = settings.sharpe_scale();
                let (value, reach) = (scale * found.per_period, scale * SPREAD * found.standard_error());
                let interval = Some(Interval { lower: value - reach, upper: value + reach });
                Some(Estimate { interval, ..plain(value, found.count as usize)? })
            }
            Self::Drawdown => {
                let gains = gains(rows);
                plain(trading::drawdown_compounded(&gains).ok()?.depth, gains.len())
            }
            Self::CumulativeReturn => {
                let gains = gains(rows);
                plain(trading::cumulative_return(&gains).ok()?, gains.len())
            }
            Self::Pnl => {
                let profits: Vec<f64> = rows.iter().filter_map(|row| row.pnl).collect();
                plain(profits.iter().sum(), profits.len())
            }
            Self::DailyVolatility => daily_volatility(rows, settings.volatility_window as usize),
        }
    }

    /// A share has an interval of its own; what has no denominator is undefined.
    fn of_classes(self, rows: &[&Row]) -> Option<Estimate> {
        if let Some(counts) = confusion(rows) {
            let (tp, fp, negative) = (counts.true_positive, counts.false_positive, counts.false_negative);
            return match self {
                Self::Precision => rate(tp, tp + fp),
                Self::Recall => rate(tp, tp + negative),
                _ => plain(counts.f1()?, counts.total() as usize),
            };
        }
        let classes: Vec<(u32, u32)> = rows.iter().filter_map(|row| row.called?.classes()).collect();
        let most = classes.iter().map(|(predicted, actual)| predicted.max(actual) + 1).max()?;
        let mut matrix = ConfusionMatrix::new(most.max(2)).ok()?;
        for (predicted, actual) in &classes {
            matrix.add(*actual, *predicted).ok()?;
        }
        let of_one = match self {
            Self::Precision => Confusion::precision,
            Self::Recall => Confusion::recall,
            _ => Confusion::f1,
        };
        plain(matrix.average(Averaging::Macro, of_one)?, classes.len())
    }

    fn of_ranking(self, rows: &[&Row]) -> Option<Estimate> {
        let (actual, scores) = scored(rows);
        let curve = PrecisionRecall::of(&actual, &scores).ok()?;
        match self {
            Self::PrAuc => plain(curve.average_precision(), scores.len()),
            _ => plain(curve.at_recall(RECALL)?.precision, scores.len()),
        }
    }
}

/// Counts of the rows that are positive or not; `None` where none is.
pub fn confusion(rows: &[&Row]) -> Option<Confusion> {
    let mut counts = Confusion::default();
    for row in rows {
        if let Some(Called::Positive { predicted, actual }) = row.called {
            counts.add(actual, predicted);
        }
    }
    (counts.total() > 0).then_some(counts)
}

/// How far what was claimed came true; `None` where nothing was claimed.
pub(crate) fn reliability(rows: &[&Row]) -> Option<Reliability> {
    let claims = rows.iter().filter_map(|row| row.claim);
    let (scores, actual): (Vec<f64>, Vec<bool>) = claims.unzip();
    Reliability::of(&actual, &scores, RELIABILITY_BINS, Binning::EqualWidth).ok()
}

/// Scores of the positive class with their outcomes.
pub(crate) fn scored(rows: &[&Row]) -> (Vec<bool>, Vec<f64>) {
    let positive = |row: &&Row| match (row.called, row.claim) {
        (Some(Called::Positive { actual, .. }), Some((score, _))) if row.is_score => Some((actual, score)),
        _ => None,
    };
    rows.iter().filter_map(positive).unzip()
}

fn gains(rows: &[&Row]) -> Vec<f64> {
    rows.iter().filter_map(|row| row.gain).collect()
}

/// Standard deviation of log returns of the newest prices, times the root of the bars in a day; a bar is as long as the
/// median step between them.
fn daily_volatility(rows: &[&Row], window: usize) -> Option<Estimate> {
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

/// What a classification said, and what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Called {
    Positive { predicted: bool, actual: bool },
    Class { predicted: u32, actual: u32 },
}

impl Called {
    fn classes(self) -> Option<(u32, u32)> {
        match self {
            Self::Class { predicted, actual } => Some((predicted, actual)),
            Self::Positive { .. } => None,
        }
    }
}

/// A judged prediction: what metrics need of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    at: Position,
    made: Timestamp,
    known: Timestamp,
    right: Option<bool>,
    won: Option<bool>,
    called: Option<Called>,
    /// The probability that was stated, and whether what it was stated of came true.
    claim: Option<(f64, bool)>,
    /// Whether the claim is of the positive class; otherwise of being right.
    is_score: bool,
    /// Return of the trade, as a fraction of what was put in.
    gain: Option<f64>,
    /// Profit or loss, in the caller's currency.
    pnl: Option<f64>,
    /// Whether the interval held, and how wide it was.
    interval: Option<(bool, f64)>,
    price: Option<f64>,
}

impl Row {
    /// Of a prediction at a position that was held against its outcome.
    pub fn of(at: Position, prediction: &Prediction, outcome: &Outcome, judged: Judged) -> Self {
        let called = match (judged.positive, prediction.predicted, outcome.actual) {
            (Some((predicted, actual)), ..) => Some(Called::Positive { predicted, actual }),
            (None, Predicted::Multiclass(predicted), Some(Actual::Label(label))) => {
                let actual = u32::try_from(label).ok().filter(|actual| predicted.max(*actual) < CLASSES);
                actual.map(|actual| Called::Class { predicted, actual })
            }
            _ => None,
        };
        let (claim, is_score) = match (prediction.predicted, judged.positive) {
            (Predicted::Binary(score), Some((_, actual))) => (Some((score, actual)), true),
            _ => (prediction.confidence.zip(judged.right), false),
        };
        let interval = prediction.interval.and_then(|interval| match outcome.actual {
            Some(Actual::Value(value)) => {
                Some(((interval.lower..=interval.upper).contains(&value), interval.upper - interval.lower))
            }
            _ => None,
        });
        let (gain, pnl) = profit(prediction, outcome);
        Self {
            at,
            made: prediction.time,
            known: outcome.time,
            right: judged.right,
            won: judged.won,
            called,
            claim,
            is_score,
            gain,
            pnl,
            interval,
            price: prediction.trade.entry_price,
        }
    }
}

/// Return and profit of a trade. What the caller says about the profit counts before what prices say; without a size a
/// fee cannot be a share of anything and is left out.
fn profit(prediction: &Prediction, outcome: &Outcome) -> (Option<f64>, Option<f64>) {
    let trade = prediction.trade;
    let side = match (trade.side, prediction.predicted) {
        (Some(side), _) => Some(side),
        (None, Predicted::Direction(side)) => Some(side),
        _ => None,
    };
    let side = side.filter(|side| *side != 0).map(f64::from);
    let put_in =
        trade.entry_price.zip(trade.size).map(|(price, size)| price * size.abs()).filter(|sum| *sum > 0.0);
    let fee = trade.fee.unwrap_or(0.0);
    let moved = match (side, trade.entry_price, outcome.exit_price) {
        (Some(side), Some(entry), Some(exit)) => Some(side * (exit / entry - 1.0)),
        _ => None,
    };
    let by_prices = moved.map(|moved| moved - put_in.map_or(0.0, |sum| fee / sum));
    let gain = outcome.pnl.zip(put_in).map(|(pnl, sum)| pnl / sum).or(by_prices);
    let pnl = outcome.pnl.or_else(|| Some(moved? * put_in? - fee));
    (gain.filter(|gain| gain.is_finite()), pnl.filter(|pnl| pnl.is_finite()))
}

/// The newest judged rows, oldest first. Bounded.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rows {
    rows: VecDeque<Row>,
    /// Whether older ones had to go.
    full: bool,
}

impl Rows {
    /// Takes a row and keeps the newest `most`.
    pub(crate) fn push(&mut self, row: Row, most: usize) {
        self.rows.push_back(row);
        while self.rows.len() > most {
            self.rows.pop_front();
            self.full = true;
        }
    }

    /// The outcome of a row was corrected.
    pub(crate) fn amend(&mut self, row: Row) {
        if let Some(kept) = self.rows.iter_mut().find(|kept| kept.at == row.at) {
            *kept = row;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The newest `last`, or all if there are fewer.
    pub(crate) fn newest(&self, last: usize) -> Vec<&Row> {
        self.rows.range(self.rows.len().saturating_sub(last)..).collect()
    }

    /// Those that became known in a stretch of time; `None` where some of it is no longer kept.
    pub(crate) fn between(&self, from: Timestamp, until: Timestamp) -> Option<Vec<&Row>> {
        let is_covered = !self.full || self.rows.front().is_some_and(|oldest| oldest.known <= from);
        is_covered.then(|| self.rows.iter().filter(|row| (from..until).contains(&row.known)).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use trimtab_types::{Features, Judging, Trade, judge};

    use super::*;
    use crate::testing::subject;

    fn row(predicted: Predicted, trade: Trade, outcome: &Outcome) -> Row {
        let prediction = Prediction {
            id: "p".into(),
            subject: Arc::new(subject()),
            time: outcome.time,
            predicted,
            confidence: Some(0.75),
            interval: Some(Interval { lower: 1.0, upper: 3.0 }),
            features: Features::default(),
            trade,
            served: true,
            horizon: None,
        };
        Row::of(Position(1), &prediction, outcome, judge(&prediction, outcome, &Judging::default()))
    }

    fn outcome(actual: Option<Actual>) -> Outcome {
        let subject = subject();
        Outcome {
            tenant: subject.tenant,
            model: subject.model,
            id: "p".into(),
            time: Timestamp::EPOCH,
            actual,
            exit_price: None,
            pnl: None,
            correction: false,
        }
    }

    fn value(metric: Metric, rows: &[Row]) -> Option<f64> {
        let rows: Vec<&Row> = rows.iter().collect();
        metric.of(&rows, &MetricSettings::default()).map(|estimate| estimate.value)
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
    fn trades_are_returns_on_what_was_put_in() {
        let long = Trade { entry_price: Some(100.0), side: Some(1), size: Some(2.0), fee: Some(1.0) };
        let closed = |trade, exit, pnl| {
            let outcome = Outcome { exit_price: exit, pnl, ..outcome(None) };
            let row = row(Predicted::Direction(1), trade, &outcome);
            (row.gain, row.pnl)
        };
        let near = |(gain, pnl): (Option<f64>, Option<f64>), expected: (Option<f64>, Option<f64>)| {
            let same = |a: Option<f64>, b: Option<f64>| match (a, b) {
                (Some(a), Some(b)) => (a - b).abs() < 1e-12,
                (a, b) => a == b,
            };
            assert!(same(gain, expected.0) && same(pnl, expected.1), "{gain:?} {pnl:?}, not {expected:?}");
        };
        // Two at 100 sold at 110: 20 less a fee of 1, on 200.
        near(closed(long, Some(110.0), None), (Some(0.095), Some(19.0)));
        near(closed(Trade { side: Some(-1), ..long }, Some(110.0), None), (Some(-0.105), Some(-21.0)));
        near(closed(long, Some(110.0), Some(18.0)), (Some(0.09), Some(18.0)));
        // Without a size: the price's own return, and no profit in any currency.
        near(closed(Trade { size: None, ..long }, Some(110.0), None), (Some(0.1), None));
        near(closed(Trade::default(), None, Some(-3.0)), (None, Some(-3.0)));
        let returns = [0.1, -0.5, 0.2];
        let rows = returns
            .map(|gain| Row { gain: Some(gain), ..row(Predicted::Direction(1), long, &outcome(None)) });
        assert!((value(Metric::Drawdown, &rows).expect("defined") - 0.5).abs() < 1e-12);
        let cumulative = value(Metric::CumulativeReturn, &rows).expect("defined");
        assert!((cumulative - (1.1 * 0.5 * 1.2 - 1.0)).abs() < 1e-12);
        let yearly = MetricSettings { periods_per_year: Some(252.0), ..MetricSettings::default() };
        let refs: Vec<&Row> = rows.iter().collect();
        let annualised = Metric::Sharpe.of(&refs, &yearly).expect("defined").value;
        let per_trade = value(Metric::Sharpe, &rows).expect("defined");
        assert!((annualised / per_trade - 252_f64.sqrt()).abs() < 1e-12);
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
        let rows: Vec<Row> = (0..25).map(at).collect();
        let step = libm::log(1.01);
        let expected = step * (24.0_f64 / 23.0).sqrt() * 24.0_f64.sqrt();
        let found = value(Metric::DailyVolatility, &rows).expect("defined");
        assert!((found - expected).abs() < 1e-12, "{found}, not {expected}");
        assert_eq!(value(Metric::DailyVolatility, &rows[1..]), None, "24 returns need 25 prices");
    }

    #[test]
    fn a_stretch_that_is_no_longer_kept_is_not_answered_for() {
        let mut rows = Rows::default();
        let at = |n: u64| {
            let outcome = Outcome { time: Timestamp::EPOCH.plus(n), ..outcome(Some(Actual::Label(1))) };
            Row { at: Position(n), ..row(Predicted::Binary(0.9), Trade::default(), &outcome) }
        };
        let between = |rows: &Rows, from, until| {
            rows.between(Timestamp::EPOCH.plus(from), Timestamp::EPOCH.plus(until)).map(|rows| rows.len())
        };
        (10..15).for_each(|n| rows.push(at(n), 5));
        assert_eq!(between(&rows, 0, 13), Some(3));
        rows.push(at(15), 5);
        assert_eq!(between(&rows, 0, 13), None, "the first is gone");
        assert_eq!(between(&rows, 11, 13), Some(2));
        assert_eq!((rows.len(), rows.newest(2).len(), rows.newest(9).len()), (5, 2, 5));
    }
}
