//! The ports: who writes the 64 logs and who reads them.

use std::collections::BTreeMap;

use trimtab_types::{
    Counts, Digest, DueRow, ModelKey, Outcome, Place, Position, Prediction, Shard, Timestamp,
};

use crate::{
    Attempt, Checkpoint, Entry, FoldCommit, LogError, Outputs, Part, Record, Routed, StoredDecision,
    StoredEffect, StoredMoment,
};

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
    /// A control entry.
    Control {
        /// Its number among those that have a text; `None`: a tick.
        number: Option<u64>,
        /// Its place in every log that is awake, by shard. Empty if all sleep, or no fold needs it.
        places: Vec<Place>,
    },
}

impl Appended {
    /// Where it is: in one log, in all that are awake, or in none.
    pub fn places(&self) -> &[Place] {
        match self {
            Self::New(place) | Self::Unchanged(place) => std::slice::from_ref(place),
            Self::Control { places, .. } => places,
        }
    }
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
    /// No rows.
    Events,
}

/// A part of a scan.
#[derive(Debug, Clone, PartialEq)]
pub struct Scanned {
    /// In order.
    pub records: Vec<Record>,
    /// What the scope has up to here is in `records`; go on after it.
    pub upto: Position,
}

/// Which findings, decisions or effects to list: the newest first.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Only of this tenant.
    pub tenant: Option<String>,
    /// Only of models of this name.
    pub model: Option<String>,
    /// Only those recorded before this number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// Positions of a log that one build decided under one lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stretch {
    /// Which log.
    pub shard: Shard,
    /// Of the lease.
    pub epoch: u64,
    /// The build.
    pub build: String,
    /// Its rules.
    pub rules: u32,
    /// After this position …
    pub from: Position,
    /// … and up to this one.
    pub to: Position,
    /// Chains what was recorded.
    pub hash: Digest,
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
    /// content, nothing of the batch is kept. A shard wakes with its first model. One answer for each entry.
    fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, LogError>;
    /// Takes shards, except those that another owner has at `now`.
    fn claim(&mut self, claim: &Claim) -> Result<Vec<Lease>, LogError>;
    /// Records a step of the fold of one shard.
    fn commit(&mut self, commit: &FoldCommit) -> Result<(), LogError>;
    /// Records a try to carry out an effect.
    fn attempt(&mut self, attempt: &Attempt) -> Result<(), LogError>;
    /// Keeps parts of a checkpoint that is under way. The same part of the same position again replaces it.
    fn parts(&mut self, parts: &[Part]) -> Result<(), LogError>;
    /// Keeps the header of a checkpoint, with which it is complete. Checkpoints that [`Checkpoint::kept`] leaves out, and
    /// parts that no kept header counts, go.
    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), LogError>;
}

/// Reads. Any number of readers work beside the writer, each seeing whole transactions.
pub trait Reader: Send {
    /// Shards that are awake or were claimed, by number, as of one moment.
    fn shards(&self) -> Result<Vec<ShardState>, LogError>;
    /// The models that belong to a log, by tenant and name.
    fn models(&self, shard: Shard) -> Result<Vec<ModelKey>, LogError>;
    /// The newest time of any entry of a log after a position.
    fn newest(&self, shard: Shard, after: Position) -> Result<Option<Timestamp>, LogError>;
    /// Up to `limit` records of a log in `(after, until]`, in order. It may stop before; see [`Scanned::upto`].
    fn scan(
        &self,
        shard: Shard,
        scope: &Scope,
        after: Position,
        until: Position,
        limit: usize,
    ) -> Result<Scanned, LogError>;
    /// Effects that were decided over a stretch of a log, in order.
    fn effected(&self, shard: Shard, after: Position, until: Position)
    -> Result<Vec<StoredEffect>, LogError>;
    /// Predictions of a model that have an outcome and came due after `after` (a time, and a position among those of the same
    /// time) and up to `until`, in that order, at most `limit`. As of a position: what came there or later does not count.
    fn due(
        &self,
        model: &ModelKey,
        after: (Timestamp, Position),
        until: Timestamp,
        as_of: Position,
        limit: usize,
    ) -> Result<Vec<DueRow>, LogError>;
    /// A content by digest.
    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LogError>;
    /// A prediction and what counts as its outcome now.
    fn prediction(&self, tenant: &str, model: &str, id: &str) -> Result<Option<Row>, LogError>;
    /// Control entries with numbers after `after`, in order: also those that no fold needs.
    fn control(&self, after: u64, limit: usize) -> Result<Vec<(u64, Entry)>, LogError>;
    /// What was recorded for positions in `(after, until]` of a log.
    fn outputs(&self, shard: Shard, after: Position, until: Position) -> Result<Outputs, LogError>;
    /// Moments for positions in `(after, until]` of a log, in order.
    fn lived(&self, shard: Shard, after: Position, until: Position) -> Result<Vec<StoredMoment>, LogError>;
    /// Decisions for positions in `(after, until]` of a log, in order.
    fn decided(
        &self,
        shard: Shard,
        after: Position,
        until: Position,
    ) -> Result<Vec<StoredDecision>, LogError>;
    /// Decisions of all logs with numbers after `seq`, in order of recording.
    fn decisions_since(&self, seq: u64, limit: usize) -> Result<Vec<StoredDecision>, LogError>;
    /// Moments of all logs at which findings changed, newest first, each with its log.
    fn moments(&self, listing: &Listing) -> Result<Vec<(Shard, StoredMoment)>, LogError>;
    /// Decisions of all logs, newest first.
    fn decisions(&self, listing: &Listing) -> Result<Vec<StoredDecision>, LogError>;
    /// One decision.
    fn decision(&self, id: &str) -> Result<Option<StoredDecision>, LogError>;
    /// Effects of all logs, newest first.
    fn effects(&self, listing: &Listing) -> Result<Vec<StoredEffect>, LogError>;
    /// Up to `limit` effects that wait for a sink, oldest first.
    fn waiting(&self, sink: &str, limit: u32) -> Result<Vec<StoredEffect>, LogError>;
    /// How many effects wait, by sink.
    fn waiting_count(&self) -> Result<BTreeMap<String, u64>, LogError>;
    /// Rows of each kind.
    fn counts(&self) -> Result<Counts, LogError>;
    /// What builds decided of a log, oldest first.
    fn stretches(&self, shard: Shard) -> Result<Vec<Stretch>, LogError>;
    /// Checkpoints of a log that are complete, oldest first.
    fn checkpoints(&self, shard: Shard) -> Result<Vec<Checkpoint>, LogError>;
    /// The parts that count at a checkpoint, by key; `None`: there is no checkpoint at this position, or no more.
    fn parts(&self, shard: Shard, position: Position) -> Result<Option<Vec<Part>>, LogError>;
}

/// A prediction, how it was routed, and what counts as its outcome.
pub type Row = (Prediction, Routed, Option<Outcome>);
