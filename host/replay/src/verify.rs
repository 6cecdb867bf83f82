//! `verify`: folds all logs again from nothing, asks the recorded policies again, and compares everything with what was
//! recorded: findings, decisions, effects, the chain of what builds recorded, and the state at each checkpoint. Reported by
//! build, because a build with other rules may decide otherwise, and what was decided stays as it was recorded.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use trimtab_core::{
    decide::Output,
    fold::{State, StateKey},
};
use trimtab_log::{
    Checkpoint, Folded, LogError, Outputs, Reader, Stretch as Decided, chain, first_difference,
};
use trimtab_policy::Sandbox;
use trimtab_types::{DecisionRecord, Digest, Effect, Finding, Moment, Place, Position, Shard, Subject};

use crate::{
    PrepareError,
    again::{Recorded, Replay},
    deal::{Stretch, Task, Worker, deal, ends, tasks},
};

/// What `verify` found.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// Entries that were folded again: all up to the cursors.
    pub entries: u64,
    /// Findings compared.
    pub findings: u64,
    /// Decisions compared.
    pub decisions: u64,
    /// Effects compared.
    pub effects: u64,
    /// Parts of states compared, at checkpoints.
    pub states: u64,
    /// By build, in the order in which they came.
    pub builds: Vec<Build>,
    /// The first difference of what the rules of this build decided, or of the chain; `None`: identical.
    pub difference: Option<Difference>,
}

/// What one build recorded, held against what comes again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Build {
    /// Version and commit.
    pub build: String,
    /// Its rules; those of this build are [`State::RULES`].
    pub rules: u32,
    /// Entries that it folded.
    pub entries: u64,
    /// Decisions that it recorded.
    pub decisions: u64,
    /// How many differences there are.
    pub differences: u64,
    /// The first of them.
    pub first: Option<Difference>,
}

/// Where replay and record part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// `finding`, `decision`, `effect`, `chain` or `state`.
    pub what: String,
    /// Where.
    pub place: Place,
    /// Which one: an id or key.
    pub id: String,
    /// The first field that differs, with both values; or which side lacks it.
    pub problem: String,
}

/// Replays everything that is folded. `open` opens a reader for each worker; `progress` hears how many entries of how many
/// are done. The report is the same for any number of workers.
pub fn verify<R: Reader>(
    open: &(dyn Fn() -> Result<R, LogError> + Sync),
    sandbox: &Arc<Sandbox>,
    workers: usize,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, PrepareError> {
    let reader = open()?;
    let ends = ends(&reader)?;
    let tasks = tasks(&ends, workers, |shard| reader.models(shard))?;
    let make = |task: &Task, reader: &dyn Reader| Comparison::new(task, sandbox, reader);
    let (entries, compared) = deal(&tasks, workers, open, &make, progress)?;
    let mut report = Report { entries, ..Report::default() };
    for one in compared {
        report.findings += one.findings;
        report.decisions += one.decisions;
        report.effects += one.effects;
        report.states += one.states;
        report.difference = earlier(report.difference.take(), one.difference);
        for build in one.builds {
            report.add(build);
        }
    }
    report.builds.sort_by(|a, b| (a.rules, &a.build).cmp(&(b.rules, &b.build)));
    Ok(report)
}

impl Report {
    fn add(&mut self, other: Build) {
        let same = |known: &&mut Build| known.build == other.build && known.rules == other.rules;
        match self.builds.iter_mut().find(same) {
            Some(known) => {
                known.entries += other.entries;
                known.decisions += other.decisions;
                known.differences += other.differences;
                known.first = earlier(known.first.take(), other.first);
            }
            None => self.builds.push(other),
        }
    }
}

/// The one whose place comes first.
fn earlier(one: Option<Difference>, other: Option<Difference>) -> Option<Difference> {
    [one, other].into_iter().flatten().min_by_key(|difference| difference.place)
}

/// Holds what one task folds against the record.
struct Comparison<'a> {
    task: Task,
    sandbox: &'a Arc<Sandbox>,
    replay: Replay,
    /// What builds decided, oldest first.
    decided: Vec<Decided>,
    checkpoints: Vec<Checkpoint>,
    /// Parts that changed, as they were last.
    parts: BTreeMap<StateKey, Vec<u8>>,
    chained: Option<Digest>,
    told: Told,
}

/// What a task comes to.
#[derive(Default)]
struct Told {
    findings: u64,
    decisions: u64,
    effects: u64,
    states: u64,
    builds: Vec<Build>,
    difference: Option<Difference>,
}

impl<'a> Comparison<'a> {
    fn new(task: &Task, sandbox: &'a Arc<Sandbox>, reader: &dyn Reader) -> Result<Self, PrepareError> {
        Ok(Self {
            task: task.clone(),
            sandbox,
            replay: Replay::new(task.shard, Arc::clone(sandbox)),
            decided: reader.stretches(task.shard)?,
            checkpoints: reader.checkpoints(task.shard)?,
            parts: BTreeMap::new(),
            chained: None,
            told: Told::default(),
        })
    }

    fn is_about_mine(&self, subject: &Subject) -> bool {
        self.task.folds(Some((&subject.tenant, &subject.model)))
    }

    /// An alert says in its body whom it is about.
    fn sends_mine(&self, effect: &Effect) -> bool {
        let about = &effect.body["alert"]["subject"];
        self.task.folds(about["tenant"].as_str().zip(about["model"].as_str()))
    }

    /// What had been recorded of its models.
    fn mine(&self, recorded: Folded) -> Folded {
        let Folded { mut moments, mut decisions, mut effects } = recorded;
        moments.retain(|one| self.task.folds(one.about.model()));
        decisions.retain(|one| self.is_about_mine(&one.subject));
        effects.retain(|one| self.sends_mine(one));
        Folded { moments, decisions, effects }
    }

    /// Who decided what comes after a position.
    fn build_after(&self, position: Position) -> Option<&Decided> {
        self.decided.iter().find(|decided| decided.to > position)
    }

    fn chain(&mut self, outputs: &Outputs, upto: Position) {
        let shard = self.task.shard;
        let hash = chain(
            self.chained,
            shard,
            outputs.moments.iter().map(|stored| &stored.moment),
            outputs.decisions.iter().map(|stored| &stored.decision),
            outputs.effects.iter().map(|stored| &stored.effect),
        );
        self.chained = Some(hash);
        let broken = self.decided.iter().find(|decided| decided.to == upto && decided.hash != hash);
        if let Some(decided) = broken {
            let difference = Difference {
                what: "chain".to_owned(),
                place: Place { shard, position: upto },
                id: decided.build.clone(),
                problem: "what is recorded is not what was recorded: rows were changed, added or lost"
                    .to_owned(),
            };
            self.told.difference = earlier(self.told.difference.take(), Some(difference));
        }
    }

    /// Holds the state against a checkpoint.
    fn check(&mut self, position: Position, reader: &dyn Reader) -> Result<Option<Difference>, PrepareError> {
        let shard = self.task.shard;
        // One that is dropped meanwhile has nothing to say.
        for part in reader.parts(shard, position)?.unwrap_or_default() {
            let Some(key) = StateKey::from_name(part.key.about, part.key.part) else { continue };
            let is_mine = match key.model() {
                Some(model) => self.task.folds(Some((&model.tenant, &model.model))),
                None => self.task.is_first,
            };
            if !is_mine || part.format != State::FORMAT {
                continue;
            }
            self.told.states += 1;
            if self.parts.get(&key) != Some(&part.bytes) {
                return Ok(Some(Difference {
                    what: "state".to_owned(),
                    place: Place { shard, position },
                    id: key.to_string(),
                    problem: "the stored state is not what the log folds to".to_owned(),
                }));
            }
        }
        Ok(None)
    }

    /// Goes on from what a build of other rules knew, where it left a checkpoint.
    fn take_over(&mut self, position: Position, reader: &dyn Reader) -> Result<(), PrepareError> {
        let here = |checkpoint: &Checkpoint| checkpoint.position == position;
        if let Some(mut state) = crate::restore::before(reader, self.task.shard, here)? {
            state.touch_all();
            self.replay = Replay::resume(self.task.shard, state, Arc::clone(self.sandbox), reader)?;
        }
        Ok(())
    }
}

impl Worker for Comparison<'_> {
    type Done = Told;

    fn begins(&self) -> Position {
        Position(0)
    }

    fn pauses(&self, after: Position) -> Option<Position> {
        let checkpoints = self.checkpoints.iter().map(|checkpoint| checkpoint.position);
        let builds = self.decided.iter().map(|decided| decided.to);
        checkpoints.chain(builds).filter(|position| *position > after).min()
    }

    fn step(&mut self, from: Position, stretch: &Stretch, reader: &dyn Reader) -> Result<bool, PrepareError> {
        let (shard, upto) = (self.task.shard, stretch.upto);
        let outputs = reader.outputs(shard, from, upto)?;
        if self.task.is_first {
            self.chain(&outputs, upto);
        }
        let recorded = self.mine(outputs.folded(shard)?);
        let (build, rules) = match self.build_after(from) {
            Some(decided) => (decided.build.clone(), decided.rules),
            None => (String::new(), State::RULES),
        };
        let is_own = rules == State::RULES;
        self.replay.recall(if is_own {
            Recorded::once(&recorded.decisions)
        } else {
            Recorded::all(&recorded.decisions)
        });
        for record in &stretch.records {
            if self.task.folds(record.entry.model()) {
                self.replay.step(record, reader)?;
            }
        }
        self.replay.passed(upto);
        let replayed = self.replay.take();
        self.parts.extend(self.replay.take_states()?);
        let (differences, mut first) = compare(shard, &recorded, &replayed);
        if is_own && first.is_none() && self.checkpoints.iter().any(|checkpoint| checkpoint.position == upto)
        {
            first = self.check(upto, reader)?;
        }
        let told = &mut self.told;
        told.findings += recorded.findings().count() as u64;
        told.decisions += recorded.decisions.len() as u64;
        told.effects += recorded.effects.len() as u64;
        told.builds.push(Build {
            build,
            rules,
            entries: if self.task.is_first { upto.0 - from.0 } else { 0 },
            decisions: recorded.decisions.len() as u64,
            differences: differences.max(u64::from(first.is_some())),
            first: first.clone(),
        });
        if is_own {
            told.difference = earlier(told.difference.take(), first);
        } else if self.build_after(upto).is_none_or(|next| next.rules != rules) {
            self.take_over(upto, reader)?;
        }
        Ok(true)
    }

    fn done(self) -> Told {
        self.told
    }
}

/// The first difference of what one log recorded and what comes again.
pub(crate) fn difference(shard: Shard, recorded: &Folded, replayed: &Output) -> Option<Difference> {
    compare(shard, recorded, replayed).1
}

/// How many differences there are, and the first of them.
fn compare(shard: Shard, recorded: &Folded, replayed: &Output) -> (u64, Option<Difference>) {
    let place = |position| Place { shard, position };
    let findings: [Vec<&Finding>; 2] = [recorded.findings().collect(), replayed.findings().collect()];
    let findings = differences("finding", &findings[0], &findings[1], |finding| {
        (place(finding.position), format!("{} {}", finding.id, finding.phase.name()))
    });
    let facts = |moments: &[Moment]| -> Vec<Moment> {
        moments.iter().map(|moment| Moment { findings: Vec::new(), ..moment.clone() }).collect()
    };
    let moments = differences("moment", &facts(&recorded.moments), &facts(&replayed.moments), |moment| {
        (place(moment.position), format!("{:?} of {:?}", moment.kind, moment.about))
    });
    let decisions =
        differences("decision", &bare(&recorded.decisions), &bare(&replayed.decisions), |decision| {
            (place(decision.position), decision.id.clone())
        });
    let effects = differences("effect", &recorded.effects, &replayed.effects, |effect| {
        (place(effect.position), effect.key.clone())
    });
    let all = [findings, moments, decisions, effects];
    let count = all.iter().map(|(count, _)| count).sum();
    (count, all.into_iter().filter_map(|(_, first)| first).min_by_key(|difference| difference.place))
}

fn bare(decisions: &[DecisionRecord]) -> Vec<DecisionRecord> {
    decisions.iter().map(DecisionRecord::without_measurements).collect()
}

/// How many are on one side only or not the same on both, and the first of them. Both sides come in order of place.
fn differences<T: PartialEq + Serialize>(
    what: &str,
    recorded: &[T],
    replayed: &[T],
    name: impl Fn(&T) -> (Place, String),
) -> (u64, Option<Difference>) {
    let (mut recorded, mut replayed) = (recorded.iter().peekable(), replayed.iter().peekable());
    let (mut count, mut first) = (0, None);
    loop {
        // Of two that are not at the same place, the earlier one lacks its counterpart.
        let (of, problem) = match (recorded.peek(), replayed.peek()) {
            (None, None) => return (count, first),
            (Some(a), Some(b)) if a == b => {
                recorded.next();
                replayed.next();
                continue;
            }
            (Some(a), Some(b)) if name(a).0 == name(b).0 => {
                let problem = first_difference(*a, *b)
                    .unwrap_or_else(|| "they differ in a way that JSON does not show".to_owned());
                replayed.next();
                (recorded.next(), problem)
            }
            (Some(a), Some(b)) if name(a).0 > name(b).0 => {
                (replayed.next(), "it comes now and was not recorded".to_owned())
            }
            (None, Some(_)) => (replayed.next(), "it comes now and was not recorded".to_owned()),
            (Some(_), _) => (recorded.next(), "it was recorded and does not come again".to_owned()),
        };
        count += 1;
        if let Some(of) = of.filter(|_| first.is_none()) {
            let (place, id) = name(of);
            first = Some(Difference { what: what.to_owned(), place, id, problem });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::testing::finding;
    use trimtab_types::{About, Facts, MomentKind, Phase, Severity};

    #[test]
    fn the_first_difference_is_named() {
        let one = finding(Severity::High, Phase::Opened);
        let changed = Finding { statistic: 2.0, ..one.clone() };
        let moments = |findings: &[&Finding]| -> Vec<Moment> {
            let moment = |finding: &&Finding| Moment {
                position: finding.position,
                about: About::Subject(finding.subject.clone()),
                kind: MomentKind::Found,
                at: finding.at,
                facts: Facts::default(),
                findings: vec![(*finding).clone()],
            };
            findings.iter().map(moment).collect()
        };
        let folded = |findings: &[&_]| Folded { moments: moments(findings), ..Folded::default() };
        let commit = |findings: &[&_]| Output { moments: moments(findings), ..Output::default() };
        let shard = one.subject.model_key().shard();
        let problem = |a: &[&_], b: &[&_]| {
            difference(shard, &folded(a), &commit(b)).map(|difference| difference.problem)
        };
        assert_eq!(problem(&[&one], &[&one]), None);
        assert_eq!(problem(&[&one], &[&changed]).as_deref(), Some("`statistic` is 1.0, not 2.0"));
        assert_eq!(problem(&[&one], &[]).as_deref(), Some("it was recorded and does not come again"));
        assert_eq!(problem(&[], &[&one]).as_deref(), Some("it comes now and was not recorded"));
    }
}
