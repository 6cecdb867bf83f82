//! What the fold knows at a position: the newest tick, and for every model and subject what later entries and
//! decisions depend on. Every part can be stored by itself and is stored only when it changed.

mod key;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use trimtab_types::{
    AlertKind, Baseline, Digest, Entry, ModelKey, PolicyKind, PolicyRef, PolicySetEntry, Position, Subject,
    Timestamp,
};

use crate::{
    Configuration,
    config::BreakerRules,
    in_force::InForce,
    ledger::{Diary, KillNote, ModelState, Silence},
    lifecycle::{Registry, Tally, Trial},
    watch::SubjectState,
};

pub use key::StateKey;

/// The fold's state at a position.
#[derive(Debug, Clone)]
pub struct State {
    /// The newest entry that was folded.
    pub position: Position,
    /// The newest tick: what time it is for every model. A model's own rows may be ahead of it.
    pub tick: Timestamp,
    /// The hour in which distributions over time and outcomes were last looked at.
    pub(crate) looked: i64,
    /// Since when ticks come without a pause: before that nothing could be missed.
    pub(crate) awake: Timestamp,
    /// The same of a pause of more than a day: before that nobody could be reminded.
    pub(crate) back: Timestamp,
    /// The configuration in force.
    pub configuration: Arc<Configuration>,
    /// Its digest; `None` before the first.
    pub configuration_digest: Option<Digest>,
    /// The policies in force.
    pub policies: PolicySetEntry,
    /// Those of them that are asked, with their rules. Not stored: made of what is in force.
    pub in_force: Arc<Vec<InForce>>,
    /// Trading is stopped on all models.
    pub killed: Option<KillNote>,
    /// Versions that fail on many models and are asked about none until then.
    pub left_alone: BTreeMap<PolicyRef, Timestamp>,
    /// By kind, or of all kinds: alerts that are not sent about any model for a while.
    pub silences: BTreeMap<Option<AlertKind>, Silence>,
    /// By model.
    pub models: BTreeMap<ModelKey, ModelState>,
    /// The watch, by subject; shared with the views of decisions under way.
    pub subjects: BTreeMap<Subject, Arc<SubjectState>>,
    /// By subject; shared in the same way. A subject without findings has none.
    pub diaries: BTreeMap<Subject, Arc<Diary>>,
    /// The life of each model that has registered versions.
    pub registries: BTreeMap<ModelKey, Arc<Registry>>,
    /// What has come in of experiments that are under way, by model and by the version that is tried.
    pub tallies: BTreeMap<ModelKey, BTreeMap<String, Arc<Tally>>>,
    /// Whether a model has predictions with a horizon.
    pub(crate) has_horizons: bool,
    /// Parts that changed since they were last stored.
    pub touched: BTreeSet<StateKey>,
}

/// The part of the state that is not of a model or subject.
#[derive(Debug, Serialize, Deserialize)]
struct Global {
    tick: Timestamp,
    looked: i64,
    awake: Timestamp,
    back: Timestamp,
    configuration: Option<Digest>,
    /// As JSON: its type is made to grow there.
    policies: String,
    killed: Option<KillNote>,
    left_alone: BTreeMap<PolicyRef, Timestamp>,
    silences: BTreeMap<Option<AlertKind>, Silence>,
}

/// Ticks that are further apart, in seconds, have a pause between them: no host ran.
const PAUSE: u64 = 2 * 3_600;
/// A longer one than history has that comes once a day.
const LONG_PAUSE: u64 = 26 * 3_600;

/// A part's key and its bytes.
pub type StateChange = (StateKey, Vec<u8>);

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
            tick: Timestamp::MIN,
            looked: i64::MIN,
            awake: Timestamp::MIN,
            back: Timestamp::MIN,
            configuration: Arc::default(),
            configuration_digest: None,
            policies: PolicySetEntry::default(),
            in_force: Arc::default(),
            killed: None,
            left_alone: BTreeMap::new(),
            silences: BTreeMap::new(),
            models: BTreeMap::new(),
            subjects: BTreeMap::new(),
            diaries: BTreeMap::new(),
            registries: BTreeMap::new(),
            tallies: BTreeMap::new(),
            has_horizons: false,
            touched: BTreeSet::new(),
        }
    }
}

impl State {
    /// Rises when the same log leads to other findings, decisions or effects. What was recorded under other rules stays as
    /// it was recorded.
    pub const RULES: u32 = 2;

    /// Version of the stored form. State of another version is not converted but folded again from the log.
    pub const FORMAT: u32 = 19;

    /// What time it is for a model: the newest of its own entries and of the ticks. There is no other clock, so that no
    /// other model's rows change anything about it.
    pub fn clock(&self, model: &ModelKey) -> Timestamp {
        self.models.get(model).map_or(self.tick, |model| model.clock.max(self.tick))
    }

    /// What time it is for whoever decides about a model: that of its newest moment, or of the newest tick. Rows between
    /// moments do not move it, so that it can be told without them.
    pub fn now(&self, model: &ModelKey) -> Timestamp {
        self.models.get(model).map_or(self.tick, |model| model.at.max(self.tick))
    }

    /// The newest time that any model knows, for people.
    pub fn newest(&self) -> Timestamp {
        self.models.values().map(|model| model.clock).fold(self.tick, Timestamp::max)
    }

    /// An entry brings its time: a tick to all models, any other to the model that it is about. That of a prediction, of
    /// which there are most, is taken where its model is looked up anyway.
    pub(crate) fn advance(&mut self, entry: &Entry) {
        let Some(time) = entry.time() else { return };
        match (entry, entry.model()) {
            (Entry::Prediction(_), _) => {}
            (Entry::Tick(_), _) if time > self.tick => {
                let pause = if self.tick == Timestamp::MIN { u64::MAX } else { time.since(self.tick) };
                if pause > PAUSE {
                    self.awake = time;
                }
                if pause > LONG_PAUSE {
                    self.back = time;
                }
                self.tick = time;
                self.touched.insert(StateKey::Global);
            }
            (_, Some((tenant, model))) => {
                let key = ModelKey { tenant: tenant.to_owned(), model: model.to_owned() };
                let model = self.model_mut(&key);
                model.clock = model.clock.max(time);
            }
            (_, None) => {}
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

    /// The silences of everything, to be changed.
    pub(crate) fn silences_mut(&mut self) -> &mut BTreeMap<Option<AlertKind>, Silence> {
        self.touch_global();
        &mut self.silences
    }

    /// The silence that keeps alerts of a kind about a model from being sent now: of those that do, the longest.
    pub fn silence(&self, model: &ModelKey, kind: AlertKind) -> Option<&Silence> {
        let now = self.now(model);
        let own = self.models.get(model).map(|model| &model.silences);
        own.into_iter()
            .chain([&self.silences])
            .flat_map(|silences| [silences.get(&None), silences.get(&Some(kind))])
            .flatten()
            .filter(|silence| now < silence.until)
            .max_by_key(|silence| silence.until)
    }

    /// The subjects of a model.
    pub fn subjects_of(&self, key: &ModelKey) -> impl Iterator<Item = (&Subject, &Arc<SubjectState>)> {
        of_model(&self.subjects, key)
    }

    /// What is known of each segment of a version.
    pub(crate) fn subjects_of_version(&self, version: &Subject) -> impl Iterator<Item = &Arc<SubjectState>> {
        let first = Subject { segment: String::new(), ..version.clone() };
        let is_same = {
            let first = first.clone();
            move |subject: &Subject| {
                (&subject.tenant, &subject.model, &subject.version)
                    == (&first.tenant, &first.model, &first.version)
            }
        };
        self.subjects.range(first..).take_while(move |(subject, _)| is_same(subject)).map(|(_, known)| known)
    }

    /// Until when a policy is not asked this kind of question about a model, if it is not asked now.
    pub(crate) fn left_alone_until(
        &self,
        model: &ModelKey,
        policy: &PolicyRef,
        kind: PolicyKind,
    ) -> Option<Timestamp> {
        let now = self.now(model);
        let breaker = self.models.get(model).and_then(|model| model.breaker(policy, kind));
        let everywhere = self.left_alone.get(policy).copied().filter(|until| now < *until);
        breaker.and_then(|breaker| breaker.open_until(now)).max(everywhere)
    }

    /// Notes how a call of a policy went. Says whether it is left alone from now on.
    pub(crate) fn note_call(
        &mut self,
        model: &ModelKey,
        policy: &PolicyRef,
        kind: PolicyKind,
        failed: bool,
        rules: &BreakerRules,
    ) -> bool {
        let now = self.now(model);
        let before = self.models.get(model).and_then(|model| model.breaker(policy, kind)).copied();
        if !failed {
            if before.is_some() {
                self.model_mut(model).answered(policy, kind);
            }
            return false;
        }
        let after = before.unwrap_or_default().failed(now, rules);
        self.model_mut(model).failed(policy, kind, after);
        after.open_until(now).is_some()
    }

    /// A version fails on many models: it is asked about none of them for a while.
    pub(crate) fn leave_alone(&mut self, policy: &PolicyRef, until: Timestamp) {
        self.left_alone.insert(policy.clone(), until);
        self.touch_global();
    }

    /// Forgets the failures of policies that are not in force any more.
    pub(crate) fn keep_breakers(&mut self, in_force: impl Fn(&PolicyRef) -> bool) {
        for (key, model) in &mut self.models {
            if model.forget_failures(&in_force) {
                self.touched.insert(StateKey::Model(key.clone()));
            }
        }
        let before = self.left_alone.len();
        self.left_alone.retain(|policy, _| in_force(policy));
        if self.left_alone.len() != before {
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

    /// The diary of a subject, to be changed.
    pub(crate) fn diary_mut(&mut self, key: &Subject) -> &mut Diary {
        self.touched.insert(StateKey::Diary(key.clone()));
        Arc::make_mut(self.diaries.entry(key.clone()).or_default())
    }

    /// The life of a model, to be changed.
    pub(crate) fn registry_mut(&mut self, key: &ModelKey) -> &mut Registry {
        self.touched.insert(StateKey::Registry(key.clone()));
        Arc::make_mut(self.registries.entry(key.clone()).or_default())
    }

    /// What has come in of the experiments of a model, to be changed.
    pub(crate) fn tallies_mut(&mut self, key: &ModelKey) -> &mut BTreeMap<String, Arc<Tally>> {
        self.touched.insert(StateKey::Tallies(key.clone()));
        self.tallies.entry(key.clone()).or_default()
    }

    /// Something about the experiments of a model, if one is under way, with what was planned of each.
    pub(crate) fn tally(&mut self, key: &ModelKey, mut take: impl FnMut(&Trial, &mut Tally)) {
        let Some(tallies) = self.tallies.get_mut(key).filter(|tallies| !tallies.is_empty()) else { return };
        let Some(registry) = self.registries.get(key) else { return };
        for (version, tally) in tallies {
            if let Some(trial) = registry.trials.get(version) {
                take(trial, Arc::make_mut(tally));
            }
        }
        self.touched.insert(StateKey::Tallies(key.clone()));
    }

    /// The diaries of a model.
    pub fn diaries_of(&self, key: &ModelKey) -> impl Iterator<Item = (&Subject, &Arc<Diary>)> {
        of_model(&self.diaries, key)
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

    /// What changed since the last call, with keys.
    pub fn take_touched(&mut self) -> Result<Vec<StateChange>, BadState> {
        let touched = std::mem::take(&mut self.touched);
        let encoded = |key: StateKey| match self.encode(&key) {
            Ok(bytes) => Some(Ok((key, bytes?))),
            Err(problem) => Some(Err(BadState { key: key.to_string(), problem })),
        };
        touched.into_iter().filter_map(encoded).collect()
    }

    /// Nothing is known of a model any more, as if nobody had ever heard of it.
    pub fn forget(&mut self, key: &ModelKey) {
        self.models.remove(key);
        self.subjects.retain(|subject, _| subject.model_key() != *key);
        self.diaries.retain(|subject, _| subject.model_key() != *key);
        self.registries.remove(key);
        self.tallies.remove(key);
    }

    /// Marks all parts as changed.
    pub fn touch_all(&mut self) {
        self.touched.insert(StateKey::Global);
        self.touched.extend(self.models.keys().cloned().map(StateKey::Model));
        self.touched.extend(self.diaries.keys().cloned().map(StateKey::Diary));
        self.touched.extend(self.registries.keys().cloned().map(StateKey::Registry));
        self.touched.extend(self.tallies.keys().cloned().map(StateKey::Tallies));
        for (subject, known) in &self.subjects {
            self.touched.insert(StateKey::Subject(subject.clone()));
            self.touched.insert(StateKey::Timelines(subject.clone()));
            if known.baseline.is_some() {
                self.touched.insert(StateKey::Baseline(subject.clone()));
            }
        }
    }

    /// As questions see it: without what is for those who store it.
    pub fn seen(&mut self) -> Self {
        let touched = std::mem::take(&mut self.touched);
        let seen = self.clone();
        self.touched = touched;
        seen
    }

    fn encode(&self, key: &StateKey) -> Result<Option<Vec<u8>>, String> {
        let bytes = match key {
            StateKey::Global => Some(postcard::to_allocvec(&Global {
                tick: self.tick,
                looked: self.looked,
                awake: self.awake,
                back: self.back,
                configuration: self.configuration_digest,
                policies: serde_json::to_string(&self.policies).map_err(|error| error.to_string())?,
                killed: self.killed.clone(),
                left_alone: self.left_alone.clone(),
                silences: self.silences.clone(),
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
            StateKey::Diary(subject) => {
                self.diaries.get(subject).map(|diary| postcard::to_allocvec(diary.as_ref()))
            }
            // As JSON: its types are made to grow there.
            StateKey::Registry(model) => {
                let registry =
                    self.registries.get(model).map(|registry| serde_json::to_vec(registry.as_ref()));
                return registry.transpose().map_err(|error| error.to_string());
            }
            StateKey::Tallies(model) => self.tallies.get(model).map(|tallies| {
                let tallies: BTreeMap<&String, &Tally> =
                    tallies.iter().map(|(version, tally)| (version, tally.as_ref())).collect();
                postcard::to_allocvec(&tallies)
            }),
        };
        bytes.transpose().map_err(|error| error.to_string())
    }

    /// Puts stored parts together. The configuration in force is the caller's to load, by the digest.
    pub fn restore(position: Position, parts: &[StateChange]) -> Result<Self, BadState> {
        let mut state = Self { position, ..Self::default() };
        for (key, bytes) in parts {
            state.decode(key, bytes).map_err(|problem| BadState { key: key.to_string(), problem })?;
        }
        state.has_horizons = state.models.values().any(|known| known.horizon.is_some());
        Ok(state)
    }

    fn decode(&mut self, key: &StateKey, bytes: &[u8]) -> Result<(), String> {
        fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
            postcard::from_bytes(bytes).map_err(|error| error.to_string())
        }
        match key.clone() {
            StateKey::Global => {
                let global: Global = read(bytes)?;
                self.tick = global.tick;
                self.looked = global.looked;
                self.awake = global.awake;
                self.back = global.back;
                self.configuration_digest = global.configuration;
                self.policies = serde_json::from_str(&global.policies).map_err(|error| error.to_string())?;
                self.killed = global.killed;
                self.left_alone = global.left_alone;
                self.silences = global.silences;
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
            StateKey::Diary(key) => {
                self.diaries.insert(key, Arc::new(read(bytes)?));
            }
            StateKey::Registry(key) => {
                let registry = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
                self.registries.insert(key, Arc::new(registry));
            }
            StateKey::Tallies(key) => {
                let tallies: BTreeMap<String, Tally> = read(bytes)?;
                let tallies = tallies.into_iter().map(|(version, tally)| (version, Arc::new(tally)));
                self.tallies.insert(key, tallies.collect());
            }
        }
        Ok(())
    }
}

/// What is known of the subjects of a model.
fn of_model<'a, T>(
    all: &'a BTreeMap<Subject, T>,
    key: &ModelKey,
) -> impl Iterator<Item = (&'a Subject, &'a T)> {
    let ModelKey { tenant, model } = key.clone();
    let first = Subject { tenant, model, version: String::new(), segment: String::new() };
    let (tenant, model) = (first.tenant.clone(), first.model.clone());
    let is_same = move |subject: &Subject| subject.tenant == tenant && subject.model == model;
    all.range(first..).take_while(move |(subject, _)| is_same(subject))
}
