//! Storage: the log, the state folded from it, and what was found, decided and is to be sent.
//!
//! Two narrow traits, [`Writer`] and [`Reader`], are all that the layers above know. [`SqliteWriter`] and
//! [`SqliteReader`] implement them in one file database; [`GroupWriter`] is the one writer thread that gathers what many
//! callers want written into shared, durable transactions. Nothing here knows what an entry means.

mod bodies;
mod codec;
#[cfg(test)]
mod conformance;
mod difference;
mod error;
mod group;
mod lock;
mod names;
mod reader;
mod schema;
mod writer;

use trimtab_types::{DecisionRecord, Digest, Entry, Finding, Outcome, Position, Prediction, Timestamp};

pub use difference::first_difference;
pub use error::StoreError;
pub use group::GroupWriter;
pub use lock::DirectoryLock;
pub use reader::SqliteReader;
pub use schema::SCHEMA_VERSION;
pub use trimtab_types::{Counts, Effect, Record as LogRecord, Resolution};
pub use writer::SqliteWriter;

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

/// What one step of the fold writes, in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoldCommit {
    /// The cursor before this step; the commit is refused if the stored one differs.
    pub from: Position,
    /// The cursor after it: every entry up to here is folded.
    pub to: Position,
    /// States that changed: key and bytes; no bytes: removed.
    pub states: Vec<StateChange>,
    /// Findings in their order.
    pub findings: Vec<Finding>,
    /// Decisions in their order.
    pub decisions: Vec<DecisionRecord>,
    /// Effects that somebody has to carry out, in their order.
    pub effects: Vec<Effect>,
}

/// An effect and what has become of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StoredEffect {
    /// What is to happen.
    #[serde(flatten)]
    pub effect: Effect,
    /// When it was delivered.
    pub delivered: Option<Timestamp>,
}

/// Which findings or decisions to list: the newest first.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Only of models of this name.
    pub model: Option<String>,
    /// Only at or before this position.
    pub until: Option<Position>,
    /// At most so many.
    pub limit: u32,
}

/// Writes. There is one writer for a database.
pub trait Writer: Send {
    /// Runs `work` in one durable transaction. What fails inside `work` has undone only itself.
    fn transaction(&mut self, work: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), StoreError>;
}

/// What can be written inside a transaction. Each call is kept whole or undone whole.
pub trait Transaction {
    /// Appends entries. The same id with the same content is `Unchanged`; with other content, nothing of the batch is
    /// kept.
    fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, StoreError>;
    /// Records a step of the fold.
    fn commit_fold(&mut self, commit: &FoldCommit) -> Result<(), StoreError>;
    /// Notes that an effect was delivered.
    fn delivered(&mut self, key: &str, at: Timestamp) -> Result<(), StoreError>;
    /// Forgets all folded state, findings, decisions and effects, so that the log is folded again; what was delivered
    /// stays delivered.
    fn forget_fold(&mut self, state_format: u32) -> Result<(), StoreError>;
}

/// Reads. Any number of readers work beside the writer, each seeing whole transactions.
pub trait Reader: Send {
    /// The newest position; 0 for an empty log.
    fn head(&self) -> Result<Position, StoreError>;
    /// Up to `limit` records after `after`, in order.
    fn scan(&self, after: Position, limit: usize) -> Result<Vec<LogRecord>, StoreError>;
    /// Entries that are neither rows nor ticks, after `after` and up to `until`, in order: they are few.
    fn changes(&self, after: Position, until: Position) -> Result<Vec<(Position, Entry)>, StoreError>;
    /// How far the log is folded, the format of the stored states, and the states by key, all as of one moment.
    fn folded_state(&self) -> Result<FoldedState, StoreError>;
    /// A content by digest.
    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError>;
    /// A prediction and what counts as its outcome now.
    fn prediction(
        &self,
        tenant: &str,
        model: &str,
        id: &str,
    ) -> Result<Option<(Prediction, Option<Outcome>)>, StoreError>;
    /// Findings, newest first.
    fn findings(&self, listing: &Listing) -> Result<Vec<Finding>, StoreError>;
    /// Decisions, newest first.
    fn decisions(&self, listing: &Listing) -> Result<Vec<DecisionRecord>, StoreError>;
    /// Findings, decisions and effects with positions in `(after, until]`, each in order.
    fn folded(&self, after: Position, until: Position) -> Result<Folded, StoreError>;
    /// Decisions with positions in `(after, until]`, in order.
    fn decided(&self, after: Position, until: Position) -> Result<Vec<DecisionRecord>, StoreError>;
    /// One decision.
    fn decision(&self, id: &str) -> Result<Option<DecisionRecord>, StoreError>;
    /// Effects, newest first; only those not delivered yet, if asked.
    fn effects(&self, pending_only: bool, limit: u32) -> Result<Vec<StoredEffect>, StoreError>;
    /// Rows of each kind.
    fn counts(&self) -> Result<Counts, StoreError>;
}

/// A state's key and its bytes; no bytes: removed.
pub type StateChange = (String, Option<Vec<u8>>);

/// Cursor, format, and states by key.
pub type FoldedState = (Position, u32, Vec<(String, Vec<u8>)>);

/// What the fold recorded over a stretch of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folded {
    /// In order.
    pub findings: Vec<Finding>,
    /// In order.
    pub decisions: Vec<DecisionRecord>,
    /// In order.
    pub effects: Vec<Effect>,
}
