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
use trimtab_policy::{Package, Policy, RegisterError, Sandbox, read_directory};
use trimtab_store::{
    Appended, Batch, DirectoryLock, GroupWriter, Reader, SqliteReader, SqliteWriter, StoreError,
};
use trimtab_types::{
    Act, Entry, ModelKey, OperatorAct, PolicyInForce, PolicySetEntry, Position, Subject, Timestamp,
};

use crate::{
    Configuration, Pipeline, PipelineError,
    config::ConfigError,
    fold::{BadState, State},
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
}

struct Shared {
    pipeline: Mutex<Pipeline>,
    desk: Mutex<Desk>,
    progress: Mutex<Progress>,
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

/// A policy folder that could not be put in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyProblem {
    /// The folder.
    pub name: String,
    /// What is wrong.
    pub problem: String,
    /// Whether an earlier version keeps serving.
    pub still_serving: bool,
}

/// The one owner of a data directory.
pub struct Host {
    directory: PathBuf,
    policies_directory: PathBuf,
    sandbox: Arc<Sandbox>,
    shared: Arc<Shared>,
    problems: Mutex<Vec<PolicyProblem>>,
    thread: Option<JoinHandle<()>>,
    writer: Arc<GroupWriter>,
    _lock: DirectoryLock,
}

impl Host {
    /// Opens a data directory: takes its lock, folds what is not folded, and puts configuration and policies in force.
    pub fn open(options: HostOptions) -> Result<Self, HostError> {
        let HostOptions { directory, policies, configuration, sandbox } = options;
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
        let problems = put_in_force(&mut pipeline, &reader, &writer, &sandbox, &configuration, &policies)?;

        let position = pipeline.state().position;
        let shared = Arc::new(Shared {
            desk: Mutex::new(Desk::of(pipeline.state())),
            pipeline: Mutex::new(pipeline),
            progress: Mutex::new(Progress { head: position, folded: position, ..Progress::default() }),
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
        Ok(Self {
            directory,
            policies_directory: policies,
            sandbox,
            shared,
            problems: Mutex::new(problems),
            thread: Some(thread),
            writer,
            _lock: lock,
        })
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
        match fold_some(&mut pipeline, &reader, writer) {
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
) -> Result<usize, HostError> {
    let records = reader.scan(pipeline.state().position, STEP)?;
    for record in &records {
        pipeline.step(record, reader)?;
    }
    if !records.is_empty() {
        writer.commit_fold(pipeline.take_commit()?)?;
    }
    Ok(records.len())
}

fn fold_all(pipeline: &mut Pipeline, reader: &SqliteReader, writer: &GroupWriter) -> Result<(), HostError> {
    while fold_some(pipeline, reader, writer)? > 0 {}
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
    pipeline.recall(recorded);
    Ok(pipeline)
}

/// Compares configuration and policies directory with what the log has in force, and logs what differs.
fn put_in_force(
    pipeline: &mut Pipeline,
    reader: &SqliteReader,
    writer: &GroupWriter,
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    directory: &Path,
) -> Result<Vec<PolicyProblem>, HostError> {
    let current = &pipeline.state().policies;
    let found = inspect_policies(sandbox, configuration, directory, current)?;
    let mut batch = Batch::default();
    let digest = configuration.digest();
    if pipeline.state().configuration_digest != Some(digest) {
        batch.contents.push((digest, configuration.canonical()));
        batch.entries.push(Entry::Configuration(digest));
    }
    if found.set != *current {
        batch.contents.extend(found.packages.iter().map(|package| (package.digest, package.to_bytes())));
        batch.entries.push(Entry::PolicySet(found.set));
    }
    if !batch.entries.is_empty() {
        writer.append_and_wait(batch)?;
        fold_all(pipeline, reader, writer)?;
    }
    for problem in &found.problems {
        tracing::warn!(
            policy = problem.name,
            still_serving = problem.still_serving,
            "not put in force: {}",
            problem.problem
        );
    }
    Ok(found.problems)
}

/// What a policies directory would put in force.
struct Found {
    set: PolicySetEntry,
    packages: Vec<Package>,
    problems: Vec<PolicyProblem>,
}

/// Every folder is checked; one that fails keeps its earlier version, if there was one.
fn inspect_policies(
    sandbox: &Arc<Sandbox>,
    configuration: &Configuration,
    directory: &Path,
    current: &PolicySetEntry,
) -> Result<Found, HostError> {
    let mut found = Found { set: PolicySetEntry::default(), packages: Vec::new(), problems: Vec::new() };
    let folders = if directory.is_dir() { read_directory(directory)? } else { Vec::new() };
    for (name, package) in folders {
        let rule = configuration.policies.get(&name).cloned().unwrap_or_default();
        let checked = match package {
            Ok(package) => match Policy::register(sandbox, &package, &rule.settings) {
                Ok(policy) => Ok((package, policy)),
                Err(error @ (RegisterError::Settings { .. } | RegisterError::SelfCheck { .. }))
                    if !rule.settings.is_empty() =>
                {
                    return Err(HostError::PolicySettings { policy: name, problem: error.to_string() });
                }
                Err(error) => Err(error.to_string()),
            },
            Err(error) => Err(error.to_string()),
        };
        match checked {
            Ok((package, policy)) => {
                let manifest = policy.manifest();
                found.set.policies.push(PolicyInForce {
                    policy: policy.reference(),
                    mode: rule.mode.unwrap_or(manifest.mode),
                    order: rule.order.unwrap_or(manifest.order),
                    kinds: policy.kinds().iter().map(|kind| kind.name().to_owned()).collect(),
                });
                found.packages.push(package);
            }
            Err(problem) => {
                let serving = current.policies.iter().find(|entry| entry.policy.name == name);
                found.set.policies.extend(serving.cloned());
                found.problems.push(PolicyProblem { name, problem, still_serving: serving.is_some() });
            }
        }
    }
    for name in configuration.policies.keys() {
        if !found.set.policies.iter().any(|entry| entry.policy.name == *name)
            && !found.problems.iter().any(|problem| problem.name == *name)
        {
            return Err(HostError::PolicySettings {
                policy: name.clone(),
                problem: format!("there is no policy of this name in `{}`", directory.display()),
            });
        }
    }
    found.set.policies.sort_by(|a, b| (a.order, &a.policy.name).cmp(&(b.order, &b.policy.name)));
    Ok(found)
}

impl Host {
    /// Looks at the policies directory again and puts in force what changed.
    pub fn reload(&self, configuration: &Configuration) -> Result<Vec<PolicyProblem>, HostError> {
        let reader = self.reader()?;
        self.settle()?;
        let mut pipeline = lock(&self.shared.pipeline);
        let problems = put_in_force(
            &mut pipeline,
            &reader,
            &self.writer,
            &self.sandbox,
            configuration,
            &self.policies_directory,
        )?;
        self.shared.publish(pipeline.state());
        let mut progress = lock(&self.shared.progress);
        progress.head = progress.head.max(pipeline.state().position);
        drop(progress);
        self.problems.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&problems);
        Ok(problems)
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
