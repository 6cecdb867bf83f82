//! What the log names by digest, loaded from where contents are kept: configurations and policies. The fold gets it with
//! the record that names it.

use std::sync::Arc;

use trimtab_core::{
    Configuration, InForce,
    decide::Prepared,
    fold::{BadState, State},
};
use trimtab_log::{LogError, Reader};
use trimtab_policy::{KeptPackage, Loaded, Package, PackageError, Sandbox};
use trimtab_types::{Digest, ErrorKind, HasKind, Place, PolicyRef, PolicySetEntry, Rules};

/// Why the log cannot be folded further. None of this is a policy's doing.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] LogError),
    /// Stored state is unusable.
    #[error(transparent)]
    State(#[from] BadState),
    /// The log names a content that is not there.
    #[error("the log names {what} {digest} at {at}, but its content is missing or unreadable: {problem}")]
    Content {
        /// `configuration` or `policy NAME`.
        what: String,
        /// Its digest.
        digest: String,
        /// Where.
        at: At,
        /// What is wrong.
        problem: String,
    },
}

impl HasKind for PrepareError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Store(error) => error.kind(),
            Self::State(_) | Self::Content { .. } => ErrorKind::Damaged,
        }
    }
}

/// Where something is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// In a log.
    Place(Place),
    /// In a control entry.
    Control(u64),
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Place(place) => place.fmt(f),
            Self::Control(number) => write!(f, "control entry {number}"),
        }
    }
}

/// Where contents come from, and where they are named.
#[derive(Clone, Copy)]
pub struct Contents<'a> {
    /// Where they are kept.
    pub reader: &'a dyn Reader,
    /// Where they are named.
    pub at: At,
}

impl Contents<'_> {
    fn bytes(&self, what: &str, digest: &Digest) -> Result<Vec<u8>, PrepareError> {
        let bytes = self.reader.content(digest)?;
        bytes.ok_or_else(|| self.missing(what, digest, "not stored".to_owned()))
    }

    fn missing(&self, what: &str, digest: &Digest, problem: String) -> PrepareError {
        PrepareError::Content { what: what.to_owned(), digest: digest.to_string(), at: self.at, problem }
    }

    /// A configuration that is kept.
    pub fn configuration(&self, digest: &Digest) -> Result<Configuration, PrepareError> {
        let bytes = self.bytes("configuration", digest)?;
        Configuration::from_canonical(&bytes)
            .map_err(|error| self.missing("configuration", digest, error.to_string()))
    }

    /// A policy's package that is kept.
    pub(crate) fn package(&self, name: &str, digest: &Digest) -> Result<Package, PrepareError> {
        let what = format!("policy {name}");
        let damaged = |error: PackageError| self.missing(&what, digest, error.to_string());
        let reference = PolicyRef { name: name.to_owned(), digest: *digest };
        let kept = KeptPackage::read(&reference, &self.bytes(&what, digest)?).map_err(damaged)?;
        let component = self.bytes(&format!("component of {what}"), &kept.component)?;
        kept.with(component).map_err(damaged)
    }
}

/// Loads policies under one configuration.
pub(crate) struct Loading<'a> {
    pub(crate) sandbox: &'a Arc<Sandbox>,
    pub(crate) configuration: &'a Configuration,
    pub(crate) contents: Contents<'a>,
    pub(crate) loaded: Loaded,
}

impl Loading<'_> {
    /// Makes a package ready, with the operator's settings.
    pub(crate) fn add(&mut self, package: &Package) -> Result<Rules, String> {
        let rule = self.configuration.policies.get(&package.name).cloned().unwrap_or_default();
        self.loaded.add(self.sandbox, package, &rule.settings, &self.configuration.limits)
    }

    /// Makes a version ready that is kept.
    pub(crate) fn stored(
        &mut self,
        name: &str,
        digest: &Digest,
    ) -> Result<Result<Rules, String>, PrepareError> {
        let package = self.contents.package(name, digest)?;
        Ok(self.add(&package))
    }

    /// Makes a recorded set ready.
    pub(crate) fn set(&mut self, set: &PolicySetEntry) -> Result<Vec<InForce>, PrepareError> {
        let mut policies = Vec::new();
        for entry in &set.policies {
            let rules = self.stored(&entry.policy.name, &entry.policy.digest)?;
            policies.push(InForce::new(entry.clone(), rules, |name, digest| self.stored(name, digest))?);
        }
        Ok(InForce::in_order(policies))
    }
}

/// What a state says is in force, ready.
pub(crate) fn in_force(
    state: &State,
    sandbox: &Arc<Sandbox>,
    contents: Contents<'_>,
) -> Result<(Prepared, Loaded), PrepareError> {
    let configuration = match &state.configuration_digest {
        Some(digest) => Some(Arc::new(contents.configuration(digest)?)),
        None => None,
    };
    let under = configuration.as_deref().unwrap_or(&state.configuration);
    let (policies, loaded) = load(under, &state.policies, sandbox, contents)?;
    Ok((Prepared { configuration, policies }, loaded))
}

/// A recorded set under a configuration, ready: the rules of its policies, and who is asked.
pub fn load(
    configuration: &Configuration,
    set: &PolicySetEntry,
    sandbox: &Arc<Sandbox>,
    contents: Contents<'_>,
) -> Result<(Vec<InForce>, Loaded), PrepareError> {
    let mut loading = Loading { sandbox, configuration, contents, loaded: Loaded::default() };
    let policies = loading.set(set)?;
    Ok((policies, loading.loaded))
}
