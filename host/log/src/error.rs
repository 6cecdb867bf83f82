//! What can go wrong in the logs, in words that name the thing, the cause and the fix.

use std::path::PathBuf;

use trimtab_types::{ErrorKind, HasKind, Place, Shard};

/// An error of the logs.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Another host owns the directory.
    #[error(
        "the data directory `{}` is in use by another host{}; stop that host, or let commands reach it through its socket",
        directory.display(), owner.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Locked {
        /// Which directory.
        directory: PathBuf,
        /// The process that holds it, if it left its number.
        owner: Option<u32>,
    },
    /// The directory cannot be used.
    #[error("cannot {action} `{}`: {source}; check that it exists, is writable and has room", path.display())]
    Directory {
        /// What was tried.
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
    /// A file is not what it has to be, or not ours.
    #[error("{problem}")]
    Files {
        /// What kind of error that is.
        kind: ErrorKind,
        /// Which file, what is wrong, and what to do.
        problem: String,
    },
    /// There is nothing to open.
    #[error("there is no Trimtab data in `{}`; run `trimtab init` first or name another directory with --data", .0.display())]
    Missing(PathBuf),
    /// Not a database of ours.
    #[error("`{}` is not a Trimtab database ({problem}); name another directory with --data", path.display())]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// How that shows.
        problem: String,
    },
    /// Written by a newer build.
    #[error(
        "`{}` has schema version {found}, and this build knows versions up to {known}; use the newer build that wrote it",
        path.display()
    )]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that this build knows.
        known: i64,
    },
    /// The same id with other content.
    #[error("row {}: {what} `{id}` of model `{model}` exists with other content ({difference}); {fix}", index + 1)]
    Conflict {
        /// Which entry of the batch, from 0.
        index: usize,
        /// `prediction` or `outcome`.
        what: &'static str,
        /// The model.
        model: String,
        /// The id.
        id: String,
        /// The first field that differs, with both values.
        difference: String,
        /// What to do.
        fix: &'static str,
    },
    /// No room.
    #[error("the disk is full; nothing of this request was kept. Free some room and send it again")]
    Full,
    /// The queue in front of the writer is full.
    #[error("the host is overloaded; nothing of this request was kept. Send it again in a second")]
    Busy,
    /// The writer thread has stopped.
    #[error("the writer has stopped; the host is shutting down. Nothing of this request was kept")]
    Stopped,
    /// Somebody else folded.
    #[error("the fold is at position {found}, not at {expected}: another fold has written to this database")]
    CursorMoved {
        /// Where the caller thought it is.
        expected: u64,
        /// Where it is.
        found: u64,
    },
    /// A stored row cannot be read.
    #[error(
        "the {what} at position {position} cannot be read ({problem}); the database is damaged or from another build"
    )]
    Damaged {
        /// What kind of row.
        what: &'static str,
        /// Where.
        position: u64,
        /// What is wrong.
        problem: String,
    },
    /// A transaction shared with others could not be committed.
    #[error("the transaction could not be committed, and nothing of this request was kept: {0}")]
    Commit(String),
    /// The file is damaged.
    #[error(
        "the database is damaged ({0}); stop the host, keep the files, and restore the data directory from a backup"
    )]
    Corrupt(String),
    /// Somebody else has the shard by now.
    #[error(
        "shard {shard} was claimed again: its epoch is {found}, not {given}; nothing was written. Claim it anew before folding on"
    )]
    Stale {
        /// Which shard.
        shard: Shard,
        /// The epoch that the caller holds.
        given: u64,
        /// The one that counts.
        found: u64,
    },
    /// Nobody has the shard.
    #[error("shard {0} was never claimed; nothing was written. Claim it before folding")]
    Unclaimed(Shard),
    /// An entry that has no place.
    #[error("entry {index} of this request is a {kind} that cannot be kept: {problem}")]
    Misplaced {
        /// Which entry of the batch, from 0.
        index: usize,
        /// Its kind.
        kind: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Output that does not belong to the step it came with.
    #[error("the {what} at {place} cannot be recorded: {problem}")]
    Unfitting {
        /// What kind of output.
        what: &'static str,
        /// Where it claims to be.
        place: Place,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A try of something that nobody decided.
    #[error("there is no effect with the key `{0}`; nothing was recorded")]
    NoEffect(String),
    /// A directory of the format before this one.
    #[error(
        "`{}` has the earlier format, with one log, which this build does not take over; make a new directory with `trimtab init` and `import` the rows again",
        .0.display()
    )]
    Earlier(PathBuf),
    /// Something stored in one of the logs cannot be read.
    #[error(
        "the {what} at {place} cannot be read ({problem}); the database is damaged or from another build"
    )]
    Unreadable {
        /// What kind of row.
        what: &'static str,
        /// Where.
        place: Place,
        /// What is wrong.
        problem: String,
    },
    /// Anything else that the database says.
    #[error("the database answered: {0}")]
    Sqlite(String),
}

impl LogError {
    /// The same failure for each of those who shared a transaction.
    pub fn repeated(&self) -> Self {
        match self {
            Self::Full => Self::Full,
            other => Self::Commit(other.to_string()),
        }
    }
}

impl HasKind for LogError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Conflict { .. } => ErrorKind::Conflict,
            Self::Busy => ErrorKind::Busy,
            Self::Stopped => ErrorKind::Closing,
            Self::Full => ErrorKind::Full,
            Self::Locked { .. } => ErrorKind::Locked,
            Self::Missing(_) => ErrorKind::NotFound,
            Self::Directory { .. } => ErrorKind::Files,
            Self::Files { kind, .. } => *kind,
            Self::Foreign { .. } | Self::Newer { .. } => ErrorKind::Unsupported,
            Self::Commit(_) | Self::Sqlite(_) => ErrorKind::Storage,
            Self::Stale { .. } | Self::Unclaimed(_) => ErrorKind::NotOwner,
            Self::Earlier(_) => ErrorKind::Config,
            Self::Misplaced { .. } => ErrorKind::Invalid,
            Self::Unfitting { .. } | Self::NoEffect(_) => ErrorKind::Bug,
            Self::CursorMoved { .. } | Self::Damaged { .. } | Self::Unreadable { .. } | Self::Corrupt(_) => {
                ErrorKind::Damaged
            }
        }
    }

    fn row(&self) -> Option<u64> {
        match self {
            Self::Conflict { index, .. } => Some(*index as u64 + 1),
            _ => None,
        }
    }
}
