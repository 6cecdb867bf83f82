//! What a canonical text means that was written before some of its keys were there: what was so before. Not the defaults
//! of a file that an operator writes; those are of today.
//!
//! A key that says what is here is left out of the canonical text. So an older configuration keeps its digest, and one of
//! today says what differs.

use serde_json::{Map, Value, json};

use super::{CategorySettings, FeatureHealthSettings};

/// Adds what is not written to the `detectors` of a configuration and of each of its models.
pub(super) fn fill(configuration: &mut Value) {
    if let Some(judging) = configuration.get_mut("judging") {
        fill_judging(judging);
    }
    if let Some(detectors) = configuration.get_mut("detectors") {
        fill_detectors(detectors);
    }
    for rule in configuration.get_mut("models").and_then(Value::as_array_mut).into_iter().flatten() {
        if let Some(detectors) = rule.get_mut("detectors").filter(|detectors| !detectors.is_null()) {
            fill_detectors(detectors);
        }
        if let Some(judging) = rule.get_mut("judging") {
            fill_judging(judging);
        }
    }
}

/// Whether categories are as they were before they were on.
pub(super) fn is_off(categories: &CategorySettings) -> bool {
    *categories == CategorySettings { enabled: false, ..CategorySettings::default() }
}

/// Whether score and features come as they like, as before there was somebody to watch that.
pub(super) fn is_unwatched(health: &FeatureHealthSettings) -> bool {
    *health == FeatureHealthSettings { enabled: false, ..FeatureHealthSettings::default() }
}

/// Adds what is not written to a table of how predictions are judged.
pub(super) fn fill_judging(judging: &mut Value) {
    if let Value::Object(judging) = judging {
        judging.entry("when").or_insert_with(|| json!("on-arrival"));
    }
}

/// Adds what is not written to a table of detectors.
pub(super) fn fill_detectors(detectors: &mut Value) {
    if let Value::Object(detectors) = detectors {
        detectors.entry("feature-health").or_insert_with(|| json!({ "enabled": false }));
        detectors.entry("categories").or_insert_with(|| json!({ "enabled": false }));
    }
    let betting = json!({ "inflation": 1.0, "early-sign": false, "by-class": false, "recovery": 2_000.0 });
    for (name, before) in [("e-sr", &betting), ("e-cusum", &betting)] {
        if let (Some(Value::Object(table)), Value::Object(before)) = (detectors.get_mut(name), before) {
            add(table, before);
        }
    }
}

fn add(table: &mut Map<String, Value>, before: &Map<String, Value>) {
    for (key, value) in before {
        table.entry(key).or_insert_with(|| value.clone());
    }
}
