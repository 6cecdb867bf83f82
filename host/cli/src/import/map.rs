//! Column maps: what the columns of a CSV file mean.
//!
//! Texts such as ids and names are templates, in which `{column}` stands for a column's value and `{line}` for the line;
//! numbers and times name their column.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::Deserialize;
use trimtab_server::{ExitCode, Failure};
use trimtab_types::{Subject, Timestamp, parse_duration};

use super::{
    tasks::{self, Task},
    times::{TimeFormat, Times},
    values::Numbers,
};
use crate::connect::read_text;

/// A column map.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Map {
    /// Between two cells.
    #[serde(default = "comma")]
    pub(crate) delimiter: char,
    /// Column of the time at which predictions were made; NDJSON has none.
    #[serde(default)]
    pub(crate) time: String,
    #[serde(default)]
    pub(crate) time_format: TimeFormat,
    /// Times before this are asked about; 1980 where they are counted in a unit.
    pub(crate) earliest: Option<String>,
    /// A gap between two rows that is longer is asked about; two years where times are counted in a unit.
    pub(crate) longest_gap: Option<String>,
    /// Lines that one cell may have: more are a quote too many.
    #[serde(default = "some_lines")]
    pub(crate) cell_lines: u64,
    /// Cells that say that nothing is known, besides empty ones.
    #[serde(default)]
    pub(crate) missing: Vec<String>,
    /// Between the whole part of a number and its fraction.
    #[serde(default = "point")]
    pub(crate) decimal: char,
    /// Between groups of three digits, if they are grouped.
    pub(crate) thousands: Option<char>,
    /// The predictions that a line holds; one whose column is empty is left out. NDJSON has none.
    #[serde(default)]
    pub(crate) predictions: Vec<PredictionMap>,
    /// The outcome of all of them.
    pub(crate) outcome: Option<OutcomeMap>,
    /// Baselines to set on the way.
    #[serde(default)]
    pub(crate) baselines: Vec<BaselineMap>,
}

/// Rows of one file that lie further apart are more often of two units than of one.
const TWO_YEARS: u32 = 731 * 86_400;

fn comma() -> char {
    ','
}

fn point() -> char {
    '.'
}

fn some_lines() -> u64 {
    50
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
    /// Columns of features; the first rows say whether one is a number or a category.
    #[serde(default)]
    pub(crate) features: Vec<String>,
    /// Columns of features that are numbers.
    #[serde(default)]
    pub(crate) numbers: Vec<String>,
    /// Columns of features that are categories, whatever they look like.
    #[serde(default)]
    pub(crate) categories: Vec<String>,
    #[serde(default)]
    pub(crate) served: Served,
    pub(crate) horizon: Option<String>,
}

/// Whether somebody acted on a prediction.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Served {
    /// On all of them, or on none.
    Always(bool),
    /// A column says so: yes or no, or the version that was served.
    Column(String),
}

impl Default for Served {
    fn default() -> Self {
        Self::Always(true)
    }
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct OutcomeMap {
    pub(crate) label: Option<String>,
    /// What words and numbers in the column of labels mean.
    pub(crate) labels: Option<BTreeMap<String, i64>>,
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
    /// [`BaselineMap::EACH`]: one for each segment of the version.
    #[serde(default)]
    pub(crate) segment: String,
    /// From the first so many resolved predictions.
    pub(crate) first: u64,
}

impl PredictionMap {
    /// The column of what was predicted; the checks of a map see to it that there is exactly one.
    pub(crate) fn predicted(&self) -> &str {
        let columns = [&self.direction, &self.score, &self.class, &self.value];
        columns.into_iter().flatten().next().map_or("", String::as_str)
    }

    /// The key that names it.
    pub(crate) fn predicted_as(&self) -> &'static str {
        match self.task() {
            Task::Direction => "direction",
            Task::Score => "score",
            Task::Class => "class",
            Task::Value => "value",
        }
    }

    /// The columns of all features.
    pub(crate) fn all_features(&self) -> impl Iterator<Item = &String> {
        self.features.iter().chain(&self.numbers).chain(&self.categories)
    }
}

impl OutcomeMap {
    /// The columns of what happened.
    pub(crate) fn columns(&self) -> impl Iterator<Item = &str> {
        [&self.label, &self.value, &self.exit_price, &self.pnl].into_iter().flatten().map(String::as_str)
    }

    /// The columns of which at least one must hold something: "`label` or `pnl`".
    pub(crate) fn known_by(&self) -> String {
        self.columns().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(" or ")
    }
}

impl BaselineMap {
    /// In place of a segment: every one that the file has.
    pub(crate) const EACH: &str = "*";

    /// Whose it is.
    pub(super) fn subject(&self) -> Subject {
        Subject {
            tenant: self.tenant.clone().unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()),
            model: self.model.clone(),
            version: self.version.clone(),
            segment: self.segment.clone(),
        }
    }
}

fn wrong_map(file: &str, problem: &str) -> Failure {
    Failure { exit_code: ExitCode::Config as u8, ..Failure::invalid(format!("{file}: {problem}")) }
}

impl Map {
    /// Reads and checks a map.
    /// Reads a map. Rows that say themselves what they are (NDJSON) need nothing of it but baselines.
    pub(crate) fn read(path: &Path, of_columns: bool) -> Result<Self, Failure> {
        let (text, file) = (read_text(path)?, path.display().to_string());
        if of_columns { Self::parse(&text, &file) } else { Self::parse_any(&text, &file) }
    }

    pub(super) fn parse(text: &str, file: &str) -> Result<Self, Failure> {
        let map = Self::parse_any(text, file)?;
        let missing = if map.time.is_empty() {
            "there is no `time`; say which column holds the time of a prediction"
        } else if map.predictions.is_empty() {
            "there is no [[predictions]]; say which columns hold a prediction"
        } else {
            return Ok(map);
        };
        Err(wrong_map(file, missing))
    }

    fn parse_any(text: &str, file: &str) -> Result<Self, Failure> {
        let wrong = |problem: String| wrong_map(file, &problem);
        let map: Self = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        if !map.delimiter.is_ascii() || matches!(map.delimiter, '"' | '\n' | '\r') {
            return Err(wrong(
                "`delimiter` must be one ASCII character, and no quote or line break".to_owned(),
            ));
        }
        if let Some(earliest) = &map.earliest {
            Timestamp::parse_or_date(earliest)
                .map_err(|invalid| wrong(format!("earliest: {}", invalid.problem)))?;
        }
        if let Some(gap) = &map.longest_gap {
            parse_duration(gap).map_err(|invalid| wrong(format!("longest-gap: {}", invalid.problem)))?;
        }
        if let Some(problem) = map.numbers().problem() {
            return Err(wrong(problem.to_owned()));
        }
        if let Some(column) = map.of_two_kinds() {
            return Err(wrong(format!(
                "`{column}` is named twice among features; name it once: in `numbers`, in `categories`, or in `features`, where the first rows say which it is"
            )));
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
        let mut subjects = BTreeSet::new();
        for baseline in &map.baselines {
            let subject = baseline.subject();
            if baseline.first == 0 {
                return Err(wrong(format!("[[baselines]] of {subject}: `first` must be at least 1")));
            }
            if !subjects.insert(subject.clone()) {
                return Err(wrong(format!("there are two [[baselines]] of {subject}")));
            }
        }
        match tasks::problem(&map) {
            Some(problem) => Err(wrong(problem)),
            None => Ok(map),
        }
    }

    /// How numbers are written.
    pub(super) fn numbers(&self) -> Numbers {
        Numbers { missing: self.missing.clone(), decimal: self.decimal, thousands: self.thousands }
    }

    /// How times are read.
    pub(super) fn times(&self) -> Times {
        let earliest = self.earliest.as_deref().and_then(|text| Timestamp::parse_or_date(text).ok());
        Times { format: self.time_format, earliest, decimal: self.decimal }
    }

    /// Seconds between two rows above which somebody is to say that they are meant.
    pub(super) fn gap(&self) -> Option<u64> {
        let said = self.longest_gap.as_deref().and_then(|text| parse_duration(text).ok());
        let usual = self.time_format.counts().then_some(TWO_YEARS);
        said.or(usual).map(u64::from)
    }

    /// A feature that is named twice, or as a number here and as a category there.
    fn of_two_kinds(&self) -> Option<&str> {
        let twice = self.predictions.iter().find_map(|p| {
            let mut seen = BTreeSet::new();
            p.all_features().find(|column| !seen.insert(*column)).map(String::as_str)
        });
        if twice.is_some() {
            return twice;
        }
        let categories: BTreeSet<&String> = self.predictions.iter().flat_map(|p| &p.categories).collect();
        self.predictions.iter().flat_map(|p| &p.numbers).find(|c| categories.contains(c)).map(String::as_str)
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
            if let Served::Column(column) = &p.served {
                columns.push(("served", column));
            }
            for (key, list) in
                [("features", &p.features), ("numbers", &p.numbers), ("categories", &p.categories)]
            {
                columns.extend(list.iter().map(|column| (key, column.as_str())));
            }
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
