//! What a canonical text means that was written before some of its keys were there: what was so before. Not the defaults
//! of a file that an operator writes; those are of today.
//!
//! A key that says what is here is left out of the canonical text. So an older configuration keeps its digest, and one of
//! today says what differs.

use serde_json::{Map, Value, json};
use trimtab_types::{format_duration, parse_duration};

use super::{CategorySettings, CoverageSettings, FeatureHealthSettings, StalenessSettings};

/// What was too old where nothing else was said, in seconds.
const UNKNOWN: u64 = 1_800;

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

/// Whether predictions stay away as they like, as before that was looked at by default.
pub(super) fn is_missed_by_nobody(staleness: &StalenessSettings) -> bool {
    *staleness == StalenessSettings { enabled: false, ..StalenessSettings::default() }
}

/// The same of outcomes.
pub(super) fn is_awaited_by_nobody(coverage: &CoverageSettings) -> bool {
    *coverage == CoverageSettings { enabled: false, ..CoverageSettings::default() }
}

/// Adds what is not written to a table of how predictions are judged.
pub(super) fn fill_judging(judging: &mut Value) {
    if let Value::Object(judging) = judging {
        judging.entry("when").or_insert_with(|| json!("on-arrival"));
    }
}

/// A fixed age was too old, however seldom predictions came, and a week of silence was its end. The former is kept.
fn fill_staleness(staleness: &mut Value) {
    let Value::Object(staleness) = staleness else { return };
    let (unknown, interval) = (staleness.remove("unknown"), staleness.remove("interval"));
    if staleness.remove("retired").is_none() && unknown.is_none() {
        return;
    }
    let factor = staleness.remove("factor").and_then(|factor| factor.as_f64()).unwrap_or(2.0);
    let seconds = |value: Option<Value>| value.and_then(|value| parse_duration(value.as_str()?).ok());
    let by_interval = seconds(interval).map(|interval| (factor * f64::from(interval)) as u64);
    let limit = by_interval.or_else(|| seconds(unknown).map(u64::from)).unwrap_or(UNKNOWN);
    staleness.insert("limit".to_owned(), json!(format_duration(limit)));
}

/// Adds what is not written to a table of detectors.
pub(super) fn fill_detectors(detectors: &mut Value) {
    if let Value::Object(detectors) = detectors {
        detectors.entry("feature-health").or_insert_with(|| json!({ "enabled": false }));
        detectors.entry("categories").or_insert_with(|| json!({ "enabled": false }));
        fill_staleness(detectors.entry("staleness").or_insert_with(|| json!({ "enabled": false })));
        match detectors.get_mut("coverage") {
            Some(Value::Object(coverage)) => {
                coverage.entry("of-all").or_insert_with(|| json!(true));
            }
            _ => {
                detectors.insert("coverage".to_owned(), json!({ "enabled": false }));
            }
        }
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
