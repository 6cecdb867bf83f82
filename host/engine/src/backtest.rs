//! The order in which history would have arrived: a prediction at its time, its outcome when it became known, and ticks
//! between. A backtest and an import feed the same pipe in this order, so that late outcomes are late there too.

use std::{cmp::Reverse, collections::BinaryHeap};

use trimtab_types::{Entry, Timestamp};

/// Puts entries in the order of arrival. Rows come in the order of a file; an outcome waits until its time has come.
///
/// Of what arrives at the same time, outcomes come before predictions, and each kind in the file's order.
#[derive(Debug, Default)]
pub struct Arrivals {
    waiting: BinaryHeap<Reverse<(Timestamp, u64, Waiting)>>,
    rows: u64,
    /// Ticks are put in whenever this many seconds have passed.
    tick: Option<u64>,
    clock: Option<Timestamp>,
}

/// An entry that compares as equal: order is by time and row alone.
#[derive(Debug)]
struct Waiting(Entry);

impl PartialEq for Waiting {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Waiting {}
impl PartialOrd for Waiting {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Waiting {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl Arrivals {
    /// Without ticks, for an import into a host that has its own clock.
    pub fn without_ticks() -> Self {
        Self::default()
    }

    /// With a tick whenever `seconds` have passed.
    pub fn with_ticks(seconds: u64) -> Self {
        Self { tick: Some(seconds.max(1)), ..Self::default() }
    }

    /// Takes a row of the file and passes on everything that has arrived by the time of its prediction.
    pub fn row(&mut self, prediction: Option<Entry>, outcome: Option<Entry>, mut arrive: impl FnMut(Entry)) {
        self.rows += 1;
        if let Some(Entry::Prediction(row)) = &prediction {
            self.pass(row.time, &mut arrive);
            self.advance(row.time, &mut arrive);
        }
        prediction.into_iter().for_each(&mut arrive);
        if let Some(entry) = outcome {
            let time = match &entry {
                Entry::Outcome(outcome) => outcome.time,
                _ => Timestamp::EPOCH,
            };
            self.waiting.push(Reverse((time, self.rows, Waiting(entry))));
        }
    }

    /// Passes on what is still waiting, at the end of the file.
    pub fn finish(&mut self, mut arrive: impl FnMut(Entry)) {
        self.pass(Timestamp::MAX, &mut arrive);
    }

    fn pass(&mut self, until: Timestamp, arrive: &mut impl FnMut(Entry)) {
        while self.waiting.peek().is_some_and(|Reverse((time, ..))| *time <= until) {
            if let Some(Reverse((time, _, Waiting(entry)))) = self.waiting.pop() {
                self.advance(time, arrive);
                arrive(entry);
            }
        }
    }

    /// At most one tick a step: an hour without rows is one piece of news, not sixty.
    fn advance(&mut self, time: Timestamp, arrive: &mut impl FnMut(Entry)) {
        let Some(seconds) = self.tick else { return };
        let due = self.clock.is_some_and(|clock| time.as_unix() / seconds > clock.as_unix() / seconds);
        if due {
            let start = time.as_unix() / seconds * seconds;
            arrive(Entry::Tick(Timestamp::EPOCH.plus(start)));
        }
        self.clock = self.clock.max(Some(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::{OutcomeRow, PredictionRow};

    fn at(minute: u32) -> String {
        format!("2026-01-01T{:02}:{:02}:00Z", minute / 60, minute % 60)
    }

    fn check(rows: &[(u32, u32)], tick: Option<u64>, expected: &str) {
        let mut arrivals = tick.map_or_else(Arrivals::without_ticks, Arrivals::with_ticks);
        let mut seen = Vec::new();
        let mut note = |entry: Entry| {
            seen.push(match entry {
                Entry::Prediction(row) => format!("p{}", row.id),
                Entry::Outcome(row) => format!("o{}", row.id),
                Entry::Tick(time) => format!("t{}", time.as_unix() % 86_400 / 60),
                other => format!("{other:?}"),
            });
        };
        for (id, (predicted, known)) in rows.iter().enumerate() {
            let prediction = PredictionRow {
                id: Some(id.to_string()),
                model: "m".into(),
                version: "v".into(),
                time: at(*predicted),
                score: Some(0.5),
                ..PredictionRow::default()
            };
            let outcome = OutcomeRow {
                id: id.to_string(),
                model: "m".into(),
                time: at(*known),
                label: Some(1),
                ..OutcomeRow::default()
            };
            let prediction = Entry::Prediction(prediction.prediction().expect("valid"));
            let outcome = Entry::Outcome(outcome.outcome().expect("valid"));
            arrivals.row(Some(prediction), Some(outcome), &mut note);
        }
        arrivals.finish(&mut note);
        assert_eq!(seen.join(" "), expected);
    }

    #[test]
    fn outcomes_come_when_they_were_known() {
        check(&[(0, 30), (30, 60), (60, 90)], None, "p0 o0 p1 o1 p2 o2");
        check(&[(0, 90), (30, 60), (60, 61)], None, "p0 p1 o1 p2 o2 o0");
        check(&[(0, 30), (0, 30), (30, 31)], None, "p0 p1 o0 o1 p2 o2");
        check(&[(0, 30), (70, 200)], Some(3_600), "p0 o0 t60 p1 t180 o1");
        check(&[], None, "");
    }
}
