//! Instant is what folding comes to, as a property over random policies, configurations and stories: whoever is asked, and
//! whatever is done meanwhile. Models of which the rows are needed are known as such, and are left out here.

use std::sync::Arc;

use proptest::prelude::*;
use trimtab_core::{
    Configuration, InForce,
    decide::{Output, Prepared, relive, step},
    fold::State,
};
use trimtab_types::{
    Act, Actual, Answer, AppliesTo, Asked, Asking, Baseline, Decision, Digest, DigestBuilder, FailureKind,
    Features, Globs, Mode, OperatorAct, Outcome, PolicyInForce, PolicyKind, PolicyRef, PolicySetEntry,
    Predicted, Prediction, Question, Read, Registration, Reset, Resolution, RetrainAct, RetrainChange, Rules,
    Severity, StateChange, Subject, Timestamp, Trade, TrainerEnd, TrainerEvent, TrainerReport, VersionAct,
    VersionChange,
};

use super::*;

const MODELS: [&str; 3] = ["a", "b", "c"];

fn subject(model: &str) -> Subject {
    Subject { tenant: "t".into(), model: model.into(), version: "v1".into(), segment: String::new() }
}

/// A policy made up from a seed: it reads, remembers, acts and fails as the seed and everything it sees say.
#[derive(Debug, Clone, Copy)]
struct MadeUp {
    seed: u64,
    /// May start detectors anew.
    resets: bool,
    /// May read what nobody notes.
    curious: bool,
}

impl MadeUp {
    fn ask(self, asking: &Asking<'_>) -> Asked {
        let Question::DriftAction { findings } = asking.question else {
            return Asked::failed(FailureKind::Load, "it writes nothing".to_owned());
        };
        let mut reads = Vec::new();
        let mut digest = DigestBuilder::new("made-up").number(self.seed);
        for finding in findings {
            digest = digest.part(finding.id.as_bytes()).part(finding.phase.name().as_bytes());
        }
        let view = asking.view.as_ref();
        for last in [50, 100, 200] {
            let answer = view.recent("accuracy", last);
            digest = digest.part(format!("{answer:?}").as_bytes());
            reads.push(Read::Recent { metric: "accuracy".into(), last, answer });
        }
        if self.curious {
            let last = 30 + (self.seed % 3) as u32;
            let answer = view.recent("accuracy", last);
            digest = digest.part(format!("{answer:?}").as_bytes());
            reads.push(Read::Recent { metric: "accuracy".into(), last, answer });
            let answer = view.between("accuracy", 3_600, 0);
            digest = digest.part(format!("{answer:?}").as_bytes());
            reads.push(Read::Between { metric: "accuracy".into(), from_ago: 3_600, until_ago: 0, answer });
        }
        let known = (
            view.findings(86_400, Severity::Low, 5),
            view.drift_count("e-sr"),
            view.baseline("accuracy"),
            view.since_retrain(),
            asking.notebook,
            asking.at,
        );
        let number = digest.part(format!("{known:?}").as_bytes()).finish().prefix();
        let one = |of: u64| number.rotate_left(17) % of;
        if one(11) == 0 {
            return Asked { reads, ..Asked::failed(FailureKind::Trap, "it happens".to_owned()) };
        }
        let actions = match number % 12 {
            0 => vec![Action::KillSwitchOn, Action::Alert(Severity::Critical)],
            1 => vec![Action::KillSwitchOff, Action::Alert(Severity::Low)],
            2 => vec![Action::ScaleExposure(0.5), Action::Alert(Severity::High)],
            3 => vec![Action::Pause],
            4 => vec![Action::MinimumConfidence(0.7), Action::Monitor],
            5 => vec![Action::RetrainNow, Action::Alert(Severity::High)],
            6 if self.resets => vec![Action::ResetDetector("e-sr".into()), Action::Alert(Severity::Medium)],
            7 => vec![Action::MarkDegraded, Action::Alert(Severity::Critical)],
            8 => vec![],
            _ => vec![Action::Alert(Severity::ALL[one(Severity::ALL.len() as u64) as usize])],
        };
        let note =
            StateChange { key: format!("k{}", one(3)), value: (one(5) > 0).then(|| number.to_string()) };
        Asked {
            reads,
            notebook: vec![note],
            ..Asked::of(Answer::Decision(Decision { actions, reason: format!("because of {number}") }))
        }
    }
}

/// Asks it, and tells no more of rows than is given.
struct Script<'a> {
    policy: MadeUp,
    told: Option<&'a Told>,
}

impl trimtab_types::Ask for Script<'_> {
    fn ask(&mut self, asking: &Asking<'_>) -> Asked {
        match self.told {
            None => self.policy.ask(asking),
            Some(told) => self.policy.ask(&Asking { view: told.view(asking), ..*asking }),
        }
    }
}

/// What happens, at a time in minutes.
#[derive(Debug, Clone)]
enum Event {
    Rows { model: usize, right: bool, count: u64 },
    Tick,
    Act(usize, u8),
    Everything(bool),
    Trained(usize, bool),
    Reset(usize),
    Baseline(usize),
    Version(usize, u8),
}

fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let model = || 0..MODELS.len();
    let event = prop_oneof![
        12 => (model(), any::<bool>(), 1_u64..60).prop_map(|(model, right, count)| Event::Rows { model, right, count }),
        8 => Just(Event::Tick),
        4 => (model(), 0_u8..8).prop_map(|(model, what)| Event::Act(model, what)),
        1 => any::<bool>().prop_map(Event::Everything),
        1 => (model(), any::<bool>()).prop_map(|(model, well)| Event::Trained(model, well)),
        1 => model().prop_map(Event::Reset),
        1 => model().prop_map(Event::Baseline),
        2 => (model(), 0_u8..7).prop_map(|(model, what)| Event::Version(model, what)),
    ];
    let after = prop_oneof![8 => 0_u64..600, 1 => 1_000_u64..3_000];
    proptest::collection::vec((after, event), 10..120)
}

fn act(model: &str, what: u8, at: Timestamp) -> Entry {
    let model = subject(model).model_key();
    let act = match what {
        0 => Act::KillSwitch { model: Some(model), on: true },
        1 => Act::KillSwitch { model: Some(model), on: false },
        2 => Act::Resume { model },
        3 => Act::SetExposure { model, exposure: 0.8 },
        4 => Act::ClearExposure { model, cause: None },
        5 => Act::Acknowledge { model, kind: None },
        6 => Act::Ask { policy: "made-up".into(), model },
        _ => Act::Silence { model: Some(model), kind: None, until: Some(at.plus(40_000)) },
    };
    Entry::OperatorAct(OperatorAct { actor: "ada".into(), at, act, reason: "a test".into() })
}

/// Something is done about a version: `v1`, whose rows there are, or `v2`.
fn version(model: &str, what: u8, at: Timestamp) -> Entry {
    let register =
        |champion| VersionAct::Register(Box::new(Registration { champion, ..Registration::default() }));
    let (version, act) = match what {
        0 => ("v1", register(true)),
        1 => ("v2", register(false)),
        2 => ("v1", VersionAct::Promote { again: true }),
        3 => ("v2", VersionAct::Promote { again: true }),
        4 => ("", VersionAct::Rollback),
        5 => ("v2", VersionAct::Archive),
        _ => ("v1", VersionAct::MarkDegraded),
    };
    Entry::VersionChange(VersionChange {
        model: subject(model).model_key(),
        version: version.into(),
        act,
        seen: None,
        actor: "ada".into(),
        at,
        reason: String::new(),
    })
}

/// The story as records. A row is a prediction whose outcome came first.
fn story(events: &[(u64, Event)]) -> Vec<Record> {
    let mut entries = vec![(Entry::PolicySet(PolicySetEntry::default()), None)];
    let baseline = |model: &str| Entry::Baseline(Baseline::given(subject(model), 5_000, 0.9).into());
    entries.extend(MODELS.map(|model| (baseline(model), None)));
    let mut minute = 0;
    for (after, event) in events {
        minute += after;
        let at = Timestamp::EPOCH.plus(minute * 60);
        match event {
            Event::Rows { model, right, count } => {
                for n in 0..*count {
                    entries.push(row(MODELS[*model], entries.len(), at.plus(n), *right));
                }
            }
            Event::Tick => entries.push((Entry::Tick(at), None)),
            Event::Act(model, what) => entries.push((act(MODELS[*model], *what, at), None)),
            Event::Everything(on) => {
                let act = Act::KillSwitch { model: None, on: *on };
                let act = OperatorAct { actor: "ada".into(), at, act, reason: "all".into() };
                entries.push((Entry::OperatorAct(act), None));
            }
            Event::Trained(model, well) => {
                let model = subject(MODELS[*model]).model_key();
                let change = RetrainChange {
                    model: model.clone(),
                    act: RetrainAct::Now,
                    actor: "ada".into(),
                    at,
                    wall: None,
                    reason: "a test".into(),
                };
                entries.push((Entry::Retrain(change), None));
                // Of the run that began now, if one did: where rows were ahead, the report is refused.
                let run = trimtab_core::lifecycle::run_id(&model, at, 0);
                let end = if *well {
                    let registration = Box::new(Registration::default());
                    TrainerEnd::Trained { version: format!("v{minute}"), registration }
                } else {
                    TrainerEnd::Failed { why: "it happens".into() }
                };
                let ended = TrainerEvent::Ended { end, took: 60, cost: None, said: String::new() };
                for event in [TrainerEvent::Started, ended] {
                    let report = TrainerReport { model: model.clone(), run: run.clone(), at, event };
                    entries.push((Entry::Trainer(report), None));
                }
            }
            Event::Reset(model) => {
                let reset = Reset { subject: subject(MODELS[*model]), detector: None };
                entries.push((Entry::Reset(reset), None));
            }
            Event::Baseline(model) => entries.push((baseline(MODELS[*model]), None)),
            Event::Version(model, what) => entries.push((version(MODELS[*model], *what, at), None)),
        }
    }
    let record = |(place, (entry, resolves))| Record::new(Position(place), entry, resolves);
    (1..).zip(entries).map(record).collect()
}

fn row(model: &str, n: usize, time: Timestamp, right: bool) -> (Entry, Option<Resolution>) {
    let prediction = Prediction {
        id: n.to_string(),
        subject: Arc::new(subject(model)),
        time,
        predicted: Predicted::Binary(0.9),
        confidence: None,
        interval: None,
        features: Features::default(),
        trade: Trade::default(),
        served: true,
        horizon: None,
    };
    let outcome = Outcome {
        tenant: "t".into(),
        model: model.into(),
        id: n.to_string(),
        time,
        actual: Some(Actual::Label(i64::from(right))),
        exit_price: None,
        pnl: None,
        correction: false,
    };
    (Entry::Prediction(prediction), Some(Resolution::By(Box::new(outcome))))
}

const WATCHING: &str = "\
[detectors.e-sr]
run-length = 100
block = 1
inflation = 1
early-sign = false
recovery = 60
[detectors.staleness]
enabled = true
";

/// What decides: none of it changes a finding.
const DECIDING: [&str; 5] = [
    "[[models]]\nmodel = \"*\"\nstage = \"act\"\n",
    "[[models]]\nmodel = \"*\"\nstage = \"protect\"\n[breaker]\nfailures = 1\npause = \"30m\"\n",
    "[[models]]\nmodel = \"a\"\nstage = \"observe\"\n[[models]]\nmodel = \"*\"\nstage = \"alert\"\n",
    "[alerts]\nminimum = \"low\"\ninterval = \"1h\"\n[[models]]\nmodel = \"*\"\nstage = \"act\"\n",
    "[safeguards.retrain]\nenabled = true\ntenants = [\"*\"]\nminimum-samples = 100\ncooldown = \"1d\"\n[[models]]\nmodel = \"*\"\nstage = \"act\"\nretrain = true\n[[trainers]]\nmodel = \"*\"\ncommand = [\"train\"]\nscheduled = true\n",
];

fn prepared(config: usize) -> Prepared {
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
        fail_safe: vec![Action::Alert(Severity::High)],
        // Some want to be asked again: who was not then is asked what nobody noted, or what is told by the diary.
        reconsider: [None, None, Some(7_200), Some(86_400), Some(600)][config],
        asked_on_swap: true,
        repeat: None,
    };
    let entry = PolicyInForce {
        policy: PolicyRef { name: "made-up".to_owned(), digest: Digest::of(b"made-up") },
        mode: Mode::Enforce,
        order: 0,
        kinds: vec!["drift-action".to_owned()],
        rollout: None,
        signed: None,
    };
    let in_force = InForce::new(entry, Ok(rules), |_, _| Err(())).expect("there is no version before it");
    let text = format!("{WATCHING}{}", DECIDING[config]);
    let configuration = Configuration::parse(&text, "test").expect("valid");
    Prepared { configuration: Some(Arc::new(configuration)), policies: vec![in_force] }
}

/// Everything that comes of folding the rows.
fn folded(records: &[Record], policy: MadeUp, config: usize) -> Vec<Output> {
    let mut state = State::default();
    let mut script = Script { policy, told: None };
    let mut step = |record: &Record| {
        let prepared = matches!(record.entry, Entry::PolicySet(_)).then(|| prepared(config));
        step(&mut state, record, prepared, &mut script)
    };
    records.iter().map(&mut step).collect()
}

/// Everything that comes of what was lived, without rows, and the models whose rows are needed.
fn lived(
    records: &[Record],
    recorded: &[Output],
    policy: MadeUp,
    config: usize,
) -> (Vec<Output>, BTreeSet<ModelKey>) {
    let mut state = State::default();
    let mut rows = BTreeSet::new();
    let mut outputs = Vec::new();
    for (record, recorded) in records.iter().zip(recorded) {
        let wants = |about: Option<ModelKey>| about.is_none_or(|model| !rows.contains(&model));
        let is_row = matches!(record.entry, Entry::Prediction(_));
        let about = record
            .entry
            .model()
            .map(|(tenant, model)| ModelKey { tenant: tenant.to_owned(), model: model.to_owned() });
        let entry = (!is_row && wants(about)).then_some(&record.entry);
        let moments: Vec<Moment> = recorded
            .moments
            .iter()
            .filter(|moment| moment.kind != MomentKind::Ordered && wants(moment.about.model_key()))
            .cloned()
            .collect();
        let mut told = Told::default();
        for moment in &moments {
            if let About::Subject(subject) = &moment.about {
                told.lived(subject, &moment.facts);
            }
        }
        for decision in &recorded.decisions {
            told.read(&decision.subject, &decision.reads);
        }
        let prepared = matches!(record.entry, Entry::PolicySet(_)).then(|| prepared(config));
        let here = Lived { position: record.position, entry, moments };
        let output = relive(&mut state, here, prepared, &mut Script { policy, told: Some(&told) });
        let before = recorded.decisions.iter().filter(|decision| wants(Some(decision.subject.model_key())));
        let before = before.flat_map(ordered).collect();
        let mut others = told.asked_more();
        others.extend(of_others(before, output.orders.clone()));
        for model in others {
            state.forget(&model);
            rows.insert(model);
        }
        outputs.push(output);
    }
    (outputs, rows)
}

/// What came of the models that are wanted.
fn of_models(outputs: &[Output], wanted: impl Fn(&ModelKey) -> bool) -> (Vec<String>, usize) {
    let decisions: Vec<_> = outputs
        .iter()
        .flat_map(|output| &output.decisions)
        .filter(|decision| wanted(&decision.subject.model_key()))
        .map(|decision| format!("{:?}", decision.without_measurements()))
        .collect();
    let effects = outputs.iter().flat_map(|output| &output.effects);
    let effects = effects.filter(|effect| {
        let subject: Subject = serde_json::from_value(effect.body["alert"]["subject"].clone()).expect("one");
        wanted(&subject.model_key())
    });
    let count = decisions.len();
    (decisions.into_iter().chain(effects.map(|effect| format!("{effect:?}"))).collect(), count)
}

fn policies() -> impl Strategy<Value = (MadeUp, MadeUp)> {
    let of = |resets, curious| {
        let made_up = move |seed| MadeUp { seed, resets, curious };
        (0_u64..1_000).prop_map(made_up)
    };
    prop_oneof![
        3 => (of(false, false), of(false, false)),
        1 => (of(true, false), of(true, false)),
        1 => (of(false, true), of(false, true)),
        // The same policy under another configuration.
        1 => of(true, true).prop_map(|policy| (policy, policy)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn instant_is_what_folding_comes_to(
        events in events(),
        (recorded, candidate) in policies(),
        before in 0..DECIDING.len(),
        now in 0..DECIDING.len(),
    ) {
        let records = story(&events);
        let recorded = folded(&records, recorded, before);
        let expected = folded(&records, candidate, now);
        let (instant, rows) = lived(&records, &recorded, candidate, now);
        let wanted = |model: &ModelKey| !rows.contains(model);
        let (instant, expected) = (of_models(&instant, wanted).0, of_models(&expected, wanted).0);
        // Only what differs first: the whole lists are of many pages.
        let first = instant.iter().zip(&expected).find(|(instant, folded)| instant != folded);
        prop_assert_eq!(first, None);
        prop_assert_eq!(instant.len(), expected.len());
    }
}

/// The property is about something: much of what is decided in such stories is told without rows, although policies are
/// curious, reset detectors and are asked by people.
#[test]
fn much_is_told_without_rows() {
    use proptest::{strategy::ValueTree, test_runner::TestRunner};
    let mut runner = TestRunner::deterministic();
    let (mut all, mut instant) = (0, 0);
    for _ in 0..40 {
        let events = events().new_tree(&mut runner).expect("a story").current();
        let (recorded, candidate) = policies().new_tree(&mut runner).expect("policies").current();
        let records = story(&events);
        let recorded = folded(&records, recorded, 0);
        all += of_models(&folded(&records, candidate, 1), |_| true).1;
        let (outputs, rows) = lived(&records, &recorded, candidate, 1);
        instant += of_models(&outputs, |model| !rows.contains(model)).1;
    }
    assert!(all > 500 && instant * 3 > all, "{instant} of {all}");
}
