//! What is tried out in a dry run in place of what is in force: a policy, a whole set, a configuration, or settings.

use std::collections::BTreeMap;

use trimtab_policy::{Package, Policy};
use trimtab_types::{Mode, PolicyInForce, PolicySetEntry};

use crate::{Configuration, policies};

/// What is tried out. Everything that it does not name stays as it was recorded.
#[derive(Debug, Clone, Default)]
pub struct Overlay {
    /// Instead of every configuration in force.
    pub configuration: Option<Configuration>,
    /// Values of settings, by policy, over those of the configuration.
    pub settings: BTreeMap<String, BTreeMap<String, serde_json::Value>>,
    /// Instead of policies in force.
    pub policies: Substitution,
}

/// Which policies are tried out.
#[derive(Debug, Clone, Default)]
pub enum Substitution {
    /// Those in force.
    #[default]
    None,
    /// This one in place of the one of its name, or besides; its answers are acted on.
    One(Box<Package>),
    /// These and no others, as a policies directory would put them in force.
    All(Vec<Package>),
}

impl Overlay {
    /// Whether other findings may arise: then it counts from the beginning of the log, because detectors have a past.
    pub fn changes_findings(&self) -> bool {
        self.configuration.is_some()
    }

    /// Whether alerts may read differently.
    pub(crate) fn rewrites_alerts(&self, policies: &PolicySetEntry) -> bool {
        self.packages().iter().any(|package| !package.manifest.channels.is_empty())
            || policies.policies.iter().any(|entry| {
                self.settings.contains_key(&entry.policy.name)
                    && entry.kinds.iter().any(|kind| kind == "alert-format")
            })
    }

    /// The configuration that counts where this one was recorded.
    pub fn configuration(&self, recorded: &Configuration) -> Configuration {
        let mut configuration = self.configuration.as_ref().unwrap_or(recorded).clone();
        for (policy, settings) in &self.settings {
            configuration.policies.entry(policy.clone()).or_default().settings.extend(settings.clone());
        }
        configuration
    }

    /// Whether a policy that was recorded stays.
    pub(crate) fn keeps(&self, name: &str) -> bool {
        match &self.policies {
            Substitution::None => true,
            Substitution::One(package) => package.name != name,
            Substitution::All(_) => false,
        }
    }

    /// The policies that are tried out.
    pub fn packages(&self) -> &[Package] {
        match &self.policies {
            Substitution::None => &[],
            Substitution::One(package) => std::slice::from_ref(package),
            Substitution::All(packages) => packages,
        }
    }

    /// How a policy that is tried out stands in the set. `None`: it could not be loaded, and nothing is known of it.
    pub(crate) fn entry(
        &self,
        policy: Option<&Policy>,
        configuration: &Configuration,
        recorded: Option<&PolicyInForce>,
    ) -> Option<PolicyInForce> {
        let mut entry = policies::entry(policy?, configuration, None);
        if let Substitution::One(_) = self.policies {
            // To try a policy out is to ask what would happen if its answers counted.
            entry.mode = Mode::Enforce;
            entry.order = recorded.map_or(entry.order, |recorded| recorded.order);
        }
        Some(entry)
    }
}
