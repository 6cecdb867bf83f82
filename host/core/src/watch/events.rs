//! The newest events that precision, recall and F1 are made of, so that a rare class is looked at over as many events as a frequent
//! one: recall over the newest positives, precision over the newest that were called positive. Nothing else is kept of a row.

use serde::{Deserialize, Serialize};
use trimtab_stats::Window;
use trimtab_types::{Estimate, Position};

use crate::{
    measure::{f1, share_of},
    metric::Metric,
};

/// Right or not, by the position of the prediction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Events(Option<Kept>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Of the positives, whether they were found.
    positives: Window,
    /// Of those that were called positive, whether they were.
    called: Window,
    /// Of those that were either, whether they were both.
    either: Window,
}

impl Events {
    /// Takes a judged prediction, and keeps the newest `most` events of each metric.
    pub(super) fn push(&mut self, at: Position, (predicted, actual): (bool, bool), most: u32) {
        let kept = match &mut self.0 {
            Some(kept) => kept,
            None => {
                let Ok(window) = Window::new(most) else { return };
                let (positives, called) = (window.clone(), window.clone());
                self.0.insert(Kept { positives, called, either: window })
            }
        };
        if actual {
            kept.positives.push(at.0, predicted);
        }
        if predicted {
            kept.called.push(at.0, actual);
        }
        if predicted || actual {
            kept.either.push(at.0, predicted && actual);
        }
    }

    /// An outcome was corrected: events that still are events follow.
    pub(super) fn amend(&mut self, at: Position, (predicted, actual): (bool, bool)) {
        let Some(kept) = &mut self.0 else { return };
        kept.positives.amend(at.0, predicted && actual);
        kept.called.amend(at.0, actual);
        kept.either.amend(at.0, predicted && actual);
    }

    /// Precision, recall or F1 of the newest `last` events; `None`: another metric, or no event yet.
    pub(super) fn of(&self, metric: Metric, last: usize) -> Option<Estimate> {
        let kept = self.0.as_ref()?;
        match metric {
            Metric::Recall => share_of(&kept.positives, last),
            Metric::Precision => share_of(&kept.called, last),
            Metric::F1 => {
                let counts = kept.either.newest(last);
                f1(counts.successes, counts.n)
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_over_the_newest_of_its_own_events() {
        let mut events = Events::default();
        assert_eq!(events.of(Metric::Recall, 3), None);
        // One found, one missed, one false alarm, and thousands that are neither.
        let rows = [(true, true), (false, true), (true, false)];
        for (at, row) in (1..).zip(rows.into_iter().chain(std::iter::repeat_n((false, false), 5_000))) {
            events.push(Position(at), row, 3);
        }
        let of = |events: &Events, metric| {
            let found = events.of(metric, 3).expect("events");
            (found.value, found.samples)
        };
        assert_eq!(of(&events, Metric::Recall), (0.5, 2));
        assert_eq!(of(&events, Metric::Precision), (0.5, 2));
        // 2 TP / (2 TP + FP + FN) is 2 / 4.
        assert_eq!(of(&events, Metric::F1), (0.5, 3));
        assert_eq!(events.of(Metric::Accuracy, 3), None);
        // What was found was no positive after all.
        events.amend(Position(1), (true, false));
        assert_eq!(of(&events, Metric::Precision), (0.0, 2));
    }
}
