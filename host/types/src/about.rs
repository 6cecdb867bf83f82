//! Whom something in the history is about.

use serde::{Deserialize, Serialize};

use crate::{ModelKey, Place, Position, Subject};

/// Whom an entry, a moment or a part of a state is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum About {
    /// Everything.
    All,
    /// A tenant.
    Tenant(String),
    /// A model.
    Model(ModelKey),
    /// A subject.
    Subject(Subject),
}

impl About {
    /// The model, if it is about one.
    pub fn model(&self) -> Option<(&str, &str)> {
        match self {
            Self::All | Self::Tenant(_) => None,
            Self::Model(key) => Some((&key.tenant, &key.model)),
            Self::Subject(subject) => Some((&subject.tenant, &subject.model)),
        }
    }
}

impl About {
    /// The same as a key.
    pub fn model_key(&self) -> Option<ModelKey> {
        match self {
            Self::All | Self::Tenant(_) => None,
            Self::Model(key) => Some(key.clone()),
            Self::Subject(subject) => Some(subject.model_key()),
        }
    }
}

impl Subject {
    /// A position in the log of its model.
    pub fn place(&self, position: Position) -> Place {
        Place { shard: self.model_key().shard(), position }
    }
}
