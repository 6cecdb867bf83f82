//! What every online detector has in common. Not for tests that compare two finished samples.

use serde::{Deserialize, Serialize};

use crate::StatsError;

/// One online detector of a change in a stream of numbers.
///
/// Feeding the same numbers in the same order always gives the same signals; all state is in the value
/// itself and survives serialisation exactly.
pub trait OnlineDetector {
    /// Feeds one observation and tells whether the detector fires at it.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for NaN, infinities and values outside the detector's range; the
    /// observation is then ignored and the state unchanged.
    fn update(&mut self, x: f64) -> Result<Signal, StatsError>;

    /// Forgets every observation and keeps the configuration.
    fn reset(&mut self);
}

/// What a detector says about one observation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Signal {
    /// Nothing to report.
    None,
    /// The detector's own early-warning level is reached (only DDM, EDDM and HDDM have one).
    Warning(Alarm),
    /// A change is reported.
    Drift(Alarm),
}

impl Signal {
    /// The alarm if this is a drift.
    pub fn drift(&self) -> Option<&Alarm> {
        match self {
            Self::Drift(alarm) => Some(alarm),
            Self::None | Self::Warning(_) => None,
        }
    }

    /// The alarm if this is a warning.
    pub fn warning(&self) -> Option<&Alarm> {
        match self {
            Self::Warning(alarm) => Some(alarm),
            Self::None | Self::Drift(_) => None,
        }
    }
}

/// The evidence behind a signal.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The detector's test statistic, on the detector's own scale.
    pub statistic: f64,
    /// The value that the statistic had to reach, on the same scale.
    pub threshold: f64,
    /// A p-value where the detector computes one.
    pub p_value: Option<f64>,
    /// An e-value where the detector computes one.
    pub e_value: Option<f64>,
    /// Where the mean went; `None` where the detector does not tell.
    pub direction: Option<Direction>,
    /// The mean before the change, where the detector estimates it.
    pub before: Option<Estimate>,
    /// The mean after the change, where the detector estimates it.
    pub after: Option<Estimate>,
}

impl Alarm {
    /// An alarm of which no more is known.
    pub(crate) fn of(statistic: f64, threshold: f64, direction: Option<Direction>) -> Self {
        Self { statistic, threshold, p_value: None, e_value: None, direction, before: None, after: None }
    }
}

/// Which way a mean moved. For a stream of errors `Up` is worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Direction {
    /// It grew.
    Up,
    /// It fell.
    Down,
}

impl Direction {
    /// From an older and a newer mean; equal means count as `Down`, so that they are never taken for worse.
    pub fn between(before: f64, after: f64) -> Self {
        if after > before { Self::Up } else { Self::Down }
    }
}

/// A mean and how many observations it is the mean of.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// The mean.
    pub mean: f64,
    /// Observations in it.
    pub count: u64,
}
