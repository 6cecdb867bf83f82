//! What is, was and could not be put in force.

use serde::{Deserialize, Serialize};
use trimtab_types::{Change, Digest, PolicyInForce};

/// A policy folder that could not be put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyProblem {
    /// The folder.
    pub name: String,
    /// What is wrong.
    pub problem: String,
    /// Whether an earlier version keeps serving.
    pub still_serving: bool,
}

impl std::fmt::Display for PolicyProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.still_serving {
            write!(f, "the version before keeps serving: {}", self.problem)
        } else {
            write!(f, "not in force: {}", self.problem)
        }
    }
}

/// What was in force of a policy from a control entry on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// From this one on.
    pub number: u64,
    /// `None`: it was taken out.
    pub policy: Option<PolicyInForce>,
    /// The version in the policies directory was not to be put in force again.
    pub held: bool,
    /// Who or what changed it, and when.
    pub change: Option<Change>,
}

/// What going back led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolledBack {
    /// What is in force.
    #[serde(flatten)]
    pub policy: PolicyInForce,
    /// The version in the policies directory that is held back until it changes.
    pub held: Option<Digest>,
}
