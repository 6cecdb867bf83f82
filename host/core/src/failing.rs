//! Versions of policies that fail, over all models together: what an operator wants to see at once.

use std::collections::BTreeMap;

use trimtab_types::{PolicyRef, Timestamp};

use crate::state::State;

/// A version whose newest answer about some model was a failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Which version.
    pub policy: PolicyRef,
    /// About how many models, or kinds of question about one.
    pub about: u64,
    /// Most failures in a row about one of them.
    pub in_a_row: u32,
    /// The latest time before which it is not asked about one of them.
    pub left_alone_until: Option<Timestamp>,
    /// It is asked about no model before this time.
    pub everywhere_until: Option<Timestamp>,
}

impl Failing {
    /// The versions that fail, over all logs.
    pub fn of<'a>(states: impl IntoIterator<Item = &'a State>) -> Vec<Self> {
        let mut all: BTreeMap<&PolicyRef, Failing> = BTreeMap::new();
        let none = |policy: &PolicyRef| Failing {
            policy: policy.clone(),
            about: 0,
            in_a_row: 0,
            left_alone_until: None,
            everywhere_until: None,
        };
        for state in states {
            for model in state.models.values() {
                let now = model.clock.max(state.tick);
                for (policy, _, breaker) in model.breakers() {
                    let failing = all.entry(policy).or_insert_with(|| none(policy));
                    failing.about += 1;
                    failing.in_a_row = failing.in_a_row.max(breaker.failures);
                    failing.left_alone_until = failing.left_alone_until.max(breaker.open_until(now));
                }
            }
            for (policy, until) in &state.left_alone {
                let failing = all.entry(policy).or_insert_with(|| none(policy));
                failing.everywhere_until = failing.everywhere_until.max(Some(*until));
            }
        }
        all.into_values().collect()
    }
}
