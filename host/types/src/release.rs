//! How far decisions about a model may go.

use serde::{Deserialize, Serialize};

/// How far a decision may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseStage {
    /// Findings only; no policy is asked.
    Observe,
    /// Policies are asked; of their actions only alerts happen.
    #[default]
    Alert,
    /// Actions happen as far as the other safeguards allow.
    Act,
}
