//! Times in cells: with a zone, or counted from 1970 in a unit that the map names. A unit that puts times where none are
//! likely is asked about, because a wrong one moves all of a file by decades.

use serde::Deserialize;
use trimtab_types::Timestamp;

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum TimeFormat {
    /// With a zone.
    #[default]
    Rfc3339,
    /// Seconds since 1970.
    Unix,
    /// Milliseconds since 1970.
    UnixMs,
    /// Microseconds since 1970.
    UnixUs,
    /// Nanoseconds since 1970.
    UnixNs,
}

impl TimeFormat {
    const UNITS: [Self; 4] = [Self::Unix, Self::UnixMs, Self::UnixUs, Self::UnixNs];

    fn name(self) -> &'static str {
        match self {
            Self::Rfc3339 => "rfc3339",
            Self::Unix => "unix",
            Self::UnixMs => "unix-ms",
            Self::UnixUs => "unix-us",
            Self::UnixNs => "unix-ns",
        }
    }

    /// The power of ten that makes milliseconds of it; none where no unit counts.
    fn power(self) -> Option<i32> {
        match self {
            Self::Rfc3339 => None,
            Self::Unix => Some(3),
            Self::UnixMs => Some(0),
            Self::UnixUs => Some(-3),
            Self::UnixNs => Some(-6),
        }
    }

    /// Whether times are counted in a unit.
    pub(super) fn counts(self) -> bool {
        self.power().is_some()
    }
}

/// How the times of a file are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) format: TimeFormat,
    /// Times before this are asked about.
    pub(super) earliest: Option<Timestamp>,
    /// Between the whole part of a count and its fraction.
    pub(super) decimal: char,
}

/// 1980-01-01T00:00:00Z: what is earlier is more often a wrong unit than history.
const USUAL: i64 = 315_532_800_000;
/// 2100-01-01T00:00:00Z.
const LATE: i64 = 4_102_444_800_000;

impl Times {
    /// The time in a cell; fractions of a millisecond are cut off. The error says what is wrong and what to do.
    pub(super) fn parse(&self, cell: &str) -> Result<Timestamp, String> {
        let Some(power) = self.format.power() else {
            let time =
                Timestamp::parse(cell).map_err(|invalid| self.counted(cell).unwrap_or(invalid.problem))?;
            return match self.earliest {
                Some(earliest) if time < earliest => {
                    Err(format!("`{cell}` is before the map's `earliest`, {earliest}"))
                }
                _ => Ok(time),
            };
        };
        let Some(count) = Count::parse(cell, self.decimal) else {
            return Err(format!(
                "`{}` is not a number of {}; a time that is written out is time-format = \"rfc3339\"",
                short(cell),
                self.format.name()
            ));
        };
        let earliest = self.earliest.map_or(USUAL, Timestamp::as_millis);
        match count.millis(power).and_then(Timestamp::from_millis) {
            Some(time) if time.as_millis() >= earliest => Ok(time),
            Some(time) => Err(format!(
                "`{}` as {} is {time}; is that the unit?{} If times so early are meant, say in the map: earliest = \"{}\"",
                short(cell),
                self.format.name(),
                likely(count),
                &time.to_string()[..10]
            )),
            None => Err(format!(
                "`{}` as {} is outside the years that can be; is that the unit?{}",
                short(cell),
                self.format.name(),
                likely(count)
            )),
        }
    }

    /// What to say of a cell that has a count where a time is to be written out.
    fn counted(&self, cell: &str) -> Option<String> {
        let count = Count::parse(cell, self.decimal)?;
        let likely = likely(count);
        (!likely.is_empty()).then(|| format!("`{}` is not a time with a zone.{likely}", short(cell)))
    }
}

/// The unit that would put a count between 1980 and 2100, as a sentence.
fn likely(count: Count) -> String {
    let unit = TimeFormat::UNITS.into_iter().find_map(|unit| {
        let millis = count.millis(unit.power()?).filter(|millis| (USUAL..LATE).contains(millis))?;
        Some((unit, Timestamp::from_millis(millis)?))
    });
    unit.map_or(String::new(), |(unit, time)| {
        format!(" As {0} it is {time}: say time-format = \"{0}\".", unit.name())
    })
}

/// A decimal number, exactly: digits, and how often they are to be multiplied by ten.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    digits: i128,
    power: i32,
}

impl Count {
    /// Digits, perhaps with a sign, a fraction and an exponent, as spreadsheets and data frames write them.
    fn parse(text: &str, decimal: char) -> Option<Self> {
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once(decimal).unwrap_or((mantissa, ""));
        let digits = whole.strip_prefix(['-', '+']).unwrap_or(whole);
        let sound = !digits.is_empty()
            && digits.len() + fraction.len() <= 36
            && digits.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit())
            && exponent.len() <= 4;
        if !sound {
            return None;
        }
        let power = exponent.parse::<i32>().ok()? - i32::try_from(fraction.len()).ok()?;
        Some(Self { digits: format!("{whole}{fraction}").parse().ok()?, power })
    }

    /// In milliseconds, where one of it is so many powers of ten of them; cut off towards the past.
    fn millis(self, power: i32) -> Option<i64> {
        let power = self.power + power;
        let scale = 10_i128.checked_pow(power.unsigned_abs());
        let millis = match (power >= 0, scale) {
            (true, Some(scale)) => self.digits.checked_mul(scale)?,
            (true, None) if self.digits != 0 => return None,
            (false, Some(scale)) => self.digits.div_euclid(scale),
            // Below any digit that there is.
            (_, None) => {
                if self.digits < 0 {
                    -1
                } else {
                    0
                }
            }
        };
        i64::try_from(millis).ok()
    }
}

fn short(cell: &str) -> String {
    cell.chars().take(60).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: TimeFormat, earliest: Option<&str>, cell: &str, expected: &str) {
        let earliest = earliest.map(|earliest| Timestamp::parse_or_date(earliest).expect("a time"));
        let got = match (Times { format, earliest, decimal: '.' }).parse(cell) {
            Ok(time) => time.to_string(),
            Err(problem) => problem,
        };
        assert!(got.contains(expected), "{cell}: gave {got}, expected {expected}");
    }

    #[test]
    fn every_unit_is_read_exactly() {
        use TimeFormat::{Rfc3339, Unix, UnixMs, UnixNs, UnixUs};
        // `date --date=@1735689600`: 2025-01-01T00:00:00Z.
        for (format, cell, expected) in [
            (Unix, "1735689600", "2025-01-01T00:00:00Z"),
            (Unix, "1735689600.125", "2025-01-01T00:00:00.125Z"),
            (Unix, "1735689600.0", "2025-01-01T00:00:00Z"),
            (Unix, "1.7356896e9", "2025-01-01T00:00:00Z"),
            (Unix, "1.735689600125E+09", "2025-01-01T00:00:00.125Z"),
            (UnixMs, "1735689600125", "2025-01-01T00:00:00.125Z"),
            (UnixMs, "1735689600125.9", "2025-01-01T00:00:00.125Z"),
            (UnixUs, "1735689600125999", "2025-01-01T00:00:00.125Z"),
            (UnixNs, "1735689600125999999", "2025-01-01T00:00:00.125Z"),
            (Rfc3339, "2025-01-01 01:00:00+01:00", "2025-01-01T00:00:00Z"),
        ] {
            check(format, None, cell, expected);
        }
    }

    #[test]
    fn a_unit_that_puts_times_where_none_are_likely_is_asked_about() {
        use TimeFormat::{Rfc3339, Unix, UnixMs, UnixNs, UnixUs};
        for (format, cell, expected) in [
            (
                UnixMs,
                "1735689600",
                "is 1970-01-21T02:08:09.600Z; is that the unit? As unix it is 2025-01-01T00:00:00Z: say time-format = \"unix\"",
            ),
            (UnixMs, "1735689600", "earliest = \"1970-01-21\""),
            (UnixUs, "1735689600000", "As unix-ms it is 2025-01-01"),
            (UnixNs, "1735689600000000", "As unix-us it is 2025-01-01"),
            (
                Unix,
                "1735689600000",
                "outside the years that can be; is that the unit? As unix-ms it is 2025-01-01",
            ),
            (UnixMs, "1735689600000000", "As unix-us it is 2025-01-01"),
            (Unix, "0", "is 1970-01-01T00:00:00Z; is that the unit? If times so early are meant"),
            (Unix, "99999999999999999999999999", "outside the years"),
            (Unix, "1e999", "outside the years"),
            (
                Rfc3339,
                "1735689600",
                "is not a time with a zone. As unix it is 2025-01-01T00:00:00Z: say time-format = \"unix\"",
            ),
            (
                Unix,
                "2025-01-01T00:00:00Z",
                "is not a number of unix; a time that is written out is time-format = \"rfc3339\"",
            ),
            (Unix, "", "is not a number"),
            (Unix, "1e5e5", "is not a number"),
            (Unix, "-", "is not a number"),
            (Unix, "NaN", "is not a number"),
        ] {
            check(format, None, cell, expected);
        }
    }

    #[test]
    fn the_map_may_say_that_early_times_are_meant() {
        check(TimeFormat::Unix, Some("1970-01-01"), "86400", "1970-01-02T00:00:00Z");
        check(TimeFormat::Unix, Some("2020-01-01"), "1500000000", "If times so early are meant");
        check(
            TimeFormat::Rfc3339,
            Some("2020-01-01"),
            "2019-12-31T00:00:00Z",
            "before the map's `earliest`, 2020-01-01",
        );
    }
}
