//! Page–Hinkley: a cumulative sum of deviations from the running mean. Not self-tuning: its threshold is in
//! the data's units, so it has to be chosen per stream.
//!
//! Source: E. S. Page, "Continuous Inspection Schemes" (1954), with the forgetting factor and the two-sided
//! form of river 0.26.1, to whose indices and sums it conforms.

use serde::{Deserialize, Serialize};

use crate::error::{finite, require};
use crate::moments::Mean;
use crate::{Alarm, Direction, OnlineDetector, Signal, StatsError};

/// Which changes of the mean are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sides {
    /// Only increases.
    Up,
    /// Only decreases.
    Down,
    /// Both.
    Both,
}

impl Sides {
    pub(crate) fn up(self) -> bool {
        self != Self::Down
    }

    pub(crate) fn down(self) -> bool {
        self != Self::Up
    }
}

/// Parameters of [`PageHinkley`]; the defaults are river's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct PageHinkleyConfig {
    /// No alarm before this many observations.
    pub min_instances: u32,
    /// Deviation that is tolerated at each step, in the data's units, at least 0.
    pub delta: f64,
    /// Cumulative deviation that is an alarm, more than 0.
    pub threshold: f64,
    /// Factor by which the sums forget at each step, in (0, 1].
    pub alpha: f64,
    /// Which changes are reported.
    pub sides: Sides,
}

impl Default for PageHinkleyConfig {
    fn default() -> Self {
        Self { min_instances: 30, delta: 0.005, threshold: 50.0, alpha: 0.9999, sides: Sides::Both }
    }
}

/// The detector; it starts anew at the observation after a drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PageHinkley {
    config: PageHinkleyConfig,
    state: State,
    restart: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct State {
    mean: Mean,
    /// Sum that drifts down unless the mean grows, and the least it ever was.
    rise: f64,
    rise_min: f64,
    /// Sum that drifts up unless the mean falls, and the most it ever was.
    fall: f64,
    fall_max: f64,
}

impl PageHinkley {
    /// A detector without observations.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: PageHinkleyConfig) -> Result<Self, StatsError> {
        let PageHinkleyConfig { delta, threshold, alpha, .. } = config;
        require(delta >= 0.0 && delta.is_finite(), "delta", delta, "0 or more")?;
        require(threshold > 0.0 && threshold.is_finite(), "threshold", threshold, "more than 0")?;
        require(alpha > 0.0 && alpha <= 1.0, "alpha", alpha, "more than 0, up to 1")?;
        Ok(Self { config, state: State::default(), restart: false })
    }

    /// The parameters.
    pub fn config(&self) -> &PageHinkleyConfig {
        &self.config
    }

    /// Mean since the last start.
    pub fn mean(&self) -> f64 {
        self.state.mean.get()
    }

    #[cfg(test)]
    pub(crate) fn sums(&self) -> [f64; 4] {
        let State { rise, rise_min, fall, fall_max, .. } = self.state;
        [rise, fall, rise_min, fall_max]
    }
}

impl OnlineDetector for PageHinkley {
    /// Accepts any finite number up to 1e100 in size. Statistic: the cumulative deviation.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = finite(x)?;
        if core::mem::take(&mut self.restart) {
            self.state = State::default();
        }
        let PageHinkleyConfig { min_instances, delta, threshold, alpha, sides } = self.config;
        let s = &mut self.state;
        s.mean.add(x);
        let deviation = x - s.mean.get();
        s.rise = alpha * s.rise + deviation - delta;
        s.fall = alpha * s.fall + deviation + delta;
        if s.mean.count() == 1 {
            (s.rise_min, s.fall_max) = (s.rise, s.fall);
        }
        s.rise_min = s.rise_min.min(s.rise);
        s.fall_max = s.fall_max.max(s.fall);

        if s.mean.count() < u64::from(min_instances) {
            return Ok(Signal::None);
        }
        let (up, down) = (s.rise - s.rise_min, s.fall_max - s.fall);
        let (statistic, direction) = if sides.up() && up > threshold {
            (up, Direction::Up)
        } else if sides.down() && down > threshold {
            (down, Direction::Down)
        } else {
            return Ok(Signal::None);
        };
        self.restart = true;
        Ok(Signal::Drift(Alarm::of(statistic, threshold, Some(direction))))
    }

    fn reset(&mut self) {
        self.state = State::default();
        self.restart = false;
    }
}
