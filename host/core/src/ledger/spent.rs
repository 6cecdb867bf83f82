//! What calls of policies about one model have added to the record on one day. Part of the model's state and on its clock, so
//! that a replay stops asking at the same question.

use serde::{Deserialize, Serialize};
use trimtab_types::{Asked, Timestamp};

/// A day of the model's clock, and bytes of the record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Spent {
    /// Days since 1970.
    day: i64,
    bytes: u64,
}

fn day(at: Timestamp) -> i64 {
    at.as_unix().div_euclid(86_400)
}

impl Spent {
    /// Bytes on the day of this time.
    pub(crate) fn on(self, at: Timestamp) -> u64 {
        if self.day == day(at) { self.bytes } else { 0 }
    }

    /// With another call.
    #[must_use]
    pub(crate) fn with(self, at: Timestamp, asked: &Asked) -> Self {
        Self { day: day(at), bytes: self.on(at).saturating_add(size(asked)) }
    }
}

/// Bytes that a call adds to the record: as they are written there, and counted without being kept.
fn size(asked: &Asked) -> u64 {
    struct Counted(u64);
    impl std::io::Write for Counted {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut counted = Counted(0);
    let Asked { answer, reads, notebook, log, .. } = asked;
    // Nothing that is asked or answered fails to serialise, and counting does not fail.
    serde_json::to_writer(&mut counted, &(answer, reads, notebook, log)).ok();
    counted.0
}

#[cfg(test)]
mod tests {
    use trimtab_types::{Answer, Decision, LogLevel, LogLine};

    use super::*;

    #[test]
    fn a_day_begins_anew_and_everything_that_is_written_counts() {
        let answer = || Answer::Decision(Decision { actions: Vec::new(), reason: "r".repeat(1_000) });
        let line = LogLine { level: LogLevel::Info, message: "x".repeat(500) };
        let quiet = Asked::of(answer());
        let talkative = Asked { log: vec![line], ..Asked::of(answer()) };
        let morning = Timestamp::parse("2025-03-01T08:00:00Z").expect("parses");
        let (evening, tomorrow) = (morning.plus(12 * 3600), morning.plus(16 * 3600));

        let once = Spent::default().with(morning, &quiet);
        assert!((1_000..1_100).contains(&once.on(morning)), "{once:?}");
        let twice = once.with(evening, &talkative);
        assert!(twice.on(evening) > once.on(morning) + 1_500, "{twice:?}");
        assert_eq!(twice.on(tomorrow), 0);
        assert_eq!(twice.with(tomorrow, &quiet).on(tomorrow), once.on(morning));
    }
}
