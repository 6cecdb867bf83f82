//! Where two values of one type differ, and the conflicts that come of it.

use serde::Serialize;
use trimtab_types::{Outcome, Prediction};

use crate::LogError;

/// The conflict of a prediction with the one that has its id; `None` if they are the same.
pub fn conflicting_prediction(index: usize, stored: &Prediction, given: &Prediction) -> Option<LogError> {
    Some(LogError::Conflict {
        index,
        what: "prediction",
        model: given.subject.model.clone(),
        id: given.id.clone(),
        difference: first_difference(stored, given)?,
        fix: "a prediction never changes; give the new one an id of its own",
    })
}

/// The conflict of an outcome with the one that counts for its id.
pub fn conflicting_outcome(index: usize, stored: &Outcome, given: &Outcome) -> LogError {
    LogError::Conflict {
        index,
        what: "outcome",
        model: given.model.clone(),
        id: given.id.clone(),
        difference: first_difference(stored, given).unwrap_or_else(|| "an earlier revision".to_owned()),
        fix: "to replace it, send it with `correction` true",
    }
}

/// The first field in which two values differ, with both; `None` if they are the same.
pub fn first_difference<T: Serialize>(stored: &T, given: &T) -> Option<String> {
    fn first(path: &str, stored: &serde_json::Value, given: &serde_json::Value) -> Option<String> {
        use serde_json::Value;
        match (stored, given) {
            (Value::Object(a), Value::Object(b)) => a.keys().chain(b.keys()).find_map(|key| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                first(&path, a.get(key).unwrap_or(&Value::Null), b.get(key).unwrap_or(&Value::Null))
            }),
            _ if stored == given => None,
            _ => Some(format!("`{path}` is {stored}, not {given}")),
        }
    }
    match (serde_json::to_value(stored), serde_json::to_value(given)) {
        (Ok(stored), Ok(given)) => first("", &stored, &given),
        _ => Some("it cannot be compared".to_owned()),
    }
}
