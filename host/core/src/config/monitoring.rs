//! Whose figures `/metrics` has in a fleet that is too large for all of them.

use serde::{Deserialize, Serialize};
use trimtab_types::Glob;

/// What is scraped.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct MonitoringSettings {
    /// Models that always have series of their own, besides the worst.
    pub models: Vec<Glob>,
}
