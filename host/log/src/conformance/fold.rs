//! Leases, steps of the fold, effects, and the order of recording.

use trimtab_types::{Digest, Mode, Position, Shard, Timestamp};

use super::{Logs, MODELS, Make, about, configuration, new, o, p, prediction, shard, unchanged, within};
use crate::{About, Attempt, Decision, Effect, EffectState, FoldCommit, Lease, LogError, Moment, Outputs};

fn moment(model: &str, position: u64) -> Moment {
    Moment {
        position: Position(position),
        about: About::Subject((*prediction(model, "a", 0.5).subject).clone()),
        kind: 1,
        at: Timestamp::EPOCH.plus(position),
        severity: Some(trimtab_types::Severity::High),
        changes: 1,
        findings: vec![1, 2],
        facts: vec![3],
        digest: [4; 16],
    }
}

fn decision(id: &str, position: u64) -> Decision {
    Decision {
        position: Position(position),
        id: id.into(),
        about: about("m"),
        moment: None,
        policy: Some(trimtab_types::PolicyRef { name: "ladder".into(), digest: Digest::of(b"x") }),
        mode: Mode::Shadow,
        did: [5; 16],
        said: [6; 16],
        reads: vec![7],
        carried: vec![8],
        body: "{}".into(),
    }
}

fn effect(model: &str, key: &str, position: u64) -> Effect {
    Effect {
        position: Position(position),
        key: key.into(),
        kind: "alert".into(),
        about: about(model),
        sink: "queue".into(),
        body: "{}".into(),
        due: Timestamp::EPOCH,
        expires: Some(Timestamp::EPOCH.plus(9)),
    }
}

/// A step with one of each at its end.
pub(super) fn step(lease: Lease, model: &str, from: u64, to: u64) -> FoldCommit {
    let name = format!("{model}-{to}");
    FoldCommit {
        moments: vec![moment(model, to)],
        decisions: vec![Decision { about: about(model), moment: Some(0), ..decision(&name, to) }],
        effects: vec![effect(model, &name, to)],
        ..FoldCommit::of(lease.shard, lease.epoch, Position(from), Position(to))
    }
}

/// A log of `rows` rows, and a claim of its shard.
fn claimed(make: Make<'_>, model: &str, rows: u64) -> (Logs, Lease) {
    let mut logs = Logs::new(make);
    logs.append((0..rows).map(|n| p(model, &n.to_string(), 0.5)).collect()).expect("appends");
    let lease = logs.claim("a", &[shard(model)], 0)[0];
    (logs, lease)
}

/// Who has an older epoch writes nothing, whatever it is.
pub fn a_stale_epoch_writes_nothing(make: Make<'_>) {
    let (mut logs, stale) = claimed(make, "m", 4);
    logs.within(|t| t.commit(&step(stale, "m", 0, 2))).expect("commits");
    let lease = logs.claim("b", &[shard("m")], 20)[0];
    assert_eq!(lease, Lease { epoch: stale.epoch + 1, cursor: Position(2), ..stale });
    let before = (logs.outputs(shard("m")), logs.reader.shards().expect("reads"));
    for commit in [step(stale, "m", 2, 3), FoldCommit::of(stale.shard, stale.epoch, Position(2), Position(4))]
    {
        let refused = logs.within(|t| t.commit(&commit));
        assert!(matches!(refused, Err(LogError::Stale { .. })), "{refused:?}");
    }
    for epoch in [0, 1] {
        let unclaimed = FoldCommit::of(shard("model-0"), epoch, Position(0), Position(0));
        assert!(matches!(logs.within(|t| t.commit(&unclaimed)), Err(LogError::Unclaimed(_))));
    }
    assert_eq!((logs.outputs(shard("m")), logs.reader.shards().expect("reads")), before);
    logs.within(|t| t.commit(&step(lease, "m", 2, 4))).expect("the newer one goes on");
}

/// Another owner gets a shard when its lease has run out; the same owner gets it again at once, with a new epoch.
pub fn a_lease_that_runs_is_not_given_away(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let both = [shard("m"), shard("model-0")];
    assert_eq!(logs.claim("a", &both[..1], 0).len(), 1, "also while it sleeps");
    let other: Vec<Shard> = logs.claim("b", &both, 9).into_iter().map(|lease| lease.shard).collect();
    assert_eq!(other, both[1..]);
    assert_eq!(logs.claim("a", &both[..1], 9)[0].epoch, 2);
    assert_eq!(logs.claim("b", &both[..1], 18), []);
    assert_eq!(logs.claim("b", &both[..1], 19)[0].epoch, 3);
    let owners: Vec<String> =
        logs.reader.shards().expect("reads").into_iter().map(|state| state.owner).collect();
    assert_eq!(owners, ["b", "b"]);
}

/// A step of the fold counts once.
pub fn a_step_counts_once_and_only_where_the_one_before_ended(make: Make<'_>) {
    let (mut logs, lease) = claimed(make, "m", 5);
    let first = step(lease, "m", 0, 3);
    logs.within(|t| t.commit(&first)).expect("commits");
    let outputs = logs.outputs(shard("m"));
    let (moments, decisions, effects) = (&outputs.moments, &outputs.decisions, &outputs.effects);
    assert_eq!((&moments[0].moment, moments[0].ordinal), (&first.moments[0], 0));
    assert_eq!((&decisions[0].decision, decisions[0].shard), (&first.decisions[0], shard("m")));
    assert_eq!((&effects[0].effect, effects[0].state), (&first.effects[0], EffectState::Waiting));
    let again = logs.within(|t| t.commit(&first));
    assert!(matches!(again, Err(LogError::CursorMoved { expected: 0, found: 3 })), "{again:?}");
    // An effect that is there already: nothing of that step is kept.
    let mut twice = step(lease, "m", 3, 5);
    twice.effects[0].key = "m-3".into();
    assert!(matches!(logs.within(|t| t.commit(&twice)), Err(LogError::Unfitting { .. })));
    assert_eq!(logs.outputs(shard("m")), outputs);
    let mut last = step(lease, "m", 3, 5);
    last.moments.push(moment("m", 5));
    logs.within(|t| t.commit(&last)).expect("commits");
    let ordinals: Vec<u32> = logs.outputs(shard("m")).moments.iter().map(|stored| stored.ordinal).collect();
    assert_eq!(ordinals, [0, 0, 1]);
    assert_eq!(logs.reader.shards().expect("reads")[0].cursor, Position(5));
    let seen = logs.reader.outputs(shard("m"), Position(3), Position(5)).expect("reads");
    let effected = logs.reader.effected(shard("m"), Position(3), Position(5)).expect("reads");
    assert_eq!(effected, seen.effects);
    assert_eq!((seen.moments.len(), seen.decisions.len(), seen.effects.len()), (2, 1, 1));
}

/// Output belongs to the positions, the shard and the moments of its step.
pub fn output_that_does_not_fit_its_step_is_refused(make: Make<'_>) {
    let (mut logs, lease) = claimed(make, "m", 3);
    let mut check = |change: &dyn Fn(&mut FoldCommit), expected: &str| {
        let mut commit = step(lease, "m", 0, 2);
        change(&mut commit);
        let error = logs.within(|t| t.commit(&commit)).expect_err("refused").to_string();
        assert!(error.contains(expected), "{error}");
    };
    check(&|commit| commit.to = Position(4), "after the end of the log");
    check(&|commit| commit.moments[0].position = Position(3), "not one of this step");
    check(&|commit| commit.effects[0].position = Position(0), "not one of this step");
    check(&|commit| commit.moments.push(moment("m", 1)), "after output of a later position");
    check(&|commit| commit.effects[0].about = about("model-0"), "no model of this shard");
    check(&|commit| commit.moments[0].about = About::All, "no model of this shard");
    check(&|commit| commit.decisions[0].moment = Some(1), "a moment that this position does not have");
    assert_eq!(logs.outputs(shard("m")), Outputs::default());
}

/// Of an effect only the state changes, and what is over stays over.
pub fn an_effect_changes_its_state_only_and_ends_once(make: Make<'_>) {
    let (mut logs, lease) = claimed(make, "m", 2);
    logs.within(|t| t.commit(&step(lease, "m", 0, 2))).expect("commits");
    let attempt = |state, result: &str| Attempt {
        effect: "m-2".into(),
        started: Timestamp::EPOCH,
        ended: Timestamp::EPOCH.plus(1),
        result: result.into(),
        detail: String::new(),
        state,
    };
    let mut state = |attempt: &Attempt| {
        logs.within(|t| t.attempt(attempt)).expect("records");
        let effect = logs.outputs(shard("m")).effects.remove(0);
        assert_eq!(effect.effect, self::effect("m", "m-2", 2));
        (effect.state, effect.attempts)
    };
    assert_eq!(state(&attempt(EffectState::Waiting, "503")), (EffectState::Waiting, 1));
    assert_eq!(state(&attempt(EffectState::Delivered, "200")), (EffectState::Delivered, 2));
    assert_eq!(state(&attempt(EffectState::Expired, "late")), (EffectState::Delivered, 3));
    let unknown = Attempt { effect: "nobody".into(), ..attempt(EffectState::Delivered, "200") };
    assert!(matches!(logs.within(|t| t.attempt(&unknown)), Err(LogError::NoEffect(_))));
}

/// Who follows the numbers of recording misses nothing: what becomes visible later has a greater number.
pub fn a_number_never_becomes_visible_after_a_greater_one(make: Make<'_>) {
    const STEPS: u64 = 60;
    let mut logs = Logs::new(make);
    for model in MODELS {
        logs.append((0..STEPS).map(|n| p(model, &n.to_string(), 0.5)).collect()).expect("appends");
    }
    let leases = logs.claim("a", &MODELS.map(shard), 0);
    let lease = |model: &str| *leases.iter().find(|lease| lease.shard == shard(model)).expect("claimed");
    let Logs { home, mut writer, reader } = logs;
    let follower = home.reader();
    let all = MODELS.len() * STEPS as usize;
    let seen = std::thread::scope(|threads| {
        let follows = threads.spawn(move || {
            let mut seen: Vec<u64> = Vec::new();
            while seen.len() < all {
                let after = seen.last().copied().unwrap_or(0);
                let news = follower.decisions_since(after, 7).expect("reads");
                seen.extend(news.iter().map(|stored| stored.seq));
            }
            seen
        });
        for to in 1..=STEPS {
            within(writer.as_mut(), |transaction| {
                for model in MODELS {
                    transaction.commit(&step(lease(model), model, to - 1, to)).expect("commits");
                }
            });
        }
        follows.join().expect("follows")
    });
    assert!(seen.is_sorted_by(|a, b| a < b));
    let written: Vec<u64> =
        reader.decisions_since(0, 1_000).expect("reads").iter().map(|stored| stored.seq).collect();
    assert_eq!(seen, written, "a follower sees all of them, in order");
}

/// What was acknowledged is there when the logs are opened again, and they go on where they ended.
pub fn what_was_acknowledged_is_there_after_reopening(make: Make<'_>) {
    let (mut logs, lease) = claimed(make, "m", 3);
    logs.append(vec![configuration("one"), o("m", "0", 1), p("model-0", "a", 0.5)]).expect("appends");
    logs.within(|t| t.commit(&step(lease, "m", 0, 3))).expect("commits");
    let before = (logs.everything(), logs.outputs(shard("m")), logs.reader.shards().expect("reads"));
    logs = logs.reopened();
    assert_eq!((logs.everything(), logs.outputs(shard("m")), logs.reader.shards().expect("reads")), before);
    let written = logs.append(vec![p("m", "0", 0.5), o("m", "0", 1), o("m", "1", 1)]).expect("appends");
    assert_eq!(written, [unchanged("m", 1), unchanged("m", 5), new("m", 6)]);
    let lease = logs.claim("a", &[shard("m")], 1)[0];
    assert_eq!((lease.epoch, lease.cursor), (2, Position(3)));
    logs.within(|t| t.commit(&step(lease, "m", 3, 6))).expect("commits");
    let numbers = logs.reader.decisions_since(0, 10).expect("reads");
    assert!(numbers.is_sorted_by(|a, b| a.seq < b.seq) && numbers.len() == 2, "{numbers:?}");
}
