//! The logs in SQLite and those in memory are written independently; whatever is asked of both, they answer the same.

use proptest::prelude::*;
use trimtab_log::{
    About, Batch, Build, Claim, Decision, Effect, Entry, Event, FoldCommit, Kind, Lasts, Listing, LogError,
    MemoryLogs, Moment, Reader, Routed, Scope, ShardState, Transaction, Writer,
};
use trimtab_types::{
    Act, Actual, Digest, Mode, ModelKey, OperatorAct, Outcome, Position, Predicted, Shard, Timestamp,
};

use crate::{LogsReader, LogsWriter};

const MODELS: [&str; 5] = ["m", "model-0", "model-1", "model-2", "model-3"];

/// Something that is asked of both.
#[derive(Debug, Clone)]
enum Asked {
    /// Batches that share a transaction.
    Append(Vec<Vec<Entry>>),
    /// A claim of some shards by one of two owners.
    Claim { owner: bool, models: Vec<usize>, now: u64 },
    /// A step of a model's shard, up to some positions further, under the newest epoch or an older one.
    Fold { model: usize, further: u64, stale: bool, key: u8 },
    /// The process is killed and started again.
    Kill,
}

fn model() -> impl Strategy<Value = usize> {
    0..MODELS.len()
}

fn entry() -> impl Strategy<Value = Entry> {
    let id = || 0..6_u8;
    prop_oneof![
        6 => (model(), id(), any::<bool>(), 0..8_u8).prop_map(|(model, id, up, key)| {
            let mut entry = super::prediction(MODELS[model], &id.to_string());
            if let Entry::Prediction(prediction, routed) = &mut entry {
                // Few repetitions differ: most rows are new or the same.
                prediction.predicted = Predicted::Binary(if up || key > 0 { 0.9 } else { 0.1 });
                prediction.horizon = (key > 4).then_some(u32::from(key));
                *routed = Routed { key: (key == 1).then(|| "k".to_owned()), unserved: None };
            }
            entry
        }),
        6 => (model(), id(), 0..3_i64, any::<bool>()).prop_map(|(model, id, label, correction)| {
            Entry::Outcome(Outcome {
                tenant: "t".into(),
                model: MODELS[model].into(),
                id: id.to_string(),
                time: Timestamp::EPOCH.plus(1),
                actual: Some(Actual::Label(label / 2)),
                exit_price: None,
                pnl: None,
                correction,
            })
        }),
        1 => (0..100_u64).prop_map(|at| trimtab_types::Entry::Tick(Timestamp::EPOCH.plus(at)).into()),
        1 => any::<u8>().prop_map(|n| trimtab_types::Entry::Configuration(Digest::of(&[n])).into()),
        1 => any::<u8>().prop_map(|n| Entry::Build(Build {
            version: n.to_string(),
            rules: 1,
            at: Timestamp::EPOCH,
        })),
        1 => (proptest::option::of(model()), any::<bool>()).prop_map(|(model, on)| {
            let model = model.map(|model| ModelKey { tenant: "t".into(), model: MODELS[model].into() });
            let (actor, at) = ("ann".to_owned(), Timestamp::EPOCH);
            let act = Act::KillSwitch { model, on };
            trimtab_types::Entry::OperatorAct(OperatorAct { actor, at, act, reason: String::new() }).into()
        }),
        1 => (0..3_u8, 0..3_u8).prop_map(|(name, lasts)| Entry::Event(Event {
            kind: Kind::ActOfAll,
            about: About::All,
            at: Timestamp::EPOCH,
            actor: "ann".into(),
            reason: String::new(),
            lasts: match lasts {
                0 => Lasts::Once,
                1 => Lasts::Opens(name.to_string()),
                _ => Lasts::Closes(name.to_string()),
            },
            body: serde_json::Value::Null,
        })),
    ]
}

fn asked() -> impl Strategy<Value = Asked> {
    let batches = prop::collection::vec(prop::collection::vec(entry(), 0..7), 1..4);
    prop_oneof![
        6 => batches.prop_map(Asked::Append),
        2 => (any::<bool>(), prop::collection::vec(model(), 0..3), 0..40_u64)
            .prop_map(|(owner, models, now)| Asked::Claim { owner, models, now }),
        3 => (model(), 0..4_u64, 0..8_u8, 0..16_u8)
            .prop_map(|(model, further, stale, key)| Asked::Fold { model, further, stale: stale == 0, key }),
        1 => Just(Asked::Kill),
    ]
}

/// Asks one of them; the answer as text.
fn answer(writer: &mut dyn Writer, states: &[ShardState], asked: &Asked) -> String {
    let mut told = String::new();
    let mut work = |transaction: &mut dyn Transaction| {
        told = match asked {
            Asked::Append(batches) => {
                let results = batches.iter().map(|batch| transaction.append(&Batch::of(batch.clone())));
                results.map(|result| in_words(&result)).collect()
            }
            Asked::Claim { owner, models, now } => in_words(&transaction.claim(&Claim {
                shards: models.iter().map(|model| Shard::of("t", MODELS[*model])).collect(),
                owner: owner.to_string(),
                build: "test".into(),
                rules: 1,
                now: Timestamp::EPOCH.plus(*now),
                until: Timestamp::EPOCH.plus(now + 10),
            })),
            Asked::Fold { model, further, stale, key } => {
                in_words(&transaction.commit(&step(states, *model, *further, *stale, *key)))
            }
            Asked::Kill => String::new(),
        };
    };
    writer.transaction(&mut work).expect("commits");
    told
}

fn in_words<T: std::fmt::Debug>(result: &Result<T, LogError>) -> String {
    match result {
        Ok(value) => format!("{value:?}\n"),
        Err(error) => format!("{error}\n"),
    }
}

fn step(states: &[ShardState], model: usize, further: u64, stale: bool, key: u8) -> FoldCommit {
    let shard = Shard::of("t", MODELS[model]);
    let state = states.iter().find(|state| state.shard == shard);
    let (epoch, from) = state.map_or((0, Position(0)), |state| (state.epoch, state.cursor));
    let to = Position(from.0 + further);
    let mut commit = FoldCommit::of(shard, epoch.saturating_sub(u64::from(stale)), from, to);
    if further > 0 {
        let about = About::Model(ModelKey { tenant: "t".into(), model: MODELS[model].into() });
        commit.moments.push(Moment {
            position: to,
            about: about.clone(),
            kind: 1,
            at: Timestamp::EPOCH,
            severity: None,
            changes: 1,
            findings: vec![key],
            facts: Vec::new(),
            digest: [key; 16],
        });
        commit.decisions.push(Decision {
            position: to,
            id: format!("d{key}"),
            about: about.clone(),
            moment: Some(0),
            policy: None,
            mode: Mode::Enforce,
            did: [1; 16],
            said: [2; 16],
            reads: Vec::new(),
            carried: vec![key],
            body: "{}".into(),
        });
        commit.effects.push(Effect {
            position: to,
            key: format!("e{key}"),
            kind: "alert".into(),
            about,
            sink: "queue".into(),
            body: "{}".into(),
            due: Timestamp::EPOCH,
            expires: None,
        });
    }
    commit
}

/// All that a reader can tell.
fn everything(reader: &dyn Reader) -> String {
    let mut told = String::new();
    let end = Position(u64::from(u32::MAX));
    let all = Listing { limit: 10_000, ..Listing::default() };
    told += &format!("{:?} {:?}\n", reader.counts().expect("reads"), reader.decisions(&all).expect("reads"));
    for state in reader.shards().expect("reads") {
        told += &format!("{state:?} {:?}\n", reader.stretches(state.shard).expect("reads"));
        let scopes = [Scope::All, Scope::Changes, Scope::Events].into_iter();
        for scope in scopes.chain(MODELS.map(|model| Scope::Model("t".into(), model.into()))) {
            let scanned = reader.scan(state.shard, &scope, Position(0), end, 10_000).expect("scans");
            told += &format!("{scope:?} {scanned:?}\n");
        }
        told += &format!("{:?}\n", reader.outputs(state.shard, Position(0), end).expect("reads"));
    }
    for model in MODELS {
        for id in 0..6 {
            told += &format!("{:?}\n", reader.prediction("t", model, &id.to_string()).expect("reads"));
        }
    }
    told += &format!("{:?}\n", reader.control(0, 1_000).expect("reads"));
    told + &format!("{:?}\n", reader.decisions_since(0, 1_000).expect("reads"))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn both_answer_the_same(asked in prop::collection::vec(asked(), 1..24), most in 0..12_usize) {
        let directory = tempfile::tempdir().expect("a directory");
        let memory = MemoryLogs::default();
        let mut in_memory = memory.clone();
        let mut on_disk = LogsWriter::open(directory.path()).expect("opens");
        // So few that keys are written again and again.
        on_disk.keys.most = most;
        let reader = LogsReader::open(directory.path()).expect("opens");
        for asked in &asked {
            if let Asked::Kill = asked {
                drop(on_disk);
                on_disk = LogsWriter::open(directory.path()).expect("opens");
                on_disk.keys.most = most;
            }
            let states = memory.shards().expect("reads");
            let (a, b) = (answer(&mut in_memory, &states, asked), answer(&mut on_disk, &states, asked));
            prop_assert_eq!(a, b);
        }
        prop_assert_eq!(everything(&memory), everything(&reader));
    }
}
