//! The service: one HTTP interface on a local socket, on loopback if asked, and in-process for commands that open a data
//! directory themselves. Commands, dashboards and other programs all speak it, so there is one way to do a thing.

mod api;
pub mod client;
pub mod clock;
mod delivery;
mod doors;
mod error;
mod exposition;
pub mod page;
mod serve;
mod watch;
mod wire;

pub use api::{SCHEMA_VERSION, Service, router};
pub use delivery::replace_file;
pub use error::{ExitCode, Failure};
pub use serve::{Listen, ServeError, serve};
pub use wire::{
    Accepted, BaselineRequest, CheckReport, Health, KillRequest, ModelStatus, PoliciesAnswer, PolicyFailures,
    PolicyHistory, PolicyStatus, RollbackRequest, Status, SubjectStatus, TrustAnswer,
};
