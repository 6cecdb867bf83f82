//! The newest values of a quantity, counted by bin of the baseline. Not how they are held against it; see `psi`, `ks` and
//! `categories`. Stretches of time are in `sketches`.

use serde::{Deserialize, Serialize};
use trimtab_types::{Finding, Prediction, Reference, Sizes};

use super::{
    difference::{Gap, Limits},
    episode::{self, At, Episode, severity_of},
};
use crate::detector::DetectorKind;

/// The newest values of a quantity, by bin of the baseline, with the open episode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distribution {
    /// A ring of bins; `next` is the oldest once it is full.
    bins: Vec<u8>,
    next: u32,
    counts: Vec<u64>,
    /// Of the newest test.
    pub(crate) p_value: Option<f64>,
    pub(crate) episode: Episode,
}

impl Distribution {
    /// Takes the bin of a value, of so many bins, and keeps the newest `window`.
    pub(super) fn push(&mut self, bin: u8, bins: usize, window: usize) {
        self.counts.resize(bins, 0);
        if self.bins.len() < window {
            self.bins.push(bin);
        } else {
            let slot = self.next as usize % window;
            let oldest = std::mem::replace(&mut self.bins[slot], bin);
            self.counts[usize::from(oldest)] -= 1;
            self.next = self.next.wrapping_add(1) % u32::try_from(window).unwrap_or(u32::MAX);
        }
        self.counts[usize::from(bin)] += 1;
    }

    /// How many values it holds.
    pub(super) fn held(&self) -> u64 {
        self.bins.len() as u64
    }

    /// How many of them fell into each bin.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// How many independent values it is worth, if it is like the baseline.
    pub(super) fn worth(&self, baseline: &[u64], worth: f64) -> f64 {
        (self.bins.len() as f64 * worth / baseline.iter().sum::<u64>() as f64).max(1.0)
    }

    /// How much is compared with a baseline of these counts.
    pub(super) fn sizes(&self, baseline: &[u64], worth: f64) -> Sizes {
        Sizes {
            baseline: baseline.iter().sum(),
            baseline_worth: worth,
            window: self.held(),
            window_worth: self.worth(baseline, worth),
        }
    }

    /// Brings the episode forward by a difference from the baseline's `total` values.
    pub(super) fn conclude(
        &mut self,
        gap: Gap,
        (limits, sizes): (&Limits, Sizes),
        (kind, quantity): (DetectorKind, impl FnOnce() -> String),
        at: At<'_>,
    ) -> Vec<Finding> {
        self.p_value = Some(gap.p_value);
        let words = || {
            let Sizes { baseline, baseline_worth, window, window_worth } = sizes;
            format!(
                "the newest {window} predictions (worth {window_worth:.0}) against {baseline} of the baseline (worth {baseline_worth:.0})"
            )
        };
        match limits.judge(severity_of(&self.episode), gap, sizes, words) {
            Some(change) => episode::advance(&mut self.episode, (kind.name(), &quantity()), change, at),
            None => Vec::new(),
        }
    }
}

/// Takes the score and the numeric features of a prediction. Both sides are sorted by name, the score first.
pub(super) fn take_numbers(
    references: &[Reference],
    prediction: &Prediction,
    window: usize,
    known: &mut [Distribution],
    edges: impl Fn(&Reference) -> &[f64],
) {
    let mut values = prediction.quantities().peekable();
    for (reference, known) in references.iter().zip(known) {
        let name = reference.feature.as_deref();
        while values.next_if(|(other, _)| *other < name).is_some() {}
        if let Some((_, value)) = values.next_if(|(other, _)| *other == name) {
            let edges = edges(reference);
            // A baseline has at most 256 bins.
            let bin = u8::try_from(edges.partition_point(|edge| *edge <= value)).ok();
            if let Some(bin) = bin.filter(|_| value.is_finite()) {
                known.push(bin, edges.len() + 1, window);
            }
        }
    }
}
