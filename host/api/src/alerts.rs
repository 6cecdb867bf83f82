//! Alerts as callers see them: what people were told and what was held back, and how a person answers.

use serde::{Deserialize, Serialize};
use trimtab_types::{AlertKind, ModelKey, Seconds, Severity, Subject, Timestamp};

/// Alerts of one model and kind, which are told together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertGroupStatus {
    /// Whose.
    pub model: ModelKey,
    /// What is wrong.
    pub kind: AlertKind,
    /// Of which version, where these are told apart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Of which segment, where these are told apart.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub segment: String,
    /// `firing`, `acknowledged`, `held back` or `over`.
    pub state: String,
    /// As it was said last.
    pub severity: Option<Severity>,
    /// Since when it fires, or is over.
    pub since: Option<Timestamp>,
    /// When anything was said last.
    pub said: Option<Timestamp>,
    /// What people know to be wrong.
    pub lines: Vec<String>,
    /// What is told later, if it is still there then.
    pub held_back: Vec<String>,
    /// Who knows, or wants to hear nothing, until when and why.
    pub note: Option<String>,
}

/// Something that was told or held back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlertEvent {
    /// When.
    pub at: Timestamp,
    /// Log position.
    pub position: u64,
    /// Whom it was about.
    pub subject: Subject,
    /// As it was decided.
    pub severity: Severity,
    /// Whether people were told.
    pub told: bool,
    /// As what it was told, or the rule that held it back.
    pub what: String,
    /// The decision.
    pub decision: String,
    /// Who decided: a policy, or `host`.
    pub by: String,
    /// What was decided, in the words of whoever decided it.
    pub reason: String,
}

/// What people were told.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Alerts {
    /// What stands now, gravest first.
    pub groups: Vec<AlertGroupStatus>,
    /// How it came to that, newest first.
    pub events: Vec<AlertEvent>,
}

/// A person knows of what a model's alerts tell.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AcknowledgeRequest {
    /// Owner of the model.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Which model.
    pub model: String,
    /// Of which kind; all where nothing is said.
    #[serde(default)]
    pub kind: Option<AlertKind>,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// A person wants no alerts for a while, or wants them again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SilenceRequest {
    /// Owner of the model.
    #[serde(default)]
    pub tenant: Option<String>,
    /// Which model; with `all`, none.
    #[serde(default)]
    pub model: Option<String>,
    /// Of all models of all tenants.
    #[serde(default)]
    pub all: bool,
    /// Of which kind; all where nothing is said.
    #[serde(default)]
    pub kind: Option<AlertKind>,
    /// For so many seconds of the model's clock from now on; without, alerts are sent again.
    #[serde(default)]
    pub seconds: Option<Seconds>,
    /// Who.
    pub actor: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}
