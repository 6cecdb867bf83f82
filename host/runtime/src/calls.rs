//! How policies have been answering since the host started: counts, failures by kind, and how long calls take. Measured,
//! so not part of the state and never the same twice.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use trimtab_api::{Bucket, PolicyCalls};
use trimtab_types::{Answer, DecisionRecord, PolicyKind, PolicyRef};

/// Two figures of a duration are kept, up to an hour; longer ones count as an hour.
const FIGURES: u8 = 2;
const LONGEST_US: u64 = 3_600_000_000;
/// Upper bounds of the buckets that calls are counted in, for systems that add up histograms of several hosts.
const BOUNDS_US: [u64; 19] = [
    5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000,
    1_000_000, 2_000_000, 5_000_000,
];

#[derive(Debug)]
struct Counted {
    durations: Histogram<u64>,
    /// By the bounds above, and one for what is longer.
    buckets: [u64; BOUNDS_US.len() + 1],
    total_us: u64,
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
        let Some(question) = decision.question.kind().map(PolicyKind::name) else { return };
        let counted = self.0.entry((policy.clone(), question)).or_insert_with(|| Counted {
            durations: durations(),
            buckets: [0; BOUNDS_US.len() + 1],
            total_us: 0,
            failures: BTreeMap::new(),
            max_fuel: 0,
        });
        if let Answer::Failed(failure) = &decision.answer {
            *counted.failures.entry(failure.kind.name()).or_default() += 1;
            if failure.kind.was_not_asked() {
                return;
            }
        }
        counted.durations.saturating_record(decision.duration_us.clamp(1, LONGEST_US));
        counted.buckets[BOUNDS_US.partition_point(|bound| *bound < decision.duration_us)] += 1;
        counted.total_us = counted.total_us.saturating_add(decision.duration_us);
        counted.max_fuel = counted.max_fuel.max(decision.fuel);
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
            total_us: counted.total_us,
            histogram: histogram(&counted.buckets),
            max_fuel: counted.max_fuel,
        };
        self.0.iter().map(of).collect()
    }
}

fn histogram(buckets: &[u64]) -> Vec<Bucket> {
    let bounds = BOUNDS_US.into_iter().map(Some).chain([None]);
    bounds.zip(buckets).map(|(up_to_us, calls)| Bucket { up_to_us, calls: *calls }).collect()
}

#[expect(clippy::expect_used, reason = "the constants are within the documented bounds")]
fn durations() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST_US, FIGURES).expect("bounds are in order")
}
