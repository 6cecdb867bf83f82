//! The one clock: the only place where the time of day is read.

use trimtab_types::Timestamp;

/// Now.
#[expect(clippy::disallowed_methods, reason = "this is the one clock")]
pub fn now() -> Timestamp {
    Timestamp::from_millis(chrono::Utc::now().timestamp_millis()).unwrap_or(Timestamp::EPOCH)
}
