//! What a trainer brings: a version with its metrics, as a JSON file. What is wrong with it is named, so that whoever wrote the
//! trainer can mend it. Whether the files are there is looked at elsewhere.

use std::collections::BTreeMap;

use serde::Deserialize;
use trimtab_types::{Estimate, Metric};

/// Bytes of a result at most.
pub const LARGEST_RESULT: u64 = 1 << 20;

/// What a trainer brings.
#[derive(Debug, Clone, PartialEq)]
pub struct Brought {
    /// The version's name.
    pub version: String,
    /// Its files, relative to the root of artifacts; `None`: nothing was said of them.
    pub artifact: Option<String>,
    /// What it showed in its validation.
    pub metrics: Vec<Metric>,
    /// Anything that people want to find again.
    pub tags: Vec<String>,
    /// What it is to be held against: how many rows, and which accuracy.
    pub baseline: Option<(u64, f64)>,
    /// What it cost.
    pub cost: Option<f64>,
}

/// Why a result cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(pub String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    version: String,
    #[serde(default)]
    artifact: Option<String>,
    #[serde(default)]
    metrics: BTreeMap<String, Measured>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    baseline: Option<GivenBaseline>,
    #[serde(default)]
    cost: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a number, or {\"value\": …, \"samples\": …}")]
enum Measured {
    Value(f64),
    With { value: f64, samples: u32 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GivenBaseline {
    samples: u64,
    accuracy: f64,
}

/// Reads a result.
///
/// # Errors
/// It is no JSON, lacks something, or holds what is no number.
pub fn read_result(bytes: &[u8]) -> Result<Brought, Unusable> {
    let given: Given = serde_json::from_slice(bytes).map_err(|error| Unusable(why(bytes, &error)))?;
    let metric = |(name, measured): (String, Measured)| {
        let (value, samples) = match measured {
            Measured::Value(value) => (value, 0),
            Measured::With { value, samples } => (value, samples),
        };
        Metric { name, estimate: Estimate { value, samples, interval: None, from_outcomes: true } }
    };
    if given.version.is_empty() {
        return Err(Unusable("its result names no version".to_owned()));
    }
    Ok(Brought {
        version: given.version,
        artifact: given.artifact,
        metrics: given.metrics.into_iter().map(metric).collect(),
        tags: given.tags,
        baseline: given.baseline.map(|baseline| (baseline.samples, baseline.accuracy)),
        cost: given.cost,
    })
}

/// Several languages write what is no number as a word that JSON does not know. Which value it is, is worth a look.
fn why(bytes: &[u8], error: &serde_json::Error) -> String {
    let text = String::from_utf8_lossy(bytes);
    for word in ["NaN", "-Infinity", "Infinity", "null"] {
        let Some(at) = text.find(&format!(": {word}")).or_else(|| text.find(&format!(":{word}"))) else {
            continue;
        };
        // The names before it: of the value itself, and of the metric around it.
        let mut names = text[..at].rsplit('"').skip(1).step_by(2).filter(|name| *name != "value");
        if let Some(name) = names.next() {
            return format!("metric `{name}` is {word} in its result, which is no number");
        }
    }
    format!("its result cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_read_or_says_what_is_wrong_with_it() {
        #[rustfmt::skip]
        let cases: &[(&str, Result<&str, &str>)] = &[
            (r#"{"version":"v2"}"#,                                              Ok("v2")),
            (r#"{"version":"v2","artifact":"a/b","metrics":{"accuracy":0.74}}"#, Ok("v2")),
            (r#"{"version":"v2","metrics":{"f1":{"value":0.7,"samples":900}}}"#, Ok("v2")),
            (r#"{"version":"v2","baseline":{"samples":100,"accuracy":0.8}}"#,    Ok("v2")),
            ("",                                                                 Err("cannot be read")),
            ("accuracy 0.9",                                                     Err("cannot be read")),
            ("{}",                                                               Err("missing field `version`")),
            (r#"{"version":""}"#,                                                Err("names no version")),
            (r#"{"version":"v2","metrics":{"accuracy": NaN}}"#,                  Err("metric `accuracy` is NaN")),
            (r#"{"version":"v2","metrics":{"f1":{"value":NaN,"samples":1}}}"#,   Err("metric `f1` is NaN")),
            (r#"{"version":"v2","metrics":{"accuracy":null}}"#,                  Err("metric `accuracy` is null")),
            (r#"{"version":"v2","metric":{}}"#,                                  Err("unknown field `metric`")),
            (r#"{"version":"v2","metrics":{"accuracy":"high"}}"#,                Err("must be a number")),
            (r#"{"version":"v2","metrics":{"accuracy":1e999}}"#,                 Err("cannot be read")),
        ];
        for (text, expected) in cases {
            match (read_result(text.as_bytes()), expected) {
                (Ok(brought), Ok(version)) => assert_eq!(brought.version, *version, "{text}"),
                (Err(unusable), Err(part)) => assert!(unusable.0.contains(part), "{text}: {unusable}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }
}
