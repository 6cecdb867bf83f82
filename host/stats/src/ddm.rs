//! DDM and EDDM: the error rate, or the distance between errors, against the best seen so far.
//! Not for anything but a stream of 0 (right) and 1 (wrong).
//!
//! Sources: J. Gama et al., "Learning with Drift Detection" (2004); M. Baena-García et al., "Early Drift
//! Detection Method" (2006). Both conform to river 0.26.1.

use serde::{Deserialize, Serialize};

use crate::error::{bit, require};
use crate::moments::{Mean, Moments};
use crate::{Alarm, Direction, OnlineDetector, Signal, StatsError};

/// Parameters of [`Ddm`]; the defaults are river's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DdmConfig {
    /// No signal up to this many observations.
    pub warm_start: u32,
    /// Standard deviations above the best rate that are a warning, more than 0.
    pub warning_threshold: f64,
    /// Standard deviations above the best rate that are a drift, at least `warning_threshold`.
    pub drift_threshold: f64,
}

impl Default for DdmConfig {
    fn default() -> Self {
        Self { warm_start: 30, warning_threshold: 2.0, drift_threshold: 3.0 }
    }
}

/// The error rate against its minimum. Starts anew at the observation after a drift.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ddm {
    config: DdmConfig,
    rate: Mean,
    best: Option<Best>,
    restart: bool,
}

/// The state at which rate plus deviation was least.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Best {
    rate: Mean,
    deviation: f64,
}

impl Ddm {
    /// A detector without observations.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: DdmConfig) -> Result<Self, StatsError> {
        let DdmConfig { warning_threshold: warning, drift_threshold: drift, .. } = config;
        require(warning > 0.0 && warning.is_finite(), "warning_threshold", warning, "more than 0")?;
        require(
            drift >= warning && drift.is_finite(),
            "drift_threshold",
            drift,
            "warning_threshold or more",
        )?;
        Ok(Self { config, rate: Mean::default(), best: None, restart: false })
    }

    /// The parameters.
    pub fn config(&self) -> &DdmConfig {
        &self.config
    }

    /// Error rate since the last start.
    pub fn rate(&self) -> f64 {
        self.rate.get()
    }

    #[cfg(test)]
    pub(crate) fn trace(&self) -> (f64, u64, Option<(f64, f64)>) {
        (self.rate.get(), self.rate.count(), self.best.map(|b| (b.rate.get(), b.deviation)))
    }
}

impl OnlineDetector for Ddm {
    /// Accepts 0 and 1. Statistic: rate plus its standard deviation.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = bit(x)?;
        if self.restart {
            self.reset();
        }
        self.rate.add(x);
        let (rate, n) = (self.rate.get(), self.rate.count());
        if n <= u64::from(self.config.warm_start) {
            return Ok(Signal::None);
        }
        let deviation = (rate * (1.0 - rate) / n as f64).sqrt();
        let level = rate + deviation;
        let best = match self.best {
            Some(best) if level > best.rate.get() + best.deviation => best,
            _ => *self.best.insert(Best { rate: self.rate, deviation }),
        };
        let limit = |deviations: f64| best.rate.get() + deviations * best.deviation;
        let alarm = |threshold| Alarm {
            before: best.rate.estimate(),
            after: self.rate.since(&best.rate),
            ..Alarm::of(level, threshold, Some(Direction::Up))
        };
        let (drift, warning) = (limit(self.config.drift_threshold), limit(self.config.warning_threshold));
        if level > drift {
            self.restart = true;
            return Ok(Signal::Drift(alarm(drift)));
        }
        Ok(if level > warning { Signal::Warning(alarm(warning)) } else { Signal::None })
    }

    fn reset(&mut self) {
        self.rate = Mean::default();
        self.best = None;
        self.restart = false;
    }
}

/// Parameters of [`Eddm`]; the defaults are river's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EddmConfig {
    /// No signal up to this many errors (and no maximum up to this many observations).
    pub warm_start: u32,
    /// Share of the greatest distance below which is a warning, in (0, 1].
    pub alpha: f64,
    /// Share of the greatest distance below which is a drift, in (0, `alpha`].
    pub beta: f64,
}

impl Default for EddmConfig {
    fn default() -> Self {
        Self { warm_start: 30, alpha: 0.95, beta: 0.9 }
    }
}

/// The distance between errors against its maximum. Starts anew at the observation after a drift. A warning
/// stands until the next error withdraws it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Eddm {
    config: EddmConfig,
    state: EddmState,
    restart: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct EddmState {
    observations: u64,
    errors: u64,
    last_error: u64,
    distances: Moments,
    /// Greatest mean plus two standard deviations so far.
    greatest: Option<f64>,
    warning: Option<Alarm>,
}

impl Eddm {
    /// A detector without observations.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] naming the parameter that is out of range.
    pub fn new(config: EddmConfig) -> Result<Self, StatsError> {
        let EddmConfig { alpha, beta, .. } = config;
        require(alpha > 0.0 && alpha <= 1.0, "alpha", alpha, "more than 0, up to 1")?;
        require(beta > 0.0 && beta <= alpha, "beta", beta, "more than 0, up to alpha")?;
        Ok(Self { config, state: EddmState::default(), restart: false })
    }

    /// The parameters.
    pub fn config(&self) -> &EddmConfig {
        &self.config
    }

    #[cfg(test)]
    pub(crate) fn trace(&self) -> [f64; 5] {
        let s = &self.state;
        let greatest = s.greatest.unwrap_or(-1.0);
        [s.observations as f64, s.errors as f64, s.distances.mean(), s.distances.variance(), greatest]
    }
}

impl OnlineDetector for Eddm {
    /// Accepts 0 and 1. Statistic: mean distance between errors plus two standard deviations, as a share of
    /// the greatest so far; it fires *below* the threshold.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError> {
        let x = bit(x)?;
        if self.restart {
            self.reset();
        }
        let s = &mut self.state;
        s.observations += 1;
        if x == 1.0 {
            s.errors += 1;
            s.distances.add((s.observations - s.last_error) as f64);
            s.last_error = s.observations;
            let warm_start = u64::from(self.config.warm_start);
            if s.observations > warm_start {
                let length = s.distances.mean() + 2.0 * s.distances.variance().sqrt();
                match s.greatest {
                    Some(greatest) if length <= greatest => {
                        if s.errors > warm_start {
                            let share = length / greatest;
                            let alarm = |threshold| Alarm::of(share, threshold, Some(Direction::Up));
                            if share < self.config.beta {
                                self.restart = true;
                                return Ok(Signal::Drift(alarm(self.config.beta)));
                            }
                            s.warning = (share < self.config.alpha).then(|| alarm(self.config.alpha));
                        }
                    }
                    _ => s.greatest = Some(length),
                }
            }
        }
        Ok(s.warning.map_or(Signal::None, Signal::Warning))
    }

    fn reset(&mut self) {
        self.state = EddmState::default();
        self.restart = false;
    }
}
