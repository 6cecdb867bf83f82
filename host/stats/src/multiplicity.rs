//! Many tests at once: which findings survive, and how many false alarms to expect. Not for the tests themselves.
//!
//! Sources: S. Holm (1979); Y. Benjamini and Y. Hochberg (1995); Y. Benjamini and D. Yekutieli (2001); R. Wang and
//! A. Ramdas, "False discovery rate control with e-values" (2022), for e-BH; S. Dandapanthula and A. Ramdas,
//! "Multiple testing in multi-stream sequential change detection" (2025), for e-d-BH. Corrections of p-values
//! conform to statsmodels 0.15 `multipletests`.

use serde::{Deserialize, Serialize};

use crate::StatsError;
use crate::error::{require, unit};

/// How p-values are corrected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Correction {
    /// p·m: bounds the probability of any false finding.
    Bonferroni,
    /// Step-down Bonferroni: the same bound, more findings.
    Holm,
    /// Bounds the share of false findings if tests are independent or positively dependent.
    BenjaminiHochberg,
    /// Bounds the share of false findings under any dependence.
    BenjaminiYekutieli,
}

/// p-values corrected for being many, in the order given: reject where they are at most the level.
///
/// # Errors
/// [`StatsError::Observation`] for a p-value outside [0, 1].
pub fn adjust(p_values: &[f64], correction: Correction) -> Result<Vec<f64>, StatsError> {
    let mut ranked = Vec::with_capacity(p_values.len());
    for (i, &p) in p_values.iter().enumerate() {
        ranked.push((unit(p)?, i));
    }
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let m = p_values.len() as f64;
    let harmonic: f64 = (1..=p_values.len()).map(|k| 1.0 / k as f64).sum();
    let factor = |rank: usize| match correction {
        Correction::Bonferroni => m,
        Correction::Holm => m - rank as f64,
        Correction::BenjaminiHochberg => m / (rank + 1) as f64,
        Correction::BenjaminiYekutieli => m / (rank + 1) as f64 * harmonic,
    };
    let mut adjusted = vec![0.0; p_values.len()];
    let scaled = ranked.iter().enumerate().map(|(rank, &(p, i))| ((p * factor(rank)).min(1.0), i));
    match correction {
        Correction::Bonferroni => scaled.for_each(|(p, i)| adjusted[i] = p),
        // Adjusted values must keep the order of the raw ones: stepping down they never fall,
        Correction::Holm => {
            scaled.fold(0.0, |least: f64, (p, i)| {
                adjusted[i] = p.max(least);
                adjusted[i]
            });
        }
        // stepping up they never rise.
        Correction::BenjaminiHochberg | Correction::BenjaminiYekutieli => {
            scaled.rev().fold(1.0, |most: f64, (p, i)| {
                adjusted[i] = p.min(most);
                adjusted[i]
            });
        }
    }
    Ok(adjusted)
}

/// Which of many p-values are findings at level `alpha`, in the order given.
///
/// # Errors
/// [`StatsError`] for a p-value outside [0, 1] or `alpha` outside (0, 1).
pub fn reject(p_values: &[f64], alpha: f64, correction: Correction) -> Result<Vec<bool>, StatsError> {
    require(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1, both excluded")?;
    Ok(adjust(p_values, correction)?.into_iter().map(|p| p <= alpha).collect())
}

/// e-BH: which of many e-values are findings, in the order given. The k largest are, for the greatest k with
/// k·e₍ₖ₎ ≥ m/alpha; the share of false findings stays below `alpha` under any dependence.
///
/// # Errors
/// [`StatsError`] for a negative or unusable e-value or `alpha` outside (0, 1).
pub fn e_bh(e_values: &[f64], alpha: f64) -> Result<Vec<bool>, StatsError> {
    require(alpha > 0.0 && alpha < 1.0, "alpha", alpha, "between 0 and 1, both excluded")?;
    e_threshold(e_values, 1.0 / alpha)
}

/// e-d-BH: which of many running e-detectors have found a change, by [`e_bh`] on their present values with alpha
/// one over the `average_run_length`, counted in the steps in which they bet (blocks where they use blocks).
///
/// At whatever moment one stops to look, the expected share of false findings is at most the expected number of
/// steps so far over `average_run_length`, as long as each stream keeps to its null given the past of all streams.
/// No method with a finite run length can bound that share regardless of how long one waits. The detectors must not
/// restart after alarms: see [`crate::AfterAlarm::Continue`].
///
/// # Errors
/// [`StatsError`] for a negative or unusable e-value or a run length that is not more than 1.
pub fn e_detector_bh(e_values: &[f64], average_run_length: f64) -> Result<Vec<bool>, StatsError> {
    require(
        average_run_length > 1.0 && average_run_length.is_finite(),
        "average_run_length",
        average_run_length,
        "more than 1",
    )?;
    e_threshold(e_values, average_run_length)
}

fn e_threshold(e_values: &[f64], inverse_alpha: f64) -> Result<Vec<bool>, StatsError> {
    for &e in e_values {
        // Infinity is a legitimate e-value: certainty.
        if e.is_nan() || e < 0.0 {
            return Err(StatsError::Observation { value: e, allowed: "0 or more" });
        }
    }
    let mut ranked = e_values.to_vec();
    ranked.sort_by(|a, b| b.total_cmp(a));
    let needed = e_values.len() as f64 * inverse_alpha;
    let found = (1..=ranked.len()).rev().find(|&k| k as f64 * ranked[k - 1] >= needed);
    let least = found.map_or(f64::INFINITY, |k| needed / k as f64);
    Ok(e_values.iter().map(|&e| found.is_some() && e >= least).collect())
}

/// Expected false alarms in a week without any drift: detectors by their run length, scheduled tests by their
/// level.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct FalseAlarmBudget {
    /// Expected alarms per week.
    pub per_week: f64,
}

impl FalseAlarmBudget {
    /// Adds an online detector that alarms falsely once in `average_run_length` observations and sees
    /// `observations_per_week`.
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless the run length is positive and the observations 0 or more.
    pub fn add_detector(
        &mut self,
        average_run_length: f64,
        observations_per_week: f64,
    ) -> Result<(), StatsError> {
        let (length, seen) = (average_run_length, observations_per_week);
        require(length > 0.0, "average_run_length", length, "more than 0")?;
        require(seen >= 0.0 && seen.is_finite(), "observations_per_week", seen, "0 or more")?;
        self.per_week += seen / length;
        Ok(())
    }

    /// Adds a test at level `alpha` that runs `runs_per_week` times on `tests` quantities, each on its own level
    /// (without correction).
    ///
    /// # Errors
    /// [`StatsError::Parameter`] unless `alpha` is in [0, 1] and the runs 0 or more.
    pub fn add_tests(&mut self, alpha: f64, tests: u64, runs_per_week: f64) -> Result<(), StatsError> {
        require((0.0..=1.0).contains(&alpha), "alpha", alpha, "0 to 1")?;
        require(
            runs_per_week >= 0.0 && runs_per_week.is_finite(),
            "runs_per_week",
            runs_per_week,
            "0 or more",
        )?;
        self.per_week += alpha * tests as f64 * runs_per_week;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::Rng;

    const ALL: [Correction; 4] = [
        Correction::Bonferroni,
        Correction::Holm,
        Correction::BenjaminiHochberg,
        Correction::BenjaminiYekutieli,
    ];

    #[test]
    fn no_tests_have_no_findings() {
        for correction in ALL {
            assert_eq!(adjust(&[], correction), Ok(vec![]));
        }
        assert_eq!(e_bh(&[], 0.05), Ok(vec![]));
    }

    #[test]
    fn unusable_evidence_is_refused() {
        assert!(adjust(&[0.5, 1.5], Correction::Holm).is_err());
        assert!(reject(&[0.5], 0.0, Correction::Holm).is_err());
        assert!(e_bh(&[f64::NAN], 0.05).is_err());
        assert!(e_bh(&[-1.0], 0.05).is_err());
        assert!(e_detector_bh(&[1.0], 1.0).is_err());
        assert_eq!(e_bh(&[f64::INFINITY, 0.0], 0.05), Ok(vec![true, false]));
    }

    #[test]
    fn a_week_of_false_alarms_adds_up() {
        let mut budget = FalseAlarmBudget::default();
        // Twelve models of a thousand observations a day, and a nightly test of twenty features at 1 %.
        for _ in 0..12 {
            budget.add_detector(10_000.0, 7_000.0).expect("valid");
        }
        budget.add_tests(0.01, 20, 7.0).expect("valid");
        assert!((budget.per_week - (8.4 + 1.4)).abs() < 1e-12);
        assert!(budget.add_detector(0.0, 1.0).is_err());
        assert!(budget.add_tests(2.0, 1, 1.0).is_err());
    }

    /// The theorem of Benjamini and Hochberg: with 80 of 100 nulls true, the mean share of false findings is at
    /// most 0.8·alpha.
    #[test]
    fn false_discoveries_stay_below_the_level() {
        let alpha = 0.2;
        let mut share = 0.0;
        let runs = 400;
        for seed in 0..runs {
            let mut rng = Rng::new(seed);
            let p: Vec<f64> =
                (0..100).map(|i| if i < 80 { rng.uniform() } else { rng.uniform() * 1e-3 }).collect();
            let found = reject(&p, alpha, Correction::BenjaminiHochberg).expect("valid");
            let (all, false_ones) =
                (found.iter().filter(|&&f| f).count(), found[..80].iter().filter(|&&f| f).count());
            share += false_ones as f64 / all.max(1) as f64;
        }
        assert!(share / runs as f64 <= 0.8 * alpha + 0.02, "{}", share / runs as f64);
    }

    proptest! {
        /// Holm finds whatever Bonferroni finds, Benjamini–Hochberg whatever Holm finds.
        #[test]
        fn corrections_are_ordered(p in prop::collection::vec(0.0..=1.0f64, 1..40)) {
            let [bonferroni, holm, bh, by] = ALL.map(|c| adjust(&p, c).expect("valid"));
            for i in 0..p.len() {
                prop_assert!(p[i] <= bh[i] && bh[i] <= holm[i] + 1e-12 && holm[i] <= bonferroni[i] + 1e-12);
                prop_assert!(bh[i] <= by[i] && by[i] <= 1.0);
            }
        }

        #[test]
        fn e_findings_are_the_largest(e in prop::collection::vec(0.0..1000.0f64, 1..40), alpha in 0.01..0.5f64) {
            let found = e_bh(&e, alpha).expect("valid");
            let k = found.iter().filter(|&&f| f).count();
            for i in 0..e.len() {
                prop_assert!(!found[i] || e[i] * k as f64 >= e.len() as f64 / alpha * (1.0 - 1e-12));
                prop_assert!(found[i] || found.iter().zip(&e).all(|(&f, &other)| !f || other >= e[i]));
            }
        }
    }
}
