//! How much of the usual exposure a model may have: what a person set, times a factor for each cause that policies had to
//! reduce it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Most causes that are kept apart; what comes on top has one factor together.
const MOST_CAUSES: usize = 64;
const FURTHER: &str = "further causes";

/// A model's exposure, 0..1, by cause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exposure {
    /// What a person set; 1 where nobody did.
    base: f64,
    /// A cause is a policy with the subject, detector and quantity that it was asked about.
    causes: BTreeMap<String, f64>,
}

impl Default for Exposure {
    fn default() -> Self {
        Self { base: 1.0, causes: BTreeMap::new() }
    }
}

impl Exposure {
    /// The share that is in force.
    pub fn share(&self) -> f64 {
        self.causes.values().product::<f64>() * self.base
    }

    /// What a person set.
    pub fn base(&self) -> f64 {
        self.base
    }

    /// The factor of each cause.
    pub fn causes(&self) -> &BTreeMap<String, f64> {
        &self.causes
    }

    /// The exposure with this factor for this cause. The same cause again replaces its factor by the smaller one.
    #[must_use]
    pub fn reduced(&self, cause: &str, factor: f64) -> Self {
        let mut reduced = self.clone();
        let is_full = reduced.causes.len() >= MOST_CAUSES && !reduced.causes.contains_key(cause);
        let cause = if is_full { FURTHER } else { cause };
        let known = reduced.causes.entry(cause.to_owned()).or_insert(factor);
        *known = known.min(factor);
        reduced
    }

    /// A person sets the base. What policies reduced stays reduced.
    pub(crate) fn set(&mut self, base: f64) {
        self.base = base;
    }

    /// A person takes back what a cause reduced; `None`: all of it, and the base.
    pub(crate) fn clear(&mut self, cause: Option<&str>) {
        match cause {
            Some(cause) => {
                self.causes.remove(cause);
            }
            None => *self = Self::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_counts_once_and_others_on_top() {
        let mut exposure = Exposure::default();
        for _ in 0..3 {
            exposure = exposure.reduced("ladder: e-sr", 0.5);
            assert_eq!(exposure.share(), 0.5, "the same cause never multiplies");
        }
        exposure = exposure.reduced("ladder: psi", 0.5);
        assert_eq!(exposure.share(), 0.25);
        exposure = exposure.reduced("ladder: psi", 0.9);
        assert_eq!(exposure.share(), 0.25, "a cause is as tight as it ever was");
        exposure.set(0.8);
        assert_eq!(exposure.share(), 0.2);
        exposure.clear(Some("ladder: e-sr"));
        assert_eq!(exposure.share(), 0.4);
        exposure.clear(None);
        assert_eq!(exposure, Exposure::default());
        for n in 0..1_000 {
            exposure = exposure.reduced(&n.to_string(), 0.5);
        }
        assert_eq!(exposure.causes().len(), MOST_CAUSES + 1);
    }
}
