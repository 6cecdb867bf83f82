//! What policies may cost at most, whatever their manifests ask for.

use trimtab_types::Caps;

use super::check::Need;

/// Nothing below what the smallest policy needs: it could not be told from one that fails.
pub(super) fn check(caps: &Caps, need: &mut Need<'_>) {
    need(caps.fuel >= 1_000, "fuel", "must be at least 1000");
    need(caps.time.0.as_millis() >= 1, "time", "must be at least 1ms");
    need(caps.memory.0 >= 64 << 10, "memory", "must be at least 64KiB");
    need(caps.answer.0 >= 256, "answer", "must be at least 256B");
    need(caps.log_line.0 >= 16, "log-line", "must be at least 16B");
    need(caps.host_calls >= 1, "host-calls", "must be at least 1");
    need(caps.record.0 >= 4 << 10, "record", "must be at least 4KiB");
    need(caps.record_per_day.0 >= 64 << 10, "record-per-day", "must be at least 64KiB");
}
