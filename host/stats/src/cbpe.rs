//! Performance without outcomes, from what calibrated scores say about themselves. Not a measurement: it holds as
//! far as the calibration does, and cannot see a change of what the scores mean (concept drift).
//!
//! Source: the confidence-based performance estimation of NannyML (C. Białek et al., 2024): a calibrated score is
//! the probability of a positive, so every prediction adds its expected share to each cell of the confusion table.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::{require, unit};
use crate::windowed::at_least;

/// Estimated (not measured) performance of a binary classification.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EstimatedPerformance {
    /// Predictions it is estimated from.
    pub count: u64,
    /// Expected true positives.
    pub true_positive: f64,
    /// Expected false positives.
    pub false_positive: f64,
    /// Expected true negatives.
    pub true_negative: f64,
    /// Expected false negatives.
    pub false_negative: f64,
    /// Standard deviation of the accuracy that chance alone leaves, given that the scores are right.
    pub accuracy_deviation: f64,
}

impl EstimatedPerformance {
    /// From calibrated probabilities of the positive class, predicted from `threshold` on.
    ///
    /// # Errors
    /// [`StatsError`] without scores or for one outside [0, 1], or a threshold outside [0, 1].
    pub fn of(scores: &[f64], threshold: f64) -> Result<Self, StatsError> {
        require((0.0..=1.0).contains(&threshold), "threshold", threshold, "0 to 1")?;
        let called: Vec<(bool, f64)> = scores.iter().map(|&score| (score >= threshold, score)).collect();
        Self::of_calibrated(&called)
    }

    /// From what was predicted (positive or not) and the calibrated probability of a positive, which need not be the score
    /// that was held against a threshold.
    ///
    /// # Errors
    /// [`StatsError`] without predictions or for a probability outside [0, 1].
    pub fn of_calibrated(called: &[(bool, f64)]) -> Result<Self, StatsError> {
        at_least("scores", called.len(), 1)?;
        let mut found = Self {
            count: called.len() as u64,
            true_positive: 0.0,
            false_positive: 0.0,
            true_negative: 0.0,
            false_negative: 0.0,
            accuracy_deviation: 0.0,
        };
        let mut variance = 0.0;
        for &(is_positive, p) in called {
            let p = unit(p)?;
            if is_positive {
                found.true_positive += p;
                found.false_positive += 1.0 - p;
            } else {
                found.false_negative += p;
                found.true_negative += 1.0 - p;
            }
            variance += p * (1.0 - p);
        }
        found.accuracy_deviation = variance.sqrt() / called.len() as f64;
        Ok(found)
    }

    /// Expected share of right predictions.
    pub fn accuracy(&self) -> f64 {
        (self.true_positive + self.true_negative) / self.count as f64
    }

    /// Expected precision (ratio of expectations); `None` if nothing is predicted positive.
    pub fn precision(&self) -> Option<f64> {
        share(self.true_positive, self.true_positive + self.false_positive)
    }

    /// Expected recall (ratio of expectations); `None` if no positive is expected.
    pub fn recall(&self) -> Option<f64> {
        share(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Expected F1 (ratio of expectations); `None` if no positive is expected or predicted.
    pub fn f1(&self) -> Option<f64> {
        share(2.0 * self.true_positive, 2.0 * self.true_positive + self.false_positive + self.false_negative)
    }
}

fn share(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classification::Confusion;
    use crate::testing::Rng;

    /// Where scores are calibrated, the estimate meets what is measured later.
    #[test]
    fn calibrated_scores_foretell_the_measurement() {
        let mut rng = Rng::new(8);
        let scores: Vec<f64> = (0..20_000).map(|_| rng.uniform() * rng.uniform()).collect();
        let actual: Vec<bool> = scores.iter().map(|&p| rng.uniform() < p).collect();
        let estimated = EstimatedPerformance::of(&scores, 0.5).expect("valid");
        let measured = Confusion::of_scores(&actual, &scores, 0.5).expect("valid");
        let off = (estimated.accuracy() - measured.accuracy().expect("known")).abs();
        assert!(off < 4.0 * estimated.accuracy_deviation, "{off}");
        for (name, got, want) in [
            ("precision", estimated.precision(), measured.precision()),
            ("recall", estimated.recall(), measured.recall()),
            ("F1", estimated.f1(), measured.f1()),
        ] {
            assert!((got.expect("known") - want.expect("known")).abs() < 0.03, "{name}");
        }
    }

    #[test]
    fn edges_are_defined() {
        let sure = EstimatedPerformance::of(&[0.0, 0.0], 0.5).expect("valid");
        assert_eq!((sure.accuracy(), sure.precision(), sure.recall(), sure.f1()), (1.0, None, None, None));
        assert_eq!(sure.accuracy_deviation, 0.0);
        assert!(EstimatedPerformance::of(&[], 0.5).is_err());
        assert!(EstimatedPerformance::of(&[1.1], 0.5).is_err());
        assert!(EstimatedPerformance::of(&[0.5], f64::NAN).is_err());
    }
}
