//! Checkpoints: what a fold knew at a committed position of one log, in parts. What a part says is not known here.

use trimtab_types::{Digest, DigestBuilder, Position, Shard, Timestamp};

use crate::About;

/// Which part of a state.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartKey {
    /// Whom it is about; [`About::All`]: the whole log.
    pub about: About,
    /// Which of its parts; the numbers are the core's.
    pub part: u8,
}

/// A part as it was at a position. It counts until a newer one of the same key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Of which log.
    pub shard: Shard,
    /// Which part.
    pub key: PartKey,
    /// Where it was so.
    pub position: Position,
    /// In which format.
    pub format: u32,
    /// What it says.
    pub bytes: Vec<u8>,
}

/// The header of a checkpoint. Parts without one do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Of which log.
    pub shard: Shard,
    /// Where.
    pub position: Position,
    /// The newest time that any model knows there.
    pub at: Timestamp,
    /// The build that made it.
    pub build: String,
    /// Its rules.
    pub rules: u32,
    /// Of all parts that count there: see [`Checkpoint::hash_of`].
    pub hash: Digest,
}

impl Checkpoint {
    /// The hash over the hashes of all parts that count, in the order of their keys.
    pub fn hash_of<'a>(parts: impl IntoIterator<Item = &'a Digest>) -> Digest {
        let all = DigestBuilder::new("checkpoint");
        parts.into_iter().fold(all, |all, part| all.part(part.as_bytes())).finish()
    }

    /// Which of the checkpoints of a log are kept, given oldest first: the newest four, the first of each build, the first
    /// of each week of the last quarter, and before that the first of each 30 days. Weeks and months are those of the
    /// log's own times.
    pub fn kept(all: &[Self]) -> Vec<Position> {
        const DAY: i64 = 86_400_000;
        let Some(newest) = all.last() else { return Vec::new() };
        let stretch = |one: &Self| {
            let days = one.at.as_millis().div_euclid(DAY);
            let is_recent = newest.at.as_millis().saturating_sub(one.at.as_millis()) <= 91 * DAY;
            if is_recent { (true, days.div_euclid(7)) } else { (false, days.div_euclid(30)) }
        };
        let is_first = |index: usize| {
            let earlier = index.checked_sub(1).and_then(|before| all.get(before));
            earlier
                .zip(all.get(index))
                .is_none_or(|(before, one)| stretch(before) != stretch(one) || before.build != one.build)
        };
        let kept = (0..all.len()).filter(|index| index + 4 >= all.len() || is_first(*index));
        kept.filter_map(|index| all.get(index)).map(|one| one.position).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_and_the_first_of_weeks_months_and_builds_are_kept() {
        /// Checkpoints as (day, build); positions are their numbers from 1.
        fn check(days: &[(u64, &str)], expected: &[u64]) {
            let checkpoint = |(position, (day, build)): (u64, &(u64, &str))| Checkpoint {
                shard: Shard::of("t", "m"),
                position: Position(position),
                at: Timestamp::EPOCH.plus(day * 86_400),
                build: (*build).to_owned(),
                rules: 1,
                hash: Checkpoint::hash_of([]),
            };
            let all: Vec<_> = (1..).zip(days).map(checkpoint).collect();
            let kept: Vec<_> = Checkpoint::kept(&all).into_iter().map(|position| position.0).collect();
            assert_eq!(kept, expected, "{days:?}");
        }
        check(&[], &[]);
        check(&[(0, "a")], &[1]);
        check(&[(0, "a"), (0, "a"), (0, "a"), (0, "a"), (0, "a"), (0, "a")], &[1, 3, 4, 5, 6]);
        // Day 7 begins another week of the epoch's; build b comes on the same day.
        check(
            &[(0, "a"), (1, "a"), (7, "a"), (8, "b"), (8, "b"), (8, "b"), (8, "b"), (8, "b")],
            &[1, 3, 4, 5, 6, 7, 8],
        );
        // Days 0 and 40 are older than a quarter on day 200: by months of 30 days.
        let old = [(0, "a"), (10, "a"), (40, "a"), (200, "a"), (200, "a"), (200, "a"), (200, "a")];
        check(&old, &[1, 3, 4, 5, 6, 7]);
    }
}
