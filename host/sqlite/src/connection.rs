//! Connections to the database of a data directory.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, OpenFlags};
use trimtab_files::Directory;
use trimtab_log::LogError;

use crate::{
    Result,
    failed::{Failed, files},
    migrations,
};

/// The database's file inside a data directory.
pub(crate) const FILE: &str = "logs.db";
/// The file of the format before this one.
const EARLIER: &str = "trimtab.db";
/// Statements that are kept prepared: a few for each shard, and those of the other tables.
const STATEMENTS: usize = 256;

/// What SQLite puts beside a database. It gives these the mode that the database has.
const BESIDE: [&str; 3] = ["-wal", "-shm", "-journal"];

/// Makes a database's file if it is not there, and closes it to other users; one of another user's is refused.
pub(crate) fn close_to_others(directory: &Path) -> Result<()> {
    let directory = Directory::named(directory).map_err(files)?;
    directory.private_file(FILE).map_err(files)?;
    for beside in BESIDE {
        directory.private_if_there(&format!("{FILE}{beside}")).map_err(files)?;
    }
    Ok(())
}

pub(crate) fn connect(path: &Path, flags: OpenFlags) -> Result<Connection> {
    let connection = Connection::open_with_flags(path, flags).map_err(|error| cannot_open(error, path))?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    connection.busy_timeout(Duration::from_secs(10))?;
    connection
        .pragma_update(None, "cache_size", -64_000)
        .map_err(|error| migrations::unreadable(error, path))?;
    Ok(connection)
}

fn cannot_open(error: rusqlite::Error, path: &Path) -> Failed {
    match error.sqlite_error_code() {
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly) => {
            let source = std::io::Error::other(error.to_string());
            LogError::Directory { action: "open", path: path.into(), source }.into()
        }
        _ => error.into(),
    }
}

/// Refuses a directory of the format before this one.
pub(crate) fn refuse_earlier(directory: &Path) -> Result<()> {
    let earlier = directory.join(EARLIER);
    if earlier.exists() { Err(LogError::Earlier(earlier).into()) } else { Ok(()) }
}
