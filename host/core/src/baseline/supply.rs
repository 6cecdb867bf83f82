//! How each quantity came over a baseline: missing, within which bounds, under which names, how often unchanged.

use std::collections::{BTreeMap, BTreeSet};

use trimtab_stats::{dependence::effective_sample_size, health::allowed};
use trimtab_types::{Bounds, Names, QuantityKind, Share, Supply};

use super::Series;

/// Of every quantity that came in any of `n` rows, the score or class first and then features by name. Values are in the
/// order of prediction, with the rank of their row.
pub(super) fn of(values: &Series<f64>, categories: &Series<String>, n: usize) -> Vec<Supply> {
    let features: BTreeSet<&Option<String>> = values.keys().chain(categories.keys()).collect();
    let supply = |feature: &Option<String>| {
        let numbers = values.get(feature).map_or(&[][..], Vec::as_slice);
        let names = categories.get(feature).map_or(&[][..], Vec::as_slice);
        if numbers.len() >= names.len() {
            let values: Vec<f64> = numbers.iter().map(|(_, value)| *value).collect();
            Some(Supply { bounds: bounds(&values), ..of_one(feature, QuantityKind::Number, numbers, n)? })
        } else {
            Some(Supply { names: known(names), ..of_one(feature, QuantityKind::Category, names, n)? })
        }
    };
    features.into_iter().filter_map(supply).collect()
}

fn of_one<T: PartialEq>(
    feature: &Option<String>,
    kind: QuantityKind,
    values: &[(usize, T)],
    n: usize,
) -> Option<Supply> {
    let mut missing = vec![1.0; n];
    let mut repeated = vec![0.0; n];
    values.iter().for_each(|(rank, _)| missing[*rank] = 0.0);
    for pair in values.windows(2) {
        repeated[pair[1].0] = f64::from(u8::from(pair[0].1 == pair[1].1));
    }
    let (missing, repeated) = (share(&missing)?, share(&repeated)?);
    Some(Supply { feature: feature.clone(), kind, n: n as u64, missing, repeated, bounds: None, names: None })
}

fn share(series: &[f64]) -> Option<Share> {
    let count = series.iter().filter(|hit| **hit == 1.0).count() as u64;
    Some(Share { count, worth: effective_sample_size(series).ok()? })
}

fn bounds(values: &[f64]) -> Option<Bounds> {
    let allowed::Bounds { low, high, wild, n, block } = allowed::Bounds::of(values).ok()?;
    Some(Bounds { low, high, wild, n, block, worth: effective_sample_size(values).ok()? })
}

/// The names, unless they are too many; worth as much as the series that says whether the most frequent one came.
fn known(values: &[(usize, String)]) -> Option<Names> {
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    values.iter().for_each(|(_, name)| *all.entry(name).or_default() += 1);
    if all.len() > Supply::MOST_NAMES {
        return None;
    }
    let most = all.iter().max_by_key(|(_, count)| **count).map(|(name, _)| *name)?;
    let series: Vec<f64> = values.iter().map(|(_, name)| f64::from(u8::from(name == most))).collect();
    Some(Names {
        known: all.keys().map(|name| (*name).to_owned()).collect(),
        once: all.values().filter(|count| **count == 1).count() as u64,
        n: values.len() as u64,
        worth: effective_sample_size(&series).ok()?,
    })
}
