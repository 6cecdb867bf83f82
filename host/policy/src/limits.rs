//! What one call of a policy may use: fuel, time, memory, texts, host calls. Every number here is enforced by `guest`
//! or `policy`; a limit that is only written down would be a lie.

use std::time::Duration;

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

/// Reads a size such as `64KiB`, `16MiB` or `512B`.
pub(crate) fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = [("KiB", KIB), ("MiB", MIB), ("B", 1)]
        .into_iter()
        .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
    number.parse::<usize>().ok()?.checked_mul(unit)
}

/// Writes a size the way that `parse_size` reads it.
pub(crate) fn format_size(bytes: usize) -> String {
    match bytes {
        b if b >= MIB && b.is_multiple_of(MIB) => format!("{}MiB", b / MIB),
        b if b >= KIB && b.is_multiple_of(KIB) => format!("{}KiB", b / KIB),
        b => format!("{b}B"),
    }
}

/// Reads a short time such as `100ms` or `2s`.
pub(crate) fn parse_time(text: &str) -> Option<Duration> {
    let (number, unit) = [("ms", 1), ("s", 1000)]
        .into_iter()
        .find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis)))?;
    number.parse::<u64>().ok()?.checked_mul(unit).map(Duration::from_millis)
}
