//! Whose predictions: tenants, models, versions and segments, and the names that they may have.

use serde::{Deserialize, Serialize};

use crate::{Invalid, Metric, Seconds};

const LONGEST_NAME: usize = 200;

/// A model of a tenant: what a kill switch, a stage or a retrain is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ModelKey {
    /// The owner; `default` where nobody said otherwise.
    pub tenant: String,
    /// The model's name.
    pub model: String,
}

/// Whose predictions: one segment of one version of one model of one tenant.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// The owner; `default` where nobody said otherwise.
    pub tenant: String,
    /// The model's name.
    pub model: String,
    /// The model's version.
    pub version: String,
    /// What slices the model's traffic; empty: all of it together.
    pub segment: String,
}

impl Subject {
    /// The tenant where nobody said otherwise.
    pub const DEFAULT_TENANT: &str = "default";

    /// Checks the names: not empty (a segment may be), at most 200 bytes, no control characters.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_name("tenant", &self.tenant)?;
        check_name("model", &self.model)?;
        check_name("version", &self.version)?;
        if self.segment.is_empty() { Ok(()) } else { check_name("segment", &self.segment) }
    }

    /// The model that this subject belongs to.
    pub fn model_key(&self) -> ModelKey {
        ModelKey { tenant: self.tenant.clone(), model: self.model.clone() }
    }
}

impl std::fmt::Display for ModelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.tenant != Subject::DEFAULT_TENANT {
            write!(f, "{}/", self.tenant)?;
        }
        f.write_str(&self.model)
    }
}

impl std::fmt::Display for Subject {
    /// `model@version`, with the tenant in front where it is not the default one and `[segment]` where there is one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}@{}", self.model_key(), self.version)?;
        if self.segment.is_empty() { Ok(()) } else { write!(f, "[{}]", self.segment) }
    }
}

impl ModelKey {
    /// Whether both names are such as a row may have.
    ///
    /// # Errors
    /// Which is not, and why.
    pub fn check(&self) -> Result<(), Invalid> {
        check_name("tenant", &self.tenant)?;
        check_name("model", &self.model)
    }
}

/// Checks one name of a subject, or an id that a caller gives.
pub(crate) fn check_name(field: &str, name: &str) -> Result<(), Invalid> {
    if name.is_empty() {
        return Err(Invalid::new(field, "is empty; give it a name"));
    }
    if name.len() > LONGEST_NAME {
        return Err(Invalid::new(
            field,
            format!("has {} bytes; at most {LONGEST_NAME} are allowed", name.len()),
        ));
    }
    if name.chars().any(char::is_control) {
        return Err(Invalid::new(field, "contains a control character; use printable text"));
    }
    Ok(())
}

/// Where a version stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum Stage {
    Candidate,
    Shadow,
    Canary,
    Production,
    Archived,
    Degraded,
    Deleted,
}

/// Why the host would refuse to delete a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum Protection {
    Champion,
    Challenger,
    PreviousChampion,
    Experiment,
    Pinned,
}

/// A version of a model as a policy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// Its name.
    pub version: String,
    /// Where it stands.
    pub stage: Stage,
    /// Empty: may be deleted.
    pub protections: Vec<Protection>,
    /// Since it was registered.
    pub age: Seconds,
    /// Size of the artifact.
    pub size_bytes: u64,
    /// From its latest evaluation.
    pub metrics: Vec<Metric>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_checked_and_shown() {
        let subject = |tenant: &str, model: &str, segment: &str| Subject {
            tenant: tenant.into(),
            model: model.into(),
            version: "v1".into(),
            segment: segment.into(),
        };
        assert_eq!(subject("default", "btc", "").to_string(), "btc@v1");
        assert_eq!(subject("acme", "btc", "BTC/USDT").to_string(), "acme/btc@v1[BTC/USDT]");
        let long = "x".repeat(201);
        for (bad, field) in [
            (subject("", "m", ""), "tenant"),
            (subject("t", "", ""), "model"),
            (subject("t", "m\n", ""), "model"),
            (subject("t", "m", &long), "segment"),
        ] {
            assert_eq!(bad.validate().expect_err("refused").field, field);
        }
    }
}
