//! What writer and reader of an SQLite store share: the connection, and bodies of rows.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Serialize, de::DeserializeOwned};
use trimtab_log::StoreError;
use trimtab_types::{Outcome, Position, Prediction};

use crate::{codec, failed::Failed, names::DatabaseNames, schema};

/// The database's file inside a data directory.
pub(crate) const FILE: &str = "trimtab.db";
const STATEMENTS: usize = 64;

pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Failed> {
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(error, path))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.pragma_update(None, "cache_size", -64_000).map_err(|error| schema::unreadable(error, path))?;
    Ok(connection)
}

fn cannot_open(error: rusqlite::Error, path: &Path) -> Failed {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            let source = std::io::Error::other(error.to_string());
            StoreError::Directory { action: "open", path: path.into(), source }.into()
        }
        _ => error.into(),
    }
}

pub(crate) fn head(connection: &Connection) -> Result<u64, Failed> {
    Ok(connection.query_row("SELECT coalesce(max(position), 0) FROM log", [], |row| row.get(0))?)
}

pub(crate) fn read_prediction(
    connection: &Connection,
    names: &DatabaseNames<'_>,
    position: u64,
) -> Result<Prediction, Failed> {
    read_body(connection, "prediction", position, |body| codec::decode_prediction(body, names))
}

pub(crate) fn read_outcome(
    connection: &Connection,
    names: &DatabaseNames<'_>,
    position: u64,
) -> Result<Outcome, Failed> {
    read_body(connection, "outcome", position, |body| codec::decode_outcome(body, names))
}

fn read_body<T>(
    connection: &Connection,
    what: &'static str,
    position: u64,
    decode: impl FnOnce(&[u8]) -> Result<T, String>,
) -> Result<T, Failed> {
    let mut statement = connection.prepare_cached("SELECT body FROM log WHERE position = ?")?;
    let mut rows = statement.query([position])?;
    let row = rows.next()?.ok_or_else(|| damaged(what, position, "it is missing".to_owned()))?;
    decode(row.get_ref(0)?.as_blob().unwrap_or_default()).map_err(|problem| damaged(what, position, problem))
}

pub(crate) fn damaged(what: &'static str, position: u64, problem: String) -> Failed {
    StoreError::Damaged { what, position, problem }.into()
}

pub(crate) fn json<T: Serialize>(
    value: &T,
    what: &'static str,
    position: Position,
) -> Result<String, Failed> {
    serde_json::to_string(value).map_err(|error| damaged(what, position.0, error.to_string()))
}

pub(crate) fn from_json<T: DeserializeOwned>(
    text: &str,
    what: &'static str,
    position: u64,
) -> Result<T, Failed> {
    serde_json::from_str(text).map_err(|error| damaged(what, position, error.to_string()))
}
