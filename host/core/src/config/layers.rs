//! What a configuration says in layers, and what comes of it: a model's own `detectors` lie over the general ones, key by
//! key; and every key with its value, those that nobody wrote as well.

use serde::Serialize;
use toml::{Table, Value};

use super::{Configuration, Detectors, before};

/// Lays each model's own `detectors` over the general ones. `text` is what the configuration was parsed from: only that
/// says which keys were written.
pub(super) fn lay_over(text: &str, configuration: &mut Configuration) -> Result<(), toml::de::Error> {
    let written: Table = text.parse()?;
    let general = written.get("detectors");
    let rules = written.get("models").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (rule, written) in configuration.models.iter_mut().zip(rules) {
        let (Some(own), Some(general)) = (written.get("detectors"), general) else { continue };
        let detectors: Detectors = over(general, own).try_into()?;
        rule.detectors = Some(detectors);
    }
    Ok(())
}

/// Tables are merged, everything else is replaced.
fn over(below: &Value, above: &Value) -> Value {
    match (below, above) {
        (Value::Table(below), Value::Table(above)) => {
            let mut merged = below.clone();
            for (key, value) in above {
                let value = below.get(key).map_or_else(|| value.clone(), |below| over(below, value));
                merged.insert(key.clone(), value);
            }
            Value::Table(merged)
        }
        (_, above) => above.clone(),
    }
}

impl Configuration {
    /// Every key with the value that is in force, the defaults as well; `[host]` is left out.
    pub fn effective(&self) -> serde_json::Value {
        let mut all = json(self);
        // What its canonical text leaves out while it is the default.
        add(&mut all, "metrics", &self.metrics);
        add(&mut all, "fleet", &self.fleet);
        add(&mut all, "monitoring", &self.monitoring);
        add(&mut all, "decisions", &self.decisions);
        add(&mut all, "breaker", &self.breaker);
        add(&mut all, "cleanup", &self.cleanup);
        add(&mut all, "limits", &self.limits);
        add(&mut all, "trust", &self.trust);
        add(&mut all["alerts"], "group-by", &self.alerts.group_by);
        add(&mut all["alerts"], "remind", &self.alerts.remind);
        add(&mut all["alerts"], "remind-every", &self.alerts.remind_every);
        add(&mut all["alerts"], "remind-grave", &self.alerts.remind_grave);
        all["detectors"] = self.detectors.effective();
        for (rule, shown) in self.models.iter().zip(all["models"].as_array_mut().into_iter().flatten()) {
            if let Some(detectors) = &rule.detectors {
                shown["detectors"] = detectors.effective();
            }
        }
        all
    }
}

impl Detectors {
    fn effective(&self) -> serde_json::Value {
        let mut all = json(self);
        add(&mut all, "ks", &self.ks);
        add(&mut all, "categories", &self.categories);
        add(&mut all, "calibration", &self.calibration);
        add(&mut all, "performance", &self.performance);
        add(&mut all, "trading", &self.trading);
        add(&mut all, "staleness", &self.staleness);
        add(&mut all, "coverage", &self.coverage);
        add(&mut all, "feature-health", &self.feature_health);
        add(&mut all, "sketches", &self.sketches);
        before::fill_detectors(&mut all);
        all
    }
}

fn json(value: &impl Serialize) -> serde_json::Value {
    // Plain data with text keys can always be written.
    serde_json::to_value(value).unwrap_or_default()
}

fn add(all: &mut serde_json::Value, key: &str, table: &impl Serialize) {
    if let Some(all) = all.as_object_mut() {
        all.entry(key).or_insert_with(|| json(table));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Configuration {
        Configuration::parse(text, "c.toml").expect("valid")
    }

    #[test]
    fn a_models_detectors_lie_over_the_general_ones_key_by_key() {
        let general = "[detectors.e-sr]\nrun-length = 5000\n[detectors.psi]\nwindow = 900\n";
        let configuration = parse(&format!(
            "{general}[[models]]\nmodel = \"a\"\ndetectors.e-sr.block = 7\ndetectors.adwin.enabled = true\n[[models]]\nmodel = \"b\"\n"
        ));
        let own = configuration.models[0].detectors.as_ref().expect("own detectors");
        let alone = parse("[detectors.adwin]\nenabled = true\n");
        assert_eq!(own.psi, configuration.detectors.psi, "what is not written is as in general");
        assert_eq!(own.adwin, alone.detectors.adwin);
        assert_eq!(own.e_sr.run_length, configuration.detectors.e_sr.run_length);
        assert_ne!(
            own.e_sr, configuration.detectors.e_sr,
            "one key of a table is another, the rest is as in general"
        );
        assert_eq!(configuration.models[1].detectors, None);
        // Without general ones the rest has its defaults, as ever.
        let alone = parse("[[models]]\nmodel = \"a\"\ndetectors.adwin.enabled = true\n");
        let own = alone.models[0].detectors.as_ref().expect("own detectors");
        assert_eq!(own.psi, Detectors::default().psi);
    }

    #[test]
    fn what_is_in_force_reads_back_with_its_layers() {
        let text =
            "[detectors.psi]\nwindow = 900\n[[models]]\nmodel = \"a\"\ndetectors.adwin.enabled = true\n";
        let configuration = parse(text);
        let back = Configuration::from_canonical(&configuration.canonical()).expect("reads back");
        assert_eq!(back, configuration);
    }

    #[test]
    fn mistakes_of_a_models_detectors_are_named() {
        for text in [
            "[detectors.psi]\nwindow = 900\n[[models]]\nmodel = \"a\"\ndetectors.psi.widow = 3\n",
            "[[models]]\nmodel = \"a\"\ndetectors.psi.widow = 3\n",
        ] {
            let error = Configuration::parse(text, "c.toml").expect_err("refused").to_string();
            assert!(error.contains("widow") && error.contains("line"), "{error}");
        }
    }
}
