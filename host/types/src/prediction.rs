//! Predictions, outcomes, and the rule by which the host judges the one by the other.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Interval, Invalid, Seconds, Subject, Timestamp, subject::check_name};

/// What a model predicted; the variant is the task.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Predicted {
    /// Down (−1), hold (0) or up (1).
    Direction(i8),
    /// Probability of the positive class, 0..1.
    Binary(f64),
    /// One of several classes, by number.
    Multiclass(u32),
    /// A number.
    Regression(f64),
}

impl Predicted {
    /// The name of the task.
    pub fn task(self) -> &'static str {
        match self {
            Self::Direction(_) => "direction",
            Self::Binary(_) => "binary",
            Self::Multiclass(_) => "multiclass",
            Self::Regression(_) => "regression",
        }
    }
}

/// What really happened.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Actual {
    /// A class: −1, 0 or 1 for directions, 0 or 1 for binary tasks, a class number for multiclass.
    Label(i64),
    /// A number, for regression.
    Value(f64),
}

/// A feature's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feature {
    /// A number; finite.
    Number(f64),
    /// A category.
    Category(String),
}

/// The features of a prediction: names, sorted and shared between rows, and a value for each.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Features {
    /// Sorted, without duplicates.
    pub names: Arc<[String]>,
    /// One per name.
    pub values: Vec<Feature>,
}

/// What is known of a trade when the prediction is made.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Trade {
    /// Price at entry.
    pub entry_price: Option<f64>,
    /// −1 sells, 1 buys; where it is missing, the predicted direction counts.
    pub side: Option<i8>,
    /// Size in the caller's unit.
    pub size: Option<f64>,
    /// Fee in the caller's currency.
    pub fee: Option<f64>,
}

impl Trade {
    /// The fee as a share of what was put in; 0 where one of the two is not known.
    fn cost(&self) -> f64 {
        match (self.fee, self.entry_price, self.size) {
            (Some(fee), Some(price), Some(size)) if price * size.abs() > 0.0 => fee / (price * size.abs()),
            _ => 0.0,
        }
    }
}

/// A prediction as it was logged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Unique within tenant and model.
    pub id: String,
    /// Whose prediction.
    pub subject: Arc<Subject>,
    /// When it was made.
    pub time: Timestamp,
    /// What was predicted.
    pub predicted: Predicted,
    /// The model's own confidence, 0..1.
    pub confidence: Option<f64>,
    /// Prediction interval, for regression.
    pub interval: Option<Interval>,
    /// Inputs.
    pub features: Features,
    /// Trade, if it led to one.
    pub trade: Trade,
    /// Whether somebody acted on it; shadow predictions are logged too.
    pub served: bool,
    /// After which time it can be judged.
    pub horizon: Option<Seconds>,
}

/// An outcome, or the correction of one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Owner of the model.
    pub tenant: String,
    /// The model.
    pub model: String,
    /// The prediction's id; the prediction may come later.
    pub id: String,
    /// When it became known.
    pub time: Timestamp,
    /// What really happened, if it is known as such.
    pub actual: Option<Actual>,
    /// Price at exit; with an entry price the host judges a direction by itself.
    pub exit_price: Option<f64>,
    /// Profit or loss in the caller's currency.
    pub pnl: Option<f64>,
    /// Replaces an earlier outcome of this prediction.
    pub correction: bool,
}

fn finite(field: &str, value: Option<f64>) -> Result<(), Invalid> {
    match value {
        Some(value) if !value.is_finite() => Err(Invalid::new(
            field,
            format!("is {value}; NaN and infinities are not numbers that can be judged"),
        )),
        _ => Ok(()),
    }
}

fn fraction(field: &str, value: Option<f64>) -> Result<(), Invalid> {
    match value {
        Some(value) if !(0.0..=1.0).contains(&value) => {
            Err(Invalid::new(field, format!("is {value}; it must lie between 0 and 1")))
        }
        _ => Ok(()),
    }
}

fn positive(field: &str, value: Option<f64>) -> Result<(), Invalid> {
    finite(field, value)?;
    match value {
        Some(value) if value <= 0.0 => Err(Invalid::new(field, format!("is {value}; it must be above 0"))),
        _ => Ok(()),
    }
}

impl Prediction {
    /// The most features that one prediction may carry.
    pub const MOST_FEATURES: usize = 2_000;

    /// Checks every field; the error names the one that is wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_name("id", &self.id)?;
        self.subject.validate()?;
        match self.predicted {
            Predicted::Direction(direction) if !(-1..=1).contains(&direction) => {
                return Err(Invalid::new("direction", format!("is {direction}; it must be -1, 0 or 1")));
            }
            Predicted::Binary(score) => fraction("score", Some(score))?,
            Predicted::Regression(value) => finite("value", Some(value))?,
            Predicted::Direction(_) | Predicted::Multiclass(_) => {}
        }
        fraction("confidence", self.confidence)?;
        if let Some(interval) = self.interval {
            finite("lower", Some(interval.lower))?;
            finite("upper", Some(interval.upper))?;
            if interval.lower > interval.upper {
                return Err(Invalid::new(
                    "lower",
                    format!("is {}, above `upper` {}", interval.lower, interval.upper),
                ));
            }
        }
        positive("entry_price", self.trade.entry_price)?;
        finite("size", self.trade.size)?;
        finite("fee", self.trade.fee)?;
        if self.trade.side.is_some_and(|side| side != -1 && side != 1) {
            return Err(Invalid::new("side", "must be -1 (sell) or 1 (buy)"));
        }
        self.features.validate()
    }

    /// The numbers whose distribution is watched: the score, under `None`, and then the features by name.
    pub fn quantities(&self) -> impl Iterator<Item = (Option<&str>, f64)> {
        let score = match self.predicted {
            Predicted::Binary(score) | Predicted::Regression(score) => Some(score),
            Predicted::Direction(direction) => Some(f64::from(direction)),
            Predicted::Multiclass(_) => None,
        };
        let features =
            self.features.names.iter().zip(&self.features.values).filter_map(|(name, value)| match value {
                Feature::Number(number) => Some((Some(name.as_str()), *number)),
                Feature::Category(_) => None,
            });
        score.map(|score| (None, score)).into_iter().chain(features)
    }

    /// The categories whose shares are watched: the predicted class, under `None`, and then the features by name.
    pub fn categories(&self) -> impl Iterator<Item = (Option<&str>, Cow<'_, str>)> {
        let class = match self.predicted {
            Predicted::Multiclass(class) => Some((None, Cow::Owned(class.to_string()))),
            _ => None,
        };
        let features =
            self.features.names.iter().zip(&self.features.values).filter_map(|(name, value)| match value {
                Feature::Category(category) => Some((Some(name.as_str()), Cow::Borrowed(category.as_str()))),
                Feature::Number(_) => None,
            });
        class.into_iter().chain(features)
    }
}

impl Features {
    /// From names and values in any order.
    pub fn from_pairs(mut pairs: Vec<(String, Feature)>) -> Self {
        pairs.sort_by(|a, b| a.0.cmp(&b.0));
        let (names, values): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        Self { names: names.into(), values }
    }

    fn validate(&self) -> Result<(), Invalid> {
        if self.names.len() != self.values.len() || self.names.len() > Prediction::MOST_FEATURES {
            return Err(Invalid::new(
                "features",
                format!(
                    "has {} entries; at most {} are allowed",
                    self.names.len(),
                    Prediction::MOST_FEATURES
                ),
            ));
        }
        if let Some(pair) = self.names.windows(2).find(|pair| pair[0] >= pair[1]) {
            return Err(Invalid::new(format!("features.{}", pair[1]), "is there twice"));
        }
        for (name, value) in self.names.iter().zip(&self.values) {
            check_name("features", name)?;
            match value {
                Feature::Number(number) => finite(&format!("features.{name}"), Some(*number))?,
                Feature::Category(category) if category.len() > 200 => {
                    return Err(Invalid::new(
                        format!("features.{name}"),
                        "is a category of more than 200 bytes",
                    ));
                }
                Feature::Category(_) => {}
            }
        }
        Ok(())
    }
}

impl Outcome {
    /// Checks every field; the error names the one that is wrong.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_name("tenant", &self.tenant)?;
        check_name("model", &self.model)?;
        check_name("id", &self.id)?;
        if let Some(Actual::Value(value)) = self.actual {
            finite("value", Some(value))?;
        }
        positive("exit_price", self.exit_price)?;
        finite("pnl", self.pnl)?;
        if self.actual.is_none() && self.exit_price.is_none() && self.pnl.is_none() {
            return Err(Invalid::new(
                "outcome",
                "says nothing; give `label`, `value`, `exit_price` or `pnl`",
            ));
        }
        Ok(())
    }
}

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
    pub regression_scale: f64,
    /// A regression error, as a share of the scale, below which the prediction counts as right.
    pub regression_right: f64,
}

impl Default for Judging {
    fn default() -> Self {
        Self {
            binary_threshold: 0.5,
            dead_band: 0.001,
            judge_hold: true,
            regression_scale: 1.0,
            regression_right: 0.1,
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
    let (right, error, positive) = match (prediction.predicted, outcome.actual) {
        (Predicted::Direction(predicted), actual) => {
            let moved = match actual {
                Some(Actual::Label(label)) => Some(label.signum()),
                Some(Actual::Value(_)) => None,
                None => change.map(|change| direction_of(change, rules.dead_band)),
            };
            let counted = moved.filter(|_| predicted != 0 || rules.judge_hold);
            let right = counted.map(|moved| i64::from(predicted) == moved);
            let positive = counted.filter(|_| predicted != 0).map(|moved| (predicted > 0, moved > 0));
            (right, right.map(|right| f64::from(u8::from(!right))), positive)
        }
        (Predicted::Binary(score), Some(Actual::Label(label @ -1..=1))) => {
            let (predicted, actual) = (score >= rules.binary_threshold, label > 0);
            let right = predicted == actual;
            (Some(right), Some(f64::from(u8::from(!right))), Some((predicted, actual)))
        }
        (Predicted::Multiclass(class), Some(Actual::Label(label @ 0..))) => {
            let right = i64::from(class) == label;
            (Some(right), Some(f64::from(u8::from(!right))), None)
        }
        (Predicted::Regression(value), Some(Actual::Value(actual))) => {
            let error = ((value - actual).abs() / rules.regression_scale).min(1.0);
            (Some(error <= rules.regression_right), Some(error), None)
        }
        _ => (None, None, None),
    };
    // A trade that gains less than its fee is not won.
    let wins = |side: i8, change: f64| change * f64::from(side) - prediction.trade.cost() > 0.0;
    let won = match (outcome.pnl, change, prediction.trade.side, prediction.predicted) {
        (Some(pnl), ..) => Some(pnl > 0.0),
        (None, Some(change), Some(side), _) => Some(wins(side, change)),
        (None, Some(change), None, Predicted::Direction(side)) if side != 0 => Some(wins(side, change)),
        _ => right,
    };
    Judged { right, error, won, positive }
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

    fn prediction(predicted: Predicted, entry_price: Option<f64>) -> Prediction {
        Prediction {
            id: "p1".into(),
            subject: Arc::new(Subject {
                tenant: "default".into(),
                model: "m".into(),
                version: "v1".into(),
                segment: String::new(),
            }),
            time: Timestamp::EPOCH,
            predicted,
            confidence: None,
            interval: None,
            features: Features::default(),
            trade: Trade { entry_price, ..Trade::default() },
            served: true,
            horizon: None,
        }
    }

    fn outcome(actual: Option<Actual>, exit_price: Option<f64>, pnl: Option<f64>) -> Outcome {
        Outcome {
            tenant: "default".into(),
            model: "m".into(),
            id: "p1".into(),
            time: Timestamp::EPOCH,
            actual,
            exit_price,
            pnl,
            correction: false,
        }
    }

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

    #[test]
    fn what_cannot_be_judged_is_refused_by_name() {
        let with = |change: &dyn Fn(&mut Prediction)| {
            let mut row = prediction(Predicted::Binary(0.5), None);
            change(&mut row);
            row.validate().expect_err("refused").field
        };
        assert_eq!(with(&|p| p.predicted = Predicted::Binary(1.2)), "score");
        assert_eq!(with(&|p| p.predicted = Predicted::Binary(f64::NAN)), "score");
        assert_eq!(with(&|p| p.predicted = Predicted::Regression(f64::INFINITY)), "value");
        assert_eq!(with(&|p| p.predicted = Predicted::Direction(2)), "direction");
        assert_eq!(with(&|p| p.confidence = Some(-0.1)), "confidence");
        assert_eq!(with(&|p| p.trade.entry_price = Some(0.0)), "entry_price");
        assert_eq!(with(&|p| p.trade.side = Some(0)), "side");
        assert_eq!(with(&|p| p.id.clear()), "id");
        let number = |n| Feature::Number(n);
        assert_eq!(
            with(&|p| p.features = Features::from_pairs(vec![("a".into(), number(f64::NAN))])),
            "features.a"
        );
        assert_eq!(
            with(&|p| p.features =
                Features::from_pairs(vec![("a".into(), number(1.0)), ("a".into(), number(2.0))])),
            "features.a"
        );
        assert_eq!(outcome(None, None, None).validate().expect_err("refused").field, "outcome");
    }
}
