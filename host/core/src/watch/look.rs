//! What a look at one quantity found. When a detector looks and what it finds is not decided here.

use std::borrow::Cow;

use trimtab_types::{Estimate, Severity};

use super::episode::Evidence;
use crate::detector::DetectorKind;

/// Differences are rounded to this before they are held against a limit, so that 0.85 − 0.80 counts as 5 points.
pub(super) const ROUNDING: f64 = 1e-9;
/// Where nothing else is said an episode is over below this share of its limit.
pub(super) const HYSTERESIS: f64 = 0.5;

/// What a look at one quantity found.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) kind: DetectorKind,
    pub(crate) quantity: Cow<'static, str>,
    /// How grave it is; `None`: within the limits.
    pub(crate) level: Option<Severity>,
    /// Whether an open episode is over.
    pub(crate) recovered: bool,
    pub(crate) evidence: Evidence,
}

/// A number that was measured on so many.
pub(super) fn number(value: f64, samples: u64) -> Estimate {
    let samples = u32::try_from(samples).unwrap_or(u32::MAX);
    Estimate { value, samples, interval: None, from_outcomes: true }
}
