//! The writer thread of the 64 logs: gathers what many callers want written into shared, durable transactions.

use std::{
    sync::{Arc, mpsc},
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
    use trimtab_types::{Position, Shard, Timestamp};

    use super::*;
    use crate::{Entry, MemoryLogs, Reader};

    fn tick(seconds: u64) -> Entry {
        trimtab_types::Entry::Tick(Timestamp::EPOCH.plus(seconds)).into()
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
