//! The one writer of an SQLite store: appends entries and records what was folded, in durable transactions.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use trimtab_log::{
    Appended, Batch, FoldCommit, StoreError, Transaction, Writer, conflicting_outcome, conflicting_prediction,
};
use trimtab_types::{Entry, Outcome, Position, Prediction, Timestamp};

use crate::{
    bodies::{FILE, connect, damaged, head, json, read_outcome, read_prediction},
    codec::{self, Kind},
    failed::Failed,
    names::{DatabaseNames, Numbers},
    schema::SCHEMA,
};

/// The one writer.
pub struct SqliteWriter {
    connection: Connection,
    numbers: Numbers,
    next: u64,
}

impl SqliteWriter {
    /// Opens the database of a data directory, creating or migrating it where needed.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self::opened(directory)?)
    }

    fn opened(directory: &Path) -> Result<Self, Failed> {
        let path = directory.join(FILE);
        let mut connection = connect(&path, OpenFlags::default())?;
        SCHEMA.check_before_writing(&connection, &path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // A longer log between checkpoints: a page that many groups touch is copied back once.
        connection.pragma_update(None, "wal_autocheckpoint", 8_000)?;
        SCHEMA.migrate(&mut connection, &path)?;
        let next = head(&connection)? + 1;
        Ok(Self { connection, numbers: Numbers::default(), next })
    }
}

impl Writer for SqliteWriter {
    fn transaction(&mut self, work: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), StoreError> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(Failed::from)?;
        let mut open = Open { writer: self, lost: None };
        work(&mut open);
        let committed = match open.lost {
            Some(error) => Err(error),
            None => self.connection.execute_batch("COMMIT").map_err(|error| Failed::from(error).0),
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
    fn after_rollback(&mut self) -> Result<(), Failed> {
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
        work: impl FnOnce(&mut SqliteWriter) -> Result<T, Failed>,
    ) -> Result<T, StoreError> {
        if let Some(error) = &self.lost {
            return Err(error.repeated());
        }
        Ok(self.part(work)?)
    }

    fn part<T>(&mut self, work: impl FnOnce(&mut SqliteWriter) -> Result<T, Failed>) -> Result<T, Failed> {
        self.writer.connection.execute_batch("SAVEPOINT part")?;
        let result = work(self.writer);
        if let Err(error) = &result
            && self.writer.connection.is_autocommit()
        {
            self.lost = Some(error.0.repeated());
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
    fn append_entry(&mut self, index: usize, entry: &Entry) -> Result<Appended, Failed> {
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

    fn append_prediction(&mut self, index: usize, prediction: &Prediction) -> Result<Appended, Failed> {
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
    fn key(&self, model: u32, id: &str) -> Result<(Option<u64>, Option<u64>), Failed> {
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
    ) -> Result<Appended, Failed> {
        let names = DatabaseNames::new(&self.connection);
        let stored = read_prediction(&self.connection, &names, position)?;
        match conflicting_prediction(index, &stored, prediction) {
            None => Ok(Appended::Unchanged(Position(position))),
            Some(conflict) => Err(conflict.into()),
        }
    }

    fn append_outcome(&mut self, index: usize, outcome: &Outcome) -> Result<Appended, Failed> {
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
    ) -> Result<Option<u64>, Failed> {
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
        Err(conflicting_outcome(index, &stored, outcome).into())
    }

    fn insert(&mut self, kind: Kind, link: Option<u64>, body: &[u8]) -> Result<Appended, Failed> {
        let position = self.next;
        self.connection
            .prepare_cached("INSERT INTO log (position, kind, link, body) VALUES (?, ?, ?, ?)")?
            .execute(params![position, kind as u8, link, body])?;
        self.next += 1;
        Ok(Appended::New(Position(position)))
    }

    fn write_fold(&self, commit: &FoldCommit) -> Result<(), Failed> {
        let connection = &self.connection;
        let moved = connection
            .prepare_cached("UPDATE fold SET cursor = ?2 WHERE cursor = ?1")?
            .execute(params![commit.from.0, commit.to.0])?;
        if moved == 0 {
            let found = connection.query_row("SELECT cursor FROM fold", [], |row| row.get(0))?;
            return Err(StoreError::CursorMoved { expected: commit.from.0, found }.into());
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
