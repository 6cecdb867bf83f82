//! Why a host cannot do what it was asked.

use trimtab_core::{config::ConfigError, fold::BadState};
use trimtab_log::LogError;
use trimtab_replay::PrepareError;
use trimtab_types::{ErrorKind, HasKind};

/// Why a host cannot be opened or cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] LogError),
    /// The log cannot be folded further.
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    /// Stored state is unusable.
    #[error(transparent)]
    State(#[from] BadState),
    /// The configuration is unusable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operator's settings of a policy are unusable.
    #[error("[policies.{policy}] in the configuration: {problem}")]
    PolicySettings {
        /// Which policy.
        policy: String,
        /// What is wrong, with key and fix.
        problem: String,
    },
    /// A version is not put in force.
    #[error("policy `{policy}`: {problem}")]
    Unfit {
        /// Of which policy.
        policy: String,
        /// Why not.
        problem: String,
    },
    /// There is and was no such policy.
    #[error("there is no policy `{name}` and never was; `trimtab policy list` shows those in force")]
    NoSuchPolicy {
        /// Its name.
        name: String,
    },
    /// A policy has no other version to go back to.
    #[error(
        "policy `{name}` has no version {wanted}; `trimtab policy history {name}` shows those that were in force"
    )]
    NoSuchVersion {
        /// The policy.
        name: String,
        /// Which was wanted, in words.
        wanted: String,
    },
    /// A version that is to be gone back to is in force.
    #[error("version {version} of policy `{name}` is in force already; nothing changed")]
    InForceAlready {
        /// The policy.
        name: String,
        /// Which version.
        version: String,
    },
    /// An earlier version cannot be loaded any more.
    #[error("the earlier version cannot be put in force: {problem}")]
    EarlierVersion {
        /// Why.
        problem: String,
    },
    /// The operator does not let a version in.
    #[error(transparent)]
    Provenance(#[from] trimtab_policy::ProvenanceError),
    /// The policies directory cannot be read.
    #[error(transparent)]
    Policies(#[from] trimtab_policy::PackageError),
    /// A thread cannot be started.
    #[error("cannot start the {what} thread: {source}")]
    Thread {
        /// Which.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The caller asked for something that cannot be.
    #[error(transparent)]
    Invalid(#[from] trimtab_types::Invalid),
    /// The fold is behind, and somebody has waited long enough.
    #[error(
        "the host is {entries} entries behind{}; ask again in a moment. `trimtab status` does not wait",
        said(why)
    )]
    Behind {
        /// How far.
        entries: u64,
        /// What holds it up, if that is known.
        why: String,
    },
    /// The host is being closed.
    #[error("the host is closing; ask again when it runs")]
    Closing,
    /// The fold has stopped for good.
    #[error("the fold has stopped: {problem}")]
    FoldStopped {
        /// Where and why.
        problem: String,
        /// Of which kind that is.
        kind: ErrorKind,
    },
}

fn said(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(" ({why})") }
}

impl HasKind for HostError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::Prepare(error) => error.kind(),
            Self::State(_) => ErrorKind::Damaged,
            Self::FoldStopped { kind, .. } => *kind,
            Self::Config(_) | Self::PolicySettings { .. } => ErrorKind::Config,
            Self::Policies(error) => error.kind(),
            Self::Thread { .. } | Self::Behind { .. } => ErrorKind::Unavailable,
            Self::Closing => ErrorKind::Closing,
            Self::NoSuchPolicy { .. } | Self::NoSuchVersion { .. } => ErrorKind::NotFound,
            Self::InForceAlready { .. } | Self::EarlierVersion { .. } | Self::Unfit { .. } => {
                ErrorKind::Refused
            }
            Self::Provenance(_) => ErrorKind::Untrusted,
            Self::Invalid(error) => error.kind(),
        }
    }

    fn row(&self) -> Option<u64> {
        match self {
            Self::Store(error) => error.row(),
            _ => None,
        }
    }
}
