//! Predictions and outcomes, and what makes one of them wrong. How the one is judged by the other is in `judging`.

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
    pub(crate) fn cost(&self) -> f64 {
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
    /// When its outcome is expected; `None`: nobody said.
    pub fn due(&self) -> Option<Timestamp> {
        self.horizon.map(|horizon| self.time.plus(u64::from(horizon)))
    }

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{outcome, prediction};

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
