//! A replay on several threads. Logs do not depend on each other, nor do models, so each worker takes a log, or of a log
//! with a large share some of its models, and folds it with a reader of its own.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use trimtab_log::{LogError, Reader, Scope};
use trimtab_types::{ModelKey, Position, Record, Shard};

use crate::PrepareError;

/// Entries that are folded at once.
const STEP: usize = 4_096;

/// What one worker folds: a log, or some of its models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Task {
    pub(crate) shard: Shard,
    /// Up to here.
    pub(crate) end: Position,
    /// Which models; `None`: all.
    models: Option<BTreeSet<ModelKey>>,
    /// Whether it stands for the log, where several tasks share one.
    pub(crate) is_first: bool,
}

impl Task {
    /// These models of a log.
    pub(crate) fn of(shard: Shard, end: Position, models: BTreeSet<ModelKey>) -> Self {
        Self { shard, end, models: Some(models), is_first: false }
    }

    /// Whether something is folded here: what is about one of its models, or about all of them.
    pub(crate) fn folds(&self, model: Option<(&str, &str)>) -> bool {
        let Some((tenant, name)) = model else { return true };
        let is_same = |key: &ModelKey| key.tenant == tenant && key.model == name;
        self.models.as_ref().is_none_or(|models| models.iter().any(is_same))
    }
}

/// Up to where each log is folded.
pub(crate) fn ends(reader: &dyn Reader) -> Result<Vec<(Shard, Position)>, LogError> {
    let awake = reader.shards()?.into_iter().filter(|state| state.cursor > Position(0));
    Ok(awake.map(|state| (state.shard, state.cursor)).collect())
}

/// Tasks for so many workers, the longest first. `models` names those of a log. A log with more than a worker's share is
/// split by models, as far as it has several.
pub(crate) fn tasks(
    ends: &[(Shard, Position)],
    workers: usize,
    models: impl Fn(Shard) -> Result<Vec<ModelKey>, LogError>,
) -> Result<Vec<Task>, LogError> {
    let total: u64 = ends.iter().map(|(_, end)| end.0).sum();
    let share = (total / workers.max(1) as u64).max(1);
    let mut tasks = Vec::new();
    for (shard, end) in ends {
        let parts = usize::try_from(end.0.div_ceil(share)).unwrap_or(1).clamp(1, workers.max(1));
        let known = if parts > 1 { models(*shard)? } else { Vec::new() };
        let parts = parts.min(known.len()).max(1);
        let task = |models, is_first| Task { shard: *shard, end: *end, models, is_first };
        if parts == 1 {
            tasks.push(task(None, true));
            continue;
        }
        for part in 0..parts {
            let mine = known.iter().skip(part).step_by(parts).cloned().collect();
            tasks.push(task(Some(mine), part == 0));
        }
    }
    tasks.sort_by_key(|task| std::cmp::Reverse(task.end));
    Ok(tasks)
}

/// A stretch of a log.
pub(crate) struct Stretch {
    pub(crate) records: Vec<Record>,
    /// Everything up to here is in `records`, but for what no fold knows.
    pub(crate) upto: Position,
}

/// One of those who fold.
pub(crate) trait Worker {
    /// What is left of it when it is done.
    type Done: Send;
    /// After which position it begins.
    fn begins(&self) -> Position;
    /// Which entries it wants.
    fn scope(&self) -> Scope {
        Scope::All
    }
    /// Where a stretch has to end, if that comes before `end`.
    fn pauses(&self, _after: Position) -> Option<Position> {
        None
    }
    /// Takes the stretch after `from` through. False: it has seen enough, and nobody needs to go on.
    fn step(&mut self, from: Position, stretch: &Stretch, reader: &dyn Reader) -> Result<bool, PrepareError>;
    /// Everything is folded.
    fn done(self) -> Self::Done;
}

/// Deals tasks out. Returns how many entries were folded, and what is left of each task, in an order that depends on
/// nothing but the tasks. `open` opens a reader for each worker; `progress` hears how many entries of how many are done.
pub(crate) fn deal<R: Reader, W: Worker>(
    tasks: &[Task],
    workers: usize,
    open: &(dyn Fn() -> Result<R, LogError> + Sync),
    make: &(dyn Fn(&Task, &dyn Reader) -> Result<W, PrepareError> + Sync),
    progress: &mut dyn FnMut(u64, u64),
) -> Result<(u64, Vec<W::Done>), PrepareError> {
    let total = tasks.iter().map(|task| task.end.0).sum();
    let waiting = &Mutex::new(tasks.iter().enumerate());
    let enough = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (news, heard) = mpsc::channel();
        let running: Vec<_> = (0..workers.min(tasks.len()).max(1))
            .map(|_| {
                let news = news.clone();
                scope.spawn(move || -> Result<Vec<(usize, u64, W::Done)>, PrepareError> {
                    let reader = open()?;
                    let mut done = Vec::new();
                    loop {
                        let next = waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
                        let Some((number, task)) = next else { return Ok(done) };
                        let (entries, left) = fold(task, make(task, &reader)?, &reader, enough, &news)?;
                        done.push((number, entries, left));
                    }
                })
            })
            .collect();
        drop(news);
        let mut so_far = 0;
        for entries in heard {
            so_far += entries;
            progress(so_far, total);
        }
        let mut all = Vec::new();
        for worker in running {
            all.extend(worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        all.sort_by_key(|(number, ..)| *number);
        let entries = all.iter().map(|(_, entries, _)| entries).sum();
        Ok((entries, all.into_iter().map(|(.., left)| left).collect()))
    })
}

/// Takes one task through. Entries count once, where several tasks share a log.
fn fold<W: Worker>(
    task: &Task,
    mut worker: W,
    reader: &dyn Reader,
    enough: &AtomicBool,
    news: &mpsc::Sender<u64>,
) -> Result<(u64, W::Done), PrepareError> {
    let mut at = worker.begins();
    let mut entries = 0;
    // Nobody listens any more once somebody failed.
    news.send(at.0).ok();
    while at < task.end && !enough.load(Ordering::Relaxed) {
        let until = worker.pauses(at).map_or(task.end, |pause| pause.min(task.end));
        let scanned = reader.scan(task.shard, &worker.scope(), at, until, STEP)?;
        let stretch = Stretch {
            records: scanned.records.into_iter().filter_map(trimtab_log::Record::for_fold).collect(),
            upto: scanned.upto,
        };
        if stretch.upto <= at {
            break;
        }
        if !worker.step(at, &stretch, reader)? {
            enough.store(true, Ordering::Relaxed);
        }
        entries += stretch.upto.0 - at.0;
        news.send(stretch.upto.0 - at.0).ok();
        at = stretch.upto;
    }
    Ok((if task.is_first { entries } else { 0 }, worker.done()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_with_a_large_share_is_split_by_models() {
        /// Logs as (entries, models); tasks as (log, models or 0 for all), for so many workers.
        fn check(logs: &[(u64, usize)], workers: usize, expected: &[(u8, usize)]) {
            let shards: Vec<_> = Shard::all().take(logs.len()).collect();
            let ends: Vec<_> =
                shards.iter().zip(logs).map(|(shard, log)| (*shard, Position(log.0))).collect();
            let models = |shard: Shard| {
                let model = |n| ModelKey { tenant: "t".into(), model: format!("model-{n}") };
                Ok((0..logs[shard.index()].1).map(model).collect())
            };
            let tasks = tasks(&ends, workers, models).expect("deals");
            let told: Vec<_> = tasks
                .iter()
                .map(|task| (task.shard.number(), task.models.as_ref().map_or(0, BTreeSet::len)))
                .collect();
            assert_eq!(told, expected, "{logs:?} for {workers}");
            let firsts = tasks.iter().filter(|task| task.is_first).count();
            assert_eq!(firsts, logs.len(), "each log is stood for once");
        }
        check(&[(100, 4)], 1, &[(0, 0)]);
        check(&[(100, 4)], 2, &[(0, 2), (0, 2)]);
        check(&[(100, 3)], 2, &[(0, 2), (0, 1)]);
        check(&[(100, 1)], 7, &[(0, 0)]);
        check(&[(10, 5), (100, 4), (10, 5)], 2, &[(1, 2), (1, 2), (0, 0), (2, 0)]);
        check(&[(50, 5), (60, 4)], 2, &[(1, 2), (1, 2), (0, 0)]);
        check(&[], 2, &[]);
    }
}
