//! Retrains: what people ask for, what a trainer reports, and what is remembered of a run. How one is carried out is not here.

use serde::{Deserialize, Serialize};

use crate::{Invalid, ModelKey, Registration, Seconds, Timestamp, subject::check_name};

/// Bytes of what a trainer said at its end that are kept in the log.
pub const MOST_SAID: usize = 1_024;

/// Something is done about retrains of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrainChange {
    /// Of which model.
    pub model: ModelKey,
    /// What.
    pub act: RetrainAct,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// When by the wall clock, which is ahead where only history was imported: a run waits for a trainer from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall: Option<Timestamp>,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What can be done about retrains.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetrainAct {
    /// One begins; if one is under way, it is that one.
    Now,
    /// A run ends.
    Cancel {
        /// Its id.
        run: String,
    },
    /// Retrains are begun again although they failed again and again.
    CloseBreaker,
}

impl RetrainAct {
    /// As commands name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Cancel { .. } => "cancel",
            Self::CloseBreaker => "close-breaker",
        }
    }
}

impl RetrainChange {
    /// Checks names.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_name("tenant", &self.model.tenant)?;
        check_name("model", &self.model.model)
    }
}

/// What a trainer reports of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainerReport {
    /// Of which model.
    pub model: ModelKey,
    /// Of which run.
    pub run: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: TrainerEvent,
}

/// What happens to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainerEvent {
    /// The trainer has begun.
    Started,
    /// It is over.
    Ended {
        /// How.
        end: TrainerEnd,
        /// For how long the trainer ran, in seconds.
        took: Seconds,
        /// What it cost, as the trainer says, in its own unit.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cost: Option<f64>,
        /// The last that it said.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        said: String,
    },
}

/// How a run ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TrainerEnd {
    /// With a new version.
    Trained {
        /// Its name.
        version: String,
        /// What it is registered with.
        registration: Box<Registration>,
    },
    /// Nothing better was found; that is no failure.
    NoModel,
    /// It could not be started, ended with an error, or left nothing that could be used.
    Failed {
        /// Why.
        why: String,
    },
    /// It took too long, or was not heard of for too long.
    TimedOut {
        /// Which limit.
        why: String,
    },
    /// A person ended it, or what it was about is history.
    Cancelled {
        /// Why.
        why: String,
    },
    /// What watched it is gone, and it said nothing.
    Lost,
}

/// Why a model is retrained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetrainMode {
    /// Because of a drift.
    Emergency,
    /// By plan, or because a person wants it.
    Scheduled,
}

impl RetrainMode {
    /// As trainers and people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Scheduled => "scheduled",
        }
    }
}

impl std::fmt::Display for RetrainMode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What led to a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetrainCause {
    /// Why it is retrained.
    pub mode: RetrainMode,
    /// A person, a policy, or `schedule`.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// Of the finding that led to it: what its statistic was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Of that finding.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub segment: String,
}

/// A retrain as it is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its id, made of the model and the time at which it was asked for.
    pub id: String,
    /// What led to it.
    #[serde(flatten)]
    pub cause: RetrainCause,
    /// The version that served then.
    pub champion: Option<String>,
    /// How it stands.
    pub state: RunState,
    /// When it was asked for.
    pub asked: Timestamp,
    /// Since when it waits for a trainer: a person's by the wall clock. Drifts of history that is imported begin nothing.
    pub waits: Timestamp,
    /// When the trainer began.
    pub started: Option<Timestamp>,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// For how long the trainer ran, in seconds.
    pub took: Seconds,
    /// What it cost, as the trainer says.
    pub cost: Option<f64>,
    /// The version that came of it.
    pub version: Option<String>,
    /// What became of it, for people.
    pub says: String,
    /// The last that the trainer said.
    pub said: String,
    /// Requests that it stands for besides the first.
    pub joined: u32,
    /// A person wants it to end.
    pub cancelled_by: Option<String>,
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunState {
    /// The trainer is to begin, as soon as one is free.
    Starting,
    /// The trainer has begun.
    Running,
    /// No trainer took it in time.
    Expired,
    /// It could not be started, ended with an error, or left nothing that could be used.
    Failed,
    /// It took too long.
    TimedOut,
    /// A person ended it.
    Cancelled,
    /// What watched it is gone.
    Lost,
    /// Nothing better was found.
    NoModel,
    /// Its version does not pass the validation.
    Rejected,
    /// Its version is registered, and passes the validation.
    Validated,
}

impl RunState {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
            Self::NoModel => "no-model",
            Self::Rejected => "rejected",
            Self::Validated => "validated",
        }
    }

    /// Whether it goes on.
    pub fn is_active(self) -> bool {
        matches!(self, Self::Starting | Self::Running)
    }

    /// Whether nothing came of it that anybody wanted.
    pub fn is_failure(self) -> bool {
        matches!(self, Self::Expired | Self::Failed | Self::TimedOut | Self::Lost)
    }
}

impl std::fmt::Display for RunState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
