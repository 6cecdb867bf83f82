//! The 64 logs in memory: for tests and for what needs no disk. They do what the ports say and keep nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use trimtab_types::{Digest, Outcome, Place, Position, Prediction, Resolution, Shard, Timestamp};

use super::{
    Appended, Attempt, Batch, Claim, EffectState, Entry, FoldCommit, Goes, Lease, LogError, Ordinals,
    Outputs, Reader, Record, Routed, Row, Scanned, Scope, ShardState, StoredDecision, StoredEffect,
    StoredMoment, Transaction, Writer, Written, in_force,
};
use crate::{StoreError, conflicting_outcome, conflicting_prediction};

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
}

/// Who has a shard.
#[derive(Clone, Default)]
struct Held {
    cursor: Position,
    epoch: u64,
    owner: String,
    until: Timestamp,
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
    fn append(&mut self, batch: &Batch) -> Result<Written, LogError> {
        let ends = self.logs.iter().map(|(shard, log)| (*shard, log.len())).collect();
        let mut before = Before { ends, control: self.control.len(), keys: Vec::new() };
        let mut written = Written::default();
        for (index, entry) in batch.entries.iter().enumerate() {
            match self.append_entry(index, entry, &mut before, &mut written.records) {
                Ok(appended) => written.appended.push(appended),
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
            leases.push(Lease { shard: *shard, epoch: held.epoch, cursor: held.cursor });
        }
        Ok(leases)
    }

    fn commit(&mut self, commit: &FoldCommit) -> Result<(), LogError> {
        let held = self.leases.get(&commit.shard).cloned().unwrap_or_default();
        commit.check_epoch(held.epoch)?;
        if held.cursor != commit.from {
            return Err(StoreError::CursorMoved { expected: commit.from.0, found: held.cursor.0 }.into());
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
        self.leases.insert(commit.shard, Held { cursor: commit.to, ..held });
        Ok(())
    }

    fn attempt(&mut self, attempt: &Attempt) -> Result<(), LogError> {
        let stored = self.effects.iter_mut().find(|stored| stored.effect.key == attempt.effect);
        let stored = stored.ok_or_else(|| LogError::NoEffect(attempt.effect.clone()))?;
        stored.attempts += 1;
        if stored.state == EffectState::Waiting {
            stored.state = attempt.state;
        }
        Ok(())
    }
}

impl Kept {
    fn append_entry(
        &mut self,
        index: usize,
        entry: &Entry,
        before: &mut Before,
        records: &mut Vec<Record>,
    ) -> Result<Appended, LogError> {
        match entry.goes(index)? {
            Goes::Beside => {
                self.control.push(entry.clone());
                Ok(Appended::Control(Vec::new()))
            }
            Goes::Everywhere => {
                if entry.stored().is_some() {
                    self.control.push(entry.clone());
                }
                let awake: Vec<Shard> = self.logs.keys().copied().collect();
                let places = awake.into_iter().map(|shard| self.push(shard, entry, None, records)).collect();
                Ok(Appended::Control(places))
            }
            Goes::Model(shard) => self.append_to(shard, index, entry, before, records),
        }
    }

    fn append_to(
        &mut self,
        shard: Shard,
        index: usize,
        entry: &Entry,
        before: &mut Before,
        records: &mut Vec<Record>,
    ) -> Result<Appended, LogError> {
        self.wake(shard, records);
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
            _ => return Ok(Appended::New(self.push(shard, entry, None, records))),
        };
        let resolves = self.resolves(shard, entry, &rows);
        let place = self.push(shard, entry, resolves, records);
        match entry {
            Entry::Prediction(..) => rows.prediction = Some(place.position),
            _ => rows.outcomes.push(place.position),
        }
        let earlier = self.keys.insert(key.clone(), rows).unwrap_or_default();
        before.keys.push((key, earlier));
        Ok(Appended::New(place))
    }

    fn wake(&mut self, shard: Shard, records: &mut Vec<Record>) {
        if self.logs.contains_key(&shard) {
            return;
        }
        self.logs.insert(shard, Vec::new());
        let standing: Vec<Entry> = in_force((0..).zip(&self.control))
            .into_iter()
            .filter_map(|number| self.control.get(usize::try_from(number).ok()?).cloned())
            .collect();
        for entry in &standing {
            self.push(shard, entry, None, records);
        }
    }

    fn push(
        &mut self,
        shard: Shard,
        entry: &Entry,
        resolves: Option<Resolution>,
        records: &mut Vec<Record>,
    ) -> Place {
        let log = self.logs.entry(shard).or_default();
        let place = Place { shard, position: Position(log.len() as u64 + 1) };
        let record = Record { place, entry: entry.clone(), resolves };
        log.push(record.clone());
        records.push(record);
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
            return Err(conflict.into());
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
        if outcome.correction {
            return Ok(None);
        }
        match (rows.outcomes.iter().find(same), self.outcome_at(shard, *counts)) {
            (Some(earlier), _) => Ok(Some(*earlier)),
            (None, Some(stored)) => Err(conflicting_outcome(index, stored, outcome).into()),
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
            self.effects.push(StoredEffect { seq: self.seq, shard, ordinal, state, attempts: 0, effect });
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

impl Scope {
    /// Whether a record belongs to it.
    fn has(&self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::Model(tenant, model) => record.entry.model().is_none_or(|of| of == (tenant, model)),
            Self::Changes => record.entry.kind().is_change(),
        }
    }
}

impl Reader for MemoryLogs {
    fn shards(&self) -> Result<Vec<ShardState>, LogError> {
        let kept = self.read();
        let known = |shard: &Shard| kept.logs.contains_key(shard) || kept.leases.contains_key(shard);
        let state = |shard| {
            let Held { cursor, epoch, owner, until } = kept.leases.get(&shard).cloned().unwrap_or_default();
            ShardState { shard, head: kept.head(shard), cursor, epoch, owner, until }
        };
        Ok(Shard::all().filter(known).map(state).collect())
    }

    fn scan(
        &self,
        shard: Shard,
        scope: &Scope,
        after: Position,
        until: Position,
        limit: usize,
    ) -> Result<Scanned, LogError> {
        let kept = self.read();
        let log = kept.logs.get(&shard).map(Vec::as_slice).unwrap_or_default();
        let wanted = |record: &&Record| {
            record.place.position > after && record.place.position <= until && scope.has(record)
        };
        let records: Vec<Record> = log.iter().filter(wanted).take(limit).cloned().collect();
        let upto = match records.last() {
            Some(last) if records.len() == limit => last.place.position,
            _ => until.min(kept.head(shard)).max(after),
        };
        Ok(Scanned { records, upto })
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, LogError> {
        Ok(self.read().contents.get(digest).cloned())
    }

    fn prediction(&self, tenant: &str, model: &str, id: &str) -> Result<Option<Row>, LogError> {
        let kept = self.read();
        let shard = Shard::of(tenant, model);
        let rows = kept.keys.get(&(tenant.to_owned(), model.to_owned(), id.to_owned()));
        Ok(rows.and_then(|rows| {
            let (prediction, routed) = kept.prediction_at(shard, rows.prediction?)?;
            let outcome = rows.outcomes.last().and_then(|position| kept.outcome_at(shard, *position));
            Some((prediction.clone(), routed.clone(), outcome.cloned()))
        }))
    }

    fn control(&self, after: u64, limit: usize) -> Result<Vec<(u64, Entry)>, LogError> {
        let kept = self.read();
        let numbered = (1..).zip(&kept.control).map(|(number, entry)| (number, entry.clone()));
        Ok(numbered.filter(|(number, _)| *number > after).take(limit).collect())
    }

    fn outputs(&self, shard: Shard, after: Position, until: Position) -> Result<Outputs, LogError> {
        let kept = self.read();
        let inside = |of: Shard, position: Position| of == shard && position > after && position <= until;
        Ok(Outputs {
            moments: kept
                .moments
                .iter()
                .filter(|(of, stored)| inside(*of, stored.moment.position))
                .map(|(_, stored)| stored.clone())
                .collect(),
            decisions: kept
                .decisions
                .iter()
                .filter(|stored| inside(stored.shard, stored.decision.position))
                .cloned()
                .collect(),
            effects: kept
                .effects
                .iter()
                .filter(|stored| inside(stored.shard, stored.effect.position))
                .cloned()
                .collect(),
        })
    }

    fn decisions_since(&self, seq: u64, limit: usize) -> Result<Vec<StoredDecision>, LogError> {
        let kept = self.read();
        Ok(kept.decisions.iter().filter(|stored| stored.seq > seq).take(limit).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryLogs;
    use crate::shards::{Reader, Writer, conformance::Home};

    impl Home for MemoryLogs {
        fn writer(&self) -> Box<dyn Writer> {
            Box::new(self.clone())
        }
        fn reader(&self) -> Box<dyn Reader> {
            Box::new(self.clone())
        }
    }

    crate::shards_conformance!(|| Box::new(MemoryLogs::default()) as Box<dyn Home>);
}
