//! CSV files: lines become rows by a column map. A mistake names file, line and column.

use std::{collections::BTreeMap, io::Read};

use csv::StringRecord;
use trimtab_api::rows::{FeatureValue, OutcomeRow, PredictionRow, Row};
use trimtab_server::Failure;
use trimtab_types::{Timestamp, parse_duration};

use super::{
    FileRow,
    guard::LineGuard,
    map::{Map, OutcomeMap, PredictionMap, TimeFormat, fill},
    unreadable,
};

/// The rows of a file, in its order.
pub(super) fn rows(
    reader: Box<dyn Read + Send>,
    name: &str,
    map: Map,
) -> Result<impl Iterator<Item = Result<FileRow, Failure>> + Send + use<>, Failure> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(map.delimiter as u8).from_reader(LineGuard::new(reader));
    let headers = reader.headers().map_err(|error| malformed(name, &error))?.clone();
    let mut columns = BTreeMap::new();
    for (index, header) in headers.iter().enumerate() {
        if columns.insert(header.to_owned(), index).is_some() {
            return Err(Failure::invalid(format!("{name} line 1: column `{header}` is there twice")));
        }
    }
    let missing: Vec<_> = map
        .columns()
        .into_iter()
        .filter(|(_, column)| !columns.contains_key(*column))
        .map(|(key, column)| format!("`{column}` (for `{key}`)"))
        .collect();
    if !missing.is_empty() {
        return Err(Failure::invalid(format!(
            "{name} line 1: there is no column {}; the columns are {}",
            missing.join(", "),
            headers.iter().collect::<Vec<_>>().join(", ")
        )));
    }
    let name = name.to_owned();
    Ok(reader.into_records().map(move |record| {
        let record = record.map_err(|error| malformed(&name, &error))?;
        let line = Line {
            file: &name,
            number: record.position().map_or(0, csv::Position::line),
            record: &record,
            columns: &columns,
        };
        Ok(FileRow { line: line.number, rows: line.rows(&map)? })
    }))
}

fn malformed(name: &str, error: &csv::Error) -> Failure {
    let line = error.position().map_or(String::new(), |position| format!(" line {}", position.line()));
    let problem = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8; convert the file first".to_owned(),
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            format!(
                "has {len} cells, and the first line {expected_len}; look for a missing or surplus delimiter or quote"
            )
        }
        csv::ErrorKind::Io(error) => return unreadable(name, error),
        _ => error.to_string(),
    };
    Failure::invalid(format!("{name}{line}: {problem}"))
}

struct Line<'a> {
    file: &'a str,
    number: u64,
    record: &'a StringRecord,
    columns: &'a BTreeMap<String, usize>,
}

impl Line<'_> {
    fn rows(&self, map: &Map) -> Result<Vec<Row>, Failure> {
        let time = self.time(&map.time, map.time_format)?;
        let mut rows = Vec::new();
        for prediction in &map.predictions {
            let Some(row) = self.prediction(prediction, time)? else { continue };
            let outcome = match &map.outcome {
                Some(outcome) => self.outcome(outcome, &row, time, map.time_format)?,
                None => None,
            };
            rows.push(Row::Prediction(Box::new(row)));
            rows.extend(outcome.map(Row::Outcome));
        }
        Ok(rows)
    }

    fn prediction(&self, map: &PredictionMap, time: Timestamp) -> Result<Option<PredictionRow>, Failure> {
        let row = PredictionRow {
            id: Some(self.text(&map.id)),
            tenant: map.tenant.as_deref().map(|tenant| self.text(tenant)),
            model: self.text(&map.model),
            version: self.text(&map.version),
            segment: self.text(&map.segment),
            time: time.to_string(),
            direction: self.number(map.direction.as_deref(), "-1, 0 or 1")?,
            score: self.number(map.score.as_deref(), "a number")?,
            class: self.number(map.class.as_deref(), "a whole number")?,
            value: self.number(map.value.as_deref(), "a number")?,
            confidence: self.number(map.confidence.as_deref(), "a number")?,
            lower: self.number(map.lower.as_deref(), "a number")?,
            upper: self.number(map.upper.as_deref(), "a number")?,
            features: self.features(&map.features),
            entry_price: self.number(map.entry_price.as_deref(), "a number")?,
            side: self.number(map.side.as_deref(), "-1 or 1")?,
            size: self.number(map.size.as_deref(), "a number")?,
            fee: self.number(map.fee.as_deref(), "a number")?,
            served: Some(map.served),
            horizon: map.horizon.clone(),
        };
        let predicted =
            row.direction.is_some() || row.score.is_some() || row.class.is_some() || row.value.is_some();
        Ok(predicted.then_some(row))
    }

    fn outcome(
        &self,
        map: &OutcomeMap,
        prediction: &PredictionRow,
        predicted_at: Timestamp,
        format: TimeFormat,
    ) -> Result<Option<OutcomeRow>, Failure> {
        let time = match (&map.time, &map.after) {
            (Some(column), _) => self.time(column, format)?,
            (None, Some(after)) => predicted_at.plus(u64::from(parse_duration(after).unwrap_or_default())),
            (None, None) => predicted_at,
        };
        let row = OutcomeRow {
            tenant: prediction.tenant.clone(),
            model: prediction.model.clone(),
            id: prediction.id.clone().unwrap_or_default(),
            time: time.to_string(),
            label: self.number(map.label.as_deref(), "a whole number")?,
            value: self.number(map.value.as_deref(), "a number")?,
            exit_price: self.number(map.exit_price.as_deref(), "a number")?,
            pnl: self.number(map.pnl.as_deref(), "a number")?,
            correction: false,
        };
        let known =
            row.label.is_some() || row.value.is_some() || row.exit_price.is_some() || row.pnl.is_some();
        Ok(known.then_some(row))
    }

    /// A cell; empty ones are none.
    fn cell(&self, column: &str) -> Option<&str> {
        self.record.get(*self.columns.get(column)?).map(str::trim).filter(|cell| !cell.is_empty())
    }

    fn text(&self, template: &str) -> String {
        fill(template, |name| match name {
            "line" => Some(self.number.to_string()),
            column => self.cell(column).map(str::to_owned),
        })
    }

    fn number<T: std::str::FromStr>(
        &self,
        column: Option<&str>,
        expected: &str,
    ) -> Result<Option<T>, Failure> {
        let Some(column) = column else { return Ok(None) };
        let Some(cell) = self.cell(column) else { return Ok(None) };
        cell.parse().map(Some).map_err(|_| self.wrong(column, cell, &format!("is not {expected}")))
    }

    fn features(&self, columns: &[String]) -> BTreeMap<String, FeatureValue> {
        let feature = |column: &String| {
            let cell = self.cell(column)?;
            let value = match cell.parse::<f64>() {
                Ok(number) => FeatureValue::Number(number),
                Err(_) => FeatureValue::Category(cell.to_owned()),
            };
            Some((column.clone(), value))
        };
        columns.iter().filter_map(feature).collect()
    }

    fn time(&self, column: &str, format: TimeFormat) -> Result<Timestamp, Failure> {
        let cell = self.cell(column).unwrap_or_default();
        let unix = |scale: i64| {
            let millis = cell.parse::<i64>().ok().and_then(|number| number.checked_mul(scale));
            millis
                .and_then(Timestamp::from_millis)
                .ok_or_else(|| self.wrong(column, cell, "is not a whole number between 1970 and 9999"))
        };
        match format {
            TimeFormat::Rfc3339 => Timestamp::parse(cell).map_err(|invalid| {
                let problem = invalid.problem;
                Failure::invalid(format!("{} line {} column `{column}`: {problem}", self.file, self.number))
            }),
            TimeFormat::Unix => unix(1_000),
            TimeFormat::UnixMs => unix(1),
        }
    }

    fn wrong(&self, column: &str, cell: &str, problem: &str) -> Failure {
        let cell: String = cell.chars().take(60).collect();
        Failure::invalid(format!("{} line {} column `{column}`: `{cell}` {problem}", self.file, self.number))
    }
}
