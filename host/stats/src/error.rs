//! The one error type of this crate. Not for failures of the outside world: nothing here can meet one.

/// Why a statistic cannot be computed. State is unchanged after an error.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum StatsError {
    /// A parameter lies outside its range.
    #[error("{parameter} is {value}; allowed: {allowed}")]
    Parameter {
        /// Name as in the configuration struct or the function's signature.
        parameter: &'static str,
        /// What was given.
        value: f64,
        /// The range, for people.
        allowed: &'static str,
    },
    /// An observation lies outside its range (NaN and the infinities always do).
    #[error("observation {value} cannot be used; allowed: {allowed}")]
    Observation {
        /// What was given.
        value: f64,
        /// The range, for people.
        allowed: &'static str,
    },
    /// A statistic is undefined on so little data.
    #[error("{what} needs at least {needed} values but got {got}")]
    TooFew {
        /// The sample or series meant.
        what: &'static str,
        /// The least number that is enough.
        needed: usize,
        /// How many there were.
        got: usize,
    },
    /// Two series that belong together differ in length.
    #[error("{left} and {right} must be equally long but have {left_len} and {right_len} values")]
    Lengths {
        /// Name of the first series.
        left: &'static str,
        /// Name of the second series.
        right: &'static str,
        /// Length of the first.
        left_len: usize,
        /// Length of the second.
        right_len: usize,
    },
    /// The data are of a shape on which the statistic is undefined, e.g. without any variation.
    #[error("{what} is undefined: {reason}")]
    Undefined {
        /// The statistic.
        what: &'static str,
        /// Why, for people.
        reason: &'static str,
    },
}

/// Largest magnitude accepted where only finiteness matters: squares of it, summed over any realistic
/// stream, stay far below `f64::MAX`, so no sum of squares can become infinite.
pub const MAX_MAGNITUDE: f64 = 1e100;

/// `x` if it is finite and at most [`MAX_MAGNITUDE`] in size.
pub(crate) fn finite(x: f64) -> Result<f64, StatsError> {
    if x.abs() <= MAX_MAGNITUDE {
        Ok(x)
    } else {
        Err(StatsError::Observation { value: x, allowed: "finite, between -1e100 and 1e100" })
    }
}

/// `x` if it lies in [0, 1].
pub(crate) fn unit(x: f64) -> Result<f64, StatsError> {
    if (0.0..=1.0).contains(&x) {
        Ok(x)
    } else {
        Err(StatsError::Observation { value: x, allowed: "0 to 1" })
    }
}

/// `x` if it is 0 or 1.
pub(crate) fn bit(x: f64) -> Result<f64, StatsError> {
    if x == 0.0 || x == 1.0 { Ok(x) } else { Err(StatsError::Observation { value: x, allowed: "0 or 1" }) }
}

/// Checks one parameter; `ok` is false for NaN when written as a comparison.
pub(crate) fn require(
    ok: bool,
    parameter: &'static str,
    value: f64,
    allowed: &'static str,
) -> Result<(), StatsError> {
    if ok { Ok(()) } else { Err(StatsError::Parameter { parameter, value, allowed }) }
}
