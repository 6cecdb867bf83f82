//! Detectors on a subject, and the episodes that they open, raise and close. The statistics themselves are in
//! `trimtab-stats`; here is what they watch, what they are held against, and when an episode is over.

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    Adwin, AdwinVariant, AfterAlarm, Alarm, Alternative, Ddm, Direction, EDetector, EDetectorConfig,
    EDetectorKind, Eddm, HddmA, HddmW, Kswin, OnlineDetector, OwnPast, PageHinkley, Side, Signal, StatsError,
    null_mean_upper, proportion,
};
use trimtab_types::{Baseline, Estimate, Finding, Interval, Severity};

use super::{
    episode::{self, Change, Episode, Evidence, Moment},
    state::SubjectState,
};
use crate::{
    config::{AccuracyZSettings, Detectors, ESrSettings, Needs},
    detector::DetectorKind,
};

/// Differences between shares are rounded to this before they are held against a limit, so that 0.85 − 0.80 counts
/// as 5 points.
const ROUNDING: f64 = 1e-9;
/// What pure chance gets right where nothing else is said: of two sides, one.
const COIN: f64 = 0.5;
/// Fewer resolved predictions than this are no ground for "below chance".
const ENOUGH_FOR_CHANCE: u64 = 30;

/// A detector that watches the error by itself, without a baseline, and fires at an instant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Online {
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
    pub(crate) fn new(kind: DetectorKind, settings: &Detectors) -> Option<Result<Self, StatsError>> {
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
            | DetectorKind::Coverage => return None,
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
}

/// A detector that runs, with its open episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Running {
    detector: Detector,
    /// The newest change of the open episode.
    episode: Episode,
}

impl Running {
    pub(crate) fn episode(&self) -> Option<&Finding> {
        self.episode.as_deref()
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Detector {
    AgainstBaseline { watch: EDetector, recovery: EDetector },
    Online(Online),
    AccuracyZ,
}

impl SubjectState {
    /// Feeds a judged row to every detector that is switched on. Returns the changes of episodes.
    pub(crate) fn detect(
        &mut self,
        settings: &Detectors,
        chance: Option<f64>,
        error: f64,
        moment: Moment<'_>,
    ) -> Vec<Finding> {
        let chance = chance.or_else(|| self.baseline.as_ref()?.chance).or(self.two_sided.then_some(COIN));
        let mut found = Vec::new();
        for kind in DetectorKind::ALL {
            let Some(quantity) = kind.judged_quantity() else { continue };
            let Some(change) = self.step(kind, settings, chance, error) else { continue };
            if let Some(running) = self.detectors.get_mut(&kind) {
                found.extend(episode::advance(&mut running.episode, (kind.name(), quantity), change, moment));
            }
        }
        found
    }

    fn step(
        &mut self,
        kind: DetectorKind,
        settings: &Detectors,
        chance: Option<f64>,
        error: f64,
    ) -> Option<Change> {
        if !settings.is_enabled(kind) || (kind.needs_baseline() && self.baseline.is_none()) {
            return None;
        }
        // Taken out for the step, because the other parts of the subject are looked at meanwhile.
        let mut running = match self.detectors.remove(&kind) {
            Some(running) => running,
            None => {
                Running { detector: Detector::new(kind, settings, self.baseline.as_deref())?, episode: None }
            }
        };
        let open = running.episode().map(|finding| finding.severity);
        let change = match &mut running.detector {
            Detector::AgainstBaseline { watch, recovery } => {
                let settings = e_settings(kind, settings);
                self.against_baseline(settings, watch, recovery, open, chance, error)
            }
            Detector::Online(detector) => online(detector.detector(), open, error),
            Detector::AccuracyZ => self.accuracy_z(&settings.accuracy_z, open, chance),
        };
        self.detectors.insert(kind, running);
        change
    }

    /// Watches for errors above the baseline; once drifted, the same kind of evidence is asked for the other way: the
    /// episode closes when it has become as improbable that errors are still above the limit.
    fn against_baseline(
        &self,
        settings: &ESrSettings,
        watch: &mut EDetector,
        recovery: &mut EDetector,
        open: Option<Severity>,
        chance: Option<f64>,
        error: f64,
    ) -> Option<Change> {
        let evidence = |detector: &EDetector, significant| Evidence {
            statistic: detector.e_value(),
            threshold: detector.threshold(),
            e_value: Some(detector.e_value()),
            significant,
            baseline: self.baseline.as_deref().map(error_of),
            current: self.accuracy(settings.window as usize).map(complement),
            window: format!(
                "all since the detector started, against the baseline; now: the newest {}",
                self.right.newest(settings.window as usize).n
            ),
            ..Evidence::default()
        };
        let below_chance = self.is_below_chance(settings.window, chance);
        match open {
            None => {
                // A row outside 0..1 cannot come from `judge`; if one did, the detector would ignore it.
                watch.update(error).ok()?.drift()?;
                recovery.reset();
                let severity = if below_chance { Severity::Critical } else { Severity::High };
                Some(Change::Open(severity, evidence(watch, true)))
            }
            Some(severity) => {
                if recovery.update(error).ok()?.drift().is_some() {
                    let closing = evidence(recovery, true);
                    watch.reset();
                    return Some(Change::Close(closing));
                }
                (severity < Severity::Critical && below_chance)
                    .then(|| Change::Raise(Severity::Critical, evidence(watch, true)))
            }
        }
    }

    fn accuracy_z(
        &self,
        settings: &AccuracyZSettings,
        open: Option<Severity>,
        chance: Option<f64>,
    ) -> Option<Change> {
        let baseline = self.baseline.as_ref()?;
        let counts = self.right.newest(settings.window as usize);
        if counts.n < u64::from(settings.minimum) {
            return None;
        }
        let now = counts.share()?;
        let drop = baseline.accuracy - now;
        // The test needs a baseline strictly between 0 and 1.
        let p0 = baseline.accuracy.clamp(1e-6, 1.0 - 1e-6);
        let test = proportion::z_test(counts.successes, counts.n, p0, Alternative::Less).ok()?;
        let significant = test.p_value < settings.alpha;
        let by_drop = if chance.is_some_and(|chance| now < chance) {
            Some(Severity::Critical)
        } else if drop + ROUNDING >= settings.high {
            Some(Severity::High)
        } else if drop + ROUNDING >= settings.medium {
            Some(Severity::Medium)
        } else {
            None
        };
        let level = match settings.needs {
            Needs::Both => by_drop.filter(|_| significant),
            Needs::Drop => by_drop,
            Needs::Significance => significant.then_some(by_drop.unwrap_or(Severity::Medium)),
        };
        let evidence = || Evidence {
            statistic: test.statistic,
            threshold: trimtab_stats::special::normal_quantile(settings.alpha),
            p_value: Some(test.p_value),
            significant,
            baseline: Some(accuracy_of(baseline)),
            current: self.accuracy(settings.window as usize),
            window: format!("the newest {} against the baseline", counts.n),
            ..Evidence::default()
        };
        match (open, level) {
            (None, Some(level)) => Some(Change::Open(level, evidence())),
            (Some(severity), Some(level)) if level > severity => Some(Change::Raise(level, evidence())),
            (Some(_), None) if drop < settings.medium * settings.hysteresis => {
                Some(Change::Close(evidence()))
            }
            _ => None,
        }
    }

    fn is_below_chance(&self, window: u32, chance: Option<f64>) -> bool {
        let counts = self.right.newest(window as usize);
        let enough = u64::from(window).min(ENOUGH_FOR_CHANCE.max(u64::from(window) / 2));
        match (chance, counts.share()) {
            (Some(chance), Some(share)) => counts.n >= enough && share < chance,
            _ => false,
        }
    }

    /// Stops detectors, so that they start anew with the next row. Returns the episodes that this closed.
    pub(crate) fn restart(&mut self, kinds: &[DetectorKind], moment: Moment<'_>) -> Vec<Finding> {
        let mut ended = Vec::new();
        for kind in kinds {
            ended.extend(self.detectors.remove(kind).map(|running| running.episode));
            let known = self.distributions.remove(kind).into_iter().flatten();
            ended.extend(known.map(|known| known.episode));
            ended.extend(self.episodes.remove(kind).into_iter().flatten().map(|(_, open)| Some(open)));
        }
        ended.into_iter().filter_map(|open| episode::end(open, moment)).collect()
    }
}

impl SubjectState {
    /// Betting evidence against "nothing changed" of each detector that bets, with the run length in bets that it is for.
    pub(crate) fn evidence(&self) -> impl Iterator<Item = (DetectorKind, f64, f64)> {
        self.detectors.iter().filter_map(|(kind, running)| match &running.detector {
            Detector::AgainstBaseline { watch, .. } => Some((*kind, watch.e_value(), watch.threshold())),
            Detector::Online(Online::OwnPast(detector)) => {
                let config = detector.config();
                Some((*kind, detector.e_value(), config.average_run_length / f64::from(config.block)))
            }
            Detector::Online(_) | Detector::AccuracyZ => None,
        })
    }
}

impl Detector {
    /// `None` where settings and baseline do not allow one; the configuration is checked before it is in force.
    fn new(kind: DetectorKind, settings: &Detectors, baseline: Option<&Baseline>) -> Option<Self> {
        match kind {
            DetectorKind::ESr | DetectorKind::ECusum => {
                let combined = match kind {
                    DetectorKind::ECusum => EDetectorKind::Cusum,
                    _ => EDetectorKind::ShiryaevRoberts,
                };
                let settings = e_settings(kind, settings);
                let null_mean = null_mean(settings, baseline?)?;
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
                Some(Self::AgainstBaseline {
                    watch: detector(Side::Upper)?,
                    recovery: detector(Side::Lower)?,
                })
            }
            DetectorKind::AccuracyZ => Some(Self::AccuracyZ),
            _ => Online::new(kind, settings)?.ok().map(Self::Online),
        }
    }
}

fn e_settings(kind: DetectorKind, settings: &Detectors) -> &ESrSettings {
    match kind {
        DetectorKind::ECusum => &settings.e_cusum.0,
        _ => &settings.e_sr,
    }
}

/// A warning opens a medium episode, which ends when the warning does; a drift is an instant. Only for the worse.
fn online(detector: &mut dyn OnlineDetector, open: Option<Severity>, error: f64) -> Option<Change> {
    // An error that the detector cannot take, such as a fraction for DDM, is left out.
    let signal = detector.update(error).ok()?;
    let worse = |alarm: &Alarm| alarm.direction != Some(Direction::Down);
    match signal {
        Signal::Drift(alarm) if worse(&alarm) => Some(Change::Instant(Severity::High, evidence_of(&alarm))),
        Signal::Warning(alarm) if worse(&alarm) => {
            open.is_none().then(|| Change::Open(Severity::Medium, evidence_of(&alarm)))
        }
        Signal::Drift(alarm) | Signal::Warning(alarm) => open.map(|_| Change::Close(evidence_of(&alarm))),
        Signal::None => open.map(|_| Change::Close(Evidence::default())),
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
    }
}

/// The error rate that is still nobody's business: the baseline's, its uncertainty included, plus the tolerance.
fn null_mean(settings: &ESrSettings, baseline: &Baseline) -> Option<f64> {
    let n = baseline.samples;
    let errors = libm::round((1.0 - baseline.accuracy) * n as f64) as u64;
    null_mean_upper(errors.min(n), n, settings.tolerance, settings.confidence, baseline.effective_samples)
        .ok()
}

fn accuracy_of(baseline: &Baseline) -> Estimate {
    Estimate {
        value: baseline.accuracy,
        samples: u32::try_from(baseline.samples).unwrap_or(u32::MAX),
        interval: None,
        from_outcomes: true,
    }
}

fn error_of(baseline: &Baseline) -> Estimate {
    complement(accuracy_of(baseline))
}

fn complement(estimate: Estimate) -> Estimate {
    Estimate {
        value: 1.0 - estimate.value,
        interval: estimate
            .interval
            .map(|interval| Interval { lower: 1.0 - interval.upper, upper: 1.0 - interval.lower }),
        ..estimate
    }
}
