//! The fold: log entries in, state and findings out. Pure: no I/O, no clock, no randomness, so that the same log gives
//! the same findings on every machine. What to do about a finding is not decided here.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use trimtab_types::{
    About, Act, Baseline, DueRow, Entry, Finding, ModelKey, Moment, MomentKind, OperatorAct, Outcome, Phase,
    Position, Prediction, Record, Resolution, Severity, Subject, Timestamp, judge,
};

use crate::{
    horizon::{self, Counts},
    tick,
    watch::{At, Pair, Settings},
};

pub use trimtab_types::Fleet;

// What was found here before it had a place of its own.
pub use crate::{
    detector::DetectorKind,
    ledger::{
        AlertGroup, Breaker, Decided, Diary, Exposure, GroupKey, Held, KillNote, Line, ModelState, Silence,
        Told,
    },
    state::{BadState, State, StateChange, StateKey},
    view::SubjectView,
    watch::SubjectState,
};

/// Folds one record into the state. Returns the findings that it changed, those of one subject together, gravest first.
/// The diaries do not know of them yet: see [`State::live`].
///
/// Configurations and policy sets are put in force by `decide::step`, which is handed their contents.
pub fn apply(state: &mut State, record: &Record) -> Vec<Finding> {
    state.position = record.position;
    let tick = state.tick;
    state.advance(&record.entry);
    let mut findings = horizon::judge(state, &record.due);
    horizon::advance(state, &record.entry, tick);
    findings.extend(match &record.entry {
        Entry::Prediction(prediction) => {
            let mut findings = predicted(state, prediction);
            state.expect(prediction);
            if let Some(Resolution::By(outcome)) = &record.resolves {
                findings.extend(resolve(state, record.position, prediction, outcome, None));
            }
            findings
        }
        Entry::Outcome(outcome) => match &record.resolves {
            Some(Resolution::Of { position, prediction, previous }) => {
                resolve(state, *position, prediction, outcome, previous.as_deref())
            }
            _ => Vec::new(),
        },
        Entry::Baseline(baseline) => set_baseline(state, baseline),
        Entry::OperatorAct(OperatorAct { act: Act::Retire { model, version, segment, feature }, .. }) => {
            let is_meant = |subject: &Subject| {
                version.as_ref().is_none_or(|version| *version == subject.version)
                    && segment.as_ref().is_none_or(|segment| *segment == subject.segment)
            };
            state.retire(model, is_meant, feature.as_deref())
        }
        Entry::Reset(reset) => state.restart_named(&reset.subject, reset.detector.as_deref()),
        Entry::Tick(_) => tick::tick(state),
        // The rest changes nothing of the watch, or is put in force by `decide::step`.
        _ => Vec::new(),
    });
    in_order(findings)
}

/// Those of one subject together, the gravest episode first; what happened to an episode stays in its order.
fn in_order(findings: Vec<Finding>) -> Vec<Finding> {
    if findings.len() < 2 {
        return findings;
    }
    let mut gravest: BTreeMap<String, Severity> = BTreeMap::new();
    for finding in &findings {
        let known = gravest.entry(finding.id.clone()).or_insert(finding.severity);
        *known = finding.severity.max(*known);
    }
    let mut findings = findings;
    findings
        .sort_by(|a, b| a.subject.cmp(&b.subject).then_with(|| gravest.get(&b.id).cmp(&gravest.get(&a.id))));
    findings
}

/// What an entry changes of diary and ledger by itself.
pub(crate) fn enter(state: &mut State, entry: &Entry) {
    match entry {
        Entry::OperatorAct(act) => operator_act(state, act),
        Entry::Reset(reset) => state.forget_counts(&reset.subject, reset.detector.as_deref()),
        // Rows, baselines and ticks are the watch's. The others are in the format from the first build on; what they change
        // comes with the features that write them. Configuration and policy set are those of `decide::step`.
        Entry::Prediction(_)
        | Entry::Outcome(_)
        | Entry::Baseline(_)
        | Entry::Tick(_)
        | Entry::Configuration(_)
        | Entry::PolicySet(_)
        | Entry::JobStart(_)
        | Entry::Redaction(_) => {}
        // What is asked for about versions, experiments and retrains is judged first: see `decide`.
        Entry::VersionChange(_)
        | Entry::Experiment(_)
        | Entry::Approval(_)
        | Entry::Retrain(_)
        | Entry::Trainer(_) => {}
    }
}

/// The model that something was done about, or that something was reported of.
pub(crate) fn acted_on(entry: &Entry) -> Option<ModelKey> {
    match entry {
        Entry::OperatorAct(_)
        | Entry::Reset(_)
        | Entry::VersionChange(_)
        | Entry::Experiment(_)
        | Entry::Approval(_)
        | Entry::Retrain(_)
        | Entry::Trainer(_) => {
            let (tenant, model) = entry.model()?;
            Some(ModelKey { tenant: tenant.to_owned(), model: model.to_owned() })
        }
        _ => None,
    }
}

/// Everything up to a position is folded: what was there besides changes nothing that a fold knows.
pub fn passed(state: &mut State, position: Position) {
    state.position = position;
}

/// A prediction arrives.
fn predicted(state: &mut State, prediction: &Prediction) -> Vec<Finding> {
    let model = prediction.subject.model_key();
    let tick = state.tick;
    let known = state.model_mut(&model);
    known.predictions += 1;
    known.clock = known.clock.max(prediction.time);
    let clock = known.clock.max(tick);
    let configuration = std::sync::Arc::clone(&state.configuration);
    let at = At::new(&prediction.subject, state.position, clock);
    let subject = state.subject_mut(&prediction.subject);
    let (findings, is_older_changed) = subject.arrive(Settings::of(&configuration, &model), prediction, at);
    if is_older_changed {
        state.touch_timelines(&prediction.subject);
    }
    if !state.tallies.is_empty() {
        state.tally(&model, |trial, tally| tally.predicted(trial, prediction));
    }
    findings
}

/// A prediction and its outcome meet.
fn resolve(
    state: &mut State,
    position: Position,
    prediction: &Prediction,
    outcome: &Outcome,
    previous: Option<&Outcome>,
) -> Vec<Finding> {
    if previous.is_none() {
        let configuration = std::sync::Arc::clone(&state.configuration);
        let settings = Settings::of(&configuration, &prediction.subject.model_key());
        state.subject_mut(&prediction.subject).came(settings, prediction);
    }
    match state.counts(position, prediction, previous.is_none()) {
        Counts::AtHorizon => {
            if previous.is_none() {
                state.subject_mut(&prediction.subject).corrections.waiting += 1;
            }
            return Vec::new();
        }
        Counts::NoMore => {
            let judged = paired(state, position, prediction, outcome).judged;
            let known = &mut state.subject_mut(&prediction.subject).corrections;
            known.after_horizon += 1;
            known.corrected(prediction, outcome, judged);
            return Vec::new();
        }
        Counts::Now => {}
    }
    let pair = paired(state, position, prediction, outcome);
    match previous {
        Some(previous) => {
            let before = paired(state, position, prediction, previous);
            let now = state.clock(&prediction.subject.model_key());
            state.subject_mut(&prediction.subject).correct(before, pair, now);
            Vec::new()
        }
        None => {
            let clock = state.clock(&prediction.subject.model_key());
            observe(state, pair, At::new(&prediction.subject, state.position, clock))
        }
    }
}

/// The horizon of a prediction has passed, and there is an outcome.
pub(crate) fn judge_at_horizon(state: &mut State, row: &DueRow, clock: Timestamp) -> Vec<Finding> {
    let DueRow { position, prediction, outcome, .. } = row;
    let corrections = &mut state.subject_mut(&prediction.subject).corrections;
    corrections.waiting = corrections.waiting.saturating_sub(1);
    let pair = paired(state, *position, prediction, outcome);
    let at = At { subject: &prediction.subject, position: state.position, row: *position, clock };
    observe(state, pair, at)
}

/// Held against each other by the rules for the subject.
fn paired<'a>(
    state: &State,
    position: Position,
    prediction: &'a Prediction,
    outcome: &'a Outcome,
) -> Pair<'a> {
    let known = state.subjects.get(&*prediction.subject);
    let judging = state.configuration.judging(&prediction.subject.model_key());
    let rules = judging.by(known.and_then(|known| known.baseline.as_deref()));
    Pair { position, prediction, outcome, judged: judge(prediction, outcome, &rules) }
}

fn observe(state: &mut State, pair: Pair<'_>, at: At<'_>) -> Vec<Finding> {
    let model = at.subject.model_key();
    state.model_mut(&model).resolved += 1;
    let configuration = std::sync::Arc::clone(&state.configuration);
    if !state.tallies.is_empty() {
        let Pair { prediction, outcome, judged, .. } = pair;
        state.tally(&model, |trial, tally| tally.resolved(trial, prediction, outcome, judged));
    }
    state.subject_mut(at.subject).resolve(Settings::of(&configuration, &model), pair, at)
}

fn set_baseline(state: &mut State, baseline: &Baseline) -> Vec<Finding> {
    state.hold_against(baseline);
    let kinds: Vec<_> = DetectorKind::ALL.into_iter().filter(|kind| kind.needs_baseline()).collect();
    let mut findings = restart(state, &baseline.subject, &kinds);
    let model = baseline.subject.model_key();
    let configuration = std::sync::Arc::clone(&state.configuration);
    let at = At::new(&baseline.subject, state.position, state.clock(&model));
    let subject = state.subject_mut(&baseline.subject);
    findings.extend(subject.catch_up(Settings::of(&configuration, &model), at));
    subject.note_unseen();
    findings
}

/// Starts detectors of a subject anew. Returns the episodes that this closed.
fn restart(state: &mut State, subject: &Subject, kinds: &[DetectorKind]) -> Vec<Finding> {
    let at = At::new(subject, state.position, state.clock(&subject.model_key()));
    state.subject_mut(subject).restart(kinds, at)
}

fn operator_act(state: &mut State, act: &OperatorAct) {
    let note = KillNote::of(act);
    match &act.act {
        Act::KillSwitch { model: None, on } => state.kill_everything(on.then_some(note)),
        Act::KillSwitch { model: Some(model), on } => {
            let model = state.model_mut(model);
            if *on {
                model.killed_by_operator = Some(note);
            } else {
                model.release();
            }
        }
        // Whoever asks heeds it, ahead of the log; what was not asked is recorded as that.
        Act::StopPolicy { .. } => {}
        Act::LeaveAlone { policy, until } => state.leave_alone(policy, *until),
        Act::SetExposure { model, exposure } => state.model_mut(model).exposure.set(*exposure),
        Act::ClearExposure { model, cause } => state.model_mut(model).exposure.clear(cause.as_deref()),
        Act::MinimumConfidence { model, confidence } => {
            state.model_mut(model).minimum_confidence = *confidence;
        }
        // Ending a pause puts what is open to the policies again: see `decide`.
        Act::Resume { .. } | Act::Ask { .. } | Act::Review { .. } | Act::PlanRetrains { .. } => {}
        // What it ends is the watch's.
        Act::Retire { .. } => {}
        Act::Acknowledge { model, kind } => state.model_mut(model).acknowledge(*kind, &note),
        Act::Silence { model, kind, until } => {
            let silences = match model {
                Some(model) => &mut state.model_mut(model).silences,
                None => state.silences_mut(),
            };
            match until {
                Some(until) => silences.insert(*kind, Silence { until: *until, note }),
                None => silences.remove(kind),
            };
        }
    }
}

impl State {
    /// Starts a detector of a subject anew, or all. Returns the episodes that this closed.
    fn restart_named(&mut self, subject: &Subject, detector: Option<&str>) -> Vec<Finding> {
        restart(self, subject, &named(detector))
    }

    /// No further predictions of these subjects of a model are expected, or none with a feature. Returns the episodes that
    /// this closed.
    fn retire(
        &mut self,
        model: &ModelKey,
        is_meant: impl Fn(&Subject) -> bool,
        feature: Option<&str>,
    ) -> Vec<Finding> {
        let (position, clock) = (self.position, self.clock(model));
        let mut ended = Vec::new();
        let subjects: Vec<Subject> = self.subjects_of(model).map(|(subject, _)| subject.clone()).collect();
        for subject in subjects.into_iter().filter(is_meant) {
            let at = At::new(&subject, position, clock);
            let known = self.subject_mut(&subject);
            ended.extend(match feature {
                Some(feature) => known.retire_feature(feature, at),
                None => known.retire(at),
            });
        }
        ended
    }

    /// The stages of versions may have changed: of those that were put away no predictions are missed.
    pub(crate) fn expect_by_stages(&mut self, model: &ModelKey) {
        let Some(registry) = self.registries.get(model).cloned() else { return };
        let follows = |(subject, known): (&Subject, &std::sync::Arc<SubjectState>)| {
            let is_away = registry.is_put_away(&subject.version);
            known.arrivals.follows(is_away).then(|| (subject.clone(), is_away))
        };
        let changed: Vec<_> = self.subjects_of(model).filter_map(follows).collect();
        for (subject, is_away) in changed {
            self.subject_mut(&subject).arrivals.put_away(is_away);
        }
    }

    /// Forgets how often a detector, or any, found something about a subject.
    fn forget_counts(&mut self, subject: &Subject, detector: Option<&str>) {
        for kind in named(detector) {
            self.diary_mut(subject).drift_counts.remove(kind.name());
        }
    }

    /// Starts a detector anew because somebody decided so. Returns the closings of what is open of it, as the diary knows
    /// it: that is told without rows.
    pub(crate) fn order_reset(&mut self, subject: &Subject, detector: Option<&str>) -> Vec<Finding> {
        let at = At::new(subject, self.position, self.now(&subject.model_key()));
        let ends = self.diaries.get(subject).map(|diary| diary.ends(detector, at)).unwrap_or_default();
        if self.subjects.contains_key(subject) {
            self.restart_named(subject, detector);
        }
        self.forget_counts(subject, detector);
        ends
    }

    /// A moment has come: what it says goes into diary and ledger.
    pub(crate) fn live(&mut self, moment: &Moment) {
        if let Some(model) = moment.about.model_key() {
            let known = self.model_mut(&model);
            (known.at, known.samples) = (moment.at, moment.facts.resolved);
        }
        let About::Subject(subject) = &moment.about else { return };
        let diary = self.diary_mut(subject);
        moment.findings.iter().for_each(|finding| diary.note(finding));
        if moment.kind != MomentKind::Ordered {
            diary.facts.clone_from(&moment.facts);
        }
    }

    /// Puts another configuration in force. Detectors whose settings changed start anew.
    pub fn put_in_force(&mut self, configuration: std::sync::Arc<crate::Configuration>) -> Vec<Finding> {
        let before = std::mem::replace(&mut self.configuration, configuration);
        let after = std::sync::Arc::clone(&self.configuration);
        let subjects: Vec<_> = self.subjects.keys().cloned().collect();
        let mut closed = Vec::new();
        for subject in &subjects {
            let model = subject.model_key();
            let is_judged_otherwise = before.judging(&model).differs(after.judging(&model));
            if is_judged_otherwise {
                self.subject_mut(subject).forget_judgements();
            }
            if before.judging(&model).when != after.judging(&model).when {
                self.judge_when(&model, after.judging(&model).when);
            }
            let (before, after) = (before.detectors(&model), after.detectors(&model));
            let is_changed = |kind: &DetectorKind| {
                before.changed(after, *kind) || (is_judged_otherwise && kind.is_judged())
            };
            let changed: Vec<_> = DetectorKind::ALL.into_iter().filter(is_changed).collect();
            if !changed.is_empty() {
                let ended = restart(self, subject, &changed);
                closed.extend(ended.into_iter().map(|ended| match is_judged_otherwise {
                    true => Finding { window: JUDGED_OTHERWISE.to_owned(), ..ended },
                    false => ended,
                }));
            }
        }
        closed
    }
}

/// Why episodes end when the rules by which predictions are judged change.
const JUDGED_OTHERWISE: &str = "closed because predictions are judged by other rules from here on";

fn named(detector: Option<&str>) -> Vec<DetectorKind> {
    let wanted = |kind: &DetectorKind| detector.is_none_or(|name| name == kind.name());
    DetectorKind::ALL.into_iter().filter(wanted).collect()
}

/// The changes that are put to a policy: openings, raises, and closings of what was open for more than an instant.
pub fn put_to_policies(changes: &[Finding]) -> Vec<Finding> {
    let began_here = |closing: &Finding| {
        changes.iter().any(|change| change.id == closing.id && change.phase != Phase::Closed)
    };
    changes.iter().filter(|change| change.phase != Phase::Closed || !began_here(change)).cloned().collect()
}
