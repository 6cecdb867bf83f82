//! Rows: where they go, what makes them the same, what they resolve, how they are scanned.

use trimtab_types::{Actual, Digest, DueRow, ModelKey, Outcome, Position, Prediction, Resolution, Timestamp};

use super::{
    Logs, Make, c, configuration, entries, event, kill, new, o, outcome, p, prediction, shard, tick,
    unchanged,
};
use crate::{About, Appended, Batch, Entry, Kind, Lasts, LogError, Routed, Scope};

/// One batch may fall into several logs; in each, positions rise by one from 1.
pub fn a_row_goes_to_the_log_of_its_model_and_reads_back(make: Make<'_>) {
    let mut logs = Logs::new(make);
    assert_eq!(logs.reader.shards().expect("reads"), [], "all sleep");
    let routed = Routed { key: Some("user-7".into()), unserved: Some("confidence".into()) };
    let with_way = Entry::Prediction(prediction("m", "b", 0.25), routed.clone());
    let batch = vec![p("m", "a", 0.5), p("model-0", "a", 0.5), with_way.clone(), o("m", "a", 1)];
    let written = logs.append(batch).expect("appends");
    assert_eq!(written, [new("m", 1), new("model-0", 1), new("m", 2), new("m", 3)]);
    assert_eq!(entries(&logs.log(shard("m"))), [p("m", "a", 0.5), with_way, o("m", "a", 1)]);
    assert_eq!(entries(&logs.log(shard("model-0"))), [p("model-0", "a", 0.5)]);
    assert_eq!(logs.log(shard("model-1")), []);
    let mut heads: Vec<_> =
        logs.reader.shards().expect("reads").into_iter().map(|state| (state.shard, state.head)).collect();
    heads.sort();
    let mut expected = [(shard("m"), Position(3)), (shard("model-0"), Position(1))];
    expected.sort();
    assert_eq!(heads, expected);
    let row = logs.reader.prediction("t", "m", "b").expect("reads");
    assert_eq!(row, Some((prediction("m", "b", 0.25), routed, None)));
    let row = logs.reader.prediction("t", "m", "a").expect("reads");
    let counts = Some(outcome("m", "a", 1, false));
    assert_eq!(row, Some((prediction("m", "a", 0.5), Routed::default(), counts)));
    for (model, id) in [("m", "nobody"), ("nothing", "a")] {
        assert_eq!(logs.reader.prediction("t", model, id).expect("reads"), None);
    }
}

/// The same id with the same content is unchanged; with other content it is a conflict, unless it is a correction.
pub fn ids_make_doing_it_twice_harmless_and_doing_it_differently_a_conflict(make: Make<'_>) {
    /// Appends one after the other, in batches of their own; the last answer, in words. Then the same again with a
    /// reopening before each, so that ids are found wherever they are kept.
    fn check(make: Make<'_>, rows: &[Entry], expected: &str) {
        for reopen in [false, true] {
            let mut logs = Logs::new(make);
            let mut last = String::new();
            for entry in rows {
                if reopen {
                    logs = logs.reopened();
                }
                last = match logs.append(vec![entry.clone()]) {
                    Ok(written) => match written[0] {
                        Appended::New(place) => format!("new at {}", place.position),
                        Appended::Unchanged(place) => format!("unchanged at {}", place.position),
                        Appended::Control { .. } => "control".to_owned(),
                    },
                    Err(error) => error.to_string(),
                };
            }
            assert!(last.contains(expected), "{rows:?}\n  gave: {last}\n  expected: {expected}");
        }
    }
    let by = |key: &str| {
        Entry::Prediction(prediction("m", "a", 0.5), Routed { key: Some(key.into()), unserved: None })
    };
    let (pa, other) = (p("m", "a", 0.5), p("m", "a", 0.6));
    check(make, &[pa.clone(), pa.clone()], "unchanged at 1");
    check(
        make,
        &[pa.clone(), other],
        "prediction `a` of model `m` exists with other content (`predicted.binary` is 0.5, not 0.6)",
    );
    check(make, &[by("x"), by("x")], "unchanged at 1");
    check(make, &[by("x"), by("y")], "(`key` is \"x\", not \"y\")");
    check(make, &[pa.clone(), by("y")], "(`key` is null, not \"y\")");
    check(make, &[o("m", "a", 1), o("m", "a", 1)], "unchanged at 1");
    check(make, &[o("m", "a", 1), o("m", "a", 0)], "to replace it, send it with `correction` true");
    check(make, &[o("m", "a", 1), c("m", "a", 0)], "new at 2");
    check(make, &[o("m", "a", 1), c("m", "a", 0), c("m", "a", 0)], "unchanged at 2");
    check(make, &[o("m", "a", 1), c("m", "a", 0), o("m", "a", 1)], "unchanged at 1");
    check(make, &[o("m", "a", 1), c("m", "a", 0), c("m", "a", 1)], "new at 3");
    // A file that is imported again takes nothing back: who means it says when it became known.
    check(make, &[o("m", "a", 1), c("m", "a", 0), c("m", "a", 1), c("m", "a", 0)], "unchanged at 2");
    let later = |label| {
        let outcome = outcome("m", "a", label, true);
        Entry::Outcome(Outcome { time: outcome.time.plus(60), ..outcome })
    };
    check(make, &[o("m", "a", 1), c("m", "a", 0), c("m", "a", 1), later(0)], "new at 4");
    check(make, &[o("m", "a", 1), pa.clone(), pa], "unchanged at 2");
    check(make, &[c("m", "a", 1)], "new at 1");
    check(make, &[p("m", "a", 0.5), p("model-0", "a", 0.9)], "new at 1");
}

/// Nothing of a refused batch stays, in no log: also no name, no position, no awake shard.
pub fn a_batch_is_kept_whole_or_not_at_all(make: Make<'_>) {
    let mut logs = Logs::new(make);
    logs.append(vec![p("m", "a", 0.5), configuration("one")]).expect("appends");
    let before = logs.everything();
    let refused = logs.append(vec![
        p("m", "b", 0.5),
        configuration("two"),
        p("model-0", "c", 0.5),
        p("m", "a", 0.9),
        p("model-1", "d", 0.5),
    ]);
    assert!(matches!(refused, Err(LogError::Conflict { index: 3, .. })), "{refused:?}");
    assert_eq!(logs.everything(), before);
    assert_eq!(logs.reader.control(0, 10).expect("reads").len(), 1);
    let again = logs.append(vec![p("model-0", "c", 0.25), p("m", "b", 0.25)]).expect("appends");
    // The configuration first: it is in force where model-0 wakes.
    assert_eq!(again, [new("model-0", 2), new("m", 3)]);
    let twice = logs.append(vec![p("m", "e", 0.5), p("m", "e", 0.5)]).expect("appends");
    assert_eq!(twice, [new("m", 4), unchanged("m", 4)]);
}

/// Batches that share a transaction stand by themselves.
pub fn one_refused_batch_does_not_touch_others_of_its_transaction(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let results = logs.within(|transaction| {
        [
            vec![p("m", "a", 0.5)],
            vec![p("model-0", "b", 0.5), p("m", "a", 0.6)],
            vec![p("m", "c", 0.5), p("model-0", "b", 0.75)],
        ]
        .map(|entries| transaction.append(&Batch::of(entries)).is_ok())
    });
    assert_eq!(results, [true, false, true]);
    assert_eq!(entries(&logs.log(shard("m"))), [p("m", "a", 0.5), p("m", "c", 0.5)]);
    assert_eq!(entries(&logs.log(shard("model-0"))), [p("model-0", "b", 0.75)]);
}

/// Predictions that have an outcome, in the order in which they are due; of each the newest outcome that was there.
pub fn what_came_due_is_told_in_order_and_as_of_a_place(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let due = |id: &str, time: u64, horizon: Option<u32>| {
        let prediction =
            Prediction { time: Timestamp::EPOCH.plus(time), horizon, ..prediction("m", id, 0.5) };
        Entry::Prediction(prediction, Routed::default())
    };
    // Places 1 to 4: due at 110, 130, 120, and one that nobody expects anything of. Then 5 to 9.
    let rows = vec![due("a", 100, Some(10)), due("b", 100, Some(30)), due("c", 110, Some(10))];
    logs.append([rows, vec![due("d", 100, None)]].concat()).expect("appends");
    logs.append(vec![o("m", "b", 0), o("m", "a", 0), c("m", "a", 1)]).expect("appends");
    logs = logs.reopened();
    logs.append(vec![o("m", "d", 1), o("m", "e", 1), due("e", 100, Some(20))]).expect("appends");
    let key = ModelKey { tenant: "t".into(), model: "m".into() };
    let told = |logs: &Logs, after: (u64, u64), until: u64, as_of: u64, limit: usize| {
        let after = (Timestamp::EPOCH.plus(after.0), Position(after.1));
        let until = Timestamp::EPOCH.plus(until);
        let due = logs.reader.due(&key, after, until, Position(as_of), limit).expect("reads");
        let word = |row: &DueRow| {
            let label = match row.outcome.actual {
                Some(Actual::Label(label)) => label,
                _ => -1,
            };
            format!("{}={label}@{}/{}", row.prediction.id, row.at.since(Timestamp::EPOCH), row.position)
        };
        due.iter().map(word).collect::<Vec<_>>().join(" ")
    };
    #[rustfmt::skip]
    let cases = [
        // after,      until, as of, limit, told
        ((0, 0),       200,   99,    9,     "a=1@110/1 e=1@120/10 b=0@130/2"),
        ((0, 0),       120,   99,    9,     "a=1@110/1 e=1@120/10"),
        ((0, 0),       200,   99,    2,     "a=1@110/1 e=1@120/10"),
        ((110, 0),     200,   99,    9,     "a=1@110/1 e=1@120/10 b=0@130/2"),
        ((110, 1),     200,   99,    9,     "e=1@120/10 b=0@130/2"),
        ((120, u64::MAX), 200, 99,   9,     "b=0@130/2"),
        // The correction is at 7; the outcomes of b and a before it.
        ((0, 0),       200,   7,     9,     "a=0@110/1 b=0@130/2"),
        ((0, 0),       200,   6,     9,     "b=0@130/2"),
        ((0, 0),       109,   99,    9,     ""),
    ];
    for (after, until, as_of, limit, expected) in cases {
        assert_eq!(told(&logs, after, until, as_of, limit), expected, "{after:?} {until} {as_of} {limit}");
    }
    let nobody = ModelKey { tenant: "t".into(), model: "nobody".into() };
    let all = (Timestamp::EPOCH, Position(0));
    let told = logs.reader.due(&nobody, all, Timestamp::EPOCH.plus(999), Position(99), 9).expect("reads");
    assert_eq!(told, []);
}

/// A record has its other half as it was at its place, whatever came later.
pub fn a_record_carries_what_it_resolves_as_of_its_place(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let first = vec![o("m", "late", 1), p("m", "on-time", 0.5), o("m", "on-time", 0), c("m", "on-time", 1)];
    logs.append(first).expect("appends");
    let second = vec![c("m", "late", 0), p("m", "late", 0.5), p("m", "never", 0.5), o("m", "unknown", 1)];
    logs.append(second).expect("appends");
    let told: Vec<_> = logs
        .log(shard("m"))
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
}

/// A scope gives its own and goes on by position.
pub fn scopes_leave_out_the_others(make: Make<'_>) {
    let mut logs = Logs::new(make);
    // Two models of one shard.
    let here = shard("m");
    let neighbour = (0..).map(|n| format!("n{n}")).find(|name| shard(name) == here).expect("64 are enough");
    let batch =
        vec![p("m", "a", 0.5), p(&neighbour, "a", 0.5), tick(1), configuration("one"), o("m", "a", 1)];
    logs.append(batch).expect("appends");
    logs.append(vec![kill(Some("m"), true), kill(Some(&neighbour), true)]).expect("appends");
    let positions = |scope: &Scope| -> Vec<u64> {
        logs.scan(here, scope).into_iter().map(|record| record.place.position.0).collect()
    };
    assert_eq!(positions(&Scope::All), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(positions(&Scope::Changes), [4, 6, 7]);
    assert_eq!(positions(&Scope::Events), [3, 4, 6, 7]);
    assert_eq!(positions(&Scope::Model("t".into(), "m".into())), [1, 3, 4, 5, 6]);
    assert_eq!(positions(&Scope::Model("t".into(), "nobody".into())), [3, 4]);
    let part = |after, until, limit| {
        let scanned =
            logs.reader.scan(here, &Scope::Changes, Position(after), Position(until), limit).expect("scans");
        let positions: Vec<u64> = scanned.records.iter().map(|record| record.place.position.0).collect();
        (positions, scanned.upto.0)
    };
    assert_eq!(part(0, 100, 2), (vec![4, 6], 6));
    assert_eq!(part(6, 100, 2), (vec![7], 7));
    assert_eq!(part(0, 5, 10), (vec![4], 5));
    assert_eq!(part(7, 100, 10), (vec![], 7));
}

/// Who is in a log, and how late it is in it.
pub fn a_log_knows_its_models_and_its_newest_time(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let here = shard("m");
    let neighbour = (0..).map(|n| format!("n{n}")).find(|name| shard(name) == here).expect("64 are enough");
    let batch = vec![p("m", "a", 0.5), p(&neighbour, "a", 0.5), o("m", "a", 1), tick(90), p("m", "b", 0.5)];
    logs.append(batch).expect("appends");
    let models = |shard| -> Vec<String> {
        logs.reader.models(shard).expect("reads").into_iter().map(|key| key.model).collect()
    };
    let mut both = ["m".to_owned(), neighbour.clone()];
    both.sort();
    assert_eq!(models(here), both);
    assert_eq!(models(shard("model-0")), [""; 0]);
    let newest = |after| logs.reader.newest(here, Position(after)).expect("reads");
    let at = |seconds| Some(Timestamp::EPOCH.plus(seconds));
    assert_eq!([newest(0), newest(3), newest(4), newest(5)], [at(120), at(90), at(60), None]);
    assert_eq!(logs.reader.newest(shard("model-0"), Position(0)).expect("reads"), None);
}

/// Contents are found by digest, and those of a refused batch are not kept.
pub fn contents_are_kept_by_digest(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let bytes = b"a component".to_vec();
    let digest = Digest::of(&bytes);
    let batch = Batch { entries: vec![configuration("x")], contents: vec![(digest, bytes.clone())] };
    let refused =
        Batch { entries: vec![Entry::Event(event(Kind::Act, About::All, Lasts::Once))], ..batch.clone() };
    assert!(logs.within(|t| t.append(&refused)).is_err());
    assert_eq!(logs.reader.content(&digest).expect("reads"), None);
    logs.within(|t| t.append(&batch)).expect("appends");
    logs.within(|t| t.append(&batch)).expect("again");
    assert_eq!(logs.reader.content(&digest).expect("reads"), Some(bytes));
}
