//! Where alerts go. Whether somebody hears of one was decided when it was told, and stands in the log; here it is sent, again where
//! that failed, and what became of it is recorded. Each sink is by itself: one that hangs holds no other up.

mod addresses;
mod destination;
mod due;
mod email;
mod forms;
pub(crate) mod queue_file;
mod sending;
mod signature;

pub(crate) use destination::{Destination, Destinations};
pub(crate) use sending::send_all;
