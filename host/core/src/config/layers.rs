//! What a configuration says in layers, and what comes of it: a model's own `detectors` lie over the general ones, key by
//! key; and every key with its value, those that nobody wrote as well.

use serde::{Serialize, de::DeserializeOwned};
use toml::{Table, Value};

use super::{Configuration, before};

/// Lays each model's own `detectors` and `judging` over the general ones. `text` is what the configuration was parsed from: only that
/// says which keys were written.
pub(super) fn lay_over(text: &str, configuration: &mut Configuration) -> Result<(), toml::de::Error> {
    let general: &Table = &text.parse()?;
    let rules = general.get("models").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    for (rule, written) in configuration.models.iter_mut().zip(rules) {
        rule.detectors = own(general, written, "detectors")?.or_else(|| rule.detectors.take());
        rule.judging = own(general, written, "judging")?.or(rule.judging);
    }
    Ok(())
}

/// A table of a model over the general one; `None` where either is not written.
fn own<T: DeserializeOwned>(
    general: &Table,
    written: &Value,
    name: &str,
) -> Result<Option<T>, toml::de::Error> {
    let (Some(general), Some(own)) = (general.get(name), written.get(name)) else { return Ok(None) };
    over(general, own).try_into().map(Some)
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
        before::fill_judging(&mut all["judging"]);
        all["detectors"] = self.detectors.effective();
        for (rule, shown) in self.models.iter().zip(all["models"].as_array_mut().into_iter().flatten()) {
            if rule.judging.is_some() {
                before::fill_judging(&mut shown["judging"]);
            }
            if let Some(detectors) = &rule.detectors {
                shown["detectors"] = detectors.effective();
            }
        }
        all
    }
}

impl super::Detectors {
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
    use trimtab_types::ModelKey;

    use super::{super::Detectors, *};

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
    fn a_models_judging_lies_over_the_general_one_key_by_key() {
        let rule = "[[models]]\nmodel = \"a\"\njudging.binary-threshold = 0.2\n";
        let of = |text: &str| {
            let configuration = parse(text);
            let model = |name: &str| ModelKey { tenant: "default".into(), model: name.into() };
            let judging = |name| *configuration.judging(&model(name));
            (judging("a").binary_threshold, judging("a").judge_hold, judging("b").binary_threshold)
        };
        assert_eq!(of(&format!("[judging]\njudge-hold = false\n{rule}")), (0.2, false, 0.5));
        assert_eq!(of(rule), (0.2, true, 0.5));
        let error =
            Configuration::parse(&rule.replace("0.2", "2"), "c.toml").expect_err("refused").to_string();
        assert!(error.contains("models.judging.binary-threshold (of `a`)"), "{error}");
        // A rule without a judging of its own is written as ever.
        let canonical = parse("[[models]]\nmodel = \"a\"\n").canonical();
        assert_eq!(String::from_utf8_lossy(&canonical).matches("judging").count(), 1);
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
