//! Anytime-valid evidence that errors are above the baseline's, by e-Shiryaev–Roberts or e-CUSUM: an early sign, what the
//! promised run length holds for, and recovery. The bets are in `trimtab-stats`.

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    EDetectorKind, Level, LevelChange, TwoLevel, TwoLevelConfig, Window, dependence::BlockInflation,
    null_mean_upper, two_level::Sum,
};
use trimtab_types::{Baseline, Severity};

use super::{
    episode::{Change, Evidence, complement, error_of},
    pairs::Chance,
};
use crate::{
    config::{Detectors, ESrSettings, Inflation},
    detector::DetectorKind,
    measure::share_of,
};

/// Fewer resolved predictions than this are no ground for "below chance".
const ENOUGH_FOR_CHANCE: u64 = 30;

/// Evidence that errors are above the baseline's, and, while an episode is open, that they no longer are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct EProcess(TwoLevel);

impl EProcess {
    /// `None` where settings and baseline do not allow one; the configuration is checked before it is in force.
    pub(super) fn new(kind: DetectorKind, settings: &Detectors, baseline: &Baseline) -> Option<Self> {
        let combined = match kind {
            DetectorKind::ECusum => EDetectorKind::Cusum,
            _ => EDetectorKind::ShiryaevRoberts,
        };
        let settings = settings_of(kind, settings);
        let blocks = blocks(settings, baseline);
        let process = TwoLevel::new(TwoLevelConfig {
            kind: combined,
            null_mean: null_mean(settings, baseline)?,
            average_run_length: settings.run_length,
            blocks,
            // The same twice would be no earlier.
            early_sign: settings.early_sign && blocks != BlockInflation::UNMEASURED,
            recovery_run_length: settings.recovery,
        });
        process.ok().map(Self)
    }

    /// Takes an error.
    ///
    /// `right` says whether the newest judged predictions were right, `chance` is the accuracy that needs no model.
    pub(super) fn feed(
        &mut self,
        settings: &ESrSettings,
        (right, baseline): (&Window, Option<&Baseline>),
        chance: Chance<'_>,
        open: Option<Severity>,
        error: f64,
    ) -> Option<Change> {
        // A row outside 0..1 cannot come from `judge`; if one did, the detector would ignore it.
        let change = self.0.update(error).ok()?;
        let may_rise = self.0.level() == Some(Level::Full) && open < Some(Severity::Critical);
        if change.is_none() && !may_rise {
            return None;
        }
        let window = settings.window as usize;
        let below_chance = is_below_chance(right, settings.window, chance);
        let grave = if below_chance { Severity::Critical } else { Severity::High };
        let worse =
            if below_chance { format!(", {}", chance.in_words(settings.window)) } else { String::new() };
        let evidence = |sum: Sum, words: String| Evidence {
            statistic: sum.e_value,
            threshold: sum.threshold,
            e_value: Some(sum.e_value),
            significant: true,
            baseline: baseline.map(error_of),
            current: share_of(right, window).map(complement),
            window: format!("{words}; now: the newest {}{worse}", right.newest(window).n),
            chance: chance.accuracy(settings.window),
            ..Evidence::default()
        };
        match change {
            Some(LevelChange::Opened(Level::Early)) => {
                let sum = self.0.sums().early?;
                Some(Change::Open(Severity::Medium, evidence(sum, self.early_words())))
            }
            Some(LevelChange::Opened(Level::Full)) => {
                Some(Change::Open(grave, evidence(self.0.sums().full, self.full_words())))
            }
            Some(LevelChange::Raised) => {
                Some(Change::Raise(grave, evidence(self.0.sums().full, self.full_words())))
            }
            Some(LevelChange::Closed(sum)) => {
                Some(Change::Close(evidence(sum, "the share of errors is below the limit again".to_owned())))
            }
            None => {
                below_chance.then(|| Change::Raise(grave, evidence(self.0.sums().full, self.full_words())))
            }
        }
    }

    fn early_words(&self) -> String {
        let full = self.0.sums().full;
        format!(
            "early sign against the baseline, promised for independent errors; for errors like the baseline's it is {} of {}",
            rounded(full.e_value),
            rounded(full.threshold)
        )
    }

    fn full_words(&self) -> String {
        let inflation = self.0.config().blocks.inflation;
        let promised = if inflation > 1.0 {
            format!(", promised for errors as dependent as the baseline's (\u{3ba} {inflation:.1})")
        } else {
            String::new()
        };
        match self.0.sums().early {
            Some(early) => format!(
                "all since the detector started, against the baseline{promised}; the early sign is {} of {}",
                rounded(early.e_value),
                rounded(early.threshold)
            ),
            None => format!("all since the detector started, against the baseline{promised}"),
        }
    }

    /// The evidence against "nothing changed" that the promise holds for, with the run length in bets that it is for.
    pub(super) fn evidence(&self) -> (f64, f64) {
        let full = self.0.sums().full;
        (full.e_value, full.threshold)
    }
}

/// An e-value as people read it.
fn rounded(e_value: f64) -> String {
    if e_value < 1e6 { format!("{e_value:.0}") } else { format!("{e_value:.0e}") }
}

/// The settings of the one of the two that it is.
pub(super) fn settings_of(kind: DetectorKind, settings: &Detectors) -> &ESrSettings {
    match kind {
        DetectorKind::ECusum => &settings.e_cusum.0,
        _ => &settings.e_sr,
    }
}

/// What is bet on: blocks as configured, as alike as the baseline's; where that is not known, long ones at face value.
pub(crate) fn blocks(settings: &ESrSettings, baseline: &Baseline) -> BlockInflation {
    let block = settings.block;
    match settings.inflation {
        Inflation::Given(inflation) => BlockInflation { block, inflation },
        Inflation::Measured => baseline
            .inflation(block)
            .map_or(BlockInflation::UNMEASURED, |inflation| BlockInflation { block, inflation }),
    }
}

/// The error rate that is still nobody's business: the baseline's, its uncertainty included, plus the tolerance.
pub(crate) fn null_mean(settings: &ESrSettings, baseline: &Baseline) -> Option<f64> {
    let n = baseline.samples;
    let errors = libm::round((1.0 - baseline.accuracy) * n as f64) as u64;
    null_mean_upper(errors.min(n), n, settings.tolerance, settings.confidence, baseline.effective_samples)
        .ok()
}

fn is_below_chance(right: &Window, window: u32, chance: Chance<'_>) -> bool {
    let enough = u64::from(window).min(ENOUGH_FOR_CHANCE.max(u64::from(window) / 2));
    right.newest(window as usize).n >= enough && chance.is_above(right, window)
}
