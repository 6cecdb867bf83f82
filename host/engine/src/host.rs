//! A host: the one owner of a data directory. It appends what callers send, folds the log in a thread of its own, and
//! answers from what was folded. Everything that serves or shows data goes through here.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use trimtab_policy::Sandbox;
use trimtab_store::{
    Appended, Batch, DirectoryLock, GroupWriter, Reader, SqliteReader, SqliteWriter, StoreError,
};
use trimtab_types::{
    Act, Change, DecisionRecord, Digest, Entry, ModelKey, OperatorAct, PolicyInForce, Position, Subject,
    Timestamp,
};

use crate::{
    Configuration, Pipeline, PipelineError, PolicyCalls,
    calls::CallCounter,
    config::ConfigError,
    fold::{BadState, State},
    policies::{self, PolicyProblem, PolicyVersion},
    trade::{Desk, MayTrade, Switch},
};

/// Records that are folded before their results are committed.
const STEP: usize = 2_048;
/// How long the fold waits before it tries again after a failed commit.
const RETRY: Duration = Duration::from_millis(500);

/// Why a host cannot be opened or cannot do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The pipe stopped.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// Stored state is unusable.
    #[error(transparent)]
    State(#[from] BadState),
    /// The configuration is unusable.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The operator's settings of a policy are unusable.
    #[error("[policies.{policy}] in the configuration: {problem}")]
    PolicySettings {
        /// Which policy.
        policy: String,
        /// What is wrong, with key and fix.
        problem: String,
    },
    /// There is and was no such policy.
    #[error("there is no policy `{name}` and never was; `trimtab policy list` shows those in force")]
    NoSuchPolicy {
        /// Its name.
        name: String,
    },
    /// A policy has no other version to go back to.
    #[error(
        "policy `{name}` has no version {wanted}; `trimtab policy history {name}` shows those that were in force"
    )]
    NoSuchVersion {
        /// The policy.
        name: String,
        /// Which was wanted, in words.
        wanted: String,
    },
    /// A version that is to be gone back to is in force.
    #[error("version {version} of policy `{name}` is in force already; nothing changed")]
    InForceAlready {
        /// The policy.
        name: String,
        /// Which version.
        version: String,
    },
    /// An earlier version cannot be loaded any more.
    #[error("the earlier version cannot be put in force: {problem}")]
    EarlierVersion {
        /// Why.
        problem: String,
    },
    /// The operator does not let a version in.
    #[error(transparent)]
    Provenance(#[from] trimtab_policy::ProvenanceError),
    /// The policies directory cannot be read.
    #[error(transparent)]
    Policies(#[from] trimtab_policy::PackageError),
    /// A thread cannot be started.
    #[error("cannot start the {what} thread: {source}")]
    Thread {
        /// Which.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// The caller asked for something that cannot be.
    #[error(transparent)]
    Invalid(#[from] trimtab_types::Invalid),
    /// The fold has stopped for good.
    #[error("the fold has stopped at position {position}: {problem}")]
    FoldStopped {
        /// Where.
        position: u64,
        /// Why.
        problem: String,
    },
}

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

/// What going back led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RolledBack {
    /// What is in force.
    #[serde(flatten)]
    pub policy: PolicyInForce,
    /// The version in the policies directory that is held back until it changes.
    pub held: Option<Digest>,
}

struct Shared {
    pipeline: Mutex<Pipeline>,
    desk: Mutex<Desk>,
    progress: Mutex<Progress>,
    calls: Mutex<CallCounter>,
    changed: Condvar,
    stop: AtomicBool,
}

#[derive(Debug, Default)]
struct Progress {
    /// The newest position that was acknowledged.
    head: Position,
    /// The newest position whose results are on disk.
    folded: Position,
    /// Why the fold stands still, if it does.
    trouble: Option<String>,
    /// Whether it has given up.
    dead: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The one owner of a data directory.
pub struct Host {
    directory: PathBuf,
    policies_directory: PathBuf,
    sandbox: Arc<Sandbox>,
    shared: Arc<Shared>,
    problems: Mutex<Vec<PolicyProblem>>,
    /// Held while what is in force is being changed.
    swap: Mutex<()>,
    thread: Option<JoinHandle<()>>,
    writer: Arc<GroupWriter>,
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

        let mut pipeline = restore(&reader, &writer, &sandbox)?;
        fold_all(&mut pipeline, &reader, &writer)?;

        let position = pipeline.state().position;
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk::of(pipeline.state())),
            pipeline: Mutex::new(pipeline),
            progress: Mutex::new(Progress { head: position, folded: position, ..Progress::default() }),
            calls: Mutex::default(),
            changed: Condvar::new(),
            stop: AtomicBool::new(false),
        });
        let thread = std::thread::Builder::new()
            .name("fold".into())
            .spawn({
                let (shared, writer, sandbox) =
                    (Arc::clone(&shared), Arc::clone(&writer), Arc::clone(&sandbox));
                move || run_fold(&shared, reader, &writer, &sandbox)
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

    /// Waits until everything that was acknowledged before is folded and its results are on disk.
    pub fn settle(&self) -> Result<Position, HostError> {
        let mut progress = lock(&self.shared.progress);
        let target = progress.head;
        while progress.folded < target {
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

    /// Looks at the state. The fold waits meanwhile, so look quickly.
    pub fn with_state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(lock(&self.shared.pipeline).state())
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
        lock(&self.shared.desk).switched(Switch { position, model, on, note });
        self.shared.advanced(&appended);
        Ok(position)
    }

    /// "May I trade, and how much?" Answers no for what nobody has heard of.
    pub fn may_trade(&self, key: &ModelKey) -> MayTrade {
        lock(&self.shared.desk).may_trade(key)
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

impl Shared {
    fn advanced(&self, appended: &[Appended]) {
        let newest = appended.iter().map(|appended| appended.position()).max();
        if let Some(newest) = newest {
            let mut progress = lock(&self.progress);
            progress.head = progress.head.max(newest);
            drop(progress);
            self.changed.notify_all();
        }
    }

    /// Waits for something to fold; false: the host is closing.
    fn wait_for_work(&self) -> bool {
        let mut progress = lock(&self.progress);
        while progress.folded >= progress.head {
            if self.stop.load(Ordering::Acquire) {
                return false;
            }
            progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        // What was acknowledged and is not folded when the host closes is folded at the next start.
        !self.stop.load(Ordering::Acquire)
    }

    fn publish(&self, state: &State) {
        lock(&self.desk).folded(state);
        let position = state.position;
        let mut progress = lock(&self.progress);
        progress.folded = position;
        progress.trouble = None;
        drop(progress);
        self.changed.notify_all();
    }

    fn trouble(&self, problem: String, dead: bool) {
        tracing::error!(problem, "the fold stands still");
        let mut progress = lock(&self.progress);
        progress.trouble = Some(problem);
        progress.dead = dead;
        drop(progress);
        self.changed.notify_all();
    }
}

/// Folds until the host closes. A commit that fails is tried again from what is on disk: nothing is folded twice, because
/// state and cursor are committed together.
fn run_fold(shared: &Shared, reader: SqliteReader, writer: &GroupWriter, sandbox: &Arc<Sandbox>) {
    while shared.wait_for_work() {
        let mut pipeline = lock(&shared.pipeline);
        match fold_some(&mut pipeline, &reader, writer, &mut |decision| lock(&shared.calls).count(decision)) {
            Ok(_) => {
                let state = pipeline.state();
                shared.publish(state);
            }
            Err(HostError::Store(error)) => {
                shared.trouble(error.to_string(), false);
                std::thread::sleep(RETRY);
                match restore(&reader, writer, sandbox) {
                    Ok(restored) => *pipeline = restored,
                    Err(error) => shared.trouble(error.to_string(), false),
                }
            }
            Err(error) => {
                shared.trouble(error.to_string(), true);
                return;
            }
        }
    }
}

/// Folds the next records and commits. Returns how many there were.
fn fold_some(
    pipeline: &mut Pipeline,
    reader: &SqliteReader,
    writer: &GroupWriter,
    decided: &mut dyn FnMut(&DecisionRecord),
) -> Result<usize, HostError> {
    let records = reader.scan(pipeline.state().position, STEP)?;
    for record in &records {
        pipeline.step(record, reader)?;
    }
    if !records.is_empty() {
        let commit = pipeline.take_commit()?;
        commit.decisions.iter().for_each(decided);
        writer.commit_fold(commit)?;
    }
    Ok(records.len())
}

fn fold_all(pipeline: &mut Pipeline, reader: &SqliteReader, writer: &GroupWriter) -> Result<(), HostError> {
    while fold_some(pipeline, reader, writer, &mut |_| {})? > 0 {}
    Ok(())
}

/// The pipeline as the store has it. State of another build's format is dropped, to be folded again.
fn restore(
    reader: &SqliteReader,
    writer: &GroupWriter,
    sandbox: &Arc<Sandbox>,
) -> Result<Pipeline, HostError> {
    let (position, format, states) = reader.folded_state()?;
    if format == State::FORMAT {
        let state = State::restore(position, &states)?;
        return Ok(Pipeline::new(state, Arc::clone(sandbox), reader)?);
    }
    if position > Position(0) {
        tracing::info!(
            format,
            current = State::FORMAT,
            "the stored state is of another build; folding the log again"
        );
    }
    // What cannot be repeated is taken from the old record.
    let recorded = reader.folded(Position(0), position)?.decisions;
    writer.forget_fold(State::FORMAT)?;
    let mut pipeline = Pipeline::new(State::default(), Arc::clone(sandbox), reader)?;
    pipeline.recall(&recorded);
    Ok(pipeline)
}

impl Host {
    /// Compares configuration and policies directory with what is in force, and logs what differs. Everything that takes
    /// time, reading, compiling and trying out, is done before; the switch itself is one entry of the log.
    ///
    /// Returns the folders that could not be put in force. A mistake in a configuration that is not in force yet changes
    /// nothing; where it is in force already, only the policy that it is about stays as it was.
    pub fn put_in_force(
        &self,
        configuration: &Configuration,
        change: Change,
    ) -> Result<Vec<PolicyProblem>, HostError> {
        let _one_at_a_time = lock(&self.swap);
        self.settle()?;
        let (current, digest) = self.with_state(|state| (state.policies.clone(), state.configuration_digest));
        let mut found = policies::inspect(&self.sandbox, configuration, &self.policies_directory, &current)?;
        let mut batch = Batch::default();
        if digest != Some(configuration.digest()) {
            if let Some(error) = found.misconfigured {
                return Err(error);
            }
            batch.contents.push((configuration.digest(), configuration.canonical()));
            batch.entries.push(Entry::Configuration(configuration.digest()));
        }
        if !found.set.same(&current) {
            batch.contents.extend(found.contents());
            found.set.change = Some(change);
            batch.entries.push(Entry::PolicySet(found.set.clone()));
        }
        self.switch(batch)?;
        let mut problems = lock(&self.problems);
        for problem in found.problems.iter().filter(|problem| !problems.contains(problem)) {
            tracing::warn!(policy = problem.name, still_serving = problem.still_serving, "{problem}");
        }
        problems.clone_from(&found.problems);
        Ok(found.problems)
    }

    /// Goes back to an earlier version of a policy: the one before, or the one whose digest begins with `to`. What
    /// lies in the policies directory now is not put in force again until it changes.
    pub fn roll_back_policy(
        &self,
        name: &str,
        to: Option<&str>,
        change: Change,
    ) -> Result<RolledBack, HostError> {
        let _one_at_a_time = lock(&self.swap);
        let head = self.settle()?;
        let current = self.with_state(|state| state.policies.clone());
        let reader = self.reader()?;
        let sets = policies::sets(&reader, head)?;
        let mut set = policies::rolled_back(&sets, &current, name, to)?;
        set.change = Some(change);
        let policy =
            set.policy(name).cloned().ok_or_else(|| HostError::NoSuchPolicy { name: name.to_owned() })?;
        let held = set.held.get(name).copied();
        // It may have been accepted under other settings.
        let configuration = self.with_state(|state| Arc::clone(&state.configuration));
        let _loaded = policies::from_store(&self.sandbox, &configuration, &policy, &reader)?;
        self.switch(Batch::of(vec![Entry::PolicySet(set)]))?;
        Ok(RolledBack { policy, held })
    }

    /// Appends what is to be in force, and waits until it is.
    fn switch(&self, batch: Batch) -> Result<(), HostError> {
        if batch.entries.is_empty() {
            return Ok(());
        }
        let appended = self.writer.append_and_wait(batch)?;
        self.shared.advanced(&appended);
        self.settle()?;
        Ok(())
    }

    /// What was in force of a policy, oldest first.
    pub fn policy_history(&self, name: &str) -> Result<Vec<PolicyVersion>, HostError> {
        let head = self.settle()?;
        let history = policies::history(&policies::sets(&self.reader()?, head)?, name);
        if history.is_empty() { Err(HostError::NoSuchPolicy { name: name.to_owned() }) } else { Ok(history) }
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
}
