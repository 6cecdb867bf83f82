//! Judged predictions: what metrics need of each, and the newest of them. Not what they come to; see `measure`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use trimtab_types::{Actual, Judged, Outcome, Position, Predicted, Prediction, Timestamp};

/// A class with a number from here on is not counted: class numbers index a square matrix.
const CLASSES: u32 = 256;

/// What a classification said, and what was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Called {
    Positive { predicted: bool, actual: bool },
    Class { predicted: u32, actual: u32 },
}

impl Called {
    pub(crate) fn classes(self) -> Option<(u32, u32)> {
        match self {
            Self::Class { predicted, actual } => Some((predicted, actual)),
            Self::Positive { .. } => None,
        }
    }
}

/// A judged prediction: what metrics need of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedRow {
    at: Position,
    pub(crate) made: Timestamp,
    pub(crate) known: Timestamp,
    pub(crate) right: Option<bool>,
    pub(crate) won: Option<bool>,
    pub(crate) called: Option<Called>,
    /// The probability that was stated, and whether what it was stated of came true.
    pub(crate) claim: Option<(f64, bool)>,
    /// Whether the claim is of the positive class; otherwise of being right.
    pub(crate) is_score: bool,
    /// Return of the trade, as a fraction of what was put in.
    pub(crate) gain: Option<f64>,
    /// Profit or loss, in the caller's currency.
    pub(crate) pnl: Option<f64>,
    /// Whether the interval held, and how wide it was.
    pub(crate) interval: Option<(bool, f64)>,
    pub(crate) price: Option<f64>,
    /// How far a number was off.
    pub(crate) miss: Option<f64>,
}

impl JudgedRow {
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
            miss: match (prediction.predicted, outcome.actual) {
                (Predicted::Regression(predicted), Some(Actual::Value(actual))) => Some(predicted - actual),
                _ => None,
            },
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
pub(crate) struct JudgedRows {
    rows: VecDeque<JudgedRow>,
    /// Whether older ones had to go.
    full: bool,
}

impl JudgedRows {
    /// Takes a row and keeps the newest `most`.
    pub(crate) fn push(&mut self, row: JudgedRow, most: usize) {
        self.rows.push_back(row);
        while self.rows.len() > most {
            self.rows.pop_front();
            self.full = true;
        }
    }

    /// The outcome of a row was corrected.
    pub(crate) fn amend(&mut self, row: JudgedRow) {
        if let Some(kept) = self.rows.iter_mut().find(|kept| kept.at == row.at) {
            *kept = row;
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The newest `last`, or all if there are fewer.
    pub(crate) fn newest(&self, last: usize) -> Vec<&JudgedRow> {
        self.rows.range(self.rows.len().saturating_sub(last)..).collect()
    }

    /// Those that became known in a stretch of time; `None` where some of it is no longer kept.
    pub(crate) fn between(&self, from: Timestamp, until: Timestamp) -> Option<Vec<&JudgedRow>> {
        let is_covered = !self.full || self.rows.front().is_some_and(|oldest| oldest.known <= from);
        is_covered.then(|| self.rows.iter().filter(|row| (from..until).contains(&row.known)).collect())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use trimtab_types::{Features, Interval, Judging, Trade, judge};

    use super::*;
    use trimtab_types::testing::subject;

    pub(crate) fn row(predicted: Predicted, trade: Trade, outcome: &Outcome) -> JudgedRow {
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
        JudgedRow::of(Position(1), &prediction, outcome, judge(&prediction, outcome, &Judging::default()))
    }

    pub(crate) fn outcome(actual: Option<Actual>) -> Outcome {
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
    }

    #[test]
    fn a_stretch_that_is_no_longer_kept_is_not_answered_for() {
        let mut rows = JudgedRows::default();
        let at = |n: u64| {
            let outcome = Outcome { time: Timestamp::EPOCH.plus(n), ..outcome(Some(Actual::Label(1))) };
            JudgedRow { at: Position(n), ..row(Predicted::Binary(0.9), Trade::default(), &outcome) }
        };
        let between = |rows: &JudgedRows, from, until| {
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
