//! The life of a model as a specification: every cell of the table, stories in the words of commands, and random walks that
//! keep what must always hold.

use proptest::prelude::*;
use trimtab_types::{
    Approval, Design, Digest, ErrorKind, ExperimentAct, ExperimentChange, Fate, ModelKey, Plan, PlanLine,
    ProposalState, Proposed, Protection, Registration, Request, Ruled, Stage, Timestamp, VersionAct,
    VersionChange,
};

use super::{Event, Outcome, Put, Registry, cell};

fn model() -> ModelKey {
    ModelKey { tenant: "default".into(), model: "btc".into() }
}

/// Noon of a day.
fn day(day: u64) -> Timestamp {
    Timestamp::EPOCH.plus(day * 86_400)
}

fn version(name: &str, act: VersionAct) -> Request {
    Request::Version(VersionChange {
        model: model(),
        version: name.to_owned(),
        act,
        seen: None,
        actor: "ann".into(),
        at: day(0),
        reason: String::new(),
    })
}

fn trial(name: &str, act: ExperimentAct) -> Request {
    Request::Experiment(ExperimentChange {
        model: model(),
        version: name.to_owned(),
        act,
        seen: None,
        actor: "ann".into(),
        at: day(0),
        reason: String::new(),
    })
}

fn register(champion: bool) -> VersionAct {
    VersionAct::Register(Box::new(Registration { champion, ..Registration::default() }))
}

fn start(design: Design, again: bool) -> ExperimentAct {
    let fraction = if design == Design::Shadow { 0.0 } else { 0.1 };
    ExperimentAct::Start(Plan {
        design,
        fraction,
        ramp: None,
        margin: 0.0,
        block: 20,
        end: None,
        affected: false,
        again,
    })
}

const PROMOTE: VersionAct = VersionAct::Promote { again: false };

/// What came of it: what the host says, or the word of its refusal.
fn word(ruled: &Ruled) -> &str {
    ruled.refusal.as_ref().map_or(ruled.says.as_str(), |refusal| &refusal.kind)
}

/// Does one after the other; all of them are done.
fn after(requests: &[Request]) -> Registry {
    let mut registry = Registry::default();
    for (place, request) in requests.iter().enumerate() {
        let ruled = registry.take(request, day(place as u64));
        assert_eq!(ruled.refusal, None, "{}", request.name());
    }
    registry
}

/// A registry in which `v2` has a stage, and `v1` has served, or serves.
fn with_stage(stage: Stage) -> Registry {
    let mut requests = vec![version("v1", register(true)), version("v2", register(false))];
    requests.extend(match stage {
        Stage::Candidate | Stage::Deleted => vec![],
        Stage::Shadow => vec![trial("v2", start(Design::Shadow, false))],
        Stage::Canary => vec![trial("v2", start(Design::Canary, false))],
        Stage::Production => vec![version("v2", PROMOTE)],
        Stage::Archived => vec![version("v2", VersionAct::Archive)],
        Stage::Degraded => vec![version("v2", VersionAct::MarkDegraded)],
    });
    let mut registry = after(&requests);
    if stage == Stage::Deleted {
        delete(&mut registry, "v2").expect("not protected");
    }
    assert_eq!(registry.versions["v2"].stage, stage);
    registry
}

/// Has a version deleted as a person does: a plan, and its approval.
fn delete(registry: &mut Registry, name: &str) -> Result<(), String> {
    let line = PlanLine { version: name.to_owned(), fate: Fate::Delete, reason: "old".into(), size_bytes: 7 };
    let plan = Proposed::Cleanup { plan: vec![line] };
    registry.propose(&model(), plan, (None, "d1", "old"), day(50));
    let proposal = registry.proposals.last().cloned().expect("proposed");
    let ruled = registry.take(&answer(&proposal.id, proposal.shown, true), day(50));
    match (&ruled.refusal, ruled.says.starts_with("1 deleted")) {
        (None, true) => Ok(()),
        _ => Err(word(&ruled).to_owned()),
    }
}

fn answer(proposal: &str, shown: Digest, approved: bool) -> Request {
    Request::Answer(Approval {
        model: model(),
        proposal: proposal.to_owned(),
        shown,
        approved,
        only: Vec::new(),
        actor: "bob".into(),
        at: day(0),
        reason: "looked at it".into(),
    })
}

/// Something that a person does, by name.
type Deed = (&'static str, fn() -> Request);

/// The design's table, row by row: what becomes of `v2` in each stage by each event that a person can bring about. `-`: it
/// stays as it is, and that is no refusal.
#[test]
fn every_cell_of_the_table() {
    let events: [Deed; 9] = [
        ("shadow", || trial("v2", start(Design::Shadow, false))),
        ("canary", || trial("v2", start(Design::Canary, false))),
        ("fraction", || trial("v2", ExperimentAct::Fraction(0.3))),
        ("pause", || trial("v2", ExperimentAct::Pause)),
        ("promote", || version("v2", PROMOTE)),
        ("stop", || trial("v2", ExperimentAct::Stop)),
        ("roll back", || version("v2", VersionAct::Rollback)),
        ("archive", || version("v2", VersionAct::Archive)),
        ("degrade", || version("v2", VersionAct::MarkDegraded)),
    ];
    #[rustfmt::skip]
    let table: [(Stage, [&str; 9]); 7] = [
        (Stage::Candidate,  ["shadow", "canary", "wrong-stage", "wrong-stage", "production", "wrong-stage", "wrong-stage", "archived", "degraded"]),
        (Stage::Shadow,     ["-", "canary", "wrong-stage", "-", "production", "archived", "wrong-stage", "in-use", "degraded"]),
        (Stage::Canary,     ["wrong-stage", "occupied", "-", "-", "production", "archived", "wrong-stage", "in-use", "degraded"]),
        (Stage::Production, ["wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "-", "wrong-stage", "-", "in-use", "-"]),
        (Stage::Archived,   ["shadow", "canary", "wrong-stage", "wrong-stage", "production", "wrong-stage", "production", "-", "degraded"]),
        (Stage::Degraded,   ["wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "archived", "-"]),
        (Stage::Deleted,    ["wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage", "wrong-stage"]),
    ];
    for (stage, row) in table {
        for ((name, event), expected) in events.iter().zip(row) {
            let mut registry = with_stage(stage);
            let before = registry.clone();
            let ruled = registry.take(&event(), day(60));
            let found = match &ruled.refusal {
                Some(refusal) => {
                    assert_eq!(registry, before, "{stage} {name}: a refusal changes nothing");
                    refusal.kind.clone()
                }
                None => match registry.versions["v2"].stage {
                    same if same == stage => "-".to_owned(),
                    moved => moved.name().to_owned(),
                },
            };
            assert_eq!(found, expected, "{stage} {name}");
        }
    }
    // Deleting is not a person's act of its own: a plan is approved.
    for (stage, expected) in [
        (Stage::Candidate, Ok(())),
        (Stage::Shadow, Err(())),
        (Stage::Canary, Err(())),
        (Stage::Production, Err(())),
        (Stage::Archived, Ok(())),
        (Stage::Degraded, Ok(())),
    ] {
        assert_eq!(delete(&mut with_stage(stage), "v2").map_err(|_| ()), expected, "{stage}");
    }
    // With `--again` a degraded version is tried, and serves.
    for request in [
        trial("v2", start(Design::Shadow, true)),
        trial("v2", start(Design::Canary, true)),
        version("v2", VersionAct::Promote { again: true }),
    ] {
        assert_eq!(with_stage(Stage::Degraded).take(&request, day(60)).refusal, None, "{}", request.name());
    }
}

#[test]
fn the_table_of_events_is_whole() {
    let stages = [
        Stage::Candidate,
        Stage::Shadow,
        Stage::Canary,
        Stage::Production,
        Stage::Archived,
        Stage::Degraded,
        Stage::Deleted,
    ];
    for stage in stages {
        for event in Event::ALL {
            let led = cell(stage, event);
            // What serves or is tried never goes away by an event of cleaning up, and what is deleted only comes back.
            if matches!(stage, Stage::Shadow | Stage::Canary | Stage::Production) {
                assert_ne!(led, Ok(Stage::Deleted), "{stage} {event:?}");
            }
            if stage == Stage::Deleted && !matches!(event, Event::Restore | Event::Delete) {
                assert_eq!(led, Err(ErrorKind::WrongStage), "{event:?}");
            }
        }
    }
}

#[test]
fn registering_twice_is_the_same_and_never_another() {
    let mut registry = after(&[version("v1", register(true))]);
    let again = registry.take(&version("v1", register(true)), day(1));
    assert_eq!((again.refusal.clone(), again.revision), (None, 1), "{}", word(&again));
    assert_eq!(word(&registry.take(&version("v1", register(false)), day(1))), "conflict");
    assert_eq!(word(&registry.take(&version("v2", register(true)), day(1))), "occupied");
    assert_eq!(word(&registry.take(&version("v3", PROMOTE), day(1))), "not-found");
}

/// Each rollback goes one further back and never to the version just left.
#[test]
fn rollback_goes_further_back_each_time() {
    let mut registry = after(&[
        version("v1", register(true)),
        version("v2", register(false)),
        version("v3", register(false)),
        version("v2", PROMOTE),
        version("v3", PROMOTE),
    ]);
    let back = || version("", VersionAct::Rollback);
    assert_eq!((registry.champion(), registry.previous()), (Some("v3"), Some("v2")));
    assert_eq!(registry.take(&back(), day(10)).refusal, None);
    assert_eq!((registry.champion(), registry.previous()), (Some("v2"), Some("v1")));
    assert_eq!(registry.versions["v3"].stage, Stage::Degraded);
    assert_eq!(registry.take(&back(), day(11)).refusal, None);
    assert_eq!(registry.champion(), Some("v1"));
    assert_eq!(word(&registry.take(&back(), day(12))), "no-previous");
    assert_eq!(word(&registry.take(&version("v3", PROMOTE), day(12))), "wrong-stage");
    assert_eq!(registry.take(&version("v3", VersionAct::Promote { again: true }), day(12)).refusal, None);
    let served = |at| registry.served_at(day(at)).map(|reign| reign.version.as_str());
    assert_eq!(
        [served(0), served(3), served(4), served(10), served(11), served(12)],
        [Some("v1"), Some("v2"), Some("v3"), Some("v2"), Some("v1"), Some("v3")]
    );
}

#[test]
fn of_two_who_act_on_the_same_revision_one_is_told_so() {
    let mut registry = after(&[version("v1", register(true)), version("v2", register(false))]);
    let at = |seen: u64, act: VersionAct| match version("v2", act) {
        Request::Version(change) => Request::Version(VersionChange { seen: Some(seen), ..change }),
        other => other,
    };
    assert_eq!(registry.take(&at(2, PROMOTE), day(3)).refusal, None);
    assert_eq!(word(&registry.take(&at(2, VersionAct::Archive), day(3))), "stale");
}

#[test]
fn one_version_serves_a_share_and_promoting_ends_all_experiments() {
    let mut registry = after(&[
        version("v1", register(true)),
        version("v2", register(false)),
        version("v3", register(false)),
        trial("v2", start(Design::Canary, false)),
        trial("v3", start(Design::Shadow, false)),
    ]);
    assert_eq!(word(&registry.take(&trial("v3", start(Design::Canary, false)), day(6))), "occupied");
    assert_eq!(registry.challenger(), Some("v2"));
    assert_eq!(registry.take(&trial("v2", ExperimentAct::Promote), day(6)).refusal, None);
    assert!(registry.trials.is_empty());
    let ended: Vec<_> = registry.ended.iter().map(|e| (e.trial.version.as_str(), e.outcome)).collect();
    assert_eq!(ended, [("v2", Outcome::Promoted), ("v3", Outcome::Stopped)]);
    assert_eq!(registry.versions["v1"].stage, Stage::Archived);
}

#[test]
fn time_that_is_paused_does_not_count_and_a_new_experiment_is_another() {
    let mut registry = after(&[
        version("v1", register(true)),
        version("v2", register(false)),
        trial("v2", start(Design::Canary, false)),
    ]);
    let salt = registry.trials["v2"].salt(&model());
    registry.take(&trial("v2", ExperimentAct::Pause), day(5));
    assert_eq!(registry.trials["v2"].share(), 0.0);
    registry.take(&trial("v2", ExperimentAct::Resume), day(9));
    assert_eq!((registry.trials["v2"].share(), registry.trials["v2"].age(day(10))), (0.1, 4 * 86_400));
    assert_eq!(registry.trials["v2"].salt(&model()), salt);
    registry.take(&trial("v2", ExperimentAct::Stop), day(10));
    registry.take(&trial("v2", start(Design::Canary, false)), day(11));
    assert_ne!(registry.trials["v2"].salt(&model()), salt);
}

fn promotion(registry: &mut Registry, at: u64) -> Put {
    registry.propose(&model(), Proposed::Promote { version: "v2".into() }, (None, "d1", "better"), day(at))
}

#[test]
fn a_proposal_is_bound_to_what_was_shown() {
    let mut registry = after(&[
        version("v1", register(true)),
        version("v2", register(false)),
        trial("v2", start(Design::Canary, false)),
    ]);
    let Put::New(id) = promotion(&mut registry, 4) else { panic!("new") };
    assert_eq!(promotion(&mut registry, 5), Put::Waits(id.clone()), "the same again is the same");
    let shown = registry.proposals[0].shown;
    let before = registry.clone();
    assert_eq!(word(&registry.take(&answer(&id, Digest::of(b"other"), true), day(5))), "stale");
    assert_eq!(word(&registry.take(&answer("p0", shown, true), day(5))), "not-found");
    assert_eq!(registry, before);
    assert_eq!(registry.take(&answer(&id, shown, true), day(5)).refusal, None);
    assert_eq!(registry.champion(), Some("v2"));
    assert_eq!(word(&registry.take(&answer(&id, shown, true), day(5))), "answered");

    // Somebody else was faster in another way.
    let mut registry = before.clone();
    registry.take(&trial("v2", ExperimentAct::Stop), day(5));
    assert_eq!(word(&registry.take(&answer(&id, shown, true), day(5))), "stale");
    // Nobody answered in time.
    let mut registry = before.clone();
    assert_eq!(word(&registry.take(&answer(&id, shown, true), day(8))), "stale");
    // A person said no: not again for a day.
    let mut registry = before;
    assert_eq!(registry.take(&answer(&id, shown, false), day(5)).refusal, None);
    assert_eq!(promotion(&mut registry, 5), Put::Refused(id.clone()));
    assert_eq!(promotion(&mut registry, 7), Put::New(id));
}

#[test]
fn a_cleanup_takes_what_was_planned_and_nothing_else() {
    let mut registry = after(&[
        version("v1", register(true)),
        version("c1", register(false)),
        version("c2", register(false)),
        version("c3", register(false)),
    ]);
    let line =
        |name: &str, fate| PlanLine { version: name.to_owned(), fate, reason: "r".into(), size_bytes: 10 };
    let plan = || Proposed::Cleanup {
        plan: vec![
            line("c3", Fate::Keep),
            line("c2", Fate::Delete),
            line("c1", Fate::Delete),
            line("v1", Fate::Keep),
        ],
    };
    let Put::New(id) = registry.propose(&model(), plan(), (None, "d", "r"), day(9)) else { panic!("new") };
    let shown = registry.proposals[0].shown;
    let only = |names: &[&str]| match answer(&id, shown, true) {
        Request::Answer(answer) => Request::Answer(Approval {
            only: names.iter().map(|name| (*name).to_owned()).collect(),
            ..answer
        }),
        other => other,
    };
    for other in ["v1", "c3", "nosuch"] {
        assert_eq!(word(&registry.take(&only(&["c1", other]), day(9))), "not-in-plan", "{other}");
    }
    assert_eq!(registry.versions["c1"].stage, Stage::Candidate, "nothing was done");
    // Somebody pins one: what was shown is not what there is.
    let mut pinned = registry.clone();
    pinned.take(&version("c2", VersionAct::Pin), day(9));
    assert_eq!(word(&pinned.take(&only(&[]), day(9))), "stale");

    let ruled = registry.take(&only(&["c1"]), day(9));
    assert_eq!(word(&ruled), "1 deleted, 10 bytes predicted");
    let stages = ["c1", "c2", "c3"].map(|name| registry.versions[name].stage);
    assert_eq!(stages, [Stage::Deleted, Stage::Candidate, Stage::Candidate]);
    assert_eq!(word(&registry.take(&only(&["c2"]), day(9))), "answered", "a subset closes the plan");
    registry.take(&version("c1", VersionAct::Restore), day(10));
    assert_eq!(registry.versions["c1"].stage, Stage::Candidate);
}

#[test]
fn what_is_protected_says_so() {
    let mut registry = after(&[
        version("v1", register(true)),
        version("v2", register(false)),
        version("v2", PROMOTE),
        version("v3", register(false)),
        version("v4", register(false)),
        version("v4", VersionAct::Pin),
        trial("v3", start(Design::Canary, false)),
    ]);
    for (name, protections) in [
        ("v1", vec![Protection::PreviousChampion]),
        ("v2", vec![Protection::Champion]),
        ("v3", vec![Protection::Challenger, Protection::Experiment]),
        ("v4", vec![Protection::Pinned]),
    ] {
        assert_eq!(registry.protections(name), protections, "{name}");
        assert!(delete(&mut registry, name).is_err(), "{name}");
    }
}

fn any_request() -> impl Strategy<Value = Request> {
    let name = prop::sample::select(vec!["v1", "v2", "v3", "v4"]);
    let act = prop::sample::select((0..17).collect::<Vec<u8>>());
    (name, act).prop_map(|(name, act)| match act {
        0 => version(name, register(true)),
        1 => version(name, register(false)),
        2 => version(name, PROMOTE),
        3 => version(name, VersionAct::Promote { again: true }),
        4 => version("", VersionAct::Rollback),
        5 => version(name, VersionAct::Rollback),
        6 => version(name, VersionAct::Archive),
        7 => version(name, VersionAct::MarkDegraded),
        8 => version(name, VersionAct::ClearDegraded),
        9 => version(name, VersionAct::Pin),
        10 => version(name, VersionAct::Restore),
        11 => trial(name, start(Design::Shadow, false)),
        12 => trial(name, start(Design::Canary, true)),
        13 => trial(name, ExperimentAct::Fraction(0.4)),
        14 => trial(name, ExperimentAct::Pause),
        15 => trial(name, ExperimentAct::Stop),
        _ => trial(name, ExperimentAct::Promote),
    })
}

/// What holds whatever happens.
fn check_invariants(registry: &Registry) {
    let in_production: Vec<_> = registry
        .versions
        .iter()
        .filter(|(_, known)| known.stage == Stage::Production)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(in_production.first().map(|name| name.as_str()), registry.champion(), "one champion, or none");
    assert!(in_production.len() <= 1, "{in_production:?}");
    assert!(registry.trials.values().filter(|trial| trial.serves()).count() <= 1);
    for (name, trial) in &registry.trials {
        let stage = registry.versions[name].stage;
        let expected = if trial.serves() { Stage::Canary } else { Stage::Shadow };
        assert_eq!(stage, expected, "{name}");
        assert_eq!(Some(trial.champion.as_str()), registry.champion(), "it is held against what serves");
    }
    for (name, known) in &registry.versions {
        let is_tried = matches!(known.stage, Stage::Shadow | Stage::Canary);
        assert_eq!(is_tried, registry.trials.contains_key(name), "{name} is {}", known.stage);
        assert!(!known.marked || known.stage == Stage::Production, "{name}");
    }
    if let Some(previous) = registry.previous() {
        assert_eq!(registry.versions[previous].stage, Stage::Archived);
        assert_ne!(Some(previous), registry.champion());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    /// Random walks: what is refused changes nothing, what is done raises the revision by one, and the rest holds.
    #[test]
    fn whatever_happens_the_registry_is_whole(
        requests in prop::collection::vec(any_request(), 1..40),
        proposals in prop::collection::vec(any::<bool>(), 40)
    ) {
        let mut registry = Registry::default();
        for (place, (request, propose)) in requests.iter().zip(proposals).enumerate() {
            let now = day(place as u64);
            if propose && registry.trials.contains_key("v2") {
                promotion(&mut registry, place as u64);
            }
            let before = registry.clone();
            let ruled = registry.take(request, now);
            if ruled.refusal.is_some() {
                prop_assert_eq!(&registry, &before);
            }
            prop_assert!(ruled.revision == before.revision || ruled.revision == before.revision + 1);
            prop_assert_eq!(ruled.revision == before.revision, registry == before, "{}", request.name());
            check_invariants(&registry);
            let json = serde_json::to_vec(&registry).expect("JSON");
            prop_assert_eq!(&serde_json::from_slice::<Registry>(&json).expect("read"), &registry);
            for proposal in &registry.proposals {
                let is_open = proposal.state == ProposalState::Open;
                let about_v2 = matches!(&proposal.what, Proposed::Promote { version } if version == "v2");
                prop_assert!(!is_open || (about_v2 && registry.trials.contains_key("v2")), "{:?}", proposal.state);
            }
        }
    }
}
