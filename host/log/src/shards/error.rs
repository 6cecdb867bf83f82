//! What can go wrong in the 64 logs, beyond what every store can meet.

use std::path::PathBuf;

use trimtab_types::{Place, Shard};

use crate::StoreError;

/// An error of the logs.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// What every store can meet.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    /// A stored row cannot be read.
    #[error(
        "the {what} at {place} cannot be read ({problem}); the database is damaged or from another build"
    )]
    Damaged {
        /// What kind of row.
        what: &'static str,
        /// Where.
        place: Place,
        /// What is wrong.
        problem: String,
    },
}

impl LogError {
    /// The same failure for each of those who shared a transaction.
    pub fn repeated(&self) -> Self {
        match self {
            Self::Store(error) => Self::Store(error.repeated()),
            other => Self::Store(StoreError::Commit(other.to_string())),
        }
    }
}
