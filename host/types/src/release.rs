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
    /// Actions that tighten happen too: each of them can be taken back by a person.
    Protect,
    /// Actions happen as far as the other safeguards allow.
    Act,
}

impl ReleaseStage {
    /// The name that people read and write.
    pub fn name(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Alert => "alert",
            Self::Protect => "protect",
            Self::Act => "act",
        }
    }
}
