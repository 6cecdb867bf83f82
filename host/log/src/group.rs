//! The writer thread: gathers what many callers want written into shared, durable transactions.
//!
//! Callers wait in a bounded queue; a full one answers [`StoreError::Busy`] at once. Acts that must not wait behind bulk
//! data (the kill switch, the fold's own commits) have a lane of their own, which is always emptied first.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread::JoinHandle,
};

use trimtab_types::Timestamp;

use crate::{Appended, Batch, FoldCommit, StoreError, Transaction, Writer};

/// Commands that wait in one lane at most.
const LANE: usize = 256;
/// Entries that wait in one lane at most, unless a single batch is larger.
const LANE_ENTRIES: usize = 131_072;
/// Entries of one shared transaction at most, unless a single batch is larger.
const GROUP: usize = 8_192;

/// Called once, when what was asked for is on disk or has failed.
type Reply<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

enum Command {
    Append(Batch, Reply<Vec<Appended>>),
    Fold(Box<FoldCommit>, Reply<()>),
    Delivered(Vec<String>, Timestamp, Reply<()>),
    Forget(u32, Reply<()>),
}

impl Command {
    fn size(&self) -> usize {
        match self {
            Self::Append(batch, _) => batch.entries.len(),
            Self::Fold(..) | Self::Delivered(..) | Self::Forget(..) => 1,
        }
    }
}

#[derive(Default)]
struct Lanes {
    urgent: Lane,
    bulk: Lane,
    closed: bool,
}

#[derive(Default)]
struct Lane {
    commands: VecDeque<Command>,
    entries: usize,
}

impl Lane {
    fn has_room_for(&self, command: &Command) -> bool {
        let fits = self.entries + command.size() <= LANE_ENTRIES;
        self.commands.is_empty() || (fits && self.commands.len() < LANE)
    }

    fn push(&mut self, command: Command) {
        self.entries += command.size();
        self.commands.push_back(command);
    }

    fn pop(&mut self) -> Option<Command> {
        let command = self.commands.pop_front()?;
        self.entries -= command.size();
        Some(command)
    }
}

impl Lanes {
    fn next_group(&mut self) -> Vec<Command> {
        let (mut group, mut size) = (Vec::new(), 0);
        while let Some(command) = self.urgent.pop().or_else(|| self.bulk.pop()) {
            size += command.size();
            group.push(command);
            if size >= GROUP {
                break;
            }
        }
        group
    }
}

#[derive(Default)]
struct Queue {
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A handle on the writer thread. The thread ends, with its queue written, when the last handle is dropped.
pub struct GroupWriter {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

impl GroupWriter {
    /// Starts the thread.
    pub fn start(writer: Box<dyn Writer>) -> std::io::Result<Self> {
        let queue = Arc::new(Queue::default());
        let thread = std::thread::Builder::new().name("writer".into()).spawn({
            let queue = Arc::clone(&queue);
            move || run(writer, &queue)
        })?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Asks for a batch to be appended; `reply` is called once it is on disk. `urgent` goes ahead of bulk data.
    pub fn append(
        &self,
        batch: Batch,
        urgent: bool,
        reply: impl FnOnce(Result<Vec<Appended>, StoreError>) + Send + 'static,
    ) {
        self.submit(Command::Append(batch, Box::new(reply)), urgent);
    }

    /// Appends and waits.
    pub fn append_and_wait(&self, batch: Batch) -> Result<Vec<Appended>, StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.append(batch, true, move |result| {
            sender.send(result).ok();
        });
        receiver.recv().unwrap_or(Err(StoreError::Stopped))
    }

    /// Records a step of the fold and waits.
    pub fn commit_fold(&self, commit: FoldCommit) -> Result<(), StoreError> {
        self.urgently(|reply| Command::Fold(Box::new(commit), reply))
    }

    /// Notes that effects were delivered, and waits.
    pub fn delivered(&self, keys: Vec<String>, at: Timestamp) -> Result<(), StoreError> {
        self.urgently(|reply| Command::Delivered(keys, at, reply))
    }

    /// Forgets what was folded, and waits.
    pub fn forget_fold(&self, state_format: u32) -> Result<(), StoreError> {
        self.urgently(|reply| Command::Forget(state_format, reply))
    }

    fn urgently(&self, command: impl FnOnce(Reply<()>) -> Command) -> Result<(), StoreError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        let reply: Reply<()> = Box::new(move |result| {
            sender.send(result).ok();
        });
        self.submit(command(reply), true);
        receiver.recv().unwrap_or(Err(StoreError::Stopped))
    }

    fn submit(&self, command: Command, urgent: bool) {
        let mut lanes = self.queue.lock();
        let refusal = if lanes.closed {
            Some(StoreError::Stopped)
        } else if !(if urgent { &lanes.urgent } else { &lanes.bulk }).has_room_for(&command) {
            Some(StoreError::Busy)
        } else {
            None
        };
        match refusal {
            Some(error) => {
                drop(lanes);
                match command {
                    Command::Append(_, reply) => reply(Err(error)),
                    Command::Fold(_, reply) | Command::Delivered(_, _, reply) | Command::Forget(_, reply) => {
                        reply(Err(error));
                    }
                }
            }
            None => {
                if urgent { &mut lanes.urgent } else { &mut lanes.bulk }.push(command);
                drop(lanes);
                self.queue.changed.notify_one();
            }
        }
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(mut writer: Box<dyn Writer>, queue: &Queue) {
    loop {
        let mut lanes = queue.lock();
        while lanes.urgent.commands.is_empty() && lanes.bulk.commands.is_empty() {
            if lanes.closed {
                return;
            }
            lanes = queue.changed.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
        let group = lanes.next_group();
        drop(lanes);
        write(writer.as_mut(), group);
    }
}

/// Writes one group in one transaction and answers everybody afterwards: nobody hears "done" before it is on disk.
fn write(writer: &mut dyn Writer, group: Vec<Command>) {
    let mut answers: Vec<Box<dyn FnOnce(Option<StoreError>) + Send>> = Vec::with_capacity(group.len());
    let mut group = Some(group);
    let committed = writer.transaction(&mut |transaction| {
        for command in group.take().into_iter().flatten() {
            answers.push(apply(transaction, command));
        }
    });
    // Before the transaction began, nobody was asked; they still need an answer.
    let error = committed.err();
    for command in group.take().into_iter().flatten() {
        answers.push(unapplied(command));
    }
    for answer in answers {
        answer(error.as_ref().map(StoreError::repeated));
    }
}

fn apply(transaction: &mut dyn Transaction, command: Command) -> Box<dyn FnOnce(Option<StoreError>) + Send> {
    fn answer<T: Send + 'static>(
        result: Result<T, StoreError>,
        reply: Reply<T>,
    ) -> Box<dyn FnOnce(Option<StoreError>) + Send> {
        Box::new(move |failed| {
            reply(match failed {
                None => result,
                Some(error) => Err(error),
            });
        })
    }
    match command {
        Command::Append(batch, reply) => answer(transaction.append(&batch), reply),
        Command::Fold(commit, reply) => answer(transaction.commit_fold(&commit), reply),
        Command::Delivered(keys, at, reply) => {
            answer(keys.iter().try_for_each(|key| transaction.delivered(key, at)), reply)
        }
        Command::Forget(format, reply) => answer(transaction.forget_fold(format), reply),
    }
}

fn unapplied(command: Command) -> Box<dyn FnOnce(Option<StoreError>) + Send> {
    Box::new(move |failed| {
        let error = failed.unwrap_or(StoreError::Stopped);
        match command {
            Command::Append(_, reply) => reply(Err(error)),
            Command::Fold(_, reply) | Command::Delivered(_, _, reply) | Command::Forget(_, reply) => {
                reply(Err(error))
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A writer that says when it is asked, and stands still until it is let go.
    struct Stuck {
        asked: mpsc::Sender<()>,
        go: mpsc::Receiver<()>,
    }

    impl Writer for Stuck {
        fn transaction(&mut self, _: &mut dyn FnMut(&mut dyn Transaction)) -> Result<(), StoreError> {
            self.asked.send(()).ok();
            self.go.recv().ok();
            Err(StoreError::Full)
        }
    }

    #[test]
    fn a_full_queue_says_so_at_once_and_urgent_acts_have_a_lane_of_their_own() {
        let (asked, was_asked) = mpsc::channel();
        let (go, wait) = mpsc::channel();
        let group = GroupWriter::start(Box::new(Stuck { asked, go: wait })).expect("starts");
        let (sender, receiver) = mpsc::channel();
        let append = |urgent: bool| {
            let sender = sender.clone();
            group.append(Batch::default(), urgent, move |result| {
                sender.send(matches!(result, Err(StoreError::Busy))).expect("somebody listens");
            });
        };
        // The writer stands still with the first; 256 wait.
        append(false);
        was_asked.recv().expect("the writer is asked");
        (0..300).for_each(|_| append(false));
        let busy = receiver.try_iter().filter(|busy| *busy).count();
        append(true);
        let refused = receiver.try_iter().count();
        // Let go before anything is held against anything: a failure must not leave the writer standing.
        drop(go);
        assert_eq!(busy, 44);
        assert_eq!(refused, 0, "the urgent one was taken");
        drop(group);
        drop(sender);
        assert_eq!(
            receiver.iter().filter(|busy| !busy).count(),
            301 - busy + 1,
            "all others failed with the writer"
        );
    }
}
