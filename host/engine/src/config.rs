//! The configuration in force: what is watched, how it is judged, and how far a decision may go.
//!
//! Its canonical text is kept by digest and its change is a log entry, so that the fold needs nothing else. A field
//! added later must default to "as before", because older configurations in the log do not have it.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use trimtab_stats::{
    AdwinConfig, AdwinVariant, DdmConfig, EddmConfig, HddmAConfig, HddmWConfig, KswinConfig, OwnPastConfig,
    PageHinkleyConfig, Sides,
};
use trimtab_types::{
    Digest, Invalid, Judging, Mode, ModelKey, Seconds, Severity, format_duration, parse_duration,
};
use wildmatch::WildMatch;

use crate::fold::{DetectorKind, Online};

/// Everything that an operator configures.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Configuration {
    /// Where this host finds and serves things. Not part of what is in force: it changes no finding and no decision.
    #[serde(skip_serializing)]
    pub host: HostSettings,
    /// How predictions are held against outcomes.
    pub judging: Judging,
    /// What watches every subject.
    pub detectors: Detectors,
    /// What may be done to which models; the first rule that matches counts.
    pub models: Vec<ModelRule>,
    /// What no policy can switch off.
    pub safeguards: Safeguards,
    /// Who hears what how often.
    pub alerts: AlertRules,
    /// How several policies decide together.
    pub decisions: DecisionRules,
    /// When a policy that fails again and again is left alone.
    pub breaker: BreakerRules,
    /// The operator's settings of policies, by policy.
    pub policies: BTreeMap<String, PolicyRule>,
}

/// Where this host finds and serves things.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostSettings {
    /// The policies directory, relative to the data directory; `policies` in it where nothing is said.
    pub policies: Option<String>,
    /// Address on loopback to serve HTTP on, besides the local socket.
    pub listen: Option<String>,
}

/// A length of time, written as `24h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Duration(pub Seconds);

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(u64::from(self.0)))
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        parse_duration(&text).map(Self).map_err(|invalid| D::Error::custom(invalid.problem))
    }
}

/// What watches every subject.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Detectors {
    /// Anytime-valid detection of errors above the baseline; on by default.
    pub e_sr: ESrSettings,
    /// ADWIN of the paper and of MOA, which keeps the newer window.
    pub adwin: AdwinSettings,
    /// ADWIN of river, which starts anew.
    pub adwin_river: AdwinSettings,
    /// Rolling accuracy against the baseline; a false alarm every 345, 552 or 1,102 observations by design.
    pub accuracy_z: AccuracyZSettings,
    /// The same evidence as `e-sr`, combined by its maximum: later, and with fewer false alarms than promised.
    pub e_cusum: ECusumSettings,
    /// Anytime-valid detection against the stream's own past; needs no baseline.
    pub own_past: OwnPastSettings,
    /// Population stability of score and features against the baseline; on by default.
    pub psi: PsiSettings,
    /// Page–Hinkley on the error.
    pub page_hinkley: PageHinkleySettings,
    /// DDM on errors of 0 and 1.
    pub ddm: DdmSettings,
    /// EDDM on errors of 0 and 1.
    pub eddm: EddmSettings,
    /// HDDM with Hoeffding's bound.
    pub hddm_a: HddmASettings,
    /// HDDM with McDiarmid's bound on a weighted mean.
    pub hddm_w: HddmWSettings,
    /// A Kolmogorov–Smirnov test on a sliding window of errors.
    pub kswin: KswinSettings,
}

/// [`ESrSettings`], off unless it is switched on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ECusumSettings(#[serde(deserialize_with = "OffByDefault::deserialize")] pub ESrSettings);

/// How [`ESrSettings`] are read where a table that does not say so does not switch them on.
#[derive(Deserialize)]
#[serde(remote = "ESrSettings", default = "off", deny_unknown_fields, rename_all = "kebab-case")]
struct OffByDefault {
    enabled: bool,
    run_length: f64,
    block: u32,
    tolerance: f64,
    confidence: f64,
    window: u32,
}

fn off() -> ESrSettings {
    ECusumSettings::default().0
}

impl Default for ECusumSettings {
    fn default() -> Self {
        Self(ESrSettings { enabled: false, ..ESrSettings::default() })
    }
}

/// Population stability index of the score and of each feature, newest predictions against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PsiSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// How many of the newest predictions are held against the baseline.
    pub window: u32,
    /// After how many predictions it is tested again.
    pub every: u32,
    /// An index of this much is medium …
    pub medium: f64,
    /// … of this much high …
    pub high: f64,
    /// … and above this critical.
    pub critical: f64,
    /// The index must also be improbable without drift, given the sizes: at this level for all quantities of a subject
    /// together. Values are taken to be as dependent on each other as the baseline's.
    pub alpha: f64,
}

impl Default for PsiSettings {
    fn default() -> Self {
        Self { enabled: true, window: 500, every: 50, medium: 0.1, high: 0.2, critical: 0.3, alpha: 0.001 }
    }
}

/// Settings of a detector that is off unless it is switched on: a switch, the parameters with their defaults, and the
/// detector's own configuration made of them.
macro_rules! optional_detector {
    ($(#[$about:meta])* $settings:ident => $config:ident {
        $($(#[$doc:meta])* $key:ident: $kind:ty = $default:expr => $parameter:ident,)*
    } $(, $fixed:ident: $value:expr)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $settings {
            /// Whether it runs.
            pub enabled: bool,
            $($(#[$doc])* pub $key: $kind,)*
        }

        impl Default for $settings {
            fn default() -> Self {
                Self { enabled: false, $($key: $default,)* }
            }
        }

        impl $settings {
            /// The detector's own configuration.
            #[allow(clippy::needless_update, reason = "some detectors have parameters that are not settings")]
            pub fn detector(&self) -> $config {
                $config { $($parameter: self.$key,)* $($fixed: $value,)* ..$config::default() }
            }
        }
    };
}

optional_detector! {
    /// Anytime-valid detection against the stream's own past.
    OwnPastSettings => OwnPastConfig {
        /// Observations that say what is normal.
        reference: u32 = 1_000 => reference,
        /// A rise by this much is nobody's business.
        tolerance: f64 = 0.02 => tolerance,
        /// Confidence with which the learned mean is bounded.
        confidence: f64 = 0.95 => confidence,
        /// Observations between false alarms, on average, at least.
        run_length: f64 = 10_000.0 => average_run_length,
        /// Observations whose mean is one bet.
        block: u32 = 20 => block,
    }, sides: Sides::Up
}

optional_detector! {
    /// Page–Hinkley.
    PageHinkleySettings => PageHinkleyConfig {
        /// No alarm before this many observations.
        minimum: u32 = 30 => min_instances,
        /// Deviation that is tolerated at each step.
        delta: f64 = 0.005 => delta,
        /// Cumulative deviation that is an alarm.
        threshold: f64 = 50.0 => threshold,
    }, sides: Sides::Up
}

optional_detector! {
    /// DDM.
    DdmSettings => DdmConfig {
        /// No signal up to this many observations.
        minimum: u32 = 30 => warm_start,
        /// Standard deviations above the best rate that are a warning.
        warning: f64 = 2.0 => warning_threshold,
        /// Standard deviations above the best rate that are a drift.
        drift: f64 = 3.0 => drift_threshold,
    }
}

optional_detector! {
    /// EDDM.
    EddmSettings => EddmConfig {
        /// No signal up to this many errors.
        minimum: u32 = 30 => warm_start,
        /// Share of the greatest distance between errors below which is a warning.
        warning: f64 = 0.95 => alpha,
        /// Share of the greatest distance between errors below which is a drift.
        drift: f64 = 0.9 => beta,
    }
}

optional_detector! {
    /// HDDM-A.
    HddmASettings => HddmAConfig {
        /// Significance of a drift.
        drift: f64 = 0.001 => drift_confidence,
        /// Significance of a warning.
        warning: f64 = 0.005 => warning_confidence,
    }, two_sided: false
}

optional_detector! {
    /// HDDM-W.
    HddmWSettings => HddmWConfig {
        /// Significance of a drift.
        drift: f64 = 0.001 => drift_confidence,
        /// Significance of a warning.
        warning: f64 = 0.005 => warning_confidence,
        /// Weight of the newest observation.
        lambda: f64 = 0.05 => lambda,
    }, two_sided: false
}

optional_detector! {
    /// KSWIN.
    KswinSettings => KswinConfig {
        /// Significance of one test.
        alpha: f64 = 0.005 => alpha,
        /// Observations in the window.
        window: u32 = 100 => window_size,
        /// How many of them, the newest, are held against the rest.
        newest: u32 = 30 => stat_size,
    }
}

/// e-Shiryaev–Roberts on the error against the baseline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct ESrSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Observations between false alarms, on average, at least.
    pub run_length: f64,
    /// Observations whose mean is one bet; real errors come in runs.
    pub block: u32,
    /// A rise of the error rate by this much is nobody's business.
    pub tolerance: f64,
    /// Confidence with which the baseline's error rate is bounded.
    pub confidence: f64,
    /// How many of the newest resolved predictions are "now" when the severity is judged.
    pub window: u32,
}

impl Default for ESrSettings {
    fn default() -> Self {
        Self {
            enabled: true,
            run_length: 10_000.0,
            block: 20,
            tolerance: 0.02,
            confidence: 0.95,
            window: 200,
        }
    }
}

/// ADWIN on the error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdwinSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Lower is less sensitive.
    pub delta: f64,
}

impl Default for AdwinSettings {
    fn default() -> Self {
        Self { enabled: false, delta: 0.002 }
    }
}

impl AdwinSettings {
    /// The detector's own configuration.
    pub fn detector(&self, variant: AdwinVariant) -> AdwinConfig {
        AdwinConfig { delta: self.delta, variant, ..AdwinConfig::default() }
    }
}

/// One-proportion z-test of the rolling accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccuracyZSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// How many of the newest resolved predictions are tested; at most 200.
    pub window: u32,
    /// No test below this many.
    pub minimum: u32,
    /// Significance level.
    pub alpha: f64,
    /// A drop of this many points is medium; compared after rounding to 1e-9, so that 0.85 − 0.80 is 5 points.
    pub medium: f64,
    /// A drop of this many points is high.
    pub high: f64,
    /// What a level needs.
    pub needs: Needs,
    /// Closes when the drop has shrunk below this share of `medium`.
    pub hysteresis: f64,
}

impl Default for AccuracyZSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            window: 200,
            minimum: 30,
            alpha: 0.05,
            medium: 0.05,
            high: 0.10,
            needs: Needs::Both,
            hysteresis: 0.5,
        }
    }
}

/// What a level of the z-test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needs {
    /// The drop and the significance.
    Both,
    /// The drop alone.
    Drop,
    /// The significance alone; medium.
    Significance,
}

/// How far a decision may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseStage {
    /// Findings only; no policy is asked.
    Observe,
    /// Policies are asked; of their actions only alerts happen.
    #[default]
    Alert,
    /// Actions happen as far as the other safeguards allow.
    Act,
}

/// A pattern in which `*` stands for any text, `/` included.
#[derive(Debug, Clone)]
pub struct Glob {
    text: String,
    pattern: WildMatch,
}

impl Glob {
    /// Whether it matches.
    pub fn matches(&self, text: &str) -> bool {
        self.pattern.matches(text)
    }

    fn any() -> Self {
        Self { text: "*".to_owned(), pattern: WildMatch::new("*") }
    }
}

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Glob {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Glob {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Ok(Self { pattern: WildMatch::new(&text), text })
    }
}

/// What may be done to the models that match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ModelRule {
    /// Which tenants.
    #[serde(default = "Glob::any")]
    pub tenant: Glob,
    /// Which models.
    pub model: Glob,
    /// How far a decision may go.
    #[serde(default)]
    pub stage: ReleaseStage,
    /// The model's own switch for retrains that a drift triggers.
    #[serde(default)]
    pub retrain: bool,
    /// Accuracy that pure chance gives; 0.5 for binary tasks and directions where nothing is said.
    #[serde(default)]
    pub chance: Option<f64>,
    /// What watches these models, in place of the general `detectors`; a key that is not there has its default.
    #[serde(default)]
    pub detectors: Option<Detectors>,
}

/// What no policy can switch off.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Safeguards {
    /// Before a drift-triggered retrain may start.
    pub retrain: RetrainSafeguards,
}

/// Before a drift-triggered retrain may start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct RetrainSafeguards {
    /// The master switch.
    pub enabled: bool,
    /// The tenants that may; `*` for all.
    pub tenants: Vec<Glob>,
    /// Time between two retrains of a model.
    pub cooldown: Duration,
    /// Resolved predictions since the last retrain.
    pub minimum_samples: u64,
    /// Whether a person has to approve each.
    pub approval: bool,
}

impl Default for RetrainSafeguards {
    fn default() -> Self {
        Self {
            enabled: false,
            tenants: Vec::new(),
            cooldown: Duration(7 * 86_400),
            minimum_samples: 100,
            approval: false,
        }
    }
}

/// Who hears what how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AlertRules {
    /// Channels that every alert goes to.
    pub channels: Vec<String>,
    /// Milder ones are suppressed.
    pub minimum: Severity,
    /// At most one alert per model, segment and kind in this time, unless the severity rises.
    pub interval: Duration,
}

impl Default for AlertRules {
    fn default() -> Self {
        Self { channels: vec!["chat".to_owned()], minimum: Severity::Medium, interval: Duration(86_400) }
    }
}

/// How several policies decide together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DecisionRules {
    /// Who is asked about a finding.
    pub policies: Composition,
}

/// Which of the policies that apply to a finding are asked about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Composition {
    /// The first in order.
    #[default]
    First,
    /// All of them; of proposals that contradict each other the safest stands.
    All,
}

/// When a policy that fails again and again is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct BreakerRules {
    /// After so many failures in a row.
    pub failures: u32,
    /// For so long, and twice as long each time that it fails again …
    pub pause: Duration,
    /// … up to this.
    pub longest: Duration,
}

impl Default for BreakerRules {
    fn default() -> Self {
        Self { failures: 5, pause: Duration(60), longest: Duration(3_600) }
    }
}

/// The operator's say about one policy.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PolicyRule {
    /// Overrides the manifest's mode.
    pub mode: Option<Mode>,
    /// Overrides the manifest's order.
    pub order: Option<i32>,
    /// A new version decides for this share of the subjects, 0..1; the version before it for the others.
    pub rollout: Option<f64>,
    /// Values of settings that the manifest declares.
    pub settings: BTreeMap<String, serde_json::Value>,
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
    /// Parses TOML; `file` is how errors call it.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let configuration: Self = toml::from_str(text)
            .map_err(|error| ConfigError::Syntax { file: file.to_owned(), problem: error.to_string() })?;
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

    /// Reads a canonical text back.
    pub fn from_canonical(bytes: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(bytes)
    }

    /// The rule for a model.
    pub fn rule(&self, model: &ModelKey) -> Option<&ModelRule> {
        self.models.iter().find(|rule| rule.tenant.matches(&model.tenant) && rule.model.matches(&model.model))
    }

    /// What watches a model.
    pub fn detectors(&self, model: &ModelKey) -> &Detectors {
        self.rule(model).and_then(|rule| rule.detectors.as_ref()).unwrap_or(&self.detectors)
    }

    /// How far a decision about a model may go.
    pub fn stage(&self, model: &ModelKey) -> ReleaseStage {
        self.rule(model).map(|rule| rule.stage).unwrap_or_default()
    }

    fn problems(&self) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let mut need = |ok: bool, key: &str, problem: &str| {
            if !ok {
                problems.push(Invalid::new(format!("`{key}`"), problem));
            }
        };
        let judging = &self.judging;
        need(
            (0.0..=1.0).contains(&judging.binary_threshold),
            "judging.binary-threshold",
            "must lie between 0 and 1",
        );
        need((0.0..1.0).contains(&judging.dead_band), "judging.dead-band", "must be at least 0 and below 1");
        need(
            judging.regression_scale > 0.0 && judging.regression_scale.is_finite(),
            "judging.regression-scale",
            "must be above 0",
        );
        need(
            (0.0..=1.0).contains(&judging.regression_right),
            "judging.regression-right",
            "must lie between 0 and 1",
        );
        for rule in &self.models {
            need(
                rule.chance.is_none_or(|chance| (0.0..1.0).contains(&chance)),
                &format!("models.chance (of `{}`)", rule.model.text),
                "must be at least 0 and below 1",
            );
        }
        need(self.breaker.failures > 0, "breaker.failures", "must be at least 1");
        need(self.breaker.pause.0 > 0, "breaker.pause", "must be at least one second");
        need(
            self.breaker.longest >= self.breaker.pause,
            "breaker.longest",
            "must not be below `breaker.pause`",
        );
        for (name, rule) in &self.policies {
            need(
                rule.rollout.is_none_or(|share| (0.0..=1.0).contains(&share)),
                &format!("policies.{name}.rollout"),
                "must lie between 0 and 1",
            );
        }
        problems.extend(self.detectors.problems("detectors"));
        for rule in &self.models {
            let key = format!("models.detectors (of `{}`)", rule.model.text);
            problems.extend(rule.detectors.iter().flat_map(|detectors| detectors.problems(&key)));
        }
        problems
    }
}

impl Detectors {
    /// What is wrong with the parameters; each detector judges its own.
    fn problems(&self, place: &str) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let mut need = |ok: bool, key: &str, problem: &str| {
            if !ok {
                problems.push(Invalid::new(format!("`{place}.{key}`"), problem));
            }
        };
        let open = |x: f64| x > 0.0 && x < 1.0;
        for (name, settings) in [("e-sr", &self.e_sr), ("e-cusum", &self.e_cusum.0)] {
            need(
                settings.run_length > f64::from(settings.block) && settings.run_length <= 1e15,
                &format!("{name}.run-length"),
                "must be more than one block and at most 1e15 observations",
            );
            need(
                (1..=10_000).contains(&settings.block),
                &format!("{name}.block"),
                "must lie between 1 and 10000",
            );
            let tolerance = (0.0..0.5).contains(&settings.tolerance);
            need(tolerance, &format!("{name}.tolerance"), "must be at least 0 and below 0.5");
            need(open(settings.confidence), &format!("{name}.confidence"), "must lie between 0 and 1");
            need(
                (1..=200).contains(&settings.window),
                &format!("{name}.window"),
                "must lie between 1 and 200",
            );
        }
        let z = &self.accuracy_z;
        need((1..=200).contains(&z.window), "accuracy-z.window", "must lie between 1 and 200");
        need((1..=z.window).contains(&z.minimum), "accuracy-z.minimum", "must lie between 1 and `window`");
        need(open(z.alpha), "accuracy-z.alpha", "must lie between 0 and 1");
        need(
            z.medium > 0.0 && z.medium <= z.high && z.high < 1.0,
            "accuracy-z.medium",
            "must be above 0 and not above `high`, which must be below 1",
        );
        need((0.0..=1.0).contains(&z.hysteresis), "accuracy-z.hysteresis", "must lie between 0 and 1");
        let psi = &self.psi;
        need((50..=5_000).contains(&psi.window), "psi.window", "must lie between 50 and 5000");
        need(psi.every > 0, "psi.every", "must be at least 1");
        need(
            psi.medium > 0.0
                && psi.medium <= psi.high
                && psi.high <= psi.critical
                && psi.critical.is_finite(),
            "psi.medium",
            "must be above 0, not above `high`, and that not above `critical`",
        );
        need(open(psi.alpha), "psi.alpha", "must lie between 0 and 1");
        for kind in DetectorKind::ALL {
            if let Some(Err(error)) = Online::new(kind, self) {
                need(false, kind.name(), &error.to_string());
            }
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_force_reads_back_and_leaves_the_host_out() {
        let text = r#"
            [host]
            listen = "127.0.0.1:7878"
            [detectors.accuracy-z]
            enabled = true
            [[models]]
            model = "btc*"
            stage = "act"
            [policies.drift-ladder.settings]
            act-exposure = 0.25
        "#;
        let configuration = Configuration::parse(text, "trimtab.toml").expect("valid");
        let back = Configuration::from_canonical(&configuration.canonical()).expect("reads back");
        assert_eq!(back, Configuration { host: HostSettings::default(), ..configuration.clone() });
        assert_eq!(back.digest(), configuration.digest());
        let key = |model: &str| ModelKey { tenant: "t".into(), model: model.into() };
        assert_eq!(configuration.stage(&key("btc-1h")), ReleaseStage::Act);
        assert_eq!(configuration.stage(&key("eth")), ReleaseStage::Alert);
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
            ("[detectors.adwin]\ndelta = 2", &["detectors.adwin", "delta is 2"]),
            ("[[models]]\nmodel = \"m\"\ndetectors.kswin.newest = 100", &["models.detectors (of `m`).kswin"]),
        ] {
            let message = Configuration::parse(text, "trimtab.toml").expect_err(text).to_string();
            for part in parts {
                assert!(message.contains(part), "{text}: {message} lacks {part}");
            }
        }
    }
}
