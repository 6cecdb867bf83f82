//! How policies have been answering since the host started: counts, failures by kind, and how long calls take. Measured,
//! so not part of the state and never the same twice.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};
use trimtab_types::{Answer, DecisionRecord, PolicyRef, Question};

/// Two figures of a duration are kept, up to an hour; longer ones count as an hour.
const FIGURES: u8 = 2;
const LONGEST_US: u64 = 3_600_000_000;

/// Calls of one version of a policy with one kind of question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyCalls {
    /// Which version.
    #[serde(flatten)]
    pub policy: PolicyRef,
    /// `drift-action`, `alert-format`, …
    pub question: String,
    /// How often it was asked.
    pub calls: u64,
    /// How often it failed, by kind of failure.
    pub failures: BTreeMap<String, u64>,
    /// Half of the calls took at most so many microseconds; …
    pub p50_us: u64,
    /// 90 of 100.
    pub p90_us: u64,
    /// 99 of 100.
    pub p99_us: u64,
    /// The longest.
    pub max_us: u64,
    /// Most fuel that a call used.
    pub max_fuel: u64,
}

#[derive(Debug)]
struct Counted {
    durations: Histogram<u64>,
    failures: BTreeMap<&'static str, u64>,
    max_fuel: u64,
}

/// Counts calls.
#[derive(Debug, Default)]
pub(crate) struct CallCounter(BTreeMap<(PolicyRef, &'static str), Counted>);

impl CallCounter {
    /// Counts what was asked of a policy.
    pub(crate) fn count(&mut self, decision: &DecisionRecord) {
        let Some(policy) = &decision.policy else { return };
        let question = match &decision.question {
            Question::DriftAction { .. } => "drift-action",
            Question::AlertFormat { .. } => "alert-format",
        };
        let counted = self.0.entry((policy.clone(), question)).or_insert_with(|| Counted {
            durations: durations(),
            failures: BTreeMap::new(),
            max_fuel: 0,
        });
        counted.durations.saturating_record(decision.duration_us.clamp(1, LONGEST_US));
        counted.max_fuel = counted.max_fuel.max(decision.fuel);
        if let Answer::Failed(failure) = &decision.answer {
            *counted.failures.entry(failure.kind.name()).or_default() += 1;
        }
    }

    /// The counts, by policy.
    pub(crate) fn counts(&self) -> Vec<PolicyCalls> {
        let of = |((policy, question), counted): (&(PolicyRef, &'static str), &Counted)| PolicyCalls {
            policy: policy.clone(),
            question: (*question).to_owned(),
            calls: counted.durations.len(),
            failures: counted.failures.iter().map(|(kind, n)| ((*kind).to_owned(), *n)).collect(),
            p50_us: counted.durations.value_at_quantile(0.50),
            p90_us: counted.durations.value_at_quantile(0.90),
            p99_us: counted.durations.value_at_quantile(0.99),
            max_us: counted.durations.max(),
            max_fuel: counted.max_fuel,
        };
        self.0.iter().map(of).collect()
    }
}

#[expect(clippy::expect_used, reason = "the constants are within the documented bounds")]
fn durations() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, FIGURES).expect("bounds are in order")
}
