//! The core: records in, findings, decisions and effects out. Pure: no file, no clock, no randomness, no thread, no
//! sandbox. The same records and answers give the same output on every machine.
//!
//! [`fold`] takes a record into the state and says what was found; [`decide::step`] also puts findings to whoever answers,
//! holds the answers to the safeguards, and says what is to happen. `watch` is what rows lead to, `ledger` what decisions
//! lead to.

pub mod baseline;
mod basis;
pub mod config;
pub mod decide;
pub mod detector;
mod failing;
mod fleet;
pub mod fold;
pub mod horizon;
mod in_force;
mod judged;
mod ledger;
pub mod lifecycle;
pub mod measure;
pub mod metric;
mod state;
pub mod strength;
mod tick;
mod view;
mod watch;

pub use basis::{Basis, basis};
pub use config::Configuration;
pub use failing::Failing;
pub use fleet::fleets;
pub use in_force::{InForce, entry};
