//! The log in one SQLite file: write-ahead log, `synchronous=FULL`, one writer, any number of readers.
//!
//! The only crate that knows SQL. What the ports ask for is described in `trimtab-log`.

#![forbid(unsafe_code)]

mod bodies;
mod codec;
mod failed;
mod lock;
mod names;
pub mod next;
mod reader;
mod schema;
mod writer;

pub use lock::DirectoryLock;
pub use reader::SqliteReader;
pub use schema::SCHEMA_VERSION;
pub use writer::SqliteWriter;

#[cfg(test)]
mod tests {
    use std::path::Path;

    use trimtab_log::{Reader, Writer, conformance::Place};

    use super::{SqliteReader, SqliteWriter};

    struct Directory(tempfile::TempDir);

    impl Directory {
        fn make() -> Box<dyn Place> {
            Box::new(Self(tempfile::tempdir().expect("a directory")))
        }
    }

    impl Place for Directory {
        fn writer(&self) -> Box<dyn Writer> {
            Box::new(SqliteWriter::open(self.0.path()).expect("opens"))
        }
        fn reader(&self) -> Box<dyn Reader> {
            Box::new(SqliteReader::open(self.0.path()).expect("opens"))
        }
    }

    trimtab_log::conformance!(Directory::make);

    #[test]
    fn foreign_and_newer_databases_are_left_alone() {
        fn check(prepare: &str, expected: &str) {
            let directory = tempfile::tempdir().expect("a directory");
            let path = directory.path().join("trimtab.db");
            let connection = rusqlite::Connection::open(&path).expect("opens");
            connection.execute_batch(prepare).expect("prepares");
            drop(connection);
            let before = std::fs::metadata(&path).expect("is there").len();
            let error = SqliteWriter::open(directory.path()).err().expect("refused").to_string();
            assert!(error.contains(expected) && error.contains("trimtab.db"), "{prepare}: {error}");
            assert_eq!(std::fs::metadata(&path).expect("is there").len(), before);
        }
        check("CREATE TABLE theirs (x)", "not a Trimtab database");
        check("PRAGMA application_id = 77; CREATE TABLE theirs (x)", "not a Trimtab database");
        check("PRAGMA application_id = 1416778850; PRAGMA user_version = 999", "schema version 999");
        let error = SqliteReader::open(Path::new("/nowhere")).err().expect("refused").to_string();
        assert!(error.contains("trimtab init"), "{error}");
    }
}
