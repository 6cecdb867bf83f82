//! Feeds a file into a host in the order of arrival: rows in batches, ticks between, baselines when their rows are there.

use std::collections::BTreeMap;

use trimtab_engine::{
    backtest::{Arrivals, Arrived},
    rows::Row,
};
use trimtab_server::{Accepted, BaselineRequest, Failure, client::Client, clock};
use trimtab_store::Appended;
use trimtab_types::{Baseline, Entry, Invalid, Subject, Timestamp};

use super::{Source, map::BaselineMap};

/// What was fed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Fed {
    /// Lines of the file.
    pub(crate) lines: u64,
    /// Rows that were new.
    pub(crate) new: u64,
    /// Rows that had been there.
    pub(crate) unchanged: u64,
    /// Baselines that were set on the way.
    pub(crate) baselines: Vec<Baseline>,
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

/// A baseline that waits for its rows.
struct Waiting {
    map: BaselineMap,
    missing: u64,
}

impl<'a> Feed<'a> {
    pub(crate) fn new(client: &'a Client, batch: usize, tick: Option<u32>) -> Self {
        Self { client, batch, tick }
    }

    /// Feeds a source. Batches before a bad row are kept; the row is named.
    pub(crate) async fn run(&self, source: Source, mut progress: impl FnMut(&Fed)) -> Result<Fed, Failure> {
        let mut fed = Fed::default();
        let mut baselines = waiting(source.map.as_ref().map_or(&[][..], |map| &map.baselines));
        let mut arrivals = Arrivals::new(self.tick);
        let mut arrived = Vec::new();
        let mut batch = Vec::with_capacity(self.batch);
        let file = source.name;
        for line in source.rows {
            let line = line.map_err(|failure| kept(failure, &fed))?;
            fed.lines += 1;
            let mut subject = None;
            for row in line.rows {
                let time = check(&row, &file, line.line).map_err(|failure| kept(failure, &fed))?;
                match &row {
                    Row::Prediction(prediction) => {
                        subject = Some(subject_of(prediction));
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
        Ok(fed)
    }

    async fn take(
        &self,
        arrived: &mut Vec<Arrived<Travelling>>,
        batch: &mut Batch,
        baselines: &mut BTreeMap<Subject, Waiting>,
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
            batch.push((line, Arrived::Row(row)));
            if batch.len() >= self.batch {
                self.send(batch, file, fed).await?;
            }
            let Some(subject) = subject else { continue };
            let Some(waiting) = baselines.get_mut(&subject) else { continue };
            waiting.missing -= 1;
            if waiting.missing == 0 {
                let map = waiting.map.clone();
                baselines.remove(&subject);
                self.send(batch, file, fed).await?;
                fed.baselines.push(self.set(map).await?);
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
                    appended.iter().filter(|appended| matches!(appended, Appended::New(_))).count() as u64
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

    async fn set(&self, map: BaselineMap) -> Result<Baseline, Failure> {
        let request = BaselineRequest {
            tenant: map.tenant,
            model: map.model,
            version: map.version,
            segment: map.segment,
            first: Some(map.first),
            ..BaselineRequest::default()
        };
        self.client.post("/v1/baselines", &request).await
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

fn waiting(maps: &[BaselineMap]) -> BTreeMap<Subject, Waiting> {
    let entry = |map: &BaselineMap| {
        let subject = Subject {
            tenant: map.tenant.clone().unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()),
            model: map.model.clone(),
            version: map.version.clone(),
            segment: map.segment.clone(),
        };
        (subject, Waiting { map: map.clone(), missing: map.first })
    };
    maps.iter().filter(|map| map.first > 0).map(entry).collect()
}

fn subject_of(row: &trimtab_engine::rows::PredictionRow) -> Subject {
    Subject {
        tenant: row.tenant.clone().unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()),
        model: row.model.clone(),
        version: row.version.clone(),
        segment: row.segment.clone(),
    }
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
