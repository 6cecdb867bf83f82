//! What can be wrong with a file or a directory.

use std::path::{Path, PathBuf};

use rustix::io::Errno;
use trimtab_types::{ErrorKind, HasKind};

/// Why a file or a directory is not taken.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The system says no.
    #[error("cannot {action} `{}`: {source}; check that it exists, is readable and writable, and has room", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// It is a link.
    #[error("`{}` is a link, which is not followed; put the thing itself there", path.display())]
    Link {
        /// Which.
        path: PathBuf,
    },
    /// A path leads out of the root of artifacts.
    #[error("`{path}` does not lead to something beneath `{}`; write it relative to that, without `..`", root.display())]
    Elsewhere {
        /// The root.
        root: PathBuf,
        /// What was given.
        path: String,
    },
    /// It is something else than a file.
    #[error("`{}` is not a plain file but {what}", path.display())]
    NoFile {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is larger than it may be.
    #[error("`{}` is larger than {most} bytes, the most that is read", path.display())]
    TooLarge {
        /// Which.
        path: PathBuf,
        /// Bytes.
        most: u64,
    },
    /// A directory holds more than it may.
    #[error("`{}` holds more than {most} files and folders, the most that is looked at", path.display())]
    TooMany {
        /// Which.
        path: PathBuf,
        /// Entries.
        most: usize,
    },
    /// It belongs to another user.
    #[error(
        "`{}` belongs to user {owner}, and this is run by user {own}; run it as that user, or give everything in the directory to user {own}",
        path.display()
    )]
    OtherOwner {
        /// Which.
        path: PathBuf,
        /// Whose it is, by number.
        owner: u32,
        /// Who we are, by number.
        own: u32,
    },
    /// Others may write to what has to be ours.
    #[error("`{path}` can be written by others, who could have the host run any code; run `chmod go-w {path}`", path = path.display())]
    Writable {
        /// Which.
        path: PathBuf,
    },
}

impl FilesError {
    pub(crate) fn io(action: &'static str, path: &Path, error: Errno) -> Self {
        Self::Io { action, path: path.to_owned(), source: error.into() }
    }

    /// Whether it is just not there.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

impl HasKind for FilesError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::OtherOwner { .. } | Self::Writable { .. } => ErrorKind::Forbidden,
            Self::TooLarge { .. } => ErrorKind::TooLarge,
            Self::Elsewhere { .. } => ErrorKind::Invalid,
            Self::Io { .. } | Self::Link { .. } | Self::NoFile { .. } | Self::TooMany { .. } => {
                ErrorKind::Files
            }
        }
    }
}
