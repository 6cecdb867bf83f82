//! Statistics for watching predictions: detectors, tests and metrics as pure functions and plain state.
//!
//! For: everything that turns numbers into evidence. Not for: deciding what to do about it, storing it, or
//! knowing what time it is. Nothing here does I/O, reads a clock or draws random numbers, and every
//! transcendental function comes from `libm`, so the same observations give the same bits on every machine.

pub mod adwin;
pub mod categorical;
pub mod ddm;
pub mod dependence;
pub mod detector;
pub mod e_detector;
pub mod error;
pub mod hddm;
mod kolmogorov;
pub mod ks;
pub mod kswin;
pub mod moments;
pub mod page_hinkley;
pub mod proportion;
pub mod psi;
pub mod rolling;
pub mod special;
pub mod two_sample;
pub mod windowed;

pub use adwin::{Adwin, AdwinConfig, AdwinVariant};
pub use categorical::{ChiSquare, ShareDistance};
pub use ddm::{Ddm, DdmConfig, Eddm, EddmConfig};
pub use detector::{Alarm, Direction, Estimate, OnlineDetector, Signal};
pub use e_detector::{AfterAlarm, EDetector, EDetectorConfig, EDetectorKind, Side, null_mean_upper};
pub use error::StatsError;
pub use hddm::{HddmA, HddmAConfig, HddmW, HddmWConfig};
pub use ks::{Ks, KsDistance, KsMethod};
pub use kswin::{Kswin, KswinConfig};
pub use moments::{Mean, Moments};
pub use page_hinkley::{PageHinkley, PageHinkleyConfig, Sides};
pub use proportion::{Alternative, Interval, IntervalMethod, TestResult};
pub use psi::{Bins, EmptyBins, Psi};
pub use rolling::{Proportion, Window};
pub use two_sample::{MannWhitney, MeanDifference, Welch};
pub use windowed::{Comparison, WindowedTest};

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod testing;
