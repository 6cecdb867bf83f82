//! A host: the one owner of a data directory. It appends what callers send, folds the logs in a thread of its own, and
//! answers from what was folded. Everything that serves or shows data goes through here.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use trimtab_api::{MayTrade, NotGranted, PolicyCalls, PolicyProblem};
use trimtab_core::{
    Configuration,
    fold::{KillNote, State},
};
use trimtab_log::{Append, Appended, Attempt, Batch, Build, Claim, Lane, Log, LogError, Reader, Series};
use trimtab_policy::Sandbox;
use trimtab_replay::{Standing, verify::Difference};
use trimtab_sqlite::{DirectoryLock, LogsReader, LogsWriter};
use trimtab_types::{Act, Change, Entry, ModelKey, OperatorAct, Shard, Subject, Timestamp};

use crate::{
    HostError,
    policies::gate::Gates,
    progress::{Places, Progress, lock},
    runner::{self, Runner, Shared},
    snapshot::{Board, Of, Snapshot, Switch},
};

/// Who folds: one host has a directory at a time, so that all of them are the same.
const OWNER: &str = "host";
/// For how long it wants the logs; the directory's lock says when it has ended.
const LEASE: u64 = 10 * 365 * 86_400;

/// How long a host that serves lets somebody wait for the fold.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a host puts in force once it has begun.
pub struct Start {
    configuration: Configuration,
    change: Change,
}

/// What a host needs to know.
pub struct HostOptions {
    /// The data directory.
    pub directory: PathBuf,
    /// The policies directory; nothing is loaded from one that does not exist.
    pub policies: PathBuf,
    /// The root of artifacts; nothing is there where it does not exist.
    pub artifacts: PathBuf,
    /// The configuration.
    pub configuration: Configuration,
    /// Where policies run.
    pub sandbox: Arc<Sandbox>,
    /// Version and commit of the program.
    pub build: String,
    /// Who opens it and when: noted where that puts something else in force.
    pub started: Change,
}

/// The one owner of a data directory.
pub struct Host {
    directory: PathBuf,
    pub(crate) policies_directory: PathBuf,
    pub(crate) artifacts: PathBuf,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) problems: Mutex<Vec<PolicyProblem>>,
    /// Held while something is done about versions, and while their files follow.
    pub(crate) versions: Mutex<()>,
    /// New versions of policies that are tried out on history.
    pub(crate) gates: Arc<Gates>,
    /// Supervisors of trainers that this process began; held while trainers follow the registry.
    pub(crate) training: Mutex<Vec<std::process::Child>>,
    /// Held while what is in force is being changed.
    pub(crate) swap: Mutex<()>,
    /// How long somebody may wait for the fold; `None`: as long as it takes.
    patience: Option<Duration>,
    /// What is in force, as far as it was read.
    standing: Mutex<Standing>,
    thread: Option<JoinHandle<()>>,
    log: Arc<Log>,
    _lock: DirectoryLock,
}

impl Host {
    /// Opens a data directory for somebody who has it alone and waits for everything: restores what was folded, folds the
    /// rest, and puts configuration and policies in force.
    pub fn open(options: HostOptions) -> Result<Self, HostError> {
        let (mut host, start) = Self::begin(options)?;
        host.patience = None;
        host.start(start)?;
        Ok(host)
    }

    /// Takes a data directory's lock and its logs, says which build folds from here on, and returns. What was folded is
    /// restored behind this, log by log, and what was not is folded; [`Host::start`] puts in force what is to be.
    pub fn begin(options: HostOptions) -> Result<(Self, Start), HostError> {
        let HostOptions { directory, policies, artifacts, configuration, sandbox, build, started } = options;
        let lock = DirectoryLock::take(&directory)?;
        let writer = LogsWriter::open(&directory)?;
        let log = Log::start(Box::new(writer))
            .map(Arc::new)
            .map_err(|source| HostError::Thread { what: "writer", source })?;
        let reader = LogsReader::open(&directory)?;
        let leases = log.claim(Claim {
            shards: Shard::all().collect(),
            owner: OWNER.to_owned(),
            build: build.clone(),
            rules: State::RULES,
            now: started.at,
            until: started.at.plus(LEASE),
        })?;
        announce(&build, started.at, &reader, &log)?;

        let mut runner = Runner::new(&leases, &reader, &log, &build, &sandbox)?;
        let mut heads = Places::up_to_control(runner.places().control);
        let mut restoring = Vec::new();
        for state in reader.shards()? {
            heads.reach(state.shard, state.head);
            restoring.extend((state.cursor.0 > 0).then_some(state.shard));
        }
        let progress = Progress::from(runner.places(), heads, restoring.len());
        let board = Board::restoring(restoring);
        runner.publish(&board);
        let not_granted = Mutex::new(runner.not_granted());
        let stopped = runner.stopped();
        let (calls, differences) = Default::default();
        let shared = Arc::new(Shared { board, progress, calls, not_granted, differences, stopped });
        let thread = std::thread::Builder::new()
            .name("fold".into())
            .spawn({
                let (shared, log, directory) = (Arc::clone(&shared), Arc::clone(&log), directory.clone());
                move || runner::run(runner, &shared, &reader, &|| LogsReader::open(&directory), &log)
            })
            .map_err(|source| HostError::Thread { what: "fold", source })?;
        let host = Self {
            directory,
            policies_directory: policies,
            artifacts,
            sandbox,
            shared,
            problems: Mutex::default(),
            versions: Mutex::default(),
            gates: Arc::default(),
            training: Mutex::default(),
            swap: Mutex::default(),
            patience: Some(PATIENCE),
            standing: Mutex::default(),
            thread: Some(thread),
            log,
            _lock: lock,
        };
        Ok((host, Start { configuration, change: started }))
    }

    /// Puts in force what a host was told at its beginning.
    pub fn start(&self, start: Start) -> Result<(), HostError> {
        let folders = self.missing_folders()?;
        self.put_in_force(&start.configuration, &folders, start.change)?;
        Ok(())
    }

    /// The host is to end soon: nobody waits for the fold any more, and a policy that is being asked is interrupted. What it
    /// would have led to is decided at the next start.
    pub fn close(&self) {
        self.shared.progress.stop();
        self.sandbox.close();
    }

    /// What is in force by what is on disk now, however far the fold is.
    pub(crate) fn standing(&self) -> Result<Standing, HostError> {
        let reader = self.reader()?;
        let mut standing = lock(&self.standing);
        standing.catch_up(&reader)?;
        Ok(standing.clone())
    }

    /// The data directory.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// A reader of its own, for questions that need not wait for anybody.
    pub fn reader(&self) -> Result<LogsReader, LogError> {
        LogsReader::open(&self.directory)
    }

    /// Where policies run.
    pub fn sandbox(&self) -> &Arc<Sandbox> {
        &self.sandbox
    }

    /// Asks for entries to be appended; `reply` is called once they are on disk.
    pub fn append(
        &self,
        entries: Vec<Entry>,
        reply: impl FnOnce(Result<Vec<Appended>, LogError>) + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        let entries = entries.into_iter().map(Into::into).collect();
        self.log.append(Batch::of(entries), Lane::Bulk, move |result| {
            if let Ok(appended) = &result {
                shared.progress.advanced(appended);
            }
            reply(result);
        });
    }

    /// Entries of a series on their way to the log, for [`Self::offer`]; `reply` is called once they are on disk.
    pub fn to_append(
        &self,
        entries: Vec<Entry>,
        series: &Series,
        reply: impl FnOnce(Result<Vec<Appended>, LogError>) + Send + 'static,
    ) -> Append {
        let shared = Arc::clone(&self.shared);
        let batch = Batch::of(entries.into_iter().map(Into::into).collect());
        Append::new(batch, series, move |result| {
            if let Ok(appended) = &result {
                shared.progress.advanced(appended);
            }
            reply(result);
        })
    }

    /// Takes what is to be appended, or gives it back where the queue is full.
    ///
    /// # Errors
    /// What was to be appended, for another try.
    pub fn offer(&self, append: Append) -> Result<(), Append> {
        self.log.offer(append)
    }

    /// Whether it takes no more, because it is asked to stop.
    pub fn is_closing(&self) -> bool {
        self.shared.progress.is_stopping()
    }

    /// Appends ahead of bulk data, and waits until it is on disk.
    pub fn append_and_wait(&self, entries: Vec<Entry>) -> Result<Vec<Appended>, LogError> {
        self.write(Batch::of(entries.into_iter().map(Into::into).collect()))
    }

    pub(crate) fn write(&self, batch: Batch) -> Result<Vec<Appended>, LogError> {
        let appended = self.log.append_and_wait(batch, Lane::Urgent)?;
        self.shared.progress.advanced(&appended);
        Ok(appended)
    }

    /// Keeps everybody else from doing something about versions, and their files as they are.
    pub fn hold_versions(&self) -> std::sync::MutexGuard<'_, ()> {
        lock(&self.versions)
    }

    /// Records tries to carry out effects.
    pub fn attempted(&self, attempts: Vec<Attempt>) -> Result<(), LogError> {
        self.log.attempts(attempts)
    }

    /// Waits until everything that was acknowledged before is folded, its results are on disk, and questions see them.
    ///
    /// # Errors
    /// `Behind`: a host that serves lets nobody wait for longer than ten seconds.
    pub fn settle(&self) -> Result<(), HostError> {
        self.shared.progress.settle(self.patience)
    }

    /// The same for somebody who wants an answer now, with what is known: it waits for no slow policy and no start. Whether
    /// everything is folded.
    pub fn settle_soon(&self) -> Result<bool, HostError> {
        match self.patience {
            None => self.settle().map(|()| true),
            Some(_) => self.shared.progress.settle_soon(),
        }
    }

    /// Whether the host is starting, and has not restored all that it had folded.
    pub fn is_restoring(&self) -> bool {
        self.shared.progress.is_restoring()
    }

    /// What holds the fold up, where it is behind: a start, a slow policy.
    pub fn behind(&self) -> Option<String> {
        self.shared.progress.behind()
    }

    /// Entries of all logs, how many of them questions see, and what holds the fold up.
    pub fn progress(&self) -> (u64, u64, Option<String>) {
        self.shared.progress.entries()
    }

    /// Where what was folded again at the start was not what had been recorded. The record counts.
    pub fn differences(&self) -> Vec<Difference> {
        lock(&self.shared.differences).clone()
    }

    /// What is known now.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.shared.board.newest()
    }

    /// Policy folders that could not be put in force.
    pub fn policy_problems(&self) -> Vec<PolicyProblem> {
        lock(&self.problems).clone()
    }

    /// Limits that the operator grants less of than policies in force ask for.
    pub fn not_granted(&self) -> Vec<NotGranted> {
        lock(&self.shared.not_granted).clone()
    }

    /// Calls of policies since the host started.
    pub fn calls(&self) -> Vec<PolicyCalls> {
        lock(&self.shared.calls).counts()
    }

    /// The policies directory.
    pub fn policies_directory(&self) -> &Path {
        &self.policies_directory
    }

    /// A person stops trading, or allows it again. In effect when this returns, whatever else is waiting. Says where it is
    /// recorded.
    pub fn kill_switch(
        &self,
        model: Option<ModelKey>,
        on: bool,
        actor: String,
        reason: String,
        at: Timestamp,
    ) -> Result<String, HostError> {
        let act = Act::KillSwitch { model: model.clone(), on };
        let note = format!("{actor}: {reason}");
        let entry = Entry::OperatorAct(OperatorAct { actor, at, act, reason });
        let appended = self.log.append_and_wait(Batch::of(vec![entry.into()]), Lane::Urgent)?;
        let of = match (model, appended.first()) {
            (Some(model), Some(Appended::New(place))) => Of::Model(model, *place),
            (_, Some(Appended::Control { number: Some(number), .. })) => Of::Everything(*number),
            // An act is always new.
            _ => return Err(LogError::Stopped.into()),
        };
        self.shared.board.switched(Switch { of, on, note });
        self.shared.progress.advanced(&appended);
        Ok(appended.first().map_or_else(String::new, recorded_at))
    }

    /// A person does something. It is on disk when this returns. Says where.
    pub fn act(&self, act: Act, actor: String, reason: String, at: Timestamp) -> Result<String, HostError> {
        let entry = Entry::OperatorAct(OperatorAct { actor, at, act, reason });
        Ok(self.append_and_wait(vec![entry])?.first().map_or_else(String::new, recorded_at))
    }

    /// Stops a policy, or has it asked again. It holds once this returns, however far the fold is.
    pub fn stop_policy(
        &self,
        policy: &str,
        stopped: bool,
        actor: String,
        reason: String,
        at: Timestamp,
    ) -> Result<(), HostError> {
        let act = Act::StopPolicy { policy: policy.to_owned(), stopped };
        let act = OperatorAct { actor, at, act, reason };
        let note = stopped.then(|| KillNote::of(&act));
        self.write(Batch::of(vec![Entry::OperatorAct(act).into()]))?;
        self.shared.stopped.set(policy, note);
        Ok(())
    }

    /// Policies that people stopped: who and why, by name.
    pub fn stopped_policies(&self) -> BTreeMap<String, KillNote> {
        self.shared.stopped.all()
    }

    /// The subjects of a model that have been seen.
    pub fn subjects_of(&self, key: &ModelKey) -> Vec<Subject> {
        let snapshot = self.snapshot();
        let Some(state) = snapshot.log_of(key) else { return Vec::new() };
        let is_of = |subject: &&Subject| subject.tenant == key.tenant && subject.model == key.model;
        state.subjects.keys().filter(is_of).cloned().collect()
    }

    /// "May I trade, and how much?" Answers no for what nobody has heard of.
    pub fn may_trade(&self, key: &ModelKey) -> MayTrade {
        self.snapshot().may_trade(key)
    }
}

/// Writes an act of a person without folding anything: for a directory whose host does not run, or ends while it folds.
pub fn note_act(directory: &Path, act: OperatorAct) -> Result<(), HostError> {
    let _lock = DirectoryLock::take(directory)?;
    let writer = LogsWriter::open(directory)?;
    let log = Log::start(Box::new(writer)).map_err(|source| HostError::Thread { what: "writer", source })?;
    log.append_and_wait(Batch::of(vec![Entry::OperatorAct(act).into()]), Lane::Urgent)?;
    Ok(())
}

/// Where an entry is, for people.
fn recorded_at(appended: &Appended) -> String {
    match appended {
        Appended::New(place) | Appended::Unchanged(place) => place.to_string(),
        Appended::Control { number: Some(number), .. } => format!("control entry {number}"),
        Appended::Control { number: None, .. } => "a tick".to_owned(),
    }
}

/// Says that another build, or one with other rules, folds from here on.
fn announce(build: &str, at: Timestamp, reader: &dyn Reader, log: &Log) -> Result<(), LogError> {
    let mut newest = None;
    let mut after = 0;
    loop {
        let entries = reader.control(after, 1_024)?;
        let Some((last, _)) = entries.last() else { break };
        after = *last;
        for (_, entry) in entries {
            if let trimtab_log::Entry::Build(build) = entry {
                newest = Some(build);
            }
        }
    }
    if newest.is_some_and(|newest| newest.version == build && newest.rules == State::RULES) {
        return Ok(());
    }
    let build = Build { version: build.to_owned(), rules: State::RULES, at };
    log.append_and_wait(Batch::of(vec![trimtab_log::Entry::Build(build)]), Lane::Urgent)?;
    Ok(())
}

impl Drop for Host {
    fn drop(&mut self) {
        // In a command that ends, the fold has nothing left to do.
        self.shared.progress.stop();
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}
