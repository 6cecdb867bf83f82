//! Rows of the log tables, as they are read back: by the writer, which compares and hands over, and by readers.

use std::sync::LazyLock;

use rusqlite::{Connection, OptionalExtension, params};
use trimtab_log::{Entry, Kind, Routed};
use trimtab_types::{Outcome, Position, Prediction, Resolution, Shard};

use crate::{Result, codec, damaged, failed::Failed, names::DatabaseNames, schema::table};

/// Statements of one shard's table that are used for each row.
pub(crate) struct Sql {
    pub(crate) insert: String,
    at: String,
}

static STATEMENTS: LazyLock<Vec<Sql>> = LazyLock::new(|| {
    let of = |shard| {
        let log = table(shard);
        Sql {
            insert: format!(
                "INSERT INTO {log} (position, kind, model, time, link, body) VALUES (?, ?, ?, ?, ?, ?)"
            ),
            at: format!("SELECT model, time, body FROM {log} WHERE position = ?"),
        }
    };
    Shard::all().map(of).collect()
});

pub(crate) fn sql(shard: Shard) -> &'static Sql {
    &STATEMENTS[shard.index()]
}

/// Where a row is looked for.
#[derive(Clone, Copy)]
pub(crate) struct Log<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) names: &'a DatabaseNames<'a>,
    pub(crate) shard: Shard,
}

impl Log<'_> {
    /// Gives model, time and body of a row to `take`.
    fn at<T>(
        &self,
        what: &'static str,
        position: u64,
        take: impl FnOnce(u32, Option<i64>, &[u8]) -> std::result::Result<T, String>,
    ) -> Result<T> {
        let mut statement = self.connection.prepare_cached(&sql(self.shard).at)?;
        let mut rows = statement.query([position])?;
        let row = rows.next()?.ok_or_else(|| damaged(what, self.shard, position, "it is missing"))?;
        let body = row.get_ref(2)?.as_blob().unwrap_or_default();
        let model: Option<u32> = row.get(0)?;
        take(model.unwrap_or_default(), row.get(1)?, body)
            .map_err(|problem| damaged(what, self.shard, position, problem))
    }

    /// Whether the row at `position` has exactly this time and body.
    pub(crate) fn is_same(&self, position: u64, time: i64, body: &[u8]) -> Result<bool> {
        self.at("row", position, |_, stored, bytes| Ok(stored == Some(time) && bytes == body))
    }

    pub(crate) fn prediction(&self, position: u64) -> Result<(Prediction, Routed)> {
        self.at("prediction", position, |_, time, body| codec::decode_prediction(body, time, self.names))
    }

    pub(crate) fn outcome(&self, position: u64) -> Result<Outcome> {
        self.at("outcome", position, |model, time, body| codec::decode_outcome(body, time, model, self.names))
    }

    /// The other half of a prediction whose outcome is at `outcome`.
    pub(crate) fn resolved_by(&self, outcome: u64) -> Result<Resolution> {
        Ok(Resolution::By(Box::new(self.outcome(outcome)?)))
    }

    /// The other half of an outcome: its prediction, and what counted until now.
    pub(crate) fn resolves(&self, prediction: u64, previous: Option<u64>) -> Result<Resolution> {
        Ok(Resolution::Of {
            position: Position(prediction),
            prediction: Box::new(self.prediction(prediction)?.0),
            previous: previous.map(|at| self.outcome(at)).transpose()?.map(Box::new),
        })
    }

    /// The outcome that counted before the correction at `position`.
    pub(crate) fn counted_before(&self, model: u32, id: &str, position: u64) -> Result<Option<u64>> {
        let before = self
            .connection
            .prepare_cached(
                "SELECT position FROM revision WHERE model = ? AND id = ? AND position < ?
                 ORDER BY position DESC LIMIT 1",
            )?
            .query_row(params![model, id, position], |row| row.get(0))
            .optional()?;
        Ok(before)
    }
}

/// An entry that is stored as text, of a log or of `control`.
pub(crate) fn text(kind: Kind, body: &[u8]) -> std::result::Result<Entry, String> {
    codec::decode_text(body, kind)
}

/// Control entries with numbers after `after`, in order.
pub(crate) fn control(connection: &Connection, after: u64, limit: usize) -> Result<Vec<(u64, Entry)>> {
    let mut statement =
        connection.prepare_cached("SELECT id, kind, body FROM control WHERE id > ? ORDER BY id LIMIT ?")?;
    let mut rows = statement.query(params![after, i64::try_from(limit).unwrap_or(i64::MAX)])?;
    let mut entries = Vec::new();
    while let Some(row) = rows.next()? {
        let (id, kind): (u64, u8) = (row.get(0)?, row.get(1)?);
        let body = row.get_ref(2)?.as_str().unwrap_or_default().as_bytes();
        entries.push((id, control_entry(id, kind, body)?));
    }
    Ok(entries)
}

/// One control entry by its number.
pub(crate) fn control_at(connection: &Connection, id: u64) -> Result<Entry> {
    let mut statement = connection.prepare_cached("SELECT kind, body FROM control WHERE id = ?")?;
    let mut rows = statement.query([id])?;
    let row = rows.next()?.ok_or_else(|| unreadable_control(id, "it is missing".to_owned()))?;
    control_entry(id, row.get(0)?, row.get_ref(1)?.as_str().unwrap_or_default().as_bytes())
}

fn control_entry(id: u64, kind: u8, body: &[u8]) -> Result<Entry> {
    let kind = Kind::from_number(kind).ok_or_else(|| unreadable_control(id, format!("kind {kind}")))?;
    text(kind, body).map_err(|problem| unreadable_control(id, problem))
}

fn unreadable_control(id: u64, problem: String) -> Failed {
    trimtab_log::LogError::Damaged { what: "control entry", position: id, problem }.into()
}
