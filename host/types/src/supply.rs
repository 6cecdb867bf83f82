//! How a score and each feature came in a baseline: how often they were missing, within which bounds, under which names, and
//! how often unchanged. Not how values are distributed within their bounds; see `Reference`.

use serde::{Deserialize, Serialize};

/// What a quantity's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuantityKind {
    /// Numbers.
    Number,
    /// Names.
    Category,
}

/// How a quantity came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Supply {
    /// Which feature; `None`: the score, or the predicted class.
    pub feature: Option<String>,
    /// What its values were, or most of them.
    pub kind: QuantityKind,
    /// Predictions of the baseline.
    pub n: u64,
    /// Predictions without it, or with a value of the other kind.
    pub missing: Share,
    /// Those with the same value as the one before.
    pub repeated: Share,
    /// Of numbers.
    pub bounds: Option<Bounds>,
    /// Of categories; `None` also where there are more than 250.
    pub names: Option<Names>,
}

/// How many of the predictions, and how many independent ones tell as much of that.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// That many.
    pub count: u64,
    /// Effective size of the series, up to the number of predictions.
    pub worth: f64,
}

/// The range of the values, without the wildest on either side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Below it is outside.
    pub low: f64,
    /// Above it is outside.
    pub high: f64,
    /// Which smallest and greatest value these are: 1 is the very first.
    pub wild: u32,
    /// Values.
    pub n: u64,
    /// How many independent ones they are worth.
    pub worth: f64,
    /// For how many predictions at a time values leave the range of the others.
    pub block: u16,
}

/// The names that came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Names {
    /// Sorted; at most 250.
    pub known: Vec<String>,
    /// Those that came exactly once.
    pub once: u64,
    /// Values.
    pub n: u64,
    /// How many independent ones they are worth.
    pub worth: f64,
}

impl Supply {
    /// Most names that are kept.
    pub const MOST_NAMES: usize = 250;

    /// What findings call it: `score`, `class`, or `feature/NAME`.
    pub fn quantity(&self) -> String {
        match (&self.feature, self.kind) {
            (Some(name), _) => format!("feature/{name}"),
            (None, QuantityKind::Number) => "score".to_owned(),
            (None, QuantityKind::Category) => "class".to_owned(),
        }
    }

    pub(crate) fn is_sound(&self) -> bool {
        let is_worth = |worth: f64, n: u64| worth > 0.0 && worth <= n as f64;
        let share = |share: Share| share.count <= self.n && is_worth(share.worth, self.n);
        let bounds = |bounds: &Bounds| {
            bounds.low.is_finite()
                && bounds.high.is_finite()
                && bounds.low <= bounds.high
                && bounds.wild > 0
                && u64::from(bounds.wild) <= bounds.n
                && bounds.n <= self.n
                && is_worth(bounds.worth, bounds.n)
                && (1..=200).contains(&bounds.block)
        };
        let names = |names: &Names| {
            names.known.len() <= Self::MOST_NAMES
                && names.known.windows(2).all(|pair| pair[0] < pair[1])
                && names.once <= names.n
                && names.n <= self.n
                && is_worth(names.worth, names.n)
        };
        share(self.missing)
            && share(self.repeated)
            && self.bounds.as_ref().is_none_or(bounds)
            && self.names.as_ref().is_none_or(names)
    }
}
