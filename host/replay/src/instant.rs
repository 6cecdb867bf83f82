//! An instant dry run: what was lived once more, without the rows that led to it. It comes to what folding comes to, because
//! the watch reads nothing of what is decided. Where that does not hold for a model, somebody has to fold its rows: the
//! candidate orders something else of the watch, asks for rows that nobody noted, or a version is tried: evidence is made of
//! rows.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use trimtab_core::decide::{Lived, Order};
use trimtab_log::{Reader, Scope, decision_of, moment_of};
use trimtab_types::{
    About, Action, Answer, DecisionRecord, Entry, ModelKey, Moment, MomentKind, Position, Record, Shard,
    Stage, Verdict,
};

use crate::{
    PrepareError,
    again::Recorded,
    deal::{Stretch, Worker},
    dry_run::{Tried, Trying, sent},
    told::Told,
};

/// Positions that are taken at once: so that what is read of them stays small.
const RANGE: u64 = 65_536;

/// One log, lived once more.
pub(crate) struct Instant<'a> {
    trying: Trying<'a>,
    /// Models whose rows have to be folded.
    rows: BTreeSet<ModelKey>,
}

impl<'a> Instant<'a> {
    pub(crate) fn new(trying: Trying<'a>) -> Self {
        Self { trying, rows: BTreeSet::new() }
    }

    fn wants(&self, model: &ModelKey) -> bool {
        !self.rows.contains(model) && self.trying.wants(model)
    }

    /// What was lived of the models that still count, by position.
    fn lived(
        &self,
        shard: Shard,
        from: Position,
        upto: Position,
        reader: &dyn Reader,
    ) -> Result<BTreeMap<Position, Vec<Moment>>, PrepareError> {
        let mut lived: BTreeMap<Position, Vec<Moment>> = BTreeMap::new();
        for stored in reader.lived(shard, from, upto)? {
            let moment = moment_of(shard, &stored.moment)?;
            let wanted = moment.about.model_key().is_some_and(|model| self.wants(&model));
            // What was ordered follows from what is decided.
            if wanted && moment.kind != MomentKind::Ordered {
                lived.entry(moment.position).or_default().push(moment);
            }
        }
        Ok(lived)
    }

    /// One position.
    fn take(
        &mut self,
        position: Position,
        entry: Option<&Entry>,
        moments: Vec<Moment>,
        recorded: &[&DecisionRecord],
        reader: &dyn Reader,
    ) -> Result<(), PrepareError> {
        let mut told = Told::default();
        for moment in &moments {
            if let About::Subject(subject) = &moment.about {
                told.lived(subject, &moment.facts);
            }
        }
        for decision in recorded {
            told.asked(&decision.question, &decision.subject);
            told.read(&decision.subject, &decision.reads);
        }
        let orders = self.trying.replay.relive(Lived { position, entry, moments }, &told, reader)?;
        let ordered = recorded.iter().flat_map(|decision| ordered(decision)).collect();
        let mut rows = told.asked_more();
        rows.extend(of_others(ordered, orders));
        rows.extend(self.trying.replay.tried());
        self.fold_rows(rows);
        Ok(())
    }

    /// From here on somebody else has to answer for these models.
    fn fold_rows(&mut self, models: BTreeSet<ModelKey>) {
        for model in models {
            self.trying.comparison.forget(&model);
            self.trying.replay.forget(&model);
            self.rows.insert(model);
        }
    }

    fn settle(&mut self, upto: Position) {
        let Self { trying, rows } = self;
        trying.settle(upto, |model| !rows.contains(model));
    }
}

/// What a recorded decision ordered of the watch.
fn ordered(decision: &DecisionRecord) -> Vec<Order> {
    let reset = |(action, verdict): &(Action, Verdict)| match (action, verdict) {
        (Action::ResetDetector(name), Verdict::Done { .. }) => {
            Some(Order { subject: decision.subject.clone(), reset: name.clone() })
        }
        _ => None,
    };
    let promoted = match &decision.answer {
        Answer::Ruled(ruled) if ruled.moves.iter().any(|moved| moved.from == Some(Stage::Production)) => {
            ruled.moves.iter().find(|moved| moved.to == Stage::Production)
        }
        _ => None,
    };
    let promotion = promoted.map(|moved| Order::promotion(&decision.subject.model_key(), &moved.version));
    decision.verdicts.iter().filter_map(reset).chain(promotion).collect()
}

/// The models of which something else is ordered than was.
fn of_others(recorded: Vec<Order>, now: Vec<Order>) -> BTreeSet<ModelKey> {
    let mut by_model: BTreeMap<ModelKey, [Vec<Order>; 2]> = BTreeMap::new();
    for (side, orders) in [recorded, now].into_iter().enumerate() {
        for order in orders {
            by_model.entry(order.subject.model_key()).or_default()[side].push(order);
        }
    }
    let others = by_model.into_iter().filter_map(|(model, [mut before, mut now])| {
        before.sort();
        now.sort();
        (before != now).then_some(model)
    });
    others.collect()
}

impl Worker for Instant<'_> {
    type Done = (Tried, BTreeSet<ModelKey>);

    fn begins(&self) -> Position {
        self.trying.begins
    }

    fn scope(&self) -> Scope {
        Scope::Events
    }

    fn pauses(&self, after: Position) -> Option<Position> {
        Some(Position(after.0.saturating_add(RANGE)))
    }

    fn step(&mut self, from: Position, stretch: &Stretch, reader: &dyn Reader) -> Result<bool, PrepareError> {
        let shard = self.trying.task.shard;
        self.fold_rows(self.trying.replay.tried());
        let mut lived = self.lived(shard, from, stretch.upto, reader)?;
        let recorded: Vec<DecisionRecord> = reader
            .decided(shard, from, stretch.upto)?
            .iter()
            .map(|stored| decision_of(shard, &stored.decision))
            .collect::<Result<_, _>>()?;
        let sent = sent(shard, from, stretch.upto, reader)?;
        self.trying.comparison.expect(recorded.iter().cloned(), sent);
        self.trying.recall(&recorded);
        let begins = self.trying.begins_trying(&stretch.records, lived.values().flatten());
        let entries: BTreeMap<Position, &Record> =
            stretch.records.iter().map(|record| (record.position, record)).collect();
        let positions: BTreeSet<Position> = entries.keys().chain(lived.keys()).copied().collect();
        let mut rest = recorded.as_slice();
        for position in positions {
            let (_, after) = rest.split_at(rest.partition_point(|decision| decision.position < position));
            let (here, after) =
                after.split_at(after.partition_point(|decision| decision.position == position));
            rest = after;
            if begins == Some(position) {
                let before = Position(position.0.saturating_sub(1));
                self.settle(before);
                let told = Told::default();
                self.trying.try_out(before, &told, reader)?;
                self.fold_rows(told.asked_more());
                self.trying.replay.recall(Recorded::once(&recorded));
            }
            let entry = entries.get(&position).map(|record| &record.entry);
            let entry = entry.filter(|entry| match entry.model() {
                None => true,
                Some((tenant, model)) => {
                    self.wants(&ModelKey { tenant: tenant.to_owned(), model: model.to_owned() })
                }
            });
            let mut moments = lived.remove(&position).unwrap_or_default();
            moments.retain(|moment| moment.about.model_key().is_some_and(|model| self.wants(&model)));
            let here: Vec<_> =
                here.iter().filter(|decision| self.wants(&decision.subject.model_key())).collect();
            let switches = matches!(entry, Some(Entry::Configuration(_) | Entry::PolicySet(_)));
            if switches {
                self.settle(Position(position.0.saturating_sub(1)));
            }
            if entry.is_some() || !moments.is_empty() {
                self.take(position, entry, moments, &here, reader)?;
            }
            if switches {
                self.settle(position);
            }
        }
        self.trying.replay.passed(stretch.upto);
        self.settle(stretch.upto);
        self.trying.replay.forget_touched();
        Ok(true)
    }

    fn done(self) -> Self::Done {
        (self.trying.done(), self.rows)
    }
}
