//! Retrains as a specification: every state with every event, who joins whom, and when nothing is begun any more.

use trimtab_types::{
    Registration, Request, RetrainAct, RetrainCause, RetrainChange, RetrainMode, RunState, Stage, Timestamp,
    TrainerEnd, TrainerEvent, TrainerReport, VersionAct, VersionChange,
};

use super::{FAILURES, MOST_RUNS, WAITS, run_id};
use crate::{
    Configuration,
    lifecycle::{Registry, Setting},
};

const ON: &str = "[safeguards.retrain]\nenabled = true\ntenants = [\"*\"]\n[[models]]\nmodel = \"*\"\nretrain = true\n[[trainers]]\nmodel = \"*\"\ncommand = [\"train\"]\n";

fn model() -> trimtab_types::ModelKey {
    trimtab_types::ModelKey { tenant: "default".into(), model: "m".into() }
}

fn at(seconds: u64) -> Timestamp {
    Timestamp::EPOCH.plus(seconds)
}

fn change(act: RetrainAct, seconds: u64) -> Request {
    Request::Retrain(RetrainChange {
        model: model(),
        act,
        actor: "ann".into(),
        at: at(seconds),
        wall: None,
        reason: "a test".into(),
    })
}

fn report(run: &str, event: TrainerEvent) -> Request {
    Request::Trainer(TrainerReport { model: model(), run: run.to_owned(), at: at(0), event })
}

fn ended(end: TrainerEnd) -> TrainerEvent {
    TrainerEvent::Ended { end, took: 60, cost: Some(2.0), said: "done".into() }
}

fn trained(version: &str) -> TrainerEvent {
    let metric = trimtab_types::Metric {
        name: "accuracy".into(),
        estimate: trimtab_types::Estimate { value: 0.8, samples: 10, interval: None, from_outcomes: true },
    };
    let registration = Box::new(Registration { metrics: vec![metric], ..Registration::default() });
    ended(TrainerEnd::Trained { version: version.to_owned(), registration })
}

/// Takes a request at a time under a configuration; what the host says, or the word of its refusal.
fn take(registry: &mut Registry, request: &Request, seconds: u64, config: &str) -> String {
    let configuration = Configuration::parse(config, "test").expect("valid");
    let ruled = registry.take(request, Setting::of(&configuration, &model(), at(seconds)));
    ruled.refusal.map_or(ruled.says, |refusal| format!("{}: {}", refusal.kind, refusal.problem))
}

/// A registry in which `v1` serves.
fn serving() -> Registry {
    let mut registry = Registry::default();
    let registration = Box::new(Registration { champion: true, ..Registration::default() });
    let request = Request::Version(VersionChange {
        model: model(),
        version: "v1".into(),
        act: VersionAct::Register(registration),
        seen: None,
        actor: "ann".into(),
        at: at(0),
        reason: String::new(),
    });
    assert_eq!(registry.take(&request, at(0)).refusal, None);
    registry
}

/// A registry whose only run stands so, and its id.
fn with_run(state: RunState) -> (Registry, String) {
    let mut registry = serving();
    take(&mut registry, &change(RetrainAct::Now, 10), 10, ON);
    registry.runs[0].state = state;
    let id = registry.runs[0].id.clone();
    (registry, id)
}

const STATES: [RunState; 10] = [
    RunState::Starting,
    RunState::Running,
    RunState::Expired,
    RunState::Failed,
    RunState::TimedOut,
    RunState::Cancelled,
    RunState::Lost,
    RunState::NoModel,
    RunState::Rejected,
    RunState::Validated,
];

#[test]
fn every_state_answers_every_event() {
    let why = || "it happens".to_owned();
    #[rustfmt::skip]
    let events = [
        (TrainerEvent::Started,                                RunState::Running),
        (ended(TrainerEnd::NoModel),                           RunState::NoModel),
        (ended(TrainerEnd::Failed { why: why() }),             RunState::Failed),
        (ended(TrainerEnd::TimedOut { why: why() }),           RunState::TimedOut),
        (ended(TrainerEnd::Cancelled { why: why() }),          RunState::Cancelled),
        (ended(TrainerEnd::Lost),                              RunState::Lost),
        (trained("v2"),                                        RunState::Validated),
        (trained("v1"),                                        RunState::Failed),
    ];
    for state in STATES {
        for (event, leads_to) in &events {
            let (mut registry, id) = with_run(state);
            let before = registry.clone();
            let said = take(&mut registry, &report(&id, event.clone()), 20, ON);
            if state.is_active() {
                assert_eq!(registry.runs[0].state, *leads_to, "{state} {event:?}: {said}");
                let is_failure = u32::from(leads_to.is_failure());
                assert_eq!(registry.failed_runs, is_failure, "{state} {event:?}");
            } else {
                assert!(said.starts_with("answered: "), "{state} {event:?}: {said}");
                assert_eq!(registry, before, "a result that comes too late changes nothing");
            }
        }
        let (mut registry, _) = with_run(state);
        let joined = take(&mut registry, &change(RetrainAct::Now, 30), 30, ON);
        assert_eq!(joined.starts_with("joined"), state.is_active(), "{state}: {joined}");
        assert_eq!(registry.runs.len(), if state.is_active() { 1 } else { 2 });
        let (mut registry, id) = with_run(state);
        let cancelled = take(&mut registry, &change(RetrainAct::Cancel { run: id }, 30), 30, ON);
        let word = if state.is_active() { "run" } else { "wrong-stage: " };
        assert!(cancelled.starts_with(word), "{state}: {cancelled}");
    }
    let (mut registry, _) = with_run(RunState::Running);
    let unknown = take(&mut registry, &report("r-0", TrainerEvent::Started), 20, ON);
    assert!(unknown.starts_with("not-found: "), "{unknown}");
}

#[test]
fn what_a_run_brought_is_remembered_and_tried() {
    let (mut registry, id) = with_run(RunState::Running);
    let said = take(&mut registry, &report(&id, trained("v2")), 20, ON);
    assert!(said.contains("registered") && said.contains("in shadow"), "{said}");
    assert_eq!(registry.versions["v2"].stage, Stage::Shadow);
    let run = &registry.runs[0];
    assert_eq!((run.version.as_deref(), run.took, run.cost), (Some("v2"), 60, Some(2.0)));
    assert_eq!((run.ended, run.said.as_str()), (Some(at(20)), "done"));
    // Where nothing serves, there is nothing to hold it against, and that is said.
    let mut registry = Registry::default();
    take(&mut registry, &change(RetrainAct::Now, 10), 10, ON);
    let id = registry.runs[0].id.clone();
    let said = take(&mut registry, &report(&id, trained("v2")), 20, ON);
    assert!(said.contains("not tried") && said.contains("promote one"), "{said}");
    assert_eq!(registry.versions["v2"].stage, Stage::Candidate);
}

#[test]
fn every_switch_that_is_off_is_named() {
    let off = take(&mut serving(), &change(RetrainAct::Now, 10), 10, "");
    for part in ["refused: ", "retrain.enabled", "retrain.tenants", "own switch", "no trainer"] {
        assert!(off.contains(part), "{off}");
    }
    let trainer = ON.replace("[[trainers]]\nmodel = \"*\"", "[[trainers]]\nmodel = \"other\"");
    let none = take(&mut serving(), &change(RetrainAct::Now, 10), 10, &trainer);
    assert!(none.starts_with("refused: no trainer is configured for `m`"), "{none}");
}

#[test]
fn failures_in_a_row_stop_retrains_until_a_person_says_so() {
    let mut registry = serving();
    for n in 0..FAILURES {
        let now = u64::from(n) * 100;
        let said = take(&mut registry, &change(RetrainAct::Now, now), now, ON);
        assert!(said.starts_with("run "), "{said}");
        let id = registry.runs.last().expect("a run").id.clone();
        take(&mut registry, &report(&id, ended(TrainerEnd::Lost)), now + 1, ON);
    }
    let refused = take(&mut registry, &change(RetrainAct::Now, 1_000), 1_000, ON);
    assert!(refused.contains("3 runs in a row failed"), "{refused}");
    assert_eq!(
        take(&mut registry, &change(RetrainAct::CloseBreaker, 1_001), 1_001, ON),
        "retrains are begun again"
    );
    let nothing = take(&mut registry, &change(RetrainAct::CloseBreaker, 1_002), 1_002, ON);
    assert!(nothing.contains("no retrain has failed"), "{nothing}");
    assert!(take(&mut registry, &change(RetrainAct::Now, 1_003), 1_003, ON).starts_with("run "));
}

#[test]
fn a_run_that_nobody_takes_is_over() {
    let (mut registry, _) = with_run(RunState::Starting);
    assert_eq!(registry.expire_run(at(10 + WAITS - 1)), None);
    let expired = registry.expire_run(at(10 + WAITS)).expect("over");
    assert_eq!((expired.state, registry.active_run()), (RunState::Expired, None));
    let (mut running, _) = with_run(RunState::Running);
    assert_eq!(running.expire_run(at(10 * WAITS)), None, "whoever watches it says when it is over");
}

#[test]
fn ids_depend_on_the_model_and_the_time_alone_and_old_runs_are_forgotten() {
    let mut registry = serving();
    let mut ids = std::collections::BTreeSet::new();
    for n in 0..MOST_RUNS + 5 {
        // Two at each time.
        let now = n as u64 / 2;
        let cause = RetrainCause {
            mode: RetrainMode::Emergency,
            by: "ladder".into(),
            reason: String::new(),
            threshold: None,
            segment: String::new(),
        };
        let configuration = Configuration::parse(ON, "test").expect("valid");
        let setting = Setting::of(&configuration, &model(), at(now));
        registry.begin_run(&model(), cause, at(now), &setting).expect("begins");
        let run = registry.runs.last_mut().expect("a run");
        assert_eq!(run.id, run_id(&model(), at(now), n as u64 % 2));
        run.state = RunState::NoModel;
        ids.insert(run.id.clone());
    }
    assert_eq!((ids.len(), registry.runs.len()), (MOST_RUNS + 5, MOST_RUNS));
}
