//! The newest judged predictions, from which accuracy over any shorter window is read. Not a store of
//! predictions: only a key and right or wrong are kept.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::require;

/// How many of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proportion {
    /// Right ones.
    pub successes: u64,
    /// All.
    pub n: u64,
}

impl Proportion {
    /// The share, or `None` of nothing.
    pub fn share(&self) -> Option<f64> {
        (self.n > 0).then(|| self.successes as f64 / self.n as f64)
    }
}

/// A ring of judged predictions: 8 bytes for a key and one bit for right or wrong each. It grows up to its
/// capacity and then replaces the oldest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    capacity: u32,
    /// Slot of the next item once the ring is full; 0 before.
    next: u32,
    keys: Vec<u64>,
    /// Bit `i` of word `i / 64`: slot `i` was right.
    right: Vec<u64>,
}

impl Window {
    /// What is kept if nothing else is asked for: the longest of the three usual windows.
    pub const DEFAULT_CAPACITY: u32 = 200;

    /// An empty window over the newest `capacity` items.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless `capacity` is 1 to 1,000,000.
    pub fn new(capacity: u32) -> Result<Self, StatsError> {
        require((1..=1_000_000).contains(&capacity), "capacity", capacity.into(), "1 to 1000000")?;
        Ok(Self { capacity, next: 0, keys: Vec::new(), right: Vec::new() })
    }

    /// Items held.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Most items held.
    pub fn capacity(&self) -> usize {
        self.capacity as usize
    }

    /// Adds the newest item; the oldest goes if the window is full. Keys are not checked for repetition: an
    /// item whose outcome changed belongs in [`Window::amend`].
    pub fn push(&mut self, key: u64, correct: bool) {
        let slot = if self.keys.len() < self.capacity() {
            let slot = self.keys.len();
            self.keys.push(key);
            if slot / 64 == self.right.len() {
                self.right.push(0);
            }
            slot
        } else {
            let slot = self.next as usize;
            self.keys[slot] = key;
            self.next = (self.next + 1) % self.capacity;
            slot
        };
        self.set(slot, correct);
    }

    /// Changes whether the item with this key was right; false if it is not (or no longer) held. Of several
    /// with the same key all change.
    pub fn amend(&mut self, key: u64, correct: bool) -> bool {
        let mut found = false;
        for slot in 0..self.keys.len() {
            if self.keys[slot] == key {
                self.set(slot, correct);
                found = true;
            }
        }
        found
    }

    /// Right ones among the newest `k` items, or among all if fewer are held. Counts bits word by word.
    pub fn newest(&self, k: usize) -> Proportion {
        let len = self.keys.len();
        let n = k.min(len);
        // Slots in order of age: next..len, then 0..next; the newest n end at `next`.
        let newest_end = self.next as usize;
        let tail = n.min(newest_end);
        let successes = self.ones(newest_end - tail, newest_end) + self.ones(len - (n - tail), len);
        Proportion { successes, n: n as u64 }
    }

    /// Share of right ones among the newest `k` items; `None` while there are fewer than `k` or `k` is 0.
    pub fn accuracy(&self, k: usize) -> Option<f64> {
        if k > self.keys.len() { None } else { self.newest(k).share() }
    }

    /// Wrong ones in a row at the newest end.
    pub fn losing_run(&self) -> usize {
        self.newest_first().take_while(|(_, correct)| !correct).count()
    }

    /// Items from newest to oldest.
    pub fn newest_first(&self) -> impl Iterator<Item = (u64, bool)> + '_ {
        let next = self.next as usize;
        (0..next).rev().chain((next..self.keys.len()).rev()).map(|slot| (self.keys[slot], self.get(slot)))
    }

    /// Forgets every item.
    pub fn clear(&mut self) {
        self.next = 0;
        self.keys.clear();
        self.right.clear();
    }

    fn get(&self, slot: usize) -> bool {
        self.right[slot / 64] >> (slot % 64) & 1 == 1
    }

    fn set(&mut self, slot: usize, correct: bool) {
        let mask = 1 << (slot % 64);
        if correct {
            self.right[slot / 64] |= mask;
        } else {
            self.right[slot / 64] &= !mask;
        }
    }

    /// Set bits among slots `from..to`.
    fn ones(&self, from: usize, to: usize) -> u64 {
        if from >= to {
            return 0;
        }
        let (first, last) = (from / 64, (to - 1) / 64);
        let (head, tail) = (u64::MAX << (from % 64), u64::MAX >> (63 - (to - 1) % 64));
        (first..=last)
            .map(|word| {
                let mut bits = self.right[word];
                if word == first {
                    bits &= head;
                }
                if word == last {
                    bits &= tail;
                }
                u64::from(bits.count_ones())
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::testing::round_trip;

    #[test]
    fn two_hundred_items_take_about_two_kilobytes() {
        let mut window = Window::new(Window::DEFAULT_CAPACITY).expect("valid");
        for i in 0..500u64 {
            window.push(i.wrapping_mul(0x9E37_79B9_7F4A_7C15), i % 3 == 0);
        }
        let bytes = postcard::to_allocvec(&window).expect("serialises").len();
        assert!(bytes <= 2_100, "{bytes} bytes stored");
    }

    #[test]
    fn accuracy_needs_as_many_items_as_asked() {
        let mut window = Window::new(4).expect("valid");
        assert_eq!(window.accuracy(1), None);
        window.push(1, true);
        window.push(2, false);
        assert_eq!(window.accuracy(0), None);
        assert_eq!(window.accuracy(1), Some(0.0));
        assert_eq!(window.accuracy(2), Some(0.5));
        assert_eq!(window.accuracy(3), None);
        assert_eq!(window.newest(3), Proportion { successes: 1, n: 2 });
        assert!(Window::new(0).is_err());
    }

    proptest! {
        /// Against a plain queue.
        #[test]
        fn behaves_like_a_queue(
            capacity in 1u32..150,
            steps in prop::collection::vec((0u64..40, any::<bool>(), any::<bool>()), 0..400),
        ) {
            let mut window = Window::new(capacity).expect("valid");
            let mut queue: VecDeque<(u64, bool)> = VecDeque::new();
            for (key, correct, amend) in steps {
                if amend {
                    let held = queue.iter().any(|item| item.0 == key);
                    prop_assert_eq!(window.amend(key, correct), held);
                    queue.iter_mut().filter(|item| item.0 == key).for_each(|item| item.1 = correct);
                } else {
                    window.push(key, correct);
                    queue.push_back((key, correct));
                    if queue.len() > capacity as usize {
                        queue.pop_front();
                    }
                }
                for k in [0, 1, 2, 63, 64, 65, 149, 1000] {
                    let newest: Vec<_> = queue.iter().rev().take(k).collect();
                    let successes = newest.iter().filter(|item| item.1).count() as u64;
                    prop_assert_eq!(window.newest(k), Proportion { successes, n: newest.len() as u64 });
                }
                let run = queue.iter().rev().take_while(|item| !item.1).count();
                prop_assert_eq!(window.losing_run(), run);
            }
            let items: Vec<_> = window.newest_first().collect();
            prop_assert_eq!(items, queue.into_iter().rev().collect::<Vec<_>>());
            prop_assert_eq!(round_trip(&window), window);
        }
    }
}
