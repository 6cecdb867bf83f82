//! What watches every subject: the detectors' settings, their defaults and their ranges. Not what they do with them;
//! see `watch`.

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    Adwin, AdwinConfig, AdwinVariant, Ddm, DdmConfig, Eddm, EddmConfig, HddmA, HddmAConfig, HddmW,
    HddmWConfig, Kswin, KswinConfig, OwnPast, OwnPastConfig, PageHinkley, PageHinkleyConfig, Sides,
    StatsError,
};
use trimtab_types::Invalid;

use super::{
    before,
    check::{is_default, is_level},
    distributions::{CategorySettings, KsSettings, PsiSettings, SketchSettings},
    e_process::{ECusumSettings, ESrSettings},
    health::FeatureHealthSettings,
    looks::{CalibrationSettings, CoverageSettings, PerformanceSettings, StalenessSettings, TradingSettings},
    span::Duration,
};
use crate::detector::DetectorKind;

/// What watches every subject.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Detectors {
    /// Anytime-valid detection of errors above the baseline; on by default.
    pub e_sr: ESrSettings,
    /// ADWIN of the paper and of MOA, which keeps the newer window.
    pub adwin: AdwinSettings,
    /// ADWIN of river, which starts anew.
    pub adwin_river: AdwinSettings,
    /// Rolling accuracy against the baseline; a false alarm every 323, 559 or 1,080 observations (windows of 50, 100 and
    /// 200) by design.
    pub accuracy_z: AccuracyZSettings,
    /// The same evidence as `e-sr`, combined by its maximum: later, and with fewer false alarms than promised.
    pub e_cusum: ECusumSettings,
    /// Anytime-valid detection against the stream's own past; needs no baseline.
    pub own_past: OwnPastSettings,
    /// Population stability of score and features against the baseline; on by default.
    pub psi: PsiSettings,
    /// Page–Hinkley on the error.
    pub page_hinkley: PageHinkleySettings,
    /// DDM on errors of 0 and 1.
    pub ddm: DdmSettings,
    /// EDDM on errors of 0 and 1.
    pub eddm: EddmSettings,
    /// HDDM with Hoeffding's bound.
    pub hddm_a: HddmASettings,
    /// HDDM with McDiarmid's bound on a weighted mean.
    pub hddm_w: HddmWSettings,
    /// A Kolmogorov–Smirnov test on a sliding window of errors.
    pub kswin: KswinSettings,
    /// Kolmogorov–Smirnov distance of score and numeric features against the baseline.
    #[serde(skip_serializing_if = "is_default")]
    pub ks: KsSettings,
    /// Categorical features and predicted classes against the baseline.
    #[serde(skip_serializing_if = "before::is_off")]
    pub categories: CategorySettings,
    /// Whether stated probabilities come true.
    #[serde(skip_serializing_if = "is_default")]
    pub calibration: CalibrationSettings,
    /// Metrics that fell below the baseline's.
    #[serde(skip_serializing_if = "is_default")]
    pub performance: PerformanceSettings,
    /// Whether trades still go well.
    #[serde(skip_serializing_if = "is_default")]
    pub trading: TradingSettings,
    /// Predictions that stay away; on by default.
    #[serde(skip_serializing_if = "before::is_missed_by_nobody")]
    pub staleness: StalenessSettings,
    /// How many predictions have an outcome; on by default.
    #[serde(skip_serializing_if = "before::is_awaited_by_nobody")]
    pub coverage: CoverageSettings,
    /// Whether score and features still come as they did; on by default.
    #[serde(skip_serializing_if = "before::is_unwatched")]
    pub feature_health: FeatureHealthSettings,
    /// What is kept where a window is a length of time.
    #[serde(skip_serializing_if = "is_default")]
    pub sketches: SketchSettings,
}

/// Settings of a detector that is off unless it is switched on: a switch, the parameters with their defaults, and the
/// detector's own configuration made of them.
macro_rules! optional_detector {
    ($(#[$about:meta])* $settings:ident => $config:ident {
        $($(#[$doc:meta])* $key:ident: $kind:ty = $default:expr => $parameter:ident,)*
    } $(, $fixed:ident: $value:expr)*) => {
        $(#[$about])*
        #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
        pub struct $settings {
            /// Whether it runs.
            pub enabled: bool,
            $($(#[$doc])* pub $key: $kind,)*
        }

        impl Default for $settings {
            fn default() -> Self {
                Self { enabled: false, $($key: $default,)* }
            }
        }

        impl $settings {
            /// The detector's own configuration.
            #[allow(clippy::needless_update, reason = "some detectors have parameters that are not settings")]
            pub fn detector(&self) -> $config {
                $config { $($parameter: self.$key,)* $($fixed: $value,)* ..$config::default() }
            }
        }
    };
}

optional_detector! {
    /// Anytime-valid detection against the stream's own past.
    OwnPastSettings => OwnPastConfig {
        /// Observations that say what is normal.
        reference: u32 = 1_000 => reference,
        /// A rise by this much is nobody's business.
        tolerance: f64 = 0.02 => tolerance,
        /// Confidence with which the learned mean is bounded.
        confidence: f64 = 0.95 => confidence,
        /// Observations between false alarms, on average, at least.
        run_length: f64 = 10_000.0 => average_run_length,
        /// Observations whose mean is one bet.
        block: u32 = 20 => block,
    }, sides: Sides::Up
}

optional_detector! {
    /// Page–Hinkley.
    PageHinkleySettings => PageHinkleyConfig {
        /// No alarm before this many observations.
        minimum: u32 = 30 => min_instances,
        /// Deviation that is tolerated at each step.
        delta: f64 = 0.005 => delta,
        /// Cumulative deviation that is an alarm.
        threshold: f64 = 50.0 => threshold,
    }, sides: Sides::Up
}

optional_detector! {
    /// DDM.
    DdmSettings => DdmConfig {
        /// No signal up to this many observations.
        minimum: u32 = 30 => warm_start,
        /// Standard deviations above the best rate that are a warning.
        warning: f64 = 2.0 => warning_threshold,
        /// Standard deviations above the best rate that are a drift.
        drift: f64 = 3.0 => drift_threshold,
    }
}

optional_detector! {
    /// EDDM.
    EddmSettings => EddmConfig {
        /// No signal up to this many errors.
        minimum: u32 = 30 => warm_start,
        /// Share of the greatest distance between errors below which is a warning.
        warning: f64 = 0.95 => alpha,
        /// Share of the greatest distance between errors below which is a drift.
        drift: f64 = 0.9 => beta,
    }
}

optional_detector! {
    /// HDDM-A.
    HddmASettings => HddmAConfig {
        /// Significance of a drift.
        drift: f64 = 0.001 => drift_confidence,
        /// Significance of a warning.
        warning: f64 = 0.005 => warning_confidence,
    }, two_sided: false
}

optional_detector! {
    /// HDDM-W.
    HddmWSettings => HddmWConfig {
        /// Significance of a drift.
        drift: f64 = 0.001 => drift_confidence,
        /// Significance of a warning.
        warning: f64 = 0.005 => warning_confidence,
        /// Weight of the newest observation.
        lambda: f64 = 0.05 => lambda,
    }, two_sided: false
}

optional_detector! {
    /// KSWIN.
    KswinSettings => KswinConfig {
        /// Significance of one test.
        alpha: f64 = 0.005 => alpha,
        /// Observations in the window.
        window: u32 = 100 => window_size,
        /// How many of them, the newest, are held against the rest.
        newest: u32 = 30 => stat_size,
    }
}

/// ADWIN on the error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AdwinSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// Lower is less sensitive.
    pub delta: f64,
}

impl Default for AdwinSettings {
    fn default() -> Self {
        Self { enabled: false, delta: 0.002 }
    }
}

impl AdwinSettings {
    /// The detector's own configuration.
    pub fn detector(&self, variant: AdwinVariant) -> AdwinConfig {
        AdwinConfig { delta: self.delta, variant, ..AdwinConfig::default() }
    }
}

/// One-proportion z-test of the rolling accuracy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AccuracyZSettings {
    /// Whether it runs.
    pub enabled: bool,
    /// How many of the newest resolved predictions are tested; at most 200.
    pub window: u32,
    /// No test below this many.
    pub minimum: u32,
    /// Significance level.
    pub alpha: f64,
    /// A drop of this many points is medium; compared after rounding to 1e-9, so that 0.85 − 0.80 is 5 points.
    pub medium: f64,
    /// A drop of this many points is high.
    pub high: f64,
    /// What a level needs.
    pub needs: Needs,
    /// Closes when the drop has shrunk below this share of `medium`.
    pub hysteresis: f64,
}

impl Default for AccuracyZSettings {
    fn default() -> Self {
        Self {
            enabled: false,
            window: 200,
            minimum: 30,
            alpha: 0.05,
            medium: 0.05,
            high: 0.10,
            needs: Needs::Both,
            hysteresis: 0.5,
        }
    }
}

/// What a level of the z-test needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Needs {
    /// The drop and the significance.
    Both,
    /// The drop alone.
    Drop,
    /// The significance alone; medium.
    Significance,
}

impl Detectors {
    /// Whether a detector runs.
    pub(crate) fn is_enabled(&self, kind: DetectorKind) -> bool {
        match kind {
            DetectorKind::ESr => self.e_sr.enabled,
            DetectorKind::ECusum => self.e_cusum.0.enabled,
            DetectorKind::OwnPast => self.own_past.enabled,
            DetectorKind::Adwin => self.adwin.enabled,
            DetectorKind::AdwinRiver => self.adwin_river.enabled,
            DetectorKind::PageHinkley => self.page_hinkley.enabled,
            DetectorKind::Ddm => self.ddm.enabled,
            DetectorKind::Eddm => self.eddm.enabled,
            DetectorKind::HddmA => self.hddm_a.enabled,
            DetectorKind::HddmW => self.hddm_w.enabled,
            DetectorKind::Kswin => self.kswin.enabled,
            DetectorKind::AccuracyZ => self.accuracy_z.enabled,
            DetectorKind::Psi => self.psi.enabled,
            DetectorKind::Ks => self.ks.enabled,
            DetectorKind::Categories => self.categories.enabled,
            DetectorKind::Calibration => self.calibration.enabled,
            DetectorKind::Performance => self.performance.enabled,
            DetectorKind::Trading => self.trading.enabled,
            DetectorKind::Staleness => self.staleness.enabled,
            DetectorKind::Coverage => self.coverage.enabled,
            DetectorKind::FeatureHealth => self.feature_health.enabled,
        }
    }

    /// Whether a detector has other settings after a change of the configuration.
    pub(crate) fn changed(&self, after: &Self, kind: DetectorKind) -> bool {
        match kind {
            DetectorKind::ESr => self.e_sr.starts_anew(&after.e_sr),
            DetectorKind::ECusum => self.e_cusum.0.starts_anew(&after.e_cusum.0),
            DetectorKind::OwnPast => self.own_past != after.own_past,
            DetectorKind::Adwin => self.adwin != after.adwin,
            DetectorKind::AdwinRiver => self.adwin_river != after.adwin_river,
            DetectorKind::PageHinkley => self.page_hinkley != after.page_hinkley,
            DetectorKind::Ddm => self.ddm != after.ddm,
            DetectorKind::Eddm => self.eddm != after.eddm,
            DetectorKind::HddmA => self.hddm_a != after.hddm_a,
            DetectorKind::HddmW => self.hddm_w != after.hddm_w,
            DetectorKind::Kswin => self.kswin != after.kswin,
            DetectorKind::AccuracyZ => self.accuracy_z != after.accuracy_z,
            DetectorKind::Psi => {
                self.psi != after.psi
                    || (after.psi.window.time().is_some() && self.sketches != after.sketches)
            }
            DetectorKind::Ks => {
                self.ks != after.ks || (after.ks.window.time().is_some() && self.sketches != after.sketches)
            }
            DetectorKind::Categories => self.categories != after.categories,
            DetectorKind::Calibration => self.calibration != after.calibration,
            DetectorKind::Performance => self.performance != after.performance,
            DetectorKind::Trading => self.trading != after.trading,
            DetectorKind::Staleness => self.staleness != after.staleness,
            DetectorKind::Coverage => self.coverage != after.coverage,
            DetectorKind::FeatureHealth => self.feature_health != after.feature_health,
        }
    }

    /// Whether anything is looked at as time passes.
    pub(super) fn watches_time(&self) -> bool {
        self.staleness.enabled || self.coverage.enabled || self.longest_span().is_some()
    }

    /// The longest stretch of time that distributions are looked at over; `None`: no sketches are kept.
    pub(crate) fn longest_span(&self) -> Option<Duration> {
        let windows = [(self.psi.enabled, self.psi.window), (self.ks.enabled, self.ks.window)];
        windows.into_iter().filter(|(enabled, _)| *enabled).filter_map(|(_, window)| window.time()).max()
    }

    /// How many of the newest judged predictions those that are switched on look at.
    pub(super) fn rows_needed(&self) -> u32 {
        let needed = [
            (self.calibration.enabled, self.calibration.window),
            (self.performance.enabled, self.performance.window),
            (self.trading.enabled, self.trading.window),
        ];
        needed.into_iter().filter(|(enabled, _)| *enabled).map(|(_, window)| window).max().unwrap_or(0)
    }

    /// What is wrong with the parameters; each detector judges its own.
    pub(super) fn problems(&self, place: &str) -> Vec<Invalid> {
        let mut problems = Vec::new();
        let mut need = |ok: bool, key: &str, problem: &str| {
            if !ok {
                problems.push(Invalid::new(format!("`{place}.{key}`"), problem));
            }
        };
        self.e_sr.check("e-sr", &mut need);
        self.e_cusum.0.check("e-cusum", &mut need);
        let z = &self.accuracy_z;
        need((1..=200).contains(&z.window), "accuracy-z.window", "must lie between 1 and 200");
        need((1..=z.window).contains(&z.minimum), "accuracy-z.minimum", "must lie between 1 and `window`");
        need(is_level(z.alpha), "accuracy-z.alpha", "must lie between 0 and 1");
        need(
            z.medium > 0.0 && z.medium <= z.high && z.high < 1.0,
            "accuracy-z.medium",
            "must be above 0 and not above `high`, which must be below 1",
        );
        need((0.0..=1.0).contains(&z.hysteresis), "accuracy-z.hysteresis", "must lie between 0 and 1");
        self.psi.check(&mut need);
        self.ks.check(&mut need);
        self.categories.check(&mut need);
        self.calibration.check(&mut need);
        self.performance.check(&mut need);
        self.trading.check(&mut need);
        self.staleness.check(&mut need);
        self.coverage.check(&mut need);
        self.feature_health.check(&mut need);
        self.sketches.check(self.longest_span(), &mut need);
        for kind in DetectorKind::ALL {
            if let Some(error) = self.refused(kind) {
                need(false, kind.name(), &error.to_string());
            }
        }
        problems
    }

    /// Why a detector of `trimtab-stats` that takes every error cannot be made with its settings.
    fn refused(&self, kind: DetectorKind) -> Option<StatsError> {
        match kind {
            DetectorKind::OwnPast => OwnPast::new(self.own_past.detector()).err(),
            DetectorKind::Adwin => Adwin::new(self.adwin.detector(AdwinVariant::KeepWindow)).err(),
            DetectorKind::AdwinRiver => {
                Adwin::new(self.adwin_river.detector(AdwinVariant::ResetOnDrift)).err()
            }
            DetectorKind::PageHinkley => PageHinkley::new(self.page_hinkley.detector()).err(),
            DetectorKind::Ddm => Ddm::new(self.ddm.detector()).err(),
            DetectorKind::Eddm => Eddm::new(self.eddm.detector()).err(),
            DetectorKind::HddmA => HddmA::new(self.hddm_a.detector()).err(),
            DetectorKind::HddmW => HddmW::new(self.hddm_w.detector()).err(),
            DetectorKind::Kswin => Kswin::new(self.kswin.detector()).err(),
            // Their ranges are checked here.
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
            | DetectorKind::FeatureHealth => None,
        }
    }
}
