//! The one writer of the 64 logs: transactions, their parts, and what of its memory is taken back with them.

use std::{cell::RefCell, path::Path};

use rusqlite::{Connection, OpenFlags};
use trimtab_log::{
    Appended, Attempt, Batch, Checkpoint, Claim, FoldCommit, Kind, Lease, LogError, Part, Transaction, Writer,
};
use trimtab_types::{Counts, Shard};

use crate::{
    Result, codec,
    connection::{FILE, close_to_others, connect, refuse_earlier},
    damaged,
    due::Horizons,
    failed::Failed,
    keys::{Keys, RowKey},
    lists::counts,
    names::{DatabaseNames, NameCache},
    numbers::Numbers,
    records::Log,
    schema::{SCHEMA, table},
};

/// Pages of the write-ahead log before it is copied back: 64 MB. A page that many groups touch is copied once.
const WAL_PAGES: u32 = 16_384;

/// Newest position by shard; `None`: it sleeps.
pub(crate) type Heads = [Option<u64>; Shard::COUNT];

/// The one writer of the 64 logs.
pub struct LogsWriter {
    pub(crate) connection: Connection,
    pub(crate) numbers: Numbers,
    pub(crate) keys: Keys,
    pub(crate) heads: Heads,
    pub(crate) horizons: Horizons,
    /// The newest number of recording.
    pub(crate) seq: u64,
    /// How much there is.
    pub(crate) counts: Counts,
    /// Names by number, for rows that are read back.
    pub(crate) names: RefCell<NameCache>,
    /// Where rows are encoded.
    pub(crate) buffer: Vec<u8>,
}

/// Where the writer's memory stands, so that it can be taken back to here.
struct Mark {
    heads: Heads,
    seq: u64,
    counts: Counts,
    keys: usize,
    numbers: usize,
}

impl LogsWriter {
    /// Opens the database of a data directory, creating or migrating it where needed.
    pub fn open(directory: &Path) -> std::result::Result<Self, LogError> {
        Ok(Self::opened(directory)?)
    }

    fn opened(directory: &Path) -> Result<Self> {
        refuse_earlier(directory)?;
        close_to_others(directory)?;
        let path = directory.join(FILE);
        let mut connection = connect(&path, OpenFlags::default())?;
        SCHEMA.check_before_writing(&connection, &path)?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES)?;
        SCHEMA.migrate(&mut connection, &path)?;
        let seq = connection.query_row(
            "SELECT max(coalesce((SELECT max(seq) FROM moment), 0), coalesce((SELECT max(seq) FROM decision), 0),
                        coalesce((SELECT max(seq) FROM effect), 0))",
            [],
            |row| row.get(0),
        )?;
        let mut writer = Self {
            heads: heads(&connection)?,
            counts: counts(&connection)?,
            connection,
            numbers: Numbers::default(),
            keys: Keys::default(),
            horizons: Horizons::default(),
            seq,
            names: RefCell::default(),
            buffer: Vec::new(),
        };
        writer.read_keys_again()?;
        Ok(writer)
    }

    /// Ids that were in memory when the last writer ended are read from the end of each log.
    fn read_keys_again(&mut self) -> Result<()> {
        for shard in Shard::all().filter(|shard| self.heads[shard.index()].is_some()) {
            let keyed: u64 = self.connection.query_row(
                "SELECT keyed FROM shard WHERE shard = ?",
                [shard.number()],
                |row| row.get(0),
            )?;
            let sql = format!(
                "SELECT position, kind, model, body FROM {} WHERE position > ? AND kind <= 3 ORDER BY position",
                table(shard)
            );
            let mut statement = self.connection.prepare(&sql)?;
            let mut rows = statement.query([keyed])?;
            while let Some(row) = rows.next()? {
                let (position, model): (u64, u32) = (row.get(0)?, row.get(2)?);
                let kind = Kind::from_number(row.get(1)?).unwrap_or(Kind::Outcome);
                let body = row.get_ref(3)?.as_blob().unwrap_or_default();
                let id = codec::id(kind, body).map_err(|problem| damaged("row", shard, position, problem))?;
                let known = self.keys.find(&self.connection, model, id)?;
                let key = match kind {
                    Kind::Prediction => RowKey { prediction: Some(position), ..known },
                    _ => RowKey { outcome: Some(position), ..known },
                };
                self.keys.hold(model, id, key);
            }
        }
        self.keys.settle();
        Ok(())
    }

    fn mark(&self) -> Mark {
        Mark {
            heads: self.heads,
            seq: self.seq,
            counts: self.counts,
            keys: self.keys.mark(),
            numbers: self.numbers.mark(),
        }
    }

    fn undo_to(&mut self, mark: &Mark) {
        (self.heads, self.seq, self.counts) = (mark.heads, mark.seq, mark.counts);
        self.keys.undo_to(mark.keys);
        self.horizons.forget();
        if self.numbers.undo_to(mark.numbers) {
            // Their numbers may be given to others.
            self.names = RefCell::default();
        }
    }

    /// Commits, with the keys if too many are held.
    fn finish(&mut self, before: Counts) -> Result<()> {
        if self.counts != before {
            self.write_counts()?;
        }
        let writes_keys = self.keys.is_full();
        if writes_keys {
            self.write_keys()?;
        }
        self.connection.execute_batch("COMMIT")?;
        if writes_keys {
            self.keys.clear();
        }
        self.keys.settle();
        self.numbers.settle();
        Ok(())
    }

    fn write_keys(&self) -> Result<()> {
        self.keys.write(&self.connection)?;
        for shard in Shard::all() {
            if let Some(head) = self.heads[shard.index()] {
                self.connection
                    .prepare_cached("UPDATE shard SET keyed = ? WHERE shard = ?")?
                    .execute((head, shard.number()))?;
            }
        }
        Ok(())
    }

    /// Calls `read` with one shard's log.
    pub(crate) fn reading<T>(&self, shard: Shard, read: impl FnOnce(Log<'_>) -> Result<T>) -> Result<T> {
        let names = DatabaseNames::cached_in(&self.connection, &self.names);
        read(Log { connection: &self.connection, names: &names, shard })
    }
}

/// The newest position of each shard that is awake.
pub(crate) fn heads(connection: &Connection) -> Result<Heads> {
    let mut heads: Heads = [None; Shard::COUNT];
    let mut statement = connection.prepare_cached("SELECT shard FROM shard WHERE awake = 1")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let number: u8 = row.get(0)?;
        if let Some(shard) = Shard::from_number(number) {
            let sql = format!("SELECT coalesce(max(position), 0) FROM {}", table(shard));
            let head = connection.prepare_cached(&sql)?.query_row([], |row| row.get(0))?;
            heads[shard.index()] = Some(head);
        }
    }
    Ok(heads)
}

impl Writer for LogsWriter {
    fn transaction(
        &mut self,
        work: &mut dyn FnMut(&mut dyn Transaction),
    ) -> std::result::Result<(), LogError> {
        self.connection.execute_batch("BEGIN IMMEDIATE").map_err(Failed::from)?;
        let mark = self.mark();
        let mut open = Open { writer: self, lost: None };
        work(&mut open);
        let committed = match open.lost {
            Some(error) => Err(error),
            None => self.finish(mark.counts).map_err(LogError::from),
        };
        if committed.is_err() {
            // What SQLite itself has rolled back already answers this with an error that says nothing new.
            self.connection.execute_batch("ROLLBACK").ok();
            self.undo_to(&mark);
        }
        committed
    }
}

/// A transaction that is under way.
struct Open<'a> {
    writer: &'a mut LogsWriter,
    /// Why the whole of it is lost: SQLite rolls back by itself when the disk is full or fails.
    lost: Option<LogError>,
}

impl Open<'_> {
    /// Runs `work` so that it is kept whole or undone whole.
    fn whole<T>(
        &mut self,
        work: impl FnOnce(&mut LogsWriter) -> Result<T>,
    ) -> std::result::Result<T, LogError> {
        match &self.lost {
            Some(error) => Err(error.repeated()),
            None => Ok(self.part(work)?),
        }
    }

    fn part<T>(&mut self, work: impl FnOnce(&mut LogsWriter) -> Result<T>) -> Result<T> {
        let mark = self.writer.mark();
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
            self.writer.undo_to(&mark);
        }
        result
    }
}

impl Transaction for Open<'_> {
    fn append(&mut self, batch: &Batch) -> std::result::Result<Vec<Appended>, LogError> {
        self.whole(|writer| writer.append_batch(batch))
    }

    fn claim(&mut self, claim: &Claim) -> std::result::Result<Vec<Lease>, LogError> {
        self.whole(|writer| writer.claim_shards(claim))
    }

    fn commit(&mut self, commit: &FoldCommit) -> std::result::Result<(), LogError> {
        self.whole(|writer| writer.write_step(commit))
    }

    fn attempt(&mut self, attempt: &Attempt) -> std::result::Result<(), LogError> {
        self.whole(|writer| writer.write_attempt(attempt))
    }

    fn parts(&mut self, parts: &[Part]) -> std::result::Result<(), LogError> {
        self.whole(|writer| writer.write_parts(parts))
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> std::result::Result<(), LogError> {
        self.whole(|writer| writer.write_checkpoint(checkpoint))
    }
}
