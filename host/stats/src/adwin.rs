//! ADWIN: a window over a bounded stream that shrinks when two parts of it have different means.
//! Not for unbounded data, whose variance bound it relies on being of the order of the change.
//!
//! Source: A. Bifet and R. Gavaldà, "Learning from Time-Changing Data with Adaptive Windowing" (SDM 2007),
//! the ADWIN2 algorithm with exponential histograms, with the cut of river 0.26.1 (its `min_window_length`
//! enters the harmonic mean). Conforms to river's drift indices and window traces in both variants.

use serde::{Deserialize, Serialize};

use crate::error::{finite, require};
use crate::{Alarm, Direction, Estimate, OnlineDetector, Signal, StatsError};

/// What happens to the window after a drift.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdwinVariant {
    /// The paper and MOA: the newer part stays, so one change can fire several times while the window
    /// sheds what is left of the old regime.
    KeepWindow,
    /// river: the window is thrown away at the next observation.
    ResetOnDrift,
}

/// Parameters of [`Adwin`]; the defaults are river's and MOA's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AdwinConfig {
    /// Bound on the probability of a false cut at one check, in (0, 1); lower = less sensitive.
    pub delta: f64,
    /// Observations between two checks, at least 1.
    pub clock: u32,
    /// Buckets of one size before two of them merge, 1 to 64; more = finer cuts, more memory.
    pub max_buckets: u32,
    /// Least observations on each side of a cut, at least 1.
    pub min_window_length: u32,
    /// No check before the window holds more observations than this.
    pub grace_period: u32,
    /// What happens to the window after a drift.
    pub variant: AdwinVariant,
}

impl Default for AdwinConfig {
    fn default() -> Self {
        Self {
            delta: 0.002,
            clock: 32,
            max_buckets: 5,
            min_window_length: 5,
            grace_period: 10,
            variant: AdwinVariant::KeepWindow,
        }
    }
}

impl AdwinConfig {
    fn validate(&self) -> Result<(), StatsError> {
        require(self.delta > 0.0 && self.delta < 1.0, "delta", self.delta, "between 0 and 1, both excluded")?;
        require(self.clock >= 1, "clock", self.clock.into(), "1 or more")?;
        require((1..=64).contains(&self.max_buckets), "max_buckets", self.max_buckets.into(), "1 to 64")?;
        require(self.min_window_length >= 1, "min_window_length", self.min_window_length.into(), "1 or more")
    }
}

/// A run of consecutive observations, of which only sum and spread are kept.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Bucket {
    total: f64,
    /// Sum of squared deviations from the bucket's own mean.
    spread: f64,
}

impl Bucket {
    /// Both buckets as one; each holds `n` observations. (Chan, Golub, LeVeque: pairwise update.)
    fn join(self, other: Self, n: f64) -> Self {
        let gap = self.total / n - other.total / n;
        Self {
            total: self.total + other.total,
            spread: self.spread + other.spread + n * n * gap * gap / (n + n),
        }
    }
}

/// A window as two parts: their sizes, sums and how far apart their means have to be to differ.
#[derive(Debug, Clone, Copy)]
struct Cut {
    older: (f64, f64),
    newer: (f64, f64),
    threshold: f64,
}

impl Cut {
    fn means(&self) -> (f64, f64) {
        (self.older.1 / self.older.0, self.newer.1 / self.newer.0)
    }

    fn distance(&self) -> f64 {
        let (older, newer) = self.means();
        (older - newer).abs()
    }

    fn differs(&self) -> bool {
        self.distance() > self.threshold
    }
}

/// The detector. Memory grows with the logarithm of the window: 16 bytes a bucket, about
/// `max_buckets · log2(width / max_buckets)` buckets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Adwin {
    config: AdwinConfig,
    /// Oldest (and largest) first. One flat list, because a check walks all of it.
    buckets: Vec<Bucket>,
    /// `rows[r]` buckets hold 2^r observations each; the last row is the oldest.
    rows: Vec<u8>,
    width: u64,
    total: f64,
    /// Sum of squared deviations from the window's mean.
    spread: f64,
    since_check: u32,
    drifts: u64,
    restart: bool,
}

impl Adwin {
    /// An empty window.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: AdwinConfig) -> Result<Self, StatsError> {
        config.validate()?;
        Ok(Self {
            config,
            buckets: Vec::new(),
            rows: vec![0],
            width: 0,
            total: 0.0,
            spread: 0.0,
            since_check: 0,
            drifts: 0,
            restart: false,
        })
    }

    /// The parameters.
    pub fn config(&self) -> &AdwinConfig {
        &self.config
    }

    /// Observations in the window.
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Sum of the observations in the window.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Mean of the window; 0 while it is empty.
    pub fn estimate(&self) -> f64 {
        if self.width == 0 { 0.0 } else { self.total / self.width as f64 }
    }

    /// Population variance of the window; 0 while it is empty.
    pub fn variance(&self) -> f64 {
        if self.width == 0 { 0.0 } else { self.spread.max(0.0) / self.width as f64 }
    }

    /// Drifts since construction or [`OnlineDetector::reset`], in either direction.
    pub fn drifts(&self) -> u64 {
        self.drifts
    }

    fn clear_window(&mut self) {
        self.buckets.clear();
        self.rows.clear();
        self.rows.push(0);
        self.width = 0;
        self.total = 0.0;
        self.spread = 0.0;
        self.since_check = 0;
        self.restart = false;
    }

    fn insert(&mut self, x: f64) {
        if self.width > 0 {
            let old = self.width as f64;
            let gap = x - self.total / old;
            self.spread += old * gap * gap / (old + 1.0);
        }
        self.width += 1;
        self.total += x;
        self.buckets.push(Bucket { total: x, spread: 0.0 });
        self.rows[0] += 1;
        self.merge_full_rows();
    }

    /// A row that is over full passes its two oldest buckets, joined, to the next row. The list is ordered by
    /// age, so the joined bucket already stands where the next row ends.
    fn merge_full_rows(&mut self) {
        let mut start = self.buckets.len();
        let mut size = 1.0;
        for row in 0.. {
            start -= usize::from(self.rows[row]);
            if u32::from(self.rows[row]) <= self.config.max_buckets {
                break;
            }
            self.buckets[start] = self.buckets[start].join(self.buckets[start + 1], size);
            self.buckets.remove(start + 1);
            self.rows[row] -= 2;
            if row + 1 == self.rows.len() {
                self.rows.push(0);
            }
            self.rows[row + 1] += 1;
            start += 1;
            size *= 2.0;
        }
    }

    fn drop_oldest(&mut self) {
        let row = self.rows.len() - 1;
        let oldest = self.buckets.remove(0);
        let count = 1u64 << row;
        self.rows[row] -= 1;
        while self.rows.len() > 1 && self.rows.last() == Some(&0) {
            self.rows.pop();
        }
        self.width -= count;
        self.total -= oldest.total;
        let (n, rest) = (count as f64, self.width as f64);
        let gap = oldest.total / n - self.total / rest;
        self.spread -= oldest.spread + n * rest * gap * gap / (n + rest);
    }

    /// Every split between two buckets that leaves enough on both sides, from the oldest end.
    fn cuts(&self) -> impl Iterator<Item = Cut> {
        let (width, total) = (self.width as f64, self.total);
        let min = f64::from(self.config.min_window_length);
        let log_term = libm::log(2.0 * libm::log(width) / self.config.delta);
        // Cancellation can leave a spread a hair below zero; the bound then is its variance-free part.
        let variance_term = 2.0 * self.variance() * log_term;
        let range_term = 2.0 / 3.0 * log_term;

        let sizes = self.rows.iter().enumerate().rev();
        let sizes = sizes.flat_map(|(row, &count)| core::iter::repeat_n((1u64 << row) as f64, count.into()));
        let sums = self.buckets.iter().zip(sizes).scan((0.0, 0.0), |older, (bucket, size)| {
            older.0 += size;
            older.1 += bucket.total;
            Some(*older)
        });
        let long_enough =
            sums.skip_while(move |older| older.0 < min).take_while(move |older| width - older.0 >= min);
        long_enough.map(move |older| {
            let newer = (width - older.0, total - older.1);
            let m = 1.0 / (older.0 - min + 1.0) + 1.0 / (newer.0 - min + 1.0);
            Cut { older, newer, threshold: (variance_term * m).sqrt() + range_term * m }
        })
    }

    fn has_cut(&self) -> bool {
        self.cuts().any(|cut| cut.differs())
    }

    /// Sheds old buckets until no split has different means; tells about the clearest split before that.
    ///
    /// What is shed first can by chance lie on the wrong side of what is kept, which still holds much of the old
    /// regime. The clearest split says reliably which way the mean went.
    fn check(&mut self) -> Option<Alarm> {
        if !self.has_cut() {
            return None;
        }
        let clearer =
            |a: &Cut, b: &Cut| (a.distance() / a.threshold).total_cmp(&(b.distance() / b.threshold));
        let clearest = self.cuts().filter(Cut::differs).max_by(clearer)?;
        while self.has_cut() {
            self.drop_oldest();
        }
        let (before, after) = clearest.means();
        let estimate = |mean, count: f64| Some(Estimate { mean, count: count as u64 });
        Some(Alarm {
            before: estimate(before, clearest.older.0),
            after: estimate(after, clearest.newer.0),
            ..Alarm::of(clearest.distance(), clearest.threshold, Some(Direction::between(before, after)))
        })
    }
}

impl OnlineDetector for Adwin {
    /// Accepts any finite number up to 1e100 in size; the guarantee holds for [0, 1]. A drift tells about the split
    /// of the window whose means differ most clearly: their distance and its bound, and both parts' means.
    /// [`Adwin::estimate`] is the mean of what is kept.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = finite(x)?;
        if self.restart {
            self.clear_window();
        }
        self.insert(x);
        self.since_check += 1;
        if self.since_check < self.config.clock {
            return Ok(Signal::None);
        }
        self.since_check = 0;
        if self.width <= u64::from(self.config.grace_period) {
            return Ok(Signal::None);
        }
        let Some(alarm) = self.check() else { return Ok(Signal::None) };
        self.drifts += 1;
        self.restart = self.config.variant == AdwinVariant::ResetOnDrift;
        Ok(Signal::Drift(alarm))
    }

    fn reset(&mut self) {
        self.clear_window();
        self.drifts = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Rng;

    fn adwin(config: AdwinConfig) -> Adwin {
        Adwin::new(config).expect("valid parameters")
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let base = AdwinConfig::default();
        let cases = [
            ("delta", AdwinConfig { delta: 0.0, ..base }),
            ("delta", AdwinConfig { delta: 1.0, ..base }),
            ("delta", AdwinConfig { delta: f64::NAN, ..base }),
            ("clock", AdwinConfig { clock: 0, ..base }),
            ("max_buckets", AdwinConfig { max_buckets: 0, ..base }),
            ("max_buckets", AdwinConfig { max_buckets: 65, ..base }),
            ("min_window_length", AdwinConfig { min_window_length: 0, ..base }),
        ];
        for (name, config) in cases {
            match Adwin::new(config) {
                Err(StatsError::Parameter { parameter, .. }) => assert_eq!(parameter, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }

    #[test]
    fn an_alarm_tells_direction_and_both_means() {
        for (from, to, direction) in [(0.1, 0.9, Direction::Up), (0.9, 0.1, Direction::Down)] {
            let mut rng = Rng::new(7);
            let mut detector = adwin(AdwinConfig::default());
            let mut first = None;
            for i in 0..1000 {
                let rate = if i < 500 { from } else { to };
                let signal = detector.update(rng.bernoulli(rate)).expect("usable");
                first = first.or(signal.drift().map(|alarm| (i, *alarm)));
            }
            let (at, alarm) = first.expect("a jump of 0.8 is seen");
            assert!((500..600).contains(&at), "seen at {at}");
            assert_eq!(alarm.direction, Some(direction));
            assert!(alarm.statistic > alarm.threshold);
            let (before, after) = (alarm.before.expect("known"), alarm.after.expect("known"));
            assert_eq!(before.count + after.count, at + 1);
            assert!((before.mean - from).abs() < (before.mean - to).abs(), "{before:?}");
        }
    }

    #[test]
    fn variants_differ_only_after_a_drift() {
        let run = |variant| {
            let mut detector = adwin(AdwinConfig { variant, ..AdwinConfig::default() });
            let mut widths = Vec::new();
            for i in 0..800 {
                let x = if i < 400 { 0.0 } else { 1.0 };
                detector.update(x).expect("usable");
                widths.push(detector.width());
            }
            widths
        };
        let (keep, reset) = (run(AdwinVariant::KeepWindow), run(AdwinVariant::ResetOnDrift));
        let at = (1..800).find(|&i| keep[i] < keep[i - 1]).expect("a drift");
        assert_eq!(keep[..=at], reset[..=at]);
        assert_eq!(reset[at + 1], 1, "everything is thrown away");
        assert_eq!(keep[at + 1], keep[at] + 1, "the newer part is kept");
    }

    proptest! {
        /// The window is the sum of its buckets, and the buckets grow only with the logarithm.
        #[test]
        fn buckets_add_up(values in prop::collection::vec(0.0..=1.0f64, 1..1500), max_buckets in 1u32..8) {
            let config = AdwinConfig { max_buckets, ..AdwinConfig::default() };
            let mut detector = adwin(config);
            for &x in &values {
                detector.update(x).expect("usable");
                let count: u64 = detector.rows.iter().enumerate().map(|(r, &n)| u64::from(n) << r).sum();
                let total: f64 = detector.buckets.iter().map(|b| b.total).sum();
                prop_assert_eq!(count, detector.width());
                prop_assert!((total - detector.total()).abs() < 1e-9);
                prop_assert!(detector.rows.iter().all(|&n| u32::from(n) <= max_buckets));
            }
            let kept = &values[values.len() - detector.width() as usize..];
            let mean = kept.iter().sum::<f64>() / kept.len() as f64;
            prop_assert!((mean - detector.estimate()).abs() < 1e-9);
            let variance = kept.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / kept.len() as f64;
            prop_assert!((variance - detector.variance()).abs() < 1e-9);
        }
    }
}
