//! A replay on several threads. Models do not depend on each other, so each worker folds the models that fall to it and
//! lets the others' records pass; one reader scans the log for all of them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use trimtab_log::{Reader, StoreError};
use trimtab_types::{ModelKey, Position, Record};

use crate::PrepareError;

/// Entries that are dealt at once.
const STEP: usize = 4_096;
/// Batches that wait for a worker.
const AHEAD: usize = 4;

/// Which worker folds which model. In turns, and not by a hash, which would leave workers idle where there are few models.
pub(crate) struct Shares(BTreeMap<String, BTreeMap<String, usize>>);

impl Shares {
    pub(crate) fn of<'a>(models: impl Iterator<Item = &'a ModelKey>, workers: usize) -> Self {
        let mut shares: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for (n, ModelKey { tenant, model }) in models.enumerate() {
            shares.entry(tenant.clone()).or_default().insert(model.clone(), n % workers);
        }
        Self(shares)
    }

    /// Whoever is new falls to the first.
    pub(crate) fn worker_of(&self, tenant: &str, model: &str) -> usize {
        self.0.get(tenant).and_then(|models| models.get(model)).copied().unwrap_or(0)
    }
}

/// A stretch of the log with what had been recorded over it.
pub(crate) struct Batch<T> {
    pub(crate) records: Vec<Record>,
    pub(crate) recorded: T,
}

/// One of those who fold.
pub(crate) trait Worker<T>: Sized {
    /// Takes a stretch through. False: it has seen enough, and nobody needs to go on.
    fn step(&mut self, batch: &Batch<T>, reader: &dyn Reader) -> Result<bool, PrepareError>;
}

/// Everything that dealing needs to know.
pub(crate) struct Deal<'a, R, T> {
    /// Opens a reader for each worker.
    pub(crate) open: &'a (dyn Fn() -> Result<R, StoreError> + Sync),
    /// Reads what had been recorded after one position and up to another.
    pub(crate) recorded: &'a dyn Fn(&R, Position, Position) -> Result<T, StoreError>,
    /// The last position that is dealt.
    pub(crate) end: Position,
    pub(crate) workers: usize,
}

impl<R: Reader, T: Send + Sync> Deal<'_, R, T> {
    /// Deals the log to workers. Returns how many entries there were, and the workers in their order. `progress` hears how
    /// many entries of how many are done.
    pub(crate) fn run<W: Worker<T> + Send>(
        &self,
        make: &(dyn Fn(usize, &dyn Reader) -> Result<W, PrepareError> + Sync),
        progress: &mut dyn FnMut(u64, u64),
    ) -> Result<(u64, Vec<W>), PrepareError> {
        let reader = (self.open)()?;
        let enough = &AtomicBool::new(false);
        std::thread::scope(|scope| {
            let (lanes, running): (Vec<_>, Vec<_>) = (0..self.workers)
                .map(|number| {
                    let (lane, batches) = mpsc::sync_channel::<Arc<Batch<T>>>(AHEAD);
                    let open = self.open;
                    let work = move || -> Result<W, PrepareError> {
                        let reader = open()?;
                        let mut worker = make(number, &reader)?;
                        for batch in batches {
                            if !worker.step(&batch, &reader)? {
                                enough.store(true, Ordering::Relaxed);
                            }
                        }
                        Ok(worker)
                    };
                    (lane, scope.spawn(work))
                })
                .unzip();
            let mut entries = 0;
            let mut at = Position(0);
            while at < self.end && !enough.load(Ordering::Relaxed) {
                let mut records = reader.scan(at, STEP)?;
                records.retain(|record| record.position <= self.end);
                let Some(last) = records.last().map(|record| record.position) else { break };
                entries += records.len() as u64;
                let recorded = (self.recorded)(&reader, at, last)?;
                let batch = Arc::new(Batch { records, recorded });
                // A worker that is gone has an error to tell, below.
                if lanes.iter().any(|lane| lane.send(Arc::clone(&batch)).is_err()) {
                    break;
                }
                at = last;
                progress(at.0, self.end.0);
            }
            drop(lanes);
            let workers = running
                .into_iter()
                .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
            Ok((entries, workers.collect::<Result<_, _>>()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_dealt_to_workers_in_turns() {
        let models: Vec<_> =
            (0..6).map(|n| ModelKey { tenant: "t".into(), model: format!("model-{n}") }).collect();
        for workers in 1..=4 {
            let shares = Shares::of(models.iter(), workers);
            let mut counts = vec![0; workers];
            for ModelKey { tenant, model } in &models {
                counts[shares.worker_of(tenant, model)] += 1;
            }
            let (least, most) = (counts.iter().min(), counts.iter().max());
            assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{counts:?}");
            assert_eq!(shares.worker_of("t", "nobody"), 0, "whoever is new falls to somebody");
        }
    }
}
