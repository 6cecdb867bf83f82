//! What every store of the 64 logs must do, whatever it is made of: one suite, run on each by `conformance!`.

mod control;
mod fold;
mod lists;
mod rows;

use std::sync::Arc;

use serde_json::json;
use trimtab_types::{
    Act, Actual, Digest, Feature, Features, ModelKey, OperatorAct, Outcome, Place, Position, Predicted,
    Prediction, Shard, Subject, Timestamp, Trade,
};

pub use self::{control::*, fold::*, lists::*, rows::*};
use super::{
    About, Appended, Batch, Claim, Entry, Event, Kind, Lasts, Lease, LogError, Outputs, Reader, Record,
    Routed, Scope, Transaction, Writer,
};

/// Where logs are kept. What is opened from one place sees the same logs.
pub trait Home {
    /// Opens them for writing; one at a time.
    fn writer(&self) -> Box<dyn Writer>;
    /// Opens them for reading.
    fn reader(&self) -> Box<dyn Reader>;
}

/// Makes an empty home.
pub type Make<'a> = &'a dyn Fn() -> Box<dyn Home>;

/// Makes a test of each check; takes an expression that is a `Fn() -> Box<dyn Home>`.
#[macro_export]
macro_rules! conformance {
    ($make:expr) => {
        $crate::conformance!(@ $make;
            a_row_goes_to_the_log_of_its_model_and_reads_back
            ids_make_doing_it_twice_harmless_and_doing_it_differently_a_conflict
            a_batch_is_kept_whole_or_not_at_all
            one_refused_batch_does_not_touch_others_of_its_transaction
            a_record_carries_what_it_resolves_as_of_its_place
            what_came_due_is_told_in_order_and_as_of_a_place
            control_entries_are_in_every_log_that_is_awake_in_one_order
            a_shard_wakes_with_what_is_in_force
            every_kind_reads_back_as_it_was_written
            an_entry_without_a_place_is_refused_by_name
            scopes_leave_out_the_others
            a_stale_epoch_writes_nothing
            a_lease_that_runs_is_not_given_away
            a_step_counts_once_and_only_where_the_one_before_ended
            output_that_does_not_fit_its_step_is_refused
            an_effect_changes_its_state_only_and_ends_once
            a_number_never_becomes_visible_after_a_greater_one
            what_was_acknowledged_is_there_after_reopening
            contents_are_kept_by_digest
            a_log_knows_its_models_and_its_newest_time
            lists_are_newest_first_and_go_on_by_number
            what_there_is_is_counted
            stretches_say_which_build_decided_what
            a_checkpoint_counts_with_its_header
        );
    };
    (@ $make:expr; $($check:ident)+) => {
        $(
            #[test]
            fn $check() {
                $crate::conformance::$check(&$make);
            }
        )+
    };
}

/// Logs that were just made, open.
struct Logs {
    home: Box<dyn Home>,
    writer: Box<dyn Writer>,
    reader: Box<dyn Reader>,
}

impl Logs {
    fn new(make: Make<'_>) -> Self {
        let home = make();
        let (writer, reader) = (home.writer(), home.reader());
        Self { home, writer, reader }
    }

    fn reopened(self) -> Self {
        let Self { home, writer, reader } = self;
        drop((writer, reader));
        let (writer, reader) = (home.writer(), home.reader());
        Self { home, writer, reader }
    }

    fn within<T>(&mut self, work: impl FnOnce(&mut dyn Transaction) -> T) -> T {
        within(self.writer.as_mut(), work)
    }

    fn append(&mut self, entries: Vec<Entry>) -> Result<Vec<Appended>, LogError> {
        self.within(|transaction| transaction.append(&Batch::of(entries)))
    }

    fn log(&self, shard: Shard) -> Vec<Record> {
        self.scan(shard, &Scope::All)
    }

    fn scan(&self, shard: Shard, scope: &Scope) -> Vec<Record> {
        let scanned =
            self.reader.scan(shard, scope, Position(0), Position(1_000_000), 10_000).expect("scans");
        scanned.records
    }

    /// Shards with a log, and all of each.
    fn everything(&self) -> Vec<(Shard, Vec<Record>)> {
        let shards = self.reader.shards().expect("reads");
        shards.into_iter().map(|state| (state.shard, self.log(state.shard))).collect()
    }

    fn claim(&mut self, owner: &str, shards: &[Shard], now: u64) -> Vec<Lease> {
        let claim = Claim {
            shards: shards.to_vec(),
            owner: owner.into(),
            build: "test".into(),
            rules: 1,
            now: Timestamp::EPOCH.plus(now),
            until: Timestamp::EPOCH.plus(now + 10),
        };
        self.within(|transaction| transaction.claim(&claim)).expect("claims")
    }

    fn outputs(&self, shard: Shard) -> Outputs {
        self.reader.outputs(shard, Position(0), Position(1_000)).expect("reads")
    }
}

fn within<T>(writer: &mut dyn Writer, work: impl FnOnce(&mut dyn Transaction) -> T) -> T {
    let (mut work, mut result) = (Some(work), None);
    let run = &mut |transaction: &mut dyn Transaction| {
        result = work.take().map(|work| work(transaction));
    };
    writer.transaction(run).expect("commits");
    result.expect("ran")
}

const MODELS: [&str; 3] = ["m", "model-0", "model-1"];

fn shard(model: &str) -> Shard {
    Shard::of("t", model)
}

fn prediction(model: &str, id: &str, score: f64) -> Prediction {
    Prediction {
        id: id.into(),
        subject: Arc::new(Subject {
            tenant: "t".into(),
            model: model.into(),
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

fn p(model: &str, id: &str, score: f64) -> Entry {
    Entry::Prediction(prediction(model, id, score), Routed::default())
}

fn outcome(model: &str, id: &str, label: i64, correction: bool) -> Outcome {
    Outcome {
        tenant: "t".into(),
        model: model.into(),
        id: id.into(),
        time: Timestamp::EPOCH.plus(120),
        actual: Some(Actual::Label(label)),
        exit_price: None,
        pnl: None,
        correction,
    }
}

fn o(model: &str, id: &str, label: i64) -> Entry {
    Entry::Outcome(outcome(model, id, label, false))
}

fn c(model: &str, id: &str, label: i64) -> Entry {
    Entry::Outcome(outcome(model, id, label, true))
}

fn tick(seconds: u64) -> Entry {
    trimtab_types::Entry::Tick(Timestamp::EPOCH.plus(seconds)).into()
}

fn configuration(text: &str) -> Entry {
    trimtab_types::Entry::Configuration(Digest::of(text.as_bytes())).into()
}

fn kill(model: Option<&str>, on: bool) -> Entry {
    let model = model.map(|model| ModelKey { tenant: "t".into(), model: model.into() });
    let act = Act::KillSwitch { model, on };
    let (actor, at) = ("ann".to_owned(), Timestamp::EPOCH.plus(5));
    trimtab_types::Entry::OperatorAct(OperatorAct { actor, at, act, reason: "test".into() }).into()
}

fn event(kind: Kind, about: About, lasts: Lasts) -> Event {
    let (at, actor) = (Timestamp::EPOCH.plus(7), "ann".to_owned());
    Event { kind, about, at, actor, reason: "because".into(), lasts, body: json!({ "n": 1 }) }
}

fn about(model: &str) -> About {
    About::Model(ModelKey { tenant: "t".into(), model: model.into() })
}

fn entries(records: &[Record]) -> Vec<Entry> {
    records.iter().map(|record| record.entry.clone()).collect()
}

fn new(model: &str, position: u64) -> Appended {
    Appended::New(Place { shard: shard(model), position: Position(position) })
}

fn unchanged(model: &str, position: u64) -> Appended {
    Appended::Unchanged(Place { shard: shard(model), position: Position(position) })
}
