//! HDDM-A and HDDM-W: the error rate against the best split of its past, by Hoeffding's and McDiarmid's
//! bounds. Not for data outside [0, 1], on which the bounds rest.
//!
//! Source: I. Frías-Blanco et al., "Online and Non-Parametric Drift Detection Methods Based on Hoeffding's
//! Bounds" (2015). Both conform to river 0.26.1, except that a drift outranks a warning at the same observation.

use serde::{Deserialize, Serialize};

use crate::error::{require, unit};
use crate::moments::Mean;
use crate::{Alarm, Direction, OnlineDetector, Signal, StatsError};

/// Parameters of [`HddmA`]; the defaults are river's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HddmAConfig {
    /// Significance of a drift, in (0, 1).
    pub drift_confidence: f64,
    /// Significance of a warning, in (0, 1), at least `drift_confidence`.
    pub warning_confidence: f64,
    /// Whether decreases are reported too.
    pub two_sided: bool,
}

impl Default for HddmAConfig {
    fn default() -> Self {
        Self { drift_confidence: 0.001, warning_confidence: 0.005, two_sided: false }
    }
}

fn check_confidences(drift: f64, warning: f64) -> Result<(), StatsError> {
    require(drift > 0.0 && drift < 1.0, "drift_confidence", drift, "between 0 and 1, both excluded")?;
    require(
        warning >= drift && warning < 1.0,
        "warning_confidence",
        warning,
        "drift_confidence or more, below 1",
    )
}

/// The signal of the stronger of two findings; an increase comes first.
fn strongest(drift: [Option<Alarm>; 2], warning: [Option<Alarm>; 2]) -> Signal {
    let first = |found: [Option<Alarm>; 2]| found[0].or(found[1]);
    first(drift).map(Signal::Drift).or(first(warning).map(Signal::Warning)).unwrap_or(Signal::None)
}

/// Moving averages. Starts anew at the observation after a drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HddmA {
    config: HddmAConfig,
    all: Mean,
    /// The past whose upper bound is least: against it the mean may have grown.
    low: Mean,
    /// The past whose lower bound is greatest: against it the mean may have fallen.
    high: Mean,
    restart: bool,
}

impl HddmA {
    /// A detector without observations.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: HddmAConfig) -> Result<Self, StatsError> {
        check_confidences(config.drift_confidence, config.warning_confidence)?;
        let none = Mean::default();
        Ok(Self { config, all: none, low: none, high: none, restart: false })
    }

    /// The parameters.
    pub fn config(&self) -> &HddmAConfig {
        &self.config
    }

    #[cfg(test)]
    pub(crate) fn trace(&self) -> [f64; 6] {
        let row = |m: Mean| [m.get(), m.count() as f64];
        let ([a, b], [c, d], [e, f]) = (row(self.all), row(self.low), row(self.high));
        [a, b, c, d, e, f]
    }

    /// Whether the mean of everything lies beyond the past `cut`'s by more than chance allows.
    fn changed(&self, cut: &Mean, confidence: f64, direction: Direction) -> Option<Alarm> {
        let (n, n_cut) = (self.all.count() as f64, cut.count() as f64);
        if n == n_cut {
            return None;
        }
        let statistic = match direction {
            Direction::Up => self.all.get() - cut.get(),
            Direction::Down => cut.get() - self.all.get(),
        };
        let threshold = ((n - n_cut) / n_cut / n / 2.0 * libm::log(2.0 / confidence)).sqrt();
        (statistic >= threshold).then(|| Alarm {
            before: cut.estimate(),
            after: self.all.since(cut),
            ..Alarm::of(statistic, threshold, Some(direction))
        })
    }
}

impl OnlineDetector for HddmA {
    /// Accepts [0, 1]. Statistic: how far the overall mean lies beyond that of the cut-off past.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = unit(x)?;
        if self.restart {
            self.reset();
        }
        self.all.add(x);
        if self.all.count() == 1 {
            (self.low, self.high) = (self.all, self.all);
        }
        let bound =
            |m: &Mean| (libm::log(1.0 / self.config.drift_confidence) / (2.0 * m.count() as f64)).sqrt();
        if self.low.get() + bound(&self.low) >= self.all.get() + bound(&self.all) {
            self.low = self.all;
        }
        if self.high.get() - bound(&self.high) <= self.all.get() - bound(&self.all) {
            self.high = self.all;
        }
        let up = |confidence| self.changed(&self.low, confidence, Direction::Up);
        let down = |confidence| {
            self.config.two_sided.then(|| self.changed(&self.high, confidence, Direction::Down)).flatten()
        };
        let (drift, warning) = (self.config.drift_confidence, self.config.warning_confidence);
        let signal = strongest([up(drift), down(drift)], [up(warning), down(warning)]);
        self.restart = signal.drift().is_some();
        Ok(signal)
    }

    fn reset(&mut self) {
        (self.all, self.low, self.high) = Default::default();
        self.restart = false;
    }
}

/// Parameters of [`HddmW`]; the defaults are river's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HddmWConfig {
    /// Significance of a drift, in (0, 1).
    pub drift_confidence: f64,
    /// Significance of a warning, in (0, 1), at least `drift_confidence`.
    pub warning_confidence: f64,
    /// Weight of the newest observation, in (0, 1).
    pub lambda: f64,
    /// Whether decreases are reported too.
    pub two_sided: bool,
}

impl Default for HddmWConfig {
    fn default() -> Self {
        Self { drift_confidence: 0.001, warning_confidence: 0.005, lambda: 0.05, two_sided: false }
    }
}

/// An exponentially weighted mean and the sum of its squared weights, which McDiarmid's bound needs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Weighted {
    mean: f64,
    squares: f64,
    empty: bool,
}

impl Weighted {
    const EMPTY: Self = Self { mean: 0.0, squares: 1.0, empty: true };

    fn add(&mut self, x: f64, lambda: f64) {
        self.mean = if self.empty { x } else { lambda * x + (1.0 - lambda) * self.mean };
        self.squares = lambda * lambda + (1.0 - lambda) * (1.0 - lambda) * self.squares;
        self.empty = false;
    }
}

/// McDiarmid's bound for a weighted mean with this sum of squared weights.
fn mcdiarmid(squares: f64, confidence: f64) -> f64 {
    (squares * libm::log(1.0 / confidence) / 2.0).sqrt()
}

/// The past up to the best cut, and what came after it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Split {
    /// The bound at the cut; `None` before the first observation.
    cut: Option<f64>,
    past: Weighted,
    since: Weighted,
}

impl Split {
    const EMPTY: Self = Self { cut: None, past: Weighted::EMPTY, since: Weighted::EMPTY };

    fn add(&mut self, x: f64, lambda: f64, all: &Weighted, bound: f64, better: impl Fn(f64, f64) -> bool) {
        if self.cut.is_none_or(|cut| better(bound, cut)) {
            *self = Self { cut: Some(bound), past: *all, since: Weighted::EMPTY };
        } else {
            self.since.add(x, lambda);
        }
    }

    fn changed(&self, confidence: f64, direction: Direction) -> Option<Alarm> {
        if self.past.empty || self.since.empty {
            return None;
        }
        let statistic = match direction {
            Direction::Up => self.since.mean - self.past.mean,
            Direction::Down => self.past.mean - self.since.mean,
        };
        let threshold = mcdiarmid(self.past.squares + self.since.squares, confidence);
        (statistic > threshold).then(|| Alarm::of(statistic, threshold, Some(direction)))
    }
}

/// Exponentially weighted averages. Starts anew at the observation after a drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HddmW {
    config: HddmWConfig,
    all: Weighted,
    rise: Split,
    fall: Split,
    restart: bool,
}

impl HddmW {
    /// A detector without observations.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: HddmWConfig) -> Result<Self, StatsError> {
        check_confidences(config.drift_confidence, config.warning_confidence)?;
        let lambda = config.lambda;
        require(lambda > 0.0 && lambda < 1.0, "lambda", lambda, "between 0 and 1, both excluded")?;
        Ok(Self { config, all: Weighted::EMPTY, rise: Split::EMPTY, fall: Split::EMPTY, restart: false })
    }

    /// The parameters.
    pub fn config(&self) -> &HddmWConfig {
        &self.config
    }

    #[cfg(test)]
    pub(crate) fn trace(&self) -> [Option<f64>; 4] {
        [Some(self.all.mean), Some(self.all.squares), self.rise.cut, self.fall.cut]
    }
}

impl OnlineDetector for HddmW {
    /// Accepts [0, 1]. Statistic: weighted mean since the cut against that before it.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = unit(x)?;
        if self.restart {
            self.reset();
        }
        let HddmWConfig { drift_confidence: drift, warning_confidence: warning, lambda, two_sided } =
            self.config;
        self.all.add(x, lambda);
        let bound = mcdiarmid(self.all.squares, drift);
        self.rise.add(x, lambda, &self.all, self.all.mean + bound, |new, old| new < old);
        self.fall.add(x, lambda, &self.all, self.all.mean - bound, |new, old| new > old);

        let up = |confidence| self.rise.changed(confidence, Direction::Up);
        let down = |confidence| two_sided.then(|| self.fall.changed(confidence, Direction::Down)).flatten();
        let signal = strongest([up(drift), down(drift)], [up(warning), down(warning)]);
        self.restart = signal.drift().is_some();
        Ok(signal)
    }

    fn reset(&mut self) {
        (self.all, self.rise, self.fall) = (Weighted::EMPTY, Split::EMPTY, Split::EMPTY);
        self.restart = false;
    }
}
