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
    /// As what the newest wrong ones were predicted, newest last.
    taken_for: Vec<u32>,
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
    /// Takes a judged prediction: the class that was predicted, the true one, and whether it was right.
    pub(super) fn take(
        &mut self,
        settings: &Detectors,
        baseline: &Baseline,
        ((predicted, class), is_right): ((u32, u32), bool),
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
                        Some(watch) => place.insert(Stream {
                            watch,
                            newest: Newest::default(),
                            taken_for: Vec::new(),
                            episode: None,
                        }),
                        None => continue,
                    }
                }
            };
            let name = |class: u32| {
                let named = baseline.classes.iter().find(|known| known.class == class);
                named.map_or_else(|| class.to_string(), |known| known.name.clone())
            };
            let wrong = (!is_right).then_some(predicted);
            if let Some(change) = stream.feed(known, wrong, name) {
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
    /// Takes an event of the class: as what else it was predicted, if it was. `name` is what people call a class.
    fn feed(
        &mut self,
        known: &ClassErrors,
        wrong: Option<u32>,
        name: impl Fn(u32) -> String,
    ) -> Option<Change> {
        let is_wrong = wrong.is_some();
        self.newest.push(is_wrong);
        if let Some(taken) = wrong {
            if self.taken_for.len() == NEWEST as usize {
                self.taken_for.remove(0);
            }
            self.taken_for.push(taken);
        }
        // 0 and 1 are always usable.
        let change = self.watch.update(f64::from(u8::from(is_wrong))).ok()??;
        let Newest { wrong, n } = self.newest;
        let newest = rate(u64::from(wrong.count_ones()), u64::from(n));
        // From where the evidence begins to grow, or the newest alone where more of them are wrong: what was before is not now.
        let since = self.watch.since_onset().and_then(rate_of);
        let is_worse = |newest: &Estimate| since.is_none_or(|since| newest.value > since.value);
        let (now, of) = match newest.filter(is_worse) {
            Some(newest) => (Some(newest), "of the newest"),
            None => (since, "since it began"),
        };
        let mostly = self.mostly().map_or(String::new(), |class| format!(", mostly as {}", name(class)));
        let evidence = |sum: Sum, words: &str| Evidence {
            statistic: sum.e_value,
            threshold: sum.threshold,
            e_value: Some(sum.e_value),
            significant: true,
            baseline: rate(known.errors, known.events),
            current: now,
            window: format!(
                "{words}; now: {of}, {} of {} whose outcome was {} were predicted as something else{mostly}",
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

impl Stream {
    /// As what more than half of the newest wrong ones were predicted.
    fn mostly(&self) -> Option<u32> {
        let mut counts: BTreeMap<u32, usize> = BTreeMap::new();
        self.taken_for.iter().for_each(|class| *counts.entry(*class).or_default() += 1);
        counts.into_iter().find(|(_, count)| 2 * count > self.taken_for.len()).map(|(class, _)| class)
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
