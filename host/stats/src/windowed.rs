//! What every test of a current sample against a baseline sample has in common. Not for streams: see
//! [`crate::OnlineDetector`].

use serde::{Deserialize, Serialize};

use crate::error::finite;
use crate::{Direction, StatsError};

/// A test that compares two finished samples.
pub trait WindowedTest {
    /// What one sample is: numbers (`[f64]`, in order of time) or counts by category (`[u64]`).
    type Sample: ?Sized;

    /// Compares a current sample with a baseline.
    ///
    /// # Errors
    /// [`StatsError`] if a sample is too small, contains unusable values or has no variation where the test
    /// needs some.
    fn compare(&self, baseline: &Self::Sample, current: &Self::Sample) -> Result<Comparison, StatsError>;
}

/// What a windowed test found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The test statistic, on the test's own scale.
    pub statistic: f64,
    /// Probability, without any difference, of a statistic at least this extreme; `None` for plain distances.
    pub p_value: Option<f64>,
    /// Where the current sample lies relative to the baseline, where the test tells.
    pub direction: Option<Direction>,
    /// Values in the baseline.
    pub baseline_count: u64,
    /// Values in the current sample.
    pub current_count: u64,
}

/// The values of a sample in ascending order, if each is usable and there are at least `needed`.
pub(crate) fn sorted(what: &'static str, values: &[f64], needed: usize) -> Result<Vec<f64>, StatsError> {
    at_least(what, values.len(), needed)?;
    let mut keys = Vec::with_capacity(values.len());
    for &x in values {
        // Adding 0 makes −0 and 0 the same number, as they are for every comparison but the sort's.
        keys.push(to_key(finite(x)? + 0.0));
    }
    keys.sort_unstable();
    Ok(keys.into_iter().map(from_key).collect())
}

const SIGN: u64 = 1 << 63;

/// A whole number that compares as the float does; whole numbers sort nearly twice as fast.
fn to_key(x: f64) -> u64 {
    let bits = x.to_bits();
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

fn from_key(key: u64) -> f64 {
    f64::from_bits(if key & SIGN == 0 { !key } else { key & !SIGN })
}

/// Fails unless there are at least `needed` values.
pub(crate) fn at_least(what: &'static str, got: usize, needed: usize) -> Result<(), StatsError> {
    if got < needed { Err(StatsError::TooFew { what, needed, got }) } else { Ok(()) }
}

/// Fails unless both series are equally long.
pub(crate) fn same_length(
    left: &'static str,
    left_len: usize,
    right: &'static str,
    right_len: usize,
) -> Result<(), StatsError> {
    if left_len == right_len { Ok(()) } else { Err(StatsError::Lengths { left, right, left_len, right_len }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorting_by_keys_is_sorting(values in prop::collection::vec(-1e100..1e100f64, 0..50)) {
            let with_zeros: Vec<f64> = values.iter().copied().chain([0.0, -0.0, 1e-310, -1e-310]).collect();
            let mut want: Vec<f64> = with_zeros.iter().map(|x| x + 0.0).collect();
            want.sort_by(f64::total_cmp);
            prop_assert_eq!(sorted("sample", &with_zeros, 1).expect("usable"), want);
        }
    }
}
