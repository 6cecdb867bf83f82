//! What every store must do, whatever it is made of: one suite, run on each implementation.

use std::{path::Path, sync::Arc};

use trimtab_types::{
    Actual, Digest, Entry, Feature, Features, Outcome, Position, Predicted, Prediction, Subject, Timestamp,
    Trade,
};

use crate::{
    Appended, Batch, Effect, FoldCommit, GroupWriter, Listing, LogRecord, Reader, Resolution, SqliteReader,
    SqliteWriter, StoreError, Transaction, Writer,
};

/// A store in a directory of its own.
struct Store {
    directory: tempfile::TempDir,
    writer: SqliteWriter,
    reader: SqliteReader,
}

impl Store {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let writer = SqliteWriter::open(directory.path()).expect("opens");
        let reader = SqliteReader::open(directory.path()).expect("opens");
        Self { directory, writer, reader }
    }

    fn within<T>(&mut self, work: impl FnOnce(&mut dyn Transaction) -> T) -> T {
        let (mut work, mut result) = (Some(work), None);
        let run = &mut |transaction: &mut dyn Transaction| {
            result = work.take().map(|work| work(transaction));
        };
        self.writer.transaction(run).expect("commits");
        result.expect("ran")
    }

    fn append(&mut self, entries: Vec<Entry>) -> Result<Vec<Appended>, StoreError> {
        self.within(|transaction| transaction.append(&Batch::of(entries)))
    }

    fn log(&self) -> Vec<LogRecord> {
        self.reader.scan(Position(0), 1_000).expect("scans")
    }
}

fn prediction(id: &str, score: f64) -> Prediction {
    Prediction {
        id: id.into(),
        subject: Arc::new(Subject {
            tenant: "t".into(),
            model: "m".into(),
            version: "v1".into(),
            segment: "BTC/USDT".into(),
        }),
        time: Timestamp::EPOCH.plus(60),
        predicted: Predicted::Binary(score),
        confidence: Some(0.75),
        interval: None,
        features: Features::from_pairs(vec![
            ("volume".into(), Feature::Number(1.5)),
            ("regime".into(), Feature::Category("calm".into())),
        ]),
        trade: Trade { entry_price: Some(100.0), side: Some(1), size: None, fee: Some(0.1) },
        served: false,
        horizon: Some(1_800),
    }
}

fn outcome(id: &str, label: i64, correction: bool) -> Outcome {
    Outcome {
        tenant: "t".into(),
        model: "m".into(),
        id: id.into(),
        time: Timestamp::EPOCH.plus(120),
        actual: Some(Actual::Label(label)),
        exit_price: None,
        pnl: None,
        correction,
    }
}

fn p(id: &str, score: f64) -> Entry {
    Entry::Prediction(prediction(id, score))
}

fn o(id: &str, label: i64) -> Entry {
    Entry::Outcome(outcome(id, label, false))
}

fn c(id: &str, label: i64) -> Entry {
    Entry::Outcome(outcome(id, label, true))
}

use Appended::{New, Unchanged};

#[test]
fn what_is_appended_reads_back_in_order() {
    let mut store = Store::new();
    let entries = vec![p("a", 0.5), o("a", 1), Entry::Tick(Timestamp::EPOCH), p("b", 0.25)];
    let positions = store.append(entries.clone()).expect("appends");
    assert_eq!(positions, (1..=4).map(|n| New(Position(n))).collect::<Vec<_>>());
    let log = store.log();
    assert_eq!(log.iter().map(|record| record.entry.clone()).collect::<Vec<_>>(), entries);
    assert_eq!(store.reader.head().expect("reads"), Position(4));
    assert_eq!(store.reader.scan(Position(3), 10).expect("scans").len(), 1);
    assert_eq!(store.reader.scan(Position(0), 2).expect("scans").len(), 2);
}

#[test]
fn ids_make_doing_it_twice_harmless_and_doing_it_differently_a_conflict() {
    /// Appends one after the other; the last answer, in words.
    fn check(entries: &[Entry], expected: &str) {
        let mut store = Store::new();
        let mut last = String::new();
        for entry in entries {
            last = match store.append(vec![entry.clone()]) {
                Ok(appended) => format!("{:?}", appended[0]),
                Err(error) => error.to_string(),
            };
        }
        assert!(last.contains(expected), "{entries:?}\n  gave: {last}\n  expected: {expected}");
    }
    check(&[p("a", 0.5), p("a", 0.5)], "Unchanged(Position(1))");
    check(
        &[p("a", 0.5), p("a", 0.6)],
        "prediction `a` of model `m` exists with other content (`predicted.binary` is 0.5, not 0.6)",
    );
    check(&[o("a", 1), o("a", 1)], "Unchanged(Position(1))");
    check(
        &[o("a", 1), o("a", 0)],
        "outcome `a` of model `m` exists with other content (`actual.label` is 1, not 0); to replace it, send it with `correction` true",
    );
    check(&[o("a", 1), c("a", 0)], "New(Position(2))");
    check(&[o("a", 1), c("a", 0), c("a", 0)], "Unchanged(Position(2))");
    check(&[o("a", 1), c("a", 0), o("a", 1)], "Unchanged(Position(1))");
    check(&[o("a", 1), c("a", 0), c("a", 1)], "New(Position(3))");
    check(&[o("a", 1), c("a", 0), c("a", 1), c("a", 0)], "New(Position(4))");
    check(&[c("a", 1)], "New(Position(1))");
}

#[test]
fn a_batch_is_kept_whole_or_not_at_all() {
    let mut store = Store::new();
    store.append(vec![p("a", 0.5)]).expect("appends");
    let refused = store.append(vec![p("b", 0.5), p("c", 0.5), p("a", 0.9), p("d", 0.5)]);
    assert!(matches!(refused, Err(StoreError::Conflict { index: 2, .. })), "{refused:?}");
    assert_eq!(store.log().len(), 1);
    // Names and positions that the refused batch had taken are free again.
    let again = store.append(vec![p("d", 0.5), p("b", 0.5)]).expect("appends");
    assert_eq!(again, [New(Position(2)), New(Position(3))]);
    let twice = store.append(vec![p("e", 0.5), p("e", 0.5)]).expect("appends");
    assert_eq!(twice, [New(Position(4)), Unchanged(Position(4))]);
}

#[test]
fn one_refused_batch_does_not_touch_others_of_its_transaction() {
    let mut store = Store::new();
    let results = store.within(|transaction| {
        [vec![p("a", 0.5)], vec![p("b", 0.5), p("a", 0.6)], vec![p("c", 0.5)]]
            .map(|entries| transaction.append(&Batch::of(entries)).is_ok())
    });
    assert_eq!(results, [true, false, true]);
    let ids: Vec<_> = store
        .log()
        .into_iter()
        .map(|record| match record.entry {
            Entry::Prediction(prediction) => (record.position.0, prediction.id),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(ids, [(1, "a".to_owned()), (2, "c".to_owned())]);
}

#[test]
fn a_record_carries_what_it_resolves_as_of_its_position() {
    let mut store = Store::new();
    store.append(vec![o("late", 1), p("on-time", 0.5), o("on-time", 0), c("on-time", 1)]).expect("appends");
    store.append(vec![c("late", 0), p("late", 0.5), p("never", 0.5), o("unknown", 1)]).expect("appends");
    let told: Vec<_> = store
        .log()
        .into_iter()
        .map(|record| match record.resolves {
            None => "-".to_owned(),
            Some(Resolution::Of { position, prediction, previous }) => {
                format!("of {} {} {:?}", position, prediction.id, previous.map(|previous| previous.actual))
            }
            Some(Resolution::By(outcome)) => format!("by {:?}", outcome.actual),
        })
        .collect();
    #[rustfmt::skip]
    assert_eq!(told, [
        "-",                                        // an outcome that waits
        "-",
        "of 2 on-time None",
        "of 2 on-time Some(Some(Label(0)))",        // a correction knows what it replaces
        "-",                                        // a correction that waits
        "by Some(Label(0))",                        // what counts is the newest
        "-",
        "-",
    ]);
    let (found, counts) = store.reader.prediction("t", "m", "on-time").expect("reads").expect("is there");
    assert_eq!((found, counts), (prediction("on-time", 0.5), Some(outcome("on-time", 1, true))));
    assert_eq!(store.reader.prediction("t", "m", "nobody").expect("reads"), None);
}

#[test]
fn models_and_tenants_have_ids_of_their_own() {
    let mut store = Store::new();
    let other = |tenant: &str, model: &str| {
        let mut row = prediction("a", 0.9);
        row.subject =
            Arc::new(Subject { tenant: tenant.into(), model: model.into(), ..(*row.subject).clone() });
        Entry::Prediction(row)
    };
    let appended = store.append(vec![p("a", 0.5), other("t", "m2"), other("t2", "m")]).expect("appends");
    assert!(appended.iter().all(|appended| matches!(appended, New(_))), "{appended:?}");
}

fn step(from: u64, to: u64) -> FoldCommit {
    let effect = Effect {
        key: format!("e-{to}"),
        position: Position(to),
        kind: "alert".into(),
        channel: "chat".into(),
        body: serde_json::json!({ "n": to }),
    };
    FoldCommit {
        from: Position(from),
        to: Position(to),
        states: vec![("s".into(), Some(vec![u8::try_from(to).expect("small")]))],
        effects: vec![effect],
        ..FoldCommit::default()
    }
}

#[test]
fn the_fold_commits_in_order_and_once() {
    let mut store = Store::new();
    store.within(|t| t.forget_fold(7)).expect("begins");
    store.within(|t| t.commit_fold(&step(0, 3))).expect("commits");
    let again = store.within(|t| t.commit_fold(&step(0, 3)));
    assert!(matches!(again, Err(StoreError::CursorMoved { expected: 0, found: 3 })), "{again:?}");
    store.within(|t| t.commit_fold(&step(3, 5))).expect("commits");
    assert_eq!(store.reader.folded_state().expect("reads"), (Position(5), 7, vec![("s".into(), vec![5])]));
    // The same effect twice is an error, and nothing of that step is kept.
    let mut twice = step(5, 6);
    twice.effects[0].key = "e-5".into();
    assert!(store.within(|t| t.commit_fold(&twice)).is_err());
    assert_eq!(store.reader.folded_state().expect("reads").0, Position(5));
    let pending = |store: &Store| {
        let effects = store.reader.effects(true, 10).expect("reads");
        effects.into_iter().map(|stored| stored.effect.key).collect::<Vec<_>>()
    };
    assert_eq!(pending(&store), ["e-5", "e-3"]);
    store.within(|t| t.delivered("e-3", Timestamp::EPOCH)).expect("notes");
    assert_eq!(pending(&store), ["e-5"]);
    store.within(|t| t.forget_fold(8)).expect("forgets");
    assert_eq!(store.reader.folded_state().expect("reads"), (Position(0), 8, vec![]));
    assert_eq!(store.reader.folded(Position(0), Position(9)).expect("reads"), crate::Folded::default());
    // Folded again, what was delivered is not sent again.
    store.within(|t| t.commit_fold(&step(0, 3))).expect("commits");
    store.within(|t| t.commit_fold(&step(3, 5))).expect("commits");
    assert_eq!(pending(&store), ["e-5"]);
}

#[test]
fn contents_are_kept_by_digest() {
    let mut store = Store::new();
    let bytes = b"a component".to_vec();
    let digest = Digest::of(&bytes);
    let batch =
        Batch { entries: vec![Entry::Configuration(digest)], contents: vec![(digest, bytes.clone())] };
    store.within(|t| t.append(&batch)).expect("appends");
    store.within(|t| t.append(&batch)).expect("again");
    assert_eq!(store.reader.content(&digest).expect("reads"), Some(bytes));
    assert_eq!(store.reader.content(&Digest::of(b"other")).expect("reads"), None);
}

#[test]
fn what_was_written_is_there_after_reopening() {
    let mut store = Store::new();
    store.append(vec![p("a", 0.5)]).expect("appends");
    let directory = store.directory;
    drop((store.writer, store.reader));
    let mut writer = SqliteWriter::open(directory.path()).expect("opens");
    let mut appended = None;
    let run = &mut |transaction: &mut dyn Transaction| {
        appended = transaction.append(&Batch::of(vec![p("a", 0.5), o("a", 1)])).ok();
    };
    writer.transaction(run).expect("commits");
    assert_eq!(appended.expect("appends"), [Unchanged(Position(1)), New(Position(2))]);
}

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

#[test]
fn the_writer_thread_answers_everybody_and_finishes_what_it_took() {
    let directory = tempfile::tempdir().expect("a directory");
    let writer = SqliteWriter::open(directory.path()).expect("opens");
    let group = GroupWriter::start(Box::new(writer)).expect("starts");
    let (sender, receiver) = std::sync::mpsc::channel();
    for n in 0..100 {
        let sender = sender.clone();
        group.append(Batch::of(vec![p(&n.to_string(), 0.5)]), false, move |result| {
            sender.send(result.map(|appended| appended[0])).expect("somebody listens");
        });
    }
    drop(group);
    drop(sender);
    let answers: Vec<_> = receiver.iter().collect();
    assert_eq!(answers.len(), 100);
    let kept = answers.iter().filter(|answer| answer.is_ok()).count();
    let refused = answers.iter().filter(|answer| matches!(answer, Err(StoreError::Busy))).count();
    assert_eq!(kept + refused, 100, "{answers:?}");
    let reader = SqliteReader::open(directory.path()).expect("opens");
    assert_eq!(reader.counts().expect("counts").predictions as usize, kept, "acknowledged is on disk");
    assert_eq!(reader.findings(&Listing { limit: 5, ..Listing::default() }).expect("reads"), []);
}

/// A writer that says when it is asked, and stands still until it is let go.
struct Stuck {
    asked: std::sync::mpsc::Sender<()>,
    go: std::sync::mpsc::Receiver<()>,
}

impl Writer for Stuck {
    fn transaction(&mut self, _: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), StoreError> {
        self.asked.send(()).ok();
        self.go.recv().ok();
        Err(StoreError::Full)
    }
}

#[test]
fn a_full_queue_says_so_at_once_and_urgent_acts_have_a_lane_of_their_own() {
    let (asked, was_asked) = std::sync::mpsc::channel();
    let (go, wait) = std::sync::mpsc::channel();
    let group = GroupWriter::start(Box::new(Stuck { asked, go: wait })).expect("starts");
    let (sender, receiver) = std::sync::mpsc::channel();
    let append = |urgent: bool| {
        let sender = sender.clone();
        group.append(Batch::default(), urgent, move |result| {
            sender.send(matches!(result, Err(StoreError::Busy))).expect("somebody listens");
        });
    };
    // The writer stands still with the first; 256 wait.
    append(false);
    was_asked.recv().expect("the writer is asked");
    (0..300).for_each(|_| append(false));
    let busy = receiver.try_iter().filter(|busy| *busy).count();
    append(true);
    let refused = receiver.try_iter().count();
    // Let go before anything is held against anything: a failure must not leave the writer standing.
    drop(go);
    assert_eq!(busy, 44);
    assert_eq!(refused, 0, "the urgent one was taken");
    drop(group);
    drop(sender);
    assert_eq!(
        receiver.iter().filter(|busy| !busy).count(),
        301 - busy + 1,
        "all others failed with the writer"
    );
}
