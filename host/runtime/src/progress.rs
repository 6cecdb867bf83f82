//! How far logs and fold are, for those who wait for one or the other.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use trimtab_log::Appended;
use trimtab_types::{ErrorKind, HasKind, Position, Shard};

use crate::HostError;

/// A call of a policy that takes this long is slow: whoever wants an answer now has one without what comes after it.
const SLOW: Duration = Duration::from_millis(20);
/// How long such an answer waits for the fold at least.
const SOON: Duration = Duration::from_millis(60);
/// And at most, where the fold has much to do.
const SOON_AT_MOST: Duration = Duration::from_secs(2);
/// How often somebody who waits looks whether a policy is slow.
const LOOK: Duration = Duration::from_millis(10);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A position in each log, and a number of a control entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Places {
    logs: [Position; Shard::COUNT],
    pub(crate) control: u64,
}

impl Default for Places {
    fn default() -> Self {
        Self { logs: [Position(0); Shard::COUNT], control: 0 }
    }
}

impl Places {
    pub(crate) fn up_to_control(number: u64) -> Self {
        Self { control: number, ..Self::default() }
    }

    pub(crate) fn of(&self, shard: Shard) -> Position {
        self.logs[shard.index()]
    }

    pub(crate) fn reach(&mut self, shard: Shard, position: Position) {
        let known = &mut self.logs[shard.index()];
        *known = (*known).max(position);
    }

    /// Whether all of `other` is reached.
    pub(crate) fn has(&self, other: &Self) -> bool {
        self.control >= other.control && self.logs.iter().zip(&other.logs).all(|(here, there)| here >= there)
    }

    /// Entries up to here, over all logs.
    fn entries(&self) -> u64 {
        self.logs.iter().map(|position| position.0).sum()
    }
}

/// What those who fold do next.
#[expect(clippy::large_enum_variant, reason = "there is one at a time, on the stack")]
pub(crate) enum Next {
    /// There is something new up to here, or somebody waits for what is held.
    Go(Places),
    /// What is held has waited long enough.
    Flush,
    /// The host closes.
    Stop,
}

#[derive(Debug, Default)]
struct Known {
    /// Acknowledged.
    heads: Places,
    /// Seen by questions, with results on disk.
    published: Places,
    /// How many wait.
    waiting: usize,
    /// Why the fold stands still, if it does.
    trouble: Option<String>,
    /// Of which kind it was, where it has given up.
    dead: Option<ErrorKind>,
    stop: bool,
    /// Which policy is being asked, and since when.
    asking: Option<(String, Instant)>,
    /// When a slow call ended last.
    slow: Option<Instant>,
    /// Logs whose state is not restored yet, of those that are awake.
    restoring: usize,
}

impl Known {
    /// Whether a policy has been slow since `since`.
    fn is_slow(&self, since: Instant) -> bool {
        self.slow.is_some_and(|ended| ended >= since)
            || self.asking.as_ref().is_some_and(|(_, begun)| begun.elapsed() >= SLOW)
    }
}

/// Progress that several threads share.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    known: Mutex<Known>,
    changed: Condvar,
}

impl Progress {
    /// From where a host begins, with so many logs to restore.
    pub(crate) fn from(places: Places, heads: Places, restoring: usize) -> Self {
        let known = Known { heads, published: places, restoring, ..Known::default() };
        Self { known: Mutex::new(known), changed: Condvar::new() }
    }

    /// Entries were acknowledged.
    pub(crate) fn advanced(&self, appended: &[Appended]) {
        let mut known = lock(&self.known);
        for one in appended {
            for place in one.places() {
                known.heads.reach(place.shard, place.position);
            }
            if let Appended::Control { number: Some(number), .. } = one {
                known.heads.control = known.heads.control.max(*number);
            }
        }
        drop(known);
        self.changed.notify_all();
    }

    /// What to do next for somebody who has folded up to `folded` and holds something back or not.
    pub(crate) fn next(&self, folded: &Places, holds: bool, patience: Duration) -> Next {
        let mut known = lock(&self.known);
        loop {
            // What was acknowledged and is not folded when the host closes is folded at the next start.
            if known.stop {
                return Next::Stop;
            }
            if !folded.has(&known.heads) || (holds && known.waiting > 0) {
                return Next::Go(known.heads);
            }
            if !holds {
                known = self.changed.wait(known).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, timeout) =
                self.changed.wait_timeout(known, patience).unwrap_or_else(PoisonError::into_inner);
            known = woken;
            if timeout.timed_out() {
                return Next::Flush;
            }
        }
    }

    /// Whether somebody waits for results on disk.
    pub(crate) fn is_waited_for(&self) -> bool {
        lock(&self.known).waiting > 0
    }

    /// Questions see everything up to here, and its results are on disk.
    pub(crate) fn published(&self, places: Places) {
        let mut known = lock(&self.known);
        known.published = places;
        known.trouble = None;
        drop(known);
        self.changed.notify_all();
    }

    /// The fold stands still, and is tried again.
    pub(crate) fn trouble(&self, problem: String) {
        tracing::error!(problem, "the fold stands still");
        lock(&self.known).trouble = Some(problem);
        self.changed.notify_all();
    }

    /// The fold stands still for good.
    pub(crate) fn gives_up(&self, error: &HostError) {
        let problem = error.to_string();
        tracing::error!(problem, "the fold stands still");
        let mut known = lock(&self.known);
        (known.trouble, known.dead) = (Some(problem), Some(error.kind()));
        drop(known);
        self.changed.notify_all();
    }

    /// Whether the host closes.
    pub(crate) fn is_stopping(&self) -> bool {
        lock(&self.known).stop
    }

    /// The host closes.
    pub(crate) fn stop(&self) {
        // Under the lock that the fold waits with, or it could miss the news between looking and waiting.
        lock(&self.known).stop = true;
        self.changed.notify_all();
    }

    /// A policy is about to be asked.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long somebody waits; nothing that is recorded depends on it"
    )]
    pub(crate) fn asks(&self, policy: &str) {
        lock(&self.known).asking = Some((policy.to_owned(), Instant::now()));
    }

    /// It has answered.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long somebody waits; nothing that is recorded depends on it"
    )]
    pub(crate) fn asked(&self) {
        let mut known = lock(&self.known);
        if known.asking.take().is_some_and(|(_, begun)| begun.elapsed() >= SLOW) {
            known.slow = Some(Instant::now());
        }
    }

    /// One more log is restored.
    pub(crate) fn restored(&self) {
        let mut known = lock(&self.known);
        known.restoring = known.restoring.saturating_sub(1);
    }

    /// Whether some log is not restored yet.
    pub(crate) fn is_restoring(&self) -> bool {
        lock(&self.known).restoring > 0
    }

    /// Waits until everything that was acknowledged before is folded, its results are on disk, and questions see them; at
    /// most for `patience`.
    pub(crate) fn settle(&self, patience: Option<Duration>) -> Result<(), HostError> {
        self.wait(|_, waited| patience.is_some_and(|patience| waited >= patience))
    }

    /// The same for somebody who wants an answer now, with what is known: it waits for no slow policy, and for no start.
    /// Whether everything is folded.
    #[expect(
        clippy::disallowed_methods,
        reason = "how long somebody waits; nothing that is recorded depends on it"
    )]
    pub(crate) fn settle_soon(&self) -> Result<bool, HostError> {
        let begun = Instant::now();
        let waited = self.wait(|known, waited| {
            let is_held_up = known.restoring > 0 || known.is_slow(begun);
            waited >= if is_held_up { SOON } else { SOON_AT_MOST }
        });
        match waited {
            Ok(()) => Ok(true),
            Err(HostError::Behind { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "how long somebody waits; nothing that is recorded depends on it"
    )]
    fn wait(&self, is_enough: impl Fn(&Known, Duration) -> bool) -> Result<(), HostError> {
        let begun = Instant::now();
        let mut known = lock(&self.known);
        let target = known.heads;
        known.waiting += 1;
        self.changed.notify_all();
        let settled = loop {
            if known.published.has(&target) {
                break Ok(());
            }
            if let Some(kind) = known.dead {
                let problem = known.trouble.clone().unwrap_or_default();
                break Err(HostError::FoldStopped { problem, kind });
            }
            if known.stop {
                break Err(HostError::Closing);
            }
            if is_enough(&known, begun.elapsed()) {
                let entries = known.heads.entries().saturating_sub(known.published.entries());
                break Err(HostError::Behind { entries, why: why_behind(&known) });
            }
            known = self.changed.wait_timeout(known, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        };
        known.waiting -= 1;
        settled
    }

    /// What the fold is at, where it is behind and somebody should know why.
    pub(crate) fn behind(&self) -> Option<String> {
        let known = lock(&self.known);
        let is_behind = !known.published.has(&known.heads);
        is_behind.then(|| why_behind(&known)).filter(|why| !why.is_empty())
    }

    /// Entries that were acknowledged, entries that questions see, and what holds the fold up.
    pub(crate) fn entries(&self) -> (u64, u64, Option<String>) {
        let known = lock(&self.known);
        (known.heads.entries(), known.published.entries(), known.trouble.clone())
    }
}

/// Why the fold is behind, as far as it is not just busy.
fn why_behind(known: &Known) -> String {
    if known.restoring > 0 {
        let logs = if known.restoring == 1 { "log" } else { "logs" };
        return format!("the host is starting, and has {} more {logs} to restore", known.restoring);
    }
    let slow = known.asking.as_ref().map(|(policy, begun)| (policy, begun.elapsed()));
    match slow.filter(|(_, taken)| *taken >= SLOW) {
        Some((policy, taken)) => {
            format!("policy `{policy}` has been asked for {:.1} s and has not answered", taken.as_secs_f64())
        }
        None => String::new(),
    }
}
