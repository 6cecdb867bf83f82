//! Whether score and features still come as they did in the baseline: missing, outside its bounds, under a name that it does
//! not hold, or stuck. A stream of yes and no for each; the streams and their limits are in `trimtab-stats`.

use std::{collections::BTreeSet, sync::Arc};

use serde::{Deserialize, Serialize};
use trimtab_stats::{
    StatsError,
    health::{Extent, HealthChange, HealthLimit, HealthStream, allowed, allowed::Allowed},
};
use trimtab_types::{
    Estimate, Feature, Finding, Predicted, Prediction, QuantityKind, Severity, Supply, shown,
};

use super::{
    episode::{self, At, Change, Episode, Evidence},
    look::number,
};
use crate::{config::FeatureHealthSettings, detector::DetectorKind};

/// Values that a finding names.
const NAMED: usize = 3;
/// Longest part of a value that is named.
const LONGEST: usize = 40;
/// Streams of a quantity.
const STREAMS: usize = 3;
/// Features without a baseline that are named.
const STRANGERS: usize = 16;
/// A baseline that is worth less knows little of a range.
const KNOWS_LITTLE: f64 = 50.0;

/// What is wrong with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Fault {
    Missing,
    /// Outside its bounds, or a name that the baseline does not hold.
    Foreign,
    Repeated,
}

const FAULTS: [Fault; STREAMS] = [Fault::Missing, Fault::Foreign, Fault::Repeated];

/// The streams of a subject. What rests is not here.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Health {
    /// By quantity, in the baseline's order, and fault.
    live: Vec<Live>,
    /// What each quantity was, as far as it takes to see that it is the same again.
    previous: Vec<Option<u64>>,
    /// Features that come and of which the baseline has no value, the first few.
    strangers: BTreeSet<String>,
    /// Quantities that are no longer expected, because a person said so.
    retired: BTreeSet<u32>,
    /// Follows from baseline and settings.
    #[serde(skip)]
    limits: Option<Arc<[Limits]>>,
}

/// What a quantity is held to; `None`: not watched, or it cannot be told.
type Limits = [Option<HealthLimit>; STREAMS];

/// A stream that does not rest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Live {
    quantity: u32,
    fault: Fault,
    stream: HealthStream,
    /// Of those that are missing: with a value of the other kind.
    other_kind: u32,
    /// The newest foreign values, newest last.
    foreign: Vec<String>,
    episode: Episode,
}

/// A quantity of a prediction.
#[derive(Clone, Copy)]
enum Value<'a> {
    Number(f64),
    Name(&'a str),
}

impl Health {
    /// Takes a prediction, the subject's `row`-th from 0. Returns the changes of episodes, and which quantities have just
    /// been found to be no longer sent.
    pub(super) fn take(
        &mut self,
        settings: &FeatureHealthSettings,
        supplies: &[Supply],
        (prediction, row): (&Prediction, u64),
        at: At<'_>,
    ) -> (Vec<Finding>, Vec<usize>) {
        let (mut found, mut gone) = (Vec::new(), Vec::new());
        if supplies.is_empty() {
            return (found, gone);
        }
        let limits = match &self.limits {
            Some(limits) => Arc::clone(limits),
            None => Arc::clone(self.limits.insert(limits_of(settings, supplies))),
        };
        self.previous.resize(supplies.len(), None);
        let class = match prediction.predicted {
            Predicted::Multiclass(class) => Some(class.to_string()),
            _ => None,
        };
        let features = &prediction.features;
        let (mut next, mut live) = (0, 0);
        let mut met = 0;
        for (quantity, (supply, limits)) in supplies.iter().zip(limits.iter()).enumerate() {
            let value = match supply.feature.as_deref() {
                None => output(prediction, class.as_deref()),
                Some(name) => {
                    while features.names.get(next).is_some_and(|other| other.as_str() < name) {
                        next += 1;
                    }
                    let is_there = features.names.get(next).is_some_and(|other| other.as_str() == name);
                    met += usize::from(is_there);
                    is_there.then(|| features.values.get(next)).flatten().map(|value| match value {
                        Feature::Number(number) => Value::Number(*number),
                        Feature::Category(name) => Value::Name(name),
                    })
                }
            };
            let own = value.filter(|value| value.kind() == supply.kind);
            let number = u32::try_from(quantity).unwrap_or(u32::MAX);
            if own.is_some() && !self.retired.is_empty() {
                self.retired.remove(&number);
            }
            let is_retired = self.retired.contains(&number);
            let mark = own.map(Value::mark);
            let is_repeated = mark.is_some() && mark == self.previous[quantity];
            if mark.is_some() {
                self.previous[quantity] = mark;
            }
            let hits = [
                own.is_none() && !is_retired,
                own.is_some_and(|value| is_foreign(supply, value)),
                is_repeated,
            ];
            for ((fault, limit), is_hit) in FAULTS.into_iter().zip(limits).zip(hits) {
                let is_live = self
                    .live
                    .get(live)
                    .is_some_and(|known| (known.quantity as usize, known.fault) == (quantity, fault));
                let Some(limit) = limit else { continue };
                if !is_live && !is_hit {
                    continue;
                }
                if !is_live {
                    self.live.insert(live, Live::new(quantity, fault));
                }
                let known = &mut self.live[live];
                if is_hit {
                    known.keep(value);
                }
                // The limit was checked when it was made.
                if let Ok(Some(change)) = known.stream.update(limit, row, is_hit) {
                    if fault == Fault::Missing && extent_of(change) == Some(Extent::All) {
                        gone.push(quantity);
                    }
                    found.extend(known.tell(change, (supply, limit), at));
                }
                if known.stream.is_resting() && known.episode.is_none() {
                    self.live.remove(live);
                } else {
                    live += 1;
                }
            }
        }
        if met + self.strangers.len() < features.names.len() && self.strangers.len() < STRANGERS {
            let is_known = |name: &str| supplies.iter().any(|supply| supply.feature.as_deref() == Some(name));
            let unknown = features.names.iter().filter(|name| !is_known(name));
            let room = STRANGERS - self.strangers.len();
            let new: Vec<_> =
                unknown.filter(|name| !self.strangers.contains(*name)).take(room).cloned().collect();
            self.strangers.extend(new);
        }
        (found, gone)
    }

    /// Features that come and of which the baseline has no value.
    pub(super) fn strangers(&self) -> impl Iterator<Item = &str> {
        self.strangers.iter().map(String::as_str)
    }

    /// Open episodes.
    pub(super) fn open(&self) -> impl Iterator<Item = &Finding> {
        self.live.iter().filter_map(|known| known.episode.as_deref())
    }

    /// A quantity is no longer expected. Returns the episodes of it that were open.
    pub(super) fn retire(&mut self, quantity: usize) -> Vec<Episode> {
        let number = u32::try_from(quantity).unwrap_or(u32::MAX);
        self.retired.insert(number);
        let (ended, live) =
            std::mem::take(&mut self.live).into_iter().partition(|known| known.quantity == number);
        self.live = live;
        let ended: Vec<Live> = ended;
        ended.into_iter().map(|known| known.episode).collect()
    }

    /// Forgets everything. Returns the episodes that were open.
    pub(super) fn end(&mut self) -> Vec<Episode> {
        std::mem::take(self).live.into_iter().map(|known| known.episode).collect()
    }
}

/// The limits of each quantity.
fn limits_of(settings: &FeatureHealthSettings, supplies: &[Supply]) -> Arc<[Limits]> {
    let run_length = settings.run_length * (STREAMS * supplies.len()) as f64;
    let margins = settings.margins();
    let of = |supply: &Supply| {
        let bound = |allowed: Result<Allowed, StatsError>, block: u16| {
            let Ok(Allowed::UpTo(limit)) = allowed else { return None };
            let block = block.max(settings.block);
            let limit = HealthLimit::new(limit, block, run_length.max(2.0 * f64::from(block))).ok()?;
            Some(HealthLimit { recovery_run_length: settings.recovery, ..limit })
        };
        let (missing, repeated) = (supply.missing, supply.repeated);
        let foreign = match (&supply.bounds, &supply.names) {
            (Some(bounds), _) => {
                let known = allowed::Bounds {
                    low: bounds.low,
                    high: bounds.high,
                    wild: bounds.wild,
                    n: bounds.n,
                    block: bounds.block,
                };
                bound(known.allowed(bounds.worth, &margins), bounds.block)
            }
            (None, Some(names)) => bound(allowed::new(names.once, names.n, names.worth, &margins), 1),
            (None, None) => None,
        };
        [
            bound(allowed::missing(missing.count, supply.n, missing.worth, &margins), 1),
            foreign,
            bound(allowed::repeated(repeated.count, supply.n, repeated.worth, &margins), 1),
        ]
    };
    supplies.iter().map(of).collect()
}

impl Value<'_> {
    fn kind(self) -> QuantityKind {
        match self {
            Self::Number(_) => QuantityKind::Number,
            Self::Name(_) => QuantityKind::Category,
        }
    }

    /// What tells it from others: a number's bits, a name's hash (FNV-1a).
    fn mark(self) -> u64 {
        match self {
            Self::Number(number) => number.to_bits(),
            Self::Name(name) => name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            }),
        }
    }

    /// As a finding names it: short, and safe to print.
    fn words(self) -> String {
        match self {
            Self::Number(number) => format!("{number}"),
            Self::Name(name) => {
                let short: String = name.chars().take(LONGEST).collect();
                shown(&short).into_owned()
            }
        }
    }
}

/// The score of a prediction, or its class.
fn output<'a>(prediction: &Prediction, class: Option<&'a str>) -> Option<Value<'a>> {
    match prediction.predicted {
        Predicted::Binary(score) | Predicted::Regression(score) => Some(Value::Number(score)),
        Predicted::Direction(direction) => Some(Value::Number(f64::from(direction))),
        Predicted::Multiclass(_) => class.map(Value::Name),
    }
}

fn is_foreign(supply: &Supply, value: Value<'_>) -> bool {
    match (value, &supply.bounds, &supply.names) {
        (Value::Number(number), Some(bounds), _) => number < bounds.low || number > bounds.high,
        (Value::Name(name), _, Some(names)) => {
            names.known.binary_search_by(|known| known.as_str().cmp(name)).is_err()
        }
        _ => false,
    }
}

fn extent_of(change: HealthChange) -> Option<Extent> {
    match change {
        HealthChange::Opened(extent) | HealthChange::Raised(extent) => Some(extent),
        HealthChange::Closed => None,
    }
}

impl Live {
    fn new(quantity: usize, fault: Fault) -> Self {
        Self {
            quantity: u32::try_from(quantity).unwrap_or(u32::MAX),
            fault,
            stream: HealthStream::default(),
            other_kind: 0,
            foreign: Vec::new(),
            episode: None,
        }
    }

    /// Keeps what a finding names of a value that is a hit.
    fn keep(&mut self, value: Option<Value<'_>>) {
        match self.fault {
            Fault::Missing => self.other_kind = self.other_kind.saturating_add(u32::from(value.is_some())),
            Fault::Foreign => {
                let Some(words) = value.map(Value::words) else { return };
                self.foreign.retain(|known| *known != words);
                if self.foreign.len() == NAMED {
                    self.foreign.remove(0);
                }
                self.foreign.push(words);
            }
            Fault::Repeated => {}
        }
    }

    /// Brings the episode forward.
    fn tell(&mut self, change: HealthChange, of: (&Supply, &HealthLimit), at: At<'_>) -> Vec<Finding> {
        let severity = |extent| match (extent, self.fault) {
            (Extent::All, Fault::Missing) => Severity::Critical,
            (Extent::All | Extent::Half, _) => Severity::High,
            (Extent::Some, _) => Severity::Medium,
        };
        let (supply, _) = of;
        let evidence = self.evidence(of, change);
        let change = match change {
            HealthChange::Opened(extent) => Change::Open(severity(extent), evidence),
            // All of it is no graver than half of it where that is grave already.
            HealthChange::Raised(extent) if episode::severity_of(&self.episode) >= Some(severity(extent)) => {
                return Vec::new();
            }
            HealthChange::Raised(extent) => Change::Raise(severity(extent), evidence),
            HealthChange::Closed => Change::Close(evidence),
        };
        let quantity = format!("{} ({})", supply.quantity(), self.word(supply));
        episode::advance(&mut self.episode, (DetectorKind::FeatureHealth.name(), &quantity), change, at)
    }

    fn word(&self, supply: &Supply) -> &'static str {
        match (self.fault, supply.kind) {
            (Fault::Missing, _) => "missing",
            (Fault::Foreign, QuantityKind::Number) => "outside",
            (Fault::Foreign, QuantityKind::Category) => "new",
            (Fault::Repeated, _) => "repeated",
        }
    }

    fn evidence(&self, (supply, limit): (&Supply, &HealthLimit), change: HealthChange) -> Evidence {
        let known = self.stream.evidence();
        let now: Option<Estimate> =
            known.and_then(|evidence| evidence.since_onset()).map(|share| number(share.mean, share.count));
        let e_value = known.map_or(0.0, |evidence| evidence.e_value());
        let (count, n) = match (self.fault, &supply.bounds, &supply.names) {
            (Fault::Missing, ..) => (supply.missing.count, supply.n),
            (Fault::Repeated, ..) => (supply.repeated.count, supply.n),
            (Fault::Foreign, Some(bounds), _) => (u64::from(2 * bounds.wild - 2), bounds.n),
            (Fault::Foreign, None, names) => (0, names.as_ref().map_or(supply.n, |names| names.n)),
        };
        Evidence {
            statistic: e_value,
            threshold: limit.threshold(),
            e_value: Some(e_value),
            significant: true,
            baseline: Some(number(count as f64 / n as f64, n)),
            current: now,
            window: self.words(supply, (count, n), now, change),
            ..Evidence::default()
        }
    }

    fn words(
        &self,
        supply: &Supply,
        (count, n): (u64, u64),
        now: Option<Estimate>,
        change: HealthChange,
    ) -> String {
        if change == HealthChange::Closed {
            return "comes as it did in the baseline again".to_owned();
        }
        let word = self.word(supply);
        let since = now.map_or(String::new(), |now| {
            let hits = libm::round(now.value * f64::from(now.samples));
            format!("{word} in {hits} of the newest {}", now.samples)
        });
        let before = format!("{since}; in {count} of {n} of the baseline");
        let foreign = self.foreign.join(", ");
        match (self.fault, &supply.bounds) {
            (Fault::Missing, _) if extent_of(change) == Some(Extent::All) && self.other_kind == 0 => {
                format!("no longer sent: {before}")
            }
            (Fault::Missing, _) if self.other_kind > 0 => {
                let kind = match supply.kind {
                    QuantityKind::Number => "text where the baseline has numbers",
                    QuantityKind::Category => "a number where the baseline has text",
                };
                format!("{before}; {} times {kind}", self.other_kind)
            }
            (Fault::Foreign, Some(bounds)) => {
                let little = if bounds.worth < KNOWS_LITTLE {
                    format!("; the baseline knows {:.0} independent values", bounds.worth)
                } else {
                    String::new()
                };
                format!(
                    "{before}, which lies from {} to {}; lately {foreign}{little}",
                    bounds.low, bounds.high
                )
            }
            (Fault::Foreign, None) => format!("{before}; lately {foreign}"),
            _ => before,
        }
    }
}
