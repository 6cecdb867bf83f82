//! The policies in force, loaded: which of them answers what, and which version of one decides about a subject.

use std::{collections::BTreeMap, sync::Arc};

use trimtab_policy::{Package, Policy, Sandbox};
use trimtab_store::Reader;
use trimtab_types::{
    Alert, Digest, DigestBuilder, Finding, Mode, PolicyInForce, PolicyRef, Position, Subject,
};

use super::PipelineError;
use crate::{Configuration, fold::State, overlay::Overlay};

/// A policy of the set in force, ready or not.
pub(super) struct InForce {
    pub(super) entry: PolicyInForce,
    policy: Result<Policy, String>,
    /// While a new version decides for a share of the subjects: the version that decides for the others.
    previous: Option<(PolicyRef, Result<Policy, String>)>,
}

/// The version of a policy that decides about a subject.
#[derive(Clone, Copy)]
pub(super) struct Version<'a> {
    pub(super) reference: &'a PolicyRef,
    pub(super) mode: Mode,
    pub(super) policy: &'a Result<Policy, String>,
}

impl InForce {
    pub(super) fn answers(&self, kind: &str) -> bool {
        self.entry.mode != Mode::Off && self.entry.kinds.iter().any(|answered| answered == kind)
    }

    /// Its name and the settings that its newest version has; `None`: that one cannot be loaded.
    pub(super) fn settings(&self) -> Option<(String, BTreeMap<String, serde_json::Value>)> {
        let settings = self.policy.as_ref().ok()?.settings().iter();
        let settings =
            settings.map(|(key, value)| (key.clone(), serde_json::to_value(value).unwrap_or_default()));
        Some((self.entry.policy.name.clone(), settings.collect()))
    }

    /// Whether its newest version would be asked about a finding.
    pub(super) fn applies_to(&self, finding: &Finding) -> bool {
        self.policy.as_ref().is_ok_and(|policy| policy.applies_to(finding))
    }

    pub(super) fn has(&self, reference: &PolicyRef) -> bool {
        self.entry.policy == *reference
            || self.previous.as_ref().is_some_and(|(previous, _)| previous == reference)
    }

    /// The version for a subject. `None`: the policy is new and the subject not among those that it decides about yet.
    pub(super) fn version_for(&self, subject: &Subject) -> Option<Version<'_>> {
        let mode = self.entry.mode;
        let newest = Version { reference: &self.entry.policy, mode, policy: &self.policy };
        match &self.entry.rollout {
            Some(rollout) if !in_share(&self.entry.policy.name, subject, rollout.share) => {
                self.previous.as_ref().map(|(reference, policy)| Version { reference, mode, policy })
            }
            _ => Some(newest),
        }
    }
}

impl Version<'_> {
    pub(super) fn applies_to(&self, finding: &Finding) -> bool {
        // One that cannot be loaded any more is asked about everything, so that its failure is seen.
        self.policy.as_ref().map_or(true, |policy| policy.applies_to(finding))
    }

    pub(super) fn formats(&self, channel: &str, alert: &Alert) -> bool {
        self.policy.as_ref().map_or(true, |policy| policy.formats(channel, alert))
    }
}

/// Whether a subject is among the share for which a new version decides. A greater share holds every subject of a smaller
/// one, and versions of a policy share them, so that a subject goes over once.
fn in_share(policy: &str, subject: &Subject, share: f64) -> bool {
    let digest = DigestBuilder::new("rollout").part(policy.as_bytes()).part(subject.to_string().as_bytes());
    (digest.finish().prefix() as f64) < share * u64::MAX as f64
}

/// Loads what the state says is in force, or what an overlay has in its place.
pub(super) fn load(
    state: &State,
    overlay: Option<&Overlay>,
    sandbox: &Arc<Sandbox>,
    reader: &dyn Reader,
) -> Result<Vec<InForce>, PipelineError> {
    let configuration = &state.configuration;
    let recorded = state
        .policies
        .policies
        .iter()
        .filter(|entry| overlay.is_none_or(|overlay| overlay.keeps(&entry.policy.name)));
    let stored = |name: &str, digest: &Digest| {
        let package = package(name, digest, state.position, reader)?;
        Ok::<_, PipelineError>(register(sandbox, configuration, &package))
    };
    let in_force = |entry: PolicyInForce, policy| {
        let previous = match entry.rollout.as_ref().and_then(|rollout| rollout.previous) {
            Some(digest) => {
                let reference = PolicyRef { name: entry.policy.name.clone(), digest };
                let policy = stored(&reference.name, &digest)?;
                Some((reference, policy))
            }
            None => None,
        };
        Ok::<_, PipelineError>(InForce { entry, policy, previous })
    };
    let mut loaded = Vec::new();
    for entry in recorded {
        let policy = stored(&entry.policy.name, &entry.policy.digest)?;
        let entry = match overlay {
            Some(overlay) => overlay.kept(policy.as_ref().ok(), configuration, entry),
            None => entry.clone(),
        };
        loaded.push(in_force(entry, policy)?);
    }
    if let Some(overlay) = overlay {
        for package in overlay.packages() {
            // One that cannot be loaded is refused before anything is folded, and nothing is known of it.
            if let Ok(policy) = register(sandbox, configuration, package) {
                let entry = overlay.entry(&policy, configuration, state.policies.policy(&package.name));
                loaded.push(in_force(entry, Ok(policy))?);
            }
        }
    }
    loaded.sort_by(|a, b| (a.entry.order, &a.entry.policy.name).cmp(&(b.entry.order, &b.entry.policy.name)));
    Ok(loaded)
}

fn register(
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    package: &Package,
) -> Result<Policy, String> {
    let rule = configuration.policies.get(&package.name).cloned().unwrap_or_default();
    let policy = Policy::register(sandbox, package, &rule.settings).map_err(|error| error.to_string());
    if let Err(problem) = &policy {
        tracing::error!(policy = package.name, problem, "a policy in force cannot be loaded");
    }
    policy
}

/// A package that is kept, by its digest.
pub(crate) fn package(
    name: &str,
    digest: &Digest,
    position: Position,
    reader: &dyn Reader,
) -> Result<Package, PipelineError> {
    let missing = |problem: String| PipelineError::Content {
        what: format!("policy {name}"),
        digest: digest.to_string(),
        position: position.0,
        problem,
    };
    let bytes = reader.content(digest)?.ok_or_else(|| missing("not stored".to_owned()))?;
    let reference = PolicyRef { name: name.to_owned(), digest: *digest };
    Package::from_bytes(&reference, &bytes).map_err(|error| missing(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_greater_share_holds_the_subjects_of_a_smaller_one() {
        let subjects = (0..2_000).map(|n| Subject {
            tenant: "default".into(),
            model: "btc".into(),
            version: "v1".into(),
            segment: format!("site-{n}"),
        });
        let subjects: Vec<_> = subjects.collect();
        let share = |share: f64| -> Vec<bool> {
            subjects.iter().map(|subject| in_share("ladder", subject, share)).collect()
        };
        assert!(share(0.0).iter().all(|within| !within));
        assert!(share(1.0).iter().all(|within| *within));
        let (tenth, half) = (share(0.1), share(0.5));
        assert!(tenth.iter().zip(&half).all(|(small, great)| !small || *great));
        // Four standard deviations around 200 of 2,000.
        let within = tenth.iter().filter(|within| **within).count();
        assert!((146..=254).contains(&within), "{within}");
    }
}
