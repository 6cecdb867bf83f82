//! What is in force for a model, and what was done about it. Nothing of its rows but their number.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use trimtab_types::{AlertKind, OperatorAct, PolicyKind, PolicyRef, Stage, Timestamp};

use crate::{
    horizon::Horizon,
    lifecycle::{Registry, Version},
};

use super::{
    alerts::{AlertGroup, GroupKey, Silence},
    breaker::Breaker,
    exposure::Exposure,
    spent::Spent,
};

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

impl KillNote {
    /// Of a person's act.
    pub fn of(act: &OperatorAct) -> Self {
        Self { by: act.actor.clone(), at: act.at, reason: act.reason.clone() }
    }
}

/// What is known of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelState {
    /// A person stopped trading; only a person allows it again.
    pub killed_by_operator: Option<KillNote>,
    /// A policy stopped trading.
    pub killed_by_policy: Option<KillNote>,
    /// Share of the usual exposure, by cause.
    pub exposure: Exposure,
    /// No prediction below this confidence is served.
    pub minimum_confidence: Option<f64>,
    /// When the last retrain began.
    pub last_retrain: Option<Timestamp>,
    /// Until when a retrain is planned to begin.
    pub retrain_planned: Option<Timestamp>,
    /// Predictions logged, over all subjects; a model without any is unknown.
    pub predictions: u64,
    /// Resolved predictions, over all subjects.
    pub resolved: u64,
    /// Resolved predictions, as whoever decides knows of them: when something was last found, done or reported about it.
    pub samples: u64,
    /// How many of them the last retrain had seen.
    pub resolved_at_retrain: u64,
    /// The version that serves.
    pub champion: Option<String>,
    /// Since when.
    pub activated: Option<Timestamp>,
    /// Versions marked degraded.
    pub degraded: BTreeSet<String>,
    /// What people were told, by what is told together.
    pub alerts: BTreeMap<GroupKey, AlertGroup>,
    /// By kind, or of all kinds: alerts that are not sent for a while.
    pub silences: BTreeMap<Option<AlertKind>, Silence>,
    /// How far its predictions are judged at their horizon; `None`: none has one.
    pub(crate) horizon: Option<Horizon>,
    /// The newest time of its own entries.
    pub clock: Timestamp,
    /// When something was last found, done or reported about it.
    pub at: Timestamp,
    /// When a retrain was asked for of which nothing was reported yet.
    pub retrain_asked: Option<Timestamp>,
    /// Until when nobody decides about a version and segment.
    pub pauses: BTreeMap<(String, String), Timestamp>,
    /// What calls about it have added to the record.
    pub(crate) spent: Spent,
    /// Policies whose newest answer to a kind of question about it was a failure.
    pub(crate) breakers: BTreeMap<(PolicyRef, String), Breaker>,
}

impl Default for ModelState {
    fn default() -> Self {
        Self {
            killed_by_operator: None,
            killed_by_policy: None,
            exposure: Exposure::default(),
            minimum_confidence: None,
            last_retrain: None,
            retrain_planned: None,
            predictions: 0,
            resolved: 0,
            samples: 0,
            resolved_at_retrain: 0,
            champion: None,
            activated: None,
            degraded: BTreeSet::new(),
            alerts: BTreeMap::new(),
            silences: BTreeMap::new(),
            horizon: None,
            clock: Timestamp::MIN,
            at: Timestamp::MIN,
            retrain_asked: None,
            pauses: BTreeMap::new(),
            spent: Spent::default(),
            breakers: BTreeMap::new(),
        }
    }
}

impl ModelState {
    /// A person allows trading again. Exposure and confidence stay as they are: they have commands of their own.
    pub(crate) fn release(&mut self) {
        self.killed_by_operator = None;
        self.killed_by_policy = None;
    }

    /// Somebody knows of what was told.
    pub(crate) fn acknowledge(&mut self, kind: Option<AlertKind>, note: &KillNote) {
        let wanted = |key: &GroupKey| kind.is_none_or(|kind| kind == key.kind);
        for (_, group) in self.alerts.iter_mut().filter(|(key, _)| wanted(key)) {
            group.acknowledge(note);
        }
    }

    /// As the registry of versions says from here on.
    pub(crate) fn follow(&mut self, registry: &Registry) {
        if let Some(reign) = registry.reigns.last() {
            self.champion = Some(reign.version.clone());
            self.activated = Some(reign.from);
        }
        let is_degraded = |known: &Version| known.stage == Stage::Degraded || known.marked;
        let degraded = registry.versions.iter().filter(|(_, known)| is_degraded(known));
        self.degraded = degraded.map(|(name, _)| name.clone()).collect();
    }

    /// A retrain was decided, and somebody else than the host begins it.
    pub(crate) fn ask_for_retrain(&mut self, at: Timestamp) {
        self.retrain_planned = None;
        self.retrain_asked = Some(at);
    }

    /// A trainer has begun: the cooldown begins, and rows count anew.
    pub(crate) fn retrain_began(&mut self, at: Timestamp) {
        self.retrain_asked = None;
        self.retrain_planned = None;
        self.last_retrain = Some(at);
        self.resolved_at_retrain = self.samples;
    }

    /// What a policy's failures about this model have come to; `None`: it answers.
    pub fn breaker(&self, policy: &PolicyRef, kind: PolicyKind) -> Option<&Breaker> {
        self.breakers.get(&(policy.clone(), kind.name().to_owned()))
    }

    /// All policies whose newest answer to a kind of question was a failure.
    pub fn breakers(&self) -> impl Iterator<Item = (&PolicyRef, &str, &Breaker)> {
        self.breakers.iter().map(|((policy, kind), breaker)| (policy, kind.as_str(), breaker))
    }

    pub(crate) fn answered(&mut self, policy: &PolicyRef, kind: PolicyKind) {
        self.breakers.remove(&(policy.clone(), kind.name().to_owned()));
    }

    pub(crate) fn failed(&mut self, policy: &PolicyRef, kind: PolicyKind, breaker: Breaker) {
        self.breakers.insert((policy.clone(), kind.name().to_owned()), breaker);
    }

    /// Forgets the failures of policies that are not in force. Says whether there were any.
    pub(crate) fn forget_failures(&mut self, in_force: impl Fn(&PolicyRef) -> bool) -> bool {
        let before = self.breakers.len();
        self.breakers.retain(|(policy, _), _| in_force(policy));
        self.breakers.len() != before
    }
}
