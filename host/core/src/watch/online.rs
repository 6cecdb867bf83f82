//! Detectors that watch the error by themselves, without a baseline, and fire at an instant. The statistics are in
//! `trimtab-stats`.

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    Adwin, AdwinVariant, Alarm, Ddm, Direction, Eddm, HddmA, HddmW, Kswin, OnlineDetector, OwnPast,
    PageHinkley, Signal, StatsError,
};
use trimtab_types::{Estimate, Severity};

use super::episode::{Change, Evidence};
use crate::{config::Detectors, detector::DetectorKind};

/// A detector that watches the error by itself, without a baseline, and fires at an instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Online {
    OwnPast(Box<OwnPast>),
    Adwin(Adwin),
    PageHinkley(PageHinkley),
    Ddm(Ddm),
    Eddm(Eddm),
    HddmA(HddmA),
    HddmW(HddmW),
    Kswin(Kswin),
}

impl Online {
    /// A new one; `None` for all other kinds.
    pub(super) fn new(kind: DetectorKind, settings: &Detectors) -> Option<Result<Self, StatsError>> {
        Some(match kind {
            DetectorKind::ESr
            | DetectorKind::ECusum
            | DetectorKind::AccuracyZ
            | DetectorKind::Psi
            | DetectorKind::Ks
            | DetectorKind::Categories
            | DetectorKind::Calibration
            | DetectorKind::Performance
            | DetectorKind::Trading
            | DetectorKind::Staleness
            | DetectorKind::Coverage
            | DetectorKind::FeatureHealth => return None,
            DetectorKind::OwnPast => {
                OwnPast::new(settings.own_past.detector()).map(|detector| Self::OwnPast(Box::new(detector)))
            }
            DetectorKind::Adwin => {
                Adwin::new(settings.adwin.detector(AdwinVariant::KeepWindow)).map(Self::Adwin)
            }
            DetectorKind::AdwinRiver => {
                Adwin::new(settings.adwin_river.detector(AdwinVariant::ResetOnDrift)).map(Self::Adwin)
            }
            DetectorKind::PageHinkley => {
                PageHinkley::new(settings.page_hinkley.detector()).map(Self::PageHinkley)
            }
            DetectorKind::Ddm => Ddm::new(settings.ddm.detector()).map(Self::Ddm),
            DetectorKind::Eddm => Eddm::new(settings.eddm.detector()).map(Self::Eddm),
            DetectorKind::HddmA => HddmA::new(settings.hddm_a.detector()).map(Self::HddmA),
            DetectorKind::HddmW => HddmW::new(settings.hddm_w.detector()).map(Self::HddmW),
            DetectorKind::Kswin => Kswin::new(settings.kswin.detector()).map(Self::Kswin),
        })
    }

    fn detector(&mut self) -> &mut dyn OnlineDetector {
        match self {
            Self::OwnPast(detector) => detector.as_mut(),
            Self::Adwin(detector) => detector,
            Self::PageHinkley(detector) => detector,
            Self::Ddm(detector) => detector,
            Self::Eddm(detector) => detector,
            Self::HddmA(detector) => detector,
            Self::HddmW(detector) => detector,
            Self::Kswin(detector) => detector,
        }
    }

    /// Takes an error. A warning opens a medium episode, which ends when the warning does; a drift is an instant. Only for
    /// the worse.
    pub(super) fn feed(&mut self, open: Option<Severity>, error: f64) -> Option<Change> {
        // An error that the detector cannot take, such as a fraction for DDM, is left out.
        let signal = self.detector().update(error).ok()?;
        let worse = |alarm: &Alarm| alarm.direction != Some(Direction::Down);
        match signal {
            Signal::Drift(alarm) if worse(&alarm) => {
                Some(Change::Instant(Severity::High, evidence_of(&alarm)))
            }
            Signal::Warning(alarm) if worse(&alarm) => {
                open.is_none().then(|| Change::Open(Severity::Medium, evidence_of(&alarm)))
            }
            Signal::Drift(alarm) | Signal::Warning(alarm) => open.map(|_| Change::Close(evidence_of(&alarm))),
            Signal::None => open.map(|_| Change::Close(Evidence::default())),
        }
    }

    /// Betting evidence against "nothing changed", with the run length in bets that it is for, of one that bets.
    pub(super) fn evidence(&self) -> Option<(f64, f64)> {
        match self {
            Self::OwnPast(detector) => {
                let config = detector.config();
                Some((detector.e_value(), config.average_run_length / f64::from(config.block)))
            }
            _ => None,
        }
    }
}

fn evidence_of(alarm: &Alarm) -> Evidence {
    let mean = |estimate: Option<trimtab_stats::Estimate>| {
        estimate.map(|estimate| Estimate {
            value: estimate.mean,
            samples: u32::try_from(estimate.count).unwrap_or(u32::MAX),
            interval: None,
            from_outcomes: true,
        })
    };
    Evidence {
        statistic: alarm.statistic,
        threshold: alarm.threshold,
        p_value: alarm.p_value,
        e_value: alarm.e_value,
        significant: true,
        baseline: mean(alarm.before),
        current: mean(alarm.after),
        window: match alarm.after {
            Some(after) => format!("the newest {} against those before", after.count),
            None => "now against all since the detector started".to_owned(),
        },
        ..Evidence::default()
    }
}
