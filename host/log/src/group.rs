//! The writer thread: gathers what many callers want written into shared, durable transactions.

use std::{
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use trimtab_types::Timestamp;

use crate::{
    Appended, Batch, FoldCommit, StoreError, Transaction, Writer,
    lanes::{Lanes, Weighs},
};

/// Called once, when what was asked for is on disk or has failed.
type Reply<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

enum Command {
    Append(Batch, Reply<Vec<Appended>>),
    Fold(Box<FoldCommit>, Reply<()>),
    Delivered(Vec<String>, Timestamp, Reply<()>),
    Forget(u32, Reply<()>),
}

impl Weighs for Command {
    fn size(&self) -> usize {
        match self {
            Self::Append(batch, _) => batch.entries.len(),
            Self::Fold(..) | Self::Delivered(..) | Self::Forget(..) => 1,
        }
    }
}

/// A handle on the writer thread. The thread ends, with its queue written, when the last handle is dropped.
pub struct GroupWriter {
    queue: Arc<Lanes<Command>>,
    thread: Option<JoinHandle<()>>,
}

impl GroupWriter {
    /// Starts the thread.
    pub fn start(writer: Box<dyn Writer>) -> std::io::Result<Self> {
        let queue = Arc::new(Lanes::default());
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
        if let Err((command, error)) = self.queue.push(command, urgent) {
            match command {
                Command::Append(_, reply) => reply(Err(error)),
                Command::Fold(_, reply) | Command::Delivered(_, _, reply) | Command::Forget(_, reply) => {
                    reply(Err(error));
                }
            }
        }
    }
}

impl Drop for GroupWriter {
    fn drop(&mut self) {
        self.queue.close();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

fn run(mut writer: Box<dyn Writer>, queue: &Lanes<Command>) {
    while let Some(group) = queue.next_group() {
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
