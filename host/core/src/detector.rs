//! The detectors that this build has: their names and what each needs. Not their settings, see `config`, and not what they
//! do, see `watch`.

use serde::{Deserialize, Serialize};
use trimtab_types::AlertKind;

/// The detectors that this build has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum DetectorKind {
    /// e-Shiryaev–Roberts on the error, against the baseline.
    ESr,
    /// e-CUSUM on the error, against the baseline.
    ECusum,
    /// e-Shiryaev–Roberts on the error, against the stream's own past.
    OwnPast,
    /// ADWIN of the paper and of MOA.
    Adwin,
    /// ADWIN of river.
    AdwinRiver,
    /// Page–Hinkley.
    PageHinkley,
    /// DDM.
    Ddm,
    /// EDDM.
    Eddm,
    /// HDDM-A.
    HddmA,
    /// HDDM-W.
    HddmW,
    /// KSWIN.
    Kswin,
    /// One-proportion z-test of the rolling accuracy.
    AccuracyZ,
    /// Population stability index of score and features.
    Psi,
    /// Kolmogorov–Smirnov distance of score and features.
    Ks,
    /// Shares of categories and predicted classes.
    Categories,
    /// Expected calibration error.
    Calibration,
    /// Metrics below the baseline's.
    Performance,
    /// How trades go.
    Trading,
    /// Age of the newest prediction.
    Staleness,
    /// Share of due predictions that have an outcome.
    Coverage,
    /// Whether score and features come as they did.
    FeatureHealth,
}

impl DetectorKind {
    /// All of them, in the order in which they are fed.
    pub const ALL: [Self; 21] = [
        Self::ESr,
        Self::ECusum,
        Self::OwnPast,
        Self::Adwin,
        Self::AdwinRiver,
        Self::PageHinkley,
        Self::Ddm,
        Self::Eddm,
        Self::HddmA,
        Self::HddmW,
        Self::Kswin,
        Self::AccuracyZ,
        Self::Psi,
        Self::Ks,
        Self::Categories,
        Self::Calibration,
        Self::Performance,
        Self::Trading,
        Self::Staleness,
        Self::Coverage,
        Self::FeatureHealth,
    ];

    /// The name in findings and configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::ESr => "e-sr",
            Self::ECusum => "e-cusum",
            Self::OwnPast => "own-past",
            Self::Adwin => "adwin",
            Self::AdwinRiver => "adwin-river",
            Self::PageHinkley => "page-hinkley",
            Self::Ddm => "ddm",
            Self::Eddm => "eddm",
            Self::HddmA => "hddm-a",
            Self::HddmW => "hddm-w",
            Self::Kswin => "kswin",
            Self::AccuracyZ => "accuracy-z",
            Self::Psi => "psi",
            Self::Ks => "ks",
            Self::Categories => "categories",
            Self::Calibration => "calibration",
            Self::Performance => "performance",
            Self::Trading => "trading",
            Self::Staleness => "staleness",
            Self::Coverage => "coverage",
            Self::FeatureHealth => "feature-health",
        }
    }

    /// By its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What its alerts are about.
    pub(crate) fn alert_kind(self) -> AlertKind {
        match self {
            Self::Psi | Self::Ks | Self::Categories | Self::FeatureHealth => AlertKind::Data,
            Self::Staleness | Self::Coverage => AlertKind::Feed,
            Self::ESr
            | Self::ECusum
            | Self::OwnPast
            | Self::Adwin
            | Self::AdwinRiver
            | Self::PageHinkley
            | Self::Ddm
            | Self::Eddm
            | Self::HddmA
            | Self::HddmW
            | Self::Kswin
            | Self::AccuracyZ
            | Self::Calibration
            | Self::Performance
            | Self::Trading => AlertKind::Performance,
        }
    }

    /// What it watches of every error, if it does: the others look at windows now and then.
    pub(crate) fn judged_quantity(self) -> Option<&'static str> {
        match self {
            Self::AccuracyZ => Some("accuracy"),
            Self::Psi
            | Self::Ks
            | Self::Categories
            | Self::Calibration
            | Self::Performance
            | Self::Trading
            | Self::Staleness
            | Self::Coverage
            | Self::FeatureHealth => None,
            _ => Some("error"),
        }
    }

    /// Whether it watches how predictions were judged.
    pub(crate) fn is_judged(self) -> bool {
        self.judged_quantity().is_some()
            || matches!(self, Self::Calibration | Self::Performance | Self::Trading)
    }

    /// Whether it can only run against a baseline.
    pub fn needs_baseline(self) -> bool {
        matches!(
            self,
            Self::ESr
                | Self::ECusum
                | Self::AccuracyZ
                | Self::Psi
                | Self::Ks
                | Self::Categories
                | Self::Performance
                | Self::FeatureHealth
        )
    }
}
