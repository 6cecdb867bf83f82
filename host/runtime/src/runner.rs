//! The fold of a live host: a thread that takes what was appended through the step, commits what came of it, and publishes
//! how far it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use trimtab_core::{
    decide::{self, Note, Output},
    fold::State,
};
use trimtab_log::{Appended, Batch, FoldCommit, GroupWriter, Reader};
use trimtab_policy::{Loaded, Sandbox};
use trimtab_replay::{
    PrepareError, Recall, Recorded,
    prepare::{self, Contents},
};
use trimtab_sqlite::SqliteReader;
use trimtab_types::{Act, DecisionRecord, Entry, ModelKey, OperatorAct, PolicyRef, Position, Timestamp};

use crate::{HostError, calls::CallCounter, snapshot::Board};

/// Records that are folded before their results are committed.
const STEP: usize = 2_048;
/// While there is more to fold, questions see a new state this often: what was published is copied when it changes.
const PUBLISH: Duration = Duration::from_millis(100);
/// How long the fold waits before it tries again after a failed commit.
const RETRY: Duration = Duration::from_millis(500);

/// What the fold and those who ask the host share.
pub(crate) struct Shared {
    pub(crate) board: Board,
    pub(crate) progress: Mutex<Progress>,
    pub(crate) calls: Mutex<CallCounter>,
    pub(crate) changed: Condvar,
    pub(crate) stop: AtomicBool,
}

/// How far log and fold are.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// The newest position that was acknowledged.
    pub(crate) head: Position,
    /// The newest position whose results are on disk.
    pub(crate) folded: Position,
    /// The position that questions see.
    pub(crate) published: Position,
    /// Why the fold stands still, if it does.
    pub(crate) trouble: Option<String>,
    /// Whether it has given up.
    pub(crate) dead: bool,
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn advanced(&self, appended: &[Appended]) {
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

    /// Appends what the host itself has to say. Where that fails, it is said again when it is found again.
    fn append(&self, entries: Vec<Entry>, writer: &GroupWriter) {
        if entries.is_empty() {
            return;
        }
        match writer.append_and_wait(Batch::of(entries)) {
            Ok(appended) => self.advanced(&appended),
            Err(error) => tracing::error!(%error, "cannot record that a policy is left alone"),
        }
    }

    /// Results are on disk. Says whether there is more to fold.
    fn folded(&self, position: Position) -> bool {
        let mut progress = lock(&self.progress);
        progress.folded = position;
        progress.trouble = None;
        position < progress.head
    }

    /// Lets questions see a state whose results are on disk.
    fn publish(&self, state: &State) {
        self.board.folded(state.clone());
        lock(&self.progress).published = state.position;
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

/// The state of a live host, with the policies that it asks.
pub(crate) struct Runner {
    state: State,
    loaded: Loaded,
    sandbox: Arc<Sandbox>,
    widespread: Widespread,
    /// What cannot be repeated, where the log is folded again.
    recorded: Recorded,
}

impl Runner {
    /// As the store has it. State of another build's format is dropped, to be folded again.
    pub(crate) fn restore(
        reader: &SqliteReader,
        writer: &GroupWriter,
        sandbox: &Arc<Sandbox>,
    ) -> Result<Self, HostError> {
        let (position, format, states) = reader.folded_state()?;
        if format == State::FORMAT {
            let state = State::restore(position, &states)?;
            return Ok(Self::resume(state, Recorded::default(), sandbox, reader)?);
        }
        if position > Position(0) {
            tracing::info!(
                format,
                current = State::FORMAT,
                "the stored state is of another build; folding the log again"
            );
        }
        // What cannot be repeated is taken from the old record.
        let recorded = Recorded::once(&reader.folded(Position(0), position)?.decisions);
        writer.forget_fold(State::FORMAT)?;
        Ok(Self::resume(State::default(), recorded, sandbox, reader)?)
    }

    fn resume(
        mut state: State,
        recorded: Recorded,
        sandbox: &Arc<Sandbox>,
        reader: &dyn Reader,
    ) -> Result<Self, PrepareError> {
        let contents = Contents { reader, position: state.position };
        let (prepared, loaded) = prepare::in_force(&state, sandbox, contents)?;
        decide::resume(&mut state, prepared);
        let widespread = Widespread::default();
        Ok(Self { state, loaded, sandbox: Arc::clone(sandbox), widespread, recorded })
    }

    /// The state after the newest record.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Takes the next records through and commits what came of them. Returns how many there were.
    fn turn(
        &mut self,
        reader: &SqliteReader,
        writer: &GroupWriter,
        decided: &mut dyn FnMut(&DecisionRecord),
    ) -> Result<usize, HostError> {
        let from = self.state.position;
        let records = reader.scan(from, STEP)?;
        let mut output = Output::default();
        for record in &records {
            let contents = Contents { reader, position: record.position };
            let prepared = prepare::prepare(&self.state, &record.entry, &self.sandbox, contents)?;
            let prepared = prepared.map(|(prepared, loaded)| {
                self.loaded = loaded;
                prepared
            });
            let mut ask = Recall { recorded: &self.recorded, loaded: &mut self.loaded, writes_alerts: true };
            output.append(decide::step(&mut self.state, record, prepared, &mut ask));
        }
        if !records.is_empty() {
            output.decisions.iter().for_each(decided);
            writer.commit_fold(self.commit(from, output)?)?;
        }
        Ok(records.len())
    }

    /// What is written of a turn. Its notes go to the host's own log.
    fn commit(&mut self, from: Position, output: Output) -> Result<FoldCommit, HostError> {
        let Output { findings, decisions, effects, notes } = output;
        for Note::LeftAlone { policy, model } in notes {
            tracing::warn!(
                policy = policy.name,
                model = %model,
                "fails again and again; it is left alone about this model for a while"
            );
            self.widespread.note(policy, model);
        }
        let states = self.state.take_touched()?;
        Ok(FoldCommit { from, to: self.state.position, states, findings, decisions, effects })
    }

    /// What the host itself has to say about policies that fail on many models.
    fn acts(&mut self) -> Vec<Entry> {
        let longest = u64::from(self.state.configuration.breaker.longest.0);
        let act = |(policy, at): (PolicyRef, Timestamp)| {
            let until = at.plus(longest);
            let reason = format!("it fails on {MANY} models");
            let act = Act::LeaveAlone { policy, until };
            Entry::OperatorAct(OperatorAct { actor: "host".to_owned(), at, act, reason })
        };
        self.widespread.take(&self.state).into_iter().map(act).collect()
    }

    /// Takes everything through that there is.
    pub(crate) fn catch_up(&mut self, reader: &SqliteReader, writer: &GroupWriter) -> Result<(), HostError> {
        while self.turn(reader, writer, &mut |_| {})? > 0 {}
        Ok(())
    }
}

/// Models on which a version has to fail again and again before it is left alone about all of them: it would cost each of
/// the others its failures.
const MANY: usize = 10;

/// About which models a version is left alone, as far as this process has seen it happen.
#[derive(Default)]
struct Widespread(BTreeMap<PolicyRef, BTreeSet<ModelKey>>);

impl Widespread {
    fn note(&mut self, policy: PolicyRef, model: ModelKey) {
        self.0.entry(policy).or_default().insert(model);
    }

    /// The versions that are left alone about many models now, with the earliest time that it is for one of these: a model
    /// with a row of tomorrow does not make it longer for the others. They are counted anew.
    fn take(&mut self, state: &State) -> Vec<(PolicyRef, Timestamp)> {
        let many = |policy: &PolicyRef, models: &mut BTreeSet<ModelKey>| {
            models.retain(|model| is_left_alone(state, policy, model));
            models.len() >= MANY
        };
        let earliest = |models: &BTreeSet<ModelKey>| models.iter().map(|model| state.clock(model)).min();
        let taken = self.0.extract_if(.., many);
        taken.filter_map(|(policy, models)| Some((policy, earliest(&models)?))).collect()
    }
}

fn is_left_alone(state: &State, policy: &PolicyRef, model: &ModelKey) -> bool {
    let now = state.clock(model);
    state.models.get(model).is_some_and(|known| {
        known.breakers().any(|(failing, _, breaker)| failing == policy && breaker.open_until(now).is_some())
    })
}

/// Folds until the host closes. A commit that fails is tried again from what is on disk: nothing is folded twice, because
/// state and cursor are committed together.
#[expect(
    clippy::disallowed_methods,
    reason = "how often is published; nothing that is recorded depends on it"
)]
pub(crate) fn run(
    mut runner: Runner,
    shared: &Shared,
    reader: &SqliteReader,
    writer: &GroupWriter,
    sandbox: &Arc<Sandbox>,
) {
    let mut published = Instant::now();
    while shared.wait_for_work() {
        match runner.turn(reader, writer, &mut |decision| lock(&shared.calls).count(decision)) {
            Ok(_) => {
                let behind = shared.folded(runner.state().position);
                shared.append(runner.acts(), writer);
                if !behind || published.elapsed() >= PUBLISH {
                    shared.publish(runner.state());
                    published = Instant::now();
                }
            }
            Err(HostError::Store(error)) => {
                shared.trouble(error.to_string(), false);
                std::thread::sleep(RETRY);
                match Runner::restore(reader, writer, sandbox) {
                    Ok(restored) => runner = restored,
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
