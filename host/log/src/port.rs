//! The ports: who writes and who reads. All that the layers above know of a store.

use trimtab_types::{
    Counts, DecisionRecord, Digest, Entry, Finding, Outcome, Position, Prediction, Record, Timestamp,
};

use crate::{Appended, Batch, FoldCommit, Folded, FoldedState, StoreError, StoredEffect};

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
    fn scan(&self, after: Position, limit: usize) -> Result<Vec<Record>, StoreError>;
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
