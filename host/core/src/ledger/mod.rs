//! The ledger: what decisions and people have put in force for a model, and how calls of policies went. The fold of rows
//! reads nothing of it.

mod alerts;
mod breaker;
mod diary;
mod exposure;
mod model;
mod spent;

pub use alerts::{AlertGroup, Decided, GroupKey, Held, Line, Silence, Told};
pub(crate) use alerts::{MOST_HELD, MOST_LINES};
pub use breaker::Breaker;
pub use diary::Diary;
pub use exposure::Exposure;
pub use model::{KillNote, ModelState};
