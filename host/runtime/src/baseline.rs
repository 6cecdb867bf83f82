//! A baseline from what is stored: reads the range, and has the core compute the numbers.

use trimtab_core::baseline::Sums;
use trimtab_log::{Reader, Record, Scope};
use trimtab_types::{Baseline, BaselineSource, Entry, Judging, Position, Resolution, Subject};

use crate::HostError;

const STEP: usize = 4_096;

/// Reads the range from the log of the subject's model, and computes the baseline that it gives.
///
/// Corrections are heeded: what counts is the newest outcome of each prediction.
pub fn from_log(
    reader: &dyn Reader,
    subject: &Subject,
    source: BaselineSource,
    rules: &Judging,
) -> Result<Baseline, HostError> {
    let shard = subject.model_key().shard();
    let scope = Scope::Model(subject.tenant.clone(), subject.model.clone());
    let mut sums = Sums::default();
    let mut at = Position(0);
    'log: loop {
        let scanned = reader.scan(shard, &scope, at, Position(u64::MAX), STEP)?;
        if scanned.upto <= at {
            break;
        }
        at = scanned.upto;
        for record in scanned.records.into_iter().filter_map(Record::for_fold) {
            let (key, prediction, outcome) = match (&record.entry, &record.resolves) {
                (Entry::Prediction(prediction), Some(Resolution::By(outcome))) => {
                    (record.position, prediction, outcome.as_ref())
                }
                (Entry::Outcome(outcome), Some(Resolution::Of { position, prediction, .. })) => {
                    (*position, prediction.as_ref(), outcome)
                }
                _ => continue,
            };
            if *prediction.subject == *subject && sums.wants(&source, prediction) {
                sums.add(key, prediction, outcome, rules);
            }
            if matches!(source, BaselineSource::First { rows: most } if sums.samples() >= most) {
                break 'log;
            }
        }
    }
    Ok(sums.baseline(subject, source)?)
}
