//! How far logs and fold are, for those who wait for one or the other.

use std::{
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use trimtab_log::Appended;
use trimtab_types::{Position, Shard};

use crate::HostError;

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
    /// Whether it has given up.
    dead: bool,
    stop: bool,
}

/// Progress that several threads share.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    known: Mutex<Known>,
    changed: Condvar,
}

impl Progress {
    /// From where a host begins.
    pub(crate) fn from(places: Places, heads: Places) -> Self {
        let known = Known { heads, published: places, ..Known::default() };
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

    /// The fold stands still; if `dead`, for good.
    pub(crate) fn trouble(&self, problem: String, dead: bool) {
        tracing::error!(problem, "the fold stands still");
        let mut known = lock(&self.known);
        (known.trouble, known.dead) = (Some(problem), dead);
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

    /// Waits until everything that was acknowledged before is folded, its results are on disk, and questions see them.
    pub(crate) fn settle(&self) -> Result<(), HostError> {
        let mut known = lock(&self.known);
        let target = known.heads;
        known.waiting += 1;
        self.changed.notify_all();
        let settled = loop {
            if known.published.has(&target) {
                break Ok(());
            }
            if known.dead {
                break Err(HostError::FoldStopped { problem: known.trouble.clone().unwrap_or_default() });
            }
            known = self.changed.wait(known).unwrap_or_else(PoisonError::into_inner);
        };
        known.waiting -= 1;
        settled
    }

    /// Entries that were acknowledged, entries that questions see, and what holds the fold up.
    pub(crate) fn entries(&self) -> (u64, u64, Option<String>) {
        let known = lock(&self.known);
        (known.heads.entries(), known.published.entries(), known.trouble.clone())
    }
}
