//! A host: the one owner of a data directory. It appends what callers send, folds the log in a thread of its own, and
//! answers from what was folded. Everything that serves or shows data goes through here.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Condvar, Mutex, PoisonError, atomic::AtomicBool, atomic::Ordering},
    thread::JoinHandle,
};

use trimtab_api::{MayTrade, PolicyCalls, PolicyProblem};
use trimtab_core::{Configuration, fold::State};
use trimtab_log::{Appended, Batch, GroupWriter, StoreError};
use trimtab_policy::Sandbox;
use trimtab_sqlite::{DirectoryLock, SqliteReader, SqliteWriter};
use trimtab_types::{Act, Change, Entry, ModelKey, OperatorAct, Position, Subject, Timestamp};

use crate::{
    HostError,
    runner::{self, Progress, Runner, Shared, lock},
    snapshot::{Board, Snapshot, Switch},
};

/// What a host needs to know.
pub struct HostOptions {
    /// The data directory.
    pub directory: PathBuf,
    /// The policies directory; nothing is loaded from one that does not exist.
    pub policies: PathBuf,
    /// The configuration.
    pub configuration: Configuration,
    /// Where policies run.
    pub sandbox: Arc<Sandbox>,
    /// Who opens it and when: noted where that puts something else in force.
    pub started: Change,
}

/// The one owner of a data directory.
pub struct Host {
    directory: PathBuf,
    pub(crate) policies_directory: PathBuf,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) problems: Mutex<Vec<PolicyProblem>>,
    /// Held while what is in force is being changed.
    pub(crate) swap: Mutex<()>,
    thread: Option<JoinHandle<()>>,
    pub(crate) writer: Arc<GroupWriter>,
    _lock: DirectoryLock,
}

impl Host {
    /// Opens a data directory: takes its lock, folds what is not folded, and puts configuration and policies in force.
    pub fn open(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions { directory, policies, configuration, sandbox, started } = options;
        std::fs::create_dir_all(&directory).map_err(|source| StoreError::Directory {
            action: "create",
            path: directory.clone(),
            source,
        })?;
        let lock = DirectoryLock::take(&directory)?;
        let writer = SqliteWriter::open(&directory)?;
        let writer = GroupWriter::start(Box::new(writer))
            .map(Arc::new)
            .map_err(|source| HostError::Thread { what: "writer", source })?;
        let reader = SqliteReader::open(&directory)?;

        let mut runner = Runner::restore(&reader, &writer, &sandbox)?;
        runner.catch_up(&reader, &writer)?;

        let position = runner.state().position;
        let board = Board::default();
        board.folded(runner.state().clone());
        let progress =
            Progress { head: position, folded: position, published: position, ..Progress::default() };
        let shared = Arc::new(Shared {
            board,
            progress: Mutex::new(progress),
            calls: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let thread = std::thread::Builder::new()
            .name("fold".into())
            .spawn({
                let (shared, writer, sandbox) =
                    (Arc::clone(&shared), Arc::clone(&writer), Arc::clone(&sandbox));
                move || runner::run(runner, &shared, &reader, &writer, &sandbox)
            })
            .map_err(|source| HostError::Thread { what: "fold", source })?;
        let host = Self {
            directory,
            policies_directory: policies,
            sandbox,
            shared,
            problems: Mutex::default(),
            swap: Mutex::default(),
            thread: Some(thread),
            writer,
            _lock: lock,
        };
        host.put_in_force(&configuration, started)?;
        Ok(host)
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A reader of its own, for questions that need not wait for anybody.
    pub fn reader(&self) -> Result<SqliteReader, StoreError> {
        SqliteReader::open(&self.directory)
    }

    /// Where policies run.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Asks for entries to be appended; `reply` is called once they are on disk.
    pub fn append(
        &self,
        entries: Vec<Entry>,
        reply: impl FnOnce(Result<Vec<Appended>, StoreError>) + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        self.writer.append(Batch::of(entries), false, move |result| {
            if let Ok(appended) = &result {
                shared.advanced(appended);
            }
            reply(result);
        });
    }

    /// Appends ahead of bulk data, and waits until it is on disk.
    pub fn append_and_wait(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, StoreError> {
        let appended = self.writer.append_and_wait(Batch::of(entries))?;
        self.shared.advanced(&appended);
        Ok(appended)
    }

    /// Notes that effects were delivered.
    pub fn delivered(&self, keys: Vec<String>, at: Timestamp) -> Result<(), StoreError> {
        self.writer.delivered(keys, at)
    }

    /// Waits until everything that was acknowledged before is folded, its results are on disk, and questions see them.
    pub fn settle(&self) -> Result<Position, HostError> {
        let mut progress = lock(&self.shared.progress);
        let target = progress.head;
        while progress.published < target {
            if progress.dead {
                let problem = progress.trouble.clone().unwrap_or_default();
                return Err(HostError::FoldStopped { position: progress.folded.0, problem });
            }
            progress = self.shared.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        Ok(target)
    }

    /// How far the log and the fold are, and what holds the fold up.
    pub fn progress(&self) -> (Position, Position, Option<String>) {
        let progress = lock(&self.shared.progress);
        (progress.head, progress.folded, progress.trouble.clone())
    }

    /// What is known now, all of one position.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.board.newest()
    }

    /// Looks at the state as it was published last. Nobody waits meanwhile.
    pub fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(self.snapshot().state())
    }

    /// Policy folders that could not be put in force.
    pub fn policy_problems(&self) -> Vec<PolicyProblem> {
        lock(&self.problems).clone()
    }

    /// Calls of policies since the host started.
    pub fn calls(&self) -> Vec<PolicyCalls> {
        lock(&self.shared.calls).counts()
    }

    /// The policies directory.
    pub fn policies_directory(&self) -> &Path {
        &self.policies_directory
    }

    /// A person stops trading, or allows it again. In effect when this returns, whatever else is waiting.
    pub fn kill_switch(
        &self,
        model: Option<ModelKey>,
        on: bool,
        actor: String,
        reason: String,
        at: Timestamp,
    ) -> Result<Position, HostError> {
        let act = Act::KillSwitch { model: model.clone(), on };
        let note = format!("{actor}: {reason}");
        let entry = Entry::OperatorAct(OperatorAct { actor, at, act, reason });
        let appended = self.writer.append_and_wait(Batch::of(vec![entry]))?;
        let position = appended.first().map_or(Position(0), |appended| appended.position());
        self.shared.board.switched(Switch { position, model, on, note });
        self.shared.advanced(&appended);
        Ok(position)
    }

    /// A person does something. It is on disk when this returns.
    pub fn act(&self, act: Act, actor: String, reason: String, at: Timestamp) -> Result<Position, HostError> {
        let entry = Entry::OperatorAct(OperatorAct { actor, at, act, reason });
        let appended = self.append_and_wait(vec![entry])?;
        Ok(appended.first().map_or(Position(0), |appended| appended.position()))
    }

    /// The subjects of a model that have been seen.
    pub fn subjects_of(&self, key: &ModelKey) -> Vec<Subject> {
        self.with_state(|state| {
            state
                .subjects
                .keys()
                .filter(|subject| subject.tenant == key.tenant && subject.model == key.model)
                .cloned()
                .collect()
        })
    }

    /// "May I trade, and how much?" Answers no for what nobody has heard of.
    pub fn may_trade(&self, key: &ModelKey) -> MayTrade {
        self.snapshot().may_trade(key)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // Under the lock that the fold thread waits with, or it could miss the news between looking and waiting.
        let progress = lock(&self.shared.progress);
        self.shared.stop.store(true, Ordering::Release);
        self.shared.changed.notify_all();
        drop(progress);
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
