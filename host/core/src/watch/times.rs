//! How many predictions were right in which stretch of time: by hour for two days, by day for ninety.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Seconds, Timestamp};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const HOURS_KEPT: i64 = 48;
const DAYS_KEPT: i64 = 90;

/// Counts by time of outcome. Bounded: what is older than ninety days is forgotten.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TimeCounts {
    hours: BTreeMap<i64, Count>,
    days: BTreeMap<i64, Count>,
}

/// Right ones of all.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Count {
    pub(crate) right: u32,
    pub(crate) all: u32,
}

impl TimeCounts {
    /// Counts a resolved prediction.
    pub(crate) fn add(&mut self, at: Timestamp, right: bool, now: Timestamp) {
        let (at, now) = (at.as_millis(), now.as_millis());
        let (oldest_hour, oldest_day) = (now.div_euclid(HOUR) - HOURS_KEPT, now.div_euclid(DAY) - DAYS_KEPT);
        for (counts, key, oldest) in [
            (&mut self.hours, at.div_euclid(HOUR), oldest_hour),
            (&mut self.days, at.div_euclid(DAY), oldest_day),
        ] {
            while counts.first_key_value().is_some_and(|(key, _)| *key < oldest) {
                counts.pop_first();
            }
            if key >= oldest {
                let count = counts.entry(key).or_default();
                count.all = count.all.saturating_add(1);
                count.right = count.right.saturating_add(u32::from(right));
            }
        }
    }

    /// When the oldest day that is kept began.
    pub(crate) fn first_day(&self) -> Option<Timestamp> {
        self.days.first_key_value().and_then(|(day, _)| Timestamp::from_millis(day * DAY))
    }

    /// Takes a resolved prediction back, because its outcome was corrected.
    pub(crate) fn remove(&mut self, at: Timestamp, right: bool) {
        let at = at.as_millis();
        for (counts, key) in [(&mut self.hours, at.div_euclid(HOUR)), (&mut self.days, at.div_euclid(DAY))] {
            if let Some(count) = counts.get_mut(&key) {
                count.all = count.all.saturating_sub(1);
                count.right = count.right.saturating_sub(u32::from(right));
            }
        }
    }

    /// Counts between `from_ago` and `until_ago` before `now`: in whole hours for the last two days, else in whole days.
    pub(crate) fn between(&self, now: Timestamp, from_ago: Seconds, until_ago: Seconds) -> Count {
        let from = now.as_millis() - i64::from(from_ago) * 1000;
        let until = now.as_millis() - i64::from(until_ago) * 1000;
        let (counts, unit) = if i64::from(from_ago) * 1000 <= HOURS_KEPT * HOUR {
            (&self.hours, HOUR)
        } else {
            (&self.days, DAY)
        };
        let (first, last) = (from.div_euclid(unit), until.div_euclid(unit));
        if first > last {
            return Count::default();
        }
        // The unit in which the stretch begins counts only if it begins there; the one in which it ends always does,
        // unless another stretch could begin at that very point.
        let first = if from.rem_euclid(unit) == 0 { first } else { first + 1 };
        let end = if until_ago == 0 { last + 1 } else { last };
        if first >= end {
            return Count::default();
        }
        counts.range(first..end).fold(Count::default(), |sum, (_, count)| Count {
            right: sum.right.saturating_add(count.right),
            all: sum.all.saturating_add(count.all),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_millis(hours * HOUR).expect("in range")
    }

    #[test]
    fn stretches_of_time_are_counted_in_hours_then_days() {
        let now = at(24 * 400);
        let mut counts = TimeCounts::default();
        for ago in [1, 5, 30, 24 * 3, 24 * 20, 24 * 95] {
            counts.add(at(24 * 400 - ago), ago % 2 == 1, now);
        }
        let hours = |n: u32| n * 3_600;
        #[rustfmt::skip]
        let cases = [
            // from ago,   until ago, right, all
            (hours(2),       0,        1, 1),
            (hours(6),       0,        2, 2),
            (hours(48),      0,        2, 3),
            (hours(48),      hours(6), 0, 1),
            (hours(24 * 4),  0,        2, 4),
            (hours(24 * 30), hours(24 * 2), 0, 2),
            (hours(24 * 99), 0,        2, 5), // the one of 95 days ago is forgotten
            (0,              hours(6), 0, 0), // the wrong way round
        ];
        for (from, until, right, all) in cases {
            assert_eq!(counts.between(now, from, until), Count { right, all }, "{from} to {until}");
        }
        counts.remove(at(24 * 400 - 1), true);
        assert_eq!(counts.between(now, hours(2), 0), Count { right: 0, all: 0 });
    }
}
