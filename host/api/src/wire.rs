//! Requests and answers of the HTTP interface, as both sides have them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Baseline, Confusion, Counts, Digest, Estimate, Finding, Fleet, Metric, Mode, PolicyInForce, PolicyRef,
    Provisional, ReleaseStage, Severity, Strength, Subject, Timestamp,
};

use crate::{Failure, MayTrade, PolicyCalls, PolicyProblem, PolicyVersion};

/// What became of rows that were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// Rows of the request; all of them are on disk.
    pub rows: u64,
    /// Those that were new.
    pub new: u64,
    /// Those that had been there with the same content.
    pub unchanged: u64,
    /// The ids of predictions, for those who let the host give them; not for NDJSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ids: Vec<String>,
}

/// A line of the answer to a stream of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Streamed {
    /// These lines are on disk.
    Stored {
        /// The first of them in the stream, from 1.
        first: u64,
        /// The last of them.
        last: u64,
        /// Rows that were new.
        new: u64,
        /// Rows that had been there with the same content.
        unchanged: u64,
    },
    /// Nothing from this line on was kept, and the stream is over.
    Refused {
        /// Why; its row is the line that is to blame, where one is.
        error: Box<Failure>,
        /// The first line that is not on disk.
        resume: u64,
    },
    /// The stream ended, and all of it is on disk.
    Done {
        /// Its rows.
        rows: u64,
        /// Those of them that were new.
        new: u64,
    },
}

/// A person stops trading, or allows it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// Owner of the model.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Which model; with `all`, none.
    #[serde(default)]
    pub model: Option<String>,
    /// On all models of all tenants.
    #[serde(default)]
    pub all: bool,
    /// On: trading stops.
    pub on: bool,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Sets a baseline: from numbers, from the first rows, or from a stretch of time. Exactly one of them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(missing_docs, reason = "the fields are those of `Baseline` and `BaselineSource`")]
pub struct BaselineRequest {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    pub model: String,
    pub version: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub segment: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f1: Option<f64>,
}

/// What a subject is held against, and what that can show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BaselineStatus {
    /// The numbers.
    #[serde(flatten)]
    pub baseline: Baseline,
    /// What they can show.
    pub strength: Strength,
    /// Judged predictions that came after these and before the baseline, of which only the newest were held against it.
    #[serde(default)]
    pub unseen: u64,
}

/// How a subject is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// Held against a baseline, and nothing is open.
    Ok,
    /// There is no baseline, or one that can show nothing, so nobody knows.
    Unknown,
    /// An episode up to high severity is open.
    Warning,
    /// A critical episode is open.
    Critical,
}

impl Health {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Unknown, Self::Warning, Self::Critical];

    /// By the gravest open episode, and whether without one it can be said that all is well.
    pub fn of(can_tell: bool, worst: Option<Severity>) -> Self {
        match worst {
            Some(Severity::Critical) => Self::Critical,
            Some(_) => Self::Warning,
            None if can_tell => Self::Ok,
            None => Self::Unknown,
        }
    }

    /// The word that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

/// A subject at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectStatus {
    /// Whose predictions.
    pub subject: Subject,
    /// How it is.
    pub health: Health,
    /// Predictions logged.
    pub predictions: u64,
    /// Predictions judged.
    pub resolved: u64,
    /// Outcomes that can judge nothing: they are of another kind than their prediction.
    #[serde(default)]
    pub unjudged: u64,
    /// Accuracy of the newest 50, 100 and 200, where there are as many.
    pub accuracy: [Option<Estimate>; 3],
    /// The baseline's accuracy.
    pub baseline: Option<f64>,
    /// Wrong ones in a row.
    pub losing_run: u64,
    /// When the newest prediction was made.
    #[serde(default)]
    pub newest: Option<Timestamp>,
    /// Metrics of the newest judged predictions by their well-known names, where they are kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Metrics of the predictions that still wait for their outcome, estimated from their scores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub estimated: Vec<Metric>,
    /// Right and wrong ones among those that are positive or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Quantities whose distribution cannot be told from the baseline's, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cannot_tell: Vec<String>,
    /// What its baseline can show.
    #[serde(default)]
    pub strength: Strength,
    /// Outcomes that do not count yet, and those that were corrected after they had counted.
    #[serde(default)]
    pub provisional: Provisional,
    /// At most so many judged predictions were never held against the baseline, because it was set after them.
    #[serde(default)]
    pub unseen: u64,
    /// A person said that no further prediction is expected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retired: bool,
    /// Findings kept and not decided on.
    pub paused: bool,
    /// Open episodes.
    pub open: Vec<Finding>,
}

/// A model at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelStatus {
    /// May I trade, and how much?
    #[serde(flatten)]
    pub may_trade: MayTrade,
    /// How far a decision may go.
    pub stage: ReleaseStage,
    /// Until when a retrain is planned to begin.
    pub retrain_planned: Option<Timestamp>,
    /// When the last retrain was allowed to begin.
    pub last_retrain: Option<Timestamp>,
}

/// A policy at a glance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyStatus {
    /// Its folder.
    pub name: String,
    /// Of component and manifest.
    pub digest: String,
    /// What its answers lead to.
    pub mode: Mode,
    /// Those of lower order are asked first.
    pub order: i32,
    /// The questions that it answers.
    pub kinds: Vec<String>,
}

/// The host at a glance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The data directory.
    pub directory: String,
    /// Entries of all logs.
    pub head: u64,
    /// Entries whose findings and decisions are on disk.
    pub folded: u64,
    /// What holds the fold up, if anything does.
    pub trouble: Option<String>,
    /// What the fold waits for, where it is behind: a start, a policy that is slow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<String>,
    /// Where what was folded again at the start was not what had been recorded, in sentences. The record counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub differences: Vec<String>,
    /// The log's clock.
    pub clock: Timestamp,
    /// Rows of each kind.
    pub counts: Counts,
    /// Proposals that wait for a person, of the models that the answer is about.
    #[serde(default)]
    pub waiting: u64,
    /// Digest of the configuration in force.
    pub configuration: Option<String>,
    /// How policies run: the fast path, or why not.
    pub sandbox: String,
    /// Of all subjects that the question is about, however many are listed.
    #[serde(default)]
    pub totals: Totals,
    /// The models of the subjects listed; on the first page also those that are stopped and those without a subject.
    pub models: Vec<ModelStatus>,
    /// The worst first, a page of them.
    pub subjects: Vec<SubjectStatus>,
    /// Asked with this as `after`, the next page is answered; nothing where this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// By tenant: which alarms survive that there are many, and how many false ones to expect.
    #[serde(default)]
    pub fleet: Vec<Fleet>,
    /// In force.
    pub policies: Vec<PolicyStatus>,
    /// Not in force, and why.
    pub policy_problems: Vec<PolicyProblem>,
}

/// What `check` reports.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// When it was made.
    pub at: Timestamp,
    /// Subjects that are ok.
    pub ok: u64,
    /// With an open episode.
    pub warning: u64,
    /// With a critical one.
    pub critical: u64,
    /// Without a baseline.
    pub unknown: u64,
    /// The worst first, a page of them.
    pub subjects: Vec<SubjectStatus>,
    /// Asked with this as `after`, the next page is answered; nothing where this is the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// How many subjects are how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Totals {
    /// All of them.
    pub subjects: u64,
    /// With a critical episode.
    pub critical: u64,
    /// With an open episode.
    pub warning: u64,
    /// Of which nobody knows how they are.
    pub unknown: u64,
    /// All well.
    pub ok: u64,
}

impl Totals {
    /// Counts one.
    pub fn count(&mut self, health: Health) {
        self.subjects += 1;
        *match health {
            Health::Critical => &mut self.critical,
            Health::Warning => &mut self.warning,
            Health::Unknown => &mut self.unknown,
            Health::Ok => &mut self.ok,
        } += 1;
    }
}

/// What `GET /v1/policies` answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PoliciesAnswer {
    /// The policies directory.
    pub directory: String,
    /// In force, in their order.
    pub policies: Vec<PolicyInForce>,
    /// Versions in the directory that somebody went back from, by policy.
    #[serde(default)]
    pub held: BTreeMap<String, Digest>,
    /// Folders that could not be put in force.
    pub problems: Vec<PolicyProblem>,
    /// Limits that the operator grants less of than their manifests ask for.
    #[serde(default)]
    pub not_granted: Vec<NotGranted>,
    /// Whose policies are put in force.
    #[serde(default)]
    pub trust: TrustAnswer,
    /// Policies that people stopped: who and why, by name.
    #[serde(default)]
    pub stopped: BTreeMap<String, String>,
    /// Policies whose newest call failed.
    #[serde(default)]
    pub failures: Vec<PolicyFailures>,
    /// Calls since the host started.
    #[serde(default)]
    pub calls: Vec<PolicyCalls>,
}

/// A limit that a policy in force asks more of than it gets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotGranted {
    /// Which policy.
    pub policy: PolicyRef,
    /// The limit's key in the manifest.
    pub limit: String,
    /// What its manifest asks for.
    pub asked: String,
    /// What `[limits]` of the configuration leaves it.
    pub granted: String,
}

/// Whose policies are put in force, as configured.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrustAnswer {
    /// Ids of the trusted keys, as minisign prints them.
    pub keys: Vec<String>,
    /// Whether a policy that none of them signed is refused.
    pub require_signed: bool,
    /// The only version that may be put in force, by policy.
    pub pinned: BTreeMap<String, Digest>,
}

/// A policy that fails.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyFailures {
    /// Which version.
    pub policy: PolicyRef,
    /// About how many models, or kinds of question about one, its newest answer was a failure.
    #[serde(default)]
    pub about: u64,
    /// Most failures in a row about one model.
    pub in_a_row: u32,
    /// About one model at least it is not asked before then.
    pub left_alone_until: Option<Timestamp>,
    /// It is asked about no model before then.
    #[serde(default)]
    pub everywhere_until: Option<Timestamp>,
}

/// What was in force of a policy, oldest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyHistory {
    /// An entry wherever it changed.
    pub versions: Vec<PolicyVersion>,
}

/// Somebody wants a version of a policy in force, whatever it would have changed of history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApplyRequest {
    /// Which policy.
    pub policy: String,
    /// Which version: that of the folder, or nothing happens.
    pub digest: Digest,
    /// Whether it is asked about what is open, too.
    #[serde(default)]
    pub ask: bool,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Ask a policy nothing more, or ask it again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Which.
    pub policy: String,
    /// Stopped, or not any more.
    pub stopped: bool,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Go back to an earlier version of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollbackRequest {
    /// Beginning of the version's digest; the newest other one where nothing is said.
    #[serde(default)]
    pub to: Option<String>,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}
