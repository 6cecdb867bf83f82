//! What was recorded, held against what a candidate decides, stretch by stretch. Where the results of each model are kept
//! apart, those of one can be taken back.

use std::collections::{BTreeMap, VecDeque};

use trimtab_core::decide::Heard;
use trimtab_types::{DecisionRecord, ModelKey, Occasion, Position};

use crate::{
    again::Replay,
    diff::{Diff, Side},
    period::Period,
    remarks::Parts,
};

/// Both series, as far as they have been compared.
pub(crate) struct Comparison<'a> {
    period: &'a Period,
    /// The policies that are tried out.
    tried: Vec<String>,
    apart: bool,
    /// Recorded and not compared yet, in order.
    recorded: VecDeque<DecisionRecord>,
    /// Likewise.
    sent: VecDeque<(Position, Heard)>,
    /// By model where results are kept apart.
    sums: BTreeMap<Option<ModelKey>, Compared>,
}

/// What a comparison came to.
#[derive(Debug, Default)]
pub(crate) struct Compared {
    pub(crate) diff: Diff,
    pub(crate) parts: Parts,
}

impl Compared {
    pub(crate) fn merge(&mut self, other: Self) {
        self.diff.merge(other.diff);
        self.parts.merge(other.parts);
    }
}

impl<'a> Comparison<'a> {
    pub(crate) fn new(period: &'a Period, tried: Vec<String>, apart: bool) -> Self {
        Self { period, tried, apart, recorded: VecDeque::new(), sent: VecDeque::new(), sums: BTreeMap::new() }
    }

    /// These were recorded next.
    pub(crate) fn expect(
        &mut self,
        recorded: impl IntoIterator<Item = DecisionRecord>,
        sent: impl IntoIterator<Item = (Position, Heard)>,
    ) {
        self.recorded.extend(recorded);
        self.sent.extend(sent);
    }

    /// Compares everything up to a position, under what is in force in the replay now. `wanted` says which models count.
    pub(crate) fn settle(&mut self, upto: Position, replay: &mut Replay, wanted: impl Fn(&ModelKey) -> bool) {
        let waiting = self.recorded.partition_point(|decision| decision.position <= upto);
        let recorded: Vec<_> = self.recorded.drain(..waiting).collect();
        let waiting = self.sent.partition_point(|(position, _)| *position <= upto);
        let sent: Vec<_> = self.sent.drain(..waiting).map(|(_, heard)| heard).collect();
        let output = replay.take();
        let candidate = output.decisions;
        if recorded.is_empty() && candidate.is_empty() && sent.is_empty() && output.told.is_empty() {
            return;
        }
        type Both<'a> = ([Vec<&'a DecisionRecord>; 2], [Vec<Occasion>; 2]);
        let mut groups: BTreeMap<Option<ModelKey>, Both<'_>> = BTreeMap::new();
        for (side, told) in [&sent, &output.told].into_iter().enumerate() {
            for Heard { subject, occasion, at } in told {
                let model = subject.model_key();
                if self.period.covers(subject, *at) && wanted(&model) {
                    groups.entry(self.apart.then_some(model)).or_default().1[side].push(*occasion);
                }
            }
        }
        for (side, decisions) in [&recorded, &candidate].into_iter().enumerate() {
            for decision in decisions.iter().filter(|decision| self.period.is_about(decision)) {
                let model = decision.subject.model_key();
                if wanted(&model) {
                    groups.entry(self.apart.then_some(model)).or_default().0[side].push(decision);
                }
            }
        }
        let (messages, tables) = (replay.writes_alerts(), replay.other_tables());
        for (model, ([recorded, candidate], [sent, would_be_sent])) in groups {
            let sum = self
                .sums
                .entry(model)
                .or_insert_with(|| Compared { diff: Diff::default(), parts: Parts::of(self.tried.iter()) });
            sum.diff.tell(&sent, &would_be_sent);
            for decision in &candidate {
                sum.parts.count(decision, |policy, finding| replay.applies_to(policy, finding));
            }
            let candidate = Side::enforced(candidate, messages).under(tables.clone());
            sum.diff.compare(&Side::enforced(recorded, messages), &candidate);
        }
    }

    /// Takes back what was compared of a model.
    pub(crate) fn forget(&mut self, model: &ModelKey) {
        self.sums.remove(&Some(model.clone()));
    }

    /// All that was compared.
    pub(crate) fn done(self) -> Compared {
        let mut all = Compared { diff: Diff::default(), parts: Parts::of(self.tried.iter()) };
        for sum in self.sums.into_values() {
            all.merge(sum);
        }
        all
    }
}
