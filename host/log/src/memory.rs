//! A log in memory: for tests and for what needs no disk. It does what the ports say and keeps nothing.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use trimtab_types::{
    Counts, DecisionRecord, Digest, Entry, Finding, Outcome, Position, Prediction, Record, Resolution,
    Subject, Timestamp,
};

use crate::{
    Appended, Batch, FoldCommit, Folded, FoldedState, Listing, Reader, StoreError, StoredEffect, Transaction,
    Writer, conflicting_outcome, conflicting_prediction,
};

/// A log in memory; its clones are the same log.
#[derive(Clone, Default)]
pub struct MemoryLog(Arc<RwLock<Kept>>);

/// Tenant, model and id of a row.
type Key = (String, String, String);

/// Where the rows of an id are; outcomes oldest first, the last one counts.
#[derive(Clone, Default)]
struct Rows {
    prediction: Option<Position>,
    outcomes: Vec<Position>,
}

#[derive(Default)]
struct Kept {
    log: Vec<Record>,
    keys: BTreeMap<Key, Rows>,
    contents: BTreeMap<Digest, Vec<u8>>,
    cursor: Position,
    format: u32,
    states: BTreeMap<String, Vec<u8>>,
    findings: Vec<Finding>,
    decisions: Vec<DecisionRecord>,
    effects: Vec<StoredEffect>,
    delivered_before: BTreeMap<String, Timestamp>,
}

impl MemoryLog {
    fn read(&self) -> RwLockReadGuard<'_, Kept> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Kept> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Writer for MemoryLog {
    fn transaction(&mut self, work: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), StoreError> {
        work(&mut *self.write());
        Ok(())
    }
}

impl Transaction for Kept {
    fn append(&mut self, batch: &Batch) -> Result<Vec<Appended>, StoreError> {
        let (end, mut changed) = (self.log.len(), Vec::new());
        let appended: Result<_, _> = batch
            .entries
            .iter()
            .enumerate()
            .map(|(index, entry)| self.append_entry(index, entry, &mut changed))
            .collect();
        match &appended {
            Ok(_) => self.contents.extend(batch.contents.iter().cloned()),
            Err(_) => {
                self.log.truncate(end);
                for (key, before) in changed.into_iter().rev() {
                    self.keys.insert(key, before);
                }
            }
        }
        appended
    }

    fn commit_fold(&mut self, commit: &FoldCommit) -> Result<(), StoreError> {
        if self.cursor != commit.from {
            return Err(StoreError::CursorMoved { expected: commit.from.0, found: self.cursor.0 });
        }
        let mut keys: Vec<&str> = self.effects.iter().map(|stored| stored.effect.key.as_str()).collect();
        for effect in &commit.effects {
            if keys.contains(&effect.key.as_str()) {
                let problem = format!("its key `{}` is there already", effect.key);
                return Err(StoreError::Damaged { what: "effect", position: effect.position.0, problem });
            }
            keys.push(&effect.key);
        }
        self.cursor = commit.to;
        for (key, bytes) in &commit.states {
            match bytes {
                Some(bytes) => self.states.insert(key.clone(), bytes.clone()),
                None => self.states.remove(key),
            };
        }
        self.findings.extend(commit.findings.iter().cloned());
        self.decisions.extend(commit.decisions.iter().cloned());
        self.effects.extend(commit.effects.iter().map(|effect| StoredEffect {
            effect: effect.clone(),
            delivered: self.delivered_before.get(&effect.key).copied(),
        }));
        Ok(())
    }

    fn delivered(&mut self, key: &str, at: Timestamp) -> Result<(), StoreError> {
        let waiting =
            self.effects.iter_mut().find(|stored| stored.effect.key == key && stored.delivered.is_none());
        if let Some(stored) = waiting {
            stored.delivered = Some(at);
        }
        Ok(())
    }

    fn forget_fold(&mut self, state_format: u32) -> Result<(), StoreError> {
        let effects = std::mem::take(&mut self.effects);
        for stored in effects {
            if let Some(at) = stored.delivered {
                self.delivered_before.entry(stored.effect.key).or_insert(at);
            }
        }
        (self.cursor, self.format) = (Position(0), state_format);
        self.states.clear();
        self.findings.clear();
        self.decisions.clear();
        Ok(())
    }
}

impl Kept {
    fn append_entry(
        &mut self,
        index: usize,
        entry: &Entry,
        changed: &mut Vec<(Key, Rows)>,
    ) -> Result<Appended, StoreError> {
        match entry {
            Entry::Prediction(prediction) => {
                let Subject { tenant, model, .. } = &*prediction.subject;
                let key = (tenant.clone(), model.clone(), prediction.id.clone());
                let mut rows = self.keys.get(&key).cloned().unwrap_or_default();
                if let Some((position, stored)) = rows.prediction.zip(self.prediction_of(&rows)) {
                    return match conflicting_prediction(index, stored, prediction) {
                        None => Ok(Appended::Unchanged(position)),
                        Some(conflict) => Err(conflict),
                    };
                }
                let resolves =
                    self.outcome_of(&rows).map(|outcome| Resolution::By(Box::new(outcome.clone())));
                let position = self.push(entry, resolves);
                rows.prediction = Some(position);
                self.note(key, rows, changed);
                Ok(Appended::New(position))
            }
            Entry::Outcome(outcome) => {
                let key = (outcome.tenant.clone(), outcome.model.clone(), outcome.id.clone());
                let mut rows = self.keys.get(&key).cloned().unwrap_or_default();
                let previous = self.outcome_of(&rows).cloned();
                if let Some(stored) = &previous
                    && let Some(unchanged) = self.compare_outcome(index, &rows, stored, outcome)?
                {
                    return Ok(Appended::Unchanged(unchanged));
                }
                let resolves =
                    rows.prediction.zip(self.prediction_of(&rows)).map(|(position, prediction)| {
                        Resolution::Of {
                            position,
                            prediction: Box::new(prediction.clone()),
                            previous: previous.map(Box::new),
                        }
                    });
                let position = self.push(entry, resolves);
                rows.outcomes.push(position);
                self.note(key, rows, changed);
                Ok(Appended::New(position))
            }
            _ => Ok(Appended::New(self.push(entry, None))),
        }
    }

    /// Where the same outcome is; `None` for a correction; else a conflict.
    fn compare_outcome(
        &self,
        index: usize,
        rows: &Rows,
        stored: &Outcome,
        outcome: &Outcome,
    ) -> Result<Option<Position>, StoreError> {
        let same = |position: &&Position| self.outcome_at(**position) == Some(outcome);
        if stored == outcome {
            return Ok(rows.outcomes.last().copied());
        }
        if outcome.correction {
            return Ok(None);
        }
        match rows.outcomes.iter().find(same) {
            Some(earlier) => Ok(Some(*earlier)),
            None => Err(conflicting_outcome(index, stored, outcome)),
        }
    }

    fn push(&mut self, entry: &Entry, resolves: Option<Resolution>) -> Position {
        let position = Position(self.log.len() as u64 + 1);
        self.log.push(Record { position, entry: entry.clone(), resolves });
        position
    }

    fn note(&mut self, key: Key, rows: Rows, changed: &mut Vec<(Key, Rows)>) {
        let before = self.keys.insert(key.clone(), rows).unwrap_or_default();
        changed.push((key, before));
    }

    fn at(&self, position: Position) -> Option<&Entry> {
        let index = usize::try_from(position.0).ok()?.checked_sub(1)?;
        self.log.get(index).map(|record| &record.entry)
    }

    fn prediction_of(&self, rows: &Rows) -> Option<&Prediction> {
        match self.at(rows.prediction?)? {
            Entry::Prediction(prediction) => Some(prediction),
            _ => None,
        }
    }

    fn outcome_of(&self, rows: &Rows) -> Option<&Outcome> {
        self.outcome_at(*rows.outcomes.last()?)
    }

    fn outcome_at(&self, position: Position) -> Option<&Outcome> {
        match self.at(position)? {
            Entry::Outcome(outcome) => Some(outcome),
            _ => None,
        }
    }
}

/// Those in `(after, until]`.
fn between<T: Clone>(
    all: &[T],
    at: impl Fn(&T) -> Position,
    after: Position,
    until: Position,
) -> impl Iterator<Item = T> {
    all.iter().filter(move |one| at(one) > after && at(one) <= until).cloned()
}

/// Those that a listing asks for, newest first.
fn listed<T: Clone>(
    all: &[T],
    at: impl Fn(&T) -> Position,
    whose: impl Fn(&T) -> &Subject,
    listing: &Listing,
) -> Vec<T> {
    let wanted = |one: &&T| {
        let subject = whose(one);
        listing.tenant.as_ref().is_none_or(|tenant| *tenant == subject.tenant)
            && listing.model.as_ref().is_none_or(|model| *model == subject.model)
            && listing.until.is_none_or(|until| at(one) <= until)
    };
    all.iter().rev().filter(wanted).take(listing.limit as usize).cloned().collect()
}

impl Reader for MemoryLog {
    fn head(&self) -> Result<Position, StoreError> {
        Ok(Position(self.read().log.len() as u64))
    }

    fn scan(&self, after: Position, limit: usize) -> Result<Vec<Record>, StoreError> {
        let kept = self.read();
        Ok(kept.log.iter().filter(|record| record.position > after).take(limit).cloned().collect())
    }

    fn changes(&self, after: Position, until: Position) -> Result<Vec<(Position, Entry)>, StoreError> {
        let is_change =
            |entry: &Entry| !matches!(entry, Entry::Prediction(_) | Entry::Outcome(_) | Entry::Tick(_));
        Ok(between(&self.read().log, |record| record.position, after, until)
            .filter(|record| is_change(&record.entry))
            .map(|record| (record.position, record.entry))
            .collect())
    }

    fn folded_state(&self) -> Result<FoldedState, StoreError> {
        let kept = self.read();
        Ok((kept.cursor, kept.format, kept.states.clone().into_iter().collect()))
    }

    fn content(&self, digest: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.read().contents.get(digest).cloned())
    }

    fn prediction(
        &self,
        tenant: &str,
        model: &str,
        id: &str,
    ) -> Result<Option<(Prediction, Option<Outcome>)>, StoreError> {
        let kept = self.read();
        let rows = kept.keys.get(&(tenant.to_owned(), model.to_owned(), id.to_owned()));
        Ok(rows.and_then(|rows| Some((kept.prediction_of(rows)?.clone(), kept.outcome_of(rows).cloned()))))
    }

    fn findings(&self, listing: &Listing) -> Result<Vec<Finding>, StoreError> {
        Ok(listed(&self.read().findings, |finding| finding.position, |finding| &finding.subject, listing))
    }

    fn decisions(&self, listing: &Listing) -> Result<Vec<DecisionRecord>, StoreError> {
        Ok(listed(
            &self.read().decisions,
            |decision| decision.position,
            |decision| &decision.subject,
            listing,
        ))
    }

    fn folded(&self, after: Position, until: Position) -> Result<Folded, StoreError> {
        let kept = self.read();
        Ok(Folded {
            findings: between(&kept.findings, |finding| finding.position, after, until).collect(),
            decisions: between(&kept.decisions, |decision| decision.position, after, until).collect(),
            effects: between(&kept.effects, |stored| stored.effect.position, after, until)
                .map(|stored| stored.effect)
                .collect(),
        })
    }

    fn decided(&self, after: Position, until: Position) -> Result<Vec<DecisionRecord>, StoreError> {
        Ok(between(&self.read().decisions, |decision| decision.position, after, until).collect())
    }

    fn decision(&self, id: &str) -> Result<Option<DecisionRecord>, StoreError> {
        Ok(self.read().decisions.iter().find(|decision| decision.id == id).cloned())
    }

    fn effects(&self, pending_only: bool, limit: u32) -> Result<Vec<StoredEffect>, StoreError> {
        let kept = self.read();
        let wanted = |stored: &&StoredEffect| !pending_only || stored.delivered.is_none();
        Ok(kept.effects.iter().rev().filter(wanted).take(limit as usize).cloned().collect())
    }

    fn counts(&self) -> Result<Counts, StoreError> {
        let kept = self.read();
        let rows = |has: fn(&Rows) -> bool| kept.keys.values().filter(|rows| has(rows)).count() as u64;
        Ok(Counts {
            predictions: rows(|rows| rows.prediction.is_some()),
            outcomes: rows(|rows| !rows.outcomes.is_empty()),
            findings: kept.findings.len() as u64,
            decisions: kept.decisions.len() as u64,
            effects: kept.effects.len() as u64,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::MemoryLog;
    use crate::{Reader, Writer, conformance::Place};

    impl Place for MemoryLog {
        fn writer(&self) -> Box<dyn Writer> {
            Box::new(self.clone())
        }
        fn reader(&self) -> Box<dyn Reader> {
            Box::new(self.clone())
        }
    }

    crate::conformance!(|| Box::new(MemoryLog::default()) as Box<dyn Place>);
}
