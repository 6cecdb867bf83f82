//! Log entries: everything that can change a finding or a decision.
//!
//! Predictions and outcomes are by far the most; the rest are rare and can grow fields, because they are stored as JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    AlertKind, Approval, Baseline, Digest, ExperimentChange, Mode, ModelKey, Outcome, PolicyRef, Prediction,
    RetrainChange, Subject, Timestamp, TrainerReport, VersionChange,
};

/// A place in the log; the first entry has position 1. Order is position, never time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Position(pub u64);

impl std::fmt::Display for Position {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Entry {
    /// A model predicted.
    Prediction(Prediction),
    /// The world answered, or an earlier answer is corrected.
    Outcome(Outcome),
    /// A subject is held against these numbers from here on.
    Baseline(Box<Baseline>),
    /// This configuration is in force from here on; its text is kept by digest.
    Configuration(Digest),
    /// These policies are in force from here on; their components and manifests are kept by digest.
    PolicySet(PolicySetEntry),
    /// Time passed.
    Tick(Timestamp),
    /// A job began.
    JobStart(JobStart),
    /// A person did something.
    OperatorAct(OperatorAct),
    /// A person approved or refused a proposal.
    Approval(Approval),
    /// Detectors start anew.
    Reset(Reset),
    /// A version is registered, or something is done about it.
    VersionChange(VersionChange),
    /// An experiment begins, changes or ends.
    Experiment(ExperimentChange),
    /// A trainer reported.
    Trainer(TrainerReport),
    /// A person wants something done about retrains.
    Retrain(RetrainChange),
    /// A person's data were redacted.
    Redaction(Redaction),
}

impl Entry {
    /// Tenant and name of the model that an entry is about; `None`: it matters to all of them.
    pub fn model(&self) -> Option<(&str, &str)> {
        fn key(model: &ModelKey) -> (&str, &str) {
            (&model.tenant, &model.model)
        }
        fn subject(subject: &Subject) -> (&str, &str) {
            (&subject.tenant, &subject.model)
        }
        match self {
            Self::Prediction(prediction) => Some(subject(&prediction.subject)),
            Self::Outcome(outcome) => Some((&outcome.tenant, &outcome.model)),
            Self::Baseline(baseline) => Some(subject(&baseline.subject)),
            Self::Reset(reset) => Some(subject(&reset.subject)),
            Self::VersionChange(change) => Some(key(&change.model)),
            Self::Approval(approval) => Some(key(&approval.model)),
            Self::Trainer(report) => Some(key(&report.model)),
            Self::Retrain(change) => Some(key(&change.model)),
            Self::Experiment(change) => Some(key(&change.model)),
            Self::Redaction(redaction) => Some(key(&redaction.model)),
            Self::OperatorAct(act) => match &act.act {
                Act::KillSwitch { model, .. } | Act::Silence { model, .. } => model.as_ref().map(key),
                Act::Acknowledge { model, .. }
                | Act::SetExposure { model, .. }
                | Act::ClearExposure { model, .. }
                | Act::MinimumConfidence { model, .. }
                | Act::Ask { model, .. }
                | Act::Review { model }
                | Act::PlanRetrains { model }
                | Act::Retire { model, .. }
                | Act::Resume { model } => Some(key(model)),
                Act::LeaveAlone { .. } | Act::StopPolicy { .. } => None,
            },
            Self::Configuration(_) | Self::PolicySet(_) | Self::Tick(_) | Self::JobStart(_) => None,
        }
    }

    /// The time that an entry carries: the log's clock is the newest of them.
    pub fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Prediction(prediction) => Some(prediction.time),
            Self::Outcome(outcome) => Some(outcome.time),
            Self::Tick(at) => Some(*at),
            Self::JobStart(start) => Some(start.due),
            Self::OperatorAct(act) => Some(act.at),
            Self::Approval(approval) => Some(approval.at),
            Self::VersionChange(change) => Some(change.at),
            Self::Experiment(change) => Some(change.at),
            Self::Retrain(change) => Some(change.at),
            Self::Trainer(report) => Some(report.at),
            Self::Baseline(_)
            | Self::Configuration(_)
            | Self::PolicySet(_)
            | Self::Reset(_)
            | Self::Redaction(_) => None,
        }
    }
}

/// The policies in force.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct PolicySetEntry {
    /// Sorted by order, then by name.
    pub policies: Vec<PolicyInForce>,
    /// By policy: a version in the policies directory that somebody went back from. It is not put in force again.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub held: BTreeMap<String, Digest>,
    /// Who or what changed the set, and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Change>,
    /// A policy that is asked about what is open though one of its name was there before: a person wanted that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ask: Option<String>,
}

impl PolicySetEntry {
    /// The entry of a policy.
    pub fn policy(&self, name: &str) -> Option<&PolicyInForce> {
        self.policies.iter().find(|entry| entry.policy.name == name)
    }

    /// Whether both have the same in force, whoever put it there.
    pub fn same(&self, other: &Self) -> bool {
        self.policies == other.policies && self.held == other.held
    }
}

/// Who or what changed something, and when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// A person, or what the host had noticed.
    pub by: String,
    /// Why, where somebody said so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// One policy of the set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyInForce {
    /// Name and digest.
    #[serde(flatten)]
    pub policy: PolicyRef,
    /// Whether its answers are acted on.
    pub mode: Mode,
    /// Those of lower order are asked first.
    pub order: i32,
    /// The questions that it answers: `drift-action`, `alert-format`, …
    pub kinds: Vec<String>,
    /// A new version that decides only for a share of the subjects so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<Rollout>,
    /// Its signature, if it had one when it was put in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Signed>,
}

/// A policy's signature, as it was when the policy was put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// Id of the key, as minisign prints it.
    pub key: String,
    /// Whether the key was trusted and the signature checked with it; otherwise nothing was checked.
    pub trusted: bool,
    /// What the signer says: the trusted comment.
    pub comment: String,
    /// The whole file, so that going back to this version can check it again.
    pub minisig: String,
}

/// A new version on its way in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rollout {
    /// Share of the subjects about which it decides, 0..1.
    pub share: f64,
    /// The version that decides about the others. `None`: there was none, and others are asked.
    pub previous: Option<Digest>,
}

/// A job's start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobStart {
    /// The job's name.
    pub job: String,
    /// When it was due.
    pub due: Timestamp,
}

/// Something that a person did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OperatorAct {
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub act: Act,
    /// Why, in the person's words.
    pub reason: String,
}

/// What a person can do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Stop trading, or allow it again. `model: None`: on all models of all tenants.
    KillSwitch {
        /// On which model.
        model: Option<ModelKey>,
        /// On: trading stops.
        on: bool,
    },
    /// The host itself: a version of a policy fails on many models, and is asked about none until then. It names the
    /// version, so that another one is asked.
    LeaveAlone {
        /// Which version.
        policy: PolicyRef,
        /// Until when.
        until: Timestamp,
    },
    /// A policy is asked nothing more, whatever version of it is in force, or is asked again. It holds from the moment at
    /// which it is on disk, ahead of everything that is not folded yet.
    StopPolicy {
        /// Its name.
        policy: String,
        /// Stopped, or not any more.
        stopped: bool,
    },
    /// Somebody knows of what alerts of a model tell: they are not said again until there is news.
    Acknowledge {
        /// Of which model.
        model: ModelKey,
        /// Of which kind; `None`: all.
        kind: Option<AlertKind>,
    },
    /// The exposure of a model is this, times what causes reduce it by.
    SetExposure {
        /// Of which model.
        model: ModelKey,
        /// 0..1.
        exposure: f64,
    },
    /// What a cause reduced the exposure by is taken back.
    ClearExposure {
        /// Of which model.
        model: ModelKey,
        /// Which cause; `None`: all, and what a person set.
        cause: Option<String>,
    },
    /// No prediction of a model below this confidence is to be served.
    MinimumConfidence {
        /// Of which model.
        model: ModelKey,
        /// 0..1; `None`: all may be served.
        confidence: Option<f64>,
    },
    /// A policy is asked about what is open of a model.
    Ask {
        /// Its name.
        policy: String,
        /// Which model.
        model: ModelKey,
    },
    /// Policies are asked which versions of a model may go.
    Review {
        /// Which model.
        model: ModelKey,
    },
    /// Policies are asked how often a model is to be retrained.
    PlanRetrains {
        /// Which model.
        model: ModelKey,
    },
    /// Policies decide about all of a model again.
    Resume {
        /// About which model.
        model: ModelKey,
    },
    /// No further predictions of a model, a version, a segment or a feature are expected: their silence is nothing to tell,
    /// and what is open of them ends. The next one that comes takes that back.
    Retire {
        /// Which model.
        model: ModelKey,
        /// Which version; `None`: all.
        version: Option<String>,
        /// Which segment; `None`: all.
        segment: Option<String>,
        /// Only this feature; `None`: everything.
        feature: Option<String>,
    },
    /// No alert is sent until then; what is still open at that time is told then.
    Silence {
        /// Of which model; `None`: of all models of all tenants.
        model: Option<ModelKey>,
        /// Of which kind; `None`: all.
        kind: Option<AlertKind>,
        /// Until when; `None`: from now on they are sent again.
        until: Option<Timestamp>,
    },
}

/// Detectors of a subject start anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// Whose.
    pub subject: Subject,
    /// Which; `None`: all.
    pub detector: Option<String>,
}

/// A redaction of features.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Redaction {
    /// Whose.
    pub model: ModelKey,
    /// Which predictions.
    pub ids: Vec<String>,
}
