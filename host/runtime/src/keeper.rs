//! Keeps checkpoints: takes the parts that changed from the fold, and writes them in pieces beside it, the header last.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, mpsc},
    thread::JoinHandle,
};

use trimtab_core::fold::{State, StateChange};
use trimtab_log::{Checkpoint, Log, LogError, Part, PartKey};
use trimtab_replay::restore::Digests;
use trimtab_types::{Digest, Position, Shard, Timestamp};

use crate::runner::lock;

/// Bytes of parts that are written in one transaction.
const PIECE: usize = 1 << 20;
/// Checkpoints that wait to be written.
const WAITING: usize = 4;

/// What is to be kept of one log.
pub(crate) struct Due {
    pub(crate) shard: Shard,
    pub(crate) position: Position,
    /// The newest time that any model knows.
    pub(crate) at: Timestamp,
    pub(crate) parts: Vec<StateChange>,
}

enum Told {
    /// Digests of the parts that count at the newest checkpoint.
    Known(Shard, Digests),
    Due(Due),
}

/// A handle on the thread that writes. The thread ends, with everything written, when the handle is dropped.
pub(crate) struct Keeper {
    sender: Option<mpsc::SyncSender<Told>>,
    /// Logs whose newest checkpoint could not be written.
    failed: Arc<Mutex<BTreeSet<Shard>>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(log: Arc<Log>, build: String) -> std::io::Result<Self> {
        let (sender, heard) = mpsc::sync_channel(WAITING);
        let failed: Arc<Mutex<BTreeSet<Shard>>> = Arc::default();
        let thread = std::thread::Builder::new().name("checkpoints".into()).spawn({
            let failed = Arc::clone(&failed);
            move || {
                let mut known: BTreeMap<Shard, Digests> = BTreeMap::new();
                for told in heard {
                    match told {
                        Told::Known(shard, digests) => {
                            known.insert(shard, digests);
                        }
                        Told::Due(due) => {
                            let (shard, position) = (due.shard, due.position);
                            let digests = known.entry(shard).or_default();
                            if let Err(error) = write(&log, &build, digests, due) {
                                tracing::error!(%shard, position = position.0, %error, "a checkpoint could not be written");
                                lock(&failed).insert(shard);
                            }
                        }
                    }
                }
            }
        })?;
        Ok(Self { sender: Some(sender), failed, thread: Some(thread) })
    }

    /// What counts at the newest checkpoint of a log.
    pub(crate) fn know(&self, shard: Shard, digests: Digests) {
        self.tell(Told::Known(shard, digests));
    }

    /// Hands a checkpoint over; waits where several are waiting.
    pub(crate) fn take(&self, due: Due) {
        self.tell(Told::Due(due));
    }

    /// Whether the newest checkpoint of a log could not be written, so that the next one needs all parts.
    pub(crate) fn has_failed(&self, shard: Shard) -> bool {
        lock(&self.failed).remove(&shard)
    }

    fn tell(&self, told: Told) {
        if let Some(sender) = &self.sender {
            // The thread ends only after this handle.
            sender.send(told).ok();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Writes one checkpoint. What counted before it is known from `digests`, which are those after it from then on.
fn write(log: &Log, build: &str, digests: &mut Digests, due: Due) -> Result<(), LogError> {
    let Due { shard, position, at, parts } = due;
    let mut after = digests.clone();
    let mut piece = Vec::new();
    let mut size = 0;
    for (key, bytes) in parts {
        let (about, part) = key.named();
        let key = PartKey { about, part };
        after.insert(key.clone(), Digest::of(&bytes));
        size += bytes.len();
        piece.push(Part { shard, key, position, format: State::FORMAT, bytes });
        if size >= PIECE {
            log.parts(std::mem::take(&mut piece))?;
            size = 0;
        }
    }
    log.parts(piece)?;
    let hash = Checkpoint::hash_of(after.values());
    log.checkpoint(Checkpoint { shard, position, at, build: build.to_owned(), rules: State::RULES, hash })?;
    *digests = after;
    Ok(())
}
