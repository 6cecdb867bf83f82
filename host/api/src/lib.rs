//! What callers send and get: rows as they write them, and answers. Data with validation, for servers, commands and other
//! programs; how it travels is not known here.

mod calls;
mod policies;
pub mod rows;
mod trade;

pub use calls::{Bucket, PolicyCalls};
pub use policies::{PolicyProblem, PolicyVersion, RolledBack};
pub use trade::MayTrade;
