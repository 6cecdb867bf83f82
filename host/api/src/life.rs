//! The life of a model as callers see it: versions, experiments, what waits for a person, and who serves what.

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Digest, Estimate, Experiment, ExperimentAct, Interval, ModelKey, ModelVersion, Plan, Proposal,
    Protection, Registration, RetrainAct, Run, Schedule, Stage, Timestamp, VersionAct,
};

/// Somebody does something about a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VersionRequest {
    /// Owner of the model.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Which model.
    pub model: String,
    /// Which version; empty for a rollback to the previous champion.
    #[serde(default)]
    pub version: String,
    /// What.
    pub act: VersionAct,
    /// The revision that was seen; with another one nothing is done.
    #[serde(default)]
    pub seen: Option<u64>,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// When it happened; now where nothing is said.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// Somebody does something about the experiment in which a version is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExperimentRequest {
    /// Owner of the model.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Which model.
    pub model: String,
    /// The version that is tried.
    pub version: String,
    /// What.
    pub act: ExperimentAct,
    /// The revision that was seen; with another one nothing is done.
    #[serde(default)]
    pub seen: Option<u64>,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// When it happened; now where nothing is said.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// Somebody answers a proposal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerRequest {
    /// The proposal.
    pub proposal: String,
    /// The hash of what was shown.
    pub shown: Digest,
    /// Whether it may go ahead.
    pub approved: bool,
    /// Of a cleanup: only these versions; empty: all that were proposed.
    #[serde(default)]
    pub only: Vec<String>,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// When; now where nothing is said.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// The versions of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Versions {
    /// Of which model.
    pub model: ModelKey,
    /// Rises with each change.
    pub revision: u64,
    /// The version that serves.
    pub champion: Option<String>,
    /// The version that serves a share beside it.
    pub challenger: Option<String>,
    /// The version that a rollback goes to.
    pub previous: Option<String>,
    /// All, newest first.
    pub versions: Vec<ModelVersion>,
    /// Versions that send predictions and are not registered.
    pub unregistered: Vec<String>,
}

/// Which version served when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionHistory {
    /// Of which model.
    pub model: ModelKey,
    /// The version that served at the time that was asked about.
    pub served: Option<ReignStatus>,
    /// All, oldest first.
    pub reigns: Vec<ReignStatus>,
    /// What was done, newest first.
    pub events: Vec<VersionEvent>,
}

/// A version served from a time on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReignStatus {
    /// Which.
    pub version: String,
    /// Since when.
    pub from: Timestamp,
    /// From which revision on.
    pub revision: u64,
}

/// Something was done about versions or experiments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionEvent {
    /// When.
    pub at: Timestamp,
    /// What was asked for.
    pub what: String,
    /// Who.
    pub by: String,
    /// What came of it.
    pub says: String,
    /// The decision.
    pub decision: String,
}

/// Experiments of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiments {
    /// Under way.
    pub running: Vec<ExperimentStatus>,
    /// Over, newest first.
    pub ended: Vec<EndedStatus>,
}

/// An experiment that is under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentStatus {
    /// As it was planned.
    pub plan: Plan,
    /// Since when, without pauses.
    pub started: Timestamp,
    /// Whether everything goes to the champion for now.
    pub paused: bool,
    /// Whether the arms are compared row by row.
    pub paired: bool,
    /// Correlation of a block with the next; above 0.2, longer blocks are wanted.
    pub correlation: Option<f64>,
    /// In what the champion's accuracy and the challenger's lie with 95 % confidence, each by itself; for people.
    pub accuracy: [Option<Interval>; 2],
    /// As policies see it.
    pub experiment: Experiment,
}

/// An experiment that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EndedStatus {
    /// Its id.
    pub id: String,
    /// The version that was tried.
    pub version: String,
    /// The version that it was held against.
    pub champion: String,
    /// Since when.
    pub started: Timestamp,
    /// Until when.
    pub ended: Timestamp,
    /// `promoted`, `stopped` or `inconclusive`.
    pub outcome: String,
    /// Why.
    pub why: String,
}

/// What waits for a person, and what did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposals {
    /// Newest first.
    pub proposals: Vec<Proposal>,
}

/// Which version serves a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteAnswer {
    /// The version; `None`: nobody is to serve it.
    pub version: Option<String>,
    /// `champion` or `challenger`.
    pub arm: Option<String>,
    /// The experiment that shares the traffic out.
    pub experiment: Option<String>,
    /// The challenger's share.
    pub fraction: f64,
    /// Where the key lies in 0..2^53.
    pub unit: Option<u64>,
    /// Predictions below this confidence are not to be served.
    pub minimum_confidence: Option<f64>,
    /// Share of the usual exposure.
    pub exposure: f64,
    /// Of the registry.
    pub revision: u64,
    /// Why nobody is to serve, or why only the champion does.
    pub reason: Option<String>,
}

/// How often a model is to be retrained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleStatus {
    /// As a policy said last; `None`: none has.
    pub schedule: Option<Schedule>,
    /// When.
    pub planned: Option<Timestamp>,
    /// The same for a Kubernetes CronJob, as a merge patch.
    pub cronjob: Option<serde_json::Value>,
    /// Where the interval is not one of cron's.
    pub note: Option<String>,
}

/// Somebody does something about retrains of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetrainRequest {
    /// Owner of the model.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Which model.
    pub model: String,
    /// What.
    pub act: RetrainAct,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
    /// When it happened; now where nothing is said.
    #[serde(default)]
    pub at: Option<Timestamp>,
}

/// Retrains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retrains {
    /// Newest first.
    pub runs: Vec<RunStatus>,
    /// Of the model that was asked about: when a trainer began last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_retrain: Option<Timestamp>,
    /// Until when no drift has it retrained again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cooldown_until: Option<Timestamp>,
}

/// How a retrain stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunStatus {
    /// Of which model.
    pub model: ModelKey,
    /// As it is remembered.
    #[serde(flatten)]
    pub run: Run,
    /// How far the trainer is, 0..1, as it said last.
    pub progress: Option<f64>,
    /// What it said with that.
    pub note: Option<String>,
    /// Whether a process watches the trainer.
    pub is_watched: bool,
    /// Whether no retrain of this model is begun until a person says so.
    pub is_stopped: bool,
    /// What the trainer said, where one run is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<RunOutput>,
}

/// What a trainer said, as far as it is kept. Whoever shows it shows text from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunOutput {
    /// All of it, in bytes.
    pub bytes: u64,
    /// The beginning.
    pub head: String,
    /// The end, without what is in the beginning.
    pub tail: String,
}

/// What an experiment is to show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanQuestion {
    /// By how much the challenger is better, as a share.
    pub effect: f64,
    /// A difference up to this does not matter.
    pub margin: f64,
    /// How often the experiment is to show it.
    pub power: f64,
    /// How often it may show what is not there.
    pub alpha: f64,
    /// Rows of a block.
    pub block: u32,
    /// The challenger's share of the traffic.
    pub fraction: f64,
    /// Only served rows count.
    pub affected: bool,
    /// When it ends; `None`: when somebody ends it.
    pub end: Option<u32>,
}

/// How long an experiment takes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentNumbers {
    /// The version that is to be beaten.
    pub champion: String,
    /// The metric of its newest rows.
    pub mean: f64,
    /// These rows.
    pub rows: u64,
    /// Correlation of a row with the next.
    pub correlation: f64,
    /// Rows a day that count.
    pub rows_per_day: f64,
    /// Rows (of the challenger) of a sample of fixed size, which is looked at once.
    pub fixed_rows: u64,
    /// Days until then.
    pub fixed_days: Option<f64>,
    /// Rows until evidence that may be looked at at any time is expected to show it.
    pub anytime_rows: u64,
    /// In blocks.
    pub anytime_blocks: u64,
    /// Days until then.
    pub anytime_days: Option<f64>,
    /// The smallest effect that is expected to be shown until the end.
    pub least_effect: Option<f64>,
    /// Whether it is expected to be shown until the end.
    pub can_be_shown: bool,
}

/// A version with all that is known of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionDetails {
    /// Of which model.
    pub model: ModelKey,
    /// Its name.
    pub version: String,
    /// Where it stands.
    pub stage: Stage,
    /// It serves, and is marked degraded.
    pub marked: bool,
    /// Nothing deletes it.
    pub pinned: bool,
    /// When it was registered, …
    pub registered: Timestamp,
    /// … and with what.
    pub registration: Registration,
    /// When it was deleted.
    pub deleted: Option<Timestamp>,
    /// Its files are gone for good.
    pub purged: bool,
    /// What keeps it from being deleted.
    pub protections: Vec<Protection>,
    /// When it began to serve, each time.
    pub served: Vec<Timestamp>,
    /// Predictions logged.
    pub predictions: u64,
    /// Of which the outcome is known.
    pub resolved: u64,
    /// Rows of what it is held against.
    pub baseline: Option<u64>,
    /// How right it was, over several stretches together.
    pub recent: Vec<Recent>,
}

/// How right a version was over the newest so many.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// So many were asked for.
    pub last: u64,
    /// Of as many as there are.
    pub accuracy: Estimate,
}

/// What lies in the root of artifacts and belongs to no version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orphans {
    /// By path.
    pub orphans: Vec<Orphan>,
}

/// A file or folder that no version owns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Orphan {
    /// In the root of artifacts.
    pub path: String,
    /// All of it; `None`: it cannot be measured, such as a link.
    pub size_bytes: Option<u64>,
}

/// A stretch of time in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// From here …
    pub since: Timestamp,
    /// … to here.
    pub until: Timestamp,
    /// In the order in which they are shown.
    pub measures: Vec<Measure>,
}

/// A figure, or why there is none.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measure {
    /// What it is of.
    pub name: String,
    /// The figure; lengths of time in seconds, shares from 0 to 1. `None`: it cannot be measured, and the note says why.
    pub value: Option<f64>,
    /// As people read it.
    pub shown: String,
    /// What is wanted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Whether that is met.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub is_met: Option<bool>,
    /// What it is made of, or why it is not there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}
