//! Rows as callers write them, and how they become entries. One wire form for HTTP, NDJSON and mapped files, so that a
//! mistake reads the same everywhere.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Actual, DigestBuilder, Entry, ErrorKind, Feature, Features, HasKind, Interval, Invalid, Outcome,
    Predicted, Prediction, Subject, Timestamp, Trade, parse_duration,
};

use crate::json_values::{Object, features, object, whole};

/// A prediction as callers write it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `Prediction`")]
pub struct PredictionRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub model: String,
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub segment: String,
    pub time: String,
    /// −1, 0 or 1. Exactly one of `direction`, `score`, `class` and `value` says what was predicted.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub direction: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub class: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "features")]
    pub features: BTreeMap<String, FeatureValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry_price: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub side: Option<i8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fee: Option<f64>,
    /// True where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served: Option<bool>,
    /// Such as `30m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub horizon: Option<String>,
}

/// A feature's value as callers write it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum FeatureValue {
    /// A number.
    Number(f64),
    /// A category.
    Category(String),
}

/// By hand: the derived form for untagged values copies each value first, which costs more than the rest of a row.
impl<'de> Deserialize<'de> for FeatureValue {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Value;

        impl serde::de::Visitor<'_> for Value {
            type Value = FeatureValue;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number or a text")
            }

            fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<FeatureValue, E> {
                Ok(FeatureValue::Number(number))
            }

            fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<FeatureValue, E> {
                exact(number.unsigned_abs())?;
                Ok(FeatureValue::Number(number as f64))
            }

            fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<FeatureValue, E> {
                exact(number)?;
                Ok(FeatureValue::Number(number as f64))
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<FeatureValue, E> {
                Ok(FeatureValue::Category(text.to_owned()))
            }
        }

        deserializer.deserialize_any(Value)
    }
}

/// Above 2^53 not every whole number is one here, and two that differ would be the same.
fn exact<E: serde::de::Error>(number: u64) -> Result<(), E> {
    const MOST: u64 = 1 << 53;
    if number <= MOST {
        return Ok(());
    }
    Err(E::custom(format!("{number} is too large to be kept exactly; write it in quotes, as a category")))
}

/// An outcome as callers write it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `Outcome`")]
pub struct OutcomeRow {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub model: String,
    pub id: String,
    pub time: String,
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "whole")]
    pub label: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_price: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pnl: Option<f64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub correction: bool,
}

/// A line of a mixed stream: `{"prediction": {…}}` or `{"outcome": {…}}`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Row {
    /// A prediction.
    Prediction(#[serde(deserialize_with = "object")] Box<PredictionRow>),
    /// An outcome.
    Outcome(#[serde(deserialize_with = "object")] OutcomeRow),
}

impl Row {
    /// Checks the row and makes it an entry.
    pub fn entry(self) -> Result<Entry, Invalid> {
        match self {
            Self::Prediction(row) => row.prediction().map(Entry::Prediction),
            Self::Outcome(row) => row.outcome().map(Entry::Outcome),
        }
    }
}

impl PredictionRow {
    /// Checks the row. A row without id gets one from its content, so that sending it twice is one row.
    pub fn prediction(self) -> Result<Prediction, Invalid> {
        let predicted = match (self.direction, self.score, self.class, self.value) {
            (Some(direction), None, None, None) => Predicted::Direction(direction),
            (None, Some(score), None, None) => Predicted::Binary(score),
            (None, None, Some(class), None) => Predicted::Multiclass(class),
            (None, None, None, Some(value)) => Predicted::Regression(value),
            _ => {
                return Err(Invalid::new(
                    "prediction",
                    "exactly one of `direction`, `score`, `class` and `value` says what was predicted",
                ));
            }
        };
        let interval = match (self.lower, self.upper) {
            (Some(lower), Some(upper)) => Some(Interval { lower, upper }),
            (None, None) => None,
            _ => return Err(Invalid::new("lower", "an interval takes both `lower` and `upper`")),
        };
        let horizon = match self.horizon.as_deref().map(parse_duration).transpose() {
            Ok(horizon) => horizon,
            Err(invalid) => return Err(Invalid::new("horizon", invalid.problem)),
        };
        let features = self.features.into_iter().map(|(name, value)| {
            let value = match value {
                FeatureValue::Number(number) => Feature::Number(number),
                FeatureValue::Category(category) => Feature::Category(category),
            };
            (name, value)
        });
        let mut prediction = Prediction {
            id: String::new(),
            subject: Arc::new(Subject {
                tenant: self.tenant.unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()),
                model: self.model,
                version: self.version,
                segment: self.segment,
            }),
            time: Timestamp::parse(&self.time)?,
            predicted,
            confidence: self.confidence,
            interval,
            features: Features::from_pairs(features.collect()),
            trade: Trade { entry_price: self.entry_price, side: self.side, size: self.size, fee: self.fee },
            served: self.served.unwrap_or(true),
            horizon,
        };
        prediction.id = match self.id {
            Some(id) => id,
            None => content_id(&prediction)?,
        };
        prediction.validate()?;
        Ok(prediction)
    }
}

fn content_id(prediction: &Prediction) -> Result<String, Invalid> {
    let content =
        serde_json::to_vec(prediction).map_err(|error| Invalid::new("prediction", error.to_string()))?;
    let digest = DigestBuilder::new("prediction").part(&content).finish().to_string();
    Ok(format!("r-{}", &digest[..32]))
}

impl OutcomeRow {
    /// Checks the row.
    pub fn outcome(self) -> Result<Outcome, Invalid> {
        let actual = match (self.label, self.value) {
            (Some(label), None) => Some(Actual::Label(label)),
            (None, Some(value)) => Some(Actual::Value(value)),
            (None, None) => None,
            (Some(_), Some(_)) => {
                return Err(Invalid::new("label", "an outcome has a `label` or a `value`, not both"));
            }
        };
        let outcome = Outcome {
            tenant: self.tenant.unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()),
            model: self.model,
            id: self.id,
            time: Timestamp::parse(&self.time)?,
            actual,
            exit_price: self.exit_price,
            pnl: self.pnl,
            correction: self.correction,
        };
        outcome.validate()?;
        Ok(outcome)
    }
}

/// Longest line of NDJSON, in bytes.
pub const LONGEST_LINE: usize = 1 << 20;

/// What is wrong with one row of a request or file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("row {line}: {problem}")]
pub struct BadRow {
    /// From 1, in the request: the line, for NDJSON.
    pub line: u64,
    /// With field or column, cause and fix.
    pub problem: String,
}

impl HasKind for BadRow {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }

    fn row(&self) -> Option<u64> {
        Some(self.line)
    }
}

/// Parses one JSON row of any of the forms.
pub fn parse_row<T: for<'de> Deserialize<'de>>(line: u64, text: &str) -> Result<T, BadRow> {
    if text.len() > LONGEST_LINE {
        let problem = format!("has {} bytes; a row may have at most {LONGEST_LINE}", text.len());
        return Err(BadRow { line, problem });
    }
    serde_json::from_str(text).map(|Object(row)| row).map_err(|error| {
        // The column is the place behind the character that was not expected.
        let rest = text.get(error.column().saturating_sub(1)..).unwrap_or_default();
        let not_a_number =
            ["NaN", "nan", "Inf", "inf", "-Inf", "-inf"].iter().any(|name| rest.starts_with(name));
        // serde_json counts lines within this one; the column is what helps.
        let told = error.to_string();
        // What begins like a word of JSON is said to be none.
        let cause = match told.split(" at line ").next().unwrap_or_default() {
            "expected ident" => "expected value",
            cause => cause,
        };
        let hint = if not_a_number {
            "; JSON has no NaN and no infinities: leave the field out"
        } else if cause.starts_with("invalid type: integer") && cause.ends_with("expected a string") {
            "; write it in quotes"
        } else if cause.contains("expected `prediction` or `outcome`") {
            "; a line is {\"prediction\": {…}} or {\"outcome\": {…}}"
        } else {
            ""
        };
        let field = field::<T>(text).map(|field| format!("`{field}`: ")).unwrap_or_default();
        BadRow { line, problem: format!("column {}: {field}{cause}{hint}", error.column()) }
    })
}

/// In which field of a row the mistake is, if it is in one.
fn field<T: for<'de> Deserialize<'de>>(text: &str) -> Option<String> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let error = serde_path_to_error::deserialize::<_, Object<T>>(&mut reader).err()?;
    let path = error.path().to_string();
    (!path.is_empty() && path != "." && !path.contains('?')).then_some(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str) {
        let outcome = parse_row::<Row>(7, text)
            .and_then(|row| row.entry().map_err(|invalid| BadRow { line: 7, problem: invalid.to_string() }));
        let got = match outcome {
            Ok(Entry::Prediction(prediction)) => {
                format!("{} {} {:?}", prediction.id, prediction.subject, prediction.predicted)
            }
            Ok(Entry::Outcome(outcome)) => format!("{} {:?}", outcome.id, outcome.actual),
            Ok(other) => format!("{other:?}"),
            Err(error) => error.to_string(),
        };
        assert!(got.contains(expected), "{text}\n  gave: {got}\n  expected: {expected}");
    }

    #[test]
    fn rows_become_entries_or_name_their_mistake() {
        let p = |rest: &str| {
            format!(r#"{{"prediction":{{"model":"m","version":"v1","time":"2026-01-01T00:00:00Z"{rest}}}}}"#)
        };
        check(&p(r#","id":"a","score":0.7"#), "a m@v1 Binary(0.7)");
        check(&p(r#","score":0.7"#), "r-");
        check(
            &p(r#","id":2882429806056571124,"score":0.7"#),
            "`prediction.id`: invalid type: integer `2882429806056571124`, expected a string; write it in quotes",
        );
        check(r#"{"id":"a","score":0.7}"#, r#"a line is {"prediction": {…}} or {"outcome": {…}}"#);
        check(&p(r#","id":"a","direction":-1,"segment":"BTC/USDT""#), "a m@v1[BTC/USDT] Direction(-1)");
        check(&p(r#","score":1.7"#), "score: is 1.7; it must lie between 0 and 1");
        check(&p(r#","score":NaN"#), "JSON has no NaN");
        check(&p(r#","score":1e999"#), "number out of range");
        check(&p(""), "exactly one of `direction`, `score`, `class` and `value`");
        check(&p(r#","score":0.1,"value":3"#), "exactly one of");
        check(&p(r#","scoer":0.1"#), "unknown field `scoer`");
        check(&p(r#","score":0.1,"horizon":"soon""#), "horizon: `soon` is not a length of time");
        check(&p(r#","score":0.1,"features":{"a":1,"b":"x"}"#), "Binary");
        check(&p(r#","score":0.1,"features":{"a":[1]}"#), "expected a number or a text");
        check(&p(r#","score":0.1,"features":{"a":null,"b":1}"#), "Binary");
        check(&p(r#","score":0.1,"features":{"a":1,"a":2}"#), "feature `a` is there twice");
        check(&p(r#","score":0.1,"features":{"a":null,"a":2}"#), "feature `a` is there twice");
        check(&p(r#","direction":-1.0"#), "Direction(-1)");
        check(&p(r#","class":3.0"#), "Multiclass(3)");
        check(&p(r#","class":-1"#), "-1 is no number of this field");
        check(&p(r#","class":2.5"#), "2.5 is not a whole number");
        check(&p(r#","class":null,"score":0.5"#), "Binary(0.5)");
        check(
            r#"{"outcome":{"model":"m","id":"a","time":"2026-01-01T00:30:00Z","label":1.0}}"#,
            "a Some(Label(1))",
        );
        check(
            r#"{"outcome":{"model":"m","id":"a","time":"2026-01-01T00:30:00Z","label":true}}"#,
            "expected a whole number",
        );
        check(
            r#"{"outcome":{"model":"m","id":"a","time":"2026-01-01T00:30:00Z","label":1}}"#,
            "a Some(Label(1))",
        );
        check(r#"{"outcome":{"model":"m","id":"a","time":"2026-01-01T00:30:00","label":1}}"#, "with a zone");
        check(r#"{"outcome":{"model":"m","id":"a","time":"2026-01-01T00:30:00Z"}}"#, "says nothing");
        check(r#"{"outcome":{"model":"m","id":"","time":"2026-01-01T00:30:00Z","label":1}}"#, "id: is empty");
        // An array is no row, whatever the order of its values.
        check(
            r#"{"prediction":["a","default","m","v1","","2026-01-01T00:00:00Z",1]}"#,
            "invalid type: sequence, expected an object",
        );
        check(r#"[{"id":"a"}]"#, "expected an object");
        check(&p(r#","score":0.1,"features":{"a":9007199254740992,"b":-9007199254740992}"#), "Binary");
        check(&p(r#","score":0.1,"features":{"a":9007199254740993}"#), "write it in quotes, as a category");
        check(r#"{"outcome":{"#, "EOF");
        check("", "EOF");
    }

    #[test]
    fn a_row_without_id_has_the_id_of_its_content() {
        let row = |score| PredictionRow {
            model: "m".into(),
            version: "v".into(),
            time: "2026-01-01T00:00:00Z".into(),
            score: Some(score),
            ..PredictionRow::default()
        };
        let id = |score| row(score).prediction().expect("valid").id;
        assert_eq!(id(0.5), id(0.5));
        assert_ne!(id(0.5), id(0.6));
    }
}
