//! The 64 logs beside plain rusqlite that writes the same rows and keys: rows a second, and bytes of the write-ahead log a
//! row.

use std::{
    collections::BTreeMap,
    error::Error,
    path::Path,
    sync::{Arc, mpsc},
    time::Instant,
};

use rusqlite::{Connection, params};
use trimtab_log::{Batch, Lane, Log};
use trimtab_sqlite::LogsWriter;
use trimtab_types::{Entry, Feature, Predicted, Shard, Subject};

use crate::{report::Report, rows};

const MODELS: usize = 1_000;
const BATCH: usize = 1_000;
/// Keys that the peer holds before it writes them, as the writer of the logs does.
const HELD: usize = 65_536;
/// Pages of the write-ahead log before it is copied back, on both sides: 64 MB.
const WAL_PAGES: u32 = 16_384;
/// Rows of a round: enough that keys are written three times.
const ROWS: usize = 200_000;
const ROUNDS: usize = 2;

/// What one side wrote, over all rounds.
#[derive(Default)]
struct Sum {
    seconds: f64,
    frames: u64,
    rows: usize,
}

impl Sum {
    fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    fn wal_bytes(&self) -> f64 {
        // A frame is a page and its header.
        (self.frames * (4_096 + 24)) as f64 / self.rows as f64
    }
}

pub(crate) fn measure(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let subjects: Vec<Arc<Subject>> = (0..MODELS).map(subject).collect();
    let entries = rows::entries(ROWS, &subjects, 5);
    let (predictions, outcomes): (Vec<_>, Vec<_>) =
        entries.iter().cloned().partition(|entry| matches!(entry, Entry::Prediction(_)));
    debug_assert_eq!(predictions.len(), outcomes.len());
    compare(report, "predictions", &predictions)?;
    compare(report, "predictions with outcomes", &entries[..ROWS])
}

fn subject(n: usize) -> Arc<Subject> {
    let (tenant, model) = ("default".to_owned(), format!("model-{n}"));
    Arc::new(Subject { tenant, model, version: "v1".into(), segment: String::new() })
}

fn compare(report: &mut Report, what: &str, entries: &[Entry]) -> Result<(), Box<dyn Error>> {
    let (mut ours, mut one, mut same) = (Sum::default(), Sum::default(), Sum::default());
    for _ in 0..ROUNDS {
        round(&mut one, entries, |directory| plain(directory, 1))?;
        round(&mut same, entries, |directory| plain(directory, Shard::COUNT))?;
        round(&mut ours, entries, logs)?;
    }
    for (peer, beside) in [(&one, "one plain table"), (&same, "64 plain tables")] {
        let title = |unit| format!("64 logs, {what}, beside {beside}: {unit}");
        report.rate(&title("rows"), ours.rate(), "1/s", Some(peer.rate()), ">= 0.7 x");
        report.time(&title("WAL"), ours.wal_bytes(), "B a row", Some(peer.wal_bytes()), "<= 1.5 x");
    }
    Ok(())
}

/// Writes all entries in batches with what `open` gives, and adds up time and frames.
fn round(
    sum: &mut Sum,
    entries: &[Entry],
    open: impl Fn(&Path) -> Result<Write, Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut write = open(directory.path())?;
    let mut frames = Frames::default();
    for chunk in entries.chunks(BATCH) {
        let batch = chunk.to_vec();
        let started = Instant::now();
        write(batch)?;
        sum.seconds += started.elapsed().as_secs_f64();
        frames.look(directory.path())?;
    }
    sum.frames += frames.written;
    sum.rows += entries.len();
    Ok(())
}

type Write = Box<dyn FnMut(Vec<Entry>) -> Result<(), Box<dyn Error>>>;

fn logs(directory: &Path) -> Result<Write, Box<dyn Error>> {
    let log = Log::start(Box::new(LogsWriter::open(directory)?))?;
    Ok(Box::new(move |entries| {
        let (sender, receiver) = mpsc::sync_channel(1);
        let batch = Batch::of(entries.into_iter().map(Into::into).collect());
        log.append(batch, Lane::Bulk, move |result| {
            sender.send(result).ok();
        });
        receiver.recv()??;
        Ok(())
    }))
}

/// What one would write by hand: rows in one table or in as many as the logs have, one table of keys, keys held and written
/// in order. It looks nothing up and hands nothing over.
fn plain(directory: &Path, tables: usize) -> Result<Write, Box<dyn Error>> {
    let mut connection = Connection::open(directory.join("plain.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
    connection.pragma_update(None, "cache_size", -64_000)?;
    connection.execute_batch(
        "CREATE TABLE row_key (
             model INTEGER, id TEXT, prediction INTEGER, outcome INTEGER, PRIMARY KEY (model, id)
         ) WITHOUT ROWID;",
    )?;
    let inserts = (0..tables).map(|n| {
        connection.execute_batch(&format!(
            "CREATE TABLE log_{n} (
                 position INTEGER PRIMARY KEY, kind INTEGER, model INTEGER, time INTEGER, link INTEGER, body BLOB
             )"
        ))?;
        Ok(format!("INSERT INTO log_{n} (kind, model, time, link, body) VALUES (?, ?, ?, ?, ?)"))
    });
    let inserts: Vec<String> = inserts.collect::<Result<_, rusqlite::Error>>()?;
    connection.set_prepared_statement_cache_capacity(tables + 1);
    let mut models: BTreeMap<String, (u32, usize)> = BTreeMap::new();
    let mut held: BTreeMap<(u32, String), (Option<i64>, Option<i64>)> = BTreeMap::new();
    let mut body = Vec::new();
    Ok(Box::new(move |entries| {
        let transaction = connection.transaction()?;
        for entry in &entries {
            let (kind, model, id, time) = encode(entry, &mut body)?;
            let next = u32::try_from(models.len())?;
            let table = || (next, Shard::of("default", model).index() % tables);
            let (model, table) = *models.entry(model.to_owned()).or_insert_with(table);
            let key = held.entry((model, id.to_owned())).or_default();
            transaction.prepare_cached(&inserts[table])?.execute(params![kind, model, time, key.0, body])?;
            let position = Some(transaction.last_insert_rowid());
            if kind == 1 { key.0 = position } else { key.1 = position }
        }
        if held.len() > HELD {
            let mut insert =
                transaction.prepare_cached("INSERT OR REPLACE INTO row_key VALUES (?, ?, ?, ?)")?;
            for ((model, id), (prediction, outcome)) in std::mem::take(&mut held) {
                insert.execute(params![model, id, prediction, outcome])?;
            }
        }
        Ok(transaction.commit()?)
    }))
}

/// Kind, model, id and time of a row; into `body` about as many bytes as the logs keep of it.
fn encode<'a>(entry: &'a Entry, body: &mut Vec<u8>) -> Result<(u8, &'a str, &'a str, i64), Box<dyn Error>> {
    body.clear();
    match entry {
        Entry::Prediction(row) => {
            body.extend(row.id.as_bytes());
            body.extend([0; 12]);
            if let Predicted::Binary(score) = row.predicted {
                body.extend(score.to_le_bytes());
            }
            body.extend(row.confidence.unwrap_or_default().to_le_bytes());
            for value in &row.features.values {
                if let Feature::Number(number) = value {
                    body.push(0);
                    body.extend(number.to_le_bytes());
                }
            }
            Ok((1, &row.subject.model, &row.id, row.time.as_millis()))
        }
        Entry::Outcome(row) => {
            body.extend(row.id.as_bytes());
            body.extend([0; 8]);
            Ok((2, &row.model, &row.id, row.time.as_millis()))
        }
        _ => Err("only rows are measured".into()),
    }
}

/// Frames that were written to the write-ahead log, counted across its beginnings anew.
#[derive(Default)]
struct Frames {
    written: u64,
    last: u64,
}

impl Frames {
    /// Reads the number of frames in use from the index of the write-ahead log (`mxFrame`, at byte 16).
    fn look(&mut self, directory: &Path) -> Result<(), Box<dyn Error>> {
        for file in std::fs::read_dir(directory)? {
            let path = file?.path();
            if path.extension().is_some_and(|extension| extension == "db-shm") {
                let index = std::fs::read(&path)?;
                let bytes = index.get(16..20).ok_or("the index of the write-ahead log is too short")?;
                let now = u64::from(u32::from_ne_bytes(bytes.try_into()?));
                self.written += if now >= self.last { now - self.last } else { now };
                self.last = now;
            }
        }
        Ok(())
    }
}
