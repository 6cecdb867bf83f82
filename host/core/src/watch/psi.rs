//! Population stability index of score and numeric features, the newest predictions against the baseline.

use trimtab_stats::{
    EmptyBins, StatsError,
    psi::{psi, psi_p_value},
};
use trimtab_types::{Finding, Prediction, Reference};

use super::{
    difference::{Gap, Limits, can_tell},
    episode::At,
    window::{Distribution, take_numbers},
};
use crate::{config::PsiSettings, detector::DetectorKind};

/// What an index must be to count, for each of so many quantities.
pub(super) fn limits(settings: &PsiSettings, quantities: usize) -> Limits {
    let PsiSettings { medium, high, critical, .. } = *settings;
    Limits { medium, high, critical, alpha: settings.alpha / quantities as f64, grave: 1.0 }
}

/// Takes the score and the features of a prediction.
pub(super) fn take(
    references: &[Reference],
    prediction: &Prediction,
    window: usize,
    known: &mut [Distribution],
) {
    take_numbers(references, prediction, window, known, |reference| &reference.edges);
}

/// Tests every window that is full. Returns the changes of episodes.
pub(super) fn test(
    settings: &PsiSettings,
    references: &[Reference],
    window: usize,
    known: &mut [Distribution],
    at: At<'_>,
) -> Vec<Finding> {
    let limits = limits(settings, references.len());
    let mut found = Vec::new();
    for (reference, known) in references.iter().zip(known) {
        let total: u64 = reference.counts.iter().sum();
        if known.held() < window as u64 || total == 0 {
            continue;
        }
        let sizes = known.sizes(&reference.counts, reference.worth);
        if !can_tell(&sizes) {
            continue;
        }
        let Ok(gap) = gap(reference, known) else { continue };
        let quantity = || reference.quantity();
        found.extend(known.conclude(gap, (&limits, sizes), (DetectorKind::Psi, quantity), at));
    }
    found
}

/// How far a quantity is from the baseline. Values are taken to be as dependent on each other as the baseline's.
fn gap(reference: &Reference, known: &Distribution) -> Result<Gap, StatsError> {
    let statistic = psi(&reference.counts, known.counts(), EmptyBins::HalfCount)?;
    let worth = known.worth(&reference.counts, reference.worth);
    let p_value = psi_p_value(statistic, reference.counts.len(), reference.worth, worth);
    Ok(Gap { statistic, p_value })
}
