//! Reading the logs in memory.

use std::collections::{BTreeMap, BTreeSet};

use trimtab_types::{Counts, Digest, DueRow, ModelKey, Position, Resolution, Shard, Timestamp};

use super::{Held, MemoryLogs, counting};
use crate::{
    About, Checkpoint, EffectState, Entry, Kind, Listing, LogError, Outputs, Part, Reader, Record, Row,
    Scanned, Scope, ShardState, StoredDecision, StoredEffect, StoredMoment, Stretch,
};

impl Scope {
    /// Whether a record belongs to it.
    fn has(&self, record: &Record) -> bool {
        match self {
            Self::All => true,
            Self::Model(tenant, model) => record.entry.model().is_none_or(|of| of == (tenant, model)),
            Self::Changes => record.entry.kind().is_change(),
            Self::Events => record.entry.kind().is_change() || record.entry.kind() == Kind::Tick,
        }
    }
}

impl Reader for MemoryLogs {
    fn shards(&self) -> Result<Vec<ShardState>, LogError> {
        let kept = self.read();
        let known = |shard: &Shard| kept.logs.contains_key(shard) || kept.leases.contains_key(shard);
        let state = |shard| {
            let Held { cursor, epoch, owner, until, .. } =
                kept.leases.get(&shard).cloned().unwrap_or_default();
            ShardState { shard, head: kept.head(shard), cursor, epoch, owner, until }
        };
        Ok(Shard::all().filter(known).map(state).collect())
    }

    fn models(&self, shard: Shard) -> Result<Vec<ModelKey>, LogError> {
        let kept = self.read();
        let log = kept.logs.get(&shard).map(Vec::as_slice).unwrap_or_default();
        let models = log.iter().filter_map(|record| record.entry.model());
        let keys =
            models.map(|(tenant, model)| ModelKey { tenant: tenant.to_owned(), model: model.to_owned() });
        Ok(keys.collect::<BTreeSet<_>>().into_iter().collect())
    }

    fn newest(&self, shard: Shard, after: Position) -> Result<Option<Timestamp>, LogError> {
        let kept = self.read();
        let log = kept.logs.get(&shard).map(Vec::as_slice).unwrap_or_default();
        let later = log.iter().filter(|record| record.place.position > after);
        Ok(later.filter_map(|record| record.entry.time()).max())
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

    fn due(
        &self,
        model: &ModelKey,
        after: (Timestamp, Position),
        until: Timestamp,
        as_of: Position,
        limit: usize,
    ) -> Result<Vec<DueRow>, LogError> {
        let kept = self.read();
        let log = kept.logs.get(&model.shard()).map(Vec::as_slice).unwrap_or_default();
        let of_model = |record: &&Record| {
            record.place.position < as_of
                && record.entry.model() == Some((model.tenant.as_str(), model.model.as_str()))
        };
        let mut due = BTreeMap::new();
        for record in log.iter().filter(of_model) {
            let (position, prediction, outcome) = match (&record.entry, &record.resolves) {
                (Entry::Prediction(prediction, _), Some(Resolution::By(outcome))) => {
                    (record.place.position, prediction, outcome.as_ref())
                }
                (Entry::Outcome(outcome), Some(Resolution::Of { position, prediction, .. })) => {
                    (*position, prediction.as_ref(), outcome)
                }
                _ => continue,
            };
            if let Some(at) = prediction.due().filter(|at| *at <= until && (*at, position) > after) {
                // The newest outcome counts.
                let (prediction, outcome) = (prediction.clone(), outcome.clone());
                due.insert((at, position), DueRow { at, position, prediction, outcome });
            }
        }
        Ok(due.into_values().take(limit).collect())
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

    fn effected(
        &self,
        shard: Shard,
        after: Position,
        until: Position,
    ) -> Result<Vec<StoredEffect>, LogError> {
        Ok(self.outputs(shard, after, until)?.effects)
    }

    fn lived(&self, shard: Shard, after: Position, until: Position) -> Result<Vec<StoredMoment>, LogError> {
        Ok(self.outputs(shard, after, until)?.moments)
    }

    fn decided(
        &self,
        shard: Shard,
        after: Position,
        until: Position,
    ) -> Result<Vec<StoredDecision>, LogError> {
        Ok(self.outputs(shard, after, until)?.decisions)
    }

    fn decisions_since(&self, seq: u64, limit: usize) -> Result<Vec<StoredDecision>, LogError> {
        let kept = self.read();
        Ok(kept.decisions.iter().filter(|stored| stored.seq > seq).take(limit).cloned().collect())
    }

    fn moments(&self, listing: &Listing) -> Result<Vec<(Shard, StoredMoment)>, LogError> {
        let kept = self.read();
        let wanted = kept.moments.iter().rev();
        let wanted = wanted.filter(|(_, stored)| {
            stored.moment.changes > 0 && listing.wants(stored.seq, &stored.moment.about)
        });
        Ok(wanted.take(listing.limit as usize).cloned().collect())
    }

    fn decisions(&self, listing: &Listing) -> Result<Vec<StoredDecision>, LogError> {
        let kept = self.read();
        let wanted = kept.decisions.iter().rev();
        let wanted = wanted.filter(|stored| listing.wants(stored.seq, &stored.decision.about));
        Ok(wanted.take(listing.limit as usize).cloned().collect())
    }

    fn decision(&self, id: &str) -> Result<Option<StoredDecision>, LogError> {
        Ok(self.read().decisions.iter().find(|stored| stored.decision.id == id).cloned())
    }

    fn effects(&self, listing: &Listing) -> Result<Vec<StoredEffect>, LogError> {
        let kept = self.read();
        let wanted = kept.effects.iter().rev();
        let wanted = wanted.filter(|stored| listing.wants(stored.seq, &stored.effect.about));
        Ok(wanted.take(listing.limit as usize).cloned().collect())
    }

    fn waiting(&self, sink: &str, limit: u32) -> Result<Vec<StoredEffect>, LogError> {
        let kept = self.read();
        let is_waiting =
            |stored: &&StoredEffect| stored.state == EffectState::Waiting && stored.effect.sink == sink;
        let waiting = kept.effects.iter().filter(is_waiting);
        Ok(waiting.take(limit as usize).cloned().collect())
    }

    fn waiting_count(&self) -> Result<BTreeMap<String, u64>, LogError> {
        let kept = self.read();
        let mut counts = BTreeMap::new();
        for stored in kept.effects.iter().filter(|stored| stored.state == EffectState::Waiting) {
            *counts.entry(stored.effect.sink.clone()).or_default() += 1;
        }
        Ok(counts)
    }

    fn counts(&self) -> Result<Counts, LogError> {
        let kept = self.read();
        Ok(Counts {
            predictions: kept.keys.values().filter(|rows| rows.prediction.is_some()).count() as u64,
            outcomes: kept.keys.values().filter(|rows| !rows.outcomes.is_empty()).count() as u64,
            findings: kept.moments.iter().map(|(_, stored)| u64::from(stored.moment.changes)).sum(),
            decisions: kept.decisions.len() as u64,
            effects: kept.effects.len() as u64,
        })
    }

    fn stretches(&self, shard: Shard) -> Result<Vec<Stretch>, LogError> {
        let kept = self.read();
        Ok(kept.stretches.iter().filter(|stretch| stretch.shard == shard).cloned().collect())
    }

    fn checkpoints(&self, shard: Shard) -> Result<Vec<Checkpoint>, LogError> {
        Ok(self.read().checkpoints.get(&shard).cloned().unwrap_or_default())
    }

    fn parts(&self, shard: Shard, position: Position) -> Result<Option<Vec<Part>>, LogError> {
        let kept = self.read();
        let headers = kept.checkpoints.get(&shard).map(Vec::as_slice).unwrap_or_default();
        let is_there = headers.iter().any(|header| header.position == position);
        Ok(is_there.then(|| counting(&kept.parts, shard, position).cloned().collect()))
    }
}

impl Listing {
    /// Whether something recorded under this number about somebody is listed.
    fn wants(&self, seq: u64, about: &About) -> bool {
        let (tenant, model) = about.model().unwrap_or_default();
        self.before.is_none_or(|before| seq < before)
            && self.tenant.as_deref().is_none_or(|wanted| wanted == tenant)
            && self.model.as_deref().is_none_or(|wanted| wanted == model)
    }
}
