//! The log once more: `verify` holds what was recorded against what comes again, a dry run says what would have been
//! decided otherwise. Readers only: nothing here can write, and nothing happens.

mod again;
pub mod backtest;
mod compared;
mod deal;
pub mod diff;
pub mod dry_run;
pub mod due;
mod instant;
pub mod overlay;
pub mod parts;
pub mod period;
pub mod prepare;
mod remarks;
pub mod restore;
pub mod standing;
mod told;
pub mod verify;
pub mod words;

pub use again::{Recited, Recorded};
pub use prepare::PrepareError;
pub use standing::Standing;
