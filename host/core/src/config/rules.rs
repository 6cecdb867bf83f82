//! Rules about what follows from findings: which models, which policies. Not how drift is found.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Digest, Judging, Mode};

pub use trimtab_types::ReleaseStage;

use super::{Detectors, Glob, check::is_default, span::Duration};

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
    /// Whether what the stage does not let policies do is put before a person; otherwise it is refused.
    #[serde(default = "yes")]
    pub propose: bool,
    /// The model's own switch for retrains.
    #[serde(default)]
    pub retrain: bool,
    /// Accuracy that pure chance gives; where nothing is said, by the classes of the newest rows.
    #[serde(default)]
    pub chance: Option<f64>,
    /// What watches these models. In a file it lies over the general `detectors`, key by key; here it is whole.
    #[serde(default)]
    pub detectors: Option<Detectors>,
    /// How predictions of these models are held against outcomes; in a file over the general `judging`, key by key.
    #[serde(default, skip_serializing_if = "is_default")]
    pub judging: Option<Judging>,
}

fn yes() -> bool {
    true
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

/// How far a new version of a policy may differ from what was decided. More, and a person has to look.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Gate {
    /// The newest history, of this length.
    pub period: Duration,
    /// The share of decisions that may be others, 0..1.
    pub changed: f64,
    /// How many may be looser.
    pub looser: u64,
}

impl Default for Gate {
    fn default() -> Self {
        Self { period: Duration(30 * 86_400), changed: 0.05, looser: 0 }
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
    #[serde(skip_serializing_if = "is_default")]
    pub rollout: Option<f64>,
    /// The only version that may be put in force.
    #[serde(skip_serializing_if = "is_default")]
    pub digest: Option<Digest>,
    /// What a new version has to show on history before it takes the place of the one before.
    #[serde(skip_serializing_if = "is_default")]
    pub gate: Option<Gate>,
    /// Values of settings that the manifest declares.
    pub settings: BTreeMap<String, serde_json::Value>,
}
