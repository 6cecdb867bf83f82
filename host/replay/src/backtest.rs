//! The order in which history would have arrived: a prediction at its time, its outcome when it became known, and ticks
//! between. A backtest and an import feed the same pipe in this order, so that late outcomes are late there too.

use std::{cmp::Reverse, collections::BinaryHeap};

use trimtab_types::Timestamp;

/// What arrives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Arrived<T> {
    /// A row.
    Row(T),
    /// Time has passed.
    Tick(Timestamp),
}

/// Puts rows in the order of arrival. They come in the order of a file; an outcome waits until its time has come.
///
/// Of what arrives at the same time, outcomes come before predictions, and each kind in the file's order.
#[derive(Debug)]
pub struct Arrivals<T> {
    waiting: BinaryHeap<Reverse<(Timestamp, u64, Waiting<T>)>>,
    outcomes: u64,
    /// Ticks are put in whenever this many seconds have passed.
    tick: Option<u32>,
    clock: Option<Timestamp>,
}

/// A row that compares as equal: order is by time and place alone.
#[derive(Debug)]
struct Waiting<T>(T);

impl<T> PartialEq for Waiting<T> {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl<T> Eq for Waiting<T> {}
impl<T> PartialOrd for Waiting<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Waiting<T> {
    fn cmp(&self, _: &Self) -> std::cmp::Ordering {
        std::cmp::Ordering::Equal
    }
}

impl<T> Arrivals<T> {
    /// With a tick whenever so many seconds have passed; without, for a host that has its own clock.
    pub fn new(tick: Option<u32>) -> Self {
        Self {
            waiting: BinaryHeap::new(),
            outcomes: 0,
            tick: tick.map(|seconds| seconds.max(1)),
            clock: None,
        }
    }

    /// A prediction, after everything that has become known by its time.
    pub fn prediction(&mut self, time: Timestamp, row: T, mut arrive: impl FnMut(Arrived<T>)) {
        self.pass(time, &mut arrive);
        self.advance(time, &mut arrive);
        arrive(Arrived::Row(row));
    }

    /// An outcome, which waits.
    pub fn outcome(&mut self, time: Timestamp, row: T) {
        self.outcomes += 1;
        self.waiting.push(Reverse((time, self.outcomes, Waiting(row))));
    }

    /// Passes on what is still waiting, at the end of the file. There are no more ticks: that no prediction follows says
    /// nothing of the model but that the file ends.
    pub fn finish(&mut self, mut arrive: impl FnMut(Arrived<T>)) {
        self.tick = None;
        self.pass(Timestamp::MAX, &mut arrive);
    }

    fn pass(&mut self, until: Timestamp, arrive: &mut impl FnMut(Arrived<T>)) {
        while self.waiting.peek().is_some_and(|Reverse((time, ..))| *time <= until) {
            if let Some(Reverse((time, _, Waiting(row)))) = self.waiting.pop() {
                self.advance(time, arrive);
                arrive(Arrived::Row(row));
            }
        }
    }

    /// At most one tick a step: an hour without rows is one piece of news, not sixty.
    fn advance(&mut self, time: Timestamp, arrive: &mut impl FnMut(Arrived<T>)) {
        let Some(seconds) = self.tick else { return };
        let start = time.floor(seconds);
        if self.clock.is_some_and(|clock| start > clock.floor(seconds)) {
            arrive(Arrived::Tick(start));
        }
        self.clock = self.clock.max(Some(time));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rows: &[(i64, i64)], tick: Option<u32>, expected: &str) {
        let mut arrivals = Arrivals::new(tick);
        let mut seen = Vec::new();
        let mut note = |arrived: Arrived<String>| {
            seen.push(match arrived {
                Arrived::Row(row) => row,
                Arrived::Tick(time) => format!("t{}", time.as_unix() / 60),
            });
        };
        let at = |minute: i64| Timestamp::from_millis(minute * 60_000).expect("in range");
        for (id, (predicted, known)) in rows.iter().enumerate() {
            arrivals.prediction(at(*predicted), format!("p{id}"), &mut note);
            arrivals.outcome(at(*known), format!("o{id}"));
        }
        arrivals.finish(&mut note);
        assert_eq!(seen.join(" "), expected);
    }

    #[test]
    fn outcomes_come_when_they_were_known() {
        check(&[(0, 30), (30, 60), (60, 90)], None, "p0 o0 p1 o1 p2 o2");
        check(&[(0, 90), (30, 60), (60, 61)], None, "p0 p1 o1 p2 o2 o0");
        check(&[(0, 30), (0, 30), (30, 31)], None, "p0 p1 o0 o1 p2 o2");
        check(&[(0, 30), (70, 200)], Some(3_600), "p0 o0 t60 p1 o1");
        check(&[(-90, -30), (10, 20)], Some(3_600), "p0 t-60 o0 t0 p1 o1");
        check(&[], None, "");
    }
}
