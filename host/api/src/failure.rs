//! An error as the outside sees it. Every error of ours that says its kind becomes one, here and nowhere else.

use serde::{Deserialize, Serialize};
use trimtab_types::{ErrorKind, HasKind};

/// An error as the outside sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// HTTP status.
    #[serde(skip)]
    pub status: u16,
    /// A word for programs: `invalid`, `conflict`, …
    pub kind: String,
    /// What happened, why, and what to do.
    pub message: String,
    /// The exit code of a command that meets it.
    pub exit_code: u8,
    /// Which row of the request, from 1, if it is about one; the message begins with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// Of a kind, in words.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            status: kind.status(),
            kind: kind.name().to_owned(),
            message: message.into(),
            exit_code: kind.exit_code() as u8,
            row: None,
        }
    }

    /// Something that was given is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// Something that was asked for is not there.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// The host cannot be reached.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// A file or directory cannot be read or written.
    pub fn files(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Files, message)
    }
}

impl<E: HasKind + std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        let failure = Self::new(error.kind(), error.to_string());
        match error.row() {
            // Of a request with rows all are kept or none.
            Some(row) => {
                let message = format!("{}. Nothing of this request was kept", failure.message);
                Self { row: Some(row), message, ..failure }
            }
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::Invalid;

    #[test]
    fn an_error_brings_its_kind_and_its_words() {
        let failure = Failure::from(Invalid::new("model", "is empty"));
        assert_eq!((failure.status, failure.kind.as_str(), failure.exit_code), (400, "invalid", 65));
        assert_eq!(failure.message, "model: is empty");
        assert_eq!(failure.row, None);
    }
}
