//! The fold of a live host: a thread that takes what was appended through the core, log by log, commits what came of it,
//! hands checkpoints over, and publishes how far it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use trimtab_api::NotGranted;
use trimtab_core::{decide::Note, fold::State};
use trimtab_log::{Batch, Lane, Lease, Log, Reader};
use trimtab_policy::Sandbox;
use trimtab_replay::{Standing, restore, verify::Difference};
use trimtab_sqlite::LogsReader;
use trimtab_types::{Act, Entry, ModelKey, OperatorAct, PolicyRef, Shard, Timestamp};

use crate::{
    HostError,
    calls::CallCounter,
    folding::{Folding, used},
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
    pub(crate) differences: Vec<Difference>,
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
    differences: Vec<Difference>,
}

impl Runner {
    /// As the store has it.
    pub(crate) fn restore(
        leases: &[Lease],
        reader: &LogsReader,
        log: &Arc<Log>,
        build: &str,
        sandbox: &Arc<Sandbox>,
    ) -> Result<Self, HostError> {
        let keeper = Keeper::start(Arc::clone(log), build.to_owned())
            .map_err(|source| HostError::Thread { what: "checkpoint", source })?;
        let mut runner = Self {
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
            differences: Vec::new(),
        };
        runner.restore_logs(reader)?;
        Ok(runner)
    }

    /// Puts every log that was folded back to where its results on disk end.
    fn restore_logs(&mut self, reader: &LogsReader) -> Result<(), HostError> {
        self.logs.clear();
        for state in reader.shards()?.into_iter().filter(|state| state.cursor.0 > 0) {
            let restored = restore::restore(reader, state.shard, state.cursor, &self.sandbox)?;
            if let Some(difference) = &restored.difference {
                tracing::error!(
                    place = %difference.place,
                    problem = difference.problem,
                    "what was folded again is not what was recorded; the record counts"
                );
            }
            self.differences.extend(restored.difference);
            self.keeper.know(state.shard, restored.digests);
            let folding = Folding::new(
                state.shard,
                state.epoch,
                restored.state,
                restored.tail,
                &mut self.kits,
                reader,
            )?;
            self.logs.insert(state.shard, folding);
            self.changed.insert(state.shard);
        }
        Ok(())
    }

    /// What people stopped before this host began.
    pub(crate) fn stopped(&self) -> Stopped {
        Stopped::of(self.standing.stopped.clone())
    }

    pub(crate) fn take_differences(&mut self) -> Vec<Difference> {
        std::mem::take(&mut self.differences)
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
    fn fold(
        &mut self,
        heads: &Places,
        reader: &LogsReader,
        (calls, stopped): (&Mutex<CallCounter>, &Stopped),
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
            if room == 0 {
                self.next = shard;
                break;
            }
            let folding = match self.logs.remove(&shard) {
                Some(folding) => folding,
                None => {
                    let epoch = self.leases.get(&shard).map_or(0, |lease| lease.epoch);
                    Folding::new(shard, epoch, State::default(), 0, &mut self.kits, reader)?
                }
            };
            let folding = self.logs.entry(shard).or_insert(folding);
            let decided = &mut |decision: &_| lock(calls).count(decision);
            let (count, said) = folding.fold(reader, (&mut self.kits, stopped), STEP.min(room), decided)?;
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

/// Folds until the host closes. What cannot be committed is folded again from what is on disk: answers that nobody recorded
/// are asked for again, and nothing is recorded twice.
pub(crate) fn run(mut runner: Runner, shared: &Shared, reader: &LogsReader, log: &Log) {
    loop {
        match take_turns(&mut runner, shared, reader, log) {
            Ok(()) => return,
            Err(HostError::Store(error)) => {
                shared.progress.trouble(error.to_string(), false);
                while !shared.progress.is_stopping() {
                    std::thread::sleep(RETRY);
                    match runner.restore_logs(reader) {
                        Ok(()) => break,
                        Err(error) => shared.progress.trouble(error.to_string(), false),
                    }
                }
            }
            Err(error) => {
                shared.progress.trouble(error.to_string(), true);
                return;
            }
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
        let notes = runner.fold(&heads, reader, (&shared.calls, &shared.stopped))?;
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
