//! A host at work: the one owner of a data directory. It appends what callers send, takes the log through the core, puts
//! policies in force, and answers. It knows no HTTP and decides nothing.

mod artifacts;
pub mod baseline;
mod calls;
mod error;
mod folding;
mod host;
mod in_force;
mod keeper;
mod kits;
mod policies;
mod progress;
mod runner;
mod snapshot;
mod stopped;
mod trainers;

pub use artifacts::Untidy;
pub use error::HostError;
pub use host::{Host, HostOptions, Start, note_act};
pub use policies::{Folders, would_serve};
pub use snapshot::Snapshot;
pub use trainers::{Supervisors, Untrained, Watched};
