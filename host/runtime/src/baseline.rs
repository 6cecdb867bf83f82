//! A baseline from what is stored: reads the range, and has the core compute the numbers. Predictions are judged by the rules by
//! which the stream is judged: at their horizon where they have one, else by their first outcome.

use std::collections::BTreeMap;

use trimtab_core::{baseline::Sums, horizon::Clock};
use trimtab_log::{Reader, Record, Scope};
use trimtab_types::{
    Baseline, BaselineSource, Entry, Judging, Outcome, Position, Prediction, Resolution, Subject, Timestamp,
    When,
};

use crate::HostError;

const STEP: usize = 4_096;

/// Predictions that wait for their horizon, by when it is, with the outcome that would count.
type Waiting = BTreeMap<(Timestamp, Position), (Prediction, Option<Outcome>)>;

/// Reads the range from the log of the subject's model, and computes the baseline that it gives.
pub fn from_log(
    reader: &dyn Reader,
    subject: &Subject,
    source: BaselineSource,
    rules: &Judging,
) -> Result<Baseline, HostError> {
    let shard = subject.model_key().shard();
    let scope = Scope::Model(subject.tenant.clone(), subject.model.clone());
    let mut sums = Sums::default();
    let (mut waiting, mut clock, mut tick) = (Waiting::new(), Clock::START, Timestamp::MIN);
    let mut at = Position(0);
    'log: loop {
        let scanned = reader.scan(shard, &scope, at, Position(u64::MAX), STEP)?;
        if scanned.upto <= at {
            break;
        }
        at = scanned.upto;
        for record in scanned.records.into_iter().filter_map(Record::for_fold) {
            clock.take(&record.entry, tick);
            if let Entry::Tick(at) = &record.entry {
                tick = tick.max(*at);
            }
            while let Some(first) = waiting.first_entry().filter(|first| first.key().0 <= clock.now()) {
                let ((_, key), (prediction, outcome)) = first.remove_entry();
                if let Some(outcome) = outcome {
                    sums.add(key, &prediction, &outcome, rules);
                }
                if matches!(source, BaselineSource::First { rows: most } if sums.samples() >= most) {
                    break 'log;
                }
            }
            let (key, prediction, outcome) = match (record.entry, record.resolves) {
                (Entry::Prediction(prediction), Some(Resolution::By(outcome))) => {
                    (record.position, prediction, Some(*outcome))
                }
                (Entry::Prediction(prediction), _) => (record.position, prediction, None),
                (Entry::Outcome(outcome), Some(Resolution::Of { position, prediction, .. })) => {
                    (position, *prediction, Some(outcome))
                }
                _ => continue,
            };
            if *prediction.subject != *subject || !sums.wants(&source, &prediction) {
                continue;
            }
            let due = prediction.due().filter(|due| rules.when == When::AtHorizon && *due > clock.now());
            match (due, outcome) {
                (Some(due), outcome) => {
                    let (_, newest) = waiting.entry((due, key)).or_insert((prediction, None));
                    *newest = outcome.or(newest.take());
                }
                (None, Some(outcome)) => sums.add(key, &prediction, &outcome, rules),
                (None, None) => {}
            }
            if matches!(source, BaselineSource::First { rows: most } if sums.samples() >= most) {
                break 'log;
            }
        }
    }
    Ok(sums.baseline(subject, source)?)
}
