//! Configurations and policies that are in force in some log, loaded once for all logs that have the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trimtab_core::{Configuration, InForce, decide::Prepared, fold::State};
use trimtab_policy::{Loaded, Sandbox};
use trimtab_replay::{
    PrepareError,
    prepare::{self, Contents},
};
use trimtab_types::{Digest, Entry, PolicyRef, PolicySetEntry};

/// What is in force: a configuration and a set of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct KitKey(Option<Digest>, Digest);

impl KitKey {
    fn of(configuration: Option<Digest>, set: &PolicySetEntry) -> Self {
        // Texts, digests and maps of texts always serialise.
        Self(configuration, Digest::of(&serde_json::to_vec(set).unwrap_or_default()))
    }
}

/// What is loaded of it.
struct Kit {
    key: KitKey,
    configuration: Arc<Configuration>,
    policies: Vec<InForce>,
    loaded: Loaded,
}

/// All that are loaded.
pub(crate) struct Kits {
    sandbox: Arc<Sandbox>,
    kept: Vec<Kit>,
    /// Where nothing is in force.
    none: Loaded,
}

impl Kits {
    pub(crate) fn new(sandbox: Arc<Sandbox>) -> Self {
        Self { sandbox, kept: Vec::new(), none: Loaded::default() }
    }

    /// What a state says is in force.
    pub(crate) fn standing(&mut self, state: &State, contents: Contents<'_>) -> Result<KitKey, PrepareError> {
        Ok(self.load(state.configuration_digest, &state.policies, contents)?.key)
    }

    /// What an entry puts in force, ready; `None`: it puts nothing else in force.
    pub(crate) fn prepare(
        &mut self,
        state: &State,
        entry: &Entry,
        contents: Contents<'_>,
    ) -> Result<Option<(KitKey, Prepared)>, PrepareError> {
        let (configuration, set) = match entry {
            Entry::Configuration(digest) => (Some(*digest), &state.policies),
            Entry::PolicySet(set) => (state.configuration_digest, set),
            _ => return Ok(None),
        };
        let kit = self.load(configuration, set, contents)?;
        let is_new = matches!(entry, Entry::Configuration(_));
        let configuration = is_new.then(|| Arc::clone(&kit.configuration));
        Ok(Some((kit.key, Prepared { configuration, policies: kit.policies.clone() })))
    }

    /// Who is asked.
    pub(crate) fn loaded(&mut self, key: KitKey) -> &mut Loaded {
        let kit = self.kept.iter_mut().find(|kit| kit.key == key);
        kit.map_or(&mut self.none, |kit| &mut kit.loaded)
    }

    /// What versions asked for and do not get: key, asked, granted.
    pub(crate) fn cut(&self) -> BTreeMap<PolicyRef, Vec<(&'static str, String, String)>> {
        self.kept.iter().flat_map(|kit| kit.loaded.cut()).collect()
    }

    /// Drops all but these.
    pub(crate) fn keep(&mut self, used: &BTreeSet<KitKey>) {
        self.kept.retain(|kit| used.contains(&kit.key));
    }

    fn load(
        &mut self,
        digest: Option<Digest>,
        set: &PolicySetEntry,
        contents: Contents<'_>,
    ) -> Result<&Kit, PrepareError> {
        let key = KitKey::of(digest, set);
        let index = match self.kept.iter().position(|kit| kit.key == key) {
            Some(index) => index,
            None => {
                let same = self.kept.iter().find(|kit| kit.key.0 == digest);
                let configuration = match (same, digest) {
                    (Some(kit), _) => Arc::clone(&kit.configuration),
                    (None, Some(digest)) => Arc::new(contents.configuration(&digest)?),
                    (None, None) => Arc::default(),
                };
                let (policies, loaded) = prepare::load(&configuration, set, &self.sandbox, contents)?;
                self.kept.push(Kit { key, configuration, policies, loaded });
                self.kept.len() - 1
            }
        };
        Ok(&self.kept[index])
    }
}
