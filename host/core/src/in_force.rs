//! The policies in force: which of them answers what, which version of one decides about a subject, and how a policy
//! stands among the others. Rules only; the code that is asked is elsewhere.

use trimtab_types::{
    Alert, Digest, DigestBuilder, Finding, Mode, ModelKey, PolicyInForce, PolicyKind, PolicyRef, Rollout,
    Rules, Subject,
};

use crate::Configuration;

/// A policy of the set in force, ready or not.
#[derive(Debug, Clone)]
pub struct InForce {
    /// How it stands.
    pub entry: PolicyInForce,
    rules: Result<Rules, String>,
    /// While a new version decides for a share of the subjects: the version that decides for the others.
    previous: Option<(PolicyRef, Result<Rules, String>)>,
}

/// The version of a policy that decides about a subject.
#[derive(Clone, Copy)]
pub(crate) struct Version<'a> {
    pub(crate) reference: &'a PolicyRef,
    pub(crate) mode: Mode,
    /// Or why it cannot be loaded.
    pub(crate) rules: &'a Result<Rules, String>,
}

impl InForce {
    /// A policy that stands so, with its rules. `rules_of` knows those of the version before, where there is one.
    pub fn new<E>(
        entry: PolicyInForce,
        rules: Result<Rules, String>,
        mut rules_of: impl FnMut(&str, &Digest) -> Result<Result<Rules, String>, E>,
    ) -> Result<Self, E> {
        let previous = match entry.rollout.as_ref().and_then(|rollout| rollout.previous) {
            Some(digest) => {
                let reference = PolicyRef { name: entry.policy.name.clone(), digest };
                let rules = rules_of(&reference.name, &digest)?;
                Some((reference, rules))
            }
            None => None,
        };
        Ok(Self { entry, rules, previous })
    }

    /// In the order in which they are asked.
    pub fn in_order(mut policies: Vec<Self>) -> Vec<Self> {
        policies.sort_by(|a, b| {
            (a.entry.order, &a.entry.policy.name).cmp(&(b.entry.order, &b.entry.policy.name))
        });
        policies
    }

    pub(crate) fn answers(&self, kind: PolicyKind) -> bool {
        self.entry.mode != Mode::Off && self.entry.kinds.iter().any(|answered| answered == kind.name())
    }

    /// Whether it is asked about the life of a model.
    pub(crate) fn minds(&self, kind: PolicyKind, model: &ModelKey) -> bool {
        // One that cannot be loaded any more is asked about everything, so that its failure is seen.
        self.answers(kind) && self.rules.as_ref().map_or(true, |rules| rules.applies_to.model(model))
    }

    /// Whether its newest version would be asked about a finding.
    pub fn applies_to(&self, finding: &Finding) -> bool {
        self.rules.as_ref().is_ok_and(|rules| rules.decides(finding))
    }

    /// Whether it is asked about what is open when it is new.
    pub(crate) fn is_asked_on_swap(&self) -> bool {
        self.rules.as_ref().is_ok_and(|rules| rules.asked_on_swap)
    }

    /// Whether some version of it wants to be asked again after a while.
    pub(crate) fn reconsiders(&self) -> bool {
        let versions = [Some(&self.rules), self.previous.as_ref().map(|(_, rules)| rules)];
        versions
            .into_iter()
            .flatten()
            .any(|rules| rules.as_ref().is_ok_and(|rules| rules.reconsider.is_some()))
    }

    pub(crate) fn has(&self, reference: &PolicyRef) -> bool {
        self.entry.policy == *reference
            || self.previous.as_ref().is_some_and(|(previous, _)| previous == reference)
    }

    /// The version for a subject. `None`: the policy is new and the subject not among those that it decides about yet.
    pub(crate) fn version_for(&self, subject: &Subject) -> Option<Version<'_>> {
        let mode = self.entry.mode;
        let newest = Version { reference: &self.entry.policy, mode, rules: &self.rules };
        match &self.entry.rollout {
            Some(rollout) if !in_share(&self.entry.policy.name, subject, rollout.share) => {
                self.previous.as_ref().map(|(reference, rules)| Version { reference, mode, rules })
            }
            _ => Some(newest),
        }
    }
}

impl Version<'_> {
    pub(crate) fn applies_to(&self, finding: &Finding) -> bool {
        // One that cannot be loaded any more is asked about everything, so that its failure is seen.
        self.rules.as_ref().map_or(true, |rules| rules.decides(finding))
    }

    pub(crate) fn formats(&self, channel: &str, alert: &Alert) -> bool {
        self.rules.as_ref().map_or(true, |rules| rules.formats(channel, alert))
    }
}

/// Whether a subject is among the share for which a new version decides. A greater share holds every subject of a smaller
/// one, and versions of a policy share them, so that a subject goes over once.
fn in_share(policy: &str, subject: &Subject, share: f64) -> bool {
    let digest = DigestBuilder::new("rollout").part(policy.as_bytes()).part(subject.to_string().as_bytes());
    (digest.finish().prefix() as f64) < share * u64::MAX as f64
}

/// How a policy stands in the set, as manifest and operator say. `current` is what was there of it.
pub fn entry(
    reference: PolicyRef,
    rules: &Rules,
    configuration: &Configuration,
    current: Option<&PolicyInForce>,
) -> PolicyInForce {
    let rule = configuration.policies.get(&reference.name);
    let share = rule.and_then(|rule| rule.rollout).filter(|share| *share < 1.0);
    let previous = match current {
        None => Some(None),
        // On its way in, or there already.
        Some(current) if current.policy == reference => {
            current.rollout.as_ref().map(|rollout| rollout.previous)
        }
        Some(current) => {
            Some(current.rollout.as_ref().map_or(Some(current.policy.digest), |rollout| rollout.previous))
        }
    };
    PolicyInForce {
        mode: rule.and_then(|rule| rule.mode).unwrap_or(rules.mode),
        order: rule.and_then(|rule| rule.order).unwrap_or(rules.order),
        kinds: rules.kinds.iter().map(|kind| kind.name().to_owned()).collect(),
        rollout: share.zip(previous).map(|(share, previous)| Rollout { share, previous }),
        policy: reference,
        signed: None,
    }
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
