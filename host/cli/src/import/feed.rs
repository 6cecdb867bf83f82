//! Feeds a file into a host in the order of arrival: rows in batches, ticks between, baselines when their rows are there.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;
use trimtab_api::Streamed;
use trimtab_api::rows::Row;
use trimtab_log::Appended;
use trimtab_replay::backtest::{Arrivals, Arrived};
use trimtab_server::BaselineStatus;
use trimtab_server::{
    Failure, Service,
    client::{Client, RowStream},
    clock,
};
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
    batch: u32,
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

/// How rows get to the log.
enum Way<'a> {
    /// Batch by batch, with ticks between the rows.
    Ticking(&'a Service),
    /// As a stream, of which some batches are under way.
    Stream(Box<Sent>),
}

/// A stream, and what of it is not answered yet.
struct Sent {
    stream: RowStream,
    /// The lines of the file that its lines come from.
    waiting: VecDeque<u64>,
    /// Lines of the stream that are answered.
    answered: u64,
}

/// Why feeding ended early.
enum Ended {
    /// A row of the file is to blame, in these words.
    Row(Failure),
    /// Something else is.
    Other(Failure),
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        Self::Other(failure)
    }
}

impl<'a> Feed<'a> {
    pub(crate) fn new(client: &'a Client, batch: u32, tick: Option<u32>) -> Self {
        Self { client, batch, tick }
    }

    /// Feeds a source. Batches before a bad row are kept; the row is named.
    pub(crate) async fn run(&self, source: Source, progress: impl FnMut(&Fed)) -> Result<Fed, Failure> {
        let mut fed = Fed::default();
        let mut way = match self.client {
            Client::Local(_, service) if self.tick.is_some() => Way::Ticking(service),
            client => Way::Stream(Box::new(Sent {
                stream: client.stream(self.batch).await?,
                waiting: VecDeque::new(),
                answered: 0,
            })),
        };
        let file = source.name.clone();
        let ended = match self.feed(source, &mut way, &mut fed, progress).await {
            Ok(()) => return Ok(fed),
            // What is under way comes before, and may be to blame itself.
            Err(ended @ Ended::Row(_)) => way.arrive(&file, &mut fed).await.err().unwrap_or(ended),
            Err(ended) => ended,
        };
        Err(match ended {
            Ended::Row(failure) => kept(failure, &fed),
            Ended::Other(failure) => {
                let rows = count(fed.new + fed.unchanged, "row");
                let again = "import the file again, and what is there changes nothing";
                Failure {
                    message: format!("{}. {rows} are known to be kept; {again}", failure.message),
                    ..failure
                }
            }
        })
    }

    async fn feed(
        &self,
        source: Source,
        way: &mut Way<'_>,
        fed: &mut Fed,
        mut progress: impl FnMut(&Fed),
    ) -> Result<(), Ended> {
        let maps = source.map.as_ref().map_or(&[][..], |map| &map.baselines);
        let mut baselines = Baselines::new(self.client, maps).await?;
        let mut arrivals = Arrivals::new(self.tick);
        let mut arrived = Vec::new();
        let mut batch = Vec::with_capacity(self.batch as usize);
        let file = source.name;
        for line in source.rows {
            let line = line.map_err(Ended::Row)?;
            fed.count(&line);
            let mut subject = None;
            for row in line.rows {
                let time = check(&row, &file, line.line).map_err(Ended::Row)?;
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
            self.take(&mut arrived, &mut batch, &mut baselines, &file, (way, fed)).await?;
            if fed.lines.is_multiple_of(1_000) {
                progress(fed);
            }
        }
        arrivals.finish(|item| arrived.push(item));
        self.take(&mut arrived, &mut batch, &mut baselines, &file, (way, fed)).await?;
        way.send(&mut batch, &file, fed).await?;
        way.arrive(&file, fed).await?;
        let (set, not_set) = baselines.finish(self.client).await?;
        fed.baselines.extend(set);
        fed.not_set = not_set;
        Ok(())
    }

    async fn take(
        &self,
        arrived: &mut Vec<Arrived<Travelling>>,
        batch: &mut Batch,
        baselines: &mut Baselines,
        file: &str,
        (way, fed): (&mut Way<'_>, &mut Fed),
    ) -> Result<(), Ended> {
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
            if batch.len() >= self.batch as usize || !ready.is_empty() {
                way.send(batch, file, fed).await?;
            }
            if !ready.is_empty() {
                // A baseline is made of rows that are there.
                way.arrive(file, fed).await?;
            }
            for subject in ready {
                fed.baselines.extend(baselines.set(self.client, &subject).await?);
            }
        }
        Ok(())
    }
}

impl Way<'_> {
    /// Sends a batch on its way.
    async fn send(&mut self, batch: &mut Batch, file: &str, fed: &mut Fed) -> Result<(), Ended> {
        if batch.is_empty() {
            return Ok(());
        }
        match self {
            Self::Ticking(service) => {
                let entries = batch.iter().map(|(_, item)| entry(item)).collect::<Result<_, _>>();
                let appended = entries
                    .map_err(Failure::from)
                    .and_then(|entries| service.host().append_and_wait(entries).map_err(Failure::from));
                let of_row = |row: u64| Some(batch.get(usize::try_from(row).ok()?.checked_sub(1)?)?.0);
                let appended = appended.map_err(|failure| in_file(failure, of_row, file))?;
                let ticks = batch.iter().filter(|(_, item)| matches!(item, Arrived::Tick(_))).count() as u64;
                let unchanged = appended.iter().filter(|one| matches!(one, Appended::Unchanged(_))).count();
                fed.unchanged += unchanged as u64;
                fed.new += (appended.len() - unchanged) as u64 - ticks;
            }
            Self::Stream(sent) => {
                let Sent { stream, waiting, answered } = &mut **sent;
                waiting.extend(batch.iter().map(|(line, _)| *line));
                let mut refused = None;
                let hear = |answer| match hear(answer, (waiting, answered), file, fed) {
                    Err(ended) => {
                        refused = Some(ended);
                        Err(Failure::invalid(""))
                    }
                    Ok(()) => Ok(()),
                };
                let sent = stream.send(lines(batch)?, hear).await;
                sent.map_err(|failure| refused.unwrap_or(Ended::Other(failure)))?;
            }
        }
        batch.clear();
        Ok(())
    }

    /// Waits until everything that was sent is on disk.
    async fn arrive(&mut self, file: &str, fed: &mut Fed) -> Result<(), Ended> {
        let Self::Stream(sent) = self else { return Ok(()) };
        while !sent.waiting.is_empty() {
            match sent.stream.next().await? {
                Some(answer) => hear(answer, (&mut sent.waiting, &mut sent.answered), file, fed)?,
                None => return Err(Failure::unreachable("the host went away before it had all rows").into()),
            }
        }
        Ok(())
    }
}

/// What is answered to lines of a stream.
fn hear(
    answer: Streamed,
    (waiting, answered): (&mut VecDeque<u64>, &mut u64),
    file: &str,
    fed: &mut Fed,
) -> Result<(), Ended> {
    match answer {
        Streamed::Stored { last, new, unchanged, .. } => {
            let lines = last.saturating_sub(*answered).min(waiting.len() as u64);
            waiting.drain(..lines as usize);
            *answered = last;
            fed.new += new;
            fed.unchanged += unchanged;
            Ok(())
        }
        Streamed::Refused { error, .. } => {
            let of_line = |line: u64| {
                let place = usize::try_from(line.checked_sub(*answered + 1)?).ok()?;
                waiting.get(place).copied()
            };
            let ended = in_file(*error, of_line, file);
            // Nobody answers to these any more.
            waiting.clear();
            Err(ended)
        }
        Streamed::Done { .. } => Ok(()),
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

/// The host counts what it was sent; people count lines of a file.
fn in_file(failure: Failure, line: impl Fn(u64) -> Option<u64>, file: &str) -> Ended {
    let Some((row, line)) = failure.row.and_then(|row| Some((row, line(row)?))) else {
        return Ended::Other(failure);
    };
    let mut problem = failure.message.as_str();
    for word in ["row", "line"] {
        problem = problem.strip_prefix(&format!("{word} {row}: ")).unwrap_or(problem);
    }
    let problem = problem.rsplit_once(". Nothing ").map_or(problem, |(problem, _kept)| problem);
    Ended::Row(Failure { message: format!("{file} line {line}: {problem}"), ..failure })
}

/// What came before a mistake stays, and the file can be imported again: say so.
fn kept(failure: Failure, fed: &Fed) -> Failure {
    let rows = fed.new + fed.unchanged;
    let message =
        format!("{}. {rows} rows before it are kept; mend the file and import it again", failure.message);
    Failure { message, ..failure }
}
