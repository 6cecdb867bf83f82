//! What the fold knows at a position: the log's clock, and for every model and subject what later entries and
//! decisions depend on. Every part can be stored by itself and is stored only when it changed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use trimtab_types::{Baseline, Digest, ModelKey, PolicyRef, PolicySetEntry, Position, Subject, Timestamp};

use crate::{
    Configuration,
    config::BreakerRules,
    in_force::InForce,
    ledger::{Breaker, KillNote, ModelState},
    watch::SubjectState,
};

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
    /// Those of them that are asked, with their rules. Not stored: made of what is in force.
    pub in_force: Arc<Vec<InForce>>,
    /// Trading is stopped on all models.
    pub killed: Option<KillNote>,
    /// Policies whose newest call failed.
    pub breakers: BTreeMap<PolicyRef, Breaker>,
    /// By model.
    pub models: BTreeMap<ModelKey, ModelState>,
    /// By subject; shared with the views of decisions under way.
    pub subjects: BTreeMap<Subject, Arc<SubjectState>>,
    /// Parts that changed since they were last stored.
    pub touched: BTreeSet<StateKey>,
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

/// A part's key and its bytes; no bytes: removed.
pub type StateChange = (String, Option<Vec<u8>>);

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
            clock: Timestamp::EPOCH,
            looked: 0,
            configuration: Arc::default(),
            configuration_digest: None,
            policies: PolicySetEntry::default(),
            in_force: Arc::default(),
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
    pub const FORMAT: u32 = 7;

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
    pub fn take_touched(&mut self) -> Result<Vec<StateChange>, BadState> {
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
