//! How every error reaches the outside: a kind, an HTTP status, an exit code, and a sentence with the cause and the fix.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use trimtab_engine::{HostError, PrepareError, rows::BadRow};
use trimtab_store::StoreError;
use trimtab_types::Invalid;

/// How a command ends. The numbers are part of the interface; errors follow the BSD `sysexits` where these fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done; for `check`: no drift; for `verify`: identical; for `may-trade`: yes.
    Ok = 0,
    /// `check`: a warning.
    Warning = 1,
    /// `check`: critical drift.
    Critical = 2,
    /// `verify`: replay and record differ.
    Different = 3,
    /// `may-trade`: no.
    No = 4,
    /// The command line is wrong.
    Usage = 64,
    /// Something that was given is wrong: a row, a file, a name.
    Data = 65,
    /// Something that was asked for is not there.
    Missing = 66,
    /// The host cannot be reached, is overloaded or is closing; try again.
    Unavailable = 69,
    /// The host is broken: its fold has stopped or its data are damaged.
    Broken = 70,
    /// A file or directory cannot be read or written, or the disk is full.
    Files = 74,
    /// Another host has the data directory.
    Locked = 75,
    /// The configuration is wrong.
    Config = 78,
}

impl ExitCode {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Ok,
        Self::Warning,
        Self::Critical,
        Self::Different,
        Self::No,
        Self::Usage,
        Self::Data,
        Self::Missing,
        Self::Unavailable,
        Self::Broken,
        Self::Files,
        Self::Locked,
        Self::Config,
    ];

    /// By its number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|code| *code as u8 == number)
    }
}

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
    pub(crate) fn new(status: StatusCode, kind: &str, exit: ExitCode, message: impl Into<String>) -> Self {
        Self {
            status: status.as_u16(),
            kind: kind.to_owned(),
            message: message.into(),
            exit_code: exit as u8,
            row: None,
        }
    }

    /// Something that was given is wrong.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid", ExitCode::Data, message)
    }

    /// Something that was asked for is not there.
    pub fn missing(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", ExitCode::Missing, message)
    }

    /// The host cannot be reached.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", ExitCode::Unavailable, message)
    }

    /// A file or directory cannot be read or written.
    pub fn files(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "files", ExitCode::Files, message)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let message = error.to_string();
        let (status, kind, exit) = match error {
            StoreError::Conflict { index, .. } => {
                let row = index as u64 + 1;
                let message = format!("row {row}: {message}. Nothing of this request was kept");
                let failure = Self::new(StatusCode::CONFLICT, "conflict", ExitCode::Data, message);
                return Self { row: Some(row), ..failure };
            }
            StoreError::Busy => (StatusCode::TOO_MANY_REQUESTS, "busy", ExitCode::Unavailable),
            StoreError::Stopped => (StatusCode::SERVICE_UNAVAILABLE, "closing", ExitCode::Unavailable),
            StoreError::Full => (StatusCode::INSUFFICIENT_STORAGE, "full", ExitCode::Files),
            StoreError::Locked { .. } => (StatusCode::CONFLICT, "locked", ExitCode::Locked),
            StoreError::Missing(_) => (StatusCode::NOT_FOUND, "not-found", ExitCode::Missing),
            StoreError::Directory { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "files", ExitCode::Files),
            StoreError::Foreign { .. } | StoreError::Newer { .. } => {
                (StatusCode::INTERNAL_SERVER_ERROR, "unsupported", ExitCode::Data)
            }
            StoreError::Commit(_) | StoreError::Sqlite(_) => {
                (StatusCode::SERVICE_UNAVAILABLE, "storage", ExitCode::Files)
            }
            StoreError::CursorMoved { .. } | StoreError::Damaged { .. } | StoreError::Corrupt(_) => {
                (StatusCode::INTERNAL_SERVER_ERROR, "damaged", ExitCode::Broken)
            }
        };
        Self::new(status, kind, exit, message)
    }
}

impl From<HostError> for Failure {
    fn from(error: HostError) -> Self {
        let message = error.to_string();
        let broken = |kind| (StatusCode::INTERNAL_SERVER_ERROR, kind, ExitCode::Broken);
        let (status, kind, exit) = match error {
            HostError::Store(error) | HostError::Prepare(PrepareError::Store(error)) => {
                return error.into();
            }
            HostError::Prepare(PrepareError::State(_) | PrepareError::Content { .. })
            | HostError::State(_) => broken("damaged"),
            HostError::FoldStopped { .. } => broken("stopped"),
            HostError::Config(_) | HostError::PolicySettings { .. } => {
                (StatusCode::UNPROCESSABLE_ENTITY, "config", ExitCode::Config)
            }
            HostError::Policies(_) => (StatusCode::INTERNAL_SERVER_ERROR, "files", ExitCode::Files),
            HostError::Thread { .. } => broken("threads"),
            HostError::NoSuchPolicy { .. } | HostError::NoSuchVersion { .. } => {
                (StatusCode::NOT_FOUND, "missing", ExitCode::Missing)
            }
            HostError::InForceAlready { .. } | HostError::EarlierVersion { .. } => {
                (StatusCode::CONFLICT, "conflict", ExitCode::Data)
            }
            HostError::Provenance(_) => (StatusCode::FORBIDDEN, "untrusted", ExitCode::Data),
            HostError::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid", ExitCode::Data),
        };
        Self::new(status, kind, exit, message)
    }
}

impl From<PrepareError> for Failure {
    fn from(error: PrepareError) -> Self {
        HostError::Prepare(error).into()
    }
}

impl From<BadRow> for Failure {
    fn from(error: BadRow) -> Self {
        let row = Some(error.line);
        Self { row, ..Self::invalid(format!("{error}. Nothing of this request was kept")) }
    }
}

impl From<Invalid> for Failure {
    fn from(error: Invalid) -> Self {
        Self::invalid(error.to_string())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = Json(serde_json::json!({ "schema_version": crate::SCHEMA_VERSION, "error": self }));
        let mut response = (status, body).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
