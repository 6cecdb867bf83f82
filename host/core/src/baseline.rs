//! A baseline from resolved predictions: the numbers over a range of them.

use std::collections::BTreeMap;

use trimtab_stats::Bins;
use trimtab_types::{
    Baseline, BaselineSource, CategoryReference, Cut, Invalid, Judged, Judging, Outcome, Position,
    Prediction, Reference, Subject, judge,
};

use crate::{config::MetricSettings, judged::JudgedRow, measure, metric::Metric};

/// Sums over a subject's resolved predictions.
#[derive(Default)]
pub struct Sums {
    /// Keys in the order in which they were resolved.
    order: Vec<Position>,
    judged: BTreeMap<Position, (Judged, JudgedRow)>,
    /// Scores (under `None`) and features.
    values: BTreeMap<Option<String>, Vec<f64>>,
    /// Predicted classes (under `None`) and categorical features.
    categories: BTreeMap<Option<String>, Vec<String>>,
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

    /// Adds a prediction that met its outcome; the newest outcome counts.
    pub fn add(&mut self, key: Position, prediction: &Prediction, outcome: &Outcome, rules: &Judging) {
        let judged = judge(prediction, outcome, rules);
        let row = JudgedRow::of(key, prediction, outcome, judged);
        if judged.right.is_some() && self.judged.insert(key, (judged, row)).is_none() {
            self.order.push(key);
            prediction.quantities().for_each(|(feature, value)| push(&mut self.values, feature, value));
            prediction
                .categories()
                .for_each(|(feature, name)| push(&mut self.categories, feature, name.into_owned()));
        }
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
        let known = self.order.iter().filter_map(|key| self.judged.get(key));
        let (judged, rows): (Vec<&Judged>, Vec<&JudgedRow>) =
            known.map(|(judged, row)| (judged, row)).unzip();
        let errors: Vec<f64> = judged.iter().filter_map(|judged| judged.error).collect();
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
        Ok(Baseline {
            subject: subject.clone(),
            source,
            provisional: false,
            samples,
            effective_samples: trimtab_stats::dependence::effective_sample_size(&errors).ok(),
            accuracy: 1.0 - errors.iter().sum::<f64>() / errors.len() as f64,
            precision,
            recall,
            f1,
            chance: None,
            distributions: self.values.iter().filter_map(reference).collect(),
            categories: self.categories.iter().filter_map(category_reference).collect(),
            metrics,
        })
    }
}

fn push<T>(values: &mut BTreeMap<Option<String>, Vec<T>>, feature: Option<&str>, value: T) {
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

/// How a quantity was distributed; `None` where that cannot be said.
fn reference((feature, values): (&Option<String>, &Vec<f64>)) -> Option<Reference> {
    let cut = |bins| {
        let bins = Bins::quantiles(values, bins).ok()?;
        Some(Cut { edges: bins.edges().to_vec(), counts: bins.count(values).ok()? })
    };
    let Cut { edges, counts } = cut(BINS)?;
    Some(Reference {
        feature: feature.clone(),
        edges,
        counts,
        worth: trimtab_stats::dependence::effective_sample_size(values).ok()?,
        fine: cut(FINE_BINS),
    })
}

/// How often each category came.
fn category_reference((feature, values): (&Option<String>, &Vec<String>)) -> Option<CategoryReference> {
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
        worth: trimtab_stats::dependence::effective_sample_size(&series).ok()?,
    })
}
