//! The step as a specification: scripts of entries and answers. What is about one model depends on nothing that another
//! model does.

use std::sync::Arc;

use proptest::prelude::*;
use trimtab_types::{
    Act, Action, Actual, Answer, AppliesTo, Ask, Asked, Asking, Baseline, Change, Decision, DecisionRecord,
    Digest, Entry, FailureKind, Features, Globs, LogLevel, LogLine, Mode, ModelKey, OperatorAct, Outcome,
    PolicyInForce, PolicyKind, PolicyRef, PolicySetEntry, Position, Predicted, Prediction, Record,
    Resolution, Rules, Severity, Subject, Timestamp, Trade,
};

use super::{Output, Prepared, step};
use crate::{
    Configuration, InForce,
    fold::{self, State, StateChange, StateKey},
};

/// Answers as a script says.
struct Script<F>(F);

impl<F: FnMut(&Asking<'_>) -> Asked> Ask for Script<F> {
    fn ask(&mut self, asking: &Asking<'_>) -> Asked {
        (self.0)(asking)
    }
}

/// Fails about models whose name begins with `bad`, and monitors the others.
fn fails_on_bad(asking: &Asking<'_>) -> Asked {
    if asking.subject.model.starts_with("bad") {
        return Asked::failed(FailureKind::Trap, "it always does".to_owned());
    }
    Asked::of(Answer::Decision(Decision {
        actions: vec![Action::Monitor, Action::Alert(Severity::High)],
        reason: format!("{} findings at {}", asking.subject.model, asking.at),
    }))
}

fn policy() -> PolicyRef {
    PolicyRef { name: "script".to_owned(), digest: Digest::of(b"script") }
}

/// One policy in force, which is asked about everything.
fn prepared(config: &str) -> Prepared {
    let configuration = Configuration::parse(config, "test").expect("valid");
    Prepared { configuration: Some(Arc::new(configuration)), policies: vec![in_force("script", None, true)] }
}

/// A policy that is asked about everything; how it is asked again.
fn in_force(name: &str, reconsider: Option<u32>, asked_on_swap: bool) -> InForce {
    let any = || Globs::new(&["*".to_owned()]);
    let rules = Rules {
        kinds: vec![PolicyKind::DriftAction],
        mode: Mode::Enforce,
        order: 0,
        channels: any(),
        applies_to: AppliesTo {
            tenant: any(),
            model: any(),
            segment: any(),
            detector: any(),
            severity: Severity::Info,
        },
        fail_safe: vec![Action::Monitor],
        reconsider,
        asked_on_swap,
        repeat: None,
    };
    let entry = PolicyInForce {
        policy: PolicyRef { name: name.to_owned(), ..policy() },
        mode: Mode::Enforce,
        order: 0,
        kinds: vec!["drift-action".to_owned()],
        rollout: None,
        signed: None,
    };
    InForce::new(entry, Ok(rules), |_, _| Err(())).expect("there is no version before it")
}

const CONFIG: &str = "\
[breaker]
failures = 2
pause = \"1h\"
[detectors.e-sr]
run-length = 200
block = 1
inflation = 1
early-sign = false
recovery = 100
[[models]]
model = \"*\"
stage = \"act\"
";

fn subject(model: &str) -> Subject {
    Subject { tenant: "default".into(), model: model.into(), version: "v1".into(), segment: String::new() }
}

fn baseline(model: &str) -> Entry {
    Entry::Baseline(Baseline::given(subject(model), 5_000, 0.9).into())
}

/// A prediction whose outcome has come first.
fn row(model: &str, n: u64, time: u64, right: bool) -> (Entry, Option<Resolution>) {
    let prediction = Prediction {
        id: n.to_string(),
        subject: Arc::new(subject(model)),
        time: Timestamp::EPOCH.plus(time),
        predicted: Predicted::Binary(0.9),
        confidence: None,
        interval: None,
        features: Features::default(),
        trade: Trade::default(),
        served: true,
        horizon: None,
    };
    let outcome = Outcome {
        tenant: "default".into(),
        model: model.into(),
        id: n.to_string(),
        time: Timestamp::EPOCH.plus(time),
        actual: Some(Actual::Label(i64::from(right))),
        exit_price: None,
        pnl: None,
        correction: false,
    };
    (Entry::Prediction(prediction), Some(Resolution::By(Box::new(outcome))))
}

/// What happens to one model or to all of them.
#[derive(Debug, Clone)]
enum Event {
    /// Rows of a model, right or wrong, at this time.
    Rows { model: &'static str, time: u64, right: bool, count: u64 },
    /// Time passes for all.
    Tick(u64),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let model = prop_oneof![Just("good"), Just("bad"), Just("bad-too")];
    let time = prop_oneof![9 => 0_u64..100_000, 1 => Just(400_000_000_u64)];
    let rows = (model, time, any::<bool>(), 1_u64..40).prop_map(|(model, time, right, count)| Event::Rows {
        model,
        time,
        right,
        count,
    });
    proptest::collection::vec(prop_oneof![6 => rows, 1 => (0_u64..100_000).prop_map(Event::Tick)], 1..60)
}

/// Folds the events of the models that are wanted, and lets the others pass.
fn folded(events: &[Event], wanted: impl Fn(&str) -> bool) -> (State, Output) {
    let mut state = State::default();
    let mut output = Output::default();
    let mut position = 0;
    let mut take = |entry: Entry, resolves, prepared: Option<Prepared>| {
        position += 1;
        let record = Record::new(Position(position), entry, resolves);
        if record.entry.model().is_none_or(|(_, model)| wanted(model)) {
            output.append(step(&mut state, &record, prepared, &mut Script(fails_on_bad)));
        } else {
            fold::passed(&mut state, record.position);
        }
    };
    let change = Change { at: Timestamp::EPOCH, by: "test".into(), reason: String::new() };
    let set = PolicySetEntry { change: Some(change), ..PolicySetEntry::default() };
    take(Entry::PolicySet(set), None, Some(prepared(CONFIG)));
    for model in ["good", "bad", "bad-too"] {
        take(baseline(model), None, None);
    }
    let mut n = 0;
    for event in events {
        match event {
            Event::Tick(at) => take(Entry::Tick(Timestamp::EPOCH.plus(*at)), None, None),
            Event::Rows { model, time, right, count } => {
                for _ in 0..*count {
                    n += 1;
                    let (entry, resolves) = row(model, n, *time, *right);
                    take(entry, resolves, None);
                }
            }
        }
    }
    (state, output)
}

/// What came about one model, and all that is kept of it.
fn of_model(state: &mut State, output: &Output, model: &str) -> (String, Vec<StateChange>) {
    let findings: Vec<_> = output.findings().filter(|finding| finding.subject.model == model).collect();
    let decisions: Vec<_> = output
        .decisions
        .iter()
        .filter(|decision| decision.subject.model == model)
        .map(DecisionRecord::without_measurements)
        .collect();
    let parts = state.take_touched().expect("can be stored");
    let about = |key: &StateKey| key.model().is_some_and(|key| key.model == model);
    (format!("{findings:#?}\n{decisions:#?}"), parts.into_iter().filter(|(key, _)| about(key)).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Rows of tomorrow, a policy that fails, a flood: what another model does changes not one byte of a model.
    #[test]
    fn what_another_model_does_changes_nothing(events in events()) {
        for model in ["good", "bad", "bad-too"] {
            let (mut all, of_all) = folded(&events, |_| true);
            let (mut alone, of_one) = folded(&events, |name| name == model);
            prop_assert_eq!(of_model(&mut all, &of_all, model), of_model(&mut alone, &of_one, model));
        }
    }
}

/// Rows that open, and open again, findings on a model, at this time.
fn drifts(model: &'static str, from: u64) -> Vec<Event> {
    (0..6)
        .map(|part| Event::Rows { model, time: from + part * 100, right: part % 2 == 1, count: 120 })
        .collect()
}

fn answers(output: &Output, model: &str) -> Vec<&'static str> {
    answers_of(output, |decision| decision.subject.model == model)
}

fn answers_of(output: &Output, wanted: impl Fn(&DecisionRecord) -> bool) -> Vec<&'static str> {
    let wanted = output.decisions.iter().filter(|decision| wanted(decision));
    wanted
        .map(|decision| match &decision.answer {
            Answer::Failed(failure) => failure.kind.name(),
            Answer::Decision(_) => "decided",
            _ => "said",
        })
        .collect()
}

#[test]
fn failures_about_one_model_take_the_policy_from_no_other() {
    let events = [drifts("bad", 0), drifts("good", 1_000)].concat();
    let (state, output) = folded(&events, |_| true);
    let bad = answers(&output, "bad");
    assert_eq!(bad[..3], ["trap", "trap", "circuit-open"], "{bad:?}");
    let good = answers(&output, "good");
    assert!(good.len() > 2 && good.iter().all(|answer| *answer == "decided"), "{good:?}");
    let failing = crate::Failing::of([&state]);
    assert_eq!(failing.len(), 1);
    assert_eq!((failing[0].about, failing[0].everywhere_until), (1, None));
}

#[test]
fn a_row_of_tomorrow_harms_its_own_model_only() {
    const TOMORROW: u64 = 86_400;
    let ahead = Event::Rows { model: "bad", time: TOMORROW, right: true, count: 1 };
    let (state, _) = folded(&[vec![ahead], drifts("good", 0)].concat(), |_| true);
    let clock = |model: &str| state.clock(&subject(model).model_key());
    assert_eq!(clock("bad"), Timestamp::EPOCH.plus(TOMORROW));
    assert!(clock("good") < Timestamp::EPOCH.plus(TOMORROW));
    assert_eq!(state.newest(), Timestamp::EPOCH.plus(TOMORROW));
}

/// What the host says of a version counts for all models, until then, and for that version only.
#[test]
fn a_version_that_is_left_alone_everywhere_is_asked_about_nothing() {
    let until = Timestamp::EPOCH.plus(500);
    let check = |left: PolicyRef, expected: &[&str]| {
        let mut state = State::default();
        let set = Entry::PolicySet(PolicySetEntry::default());
        let act = Entry::OperatorAct(OperatorAct {
            actor: "host".into(),
            at: Timestamp::EPOCH,
            act: Act::LeaveAlone { policy: left, until },
            reason: String::new(),
        });
        let mut ready = Some(prepared(CONFIG));
        let mut output = Output::default();
        let first = [(set, None), (act, None), (baseline("good"), None)];
        let rows = (0..240).map(|n| row("good", n, if n < 200 { 100 } else { 600 }, n >= 120));
        for ((entry, resolves), position) in first.into_iter().chain(rows).zip(1..) {
            let record = Record::new(Position(position), entry, resolves);
            output.append(step(&mut state, &record, ready.take(), &mut Script(fails_on_bad)));
        }
        let answers = answers(&output, "good");
        assert_eq!(answers[..expected.len().min(answers.len())], *expected, "{answers:?}");
    };
    check(policy(), &["circuit-open"]);
    check(PolicyRef { name: "script".into(), digest: Digest::of(b"another version") }, &["decided"]);
}

/// A model with something open, about which one policy answers so at the stage `act`.
fn with_something_open(stage: &str, actions: &[Action]) -> (State, Output) {
    let mut state = State::default();
    let mut output = Output::default();
    let set = (Entry::PolicySet(PolicySetEntry::default()), None);
    let rows = (0..240).map(|n| row("good", n, 100, n < 120));
    let mut ready = Some(prepared(&CONFIG.replace("\"act\"", stage)));
    for ((entry, resolves), position) in [set, (baseline("good"), None)].into_iter().chain(rows).zip(1..) {
        let record = Record::new(Position(position), entry, resolves);
        output.append(step(&mut state, &record, ready.take(), &mut Script(answers_with(actions))));
    }
    (state, output)
}

fn answers_with(actions: &[Action]) -> impl FnMut(&Asking<'_>) -> Asked {
    move |_| Asked::of(Answer::Decision(Decision { actions: actions.to_vec(), reason: String::new() }))
}

/// One more record; how often somebody was asked, and about which phases.
fn then(
    state: &mut State,
    entry: Entry,
    stage: Option<&str>,
    actions: &[Action],
) -> Vec<trimtab_types::Phase> {
    let record = Record::new(Position(state.position.0 + 1), entry, None);
    let ready = stage.map(|stage| prepared(&CONFIG.replace("\"act\"", stage)));
    let output = step(state, &record, ready, &mut Script(answers_with(actions)));
    let asked = output.decisions.iter().filter(|decision| decision.policy.is_some());
    asked
        .flat_map(|decision| match &decision.question {
            trimtab_types::Question::DriftAction { findings } => findings.clone(),
            _ => Vec::new(),
        })
        .map(|finding| finding.phase)
        .collect()
}

#[test]
fn where_the_stage_rises_policies_are_asked_again_about_what_is_open() {
    use trimtab_types::Phase;
    let kill = [Action::KillSwitchOn];
    let (mut state, _) = with_something_open("\"alert\"", &kill);
    let key = subject("good").model_key();
    assert!(state.models[&key].killed_by_policy.is_none(), "refused at this stage");
    let configuration = || Entry::Configuration(Digest::of(b"another"));
    assert_eq!(then(&mut state, configuration(), Some("\"alert\""), &kill), []);
    let asked = then(&mut state, configuration(), Some("\"protect\""), &kill);
    assert!(!asked.is_empty() && asked.iter().all(|phase| *phase == Phase::Raised), "{asked:?}");
    assert!(state.models[&key].killed_by_policy.is_some());
    assert_eq!(then(&mut state, configuration(), Some("\"alert\""), &kill), [], "lowering undoes nothing");
    assert!(state.models[&key].killed_by_policy.is_some());
}

#[test]
fn a_pause_ends_by_itself_or_by_a_person_and_what_is_open_is_asked_about() {
    const DAY: u64 = 86_400;
    let tick = |seconds| Entry::Tick(Timestamp::EPOCH.plus(seconds));
    // What is critical ends a pause, so the test is about what is not.
    let milder = [Action::Pause];
    let paused = || {
        let (mut state, _) = with_something_open("\"act\"", &milder);
        let about = subject("good");
        state.diary_mut(&about).paused = true;
        let pause = (about.version.clone(), about.segment.clone());
        state.model_mut(&about.model_key()).pauses.insert(pause, Timestamp::EPOCH.plus(DAY));
        state
    };
    let mut state = paused();
    assert_eq!(then(&mut state, tick(DAY - 1), None, &[]), []);
    assert!(!then(&mut state, tick(DAY), None, &[]).is_empty());
    assert!(!state.diaries[&subject("good")].paused);
    assert_eq!(then(&mut state, tick(DAY + 60), None, &[]), [], "once");

    let mut state = paused();
    let act = Act::Resume { model: subject("good").model_key() };
    let act = OperatorAct { actor: "ada".into(), at: Timestamp::EPOCH, act, reason: String::new() };
    assert!(!then(&mut state, Entry::OperatorAct(act), None, &[]).is_empty());
    assert!(!state.diaries[&subject("good")].paused);
}

/// A retrain that was decided has not begun: only what a trainer reports restarts the cooldown.
#[test]
fn cooldown_begins_when_the_trainer_does() {
    use trimtab_types::{RetrainAct, RetrainChange, TrainerEnd, TrainerEvent, TrainerReport};
    let key = ModelKey { tenant: "default".into(), model: "m".into() };
    let text = "[safeguards.retrain]\nenabled = true\ntenants = [\"*\"]\n[[models]]\nmodel = \"m\"\nretrain = true\n[[trainers]]\nmodel = \"m\"\ncommand = [\"train\"]\n";
    let configuration = Arc::new(Configuration::parse(text, "test").expect("valid"));
    let mut state = State { configuration, ..State::default() };
    let at = Timestamp::EPOCH.plus(10);
    let mut take = |entry: Entry| {
        let record = Record::new(Position(state.position.0 + 1), entry, None);
        step(&mut state, &record, None, &mut Script(fails_on_bad));
        let run = state.registries[&key].runs.last().cloned().expect("a run");
        (run.id, run.state.name(), state.models[&key].last_retrain.is_some())
    };
    let ask = |at: Timestamp| {
        let act = RetrainAct::Now;
        Entry::Retrain(RetrainChange {
            model: key.clone(),
            act,
            actor: "ada".into(),
            at,
            wall: None,
            reason: String::new(),
        })
    };
    let report = |run: &str, event: TrainerEvent| {
        Entry::Trainer(TrainerReport { model: key.clone(), run: run.to_owned(), at, event })
    };
    let failed = || TrainerEvent::Ended {
        end: TrainerEnd::Failed { why: "there is no such program".into() },
        took: 0,
        cost: None,
        said: String::new(),
    };
    let (first, ..) = take(ask(at));
    assert_eq!(take(report(&first, failed())), (first.clone(), "failed", false), "it has not begun");
    let (second, ..) = take(ask(at.plus(1)));
    assert_ne!(first, second);
    assert_eq!(take(report(&second, TrainerEvent::Started)), (second.clone(), "running", true));
    assert_eq!(take(report(&second, failed())), (second, "failed", true), "and it stays begun");
}

/// Takes another set of policies in; who is asked about how many findings.
fn swap(state: &mut State, policies: Vec<InForce>) -> Vec<(String, usize)> {
    swap_and_ask(state, policies, None)
}

/// The same, where a person wants this one to be asked, too.
fn swap_and_ask(state: &mut State, policies: Vec<InForce>, ask: Option<&str>) -> Vec<(String, usize)> {
    let entry = Entry::PolicySet(PolicySetEntry { ask: ask.map(str::to_owned), ..PolicySetEntry::default() });
    who(state, entry, Some(Prepared { configuration: None, policies }))
}

#[test]
fn a_new_version_is_asked_about_what_is_open_where_a_person_wants_that() {
    let (mut state, _) = with_something_open("\"act\"", &[Action::Monitor]);
    let version = || vec![in_force("script", None, true), in_force("other", None, false)];
    assert_eq!(swap(&mut state, version()), [], "one of its name decided about it, and the other waits");
    assert_eq!(swap_and_ask(&mut state, version(), Some("script")), [("script".to_owned(), 1)]);
    assert_eq!(swap_and_ask(&mut state, version(), Some("nobody")), []);
    // A name that is new is asked once, whether or not somebody wants that besides.
    let with_new = || [version(), vec![in_force("new", None, true)]].concat();
    assert_eq!(swap_and_ask(&mut state, with_new(), Some("new")).len(), 0, "the first in order decides");
}

/// One more record; who is asked about how many findings, none of them new.
fn who(state: &mut State, entry: Entry, prepared: Option<Prepared>) -> Vec<(String, usize)> {
    use trimtab_types::{Phase, Question};
    let record = Record::new(Position(state.position.0 + 1), entry, None);
    let output = step(state, &record, prepared, &mut Script(answers_with(&[Action::Monitor])));
    let asked = output.decisions.iter().filter_map(|decision| Some((decision.policy.as_ref()?, decision)));
    asked
        .map(|(policy, decision)| {
            let Question::DriftAction { findings } = &decision.question else { panic!("{decision:?}") };
            assert!(findings.iter().all(|finding| finding.phase == Phase::Raised), "{findings:?}");
            (policy.name.clone(), findings.len())
        })
        .collect()
}

#[test]
fn a_policy_that_wants_to_be_asked_again_is_while_something_is_open() {
    const DAY: u64 = 86_400;
    let start = || {
        let (mut state, _) = with_something_open("\"act\"", &[Action::Monitor]);
        assert_eq!(swap(&mut state, vec![in_force("script", Some(DAY as u32), true)]), [], "it has a name");
        state
    };
    let tick = |seconds| Entry::Tick(Timestamp::EPOCH.plus(seconds));
    let mut state = start();
    let asked_at = state.diaries[&subject("good")].asked["script"];
    let after = |seconds: u64| asked_at.since(Timestamp::EPOCH) + seconds;
    let once = || vec![("script".to_owned(), 1)];
    assert_eq!(who(&mut state, tick(after(DAY - 1)), None), []);
    assert_eq!(who(&mut state, tick(after(DAY)), None), once());
    assert_eq!(who(&mut state, tick(after(DAY + 60)), None), [], "not again before another day");
    assert_eq!(who(&mut state, tick(after(2 * DAY)), None), once());
    // What is paused or observed is nobody's to decide about, and what is over is over.
    state.diary_mut(&subject("good")).paused = true;
    assert_eq!(who(&mut state, tick(after(4 * DAY)), None), []);
    state.diary_mut(&subject("good")).paused = false;
    let observe = prepared(&CONFIG.replace("\"act\"", "\"observe\""));
    let policies = vec![in_force("script", Some(DAY as u32), true)];
    let observe = Prepared { policies: policies.clone(), ..observe };
    assert_eq!(who(&mut state, Entry::Configuration(Digest::of(b"observe")), Some(observe)), []);
    assert_eq!(who(&mut state, tick(after(5 * DAY)), None), []);
    let mut state = start();
    state.diary_mut(&subject("good")).open.clear();
    assert_eq!(who(&mut state, tick(after(5 * DAY)), None), []);
}

#[test]
fn a_policy_of_a_new_name_is_asked_about_what_is_open_once() {
    let (mut state, _) = with_something_open("\"act\"", &[Action::Monitor]);
    let first = || in_force("script", None, true);
    // The one in force takes its findings, so another that comes after it is not asked.
    assert_eq!(swap(&mut state, vec![first(), in_force("zeta", None, true)]), []);
    assert_eq!(swap(&mut state, vec![in_force("waits", None, false)]), []);
    let new = vec![("new".to_owned(), 1)];
    assert_eq!(swap(&mut state, vec![in_force("new", None, true)]), new);
    assert_eq!(swap(&mut state, vec![in_force("new", None, true)]), [], "another version has the same name");
}

#[test]
fn a_person_asks_a_policy_about_what_is_open_of_a_model() {
    let (mut state, _) = with_something_open("\"act\"", &[Action::Monitor]);
    let ask = |policy: &str, model: &str| {
        let act = Act::Ask { policy: policy.to_owned(), model: subject(model).model_key() };
        Entry::OperatorAct(OperatorAct {
            actor: "ada".into(),
            at: Timestamp::EPOCH,
            act,
            reason: String::new(),
        })
    };
    assert_eq!(who(&mut state, ask("script", "good"), None), [("script".to_owned(), 1)]);
    assert_eq!(who(&mut state, ask("script", "another"), None), []);
    assert_eq!(who(&mut state, ask("nobody", "good"), None), []);
}

/// A policy that writes much is asked until the record of the day is full, about this model; tomorrow it is asked again.
#[test]
fn the_record_of_a_day_is_bounded_for_each_model() {
    const DAY: u64 = 86_400;
    let mut state = State::default();
    let mut output = Output::default();
    let mut ready = Some(prepared(&format!("{CONFIG}[limits]\nrecord-per-day = \"64KiB\"\n")));
    let set = (Entry::PolicySet(PolicySetEntry::default()), None);
    let baselines = ["talkative", "quiet"].map(|model| (baseline(model), None));
    let turns = |day: u64| (0..6).map(move |part| (day, part));
    let rows = [0, 1].into_iter().flat_map(turns).flat_map(|(day, part)| {
        let both = (0..120).flat_map(move |n| ["talkative", "quiet"].map(|model| (n, model)));
        both.map(move |(n, model)| row(model, day * 1_000 + part * 120 + n, day * DAY + part, part % 2 == 1))
    });
    let mut answers_at_length = |asking: &Asking<'_>| {
        let message = "x".repeat(if asking.subject.model == "talkative" { 40 << 10 } else { 10 });
        let decision = Decision { actions: vec![Action::Monitor], reason: "fine".to_owned() };
        let log = vec![LogLine { level: LogLevel::Info, message }];
        Asked { log, ..Asked::of(Answer::Decision(decision)) }
    };
    for ((entry, resolves), position) in [set].into_iter().chain(baselines).chain(rows).zip(1..) {
        let record = Record::new(Position(position), entry, resolves);
        output.append(step(&mut state, &record, ready.take(), &mut Script(&mut answers_at_length)));
    }
    let of_day = |model: &str, day: u64| {
        let is_of = |decision: &DecisionRecord| decision.at.since(Timestamp::EPOCH) / DAY == day;
        answers_of(&output, |decision| decision.subject.model == model && is_of(decision))
    };
    for day in [0, 1] {
        let talkative = of_day("talkative", day);
        assert_eq!(talkative[..3], ["decided", "decided", "record"], "{day}: {talkative:?}");
        assert!(talkative[2..].iter().all(|answer| *answer == "record"), "{day}: {talkative:?}");
        let quiet = of_day("quiet", day);
        assert!(quiet.len() > 2 && quiet.iter().all(|answer| *answer == "decided"), "{day}: {quiet:?}");
    }
}
