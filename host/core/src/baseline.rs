//! A baseline from resolved predictions: the numbers over a range of them.

use std::collections::BTreeMap;

use trimtab_stats::{
    Bins,
    by_class::{self, ClassBaseline},
    dependence::{BlockInflation, block_inflation, effective_sample_size},
    large_errors,
};
use trimtab_types::{
    Actual, Baseline, BaselineSource, CategoryReference, ClassErrors, Cut, ErrorScale, Inflation, Invalid,
    Judged, Judging, Outcome, Position, Predicted, Prediction, Reference, Scale, Subject, judge,
};

mod supply;

use crate::{config::MetricSettings, judged::JudgedRow, measure, metric::Metric};

/// Sums over a subject's resolved predictions.
#[derive(Default)]
pub struct Sums {
    /// Keys in the order in which they were resolved.
    order: Vec<Position>,
    judged: BTreeMap<Position, (Judged, JudgedRow)>,
    /// By which rules.
    rules: Option<Judging>,
    /// What a class was called.
    named: BTreeMap<u32, String>,
    /// Predicted and actual of regressions that are judged by their own baseline.
    numbers: BTreeMap<Position, (f64, f64)>,
    /// Scores (under `None`) and features, with the number of their row in `order`.
    values: Series<f64>,
    /// Predicted classes (under `None`) and categorical features, likewise.
    categories: Series<String>,
}

impl Sums {
    /// Whether the range holds this prediction.
    pub fn wants(&self, source: &BaselineSource, prediction: &Prediction) -> bool {
        match source {
            BaselineSource::Given => false,
            BaselineSource::First { .. } => true,
            BaselineSource::Range { from, until } => (*from..*until).contains(&prediction.time),
        }
    }

    /// Adds a prediction that met the outcome by which it is judged; what comes later changes nothing.
    pub fn add(&mut self, key: Position, prediction: &Prediction, outcome: &Outcome, rules: &Judging) {
        if self.judged.contains_key(&key) {
            return;
        }
        let judged = judge(prediction, outcome, rules);
        self.rules = Some(*rules);
        let row = JudgedRow::of(key, prediction, outcome, judged);
        if let (Predicted::Regression(predicted), Some(Actual::Value(actual))) =
            (prediction.predicted, outcome.actual)
            && rules.regression_scale == Scale::Baseline
        {
            self.numbers.insert(key, (predicted, actual));
        }
        if let Some((_, class)) = judged.classes {
            self.named.entry(class).or_insert_with(|| Judged::class_name(class, prediction.predicted));
        }
        if judged.right.is_some() && self.judged.insert(key, (judged, row)).is_none() {
            self.order.push(key);
            let row = self.order.len() - 1;
            let numbers = prediction.quantities();
            numbers.for_each(|(feature, value)| push(&mut self.values, feature, (row, value)));
            let names = prediction.categories();
            names.for_each(|(feature, name)| push(&mut self.categories, feature, (row, name.into_owned())));
        }
    }

    /// The rows in the order in which they were predicted, in which neighbours are alike: rank of each row as it came.
    fn ranks(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.order.len()).collect();
        rows.sort_by_key(|row| self.order[*row]);
        let mut ranks = vec![0; rows.len()];
        rows.into_iter().enumerate().for_each(|(rank, row)| ranks[row] = rank);
        ranks
    }

    /// How many predictions count.
    pub fn samples(&self) -> u64 {
        self.order.len() as u64
    }

    /// The baseline that they give.
    pub fn baseline(&self, subject: &Subject, source: BaselineSource) -> Result<Baseline, Invalid> {
        let samples = self.order.len() as u64;
        if samples == 0 {
            return Err(Invalid::new(
                "baseline",
                format!("there is no resolved prediction of {subject} in that range"),
            ));
        }
        if let BaselineSource::First { rows } = source
            && samples < rows
        {
            let problem = format!("{subject} has {samples} resolved predictions, not {rows}");
            return Err(Invalid::new("baseline", problem));
        }
        let known = self.judged.values();
        let ranks = self.ranks();
        let (values, categories) = (sorted(&self.values, &ranks), sorted(&self.categories, &ranks));
        let rows: Vec<&JudgedRow> = known.clone().map(|(_, row)| row).collect();
        let (scale, errors) = match self.sizes() {
            Some((scale, large)) => (Some(scale), large),
            None => (None, known.filter_map(|(judged, _)| judged.error).collect()),
        };
        let settings = MetricSettings::default();
        let of = |metric: Metric| measure::of(metric, &rows, &settings).map(|estimate| estimate.value);
        let mut metrics: BTreeMap<String, f64> = Metric::ALL
            .into_iter()
            .filter_map(|metric| Some((metric.name().to_owned(), of(metric)?)))
            .collect();
        // What has a field of its own.
        metrics.remove(Metric::Accuracy.name());
        let [precision, recall, f1] =
            [Metric::Precision, Metric::Recall, Metric::F1].map(|metric| metrics.remove(metric.name()));
        let accuracy = 1.0 - errors.iter().sum::<f64>() / errors.len() as f64;
        Ok(Baseline {
            source,
            effective_samples: effective_sample_size(&errors).ok(),
            precision,
            recall,
            f1,
            distributions: values.iter().filter_map(reference).collect(),
            categories: categories.iter().filter_map(category_reference).collect(),
            last: self.judged.last_key_value().map(|(key, _)| *key),
            judged_by: self.rules.map(|rules| rules.digest()),
            classes: self.classes(),
            supplies: supply::of(&values, &categories, self.order.len()),
            metrics,
            inflations: inflations(&errors),
            errors: scale,
            ..Baseline::given(subject.clone(), samples, accuracy)
        })
    }
}

impl Sums {
    /// How large errors of a regression are, and of each whether it is large; `None` of anything else.
    fn sizes(&self) -> Option<(ErrorScale, Vec<f64>)> {
        let numbers = self.judged.keys().map(|key| self.numbers.get(key).copied());
        let (predicted, actual): (Vec<f64>, Vec<f64>) =
            numbers.collect::<Option<Vec<_>>>()?.into_iter().unzip();
        let scale = large_errors::ErrorScale::of(&predicted, &actual).ok()?;
        let is_large = |(predicted, actual): (&f64, &f64)| scale.is_large(*predicted, *actual);
        let large = predicted.iter().zip(&actual).map(is_large).collect::<Result<Vec<bool>, _>>().ok()?;
        let known = ErrorScale { usual: scale.large, median_outcome: scale.median_outcome };
        Some((known, large.into_iter().map(|large| f64::from(u8::from(large))).collect()))
    }
}

impl Sums {
    /// Errors of each class, those that can be watched first.
    fn classes(&self) -> Vec<ClassErrors> {
        let mut errors: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
        for (judged, _) in self.judged.values() {
            if let (Some((_, class)), Some(right)) = (judged.classes, judged.right) {
                errors.entry(class).or_default().push(f64::from(u8::from(!right)));
            }
        }
        let events = errors.iter().map(|(class, errors)| (*class, errors.len() as u64));
        let (watched, others) = by_class::watched(events);
        let of = |class: u32| {
            let ClassBaseline { events, errors, worth, blocks } =
                ClassBaseline::of(errors.get(&class)?).ok()?;
            let BlockInflation { block, inflation } = blocks;
            let name = self.named.get(&class)?.clone();
            Some(ClassErrors { name, class, events, errors, worth, block, inflation })
        };
        watched.into_iter().chain(others).take(CLASSES).filter_map(of).collect()
    }
}

/// The values of each quantity, with the number of the row that each is of.
type Series<T> = BTreeMap<Option<String>, Vec<(usize, T)>>;

fn sorted<T: Clone>(series: &Series<T>, ranks: &[usize]) -> Series<T> {
    let of_one = |(feature, values): (&Option<String>, &Vec<(usize, T)>)| {
        let mut values: Vec<(usize, T)> =
            values.iter().map(|(row, value)| (ranks[*row], value.clone())).collect();
        values.sort_by_key(|(rank, _)| *rank);
        (feature.clone(), values)
    };
    series.iter().map(of_one).collect()
}

fn push<T>(values: &mut Series<T>, feature: Option<&str>, value: (usize, T)) {
    values.entry(feature.map(str::to_owned)).or_default().push(value);
}

/// Bins that a baseline is cut into: deciles, as is usual for PSI …
const BINS: u32 = 10;
/// … and percentiles, where the distance of distribution functions is read.
const FINE_BINS: u32 = 100;
/// A category that came less often counts among all others: the chi-square test wants expected counts of 5.
const RARE: u64 = 5;
/// Most categories that have a name, the most frequent ones.
const NAMED: usize = 250;

/// Most classes that a baseline knows.
const CLASSES: usize = 100;

/// Blocks of errors that a baseline is measured in.
const BLOCKS: [u32; 8] = [1, 2, 5, 10, 20, 50, 100, 200];

/// How alike neighbouring blocks of errors are, for each size of which there are enough.
fn inflations(errors: &[f64]) -> Vec<Inflation> {
    let enough = |block: &u32| errors.len() >= BlockInflation::LEAST_BLOCKS * *block as usize;
    let measured = |block| {
        let BlockInflation { inflation, .. } = block_inflation(errors, block).ok()?;
        Some(Inflation { block, inflation })
    };
    BLOCKS.into_iter().filter(enough).filter_map(measured).collect()
}

/// How a quantity was distributed; `None` where that cannot be said.
fn reference((feature, values): (&Option<String>, &Vec<(usize, f64)>)) -> Option<Reference> {
    let values: &Vec<f64> = &values.iter().map(|(_, value)| *value).collect();
    let cut = |bins| {
        let bins = Bins::with_atoms(values, bins).ok()?;
        Some(Cut { edges: bins.edges().to_vec(), counts: bins.count(values).ok()? })
    };
    let Cut { edges, counts } = cut(BINS)?;
    Some(Reference {
        feature: feature.clone(),
        edges,
        counts,
        worth: effective_sample_size(values).ok()?,
        fine: cut(FINE_BINS),
    })
}

/// How often each category came.
fn category_reference(
    (feature, values): (&Option<String>, &Vec<(usize, String)>),
) -> Option<CategoryReference> {
    let values: Vec<&String> = values.iter().map(|(_, name)| name).collect();
    let mut all: BTreeMap<&str, u64> = BTreeMap::new();
    values.iter().for_each(|name| *all.entry(name).or_default() += 1);
    let mut named: Vec<(&str, u64)> = all.into_iter().filter(|(_, count)| *count >= RARE).collect();
    named.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    named.truncate(NAMED);
    // Categories have no order; whether the most frequent one comes says how much they come in runs.
    let most = named.first().map(|(name, _)| *name);
    let series: Vec<f64> =
        values.iter().map(|name| f64::from(u8::from(Some(name.as_str()) == most))).collect();
    named.sort_by(|a, b| a.0.cmp(b.0));
    let (names, mut counts): (Vec<&str>, Vec<u64>) = named.into_iter().unzip();
    counts.push(values.len() as u64 - counts.iter().sum::<u64>());
    Some(CategoryReference {
        feature: feature.clone(),
        names: names.into_iter().map(str::to_owned).collect(),
        counts,
        worth: effective_sample_size(&series).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use trimtab_stats::dependence::block_inflation;

    use super::*;

    /// Errors that come in runs of 30: blocks of five of one run are the same, so that they tell as much as one.
    #[test]
    fn errors_that_come_in_runs_are_measured_where_there_are_blocks_enough() {
        let runs = |run: usize, n: usize| -> Vec<f64> {
            // Runs are right or wrong by a number that is as good as random.
            let wrong = |i: usize| (i / run).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 62 == 0;
            (0..n).map(|i| f64::from(u8::from(wrong(i)))).collect()
        };
        let of = |errors: &[f64], block| {
            inflations(errors).into_iter().find(|known| known.block == block).map(|known| known.inflation)
        };
        let alike = of(&runs(30, 6_000), 5).expect("blocks enough");
        assert!((3.0..9.0).contains(&alike), "about six blocks a run: {alike}");
        assert_eq!(of(&runs(1, 6_000), 5).map(|kappa| kappa < 1.5), Some(true));
        assert_eq!(of(&runs(30, 249), 5), None, "49 blocks are too few");
        assert_eq!(inflations(&runs(30, 249)).last().map(|known| known.block), Some(2));
        assert_eq!(inflations(&[]), []);
        let errors = runs(30, 6_000);
        let peer = block_inflation(&errors, 20).expect("measured");
        assert_eq!(of(&errors, 20), Some(peer.inflation));
    }
}
