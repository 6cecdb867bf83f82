//! Running mean and variance, numerically stable. Not for windows: nothing can be taken out again.
//!
//! Source: B. P. Welford, "Note on a Method for Calculating Corrected Sums of Squares and Products" (1962).

use serde::{Deserialize, Serialize};

use crate::detector::Estimate;

/// Mean of what was added so far; 0 before anything was.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Mean {
    value: f64,
    count: u64,
}

impl Mean {
    /// Adds one number.
    pub fn add(&mut self, x: f64) {
        self.count += 1;
        self.value += (x - self.value) / self.count as f64;
    }

    /// The mean.
    pub fn get(&self) -> f64 {
        self.value
    }

    /// How many numbers were added.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Mean and count; `None` before anything was added.
    pub fn estimate(&self) -> Option<Estimate> {
        (self.count > 0).then_some(Estimate { mean: self.value, count: self.count })
    }

    /// Mean and count of what was added since `earlier`, a former state of this mean.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Estimate> {
        let count = self.count.checked_sub(earlier.count).filter(|&n| n > 0)?;
        let total = self.value * self.count as f64 - earlier.value * earlier.count as f64;
        Some(Estimate { mean: total / count as f64, count })
    }
}

/// Mean and variance of what was added so far.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    mean: Mean,
    /// Sum of squared deviations from the mean.
    spread: f64,
}

impl Moments {
    /// Adds one number.
    pub fn add(&mut self, x: f64) {
        let before = self.mean.get();
        self.mean.add(x);
        self.spread += (x - before) * (x - self.mean.get());
    }

    /// All of a slice.
    pub fn of(values: &[f64]) -> Self {
        let mut moments = Self::default();
        values.iter().for_each(|&x| moments.add(x));
        moments
    }

    /// The mean; 0 before anything was added.
    pub fn mean(&self) -> f64 {
        self.mean.get()
    }

    /// How many numbers were added.
    pub fn count(&self) -> u64 {
        self.mean.count()
    }

    /// Unbiased variance (divisor n − 1); 0 for fewer than two numbers.
    pub fn variance(&self) -> f64 {
        if self.count() < 2 { 0.0 } else { self.spread / (self.count() - 1) as f64 }
    }

    /// Variance of the numbers themselves (divisor n); 0 without numbers.
    pub fn population_variance(&self) -> f64 {
        if self.count() == 0 { 0.0 } else { self.spread / self.count() as f64 }
    }
}
