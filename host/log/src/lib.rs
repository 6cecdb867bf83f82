//! The history as 64 logs: ports for those who write and read it, and the one writer thread. What an entry means is not
//! known here, nor what a store is made of.
//!
//! A model's entries are in the log of its shard; control entries are in every log that is awake. A shard sleeps until its
//! first model. [`Writer`] and [`Reader`] are all that the layers above know of a store. [`Log`] is the one writer thread:
//! it gathers what many callers want written into shared, durable transactions. [`in_force`] and [`Kind`] are rules that all
//! stores share. [`MemoryLogs`] is a store without a disk, and `conformance`, behind the feature of that name, is what
//! every store must do.

#![forbid(unsafe_code)]

mod checkpoint;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod difference;
mod entry;
mod error;
mod in_force;
mod kind;
mod lanes;
mod log;
mod memory;
mod output;
mod port;
mod recorded;

pub use checkpoint::{Checkpoint, Part, PartKey};
pub use difference::{conflicting_outcome, conflicting_prediction, first_difference};
pub use entry::{Build, Entry, Event, Goes, Known, Lasts, Record, Routed, Stored};
pub use error::LogError;
pub use in_force::in_force;
pub use kind::Kind;
pub use log::{Append, Lane, Log, Series};
pub use memory::MemoryLogs;
pub use output::{
    Attempt, Decision, Effect, EffectState, FoldCommit, Moment, Ordinals, Outputs, StoredDecision,
    StoredEffect, StoredMoment, chain,
};
pub use port::{
    Appended, Batch, Claim, Lease, Listing, Reader, Row, Scanned, Scope, ShardState, Stretch, Transaction,
    Writer,
};
pub use recorded::{Folded, decision_of, effect_of, findings_of, moment_of, outputs_of};
pub use trimtab_types::About;
