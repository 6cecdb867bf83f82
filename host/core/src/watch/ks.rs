//! Kolmogorov–Smirnov distance of score and numeric features, the newest predictions against the baseline.

use trimtab_stats::{
    StatsError,
    ks::{ks_binned, ks_p_value_effective},
};
use trimtab_types::{Finding, Prediction, Reference};

use super::{
    difference::{Gap, Limits, can_tell},
    episode::At,
    window::{Distribution, take_numbers},
};
use crate::{config::KsSettings, detector::DetectorKind};

/// What a distance must be to count, for each of so many quantities.
pub(super) fn limits(settings: &KsSettings, quantities: usize) -> Limits {
    let KsSettings { medium, high, .. } = *settings;
    Limits { medium, high, critical: f64::INFINITY, alpha: settings.alpha / quantities as f64, grave: 0.1 }
}

/// Takes the score and the features of a prediction, by the finest bins that the baseline has.
pub(super) fn take(
    references: &[Reference],
    prediction: &Prediction,
    window: usize,
    known: &mut [Distribution],
) {
    take_numbers(references, prediction, window, known, |reference| reference.finest().0);
}

/// Tests every window that holds enough. Returns the changes of episodes.
pub(super) fn test(
    settings: &KsSettings,
    references: &[Reference],
    known: &mut [Distribution],
    at: At<'_>,
) -> Vec<Finding> {
    let limits = limits(settings, references.len());
    let mut found = Vec::new();
    for (reference, known) in references.iter().zip(known) {
        let total: u64 = reference.counts.iter().sum();
        if known.held().min(total) < u64::from(settings.minimum) {
            continue;
        }
        let sizes = known.sizes(reference.finest().1, reference.worth);
        if !can_tell(&sizes) {
            continue;
        }
        let Ok(gap) = gap(reference, known) else { continue };
        let quantity = || reference.quantity();
        found.extend(known.conclude(gap, (&limits, sizes), (DetectorKind::Ks, quantity), at));
    }
    found
}

/// How far a quantity is from the baseline. Values are taken to be as dependent on each other as the baseline's.
fn gap(reference: &Reference, known: &Distribution) -> Result<Gap, StatsError> {
    let (_, counts) = reference.finest();
    let statistic = ks_binned(counts, known.counts())?;
    let worth = known.worth(counts, reference.worth);
    Ok(Gap { statistic, p_value: ks_p_value_effective(statistic, reference.worth, worth) })
}
