//! A reader of the 64 logs. Any number work beside the writer; none holds a transaction for longer than one question.

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row as SqlRow, params};
use trimtab_log::{
    StoreError,
    shards::{
        About, Decision, Effect, EffectState, Entry, Kind, LogError, Moment, Outputs, Reader, Record, Row,
        Scanned, Scope, ShardState, StoredDecision, StoredEffect, StoredMoment,
    },
};
use trimtab_types::{Digest, Mode, Place, PolicyRef, Position, Severity, Shard, Timestamp};

use super::{
    FILE, Result, codec, damaged,
    keys::{self, RowKey},
    records::{self, Log},
    refuse_earlier,
    schema::{SCHEMA, table},
    writer::{STATEMENTS, heads},
};
use crate::{
    bodies::connect,
    codec::Names,
    names::{DatabaseNames, NameCache},
};

/// Positions that one scan looks at, at most: so that no read lasts longer than a second.
const RANGE: u64 = 1_000_000;
/// Texts of control entries that a reader keeps.
const TEXTS: usize = 256;

/// A reader.
pub struct LogsReader {
    connection: Connection,
    names: RefCell<NameCache>,
    control: RefCell<BTreeMap<u64, Entry>>,
}

impl LogsReader {
    /// Opens the database of a data directory for reading.
    pub fn open(directory: &Path) -> std::result::Result<Self, LogError> {
        Ok(Self::opened(directory)?)
    }

    fn opened(directory: &Path) -> Result<Self> {
        refuse_earlier(directory)?;
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(StoreError::Missing(directory.into()).into());
        }
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.pragma_update(None, "query_only", true)?;
        SCHEMA.check(&connection, &path)?;
        Ok(Self { connection, names: RefCell::default(), control: RefCell::default() })
    }

    /// Whether a data directory has a database.
    pub fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    fn names(&self) -> DatabaseNames<'_> {
        DatabaseNames::cached_in(&self.connection, &self.names)
    }

    fn states(&self) -> Result<Vec<ShardState>> {
        let _moment = self.connection.unchecked_transaction()?;
        let heads = heads(&self.connection)?;
        let mut statement = self
            .connection
            .prepare_cached("SELECT shard, cursor, epoch, owner, lease_until FROM shard ORDER BY shard")?;
        let mut rows = statement.query([])?;
        let mut states = Vec::new();
        while let Some(row) = rows.next()? {
            let Some(shard) = Shard::from_number(row.get(0)?) else {
                continue;
            };
            states.push(ShardState {
                shard,
                head: Position(heads[shard.index()].unwrap_or_default()),
                cursor: Position(row.get(1)?),
                epoch: row.get(2)?,
                owner: row.get(3)?,
                until: Timestamp::from_millis(row.get(4)?).unwrap_or_default(),
            });
        }
        Ok(states)
    }

    fn is_awake(&self, shard: Shard) -> Result<bool> {
        let awake = self
            .connection
            .prepare_cached("SELECT awake FROM shard WHERE shard = ?")?
            .query_row([shard.number()], |row| row.get(0))
            .optional()?;
        Ok(awake.unwrap_or(false))
    }

    fn scanned(
        &self,
        shard: Shard,
        scope: &Scope,
        after: Position,
        until: Position,
        limit: usize,
    ) -> Result<Scanned> {
        let _moment = self.connection.unchecked_transaction()?;
        if !self.is_awake(shard)? {
            return Ok(Scanned { records: Vec::new(), upto: after });
        }
        let log = table(shard);
        let head: u64 = self
            .connection
            .prepare_cached(&format!("SELECT coalesce(max(position), 0) FROM {log}"))?
            .query_row([], |row| row.get(0))?;
        let until = until.0.min(head).min(after.0.saturating_add(RANGE));
        let model = match scope {
            Scope::Model(tenant, model) => self.model(tenant, model)?,
            Scope::All | Scope::Changes => None,
        };
        // The number of the kind stands in the text, or SQLite would not use the index of just these kinds.
        let wanted = match scope {
            Scope::All => "",
            Scope::Changes => "AND kind >= 6",
            Scope::Model(..) => "AND (model IS NULL OR model = ?4)",
        };
        let sql = format!(
            "SELECT position, kind, model, time, link, body FROM {log}
             WHERE position > ?1 AND position <= ?2 {wanted} ORDER BY position LIMIT ?3"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = match scope {
            Scope::Model(..) => statement.query(params![after.0, until, most, model.unwrap_or_default()])?,
            Scope::All | Scope::Changes => statement.query(params![after.0, until, most])?,
        };
        let names = self.names();
        let log = Log { connection: &self.connection, names: &names, shard };
        let mut found = Vec::with_capacity(limit.min(4_096));
        while let Some(row) = rows.next()? {
            found.push(self.record(log, row)?);
        }
        let upto = match found.last() {
            Some(last) if found.len() == limit => last.place.position,
            _ => Position(until.max(after.0)),
        };
        Ok(Scanned { records: found, upto })
    }

    fn model(&self, tenant: &str, model: &str) -> Result<Option<u32>> {
        let found = self
            .connection
            .prepare_cached("SELECT id FROM model WHERE tenant = ? AND model = ?")?
            .query_row([tenant, model], |row| row.get(0))
            .optional()?;
        Ok(found)
    }

    fn record(&self, log: Log<'_>, row: &SqlRow<'_>) -> Result<Record> {
        let (position, number): (u64, u8) = (row.get(0)?, row.get(1)?);
        let (time, link): (Option<i64>, Option<u64>) = (row.get(3)?, row.get(4)?);
        let unreadable = |problem: String| damaged("entry", log.shard, position, problem);
        let kind = Kind::from_number(number).ok_or_else(|| unreadable(format!("kind {number}")))?;
        let body = row.get_ref(5)?.as_blob().unwrap_or_default();
        let (entry, resolves) = match kind {
            Kind::Prediction => {
                let (prediction, routed) =
                    codec::decode_prediction(body, time, log.names).map_err(unreadable)?;
                let resolves = link.map(|outcome| log.resolved_by(outcome)).transpose()?;
                (Entry::Prediction(prediction, routed), resolves)
            }
            Kind::Outcome | Kind::Correction => {
                let model = row.get(2)?;
                let outcome = codec::decode_outcome(body, time, model, log.names).map_err(unreadable)?;
                let previous = match kind {
                    Kind::Correction => log.counted_before(model, &outcome.id, position)?,
                    _ => None,
                };
                let resolves = link.map(|prediction| log.resolves(prediction, previous)).transpose()?;
                (Entry::Outcome(outcome), resolves)
            }
            Kind::Tick => {
                let time = codec::timestamp(time).map_err(unreadable)?;
                (trimtab_types::Entry::Tick(time).into(), None)
            }
            kind if kind.is_control() => (self.control_at(link.unwrap_or_default())?, None),
            kind => (records::text(kind, body).map_err(unreadable)?, None),
        };
        let place = Place { shard: log.shard, position: Position(position) };
        Ok(Record { place, entry, resolves })
    }

    fn control_at(&self, id: u64) -> Result<Entry> {
        if let Some(entry) = self.control.borrow().get(&id) {
            return Ok(entry.clone());
        }
        let entry = records::control_at(&self.connection, id)?;
        let mut kept = self.control.borrow_mut();
        if kept.len() >= TEXTS {
            kept.clear();
        }
        kept.insert(id, entry.clone());
        Ok(entry)
    }

    /// Where the rows of an id are. Ids that the writer still holds are looked for at the end of the model's log.
    fn key(&self, shard: Shard, model: u32, id: &str) -> Result<RowKey> {
        let mut key = keys::stored(&self.connection, model, id)?;
        let keyed: u64 = self
            .connection
            .prepare_cached("SELECT keyed FROM shard WHERE shard = ?")?
            .query_row([shard.number()], |row| row.get(0))?;
        let sql = format!(
            "SELECT position, kind, body FROM {} WHERE position > ? AND model = ? AND kind <= 3 ORDER BY position",
            table(shard)
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![keyed, model])?;
        while let Some(row) = rows.next()? {
            let position = row.get(0)?;
            let kind = Kind::from_number(row.get(1)?).unwrap_or(Kind::Outcome);
            let body = row.get_ref(2)?.as_blob().unwrap_or_default();
            if codec::id(kind, body).map_err(|problem| damaged("row", shard, position, problem))? == id {
                match kind {
                    Kind::Prediction => key.prediction = Some(position),
                    _ => key.outcome = Some(position),
                }
            }
        }
        Ok(key)
    }

    fn row(&self, tenant: &str, model: &str, id: &str) -> Result<Option<Row>> {
        let _moment = self.connection.unchecked_transaction()?;
        let shard = Shard::of(tenant, model);
        let Some(number) = self.model(tenant, model)? else {
            return Ok(None);
        };
        if !self.is_awake(shard)? {
            return Ok(None);
        }
        let key = self.key(shard, number, id)?;
        let names = self.names();
        let log = Log { connection: &self.connection, names: &names, shard };
        let Some(position) = key.prediction else {
            return Ok(None);
        };
        let (prediction, routed) = log.prediction(position)?;
        let outcome = key.outcome.map(|position| log.outcome(position)).transpose()?;
        Ok(Some((prediction, routed, outcome)))
    }

    fn bytes(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        Ok(self
            .connection
            .prepare_cached("SELECT bytes FROM content WHERE digest = ?")?
            .query_row([digest.as_bytes()], |row| row.get(0))
            .optional()?)
    }

    fn about(&self, model: u32, subject: Option<u32>) -> std::result::Result<About, String> {
        let names = self.names();
        Ok(match subject {
            Some(subject) => About::Subject((*names.subject(subject)?).clone()),
            None => {
                let (tenant, model) = names.model(model)?;
                About::Model(trimtab_types::ModelKey { tenant, model })
            }
        })
    }

    fn moments(&self, shard: Shard, after: Position, until: Position) -> Result<Vec<StoredMoment>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, position, ordinal, model, subject, kind, at, severity, findings, facts, digest FROM moment
             WHERE shard = ? AND position > ? AND position <= ? ORDER BY position, ordinal",
        )?;
        let mut rows = statement.query(params![shard.number(), after.0, until.0])?;
        let mut moments = Vec::new();
        while let Some(row) = rows.next()? {
            let position: u64 = row.get(1)?;
            let unreadable = |problem| damaged("moment", shard, position, problem);
            let severity: Option<String> = row.get(7)?;
            let severity = severity.and_then(|name| Severity::ALL.into_iter().find(|one| one.name() == name));
            let moment = Moment {
                position: Position(position),
                about: self.about(row.get(3)?, row.get(4)?).map_err(unreadable)?,
                kind: row.get(5)?,
                at: codec::timestamp(Some(row.get(6)?)).map_err(unreadable)?,
                severity,
                findings: row.get(8)?,
                facts: row.get(9)?,
                digest: row.get(10)?,
            };
            moments.push(StoredMoment { seq: row.get(0)?, ordinal: row.get(2)?, moment });
        }
        Ok(moments)
    }

    fn decisions(&self, wanted: &str, parameters: impl rusqlite::Params) -> Result<Vec<StoredDecision>> {
        let sql = format!(
            "SELECT seq, shard, position, ordinal, id, moment, policy, version, mode, did, said, reads, carried, body
             FROM decision WHERE {wanted}"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(parameters)?;
        let mut decisions = Vec::new();
        while let Some(row) = rows.next()? {
            let (shard, position): (u8, u64) = (row.get(1)?, row.get(2)?);
            let shard = Shard::from_number(shard).unwrap_or(Shard::of("", ""));
            let unreadable = |problem: &str| damaged("decision", shard, position, problem);
            let (name, version): (Option<String>, Option<Vec<u8>>) = (row.get(6)?, row.get(7)?);
            let version = version.as_deref().map(|bytes| Digest::from_bytes(bytes).ok_or("its version"));
            let version = version.transpose().map_err(unreadable)?;
            let mode: String = row.get(8)?;
            let mode = [Mode::Enforce, Mode::Shadow, Mode::Off].into_iter().find(|one| one.name() == mode);
            let decision = Decision {
                position: Position(position),
                id: row.get(4)?,
                moment: row.get(5)?,
                policy: name.zip(version).map(|(name, digest)| PolicyRef { name, digest }),
                mode: mode.ok_or_else(|| unreadable("its mode"))?,
                did: row.get(9)?,
                said: row.get(10)?,
                reads: row.get(11)?,
                carried: row.get(12)?,
                body: row.get(13)?,
            };
            decisions.push(StoredDecision { seq: row.get(0)?, shard, ordinal: row.get(3)?, decision });
        }
        Ok(decisions)
    }

    fn effects(&self, shard: Shard, after: Position, until: Position) -> Result<Vec<StoredEffect>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT seq, position, ordinal, key, kind, model, subject, sink, body, state, due, expires,
                    (SELECT count(*) FROM attempt WHERE attempt.effect = effect.seq)
             FROM effect WHERE shard = ? AND position > ? AND position <= ? ORDER BY position, ordinal",
        )?;
        let mut rows = statement.query(params![shard.number(), after.0, until.0])?;
        let mut effects = Vec::new();
        while let Some(row) = rows.next()? {
            let position: u64 = row.get(1)?;
            let unreadable = |problem| damaged("effect", shard, position, problem);
            let state: String = row.get(9)?;
            let expires: Option<i64> = row.get(11)?;
            let effect = Effect {
                position: Position(position),
                key: row.get(3)?,
                kind: row.get(4)?,
                about: self.about(row.get(5)?, row.get(6)?).map_err(unreadable)?,
                sink: row.get(7)?,
                body: row.get(8)?,
                due: codec::timestamp(Some(row.get(10)?)).map_err(unreadable)?,
                expires: expires.map(|time| codec::timestamp(Some(time))).transpose().map_err(unreadable)?,
            };
            let state =
                EffectState::from_name(&state).ok_or_else(|| unreadable(format!("state `{state}`")))?;
            let (seq, ordinal, attempts) = (row.get(0)?, row.get(2)?, row.get(12)?);
            effects.push(StoredEffect { seq, shard, ordinal, state, attempts, effect });
        }
        Ok(effects)
    }

    fn recorded(&self, shard: Shard, after: Position, until: Position) -> Result<Outputs> {
        let _moment = self.connection.unchecked_transaction()?;
        Ok(Outputs {
            moments: self.moments(shard, after, until)?,
            decisions: self.decisions(
                "shard = ? AND position > ? AND position <= ? ORDER BY position, ordinal",
                params![shard.number(), after.0, until.0],
            )?,
            effects: self.effects(shard, after, until)?,
        })
    }
}

impl Reader for LogsReader {
    fn shards(&self) -> std::result::Result<Vec<ShardState>, LogError> {
        Ok(self.states()?)
    }

    fn scan(
        &self,
        shard: Shard,
        scope: &Scope,
        after: Position,
        until: Position,
        limit: usize,
    ) -> std::result::Result<Scanned, LogError> {
        Ok(self.scanned(shard, scope, after, until, limit)?)
    }

    fn content(&self, digest: &Digest) -> std::result::Result<Option<Vec<u8>>, LogError> {
        Ok(self.bytes(digest)?)
    }

    fn prediction(&self, tenant: &str, model: &str, id: &str) -> std::result::Result<Option<Row>, LogError> {
        Ok(self.row(tenant, model, id)?)
    }

    fn control(&self, after: u64, limit: usize) -> std::result::Result<Vec<(u64, Entry)>, LogError> {
        Ok(records::control(&self.connection, after, limit)?)
    }

    fn outputs(
        &self,
        shard: Shard,
        after: Position,
        until: Position,
    ) -> std::result::Result<Outputs, LogError> {
        Ok(self.recorded(shard, after, until)?)
    }

    fn decisions_since(&self, seq: u64, limit: usize) -> std::result::Result<Vec<StoredDecision>, LogError> {
        let most = i64::try_from(limit).unwrap_or(i64::MAX);
        Ok(self.decisions("seq > ? ORDER BY seq LIMIT ?", params![seq, most])?)
    }
}
