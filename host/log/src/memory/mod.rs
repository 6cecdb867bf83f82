//! The 64 logs in memory: for tests and for what needs no disk. They do what the ports say and keep nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use trimtab_types::{Digest, Outcome, Place, Position, Prediction, Resolution, Shard, Timestamp};

use crate::{
    Appended, Attempt, Batch, Checkpoint, Claim, EffectState, Entry, FoldCommit, Goes, Lease, LogError,
    Ordinals, Part, PartKey, Record, Routed, StoredDecision, StoredEffect, StoredMoment, Stretch,
    Transaction, Writer, conflicting_outcome, conflicting_prediction, in_force,
};

mod reader;

/// The logs in memory; clones are the same logs.
#[derive(Clone, Default)]
pub struct MemoryLogs(Arc<RwLock<Kept>>);

/// Tenant, model and id of a row.
type Key = (String, String, String);

/// Where the rows of an id are, in the log of its model; outcomes oldest first, the last one counts.
#[derive(Clone, Default)]
struct Rows {
    prediction: Option<Position>,
    outcomes: Vec<Position>,
}

#[derive(Default)]
struct Kept {
    /// Of the shards that are awake.
    logs: BTreeMap<Shard, Vec<Record>>,
    control: Vec<Entry>,
    keys: BTreeMap<Key, Rows>,
    contents: BTreeMap<Digest, Vec<u8>>,
    leases: BTreeMap<Shard, Held>,
    seq: u64,
    moments: Vec<(Shard, StoredMoment)>,
    decisions: Vec<StoredDecision>,
    effects: Vec<StoredEffect>,
    stretches: Vec<Stretch>,
    parts: BTreeMap<(Shard, PartKey, Position), Part>,
    checkpoints: BTreeMap<Shard, Vec<Checkpoint>>,
}

/// Who has a shard.
#[derive(Clone, Default)]
struct Held {
    cursor: Position,
    epoch: u64,
    owner: String,
    until: Timestamp,
    build: String,
    rules: u32,
}

/// What is needed to undo a batch.
struct Before {
    ends: BTreeMap<Shard, usize>,
    control: usize,
    keys: Vec<(Key, Rows)>,
}

impl MemoryLogs {
    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer for MemoryLogs {
    fn transaction(&mut self, work: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), LogError> {
        work(&mut *self.write());
        Ok(())
    }
}

impl Transaction for Kept {
    fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, LogError> {
        let ends = self.logs.iter().map(|(shard, log)| (*shard, log.len())).collect();
        let mut before = Before { ends, control: self.control.len(), keys: Vec::new() };
        let mut written = Vec::with_capacity(batch.entries.len());
        for (index, entry) in batch.entries.iter().enumerate() {
            match self.append_entry(index, entry, &mut before) {
                Ok(appended) => written.push(appended),
                Err(error) => {
                    self.undo(before);
                    return Err(error);
                }
            }
        }
        self.contents.extend(batch.contents.iter().cloned());
        Ok(written)
    }

    fn claim(&mut self, claim: &Claim) -> Result<Vec<Lease>, LogError> {
        let mut leases = Vec::new();
        for shard in &claim.shards {
            let held = self.leases.entry(*shard).or_default();
            if held.owner != claim.owner && held.until > claim.now {
                continue;
            }
            held.epoch += 1;
            held.owner.clone_from(&claim.owner);
            held.until = claim.until;
            held.build.clone_from(&claim.build);
            held.rules = claim.rules;
            leases.push(Lease { shard: *shard, epoch: held.epoch, cursor: held.cursor });
        }
        Ok(leases)
    }

    fn commit(&mut self, commit: &FoldCommit) -> Result<(), LogError> {
        let held = self.leases.get(&commit.shard).cloned().unwrap_or_default();
        commit.check_epoch(held.epoch)?;
        if held.cursor != commit.from {
            return Err(LogError::CursorMoved { expected: commit.from.0, found: held.cursor.0 });
        }
        commit.check(self.head(commit.shard))?;
        let ids = self.decisions.iter().map(|stored| stored.decision.id.as_str());
        let given = commit.decisions.iter().map(|decision| (decision.id.as_str(), decision.position));
        if let Some(position) = first_known(ids, given) {
            return Err(commit.unfitting("decision", position, "its id is there already"));
        }
        let keys = self.effects.iter().map(|stored| stored.effect.key.as_str());
        let given = commit.effects.iter().map(|effect| (effect.key.as_str(), effect.position));
        if let Some(position) = first_known(keys, given) {
            return Err(commit.unfitting("effect", position, "its key is there already"));
        }
        self.record(commit);
        self.extend_stretch(commit, &held);
        self.leases.insert(commit.shard, Held { cursor: commit.to, ..held });
        Ok(())
    }

    fn attempt(&mut self, attempt: &Attempt) -> Result<(), LogError> {
        let stored = self.effects.iter_mut().find(|stored| stored.effect.key == attempt.effect);
        let stored = stored.ok_or_else(|| LogError::NoEffect(attempt.effect.clone()))?;
        stored.attempts += 1;
        stored.tried = Some(attempt.ended);
        stored.said = Some((attempt.result.clone(), attempt.detail.clone()));
        if stored.state == EffectState::Waiting {
            stored.state = attempt.state;
        }
        Ok(())
    }

    fn parts(&mut self, parts: &[Part]) -> Result<(), LogError> {
        for part in parts {
            self.parts.insert((part.shard, part.key.clone(), part.position), part.clone());
        }
        Ok(())
    }

    fn checkpoint(&mut self, checkpoint: &Checkpoint) -> Result<(), LogError> {
        let shard = checkpoint.shard;
        let all = self.checkpoints.entry(shard).or_default();
        all.retain(|one| one.position != checkpoint.position);
        all.push(checkpoint.clone());
        let kept = Checkpoint::kept(all);
        all.retain(|one| kept.contains(&one.position));
        let counts: BTreeSet<_> = kept
            .iter()
            .flat_map(|header| counting(&self.parts, shard, *header))
            .map(|part| (part.shard, part.key.clone(), part.position))
            .collect();
        self.parts.retain(|key, _| key.0 != shard || counts.contains(key));
        Ok(())
    }
}

/// The parts of a log that count at a position: the newest of each key.
fn counting(
    parts: &BTreeMap<(Shard, PartKey, Position), Part>,
    shard: Shard,
    position: Position,
) -> impl Iterator<Item = &Part> {
    let here = parts.values().filter(move |part| part.shard == shard && part.position <= position);
    // In order of key and position, so that the last of a key stays.
    here.map(|part| (&part.key, part)).collect::<BTreeMap<_, _>>().into_values()
}

impl Kept {
    fn append_entry(
        &mut self,
        index: usize,
        entry: &Entry,
        before: &mut Before,
    ) -> Result<Appended, LogError> {
        match entry.goes(index)? {
            Goes::Beside => {
                self.control.push(entry.clone());
                Ok(Appended::Control { number: Some(self.control.len() as u64), places: Vec::new() })
            }
            Goes::Everywhere => {
                let number = entry.stored().is_some().then(|| {
                    self.control.push(entry.clone());
                    self.control.len() as u64
                });
                let awake: Vec<Shard> = self.logs.keys().copied().collect();
                let places = awake.into_iter().map(|shard| self.push(shard, entry, None)).collect();
                Ok(Appended::Control { number, places })
            }
            Goes::Model(shard) => self.append_to(shard, index, entry, before),
        }
    }

    fn append_to(
        &mut self,
        shard: Shard,
        index: usize,
        entry: &Entry,
        before: &mut Before,
    ) -> Result<Appended, LogError> {
        self.wake(shard);
        let (key, mut rows) = match entry {
            Entry::Prediction(prediction, routed) => {
                let subject = &prediction.subject;
                let key = (subject.tenant.clone(), subject.model.clone(), prediction.id.clone());
                let rows = self.keys.get(&key).cloned().unwrap_or_default();
                if let Some(position) = rows.prediction {
                    return self.same_prediction(index, Place { shard, position }, prediction, routed);
                }
                (key, rows)
            }
            Entry::Outcome(outcome) => {
                let key = (outcome.tenant.clone(), outcome.model.clone(), outcome.id.clone());
                let rows = self.keys.get(&key).cloned().unwrap_or_default();
                if let Some(position) = self.same_outcome(index, shard, &rows, outcome)? {
                    return Ok(Appended::Unchanged(Place { shard, position }));
                }
                (key, rows)
            }
            _ => return Ok(Appended::New(self.push(shard, entry, None))),
        };
        let resolves = self.resolves(shard, entry, &rows);
        let place = self.push(shard, entry, resolves);
        match entry {
            Entry::Prediction(..) => rows.prediction = Some(place.position),
            _ => rows.outcomes.push(place.position),
        }
        let earlier = self.keys.insert(key.clone(), rows).unwrap_or_default();
        before.keys.push((key, earlier));
        Ok(Appended::New(place))
    }

    fn wake(&mut self, shard: Shard) {
        if self.logs.contains_key(&shard) {
            return;
        }
        self.logs.insert(shard, Vec::new());
        let standing: Vec<Entry> = in_force((0..).zip(&self.control))
            .into_iter()
            .filter_map(|number| self.control.get(usize::try_from(number).ok()?).cloned())
            .collect();
        for entry in &standing {
            self.push(shard, entry, None);
        }
    }

    fn push(&mut self, shard: Shard, entry: &Entry, resolves: Option<Resolution>) -> Place {
        let log = self.logs.entry(shard).or_default();
        let place = Place { shard, position: Position(log.len() as u64 + 1) };
        log.push(Record { place, entry: entry.clone(), resolves });
        place
    }

    fn same_prediction(
        &self,
        index: usize,
        place: Place,
        prediction: &Prediction,
        routed: &Routed,
    ) -> Result<Appended, LogError> {
        let Some((stored, stored_routed)) = self.prediction_at(place.shard, place.position) else {
            return Ok(Appended::Unchanged(place));
        };
        if let Some(conflict) = conflicting_prediction(index, stored, prediction) {
            return Err(conflict);
        }
        match stored_routed.conflict(index, routed, prediction) {
            Some(conflict) => Err(conflict),
            None => Ok(Appended::Unchanged(place)),
        }
    }

    /// Where the same outcome is; `None` for a new one or a correction; else a conflict.
    fn same_outcome(
        &self,
        index: usize,
        shard: Shard,
        rows: &Rows,
        outcome: &Outcome,
    ) -> Result<Option<Position>, LogError> {
        let same = |position: &&Position| self.outcome_at(shard, **position) == Some(outcome);
        let Some(counts) = rows.outcomes.last() else {
            return Ok(None);
        };
        if same(&counts) {
            return Ok(Some(*counts));
        }
        match (rows.outcomes.iter().find(same), self.outcome_at(shard, *counts)) {
            // A late repetition of what has been corrected since.
            (Some(earlier), _) => Ok(Some(*earlier)),
            (None, _) if outcome.correction => Ok(None),
            (None, Some(stored)) => Err(conflicting_outcome(index, stored, outcome)),
            (None, None) => Ok(None),
        }
    }

    fn resolves(&self, shard: Shard, entry: &Entry, rows: &Rows) -> Option<Resolution> {
        let outcome = rows.outcomes.last().and_then(|position| self.outcome_at(shard, *position));
        if let Entry::Prediction(..) = entry {
            return outcome.map(|outcome| Resolution::By(Box::new(outcome.clone())));
        }
        let position = rows.prediction?;
        let (prediction, _) = self.prediction_at(shard, position)?;
        Some(Resolution::Of {
            position,
            prediction: Box::new(prediction.clone()),
            previous: outcome.map(|outcome| Box::new(outcome.clone())),
        })
    }

    fn at(&self, shard: Shard, position: Position) -> Option<&Entry> {
        let index = usize::try_from(position.0).ok()?.checked_sub(1)?;
        self.logs.get(&shard)?.get(index).map(|record| &record.entry)
    }

    fn prediction_at(&self, shard: Shard, position: Position) -> Option<(&Prediction, &Routed)> {
        match self.at(shard, position)? {
            Entry::Prediction(prediction, routed) => Some((prediction, routed)),
            _ => None,
        }
    }

    fn outcome_at(&self, shard: Shard, position: Position) -> Option<&Outcome> {
        match self.at(shard, position)? {
            Entry::Outcome(outcome) => Some(outcome),
            _ => None,
        }
    }

    fn head(&self, shard: Shard) -> Position {
        Position(self.logs.get(&shard).map_or(0, Vec::len) as u64)
    }

    fn undo(&mut self, before: Before) {
        self.logs.retain(|shard, _| before.ends.contains_key(shard));
        for (shard, log) in &mut self.logs {
            log.truncate(before.ends.get(shard).copied().unwrap_or_default());
        }
        self.control.truncate(before.control);
        for (key, rows) in before.keys.into_iter().rev() {
            self.keys.insert(key, rows);
        }
    }

    fn extend_stretch(&mut self, commit: &FoldCommit, held: &Held) {
        let last = self.stretches.iter_mut().rev().find(|stretch| stretch.shard == commit.shard);
        let hash = commit.chained(last.as_ref().map(|stretch| stretch.hash));
        match last {
            Some(stretch) if stretch.epoch == commit.epoch => (stretch.to, stretch.hash) = (commit.to, hash),
            _ => self.stretches.push(Stretch {
                shard: commit.shard,
                epoch: commit.epoch,
                build: held.build.clone(),
                rules: held.rules,
                from: commit.from,
                to: commit.to,
                hash,
            }),
        }
    }

    fn record(&mut self, commit: &FoldCommit) {
        let shard = commit.shard;
        let mut ordinal = Ordinals::default();
        for moment in &commit.moments {
            self.seq += 1;
            let ordinal = ordinal.next(moment.position);
            self.moments.push((shard, StoredMoment { seq: self.seq, ordinal, moment: moment.clone() }));
        }
        ordinal = Ordinals::default();
        for decision in &commit.decisions {
            self.seq += 1;
            let ordinal = ordinal.next(decision.position);
            self.decisions.push(StoredDecision { seq: self.seq, shard, ordinal, decision: decision.clone() });
        }
        ordinal = Ordinals::default();
        for effect in &commit.effects {
            self.seq += 1;
            let ordinal = ordinal.next(effect.position);
            let (state, effect) = (EffectState::Waiting, effect.clone());
            self.effects.push(StoredEffect {
                seq: self.seq,
                shard,
                ordinal,
                state,
                attempts: 0,
                tried: None,
                said: None,
                effect,
            });
        }
    }
}

/// Where the first of those given is that is known already, or given twice.
fn first_known<'a>(
    known: impl Iterator<Item = &'a str>,
    given: impl Iterator<Item = (&'a str, Position)>,
) -> Option<Position> {
    let mut known: BTreeSet<&str> = known.collect();
    given.filter(|(name, _)| !known.insert(name)).map(|(_, position)| position).next()
}

#[cfg(test)]
mod tests {
    use super::MemoryLogs;
    use crate::{Reader, Writer, conformance::Home};

    impl Home for MemoryLogs {
        fn writer(&self) -> Box<dyn Writer> {
            Box::new(self.clone())
        }
        fn reader(&self) -> Box<dyn Reader> {
            Box::new(self.clone())
        }
    }

    crate::conformance!(|| Box::new(MemoryLogs::default()) as Box<dyn Home>);
}
