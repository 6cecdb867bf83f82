//! A baseline from what is stored: the numbers over a range of a subject's resolved predictions.

use std::collections::BTreeMap;

use trimtab_stats::Bins;
use trimtab_store::{Reader, Resolution};
use trimtab_types::{
    Baseline, BaselineSource, Entry, Feature, Invalid, Judged, Judging, Outcome, Position, Predicted,
    Prediction, Reference, Subject, judge,
};

use crate::HostError;

const STEP: usize = 4_096;

/// Reads the range from the log, up to `until`, and computes the baseline that it gives.
///
/// Corrections are heeded: what counts is the newest outcome of each prediction.
pub fn from_log(
    reader: &dyn Reader,
    subject: &Subject,
    source: BaselineSource,
    rules: &Judging,
    until: Position,
) -> Result<Baseline, HostError> {
    let mut rows = Rows::default();
    let mut at = Position(0);
    'log: while at < until {
        let records = reader.scan(at, STEP)?;
        let Some(last) = records.last().map(|record| record.position) else { break };
        for record in records.into_iter().take_while(|record| record.position <= until) {
            let (key, prediction, outcome) = match (&record.entry, &record.resolves) {
                (Entry::Prediction(prediction), Some(Resolution::By(outcome))) => {
                    (record.position, prediction, outcome.as_ref())
                }
                (Entry::Outcome(outcome), Some(Resolution::Of { position, prediction, .. })) => {
                    (*position, prediction.as_ref(), outcome)
                }
                _ => continue,
            };
            if *prediction.subject == *subject && rows.wants(&source, prediction) {
                rows.add(key, prediction, outcome, rules);
            }
            if matches!(source, BaselineSource::First { rows: most } if rows.order.len() as u64 >= most) {
                break 'log;
            }
        }
        at = last;
    }
    rows.baseline(subject, source)
}

#[derive(Default)]
struct Rows {
    /// Keys in the order in which they were resolved.
    order: Vec<Position>,
    judged: BTreeMap<Position, Judged>,
    /// Scores (under `None`) and features.
    values: BTreeMap<Option<String>, Vec<f64>>,
}

impl Rows {
    fn wants(&self, source: &BaselineSource, prediction: &Prediction) -> bool {
        match source {
            BaselineSource::Given => false,
            BaselineSource::First { .. } => true,
            BaselineSource::Range { from, until } => (*from..*until).contains(&prediction.time),
        }
    }

    fn add(&mut self, key: Position, prediction: &Prediction, outcome: &Outcome, rules: &Judging) {
        let judged = judge(prediction, outcome, rules);
        if judged.right.is_some() && self.judged.insert(key, judged).is_none() {
            self.order.push(key);
            for (feature, value) in quantities(prediction) {
                match self.values.get_mut(&feature.map(str::to_owned)) {
                    Some(values) => values.push(value),
                    None => {
                        self.values.insert(feature.map(str::to_owned), vec![value]);
                    }
                }
            }
        }
    }

    fn baseline(&self, subject: &Subject, source: BaselineSource) -> Result<Baseline, HostError> {
        let samples = self.order.len() as u64;
        if samples == 0 {
            return Err(Invalid::new(
                "baseline",
                format!("there is no resolved prediction of {subject} in that range"),
            )
            .into());
        }
        if let BaselineSource::First { rows } = source
            && samples < rows
        {
            let problem = format!("{subject} has {samples} resolved predictions, not {rows}");
            return Err(Invalid::new("baseline", problem).into());
        }
        let errors: Vec<f64> = self
            .order
            .iter()
            .filter_map(|key| self.judged.get(key))
            .filter_map(|judged| judged.error)
            .collect();
        let count = |predicted: bool, actual: bool| {
            self.judged.values().filter(|judged| judged.positive == Some((predicted, actual))).count() as f64
        };
        let (tp, fp, negatives) = (count(true, true), count(true, false), count(false, true));
        let share = |part: f64, whole: f64| (whole > 0.0).then(|| part / whole);
        let precision = share(tp, tp + fp);
        let recall = share(tp, tp + negatives);
        let f1 = share(2.0 * tp, 2.0 * tp + fp + negatives);
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
        })
    }
}

/// Bins that a baseline is cut into: deciles, as is usual for PSI.
const BINS: u32 = 10;

/// How a quantity was distributed; `None` where that cannot be said.
fn reference((feature, values): (&Option<String>, &Vec<f64>)) -> Option<Reference> {
    let bins = Bins::quantiles(values, BINS).ok()?;
    Some(Reference {
        feature: feature.clone(),
        edges: bins.edges().to_vec(),
        counts: bins.count(values).ok()?,
        worth: trimtab_stats::dependence::effective_sample_size(values).ok()?,
    })
}

/// The numbers whose distribution is watched: the score, under `None`, and then the features by name.
pub(crate) fn quantities(prediction: &Prediction) -> impl Iterator<Item = (Option<&str>, f64)> {
    let score = match prediction.predicted {
        Predicted::Binary(score) | Predicted::Regression(score) => Some(score),
        Predicted::Direction(direction) => Some(f64::from(direction)),
        Predicted::Multiclass(_) => None,
    };
    let features =
        prediction.features.names.iter().zip(&prediction.features.values).filter_map(|(name, value)| {
            match value {
                Feature::Number(number) => Some((Some(name.as_str()), *number)),
                Feature::Category(_) => None,
            }
        });
    score.map(|score| (None, score)).into_iter().chain(features)
}
