//! Errors of numbers as a stream of yes and no: whether an error is larger than all but a fifth of the baseline's. So the
//! e-process, its bounds and its power apply to regression as they do to classes, whatever the errors' distribution. Not a
//! metric of how large errors are.
//!
//! Source: S. S. Wilks (1941): a new error exceeds the j-th smallest of n exchangeable ones with a probability that is
//! Beta(n + 1 − j, j), which is what Clopper and Pearson's bound for n − j of n has.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::finite;
use crate::windowed::{at_least, same_length};

/// The share of the baseline's errors that is not large.
const USUAL: f64 = 0.8;
/// How many times as large an error is worth 1 on the shown scale.
const FULL_SCALE: f64 = 2.0;

/// What a baseline says of the size of errors.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorScale {
    /// The .8 quantile of the absolute errors; larger ones are large.
    pub large: f64,
    /// Errors of the baseline that are larger, for [`crate::null_mean_upper`].
    pub larger: u64,
    /// Errors in the baseline.
    pub n: u64,
    /// Median of the outcomes: what somebody without a model would say.
    pub median_outcome: f64,
}

impl ErrorScale {
    /// Of a baseline's predictions and outcomes.
    ///
    /// # Errors
    /// [`StatsError`] for no values, series of different length or unusable values.
    pub fn of(predicted: &[f64], actual: &[f64]) -> Result<Self, StatsError> {
        same_length("predictions", predicted.len(), "outcomes", actual.len())?;
        at_least("baseline", actual.len(), 1)?;
        let errors = predicted.iter().zip(actual).map(|(&predicted, &actual)| error(predicted, actual));
        let mut errors = errors.collect::<Result<Vec<f64>, _>>()?;
        let mut outcomes = actual.to_vec();
        errors.sort_by(f64::total_cmp);
        outcomes.sort_by(f64::total_cmp);
        let n = errors.len();
        let rank = (libm::ceil(USUAL * n as f64) as usize).clamp(1, n);
        let large = errors[rank - 1];
        let middle = 0.5 * (outcomes[(n - 1) / 2] + outcomes[n / 2]);
        Ok(Self {
            large,
            larger: (n - errors.partition_point(|&error| error <= large)) as u64,
            n: n as u64,
            median_outcome: middle,
        })
    }

    /// Whether an error is large.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for an unusable value.
    pub fn is_large(&self, predicted: f64, actual: f64) -> Result<bool, StatsError> {
        Ok(error(predicted, actual)? > self.large)
    }

    /// The error as a share of twice the .8 quantile, 0 to 1: for detectors of means and for showing. Where the baseline's
    /// errors are 0, any error is 1.
    ///
    /// # Errors
    /// [`StatsError::Observation`] for an unusable value.
    pub fn scaled(&self, predicted: f64, actual: f64) -> Result<f64, StatsError> {
        let error = error(predicted, actual)?;
        let full = FULL_SCALE * self.large;
        Ok(if full > 0.0 { (error / full).min(1.0) } else { f64::from(u8::from(error > 0.0)) })
    }
}

fn error(predicted: f64, actual: f64) -> Result<f64, StatsError> {
    Ok((finite(predicted)? - finite(actual)?).abs())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dependence::BlockInflation;
    use crate::special::{beta_cdf, normal_quantile};
    use crate::testing::Rng;
    use crate::{TwoLevel, TwoLevelConfig, null_mean_upper};

    fn normal(rng: &mut Rng) -> f64 {
        normal_quantile(rng.uniform().max(1e-12))
    }

    fn of(errors: &[f64]) -> ErrorScale {
        ErrorScale::of(errors, &vec![0.0; errors.len()]).expect("valid")
    }

    #[test]
    fn a_fifth_of_the_baselines_errors_is_large() {
        let scale = of(&(1..=10).map(f64::from).collect::<Vec<f64>>());
        assert_eq!((scale.large, scale.larger, scale.n), (8.0, 2, 10));
        assert_eq!(scale.is_large(-8.0, 0.0), Ok(false));
        assert_eq!(scale.is_large(0.0, 8.1), Ok(true));
        assert_eq!((scale.scaled(4.0, 0.0), scale.scaled(0.0, 99.0)), (Ok(0.25), Ok(1.0)));
        let outcomes = ErrorScale::of(&[0.0; 4], &[4.0, 1.0, 2.0, 100.0]).expect("valid");
        assert_eq!(outcomes.median_outcome, 3.0);
        let exact = of(&[0.0; 5]);
        assert_eq!((exact.scaled(0.0, 0.0), exact.scaled(0.0, 1e-9)), (Ok(0.0), Ok(1.0)));
        assert!(ErrorScale::of(&[], &[]).is_err() && ErrorScale::of(&[1.0], &[]).is_err());
        assert!(ErrorScale::of(&[f64::NAN], &[1.0]).is_err() && scale.is_large(0.0, f64::INFINITY).is_err());
    }

    /// Whatever the distribution: Clopper and Pearson's bound for the count is Wilks' quantile for a new error.
    #[test]
    fn the_bound_of_the_share_is_wilks_quantile() {
        let scale = of(&(1..=2_000).map(f64::from).collect::<Vec<f64>>());
        let bound = null_mean_upper(scale.larger, scale.n, 0.0, 0.95, None).expect("valid");
        assert!((beta_cdf(bound, 401.0, 1_600.0) - 0.95).abs() < 1e-9);
    }

    /// Figures of an independent prototype in Python: mean rows to open for a baseline of 2,000 normal errors that spread
    /// 1.2, 1.5 and 2 times as far, or are off by 1.
    #[test]
    fn errors_that_grew_are_found() {
        for (spread, bias, want) in
            [(1.2, 0.0, 705.0), (1.5, 0.0, 149.0), (2.0, 0.0, 74.0), (1.0, 1.0, 141.0)]
        {
            let wait = |seed| {
                let mut rng = Rng::new(seed);
                let scale = of(&(0..2_000).map(|_| normal(&mut rng)).collect::<Vec<f64>>());
                let null_mean = null_mean_upper(scale.larger, scale.n, 0.02, 0.95, None).expect("valid");
                let blocks = BlockInflation { block: 5, inflation: 1.0 };
                let mut watch =
                    TwoLevel::new(TwoLevelConfig { null_mean, blocks, ..TwoLevelConfig::default() })
                        .expect("valid");
                let mut next = |spread, bias| {
                    let is_large = scale.is_large(spread * normal(&mut rng) + bias, 0.0).expect("usable");
                    watch.update(f64::from(u8::from(is_large))).expect("usable").is_some()
                };
                (0..500).for_each(|_| {
                    next(1.0, 0.0);
                });
                (1..20_000).find(|_| next(spread, bias)).unwrap_or(20_000)
            };
            let mean = (0..200).map(wait).sum::<u32>() as f64 / 200.0;
            assert!((mean / want - 1.0).abs() < 0.25, "× {spread}, + {bias}: {mean} and not {want}");
        }
    }

    proptest! {
        /// What is counted as larger is what is judged large, ties and all.
        #[test]
        fn counts_and_judgements_agree(errors in prop::collection::vec(-5i32..5, 1..80)) {
            let errors: Vec<f64> = errors.into_iter().map(f64::from).collect();
            let scale = of(&errors);
            let large = errors.iter().filter(|&&e| scale.is_large(e, 0.0).expect("usable")).count() as u64;
            prop_assert_eq!(large, scale.larger);
            prop_assert!(large as f64 <= 0.2 * errors.len() as f64);
        }
    }
}
