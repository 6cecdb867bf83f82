//! Why something in this crate failed: what SQLite says, in the words of the ports.

use rusqlite::ErrorCode;
use trimtab_log::{StoreError, shards::LogError};

/// An error on its way out of this crate, so that `?` takes SQLite's errors and those of the ports.
#[derive(Debug)]
pub(crate) struct Failed<E = StoreError>(pub(crate) E);

impl<E: From<StoreError>> From<rusqlite::Error> for Failed<E> {
    fn from(error: rusqlite::Error) -> Self {
        let told = match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Sqlite(error.to_string()),
        };
        Self(told.into())
    }
}

impl<E: From<StoreError>> From<StoreError> for Failed<E> {
    fn from(error: StoreError) -> Self {
        Self(error.into())
    }
}

impl From<LogError> for Failed<LogError> {
    fn from(error: LogError) -> Self {
        Self(error)
    }
}

impl From<Failed> for Failed<LogError> {
    fn from(failed: Failed) -> Self {
        failed.0.into()
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        failed.0
    }
}

impl From<Failed<LogError>> for LogError {
    fn from(failed: Failed<LogError>) -> Self {
        failed.0
    }
}
