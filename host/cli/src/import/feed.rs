//! Feeds a file into a host in the order of arrival: rows in batches, ticks between, baselines when their rows are there.

use std::collections::BTreeMap;

use serde::Serialize;
use trimtab_api::rows::Row;
use trimtab_log::Appended;
use trimtab_replay::backtest::{Arrivals, Arrived};
use trimtab_server::BaselineStatus;
use trimtab_server::{Accepted, Failure, client::Client, clock};
use trimtab_types::{Entry, Invalid, Subject, Timestamp};

use super::{
    FileRow, Source,
    baselines::{Baselines, NotSet, subject_of},
};
use crate::output::count;

/// What was fed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fed {
    /// Lines of the file, without the header; a row of several lines is one.
    pub(crate) lines: u64,
    /// Rows that they made.
    pub(crate) predictions: u64,
    /// Rows that they made.
    pub(crate) outcomes: u64,
    /// What of them became no row, by reason.
    pub(crate) left_out: BTreeMap<String, Times>,
    /// What was taken and deserves a word.
    pub(crate) remarks: BTreeMap<String, Times>,
    /// Rows that were new.
    pub(crate) new: u64,
    /// Rows that had been there.
    pub(crate) unchanged: u64,
    /// Baselines that were set on the way.
    pub(crate) baselines: Vec<BaselineStatus>,
    /// Baselines for which there were not enough rows.
    pub(crate) not_set: Vec<NotSet>,
}

/// How often something was seen in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Times {
    pub(crate) count: u64,
    /// Where it was first.
    pub(crate) first_line: u64,
}

impl Fed {
    /// What a row of a file brings, before it is on its way.
    fn count(&mut self, row: &FileRow) {
        self.lines += 1;
        for one in &row.rows {
            match one {
                Row::Prediction(_) => self.predictions += 1,
                Row::Outcome(_) => self.outcomes += 1,
            }
        }
        for (seen, tally) in [(&row.left_out, &mut self.left_out), (&row.remarks, &mut self.remarks)] {
            for what in seen {
                let known = tally.entry(what.clone()).or_insert(Times { count: 0, first_line: row.line });
                known.count += 1;
            }
        }
    }

    /// What a file made and what was left out, for people.
    pub(crate) fn summary(&self) -> Vec<String> {
        let made =
            format!("made: {}, {}", count(self.predictions, "prediction"), count(self.outcomes, "outcome"));
        let seen = |word: &'static str, tally: &BTreeMap<String, Times>| {
            let line = |(what, times): (&String, &Times)| {
                format!("{word}: {what}, {} in all, first in line {}", times.count, times.first_line)
            };
            tally.iter().map(line).collect::<Vec<_>>()
        };
        let not_set =
            self.not_set.iter().map(|not| format!("baseline of {} is not set: {}", not.subject, not.why));
        [vec![made], seen("left out", &self.left_out), seen("note", &self.remarks), not_set.collect()]
            .concat()
    }
}

/// Feeds a host.
pub(crate) struct Feed<'a> {
    client: &'a Client,
    batch: usize,
    /// Ticks are put in whenever this many seconds have passed; only into a host in this process, because a host that
    /// serves ticks by itself.
    tick: Option<u32>,
}

/// A row on its way.
struct Travelling {
    line: u64,
    row: Row,
    /// For an outcome: whose it is.
    subject: Option<Subject>,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(client: &'a Client, batch: usize, tick: Option<u32>) -> Self {
        Self { client, batch, tick }
    }

    /// Feeds a source. Batches before a bad row are kept; the row is named.
    pub(crate) async fn run(&self, source: Source, mut progress: impl FnMut(&Fed)) -> Result<Fed, Failure> {
        let mut fed = Fed::default();
        let maps = source.map.as_ref().map_or(&[][..], |map| &map.baselines);
        let mut baselines = Baselines::new(self.client, maps).await?;
        let mut arrivals = Arrivals::new(self.tick);
        let mut arrived = Vec::new();
        let mut batch = Vec::with_capacity(self.batch);
        let file = source.name;
        for line in source.rows {
            let line = line.map_err(|failure| kept(failure, &fed))?;
            fed.count(&line);
            let mut subject = None;
            for row in line.rows {
                let time = check(&row, &file, line.line).map_err(|failure| kept(failure, &fed))?;
                match &row {
                    Row::Prediction(prediction) => {
                        let whose = subject_of(prediction);
                        baselines.saw(&whose);
                        subject = Some(whose);
                        let travelling = Travelling { line: line.line, row, subject: None };
                        arrivals.prediction(time, travelling, |item| arrived.push(item));
                    }
                    // In NDJSON the file's order is the order of arrival.
                    Row::Outcome(_) if subject.is_none() => {
                        arrived.push(Arrived::Row(Travelling { line: line.line, row, subject: None }));
                    }
                    Row::Outcome(_) => {
                        arrivals.outcome(time, Travelling { line: line.line, row, subject: subject.clone() });
                    }
                }
            }
            self.take(&mut arrived, &mut batch, &mut baselines, &file, &mut fed).await?;
            if fed.lines.is_multiple_of(1_000) {
                progress(&fed);
            }
        }
        arrivals.finish(|item| arrived.push(item));
        self.take(&mut arrived, &mut batch, &mut baselines, &file, &mut fed).await?;
        self.send(&mut batch, &file, &mut fed).await?;
        let (set, not_set) = baselines.finish(self.client).await?;
        fed.baselines.extend(set);
        fed.not_set = not_set;
        Ok(fed)
    }

    async fn take(
        &self,
        arrived: &mut Vec<Arrived<Travelling>>,
        batch: &mut Batch,
        baselines: &mut Baselines,
        file: &str,
        fed: &mut Fed,
    ) -> Result<(), Failure> {
        for item in arrived.drain(..) {
            let Travelling { line, row, subject } = match item {
                Arrived::Tick(at) => {
                    batch.push((fed.lines, Arrived::Tick(at)));
                    continue;
                }
                Arrived::Row(row) => row,
            };
            let ready = match (&subject, &row) {
                (Some(subject), _) if baselines.outcome(subject) => vec![subject.clone()],
                // Where rows come by themselves an outcome names its model only.
                (None, Row::Outcome(outcome)) => {
                    let tenant = outcome.tenant.as_deref().unwrap_or(Subject::DEFAULT_TENANT);
                    baselines.outcome_of(tenant, &outcome.model)
                }
                _ => Vec::new(),
            };
            batch.push((line, Arrived::Row(row)));
            if batch.len() >= self.batch || !ready.is_empty() {
                self.send(batch, file, fed).await?;
            }
            for subject in ready {
                fed.baselines.extend(baselines.set(self.client, &subject).await?);
            }
        }
        Ok(())
    }

    async fn send(&self, batch: &mut Batch, file: &str, fed: &mut Fed) -> Result<(), Failure> {
        if batch.is_empty() {
            return Ok(());
        }
        let accepted = match self.client {
            Client::Local(_, service) if self.tick.is_some() => {
                let entries = batch.iter().map(|(_, item)| entry(item)).collect::<Result<_, _>>()?;
                let appended = service.host().append_and_wait(entries).map_err(Failure::from);
                appended.map(|appended| {
                    appended.iter().filter(|appended| !matches!(appended, Appended::Unchanged(_))).count()
                        as u64
                })
            }
            client => {
                let answer: Result<Accepted, Failure> = client.post_lines("/v1/rows", lines(batch)?).await;
                answer.map(|accepted| accepted.new)
            }
        };
        let ticks = batch.iter().filter(|(_, item)| matches!(item, Arrived::Tick(_))).count() as u64;
        let new = accepted.map_err(|failure| in_file(failure, batch, file, fed))?;
        fed.new += new - ticks;
        fed.unchanged += batch.len() as u64 - new;
        batch.clear();
        Ok(())
    }
}

/// Rows and ticks on their way to the host, with the lines that they come from.
type Batch = Vec<(u64, Arrived<Row>)>;

fn entry(item: &Arrived<Row>) -> Result<Entry, Invalid> {
    match item {
        Arrived::Row(row) => row.clone().entry(),
        Arrived::Tick(at) => Ok(Entry::Tick(*at)),
    }
}

fn lines(batch: &Batch) -> Result<String, Failure> {
    let mut lines = String::new();
    for (_, item) in batch {
        let Arrived::Row(row) = item else { continue };
        lines.push_str(&serde_json::to_string(row).map_err(|error| Failure::invalid(error.to_string()))?);
        lines.push('\n');
    }
    Ok(lines)
}

/// Checks a row before it travels, so that a mistake names the file's line.
fn check(row: &Row, file: &str, line: u64) -> Result<Timestamp, Failure> {
    let entry =
        row.clone().entry().map_err(|invalid| Failure::invalid(format!("{file} line {line}: {invalid}")))?;
    let time = match entry {
        Entry::Prediction(row) => row.time,
        Entry::Outcome(row) => row.time,
        _ => clock::now(),
    };
    Ok(time)
}

/// The host counts rows of a request; people count lines of a file.
fn in_file(failure: Failure, batch: &[(u64, Arrived<Row>)], file: &str, fed: &Fed) -> Failure {
    let place =
        failure.row.and_then(|row| Some((row, batch.get(usize::try_from(row).ok()?.checked_sub(1)?)?.0)));
    let Some((row, line)) = place else { return failure };
    let problem = failure.message.strip_prefix(&format!("row {row}: ")).unwrap_or(&failure.message);
    let problem = problem.strip_suffix(". Nothing of this request was kept").unwrap_or(problem);
    kept(Failure { message: format!("{file} line {line}: {problem}"), ..failure }, fed)
}

/// What came before a mistake stays, and the file can be imported again: say so.
fn kept(failure: Failure, fed: &Fed) -> Failure {
    let rows = fed.new + fed.unchanged;
    let message =
        format!("{}. {rows} rows before it are kept; mend the file and import it again", failure.message);
    Failure { message, ..failure }
}
