//! CSV files: lines become rows by a column map. A mistake names file, line and column.

use std::{
    collections::{BTreeMap, VecDeque},
    io::BufRead,
};

use trimtab_api::rows::{FeatureValue, OutcomeRow, PredictionRow, Row};
use trimtab_server::Failure;
use trimtab_types::{Timestamp, parse_duration};

use super::{
    FileRow,
    kinds::Kinds,
    map::{Map, OutcomeMap, PredictionMap, Served, fill},
    order::At,
    records::{Problem, Record, Records},
    tasks::{self, Task},
    times::Times,
    unreadable,
    values::Numbers,
};

/// So many records are looked at before the first row is made, to see what its features are …
const AHEAD: usize = 1_000;
/// … or records of so many bytes.
const AHEAD_BYTES: usize = 1 << 22;

/// What stands between cells in other files.
const DELIMITERS: [char; 4] = [';', '\t', '|', ','];
/// Characters of a list of columns that are shown.
const LONGEST_LIST: usize = 2_000;

/// The rows of a file, in its order.
pub(super) fn rows<R: BufRead + Send>(reader: R, name: &str, map: Map) -> Result<Rows<R>, Failure> {
    let mut records = Records::new(reader, map.delimiter as u8, map.cell_lines);
    let columns = Columns::read(&mut records, name, &map)?;
    let (numbers, kinds) = (map.numbers(), Kinds::new(&map));
    Ok(Rows { file: name.to_owned(), map, numbers, columns, kinds, records, ahead: None })
}

/// A file that is read row by row.
pub(super) struct Rows<R> {
    file: String,
    map: Map,
    numbers: Numbers,
    columns: Columns,
    kinds: Kinds,
    records: Records<R>,
    /// The first rows, once they have been made.
    ahead: Option<VecDeque<FileRow>>,
}

impl<R: BufRead> Iterator for Rows<R> {
    type Item = Result<FileRow, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        self.row().transpose()
    }
}

impl<R: BufRead> Rows<R> {
    /// The next row. The first ones are made together, so that what is wrong with a file as a whole shows before any of
    /// it is kept.
    fn row(&mut self) -> Result<Option<FileRow>, Failure> {
        if self.ahead.is_none() {
            self.ahead = Some(self.look_ahead()?);
        }
        if let Some(row) = self.ahead.as_mut().and_then(VecDeque::pop_front) {
            return Ok(Some(row));
        }
        match self.read()? {
            Some(record) => self.make(&record).map(Some),
            None => Ok(None),
        }
    }

    fn read(&mut self) -> Result<Option<Record>, Failure> {
        self.records.next().map_err(|problem| self.columns.malformed(&self.file, problem))
    }

    fn make(&mut self, record: &Record) -> Result<FileRow, Failure> {
        if record.is_blank() {
            return Ok(FileRow::blank(record.line));
        }
        let line = Line { file: &self.file, record, columns: &self.columns, numbers: &self.numbers };
        line.is_one(&self.map)?;
        line.rows(&self.map, &mut self.kinds)
    }

    fn look_ahead(&mut self) -> Result<VecDeque<FileRow>, Failure> {
        let (mut ahead, mut bytes) = (Vec::new(), 0);
        while ahead.len() < AHEAD && bytes < AHEAD_BYTES {
            let Some(record) = self.read()? else { break };
            bytes += record.size();
            ahead.push(record);
        }
        let learned = self.learn(&ahead);
        // What is wrong with a line comes before what is wrong with a column.
        let rows: VecDeque<FileRow> =
            ahead.iter().map(|record| self.make(record)).collect::<Result<_, _>>()?;
        learned.map(|()| rows)
    }

    /// Learns from the first records what features are of which the map does not say so.
    fn learn(&mut self, ahead: &[Record]) -> Result<(), Failure> {
        let mut features: Vec<&String> = self.map.predictions.iter().flat_map(|p| &p.features).collect();
        features.retain(|column| !self.kinds.knows(column));
        for column in features {
            let Some(place) = self.columns.place(column) else { continue };
            let whole = ahead.iter().filter(|record| record.len() == self.columns.names.len());
            let cells = whole.filter_map(|record| Some((record.line, record.get(place)?)));
            self.kinds.learn(column, cells).map_err(|(line, problem)| {
                Failure::invalid(format!("{} line {line} column `{column}`: {problem}", self.file))
            })?;
        }
        Ok(())
    }
}

/// The header: which column stands where.
struct Columns {
    names: Vec<String>,
    by_name: BTreeMap<String, usize>,
}

impl Columns {
    fn read<R: BufRead>(records: &mut Records<R>, file: &str, map: &Map) -> Result<Self, Failure> {
        let nothing = Self { names: Vec::new(), by_name: BTreeMap::new() };
        let mut record = Record::default();
        // Some programs write blank lines first, or the delimiter as `sep=;`.
        while record.is_blank() {
            let next = records.next().map_err(|problem| nothing.malformed(file, problem))?;
            let Some(next) = next else { break };
            let said = next.get(0).and_then(|cell| cell.strip_prefix("sep="));
            record = if said.is_some() && next.iter().skip(1).all(str::is_empty) {
                Record::default()
            } else {
                next
            };
        }
        if record.is_blank() {
            return Err(Failure::invalid(format!(
                "{file}: is empty; its first line names the columns that the map speaks of"
            )));
        }
        let line = record.line.max(1);
        let names: Vec<String> = record.iter().map(column_name).collect();
        let wanted = map.columns();
        let by_name: BTreeMap<String, usize> =
            names.iter().cloned().zip(0..).filter(|(name, _)| !name.is_empty()).collect();
        let place = |column: &str| by_name.get(&column_name(column));
        let missing: Vec<_> = wanted
            .iter()
            .filter(|(_, column)| place(column).is_none())
            .map(|(key, column)| format!("`{column}` (for `{key}`)"))
            .collect();
        if !missing.is_empty() {
            let other = DELIMITERS.into_iter().find(|other| names.len() == 1 && names[0].contains(*other));
            let hint = other.map_or(String::new(), |other| {
                format!(
                    "; is the delimiter another? Say in the map: delimiter = {}",
                    toml::Value::from(String::from(other))
                )
            });
            let shown: String = names.join(", ").chars().take(LONGEST_LIST).collect();
            return Err(Failure::invalid(format!(
                "{file} line {line}: there is no column {}; the columns are {shown}{hint}",
                missing.join(", "),
            )));
        }
        // Two columns of one name do no harm while nobody asks for them.
        for (_, column) in wanted {
            if names.iter().filter(|name| **name == column_name(column)).count() > 1 {
                return Err(Failure::invalid(format!(
                    "{file} line {line}: column `{column}` is there twice"
                )));
            }
        }
        Ok(Self { names, by_name })
    }

    fn place(&self, column: &str) -> Option<usize> {
        match self.by_name.get(column) {
            Some(place) => Some(*place),
            None => self.by_name.get(&column_name(column)).copied(),
        }
    }

    fn malformed(&self, file: &str, problem: Problem) -> Failure {
        match problem {
            Problem::Unreadable(error) => unreadable(file, &error),
            Problem::Malformed { line, cell, problem } => {
                let column = cell.and_then(|cell| self.names.get(cell)).filter(|name| !name.is_empty());
                let column = column.map(|name| format!(" column `{name}`")).unwrap_or_default();
                Failure::invalid(format!("{file} line {line}{column}: {problem}"))
            }
        }
    }
}

/// A column's name as it is looked up and shown: without blanks around it, and on one line.
fn column_name(text: &str) -> String {
    if text.contains(char::is_control) {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    } else {
        text.trim().to_owned()
    }
}

struct Line<'a> {
    file: &'a str,
    record: &'a Record,
    columns: &'a Columns,
    numbers: &'a Numbers,
}

impl Line<'_> {
    /// Whether this is one line of the table, and not several that a quote runs through.
    fn is_one(&self, map: &Map) -> Result<(), Failure> {
        let (cells, columns) = (self.record.len(), self.columns.names.len());
        if cells != columns {
            return Err(self.malformed(format!(
                "has {cells} cells, and the first line {columns}; look for a missing or surplus delimiter or quote"
            )));
        }
        let mut both = self.record.iter().zip(&self.columns.names);
        if columns > 1 && both.all(|(cell, name)| cell.trim() == name) {
            return Err(self.malformed(
                "is the first line again; are these several files in one? Take it out".to_owned(),
            ));
        }
        for (cell, begins) in &self.record.broken {
            let text = self.record.get(*cell).unwrap_or_default();
            if let Some(inner) = self.row_within(text, *cell, map) {
                let column = &self.columns.names[*cell];
                return Err(Failure::invalid(format!(
                    "{} line {begins} column `{column}`: a quoted cell begins here, and line {} within it is a row of its own; look for a quote too many",
                    self.file,
                    begins + inner
                )));
            }
        }
        Ok(())
    }

    /// How many lines below the first a cell of several lines holds what looks like a row of this table: as many cells
    /// (in the last line up to the quote), and a time where its time belongs.
    fn row_within(&self, text: &str, cell: usize, map: &Map) -> Option<u64> {
        let last = text.matches('\n').count();
        text.split('\n').enumerate().skip(1).find_map(|(inner, line)| {
            let cells: Vec<&str> = line.split(map.delimiter).collect();
            let whole = cells.len() == self.columns.names.len() || (inner == last && cells.len() == cell + 1);
            let at = cells.get(self.columns.place(&map.time)?)?.trim();
            (whole && cells.len() > 1 && map.times().parse(at).is_ok()).then_some(inner as u64)
        })
    }

    fn rows(&self, map: &Map, kinds: &mut Kinds) -> Result<FileRow, Failure> {
        let times = map.times();
        let time = self.time(&map.time, times)?;
        let mut row =
            FileRow { line: self.record.line, at: Some(At::Prediction(time)), ..FileRow::default() };
        let versions: Vec<String> =
            map.predictions.iter().map(|prediction| self.text(&prediction.version)).collect();
        for prediction in &map.predictions {
            let Some(mut predicted) = self.prediction(prediction, time)? else {
                let column = prediction.predicted();
                row.left_out.push(format!("prediction without `{column}`"));
                let known = map.outcome.iter().flat_map(OutcomeMap::columns).any(|c| self.known(c).is_some());
                row.left_out.extend(known.then(|| format!("outcome of a prediction without `{column}`")));
                continue;
            };
            predicted.served = Some(self.served(&prediction.served, &predicted.version, &versions)?);
            predicted.features = self.features(prediction, kinds, &mut row.remarks)?;
            let outcome = match &map.outcome {
                Some(outcome) => self.outcome(outcome, prediction.task(), &predicted, time, times)?,
                None => None,
            };
            row.rows.push(Row::Prediction(Box::new(predicted)));
            match (outcome, &map.outcome) {
                (Some(outcome), _) => {
                    if Timestamp::parse(&outcome.time).is_ok_and(|known| known < time) {
                        row.remarks.push("outcome that was known before its prediction was made".to_owned());
                    }
                    row.rows.push(Row::Outcome(outcome));
                }
                (None, Some(outcome)) => row.left_out.push(format!("outcome without {}", outcome.known_by())),
                (None, None) => {}
            }
        }
        Ok(row)
    }

    fn prediction(&self, map: &PredictionMap, time: Timestamp) -> Result<Option<PredictionRow>, Failure> {
        let row = PredictionRow {
            id: Some(self.text(&map.id)),
            tenant: map.tenant.as_deref().map(|tenant| self.text(tenant)),
            model: self.text(&map.model),
            version: self.text(&map.version),
            segment: self.text(&map.segment),
            time: time.to_string(),
            direction: self.whole(map.direction.as_deref(), "-1, 0 or 1")?,
            score: self.number(map.score.as_deref())?,
            class: self.whole(map.class.as_deref(), "a whole number from 0 up")?,
            value: self.number(map.value.as_deref())?,
            confidence: self.number(map.confidence.as_deref())?,
            lower: self.number(map.lower.as_deref())?,
            upper: self.number(map.upper.as_deref())?,
            features: BTreeMap::new(),
            entry_price: self.number(map.entry_price.as_deref())?,
            side: self.whole(map.side.as_deref(), "-1 or 1")?,
            size: self.number(map.size.as_deref())?,
            fee: self.number(map.fee.as_deref())?,
            served: None,
            horizon: map.horizon.clone(),
        };
        let predicted =
            row.direction.is_some() || row.score.is_some() || row.class.is_some() || row.value.is_some();
        Ok(predicted.then_some(row))
    }

    /// Whether somebody acted on the prediction of a version, of those that the line has.
    fn served(&self, served: &Served, version: &str, versions: &[String]) -> Result<bool, Failure> {
        let column = match served {
            Served::Always(served) => return Ok(*served),
            Served::Column(column) => column,
        };
        // An empty cell: nobody acted on any.
        let Some(cell) = self.cell(column) else { return Ok(false) };
        match cell.to_lowercase().as_str() {
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" => Ok(false),
            _ if versions.iter().any(|known| known == cell) => Ok(cell == version),
            _ => Err(self.wrong(column, cell, "is neither yes nor no, nor a version of the line")),
        }
    }

    fn outcome(
        &self,
        map: &OutcomeMap,
        task: Task,
        prediction: &PredictionRow,
        predicted_at: Timestamp,
        times: Times,
    ) -> Result<Option<OutcomeRow>, Failure> {
        // What cannot judge this prediction is another's.
        let (label, value) = match task {
            Task::Value => (None, self.number(map.value.as_deref())?),
            _ => (self.label(map, task)?, None),
        };
        let mut row = OutcomeRow {
            tenant: prediction.tenant.clone(),
            model: prediction.model.clone(),
            id: prediction.id.clone().unwrap_or_default(),
            time: String::new(),
            label,
            value,
            exit_price: self.number(map.exit_price.as_deref())?,
            pnl: self.number(map.pnl.as_deref())?,
            correction: false,
        };
        // The time of what is not known says nothing, whatever it is.
        if row.label.is_none() && row.value.is_none() && row.exit_price.is_none() && row.pnl.is_none() {
            return Ok(None);
        }
        let time = match (&map.time, &map.after) {
            (Some(column), _) => self.time(column, times)?,
            (None, Some(after)) => predicted_at.plus(u64::from(parse_duration(after).unwrap_or_default())),
            (None, None) => predicted_at,
        };
        row.time = time.to_string();
        Ok(Some(row))
    }

    fn label(&self, map: &OutcomeMap, task: Task) -> Result<Option<i64>, Failure> {
        let Some(column) = &map.label else { return Ok(None) };
        let Some(cell) = self.known(column) else { return Ok(None) };
        let label = tasks::label(cell, task, map.labels.as_ref(), self.numbers);
        label.map(Some).map_err(|problem| self.wrong(column, cell, &problem))
    }

    /// A cell, for texts; empty ones are none.
    fn cell(&self, column: &str) -> Option<&str> {
        self.record.get(self.columns.place(column)?).map(str::trim).filter(|cell| !cell.is_empty())
    }

    /// A cell, for values; those that the map calls missing are none.
    fn known(&self, column: &str) -> Option<&str> {
        self.numbers.known(self.record.get(self.columns.place(column)?)?)
    }

    fn text(&self, template: &str) -> String {
        fill(template, |name| match name {
            "line" => Some(self.record.line.to_string()),
            column => self.cell(column).map(str::to_owned),
        })
    }

    fn number(&self, column: Option<&str>) -> Result<Option<f64>, Failure> {
        let Some(column) = column else { return Ok(None) };
        let Some(cell) = self.known(column) else { return Ok(None) };
        self.numbers.number(cell).map(Some).map_err(|problem| self.wrong(column, cell, &problem))
    }

    fn whole<T: TryFrom<i64>>(&self, column: Option<&str>, expected: &str) -> Result<Option<T>, Failure> {
        let Some(column) = column else { return Ok(None) };
        let Some(cell) = self.known(column) else { return Ok(None) };
        let number = self.numbers.whole(cell).map_err(|problem| self.wrong(column, cell, &problem))?;
        let fits = T::try_from(number).ok();
        fits.map(Some).ok_or_else(|| self.wrong(column, cell, &format!("is not {expected}")))
    }

    fn features(
        &self,
        map: &PredictionMap,
        kinds: &mut Kinds,
        remarks: &mut Vec<String>,
    ) -> Result<BTreeMap<String, FeatureValue>, Failure> {
        let mut features = BTreeMap::new();
        for column in map.all_features() {
            let Some(cell) = self.columns.place(column).and_then(|place| self.record.get(place)) else {
                continue;
            };
            let value =
                kinds.value(column, cell).map_err(|problem| self.malformed_at(Some(column), problem))?;
            let Some((value, remark)) = value else { continue };
            remarks.extend(remark.map(|remark| format!("column `{column}`: {remark}")));
            features.insert(column_name(column), value);
        }
        Ok(features)
    }

    fn time(&self, column: &str, times: Times) -> Result<Timestamp, Failure> {
        let cell = self.cell(column).unwrap_or_default();
        times.parse(cell).map_err(|problem| {
            Failure::invalid(format!("{} line {} column `{column}`: {problem}", self.file, self.record.line))
        })
    }

    fn wrong(&self, column: &str, cell: &str, problem: &str) -> Failure {
        let cell: String = cell.chars().take(60).collect();
        self.malformed_at(Some(column), format!("`{cell}` {problem}"))
    }

    fn malformed(&self, problem: String) -> Failure {
        self.malformed_at(None, problem)
    }

    fn malformed_at(&self, column: Option<&str>, problem: String) -> Failure {
        let column = column.map(|column| format!(" column `{column}`")).unwrap_or_default();
        Failure::invalid(format!("{} line {}{column}: {problem}", self.file, self.record.line))
    }
}
