//! The writer thread of the 64 logs: gathers what many callers want written into shared, durable transactions.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
};

use crate::{
    Appended, Attempt, Batch, Checkpoint, Claim, FoldCommit, Lease, LogError, Part, Transaction, Writer,
    lanes::{Lanes, Weighs},
};

/// Which lane a batch takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Acts that must not wait behind bulk data.
    Urgent,
    /// Everything else.
    Bulk,
}

/// A handle on the writer thread. The thread ends, with its queue written, when the last handle is dropped.
pub struct Log {
    lanes: Arc<Lanes<Command>>,
    thread: Option<JoinHandle<()>>,
}

/// Batches that belong together, in their order: once one of them is refused, none of those after it is written. Those of
/// one series go to the log one after the other.
#[derive(Debug, Clone, Default)]
pub struct Series {
    is_broken: Arc<AtomicBool>,
}

/// A batch on its way to the log, whose caller waits where the queue is full.
pub struct Append(Command);

impl Append {
    /// A batch of a series; `reply` is called once it is on disk.
    pub fn new(
        batch: Batch,
        series: &Series,
        reply: impl FnOnce(Result<Vec<Appended>, LogError>) + Send + 'static,
    ) -> Self {
        let size = batch.entries.len();
        let (before, after) = (Arc::clone(&series.is_broken), Arc::clone(&series.is_broken));
        let work = move |transaction: &mut dyn Transaction| {
            if before.load(Ordering::Acquire) {
                return Err(LogError::Stopped);
            }
            let appended = transaction.append(&batch);
            // Others of the series may follow in this very transaction.
            before.store(appended.is_err(), Ordering::Release);
            appended
        };
        // Where the transaction failed as a whole, this is known before the next begins.
        let reply = move |result: Result<Vec<Appended>, LogError>| {
            if result.is_err() {
                after.store(true, Ordering::Release);
            }
            reply(result);
        };
        Self(Command::new(size, work, reply))
    }
}

/// One thing to write, and who is told.
struct Command {
    size: usize,
    take: Box<dyn FnOnce(Turn<'_>) -> Option<Answer> + Send>,
}

/// What comes of a command that waited.
enum Turn<'a> {
    /// It is written now.
    Write(&'a mut dyn Transaction),
    /// It is not written.
    Refused(LogError),
}

/// Tells the caller, once the transaction is on disk or has failed.
type Answer = Box<dyn FnOnce(Option<LogError>) + Send>;

impl Weighs for Command {
    fn size(&self) -> usize {
        self.size
    }
}

impl Command {
    fn new<T: Send + 'static>(
        size: usize,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, LogError> + Send + 'static,
        reply: impl FnOnce(Result<T, LogError>) + Send + 'static,
    ) -> Self {
        let take = move |turn: Turn<'_>| -> Option<Answer> {
            match turn {
                Turn::Write(transaction) => {
                    let result = work(transaction);
                    Some(Box::new(move |failed: Option<LogError>| reply(failed.map_or(result, Err))))
                }
                Turn::Refused(error) => {
                    reply(Err(error));
                    None
                }
            }
        };
        Self { size, take: Box::new(take) }
    }
}

impl Log {
    /// Starts the thread.
    pub fn start(mut writer: Box<dyn Writer>) -> std::io::Result<Self> {
        let lanes = Arc::new(Lanes::default());
        let thread = std::thread::Builder::new().name("writer".into()).spawn({
            let lanes = Arc::clone(&lanes);
            move || {
                while let Some(group) = lanes.next_group() {
                    write(writer.as_mut(), group);
                }
            }
        })?;
        Ok(Self { lanes, thread: Some(thread) })
    }

    /// Asks for a batch to be appended; `reply` is called once it is on disk.
    pub fn append(
        &self,
        batch: Batch,
        lane: Lane,
        reply: impl FnOnce(Result<Vec<Appended>, LogError>) + Send + 'static,
    ) {
        let size = batch.entries.len();
        self.submit(Command::new(size, move |transaction| transaction.append(&batch), reply), lane);
    }

    /// Takes a batch, or gives it back where the queue is full.
    ///
    /// # Errors
    /// The batch, for another try.
    pub fn offer(&self, Append(command): Append) -> Result<(), Append> {
        match self.lanes.push(command, false) {
            Ok(()) => Ok(()),
            Err((command, LogError::Busy)) => Err(Append(command)),
            Err((command, error)) => {
                (command.take)(Turn::Refused(error));
                Ok(())
            }
        }
    }

    /// Appends and waits.
    pub fn append_and_wait(&self, batch: Batch, lane: Lane) -> Result<Vec<Appended>, LogError> {
        let size = batch.entries.len();
        self.wait(size, lane, move |transaction| transaction.append(&batch))
    }

    /// Takes shards, except those that another owner has, and waits.
    pub fn claim(&self, claim: Claim) -> Result<Vec<Lease>, LogError> {
        self.wait(1, Lane::Urgent, move |transaction| transaction.claim(&claim))
    }

    /// Records steps of folds, each of another shard, and waits. Each stands by itself; the first that fails is reported.
    pub fn commit(&self, commits: Vec<FoldCommit>) -> Result<(), LogError> {
        self.wait(1, Lane::Urgent, move |transaction| {
            let results: Vec<_> = commits.iter().map(|commit| transaction.commit(commit)).collect();
            results.into_iter().collect()
        })
    }

    /// Keeps parts of a checkpoint that is under way, and waits. They count once its header is there.
    pub fn parts(&self, parts: Vec<Part>) -> Result<(), LogError> {
        self.wait(1, Lane::Bulk, move |transaction| transaction.parts(&parts))
    }

    /// Keeps the header of a checkpoint, with which it is complete, and waits.
    pub fn checkpoint(&self, checkpoint: Checkpoint) -> Result<(), LogError> {
        self.wait(1, Lane::Bulk, move |transaction| transaction.checkpoint(&checkpoint))
    }

    /// Records tries to carry out effects and waits. Each stands by itself; the first that fails is reported.
    pub fn attempts(&self, attempts: Vec<Attempt>) -> Result<(), LogError> {
        self.wait(1, Lane::Urgent, move |transaction| {
            let results: Vec<_> = attempts.iter().map(|attempt| transaction.attempt(attempt)).collect();
            results.into_iter().collect()
        })
    }

    fn wait<T: Send + 'static>(
        &self,
        size: usize,
        lane: Lane,
        work: impl FnOnce(&mut dyn Transaction) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let reply = move |result| {
            sender.send(result).ok();
        };
        self.submit(Command::new(size, work, reply), lane);
        receiver.recv().unwrap_or(Err(LogError::Stopped))
    }

    fn submit(&self, command: Command, lane: Lane) {
        if let Err((command, error)) = self.lanes.push(command, lane == Lane::Urgent) {
            (command.take)(Turn::Refused(error));
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.lanes.close();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

/// Writes one group in one transaction and answers everybody afterwards: nobody hears "done" before it is on disk.
fn write(writer: &mut dyn Writer, group: Vec<Command>) {
    let mut answers: Vec<Answer> = Vec::with_capacity(group.len());
    let mut group = Some(group);
    let committed = writer.transaction(&mut |transaction| {
        for command in group.take().into_iter().flatten() {
            answers.extend((command.take)(Turn::Write(transaction)));
        }
    });
    let error = committed.err();
    let repeated = || error.as_ref().map(LogError::repeated);
    // Before the transaction began, nobody was asked; they still need an answer.
    for command in group.take().into_iter().flatten() {
        (command.take)(Turn::Refused(repeated().unwrap_or(LogError::Stopped)));
    }
    for answer in answers {
        answer(repeated());
    }
}

#[cfg(test)]
mod tests {
    use trimtab_types::{Actual, Outcome, Position, Shard, Timestamp};

    use super::*;
    use crate::{Entry, MemoryLogs, Reader};

    fn tick(seconds: u64) -> Entry {
        trimtab_types::Entry::Tick(Timestamp::EPOCH.plus(seconds)).into()
    }

    fn outcome(id: u64, label: i64) -> Entry {
        Entry::from(trimtab_types::Entry::Outcome(Outcome {
            tenant: "t".into(),
            model: "m".into(),
            id: id.to_string(),
            time: Timestamp::EPOCH.plus(id),
            actual: Some(Actual::Label(label)),
            exit_price: None,
            pnl: None,
            correction: false,
        }))
    }

    #[test]
    fn everybody_is_answered_and_what_was_taken_is_finished() {
        let logs = MemoryLogs::default();
        let log = Log::start(Box::new(logs.clone())).expect("starts");
        let (sender, receiver) = mpsc::channel();
        for n in 0..100 {
            let sender = sender.clone();
            log.append(Batch::of(vec![tick(n)]), Lane::Bulk, move |result| {
                sender.send(result.is_ok()).expect("somebody listens");
            });
        }
        let claim = Claim {
            shards: Shard::all().collect(),
            owner: "a".into(),
            build: "test".into(),
            rules: 1,
            now: Timestamp::EPOCH,
            until: Timestamp::EPOCH.plus(1),
        };
        let leases = log.claim(claim).expect("claims");
        assert_eq!(leases.len(), Shard::COUNT);
        let stale = FoldCommit::of(leases[0].shard, 9, Position(0), Position(0));
        assert!(matches!(log.commit(vec![stale]), Err(LogError::Stale { .. })));
        log.commit(vec![FoldCommit::of(leases[0].shard, 1, Position(0), Position(0))]).expect("commits");
        drop(log);
        drop(sender);
        assert_eq!(receiver.iter().filter(|kept| *kept).count(), 100);
        assert_eq!(logs.shards().expect("reads").len(), Shard::COUNT);
    }

    /// A batch that contradicts itself is refused. Nothing after it is written, in the same transaction or in a later one, and
    /// other series go on.
    #[test]
    fn after_a_refused_batch_nothing_of_its_series_is_written() {
        let logs = MemoryLogs::default();
        let log = Log::start(Box::new(logs.clone())).expect("starts");
        let (series, other) = (Series::default(), Series::default());
        let (sender, receiver) = mpsc::channel();
        let offer = |name: &'static str, series: &Series, seconds: u64, labels: [i64; 2]| {
            let sender = sender.clone();
            let entries = labels.map(|label| outcome(seconds, label)).to_vec();
            let append = Append::new(Batch::of(entries), series, move |result| {
                sender.send((name, result.is_ok())).expect("somebody listens");
            });
            assert!(log.offer(append).is_ok(), "there is room");
        };
        offer("first", &series, 1, [1, 1]);
        offer("conflict", &series, 2, [0, 1]);
        offer("later", &series, 3, [1, 1]);
        offer("other", &other, 4, [1, 1]);
        let heard: Vec<_> = receiver.iter().take(4).collect();
        assert_eq!(heard, [("first", true), ("conflict", false), ("later", false), ("other", true)]);
        offer("much later", &series, 5, [1, 1]);
        assert_eq!(receiver.recv(), Ok(("much later", false)));
        drop(log);
        let shard = Shard::of("t", "m");
        let all = logs.scan(shard, &crate::Scope::All, Position(0), Position(u64::MAX), 100).expect("reads");
        assert_eq!(all.records.len(), 2, "of the first and of the other, once each");
    }

    /// A writer whose transactions never begin, or never end well.
    struct Broken {
        begins: bool,
    }

    impl Writer for Broken {
        fn transaction(&mut self, work: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), LogError> {
            if self.begins {
                MemoryLogs::default().transaction(work)?;
            }
            Err(LogError::Full)
        }
    }

    #[test]
    fn nobody_hears_done_when_the_transaction_failed() {
        for begins in [false, true] {
            let log = Log::start(Box::new(Broken { begins })).expect("starts");
            let result = log.append_and_wait(Batch::of(vec![tick(1)]), Lane::Bulk);
            assert!(matches!(result, Err(LogError::Full)), "{begins}: {result:?}");
        }
    }
}
