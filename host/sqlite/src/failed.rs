//! Why something in this crate failed: what SQLite says, in the words of the ports.

use rusqlite::ErrorCode;
use trimtab_log::StoreError;

/// An error on its way out of this crate, so that `?` takes SQLite's errors and those of the ports.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) StoreError);

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self(match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => StoreError::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                StoreError::Corrupt(error.to_string())
            }
            _ => StoreError::Sqlite(error.to_string()),
        })
    }
}

impl From<StoreError> for Failed {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<Failed> for StoreError {
    fn from(failed: Failed) -> Self {
        failed.0
    }
}
