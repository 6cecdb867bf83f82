//! The configuration in force: what is watched, how it is judged, and how far a decision may go.
//!
//! Its canonical text is kept by digest and its change is a log entry, so that the fold needs nothing else. A field
//! added later must default to "as before", because older configurations in the log do not have it, and is left out of
//! that text while it says so: an old configuration keeps its digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Caps, Digest, Invalid, Judging, ModelKey, Scale, Trust};

pub use trimtab_types::Glob;

mod alerts;
mod before;
mod check;
mod cleanup;
mod detectors;
mod distributions;
mod e_process;
mod health;
mod host;
mod http;
mod layers;
mod limits;
mod looks;
mod metrics;
mod monitoring;
mod rules;
mod sinks;
mod span;
mod trainers;

pub use alerts::*;
pub use cleanup::*;
pub use detectors::*;
pub use distributions::*;
pub use e_process::*;
pub use health::*;
pub use host::HostSettings;
pub use http::HttpSettings;
pub use looks::*;
pub use metrics::*;
pub use monitoring::*;
pub use rules::*;
pub use sinks::*;
pub use span::*;
pub use trainers::*;

use check::{is_default, is_level};

/// Everything that an operator configures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Configuration {
    /// Where this host finds and serves things. Not part of what is in force: it changes no finding and no decision.
    #[serde(skip_serializing)]
    pub host: HostSettings,
    /// How the HTTP interface on TCP is reached; like `host` not part of what is in force.
    #[serde(skip_serializing)]
    pub http: HttpSettings,
    /// How predictions are held against outcomes.
    pub judging: Judging,
    /// Metrics of the newest judged predictions.
    #[serde(skip_serializing_if = "is_default")]
    pub metrics: MetricSettings,
    /// A tenant's subjects together.
    #[serde(skip_serializing_if = "is_default")]
    pub fleet: FleetSettings,
    /// Which models are scraped in a large fleet.
    #[serde(skip_serializing_if = "is_default")]
    pub monitoring: MonitoringSettings,
    /// What watches every subject.
    pub detectors: Detectors,
    /// What may be done to which models; the first rule that matches counts.
    pub models: Vec<ModelRule>,
    /// What no policy can switch off.
    pub safeguards: Safeguards,
    /// Who hears what how often.
    pub alerts: AlertRules,
    /// Where alerts go besides the queue file.
    #[serde(skip_serializing_if = "is_default")]
    pub sinks: Sinks,
    /// How several policies decide together.
    #[serde(skip_serializing_if = "is_default")]
    pub decisions: DecisionRules,
    /// When a policy that fails again and again is left alone.
    #[serde(skip_serializing_if = "is_default")]
    pub breaker: BreakerRules,
    /// What retrains models; the first rule that matches counts.
    #[serde(skip_serializing_if = "is_default")]
    pub trainers: Vec<TrainerRule>,
    /// What versions may take up.
    #[serde(skip_serializing_if = "is_default")]
    pub cleanup: CleanupRules,
    /// What policies may cost at most.
    #[serde(skip_serializing_if = "is_default")]
    pub limits: Caps,
    /// Whose policies are put in force. It counts at that moment only, never in a replay.
    #[serde(skip_serializing_if = "is_default")]
    pub trust: Trust,
    /// The operator's settings of policies, by policy.
    pub policies: BTreeMap<String, PolicyRule>,
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The text is not what is expected.
    #[error("{file}: {problem}")]
    Syntax {
        /// Where.
        file: String,
        /// With line, column and what is expected.
        problem: String,
    },
    /// Values are outside their range; all of them are listed.
    #[error("{file}: {}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Values {
        /// Where.
        file: String,
        /// Each with its key.
        problems: Vec<Invalid>,
    },
}

impl Configuration {
    /// Whether these models are watched as another configuration has it: then the same rows lead to the same findings. What
    /// differs besides is about what is decided.
    pub fn watches_as<'a>(&self, other: &Self, models: impl IntoIterator<Item = &'a ModelKey>) -> bool {
        let chance =
            |configuration: &Self, model: &ModelKey| configuration.rule(model).and_then(|rule| rule.chance);
        let same = |model: &ModelKey| {
            self.detectors(model) == other.detectors(model)
                && self.judging(model) == other.judging(model)
                && chance(self, model) == chance(other, model)
        };
        (&self.judging, &self.metrics, &self.fleet) == (&other.judging, &other.metrics, &other.fleet)
            && self.detectors == other.detectors
            && models.into_iter().all(same)
    }

    /// Parses TOML; `file` is how errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let syntax = |error: toml::de::Error| ConfigError::Syntax {
            file: file.to_owned(),
            problem: error.to_string(),
        };
        let mut configuration: Self = toml::from_str(text).map_err(syntax)?;
        layers::lay_over(text, &mut configuration).map_err(syntax)?;
        let problems = configuration.problems();
        if problems.is_empty() {
            Ok(configuration)
        } else {
            Err(ConfigError::Values { file: file.to_owned(), problems })
        }
    }

    /// The text that is kept by digest: JSON with all fields in their order.
    pub fn canonical(&self) -> Vec<u8> {
        // Serialising plain data with text keys into memory cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Digest of the canonical text.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.canonical())
    }

    /// Reads a canonical text back. What it does not say is as it was before one could say it.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        let mut text = serde_json::from_slice(bytes)?;
        before::fill(&mut text);
        serde_json::from_value(text)
    }

    /// The rule for a model.
    pub fn rule(&self, model: &ModelKey) -> Option<&ModelRule> {
        self.models.iter().find(|rule| rule.tenant.matches(&model.tenant) && rule.model.matches(&model.model))
    }

    /// What watches a model.
    pub fn detectors(&self, model: &ModelKey) -> &Detectors {
        self.detectors_by(self.rule(model))
    }

    /// What watches the models of a rule, or of none.
    pub(crate) fn detectors_by<'a>(&'a self, rule: Option<&'a ModelRule>) -> &'a Detectors {
        rule.and_then(|rule| rule.detectors.as_ref()).unwrap_or(&self.detectors)
    }

    /// How predictions of a model are held against outcomes.
    pub fn judging(&self, model: &ModelKey) -> &Judging {
        self.rule(model).and_then(|rule| rule.judging.as_ref()).unwrap_or(&self.judging)
    }

    /// Whether anything is looked at as time passes.
    pub(crate) fn watches_time(&self) -> bool {
        let own = self.models.iter().filter_map(|rule| rule.detectors.as_ref());
        std::iter::once(&self.detectors).chain(own).any(Detectors::watches_time)
    }

    /// How many of the newest judged predictions of a model are kept in full.
    pub(crate) fn rows_kept(&self, detectors: &Detectors) -> u32 {
        self.metrics.window.max(detectors.rows_needed())
    }

    /// How far a decision about a model may go.
    pub fn stage(&self, model: &ModelKey) -> ReleaseStage {
        self.rule(model).map(|rule| rule.stage).unwrap_or_default()
    }

    /// Whether what the stage of a model does not let policies do is put before a person.
    pub(crate) fn proposes(&self, model: &ModelKey) -> bool {
        self.rule(model).is_none_or(|rule| rule.propose)
    }

    fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let mut need = |ok: bool, key: &str, problem: &str| {
            if !ok {
                problems.push(Invalid::new(format!("`{key}`"), problem));
            }
        };
        self.host.check(&mut |ok, key, problem| need(ok, &format!("host.{key}"), problem));
        self.http.check(&mut |ok, key, problem| need(ok, &format!("http.{key}"), problem));
        judging(&self.judging, &mut |ok, key, problem| need(ok, &format!("judging.{key}"), problem));
        self.metrics.check(&mut |ok, key, problem| need(ok, &format!("metrics.{key}"), problem));
        self.alerts.check(&mut |ok, key, problem| need(ok, &format!("alerts.{key}"), problem));
        need(is_level(self.fleet.alpha), "fleet.alpha", "must lie between 0 and 1");
        for rule in &self.models {
            need(
                rule.chance.is_none_or(|chance| (0.0..1.0).contains(&chance)),
                &format!("models.chance (of `{}`)", rule.model),
                "must be at least 0 and below 1",
            );
            if let Some(own) = &rule.judging {
                let of = |key: &str| format!("models.judging.{key} (of `{}`)", rule.model);
                judging(own, &mut |ok, key, problem| need(ok, &of(key), problem));
            }
        }
        for (name, rule) in &self.sinks {
            rule.check(name, &mut need);
        }
        for rule in &self.trainers {
            rule.check(&mut need);
        }
        limits::check(&self.limits, &mut |ok, key, problem| need(ok, &format!("limits.{key}"), problem));
        need(self.breaker.failures > 0, "breaker.failures", "must be at least 1");
        need(self.breaker.pause.0 > 0, "breaker.pause", "must be at least one second");
        need(
            self.breaker.longest >= self.breaker.pause,
            "breaker.longest",
            "must not be below `breaker.pause`",
        );
        need(
            !self.trust.require_signed || !self.trust.keys.is_empty(),
            "trust.require-signed",
            "needs a key in `trust.keys`; without one no policy could be put in force",
        );
        for (name, rule) in &self.policies {
            need(
                rule.rollout.is_none_or(|share| (0.0..=1.0).contains(&share)),
                &format!("policies.{name}.rollout"),
                "must lie between 0 and 1",
            );
            need(
                rule.gate.is_none_or(|gate| (0.0..=1.0).contains(&gate.changed) && gate.period.0 > 0),
                &format!("policies.{name}.gate"),
                "must have a `changed` between 0 and 1 and a `period` of a second at least",
            );
        }
        problems.extend(self.detectors.problems("detectors"));
        for rule in &self.models {
            let key = format!("models.detectors (of `{}`)", rule.model);
            problems.extend(rule.detectors.iter().flat_map(|detectors| detectors.problems(&key)));
        }
        problems
    }
}

/// What is wrong with how predictions are judged.
fn judging(judging: &Judging, need: &mut check::Need<'_>) {
    need((0.0..=1.0).contains(&judging.binary_threshold), "binary-threshold", "must lie between 0 and 1");
    need((0.0..1.0).contains(&judging.dead_band), "dead-band", "must be at least 0 and below 1");
    need(
        match judging.regression_scale {
            Scale::Of(scale) => scale > 0.0 && scale.is_finite(),
            Scale::Baseline | Scale::Usual(_) => true,
        },
        "regression-scale",
        "must be above 0, or \"baseline\"",
    );
    need((0.0..=1.0).contains(&judging.regression_right), "regression-right", "must lie between 0 and 1");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_reads_back_and_leaves_the_host_out() {
        let text = r#"
            [host]
            listen = "127.0.0.1:7878"
            [http]
            hosts = ["drift.example", "::1"]
            [detectors.accuracy-z]
            enabled = true
            [[models]]
            model = "btc*"
            stage = "act"
            [trust]
            keys = ["RWSPH4cBDJIwErBaytm0K6M6Dnn/rfMZ8CQO5iHyLFILfA7LmUm0ItHU"]
            require-signed = true
            [policies.drift-ladder]
            digest = "36109602087b38b62c6ac76b9a91f33242ba66585162b9b2dea677dc62cf2001"
            [policies.drift-ladder.settings]
            act-exposure = 0.25
        "#;
        let configuration = Configuration::parse(text, "trimtab.toml").expect("valid");
        let back = Configuration::from_canonical(&configuration.canonical()).expect("reads back");
        let (host, http) = (HostSettings::default(), HttpSettings::default());
        assert_eq!(back, Configuration { host, http, ..configuration.clone() });
        assert_eq!(back.digest(), configuration.digest());
        let key = |model: &str| ModelKey { tenant: "t".into(), model: model.into() };
        assert_eq!(configuration.stage(&key("btc-1h")), ReleaseStage::Act);
        assert_eq!(configuration.stage(&key("eth")), ReleaseStage::Alert);
    }

    /// The text that a build before these tables kept in a log, under the digest that the log's entries name.
    #[test]
    fn an_older_configuration_keeps_its_text_and_digest() {
        let older = concat!(
            r#"{"judging":{"binary-threshold":0.5,"dead-band":0.001,"judge-hold":true,"regression-scale":1.0,"#,
            r#""regression-right":0.1},"detectors":{"e-sr":{"enabled":true,"run-length":10000.0,"block":20,"#,
            r#""tolerance":0.02,"confidence":0.95,"window":200},"adwin":{"enabled":false,"delta":0.002},"#,
            r#""adwin-river":{"enabled":false,"delta":0.002},"accuracy-z":{"enabled":false,"window":200,"#,
            r#""minimum":30,"alpha":0.05,"medium":0.05,"high":0.1,"needs":"both","hysteresis":0.5},"#,
            r#""e-cusum":{"enabled":false,"run-length":10000.0,"block":20,"tolerance":0.02,"confidence":0.95,"#,
            r#""window":200},"own-past":{"enabled":false,"reference":1000,"tolerance":0.02,"confidence":0.95,"#,
            r#""run-length":10000.0,"block":20},"psi":{"enabled":true,"window":500,"every":50,"medium":0.1,"#,
            r#""high":0.2,"critical":0.3,"alpha":0.001},"page-hinkley":{"enabled":false,"minimum":30,"#,
            r#""delta":0.005,"threshold":50.0},"ddm":{"enabled":false,"minimum":30,"warning":2.0,"drift":3.0},"#,
            r#""eddm":{"enabled":false,"minimum":30,"warning":0.95,"drift":0.9},"hddm-a":{"enabled":false,"#,
            r#""drift":0.001,"warning":0.005},"hddm-w":{"enabled":false,"drift":0.001,"warning":0.005,"#,
            r#""lambda":0.05},"kswin":{"enabled":false,"alpha":0.005,"window":100,"newest":30}},"models":[],"#,
            r#""safeguards":{"retrain":{"enabled":false,"tenants":[],"cooldown":"7d","minimum-samples":100,"#,
            r#""approval":false}},"alerts":{"channels":["chat"],"minimum":"medium","interval":"1d"},"policies":{}}"#,
        );
        let configuration = Configuration::from_canonical(older.as_bytes()).expect("reads");
        assert_eq!(String::from_utf8_lossy(&configuration.canonical()), older);
        // What did not exist is as it was then, and not as is usual today.
        let e_sr = &configuration.detectors.e_sr;
        assert_eq!((e_sr.inflation, e_sr.early_sign), (Inflation::Given(1.0), false));
        assert!(
            !configuration.detectors.categories.enabled && !configuration.detectors.feature_health.enabled
        );
        let newer = Configuration::parse("[detectors.ks]\nenabled = true", "new").expect("valid");
        assert_eq!(Configuration::from_canonical(&newer.canonical()).expect("reads back"), newer);
    }

    #[test]
    fn mistakes_name_file_line_key_and_fix() {
        for (text, parts) in [
            ("[detectors.e-sr]\nrun-lenght = 5", &["trimtab.toml", "line 2", "run-lenght", "run-length"][..]),
            ("[alerts]\ninterval = \"soon\"", &["line 2", "length of time", "48h"]),
            (
                "[detectors.e-sr]\nblock = 0\ntolerance = 0.7",
                &["detectors.e-sr.block", "detectors.e-sr.tolerance"],
            ),
            ("[[models]]\nstage = \"act\"", &["missing field", "model"]),
            ("[models", &["line 1"]),
            ("[detectors.ddm]\ndrift = 1.0", &["detectors.ddm", "drift_threshold", "warning_threshold"]),
            ("[detectors.e-sr]\ninflation = \"high\"", &["line 2", "measured", "1 to 40"]),
            ("[detectors.e-sr]\ninflation = 50\nrecovery = 5", &["e-sr.inflation", "e-sr.recovery"]),
            ("[detectors.adwin]\ndelta = 2", &["detectors.adwin", "delta is 2"]),
            ("[detectors.ks]\nminimum = 600\nmedium = 0.3", &["detectors.ks.minimum", "detectors.ks.medium"]),
            ("[detectors.psi]\nwindow = true", &["line 2", "number of predictions"]),
            ("[fleet]\nalpha = 5", &["fleet.alpha"]),
            ("[host]\ncompile-time = \"100ms\"", &["host.compile-time", "at least 1s"]),
            ("[host]\ncompile-memory = \"1MiB\"", &["host.compile-memory", "at least 64MiB"]),
            ("[http]\nhosts = []", &["http.hosts", "at least one"]),
            (
                "[http]\nhosts = [\"localhost:7878\"]",
                &["http.hosts (`localhost:7878`)", "without scheme, port"],
            ),
            ("[http]\nhosts = [\"*\"]", &["http.hosts (`*`)"]),
            ("[http]\nhosts = [\"http://a.example/\", \"\"]", &["(`http://a.example/`)", "(``)"]),
            ("[trust]\nrequire-signed = true", &["trust.require-signed", "trust.keys"]),
            ("[trust]\nkeys = [\"RWabc\"]", &["line 2", "`RWabc`", "second line", ".pub"]),
            ("[policies.p]\ngate = { changed = 5 }", &["policies.p.gate", "between 0 and 1"]),
            ("[policies.p]\ngate = { stricter = 0 }", &["line 2", "stricter", "looser"]),
            ("[policies.p]\ndigest = \"sha256:1f\"", &["line 2", "64 hexadecimal digits"]),
            ("[limits]\nfuel = 5\nanswer = \"1B\"", &["limits.fuel", "limits.answer", "256B"]),
            ("[limits]\nmemory = \"much\"", &["line 2", "`much`", "16MiB"]),
            ("[detectors.psi]\nwindow = 7", &["detectors.psi.window", "50 and 5000"]),
            ("[detectors.psi]\nwindow = \"5m\"", &["detectors.psi.window", "1h"]),
            ("[detectors.psi]\nwindow = \"40d\"", &["detectors.sketches.until", "`window`"]),
            ("[detectors.sketches]\nfrom = \"20d\"\nsize = 8", &["sketches.from", "sketches.size"]),
            ("[detectors.categories]\ndistance = \"far\"", &["line 2", "jensen-shannon", "total-variation"]),
            ("[detectors.categories]\nalpha = 0", &["detectors.categories.alpha"]),
            ("[detectors.calibration]\nmedium = 0.2", &["detectors.calibration.medium", "`high`"]),
            ("[detectors.performance]\nmetrics = [\"ece\"]", &["detectors.performance.metrics", "`ece`"]),
            ("[detectors.performance]\nmetrics = [\"luck\"]", &["line 2", "luck", "accuracy"]),
            ("[detectors.trading]\nlosses = 1\ndrawdown = 15", &["trading.losses", "trading.drawdown"]),
            ("[detectors.staleness]\nat-first = \"10m\"", &["detectors.staleness.at-first", "shorter"]),
            ("[detectors.coverage]\nwindow = \"90d\"\nbelow = 50", &["coverage.window", "coverage.below"]),
            (
                "[metrics]\nwindow = 100000\nperiods-per-year = 0",
                &["metrics.window", "metrics.periods-per-year"],
            ),
            ("[sinks.ops]\ntype = \"fax\"", &["line 2", "fax", "webhook"]),
            ("[sinks.ops]\ntype = \"webhook\"", &["sinks.ops.url", "https://"]),
            (
                "[sinks.\"a b\"]\ntype = \"slack\"\nurl = \"https://s.example\"\nsecret = \"x\"",
                &["`sinks.a b`", "sinks.a b.secret"],
            ),
            ("[[trainers]]\nmodel = \"m\"\ncommand = []", &["trainers.command (of `m`)", "name a program"]),
            (
                "[[trainers]]\nmodel = \"m\"\ncommand = [\"t\"]\nattempts = 0\nfraction = 2\nmemory = \"1MiB\"\nvalidation.below-champion = -1",
                &[
                    "trainers.attempts",
                    "trainers.fraction",
                    "trainers.memory",
                    "trainers.validation.below-champion",
                ],
            ),
            ("[[models]]\nmodel = \"m\"\ndetectors.kswin.newest = 100", &["models.detectors (of `m`).kswin"]),
        ] {
            let message = Configuration::parse(text, "trimtab.toml").expect_err(text).to_string();
            for part in parts {
                assert!(message.contains(part), "{text}: {message} lacks {part}");
            }
        }
    }
}
