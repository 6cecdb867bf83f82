//! The 64 logs in one SQLite file: a log table for each shard that is awake, and the tables of what folds leave behind.
//!
//! A database of its own, beside the one of the format with one log, which it does not read.

mod append;
mod codec;
mod commit;
mod keys;
mod names;
mod reader;
mod records;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::LogsReader;
pub use schema::SCHEMA_VERSION;
pub use writer::LogsWriter;

use trimtab_log::shards::LogError;
use trimtab_types::{Place, Position, Shard};

use crate::failed::Failed;

/// The database's file inside a data directory.
const FILE: &str = "logs.db";

type Result<T> = std::result::Result<T, Failed<LogError>>;

fn damaged(what: &'static str, shard: Shard, position: u64, problem: impl Into<String>) -> Failed<LogError> {
    let place = Place { shard, position: Position(position) };
    LogError::Damaged { what, place, problem: problem.into() }.into()
}

/// Refuses a directory of the format before this one.
fn refuse_earlier(directory: &std::path::Path) -> Result<()> {
    let earlier = directory.join(crate::bodies::FILE);
    if earlier.exists() { Err(LogError::Earlier(earlier).into()) } else { Ok(()) }
}
