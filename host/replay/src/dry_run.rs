//! Dry runs: folds the stored log again with something else in force and says which decisions would have been others.
//! Nothing is written and nothing happens: what would be committed is compared and dropped. What is compared is a moment:
//! all that was decided about one subject at one position.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use trimtab_core::fold::State;
use trimtab_log::{LogError, Reader, decision_of};
use trimtab_policy::{GivenSettings, Sandbox};
use trimtab_types::{DecisionRecord, Mode, PolicyInForce, Position, Shard, Timestamp};

use crate::{
    PrepareError, Standing,
    again::{Recorded, Replay},
    deal::{Stretch, Task, Worker, deal, ends, tasks},
    diff::{Diff, Side},
    overlay::Overlay,
    parts::{Folded, Part, Share},
    period::Period,
    remarks::Parts,
    restore,
};

/// What a dry run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Log entries that were folded.
    pub entries: u64,
    /// How the decisions differ.
    pub diff: Diff,
    /// Settings that differ between what was in force at the end and what was tried out, of policies that are in both.
    pub settings: Vec<SettingChange>,
    /// What to know of the policies that were tried out, in sentences.
    pub remarks: Vec<String>,
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingChange {
    /// Of which policy.
    pub policy: String,
    /// Which.
    pub key: String,
    /// As it was in force; `None`: there was none.
    pub recorded: Option<serde_json::Value>,
    /// As it was tried out.
    pub candidate: Option<serde_json::Value>,
}

/// What a dry run needs to know.
pub struct Asked<'a> {
    /// Where policies run.
    pub sandbox: &'a Arc<Sandbox>,
    /// What is tried out.
    pub overlay: &'a Arc<Overlay>,
    /// Which decisions are compared.
    pub period: &'a Period,
    /// What is tried out, in words.
    pub title: &'a str,
    /// Threads that fold.
    pub workers: usize,
}

/// Folds all logs, as [`part`] does, and reports.
pub fn dry_run<R: Reader>(
    open: &(dyn Fn() -> Result<R, LogError> + Sync),
    asked: &Asked<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, PrepareError> {
    Ok(part(open, asked, Share::ALL, progress)?.report())
}

/// Folds the logs of a share up to where they are folded, with `overlay` in force: from the beginning if it may change
/// findings, because detectors have a past, and otherwise from the beginning of the period, before which everything is as
/// recorded. There it begins with the newest checkpoint before the period.
///
/// `open` opens a reader for each worker; `progress` hears how many entries of how many are done.
pub fn part<R: Reader>(
    open: &(dyn Fn() -> Result<R, LogError> + Sync),
    asked: &Asked<'_>,
    share: Share,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Part, PrepareError> {
    let Asked { sandbox, overlay, period, title, workers } = *asked;
    let reader = open()?;
    let mut heads = ends(&reader)?;
    heads.retain(|(shard, _)| share.has(*shard));
    if let Some((tenant, model)) = period.tenant.as_ref().zip(period.model.as_ref()) {
        heads.retain(|(shard, _)| *shard == Shard::of(tenant, model));
    }
    let tasks = tasks(&heads, workers, |shard| reader.models(shard))?;
    let make = |task: &Task, reader: &dyn Reader| Trial::new(task, sandbox, overlay, period, reader);
    let (entries, tried) = deal(&tasks, workers, open, &make, progress)?;
    let mut folded = Folded {
        heads,
        entries,
        diff: Diff::default(),
        took_part: Parts::default(),
        recorded: Stands::recorded(&reader, sandbox)?,
        tried: None,
    };
    for trial in tried {
        folded.diff.merge(trial.diff);
        folded.took_part.merge(trial.parts);
        folded.tried = folded.tried.or(Some(trial.stands));
    }
    Ok(Part::new(share, overlay.digest(), title.to_owned(), period.clone(), folded))
}

/// How policies stand where a fold ends.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Stands {
    pub(crate) policies: Vec<PolicyInForce>,
    /// Settings of the policies that can be loaded.
    settings: BTreeMap<String, GivenSettings>,
    /// The mode that a policy which is tried out alone does not have here.
    pub(crate) left_aside: Option<Mode>,
}

impl Stands {
    fn of(replay: &Replay, left_aside: Option<Mode>) -> Self {
        let policies = replay.in_force().cloned().collect();
        Self { policies, settings: replay.settings_in_force(), left_aside }
    }

    /// What is in force.
    fn recorded(reader: &dyn Reader, sandbox: &Arc<Sandbox>) -> Result<Self, PrepareError> {
        let standing = Standing::read(reader)?;
        let mut state = State::default();
        (state.configuration_digest, state.policies) = (standing.configuration_digest, standing.policies);
        // Of whichever log: what is in force is in force for all.
        let any = Shard::of("", "");
        Ok(Self::of(&Replay::resume(any, state, Arc::clone(sandbox), reader)?, None))
    }

    fn has(&self, name: &str) -> bool {
        self.policies.iter().any(|entry| entry.policy.name == name)
    }
}

/// Folds one task with something else in force.
struct Trial<'a> {
    task: Task,
    begins: Position,
    replay: Replay,
    overlay: &'a Arc<Overlay>,
    trying: bool,
    /// The newest time of any entry of the log so far.
    newest: Option<Timestamp>,
    period: &'a Period,
    diff: Diff,
    parts: Parts,
}

/// What a task comes to.
struct Tried {
    diff: Diff,
    parts: Parts,
    stands: Stands,
}

impl<'a> Trial<'a> {
    fn new(
        task: &Task,
        sandbox: &Arc<Sandbox>,
        overlay: &'a Arc<Overlay>,
        period: &'a Period,
        reader: &dyn Reader,
    ) -> Result<Self, PrepareError> {
        let shard = task.shard;
        let since = period.since.filter(|_| !overlay.changes_findings());
        let known = match since {
            Some(since) => restore::before(reader, shard, |header| header.at < since)?,
            None => None,
        };
        let begins = known.as_ref().map_or(Position(0), |state| state.position);
        let replay = match known {
            Some(state) => Replay::resume(shard, state, Arc::clone(sandbox), reader)?,
            None => Replay::new(shard, Arc::clone(sandbox)),
        };
        let parts = Parts::of(overlay.packages().iter().map(|package| &package.name));
        let (task, diff) = (task.clone(), Diff::default());
        let mut trial =
            Self { task, begins, replay, overlay, trying: false, newest: None, period, diff, parts };
        if since.is_none() {
            trial.try_out(reader)?;
        }
        Ok(trial)
    }

    fn try_out(&mut self, reader: &dyn Reader) -> Result<(), PrepareError> {
        self.trying = true;
        self.replay.try_out(Arc::clone(self.overlay), reader)
    }

    fn is_compared(&self, decision: &DecisionRecord) -> bool {
        self.period.is_about(decision)
            && self.task.folds(Some((&decision.subject.tenant, &decision.subject.model)))
    }
}

impl Worker for Trial<'_> {
    type Done = Tried;

    fn begins(&self) -> Position {
        self.begins
    }

    fn step(&mut self, from: Position, stretch: &Stretch, reader: &dyn Reader) -> Result<bool, PrepareError> {
        let shard = self.task.shard;
        let stored = reader.decided(shard, from, stretch.upto)?;
        let recorded: Vec<DecisionRecord> =
            stored.iter().map(|stored| decision_of(shard, &stored.decision)).collect::<Result<_, _>>()?;
        self.replay.recall(if self.trying { Recorded::once(&recorded) } else { Recorded::all(&recorded) });
        for record in &stretch.records {
            // By all entries of the log, also of models that others fold: each task of a log begins at the same place.
            self.newest = self.newest.max(record.entry.time());
            let begins = self.period.since.is_some_and(|since| self.newest.is_some_and(|at| at >= since));
            if !self.trying && begins {
                self.try_out(reader)?;
                self.replay.recall(Recorded::once(&recorded));
            }
            if self.task.folds(record.entry.model()) {
                self.replay.step(record, reader)?;
            }
        }
        self.replay.passed(stretch.upto);
        let decided = self.replay.take().decisions;
        // A dry run keeps no state.
        self.replay.forget_touched();
        let messages = self.replay.writes_alerts();
        let recorded: Vec<_> = recorded.iter().filter(|decision| self.is_compared(decision)).collect();
        let candidate: Vec<_> = decided.iter().filter(|decision| self.is_compared(decision)).collect();
        for decision in &candidate {
            self.parts.count(decision, |policy, finding| self.replay.applies_to(policy, finding));
        }
        let candidate = Side::enforced(candidate, messages).under(self.replay.other_tables());
        self.diff.compare(&Side::enforced(recorded, messages), &candidate);
        Ok(true)
    }

    fn done(self) -> Tried {
        let left_aside = self.overlay.mode_left_aside(&self.replay.state().configuration);
        Tried { diff: self.diff, parts: self.parts, stands: Stands::of(&self.replay, left_aside) }
    }
}

/// Where the records do not show why a version answers otherwise, its settings do.
pub(crate) fn explain(diff: &mut Diff, settings: &[SettingChange]) {
    let value = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or("not there".to_owned(), ToString::to_string)
    };
    for example in diff.examples.iter_mut().filter(|example| example.why.is_empty()) {
        let decides = |name: &str| {
            example
                .candidate
                .iter()
                .any(|said| said.policy.as_ref().is_some_and(|policy| policy.name == name))
        };
        let changed: Vec<_> = settings
            .iter()
            .filter(|change| decides(&change.policy))
            .map(|change| {
                let (now, before) = (value(&change.candidate), value(&change.recorded));
                format!("`{}` is {now}, not {before}", change.key)
            })
            .collect();
        if !changed.is_empty() {
            example.why.push(format!(
                "asked the same and having read the same, with other settings: {}",
                changed.join(", ")
            ));
        }
    }
}

/// Settings that differ at the end of the log. Of a policy that one of the two does not have, the policy is the news.
pub(crate) fn settings(recorded: &Stands, candidate: &Stands) -> Vec<SettingChange> {
    type Settings = BTreeMap<(String, String), serde_json::Value>;
    let of = |stands: &Stands| -> Settings {
        let policies = stands.settings.iter();
        policies
            .flat_map(|(policy, settings)| {
                settings.iter().map(|(key, value)| ((policy.clone(), key.clone()), value.clone()))
            })
            .collect()
    };
    let in_both = |key: &&(String, String)| recorded.has(&key.0) && candidate.has(&key.0);
    let (before, now) = (of(recorded), of(candidate));
    let keys: BTreeSet<_> = before.keys().chain(now.keys()).filter(in_both).collect();
    let (recorded, candidate) = (&before, &now);
    keys.into_iter()
        .filter(|key| recorded.get(*key) != candidate.get(*key))
        .map(|key| SettingChange {
            policy: key.0.clone(),
            key: key.1.clone(),
            recorded: recorded.get(key).cloned(),
            candidate: candidate.get(key).cloned(),
        })
        .collect()
}
