//! The ports: who writes the 64 logs and who reads them.

use trimtab_types::{Digest, Outcome, Place, Position, Prediction, Shard, Timestamp};

use super::{Attempt, Entry, FoldCommit, LogError, Outputs, Record, Routed, StoredDecision};

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
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Appended {
    /// It is new.
    New(Place),
    /// The same content was there already; nothing changed.
    Unchanged(Place),
    /// A control entry: its place in every log that is awake, by shard. Empty if all sleep, or no fold needs it.
    Control(Vec<Place>),
}

/// What became of a batch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Written {
    /// One for each entry.
    pub appended: Vec<Appended>,
    /// What is new in the logs, as a scan would give it; of each shard in order. Handed over to those who fold.
    pub records: Vec<Record>,
}

/// Asks for shards.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Which; also those that sleep.
    pub shards: Vec<Shard>,
    /// Who asks.
    pub owner: String,
    /// The build that will fold.
    pub build: String,
    /// Its rules.
    pub rules: u32,
    /// When it asks.
    pub now: Timestamp,
    /// Until when it wants them.
    pub until: Timestamp,
}

/// A shard that somebody may fold and act for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// Which.
    pub shard: Shard,
    /// Rises with each claim. A step with another epoch writes nothing.
    pub epoch: u64,
    /// Up to where it is folded.
    pub cursor: Position,
}

/// Which entries of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those of this tenant's model, and control entries.
    Model(String, String),
    /// Neither rows nor ticks.
    Changes,
}

/// A part of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Scanned {
    /// In order.
    pub records: Vec<Record>,
    /// What the scope has up to here is in `records`; go on after it.
    pub upto: Position,
}

/// How a shard stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardState {
    /// Which.
    pub shard: Shard,
    /// The newest position; 0 while it sleeps.
    pub head: Position,
    /// Up to where it is folded.
    pub cursor: Position,
    /// Of the newest claim; 0 before the first.
    pub epoch: u64,
    /// Who has it; empty before the first claim.
    pub owner: String,
    /// Until when.
    pub until: Timestamp,
}

/// Writes. There is one writer for a store.
pub trait Writer: Send {
    /// Runs `work` in one durable transaction. What fails inside `work` has undone only itself.
    fn transaction(&mut self, work: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), LogError>;
}

/// What can be written inside a transaction. Each call is kept whole or undone whole.
pub trait Transaction {
    /// Appends entries, to as many logs as they belong to. The same id with the same content is `Unchanged`; with other
    /// content, nothing of the batch is kept. A shard wakes with its first model.
    fn append(&mut self, batch: &Batch) -> Result<Written, LogError>;
    /// Takes shards, except those that another owner has at `now`.
    fn claim(&mut self, claim: &Claim) -> Result<Vec<Lease>, LogError>;
    /// Records a step of the fold of one shard.
    fn commit(&mut self, commit: &FoldCommit) -> Result<(), LogError>;
    /// Records a try to carry out an effect.
    fn attempt(&mut self, attempt: &Attempt) -> Result<(), LogError>;
}

/// Reads. Any number of readers work beside the writer, each seeing whole transactions.
pub trait Reader: Send {
    /// Shards that are awake or were claimed, by number, as of one moment.
    fn shards(&self) -> Result<Vec<ShardState>, LogError>;
    /// Up to `limit` records of a log in `(after, until]`, in order. It may stop before; see [`Scanned::upto`].
    fn scan(
        &self,
        shard: Shard,
        scope: &Scope,
        after: Position,
        until: Position,
        limit: usize,
    ) -> Result<Scanned, LogError>;
    /// A content by digest.
    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LogError>;
    /// A prediction and what counts as its outcome now.
    fn prediction(&self, tenant: &str, model: &str, id: &str) -> Result<Option<Row>, LogError>;
    /// Control entries with numbers after `after`, in order: also those that no fold needs.
    fn control(&self, after: u64, limit: usize) -> Result<Vec<(u64, Entry)>, LogError>;
    /// What was recorded for positions in `(after, until]` of a log.
    fn outputs(&self, shard: Shard, after: Position, until: Position) -> Result<Outputs, LogError>;
    /// Decisions of all logs with numbers after `seq`, in order of recording.
    fn decisions_since(&self, seq: u64, limit: usize) -> Result<Vec<StoredDecision>, LogError>;
}

/// A prediction, how it was routed, and what counts as its outcome.
pub type Row = (Prediction, Routed, Option<Outcome>);
