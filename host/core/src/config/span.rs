//! Lengths of time, and how much of a stream is "now".

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use trimtab_types::{Seconds, format_duration, parse_duration};

use super::check::Need;

/// A length of time, written as `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Seconds);

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(u64::from(self.0)))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(|invalid| de::Error::custom(invalid.problem))
    }
}

/// How much is "now": the newest so many predictions, or those of the newest so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// Written as a number.
    Rows(u32),
    /// Written as `7d`.
    Time(Duration),
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Rows(rows) => rows.serialize(serializer),
            Self::Time(time) => time.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Span;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a number of predictions, or a length of time such as \"7d\"")
            }
            fn visit_u64<E: de::Error>(self, rows: u64) -> Result<Span, E> {
                u32::try_from(rows).map(Span::Rows).map_err(|_| E::custom("is too many predictions"))
            }
            fn visit_i64<E: de::Error>(self, rows: i64) -> Result<Span, E> {
                u32::try_from(rows).map(Span::Rows).map_err(|_| E::custom("must be above 0"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                let time = parse_duration(text).map_err(|invalid| E::custom(invalid.problem))?;
                Ok(Span::Time(Duration(time)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Span {
    /// The stretch of time, if it is one.
    pub fn time(self) -> Option<Duration> {
        match self {
            Self::Time(time) => Some(time),
            Self::Rows(_) => None,
        }
    }

    pub(super) fn check(self, key: &str, need: &mut Need<'_>) {
        match self {
            Self::Rows(rows) => need((50..=5_000).contains(&rows), key, "must lie between 50 and 5000"),
            Self::Time(time) => {
                need(time.0 >= 3_600, key, "must be a number of predictions, or at least 1h");
            }
        }
    }
}
