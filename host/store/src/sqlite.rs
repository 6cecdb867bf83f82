//! The store in one SQLite file: write-ahead log, `synchronous=FULL`, one writer, any number of readers.

use std::{
    cell::RefCell,
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::{Serialize, de::DeserializeOwned};
use trimtab_types::{DecisionRecord, Digest, Entry, Finding, Outcome, Position, Prediction, Timestamp};

use crate::{
    Appended, Batch, Counts, Effect, FoldCommit, Folded, FoldedState, Listing, LogRecord, Reader, Resolution,
    StoreError, StoredEffect, Transaction, Writer,
    codec::{self, Kind},
    names::{DatabaseNames, NameCache, Numbers},
    schema,
};

/// The database's file inside a data directory.
const FILE: &str = "trimtab.db";
const STATEMENTS: usize = 64;

/// The one writer.
pub struct SqliteWriter {
    connection: Connection,
    numbers: Numbers,
    next: u64,
}

impl SqliteWriter {
    /// Opens the database of a data directory, creating or migrating it where needed.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        let mut connection = connect(&path, OpenFlags::default())?;
        schema::check_before_writing(&connection, &path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A longer log between checkpoints: a page that many groups touch is copied back once.
        connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
        schema::migrate(&mut connection, &path)?;
        let next = head(&connection)? + 1;
        Ok(Self { connection, numbers: Numbers::default(), next })
    }
}

impl Writer for SqliteWriter {
    fn transaction(&mut self, work: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let mut open = Open { writer: self, lost: None };
        work(&mut open);
        let committed = match open.lost {
            Some(error) => Err(error),
            None => self.connection.execute_batch("COMMIT").map_err(StoreError::from),
        };
        if committed.is_err() {
            // What SQLite itself has rolled back already answers this with an error that says nothing new.
            self.connection.execute_batch("ROLLBACK").ok();
            self.after_rollback()?;
        }
        committed
    }
}

impl SqliteWriter {
    /// Numbers and the next position are read again: what was rolled back may have handed some out.
    fn after_rollback(&mut self) -> Result<(), StoreError> {
        self.numbers = Numbers::default();
        self.next = head(&self.connection)? + 1;
        Ok(())
    }
}

/// A transaction that is under way.
struct Open<'a> {
    writer: &'a mut SqliteWriter,
    /// Why the whole of it is lost: SQLite rolls back by itself when the disk is full or fails.
    lost: Option<StoreError>,
}

impl Open<'_> {
    /// Runs `work` so that it is kept whole or undone whole.
    fn whole<T>(
        &mut self,
        work: impl FnOnce(&mut SqliteWriter) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if let Some(error) = &self.lost {
            return Err(error.repeated());
        }
        self.writer.connection.execute_batch("SAVEPOINT part")?;
        let result = work(self.writer);
        if let Err(error) = &result
            && self.writer.connection.is_autocommit()
        {
            self.lost = Some(error.repeated());
        } else if result.is_ok() {
            self.writer.connection.execute_batch("RELEASE part")?;
        } else {
            self.writer.connection.execute_batch("ROLLBACK TO part; RELEASE part")?;
            self.writer.after_rollback()?;
        }
        result
    }
}

impl Transaction for Open<'_> {
    fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        self.whole(|writer| {
            for (digest, bytes) in &batch.contents {
                writer
                    .connection
                    .prepare_cached("INSERT OR IGNORE INTO content (digest, bytes) VALUES (?, ?)")?
                    .execute(params![digest.as_bytes(), bytes])?;
            }
            batch.entries.iter().enumerate().map(|(index, entry)| writer.append_entry(index, entry)).collect()
        })
    }

    fn commit_fold(&mut self, commit: &FoldCommit) -> Result<(), StoreError> {
        self.whole(|writer| writer.write_fold(commit))
    }

    fn delivered(&mut self, key: &str, at: Timestamp) -> Result<(), StoreError> {
        self.whole(|writer| {
            writer
                .connection
                .prepare_cached("UPDATE effect SET delivered = ? WHERE key = ? AND delivered IS NULL")?
                .execute(params![at.as_millis(), key])?;
            Ok(())
        })
    }

    fn forget_fold(&mut self, state_format: u32) -> Result<(), StoreError> {
        self.whole(|writer| {
            writer.connection.execute_batch(
                "DELETE FROM state; DELETE FROM finding; DELETE FROM decision;
                 INSERT OR IGNORE INTO delivered_before SELECT key, delivered FROM effect WHERE delivered IS NOT NULL;
                 DELETE FROM effect; UPDATE fold SET cursor = 0",
            )?;
            writer.connection.execute("UPDATE fold SET format = ?", [state_format])?;
            Ok(())
        })
    }
}

impl SqliteWriter {
    fn append_entry(&mut self, index: usize, entry: &Entry) -> Result<Appended, StoreError> {
        match entry {
            Entry::Prediction(prediction) => self.append_prediction(index, prediction),
            Entry::Outcome(outcome) => self.append_outcome(index, outcome),
            other => {
                let body =
                    codec::encode_other(other).map_err(|problem| damaged("entry", self.next, problem))?;
                self.insert(Kind::Other, None, &body)
            }
        }
    }

    fn append_prediction(&mut self, index: usize, prediction: &Prediction) -> Result<Appended, StoreError> {
        let (model, subject) = self.numbers.subject(&self.connection, &prediction.subject)?;
        let inserted = self
            .connection
            .prepare_cached("INSERT OR IGNORE INTO row_key (model, id, prediction) VALUES (?, ?, ?)")?
            .execute(params![model, prediction.id, self.next])?;
        let mut waiting = None;
        if inserted == 0 {
            let (earlier, outcome) = self.key(model, &prediction.id)?;
            if let Some(position) = earlier {
                return self.same_prediction(index, position, prediction);
            }
            waiting = outcome;
            self.connection
                .prepare_cached("UPDATE row_key SET prediction = ? WHERE model = ? AND id = ?")?
                .execute(params![self.next, model, prediction.id])?;
        }
        let names = self.numbers.features(&self.connection, &prediction.features.names)?;
        let body = codec::encode_prediction(prediction, subject, names)
            .map_err(|problem| damaged("prediction", self.next, problem))?;
        self.insert(Kind::Prediction, waiting, &body)
    }

    /// Where the prediction of an id is, and what counts as its outcome.
    fn key(&self, model: u32, id: &str) -> Result<(Option<u64>, Option<u64>), StoreError> {
        let found = self
            .connection
            .prepare_cached("SELECT prediction, outcome FROM row_key WHERE model = ? AND id = ?")?
            .query_row(params![model, id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        Ok(found.unwrap_or_default())
    }

    fn same_prediction(
        &self,
        index: usize,
        position: u64,
        prediction: &Prediction,
    ) -> Result<Appended, StoreError> {
        let names = DatabaseNames::new(&self.connection);
        let stored = read_prediction(&self.connection, &names, position)?;
        match first_difference(&stored, prediction) {
            None => Ok(Appended::Unchanged(Position(position))),
            Some(difference) => Err(StoreError::Conflict {
                index,
                what: "prediction",
                model: prediction.subject.model.clone(),
                id: prediction.id.clone(),
                difference,
                fix: "a prediction never changes; give the new one an id of its own",
            }),
        }
    }

    fn append_outcome(&mut self, index: usize, outcome: &Outcome) -> Result<Appended, StoreError> {
        let model = self.numbers.model(&self.connection, &outcome.tenant, &outcome.model)?;
        let (prediction, current) = self.key(model, &outcome.id)?;
        if let Some(current) = current {
            let unchanged = self.compare_outcome(index, model, current, outcome)?;
            if let Some(position) = unchanged {
                return Ok(Appended::Unchanged(Position(position)));
            }
            for position in [current, self.next] {
                self.connection
                    .prepare_cached("INSERT OR IGNORE INTO revision VALUES (?, ?, ?)")?
                    .execute(params![model, outcome.id, position])?;
            }
        }
        self.connection
            .prepare_cached(
                "INSERT INTO row_key (model, id, outcome) VALUES (?, ?, ?)
                 ON CONFLICT (model, id) DO UPDATE SET outcome = excluded.outcome",
            )?
            .execute(params![model, outcome.id, self.next])?;
        let kind = if current.is_some() { Kind::Correction } else { Kind::Outcome };
        let body = codec::encode_outcome(outcome, model)
            .map_err(|problem| damaged("outcome", self.next, problem))?;
        self.insert(kind, prediction, &body)
    }

    /// Holds an outcome against those that the id has: where the same one is; `None` for a correction; else a conflict.
    fn compare_outcome(
        &self,
        index: usize,
        model: u32,
        current: u64,
        outcome: &Outcome,
    ) -> Result<Option<u64>, StoreError> {
        let names = DatabaseNames::new(&self.connection);
        let stored = read_outcome(&self.connection, &names, current)?;
        if stored == *outcome {
            return Ok(Some(current));
        }
        if outcome.correction {
            return Ok(None);
        }
        // A late repetition of what has been corrected since.
        let mut revisions = self
            .connection
            .prepare_cached("SELECT position FROM revision WHERE model = ? AND id = ? ORDER BY position")?;
        let mut rows = revisions.query(params![model, outcome.id])?;
        while let Some(row) = rows.next()? {
            let position = row.get(0)?;
            if read_outcome(&self.connection, &names, position)? == *outcome {
                return Ok(Some(position));
            }
        }
        Err(StoreError::Conflict {
            index,
            what: "outcome",
            model: outcome.model.clone(),
            id: outcome.id.clone(),
            difference: first_difference(&stored, outcome)
                .unwrap_or_else(|| "an earlier revision".to_owned()),
            fix: "to replace it, send it with `correction` true",
        })
    }

    fn insert(&mut self, kind: Kind, link: Option<u64>, body: &[u8]) -> Result<Appended, StoreError> {
        let position = self.next;
        self.connection
            .prepare_cached("INSERT INTO log (position, kind, link, body) VALUES (?, ?, ?, ?)")?
            .execute(params![position, kind as u8, link, body])?;
        self.next += 1;
        Ok(Appended::New(Position(position)))
    }

    fn write_fold(&self, commit: &FoldCommit) -> Result<(), StoreError> {
        let connection = &self.connection;
        let moved = connection
            .prepare_cached("UPDATE fold SET cursor = ?2 WHERE cursor = ?1")?
            .execute(params![commit.from.0, commit.to.0])?;
        if moved == 0 {
            let found = connection.query_row("SELECT cursor FROM fold", [], |row| row.get(0))?;
            return Err(StoreError::CursorMoved { expected: commit.from.0, found });
        }
        for (key, bytes) in &commit.states {
            match bytes {
                Some(bytes) => connection
                    .prepare_cached("INSERT OR REPLACE INTO state (key, bytes) VALUES (?, ?)")?
                    .execute(params![key, bytes])?,
                None => connection.prepare_cached("DELETE FROM state WHERE key = ?")?.execute([key])?,
            };
        }
        let mut ordinal = Ordinals::default();
        for finding in &commit.findings {
            let subject = &finding.subject;
            connection.prepare_cached("INSERT INTO finding VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
                finding.position.0,
                ordinal.next(finding.position),
                finding.id,
                subject.tenant,
                subject.model,
                json(finding, "finding", finding.position)?
            ])?;
        }
        ordinal = Ordinals::default();
        for decision in &commit.decisions {
            let subject = &decision.subject;
            connection.prepare_cached("INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?)")?.execute(params![
                decision.position.0,
                ordinal.next(decision.position),
                decision.id,
                subject.tenant,
                subject.model,
                json(decision, "decision", decision.position)?
            ])?;
        }
        ordinal = Ordinals::default();
        for effect in &commit.effects {
            connection
                .prepare_cached(
                    "INSERT INTO effect (position, ordinal, key, body, delivered)
                     VALUES (?1, ?2, ?3, ?4, (SELECT delivered FROM delivered_before WHERE key = ?3))",
                )?
                .execute(params![
                    effect.position.0,
                    ordinal.next(effect.position),
                    effect.key,
                    json(effect, "effect", effect.position)?
                ])?;
        }
        Ok(())
    }
}

/// Counts rows of one position; positions come in order.
#[derive(Default)]
struct Ordinals {
    position: Position,
    next: u32,
}

impl Ordinals {
    fn next(&mut self, position: Position) -> u32 {
        if self.position != position {
            (self.position, self.next) = (position, 0);
        }
        self.next += 1;
        self.next - 1
    }
}

/// A reader.
pub struct SqliteReader {
    connection: Connection,
    names: RefCell<NameCache>,
}

impl SqliteReader {
    /// Opens the database of a data directory for reading.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(StoreError::Missing(directory.into()));
        }
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.pragma_update(None, "query_only", true)?;
        schema::check(&connection, &path)?;
        Ok(Self { connection, names: RefCell::default() })
    }

    /// Whether a data directory has a database.
    pub fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    fn names(&self) -> DatabaseNames<'_> {
        DatabaseNames::cached_in(&self.connection, &self.names)
    }

    fn bodies<T: DeserializeOwned>(
        &self,
        what: &'static str,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<T>, StoreError> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(from_json(row.get_ref(0)?.as_str().unwrap_or_default(), what, row.get(1)?)?);
        }
        Ok(found)
    }

    fn between<T: DeserializeOwned>(
        &self,
        table: &'static str,
        after: Position,
        until: Position,
    ) -> Result<Vec<T>, StoreError> {
        let sql = format!(
            "SELECT body, position FROM {table} WHERE position > ? AND position <= ? ORDER BY position, ordinal"
        );
        self.bodies(table, &sql, params![after.0, until.0])
    }

    fn listed<T: DeserializeOwned>(
        &self,
        table: &'static str,
        listing: &Listing,
    ) -> Result<Vec<T>, StoreError> {
        let until = listing.until.map_or(i64::MAX, |position| i64::try_from(position.0).unwrap_or(i64::MAX));
        let mut sql = format!("SELECT body, position FROM {table} WHERE position <= ?");
        let mut values: Vec<&dyn rusqlite::ToSql> = vec![&until];
        for (column, wanted) in [("tenant", &listing.tenant), ("model", &listing.model)] {
            if let Some(wanted) = wanted {
                sql.push_str(&format!(" AND {column} = ?"));
                values.push(wanted);
            }
        }
        sql.push_str(" ORDER BY position DESC, ordinal DESC LIMIT ?");
        values.push(&listing.limit);
        self.bodies(table, &sql, values.as_slice())
    }

    fn record(
        &self,
        position: u64,
        kind: i64,
        link: Option<u64>,
        body: &[u8],
    ) -> Result<LogRecord, StoreError> {
        let names = self.names();
        let bad = |problem| damaged("entry", position, problem);
        let kind = Kind::from_number(kind).ok_or_else(|| bad(format!("kind {kind} is unknown")))?;
        let (entry, resolves) = match kind {
            Kind::Prediction => {
                let prediction = codec::decode_prediction(body, &names).map_err(bad)?;
                let outcome = link
                    .map(|link| read_outcome(&self.connection, &names, link))
                    .transpose()?
                    .map(|outcome| Resolution::By(Box::new(outcome)));
                (Entry::Prediction(prediction), outcome)
            }
            Kind::Outcome | Kind::Correction => {
                let outcome = codec::decode_outcome(body, &names).map_err(bad)?;
                let resolves = match link {
                    None => None,
                    Some(link) => Some(Resolution::Of {
                        position: Position(link),
                        prediction: Box::new(read_prediction(&self.connection, &names, link)?),
                        previous: match kind {
                            Kind::Correction => self.outcome_before(&outcome, position)?.map(Box::new),
                            _ => None,
                        },
                    }),
                };
                (Entry::Outcome(outcome), resolves)
            }
            Kind::Other => (codec::decode_other(body).map_err(bad)?, None),
        };
        Ok(LogRecord { position: Position(position), entry, resolves })
    }

    fn outcome_before(&self, outcome: &Outcome, position: u64) -> Result<Option<Outcome>, StoreError> {
        let earlier: Option<u64> = self
            .connection
            .prepare_cached(
                "SELECT max(position) FROM revision WHERE model = (SELECT id FROM model WHERE tenant = ? AND model = ?)
                 AND id = ? AND position < ?",
            )?
            .query_row(params![outcome.tenant, outcome.model, outcome.id, position], |row| row.get(0))?;
        earlier.map(|at| read_outcome(&self.connection, &self.names(), at)).transpose()
    }
}

impl Reader for SqliteReader {
    fn head(&self) -> Result<Position, StoreError> {
        head(&self.connection).map(Position)
    }

    fn scan(&self, after: Position, limit: usize) -> Result<Vec<LogRecord>, StoreError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT position, kind, link, body FROM log WHERE position > ? ORDER BY position LIMIT ?",
        )?;
        let mut rows = statement.query(params![after.0, i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut records = Vec::with_capacity(limit.min(4_096));
        while let Some(row) = rows.next()? {
            let body = row.get_ref(3)?.as_blob().unwrap_or_default();
            records.push(self.record(row.get(0)?, row.get(1)?, row.get(2)?, body)?);
        }
        Ok(records)
    }

    fn changes(&self, after: Position, until: Position) -> Result<Vec<(Position, Entry)>, StoreError> {
        // The number of the kind stands in the text, or SQLite would not use the index of just this kind.
        let mut statement = self.connection.prepare_cached(
            "SELECT position, body FROM log
             WHERE kind = 4 AND position > ? AND position <= ? AND substr(body, 1, 7) <> CAST('{\"tick\"' AS BLOB)
             ORDER BY position",
        )?;
        let mut rows = statement.query(params![after.0, until.0])?;
        let mut changes = Vec::new();
        while let Some(row) = rows.next()? {
            let position = row.get(0)?;
            let body = row.get_ref(1)?.as_blob().unwrap_or_default();
            let entry = codec::decode_other(body).map_err(|problem| damaged("entry", position, problem))?;
            changes.push((Position(position), entry));
        }
        Ok(changes)
    }

    fn folded_state(&self) -> Result<FoldedState, StoreError> {
        let moment = self.connection.unchecked_transaction()?;
        let (cursor, format) = moment.query_row("SELECT cursor, format FROM fold", [], |row| {
            Ok((Position(row.get(0)?), row.get(1)?))
        })?;
        let mut statement = moment.prepare_cached("SELECT key, bytes FROM state ORDER BY key")?;
        let states =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok((cursor, format, states))
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self
            .connection
            .prepare_cached("SELECT bytes FROM content WHERE digest = ?")?
            .query_row([digest.as_bytes()], |row| row.get(0))
            .optional()?)
    }

    fn prediction(
        &self,
        tenant: &str,
        model: &str,
        id: &str,
    ) -> Result<Option<(Prediction, Option<Outcome>)>, StoreError> {
        let found: Option<(Option<u64>, Option<u64>)> = self
            .connection
            .prepare_cached(
                "SELECT prediction, outcome FROM row_key
                 WHERE model = (SELECT id FROM model WHERE tenant = ? AND model = ?) AND id = ?",
            )?
            .query_row(params![tenant, model, id], |row| Ok((row.get(0)?, row.get(1)?)))
            .optional()?;
        let (prediction, outcome) = found.unwrap_or_default();
        let names = self.names();
        let prediction = prediction.map(|at| read_prediction(&self.connection, &names, at)).transpose()?;
        let outcome = outcome.map(|at| read_outcome(&self.connection, &names, at)).transpose()?;
        Ok(prediction.map(|prediction| (prediction, outcome)))
    }

    fn findings(&self, listing: &Listing) -> Result<Vec<Finding>, StoreError> {
        self.listed("finding", listing)
    }

    fn decisions(&self, listing: &Listing) -> Result<Vec<DecisionRecord>, StoreError> {
        self.listed("decision", listing)
    }

    fn folded(&self, after: Position, until: Position) -> Result<Folded, StoreError> {
        Ok(Folded {
            findings: self.between("finding", after, until)?,
            decisions: self.between("decision", after, until)?,
            effects: self.between("effect", after, until)?,
        })
    }

    fn decided(&self, after: Position, until: Position) -> Result<Vec<DecisionRecord>, StoreError> {
        self.between("decision", after, until)
    }

    fn decision(&self, id: &str) -> Result<Option<DecisionRecord>, StoreError> {
        Ok(self.bodies("decision", "SELECT body, position FROM decision WHERE id = ?", [id])?.pop())
    }

    fn effects(&self, pending_only: bool, limit: u32) -> Result<Vec<StoredEffect>, StoreError> {
        let sql = if pending_only {
            "SELECT body, position, delivered FROM effect WHERE delivered IS NULL
             ORDER BY position DESC, ordinal DESC LIMIT ?"
        } else {
            "SELECT body, position, delivered FROM effect ORDER BY position DESC, ordinal DESC LIMIT ?"
        };
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query([limit])?;
        let mut effects = Vec::new();
        while let Some(row) = rows.next()? {
            let effect: Effect =
                from_json(row.get_ref(0)?.as_str().unwrap_or_default(), "effect", row.get(1)?)?;
            let delivered = row.get::<_, Option<i64>>(2)?.and_then(Timestamp::from_millis);
            effects.push(StoredEffect { effect, delivered });
        }
        Ok(effects)
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        let count = |sql| self.connection.query_row(sql, [], |row| row.get::<_, u64>(0));
        Ok(Counts {
            predictions: count("SELECT count(prediction) FROM row_key")?,
            outcomes: count("SELECT count(outcome) FROM row_key")?,
            findings: count("SELECT count(*) FROM finding")?,
            decisions: count("SELECT count(*) FROM decision")?,
            effects: count("SELECT count(*) FROM effect")?,
        })
    }
}

fn connect(path: &PathBuf, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection =
        Connection::open_with_flags(path, flags).map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::CannotOpen | rusqlite::ErrorCode::ReadOnly) => StoreError::Directory {
                action: "open",
                path: path.clone(),
                source: std::io::Error::other(error.to_string()),
            },
            _ => error.into(),
        })?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "cache_size", -64_000).map_err(|error| schema::unreadable(error, path))?;
    Ok(connection)
}

fn head(connection: &Connection) -> Result<u64, StoreError> {
    Ok(connection.query_row("SELECT coalesce(max(position), 0) FROM log", [], |row| row.get(0))?)
}

fn read_prediction(
    connection: &Connection,
    names: &DatabaseNames<'_>,
    position: u64,
) -> Result<Prediction, StoreError> {
    read_body(connection, "prediction", position, |body| codec::decode_prediction(body, names))
}

fn read_outcome(
    connection: &Connection,
    names: &DatabaseNames<'_>,
    position: u64,
) -> Result<Outcome, StoreError> {
    read_body(connection, "outcome", position, |body| codec::decode_outcome(body, names))
}

fn read_body<T>(
    connection: &Connection,
    what: &'static str,
    position: u64,
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, StoreError> {
    let mut statement = connection.prepare_cached("SELECT body FROM log WHERE position = ?")?;
    let mut rows = statement.query([position])?;
    let row = rows.next()?.ok_or_else(|| damaged(what, position, "it is missing".to_owned()))?;
    decode(row.get_ref(0)?.as_blob().unwrap_or_default()).map_err(|problem| damaged(what, position, problem))
}

fn damaged(what: &'static str, position: u64, problem: String) -> StoreError {
    StoreError::Damaged { what, position, problem }
}

fn json<T: Serialize>(value: &T, what: &'static str, position: Position) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| damaged(what, position.0, error.to_string()))
}

fn from_json<T: DeserializeOwned>(text: &str, what: &'static str, position: u64) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| damaged(what, position, error.to_string()))
}

/// The first field in which two values differ, with both; `None` if they are the same.
pub fn first_difference<T: Serialize>(stored: &T, given: &T) -> Option<String> {
    fn first(path: &str, stored: &serde_json::Value, given: &serde_json::Value) -> Option<String> {
        use serde_json::Value;
        match (stored, given) {
            (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                first(&path, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null))
            }),
            _ if stored == given => None,
            _ => Some(format!("`{path}` is {stored}, not {given}")),
        }
    }
    match (serde_json::to_value(stored), serde_json::to_value(given)) {
        (Ok(stored), Ok(given)) => first("", &stored, &given),
        _ => Some("it cannot be compared".to_owned()),
    }
}
