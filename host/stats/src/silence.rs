//! How long a stream may be silent before somebody should look: by the longest gaps of the days before. Not a clock: times
//! come in as milliseconds since the epoch, and are data.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::require;

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR as i64;
/// With fewer days than this the second longest gap may be one within a batch, and says nothing of the time between.
const FEW_DAYS: usize = 3;

/// Parameters of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SilenceSettings {
    /// How many times the usual longest gap is too long, 1 to 100.
    pub factor: f64,
    /// Days (that had any events) that say what is usual, 2 to 60; the running one is taken with them.
    pub days: u32,
    /// The least limit, in milliseconds.
    pub least: u64,
    /// The limit until so many days have passed since the first event, in milliseconds.
    pub at_first: u64,
}

impl Default for SilenceSettings {
    /// 2.5 times, of 15 days, at least 15 minutes; 72 hours at first.
    fn default() -> Self {
        Self { factor: 2.5, days: 15, least: 15 * MINUTE, at_first: 72 * HOUR }
    }
}

impl SilenceSettings {
    /// # Errors
    /// [`StatsError::Parameter`] naming what is out of range.
    pub fn check(&self) -> Result<(), StatsError> {
        require((1.0..=100.0).contains(&self.factor), "factor", self.factor, "1 to 100")?;
        require((2..=60).contains(&self.days), "days", self.days.into(), "2 to 60")
    }

    /// How long a silence may last, in milliseconds, by the longest gap of each day that had any events and by how long
    /// ago the first was.
    ///
    /// The second longest counts, so that one outage does not make the next one look usual.
    pub fn limit(&self, gaps: &[u64], since_first: u64) -> u64 {
        if since_first < u64::from(self.days) * DAY as u64 {
            return self.at_first;
        }
        let by_rule = second_longest(gaps) as f64 * self.factor;
        let least = if gaps.len() < FEW_DAYS { self.least.max(self.at_first) } else { self.least };
        (by_rule as u64).max(least)
    }
}

fn second_longest(gaps: &[u64]) -> u64 {
    let (mut longest, mut second) = (0, 0);
    for &gap in gaps {
        if gap >= longest {
            (longest, second) = (gap, longest);
        } else {
            second = second.max(gap);
        }
    }
    second
}

/// The longest gap of each of the newest days that had events. A gap belongs to the day in which it ended.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct DailyGaps {
    /// First and newest event.
    span: Option<(i64, i64)>,
    /// By day, oldest first; the last is the running one.
    gaps: Vec<u64>,
}

impl DailyGaps {
    /// An event at a time, in milliseconds since the epoch. One before the newest changes nothing.
    pub fn add(&mut self, settings: &SilenceSettings, at: i64) {
        let Some((first, newest)) = self.span else {
            self.span = Some((at, at));
            self.gaps.push(0);
            return;
        };
        if at <= newest {
            return;
        }
        self.span = Some((first, at));
        let gap = at.abs_diff(newest);
        match self.gaps.last_mut() {
            Some(running) if at.div_euclid(DAY) == newest.div_euclid(DAY) => *running = gap.max(*running),
            _ => self.gaps.push(gap),
        }
        let kept = settings.days as usize + 1;
        self.gaps.drain(..self.gaps.len().saturating_sub(kept));
    }

    /// The first event.
    pub fn first(&self) -> Option<i64> {
        self.span.map(|(first, _)| first)
    }

    /// How long a silence may last, in milliseconds, so long after the first event.
    pub fn limit(&self, settings: &SilenceSettings, since_first: u64) -> u64 {
        settings.limit(&self.gaps, since_first)
    }

    /// The newest event.
    pub fn newest(&self) -> Option<i64> {
        self.span.map(|(_, newest)| newest)
    }

    /// The longest gap that is usual: the second longest of the days held.
    pub fn usual(&self) -> u64 {
        second_longest(&self.gaps)
    }

    /// Where a silence at `now` has lasted too long: how long it has lasted, and how long it may, in milliseconds.
    pub fn too_long(&self, settings: &SilenceSettings, now: i64) -> Option<(u64, u64)> {
        let (first, newest) = self.span?;
        let since = |then: i64| if now > then { now.abs_diff(then) } else { 0 };
        let (age, limit) = (since(newest), settings.limit(&self.gaps, since(first)));
        (age > limit).then_some((age, limit))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Rng, round_trip};

    const SETTINGS: SilenceSettings =
        SilenceSettings { factor: 2.5, days: 15, least: 15 * MINUTE, at_first: 72 * HOUR };
    const H: i64 = HOUR as i64;

    /// Looks every five minutes while events come; panics at a false alarm. Returns the limit at the end.
    fn quiet(name: &str, events: &[i64]) -> u64 {
        let mut gaps = DailyGaps::default();
        for pair in events.windows(2) {
            gaps.add(&SETTINGS, pair[0]);
            let ticks = (pair[0]..pair[1]).step_by(5 * MINUTE as usize);
            for now in ticks.chain([pair[1]]) {
                assert_eq!(gaps.too_long(&SETTINGS, now), None, "{name}");
            }
        }
        let last = *events.last().expect("some");
        gaps.add(&SETTINGS, last);
        gaps = round_trip(&gaps);
        assert!(gaps.gaps.len() <= 16);
        let limit = SETTINGS.limit(&gaps.gaps, last.abs_diff(events[0]));
        assert_eq!(
            gaps.too_long(&SETTINGS, last + limit as i64),
            None,
            "{name}: at the limit it may be silent"
        );
        assert_eq!(gaps.too_long(&SETTINGS, last + limit as i64 + 1), Some((limit + 1, limit)), "{name}");
        limit
    }

    /// Hours in each of 200 days (day 0 is a Thursday), so many events an hour at random moments.
    fn events(seed: u64, an_hour: f64, is_open: impl Fn(i64, i64) -> bool) -> Vec<i64> {
        let mut rng = Rng::new(seed);
        let mut events = Vec::new();
        let (mut now, mean) = (0.0, H as f64 / an_hour);
        while now < 200.0 * DAY as f64 {
            now -= mean * libm::log(1.0 - rng.uniform());
            let at = now as i64;
            if is_open(at.div_euclid(DAY), at.rem_euclid(DAY) / H) {
                events.push(at);
            }
        }
        events
    }

    /// None of these ever alarms, and each limit follows from its longest usual gap.
    #[test]
    fn usual_silences_are_no_news() {
        let is_weekday = |day: i64| (day + 4) % 7 != 0 && (day + 4) % 7 != 6;
        for seed in 0..5 {
            let around = quiet("around the clock", &events(seed, 100.0 / 24.0, |_, _| true));
            assert!((2 * HOUR..8 * HOUR).contains(&around), "{around}");
            quiet("night valley", &events(seed, 20.0, |_, hour| !(1..5).contains(&hour)));
            let office = |day: i64, hour: i64| is_weekday(day) && (9..17).contains(&hour);
            let limit = quiet("office hours", &events(seed, 12.0, office));
            // From Friday 17 to Monday 9 are 64 hours.
            assert!((157 * HOUR..=165 * HOUR).contains(&limit), "{limit}");
        }
        let batches = |every: i64| -> Vec<i64> {
            (0..200 * 24 / every)
                .flat_map(|batch| (0..30).map(move |row| batch * every * H + 2 * H + row * 1_000))
                .collect()
        };
        let daily = quiet("daily batches", &batches(24));
        assert!(daily.abs_diff(60 * HOUR) < HOUR, "{daily}");
    }

    /// Batches a week apart are longer apart than the limit at first; after it nothing is reported.
    #[test]
    fn weekly_batches_are_usual_once_they_are_known() {
        let mut gaps = DailyGaps::default();
        for week in 0..30 {
            (0..30).for_each(|row| gaps.add(&SETTINGS, week * 7 * DAY + row * 1_000));
            let end = (week + 1) * 7 * DAY - 1;
            assert_eq!(gaps.too_long(&SETTINGS, end).is_some(), week < 2, "week {week}");
        }
        assert!(gaps.too_long(&SETTINGS, (29 + 18) * 7 * DAY).is_some());
    }

    #[test]
    fn one_outage_does_not_make_the_next_one_usual() {
        let mut gaps = DailyGaps::default();
        let mut now = 0;
        for hour in 0..24 * 40 {
            if !(24 * 30..24 * 33).contains(&hour) {
                now = hour * H;
                gaps.add(&SETTINGS, now);
            }
        }
        assert_eq!(gaps.usual(), HOUR);
        assert!(gaps.too_long(&SETTINGS, now + 3 * H).is_some());
    }

    #[test]
    fn the_limit_has_a_least_and_a_first() {
        assert_eq!(SETTINGS.limit(&[1_000; 16], 20 * DAY as u64), 15 * MINUTE);
        assert_eq!(SETTINGS.limit(&[9 * HOUR; 15], 15 * DAY as u64 - 1), 72 * HOUR);
        assert_eq!(SETTINGS.limit(&[0, 30_000], 20 * DAY as u64), 72 * HOUR, "two days say little");
        assert_eq!(SETTINGS.limit(&[4 * HOUR, 2 * HOUR, 4 * HOUR], 15 * DAY as u64), 10 * HOUR);
        assert_eq!(DailyGaps::default().too_long(&SETTINGS, i64::MAX), None);
        let mut gaps = DailyGaps::default();
        [i64::MIN, 5, 3, i64::MAX].into_iter().for_each(|at| gaps.add(&SETTINGS, at));
        assert_eq!((gaps.newest(), gaps.gaps.len()), (Some(i64::MAX), 3), "what comes late changes nothing");
        assert!(SilenceSettings { factor: 0.5, ..SETTINGS }.check().is_err());
        assert!(SilenceSettings { days: 1, ..SETTINGS }.check().is_err() && SETTINGS.check().is_ok());
    }
}
