//! The engine: folds the log into findings, has policies decide on them, and holds the decisions to the safeguards.

mod alerts;
pub mod backtest;
pub mod baseline;
mod calls;
mod compose;
pub mod config;
pub mod decide;
pub mod detector;
pub mod diff;
pub mod dry_run;
mod error;
mod fleet;
pub mod fold;
mod host;
mod in_force;
mod judged;
mod ledger;
pub mod measure;
pub mod metric;
pub mod overlay;
pub mod period;
mod policies;
mod prepare;
mod remarks;
mod replay;
pub mod rows;
mod runner;
pub mod safeguards;
mod state;
#[cfg(test)]
mod testing;
mod tick;
mod trade;
pub mod verify;
mod view;
mod watch;
pub mod words;

pub use calls::{Bucket, PolicyCalls};
pub use config::Configuration;
pub use error::HostError;
pub use host::{Host, HostOptions};
pub use in_force::RolledBack;
pub use policies::{PolicyProblem, PolicyVersion, would_serve};
pub use prepare::PrepareError;
pub use trade::MayTrade;
