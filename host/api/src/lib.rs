//! What callers send and get: rows as they write them, and answers. Data with validation, for servers, commands and other
//! programs; how it travels is not known here.

mod alerts;
mod calls;
mod failure;
mod json_values;
mod life;
mod policies;
pub mod rows;
mod trade;
mod wire;

pub use alerts::{AcknowledgeRequest, AlertEvent, AlertGroupStatus, Alerts, SilenceRequest};
pub use calls::{Bucket, PolicyCalls};
pub use failure::Failure;
pub use life::{
    AnswerRequest, EndedStatus, ExperimentNumbers, ExperimentRequest, ExperimentStatus, Experiments, Measure,
    Orphan, Orphans, PlanQuestion, Proposals, Recent, ReignStatus, Report, RetrainRequest, Retrains,
    RouteAnswer, RunOutput, RunStatus, ScheduleStatus, VersionDetails, VersionEvent, VersionHistory,
    VersionRequest, Versions,
};
pub use policies::{PolicyProblem, PolicyVersion, RolledBack};
pub use trade::{ActRequest, ExposureStatus, MayTrade, ModelAct};
pub use wire::{
    Accepted, ApplyRequest, BaselineRequest, BaselineStatus, CheckReport, Health, KillRequest, ModelStatus,
    NotGranted, PoliciesAnswer, PolicyFailures, PolicyHistory, PolicyStatus, RollbackRequest, Status,
    StopRequest, Streamed, SubjectStatus, Totals, TrustAnswer,
};
