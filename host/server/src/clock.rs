//! The one clock: the only place where the time of day is read.

use trimtab_types::{Change, Timestamp};

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
pub fn now() -> Timestamp {
    Timestamp::from_millis(chrono::Utc::now().timestamp_millis()).unwrap_or(Timestamp::EPOCH)
}

/// A change that somebody makes now.
pub fn change(by: &str, reason: &str) -> Change {
    Change { at: now(), by: by.to_owned(), reason: reason.to_owned() }
}
