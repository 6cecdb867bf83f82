//! What retrains models: a command, what it may take, and what a new version must show. Not whether a retrain may begin; see
//! `safeguards.retrain`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{ModelKey, Size};

use super::{Configuration, Glob, check::Need, span::Duration};

/// The longest command, in words.
const MOST_WORDS: usize = 256;

/// Less memory, and hardly a program begins.
const LEAST_MEMORY: usize = 64 << 20;

/// What retrains the models that match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TrainerRule {
    /// Which tenants.
    #[serde(default = "Glob::any")]
    pub tenant: Glob,
    /// Which models.
    pub model: Glob,
    /// The program and its arguments; no shell reads them. A path is relative to the data directory.
    pub command: Vec<String>,
    /// How long it may run.
    #[serde(default = "day")]
    pub limit: Duration,
    /// Once it has reported progress, it must do so again within this time.
    #[serde(default = "minutes")]
    pub heartbeat: Duration,
    /// How often it is begun before that is given up.
    #[serde(default = "three")]
    pub attempts: u32,
    /// Time between two attempts.
    #[serde(default = "minute")]
    pub pause: Duration,
    /// Variables of the host's environment that it gets.
    #[serde(default = "usual")]
    pub environment: Vec<String>,
    /// Memory that one of its processes may take; `None`: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Whether the host begins the retrains that are planned or due by a schedule; otherwise somebody else does.
    #[serde(default)]
    pub scheduled: bool,
    /// What a new version must show.
    #[serde(default)]
    pub validation: Validation,
    /// What is done with one that shows it.
    #[serde(default)]
    pub then: Then,
    /// Its share of the traffic as a canary, 0..1.
    #[serde(default = "tenth")]
    pub fraction: f64,
}

/// What a new version must show before it is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Validation {
    /// By metric: at least.
    pub minimum: BTreeMap<String, f64>,
    /// By metric: at most.
    pub maximum: BTreeMap<String, f64>,
    /// By how much a metric may be below what the champion was registered with.
    pub below_champion: f64,
    /// Whether a version of which no metric was reported passes.
    pub unmeasured: bool,
}

impl Default for Validation {
    fn default() -> Self {
        Self { minimum: BTreeMap::new(), maximum: BTreeMap::new(), below_champion: 0.02, unmeasured: false }
    }
}

/// What is done with a version that passes the validation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Then {
    /// Nothing: it is a candidate.
    Register,
    /// It is tried in shadow.
    #[default]
    Shadow,
    /// It is tried as a canary.
    Canary,
    /// A person is asked whether it is to serve.
    Propose,
}

fn day() -> Duration {
    Duration(86_400)
}

fn minutes() -> Duration {
    Duration(600)
}

fn minute() -> Duration {
    Duration(60)
}

fn three() -> u32 {
    3
}

fn tenth() -> f64 {
    0.1
}

fn usual() -> Vec<String> {
    ["PATH", "HOME", "LANG", "TZ", "TMPDIR"].map(str::to_owned).to_vec()
}

impl TrainerRule {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        let of = |key: &str| format!("trainers.{key} (of `{}`)", self.model);
        need(
            self.command.first().is_some_and(|program| !program.is_empty())
                && self.command.len() <= MOST_WORDS,
            &of("command"),
            "must name a program; the words after it are its arguments",
        );
        need(
            self.command.iter().all(|word| !word.contains('\0')),
            &of("command"),
            "must not contain a zero character",
        );
        need(self.limit.0 > 0, &of("limit"), "must be at least one second");
        need(self.heartbeat.0 > 0, &of("heartbeat"), "must be at least one second");
        need((1..=100).contains(&self.attempts), &of("attempts"), "must lie between 1 and 100");
        need(
            self.memory.is_none_or(|memory| memory.0 >= LEAST_MEMORY),
            &of("memory"),
            "must be at least 64MiB",
        );
        need(self.fraction > 0.0 && self.fraction <= 1.0, &of("fraction"), "must be above 0 and at most 1");
        need(
            self.environment.iter().all(|name| !name.is_empty() && !name.contains(['=', '\0'])),
            &of("environment"),
            "must list names of variables",
        );
        let limits = self.validation.minimum.values().chain(self.validation.maximum.values());
        need(limits.clone().all(|limit| limit.is_finite()), &of("validation"), "must be finite numbers");
        need(
            self.validation.below_champion.is_finite() && self.validation.below_champion >= 0.0,
            &of("validation.below-champion"),
            "must be at least 0",
        );
    }
}

impl Configuration {
    /// What retrains a model.
    pub fn trainer(&self, model: &ModelKey) -> Option<&TrainerRule> {
        self.trainers
            .iter()
            .find(|rule| rule.tenant.matches(&model.tenant) && rule.model.matches(&model.model))
    }

    /// Which switches keep a model from being retrained by the host; each is named.
    pub fn retrain_switches_off(&self, model: &ModelKey) -> Vec<String> {
        let rules = &self.safeguards.retrain;
        let mut off = Vec::new();
        if !rules.enabled {
            off.push("the master switch `safeguards.retrain.enabled` is off".to_owned());
        }
        if !rules.tenants.iter().any(|tenant| tenant.matches(&model.tenant)) {
            off.push(format!("tenant `{}` is not in `safeguards.retrain.tenants`", model.tenant));
        }
        if !self.rule(model).is_some_and(|rule| rule.retrain) {
            off.push(format!("the model's own switch `retrain` under [[models]] is off for `{model}`"));
        }
        off
    }
}
