//! A baseline from what is stored: reads the range, and has the core compute the numbers.

use trimtab_core::baseline::Sums;
use trimtab_log::Reader;
use trimtab_types::{Baseline, BaselineSource, Entry, Judging, Position, Resolution, Subject};

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
    let mut sums = Sums::default();
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
            if *prediction.subject == *subject && sums.wants(&source, prediction) {
                sums.add(key, prediction, outcome, rules);
            }
            if matches!(source, BaselineSource::First { rows: most } if sums.samples() >= most) {
                break 'log;
            }
        }
        at = last;
    }
    Ok(sums.baseline(subject, source)?)
}
