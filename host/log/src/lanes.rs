//! The bounded queue in front of a writer thread: two lanes, and groups that share a transaction.
//!
//! A full lane refuses at once. Acts that must not wait behind bulk data have a lane of their own, which is always emptied
//! first.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
};

use crate::LogError;

/// Commands that wait in one lane at most.
const LANE: usize = 256;
/// Entries that wait in one lane at most, unless a single command has more.
const LANE_ENTRIES: usize = 131_072;
/// Entries of one group at most, unless a single command has more.
const GROUP: usize = 8_192;

/// How much a command brings.
pub(crate) trait Weighs {
    /// In entries.
    fn size(&self) -> usize;
}

/// The queue.
pub(crate) struct Lanes<C> {
    waiting: Mutex<Waiting<C>>,
    changed: Condvar,
}

struct Waiting<C> {
    urgent: Lane<C>,
    bulk: Lane<C>,
    closed: bool,
}

struct Lane<C> {
    commands: VecDeque<C>,
    entries: usize,
}

impl<C> Default for Lane<C> {
    fn default() -> Self {
        Self { commands: VecDeque::new(), entries: 0 }
    }
}

impl<C> Default for Lanes<C> {
    fn default() -> Self {
        let waiting = Waiting { urgent: Lane::default(), bulk: Lane::default(), closed: false };
        Self { waiting: Mutex::new(waiting), changed: Condvar::new() }
    }
}

impl<C: Weighs> Lane<C> {
    fn has_room_for(&self, command: &C) -> bool {
        let fits = self.entries + command.size() <= LANE_ENTRIES;
        self.commands.is_empty() || (fits && self.commands.len() < LANE)
    }

    fn push(&mut self, command: C) {
        self.entries += command.size();
        self.commands.push_back(command);
    }

    fn pop(&mut self) -> Option<C> {
        let command = self.commands.pop_front()?;
        self.entries -= command.size();
        Some(command)
    }
}

impl<C: Weighs> Lanes<C> {
    /// Takes a command, or gives it back with the reason.
    pub(crate) fn push(&self, command: C, urgent: bool) -> Result<(), (C, LogError)> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err((command, LogError::Stopped));
        }
        let lane = if urgent { &mut waiting.urgent } else { &mut waiting.bulk };
        if !lane.has_room_for(&command) {
            return Err((command, LogError::Busy));
        }
        lane.push(command);
        drop(waiting);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for commands; `None` once the queue is closed and empty.
    pub(crate) fn next_group(&self) -> Option<Vec<C>> {
        let mut waiting = self.lock();
        while waiting.urgent.commands.is_empty() && waiting.bulk.commands.is_empty() {
            if waiting.closed {
                return None;
            }
            waiting = self.changed.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        let (mut group, mut size) = (Vec::new(), 0);
        while let Some(command) = waiting.urgent.pop().or_else(|| waiting.bulk.pop()) {
            size += command.size();
            group.push(command);
            if size >= GROUP {
                break;
            }
        }
        Some(group)
    }

    /// Takes no more; what waits is still given out.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<C>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
