//! What an operator lets policies cost at most, whatever their manifests ask for.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Upper bounds on the limits of manifests, under the names that these have there. Where nothing is said: as much as any
/// manifest may ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Caps {
    /// Units of work of a call.
    pub fuel: u64,
    /// Wall-clock time of a call.
    pub time: Time,
    /// Bytes in the memories and tables of a call.
    pub memory: Size,
    /// Bytes of an answer.
    pub answer: Size,
    /// Lines of log of a call.
    pub log_lines: u64,
    /// Bytes of a line of log.
    pub log_line: Size,
    /// Calls of imports in a call.
    pub host_calls: u64,
    /// Bytes that a call adds to the record besides its answer.
    pub record: Size,
    /// Bytes that all calls about one model add to the record on one day.
    pub record_per_day: Size,
    /// Keys in a notebook.
    pub state_keys: u64,
    /// Bytes in a notebook.
    pub state: Size,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            fuel: 10_000_000_000,
            time: Time(Duration::from_secs(60)),
            memory: Size(256 * MIB),
            answer: Size(4 * MIB),
            log_lines: 1_000,
            log_line: Size(16 * KIB),
            host_calls: 100_000,
            record: Size(16 * MIB),
            record_per_day: Size(64 * MIB),
            state_keys: 1_000,
            state: Size(MIB),
        }
    }
}

/// Bytes, written as `64KiB`, `16MiB`, `5GiB` or `512B`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub usize);

/// A short time, written as `100ms` or `2s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub Duration);

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;

impl Size {
    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = [("KiB", KIB), ("MiB", MIB), ("GiB", GIB), ("B", 1)]
            .into_iter()
            .find_map(|(unit, size)| Some((text.strip_suffix(unit)?, size)))?;
        number.parse::<usize>().ok()?.checked_mul(unit).map(Self)
    }
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            b if b >= GIB && b.is_multiple_of(GIB) => write!(f, "{}GiB", b / GIB),
            b if b >= MIB && b.is_multiple_of(MIB) => write!(f, "{}MiB", b / MIB),
            b if b >= KIB && b.is_multiple_of(KIB) => write!(f, "{}KiB", b / KIB),
            b => write!(f, "{b}B"),
        }
    }
}

impl Time {
    /// Reads it.
    pub fn parse(text: &str) -> Option<Self> {
        let (number, unit) = [("ms", 1), ("s", 1000)]
            .into_iter()
            .find_map(|(unit, millis)| Some((text.strip_suffix(unit)?, millis)))?;
        number.parse::<u64>().ok()?.checked_mul(unit).map(|millis| Self(Duration::from_millis(millis)))
    }
}

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0.as_millis() {
            millis if millis > 0 && millis.is_multiple_of(1000) => write!(f, "{}s", millis / 1000),
            millis => write!(f, "{millis}ms"),
        }
    }
}

macro_rules! as_text {
    ($($name:ident, $what:literal;)*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).ok_or_else(|| D::Error::custom(format!("`{text}` is not {}", $what)))
            }
        }
    )*};
}

as_text! {
    Size, "a size; write it as 64KiB or 16MiB";
    Time, "a short time; write it as 100ms or 2s";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_are_written_as_they_are_read() {
        for text in ["512B", "64KiB", "16MiB", "5GiB", "1500B", "0B"] {
            assert_eq!(Size::parse(text).expect(text).to_string(), text);
        }
        for text in ["100ms", "2s", "1500ms", "0ms"] {
            assert_eq!(Time::parse(text).expect(text).to_string(), text);
        }
        for text in ["", "5", "1 MiB", "-1B", "1TiB", "99999999999999999999B", "18446744073709551615MiB"] {
            assert_eq!(Size::parse(text), None, "{text}");
        }
        for text in ["", "5", "1m", "-1s", "18446744073709551615s"] {
            assert_eq!(Time::parse(text), None, "{text}");
        }
    }
}
