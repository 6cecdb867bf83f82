//! A detector that takes every error, as it runs on a subject.

use serde::{Deserialize, Serialize};
use trimtab_stats::Window;
use trimtab_types::{Baseline, Finding};

use super::{
    accuracy_z,
    e_process::{self, EProcess},
    episode::{Change, Episode, severity_of},
    online::Online,
    pairs::Chance,
};
use crate::{config::Detectors, detector::DetectorKind};

/// A detector that runs, with its open episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Running {
    detector: Detector,
    /// The newest change of the open episode.
    pub(super) episode: Episode,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Detector {
    AgainstBaseline(EProcess),
    Online(Online),
    AccuracyZ,
}

impl Running {
    /// `None` where settings and baseline do not allow one.
    pub(super) fn new(kind: DetectorKind, settings: &Detectors, baseline: Option<&Baseline>) -> Option<Self> {
        let detector = match kind {
            DetectorKind::ESr | DetectorKind::ECusum => {
                Detector::AgainstBaseline(EProcess::new(kind, settings, baseline?)?)
            }
            DetectorKind::AccuracyZ => Detector::AccuracyZ,
            _ => Detector::Online(Online::new(kind, settings)?.ok()?),
        };
        Some(Self { detector, episode: None })
    }

    /// Takes an error. `right` says whether the newest judged predictions were right, this one among them.
    pub(super) fn feed(
        &mut self,
        kind: DetectorKind,
        settings: &Detectors,
        (right, baseline): (&Window, Option<&Baseline>),
        chance: Chance<'_>,
        error: f64,
    ) -> Option<Change> {
        let open = severity_of(&self.episode);
        match &mut self.detector {
            Detector::AgainstBaseline(process) => {
                process.feed(e_process::settings_of(kind, settings), (right, baseline), chance, open, error)
            }
            Detector::Online(detector) => detector.feed(open, error),
            Detector::AccuracyZ => accuracy_z::look(&settings.accuracy_z, right, baseline?, chance, open),
        }
    }

    /// The newest change of the open episode.
    pub(super) fn episode(&self) -> Option<&Finding> {
        self.episode.as_deref()
    }

    /// Betting evidence against "nothing changed", with the run length in bets that it is for, of one that bets.
    pub(super) fn evidence(&self) -> Option<(f64, f64)> {
        match &self.detector {
            Detector::AgainstBaseline(process) => Some(process.evidence()),
            Detector::Online(detector) => detector.evidence(),
            Detector::AccuracyZ => None,
        }
    }
}
