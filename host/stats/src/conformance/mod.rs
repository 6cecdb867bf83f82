//! Our results against those of the field's own libraries, as recorded in `tests/reference`.
//! Not for behaviour that no peer has: that is specified beside the code.

use serde::Deserialize;
use serde::de::DeserializeOwned;

mod adwin;
mod ks;
mod large_counts;
mod metrics;
mod online;
mod proportion;
mod rolling;
mod windowed;

/// Every record of one reference file.
#[expect(clippy::disallowed_methods, reason = "tests read their reference values from files")]
pub(crate) fn records<T: DeserializeOwned>(file: &str) -> Vec<T> {
    let path = format!("{}/../../tests/reference/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{path}: {e}: {line:.120}")))
        .collect()
}

/// A series as the files write it: 0/1 as a string of digits, anything else as numbers.
#[derive(Deserialize)]
#[serde(untagged)]
pub(crate) enum Series {
    Bits(String),
    Numbers(Vec<f64>),
}

impl Series {
    pub(crate) fn values(self) -> Vec<f64> {
        match self {
            Self::Bits(bits) => bits.bytes().map(|b| f64::from(b - b'0')).collect(),
            Self::Numbers(numbers) => numbers,
        }
    }
}

/// A number, or nothing where the peer has no answer: `null`, or its "nan" or "inf" as text.
pub(crate) fn if_finite<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(f64),
        Nothing(Option<String>),
    }
    Ok(match Written::deserialize(deserializer)? {
        Written::Number(x) => Some(x),
        Written::Nothing(text) => {
            assert!(text.as_deref().is_none_or(|t| ["nan", "inf", "-inf"].contains(&t)), "{text:?}");
            None
        }
    })
}

/// A named input stream.
#[derive(Deserialize)]
struct StreamRecord {
    id: String,
    values: Series,
}

/// Every stream, by name.
pub(crate) fn streams() -> std::collections::BTreeMap<String, Vec<f64>> {
    records::<StreamRecord>("streams.jsonl").into_iter().map(|s| (s.id, s.values.values())).collect()
}

/// Panics unless `got` is within `relative` of `want` (or both are below `floor` in size).
pub(crate) fn assert_close(got: f64, want: f64, relative: f64, floor: f64, what: &dyn std::fmt::Display) {
    let scale = want.abs().max(got.abs());
    assert!(
        got == want || (got - want).abs() <= relative * scale || scale <= floor,
        "{what}: got {got:e}, want {want:e}"
    );
}
