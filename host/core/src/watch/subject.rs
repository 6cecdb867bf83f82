//! What is known of a subject. Detectors do not know it: `feed` hands each the parts that it looks at.

use std::{collections::BTreeMap, sync::Arc};

use serde::{Deserialize, Serialize};
use trimtab_stats::Window;
use trimtab_types::{
    Baseline, BaselineSource, Confusion, Estimate, Finding, Metric, Provisional, Reference, Severity, Sizes,
    Timestamp,
};

use super::{
    by_class::ByClass,
    coverage::Due,
    difference::can_tell,
    events::Events,
    health::Health,
    pairs::Pairs,
    performance,
    provisional::Corrections,
    running::Running,
    sketches::{Open, Timelines},
    staleness::Arrivals,
    times::TimeCounts,
    trading,
    waiting::Waiting,
    window::Distribution,
};
use crate::{
    config::{Detectors, MetricSettings, Span},
    detector::DetectorKind,
    judged::JudgedRows,
    measure::{self, share_of},
    metric,
};

/// What the rows of a subject lead to. What is remembered of its findings is its diary, which no detector reads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SubjectState {
    /// Predictions logged.
    pub predictions: u64,
    /// Predictions resolved and judged.
    pub resolved: u64,
    /// Outcomes that can judge nothing: they are of another kind than their prediction.
    pub unjudged: u64,
    /// Whether the newest judged predictions were right, by their position.
    pub right: Window,
    /// Whether the newest trades won.
    pub won: Window,
    /// What was predicted and what was, of as many.
    pub(crate) pairs: Pairs,
    /// What precision, recall and F1 are looked at over, where that is watched.
    pub(crate) events: Events,
    /// Right ones by time.
    pub(crate) times: TimeCounts,
    /// When the newest prediction was made.
    pub newest: Option<Timestamp>,
    /// When predictions arrived.
    pub(crate) arrivals: Arrivals,
    /// The newest judged rows, as far as metrics are kept.
    pub(crate) rows: JudgedRows,
    /// Scores of the newest predictions without an outcome, as far as metrics are kept.
    pub(crate) waiting: Waiting,
    /// What it is held against. Stored by itself, because it is large and hardly ever changes.
    #[serde(skip)]
    pub baseline: Option<Arc<Baseline>>,
    /// The detectors that run, with their open episodes.
    pub(crate) detectors: BTreeMap<DetectorKind, Running>,
    /// Errors of each class.
    pub(crate) by_class: ByClass,
    /// Score and features by detector, in the order of the baseline's distributions or categories.
    pub(crate) distributions: BTreeMap<DetectorKind, Vec<Distribution>>,
    /// Whether score and features come as they did.
    pub(crate) health: Health,
    /// Sketches of the hour that each quantity is in, by name.
    pub(crate) open_hours: Vec<Open>,
    /// Sketches of hours and days before. Stored by themselves, because they are large and change once an hour.
    #[serde(skip)]
    pub(crate) timelines: Arc<Timelines>,
    /// Open episodes of detectors that look now and then, by quantity.
    pub(crate) episodes: BTreeMap<DetectorKind, BTreeMap<String, Box<Finding>>>,
    /// Outcomes that do not count yet, and corrections.
    pub(crate) corrections: Corrections,
    /// Which predictions came due and have an outcome, where that is watched.
    pub(crate) due: Due,
    /// Judged predictions that were there before the baseline and were not held against it, and how many had been judged then.
    pub(crate) unseen: (u64, u64),
}

impl Default for SubjectState {
    fn default() -> Self {
        Self {
            predictions: 0,
            resolved: 0,
            unjudged: 0,
            right: window(),
            won: window(),
            pairs: Pairs::default(),
            events: Events::default(),
            times: TimeCounts::default(),
            newest: None,
            arrivals: Arrivals::default(),
            rows: JudgedRows::default(),
            waiting: Waiting::default(),
            baseline: None,
            detectors: BTreeMap::new(),
            by_class: ByClass::default(),
            distributions: BTreeMap::new(),
            health: Health::default(),
            open_hours: Vec::new(),
            timelines: Arc::default(),
            episodes: BTreeMap::new(),
            corrections: Corrections::default(),
            due: Due::default(),
            unseen: (0, 0),
        }
    }
}

#[expect(clippy::expect_used, reason = "the constant capacity is within the documented range")]
fn window() -> Window {
    Window::new(Window::DEFAULT_CAPACITY).expect("a valid capacity")
}

impl SubjectState {
    /// So many of the newest judged predictions are held against a new baseline at once.
    pub const CAUGHT_UP: u64 = Window::DEFAULT_CAPACITY as u64;

    /// Accuracy over the newest `last` judged predictions (all, if there are fewer).
    pub fn accuracy(&self, last: usize) -> Option<Estimate> {
        share_of(&self.right, last)
    }

    /// Share of won trades among the newest `last`.
    pub fn win_rate(&self, last: usize) -> Option<Estimate> {
        share_of(&self.won, last)
    }

    /// Metrics of the newest judged predictions that are kept, by their names.
    pub fn metrics(&self, settings: &MetricSettings) -> Vec<Metric> {
        let rows = self.rows.newest(settings.window as usize);
        metric::Metric::ALL
            .into_iter()
            .filter_map(|metric| {
                Some(Metric {
                    name: metric.name().to_owned(),
                    estimate: measure::of(metric, &rows, settings)?,
                })
            })
            .collect()
    }

    /// Right and wrong ones among the newest judged predictions that are kept.
    pub fn confusion(&self, settings: &MetricSettings) -> Option<Confusion> {
        let counts = measure::confusion(&self.rows.newest(settings.window as usize))?;
        Some(Confusion {
            true_positive: counts.true_positive,
            false_positive: counts.false_positive,
            true_negative: counts.true_negative,
            false_negative: counts.false_negative,
        })
    }

    /// The newest change of each open episode.
    pub fn open_findings(&self) -> impl Iterator<Item = (DetectorKind, &Finding)> {
        let errors = self.detectors.iter().filter_map(|(kind, running)| Some((*kind, running.episode()?)));
        let distributions = self.distributions.iter().flat_map(|(kind, known)| {
            known.iter().filter_map(|known| Some((*kind, known.episode.as_deref()?)))
        });
        let others = self
            .episodes
            .iter()
            .flat_map(|(kind, open)| open.values().map(|finding| (*kind, finding.as_ref())));
        let health = self.health.open().map(|finding| (DetectorKind::FeatureHealth, finding));
        errors.chain(self.by_class.open()).chain(distributions).chain(health).chain(others)
    }

    /// What is watched and never looked at, and why: quantities whose distribution cannot be told from the baseline's, and
    /// metrics that the rows do not have.
    pub fn cannot_tell(&self, settings: &Detectors, metrics: &MetricSettings) -> Vec<String> {
        let mut all = self.cannot_tell_distributions(settings);
        if settings.feature_health.enabled && self.baseline.is_some() {
            let unknown = |name: &str| {
                format!("feature/{}: the baseline has no value of it", trimtab_types::shown(name))
            };
            all.extend(self.health.strangers().map(unknown));
        }
        if let (true, Some(baseline)) = (settings.performance.enabled, self.baseline.as_deref()) {
            let own = &settings.performance;
            let newest = performance::Newest { rows: &self.rows, events: &self.events };
            let why =
                |metric: &metric::Metric| performance::cannot_look(*metric, own, metrics, newest, baseline);
            all.extend(own.metrics.iter().filter_map(why));
        }
        if settings.trading.enabled {
            all.extend(trading::cannot_look(&settings.trading, metrics, &self.rows));
        }
        all
    }

    fn cannot_tell_distributions(&self, settings: &Detectors) -> Vec<String> {
        let (Some(baseline), Span::Rows(window)) = (&self.baseline, settings.psi.window) else {
            return Vec::new();
        };
        if !settings.psi.enabled {
            return Vec::new();
        }
        let of_one = |reference: &Reference| {
            let n: u64 = reference.counts.iter().sum();
            let window_worth = f64::from(window) * reference.worth / n.max(1) as f64;
            let sizes =
                Sizes { baseline: n, baseline_worth: reference.worth, window: window.into(), window_worth };
            (!can_tell(&sizes)).then(|| {
                format!(
                    "distribution of {}: {n} values of the baseline are worth {:.0} independent ones, and {window} are worth {window_worth:.0}",
                    reference.quantity(),
                    reference.worth
                )
            })
        };
        baseline.distributions.iter().filter_map(of_one).collect()
    }

    /// A baseline was set: what was judged before, and is not in it, is looked at only as far as it is kept.
    pub(crate) fn note_unseen(&mut self) {
        let Some(baseline) = &self.baseline else { return };
        let own = if baseline.source == BaselineSource::Given { 0 } else { baseline.samples };
        self.unseen = (self.resolved.saturating_sub(own + Self::CAUGHT_UP), self.resolved);
    }

    /// At most so many judged predictions were never held against the baseline, because it came after them. Once as many came
    /// since it is no longer news.
    pub fn unseen(&self) -> u64 {
        let (unseen, judged) = self.unseen;
        if self.resolved - judged.min(self.resolved) < unseen { unseen } else { 0 }
    }

    /// Outcomes that do not count yet, and those that were corrected after they had counted.
    pub fn provisional(&self) -> Provisional {
        self.corrections.shown(self.resolved)
    }

    /// Whether no further prediction is expected.
    pub fn is_retired(&self) -> bool {
        self.arrivals.is_retired()
    }

    /// The gravest open episode.
    pub fn worst(&self) -> Option<Severity> {
        self.open_findings().map(|(_, finding)| finding.severity).max()
    }

    /// How grave an open episode of a detector that looks now and then is.
    pub(crate) fn severity(&self, kind: DetectorKind, quantity: &str) -> Option<Severity> {
        Some(self.episodes.get(&kind)?.get(quantity)?.severity)
    }

    /// Betting evidence against "nothing changed" of each detector that bets, with the run length in bets that it is for.
    pub(crate) fn evidence(&self) -> impl Iterator<Item = (DetectorKind, f64, f64)> {
        self.detectors.iter().filter_map(|(kind, running)| {
            let (e_value, run_length) = running.evidence()?;
            Some((*kind, e_value, run_length))
        })
    }

    /// What the scores of the newest `last` predictions without an outcome suggest; `None`: fewer wait, or another metric.
    /// A score from `threshold` on predicts the positive class.
    pub fn estimated(&self, metric: metric::Metric, last: usize, threshold: f64) -> Option<Estimate> {
        self.waiting.estimated(&self.rows, metric, last, threshold)
    }

    /// What can be estimated of all predictions that wait and are kept; nothing where it is too few of them.
    pub fn estimates(&self, threshold: f64) -> Vec<Metric> {
        self.waiting.estimates(&self.rows, threshold)
    }
}
