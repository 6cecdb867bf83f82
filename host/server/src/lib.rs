//! The service: one HTTP interface on a local socket, on loopback if asked, and in-process for commands that open a data
//! directory themselves. Commands, dashboards and other programs all speak it, so there is one way to do a thing.

mod changed;
pub mod client;
pub mod clock;
mod doors;
mod http;
mod pages;
mod planning;
mod report;
mod serve;
mod sinks;

pub use http::{SCHEMA_VERSION, Service, router};
pub use pages::diff as page;
pub use serve::{Begun, Listen, ServeError, serve};
pub use sinks::queue_file::replace_file;
// What clients of this crate say and hear.
pub use trimtab_api::{
    Accepted, BaselineRequest, BaselineStatus, CheckReport, Failure, Health, KillRequest, ModelStatus,
    NotGranted, PoliciesAnswer, PolicyFailures, PolicyHistory, PolicyStatus, RollbackRequest, Status,
    StopRequest, SubjectStatus, Totals, TrustAnswer,
};
pub use trimtab_types::ExitCode;
