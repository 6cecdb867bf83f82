//! The history as 64 logs: ports, what goes through them, and the rules that every store follows.
//!
//! A model's entries are in the log of its shard; control entries are in every log that is awake. A shard sleeps until its
//! first model. [`Writer`] and [`Reader`] are what a store implements; [`in_force`] and [`Kind`] are rules that all share.

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod entry;
mod error;
mod in_force;
mod kind;
mod log;
mod memory;
mod output;
mod port;

pub use entry::{About, Build, Entry, Event, Goes, Known, Lasts, Record, Routed, Stored};
pub use error::LogError;
pub use in_force::in_force;
pub use kind::Kind;
pub use log::{Lane, Log};
pub use memory::MemoryLogs;
pub use output::{
    Attempt, Decision, Effect, EffectState, FoldCommit, Moment, Ordinals, Outputs, StoredDecision,
    StoredEffect, StoredMoment,
};
pub use port::{
    Appended, Batch, Claim, Lease, Reader, Row, Scanned, Scope, ShardState, Transaction, Writer, Written,
};
