//! The ledger: what decisions and people have put in force for a model, and how calls of policies went. The fold of rows
//! reads nothing of it.

mod breaker;
mod model;

pub use breaker::Breaker;
pub use model::{KillNote, ModelState, SentAlert};
