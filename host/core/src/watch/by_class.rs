//! Errors of each true class by themselves: a rare class can be missed altogether while the error rate hardly moves. Which
//! classes are watched, and against what, is in `trimtab-stats`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    EDetectorKind, LevelChange, TwoLevel,
    by_class::{ClassBaseline, ClassSettings},
    dependence::BlockInflation,
    two_level::Sum,
};
use trimtab_types::{Baseline, ClassErrors, Estimate, Finding, Severity};

use super::{
    e_process::settings_of,
    episode::{self, At, Change, Episode, Evidence},
};
use crate::{
    config::{Detectors, ESrSettings},
    detector::DetectorKind,
    measure::rate,
};

/// How many of the newest events of a class are "now".
const NEWEST: u32 = 30;

/// The streams of a subject, by detector and class. A class without events since the baseline has none.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct ByClass(BTreeMap<(DetectorKind, u32), Stream>);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Stream {
    watch: TwoLevel,
    newest: Newest,
    episode: Episode,
}

/// Whether the newest events were wrong: a bit each, the newest lowest.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Newest {
    wrong: u32,
    n: u32,
}

impl Newest {
    fn push(&mut self, is_wrong: bool) {
        self.wrong = (self.wrong << 1 | u32::from(is_wrong)) & ((1 << NEWEST) - 1);
        self.n = (self.n + 1).min(NEWEST);
    }
}

impl ByClass {
    /// Takes a judged prediction: its true class, and whether it was right.
    pub(super) fn take(
        &mut self,
        settings: &Detectors,
        baseline: &Baseline,
        (class, is_right): (u32, bool),
        at: At<'_>,
    ) -> Vec<Finding> {
        let watched = baseline.watched_classes();
        let Some(known) = watched.iter().find(|known| known.class == class) else {
            return Vec::new();
        };
        let mut found = Vec::new();
        for kind in [DetectorKind::ESr, DetectorKind::ECusum] {
            let own = settings_of(kind, settings);
            if !(own.enabled && own.by_class) {
                continue;
            }
            let stream = match self.0.entry((kind, class)) {
                std::collections::btree_map::Entry::Occupied(known) => known.into_mut(),
                std::collections::btree_map::Entry::Vacant(place) => {
                    match watch(kind, own, known, watched.len()) {
                        Some(watch) => {
                            place.insert(Stream { watch, newest: Newest::default(), episode: None })
                        }
                        None => continue,
                    }
                }
            };
            if let Some(change) = stream.feed(known, !is_right) {
                let quantity = known.quantity();
                found.extend(episode::advance(&mut stream.episode, (kind.name(), &quantity), change, at));
            }
        }
        found
    }

    /// Open episodes.
    pub(super) fn open(&self) -> impl Iterator<Item = (DetectorKind, &Finding)> {
        self.0.iter().filter_map(|((kind, _), stream)| Some((*kind, stream.episode.as_deref()?)))
    }

    /// Forgets the streams of a detector. Returns the episodes that were open.
    pub(super) fn end(&mut self, kind: DetectorKind) -> Vec<Episode> {
        let (ended, kept) = std::mem::take(&mut self.0).into_iter().partition(|((own, _), _)| *own == kind);
        self.0 = kept;
        let ended: BTreeMap<(DetectorKind, u32), Stream> = ended;
        ended.into_values().map(|stream| stream.episode).collect()
    }
}

impl Stream {
    fn feed(&mut self, known: &ClassErrors, is_wrong: bool) -> Option<Change> {
        self.newest.push(is_wrong);
        // 0 and 1 are always usable.
        let change = self.watch.update(f64::from(u8::from(is_wrong))).ok()??;
        let Newest { wrong, n } = self.newest;
        let newest = rate(u64::from(wrong.count_ones()), u64::from(n));
        // From where the evidence begins to grow: what was before is not now.
        let (now, of) = match self.watch.since_onset().and_then(rate_of) {
            Some(now) => (Some(now), "since it began"),
            None => (newest, "of the newest"),
        };
        let evidence = |sum: Sum, words: &str| Evidence {
            statistic: sum.e_value,
            threshold: sum.threshold,
            e_value: Some(sum.e_value),
            significant: true,
            baseline: rate(known.errors, known.events),
            current: now,
            window: format!(
                "{words}; now: {of}, {} of {} whose outcome was {} were predicted as something else",
                now.map_or(0.0, |now| libm::round(now.value * f64::from(now.samples))),
                now.map_or(0, |now| now.samples),
                known.name
            ),
            ..Evidence::default()
        };
        let full = self.watch.sums().full;
        Some(match change {
            LevelChange::Opened(_) => Change::Open(
                Severity::High,
                evidence(full, "those of this class alone, against the baseline"),
            ),
            LevelChange::Raised => Change::Raise(Severity::High, evidence(full, "those of this class alone")),
            LevelChange::Closed(sum) => {
                Change::Close(evidence(sum, "the share of errors in this class is below the limit again"))
            }
        })
    }
}

/// A share of so many.
fn rate_of(mean: trimtab_stats::Estimate) -> Option<Estimate> {
    rate(libm::round(mean.mean * mean.count as f64) as u64, mean.count)
}

/// The stream of a class; `None` where settings and baseline do not allow one.
fn watch(
    kind: DetectorKind,
    settings: &ESrSettings,
    known: &ClassErrors,
    classes: usize,
) -> Option<TwoLevel> {
    let ClassErrors { events, errors, worth, block, inflation, .. } = *known;
    let blocks = BlockInflation { block, inflation };
    let settings = ClassSettings {
        kind: match kind {
            DetectorKind::ECusum => EDetectorKind::Cusum,
            _ => EDetectorKind::ShiryaevRoberts,
        },
        average_run_length: settings.run_length,
        recovery_run_length: settings.recovery,
        tolerance: settings.tolerance,
        confidence: settings.confidence,
    };
    let classes = u32::try_from(classes).unwrap_or(u32::MAX);
    let config = ClassBaseline { events, errors, worth, blocks }.watch(&settings, classes).ok()?;
    TwoLevel::new(config).ok()
}
