//! Hands what happens to a subject to the detectors that are switched on, each with the parts that it looks at, and brings
//! their episodes forward. What each finds is its own; see the files beside this one.

use std::collections::{BTreeMap, btree_map};

use trimtab_types::{
    Baseline, Finding, Judged, ModelKey, Outcome, Position, Predicted, Prediction, Supply, Timestamp,
    can_judge,
};

use super::{
    calibration, categories, coverage,
    episode::{self, At, Evidence},
    events::Events,
    ks,
    look::Look,
    pairs::{Chance, Pairs},
    performance, psi,
    running::Running,
    sketches, staleness,
    subject::SubjectState,
    times::TimeCounts,
    trading,
    window::Distribution,
};
use crate::{
    Configuration,
    config::{Detectors, MetricSettings, Span},
    detector::DetectorKind,
    judged::{JudgedRow, JudgedRows},
};

/// What the configuration in force says of a model's subjects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings<'a> {
    detectors: &'a Detectors,
    metrics: &'a MetricSettings,
    /// The accuracy of pure chance, where it is said.
    chance: Option<f64>,
    rows_kept: u32,
}

impl<'a> Settings<'a> {
    /// Of a model.
    pub(crate) fn of(configuration: &'a Configuration, model: &ModelKey) -> Self {
        let rule = configuration.rule(model);
        let detectors = configuration.detectors_by(rule);
        Self {
            detectors,
            metrics: &configuration.metrics,
            chance: rule.and_then(|rule| rule.chance),
            rows_kept: configuration.rows_kept(detectors),
        }
    }
}

/// A prediction at a position, held against its outcome.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) position: Position,
    pub(crate) prediction: &'a Prediction,
    pub(crate) outcome: &'a Outcome,
    pub(crate) judged: Judged,
}

impl Pair<'_> {
    fn row(&self) -> JudgedRow {
        JudgedRow::of(self.position, self.prediction, self.outcome, self.judged)
    }
}

/// Why episodes end of what a person retired.
const RETIRED: &str = "closed because it was retired: nothing more of it is expected";

impl SubjectState {
    /// Takes a prediction. Returns the changes of episodes, and whether sketches changed that are older than their hour.
    pub(crate) fn arrive(
        &mut self,
        settings: Settings<'_>,
        prediction: &Prediction,
        at: At<'_>,
    ) -> (Vec<Finding>, bool) {
        self.predictions += 1;
        if let Predicted::Binary(score) = prediction.predicted {
            self.waiting.push(at.position, score, settings.metrics.window as usize);
        }
        let settings = settings.detectors;
        let mut found = self.expect_next(settings, prediction, at);
        found.extend(self.distribute(settings, prediction, at));
        let sketches = (&mut self.open_hours, &mut self.timelines);
        (found, sketches::take(sketches, settings, prediction, at.clock))
    }

    /// A prediction has its first outcome, whether it counts already or not: it does not stay away.
    pub(crate) fn came(&mut self, settings: Settings<'_>, prediction: &Prediction) {
        if settings.detectors.coverage.enabled {
            self.due.resolved(prediction);
        }
    }

    /// Takes a prediction that is judged by its outcome. Returns the changes of episodes.
    pub(crate) fn resolve(&mut self, settings: Settings<'_>, pair: Pair<'_>, at: At<'_>) -> Vec<Finding> {
        self.count(pair, settings.rows_kept, at.clock);
        if let (true, Some(positive)) = (settings.detectors.performance.enabled, pair.judged.positive) {
            self.events.push(pair.position, positive, settings.detectors.performance.window);
        }
        let mut found = match pair.judged.right.zip(pair.judged.error) {
            Some(judged) => self.detect(settings, |_| true, judged, at),
            None => Vec::new(),
        };
        if let (Some(classes), Some(right), Some(baseline)) =
            (pair.judged.classes, pair.judged.right, self.baseline.as_deref())
        {
            found.extend(self.by_class.take(settings.detectors, baseline, (classes, right), at));
        }
        found.extend(self.examine(settings, pair.judged, at));
        found
    }

    /// An outcome was corrected: windows and counts by time follow; sequential evidence stands, because a bet once
    /// placed is not taken back. `before` is the pair as it was.
    pub(crate) fn correct(&mut self, before: Pair<'_>, after: Pair<'_>, now: Timestamp) {
        let position = after.position.0;
        match (before.judged.right, after.judged.right) {
            (Some(was), Some(is)) => {
                self.corrections.corrected(after.prediction, after.outcome, after.judged);
                self.right.amend(position, is);
                self.times.remove(before.outcome.time, was);
                self.times.add(after.outcome.time, is, now);
            }
            // The outcome before was of another kind: this is the first that judges.
            (None, Some(is)) => {
                self.resolved += 1;
                self.right.push(position, is);
                self.times.add(after.outcome.time, is, now);
            }
            (_, None) => {}
        }
        if !can_judge(before.prediction, before.outcome) && can_judge(after.prediction, after.outcome) {
            self.unjudged = self.unjudged.saturating_sub(1);
        }
        if let Some(positive) = after.judged.positive {
            self.events.amend(after.position, positive);
        }
        self.pairs.amend(after.position, after.prediction, after.outcome, after.judged);
        if let Some(won) = after.judged.won {
            self.won.amend(position, won);
        }
        self.rows.amend(after.row());
    }

    /// What was right so far was so by other rules.
    pub(crate) fn forget_judgements(&mut self) {
        self.right.clear();
        self.won.clear();
        self.pairs = Pairs::default();
        self.events = Events::default();
        self.times = TimeCounts::default();
        self.rows = JudgedRows::default();
    }

    fn count(&mut self, pair: Pair<'_>, rows_kept: u32, now: Timestamp) {
        let Pair { position, prediction, outcome, judged } = pair;
        self.waiting.resolved(position);
        self.unjudged += u64::from(!can_judge(prediction, outcome));
        if let Some(right) = judged.right {
            self.corrections.judged(judged);
            self.resolved += 1;
            self.right.push(position.0, right);
            self.pairs.push(position, prediction, outcome, judged);
            self.times.add(outcome.time, right, now);
        }
        if let Some(won) = judged.won {
            self.won.push(position.0, won);
        }
        if rows_kept == 0 {
            self.rows = JudgedRows::default();
        } else if judged.right.is_some() || judged.won.is_some() {
            self.rows.push(pair.row(), rows_kept as usize);
        }
    }

    /// A prediction is there: its outcome is expected, and predictions are no longer missing.
    fn expect_next(&mut self, settings: &Detectors, prediction: &Prediction, at: At<'_>) -> Vec<Finding> {
        self.newest = self.newest.max(Some(prediction.time));
        if settings.coverage.enabled {
            self.due.expect(&settings.coverage, prediction);
        }
        if !settings.staleness.enabled {
            return Vec::new();
        }
        self.arrivals.arrived(&settings.staleness, prediction.served, at.clock);
        if self.severity(DetectorKind::Staleness, staleness::AGE).is_none() {
            return Vec::new();
        }
        let now =
            staleness::Now { clock: at.clock, awake: at.clock, others: &|_, _| staleness::Others::Silent };
        let look = staleness::look(&settings.staleness, &self.arrivals, now);
        self.conclude(look, at)
    }

    /// Holds score and features against the baseline.
    fn distribute(&mut self, settings: &Detectors, prediction: &Prediction, at: At<'_>) -> Vec<Finding> {
        let Some(baseline) = &self.baseline else { return Vec::new() };
        let predictions = self.predictions;
        let is_due = |every: u32| predictions.is_multiple_of(u64::from(every));
        let (numbers, names) = (&baseline.distributions, &baseline.categories);
        let mut found = Vec::new();
        if settings.feature_health.enabled {
            let row = (prediction, predictions.saturating_sub(1));
            let (changes, gone) = self.health.take(&settings.feature_health, &baseline.supplies, row, at);
            found.extend(changes);
            for supply in gone.into_iter().filter_map(|quantity| baseline.supplies.get(quantity)) {
                found.extend(end_of(&mut self.distributions, baseline, supply, at));
            }
        }
        if let (true, Span::Rows(window)) = (settings.psi.enabled, settings.psi.window) {
            let known = windows(&mut self.distributions, DetectorKind::Psi, numbers.len());
            psi::take(numbers, prediction, window as usize, known);
            if is_due(settings.psi.every) {
                found.extend(psi::test(&settings.psi, numbers, window as usize, known, at));
            }
        }
        if let (true, Span::Rows(window)) = (settings.ks.enabled, settings.ks.window) {
            let known = windows(&mut self.distributions, DetectorKind::Ks, numbers.len());
            ks::take(numbers, prediction, window as usize, known);
            if is_due(settings.ks.every) {
                found.extend(ks::test(&settings.ks, numbers, known, at));
            }
        }
        if settings.categories.enabled && !names.is_empty() {
            let known = windows(&mut self.distributions, DetectorKind::Categories, names.len());
            categories::take(names, prediction, settings.categories.window as usize, known);
            if is_due(settings.categories.every) {
                found.extend(categories::test(&settings.categories, names, known, at));
            }
        }
        found
    }

    /// Holds the newest judged predictions that came after those of a new baseline against it, so that what is so already is
    /// found at once.
    pub(crate) fn catch_up(&mut self, settings: Settings<'_>, at: At<'_>) -> Vec<Finding> {
        let Some(baseline) = self.baseline.clone() else { return Vec::new() };
        let rows = self.pairs.judged_by(baseline.errors);
        if baseline.errors.is_some() {
            // What was right so far was judged by another scale.
            self.right.clear();
            rows.iter().for_each(|row| self.right.push(row.position.0, row.right));
        }
        let after = baseline.last.unwrap_or(Position(0));
        let mut found = Vec::new();
        for row in rows.into_iter().filter(|row| row.position > after) {
            let at = At { row: row.position, ..at };
            let error = f64::from(u8::from(!row.right));
            found.extend(self.detect(settings, DetectorKind::needs_baseline, (row.right, error), at));
            if let Some(classes) = row.classes {
                found.extend(self.by_class.take(settings.detectors, &baseline, (classes, row.right), at));
            }
        }
        found
    }

    /// Feeds an error to every detector of these that takes each of them.
    fn detect(
        &mut self,
        settings: Settings<'_>,
        of_these: fn(DetectorKind) -> bool,
        (right, error): (bool, f64),
        at: At<'_>,
    ) -> Vec<Finding> {
        let Settings { detectors: settings, chance, .. } = settings;
        let baseline = self.baseline.as_deref();
        let chance = Chance {
            said: chance.or_else(|| baseline?.chance),
            median: baseline.and_then(|baseline| Some(baseline.errors?.median_outcome)),
            pairs: &self.pairs,
        };
        let mut found = Vec::new();
        for kind in DetectorKind::ALL {
            let Some(quantity) = kind.judged_quantity() else { continue };
            if !settings.is_enabled(kind) || !of_these(kind) || (kind.needs_baseline() && baseline.is_none())
            {
                continue;
            }
            let running = match self.detectors.entry(kind) {
                btree_map::Entry::Occupied(known) => known.into_mut(),
                btree_map::Entry::Vacant(place) => match Running::new(kind, settings, baseline) {
                    Some(running) => place.insert(running),
                    None => continue,
                },
            };
            // Against a baseline that knows how large errors of a regression are usually, a large one is an error.
            let by_size = kind.needs_baseline() && baseline.is_some_and(|baseline| baseline.errors.is_some());
            let error = if by_size { f64::from(u8::from(!right)) } else { error };
            if let Some(change) = running.feed(kind, settings, (&self.right, baseline), chance, error) {
                found.extend(episode::advance(&mut running.episode, (kind.name(), quantity), change, at));
            }
        }
        found
    }

    /// Looks at the newest judged rows after another one.
    fn examine(&mut self, settings: Settings<'_>, judged: Judged, at: At<'_>) -> Vec<Finding> {
        let Settings { detectors: settings, metrics, .. } = settings;
        let is_due = |every: u32| judged.right.is_some() && self.resolved.is_multiple_of(u64::from(every));
        let (rows, baseline) = (&self.rows, self.baseline.as_deref());
        let mut looks = Vec::new();
        if settings.calibration.enabled && is_due(settings.calibration.every) {
            looks.extend(calibration::look(&settings.calibration, rows, baseline));
        }
        if let Some(baseline) = baseline
            && settings.performance.enabled
            && is_due(settings.performance.every)
        {
            let newest = performance::Newest { rows, events: &self.events };
            let look = |metric| performance::look(metric, &settings.performance, metrics, newest, baseline);
            looks.extend(settings.performance.metrics.iter().copied().filter_map(look));
        }
        if settings.trading.enabled && judged.won.is_some() {
            looks.extend(trading::looks(&settings.trading, metrics, (rows, &self.won), baseline));
        }
        self.conclude(looks, at)
    }

    /// Looks at what stays away and at stretches of time; at the latter and at outcomes once an hour.
    pub(crate) fn as_time_passes(
        &self,
        settings: &Detectors,
        now: staleness::Now<'_>,
        is_new_hour: bool,
    ) -> Vec<Look> {
        // What a person retired is nobody's to miss, its outcomes neither.
        if self.arrivals.is_retired() {
            return Vec::new();
        }
        let mut looks = Vec::new();
        if settings.staleness.enabled {
            looks.extend(staleness::look(&settings.staleness, &self.arrivals, now));
        }
        if settings.coverage.enabled && is_new_hour {
            looks.extend(coverage::look(&settings.coverage, &self.due, now.clock));
        }
        if is_new_hour {
            looks.extend(self.over_time(settings, now.clock));
        }
        looks
    }

    /// Holds the recent stretch of each quantity against the earlier one.
    fn over_time(&self, settings: &Detectors, now: Timestamp) -> Vec<Look> {
        sketches::look(&self.open_hours, &self.timelines, settings, now)
    }

    /// Whether what was found changes an episode.
    pub(crate) fn is_changed_by(&self, look: &Look) -> bool {
        let open = self.severity(look.kind, &look.quantity);
        episode::change(open, look.level, look.recovered, Evidence::default).is_some()
    }

    /// Opens, raises and closes episodes by what was found.
    pub(crate) fn conclude(&mut self, looks: impl IntoIterator<Item = Look>, at: At<'_>) -> Vec<Finding> {
        let mut found = Vec::new();
        for Look { kind, quantity, level, recovered, evidence } in looks {
            let open = self.severity(kind, &quantity);
            let Some(change) = episode::change(open, level, recovered, || evidence) else { continue };
            let episodes = self.episodes.entry(kind).or_default();
            let mut episode = episodes.remove(quantity.as_ref());
            found.extend(episode::advance(&mut episode, (kind.name(), quantity.as_ref()), change, at));
            if let Some(open) = episode {
                episodes.insert(quantity.into_owned(), open);
            }
        }
        found
    }

    /// No further prediction is expected. What is open ends, and everything starts anew if one comes all the same.
    pub(crate) fn retire(&mut self, at: At<'_>) -> Vec<Finding> {
        self.arrivals.retire();
        let ended = self.restart(&DetectorKind::ALL, at);
        ended.into_iter().map(|ended| Finding { window: RETIRED.to_owned(), ..ended }).collect()
    }

    /// A quantity is no longer expected. What is open about it ends; the next prediction that has it takes that back.
    pub(crate) fn retire_feature(&mut self, feature: &str, at: At<'_>) -> Vec<Finding> {
        let Some(baseline) = self.baseline.clone() else { return Vec::new() };
        let is_named = |supply: &Supply| supply.feature.as_deref() == Some(feature);
        let Some(place) = baseline.supplies.iter().position(is_named) else { return Vec::new() };
        let ended = self.health.retire(place).into_iter().filter_map(|open| episode::end(open, at));
        let mut ended: Vec<Finding> = ended.collect();
        if let Some(supply) = baseline.supplies.get(place) {
            ended.extend(end_of(&mut self.distributions, &baseline, supply, at));
        }
        ended.into_iter().map(|ended| Finding { window: RETIRED.to_owned(), ..ended }).collect()
    }

    /// Stops detectors, so that they start anew with the next row. Returns the episodes that this closed.
    pub(crate) fn restart(&mut self, kinds: &[DetectorKind], at: At<'_>) -> Vec<Finding> {
        let mut ended = Vec::new();
        for kind in kinds {
            ended.extend(self.detectors.remove(kind).map(|running| running.episode));
            ended.extend(self.by_class.end(*kind));
            let known = self.distributions.remove(kind).into_iter().flatten();
            ended.extend(known.map(|known| known.episode));
            if *kind == DetectorKind::Performance {
                self.events = Events::default();
            }
            if *kind == DetectorKind::FeatureHealth {
                ended.extend(self.health.end());
            }
            ended.extend(self.episodes.remove(kind).into_iter().flatten().map(|(_, open)| Some(open)));
        }
        ended.into_iter().filter_map(|open| episode::end(open, at)).collect()
    }

    /// The newest p-value of each quantity that is tested.
    pub(crate) fn p_values(&self, settings: &Detectors, now: Timestamp) -> Vec<(DetectorKind, String, f64)> {
        let mut found = Vec::new();
        for (kind, known) in &self.distributions {
            let quantity = |index: usize| -> Option<String> {
                let baseline = self.baseline.as_ref()?;
                match kind {
                    DetectorKind::Categories => baseline.categories.get(index).map(|known| known.quantity()),
                    _ => baseline.distributions.get(index).map(|known| known.quantity()),
                }
            };
            found.extend(
                known
                    .iter()
                    .enumerate()
                    .filter_map(|(index, known)| Some((*kind, quantity(index)?, known.p_value?))),
            );
        }
        let mut looks = self.over_time(settings, now);
        if settings.calibration.enabled {
            looks.extend(calibration::look(&settings.calibration, &self.rows, self.baseline.as_deref()));
        }
        found.extend(
            looks
                .into_iter()
                .filter_map(|look| Some((look.kind, look.quantity.into_owned(), look.evidence.p_value?))),
        );
        found
    }
}

/// Ends what is open about how a quantity is distributed, because it is no longer sent.
fn end_of(
    all: &mut BTreeMap<DetectorKind, Vec<Distribution>>,
    baseline: &Baseline,
    supply: &Supply,
    at: At<'_>,
) -> Vec<Finding> {
    let of_numbers = baseline.distributions.iter().position(|known| known.feature == supply.feature);
    let of_names = baseline.categories.iter().position(|known| known.feature == supply.feature);
    let places = [
        (DetectorKind::Psi, of_numbers),
        (DetectorKind::Ks, of_numbers),
        (DetectorKind::Categories, of_names),
    ];
    let mut ended = Vec::new();
    for (kind, place) in places {
        let Some(known) = place.and_then(|place| all.get_mut(&kind)?.get_mut(place)) else { continue };
        ended.extend(
            episode::end(std::mem::take(known).episode, at).map(|finding| Finding {
                window: "closed because it is no longer sent".to_owned(),
                ..finding
            }),
        );
    }
    ended
}

/// A detector's windows, one for each quantity of the baseline.
fn windows(
    all: &mut BTreeMap<DetectorKind, Vec<Distribution>>,
    kind: DetectorKind,
    quantities: usize,
) -> &mut Vec<Distribution> {
    let known = all.entry(kind).or_default();
    known.resize_with(quantities, Distribution::default);
    known
}
