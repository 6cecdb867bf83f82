//! Statistics for watching predictions: detectors, tests and metrics as pure functions and plain state.
//!
//! For: everything that turns numbers into evidence. Not for: deciding what to do about it, storing it, or
//! knowing what time it is. Nothing here does I/O, reads a clock or draws random numbers, and every
//! transcendental function comes from `libm`, so the same observations give the same bits on every machine.

#![warn(missing_docs)]

pub mod account;
pub mod adwin;
pub mod anytime;
pub mod betting;
pub mod blocks;
pub mod by_class;
pub mod calibration;
pub mod categorical;
pub mod cbpe;
pub mod chance;
pub mod classification;
pub mod ddm;
pub mod dependence;
pub mod detector;
pub mod e_detector;
pub mod ensemble;
pub mod error;
pub mod hddm;
pub mod health;
mod kolmogorov;
pub mod ks;
pub mod kswin;
pub mod large_errors;
pub mod moments;
pub mod multiplicity;
pub mod null_mean;
pub mod own_past;
pub mod page_hinkley;
pub mod power;
pub mod proportion;
pub mod psi;
pub mod recovery;
pub mod rolling;
pub mod silence;
pub mod sketch;
pub mod special;
pub mod timeline;
pub mod trading;
pub mod two_level;
pub mod two_sample;
pub mod windowed;

pub use adwin::{Adwin, AdwinConfig, AdwinVariant};
pub use anytime::{Arm, ArmComparison, ArmConfig, ConfidenceSequence, Verdict};
pub use betting::{Bets, Betting, MAX_E_VALUE};
pub use blocks::{BlockComparison, BlockEvidence, ShareTest};
pub use categorical::{ChiSquare, ShareDistance};
pub use ddm::{Ddm, DdmConfig, Eddm, EddmConfig};
pub use detector::{Alarm, Direction, Estimate, OnlineDetector, Signal};
pub use e_detector::{AfterAlarm, EDetector, EDetectorConfig, EDetectorKind, Side};
pub use error::StatsError;
pub use hddm::{HddmA, HddmAConfig, HddmW, HddmWConfig};
pub use ks::{Ks, KsMethod};
pub use kswin::{Kswin, KswinConfig};
pub use moments::{Mean, Moments};
pub use null_mean::{null_mean_upper, null_mean_upper_bounded};
pub use own_past::{OwnPast, OwnPastConfig};
pub use page_hinkley::{PageHinkley, PageHinkleyConfig, Sides};
pub use power::{Power, Rows};
pub use proportion::{Alternative, Interval, IntervalMethod, TestResult};
pub use psi::{Bins, EmptyBins, Psi};
pub use recovery::{Recovery, RecoveryConfig};
pub use rolling::{Proportion, Window};
pub use sketch::Kll;
pub use timeline::SketchTimeline;
pub use two_level::{Level, LevelChange, TwoLevel, TwoLevelConfig};
pub use two_sample::{MannWhitney, MeanDifference, Welch};
pub use windowed::{Comparison, WindowedTest};

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod testing;
