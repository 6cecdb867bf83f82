//! `verify`: folds the whole log again from nothing, asks the recorded policies again, and compares everything with what
//! was recorded: findings, decisions, effects and, at the end, the state.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use trimtab_core::{decide::Output, fold::State};
use trimtab_log::{Folded, Reader, first_difference};
use trimtab_policy::Sandbox;
use trimtab_types::{DecisionRecord, Position};

use crate::{
    PrepareError,
    again::{Recorded, Replay},
};

/// Entries that are folded between two comparisons.
const STEP: usize = 4_096;

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

/// Replays everything that is folded. `progress` hears how many entries of how many are done.
pub fn verify(
    reader: &dyn Reader,
    sandbox: &Arc<Sandbox>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, PrepareError> {
    let (end, format, stored) = reader.folded_state()?;
    let mut replay = Replay::new(Arc::clone(sandbox));
    let mut report =
        Report { entries: 0, findings: 0, decisions: 0, effects: 0, states: 0, difference: None };
    let mut states = std::collections::BTreeMap::new();
    let mut at = Position(0);
    while at < end && report.difference.is_none() {
        let records = reader.scan(at, STEP)?;
        let records: Vec<_> = records.into_iter().take_while(|record| record.position <= end).collect();
        let Some(last) = records.last().map(|record| record.position) else { break };
        let recorded = reader.folded(at, last)?;
        replay.recall(Recorded::once(&recorded.decisions));
        for record in &records {
            replay.step(record, reader)?;
        }
        let replayed = replay.take();
        report.entries += records.len() as u64;
        report.findings += recorded.findings.len() as u64;
        report.decisions += recorded.decisions.len() as u64;
        report.effects += recorded.effects.len() as u64;
        report.difference = compare(&recorded, &replayed);
        states.extend(replay.take_states()?);
        at = last;
        progress(at.0, end.0);
    }
    if report.difference.is_none() && format == State::FORMAT {
        report.states = stored.len() as u64;
        let replayed: Vec<_> =
            states.into_iter().filter_map(|(key, bytes)| bytes.map(|bytes| (key, bytes))).collect();
        report.difference = compare_states(&stored, &replayed, end);
    }
    Ok(report)
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
