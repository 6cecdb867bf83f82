//! Trimtab's vocabulary: what is recorded, found, decided and said. Plain data with validation; no I/O, no clock.

#![forbid(unsafe_code)]

mod about;
mod action;
mod alert;
mod ask;
mod baseline;
mod caps;
mod counts;
mod decimal;
mod decision;
mod digest;
mod effect;
mod entry;
mod error;
mod escape;
mod estimate;
mod finding;
mod fleet;
mod glob;
mod judging;
mod lifecycle;
mod measured;
mod moment;
mod prediction;
mod provisional;
mod record;
mod release;
mod retrain;
mod rules;
mod shard;
mod strength;
mod subject;
mod supply;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time;
mod trial;
mod trust;
mod version;
mod view;

pub use about::About;
pub use action::Action;
pub use alert::{Alert, AlertKind, Message, Occasion};
pub use ask::{Ask, Asked, Asking};
pub use baseline::{
    Baseline, BaselineSource, CategoryReference, ClassErrors, Cut, ErrorScale, Inflation, Reference,
};
pub use caps::{Caps, Size, Time};
pub use counts::Counts;
pub use decimal::{decimals, number};
pub use decision::{
    Answer, Decision, DecisionRecord, Failure, FailureKind, LogLevel, LogLine, Mode, PolicyRef, Question,
    Read, Request, StateChange, Verdict,
};
pub use digest::{Digest, DigestBuilder};
pub use effect::Effect;
pub use entry::{
    Act, Change, Entry, JobStart, OperatorAct, PolicyInForce, PolicySetEntry, Position, Redaction, Reset,
    Rollout, Signed,
};
pub use error::{ErrorKind, ExitCode, HasKind};
pub use escape::{shown, shown_lines, steers};
pub use estimate::{Estimate, Interval, Metric};
pub use finding::{Finding, Phase, Severity, Sizes};
pub use fleet::Fleet;
pub use glob::{Glob, Globs};
pub use judging::{Judged, Judging, Scale, When, can_judge, judge};
pub use lifecycle::{
    Arm, Budget, Concern, Conditions, Design, Difference, Experiment, Fate, Inventory, Judgement,
    Recommendation, Ruling, Schedule,
};
pub use measured::Confusion;
pub use moment::{Facts, Moment, MomentKind, Recent};
pub use prediction::{Actual, Feature, Features, Outcome, Predicted, Prediction, Trade};
pub use provisional::Provisional;
pub use record::{Due, DueRow, Record, Resolution};
pub use release::ReleaseStage;
pub use retrain::{
    MOST_SAID, RetrainAct, RetrainCause, RetrainChange, RetrainMode, Run, RunState, TrainerEnd, TrainerEvent,
    TrainerReport,
};
pub use rules::{AppliesTo, PolicyKind, Rules};
pub use shard::{Place, Shard};
pub use strength::{Rise, Strength};
pub use subject::{ModelKey, ModelVersion, Protection, Stage, Subject};
pub use supply::{Bounds, Names, QuantityKind, Share, Supply};
pub use time::{Seconds, Timestamp, format_duration, parse_duration};
pub use trial::{
    Approval, ExperimentAct, ExperimentChange, Plan, PlanLine, Proposal, ProposalState, Proposed,
};
pub use trust::{Trust, TrustedKey, key_id};
pub use version::{Artifact, Move, Refusal, Registration, Ruled, VersionAct, VersionChange};
pub use view::{NoHistory, View};

/// A value that is not allowed: what it is called, what it was, why it is refused and what would be accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct Invalid {
    /// The field as the caller writes it.
    pub field: String,
    /// What is wrong with the value and what is accepted instead.
    pub problem: String,
}

impl HasKind for Invalid {
    fn kind(&self) -> ErrorKind {
        ErrorKind::Invalid
    }
}

impl Invalid {
    /// An error about `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}
