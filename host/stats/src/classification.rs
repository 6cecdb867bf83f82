//! How good classifications were: confusion counts and what follows from them, rankings by score. Not for
//! whether scores can be read as probabilities; see [`crate::calibration`].
//!
//! Conforms to scikit-learn 1.9. Where scikit-learn warns and returns 0 because nothing was predicted or nothing
//! is positive, these return `None`.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::{require, unit};
use crate::windowed::{at_least, same_length};

/// Counts of a binary classification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confusion {
    /// Predicted positive and is.
    pub true_positive: u64,
    /// Predicted positive and is not.
    pub false_positive: u64,
    /// Predicted negative and is.
    pub true_negative: u64,
    /// Predicted negative and is not.
    pub false_negative: u64,
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl Confusion {
    /// Counts one prediction.
    pub fn add(&mut self, actual: bool, predicted: bool) {
        match (actual, predicted) {
            (true, true) => self.true_positive += 1,
            (false, true) => self.false_positive += 1,
            (false, false) => self.true_negative += 1,
            (true, false) => self.false_negative += 1,
        }
    }

    /// Of scores in [0, 1], positive from `threshold` on.
    ///
    /// # Errors
    /// [`StatsError`] for series of different length or a score outside [0, 1].
    pub fn of_scores(actual: &[bool], scores: &[f64], threshold: f64) -> Result<Self, StatsError> {
        check_scores(actual, scores)?;
        let mut confusion = Self::default();
        actual.iter().zip(scores).for_each(|(&y, &score)| confusion.add(y, score >= threshold));
        Ok(confusion)
    }

    /// All predictions.
    pub fn total(&self) -> u64 {
        self.true_positive + self.false_positive + self.true_negative + self.false_negative
    }

    /// Share of right predictions.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.true_positive + self.true_negative, self.total())
    }

    /// Share of right ones among those predicted positive.
    pub fn precision(&self) -> Option<f64> {
        ratio(self.true_positive, self.true_positive + self.false_positive)
    }

    /// Share of found ones among the positive.
    pub fn recall(&self) -> Option<f64> {
        ratio(self.true_positive, self.true_positive + self.false_negative)
    }

    /// Share of found ones among the negative.
    pub fn specificity(&self) -> Option<f64> {
        ratio(self.true_negative, self.true_negative + self.false_positive)
    }

    /// Harmonic mean of precision and recall; `None` if nothing is and nothing was predicted positive.
    pub fn f1(&self) -> Option<f64> {
        let twice = 2 * self.true_positive;
        ratio(twice, twice + self.false_positive + self.false_negative)
    }

    /// Mean of recall and specificity.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        Some(0.5 * (self.recall()? + self.specificity()?))
    }

    /// Matthews' correlation of prediction and truth, −1 to 1; 0 if either is constant, `None` of nothing.
    pub fn matthews(&self) -> Option<f64> {
        self.matrix().matthews()
    }

    /// Cohen's agreement beyond chance; `None` if both prediction and truth are constant and equal.
    pub fn kappa(&self) -> Option<f64> {
        self.matrix().kappa()
    }

    /// As a matrix of two classes, negative first.
    pub fn matrix(&self) -> ConfusionMatrix {
        let counts = vec![self.true_negative, self.false_positive, self.false_negative, self.true_positive];
        ConfusionMatrix { classes: 2, counts }
    }
}

/// Counts of a classification into several classes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    classes: u32,
    /// Row by row: actual class, then predicted class.
    counts: Vec<u64>,
}

/// How the values of several classes become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Averaging {
    /// Every class weighs the same. Undefined values count as 0.
    Macro,
    /// Every prediction weighs the same; for single-label classes this is the accuracy.
    Micro,
    /// A class weighs as it is frequent. Undefined values count as 0.
    Weighted,
}

impl ConfusionMatrix {
    /// An empty matrix.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless there are 2 to 1000 classes.
    pub fn new(classes: u32) -> Result<Self, StatsError> {
        require((2..=1000).contains(&classes), "classes", classes.into(), "2 to 1000")?;
        Ok(Self { classes, counts: vec![0; (classes * classes) as usize] })
    }

    /// Counts one prediction; classes are numbered from 0.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for a class that the matrix does not have.
    pub fn add(&mut self, actual: u32, predicted: u32) -> Result<(), StatsError> {
        for class in [actual, predicted] {
            if class >= self.classes {
                return Err(StatsError::Observation {
                    value: class.into(),
                    allowed: "a class of the matrix",
                });
            }
        }
        self.counts[(actual * self.classes + predicted) as usize] += 1;
        Ok(())
    }

    /// How often `actual` was predicted as `predicted`; 0 for classes that it does not have.
    pub fn count(&self, actual: u32, predicted: u32) -> u64 {
        if actual.max(predicted) >= self.classes {
            return 0;
        }
        self.counts[(actual * self.classes + predicted) as usize]
    }

    /// Number of classes.
    pub fn classes(&self) -> u32 {
        self.classes
    }

    /// All predictions.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn right(&self) -> u64 {
        (0..self.classes).map(|c| self.count(c, c)).sum()
    }

    fn actual(&self, class: u32) -> u64 {
        (0..self.classes).map(|other| self.count(class, other)).sum()
    }

    fn predicted(&self, class: u32) -> u64 {
        (0..self.classes).map(|other| self.count(other, class)).sum()
    }

    /// Share of right predictions.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.right(), self.total())
    }

    /// One class against all others.
    pub fn one_against_rest(&self, class: u32) -> Confusion {
        let true_positive = self.count(class, class);
        let (actual, predicted) = (self.actual(class), self.predicted(class));
        Confusion {
            true_positive,
            false_positive: predicted - true_positive,
            false_negative: actual - true_positive,
            true_negative: self.total() + true_positive - actual - predicted,
        }
    }

    /// A value of every class as one, e.g. `average(Averaging::Macro, Confusion::f1)`; `None` of nothing.
    pub fn average(&self, averaging: Averaging, value: impl Fn(&Confusion) -> Option<f64>) -> Option<f64> {
        let total = self.total();
        if total == 0 {
            return None;
        }
        let each = |class| value(&self.one_against_rest(class)).unwrap_or(0.0);
        match averaging {
            Averaging::Macro => {
                // A class that is neither there nor predicted is no class of these data.
                let seen: Vec<u32> =
                    (0..self.classes).filter(|&c| self.actual(c) + self.predicted(c) > 0).collect();
                Some(seen.iter().map(|&c| each(c)).sum::<f64>() / seen.len() as f64)
            }
            Averaging::Weighted => {
                let sum: f64 = (0..self.classes).map(|c| each(c) * self.actual(c) as f64).sum();
                Some(sum / total as f64)
            }
            Averaging::Micro => {
                let mut pooled = Confusion::default();
                for one in (0..self.classes).map(|c| self.one_against_rest(c)) {
                    pooled.true_positive += one.true_positive;
                    pooled.false_positive += one.false_positive;
                    pooled.true_negative += one.true_negative;
                    pooled.false_negative += one.false_negative;
                }
                value(&pooled)
            }
        }
    }

    /// Matthews' correlation for several classes (Gorodkin's R_K), −1 to 1; 0 if prediction or truth is constant,
    /// `None` of nothing.
    pub fn matthews(&self) -> Option<f64> {
        let total = self.total() as f64;
        if total == 0.0 {
            return None;
        }
        let (mut both, mut actual2, mut predicted2) = (0.0, 0.0, 0.0);
        for class in 0..self.classes {
            let (a, p) = (self.actual(class) as f64, self.predicted(class) as f64);
            both += a * p;
            actual2 += a * a;
            predicted2 += p * p;
        }
        let spread = (total * total - predicted2) * (total * total - actual2);
        if spread == 0.0 {
            return Some(0.0);
        }
        Some((self.right() as f64 * total - both) / spread.sqrt())
    }

    /// Cohen's agreement beyond chance; `None` if chance agreement is complete.
    pub fn kappa(&self) -> Option<f64> {
        let total = self.total() as f64;
        let by_chance: f64 =
            (0..self.classes).map(|c| self.actual(c) as f64 * self.predicted(c) as f64).sum();
        let (seen, chance) = (self.right() as f64 / total, by_chance / (total * total));
        (total > 0.0 && chance < 1.0).then(|| (seen - chance) / (1.0 - chance))
    }
}

fn check_scores(actual: &[bool], scores: &[f64]) -> Result<(), StatsError> {
    same_length("outcomes", actual.len(), "scores", scores.len())?;
    scores.iter().try_for_each(|&score| unit(score).map(drop))
}

/// One point of the precision–recall curve: predicting positive from `threshold` on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatingPoint {
    /// Lowest score that is predicted positive.
    pub threshold: f64,
    /// Precision there.
    pub precision: f64,
    /// Recall there.
    pub recall: f64,
}

/// Precision and recall at every threshold that makes a difference, from the highest to the lowest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PrecisionRecall {
    points: Vec<OperatingPoint>,
}

impl PrecisionRecall {
    /// The curve of scores in [0, 1].
    ///
    /// # Errors
    /// [`StatsError`] for series of different length, a score outside [0, 1], or without a positive outcome.
    pub fn of(actual: &[bool], scores: &[f64]) -> Result<Self, StatsError> {
        check_scores(actual, scores)?;
        let positives = actual.iter().filter(|&&y| y).count();
        if positives == 0 {
            return Err(StatsError::Undefined { what: "recall", reason: "there is no positive outcome" });
        }
        let mut ranked: Vec<(f64, bool)> = scores.iter().copied().zip(actual.iter().copied()).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut points = Vec::new();
        let (mut found, mut predicted) = (0usize, 0usize);
        for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
            predicted += tied.len();
            found += tied.iter().filter(|item| item.1).count();
            points.push(OperatingPoint {
                threshold: tied[0].0,
                precision: found as f64 / predicted as f64,
                recall: found as f64 / positives as f64,
            });
        }
        Ok(Self { points })
    }

    /// The points, from the highest threshold to the lowest.
    pub fn points(&self) -> &[OperatingPoint] {
        &self.points
    }

    /// Average precision: Σ (Rᵢ − Rᵢ₋₁)·Pᵢ. The usual PR-AUC, without the optimism of interpolation.
    pub fn average_precision(&self) -> f64 {
        let mut before = 0.0;
        let steps = self.points.iter().map(|point| {
            let step = (point.recall - before) * point.precision;
            before = point.recall;
            step
        });
        steps.sum()
    }

    /// Area under the curve by trapezoids, from precision 1 at recall 0.
    pub fn area(&self) -> f64 {
        let (mut recall, mut precision) = (0.0, 1.0);
        let trapezoids = self.points.iter().map(|point| {
            let area = (point.recall - recall) * 0.5 * (point.precision + precision);
            (recall, precision) = (point.recall, point.precision);
            area
        });
        trapezoids.sum()
    }

    /// The point of greatest precision among those with at least this recall; of equal ones that with the lowest
    /// threshold. `None` if `recall` is above 1 or not a number.
    pub fn at_recall(&self, recall: f64) -> Option<OperatingPoint> {
        let enough = self.points.iter().copied().filter(|point| point.recall >= recall);
        enough.reduce(|best, point| if point.precision >= best.precision { point } else { best })
    }
}

/// Area under the ROC curve: the probability that a positive scores above a negative, ties half.
///
/// # Errors
/// [`StatsError`] for series of different length, a score outside [0, 1], or if all outcomes are alike.
pub fn roc_auc(actual: &[bool], scores: &[f64]) -> Result<f64, StatsError> {
    check_scores(actual, scores)?;
    let mut ranked: Vec<(f64, bool)> = scores.iter().copied().zip(actual.iter().copied()).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut won, mut below, mut positives) = (0.0, 0.0, 0.0);
    for tied in ranked.chunk_by(|a, b| a.0 == b.0) {
        let up = tied.iter().filter(|item| item.1).count() as f64;
        let down = tied.len() as f64 - up;
        won += up * (below + 0.5 * down);
        below += down;
        positives += up;
    }
    if positives == 0.0 || below == 0.0 {
        return Err(StatsError::Undefined { what: "ROC AUC", reason: "all outcomes are alike" });
    }
    Ok(won / (positives * below))
}

/// Mean squared difference of score and outcome (Brier), 0 to 1.
///
/// # Errors
/// [`StatsError`] for empty series, series of different length or a score outside [0, 1].
pub fn brier(actual: &[bool], scores: &[f64]) -> Result<f64, StatsError> {
    check_scores(actual, scores)?;
    at_least("outcomes", actual.len(), 1)?;
    let squares = actual.iter().zip(scores).map(|(&y, &score)| {
        let gap = score - f64::from(u8::from(y));
        gap * gap
    });
    Ok(squares.sum::<f64>() / actual.len() as f64)
}

/// Mean negative log-likelihood in nats; a score of 0 or 1 counts as 2.2e-16 away from it.
///
/// # Errors
/// As [`brier`].
pub fn log_loss(actual: &[bool], scores: &[f64]) -> Result<f64, StatsError> {
    check_scores(actual, scores)?;
    at_least("outcomes", actual.len(), 1)?;
    let losses = actual.iter().zip(scores).map(|(&y, &score)| {
        let score = score.clamp(f64::EPSILON, 1.0 - f64::EPSILON);
        -libm::log(if y { score } else { 1.0 - score })
    });
    Ok(losses.sum::<f64>() / actual.len() as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_has_no_metrics() {
        let none = Confusion::default();
        for value in
            [none.accuracy(), none.precision(), none.recall(), none.f1(), none.matthews(), none.kappa()]
        {
            assert_eq!(value, None);
        }
        let mut never = Confusion::default();
        never.add(false, false);
        assert_eq!(
            (never.accuracy(), never.precision(), never.recall(), never.f1()),
            (Some(1.0), None, None, None)
        );
        assert!(PrecisionRecall::of(&[false], &[0.5]).is_err());
        assert!(roc_auc(&[true], &[0.5]).is_err());
        assert!(brier(&[], &[]).is_err());
    }

    #[test]
    fn bad_input_is_refused() {
        assert!(matches!(Confusion::of_scores(&[true], &[], 0.5), Err(StatsError::Lengths { .. })));
        assert!(Confusion::of_scores(&[true], &[f64::NAN], 0.5).is_err());
        assert!(ConfusionMatrix::new(1).is_err());
        let mut matrix = ConfusionMatrix::new(3).expect("valid");
        assert!(matrix.add(3, 0).is_err());
        assert_eq!(matrix.count(7, 0), 0);
    }

    #[test]
    fn a_perfect_ranking_is_perfect() {
        let (actual, scores) = ([false, false, true, true], [0.1, 0.2, 0.8, 0.9]);
        let curve = PrecisionRecall::of(&actual, &scores).expect("valid");
        assert_eq!((curve.average_precision(), curve.area()), (1.0, 1.0));
        assert_eq!(roc_auc(&actual, &scores), Ok(1.0));
        let point = curve.at_recall(0.8).expect("reached");
        assert_eq!((point.threshold, point.precision, point.recall), (0.8, 1.0, 1.0));
        assert_eq!(curve.at_recall(1.1), None);
    }

    proptest! {
        /// Two classes give the binary values, and micro averages are the accuracy.
        #[test]
        fn matrix_and_counts_agree(pairs in prop::collection::vec((0u32..2, 0u32..2), 1..60)) {
            let mut matrix = ConfusionMatrix::new(2).expect("valid");
            let mut binary = Confusion::default();
            for (actual, predicted) in pairs {
                matrix.add(actual, predicted).expect("valid");
                binary.add(actual == 1, predicted == 1);
            }
            prop_assert_eq!(matrix.one_against_rest(1), binary);
            prop_assert_eq!(&binary.matrix(), &matrix);
            prop_assert_eq!(matrix.average(Averaging::Micro, Confusion::f1), binary.accuracy());
        }
    }
}
