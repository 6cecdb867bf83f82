//! `verify`: folds the whole log again from nothing, asks the recorded policies again, and compares everything with what
//! was recorded: findings, decisions, effects and, at the end, the state. On all cores, each of them some of the models.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use trimtab_core::{
    decide::Output,
    fold::{State, StateKey},
};
use trimtab_log::{Folded, Reader, StoreError, first_difference};
use trimtab_policy::Sandbox;
use trimtab_types::{DecisionRecord, Effect, ModelKey, Position, Subject};

use crate::{
    PrepareError,
    again::{Recorded, Replay},
    deal::{Batch, Deal, Shares, Worker},
};

/// What `verify` found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Entries that were folded again: all up to the fold's cursor.
    pub entries: u64,
    /// Findings compared.
    pub findings: u64,
    /// Decisions compared.
    pub decisions: u64,
    /// Effects compared.
    pub effects: u64,
    /// Models and subjects whose state was compared.
    pub states: u64,
    /// The first difference; `None`: identical.
    pub difference: Option<Difference>,
}

/// Where replay and record part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `finding`, `decision`, `effect` or `state`.
    pub what: String,
    /// Log position.
    pub position: Position,
    /// Which one: an id or key.
    pub id: String,
    /// The first field that differs, with both values; or which side lacks it.
    pub problem: String,
}

/// Replays everything that is folded. `open` opens a reader for each worker; `progress` hears how many entries of how many
/// are done. The report is the same for any number of workers.
pub fn verify<R: Reader>(
    open: &(dyn Fn() -> Result<R, StoreError> + Sync),
    sandbox: &Arc<Sandbox>,
    workers: usize,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, PrepareError> {
    let (end, format, stored) = open()?.folded_state()?;
    let models: BTreeSet<ModelKey> = stored.iter().filter_map(|(key, _)| model_of(key)).collect();
    let workers = workers.min(models.len()).max(1);
    let shares = &Shares::of(models.iter(), workers);
    let deal = Deal { open, recorded: &|reader, after, until| reader.folded(after, until), end, workers };
    let make = |number, _: &dyn Reader| Ok(Comparison::new(number, shares, sandbox));
    let (entries, comparisons) = deal.run(&make, progress)?;
    let mut report = Report { entries, findings: 0, decisions: 0, effects: 0, states: 0, difference: None };
    let mut states = BTreeMap::new();
    for comparison in comparisons {
        report.findings += comparison.findings;
        report.decisions += comparison.decisions;
        report.effects += comparison.effects;
        report.difference = [report.difference, comparison.difference]
            .into_iter()
            .flatten()
            .min_by_key(|difference| difference.position);
        states.extend(comparison.states);
    }
    if report.difference.is_none() && format == State::FORMAT {
        report.states = stored.len() as u64;
        let replayed: Vec<_> =
            states.into_iter().filter_map(|(key, bytes)| bytes.map(|bytes| (key, bytes))).collect();
        report.difference = compare_states(&stored, &replayed, end);
    }
    Ok(report)
}

/// The model that a part of the state is about; `None`: it is about all of them.
fn model_of(key: &str) -> Option<ModelKey> {
    match serde_json::from_str(key).ok()? {
        StateKey::Global => None,
        StateKey::Model(key) => Some(key),
        StateKey::Subject(subject) | StateKey::Baseline(subject) | StateKey::Timelines(subject) => {
            Some(subject.model_key())
        }
    }
}

/// Folds the models that fall to it and holds them against the record.
struct Comparison<'a> {
    number: usize,
    shares: &'a Shares,
    replay: Replay,
    findings: u64,
    decisions: u64,
    effects: u64,
    states: BTreeMap<String, Option<Vec<u8>>>,
    difference: Option<Difference>,
}

impl<'a> Comparison<'a> {
    fn new(number: usize, shares: &'a Shares, sandbox: &Arc<Sandbox>) -> Self {
        Self {
            number,
            shares,
            replay: Replay::new(Arc::clone(sandbox)),
            findings: 0,
            decisions: 0,
            effects: 0,
            states: BTreeMap::new(),
            difference: None,
        }
    }

    fn is_mine(&self, model: Option<(&str, &str)>) -> bool {
        model.map_or(self.number == 0, |(tenant, model)| self.shares.worker_of(tenant, model) == self.number)
    }

    fn is_about_mine(&self, subject: &Subject) -> bool {
        self.is_mine(Some((&subject.tenant, &subject.model)))
    }

    /// An alert says in its body whom it is about.
    fn sends_mine(&self, effect: &Effect) -> bool {
        let about = &effect.body["alert"]["subject"];
        self.is_mine(about["tenant"].as_str().zip(about["model"].as_str()))
    }

    /// What had been recorded of its models.
    fn mine(&self, recorded: &Folded) -> Folded {
        let Folded { findings, decisions, effects } = recorded;
        Folded {
            findings: findings.iter().filter(|one| self.is_about_mine(&one.subject)).cloned().collect(),
            decisions: decisions.iter().filter(|one| self.is_about_mine(&one.subject)).cloned().collect(),
            effects: effects.iter().filter(|one| self.sends_mine(one)).cloned().collect(),
        }
    }
}

impl Worker<Folded> for Comparison<'_> {
    fn step(&mut self, batch: &Batch<Folded>, reader: &dyn Reader) -> Result<bool, PrepareError> {
        if self.difference.is_some() {
            return Ok(false);
        }
        let recorded = self.mine(&batch.recorded);
        self.replay.recall(Recorded::once(&recorded.decisions));
        for record in &batch.records {
            let model = record.entry.model();
            if model.is_none() || self.is_mine(model) {
                self.replay.step(record, reader)?;
            } else {
                self.replay.pass_over(record);
            }
        }
        let replayed = self.replay.take();
        self.findings += recorded.findings.len() as u64;
        self.decisions += recorded.decisions.len() as u64;
        self.effects += recorded.effects.len() as u64;
        self.difference = compare(&recorded, &replayed);
        for (key, bytes) in self.replay.take_states()? {
            let model = model_of(&key);
            if self.is_mine(model.as_ref().map(|model| (model.tenant.as_str(), model.model.as_str()))) {
                self.states.insert(key, bytes);
            }
        }
        Ok(self.difference.is_none())
    }
}

fn compare(recorded: &Folded, replayed: &Output) -> Option<Difference> {
    let differences = [
        first("finding", &recorded.findings, &replayed.findings, |finding| {
            (finding.position, format!("{} {}", finding.id, finding.phase.name()))
        }),
        first("decision", &bare(&recorded.decisions), &bare(&replayed.decisions), |decision| {
            (decision.position, decision.id.clone())
        }),
        first("effect", &recorded.effects, &replayed.effects, |effect| (effect.position, effect.key.clone())),
    ];
    differences.into_iter().flatten().min_by_key(|difference| difference.position)
}

fn bare(decisions: &[DecisionRecord]) -> Vec<DecisionRecord> {
    decisions.iter().map(DecisionRecord::without_measurements).collect()
}

fn first<T: PartialEq + Serialize>(
    what: &str,
    recorded: &[T],
    replayed: &[T],
    name: impl Fn(&T) -> (Position, String),
) -> Option<Difference> {
    let index =
        (0..recorded.len().max(replayed.len())).find(|index| recorded.get(*index) != replayed.get(*index))?;
    // Of two that are not at the same position, the earlier one lacks its counterpart.
    let (recorded, replayed) = match (recorded.get(index), replayed.get(index)) {
        (Some(a), Some(b)) if name(a).0 < name(b).0 => (Some(a), None),
        (Some(a), Some(b)) if name(a).0 > name(b).0 => (None, Some(b)),
        both => both,
    };
    let (of, problem) = match (recorded, replayed) {
        (Some(recorded), Some(replayed)) => (
            recorded,
            first_difference(recorded, replayed)
                .unwrap_or_else(|| "they differ in a way that JSON does not show".to_owned()),
        ),
        (Some(recorded), None) => (recorded, "it was recorded and does not come again".to_owned()),
        (None, Some(replayed)) => (replayed, "it comes now and was not recorded".to_owned()),
        (None, None) => return None,
    };
    let (position, id) = name(of);
    Some(Difference { what: what.to_owned(), position, id, problem })
}

fn compare_states(
    stored: &[(String, Vec<u8>)],
    replayed: &[(String, Vec<u8>)],
    position: Position,
) -> Option<Difference> {
    let index =
        (0..stored.len().max(replayed.len())).find(|index| stored.get(*index) != replayed.get(*index))?;
    let id = stored.get(index).or(replayed.get(index)).map(|(key, _)| key.clone()).unwrap_or_default();
    let problem = match (stored.get(index), replayed.get(index)) {
        (Some((a, _)), Some((b, _))) if a == b => "the stored state is not what the log folds to".to_owned(),
        _ => "it is stored or folded, but not both".to_owned(),
    };
    Some(Difference { what: "state".to_owned(), position, id, problem })
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::testing::finding;
    use trimtab_types::{Phase, Severity};

    #[test]
    fn the_first_difference_is_named() {
        let one = finding(Severity::High, Phase::Opened);
        let changed = trimtab_types::Finding { statistic: 2.0, ..one.clone() };
        let folded = |findings: &[&trimtab_types::Finding]| Folded {
            findings: findings.iter().map(|finding| (*finding).clone()).collect(),
            ..Folded::default()
        };
        let commit = |findings: &[&trimtab_types::Finding]| Output {
            findings: findings.iter().map(|finding| (*finding).clone()).collect(),
            ..Output::default()
        };
        let problem =
            |a: &[&_], b: &[&_]| compare(&folded(a), &commit(b)).map(|difference| difference.problem);
        assert_eq!(problem(&[&one], &[&one]), None);
        assert_eq!(problem(&[&one], &[&changed]).as_deref(), Some("`statistic` is 1.0, not 2.0"));
        assert_eq!(problem(&[&one], &[]).as_deref(), Some("it was recorded and does not come again"));
        assert_eq!(problem(&[], &[&one]).as_deref(), Some("it comes now and was not recorded"));
    }
}
