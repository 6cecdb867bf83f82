//! The fold as a specification: what opens, raises and closes an episode, and what must not.

mod errors;
mod health;
mod horizon;
mod silence;
mod windows;

use std::sync::Arc;

use trimtab_types::{
    Actual, Baseline, Cut, Entry, Features, Finding, Outcome, Phase, Position, Predicted, Prediction,
    Reference, Reset, Timestamp, Trade,
};

use super::{DetectorKind, State, apply};
use trimtab_types::{Record, Resolution, testing::subject};

use crate::Configuration;

/// A log in the making.
struct Log {
    state: State,
    findings: Vec<Finding>,
    seed: u64,
    /// Half of the predictions are of the negative class; otherwise none is.
    both_classes: bool,
}

impl Log {
    fn new(config: &str) -> Self {
        let configuration = Arc::new(Configuration::parse(config, "test").expect("valid"));
        let state = State { configuration, ..State::default() };
        Self { state, findings: Vec::new(), seed: 42, both_classes: false }
    }

    fn entry(&mut self, entry: Entry, resolves: Option<Resolution>) {
        let position = Position(self.state.position.0 + 1);
        let found = apply(&mut self.state, &Record::new(position, entry, resolves));
        self.findings.extend(found);
    }

    fn baseline(&mut self, accuracy: f64, samples: u64) {
        let baseline = Self::baseline_of(accuracy, samples);
        self.entry(Entry::Baseline(baseline.into()), None);
    }

    fn baseline_with(&mut self, distributions: Vec<Reference>) {
        let baseline = Baseline { distributions, ..Self::baseline_of(0.8, 5_000) };
        self.entry(Entry::Baseline(baseline.into()), None);
    }

    /// A prediction alone.
    fn scored(&mut self, score: f64) {
        let id = self.state.position.0 + 1;
        let prediction = Prediction { predicted: Predicted::Binary(score), ..self.prediction(id) };
        self.entry(Entry::Prediction(prediction), None);
    }

    /// Scores evenly over a range, in a mixed order.
    fn scores(&mut self, count: usize, low: f64, high: f64) {
        for n in 0..count {
            let share = ((n * 37) % count) as f64 / count as f64;
            self.scored(low + (high - low) * share);
        }
    }

    fn baseline_of(accuracy: f64, samples: u64) -> Baseline {
        Baseline::given(subject(), samples, accuracy)
    }

    fn prediction(&self, id: u64) -> Prediction {
        Prediction {
            id: id.to_string(),
            subject: Arc::new(subject()),
            time: Timestamp::EPOCH.plus(id * 60),
            predicted: Predicted::Binary(if self.is_positive(id) { 0.9 } else { 0.1 }),
            confidence: None,
            interval: None,
            features: Features::default(),
            trade: Trade::default(),
            served: true,
            horizon: None,
        }
    }

    /// Whether a prediction is of the positive class: half of them are, without any order, where there are both.
    fn is_positive(&self, id: u64) -> bool {
        !self.both_classes || id.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 1
    }

    fn outcome(&self, id: u64, right: bool) -> Outcome {
        let subject = subject();
        Outcome {
            tenant: subject.tenant,
            model: subject.model,
            id: id.to_string(),
            time: Timestamp::EPOCH.plus(id * 60 + 30),
            actual: Some(Actual::Label(i64::from(right == self.is_positive(id)))),
            exit_price: None,
            pnl: None,
            correction: false,
        }
    }

    /// A prediction and its outcome.
    fn row(&mut self, right: bool) -> u64 {
        let id = self.state.position.0 + 1;
        let (prediction, outcome) = (self.prediction(id), self.outcome(id, right));
        self.pair(prediction, outcome);
        id
    }

    fn pair(&mut self, prediction: Prediction, outcome: Outcome) {
        self.entry(Entry::Prediction(prediction.clone()), None);
        self.resolve(self.state.position, prediction, outcome);
    }

    /// The outcome of a prediction that came before.
    fn resolve(&mut self, position: Position, prediction: Prediction, outcome: Outcome) {
        let resolves = Resolution::Of { position, prediction: Box::new(prediction), previous: None };
        self.entry(Entry::Outcome(outcome), Some(resolves));
    }

    /// Right and wrong ones, mixed evenly.
    fn pattern(&mut self, right: usize, wrong: usize) {
        let all = right + wrong;
        for i in 0..all {
            self.row((i + 1) * right / all > i * right / all);
        }
    }

    fn rows(&mut self, count: usize, accuracy: f64) {
        for _ in 0..count {
            let coin = self.coin();
            self.row(coin < accuracy);
        }
    }

    /// A number in [0, 1).
    fn coin(&mut self) -> f64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// The same log, from what it stores. What it has found is forgotten by both.
    fn restored(&mut self) -> Self {
        let parts = self.state.take_touched().expect("encodes");
        let mut state = State::restore(self.state.position, &parts).expect("decodes");
        state.configuration = Arc::clone(&self.state.configuration);
        self.findings.clear();
        Self { state, findings: Vec::new(), seed: self.seed, both_classes: self.both_classes }
    }

    /// What happened to the episodes of each quantity.
    fn life(&self) -> String {
        let short =
            |finding: &Finding| format!("{} {} {}", finding.quantity, finding.phase.name(), finding.severity);
        self.findings.iter().map(short).collect::<Vec<_>>().join(", ")
    }

    /// What happened to episodes, in short.
    fn story(&self) -> String {
        let short = |finding: &Finding| {
            let severity =
                if finding.phase == Phase::Closed { String::new() } else { format!(" {}", finding.severity) };
            format!("{} {}{severity}", finding.detector, finding.phase.name())
        };
        self.findings.iter().map(short).collect::<Vec<_>>().join(", ")
    }
}

/// Values that were evenly between 0 and 1.
fn even(feature: Option<String>) -> Reference {
    let edges = |bins: u32| (1..bins).map(|n| f64::from(n) / f64::from(bins)).collect();
    Reference {
        feature,
        edges: edges(10),
        counts: vec![500; 10],
        worth: 5_000.0,
        fine: Some(Cut { edges: edges(100), counts: vec![50; 100] }),
    }
}

const Z: &str = "[detectors.e-sr]\nenabled = false\n[detectors.accuracy-z]\nenabled = true\nwindow = 100\n";
const ADWIN: &str = "[detectors.e-sr]\nenabled = false\n[detectors.adwin]\nenabled = true\n";

#[test]
fn episodes_open_raise_and_close() {
    type Script = fn(&mut Log);
    #[rustfmt::skip]
    let cases: &[(&str, &str, Script, &str)] = &[
        ("healthy: nothing", "", |log| {
            log.baseline(0.8, 10_000); log.rows(2_000, 0.8);
        }, ""),
        ("no baseline: nothing to hold it against", "", |log| {
            log.rows(2_000, 0.3);
        }, ""),
        ("drift, and recovery with the same kind of evidence", "", |log| {
            log.baseline(0.8, 10_000); log.rows(500, 0.8); log.rows(600, 0.62); log.rows(800, 0.9);
        }, "e-sr opened high, e-sr closed"),
        ("below chance raises to critical", "", |log| {
            log.both_classes = true; log.baseline(0.8, 10_000); log.rows(400, 0.62); log.rows(400, 0.3);
        }, "e-sr opened high, e-sr raised critical"),
        ("who always says the same is as good as chance, however often it is wrong", "", |log| {
            log.baseline(0.8, 10_000); log.rows(400, 0.62); log.rows(400, 0.3);
        }, "e-sr opened high"),
        ("one long drift is one episode", "", |log| {
            log.baseline(0.8, 10_000); log.rows(4_000, 0.62);
        }, "e-sr opened high"),
        ("a change for the better is none", "", |log| {
            log.baseline(0.8, 10_000); log.rows(2_000, 0.95);
        }, ""),
        ("within the tolerance is nobody's business", "", |log| {
            log.baseline(0.8, 10_000); log.rows(2_000, 0.79);
        }, ""),
        ("ADWIN fires at an instant and needs no baseline", ADWIN, |log| {
            log.rows(1_000, 0.9); log.rows(400, 0.3);
        }, "adwin opened high, adwin closed"),
        ("ADWIN ignores improvement", ADWIN, |log| {
            log.rows(1_000, 0.3); log.rows(400, 0.9);
        }, ""),
    ];
    for (name, config, script, expected) in cases {
        let mut log = Log::new(config);
        script(&mut log);
        let story = log.story();
        // ADWIN sheds the old regime in several cuts: the first is what the case is about.
        let got = if config.is_empty() { &story[..] } else { &story[..story.len().min(expected.len())] };
        assert_eq!(got, *expected, "{name}: {story}");
    }
}

#[test]
fn the_z_test_has_levels_and_hysteresis() {
    let mut log = Log::new(Z);
    log.baseline(0.85, 10_000);
    log.pattern(85, 15);
    assert_eq!(log.story(), "", "85 of 100 is the baseline");
    // 78 of 100: seven points, p = 0.025. Then 70: fifteen points. Then 45: below chance.
    log.pattern(78, 22);
    assert!(log.story().contains("accuracy-z opened medium"), "{}", log.story());
    let mut log = Log::new(Z);
    log.both_classes = true;
    log.baseline(0.85, 10_000);
    log.rows(100, 1.0);
    log.pattern(0, 60);
    assert_eq!(
        log.story(),
        "accuracy-z opened medium, accuracy-z raised high, accuracy-z raised critical",
        "the ladder is climbed rung by rung"
    );
    // A drop of four points is below `medium` and above half of it: still open.
    log.pattern(81, 0);
    log.findings.clear();
    log.pattern(100, 0);
    assert_eq!(log.story(), "accuracy-z closed");
}

#[test]
fn resets_and_new_baselines_close_what_is_open() {
    let drifted = || {
        let mut log = Log::new("");
        log.baseline(0.8, 10_000);
        log.rows(600, 0.6);
        assert_eq!(log.story(), "e-sr opened high");
        log.findings.clear();
        log
    };
    let mut log = drifted();
    log.entry(Entry::Reset(Reset { subject: subject(), detector: Some("e-sr".into()) }), None);
    assert_eq!(log.story(), "e-sr closed");
    let mut log = drifted();
    log.entry(Entry::Reset(Reset { subject: subject(), detector: Some("adwin".into()) }), None);
    assert_eq!(log.story(), "", "another detector's reset is none of its business");
    let mut log = drifted();
    log.baseline(0.5, 1_000);
    assert_eq!(log.story(), "e-sr closed");
    let mut log = drifted();
    let other = Configuration::parse("[detectors.e-sr]\ntolerance = 0.05", "test").expect("valid");
    let closed = log.state.put_in_force(Arc::new(other));
    assert_eq!(closed.len(), 1, "changed settings start the detector anew");
    let mut log = drifted();
    let same = Configuration::parse("[alerts]\nminimum = \"high\"", "test").expect("valid");
    assert!(log.state.put_in_force(Arc::new(same)).is_empty(), "other settings do not");
}

#[test]
fn corrections_mend_windows_and_keep_evidence() {
    let mut log = Log::new("");
    log.baseline(0.8, 10_000);
    let id = log.row(false);
    let accuracy = |log: &Log| log.state.subjects[&subject()].accuracy(1).map(|estimate| estimate.value);
    assert_eq!(accuracy(&log), Some(0.0));
    let before = log.state.subjects[&subject()].detectors.clone();
    let resolves = Resolution::Of {
        position: Position(id),
        prediction: Box::new(log.prediction(id)),
        previous: Some(Box::new(log.outcome(id, false))),
    };
    let corrected = Outcome { correction: true, ..log.outcome(id, true) };
    log.entry(Entry::Outcome(corrected), Some(resolves));
    let after = &log.state.subjects[&subject()];
    assert_eq!(accuracy(&log), Some(1.0));
    assert_eq!(after.resolved, 1, "a correction is not another prediction");
    assert_eq!(after.detectors, before, "a bet once placed is not taken back");
}

#[test]
fn early_outcomes_count_when_their_prediction_comes() {
    let mut log = Log::new("");
    let outcome = log.outcome(7, true);
    log.entry(Entry::Outcome(outcome.clone()), None);
    assert!(log.state.subjects.is_empty());
    let prediction = log.prediction(7);
    log.entry(Entry::Prediction(prediction), Some(Resolution::By(Box::new(outcome))));
    assert_eq!(log.state.subjects[&subject()].resolved, 1);
}

#[test]
fn the_clock_never_goes_back() {
    let mut log = Log::new("");
    log.entry(Entry::Tick(Timestamp::EPOCH.plus(1_000)), None);
    log.entry(Entry::Tick(Timestamp::EPOCH.plus(10)), None);
    assert_eq!(log.state.newest(), Timestamp::EPOCH.plus(1_000));
}

/// Storing and restoring the state at any point changes nothing that comes after.
#[test]
fn a_restored_state_goes_on_as_if_nothing_had_happened() {
    let mut config = "[metrics]\nwindow = 100\n".to_owned();
    for kind in DetectorKind::ALL {
        config += &format!("[detectors.{}]\nenabled = true\n", kind.name());
    }
    let config = &config;
    let mut through = Log::new(config);
    through.baseline_with(vec![even(None)]);
    through.rows(700, 0.8);
    let mut restored = through.restored();
    for log in [&mut through, &mut restored] {
        log.rows(900, 0.55);
    }
    assert!(!through.findings.is_empty());
    assert_eq!(restored.findings, through.findings);
    assert_eq!(
        restored.state.take_touched().expect("encodes"),
        through.state.take_touched().expect("encodes")
    );
}

/// Scores that move are found when they move, and only then; a baseline without distributions has nothing to say.
#[test]
fn a_score_that_moves_is_found_and_forgotten_when_it_comes_back() {
    fn check(scores: &[(usize, f64, f64)], with_reference: bool, expected: &str) {
        let mut log = Log::new("[detectors.e-sr]\nenabled = false\n");
        let reference = even(None);
        log.baseline_with(if with_reference { vec![reference] } else { Vec::new() });
        for (count, low, high) in scores {
            log.scores(*count, *low, *high);
        }
        assert_eq!(log.life(), expected, "{scores:?}");
    }
    // With k of the newest 500 in the upper half only, the index is 5·x·(ln(1 + 10x) − ln(1 − 10x)), x = k/5,000: it
    // passes 0.1, 0.2 and 0.3 at k = 154, 215 and 259, and is looked at after every 50 predictions.
    let rises = "score opened medium, score raised high, score raised critical";
    check(&[(3_000, 0.0, 1.0)], true, "");
    check(&[(1_000, 0.0, 1.0), (1_000, 0.5, 1.0)], true, rises);
    check(
        &[(1_000, 0.0, 1.0), (1_000, 0.5, 1.0), (1_500, 0.0, 1.0)],
        true,
        &format!("{rises}, score closed critical"),
    );
    check(&[(1_000, 0.0, 1.0), (1_000, 0.5, 1.0)], false, "");
}

/// A baseline of 200 values that are worth 45 says too little of its own worth; one that is worth 60 does not. Which it is,
/// is said.
#[test]
fn a_baseline_that_is_worth_too_little_tells_nothing_and_says_so() {
    for (worth, told) in [(45.0, 1), (60.0, 0)] {
        let mut log = Log::new("[detectors.e-sr]\nenabled = false\n");
        log.baseline_with(vec![Reference { counts: vec![20; 10], worth, fine: None, ..even(None) }]);
        log.scores(1_000, 0.0, 1.0);
        log.scores(600, 0.9, 1.0);
        log.scores(1_500, 0.0, 1.0);
        assert_eq!(log.findings.is_empty(), told == 1, "{}", log.life());
        let cannot = log.state.subjects[&subject()]
            .cannot_tell(&log.state.configuration.detectors, &log.state.configuration.metrics);
        assert_eq!(cannot.len(), told, "{cannot:?}");
        if let Some(finding) = log.findings.first() {
            let sizes = finding.sizes.expect("compared");
            assert_eq!((sizes.baseline, sizes.baseline_worth), (200, 60.0));
            assert_eq!((sizes.window, sizes.window_worth), (500, 150.0));
        }
    }
}

/// Every detector that watches by itself finds a large rise of the error and is silent about a fall.
#[test]
fn every_detector_can_be_switched_on() {
    // The others look at windows now and then; each has a test of its own.
    let watch_errors = DetectorKind::ALL.into_iter().filter(|kind| kind.judged_quantity().is_some());
    for name in watch_errors.map(DetectorKind::name) {
        let others = if name == "e-sr" { "" } else { "e-sr.enabled = false" };
        let config = format!("[detectors]\n{name}.enabled = true\n{others}");
        let script = |before: f64, after: f64| {
            let mut log = Log::new(&config);
            log.baseline(before, 10_000);
            log.rows(1_500, before);
            log.findings.clear();
            log.rows(1_500, after);
            log.findings
        };
        let found = script(0.9, 0.4);
        assert!(
            !found.is_empty() && found.iter().all(|finding| finding.detector == name),
            "{name}: {found:?}"
        );
        // KSWIN and EDDM look at each stretch by itself and cry wolf on steady streams too, by design.
        if name != "kswin" && name != "eddm" {
            let opened = script(0.4, 0.9)
                .iter()
                .filter(|finding| finding.severity > trimtab_types::Severity::Medium)
                .count();
            assert_eq!(opened, 0, "{name} must not mind an improvement");
        }
    }
}

#[test]
fn a_warning_is_an_episode_and_a_drift_ends_it() {
    let mut log = Log::new("[detectors.e-sr]\nenabled = false\n[detectors.ddm]\nenabled = true\n");
    for i in 0..500 {
        log.row(i % 10 != 0);
    }
    assert_eq!(log.story(), "");
    for _ in 0..30 {
        log.row(false);
    }
    assert_eq!(log.story(), "ddm opened medium, ddm raised high, ddm closed");
    let put: Vec<_> =
        super::put_to_policies(&log.findings[1..]).iter().map(|finding| finding.phase).collect();
    assert_eq!(put, [Phase::Raised], "what ends where it was raised is one question, not two");
}

#[test]
fn a_model_can_have_detectors_of_its_own() {
    let config =
        "[[models]]\nmodel = \"btc\"\ndetectors.e-sr.enabled = false\ndetectors.ddm.enabled = true\n";
    let mut log = Log::new(config);
    log.baseline(0.9, 10_000);
    log.rows(1_000, 0.9);
    log.findings.clear();
    log.rows(300, 0.3);
    assert!(log.findings.iter().all(|finding| finding.detector == "ddm"), "{}", log.story());
    let mut log = Log::new(&config.replace("btc", "another"));
    log.baseline(0.9, 10_000);
    log.rows(1_000, 0.9);
    log.rows(300, 0.3);
    assert!(log.findings.iter().all(|finding| finding.detector == "e-sr"), "{}", log.story());
}
