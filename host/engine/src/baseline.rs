//! A baseline from what is stored: the numbers over a range of a subject's resolved predictions.

use trimtab_store::{Reader, Resolution};
use trimtab_types::{
    Baseline, BaselineSource, Entry, Invalid, Judged, Judging, Outcome, Position, Prediction, Subject, judge,
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
    let mut rows = Rows { order: Vec::new(), judged: std::collections::BTreeMap::new() };
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

struct Rows {
    /// Keys in the order in which they were resolved.
    order: Vec<Position>,
    judged: std::collections::BTreeMap<Position, Judged>,
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
        })
    }
}
