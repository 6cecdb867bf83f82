//! Column maps: what the columns of a CSV file mean.
//!
//! Texts such as ids and names are templates, in which `{column}` stands for a column's value and `{line}` for the line;
//! numbers and times name their column.

use std::path::Path;

use serde::Deserialize;
use trimtab_server::{ExitCode, Failure};
use trimtab_types::parse_duration;

use crate::connect::read_text;

/// A column map.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Map {
    /// Between two cells.
    #[serde(default = "comma")]
    pub(crate) delimiter: char,
    /// Column of the time at which predictions were made.
    pub(crate) time: String,
    #[serde(default)]
    pub(crate) time_format: TimeFormat,
    /// The predictions that a line holds; one whose column is empty is left out.
    pub(crate) predictions: Vec<PredictionMap>,
    /// The outcome of all of them.
    pub(crate) outcome: Option<OutcomeMap>,
    /// Baselines to set on the way.
    #[serde(default)]
    pub(crate) baselines: Vec<BaselineMap>,
}

fn comma() -> char {
    ','
}

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TimeFormat {
    /// With a zone.
    #[default]
    Rfc3339,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct PredictionMap {
    pub(crate) id: String,
    pub(crate) tenant: Option<String>,
    pub(crate) model: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) segment: String,
    pub(crate) direction: Option<String>,
    pub(crate) score: Option<String>,
    pub(crate) class: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) confidence: Option<String>,
    pub(crate) lower: Option<String>,
    pub(crate) upper: Option<String>,
    pub(crate) entry_price: Option<String>,
    pub(crate) side: Option<String>,
    pub(crate) size: Option<String>,
    pub(crate) fee: Option<String>,
    #[serde(default)]
    pub(crate) features: Vec<String>,
    #[serde(default = "yes")]
    pub(crate) served: bool,
    pub(crate) horizon: Option<String>,
}

fn yes() -> bool {
    true
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OutcomeMap {
    pub(crate) label: Option<String>,
    pub(crate) value: Option<String>,
    pub(crate) exit_price: Option<String>,
    pub(crate) pnl: Option<String>,
    /// Column of the time at which it became known …
    pub(crate) time: Option<String>,
    /// … or how long after the prediction, such as `30m`.
    pub(crate) after: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct BaselineMap {
    pub(crate) tenant: Option<String>,
    pub(crate) model: String,
    pub(crate) version: String,
    #[serde(default)]
    pub(crate) segment: String,
    /// From the first so many resolved predictions.
    pub(crate) first: u64,
}

impl Map {
    /// Reads and checks a map.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        Self::parse(&read_text(path)?, &path.display().to_string())
    }

    fn parse(text: &str, file: &str) -> Result<Self, Failure> {
        let wrong = |problem: String| Failure {
            exit_code: ExitCode::Config as u8,
            ..Failure::invalid(format!("{file}: {problem}"))
        };
        let map: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if map.predictions.is_empty() {
            return Err(wrong("there is no [[predictions]]; say which columns hold a prediction".to_owned()));
        }
        if !map.delimiter.is_ascii() {
            return Err(wrong("`delimiter` must be one ASCII character".to_owned()));
        }
        for prediction in &map.predictions {
            let what = [&prediction.direction, &prediction.score, &prediction.class, &prediction.value];
            if what.iter().filter(|column| column.is_some()).count() != 1 {
                return Err(wrong(format!(
                    "[[predictions]] of version `{}`: exactly one of `direction`, `score`, `class` and `value` names the column of what was predicted",
                    prediction.version
                )));
            }
        }
        if let Some(outcome) = &map.outcome {
            if outcome.time.is_some() == outcome.after.is_some() {
                return Err(wrong("[outcome] needs `time` or `after`, and not both".to_owned()));
            }
            if let Some(after) = &outcome.after {
                parse_duration(after)
                    .map_err(|invalid| wrong(format!("[outcome] after: {}", invalid.problem)))?;
            }
            if [&outcome.label, &outcome.value, &outcome.exit_price, &outcome.pnl].iter().all(|c| c.is_none())
            {
                return Err(wrong("[outcome] needs `label`, `value`, `exit-price` or `pnl`".to_owned()));
            }
        }
        Ok(map)
    }

    /// Every column that the map names, with the key that names it.
    pub(crate) fn columns(&self) -> Vec<(&'static str, &str)> {
        let mut columns = vec![("time", self.time.as_str())];
        for p in &self.predictions {
            let numbers = [
                ("direction", &p.direction),
                ("score", &p.score),
                ("class", &p.class),
                ("value", &p.value),
                ("confidence", &p.confidence),
                ("lower", &p.lower),
                ("upper", &p.upper),
                ("entry-price", &p.entry_price),
                ("side", &p.side),
                ("size", &p.size),
                ("fee", &p.fee),
            ];
            columns.extend(numbers.into_iter().filter_map(|(key, column)| Some((key, column.as_deref()?))));
            columns.extend(p.features.iter().map(|column| ("features", column.as_str())));
            for (key, template) in
                [("id", &p.id), ("model", &p.model), ("version", &p.version), ("segment", &p.segment)]
            {
                columns.extend(placeholders(template).map(|column| (key, column)));
            }
        }
        if let Some(o) = &self.outcome {
            let numbers = [
                ("label", &o.label),
                ("value", &o.value),
                ("exit-price", &o.exit_price),
                ("pnl", &o.pnl),
                ("time", &o.time),
            ];
            columns.extend(numbers.into_iter().filter_map(|(key, column)| Some((key, column.as_deref()?))));
        }
        columns
    }
}

/// The columns that a template names.
fn placeholders(template: &str) -> impl Iterator<Item = &str> {
    template
        .split('{')
        .skip(1)
        .filter_map(|part| part.split_once('}'))
        .map(|(name, _)| name)
        .filter(|name| *name != "line")
}

/// Fills a template.
pub(super) fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut parts = template.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('}') {
            Some((name, rest)) => {
                filled.push_str(&value(name).unwrap_or_default());
                filled.push_str(rest);
            }
            None => {
                filled.push('{');
                filled.push_str(part);
            }
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_say_what_is_wrong_with_them() {
        let good = "time = \"at\"\n[[predictions]]\nid = \"{at}/{line}\"\nmodel = \"m\"\nversion = \"v1\"\nscore = \"s\"\n";
        let map = Map::parse(good, "m.toml").expect("valid");
        assert_eq!(map.columns(), [("time", "at"), ("score", "s"), ("id", "at")]);
        for (text, part) in [
            ("time = \"at\"\npredictions = []", "no [[predictions]]"),
            (&good.replace("score = \"s\"", ""), "exactly one of"),
            (&good.replace("score", "scoer"), "scoer"),
            (&format!("{good}[outcome]\nlabel = \"y\"\n"), "`time` or `after`"),
            (&format!("{good}[outcome]\nafter = \"30m\"\n"), "`label`, `value`"),
            (&format!("{good}[outcome]\nlabel = \"y\"\nafter = \"soon\"\n"), "length of time"),
        ] {
            let message = Map::parse(text, "m.toml").expect_err(text).message;
            assert!(message.contains(part) && message.contains("m.toml"), "{message}");
        }
    }

    #[test]
    fn templates_fill() {
        let value = |name: &str| (name == "at").then(|| "noon".to_owned());
        assert_eq!(fill("{at}/v1", value), "noon/v1");
        assert_eq!(fill("plain", value), "plain");
        assert_eq!(fill("{nothing}-{at", value), "-{at");
    }
}
