//! The policies in force: an immutable snapshot behind one pointer. A swap builds the next snapshot completely and puts
//! it in place, or changes nothing; a call that began on an older snapshot ends on it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use trimtab_types::{PolicyInForce, PolicySetEntry};

use crate::policy::Policy;

/// Policies in the order in which they are asked.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    policies: Vec<Arc<Policy>>,
}

impl Snapshot {
    /// Sorts by order, then by name.
    pub fn new(mut policies: Vec<Arc<Policy>>) -> Self {
        policies.sort_by(|a, b| (a.manifest().order, a.name()).cmp(&(b.manifest().order, b.name())));
        Self { policies }
    }

    /// In the order in which they are asked.
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// The policy of this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Policy>> {
        self.policies.iter().find(|policy| policy.name() == name)
    }

    /// What the log says about these policies.
    pub fn entry(&self) -> PolicySetEntry {
        let in_force = |policy: &Arc<Policy>| PolicyInForce {
            policy: policy.reference(),
            mode: policy.manifest().mode,
            order: policy.manifest().order,
            kinds: policy.kinds().iter().map(|kind| kind.name().to_owned()).collect(),
        };
        PolicySetEntry { policies: self.policies.iter().map(in_force).collect() }
    }
}

/// One atomic pointer to the snapshot in force.
#[derive(Debug, Default)]
pub struct Registry(ArcSwap<Snapshot>);

impl Registry {
    /// Starts with these policies.
    pub fn new(snapshot: Snapshot) -> Self {
        Self(ArcSwap::from_pointee(snapshot))
    }

    /// The snapshot in force; it stays valid for as long as it is held.
    pub fn load(&self) -> Arc<Snapshot> {
        self.0.load_full()
    }

    /// Puts another in force and returns the one before, to go back to.
    pub fn store(&self, snapshot: Arc<Snapshot>) -> Arc<Snapshot> {
        self.0.swap(snapshot)
    }
}
