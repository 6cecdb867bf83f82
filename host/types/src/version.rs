//! Versions of a model: what a person or a trainer does about one, and what the host made of it.

use serde::{Deserialize, Serialize};

use crate::{Digest, Invalid, Metric, ModelKey, Stage, Timestamp, subject::check_name};

/// Most metrics and tags that a version is registered with.
const MOST_NOTES: usize = 100;
/// Longest name of a file.
const LONGEST_PATH: usize = 1_024;

/// Something is done about a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionChange {
    /// Of which model.
    pub model: ModelKey,
    /// Which version. Empty: the act says itself, such as a rollback to the previous champion.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// What.
    pub act: VersionAct,
    /// The revision of the model that whoever does it has seen; `None`: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What can be done about a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VersionAct {
    /// It is there from now on.
    Register(Box<Registration>),
    /// It serves from now on.
    Promote {
        /// Although it is marked degraded.
        #[serde(default)]
        again: bool,
    },
    /// What served before serves again; what is left is marked degraded. With a version: that one serves.
    Rollback,
    /// It is put aside.
    Archive,
    /// It is marked: nothing makes it serve by accident.
    MarkDegraded,
    /// The mark is taken away.
    ClearDegraded,
    /// Nothing deletes it.
    Pin,
    /// It may be deleted again.
    Unpin,
    /// What was deleted comes back, while its files are still there.
    Restore,
    /// The host: the files of what was deleted are gone for good.
    Purged {
        /// Bytes on disk that this freed.
        freed_bytes: u64,
    },
}

impl VersionAct {
    /// As commands name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Register(_) => "register",
            Self::Promote { .. } => "promote",
            Self::Rollback => "rollback",
            Self::Archive => "archive",
            Self::MarkDegraded => "mark-degraded",
            Self::ClearDegraded => "clear-degraded",
            Self::Pin => "pin",
            Self::Unpin => "unpin",
            Self::Restore => "restore",
            Self::Purged { .. } => "purged",
        }
    }
}

/// What a version is registered with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    /// Its files, if the host keeps an eye on them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// Metrics of its validation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Anything that people want to find again.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// It serves at once, where nothing serves yet.
    pub champion: bool,
}

/// Files of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Relative to the root of artifacts.
    pub path: String,
    /// All files together.
    pub size_bytes: u64,
    /// Of their contents.
    pub digest: Digest,
}

impl VersionChange {
    /// Checks names and sizes.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_name("tenant", &self.model.tenant)?;
        check_name("model", &self.model.model)?;
        if !(self.version.is_empty() && self.act == VersionAct::Rollback) {
            check_name("version", &self.version)?;
        }
        match &self.act {
            VersionAct::Register(registration) => registration.validate(),
            _ => Ok(()),
        }
    }
}

impl Registration {
    fn validate(&self) -> Result<(), Invalid> {
        if self.metrics.len().max(self.tags.len()) > MOST_NOTES {
            return Err(Invalid::new("version", format!("has more than {MOST_NOTES} metrics or tags")));
        }
        for metric in &self.metrics {
            check_name("metric", &metric.name)?;
            if !metric.estimate.value.is_finite() {
                return Err(Invalid::new("metric", format!("`{}` is not a finite number", metric.name)));
            }
        }
        for tag in &self.tags {
            check_name("tag", tag)?;
        }
        if let Some(artifact) = &self.artifact
            && artifact.path.len() > LONGEST_PATH
        {
            let problem = format!("has {} bytes; at most {LONGEST_PATH} are allowed", artifact.path.len());
            return Err(Invalid::new("artifact", problem));
        }
        Ok(())
    }
}

/// What the host made of what a person wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruled {
    /// Why nothing came of it; `None`: it was done, or was so already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refusal: Option<Refusal>,
    /// The revision of the model from here on.
    pub revision: u64,
    /// Versions whose stage changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<Move>,
    /// What was done, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub says: String,
}

/// A version changed its stage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// Which.
    pub version: String,
    /// `None`: it is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Stage>,
    /// To which stage.
    pub to: Stage,
}

/// Why the host does not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The word for programs: one of [`crate::ErrorKind`].
    pub kind: String,
    /// What is in the way and what helps, for people.
    pub problem: String,
}

impl Stage {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Shadow => "shadow",
            Self::Canary => "canary",
            Self::Production => "production",
            Self::Archived => "archived",
            Self::Degraded => "degraded",
            Self::Deleted => "deleted",
        }
    }
}

impl std::fmt::Display for Stage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}
