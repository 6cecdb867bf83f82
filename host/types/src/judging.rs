//! A prediction held against its outcome: what is right, what was won, and how large the error is. Pure, by the operator's
//! rules.

use serde::{Deserialize, Serialize};

use crate::{Actual, Baseline, Digest, Outcome, Predicted, Prediction};

/// How predictions are judged; part of the configuration in force.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Judging {
    /// A binary score at or above this predicts the positive class.
    pub binary_threshold: f64,
    /// A price change within ± this fraction counts as "did not move".
    pub dead_band: f64,
    /// Whether "hold" (direction 0) is judged against the dead band; otherwise it is left out of accuracy.
    pub judge_hold: bool,
    /// A regression error of this size or more counts as 1.
    pub regression_scale: Scale,
    /// A regression error, as a share of a scale that is a number, below which the prediction counts as right.
    pub regression_right: f64,
    /// When an outcome counts.
    #[serde(skip_serializing_if = "When::is_on_arrival")]
    pub when: When,
}

/// When an outcome counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// At the prediction's horizon, by the newest outcome known then: what comes before is provisional. A prediction without
    /// a horizon is judged by its first outcome.
    #[default]
    AtHorizon,
    /// The first outcome, when it comes.
    OnArrival,
}

impl When {
    fn is_on_arrival(&self) -> bool {
        *self == Self::OnArrival
    }
}

/// How large a regression error is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "must be \"baseline\", or a number above 0")]
pub enum Scale {
    /// By the baseline's own errors; written as `"baseline"`. Without a baseline that knows them, as of 1.
    #[serde(with = "by_baseline")]
    Baseline,
    /// One of this size or more counts as 1; written as a number.
    Of(f64),
    /// All but a fifth of the baseline's errors were at most this large: an error up to it is right, and one of twice that
    /// counts as 1. Made of a baseline, and not written.
    #[serde(skip)]
    Usual(f64),
}

mod by_baseline {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    const WORD: &str = "baseline";

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(WORD)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match String::deserialize(deserializer)?.as_str() {
            WORD => Ok(()),
            _ => Err(D::Error::custom("is not `baseline`")),
        }
    }
}

impl Scale {
    /// Whether an absolute error is right, and the error from 0 to 1.
    fn weigh(self, error: f64, right: f64) -> (bool, f64) {
        let share = |scale: f64| (error / scale).min(1.0);
        match self {
            Self::Baseline => (share(1.0) <= right, share(1.0)),
            Self::Of(scale) => (share(scale) <= right, share(scale)),
            // A baseline without errors knows nothing else than 0.
            Self::Usual(0.0) => (error == 0.0, f64::from(u8::from(error > 0.0))),
            Self::Usual(usual) => (error <= usual, share(2.0 * usual)),
        }
    }
}

impl Judging {
    /// Whether the same pair of prediction and outcome may be judged differently. When an outcome counts is another matter.
    pub fn differs(&self, other: &Self) -> bool {
        *self != Self { when: self.when, ..*other }
    }

    /// Which rules these are.
    pub fn digest(&self) -> Digest {
        // Plain data can always be written.
        Digest::of(&serde_json::to_vec(self).unwrap_or_default())
    }

    /// The same, for predictions that are held against this baseline.
    pub fn by(&self, baseline: Option<&Baseline>) -> Self {
        match (self.regression_scale, baseline.and_then(|baseline| baseline.errors)) {
            (Scale::Baseline, Some(errors)) => Self { regression_scale: Scale::Usual(errors.usual), ..*self },
            _ => *self,
        }
    }
}

impl Default for Judging {
    fn default() -> Self {
        Self {
            binary_threshold: 0.5,
            dead_band: 0.001,
            judge_hold: true,
            regression_scale: Scale::Baseline,
            regression_right: 0.1,
            when: When::AtHorizon,
        }
    }
}

/// A prediction held against its outcome.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Whether it was right. `None`: it does not count towards accuracy.
    pub right: Option<bool>,
    /// 0 for right, 1 for wrong; scaled for regression. `None` with `right`.
    pub error: Option<f64>,
    /// Whether the trade (or, without one, the prediction) won.
    pub won: Option<bool>,
    /// Predicted and actual class, where both are "positive or not".
    pub positive: Option<(bool, bool)>,
    /// Predicted and actual class, of all tasks that have any.
    pub classes: Option<(u32, u32)>,
}

impl Judged {
    /// What a class of [`Self::classes`] is called, for predictions like this.
    pub fn class_name(class: u32, predicted: Predicted) -> String {
        match (predicted, class) {
            (Predicted::Direction(_), 0) => "down".to_owned(),
            (Predicted::Direction(_), 1) => "flat".to_owned(),
            (Predicted::Direction(_), _) => "up".to_owned(),
            _ => class.to_string(),
        }
    }
}

/// Whether an outcome says anything about a prediction: a label of its task, a value for a regression, prices or profit of
/// its trade. One that does not is kept and counted, and judges nothing.
pub fn can_judge(prediction: &Prediction, outcome: &Outcome) -> bool {
    let priced = prediction.trade.entry_price.is_some() && outcome.exit_price.is_some();
    let own = match (prediction.predicted, outcome.actual) {
        (Predicted::Direction(_), Some(Actual::Label(_)))
        | (Predicted::Binary(_), Some(Actual::Label(-1..=1)))
        | (Predicted::Multiclass(_), Some(Actual::Label(0..)))
        | (Predicted::Regression(_), Some(Actual::Value(_))) => true,
        (Predicted::Direction(_), None) => priced,
        _ => false,
    };
    let sided =
        prediction.trade.side.is_some() || matches!(prediction.predicted, Predicted::Direction(-1 | 1));
    own || outcome.pnl.is_some() || (priced && sided)
}

/// Judges a prediction by its outcome. Pure: same rows and rules, same judgement.
pub fn judge(prediction: &Prediction, outcome: &Outcome, rules: &Judging) -> Judged {
    let change = match (prediction.trade.entry_price, outcome.exit_price) {
        (Some(entry), Some(exit)) => Some(exit / entry - 1.0),
        _ => None,
    };
    let by_class = |right: bool| (Some(right), Some(f64::from(u8::from(!right))));
    let ((right, error), positive, classes) = match (prediction.predicted, outcome.actual) {
        (Predicted::Direction(predicted), actual) => {
            let moved = match actual {
                Some(Actual::Label(label)) => Some(label.signum()),
                Some(Actual::Value(_)) => None,
                None => change.map(|change| direction_of(change, rules.dead_band)),
            };
            let counted = moved.filter(|_| predicted != 0 || rules.judge_hold);
            let positive = counted.filter(|_| predicted != 0).map(|moved| (predicted > 0, moved > 0));
            let class = |direction: i64| u32::try_from(direction + 1).unwrap_or(0);
            let judged = counted.map_or((None, None), |moved| by_class(i64::from(predicted) == moved));
            (judged, positive, counted.map(|moved| (class(predicted.into()), class(moved))))
        }
        (Predicted::Binary(score), Some(Actual::Label(label @ -1..=1))) => {
            let (predicted, actual) = (score >= rules.binary_threshold, label > 0);
            let classes = (u32::from(predicted), u32::from(actual));
            (by_class(predicted == actual), Some((predicted, actual)), Some(classes))
        }
        (Predicted::Multiclass(class), Some(Actual::Label(label @ 0..))) => {
            let right = i64::from(class) == label;
            (by_class(right), None, u32::try_from(label).ok().map(|label| (class, label)))
        }
        (Predicted::Regression(value), Some(Actual::Value(actual))) => {
            let (right, error) = rules.regression_scale.weigh((value - actual).abs(), rules.regression_right);
            ((Some(right), Some(error)), None, None)
        }
        _ => ((None, None), None, None),
    };
    // A trade that gains less than its fee is not won.
    let wins = |side: i8, change: f64| change * f64::from(side) - prediction.trade.cost() > 0.0;
    let won = match (outcome.pnl, change, prediction.trade.side, prediction.predicted) {
        (Some(pnl), ..) => Some(pnl > 0.0),
        (None, Some(change), Some(side), _) => Some(wins(side, change)),
        (None, Some(change), None, Predicted::Direction(side)) if side != 0 => Some(wins(side, change)),
        _ => right,
    };
    Judged { right, error, won, positive, classes }
}

fn direction_of(change: f64, dead_band: f64) -> i64 {
    if change > dead_band {
        1
    } else if change < -dead_band {
        -1
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Trade,
        testing::{outcome, prediction},
    };

    #[test]
    fn the_host_judges_every_task() {
        use Actual::{Label, Value};
        use Predicted::{Binary, Direction, Multiclass, Regression};
        type Row = (Predicted, Option<f64>, Option<Actual>, Option<f64>, Option<bool>, Option<bool>);
        #[rustfmt::skip]
        let cases: &[Row] = &[
            // predicted,     entry,       actual,           exit,          right,       won
            (Binary(0.5),     None,        Some(Label(1)),   None,          Some(true),  Some(true)),
            (Binary(0.49),    None,        Some(Label(1)),   None,          Some(false), Some(false)),
            (Direction(1),    Some(100.0), None,             Some(100.2),   Some(true),  Some(true)),
            (Direction(1),    Some(100.0), None,             Some(100.05),  Some(false), Some(true)),
            (Direction(0),    Some(100.0), None,             Some(100.05),  Some(true),  Some(true)),
            (Direction(-1),   Some(100.0), None,             Some(101.0),   Some(false), Some(false)),
            (Direction(-1),   None,        Some(Label(-1)),  None,          Some(true),  Some(true)),
            (Multiclass(3),   None,        Some(Label(3)),   None,          Some(true),  Some(true)),
            (Regression(1.0), None,        Some(Value(1.05)), None,         Some(true),  Some(true)),
            (Regression(1.0), None,        Some(Value(9.0)), None,          Some(false), Some(false)),
            (Regression(1.0), None,        Some(Label(1)),   None,          None,        None),
        ];
        for (predicted, entry, actual, exit, right, won) in cases {
            let judged =
                judge(&prediction(*predicted, *entry), &outcome(*actual, *exit, None), &Judging::default());
            assert_eq!((judged.right, judged.won), (*right, *won), "{predicted:?} {actual:?} {exit:?}");
        }
        let unjudged_hold = Judging { judge_hold: false, ..Judging::default() };
        let hold =
            judge(&prediction(Direction(0), Some(1.0)), &outcome(None, Some(1.0), None), &unjudged_hold);
        assert_eq!(hold.right, None);
        let paid = judge(
            &prediction(Binary(0.9), None),
            &outcome(Some(Label(1)), None, Some(-3.0)),
            &Judging::default(),
        );
        assert_eq!((paid.right, paid.won), (Some(true), Some(false)));
    }

    #[test]
    fn a_trade_that_gains_less_than_its_fee_is_not_won() {
        // 2 at 100 are 200; they gain 1 where the price rises to 100.5.
        for (fee, size, won) in [
            (None, Some(2.0), true),
            (Some(0.9), Some(2.0), true),
            (Some(1.1), Some(2.0), false),
            (Some(1.1), Some(-2.0), false),
            // Without a size nobody knows what share the fee is.
            (Some(1.1), None, true),
        ] {
            for side in [Some(1), None] {
                let mut row = prediction(Predicted::Direction(1), Some(100.0));
                row.trade = Trade { fee, size, side, ..row.trade };
                let judged = judge(&row, &outcome(None, Some(100.5), None), &Judging::default());
                assert_eq!((judged.right, judged.won), (Some(true), Some(won)), "{fee:?} {size:?} {side:?}");
            }
        }
    }

    #[test]
    fn an_outcome_of_another_kind_judges_nothing() {
        use Actual::{Label, Value};
        use Predicted::{Binary, Direction, Multiclass, Regression};
        #[rustfmt::skip]
        /// Prediction, entry price; outcome, exit price, profit; whether the one judges the other.
        type Case = (Predicted, Option<f64>, Option<Actual>, Option<f64>, Option<f64>, bool);
        let cases: &[Case] = &[
            // predicted,     entry,       actual,           exit,          profit,     judged
            (Binary(0.5), None, Some(Label(1)), None, None, true),
            (Binary(0.5), None, Some(Label(-1)), None, None, true),
            (Binary(0.5), None, Some(Label(2)), None, None, false),
            (Binary(0.5), None, Some(Value(1.0)), None, None, false),
            (Binary(0.5), None, Some(Value(1.0)), None, Some(2.0), true),
            (Multiclass(1), None, Some(Label(-1)), None, None, false),
            (Multiclass(1), None, Some(Label(0)), None, None, true),
            (Regression(1.0), None, Some(Label(1)), None, None, false),
            (Regression(1.0), None, Some(Value(1.0)), None, None, true),
            (Direction(1), None, Some(Value(1.0)), None, None, false),
            (Direction(1), None, None, Some(100.0), None, false),
            (Direction(1), Some(100.0), None, Some(100.0), None, true),
            (Direction(1), Some(100.0), Some(Value(1.0)), Some(100.0), None, true),
            (Direction(0), Some(100.0), Some(Value(1.0)), Some(100.0), None, false),
            // Not counted by a rule of the operator's, and yet judged.
            (Direction(0), None, Some(Label(1)), None, None, true),
        ];
        for (predicted, entry, actual, exit, pnl, expected) in cases {
            let (prediction, outcome) = (prediction(*predicted, *entry), outcome(*actual, *exit, *pnl));
            assert_eq!(can_judge(&prediction, &outcome), *expected, "{predicted:?} {actual:?} {exit:?}");
            let judged = judge(&prediction, &outcome, &Judging::default());
            assert_eq!(judged.right.is_some() || judged.won.is_some(), *expected, "{predicted:?} {actual:?}");
        }
    }
}
