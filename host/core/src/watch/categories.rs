//! Shares of categories and of predicted classes, the newest predictions against the baseline.

use trimtab_stats::{ChiSquare, ShareDistance, StatsError, WindowedTest, special::chi_square_sf};
use trimtab_types::{CategoryReference, Finding, Prediction};

use super::{
    difference::{Gap, Limits, can_tell},
    episode::At,
    window::Distribution,
};
use crate::{
    config::{CategoryDistance, CategorySettings},
    detector::DetectorKind,
};

/// Takes the class and the categories of a prediction. Both sides are sorted by name, the class first.
pub(super) fn take(
    references: &[CategoryReference],
    prediction: &Prediction,
    window: usize,
    known: &mut [Distribution],
) {
    let mut values = prediction.categories().peekable();
    for (reference, known) in references.iter().zip(known) {
        let name = reference.feature.as_deref();
        while values.next_if(|(other, _)| *other < name).is_some() {}
        if let Some((_, value)) = values.next_if(|(other, _)| *other == name) {
            let names = &reference.names;
            let place = names.binary_search_by(|known| known.as_str().cmp(value.as_ref()));
            let bin = place.unwrap_or(names.len());
            // A baseline has at most 251 of them.
            known.push(u8::try_from(bin).unwrap_or(u8::MAX), reference.counts.len(), window);
        }
    }
}

/// Tests every window that holds enough. Returns the changes of episodes.
pub(super) fn test(
    settings: &CategorySettings,
    references: &[CategoryReference],
    known: &mut [Distribution],
    at: At<'_>,
) -> Vec<Finding> {
    let CategorySettings { medium, high, .. } = *settings;
    let alpha = settings.alpha / references.len() as f64;
    let limits = Limits { medium, high, critical: f64::INFINITY, alpha, grave: 0.1 };
    let mut found = Vec::new();
    for (reference, known) in references.iter().zip(known) {
        let total: u64 = reference.counts.iter().sum();
        if known.held().min(total) < u64::from(settings.minimum) {
            continue;
        }
        let sizes = known.sizes(&reference.counts, reference.worth);
        if !can_tell(&sizes) {
            continue;
        }
        let Ok(gap) = gap(settings.distance, reference, known) else { continue };
        let quantity = || reference.quantity();
        found.extend(known.conclude(gap, (&limits, sizes), (DetectorKind::Categories, quantity), at));
    }
    found
}

/// How far a quantity is from the baseline. Values are taken to be as dependent on each other as the baseline's.
fn gap(
    distance: CategoryDistance,
    reference: &CategoryReference,
    known: &Distribution,
) -> Result<Gap, StatsError> {
    let CategoryReference { counts, worth, .. } = reference;
    let distance = match distance {
        CategoryDistance::JensenShannon => ShareDistance::JensenShannon,
        CategoryDistance::TotalVariation => ShareDistance::TotalVariation,
    };
    let statistic = distance.compare(counts, known.counts())?.statistic;
    // Chi-square is proportional to the sizes, so that of effective sizes is its share.
    let share = worth / counts.iter().sum::<u64>() as f64;
    let chi_square = share * ChiSquare.compare(counts, known.counts())?.statistic;
    let there = counts.iter().zip(known.counts()).filter(|(b, c)| **b + **c > 0).count();
    let p_value = if there < 2 { 1.0 } else { chi_square_sf(chi_square, (there - 1) as f64) };
    Ok(Gap { statistic, p_value })
}
