//! Anytime-valid evidence that errors are above the baseline's, by e-Shiryaev–Roberts or e-CUSUM. The bets are in
//! `trimtab-stats`.

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    AfterAlarm, EDetector, EDetectorConfig, EDetectorKind, OnlineDetector, Side, Window, null_mean_upper,
};
use trimtab_types::{Baseline, Severity};

use super::episode::{Change, Evidence, complement, error_of};
use crate::{
    config::{Detectors, ESrSettings},
    detector::DetectorKind,
    measure::share_of,
};

/// Fewer resolved predictions than this are no ground for "below chance".
const ENOUGH_FOR_CHANCE: u64 = 30;

/// Evidence that errors are above the baseline's, and, while an episode is open, that they no longer are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EProcess {
    watch: EDetector,
    recovery: EDetector,
}

impl EProcess {
    /// `None` where settings and baseline do not allow one; the configuration is checked before it is in force.
    pub(super) fn new(kind: DetectorKind, settings: &Detectors, baseline: &Baseline) -> Option<Self> {
        let combined = match kind {
            DetectorKind::ECusum => EDetectorKind::Cusum,
            _ => EDetectorKind::ShiryaevRoberts,
        };
        let settings = settings_of(kind, settings);
        let null_mean = null_mean(settings, baseline)?;
        let detector = |side| {
            EDetector::new(EDetectorConfig {
                kind: combined,
                null_mean,
                side,
                average_run_length: settings.run_length,
                block: settings.block,
                after_alarm: AfterAlarm::Continue,
            })
            .ok()
        };
        Some(Self { watch: detector(Side::Upper)?, recovery: detector(Side::Lower)? })
    }

    /// Takes an error. Once drifted, the same kind of evidence is asked for the other way: the episode closes when it has
    /// become as improbable that errors are still above the limit.
    ///
    /// `right` says whether the newest judged predictions were right, `chance` is the accuracy that needs no model.
    pub(super) fn feed(
        &mut self,
        settings: &ESrSettings,
        (right, baseline): (&Window, Option<&Baseline>),
        chance: Option<f64>,
        open: Option<Severity>,
        error: f64,
    ) -> Option<Change> {
        let window = settings.window as usize;
        let evidence = |detector: &EDetector, significant| Evidence {
            statistic: detector.e_value(),
            threshold: detector.threshold(),
            e_value: Some(detector.e_value()),
            significant,
            baseline: baseline.map(error_of),
            current: share_of(right, window).map(complement),
            window: format!(
                "all since the detector started, against the baseline; now: the newest {}",
                right.newest(window).n
            ),
            ..Evidence::default()
        };
        let below_chance = is_below_chance(right, settings.window, chance);
        match open {
            None => {
                // A row outside 0..1 cannot come from `judge`; if one did, the detector would ignore it.
                self.watch.update(error).ok()?.drift()?;
                self.recovery.reset();
                let severity = if below_chance { Severity::Critical } else { Severity::High };
                Some(Change::Open(severity, evidence(&self.watch, true)))
            }
            Some(severity) => {
                if self.recovery.update(error).ok()?.drift().is_some() {
                    let closing = evidence(&self.recovery, true);
                    self.watch.reset();
                    return Some(Change::Close(closing));
                }
                (severity < Severity::Critical && below_chance)
                    .then(|| Change::Raise(Severity::Critical, evidence(&self.watch, true)))
            }
        }
    }

    /// The evidence against "nothing changed", with the run length in bets that it is for.
    pub(super) fn evidence(&self) -> (f64, f64) {
        (self.watch.e_value(), self.watch.threshold())
    }
}

/// The settings of the one of the two that it is.
pub(super) fn settings_of(kind: DetectorKind, settings: &Detectors) -> &ESrSettings {
    match kind {
        DetectorKind::ECusum => &settings.e_cusum.0,
        _ => &settings.e_sr,
    }
}

/// The error rate that is still nobody's business: the baseline's, its uncertainty included, plus the tolerance.
fn null_mean(settings: &ESrSettings, baseline: &Baseline) -> Option<f64> {
    let n = baseline.samples;
    let errors = libm::round((1.0 - baseline.accuracy) * n as f64) as u64;
    null_mean_upper(errors.min(n), n, settings.tolerance, settings.confidence, baseline.effective_samples)
        .ok()
}

fn is_below_chance(right: &Window, window: u32, chance: Option<f64>) -> bool {
    let counts = right.newest(window as usize);
    let enough = u64::from(window).min(ENOUGH_FOR_CHANCE.max(u64::from(window) / 2));
    match (chance, counts.share()) {
        (Some(chance), Some(share)) => counts.n >= enough && share < chance,
        _ => false,
    }
}
