//! A market in small: two prices that walk, and two models that trade on a signal in front of them. One signal fades,
//! turns against its model and comes back stronger; the models do not know. Seeded: every run has the same rows, at other times.

use std::{
    fmt::Write,
    time::{SystemTime, UNIX_EPOCH},
};

/// Seconds of a bar.
const BAR: u64 = 900;
/// Volatility of a bar.
const VOLATILITY: f64 = 0.008;
/// How much of a bar's return the signal tells: the correlation of both.
const EDGE: f64 = 0.75;

/// When what happens to the fading signal, in bars.
pub(super) const BASELINE: usize = 800;
const FADES: usize = 1_100;
const WORST: usize = 1_700;
const RETURNS: usize = 2_100;
pub(super) const END: usize = 2_700;
/// The edge at its worst: the signal points the wrong way.
const WORST_EDGE: f64 = -0.3;
/// And when it is back.
const NEW_EDGE: f64 = 0.85;

/// The model that loses its edge, and the one that keeps it.
pub(super) const FADING: Model = Model { name: "btc-trend", version: "v7", segment: "BTC/USDT" };
pub(super) const STEADY: Model = Model { name: "eth-trend", version: "v3", segment: "ETH/USDT" };

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    pub(super) segment: &'static str,
}

pub(super) struct Market {
    random: Random,
    start: u64,
    bar: usize,
    prices: [f64; 2],
    /// The outcomes of the bar before, which become known when the next one begins.
    known: String,
}

impl Market {
    /// Whose last bar ends about now.
    pub(super) fn until_now() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let start = (now / BAR).saturating_sub(END as u64) * BAR;
        Self { random: Random(20), start, bar: 0, prices: [61_000.0, 2_400.0], known: String::new() }
    }

    pub(super) fn bar(&self) -> usize {
        self.bar
    }

    /// The time of the current bar.
    pub(super) fn time(&self) -> String {
        rfc3339(self.start + self.bar as u64 * BAR)
    }

    /// The rows of the next bars: what has become known, and what the models predict now.
    pub(super) fn rows(&mut self, bars: usize) -> String {
        let mut rows = String::new();
        for _ in 0..bars.min(END - self.bar) {
            rows.push_str(&std::mem::take(&mut self.known));
            self.one_bar(&mut rows);
            self.bar += 1;
        }
        rows
    }

    fn one_bar(&mut self, rows: &mut String) {
        let (at, known_at) = (self.time(), rfc3339(self.start + (self.bar as u64 + 1) * BAR));
        let id = self.bar;
        let edges = [edge(self.bar), EDGE];
        let mut step = |price: &mut f64, edge: f64| {
            let signal = self.random.normal();
            let noise = self.random.normal();
            let entry = *price;
            *price *= 1.0 + VOLATILITY * (edge * signal + (1.0 - edge * edge).sqrt() * noise);
            (signal, entry, *price)
        };
        // One model says up or down and trades on it; the host judges it by the prices.
        let (signal, entry, exit) = step(&mut self.prices[0], edges[0]);
        let side = if signal > 0.0 { 1 } else { -1 };
        let Model { name, version, segment } = FADING;
        writeln!(
            rows,
            r#"{{"prediction":{{"id":"b{id}","model":"{name}","version":"{version}","segment":"{segment}","time":"{at}","direction":{side},"side":{side},"size":1,"entry_price":{entry:.2},"features":{{"signal":{signal:.4}}},"horizon":"15m"}}}}"#
        )
        .expect("writes to memory");
        writeln!(
            self.known,
            r#"{{"outcome":{{"model":"{name}","id":"b{id}","time":"{known_at}","exit_price":{exit:.2}}}}}"#
        )
        .expect("writes to memory");
        // The other gives a score for "up" and learns the label later.
        let (signal, entry, exit) = step(&mut self.prices[1], edges[1]);
        let score = (0.5 + 0.15 * signal).clamp(0.02, 0.98);
        let label = i32::from(exit > entry);
        let Model { name, version, segment } = STEADY;
        writeln!(
            rows,
            r#"{{"prediction":{{"id":"e{id}","model":"{name}","version":"{version}","segment":"{segment}","time":"{at}","score":{score:.4},"features":{{"signal":{signal:.4}}},"horizon":"15m"}}}}"#
        )
        .expect("writes to memory");
        writeln!(
            self.known,
            r#"{{"outcome":{{"model":"{name}","id":"e{id}","time":"{known_at}","label":{label}}}}}"#
        )
        .expect("writes to memory");
    }
}

/// What the fading signal tells at a bar.
fn edge(bar: usize) -> f64 {
    match bar {
        FADES..WORST => {
            let way = (bar - FADES) as f64 / (WORST - FADES) as f64;
            EDGE + (WORST_EDGE - EDGE) * way
        }
        WORST..RETURNS => WORST_EDGE,
        RETURNS.. => NEW_EDGE,
        _ => EDGE,
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The sum of twelve uniform numbers, less six: near enough to a normal one.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| (self.next() >> 11) as f64 / (1_u64 << 53) as f64).sum::<f64>() - 6.0
    }
}

/// A time as text (days to civil date, proleptic Gregorian calendar counted from March).
fn rfc3339(seconds: u64) -> String {
    let (days, time) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let day_of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_civil() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
