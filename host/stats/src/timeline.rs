//! Sketches by hour that become sketches by day, so that any baseline or recent window is a merge. Not a clock:
//! hours come in as numbers (whole hours since the epoch).

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::{Kll, StatsError};

/// Hours in a day.
const DAY: i64 = 24;

/// One quantity's distribution over time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SketchTimeline {
    k: u16,
    hours: BTreeMap<i64, Kll>,
    days: BTreeMap<i64, Kll>,
}

/// What a budget cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Shed {
    /// Hours that were rolled up into their day before their time.
    pub hours: usize,
    /// Days that were thrown away.
    pub days: usize,
}

impl SketchTimeline {
    /// Hours that stay hours: three days.
    pub const DEFAULT_KEEP_HOURS: i64 = 72;

    /// An empty timeline of sketches of size `k` (see [`Kll::new`]).
    ///
    /// # Errors
    /// [`StatsError::Parameter`] for a `k` that [`Kll::new`] refuses.
    pub fn new(k: u16) -> Result<Self, StatsError> {
        Kll::new(k, 0)?;
        Ok(Self { k, hours: BTreeMap::new(), days: BTreeMap::new() })
    }

    /// Adds a value that belongs to an hour; a late one goes to its day if that was rolled up already.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for an unusable value.
    pub fn add(&mut self, hour: i64, x: f64) -> Result<(), StatsError> {
        if let Some(day) = self.days.get_mut(&hour.div_euclid(DAY)) {
            return day.add(x);
        }
        if let Some(sketch) = self.hours.get_mut(&hour) {
            return sketch.add(x);
        }
        // The hour seeds the coin flips, so that hours are independent and replays equal.
        let mut sketch = Kll::new(self.k, hour as u64)?;
        sketch.add(x)?;
        self.hours.insert(hour, sketch);
        Ok(())
    }

    /// Adds a sketch of one hour; to its day if that was rolled up already.
    pub fn add_sketch(&mut self, hour: i64, mut sketch: Kll) {
        sketch.trim();
        if let Some(day) = self.days.get_mut(&hour.div_euclid(DAY)) {
            day.merge(&sketch);
        } else if let Some(there) = self.hours.get_mut(&hour) {
            there.merge(&sketch);
        } else {
            self.hours.insert(hour, sketch);
        }
    }

    /// Forgets what ended before an hour; a rolled-up day goes when all of it did.
    pub fn forget_before(&mut self, hour: i64) {
        self.hours = self.hours.split_off(&hour);
        self.days = self.days.split_off(&hour.div_euclid(DAY));
    }

    /// Rolls whole days up whose last hour lies at least `keep_hours` before `now_hour`; returns how many hours
    /// went.
    pub fn roll_up(&mut self, now_hour: i64, keep_hours: i64) -> usize {
        let mut rolled = 0;
        while let Some((&hour, _)) = self.hours.first_key_value() {
            let day = hour.div_euclid(DAY);
            if (day + 1) * DAY > now_hour.saturating_sub(keep_hours) {
                break;
            }
            rolled += self.roll_up_day(day);
        }
        rolled
    }

    fn roll_up_day(&mut self, day: i64) -> usize {
        let later = self.hours.split_off(&((day + 1) * DAY));
        let hours = core::mem::replace(&mut self.hours, later);
        let count = hours.len();
        let mut hours = hours.into_values();
        let Some(first) = hours.next() else { return 0 };
        let sketch = self.days.entry(day);
        let sketch = match sketch {
            std::collections::btree_map::Entry::Vacant(entry) => entry.insert(first),
            std::collections::btree_map::Entry::Occupied(entry) => {
                let entry = entry.into_mut();
                entry.merge(&first);
                entry
            }
        };
        hours.for_each(|hour| sketch.merge(&hour));
        sketch.trim();
        count
    }

    /// Everything within a range of hours as one sketch. A day that was rolled up counts in full if it starts
    /// within the range.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] never in practice: `k` was checked at construction.
    pub fn merged(&self, hours: Range<i64>) -> Result<Kll, StatsError> {
        self.merged_at(hours, self.k)
    }

    /// The same as a sketch of another size: with a larger one merging adds no error of its own, and is exact while
    /// everything in the range is and there is room for it.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] for a `k` that [`Kll::new`] refuses.
    pub fn merged_at(&self, hours: Range<i64>, k: u16) -> Result<Kll, StatsError> {
        let mut all = Kll::new(k, hours.start as u64)?;
        if hours.start < hours.end {
            // The first day that starts at or after the range's start.
            let first = hours.start.div_euclid(DAY) + i64::from(hours.start.rem_euclid(DAY) != 0);
            let last = (hours.end - 1).div_euclid(DAY);
            if first <= last {
                self.days.range(first..=last).for_each(|(_, sketch)| all.merge(sketch));
            }
            self.hours.range(hours).for_each(|(_, sketch)| all.merge(sketch));
        }
        Ok(all)
    }

    /// Bytes that all sketches take.
    pub fn bytes(&self) -> usize {
        self.hours.values().chain(self.days.values()).map(|sketch| sketch.bytes() + 16).sum()
    }

    /// Hours and days held.
    pub fn len(&self) -> (usize, usize) {
        (self.hours.len(), self.days.len())
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.hours.is_empty() && self.days.is_empty()
    }

    /// Makes everything fit into a number of bytes: first the oldest hours become days, all but those of the newest
    /// day; then the oldest days go. The newest day stays, whatever it takes.
    pub fn enforce(&mut self, budget: usize) -> Shed {
        let mut shed = Shed::default();
        while self.bytes() > budget {
            let oldest = self.hours.keys().next().map(|hour| hour.div_euclid(DAY));
            let newest = self.hours.keys().next_back().map(|hour| hour.div_euclid(DAY));
            match oldest {
                Some(day) if oldest != newest => shed.hours += self.roll_up_day(day),
                _ => {
                    let newest_is_a_day = newest.is_none() && self.days.len() == 1;
                    if newest_is_a_day || self.days.pop_first().is_none() {
                        break;
                    }
                    shed.days += 1;
                }
            }
        }
        shed
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::round_trip;

    fn filled(hours: Range<i64>, each: u32) -> SketchTimeline {
        let mut timeline = SketchTimeline::new(64).expect("valid");
        for hour in hours {
            for i in 0..each {
                timeline.add(hour, f64::from(i)).expect("usable");
            }
        }
        timeline
    }

    #[test]
    fn old_hours_become_days() {
        let mut timeline = filled(-24..120, 10);
        assert_eq!(timeline.roll_up(120, SketchTimeline::DEFAULT_KEEP_HOURS), 72);
        assert_eq!(timeline.len(), (72, 3));
        assert_eq!(timeline.merged(-24..120).expect("valid").count(), 1440);
        assert_eq!(timeline.merged(48..50).expect("valid").count(), 20, "hours are still hours");
        assert_eq!(timeline.merged(0..24).expect("valid").count(), 240);
        assert_eq!(
            timeline.merged(-3..24).expect("valid").count(),
            240,
            "a day that starts before is left out"
        );
        timeline.add(5, 1.0).expect("usable");
        assert_eq!(timeline.len(), (72, 3), "late values go to their day");
        assert_eq!(timeline.merged(0..24).expect("valid").count(), 241);
        assert_eq!(round_trip(&timeline), timeline);
    }

    #[test]
    fn a_budget_sheds_the_oldest_first() {
        let mut timeline = filled(0..96, 100);
        let full = timeline.bytes();
        assert_eq!(timeline.enforce(full), Shed::default());
        let shed = timeline.enforce(full / 2);
        assert!(timeline.bytes() <= full / 2 && shed.hours > 0 && shed.days == 0, "{shed:?}");
        assert_eq!(timeline.merged(0..96).expect("valid").count(), 9600, "nothing is lost yet");
        let shed = timeline.enforce(0);
        assert_eq!((timeline.len(), shed.days), ((24, 0), 3), "the newest day stays");
    }

    #[test]
    fn sketches_come_in_by_hour_and_go_when_they_are_old() {
        let mut timeline = filled(0..48, 10);
        timeline.roll_up(120, 72);
        let mut sketch = Kll::new(64, 1).expect("valid");
        sketch.add(0.5).expect("usable");
        for hour in [5, 60, 60] {
            timeline.add_sketch(hour, sketch.clone());
        }
        assert_eq!(timeline.len(), (1, 2), "a late one goes to its day, two of one hour are one");
        assert_eq!(timeline.merged(0..24).expect("valid").count(), 241);
        assert_eq!(timeline.merged(60..61).expect("valid").count(), 2);
        let exact = timeline.merged_at(0..61, 1_000).expect("valid");
        assert_eq!((exact.count(), exact.rank_error()), (241 + 240 + 2, timeline.days[&0].rank_error()));
        timeline.forget_before(25);
        assert_eq!(timeline.len(), (1, 1));
        timeline.forget_before(61);
        assert_eq!(timeline.len(), (0, 0));
    }

    #[test]
    fn unusable_values_change_nothing() {
        let mut timeline = filled(0..1, 3);
        let before = timeline.clone();
        assert!(timeline.add(7, f64::NAN).is_err());
        assert_eq!(timeline, before);
        assert!(SketchTimeline::new(1).is_err());
        assert!(SketchTimeline::new(64).expect("valid").is_empty());
    }

    proptest! {
        #[test]
        fn rolling_up_keeps_every_value(
            values in prop::collection::vec((-100i64..100, -1.0..1.0f64), 1..300), now in -100i64..200, keep in 0i64..100,
        ) {
            let mut timeline = SketchTimeline::new(16).expect("valid");
            for &(hour, x) in &values {
                timeline.add(hour, x).expect("usable");
            }
            timeline.roll_up(now, keep);
            prop_assert_eq!(timeline.merged(-240..240).expect("valid").count(), values.len() as u64);
            let day_starts = timeline.days.keys().all(|day| (day + 1) * DAY <= now - keep);
            prop_assert!(day_starts);
        }
    }
}
