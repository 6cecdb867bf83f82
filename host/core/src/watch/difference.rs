//! How far two distributions are apart, and what that does to an episode. Not how it is measured; see `psi`, `ks`,
//! `categories` and `sketches`.

use trimtab_types::{Severity, Sizes};

use super::{
    episode::{self, Change, Evidence},
    look::{HYSTERESIS, Look},
};
use crate::detector::DetectorKind;

/// An episode is over when its difference is this probable without drift, or below a share of `medium`.
pub(super) const RECOVERED: f64 = 0.05;

/// A baseline that is worth fewer independent values says too little of its own worth, and shows differences that are none …
const LEAST_BASELINE: f64 = 50.0;
/// … and a window that is worth fewer cannot show any that is there.
const LEAST_WINDOW: f64 = 10.0;

/// Whether a comparison of samples that are worth so much can tell anything.
pub(super) fn can_tell(sizes: &Sizes) -> bool {
    sizes.baseline_worth >= LEAST_BASELINE && sizes.window_worth >= LEAST_WINDOW
}

/// A difference between now and before, and how probable one as large is without drift.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap {
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
    /// What is more than medium must be improbable at this share of it: a distance that is no size-aware index is large by
    /// chance alone where few independent values are compared.
    pub(super) grave: f64,
}

impl Limits {
    /// How grave a difference is, and whether it is over.
    fn weigh(&self, Gap { statistic, p_value }: Gap) -> (Option<Severity>, bool) {
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
        let is_sure = p_value < self.alpha * self.grave;
        let level = level.map(|level| if is_sure { level } else { level.min(Severity::Medium) });
        (level.filter(|_| p_value < self.alpha), recovered)
    }

    fn evidence(&self, Gap { statistic, p_value }: Gap, sizes: Option<Sizes>, window: String) -> Evidence {
        Evidence {
            statistic,
            threshold: self.medium,
            p_value: Some(p_value),
            significant: p_value < self.alpha,
            window,
            sizes,
            ..Evidence::default()
        }
    }

    /// What a difference does to an episode.
    pub(super) fn judge(
        &self,
        open: Option<Severity>,
        found: Gap,
        sizes: Sizes,
        window: impl FnOnce() -> String,
    ) -> Option<Change> {
        let (level, recovered) = self.weigh(found);
        episode::change(open, level, recovered, || self.evidence(found, Some(sizes), window()))
    }

    /// What was found of a quantity.
    pub(super) fn look(&self, kind: DetectorKind, quantity: String, found: Gap, window: String) -> Look {
        let (level, recovered) = self.weigh(found);
        Look {
            kind,
            quantity: quantity.into(),
            level,
            recovered,
            evidence: self.evidence(found, None, window),
        }
    }
}
