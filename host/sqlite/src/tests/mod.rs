//! The suite of all stores on SQLite, and what only SQLite has: keys in memory, triggers, files of other formats.

mod against_memory;

use std::{path::Path, sync::Arc};

use rusqlite::Connection;
use trimtab_log::{
    Appended, Batch, Build, Entry, FoldCommit, LogError, Reader, Routed, Scope, Transaction, Writer,
    conformance::Home,
};
use trimtab_types::{
    Actual, Features, Outcome, Position, Predicted, Prediction, Shard, Subject, Timestamp, Trade,
};

use crate::{LogsReader, LogsWriter, connection::FILE, keys};

struct Directory(tempfile::TempDir);

impl Directory {
    fn make() -> Box<dyn Home> {
        Box::new(Self(tempfile::tempdir().expect("a directory")))
    }
}

impl Home for Directory {
    fn writer(&self) -> Box<dyn Writer> {
        Box::new(LogsWriter::open(self.0.path()).expect("opens"))
    }
    fn reader(&self) -> Box<dyn Reader> {
        Box::new(LogsReader::open(self.0.path()).expect("opens"))
    }
}

trimtab_log::conformance!(Directory::make);

fn within<T>(writer: &mut LogsWriter, work: impl FnOnce(&mut dyn Transaction) -> T) -> Result<T, LogError> {
    let (mut work, mut result) = (Some(work), None);
    let run = &mut |transaction: &mut dyn Transaction| {
        result = work.take().map(|work| work(transaction));
    };
    writer.transaction(run)?;
    Ok(result.expect("ran"))
}

fn append(writer: &mut LogsWriter, entries: Vec<Entry>) -> Result<Vec<Appended>, LogError> {
    within(writer, |transaction| transaction.append(&Batch::of(entries)))?
}

fn prediction(model: &str, id: &str) -> Entry {
    let prediction = Prediction {
        id: id.into(),
        subject: Arc::new(Subject {
            tenant: "t".into(),
            model: model.into(),
            version: "v1".into(),
            segment: String::new(),
        }),
        time: Timestamp::EPOCH,
        predicted: Predicted::Binary(0.5),
        confidence: None,
        interval: None,
        features: Features::default(),
        trade: Trade::default(),
        served: true,
        horizon: None,
    };
    Entry::Prediction(prediction, Routed::default())
}

fn outcome(model: &str, id: &str) -> Entry {
    Entry::Outcome(Outcome {
        tenant: "t".into(),
        model: model.into(),
        id: id.into(),
        time: Timestamp::EPOCH,
        actual: Some(Actual::Label(1)),
        exit_price: None,
        pnl: None,
        correction: false,
    })
}

/// Sixteen models, ids in an order that is not the table's.
fn rows(from: usize, until: usize) -> Vec<Entry> {
    (from..until).map(|n| prediction(&format!("m{}", n % 16), &format!("{:08x}", scattered(n)))).collect()
}

fn scattered(n: usize) -> u32 {
    u32::try_from(n).expect("small").wrapping_mul(0x9e37_79b1)
}

fn stored_keys(directory: &Path) -> u64 {
    let connection = Connection::open(directory.join(FILE)).expect("opens");
    connection.query_row("SELECT count(*) FROM row_key", [], |row| row.get(0)).expect("counts")
}

#[test]
fn keys_are_held_and_written_once_there_are_too_many() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = LogsWriter::open(directory.path()).expect("opens");
    for from in (0..keys::HELD).step_by(8_192) {
        append(&mut writer, rows(from, from + 8_192)).expect("appends");
    }
    assert_eq!((writer.keys.len(), stored_keys(directory.path())), (keys::HELD, 0));
    // Ids are found where they are held, also by readers.
    let known = append(&mut writer, rows(0, 100)).expect("appends");
    assert!(known.iter().all(|appended| matches!(appended, Appended::Unchanged(_))));
    let reader = LogsReader::open(directory.path()).expect("opens");
    let found = reader.prediction("t", "m3", &format!("{:08x}", scattered(3))).expect("reads");
    assert!(found.is_some());
    // One more, and all are written.
    append(&mut writer, rows(keys::HELD, keys::HELD + 10)).expect("appends");
    assert_eq!((writer.keys.len(), stored_keys(directory.path())), (0, keys::HELD as u64 + 10));
    // Ids are found where they are stored; an outcome makes one held again, with its prediction.
    let mixed = vec![rows(7, 8).remove(0), outcome("m7", &format!("{:08x}", scattered(7)))];
    let written = append(&mut writer, mixed).expect("appends");
    assert!(matches!(written[..], [Appended::Unchanged(_), Appended::New(_)]));
    assert_eq!(writer.keys.len(), 1);
    let found = reader.prediction("t", "m7", &format!("{:08x}", scattered(7))).expect("reads");
    assert!(found.is_some_and(|(_, _, outcome)| outcome.is_some()));
}

#[test]
fn keys_that_a_kill_took_are_read_again_from_the_logs() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = LogsWriter::open(directory.path()).expect("opens");
    append(&mut writer, rows(0, 1_000)).expect("appends");
    let some = (0..50).map(|n| outcome(&format!("m{}", n % 16), &format!("{:08x}", scattered(n)))).collect();
    append(&mut writer, some).expect("appends");
    // Nothing is written on the way out: a writer that is dropped leaves what a killed one leaves.
    drop(writer);
    assert_eq!(stored_keys(directory.path()), 0);
    let mut writer = LogsWriter::open(directory.path()).expect("opens");
    assert_eq!(writer.keys.len(), 1_000);
    let again = append(&mut writer, rows(0, 1_000)).expect("appends");
    assert!(again.iter().all(|appended| matches!(appended, Appended::Unchanged(_))));
    let late = append(&mut writer, vec![outcome("m0", &format!("{:08x}", scattered(0)))]).expect("appends");
    assert!(matches!(late[0], Appended::Unchanged(_)));
}

#[test]
fn a_transaction_that_fails_leaves_memory_as_the_disk_has_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = LogsWriter::open(directory.path()).expect("opens");
    append(&mut writer, rows(0, 100)).expect("appends");
    let held = writer.keys.len();
    let pages: u64 = writer.connection.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("reads");
    writer.connection.pragma_update(None, "max_page_count", pages + 2).expect("sets");
    let new_model = |n: usize| prediction("another", &format!("{n}"));
    let full = within(&mut writer, |transaction| {
        let first = transaction.append(&Batch::of(vec![new_model(0)])).is_ok();
        (first, transaction.append(&Batch::of(rows(100, 5_000))).is_ok())
    });
    assert!(matches!(full, Err(LogError::Full)), "{full:?}");
    assert_eq!(writer.keys.len(), held);
    writer.connection.pragma_update(None, "max_page_count", 1_000_000).expect("sets");
    let written = append(&mut writer, vec![new_model(0)]).expect("appends");
    assert!(matches!(written[..], [Appended::New(_)]), "{written:?}");
    let reader = LogsReader::open(directory.path()).expect("opens");
    for state in reader.shards().expect("reads") {
        let all = reader.scan(state.shard, &Scope::All, Position(0), state.head, 10_000).expect("scans");
        let positions: Vec<u64> = all.records.iter().map(|record| record.place.position.0).collect();
        assert_eq!(positions, (1..=state.head.0).collect::<Vec<_>>(), "no gap, nothing twice");
    }
    drop(writer);
    let writer = LogsWriter::open(directory.path()).expect("opens");
    assert_eq!(writer.keys.len(), held + 1);
}

#[test]
fn a_shard_that_sleeps_has_no_table() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = LogsWriter::open(directory.path()).expect("opens");
    let build = Entry::Build(Build { version: "1".into(), rules: 1, at: Timestamp::EPOCH });
    append(&mut writer, vec![build]).expect("appends");
    let tables = |writer: &LogsWriter| -> Vec<String> {
        let mut statement = writer
            .connection
            .prepare(
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'log\\_%' ESCAPE '\\'",
            )
            .expect("prepares");
        statement.query_map([], |row| row.get(0)).expect("reads").collect::<Result<_, _>>().expect("reads")
    };
    assert_eq!(tables(&writer), Vec::<String>::new());
    append(&mut writer, vec![prediction("m", "a")]).expect("appends");
    // `Shard::of("t", "m")` is 59: see the test of `types`.
    assert_eq!(tables(&writer), ["log_59"]);
    // A refused batch makes none: `Shard::of("t", "other")` is another one.
    let mut changed = prediction("m", "a");
    if let Entry::Prediction(_, routed) = &mut changed {
        routed.key = Some("k".into());
    }
    assert!(append(&mut writer, vec![prediction("other", "a"), changed]).is_err());
    assert_eq!(tables(&writer), ["log_59"]);
}

#[test]
fn nothing_recorded_is_rewritten() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = LogsWriter::open(directory.path()).expect("opens");
    append(&mut writer, vec![prediction("m", "a")]).expect("appends");
    let connection = &writer.connection;
    connection
        .execute_batch(
            "INSERT INTO control VALUES (1, 6, NULL, '{}');
             INSERT INTO moment VALUES (1, 59, 1, 0, 1, NULL, 1, 0, NULL, 1, x'', x'', x'');
             INSERT INTO decision VALUES (2, 59, 1, 0, 'd', 1, NULL, NULL, NULL, NULL, 'off', x'', x'', x'', x'', '');
             INSERT INTO effect VALUES (3, 59, 1, 0, 'k', 'alert', 1, NULL, 's', '', 'waiting', 0, NULL);
             INSERT INTO attempt VALUES (3, 1, 0, 0, '', '');",
        )
        .expect("inserts");
    for table in ["log_59", "control", "moment", "decision", "effect", "attempt"] {
        let delete = connection.execute(&format!("DELETE FROM {table}"), []);
        assert!(delete.expect_err("refused").to_string().contains("append-only"), "{table}");
        let columns: Vec<String> = connection
            .prepare(&format!("SELECT name FROM pragma_table_info('{table}')"))
            .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
            .expect("reads");
        for column in columns.iter().filter(|column| (table, column.as_str()) != ("effect", "state")) {
            let update = connection.execute(&format!("UPDATE {table} SET {column} = {column}"), []);
            assert!(update.is_err(), "{table}.{column}");
        }
    }
    connection.execute("UPDATE effect SET state = 'delivered'", []).expect("a state changes");
}

#[test]
fn other_files_are_left_alone_and_named() {
    fn check(file: &str, prepare: &str, expected: &[&str]) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(file);
        let connection = Connection::open(&path).expect("opens");
        connection.execute_batch(prepare).expect("prepares");
        drop(connection);
        let before = std::fs::metadata(&path).expect("is there").len();
        let writer = LogsWriter::open(directory.path()).err().expect("refused").to_string();
        let reader = LogsReader::open(directory.path()).err().expect("refused").to_string();
        for error in [writer, reader] {
            assert!(error.contains(file) && expected.iter().all(|text| error.contains(text)), "{error}");
        }
        assert_eq!(std::fs::metadata(&path).expect("is there").len(), before);
    }
    check(FILE, "CREATE TABLE theirs (x)", &["not a Trimtab database"]);
    check(FILE, "PRAGMA application_id = 77; CREATE TABLE theirs (x)", &["not a Trimtab database"]);
    // 0x54724c67, this format's own mark.
    check(FILE, "PRAGMA application_id = 1416776807; PRAGMA user_version = 999", &["schema version 999"]);
    // A directory of the format with one log.
    check("trimtab.db", "CREATE TABLE log (x)", &["earlier format", "trimtab init", "import"]);
    let missing = LogsReader::open(Path::new("/nowhere")).err().expect("refused").to_string();
    assert!(missing.contains("trimtab init"), "{missing}");
}

#[test]
fn a_stretch_chains_what_one_build_recorded_under_one_lease() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut writer = LogsWriter::open(directory.path()).expect("opens");
    append(&mut writer, vec![prediction("m", "a"), prediction("m", "b"), prediction("m", "c")])
        .expect("appends");
    let shard = Shard::of("t", "m");
    let mut fold = |build: &str, from: u64, to: u64, again: bool| {
        let claim = trimtab_log::Claim {
            shards: vec![shard],
            owner: "a".into(),
            build: build.into(),
            rules: 1,
            now: Timestamp::EPOCH,
            until: Timestamp::EPOCH,
        };
        let epoch = within(&mut writer, |t| t.claim(&claim)).expect("commits").expect("claims")[0].epoch;
        let middle = if again { to - 1 } else { to };
        for (from, to) in [(from, middle), (middle, to)] {
            let step = FoldCommit::of(shard, epoch, Position(from), Position(to));
            within(&mut writer, |t| t.commit(&step)).expect("commits").expect("is kept");
        }
        let mut statement = writer
            .connection
            .prepare("SELECT build, start, upto, hash FROM stretch ORDER BY epoch DESC LIMIT 1")
            .expect("prepares");
        statement
            .query_row([], |row| {
                Ok((
                    row.get::<_, String>(0)?,
                    row.get::<_, u64>(1)?,
                    row.get::<_, u64>(2)?,
                    row.get::<_, Vec<u8>>(3)?,
                ))
            })
            .expect("reads")
    };
    let (build, start, upto, first) = fold("one", 0, 2, true);
    assert_eq!((build.as_str(), start, upto), ("one", 0, 2));
    let (build, start, upto, second) = fold("two", 2, 3, false);
    assert_eq!((build.as_str(), start, upto), ("two", 2, 3));
    assert_eq!(first, second, "where nothing was recorded, nothing is chained");
}
