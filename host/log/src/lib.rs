//! The log: ports for those who write and read it, and the one writer thread. What an entry means is not known here, nor
//! what a store is made of.
//!
//! [`Writer`] and [`Reader`] are all that the layers above know of a store. [`GroupWriter`] is the one writer thread: it
//! gathers what many callers want written into shared, durable transactions. [`MemoryLog`] is a store without a disk, and
//! `conformance`, behind the feature of that name, is what every store must do. [`shards`] is the same for a history of 64
//! logs.

#![forbid(unsafe_code)]

mod batch;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod difference;
mod error;
mod fold;
mod group;
mod lanes;
mod memory;
mod port;
pub mod shards;

pub use batch::{Appended, Batch};
pub use difference::{conflicting_outcome, conflicting_prediction, first_difference};
pub use error::StoreError;
pub use fold::{FoldCommit, Folded, FoldedState, StateChange, StoredEffect};
pub use group::GroupWriter;
pub use memory::MemoryLog;
pub use port::{Listing, Reader, Transaction, Writer};
pub use trimtab_types::{Counts, Effect, Record as LogRecord, Resolution};
