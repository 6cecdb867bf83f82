//! What one call of a policy may use: fuel, time, memory, texts, host calls. Every number here is enforced by `guest`
//! or `policy`; a limit that is only written down would be a lie.

use std::time::Duration;

use trimtab_types::{Caps, Size, Time};

/// Limits of one call. The defaults are ample for a Rust, C or JavaScript policy; Python wants more memory and fuel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Units of work, about one for each WebAssembly instruction. This is what decides, because it is repeatable.
    pub fuel: u64,
    /// Wall-clock time: only the safety net behind the fuel, and wide enough that a busy machine does not fall into it.
    pub time: Duration,
    /// Bytes in all memories and tables together.
    pub memory: usize,
    /// Bytes of an answer, all its texts together.
    pub answer: usize,
    /// Lines of log.
    pub log_lines: usize,
    /// Bytes of one line of log; the rest is cut off.
    pub log_line: usize,
    /// Calls of imported functions, WASI included. What passes along costs as well: each item of a list and each KiB of
    /// text count as one more.
    pub host_calls: u64,
    /// Bytes that a call adds to the record besides its answer: what it reads, its log and its notebook, as written there.
    pub record: usize,
    /// Keys in the notebook.
    pub state_keys: usize,
    /// Bytes in the notebook, keys and values together.
    pub state: usize,
}

impl Limits {
    /// Where the manifest says nothing.
    pub const DEFAULT: Self = Self {
        fuel: 50_000_000,
        time: Duration::from_secs(1),
        memory: 16 * MIB,
        answer: 64 * KIB,
        log_lines: 100,
        log_line: KIB,
        host_calls: 10_000,
        record: MIB,
        state_keys: 32,
        state: 16 * KIB,
    };

    /// What a manifest may ask for at most.
    pub const MOST: Self = Self {
        fuel: 10_000_000_000,
        time: Duration::from_secs(60),
        memory: 256 * MIB,
        answer: 4 * MIB,
        log_lines: 1_000,
        log_line: 16 * KIB,
        host_calls: 100_000,
        record: 16 * MIB,
        state_keys: 1_000,
        state: MIB,
    };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

pub(crate) const KIB: usize = 1 << 10;
pub(crate) const MIB: usize = 1 << 20;

impl Limits {
    /// No more than the operator lets policies have.
    pub fn within(self, caps: &Caps) -> Self {
        let count = |asked: usize, most: u64| asked.min(usize::try_from(most).unwrap_or(usize::MAX));
        Self {
            fuel: self.fuel.min(caps.fuel),
            time: self.time.min(caps.time.0),
            memory: self.memory.min(caps.memory.0),
            answer: self.answer.min(caps.answer.0),
            log_lines: count(self.log_lines, caps.log_lines),
            log_line: self.log_line.min(caps.log_line.0),
            host_calls: self.host_calls.min(caps.host_calls),
            record: self.record.min(caps.record.0),
            state_keys: count(self.state_keys, caps.state_keys),
            state: self.state.min(caps.state.0),
        }
    }

    /// Each by its name in the manifest, written as there.
    pub fn shown(&self) -> [(&'static str, String); 10] {
        [
            ("fuel", self.fuel.to_string()),
            ("time", Time(self.time).to_string()),
            ("memory", Size(self.memory).to_string()),
            ("answer", Size(self.answer).to_string()),
            ("log-lines", self.log_lines.to_string()),
            ("log-line", Size(self.log_line).to_string()),
            ("host-calls", self.host_calls.to_string()),
            ("record", Size(self.record).to_string()),
            ("state-keys", self.state_keys.to_string()),
            ("state", Size(self.state).to_string()),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caps_that_nobody_set_cut_nothing_and_others_cut_what_they_name() {
        assert_eq!(Limits::MOST.within(&Caps::default()), Limits::MOST);
        let caps = Caps { fuel: 5_000, memory: Size(MIB), ..Caps::default() };
        let granted = Limits::DEFAULT.within(&caps);
        assert_eq!(granted, Limits { fuel: 5_000, memory: MIB, ..Limits::DEFAULT });
        let shown = granted.shown();
        assert_eq!((shown[0].1.as_str(), shown[2].1.as_str()), ("5000", "1MiB"));
    }
}
