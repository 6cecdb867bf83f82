//! The answer to "may I trade?", and how a person changes its terms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// "May I trade, and how much?"
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MayTrade {
    /// Whose.
    pub tenant: String,
    /// Which model.
    pub model: String,
    /// The answer.
    pub allowed: bool,
    /// Share of the usual exposure; 0 where trading is not allowed.
    pub exposure: f64,
    /// Predictions below this confidence are not to be served.
    pub minimum_confidence: Option<f64>,
    /// Why not, or why less.
    pub reasons: Vec<String>,
}

/// How much of the usual exposure a model may have, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExposureStatus {
    /// The share that is in force, 0..1.
    pub exposure: f64,
    /// What a person set.
    pub base: f64,
    /// What it is multiplied by, for each cause.
    pub causes: BTreeMap<String, f64>,
}

/// What a person changes about a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelAct {
    /// The exposure is this, times what causes reduce it by.
    SetExposure(f64),
    /// What a cause reduced is taken back; none: all, and what a person set.
    ClearExposure(Option<String>),
    /// No prediction below this confidence is to be served; none: all may be.
    MinimumConfidence(Option<f64>),
    /// Policies are asked which versions may go.
    Review,
    /// Policies are asked how often it is to be retrained.
    PlanRetrains,
    /// Policies decide about all of it again.
    Resume,
    /// This policy is asked about what is open of it.
    Ask(String),
    /// No further predictions are expected.
    Retire {
        /// Of this version; none: of any.
        version: Option<String>,
        /// Of this segment; none: of any.
        segment: Option<String>,
        /// With this feature; none: at all.
        feature: Option<String>,
    },
}

/// A person changes something about a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActRequest {
    /// Owner of the model.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Which model.
    pub model: String,
    /// What.
    pub act: ModelAct,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}
