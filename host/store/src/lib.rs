//! The earlier path of what is now in `trimtab-log` and `trimtab-sqlite`. It goes with its last user.

#![forbid(unsafe_code)]

pub use trimtab_log::{
    Appended, Batch, Counts, Effect, FoldCommit, Folded, FoldedState, GroupWriter, Listing, LogRecord,
    Reader, Resolution, StateChange, StoreError, StoredEffect, Transaction, Writer, first_difference,
};
pub use trimtab_sqlite::{DirectoryLock, SCHEMA_VERSION, SqliteReader, SqliteWriter};
