//! Dry runs: folds the stored log again with something else in force and says which decisions would have been others.
//! Nothing is written and nothing happens: what would be committed is compared and dropped. What is compared is a moment:
//! all that was decided about one subject at one position.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use trimtab_core::{decide::Heard, fold::State};
use trimtab_log::{LogError, Reader, Scope, decision_of, effect_of, moment_of};
use trimtab_policy::{GivenSettings, Sandbox};
use trimtab_types::{
    DecisionRecord, Digest, DigestBuilder, Entry, Mode, ModelKey, Moment, Place, PolicyInForce, Position,
    Record, Shard, Timestamp,
};

use crate::{
    PrepareError, Standing,
    again::{Recorded, Replay},
    compared::{Compared, Comparison},
    deal::{Stretch, Task, Worker, deal, ends, tasks},
    diff::{Diff, messages},
    instant::Instant,
    overlay::Overlay,
    parts::{Folded, Part, Share},
    period::Period,
    prepare::{At, Contents},
    remarks::Parts,
    restore,
    told::Told,
};

/// Changes that are looked at at once.
const STEP: usize = 1_024;

/// What a dry run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Log entries that were gone through.
    pub entries: u64,
    /// Moments that were told from the record, without rows.
    pub instant: u64,
    /// How the decisions differ.
    pub diff: Diff,
    /// Questions that were put to what was tried out.
    pub asked: u64,
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
    /// Folds the rows also where what was lived would do.
    pub fold: bool,
}

/// Tries it out on all logs, as [`part`] does, and reports.
pub fn dry_run<R: Reader>(
    open: &(dyn Fn() -> Result<R, LogError> + Sync),
    asked: &Asked<'_>,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, PrepareError> {
    Ok(part(open, asked, Share::ALL, progress)?.report())
}

/// Tries something out on the logs of a share, up to where they are folded. A candidate that watches as was recorded reads
/// what was lived, from the newest checkpoint before the period on; only of models where that is not enough the rows are
/// folded. One that watches otherwise folds everything from the beginning, because detectors have a past.
///
/// `open` opens a reader for each worker; `progress` hears how many entries of how many are done.
pub fn part<R: Reader>(
    open: &(dyn Fn() -> Result<R, LogError> + Sync),
    asked: &Asked<'_>,
    share: Share,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Part, PrepareError> {
    let Asked { sandbox, overlay, period, title, workers, fold } = *asked;
    let reader = open()?;
    let mut heads = ends(&reader)?;
    let history = history(&heads);
    heads.retain(|(shard, _)| share.has(*shard));
    if let Some((tenant, model)) = period.tenant.as_ref().zip(period.model.as_ref()) {
        heads.retain(|(shard, _)| *shard == Shard::of(tenant, model));
    }
    let mut watches = BTreeSet::new();
    for (shard, end) in &heads {
        if watches_otherwise(overlay, *shard, *end, &reader)? {
            watches.insert(*shard);
        }
    }
    let trying = |task: &Task, apart: bool, reader: &dyn Reader| {
        Trying::new(task, sandbox, overlay, (period, watches.contains(&task.shard)), apart, reader)
    };
    let mut folded = Folded {
        history,
        entries: 0,
        instant: 0,
        diff: Diff::default(),
        took_part: Parts::default(),
        recorded: Stands::recorded(&reader, sandbox)?,
        tried: None,
    };
    let (by_rows, by_record): (Vec<_>, Vec<_>) =
        heads.iter().partition(|(shard, _)| fold || watches.contains(shard));
    let mut rows = tasks(&by_rows, workers, |shard| reader.models(shard))?;
    let whole = tasks(&by_record, 1, |_| Ok(Vec::new()))?;
    let make = |task: &Task, reader: &dyn Reader| Ok(Instant::new(trying(task, true, reader)?));
    let (entries, lived) = deal(&whole, workers, open, &make, progress)?;
    folded.entries += entries;
    for (task, (tried, models)) in whole.iter().zip(lived) {
        folded.instant += tried.compared.diff.total.all();
        folded.add(tried);
        if !models.is_empty() {
            rows.push(Task::of(task.shard, task.end, models));
        }
    }
    let make = |task: &Task, reader: &dyn Reader| Ok(Trial(trying(task, false, reader)?));
    let (entries, tried) = deal(&rows, workers, open, &make, progress)?;
    folded.entries += entries;
    tried.into_iter().for_each(|tried| folded.add(tried));
    Ok(Part::new(share, overlay.digest(), title.to_owned(), period.clone(), folded))
}

/// Names a history by how far each of its logs is folded.
fn history(ends: &[(Shard, Position)]) -> Digest {
    let named = DigestBuilder::new("history");
    ends.iter().fold(named, |named, (shard, end)| named.number(shard.number().into()).number(end.0)).finish()
}

/// Whether a candidate watches some model of a log otherwise than some configuration did that was in force there. Then
/// other findings may arise.
fn watches_otherwise(
    overlay: &Overlay,
    shard: Shard,
    end: Position,
    reader: &dyn Reader,
) -> Result<bool, PrepareError> {
    let Some(candidate) = &overlay.configuration else { return Ok(false) };
    let models = reader.models(shard)?;
    let mut at = Position(0);
    while at < end {
        let scanned = reader.scan(shard, &Scope::Changes, at, end, STEP)?;
        for record in scanned.records.into_iter().filter_map(trimtab_log::Record::for_fold) {
            let Entry::Configuration(digest) = &record.entry else { continue };
            let contents = Contents { reader, at: At::Place(Place { shard, position: record.position }) };
            if !contents.configuration(digest)?.watches_as(candidate, &models) {
                return Ok(true);
            }
        }
        if scanned.upto <= at {
            break;
        }
        at = scanned.upto;
    }
    Ok(false)
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

/// One task with something else in force, from the beginning of the period on.
pub(crate) struct Trying<'a> {
    pub(crate) task: Task,
    pub(crate) begins: Position,
    pub(crate) replay: Replay,
    pub(crate) comparison: Comparison<'a>,
    overlay: &'a Arc<Overlay>,
    period: &'a Period,
    /// From when on it is tried out, where it is not tried out yet.
    waits: Option<Timestamp>,
}

/// What a task comes to.
pub(crate) struct Tried {
    pub(crate) compared: Compared,
    pub(crate) stands: Stands,
}

impl<'a> Trying<'a> {
    /// `watches`: whether the candidate may change findings, so that it counts from the beginning. `apart`: results are
    /// kept by model.
    fn new(
        task: &Task,
        sandbox: &Arc<Sandbox>,
        overlay: &'a Arc<Overlay>,
        (period, watches): (&'a Period, bool),
        apart: bool,
        reader: &dyn Reader,
    ) -> Result<Self, PrepareError> {
        let shard = task.shard;
        let waits = period.since.filter(|_| !watches);
        let known = match waits {
            Some(since) => restore::before(reader, shard, |header| header.at < since)?,
            None => None,
        };
        let begins = known.as_ref().map_or(Position(0), |state| state.position);
        let replay = match known {
            Some(state) => Replay::resume(shard, state, Arc::clone(sandbox), reader)?,
            None => Replay::new(shard, Arc::clone(sandbox)),
        };
        let tried = overlay.packages().iter().map(|package| package.name.clone()).collect();
        let comparison = Comparison::new(period, tried, apart);
        let mut trying = Self { task: task.clone(), begins, replay, comparison, overlay, period, waits };
        if waits.is_none() {
            trying.try_out(begins, &Told::all(), reader)?;
        }
        Ok(trying)
    }

    /// Whether a model is asked about.
    pub(crate) fn wants(&self, model: &ModelKey) -> bool {
        self.period.tenant.as_ref().is_none_or(|tenant| *tenant == model.tenant)
            && self.period.model.as_ref().is_none_or(|name| *name == model.model)
            && self.task.folds(Some((&model.tenant, &model.model)))
    }

    /// Where, among these, the candidate begins to count: with the first moment, or entry that is no row, of its time. So it
    /// is told without rows.
    pub(crate) fn begins_trying<'m>(
        &self,
        records: &[Record],
        lived: impl Iterator<Item = &'m Moment>,
    ) -> Option<Position> {
        let since = self.waits?;
        let is_event = |record: &&Record| !matches!(record.entry, Entry::Prediction(_) | Entry::Outcome(_));
        let events = records.iter().filter(is_event);
        let events = events.filter(|record| record.entry.time().is_some_and(|at| at >= since));
        let moments = lived.filter(|moment| moment.at >= since).map(|moment| moment.position);
        events.map(|record| record.position).chain(moments).min()
    }

    /// What is taken from the record over the next stretch.
    pub(crate) fn recall(&mut self, recorded: &[DecisionRecord]) {
        let recorded = if self.waits.is_none() { Recorded::once(recorded) } else { Recorded::all(recorded) };
        self.replay.recall(recorded);
    }

    /// From behind this position on the candidate counts.
    pub(crate) fn try_out(
        &mut self,
        behind: Position,
        told: &Told,
        reader: &dyn Reader,
    ) -> Result<(), PrepareError> {
        self.waits = None;
        self.replay.passed(behind);
        self.replay.try_out(Arc::clone(self.overlay), told, reader)
    }

    /// Compares everything up to a position, of those models that count here and are wanted.
    pub(crate) fn settle(&mut self, upto: Position, wanted: impl Fn(&ModelKey) -> bool) {
        let Self { task, comparison, replay, .. } = self;
        let mine = |model: &ModelKey| task.folds(Some((&model.tenant, &model.model))) && wanted(model);
        comparison.settle(upto, replay, mine);
    }

    pub(crate) fn done(self) -> Tried {
        let left_aside = self.overlay.mode_left_aside(&self.replay.state().configuration);
        Tried { compared: self.comparison.done(), stands: Stands::of(&self.replay, left_aside) }
    }
}

/// The messages that were recorded over a stretch of a log.
pub(crate) fn sent(
    shard: Shard,
    from: Position,
    upto: Position,
    reader: &dyn Reader,
) -> Result<Vec<(Position, Heard)>, PrepareError> {
    let stored = reader.effected(shard, from, upto)?;
    let effects: Vec<_> = stored.iter().map(effect_of).collect::<Result<_, _>>()?;
    Ok(messages(&effects))
}

/// Folds the rows of a task.
struct Trial<'a>(Trying<'a>);

impl Worker for Trial<'_> {
    type Done = Tried;

    fn begins(&self) -> Position {
        self.0.begins
    }

    fn step(&mut self, from: Position, stretch: &Stretch, reader: &dyn Reader) -> Result<bool, PrepareError> {
        let Self(trying) = self;
        let shard = trying.task.shard;
        let recorded: Vec<DecisionRecord> = reader
            .decided(shard, from, stretch.upto)?
            .iter()
            .map(|stored| decision_of(shard, &stored.decision))
            .collect::<Result<_, _>>()?;
        let sent = sent(shard, from, stretch.upto, reader)?;
        trying.comparison.expect(recorded.iter().cloned(), sent);
        trying.recall(&recorded);
        let mut begins = None;
        if trying.waits.is_some() {
            let lived = reader.lived(shard, from, stretch.upto)?;
            let lived: Vec<Moment> =
                lived.iter().map(|stored| moment_of(shard, &stored.moment)).collect::<Result<_, _>>()?;
            begins = trying.begins_trying(&stretch.records, lived.iter());
        }
        for record in &stretch.records {
            let before = Position(record.position.0.saturating_sub(1));
            if begins == Some(record.position) {
                trying.settle(before, |_| true);
                trying.try_out(before, &Told::all(), reader)?;
                trying.replay.recall(Recorded::once(&recorded));
            }
            // What is compared stands under one configuration and one set of policies.
            let switches = matches!(record.entry, Entry::Configuration(_) | Entry::PolicySet(_));
            if switches {
                trying.settle(before, |_| true);
            }
            if trying.task.folds(record.entry.model()) {
                trying.replay.step(record, reader)?;
            }
            if switches {
                trying.settle(record.position, |_| true);
            }
        }
        trying.replay.passed(stretch.upto);
        trying.settle(stretch.upto, |_| true);
        // A dry run keeps no state.
        trying.replay.forget_touched();
        Ok(true)
    }

    fn done(self) -> Tried {
        self.0.done()
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
