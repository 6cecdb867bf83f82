//! Why something in this crate failed: what SQLite says, in the words of the ports.

use rusqlite::ErrorCode;
use trimtab_files::FilesError;
use trimtab_log::LogError;
use trimtab_types::HasKind as _;

/// An error on its way out of this crate, so that `?` takes SQLite's errors and those of the ports.
#[derive(Debug)]
pub(crate) struct Failed(pub(crate) LogError);

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self(match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => LogError::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                LogError::Corrupt(error.to_string())
            }
            _ => LogError::Sqlite(error.to_string()),
        })
    }
}

impl From<LogError> for Failed {
    fn from(error: LogError) -> Self {
        Self(error)
    }
}

impl From<Failed> for LogError {
    fn from(failed: Failed) -> Self {
        failed.0
    }
}

/// What is wrong with a file, in the words of the ports.
pub(crate) fn files(error: FilesError) -> LogError {
    match error {
        FilesError::Io { action, path, source } => LogError::Directory { action, path, source },
        other => LogError::Files { kind: other.kind(), problem: other.to_string() },
    }
}
