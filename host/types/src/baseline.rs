//! What a subject's performance is held against.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Digest, Invalid, Position, Subject, Supply, Timestamp};

/// Where a baseline came from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BaselineSource {
    /// Numbers that a person gave.
    Given,
    /// The subject's first resolved predictions.
    First {
        /// How many.
        rows: u64,
    },
    /// Resolved predictions whose time lies in `from..until`.
    Range {
        /// First time that counts.
        from: Timestamp,
        /// First time that no longer counts.
        until: Timestamp,
    },
}

/// A subject's baseline: the numbers themselves, so that the log needs nothing else to fold them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Whose.
    pub subject: Subject,
    /// Where the numbers come from.
    pub source: BaselineSource,
    /// Inherited from a predecessor until validation brings its own.
    #[serde(default)]
    pub provisional: bool,
    /// Resolved predictions behind it.
    pub samples: u64,
    /// How many independent ones they are worth: errors of real streams come in runs. At most `samples`.
    #[serde(default)]
    pub effective_samples: Option<f64>,
    /// Share of right predictions, 0..1. For regression: 1 minus the mean scaled error.
    pub accuracy: f64,
    /// Of the predictions "up" or "positive", the share that was right.
    #[serde(default)]
    pub precision: Option<f64>,
    /// Of the actual "up" or "positive", the share that was predicted.
    #[serde(default)]
    pub recall: Option<f64>,
    /// Harmonic mean of precision and recall.
    #[serde(default)]
    pub f1: Option<f64>,
    /// Share of right predictions that pure chance would give on the baseline's data, 0..1.
    #[serde(default)]
    pub chance: Option<f64>,
    /// How score and features were distributed: the score first, then features by name.
    #[serde(default)]
    pub distributions: Vec<Reference>,
    /// How often each category came: the predicted class first, then features by name.
    #[serde(default)]
    pub categories: Vec<CategoryReference>,
    /// Further metrics by their well-known names, such as `ece` or `win-rate`; the Sharpe ratio is per trade.
    #[serde(default)]
    pub metrics: BTreeMap<String, f64>,
    /// How much more means of blocks of its errors vary than they would if errors were independent, by block, ascending.
    /// Empty where it is not known: in baselines that a person gave, in short ones, and in those of older versions.
    #[serde(default)]
    pub inflations: Vec<Inflation>,
    /// How large errors of a regression were.
    #[serde(default)]
    pub errors: Option<ErrorScale>,
    /// How each quantity came: the score or class first, then features by name. Empty in baselines that a person gave and
    /// in those of older versions.
    #[serde(default)]
    pub supplies: Vec<Supply>,
    /// Position of the newest of its predictions; `None` in baselines that a person gave, and in those of older versions.
    #[serde(default)]
    pub last: Option<Position>,
    /// Digest of the rules by which its predictions were judged, see [`crate::Judging::digest`]; `None` in baselines that a person gave, and in those of older versions.
    #[serde(default)]
    pub judged_by: Option<Digest>,
    /// Errors by true class, the most frequent class first. Empty for a regression, in baselines that a person gave, and in
    /// those of older versions.
    #[serde(default)]
    pub classes: Vec<ClassErrors>,
}

/// Errors of one true class.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassErrors {
    /// As people write it: a label, or `down`, `flat`, `up`.
    pub name: String,
    /// As it is judged; see [`crate::Judged::classes`].
    pub class: u32,
    /// Predictions whose outcome was this class.
    pub events: u64,
    /// Those of them that were wrong.
    pub errors: u64,
    /// How many independent events they are worth; at most their number.
    pub worth: f64,
    /// Errors of the class in a block …
    pub block: u32,
    /// … and how many times more a mean of many blocks varies than it would if they were independent, 1 to 40.
    pub inflation: f64,
}

/// How large the errors of a regression were.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ErrorScale {
    /// The .8 quantile of the absolute errors: what is larger is a large error.
    pub usual: f64,
    /// Median of the outcomes: what somebody without a model would say.
    pub median_outcome: f64,
}

/// How much more the mean of many blocks varies than it would if blocks were independent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Inflation {
    /// Errors in a block.
    pub block: u32,
    /// That many times, 1 to 40.
    pub inflation: f64,
}

/// How a quantity was distributed: counts between edges that cut the baseline into about equal parts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    /// Which feature; `None`: the score.
    pub feature: Option<String>,
    /// Inner edges, ascending; the outer bins are open.
    pub edges: Vec<f64>,
    /// Values in each bin: one more than there are edges.
    pub counts: Vec<u64>,
    /// How many independent values they are worth; at most their number.
    pub worth: f64,
    /// The same values, cut finer, for distances between distribution functions; `None` in older baselines.
    #[serde(default)]
    pub fine: Option<Cut>,
}

/// Counts between edges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cut {
    /// Inner edges, ascending; the outer bins are open.
    pub edges: Vec<f64>,
    /// Values in each bin: one more than there are edges.
    pub counts: Vec<u64>,
}

/// How often each category of a quantity came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryReference {
    /// Which feature; `None`: the predicted class.
    pub feature: Option<String>,
    /// The categories, sorted; at most 250.
    pub names: Vec<String>,
    /// One for each name, and a last one for all other categories together.
    pub counts: Vec<u64>,
    /// How many independent values they are worth; at most their number.
    pub worth: f64,
}

/// What findings call a quantity: `score`, or `feature/NAME`.
fn quantity(feature: Option<&str>) -> String {
    feature.map_or_else(|| "score".to_owned(), |name| format!("feature/{name}"))
}

fn is_cut(edges: &[f64], counts: &[u64]) -> bool {
    edges.iter().all(|edge| edge.is_finite())
        && edges.windows(2).all(|pair| pair[0] < pair[1])
        && counts.len() == edges.len() + 1
        && counts.len() <= 256
}

fn is_worth(worth: f64, counts: &[u64]) -> bool {
    worth > 0.0 && worth <= counts.iter().sum::<u64>() as f64
}

impl CategoryReference {
    /// What findings call it: `class`, or `feature/NAME`.
    pub fn quantity(&self) -> String {
        self.feature.as_ref().map_or_else(|| "class".to_owned(), |name| quantity(Some(name)))
    }

    fn is_sound(&self) -> bool {
        self.names.windows(2).all(|pair| pair[0] < pair[1])
            && self.names.len() <= 250
            && self.counts.len() == self.names.len() + 1
            && is_worth(self.worth, &self.counts)
    }
}

impl ClassErrors {
    /// Classes with fewer events are not watched: they say nothing.
    pub const LEAST_EVENTS: u64 = 10;
    /// At most so many are watched, the most frequent.
    pub const MOST_WATCHED: usize = 20;

    /// What findings call it: `error/class-NAME`.
    pub fn quantity(&self) -> String {
        format!("error/class-{}", self.name)
    }

    fn is_sound(&self) -> bool {
        (1..=40).contains(&self.name.len())
            && self.events > 0
            && self.errors <= self.events
            && self.worth > 0.0
            && self.worth <= self.events as f64
            && (1..=10_000).contains(&self.block)
            && (1.0..=40.0).contains(&self.inflation)
    }
}

impl Reference {
    /// What findings call it: `score`, or `feature/NAME`.
    pub fn quantity(&self) -> String {
        quantity(self.feature.as_deref())
    }

    /// The finest cut that there is: edges, and counts between them.
    pub fn finest(&self) -> (&[f64], &[u64]) {
        self.fine.as_ref().map_or((&self.edges, &self.counts), |cut| (&cut.edges, &cut.counts))
    }

    fn is_sound(&self) -> bool {
        let total = |counts: &[u64]| counts.iter().sum::<u64>();
        is_cut(&self.edges, &self.counts)
            && is_worth(self.worth, &self.counts)
            && self.fine.as_ref().is_none_or(|cut| {
                is_cut(&cut.edges, &cut.counts) && total(&cut.counts) == total(&self.counts)
            })
    }
}

impl Baseline {
    /// One that a person gave: two numbers, and nothing known of the rest.
    pub fn given(subject: Subject, samples: u64, accuracy: f64) -> Self {
        Self {
            subject,
            source: BaselineSource::Given,
            provisional: false,
            samples,
            effective_samples: None,
            accuracy,
            precision: None,
            recall: None,
            f1: None,
            chance: None,
            distributions: Vec::new(),
            categories: Vec::new(),
            metrics: BTreeMap::new(),
            inflations: Vec::new(),
            errors: None,
            supplies: Vec::new(),
            last: None,
            judged_by: None,
            classes: Vec::new(),
        }
    }

    /// What is known of blocks of so many errors: of the longest that is not longer, because longer ones are less alike.
    pub fn inflation(&self, block: u32) -> Option<f64> {
        let shorter = self.inflations.iter().rev().find(|known| known.block <= block);
        shorter.map(|known| known.inflation)
    }

    /// The classes that are watched, the most frequent first; the others have too few events, or are too many.
    pub fn watched_classes(&self) -> &[ClassErrors] {
        let watched = self.classes.iter().take(ClassErrors::MOST_WATCHED);
        let watched = watched.take_while(|known| known.events >= ClassErrors::LEAST_EVENTS).count();
        self.classes.split_at(watched).0
    }

    /// Checks names and ranges.
    pub fn validate(&self) -> Result<(), Invalid> {
        self.subject.validate()?;
        if self.samples == 0 {
            return Err(Invalid::new("samples", "is 0; a baseline needs at least one resolved prediction"));
        }
        if self.effective_samples.is_some_and(|n| !(n >= 1.0 && n <= self.samples as f64)) {
            return Err(Invalid::new("effective_samples", format!("must lie in 1..{}", self.samples)));
        }
        if let Some(bad) = self.distributions.iter().find(|reference| !reference.is_sound()) {
            return Err(Invalid::new(
                format!("distributions.{}", bad.quantity()),
                "needs ascending edges, a count for each bin, and a worth between 0 and their sum",
            ));
        }
        if let Some(bad) = self.categories.iter().find(|reference| !reference.is_sound()) {
            return Err(Invalid::new(
                format!("categories.{}", bad.quantity()),
                "needs at most 250 sorted names, a count for each and for the rest, and a worth between 0 and their sum",
            ));
        }
        let are_inflations = self.inflations.windows(2).all(|pair| pair[0].block < pair[1].block)
            && self.inflations.iter().all(|known| known.block > 0 && (1.0..=40.0).contains(&known.inflation));
        if !are_inflations {
            return Err(Invalid::new(
                "inflations",
                "needs ascending blocks, each with a number from 1 to 40",
            ));
        }
        let is_scale = |scale: ErrorScale| {
            scale.usual >= 0.0 && scale.usual.is_finite() && scale.median_outcome.is_finite()
        };
        if !self.errors.is_none_or(is_scale) {
            return Err(Invalid::new("errors", "needs a usual error of 0 or more, and a median outcome"));
        }
        if let Some(bad) = self.supplies.iter().find(|supply| !supply.is_sound()) {
            return Err(Invalid::new(
                format!("supplies.{}", bad.quantity()),
                "needs counts up to `n`, a worth up to what it is of, finite bounds, and at most 250 sorted names",
            ));
        }
        if let Some(bad) = self.classes.iter().find(|known| !known.is_sound()) {
            return Err(Invalid::new(
                format!("classes.{}", bad.name),
                "needs a name, errors up to `events`, a worth up to them, a block from 1 to 10000, and an inflation from 1 to 40",
            ));
        }
        if let Some((name, _)) = self.metrics.iter().find(|(_, value)| !value.is_finite()) {
            return Err(Invalid::new(format!("metrics.{name}"), "must be a number"));
        }
        let rates = [
            ("accuracy", Some(self.accuracy)),
            ("precision", self.precision),
            ("recall", self.recall),
            ("f1", self.f1),
            ("chance", self.chance),
        ];
        for (field, rate) in rates {
            if rate.is_some_and(|rate| !(0.0..=1.0).contains(&rate)) {
                return Err(Invalid::new(field, "must be a fraction between 0 and 1; five per cent is 0.05"));
            }
        }
        Ok(())
    }
}
