//! What is tried out in a dry run in place of what is in force: a policy, a whole set, a configuration, or settings.

use std::collections::BTreeMap;

use trimtab_core::{Configuration, entry};
use trimtab_policy::Package;
use trimtab_types::{Digest, DigestBuilder, Mode, PolicyInForce, PolicyRef, PolicySetEntry, Rules};

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
    /// Of everything that is tried out.
    pub(crate) fn digest(&self) -> Digest {
        let configuration = self.configuration.as_ref().map(Configuration::canonical).unwrap_or_default();
        // Texts and JSON always serialise.
        let settings = serde_json::to_vec(&self.settings).unwrap_or_default();
        let how = match self.policies {
            Substitution::None => 0,
            Substitution::One(_) => 1,
            Substitution::All(_) => 2,
        };
        let digest = DigestBuilder::new("candidate").part(&configuration).part(&settings).number(how);
        let packages = self.packages().iter();
        packages
            .fold(digest, |digest, package| {
                digest.part(package.name.as_bytes()).part(package.digest.as_bytes())
            })
            .finish()
    }

    /// Whether alerts may read differently.
    pub(crate) fn rewrites_alerts(&self, recorded: &PolicySetEntry) -> bool {
        let touches = |name: &String| {
            !self.keeps(name)
                || self.settings.contains_key(name)
                || self.configuration.as_ref().is_some_and(|rules| rules.policies.contains_key(name))
        };
        let formats = |entry: &&PolicyInForce| entry.kinds.iter().any(|kind| kind == "alert-format");
        self.packages().iter().any(|package| !package.manifest.channels.is_empty())
            || recorded.policies.iter().filter(formats).any(|entry| touches(&entry.policy.name))
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
    pub fn keeps(&self, name: &str) -> bool {
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

    /// How a policy that was recorded stands under another configuration; under its own, as recorded.
    pub(crate) fn kept(
        &self,
        rules: Option<&Rules>,
        configuration: &Configuration,
        recorded: &PolicyInForce,
    ) -> PolicyInForce {
        match rules.filter(|_| self.configuration.is_some()) {
            Some(rules) => entry(recorded.policy.clone(), rules, configuration, Some(recorded)),
            None => recorded.clone(),
        }
    }

    /// How a policy that is tried out stands in the set: as it would if it were put in force, except that one alone
    /// decides whatever its mode, and about every subject. To try it out is to ask what would happen if its answers
    /// counted.
    pub(crate) fn entry(
        &self,
        package: &Package,
        rules: &Rules,
        configuration: &Configuration,
        recorded: Option<&PolicyInForce>,
    ) -> PolicyInForce {
        let reference = PolicyRef { name: package.name.clone(), digest: package.digest };
        let entry = entry(reference, rules, configuration, recorded);
        match self.policies {
            Substitution::One(_) => PolicyInForce { mode: Mode::Enforce, rollout: None, ..entry },
            Substitution::None | Substitution::All(_) => entry,
        }
    }

    /// The mode that a policy which is tried out alone would have if it were put in force, where that is not the one
    /// that it is tried out in.
    pub(crate) fn mode_left_aside(&self, configuration: &Configuration) -> Option<Mode> {
        let Substitution::One(package) = &self.policies else { return None };
        let rule = configuration.policies.get(&package.name).and_then(|rule| rule.mode);
        Some(rule.unwrap_or(package.manifest.mode)).filter(|mode| *mode != Mode::Enforce)
    }
}
