//! A reader of the 64 logs. Any number work beside the writer; none holds a transaction for longer than one question.

use std::{cell::RefCell, collections::BTreeMap, path::Path};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row as SqlRow, params};
use trimtab_log::{
    Checkpoint, Entry, Kind, Listing, LogError, Outputs, Part, Reader, Record, Row, Scanned, Scope,
    ShardState, StoredDecision, StoredEffect, StoredMoment, Stretch,
};
use trimtab_types::{Counts, Digest, DueRow, ModelKey, Place, Position, Shard, Timestamp};

use crate::{
    Result, codec,
    connection::{FILE, connect, refuse_earlier},
    damaged,
    keys::{self, RowKey},
    lists::{Wanted, counts, waiting_count},
    names::{DatabaseNames, NameCache},
    records::{self, Log},
    schema::{SCHEMA, table},
    writer::heads,
};

/// Positions that one scan looks at, at most: so that no read lasts longer than a second.
const RANGE: u64 = 1_000_000;
/// Texts of control entries that a reader keeps.
const TEXTS: usize = 256;

/// A reader.
pub struct LogsReader {
    pub(crate) connection: Connection,
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
            return Err(LogError::Missing(directory.into()).into());
        }
        let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.pragma_update(None, "query_only", true)?;
        SCHEMA.check(&connection, &path)?;
        Ok(Self { connection, names: RefCell::default(), control: RefCell::default() })
    }

    /// Whether a data directory has a database.
    pub fn exists(directory: &Path) -> bool {
        directory.join(FILE).exists()
    }

    pub(crate) fn names(&self) -> DatabaseNames<'_> {
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

    fn models_of(&self, shard: Shard) -> Result<Vec<ModelKey>> {
        let mut statement = self
            .connection
            .prepare_cached("SELECT tenant, model FROM model WHERE shard = ? ORDER BY tenant, model")?;
        let models = statement
            .query_map([shard.number()], |row| Ok(ModelKey { tenant: row.get(0)?, model: row.get(1)? }))?;
        Ok(models.collect::<rusqlite::Result<_>>()?)
    }

    fn newest_of(&self, shard: Shard, after: Position) -> Result<Option<Timestamp>> {
        if !self.is_awake(shard)? {
            return Ok(None);
        }
        let sql = format!("SELECT max(time) FROM {} WHERE position > ?", table(shard));
        let newest: Option<i64> =
            self.connection.prepare_cached(&sql)?.query_row([after.0], |row| row.get(0))?;
        Ok(newest.and_then(Timestamp::from_millis))
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
            Scope::All | Scope::Changes | Scope::Events => None,
        };
        // The condition of the index stands in the text, or SQLite would not use it.
        let wanted = match scope {
            Scope::All => "",
            Scope::Changes => "AND kind >= 5 AND kind >= 6",
            Scope::Events => "AND kind >= 5",
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
            Scope::All | Scope::Changes | Scope::Events => statement.query(params![after.0, until, most])?,
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

    pub(crate) fn model(&self, tenant: &str, model: &str) -> Result<Option<u32>> {
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
}

impl Reader for LogsReader {
    fn shards(&self) -> std::result::Result<Vec<ShardState>, LogError> {
        Ok(self.states()?)
    }

    fn models(&self, shard: Shard) -> std::result::Result<Vec<ModelKey>, LogError> {
        Ok(self.models_of(shard)?)
    }

    fn newest(&self, shard: Shard, after: Position) -> std::result::Result<Option<Timestamp>, LogError> {
        Ok(self.newest_of(shard, after)?)
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

    fn due(
        &self,
        model: &ModelKey,
        after: (Timestamp, Position),
        until: Timestamp,
        as_of: Position,
        limit: usize,
    ) -> std::result::Result<Vec<DueRow>, LogError> {
        Ok(self.due_rows(model, after, until, as_of, limit)?)
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

    fn lived(
        &self,
        shard: Shard,
        after: Position,
        until: Position,
    ) -> std::result::Result<Vec<StoredMoment>, LogError> {
        let moments = self.moments_where(&Wanted::within(shard, after, until))?;
        Ok(moments.into_iter().map(|(_, moment)| moment).collect())
    }

    fn decided(
        &self,
        shard: Shard,
        after: Position,
        until: Position,
    ) -> std::result::Result<Vec<StoredDecision>, LogError> {
        Ok(self.decisions_where(&Wanted::within(shard, after, until))?)
    }

    fn effected(
        &self,
        shard: Shard,
        after: Position,
        until: Position,
    ) -> std::result::Result<Vec<StoredEffect>, LogError> {
        Ok(self.effects_where(&Wanted::within(shard, after, until))?)
    }

    fn decisions_since(&self, seq: u64, limit: usize) -> std::result::Result<Vec<StoredDecision>, LogError> {
        Ok(self.decisions_where(&Wanted::after(seq, limit))?)
    }

    fn moments(&self, listing: &Listing) -> std::result::Result<Vec<(Shard, StoredMoment)>, LogError> {
        Ok(match Wanted::listed(&self.connection, listing, "AND changes > 0")? {
            Some(wanted) => self.moments_where(&wanted)?,
            None => Vec::new(),
        })
    }

    fn decisions(&self, listing: &Listing) -> std::result::Result<Vec<StoredDecision>, LogError> {
        Ok(match Wanted::listed(&self.connection, listing, "")? {
            Some(wanted) => self.decisions_where(&wanted)?,
            None => Vec::new(),
        })
    }

    fn decision(&self, id: &str) -> std::result::Result<Option<StoredDecision>, LogError> {
        Ok(self.decisions_where(&Wanted::named(id))?.pop())
    }

    fn effects(&self, listing: &Listing) -> std::result::Result<Vec<StoredEffect>, LogError> {
        Ok(match Wanted::listed(&self.connection, listing, "")? {
            Some(wanted) => self.effects_where(&wanted)?,
            None => Vec::new(),
        })
    }

    fn waiting(&self, sink: &str, limit: u32) -> std::result::Result<Vec<StoredEffect>, LogError> {
        Ok(self.effects_where(&Wanted::waiting(sink, limit))?)
    }

    fn waiting_count(&self) -> std::result::Result<BTreeMap<String, u64>, LogError> {
        Ok(waiting_count(&self.connection)?)
    }

    fn counts(&self) -> std::result::Result<Counts, LogError> {
        Ok(counts(&self.connection)?)
    }

    fn stretches(&self, shard: Shard) -> std::result::Result<Vec<Stretch>, LogError> {
        Ok(self.stretches_of(shard)?)
    }

    fn checkpoints(&self, shard: Shard) -> std::result::Result<Vec<Checkpoint>, LogError> {
        Ok(self.checkpoints_of(shard)?)
    }

    fn parts(&self, shard: Shard, position: Position) -> std::result::Result<Option<Vec<Part>>, LogError> {
        Ok(self.parts_at(shard, position)?)
    }
}
