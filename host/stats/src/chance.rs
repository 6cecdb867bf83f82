//! What a model without any skill would have reached on the same rows: chance for classes, the baseline's median for
//! numbers. Not a test: a window below chance is reported as such.
//!
//! Source: J. Cohen, "A Coefficient of Agreement for Nominal Scales" (1960). Accuracy is below chance exactly where his
//! kappa is negative.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::classification::ConfusionMatrix;
use crate::error::finite;
use crate::windowed::same_length;

/// Fewer judged rows say nothing of chance.
pub const LEAST_ROWS: u64 = 30;

/// How many rows of a window were right, and how many chance would get right.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Judged rows.
    pub n: u64,
    /// Share that is right.
    pub accuracy: f64,
    /// Share that would be right if predictions had nothing to do with outcomes: Σ over classes of the share that is the
    /// class times the share that was predicted to be it.
    pub chance: f64,
    /// Whether accuracy is below chance.
    pub is_below: bool,
}

impl Agreement {
    /// Of a window; `None` with fewer than 30 rows, or where all outcomes are of one class: then every prediction is as
    /// good as chance.
    pub fn of(window: &ConfusionMatrix) -> Option<Self> {
        let n = window.total();
        let (mut right, mut expected, mut classes) = (0u64, 0u128, 0);
        for class in 0..window.classes() {
            let of_class = (0..window.classes()).map(|other| window.count(class, other)).sum::<u64>();
            let predicted = (0..window.classes()).map(|other| window.count(other, class)).sum::<u64>();
            right += window.count(class, class);
            expected += u128::from(of_class) * u128::from(predicted);
            classes += u32::from(of_class > 0);
        }
        Self::by(n, right, expected, classes)
    }

    /// Of the rows themselves, as (predicted, true) class: for a few rows of many possible classes. `None` as of [`Self::of`].
    pub fn of_pairs(pairs: &[(u32, u32)]) -> Option<Self> {
        let sorted = |class: fn(&(u32, u32)) -> u32| {
            let mut classes: Vec<u32> = pairs.iter().map(class).collect();
            classes.sort_unstable();
            classes
        };
        let (predicted, truly) = (sorted(|pair| pair.0), sorted(|pair| pair.1));
        let (mut expected, mut classes) = (0u128, 0);
        for of_class in truly.chunk_by(|a, b| a == b) {
            let before = predicted.partition_point(|class| *class < of_class[0]);
            let until = predicted.partition_point(|class| *class <= of_class[0]);
            expected += of_class.len() as u128 * (until - before) as u128;
            classes += 1;
        }
        let right = pairs.iter().filter(|(predicted, truly)| predicted == truly).count();
        Self::by(pairs.len() as u64, right as u64, expected, classes)
    }

    fn by(n: u64, right: u64, expected: u128, classes: u32) -> Option<Self> {
        (n >= LEAST_ROWS && classes >= 2).then(|| Self {
            n,
            accuracy: right as f64 / n as f64,
            chance: expected as f64 / (n as f64 * n as f64),
            // In whole numbers: at chance is not below it.
            is_below: u128::from(right) * u128::from(n) < expected,
        })
    }
}

/// Mean absolute errors of a window of numbers, and of always saying the same.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct AgainstConstant {
    /// Of the predictions.
    pub mean_error: f64,
    /// Of saying the baseline's median outcome each time.
    pub mean_error_of_constant: f64,
}

impl AgainstConstant {
    /// Of a window; `None` with fewer than 30 rows.
    ///
    /// # Errors
    /// [`StatsError`] for series of different length or unusable values.
    pub fn of(predicted: &[f64], actual: &[f64], constant: f64) -> Result<Option<Self>, StatsError> {
        same_length("predictions", predicted.len(), "outcomes", actual.len())?;
        let constant = finite(constant)?;
        let (mut own, mut others) = (0.0, 0.0);
        for (&predicted, &actual) in predicted.iter().zip(actual) {
            own += (finite(predicted)? - finite(actual)?).abs();
            others += (constant - actual).abs();
        }
        let n = actual.len() as f64;
        Ok((actual.len() as u64 >= LEAST_ROWS)
            .then(|| Self { mean_error: own / n, mean_error_of_constant: others / n }))
    }

    /// Whether the predictions are worse than always saying the same.
    pub fn is_below(&self) -> bool {
        self.mean_error > self.mean_error_of_constant
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matrix(rows: &[&[u64]]) -> ConfusionMatrix {
        let mut matrix = ConfusionMatrix::new(rows.len() as u32).expect("valid");
        for (actual, row) in (0..).zip(rows) {
            for (predicted, &count) in (0..).zip(row.iter()) {
                (0..count).for_each(|_| matrix.add(actual, predicted).expect("valid"));
            }
        }
        matrix
    }

    #[test]
    fn chance_is_what_shares_alone_would_reach() {
        let even = Agreement::of(&matrix(&[&[30, 20], &[20, 30]])).expect("enough");
        assert_eq!((even.chance, even.accuracy, even.is_below), (0.5, 0.6, false));
        let ten: Vec<Vec<u64>> = (0..10).map(|_| vec![1; 10]).collect();
        let rows: Vec<&[u64]> = ten.iter().map(Vec::as_slice).collect();
        let ten = Agreement::of(&matrix(&rows)).expect("enough");
        assert!((ten.chance - 0.1).abs() < 1e-15 && !ten.is_below, "as good as chance is not below it");
        // One in twenty is positive: saying so of half of all is chance at .5, though 95 % would be right by saying no.
        let rare = Agreement::of(&matrix(&[&[95, 95], &[4, 6]])).expect("enough");
        assert!((rare.chance - (0.95 * 0.495 + 0.05 * 0.505)).abs() < 1e-15 && !rare.is_below);
        let reversed = Agreement::of(&matrix(&[&[20, 30], &[30, 20]])).expect("enough");
        assert!(reversed.is_below);
    }

    #[test]
    fn little_or_one_sided_evidence_gives_no_verdict() {
        assert_eq!(Agreement::of(&matrix(&[&[10, 5], &[5, 9]])), None, "29 rows");
        assert_eq!(Agreement::of(&matrix(&[&[5, 95], &[0, 0]])), None, "one class");
        assert!(Agreement::of(&matrix(&[&[0, 95], &[1, 0]])).is_some_and(|found| found.is_below));
    }

    #[test]
    fn numbers_are_held_against_a_constant() {
        let actual: Vec<f64> = (0..40).map(|i| f64::from(i % 4)).collect();
        let away = |by: f64| actual.iter().map(|x| x + by).collect::<Vec<f64>>();
        let against =
            |predicted: &[f64]| AgainstConstant::of(predicted, &actual, 1.5).expect("valid").expect("enough");
        // Outcomes 0 to 3 lie 1 from 1.5 on average.
        let near = against(&away(0.9));
        assert!(
            (near.mean_error - 0.9).abs() < 1e-12 && near.mean_error_of_constant == 1.0 && !near.is_below()
        );
        assert!(against(&away(1.1)).is_below());
        assert_eq!(AgainstConstant::of(&actual[..29], &actual[..29], 0.0), Ok(None));
        assert!(AgainstConstant::of(&actual, &actual[1..], 0.0).is_err());
        assert!(AgainstConstant::of(&[f64::NAN], &[1.0], 0.0).is_err());
    }

    proptest! {
        /// Below chance is where Cohen's kappa is negative: kappa = (accuracy − chance)/(1 − chance).
        #[test]
        fn below_chance_is_negative_kappa(counts in prop::collection::vec(0u64..40, 9)) {
            let rows: Vec<&[u64]> = counts.chunks(3).collect();
            let window = matrix(&rows);
            if let (Some(found), Some(kappa)) = (Agreement::of(&window), window.kappa()) {
                prop_assert!((kappa - (found.accuracy - found.chance) / (1.0 - found.chance)).abs() < 1e-9);
                prop_assert!(!found.is_below || kappa < 1e-12);
                prop_assert!(found.is_below || kappa > -1e-12);
            }
        }
    }
}
