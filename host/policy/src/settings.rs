//! A policy's settings: what its manifest declares, and what is in force once the operator's own values are laid over
//! the defaults. Values only; where they were written is the manifest's and the configuration's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Seconds, format_duration, parse_duration};

const LONGEST_TEXT: usize = 4096;
const MOST_TEXTS: usize = 1000;

/// The type of a setting, as the policy interface has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SettingKind {
    /// A text.
    Text,
    /// A list of texts.
    Texts,
    /// A finite number.
    Number,
    /// A whole number from 0 to 4,294,967,295.
    Count,
    /// A length of time, written as `48h`.
    Duration,
    /// True or false.
    Flag,
}

impl SettingKind {
    /// The name that manifests use.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Texts => "texts",
            Self::Number => "number",
            Self::Count => "count",
            Self::Duration => "duration",
            Self::Flag => "flag",
        }
    }

    /// Reads a value of this kind, or says in words what is wrong with it.
    pub(crate) fn read(self, value: &serde_json::Value) -> Result<SettingValue, String> {
        use serde_json::Value;
        let read = match (self, value) {
            (Self::Text, Value::String(text)) => Some(SettingValue::Text(checked_text(text)?)),
            (Self::Texts, Value::Array(items)) if items.len() > MOST_TEXTS => {
                return Err(format!("has {} texts; at most {MOST_TEXTS} are allowed", items.len()));
            }
            (Self::Texts, Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(checked_text))
                .collect::<Option<Result<_, _>>>()
                .transpose()?
                .map(SettingValue::Texts),
            (Self::Number, Value::Number(number)) => {
                number.as_f64().filter(|number| number.is_finite()).map(SettingValue::Number)
            }
            (Self::Count, Value::Number(number)) => {
                number.as_u64().and_then(|count| u32::try_from(count).ok()).map(SettingValue::Count)
            }
            (Self::Duration, Value::String(text)) => {
                Some(SettingValue::Duration(parse_duration(text).map_err(|invalid| invalid.problem)?))
            }
            (Self::Flag, Value::Bool(flag)) => Some(SettingValue::Flag(*flag)),
            _ => None,
        };
        read.ok_or_else(|| {
            let wanted = match self {
                Self::Text => "a text in quotes",
                Self::Texts => "a list of texts, such as [\"a\", \"b\"]",
                Self::Number => "a finite number, such as 0.5",
                Self::Count => "a whole number from 0 to 4294967295",
                Self::Duration => "a length of time in quotes, such as \"48h\"",
                Self::Flag => "true or false",
            };
            format!("must be {wanted}; it is {}", describe(value))
        })
    }
}

fn checked_text(text: impl AsRef<str>) -> Result<String, String> {
    let text = text.as_ref();
    if text.len() > LONGEST_TEXT {
        return Err(format!("has {} bytes; at most {LONGEST_TEXT} are allowed", text.len()));
    }
    Ok(text.to_owned())
}

fn describe(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::Null => "not a finite value".to_owned(),
        serde_json::Value::Array(_) => "a list".to_owned(),
        serde_json::Value::Object(_) => "a table".to_owned(),
        plain => {
            let text = plain.to_string();
            match text.char_indices().nth(60) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    }
}

/// A setting's value.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[expect(missing_docs, reason = "the names are those of `SettingKind`")]
pub enum SettingValue {
    Text(String),
    Texts(Vec<String>),
    Number(f64),
    Count(u32),
    #[serde(serialize_with = "write_duration")]
    Duration(Seconds),
    Flag(bool),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn write_duration<S: serde::Serializer>(seconds: &Seconds, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format_duration(u64::from(*seconds)))
}

impl SettingValue {
    /// What kind of setting it is a value of.
    pub fn kind(&self) -> SettingKind {
        match self {
            Self::Text(_) => SettingKind::Text,
            Self::Texts(_) => SettingKind::Texts,
            Self::Number(_) => SettingKind::Number,
            Self::Count(_) => SettingKind::Count,
            Self::Duration(_) => SettingKind::Duration,
            Self::Flag(_) => SettingKind::Flag,
        }
    }

    /// As a number, for comparison with a range; durations in seconds.
    fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Count(count) => Some(f64::from(*count)),
            Self::Duration(seconds) => Some(f64::from(*seconds)),
            Self::Text(_) | Self::Texts(_) | Self::Flag(_) => None,
        }
    }
}

impl std::fmt::Display for SettingValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Texts(texts) => write!(f, "{texts:?}"),
            Self::Number(number) => write!(f, "{number}"),
            Self::Count(count) => write!(f, "{count}"),
            Self::Duration(seconds) => f.write_str(&format_duration(u64::from(*seconds))),
            Self::Flag(flag) => write!(f, "{flag}"),
        }
    }
}

/// A setting as a manifest declares it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// What holds where the operator says nothing.
    pub default: SettingValue,
    /// Smallest value allowed; for numbers, counts and durations.
    pub min: Option<SettingValue>,
    /// Largest value allowed; for numbers, counts and durations.
    pub max: Option<SettingValue>,
    /// The only texts allowed; empty: any.
    pub choices: Vec<String>,
    /// What it is for.
    pub summary: String,
}

impl Setting {
    /// Its type.
    pub fn kind(&self) -> SettingKind {
        self.default.kind()
    }

    /// Says what is wrong with a value of the right kind.
    pub(crate) fn check(&self, value: &SettingValue) -> Result<(), String> {
        let texts: &[String] = match value {
            SettingValue::Text(text) => std::slice::from_ref(text),
            SettingValue::Texts(texts) => texts,
            _ => &[],
        };
        if let Some(text) = texts.iter().find(|text| !self.choices.is_empty() && !self.choices.contains(text))
        {
            return Err(format!("{text:?} is not one of {:?}", self.choices));
        }
        let number = value.as_number();
        let below = self.min.as_ref().filter(|min| number < min.as_number());
        let above = self.max.as_ref().filter(|max| number > max.as_number());
        match (below, above) {
            (Some(min), _) => Err(format!("is {value}; the smallest allowed is {min}")),
            (_, Some(max)) => Err(format!("is {value}; the largest allowed is {max}")),
            (None, None) => Ok(()),
        }
    }
}

/// The settings in force.
pub type Settings = BTreeMap<String, SettingValue>;

/// Lays the operator's values over the defaults; every mistake at once.
pub(crate) fn resolve(
    declared: &BTreeMap<String, Setting>,
    overrides: &BTreeMap<String, serde_json::Value>,
) -> Result<Settings, Vec<String>> {
    let mut settings: Settings =
        declared.iter().map(|(key, setting)| (key.clone(), setting.default.clone())).collect();
    let mut problems = Vec::new();
    for (key, value) in overrides {
        let Some(setting) = declared.get(key) else {
            let known: Vec<_> = declared.keys().map(String::as_str).collect();
            problems.push(match known.as_slice() {
                [] => format!("settings.{key}: this policy has no settings"),
                known => format!("settings.{key}: no such setting; there are {}", known.join(", ")),
            });
            continue;
        };
        match setting.kind().read(value).and_then(|value| setting.check(&value).map(|()| value)) {
            Ok(value) => drop(settings.insert(key.clone(), value)),
            Err(problem) => problems.push(format!("settings.{key}: {problem}")),
        }
    }
    if problems.is_empty() { Ok(settings) } else { Err(problems) }
}
