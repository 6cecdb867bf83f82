//! How policies have been answering.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::PolicyRef;

/// Calls of one version of a policy with one kind of question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCalls {
    /// Which version.
    #[serde(flatten)]
    pub policy: PolicyRef,
    /// `drift-action`, `alert-format`, …
    pub question: String,
    /// How often it was asked.
    pub calls: u64,
    /// How often it failed, by kind of failure; or was not asked, because it could not be or was left alone.
    pub failures: BTreeMap<String, u64>,
    /// Half of the calls took at most so many microseconds; …
    pub p50_us: u64,
    /// 90 of 100.
    pub p90_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// All of them together.
    #[serde(default)]
    pub total_us: u64,
    /// How many took how long.
    #[serde(default)]
    pub histogram: Vec<Bucket>,
    /// Most fuel that a call used.
    pub max_fuel: u64,
}

/// Calls that took longer than the bucket before allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// And at most so many microseconds; `None`: any number.
    pub up_to_us: Option<u64>,
    /// How many.
    pub calls: u64,
}
