//! Settings of what bets on errors against the baseline. Not the bets; see `trimtab-stats`.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::check::{Need, is_level};

/// Errors in a block of the early sign, and where dependence could not be measured.
const LONG_BLOCK: u32 = 20;

/// e-Shiryaev–Roberts on the error against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ESrSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Observations between false alarms, on average, at least.
    pub run_length: f64,
    /// Observations whose mean is one bet; real errors come in runs.
    pub block: u32,
    /// How alike neighbouring blocks are.
    #[serde(skip_serializing_if = "is_face_value")]
    pub inflation: Inflation,
    /// Whether evidence that would do for independent errors opens an episode, as medium.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub early_sign: bool,
    /// Whether errors of each true class are watched by themselves, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub by_class: bool,
    /// Observations that pass on average, at least, before a drift that lasts is called over.
    #[serde(skip_serializing_if = "is_usual")]
    pub recovery: f64,
    /// A rise of the error rate by this much is nobody's business.
    pub tolerance: f64,
    /// Confidence with which the baseline's error rate is bounded.
    pub confidence: f64,
    /// How many of the newest resolved predictions are "now" when the severity is judged.
    pub window: u32,
}

impl Default for ESrSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            run_length: 10_000.0,
            block: 5,
            inflation: Inflation::Measured,
            early_sign: true,
            by_class: true,
            recovery: RECOVERY,
            tolerance: 0.02,
            confidence: 0.95,
            window: 200,
        }
    }
}

/// How many times more a mean of many blocks varies than it would if they were independent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Inflation {
    /// What the baseline's errors show; written as `"measured"`.
    Measured,
    /// So much; written as a number.
    Given(f64),
}

impl Serialize for Inflation {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Measured => serializer.serialize_str(MEASURED),
            Self::Given(inflation) => inflation.serialize(serializer),
        }
    }
}

const MEASURED: &str = "measured";

impl<'de> Deserialize<'de> for Inflation {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl de::Visitor<'_> for Either {
            type Value = Inflation;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("\"measured\", or a number from 1 to 40")
            }
            fn visit_f64<E: de::Error>(self, inflation: f64) -> Result<Inflation, E> {
                Ok(Inflation::Given(inflation))
            }
            fn visit_i64<E: de::Error>(self, inflation: i64) -> Result<Inflation, E> {
                Ok(Inflation::Given(inflation as f64))
            }
            fn visit_u64<E: de::Error>(self, inflation: u64) -> Result<Inflation, E> {
                Ok(Inflation::Given(inflation as f64))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Inflation, E> {
                if text == MEASURED {
                    Ok(Inflation::Measured)
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// Observations between false recoveries.
const RECOVERY: f64 = trimtab_stats::recovery::RECOVERY_RUN_LENGTH;

/// What there was before there was an inflation.
fn is_face_value(inflation: &Inflation) -> bool {
    *inflation == Inflation::Given(1.0)
}

fn is_usual(recovery: &f64) -> bool {
    *recovery == RECOVERY
}

impl ESrSettings {
    /// Whether what runs with these settings begins anew with others. To watch classes besides leaves the rest as it is.
    pub(super) fn starts_anew(&self, after: &Self) -> bool {
        let besides = Self { by_class: true, ..self.clone() };
        *after != *self && *after != besides
    }

    pub(super) fn check(&self, name: &str, need: &mut Need<'_>) {
        let mut need = |ok: bool, key: &str, problem: &str| need(ok, &format!("{name}.{key}"), problem);
        let longest = self.block.max(LONG_BLOCK);
        need(
            self.run_length > f64::from(longest) && self.run_length <= 1e15,
            "run-length",
            "must be more than one block, more than 20, and at most 1e15 observations",
        );
        need((1..=10_000).contains(&self.block), "block", "must lie between 1 and 10000");
        need(
            match self.inflation {
                Inflation::Measured => true,
                Inflation::Given(inflation) => (1.0..=40.0).contains(&inflation),
            },
            "inflation",
            "must be \"measured\", or lie between 1 and 40",
        );
        need(
            self.recovery > f64::from(longest) && self.recovery <= 1e15,
            "recovery",
            "must be more than one block, more than 20, and at most 1e15 observations",
        );
        need((0.0..0.5).contains(&self.tolerance), "tolerance", "must be at least 0 and below 0.5");
        need(is_level(self.confidence), "confidence", "must lie between 0 and 1");
        need((1..=200).contains(&self.window), "window", "must lie between 1 and 200");
    }
}

/// [`ESrSettings`], off unless it is switched on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ECusumSettings(#[serde(deserialize_with = "OffByDefault::deserialize")] pub ESrSettings);

/// How [`ESrSettings`] are read where a table that does not say so does not switch them on.
#[derive(Deserialize)]
#[serde(remote = "ESrSettings", default = "off", deny_unknown_fields, rename_all = "kebab-case")]
struct OffByDefault {
    enabled: bool,
    run_length: f64,
    block: u32,
    inflation: Inflation,
    early_sign: bool,
    by_class: bool,
    recovery: f64,
    tolerance: f64,
    confidence: f64,
    window: u32,
}

fn off() -> ESrSettings {
    ECusumSettings::default().0
}

impl Default for ECusumSettings {
    fn default() -> Self {
        Self(ESrSettings { enabled: false, ..ESrSettings::default() })
    }
}
