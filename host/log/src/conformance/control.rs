//! Entries that are no rows: in which logs they are, and what a shard wakes with.

use trimtab_types::{PolicySetEntry, Timestamp};

use super::{
    Logs, MODELS, Make, about, c, configuration, entries, event, kill, new, o, p, prediction, shard, tick,
};
use crate::{About, Appended, Build, Entry, Kind, Lasts};

/// A control entry is in every log that is awake, once, and all logs have the control entries in one order.
pub fn control_entries_are_in_every_log_that_is_awake_in_one_order(make: Make<'_>) {
    let mut logs = Logs::new(make);
    logs.append(MODELS.map(|model| p(model, "a", 0.5)).to_vec()).expect("appends");
    let control = vec![configuration("one"), tick(1), kill(None, true), tick(2), configuration("two")];
    let written = logs.append(control.clone()).expect("appends");
    for appended in &written {
        let Appended::Control { places, .. } = appended else { panic!("{appended:?}") };
        let mut shards: Vec<_> = MODELS.map(shard).to_vec();
        shards.sort();
        assert_eq!(places.iter().map(|place| place.shard).collect::<Vec<_>>(), shards);
    }
    for model in MODELS {
        assert_eq!(entries(&logs.log(shard(model)))[1..], control);
    }
    // The text is there once; a tick has none.
    let texts = logs.reader.control(0, 10).expect("reads");
    let numbered = [(1, configuration("one")), (2, kill(None, true)), (3, configuration("two"))];
    assert_eq!(texts, numbered);
    assert_eq!(logs.reader.control(2, 10).expect("reads"), numbered[2..]);
    // What no fold needs is in no log.
    let noted = Entry::Noted(event(Kind::ActOfAll, About::All, Lasts::Once));
    let written = logs.append(vec![noted.clone()]).expect("appends");
    assert_eq!(written, [Appended::Control { number: Some(4), places: vec![] }]);
    assert_eq!(logs.reader.control(3, 10).expect("reads"), [(4, noted)]);
    assert_eq!(logs.log(shard("m")).len(), 6);
}

/// A shard that wakes begins with what the log has in force at that point, before its first row.
pub fn a_shard_wakes_with_what_is_in_force(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let build =
        |version: &str| Entry::Build(Build { version: version.into(), rules: 1, at: Timestamp::EPOCH });
    let set = || Entry::from(trimtab_types::Entry::PolicySet(PolicySetEntry::default()));
    let silence = |name: &str| {
        Entry::Event(event(Kind::ActOfAll, About::Tenant("t".into()), Lasts::Opens(name.into())))
    };
    let ends = |name: &str| {
        Entry::Event(event(Kind::ActOfAll, About::Tenant("t".into()), Lasts::Closes(name.into())))
    };
    let asleep = logs.append(vec![build("1"), configuration("one"), set(), tick(1), kill(None, true)]);
    assert!(asleep.expect("appends").iter().all(|appended| appended.places().is_empty()));
    let written = logs.append(vec![p("m", "a", 0.5)]).expect("appends");
    assert_eq!(written, [new("m", 5)]);
    let begins = [build("1"), configuration("one"), set(), kill(None, true), p("m", "a", 0.5)];
    assert_eq!(entries(&logs.log(shard("m"))), begins);
    let more =
        vec![configuration("two"), kill(None, false), silence("s1"), silence("s2"), ends("s1"), build("2")];
    logs.append(more).expect("appends");
    // In one batch: what stands before the model's first row, not what comes after it.
    logs.append(vec![silence("s3"), p("model-0", "a", 0.5), ends("s2")]).expect("appends");
    let begins = [
        set(),
        configuration("two"),
        silence("s2"),
        build("2"),
        silence("s3"),
        p("model-0", "a", 0.5),
        ends("s2"),
    ];
    assert_eq!(entries(&logs.log(shard("model-0"))), begins);
}

/// Whatever an entry says is there again when it is read.
pub fn every_kind_reads_back_as_it_was_written(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let subject = (*prediction("m", "a", 0.5).subject).clone();
    let mut given = vec![p("m", "a", 0.5), o("m", "a", 1), c("m", "a", 0), tick(1), configuration("one")];
    given.push(trimtab_types::Entry::PolicySet(PolicySetEntry::default()).into());
    given.push(Entry::Build(Build { version: "1".into(), rules: 3, at: Timestamp::EPOCH }));
    given.push(kill(None, true));
    let reset = trimtab_types::Reset { subject: subject.clone(), detector: Some("adwin".into()) };
    given.push(trimtab_types::Entry::Reset(reset).into());
    given.push(kill(Some("m"), true));
    for kind in Kind::ALL.into_iter().filter(|kind| *kind >= Kind::JobOfAll) {
        match kind {
            Kind::Baseline | Kind::Reset => {}
            kind if kind.is_control() => given.push(Entry::Event(event(kind, About::All, Lasts::Once))),
            kind => {
                given.push(Entry::Event(event(kind, about("m"), Lasts::Once)));
                given.push(Entry::Event(event(kind, About::Subject(subject.clone()), Lasts::Once)));
            }
        }
    }
    logs.append(given.clone()).expect("appends");
    assert_eq!(entries(&logs.log(shard("m"))), given);
}

/// An entry whose kind does not fit whom it is about is refused, with its place in the batch.
pub fn an_entry_without_a_place_is_refused_by_name(make: Make<'_>) {
    let mut logs = Logs::new(make);
    let mut check = |kind: Kind, about: About, expected: &str| {
        let bad = Entry::Event(event(kind, about, Lasts::Once));
        let error = logs.append(vec![tick(1), bad]).expect_err("refused").to_string();
        assert!(error.contains(expected) && error.contains("entry 1"), "{kind:?}: {error}");
    };
    check(Kind::Approval, About::All, "it names no model");
    check(Kind::Act, About::Tenant("t".into()), "it names no model");
    check(Kind::ActOfAll, about("m"), "it is about a model");
    check(Kind::Tick, About::All, "a form of its own");
    check(Kind::Baseline, about("m"), "a form of its own");
    check(Kind::Prediction, about("m"), "a form of its own");
    assert_eq!(logs.everything(), []);
}
