//! A reader of an SQLite store: records of the log and what was folded. Any number work beside the writer.

use std::{cell::RefCell, path::Path};

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};
use serde::de::DeserializeOwned;
use trimtab_log::{Folded, FoldedState, Listing, Reader, StoreError, StoredEffect};
use trimtab_types::{
    Counts, DecisionRecord, Digest, Effect, Entry, Finding, Outcome, Position, Prediction, Record,
    Resolution, Timestamp,
};

use crate::{
    bodies::{FILE, connect, damaged, from_json, head, read_outcome, read_prediction},
    codec::{self, Kind},
    failed::Failed,
    names::{DatabaseNames, NameCache},
    schema::SCHEMA,
};

/// A reader.
pub struct SqliteReader {
    connection: Connection,
    names: RefCell<NameCache>,
}

impl SqliteReader {
    /// Opens the database of a data directory for reading.
    pub fn open(directory: &Path) -> Result<Self, StoreError> {
        Ok(Self::opened(directory)?)
    }

    fn opened(directory: &Path) -> Result<Self, Failed> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(StoreError::Missing(directory.into()).into());
        }
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.pragma_update(None, "query_only", true)?;
        SCHEMA.check(&connection, &path)?;
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
    ) -> Result<Vec<T>, Failed> {
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
    ) -> Result<Vec<T>, Failed> {
        let sql = format!(
            "SELECT body, position FROM {table} WHERE position > ? AND position <= ? ORDER BY position, ordinal"
        );
        self.bodies(table, &sql, params![after.0, until.0])
    }

    fn listed<T: DeserializeOwned>(&self, table: &'static str, listing: &Listing) -> Result<Vec<T>, Failed> {
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

    fn record(&self, position: u64, kind: i64, link: Option<u64>, body: &[u8]) -> Result<Record, Failed> {
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
        Ok(Record { position: Position(position), entry, resolves })
    }

    fn outcome_before(&self, outcome: &Outcome, position: u64) -> Result<Option<Outcome>, Failed> {
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

/// The questions of the port that take a statement of their own.
impl SqliteReader {
    fn records(&self, after: Position, limit: usize) -> Result<Vec<Record>, Failed> {
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

    fn changed(&self, after: Position, until: Position) -> Result<Vec<(Position, Entry)>, Failed> {
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

    fn state(&self) -> Result<FoldedState, Failed> {
        let moment = self.connection.unchecked_transaction()?;
        let (cursor, format) = moment.query_row("SELECT cursor, format FROM fold", [], |row| {
            Ok((Position(row.get(0)?), row.get(1)?))
        })?;
        let mut statement = moment.prepare_cached("SELECT key, bytes FROM state ORDER BY key")?;
        let states =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?;
        Ok((cursor, format, states))
    }

    fn bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>, Failed> {
        Ok(self
            .connection
            .prepare_cached("SELECT bytes FROM content WHERE digest = ?")?
            .query_row([digest.as_bytes()], |row| row.get(0))
            .optional()?)
    }

    fn row(
        &self,
        tenant: &str,
        model: &str,
        id: &str,
    ) -> Result<Option<(Prediction, Option<Outcome>)>, Failed> {
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

    fn stored_effects(&self, pending_only: bool, limit: u32) -> Result<Vec<StoredEffect>, Failed> {
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

    fn counted(&self) -> Result<Counts, Failed> {
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

impl Reader for SqliteReader {
    fn head(&self) -> Result<Position, StoreError> {
        Ok(Position(head(&self.connection)?))
    }

    fn scan(&self, after: Position, limit: usize) -> Result<Vec<Record>, StoreError> {
        Ok(self.records(after, limit)?)
    }

    fn changes(&self, after: Position, until: Position) -> Result<Vec<(Position, Entry)>, StoreError> {
        Ok(self.changed(after, until)?)
    }

    fn folded_state(&self) -> Result<FoldedState, StoreError> {
        Ok(self.state()?)
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.bytes(digest)?)
    }

    fn prediction(
        &self,
        tenant: &str,
        model: &str,
        id: &str,
    ) -> Result<Option<(Prediction, Option<Outcome>)>, StoreError> {
        Ok(self.row(tenant, model, id)?)
    }

    fn findings(&self, listing: &Listing) -> Result<Vec<Finding>, StoreError> {
        Ok(self.listed("finding", listing)?)
    }

    fn decisions(&self, listing: &Listing) -> Result<Vec<DecisionRecord>, StoreError> {
        Ok(self.listed("decision", listing)?)
    }

    fn folded(&self, after: Position, until: Position) -> Result<Folded, StoreError> {
        Ok(Folded {
            findings: self.between("finding", after, until)?,
            decisions: self.between("decision", after, until)?,
            effects: self.between("effect", after, until)?,
        })
    }

    fn decided(&self, after: Position, until: Position) -> Result<Vec<DecisionRecord>, StoreError> {
        Ok(self.between("decision", after, until)?)
    }

    fn decision(&self, id: &str) -> Result<Option<DecisionRecord>, StoreError> {
        Ok(self.bodies("decision", "SELECT body, position FROM decision WHERE id = ?", [id])?.pop())
    }

    fn effects(&self, pending_only: bool, limit: u32) -> Result<Vec<StoredEffect>, StoreError> {
        Ok(self.stored_effects(pending_only, limit)?)
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        Ok(self.counted()?)
    }
}
