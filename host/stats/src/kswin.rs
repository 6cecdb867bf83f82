//! KSWIN: a Kolmogorov–Smirnov test of the newest observations against the older ones of a sliding window.
//! Not sequentially valid: it tests at every step, so `alpha` is per step and false alarms add up.
//!
//! Source: C. Raab, M. Heusinger, F.-M. Schleif, "Reactive Soft Prototype Computing for Concept Drift Streams"
//! (2020). river 0.26.1 draws `stat_size` of the older observations at random; this one compares with all of
//! them, which needs no generator. With `window_size = 2·stat_size` both are the same, and the indices conform.

use serde::{Deserialize, Serialize};

use crate::error::{finite, require};
use crate::ks::{ks_critical_distance, ks_distance_sorted, ks_p_value};
use crate::moments::Moments;
use crate::{Alarm, Direction, Estimate, OnlineDetector, Signal, StatsError};

/// Distances up to this are never reported, however significant (as in river).
const MIN_DISTANCE: f64 = 0.1;

/// Parameters of [`Kswin`]; the defaults are river's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct KswinConfig {
    /// Significance of one test, in (0, 1).
    pub alpha: f64,
    /// Observations in the window, up to 10,000.
    pub window_size: u32,
    /// How many of them, the newest, are compared with the rest; from 1 up to less than `window_size`.
    pub stat_size: u32,
}

impl Default for KswinConfig {
    fn default() -> Self {
        Self { alpha: 0.005, window_size: 100, stat_size: 30 }
    }
}

/// The detector. Starts anew at the observation after a drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kswin {
    config: KswinConfig,
    /// Oldest at `next` once the window is full.
    window: Vec<f64>,
    next: u32,
    distance: Option<f64>,
    /// The least distance that is significant.
    critical: f64,
    restart: bool,
}

impl Kswin {
    /// A detector without observations.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: KswinConfig) -> Result<Self, StatsError> {
        let KswinConfig { alpha, window_size, stat_size } = config;
        require(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1, both excluded")?;
        require((2..=10_000).contains(&window_size), "window_size", window_size.into(), "2 to 10000")?;
        require(
            stat_size >= 1 && stat_size < window_size,
            "stat_size",
            stat_size.into(),
            "1 up to but not window_size",
        )?;
        let critical = ks_critical_distance(alpha, u64::from(window_size - stat_size), u64::from(stat_size));
        Ok(Self { config, window: Vec::new(), next: 0, distance: None, critical, restart: false })
    }

    /// The parameters.
    pub fn config(&self) -> &KswinConfig {
        &self.config
    }

    /// p-value of the newest test; `None` until the window has filled.
    pub fn p_value(&self) -> Option<f64> {
        self.distance.map(|distance| self.p_value_of(distance))
    }

    fn p_value_of(&self, distance: f64) -> f64 {
        let recent = u64::from(self.config.stat_size);
        ks_p_value(distance, u64::from(self.config.window_size) - recent, recent)
    }
}

impl OnlineDetector for Kswin {
    /// Accepts any finite number up to 1e100 in size. Statistic: the distance; the threshold is 0.1, below
    /// which it is never reported; the p-value decides.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = finite(x)? + 0.0;
        if self.restart {
            self.reset();
        }
        let size = self.config.window_size as usize;
        if self.window.len() < size {
            self.window.push(x);
        } else {
            self.window[self.next as usize] = x;
            self.next = (self.next + 1) % self.config.window_size;
        }
        if self.window.len() < size {
            return Ok(Signal::None);
        }
        // A copy in order of time behind the window itself, where room for it stays: nothing is allocated at each step.
        self.window.extend_from_within(self.next as usize..);
        self.window.extend_from_within(..self.next as usize);
        let (older, recent) = self.window[size..].split_at_mut(size - self.config.stat_size as usize);
        let (before, after) = (Moments::of(older), Moments::of(recent));
        older.sort_unstable_by(f64::total_cmp);
        recent.sort_unstable_by(f64::total_cmp);
        let distance = ks_distance_sorted(older, recent).distance();
        self.window.truncate(size);
        self.distance = Some(distance);
        if distance <= MIN_DISTANCE || distance < self.critical {
            return Ok(Signal::None);
        }
        self.restart = true;
        let estimate = |m: Moments| Some(Estimate { mean: m.mean(), count: m.count() });
        let direction = Some(Direction::between(before.mean(), after.mean()));
        Ok(Signal::Drift(Alarm {
            p_value: Some(self.p_value_of(distance)),
            before: estimate(before),
            after: estimate(after),
            ..Alarm::of(distance, MIN_DISTANCE, direction)
        }))
    }

    fn reset(&mut self) {
        self.window.clear();
        self.next = 0;
        self.distance = None;
        self.restart = false;
    }
}
