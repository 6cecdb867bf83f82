//! One log on its way through the core: its state, what came out and is not on disk yet, and when its next checkpoint is due.

use std::{collections::BTreeSet, time::Instant};

use trimtab_core::{
    decide::{self, Note, Output},
    fold::{self, State},
};
use trimtab_log::{FoldCommit, Reader, Record, Scope, outputs_of};
use trimtab_replay::{
    due,
    prepare::{At, Contents},
};
use trimtab_types::{DecisionRecord, Place, Position, Shard};

use crate::{
    HostError,
    keeper::Due,
    kits::{KitKey, Kits},
    progress::Progress,
    stopped::{Heeding, Stopped},
};

/// What a fold may take, and what it heeds on the way.
pub(crate) struct Bounds<'a> {
    /// Policies that people stopped.
    pub(crate) stopped: &'a Stopped,
    pub(crate) progress: &'a Progress,
    /// Entries.
    pub(crate) limit: usize,
    /// Once this is over, what came out is not held back any longer: policies may be slow.
    pub(crate) until: Instant,
}

/// A checkpoint is due when it writes no more than so many bytes for each record since the one before: a quarter of what a
/// record of 112 bytes costs.
const BYTES_A_RECORD: u64 = 28;
/// What a part is taken to weigh before the first checkpoint.
const PART: u64 = 4_096;
/// Records between two looks whether a checkpoint is due, at least.
const LOOK: u64 = 2_048;

/// One log that is awake.
pub(crate) struct Folding {
    shard: Shard,
    epoch: u64,
    state: State,
    kit: KitKey,
    /// What came out since the cursor on disk.
    held: FoldCommit,
    /// Where the newest checkpoint is.
    checkpoint: Position,
    /// What a part of it weighed, on average.
    part: u64,
    /// When to look next whether one is due.
    look: u64,
}

impl Folding {
    /// Goes on from a state whose results are on disk; its newest checkpoint is `tail` entries back.
    pub(crate) fn new(
        shard: Shard,
        epoch: u64,
        state: State,
        tail: u64,
        kits: &mut Kits,
        reader: &dyn Reader,
    ) -> Result<Self, HostError> {
        let at = At::Place(Place { shard, position: state.position });
        let kit = kits.standing(&state, Contents { reader, at })?;
        Ok(Self {
            shard,
            epoch,
            held: FoldCommit::of(shard, epoch, state.position, state.position),
            checkpoint: Position(state.position.0 - tail),
            state,
            kit,
            part: PART,
            look: LOOK,
        })
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// As questions see it.
    pub(crate) fn seen(&mut self) -> State {
        self.state.seen()
    }

    pub(crate) fn kit(&self) -> KitKey {
        self.kit
    }

    /// Takes entries through, at least one. Returns how many, and what an operator wants to read.
    ///
    /// # Errors
    /// `Closing`: a policy was interrupted. This is no use any more; what is on disk is.
    #[expect(clippy::disallowed_methods, reason = "when to commit; nothing that is recorded depends on it")]
    pub(crate) fn fold(
        &mut self,
        reader: &dyn Reader,
        kits: &mut Kits,
        bounds: &Bounds<'_>,
        decided: &mut dyn FnMut(&DecisionRecord),
    ) -> Result<(usize, Vec<Note>), HostError> {
        let from = self.state.position;
        let scanned = reader.scan(self.shard, &Scope::All, from, Position(u64::MAX), bounds.limit)?;
        let mut count = scanned.records.len();
        let mut upto = scanned.upto.max(from);
        let mut output = Output::default();
        for (done, mut record) in scanned.records.into_iter().filter_map(Record::for_fold).enumerate() {
            record.due = due::due(&self.state, &record, reader)?;
            let contents =
                Contents { reader, at: At::Place(Place { shard: self.shard, position: record.position }) };
            let prepared = kits.prepare(&self.state, &record.entry, contents)?.map(|(kit, prepared)| {
                self.kit = kit;
                prepared
            });
            let mut ask = Heeding {
                loaded: kits.loaded(self.kit),
                stopped: bounds.stopped,
                progress: bounds.progress,
                cut: false,
            };
            let came_out = decide::step(&mut self.state, &record, prepared, &mut ask);
            if ask.cut {
                return Err(HostError::Closing);
            }
            let has_decided = !came_out.decisions.is_empty();
            output.append(came_out);
            if has_decided && Instant::now() >= bounds.until {
                (count, upto) = (done + 1, record.position);
                break;
            }
        }
        fold::passed(&mut self.state, upto);
        output.decisions.iter().for_each(decided);
        self.hold(output).map(|notes| (count, notes))
    }

    fn hold(&mut self, output: Output) -> Result<Vec<Note>, HostError> {
        let Output { moments, decisions, effects, notes, .. } = output;
        let (moments, decisions, effects) = outputs_of(&moments, &decisions, &effects)?;
        self.held.moments.extend(moments);
        self.held.decisions.extend(decisions);
        self.held.effects.extend(effects);
        self.held.to = self.state.position;
        Ok(notes)
    }

    /// Whether something came out that is not on disk.
    pub(crate) fn has_output(&self) -> bool {
        let held = &self.held;
        !held.moments.is_empty() || !held.decisions.is_empty() || !held.effects.is_empty()
    }

    /// Whether the cursor on disk is behind.
    pub(crate) fn is_behind(&self) -> bool {
        self.held.to > self.held.from
    }

    /// What is to be written; it is on disk from then on, or this fold begins anew from there.
    pub(crate) fn commit(&mut self) -> FoldCommit {
        let to = self.held.to;
        std::mem::replace(&mut self.held, FoldCommit::of(self.shard, self.epoch, to, to))
    }

    /// The next checkpoint, if it is due, once everything is committed. `whole`: with all parts. `at_the_end`: due if
    /// anything changed.
    pub(crate) fn due(&mut self, whole: bool, at_the_end: bool) -> Result<Option<Due>, HostError> {
        let since = self.state.position.0 - self.checkpoint.0;
        if since == 0 || !(at_the_end || since >= self.look) {
            return Ok(None);
        }
        let bytes = self.state.touched.len() as u64 * self.part;
        let needed = bytes / BYTES_A_RECORD;
        if !at_the_end && since < needed {
            self.look = needed.min(since + since / 2).max(LOOK);
            return Ok(None);
        }
        if whole {
            self.state.touch_all();
        }
        let parts = self.state.take_touched()?;
        let size: u64 = parts.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        self.part = size.checked_div(parts.len() as u64).unwrap_or(PART).max(1);
        self.checkpoint = self.state.position;
        self.look = LOOK;
        Ok(Some(Due { shard: self.shard, position: self.checkpoint, at: self.state.newest(), parts }))
    }
}

/// The kits that logs have.
pub(crate) fn used<'a>(logs: impl IntoIterator<Item = &'a Folding>) -> BTreeSet<KitKey> {
    logs.into_iter().map(Folding::kit).collect()
}
