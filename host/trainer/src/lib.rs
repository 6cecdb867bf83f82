//! Running a trainer: a process of its own watches it, bounds what it takes and says, leaves nothing behind, and writes what
//! came of it to the run's folder. It goes on when the host ends, and a later host reads the folder. When a model is
//! retrained and what becomes of a new version are not decided here.

#![forbid(unsafe_code)]

mod descendants;
mod folder;
mod result;
mod said;
mod supervisor;

pub use folder::{Ended, Folder, How, Order, Progress, Started, TrainerError};
pub use result::{Brought, LARGEST_RESULT, Unusable, read_result};
pub use said::{HEAD, TAIL};
pub use supervisor::{SUPERVISE, supervise};
