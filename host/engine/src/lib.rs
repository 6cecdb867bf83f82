//! The engine: folds the log into findings, has policies decide on them, and holds the decisions to the safeguards.

mod alerts;
pub mod backtest;
pub mod baseline;
mod calls;
mod compose;
pub mod config;
pub mod diff;
pub mod dry_run;
pub mod fold;
mod host;
mod json_values;
pub mod metrics;
pub mod overlay;
mod pipeline;
mod policies;
mod remarks;
pub mod rows;
pub mod safeguards;
#[cfg(test)]
mod testing;
mod trade;
pub mod verify;
pub mod words;

pub use calls::{Bucket, PolicyCalls};
pub use config::Configuration;
pub use host::{Host, HostError, HostOptions, RolledBack};
pub use pipeline::{Pipeline, PipelineError};
pub use policies::{PolicyProblem, PolicyVersion, would_serve};
pub use trade::MayTrade;
