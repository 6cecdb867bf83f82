//! What the versions of a model may take up, and how long what was deleted can come back.

use serde::{Deserialize, Serialize};
use trimtab_types::{Budget, Size};

use super::span::Duration;

/// What cleanup policies are told, and what the host keeps to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct CleanupRules {
    /// Versions of a model at most; 0: any number.
    pub max_versions: u32,
    /// Their files together at most; 0: any size.
    pub max_size: Size,
    /// For so long a deleted version can come back; then its files go.
    pub grace: Duration,
}

impl Default for CleanupRules {
    fn default() -> Self {
        Self { max_versions: 20, max_size: Size(5 << 30), grace: Duration(7 * 86_400) }
    }
}

impl CleanupRules {
    /// As policies see it, with nothing used.
    pub(crate) fn budget(&self) -> Budget {
        let bytes = u64::try_from(self.max_size.0).unwrap_or(u64::MAX);
        Budget {
            max_bytes: (bytes > 0).then_some(bytes),
            max_versions: (self.max_versions > 0).then_some(self.max_versions),
            used_bytes: 0,
        }
    }
}
