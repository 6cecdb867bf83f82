//! What every log must do, whatever it is made of: one suite, run on each implementation by `conformance!`.

use std::sync::Arc;

use trimtab_types::{
    Actual, Digest, Effect, Entry, Feature, Features, Outcome, Position, Predicted, Prediction, Record,
    Resolution, Subject, Timestamp, Trade,
};

use crate::{
    Appended, Batch, FoldCommit, Folded, GroupWriter, Listing, Reader, StoreError, Transaction, Writer,
};

/// Where a log is kept. What is opened from one place sees the same log.
pub trait Place {
    /// Opens it for writing; one at a time.
    fn writer(&self) -> Box<dyn Writer>;
    /// Opens it for reading.
    fn reader(&self) -> Box<dyn Reader>;
}

/// Makes an empty place.
pub type Make<'a> = &'a dyn Fn() -> Box<dyn Place>;

/// Makes a test of each check; takes an expression that is a `Fn() -> Box<dyn Place>`.
#[macro_export]
macro_rules! conformance {
    ($new:expr) => {
        $crate::conformance!(@ $new;
            what_is_appended_reads_back_in_order
            ids_make_doing_it_twice_harmless_and_doing_it_differently_a_conflict
            a_batch_is_kept_whole_or_not_at_all
            one_refused_batch_does_not_touch_others_of_its_transaction
            a_record_carries_what_it_resolves_as_of_its_position
            models_and_tenants_have_ids_of_their_own
            the_fold_commits_in_order_and_once
            contents_are_kept_by_digest
            what_was_written_is_there_after_reopening
            the_writer_thread_answers_everybody_and_finishes_what_it_took
        );
    };
    (@ $new:expr; $($check:ident)+) => {
        $(
            #[test]
            fn $check() {
                $crate::conformance::$check(&$new);
            }
        )+
    };
}

/// A log that was just made, open.
struct Store {
    place: Box<dyn Place>,
    writer: Box<dyn Writer>,
    reader: Box<dyn Reader>,
}

impl Store {
    fn new(new: Make<'_>) -> Self {
        let place = new();
        let (writer, reader) = (place.writer(), place.reader());
        Self { place, writer, reader }
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

    fn log(&self) -> Vec<Record> {
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

/// Positions rise by one from 1, and a scan gives them in that order.
pub fn what_is_appended_reads_back_in_order(new: Make<'_>) {
    let mut store = Store::new(new);
    let entries = vec![p("a", 0.5), o("a", 1), Entry::Tick(Timestamp::EPOCH), p("b", 0.25)];
    let positions = store.append(entries.clone()).expect("appends");
    assert_eq!(positions, (1..=4).map(|n| New(Position(n))).collect::<Vec<_>>());
    let log = store.log();
    assert_eq!(log.iter().map(|record| record.entry.clone()).collect::<Vec<_>>(), entries);
    assert_eq!(store.reader.head().expect("reads"), Position(4));
    assert_eq!(store.reader.scan(Position(3), 10).expect("scans").len(), 1);
    assert_eq!(store.reader.scan(Position(0), 2).expect("scans").len(), 2);
}

/// The same id with the same content is unchanged; with other content it is a conflict, unless it is a correction.
pub fn ids_make_doing_it_twice_harmless_and_doing_it_differently_a_conflict(new: Make<'_>) {
    /// Appends one after the other; the last answer, in words.
    fn check(new: Make<'_>, entries: &[Entry], expected: &str) {
        let mut store = Store::new(new);
        let mut last = String::new();
        for entry in entries {
            last = match store.append(vec![entry.clone()]) {
                Ok(appended) => format!("{:?}", appended[0]),
                Err(error) => error.to_string(),
            };
        }
        assert!(last.contains(expected), "{entries:?}\n  gave: {last}\n  expected: {expected}");
    }
    check(new, &[p("a", 0.5), p("a", 0.5)], "Unchanged(Position(1))");
    check(
        new,
        &[p("a", 0.5), p("a", 0.6)],
        "prediction `a` of model `m` exists with other content (`predicted.binary` is 0.5, not 0.6)",
    );
    check(new, &[o("a", 1), o("a", 1)], "Unchanged(Position(1))");
    check(
        new,
        &[o("a", 1), o("a", 0)],
        "outcome `a` of model `m` exists with other content (`actual.label` is 1, not 0); to replace it, send it with `correction` true",
    );
    check(new, &[o("a", 1), c("a", 0)], "New(Position(2))");
    check(new, &[o("a", 1), c("a", 0), c("a", 0)], "Unchanged(Position(2))");
    check(new, &[o("a", 1), c("a", 0), o("a", 1)], "Unchanged(Position(1))");
    check(new, &[o("a", 1), c("a", 0), c("a", 1)], "New(Position(3))");
    check(new, &[o("a", 1), c("a", 0), c("a", 1), c("a", 0)], "New(Position(4))");
    check(new, &[c("a", 1)], "New(Position(1))");
}

/// Nothing of a refused batch stays, also no name and no position.
pub fn a_batch_is_kept_whole_or_not_at_all(new: Make<'_>) {
    let mut store = Store::new(new);
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

/// Batches that share a transaction stand by themselves.
pub fn one_refused_batch_does_not_touch_others_of_its_transaction(new: Make<'_>) {
    let mut store = Store::new(new);
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

/// A record has its other half as it was at its position, whatever came later.
pub fn a_record_carries_what_it_resolves_as_of_its_position(new: Make<'_>) {
    let mut store = Store::new(new);
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

/// An id is unique within its model and tenant only.
pub fn models_and_tenants_have_ids_of_their_own(new: Make<'_>) {
    let mut store = Store::new(new);
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

/// A step of the fold counts once and only where the one before ended; what was delivered is not sent again.
pub fn the_fold_commits_in_order_and_once(new: Make<'_>) {
    let mut store = Store::new(new);
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
    assert_eq!(store.reader.folded(Position(0), Position(9)).expect("reads"), Folded::default());
    // Folded again, what was delivered is not sent again.
    store.within(|t| t.commit_fold(&step(0, 3))).expect("commits");
    store.within(|t| t.commit_fold(&step(3, 5))).expect("commits");
    assert_eq!(pending(&store), ["e-5"]);
}

/// Contents are found by digest.
pub fn contents_are_kept_by_digest(new: Make<'_>) {
    let mut store = Store::new(new);
    let bytes = b"a component".to_vec();
    let digest = Digest::of(&bytes);
    let batch =
        Batch { entries: vec![Entry::Configuration(digest)], contents: vec![(digest, bytes.clone())] };
    store.within(|t| t.append(&batch)).expect("appends");
    store.within(|t| t.append(&batch)).expect("again");
    assert_eq!(store.reader.content(&digest).expect("reads"), Some(bytes));
    assert_eq!(store.reader.content(&Digest::of(b"other")).expect("reads"), None);
}

/// A log goes on where it ended.
pub fn what_was_written_is_there_after_reopening(new: Make<'_>) {
    let mut store = Store::new(new);
    store.append(vec![p("a", 0.5)]).expect("appends");
    let Store { place, writer, reader } = store;
    drop((writer, reader));
    let mut writer = place.writer();
    let mut appended = None;
    let run = &mut |transaction: &mut dyn Transaction| {
        appended = transaction.append(&Batch::of(vec![p("a", 0.5), o("a", 1)])).ok();
    };
    writer.transaction(run).expect("commits");
    assert_eq!(appended.expect("appends"), [Unchanged(Position(1)), New(Position(2))]);
}

/// Each command is answered, and what was acknowledged is there when the thread has ended.
pub fn the_writer_thread_answers_everybody_and_finishes_what_it_took(new: Make<'_>) {
    let place = new();
    let group = GroupWriter::start(place.writer()).expect("starts");
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
    let reader = place.reader();
    assert_eq!(reader.counts().expect("counts").predictions as usize, kept, "acknowledged is on disk");
    assert_eq!(reader.findings(&Listing { limit: 5, ..Listing::default() }).expect("reads"), []);
}
