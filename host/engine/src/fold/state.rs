//! What the fold knows at a position: the log's clock, and for every model and subject what later entries and
//! decisions depend on. Every part can be stored by itself and is stored only when it changed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use trimtab_stats::Window;
use trimtab_types::{
    Baseline, Digest, Estimate, Finding, Judged, Metric, ModelKey, Outcome, Phase, PolicyRef, PolicySetEntry,
    Position, Prediction, Severity, Stage, Subject, Timestamp, VersionTransition, can_judge,
};

use super::{
    breaker::Breaker,
    detect::{DetectorKind, Running},
    distribution::Distribution,
    schedule::Due,
    timelines::{Open, Timelines},
    times::TimeCounts,
    waiting::Waiting,
};
use crate::{
    Configuration,
    config::{BreakerRules, MetricSettings},
    metrics::{self, Row, Rows, rate},
};

/// Findings that a subject remembers for policies that ask.
const FINDINGS_KEPT: usize = 32;

/// The fold's state at a position.
#[derive(Debug, Clone)]
pub struct State {
    /// The newest entry that was folded.
    pub position: Position,
    /// The newest time that the log knows.
    pub clock: Timestamp,
    /// The hour in which distributions over time and outcomes were last looked at.
    pub(crate) looked: i64,
    /// The configuration in force.
    pub configuration: Arc<Configuration>,
    /// Its digest; `None` before the first.
    pub configuration_digest: Option<Digest>,
    /// The policies in force.
    pub policies: PolicySetEntry,
    /// Trading is stopped on all models.
    pub killed: Option<KillNote>,
    /// Policies whose newest call failed.
    pub breakers: BTreeMap<PolicyRef, Breaker>,
    /// By model.
    pub models: BTreeMap<ModelKey, ModelState>,
    /// By subject; shared with the views of decisions under way.
    pub subjects: BTreeMap<Subject, Arc<SubjectState>>,
    /// Parts that changed since they were last stored.
    pub(crate) touched: BTreeSet<StateKey>,
}

/// A part of the state that is stored by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StateKey {
    /// Clock, what is in force, the kill switch of everything.
    Global,
    /// A model.
    Model(ModelKey),
    /// A subject.
    Subject(Subject),
    /// What a subject is held against.
    Baseline(Subject),
    /// How a subject's score and features were distributed when.
    Timelines(Subject),
}

/// The part of the state that is not of a model or subject.
#[derive(Debug, Serialize, Deserialize)]
struct Global {
    clock: Timestamp,
    looked: i64,
    configuration: Option<Digest>,
    /// As JSON: its type is made to grow there.
    policies: String,
    killed: Option<KillNote>,
    breakers: BTreeMap<PolicyRef, Breaker>,
}

/// Who stopped trading, when and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KillNote {
    /// A person, or `policy NAME`.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: String,
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelState {
    /// A person stopped trading; only a person allows it again.
    pub killed_by_operator: Option<KillNote>,
    /// A policy stopped trading.
    pub killed_by_policy: Option<KillNote>,
    /// Share of the usual exposure, 0..1.
    pub exposure: f64,
    /// No prediction below this confidence is served.
    pub minimum_confidence: Option<f64>,
    /// When the last retrain was allowed to begin.
    pub last_retrain: Option<Timestamp>,
    /// Until when a retrain is planned to begin.
    pub retrain_planned: Option<Timestamp>,
    /// The job that is active.
    pub active_job: Option<String>,
    /// Predictions logged, over all subjects; a model without any is unknown.
    pub predictions: u64,
    /// Resolved predictions, over all subjects.
    pub resolved: u64,
    /// How many of them the last retrain had seen.
    pub resolved_at_retrain: u64,
    /// The version that serves.
    pub champion: Option<String>,
    /// Since when.
    pub activated: Option<Timestamp>,
    /// Versions marked degraded.
    pub degraded: BTreeSet<String>,
    /// The newest alert of each segment and kind.
    pub alerts: BTreeMap<(String, String), SentAlert>,
}

/// An alert that went out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentAlert {
    /// Its severity.
    pub severity: Severity,
    /// When.
    pub at: Timestamp,
    /// Whether it is still firing.
    pub firing: bool,
    /// Whom it was about.
    pub subject: Subject,
    /// What it said had been decided.
    pub reason: String,
}

impl Default for ModelState {
    fn default() -> Self {
        Self {
            killed_by_operator: None,
            killed_by_policy: None,
            exposure: 1.0,
            minimum_confidence: None,
            last_retrain: None,
            retrain_planned: None,
            active_job: None,
            predictions: 0,
            resolved: 0,
            resolved_at_retrain: 0,
            champion: None,
            activated: None,
            degraded: BTreeSet::new(),
            alerts: BTreeMap::new(),
        }
    }
}

impl ModelState {
    /// A person allows trading again, in full.
    pub(crate) fn release(&mut self) {
        self.killed_by_operator = None;
        self.killed_by_policy = None;
        self.exposure = 1.0;
    }

    pub(crate) fn transition(&mut self, transition: &VersionTransition) {
        match transition.to {
            Stage::Production => {
                self.champion = Some(transition.version.clone());
                self.activated = Some(transition.at);
                self.degraded.remove(&transition.version);
            }
            Stage::Degraded => {
                self.degraded.insert(transition.version.clone());
            }
            Stage::Candidate | Stage::Shadow | Stage::Canary | Stage::Archived | Stage::Deleted => {}
        }
    }

    pub(crate) fn trained(&mut self, at: Timestamp) {
        self.active_job = None;
        self.retrain_planned = None;
        self.last_retrain = Some(at);
        self.resolved_at_retrain = self.resolved;
    }
}

/// What is known of a subject.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectState {
    /// Predictions logged.
    pub predictions: u64,
    /// Predictions resolved and judged.
    pub resolved: u64,
    /// Outcomes that can judge nothing: they are of another kind than their prediction.
    pub unjudged: u64,
    /// Whether the newest judged predictions were right, by their position.
    pub right: Window,
    /// Whether the newest trades won.
    pub won: Window,
    /// Right ones by time.
    pub(crate) times: TimeCounts,
    /// When the newest prediction was made.
    pub newest: Option<Timestamp>,
    /// The newest judged rows, as far as metrics are kept.
    pub(crate) rows: Rows,
    /// Scores of the newest predictions without an outcome, as far as metrics are kept.
    pub(crate) waiting: Waiting,
    /// What it is held against. Stored by itself, because it is large and hardly ever changes.
    #[serde(skip)]
    pub baseline: Option<Arc<Baseline>>,
    /// Findings kept and not decided on.
    pub paused: bool,
    /// The detectors that run, with their open episodes.
    pub(crate) detectors: BTreeMap<DetectorKind, Running>,
    /// Score and features by detector, in the order of the baseline's distributions or categories.
    pub(crate) distributions: BTreeMap<DetectorKind, Vec<Distribution>>,
    /// Sketches of the hour that each quantity is in, by name.
    pub(crate) open_hours: Vec<Open>,
    /// Sketches of hours and days before. Stored by themselves, because they are large and change once an hour.
    #[serde(skip)]
    pub(crate) timelines: Arc<Timelines>,
    /// Open episodes of detectors that look now and then, by quantity.
    pub(crate) episodes: BTreeMap<DetectorKind, BTreeMap<String, Box<Finding>>>,
    /// Which predictions came due and have an outcome, where that is watched.
    pub(crate) due: Due,
    /// Findings since the detector was last reset.
    pub drift_counts: BTreeMap<String, u32>,
    /// The newest findings, oldest first.
    pub findings: VecDeque<Finding>,
    /// Notebooks of the policies that keep one about this subject.
    pub notebooks: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether the task has the usual chance level of one half.
    pub two_sided: bool,
}

impl Default for SubjectState {
    fn default() -> Self {
        Self {
            predictions: 0,
            resolved: 0,
            unjudged: 0,
            right: window(),
            won: window(),
            times: TimeCounts::default(),
            newest: None,
            rows: Rows::default(),
            waiting: Waiting::default(),
            baseline: None,
            paused: false,
            detectors: BTreeMap::new(),
            distributions: BTreeMap::new(),
            open_hours: Vec::new(),
            timelines: Arc::default(),
            episodes: BTreeMap::new(),
            due: Due::default(),
            drift_counts: BTreeMap::new(),
            findings: VecDeque::new(),
            notebooks: BTreeMap::new(),
            two_sided: true,
        }
    }
}

#[expect(clippy::expect_used, reason = "the constant capacity is within the documented range")]
fn window() -> Window {
    Window::new(Window::DEFAULT_CAPACITY).expect("a valid capacity")
}

impl SubjectState {
    /// Counts a prediction that has just met its outcome.
    pub(crate) fn count(
        &mut self,
        prediction_at: Position,
        prediction: &Prediction,
        outcome: &Outcome,
        judged: Judged,
        now: Timestamp,
        rows_kept: u32,
    ) {
        use trimtab_types::Predicted::{Binary, Direction, Multiclass, Regression};
        self.two_sided = match prediction.predicted {
            Binary(_) | Direction(_) => true,
            Multiclass(_) | Regression(_) => false,
        };
        self.waiting.resolved(prediction_at);
        self.unjudged += u64::from(!can_judge(prediction, outcome));
        if let Some(right) = judged.right {
            self.resolved += 1;
            self.right.push(prediction_at.0, right);
            self.times.add(outcome.time, right, now);
        }
        if let Some(won) = judged.won {
            self.won.push(prediction_at.0, won);
        }
        if rows_kept == 0 {
            self.rows = Rows::default();
        } else if judged.right.is_some() || judged.won.is_some() {
            self.rows.push(Row::of(prediction_at, prediction, outcome, judged), rows_kept as usize);
        }
    }

    /// An outcome was corrected: windows and counts by time follow; sequential evidence stands, because a bet once
    /// placed is not taken back.
    pub(crate) fn correct(
        &mut self,
        prediction_at: Position,
        prediction: &Prediction,
        (before, previous): (Judged, &Outcome),
        (after, outcome): (Judged, &Outcome),
        now: Timestamp,
    ) {
        match (before.right, after.right) {
            (Some(before), Some(after)) => {
                self.right.amend(prediction_at.0, after);
                self.times.remove(previous.time, before);
                self.times.add(outcome.time, after, now);
            }
            // The outcome before was of another kind: this is the first that judges.
            (None, Some(after)) => {
                self.resolved += 1;
                self.right.push(prediction_at.0, after);
                self.times.add(outcome.time, after, now);
            }
            (_, None) => {}
        }
        if !can_judge(prediction, previous) && can_judge(prediction, outcome) {
            self.unjudged = self.unjudged.saturating_sub(1);
        }
        if let Some(won) = after.won {
            self.won.amend(prediction_at.0, won);
        }
        self.rows.amend(Row::of(prediction_at, prediction, outcome, after));
    }

    /// Accuracy over the newest `last` judged predictions (all, if there are fewer).
    pub fn accuracy(&self, last: usize) -> Option<Estimate> {
        rate(self.right.newest(last).successes, self.right.newest(last).n)
    }

    /// Share of won trades among the newest `last`.
    pub fn win_rate(&self, last: usize) -> Option<Estimate> {
        rate(self.won.newest(last).successes, self.won.newest(last).n)
    }

    /// Metrics of the newest judged predictions that are kept, by their names.
    pub fn metrics(&self, settings: &MetricSettings) -> Vec<Metric> {
        let rows = self.rows.newest(settings.window as usize);
        metrics::Metric::ALL
            .into_iter()
            .filter_map(|metric| {
                Some(Metric { name: metric.name().to_owned(), estimate: metric.of(&rows, settings)? })
            })
            .collect()
    }

    /// Right and wrong ones among the newest judged predictions that are kept.
    pub fn confusion(&self, settings: &MetricSettings) -> Option<metrics::Confusion> {
        metrics::confusion(&self.rows.newest(settings.window as usize))
    }

    /// Remembers findings for policies that ask, and counts those that opened.
    pub(crate) fn note(&mut self, findings: &[Finding]) {
        for finding in findings {
            if finding.phase == Phase::Opened {
                let count = self.drift_counts.entry(finding.detector.clone()).or_default();
                *count = count.saturating_add(1);
            }
            if self.findings.len() == FINDINGS_KEPT {
                self.findings.pop_front();
            }
            self.findings.push_back(finding.clone());
        }
    }

    /// The newest change of each open episode.
    pub fn open_findings(&self) -> impl Iterator<Item = (DetectorKind, &Finding)> {
        let errors = self.detectors.iter().filter_map(|(kind, running)| Some((*kind, running.episode()?)));
        let distributions = self.distributions.iter().flat_map(|(kind, known)| {
            known.iter().filter_map(|known| Some((*kind, known.episode.as_deref()?)))
        });
        let others = self
            .episodes
            .iter()
            .flat_map(|(kind, open)| open.values().map(|finding| (*kind, finding.as_ref())));
        errors.chain(distributions).chain(others)
    }

    /// The gravest open episode.
    pub fn worst(&self) -> Option<Severity> {
        self.open_findings().map(|(_, finding)| finding.severity).max()
    }
}

/// Why stored state cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the stored state `{key}` cannot be read: {problem}")]
pub struct BadState {
    key: String,
    problem: String,
}

impl Default for State {
    fn default() -> Self {
        Self {
            position: Position(0),
            clock: Timestamp::MIN,
            looked: i64::MIN,
            configuration: Arc::default(),
            configuration_digest: None,
            policies: PolicySetEntry::default(),
            killed: None,
            breakers: BTreeMap::new(),
            models: BTreeMap::new(),
            subjects: BTreeMap::new(),
            touched: BTreeSet::new(),
        }
    }
}

impl State {
    /// Version of the stored form. State of another version is not converted but folded again from the log.
    pub const FORMAT: u32 = 8;

    pub(crate) fn advance_clock(&mut self, time: Timestamp) {
        if time > self.clock {
            self.clock = time;
            self.touched.insert(StateKey::Global);
        }
    }

    /// Marks the part that is not of a model or subject as changed.
    pub(crate) fn touch_global(&mut self) {
        self.touched.insert(StateKey::Global);
    }

    pub(crate) fn kill_everything(&mut self, note: Option<KillNote>) {
        self.killed = note;
        self.touched.insert(StateKey::Global);
    }

    /// What a policy's failures have come to; `None`: it answers.
    pub fn breaker(&self, policy: &PolicyRef) -> Option<&Breaker> {
        self.breakers.get(policy)
    }

    /// Notes how a call of a policy went. Says whether it is left alone from now on.
    pub(crate) fn note_call(&mut self, policy: &PolicyRef, failed: bool, rules: &BreakerRules) -> bool {
        let before = self.breakers.get(policy).copied();
        if !failed {
            if before.is_some() {
                self.breakers.remove(policy);
                self.touch_global();
            }
            return false;
        }
        let after = before.unwrap_or_default().failed(self.clock, rules);
        self.breakers.insert(policy.clone(), after);
        self.touch_global();
        after.open_until(self.clock).is_some()
    }

    /// Forgets the failures of policies that are not in force any more.
    pub(crate) fn keep_breakers(&mut self, in_force: impl Fn(&PolicyRef) -> bool) {
        let before = self.breakers.len();
        self.breakers.retain(|policy, _| in_force(policy));
        if self.breakers.len() != before {
            self.touch_global();
        }
    }

    /// A model, to be changed.
    pub(crate) fn model_mut(&mut self, key: &ModelKey) -> &mut ModelState {
        self.touched.insert(StateKey::Model(key.clone()));
        self.models.entry(key.clone()).or_default()
    }

    /// A subject, to be changed.
    pub(crate) fn subject_mut(&mut self, key: &Subject) -> &mut SubjectState {
        self.touched.insert(StateKey::Subject(key.clone()));
        Arc::make_mut(self.subjects.entry(key.clone()).or_default())
    }

    /// Holds a subject against a baseline from here on.
    pub(crate) fn hold_against(&mut self, baseline: &Baseline) {
        self.touched.insert(StateKey::Baseline(baseline.subject.clone()));
        self.subject_mut(&baseline.subject).baseline = Some(Arc::new(baseline.clone()));
    }

    /// Marks a subject's timelines as changed.
    pub(crate) fn touch_timelines(&mut self, subject: &Subject) {
        self.touched.insert(StateKey::Timelines(subject.clone()));
    }

    /// What has to be stored, with keys; nothing is touched afterwards.
    pub(crate) fn take_touched(&mut self) -> Result<Vec<trimtab_store::StateChange>, BadState> {
        std::mem::take(&mut self.touched)
            .into_iter()
            .map(|key| {
                let text = key.text();
                let bytes = self.encode(&key).map_err(|problem| BadState { key: text.clone(), problem })?;
                Ok((text, bytes))
            })
            .collect()
    }

    fn encode(&self, key: &StateKey) -> Result<Option<Vec<u8>>, String> {
        let bytes = match key {
            StateKey::Global => Some(postcard::to_allocvec(&Global {
                clock: self.clock,
                looked: self.looked,
                configuration: self.configuration_digest,
                policies: serde_json::to_string(&self.policies).map_err(|error| error.to_string())?,
                killed: self.killed.clone(),
                breakers: self.breakers.clone(),
            })),
            StateKey::Model(model) => self.models.get(model).map(postcard::to_allocvec),
            StateKey::Subject(subject) => {
                self.subjects.get(subject).map(|state| postcard::to_allocvec(state.as_ref()))
            }
            StateKey::Baseline(subject) => {
                let baseline = self.subjects.get(subject).and_then(|state| state.baseline.as_deref());
                baseline.map(postcard::to_allocvec)
            }
            StateKey::Timelines(subject) => {
                self.subjects.get(subject).map(|state| postcard::to_allocvec(state.timelines.as_ref()))
            }
        };
        bytes.transpose().map_err(|error| error.to_string())
    }

    /// Puts stored parts together. The configuration in force is the caller's to load, by the digest.
    pub fn restore(position: Position, parts: &[(String, Vec<u8>)]) -> Result<Self, BadState> {
        let mut state = Self { position, ..Self::default() };
        for (text, bytes) in parts {
            state.decode(text, bytes).map_err(|problem| BadState { key: text.clone(), problem })?;
        }
        Ok(state)
    }

    fn decode(&mut self, text: &str, bytes: &[u8]) -> Result<(), String> {
        fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
            postcard::from_bytes(bytes).map_err(|error| error.to_string())
        }
        match serde_json::from_str(text).map_err(|error| error.to_string())? {
            StateKey::Global => {
                let global: Global = read(bytes)?;
                self.clock = global.clock;
                self.looked = global.looked;
                self.configuration_digest = global.configuration;
                self.policies = serde_json::from_str(&global.policies).map_err(|error| error.to_string())?;
                self.killed = global.killed;
                self.breakers = global.breakers;
            }
            StateKey::Model(key) => {
                self.models.insert(key, read(bytes)?);
            }
            StateKey::Subject(key) => {
                // What is stored by itself may have come before.
                let known = self.subjects.remove(&key).unwrap_or_default();
                let (baseline, timelines) = (known.baseline.clone(), Arc::clone(&known.timelines));
                self.subjects.insert(key, Arc::new(SubjectState { baseline, timelines, ..read(bytes)? }));
            }
            StateKey::Timelines(key) => {
                Arc::make_mut(self.subjects.entry(key).or_default()).timelines = Arc::new(read(bytes)?);
            }
            StateKey::Baseline(key) => {
                Arc::make_mut(self.subjects.entry(key).or_default()).baseline = Some(Arc::new(read(bytes)?));
            }
        }
        Ok(())
    }
}

impl StateKey {
    /// How the store names it.
    fn text(&self) -> String {
        // Plain strings in an enum always serialise.
        serde_json::to_string(self).unwrap_or_default()
    }
}
