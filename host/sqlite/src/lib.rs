//! The 64 logs in one SQLite file: write-ahead log, `synchronous=FULL`, one writer, any number of readers.
//!
//! The only crate that knows SQL. What the ports ask for is described in `trimtab-log`.

#![forbid(unsafe_code)]

mod append;
mod checkpoints;
mod codec;
mod commit;
mod connection;
mod due;
mod failed;
mod keys;
mod lists;
mod lock;
mod migrations;
mod names;
mod numbers;
mod reader;
mod records;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

pub use lock::DirectoryLock;
pub use reader::LogsReader;
pub use schema::SCHEMA_VERSION;
pub use writer::LogsWriter;

use failed::Failed;
use trimtab_log::LogError;
use trimtab_types::{Place, Position, Shard};

type Result<T> = std::result::Result<T, Failed>;

fn damaged(what: &'static str, shard: Shard, position: u64, problem: impl Into<String>) -> Failed {
    let place = Place { shard, position: Position(position) };
    LogError::Unreadable { what, place, problem: problem.into() }.into()
}
