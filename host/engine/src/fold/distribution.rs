//! How score and features are distributed now, against the baseline: windows of the newest predictions, tested every so
//! often by index (PSI), distance (Kolmogorov–Smirnov) or shares of categories. The statistics are in `trimtab-stats`;
//! stretches of time are held against each other in `timelines`.

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    ChiSquare, EmptyBins, ShareDistance, StatsError, WindowedTest,
    ks::{ks_binned, ks_p_value_effective},
    psi::{psi, psi_p_value},
    special::chi_square_sf,
};
use trimtab_types::{Baseline, CategoryReference, Finding, Prediction, Reference, Severity};

use super::{
    episode::{self, Change, Episode, Evidence, Moment, severity_of},
    health::Look,
    state::SubjectState,
};
use crate::{
    baseline::{categories, quantities},
    config::{CategoryDistance, CategorySettings, Detectors, KsSettings, PsiSettings, Span},
    detector::DetectorKind,
};

/// An episode is over when its difference is this probable without drift …
pub(super) const RECOVERED: f64 = 0.05;
/// … or below this share of `medium`.
const HYSTERESIS: f64 = 0.5;

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
    fn push(&mut self, bin: u8, bins: usize, window: usize) {
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
}

/// A difference between now and before, and how probable one as large is without drift.
#[derive(Debug, Clone, Copy)]
pub(super) struct Difference {
    pub(super) statistic: f64,
    pub(super) p_value: f64,
}

/// What a difference must be to count.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) medium: f64,
    pub(super) high: f64,
    /// Above it; medium and high are reached.
    pub(super) critical: f64,
    /// For one quantity.
    pub(super) alpha: f64,
}

impl Limits {
    pub(super) fn of_psi(settings: &PsiSettings, quantities: usize) -> Self {
        let PsiSettings { medium, high, critical, .. } = *settings;
        Self { medium, high, critical, alpha: settings.alpha / quantities as f64 }
    }

    pub(super) fn of_ks(settings: &KsSettings, quantities: usize) -> Self {
        let KsSettings { medium, high, .. } = *settings;
        Self { medium, high, critical: f64::INFINITY, alpha: settings.alpha / quantities as f64 }
    }

    fn of_categories(settings: &CategorySettings, quantities: usize) -> Self {
        let CategorySettings { medium, high, .. } = *settings;
        Self { medium, high, critical: f64::INFINITY, alpha: settings.alpha / quantities as f64 }
    }

    /// How grave a difference is, and whether it is over.
    fn weigh(&self, Difference { statistic, p_value }: Difference) -> (Option<Severity>, bool) {
        let level = if statistic > self.critical {
            Some(Severity::Critical)
        } else if statistic >= self.high {
            Some(Severity::High)
        } else if statistic >= self.medium {
            Some(Severity::Medium)
        } else {
            None
        };
        let recovered = p_value > RECOVERED || statistic < self.medium * HYSTERESIS;
        (level.filter(|_| p_value < self.alpha), recovered)
    }

    fn evidence(&self, Difference { statistic, p_value }: Difference, window: String) -> Evidence {
        Evidence {
            statistic,
            threshold: self.medium,
            p_value: Some(p_value),
            significant: p_value < self.alpha,
            window,
            ..Evidence::default()
        }
    }

    /// What a difference does to an episode.
    fn judge(
        &self,
        open: Option<Severity>,
        found: Difference,
        window: impl FnOnce() -> String,
    ) -> Option<Change> {
        let (level, recovered) = self.weigh(found);
        episode::change(open, level, recovered, || self.evidence(found, window()))
    }

    /// What was found of a quantity.
    pub(super) fn look(
        &self,
        kind: DetectorKind,
        quantity: String,
        found: Difference,
        window: String,
    ) -> Look {
        let (level, recovered) = self.weigh(found);
        Look { kind, quantity: quantity.into(), level, recovered, evidence: self.evidence(found, window) }
    }
}

/// What watches the newest predictions, against which part of the baseline.
enum Watch<'a> {
    Psi(&'a PsiSettings, &'a [Reference]),
    Ks(&'a KsSettings, &'a [Reference]),
    Categories(&'a CategorySettings, &'a [CategoryReference]),
}

impl<'a> Watch<'a> {
    /// Those that are switched on and look at a number of predictions.
    fn all(settings: &'a Detectors, baseline: &'a Baseline) -> impl Iterator<Item = (Self, usize)> {
        let rows = |enabled: bool, window: Span| match window {
            Span::Rows(rows) if enabled => Some(rows as usize),
            _ => None,
        };
        let Detectors { psi, ks, categories, .. } = settings;
        let psi = rows(psi.enabled, psi.window).map(|rows| (Self::Psi(psi, &baseline.distributions), rows));
        let ks = rows(ks.enabled, ks.window).map(|rows| (Self::Ks(ks, &baseline.distributions), rows));
        let categories = rows(categories.enabled, Span::Rows(categories.window))
            .map(|rows| (Self::Categories(categories, &baseline.categories), rows));
        psi.into_iter().chain(ks).chain(categories)
    }

    fn kind(&self) -> DetectorKind {
        match self {
            Self::Psi(..) => DetectorKind::Psi,
            Self::Ks(..) => DetectorKind::Ks,
            Self::Categories(..) => DetectorKind::Categories,
        }
    }

    fn quantities(&self) -> usize {
        match self {
            Self::Psi(_, references) | Self::Ks(_, references) => references.len(),
            Self::Categories(_, references) => references.len(),
        }
    }

    fn quantity(&self, index: usize) -> String {
        match self {
            Self::Psi(_, references) | Self::Ks(_, references) => references[index].quantity(),
            Self::Categories(_, references) => references[index].quantity(),
        }
    }

    fn every(&self) -> u64 {
        u64::from(match self {
            Self::Psi(settings, _) => settings.every,
            Self::Ks(settings, _) => settings.every,
            Self::Categories(settings, _) => settings.every,
        })
    }

    /// Fewest values now and in the baseline that are tested; PSI wants its window full.
    fn minimum(&self, window: usize) -> (u64, u64) {
        let both = |minimum: u32| (minimum.into(), minimum.into());
        match self {
            Self::Psi(..) => (window as u64, 1),
            Self::Ks(settings, _) => both(settings.minimum),
            Self::Categories(settings, _) => both(settings.minimum),
        }
    }

    /// Takes what a prediction says of each quantity. Both sides are sorted by name, the score or class first.
    fn take(&self, prediction: &Prediction, window: usize, known: &mut [Distribution]) {
        match self {
            Self::Psi(_, references) => {
                take_numbers(references, prediction, window, known, |reference| &reference.edges);
            }
            Self::Ks(_, references) => {
                take_numbers(references, prediction, window, known, |reference| reference.finest().0);
            }
            Self::Categories(_, references) => {
                let mut values = categories(prediction).peekable();
                for (reference, known) in references.iter().zip(known) {
                    let name = reference.feature.as_deref();
                    while values.next_if(|(other, _)| *other < name).is_some() {}
                    if let Some((_, value)) = values.next_if(|(other, _)| *other == name) {
                        let names = &reference.names;
                        let place = names.binary_search_by(|known| known.as_str().cmp(value.as_ref()));
                        let bin = place.unwrap_or(names.len());
                        // A baseline has at most 251 of them.
                        known.push(u8::try_from(bin).unwrap_or(u8::MAX), reference.counts.len(), window);
                    }
                }
            }
        }
    }

    /// How far a quantity is from the baseline. Values are taken to be as dependent on each other as the baseline's.
    fn test(&self, index: usize, known: &Distribution) -> Result<Difference, StatsError> {
        match self {
            Self::Psi(_, references) => {
                let reference = &references[index];
                let statistic = psi(&reference.counts, &known.counts, EmptyBins::HalfCount)?;
                let worth = worth(&reference.counts, reference.worth, known.bins.len());
                let p_value = psi_p_value(statistic, reference.counts.len(), reference.worth, worth);
                Ok(Difference { statistic, p_value })
            }
            Self::Ks(_, references) => {
                let reference = &references[index];
                let (_, counts) = reference.finest();
                let statistic = ks_binned(counts, &known.counts)?;
                let worth = worth(counts, reference.worth, known.bins.len());
                Ok(Difference { statistic, p_value: ks_p_value_effective(statistic, reference.worth, worth) })
            }
            Self::Categories(settings, references) => {
                let CategoryReference { counts, worth, .. } = &references[index];
                let distance = match settings.distance {
                    CategoryDistance::JensenShannon => ShareDistance::JensenShannon,
                    CategoryDistance::TotalVariation => ShareDistance::TotalVariation,
                };
                let statistic = distance.compare(counts, &known.counts)?.statistic;
                // Chi-square is proportional to the sizes, so that of effective sizes is its share.
                let share = worth / counts.iter().sum::<u64>() as f64;
                let chi_square = share * ChiSquare.compare(counts, &known.counts)?.statistic;
                let there = counts.iter().zip(&known.counts).filter(|(b, c)| **b + **c > 0).count();
                let p_value = if there < 2 { 1.0 } else { chi_square_sf(chi_square, (there - 1) as f64) };
                Ok(Difference { statistic, p_value })
            }
        }
    }

    fn limits(&self) -> Limits {
        let quantities = self.quantities();
        match self {
            Self::Psi(settings, _) => Limits::of_psi(settings, quantities),
            Self::Ks(settings, _) => Limits::of_ks(settings, quantities),
            Self::Categories(settings, _) => Limits::of_categories(settings, quantities),
        }
    }

    fn baseline_count(&self, index: usize) -> u64 {
        match self {
            Self::Psi(_, references) | Self::Ks(_, references) => references[index].counts.iter().sum(),
            Self::Categories(_, references) => references[index].counts.iter().sum(),
        }
    }
}

/// How many independent values a window is worth, if it is like the baseline.
fn worth(baseline: &[u64], worth: f64, window: usize) -> f64 {
    (window as f64 * worth / baseline.iter().sum::<u64>() as f64).max(1.0)
}

fn take_numbers(
    references: &[Reference],
    prediction: &Prediction,
    window: usize,
    known: &mut [Distribution],
    edges: impl Fn(&Reference) -> &[f64],
) {
    let mut values = quantities(prediction).peekable();
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

impl SubjectState {
    /// Takes the score and the features of a prediction. Returns the changes of episodes.
    pub(crate) fn distribute(
        &mut self,
        settings: &Detectors,
        prediction: &Prediction,
        moment: Moment<'_>,
    ) -> Vec<Finding> {
        let Some(baseline) = self.baseline.clone() else { return Vec::new() };
        let mut found = Vec::new();
        for (watch, window) in Watch::all(settings, &baseline) {
            let distributions = self.distributions.entry(watch.kind()).or_default();
            distributions.resize_with(watch.quantities(), Distribution::default);
            watch.take(prediction, window, distributions);
            if !self.predictions.is_multiple_of(watch.every()) {
                continue;
            }
            let (limits, minimum) = (watch.limits(), watch.minimum(window));
            for (index, known) in distributions.iter_mut().enumerate() {
                let (held, total) = (known.bins.len(), watch.baseline_count(index));
                if (held as u64) < minimum.0 || total < minimum.1 {
                    continue;
                }
                let Ok(difference) = watch.test(index, known) else { continue };
                known.p_value = Some(difference.p_value);
                let words = || format!("the newest {held} predictions against {total} of the baseline");
                if let Some(change) = limits.judge(severity_of(&known.episode), difference, words) {
                    let quantity = watch.quantity(index);
                    let named = (watch.kind().name(), quantity.as_str());
                    found.extend(episode::advance(&mut known.episode, named, change, moment));
                }
            }
        }
        found
    }
}
