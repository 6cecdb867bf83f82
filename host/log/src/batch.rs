//! What is appended together, and what became of it.

use trimtab_types::{Digest, Entry, Position};

/// Entries that are kept together or not at all, with the contents that they name by digest.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// In the order in which they get their positions.
    pub entries: Vec<Entry>,
    /// Contents that the entries name: configurations, policies.
    pub contents: Vec<(Digest, Vec<u8>)>,
}

impl Batch {
    /// A batch without contents.
    pub fn of(entries: Vec<Entry>) -> Self {
        Self { entries, contents: Vec::new() }
    }
}

/// What became of one entry of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is new.
    New(Position),
    /// The same content was there already; nothing changed.
    Unchanged(Position),
}

impl Appended {
    /// Where the entry is.
    pub fn position(self) -> Position {
        match self {
            Self::New(position) | Self::Unchanged(position) => position,
        }
    }
}
