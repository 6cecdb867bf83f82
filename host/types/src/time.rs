//! Points in time and lengths of time. Where they come from is the caller's business: nothing here reads a clock.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::Invalid;

/// A length of time in whole seconds, as in the policy interface.
pub type Seconds = u32;

/// Milliseconds since 1970-01-01T00:00:00Z, negative before. Text form: RFC 3339 with a zone, written in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 0001-01-01T00:00:00Z, the earliest time that is accepted.
    pub const MIN: Self = Self(-62_135_596_800_000);
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 9999-12-31T23:59:59.999Z, the latest time that is accepted.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From milliseconds since the epoch; `None` outside `MIN..=MAX`.
    pub fn from_millis(millis: i64) -> Option<Self> {
        (Self::MIN.0..=Self::MAX.0).contains(&millis).then_some(Self(millis))
    }

    /// Milliseconds since the epoch.
    pub fn as_millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, negative before; the second that it lies in.
    pub fn as_unix(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Where a stretch of so many seconds begins in which it lies; stretches are counted from the epoch.
    #[must_use]
    pub fn floor(self, seconds: u32) -> Self {
        let length = i64::from(seconds.max(1)) * 1000;
        Self((self.0.div_euclid(length) * length).max(Self::MIN.0))
    }

    /// Parses RFC 3339, also with an offset in hours alone, as PostgreSQL writes it. A time without a zone is refused: guessing
    /// one moves the data by hours.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let parsed = DateTime::parse_from_rfc3339(text);
        let parsed = parsed.or_else(|error| match has_hours_alone(text) {
            true => DateTime::parse_from_rfc3339(&format!("{text}:00")),
            false => Err(error),
        });
        let parsed = parsed.map_err(|error| {
            Invalid::new(
                "time",
                format!(
                    "`{}` is not a time with a zone ({error}); write it as 2026-11-20T22:09:00Z or with an offset such as +01:00",
                    shorten(text)
                ),
            )
        })?;
        Self::from_millis(parsed.timestamp_millis()).ok_or_else(|| {
            Invalid::new("time", format!("`{}` is outside the years 1 to 9999", shorten(text)))
        })
    }

    /// Parses RFC 3339, or a bare date, which means its midnight in UTC.
    pub fn parse_or_date(text: &str) -> Result<Self, Invalid> {
        Self::parse(&format!("{text}T00:00:00Z")).or_else(|_| Self::parse(text))
    }

    /// This time plus a length, held at `MAX`.
    #[must_use]
    pub fn plus(self, seconds: u64) -> Self {
        let millis = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        Self(self.0.saturating_add(millis).min(Self::MAX.0))
    }

    /// This time less a length, held at `MIN`.
    #[must_use]
    pub fn minus(self, seconds: u64) -> Self {
        let millis = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
        Self(self.0.saturating_sub(millis).max(Self::MIN.0))
    }

    /// Seconds from `earlier` to this time; 0 if `earlier` is later.
    pub fn since(self, earlier: Self) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0) / 1000).unwrap_or_default()
    }

    /// For people: `2026-11-20 22:09 UTC`.
    pub fn for_people(self) -> String {
        self.utc().format("%Y-%m-%d %H:%M UTC").to_string()
    }

    fn utc(self) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(self.0).unwrap_or_default()
    }
}

impl std::fmt::Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.utc().to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_i64(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
            Self::parse(&text).map_err(|invalid| D::Error::custom(invalid.problem))
        } else {
            Self::from_millis(i64::deserialize(deserializer)?)
                .ok_or_else(|| D::Error::custom("time out of range"))
        }
    }
}

const UNITS: [(&str, u64); 5] = [("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)];

/// Parses a length of time such as `30s`, `15m`, `48h`, `7d` or `2w`.
pub fn parse_duration(text: &str) -> Result<Seconds, Invalid> {
    let refuse = || {
        Invalid::new(
            "duration",
            format!(
                "`{}` is not a length of time; write a whole number and s, m, h, d or w, such as 48h",
                shorten(text)
            ),
        )
    };
    let too_long = || {
        let most = u64::from(Seconds::MAX) / 86_400;
        Invalid::new(
            "duration",
            format!("`{}` is too long a time; at most {most}d can be said", shorten(text)),
        )
    };
    let (unit, seconds) = UNITS.iter().find(|(unit, _)| text.ends_with(unit)).ok_or_else(refuse)?;
    let digits = text.strip_suffix(unit).filter(|n| !n.is_empty() && n.bytes().all(|c| c.is_ascii_digit()));
    let number = digits.ok_or_else(refuse)?.parse::<u64>().ok();
    let total = number.and_then(|number| number.checked_mul(*seconds));
    total.and_then(|total| Seconds::try_from(total).ok()).ok_or_else(too_long)
}

/// Writes a length of time in the largest unit that divides it: `48h` is `2d`.
pub fn format_duration(seconds: u64) -> String {
    match UNITS[1..].iter().find(|(_, size)| seconds > 0 && seconds.is_multiple_of(*size)) {
        Some((unit, size)) => format!("{}{unit}", seconds / size),
        None => "0s".to_owned(),
    }
}

/// Whether a time of day ends in an offset such as `+01`.
fn has_hours_alone(text: &str) -> bool {
    match text.as_bytes() {
        [before @ .., b'+' | b'-', tens, ones] => {
            tens.is_ascii_digit() && ones.is_ascii_digit() && before.contains(&b':')
        }
        _ => false,
    }
}

/// The beginning of a text that somebody sent, for an error message.
pub(crate) fn shorten(text: &str) -> String {
    const LONGEST: usize = 60;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_need_a_zone_and_a_sane_year() {
        let cases: &[(&str, Result<i64, &str>)] = &[
            ("1970-01-01T00:00:00Z", Ok(0)),
            ("1996-05-07T00:30:00+01:00", Ok(831_425_400_000)),
            ("2026-11-20T22:09:00.125Z", Ok(1_795_212_540_125)),
            ("1996-05-07 00:30:00+01", Ok(831_425_400_000)),
            ("1996-05-06T15:30:00.000-08", Ok(831_425_400_000)),
            ("1996-05-07T00:30:00+1", Err("with a zone")),
            ("1996-05-07T00:30:00+01:00:00", Err("with a zone")),
            ("2026-11-20T22:09:00", Err("with a zone")),
            ("2026-11-20", Err("with a zone")),
            ("1969-12-31T23:59:59.999Z", Ok(-1)),
            // Days from civil dates by the proleptic Gregorian calendar: 719,162 from 0001-01-01 to 1970-01-01.
            ("0001-01-01T00:00:00Z", Ok(-719_162 * 86_400_000)),
            ("0000-12-31T23:59:59Z", Err("outside the years")),
            ("0001-01-01T00:00:00+01:00", Err("outside the years")),
            ("", Err("with a zone")),
        ];
        for (text, expected) in cases {
            match (Timestamp::parse(text), expected) {
                (Ok(time), Ok(millis)) => assert_eq!(time.as_millis(), *millis, "{text}"),
                (Err(error), Err(part)) => assert!(error.problem.contains(part), "{text}: {error}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }

    #[test]
    fn times_before_1970_are_times_as_others() {
        let at = |text| Timestamp::parse(text).expect("a time");
        let before = at("1969-12-31T23:59:59.250Z");
        assert_eq!((before.as_millis(), before.as_unix()), (-750, -1));
        assert_eq!(before.to_string(), "1969-12-31T23:59:59.250Z");
        assert_eq!(before.for_people(), "1969-12-31 23:59 UTC");
        assert_eq!(before.floor(3_600), at("1969-12-31T23:00:00Z"));
        assert_eq!(at("1970-01-01T00:59:59Z").floor(3_600), Timestamp::EPOCH);
        assert_eq!(before.plus(1), at("1970-01-01T00:00:00.250Z"));
        assert_eq!(Timestamp::EPOCH.minus(86_400), at("1969-12-31T00:00:00Z"));
        assert_eq!(Timestamp::EPOCH.since(before), 0, "not a whole second");
        assert_eq!(Timestamp::EPOCH.since(at("1960-01-01T00:00:00Z")), 3_653 * 86_400);
        assert_eq!(Timestamp::MIN.minus(1), Timestamp::MIN);
        assert_eq!(Timestamp::MIN.floor(604_800), Timestamp::MIN);
        assert_eq!(Timestamp::MAX.since(Timestamp::MIN), 315_537_897_599);
        for text in ["1969-12-31T23:59:59.250Z", "0001-01-01T00:00:00Z"] {
            let json = serde_json::to_string(&at(text)).expect("writes");
            assert_eq!(serde_json::from_str::<Timestamp>(&json).expect("reads"), at(text));
        }
    }

    #[test]
    fn a_date_means_its_midnight() {
        for (text, time) in [
            ("2026-11-20", "2026-11-20T00:00:00Z"),
            ("2026-11-20T22:09:00Z", "2026-11-20T22:09:00Z"),
            ("1996-05-07T00:30:00+01:00", "1996-05-06T23:30:00Z"),
        ] {
            assert_eq!(Timestamp::parse_or_date(text), Timestamp::parse(time), "{text}");
        }
        for text in ["", "yesterday", "2026-11-32", "2026-11-20T22:09:00"] {
            assert!(Timestamp::parse_or_date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_read_and_write() {
        for (text, seconds) in [("30s", 30), ("48h", 172_800), ("7d", 604_800), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "h", "-3h", "+3h", "1.5h", "5", "3 h"] {
            let error = parse_duration(text).expect_err(text).problem;
            assert!(error.contains("is not a length of time"), "{error}");
        }
        for text in ["99999999d", "4294967296s", "99999999999w", "99999999999999999999999s"] {
            let error = parse_duration(text).expect_err(text).problem;
            assert!(error.contains("too long a time; at most 49710d"), "{error}");
        }
        assert_eq!(format_duration(172_800), "2d");
        assert_eq!(format_duration(90), "90s");
    }
}
