//! Where two values of one type differ.

use serde::Serialize;

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
