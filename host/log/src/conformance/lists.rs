//! What folds left behind, as it is listed and counted; stretches and checkpoints.

use trimtab_types::{Counts, Digest, Position, Timestamp};

use super::{Logs, MODELS, Make, about, c, fold::step, o, p, prediction, shard};
use crate::{About, Attempt, Checkpoint, EffectState, FoldCommit, Listing, Part, PartKey};

/// Newest first, of those that are asked for; and one goes on before the last that one has seen.
pub fn lists_are_newest_first_and_go_on_by_number(make: Make<'_>) {
    let mut logs = Logs::new(make);
    for model in MODELS {
        logs.append((0..4).map(|n| p(model, &n.to_string(), 0.5)).collect()).expect("appends");
    }
    let leases = logs.claim("a", &MODELS.map(shard), 0);
    for to in 1..=3 {
        for model in MODELS {
            let lease = leases.iter().find(|lease| lease.shard == shard(model)).expect("claimed");
            logs.within(|t| t.commit(&step(*lease, model, to - 1, to))).expect("commits");
        }
    }
    let listing = |tenant: Option<&str>, model: Option<&str>, before, limit| Listing {
        tenant: tenant.map(str::to_owned),
        model: model.map(str::to_owned),
        before,
        limit,
    };
    let ids = |listing: &Listing| -> Vec<(u64, String)> {
        let found = logs.reader.decisions(listing).expect("reads");
        found.into_iter().map(|stored| (stored.seq, stored.decision.id)).collect()
    };
    let named = |listing: &Listing| ids(listing).into_iter().map(|(_, id)| id).collect::<Vec<_>>();
    assert_eq!(named(&listing(None, None, None, 2)), ["model-1-3", "model-0-3"]);
    assert_eq!(named(&listing(Some("t"), Some("m"), None, 9)), ["m-3", "m-2", "m-1"]);
    assert_eq!(named(&listing(Some("nobody"), None, None, 9)), [""; 0]);
    assert_eq!(named(&listing(None, Some("nothing"), None, 9)), [""; 0]);
    let first = ids(&listing(None, Some("m"), None, 1));
    assert_eq!(named(&listing(None, Some("m"), Some(first[0].0), 1)), ["m-2"]);
    let moments = logs.reader.moments(&listing(None, Some("m"), None, 2)).expect("reads");
    let places: Vec<_> = moments.iter().map(|(shard, stored)| (*shard, stored.moment.position.0)).collect();
    assert_eq!(places, [(shard("m"), 3), (shard("m"), 2)]);
    let one = logs.reader.decision("m-2").expect("reads").expect("is there");
    assert_eq!((one.shard, one.decision.position), (shard("m"), Position(2)));
    assert_eq!(logs.reader.decision("nobody").expect("reads"), None);
    let delivered = Attempt {
        effect: "m-2".into(),
        started: Timestamp::EPOCH,
        ended: Timestamp::EPOCH,
        result: "200".into(),
        detail: String::new(),
        state: EffectState::Delivered,
    };
    logs.within(|t| t.attempt(&delivered)).expect("records");
    let keys = |effects: Vec<crate::StoredEffect>| -> Vec<String> {
        effects.into_iter().map(|stored| stored.effect.key).collect()
    };
    let of_m = logs.reader.effects(&listing(None, Some("m"), None, 9)).expect("reads");
    assert_eq!(
        of_m.iter().map(|stored| stored.tried).collect::<Vec<_>>(),
        [None, Some(Timestamp::EPOCH), None]
    );
    let said: Vec<_> = of_m.iter().map(|stored| stored.said.clone()).collect();
    assert_eq!(said, [None, Some(("200".to_owned(), String::new())), None]);
    assert_eq!(keys(of_m), ["m-3", "m-2", "m-1"]);
    let waiting = keys(logs.reader.waiting("queue", 4).expect("reads"));
    assert_eq!(waiting, ["m-1", "model-0-1", "model-1-1", "model-0-2"], "oldest first");
    assert_eq!(logs.reader.waiting("another", 4).expect("reads"), []);
    let counts = logs.reader.waiting_count().expect("reads");
    assert_eq!(counts, std::collections::BTreeMap::from([("queue".to_owned(), 8)]));
}

/// How much there is, also after a refused batch, and after reopening. A correction is no further outcome.
pub fn what_there_is_is_counted(make: Make<'_>) {
    let mut logs = Logs::new(make);
    logs.append(vec![p("m", "a", 0.5), p("model-0", "a", 0.5), o("m", "a", 1), c("m", "a", 0)])
        .expect("appends");
    logs.append(vec![p("m", "b", 0.5), p("m", "a", 0.9)]).expect_err("a conflict");
    logs.append(vec![p("m", "a", 0.5), o("m", "a", 1)]).expect("unchanged");
    let lease = logs.claim("a", &[shard("m")], 0)[0];
    logs.within(|t| t.commit(&step(lease, "m", 0, 2))).expect("commits");
    logs.within(|t| t.commit(&step(lease, "m", 0, 2))).expect_err("a second time");
    let expected = Counts { predictions: 2, outcomes: 1, findings: 1, decisions: 1, effects: 1 };
    assert_eq!(logs.reader.counts().expect("reads"), expected);
    assert_eq!(logs.reopened().reader.counts().expect("reads"), expected);
}

/// What one build decided under one lease is one stretch, whose hash chains what was recorded.
pub fn stretches_say_which_build_decided_what(make: Make<'_>) {
    let mut logs = Logs::new(make);
    logs.append((0..4).map(|n| p("m", &n.to_string(), 0.5)).collect()).expect("appends");
    let first = logs.claim("a", &[shard("m")], 0)[0];
    let steps = [step(first, "m", 0, 1), step(first, "m", 1, 2)];
    for step in &steps {
        logs.within(|t| t.commit(step)).expect("commits");
    }
    let second = logs.claim("a", &[shard("m")], 0)[0];
    let last = FoldCommit::of(second.shard, second.epoch, Position(2), Position(4));
    logs.within(|t| t.commit(&last)).expect("commits");
    let stretches = logs.reader.stretches(shard("m")).expect("reads");
    let spans: Vec<_> =
        stretches.iter().map(|one| (one.epoch, one.from.0, one.to.0, one.build.as_str())).collect();
    assert_eq!(spans, [(1, 0, 2, "test"), (2, 2, 4, "test")]);
    let hash = steps.iter().fold(None, |before, step| Some(step.chained(before)));
    assert_eq!(Some(stretches[0].hash), hash);
    assert_eq!(stretches[1].hash, last.chained(hash));
    assert_eq!(logs.reader.stretches(shard("model-0")).expect("reads"), []);
}

/// A checkpoint is there with its header, and has the newest of each part up to its position. Those that nobody keeps go,
/// with the parts that counted for them only.
pub fn a_checkpoint_counts_with_its_header(make: Make<'_>) {
    let mut logs = Logs::new(make);
    logs.append((0..9).map(|n| p("m", &n.to_string(), 0.5)).collect()).expect("appends");
    let subject = About::Subject((*prediction("m", "a", 0.5).subject).clone());
    let part = |about: &About, part, position, bytes: &[u8]| Part {
        shard: shard("m"),
        key: PartKey { about: about.clone(), part },
        position: Position(position),
        format: 7,
        bytes: bytes.to_vec(),
    };
    let header = |position| Checkpoint {
        shard: shard("m"),
        position: Position(position),
        at: Timestamp::EPOCH,
        build: "test".into(),
        rules: 1,
        hash: Digest::of(b"x"),
    };
    let all = About::All;
    let old = vec![part(&all, 1, 1, b"a"), part(&about("m"), 2, 1, b"b"), part(&subject, 3, 1, b"c")];
    logs.within(|t| t.parts(&old)).expect("keeps");
    assert_eq!(logs.reader.checkpoints(shard("m")).expect("reads"), [], "parts alone are none");
    assert_eq!(logs.reader.parts(shard("m"), Position(1)).expect("reads"), None);
    logs.within(|t| t.checkpoint(&header(1))).expect("keeps");
    let parts = |logs: &Logs, position| logs.reader.parts(shard("m"), Position(position)).expect("reads");
    assert_eq!(parts(&logs, 1), Some(old.clone()));
    let newer = part(&subject, 3, 2, b"d");
    logs.within(|t| t.parts(std::slice::from_ref(&newer))).expect("keeps");
    logs.within(|t| t.checkpoint(&header(2))).expect("keeps");
    assert_eq!(parts(&logs, 1), Some(old.clone()));
    assert_eq!(parts(&logs, 2), Some([&old[..2], &[newer]].concat()));
    // The first of a week is kept; the second one goes when four newer ones are there, and its own part with it.
    for position in 3..=6 {
        logs.within(|t| t.parts(&[part(&subject, 3, position, b"e")])).expect("keeps");
        logs.within(|t| t.checkpoint(&header(position))).expect("keeps");
    }
    let logs = logs.reopened();
    let positions: Vec<_> =
        logs.reader.checkpoints(shard("m")).expect("reads").into_iter().map(|one| one.position.0).collect();
    assert_eq!(positions, [1, 3, 4, 5, 6]);
    assert_eq!(parts(&logs, 1), Some(old.clone()));
    assert_eq!(parts(&logs, 2), None, "it is gone, and so is what counted for it only");
    assert_eq!(parts(&logs, 6), Some([&old[..2], &[part(&subject, 3, 6, b"e")]].concat()));
    assert_eq!(logs.reader.parts(shard("model-0"), Position(6)).expect("reads"), None);
}
