//! How score and features are distributed now, against the baseline: the population stability index of a window of the
//! newest predictions, tested every so often. The index itself is in `trimtab-stats`.

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    EmptyBins,
    psi::{psi, psi_p_value},
};
use trimtab_types::{Baseline, Finding, Prediction, Reference, Severity};

use super::{
    detect::DetectorKind,
    episode::{self, Change, Episode, Evidence, Moment},
    state::SubjectState,
};
use crate::{baseline::quantities, config::PsiSettings};

/// An episode is over when its index is this probable without drift …
const RECOVERED: f64 = 0.05;
/// … or below this share of `medium`.
const HYSTERESIS: f64 = 0.5;

/// The newest values of a quantity, by bin of the baseline, with the open episode.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Distribution {
    /// A ring of bins; `next` is the oldest once it is full.
    bins: Vec<u8>,
    next: u32,
    counts: Vec<u64>,
    pub(crate) episode: Episode,
}

impl Distribution {
    fn push(&mut self, reference: &Reference, window: usize, value: f64) {
        let Some(bin) = bin(reference, value) else { return };
        self.counts.resize(reference.counts.len(), 0);
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

    fn test(&self, reference: &Reference, settings: &PsiSettings, quantities: usize) -> Option<Change> {
        let total: u64 = reference.counts.iter().sum();
        let index = psi(&reference.counts, &self.counts, EmptyBins::HalfCount).ok()?;
        let worth = self.bins.len() as f64 * reference.worth / total as f64;
        let p_value = psi_p_value(index, reference.counts.len(), reference.worth, worth.max(1.0));
        let significant = p_value < settings.alpha / quantities as f64;
        let level = if index > settings.critical {
            Some(Severity::Critical)
        } else if index >= settings.high {
            Some(Severity::High)
        } else if index >= settings.medium {
            Some(Severity::Medium)
        } else {
            None
        };
        let evidence = || Evidence {
            statistic: index,
            threshold: settings.medium,
            p_value: Some(p_value),
            significant,
            window: format!("the newest {} predictions against {total} of the baseline", self.bins.len()),
            ..Evidence::default()
        };
        match (&self.episode, level.filter(|_| significant)) {
            (None, Some(level)) => Some(Change::Open(level, evidence())),
            (Some(open), Some(level)) if level > open.severity => Some(Change::Raise(level, evidence())),
            (Some(_), _) if p_value > RECOVERED || index < settings.medium * HYSTERESIS => {
                Some(Change::Close(evidence()))
            }
            _ => None,
        }
    }
}

/// The bin of a value; a baseline has at most 256 of them.
fn bin(reference: &Reference, value: f64) -> Option<u8> {
    u8::try_from(reference.edges.partition_point(|edge| *edge <= value)).ok().filter(|_| value.is_finite())
}

impl SubjectState {
    /// Takes the score and the features of a prediction. Returns the changes of episodes.
    pub(crate) fn distribute(
        &mut self,
        settings: &PsiSettings,
        prediction: &Prediction,
        moment: Moment<'_>,
    ) -> Vec<Finding> {
        let Some(Baseline { distributions: references, .. }) =
            self.baseline.as_ref().filter(|_| settings.enabled)
        else {
            return Vec::new();
        };
        self.distributions.resize_with(references.len(), Distribution::default);
        let window = settings.window as usize;
        // Both are sorted by name, the score first.
        let mut values = quantities(prediction).peekable();
        for (reference, distribution) in references.iter().zip(&mut self.distributions) {
            let name = reference.feature.as_deref();
            while values.next_if(|(other, _)| *other < name).is_some() {}
            if let Some((_, value)) = values.next_if(|(other, _)| *other == name) {
                distribution.push(reference, window, value);
            }
        }
        if !self.predictions.is_multiple_of(u64::from(settings.every)) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (reference, distribution) in references.iter().zip(&mut self.distributions) {
            if distribution.bins.len() < window {
                continue;
            }
            if let Some(change) = distribution.test(reference, settings, references.len()) {
                let quantity = reference.quantity();
                let named = (DetectorKind::Psi.name(), quantity.as_str());
                found.extend(episode::advance(&mut distribution.episode, named, change, moment));
            }
        }
        self.note(&found);
        found
    }
}
