//! The engine: folds the log into findings, has policies decide on them, and holds the decisions to the safeguards.

mod alerts;
pub mod backtest;
pub mod baseline;
pub mod config;
pub mod fold;
mod host;
pub mod metrics;
mod pipeline;
pub mod rows;
pub mod safeguards;
#[cfg(test)]
mod testing;
mod trade;
pub mod verify;

pub use config::Configuration;
pub use host::{Host, HostError, HostOptions, PolicyProblem};
pub use pipeline::{Pipeline, PipelineError};
pub use trade::MayTrade;
