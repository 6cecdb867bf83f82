//! What was predicted and what was, of the newest judged predictions: what somebody without any skill would have reached on
//! the same rows. The formulas are in `trimtab-stats`.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    Window,
    chance::{AgainstConstant, Agreement},
};
use trimtab_types::{Actual, ErrorScale, Judged, Outcome, Position, Predicted, Prediction};

/// The newest pairs by the position of their prediction, oldest first; as many as there are of right and wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pairs(VecDeque<(Position, Both)>);

/// A judged prediction of the newest.
#[derive(Debug, Clone, Copy)]
pub(super) struct JudgedPair {
    pub(super) position: Position,
    pub(super) right: bool,
    /// The class that was predicted, and the true one, if it has any.
    pub(super) classes: Option<(u32, u32)>,
}

/// Predicted and actual.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Both {
    Classes(u32, u32),
    Numbers(f64, f64),
}

impl Both {
    fn of(prediction: &Prediction, outcome: &Outcome, judged: Judged) -> Option<Self> {
        match (judged.classes, prediction.predicted, outcome.actual) {
            (Some((predicted, actual)), ..) => Some(Self::Classes(predicted, actual)),
            (None, Predicted::Regression(predicted), Some(Actual::Value(actual))) => {
                Some(Self::Numbers(predicted, actual))
            }
            _ => None,
        }
    }
}

impl Pairs {
    /// Takes a judged prediction.
    pub(super) fn push(&mut self, at: Position, prediction: &Prediction, outcome: &Outcome, judged: Judged) {
        let Some(both) = Both::of(prediction, outcome, judged) else { return };
        if self.0.len() == Window::DEFAULT_CAPACITY as usize {
            self.0.pop_front();
        }
        self.0.push_back((at, both));
    }

    /// An outcome was corrected.
    pub(super) fn amend(&mut self, at: Position, prediction: &Prediction, outcome: &Outcome, judged: Judged) {
        let Some(both) = Both::of(prediction, outcome, judged) else { return };
        if let Some(known) = self.0.iter_mut().find(|known| known.0 == at) {
            known.1 = both;
        }
    }

    fn newest(&self, last: usize) -> impl Iterator<Item = Both> {
        self.0.range(self.0.len().saturating_sub(last)..).map(|(_, both)| *both)
    }

    /// All that are held; numbers by this scale, and not at all without one.
    pub(super) fn judged_by(&self, scale: Option<ErrorScale>) -> Vec<JudgedPair> {
        let of = |(position, both): &(Position, Both)| {
            let (right, classes) = match (*both, scale) {
                (Both::Classes(predicted, actual), _) => (predicted == actual, Some((predicted, actual))),
                (Both::Numbers(predicted, actual), Some(scale)) => {
                    ((predicted - actual).abs() <= scale.usual, None)
                }
                (Both::Numbers(..), None) => return None,
            };
            Some(JudgedPair { position: *position, right, classes })
        };
        self.0.iter().filter_map(of).collect()
    }

    /// How many are held.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What chance would have got right of the newest `last`; `None` of fewer than 30, of one class, or of numbers.
    pub(crate) fn chance(&self, last: usize) -> Option<f64> {
        let classes: Vec<(u32, u32)> = self
            .newest(last)
            .filter_map(|both| match both {
                Both::Classes(predicted, actual) => Some((predicted, actual)),
                Both::Numbers(..) => None,
            })
            .collect();
        Some(Agreement::of_pairs(&classes)?.chance)
    }

    /// Whether always saying `constant` would have been closer to the newest `last`; `None` of fewer than 30.
    fn is_worse_than(&self, constant: f64, last: usize) -> Option<bool> {
        let (predicted, actual): (Vec<f64>, Vec<f64>) = self
            .newest(last)
            .filter_map(|both| match both {
                Both::Numbers(predicted, actual) => Some((predicted, actual)),
                Both::Classes(..) => None,
            })
            .unzip();
        Some(AgainstConstant::of(&predicted, &actual, constant).ok()??.is_below())
    }
}

/// What needs no model: as the operator or the baseline says, or as the newest rows themselves do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance<'a> {
    /// Its accuracy, where somebody says it.
    pub(super) said: Option<f64>,
    /// Median of the baseline's outcomes, for numbers.
    pub(super) median: Option<f64>,
    pub(super) pairs: &'a Pairs,
}

impl Chance<'_> {
    /// Its accuracy on the newest `last`.
    pub(super) fn accuracy(&self, last: u32) -> Option<f64> {
        self.said.or_else(|| self.pairs.chance(last as usize))
    }

    /// What the newest `last` are worse than, for whoever asks why that is critical.
    pub(super) fn in_words(&self, last: u32) -> String {
        match self.accuracy(last) {
            Some(chance) => format!("below chance, which gets {:.1} % right", 100.0 * chance),
            None => "further off than the median of the baseline's outcomes".to_owned(),
        }
    }

    /// Whether the newest `last`, of which so many were right, are worse.
    pub(super) fn is_above(&self, right: &Window, last: u32) -> bool {
        let by_median = || self.pairs.is_worse_than(self.median?, last as usize);
        match (self.accuracy(last), right.newest(last as usize).share()) {
            (Some(chance), Some(share)) => share < chance,
            _ => by_median().unwrap_or(false),
        }
    }
}
