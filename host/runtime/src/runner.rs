//! The fold of a live host: a thread that takes what was appended through the core, log by log, commits what came of it,
//! hands checkpoints over, and publishes how far it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, mpsc},
    time::{Duration, Instant},
};

use trimtab_api::NotGranted;
use trimtab_core::{decide::Note, fold::State};
use trimtab_log::{Batch, Lane, Lease, Log, LogError, Reader, ShardState};
use trimtab_policy::Sandbox;
use trimtab_replay::{
    Standing,
    restore::{self, Restored},
    verify::Difference,
};
use trimtab_sqlite::LogsReader;
use trimtab_types::{Act, Entry, ModelKey, OperatorAct, PolicyRef, Shard, Timestamp};

use crate::{
    HostError,
    calls::CallCounter,
    folding::{Bounds, Folding, used},
    keeper::Keeper,
    kits::Kits,
    progress::{Next, Places, Progress},
    snapshot::Board,
    stopped::Stopped,
};

pub(crate) use crate::progress::lock;

/// Entries of one log that are folded before another gets its turn, and before their results are committed.
const STEP: usize = 2_048;
/// Entries of all logs together that are folded before results are committed.
const TURN: usize = 8_192;
/// While there is more to fold, questions see a new state this often; and a cursor is written this often where nothing came
/// out.
const PUBLISH: Duration = Duration::from_millis(100);
/// How long the fold waits before it tries again after a failed commit.
const RETRY: Duration = Duration::from_millis(500);

/// What the fold and those who ask the host share.
pub(crate) struct Shared {
    pub(crate) board: Board,
    pub(crate) progress: Progress,
    pub(crate) calls: Mutex<CallCounter>,
    /// What policies in force ask for and do not get.
    pub(crate) not_granted: Mutex<Vec<NotGranted>>,
    /// Where what was folded again at the start was not what had been recorded.
    pub(crate) differences: Mutex<Vec<Difference>>,
    /// Policies that people stopped.
    pub(crate) stopped: Stopped,
}

/// All logs of a live host.
pub(crate) struct Runner {
    leases: BTreeMap<Shard, Lease>,
    logs: BTreeMap<Shard, Folding>,
    standing: Standing,
    kits: Kits,
    sandbox: Arc<Sandbox>,
    keeper: Keeper,
    widespread: Widespread,
    /// Whose turn it is.
    next: Shard,
    /// Logs that changed since they were published last.
    changed: BTreeSet<Shard>,
    /// The newest control entry that was published.
    seen: u64,
}

/// Opens one more reader.
pub(crate) type Open<'a> = &'a (dyn Fn() -> Result<LogsReader, LogError> + Sync);

impl Runner {
    /// With no log restored yet.
    pub(crate) fn new(
        leases: &[Lease],
        reader: &LogsReader,
        log: &Arc<Log>,
        build: &str,
        sandbox: &Arc<Sandbox>,
    ) -> Result<Self, HostError> {
        let keeper = Keeper::start(Arc::clone(log), build.to_owned())
            .map_err(|source| HostError::Thread { what: "checkpoint", source })?;
        Ok(Self {
            leases: leases.iter().map(|lease| (lease.shard, *lease)).collect(),
            logs: BTreeMap::new(),
            standing: Standing::read(reader)?,
            kits: Kits::new(Arc::clone(sandbox)),
            sandbox: Arc::clone(sandbox),
            keeper,
            widespread: Widespread::default(),
            next: Shard::of("", ""),
            changed: BTreeSet::new(),
            seen: 0,
        })
    }

    /// Puts every log that was folded back to where its results on disk end, several side by side. Questions see each as
    /// soon as it is there. False: the host closes.
    fn restore_logs(
        &mut self,
        reader: &LogsReader,
        open: Open<'_>,
        shared: &Shared,
    ) -> Result<bool, HostError> {
        self.logs.clear();
        let folded: Vec<_> = reader.shards()?.into_iter().filter(|state| state.cursor.0 > 0).collect();
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(folded.len());
        let waiting = &Mutex::new(folded.into_iter());
        let go_on = &|| !shared.progress.is_stopping();
        let sandbox = &Arc::clone(&self.sandbox);
        std::thread::scope(|scope| {
            let (restored, heard) = mpsc::sync_channel(1);
            for _ in 0..workers {
                let restored = restored.clone();
                scope.spawn(move || {
                    let mut reader = None;
                    while let Some(state) = next_of(waiting) {
                        let one = restore_log(&mut reader, open, &state, sandbox, go_on);
                        // Nobody listens any more once one has failed.
                        if restored.send((state, one)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(restored);
            for (state, one) in heard {
                let Some(one) = one? else { return Ok(false) };
                self.restored(state, one, reader, shared)?;
            }
            Ok(true)
        })
    }

    fn restored(
        &mut self,
        log: ShardState,
        restored: Restored,
        reader: &LogsReader,
        shared: &Shared,
    ) -> Result<(), HostError> {
        if let Some(difference) = &restored.difference {
            tracing::error!(
                place = %difference.place,
                problem = difference.problem,
                "what was folded again is not what was recorded; the record counts"
            );
        }
        lock(&shared.differences).extend(restored.difference);
        self.keeper.know(log.shard, restored.digests);
        let (state, tail) = (restored.state, restored.tail);
        let folding = Folding::new(log.shard, log.epoch, state, tail, &mut self.kits, reader)?;
        self.logs.insert(log.shard, folding);
        self.changed.insert(log.shard);
        *lock(&shared.not_granted) = self.not_granted();
        self.publish(&shared.board);
        shared.progress.restored();
        shared.progress.published(self.places());
        Ok(())
    }

    /// What people stopped before this host began.
    pub(crate) fn stopped(&self) -> Stopped {
        Stopped::of(self.standing.stopped.clone())
    }

    /// How far it is.
    pub(crate) fn places(&self) -> Places {
        let mut places = Places::up_to_control(self.standing.number);
        for (shard, folding) in &self.logs {
            places.reach(*shard, folding.state().position);
        }
        places
    }

    /// Takes what is new through, in turn, a bounded piece of it. Returns what an operator wants to read.
    #[expect(clippy::disallowed_methods, reason = "whose turn it is; nothing that is recorded depends on it")]
    fn fold(
        &mut self,
        heads: &Places,
        reader: &LogsReader,
        shared: &Shared,
        until: Instant,
    ) -> Result<Vec<Note>, HostError> {
        if heads.control > self.standing.number {
            self.standing.catch_up(reader)?;
        }
        let mut room = TURN;
        let mut notes = Vec::new();
        let from = self.next;
        let in_turn =
            Shard::all().filter(|shard| *shard >= from).chain(Shard::all().filter(|shard| *shard < from));
        for shard in in_turn {
            let head = heads.of(shard);
            if head.0 == 0 || self.logs.get(&shard).is_some_and(|folding| folding.state().position >= head) {
                continue;
            }
            // Whoever comes next has the next turn first.
            if room == 0 || (room < TURN && Instant::now() >= until) {
                self.next = shard;
                break;
            }
            let mut folding = match self.logs.remove(&shard) {
                Some(folding) => folding,
                None => {
                    let epoch = self.leases.get(&shard).map_or(0, |lease| lease.epoch);
                    Folding::new(shard, epoch, State::default(), 0, &mut self.kits, reader)?
                }
            };
            let decided = &mut |decision: &_| lock(&shared.calls).count(decision);
            let (stopped, progress) = (&shared.stopped, &shared.progress);
            let bounds = Bounds { stopped, progress, limit: STEP.min(room), until };
            let (count, said) = match folding.fold(reader, &mut self.kits, &bounds, decided) {
                // What a policy was interrupted at is folded at the next start; the other logs have what they have.
                Err(HostError::Closing) => return Err(HostError::Closing),
                other => {
                    self.logs.insert(shard, folding);
                    other?
                }
            };
            room -= count;
            notes.extend(said);
            self.changed.insert(shard);
        }
        self.kits.keep(&used(self.logs.values()));
        Ok(notes)
    }

    /// What its policies ask for and do not get.
    pub(crate) fn not_granted(&self) -> Vec<NotGranted> {
        let of = |(policy, cut): (PolicyRef, Vec<(&'static str, String, String)>)| {
            let one = move |(limit, asked, granted): (&str, _, _)| NotGranted {
                policy: policy.clone(),
                limit: limit.to_owned(),
                asked,
                granted,
            };
            cut.into_iter().map(one)
        };
        self.kits.cut().into_iter().flat_map(of).collect()
    }

    fn has_output(&self) -> bool {
        self.logs.values().any(Folding::has_output)
    }

    /// Whether something is not on disk or not published yet.
    fn holds(&self) -> bool {
        self.seen < self.standing.number
            || !self.changed.is_empty()
            || self.logs.values().any(Folding::is_behind)
    }

    /// Writes what came out of all logs, in one transaction.
    fn commit(&mut self, log: &Log) -> Result<(), HostError> {
        let commits: Vec<_> =
            self.logs.values_mut().filter(|folding| folding.is_behind()).map(Folding::commit).collect();
        if commits.is_empty() { Ok(()) } else { Ok(log.commit(commits)?) }
    }

    /// Hands over the checkpoints that are due, once everything is committed.
    fn keep(&mut self, at_the_end: bool) -> Result<(), HostError> {
        for (shard, folding) in &mut self.logs {
            if let Some(due) = folding.due(self.keeper.has_failed(*shard), at_the_end)? {
                self.keeper.take(due);
            }
        }
        Ok(())
    }

    /// Lets questions see what changed.
    pub(crate) fn publish(&mut self, board: &Board) {
        let logs = &mut self.logs;
        let states = std::mem::take(&mut self.changed)
            .into_iter()
            .filter_map(|shard| Some((shard, logs.get_mut(&shard)?.seen())));
        board.folded(states.collect(), &self.standing);
        self.seen = self.standing.number;
    }

    fn note(&mut self, notes: Vec<Note>) {
        for Note::LeftAlone { policy, model } in notes {
            tracing::warn!(
                policy = policy.name,
                model = %model,
                "fails again and again; it is left alone about this model for a while"
            );
            self.widespread.note(policy, model);
        }
    }

    /// What the host itself has to say about policies that fail on many models.
    fn acts(&mut self) -> Vec<Entry> {
        let longest = u64::from(self.standing.configuration.breaker.longest.0);
        let act = |(policy, at): (PolicyRef, Timestamp)| {
            let until = at.plus(longest);
            let reason = format!("it fails on {MANY} models");
            let act = Act::LeaveAlone { policy, until };
            Entry::OperatorAct(OperatorAct { actor: "host".to_owned(), at, act, reason })
        };
        let logs = &self.logs;
        let state = |model: &ModelKey| logs.get(&model.shard()).map(Folding::state);
        self.widespread.take(state).into_iter().map(act).collect()
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
    fn take<'a>(&mut self, state: impl Fn(&ModelKey) -> Option<&'a State>) -> Vec<(PolicyRef, Timestamp)> {
        let many = |policy: &PolicyRef, models: &mut BTreeSet<ModelKey>| {
            models.retain(|model| state(model).is_some_and(|state| is_left_alone(state, policy, model)));
            models.len() >= MANY
        };
        let clock = |model: &ModelKey| state(model).map(|state| state.clock(model));
        let earliest = |models: &BTreeSet<ModelKey>| models.iter().filter_map(clock).min();
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

fn next_of<T>(waiting: &Mutex<impl Iterator<Item = T>>) -> Option<T> {
    lock(waiting).next()
}

/// Restores one log, with a reader that is opened once.
fn restore_log(
    reader: &mut Option<LogsReader>,
    open: Open<'_>,
    log: &ShardState,
    sandbox: &Arc<Sandbox>,
    go_on: &dyn Fn() -> bool,
) -> Result<Option<Restored>, HostError> {
    let reader = match reader {
        Some(reader) => reader,
        None => reader.insert(open()?),
    };
    Ok(restore::restore(reader, log.shard, log.cursor, sandbox, go_on)?)
}

/// Restores what was folded, and folds until the host closes. What cannot be committed is folded again from what is on
/// disk: answers that nobody recorded are asked for again, and nothing is recorded twice.
pub(crate) fn run(mut runner: Runner, shared: &Shared, reader: &LogsReader, open: Open<'_>, log: &Log) {
    match runner.restore_logs(reader, open, shared) {
        Ok(true) => {}
        Ok(false) => return,
        // Where the beginning cannot be read there is nothing to try again.
        Err(error) => return shared.progress.gives_up(&error),
    }
    loop {
        match take_turns(&mut runner, shared, reader, log) {
            Ok(()) => return,
            Err(HostError::Store(error)) => {
                shared.progress.trouble(error.to_string());
                while !shared.progress.is_stopping() {
                    std::thread::sleep(RETRY);
                    match runner.restore_logs(reader, open, shared) {
                        Ok(_) => break,
                        Err(error) => shared.progress.trouble(error.to_string()),
                    }
                }
            }
            Err(error) => return shared.progress.gives_up(&error),
        }
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how often is published and committed; nothing that is recorded depends on it"
)]
fn take_turns(runner: &mut Runner, shared: &Shared, reader: &LogsReader, log: &Log) -> Result<(), HostError> {
    let mut published = Instant::now();
    loop {
        let folded = runner.places();
        let heads = match shared.progress.next(&folded, runner.holds(), PUBLISH) {
            Next::Stop => break,
            Next::Go(heads) => heads,
            Next::Flush => folded,
        };
        let notes = match runner.fold(&heads, reader, shared, Instant::now() + PUBLISH) {
            Err(HostError::Closing) => break,
            notes => notes?,
        };
        runner.note(notes);
        let is_due = published.elapsed() >= PUBLISH;
        if runner.has_output() || is_due || shared.progress.is_waited_for() {
            runner.commit(log)?;
            runner.keep(false)?;
            append(runner.acts(), shared, log);
            if is_due || runner.places().has(&heads) {
                *lock(&shared.not_granted) = runner.not_granted();
                runner.publish(&shared.board);
                shared.progress.published(runner.places());
                published = Instant::now();
            }
        }
    }
    runner.commit(log)?;
    runner.keep(true)
}

/// Appends what the host itself has to say. Where that fails, it is said again when it is found again.
fn append(entries: Vec<Entry>, shared: &Shared, log: &Log) {
    if entries.is_empty() {
        return;
    }
    let entries = entries.into_iter().map(Into::into).collect();
    match log.append_and_wait(Batch::of(entries), Lane::Urgent) {
        Ok(appended) => shared.progress.advanced(&appended),
        Err(error) => tracing::error!(%error, "cannot record that a policy is left alone"),
    }
}
