//! What monitoring systems scrape: how models and policies are doing and whether the fold keeps up, as OpenMetrics text.
//! Reads what the host counts anyway; measures nothing by itself.

mod models;

use std::{collections::BTreeMap, fmt};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use trimtab_api::{Bucket, PoliciesAnswer, PolicyCalls, PolicyFailures};
use trimtab_types::{Digest, Mode};

pub(crate) use models::{Models, Shown, age, chosen};

/// What the text is.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is shown of a host at one moment.
#[derive(Debug)]
pub(crate) struct Scrape {
    pub(crate) policies: PoliciesAnswer,
    /// Models.
    pub(crate) models: Models,
    /// Version of the program.
    pub(crate) build: String,
    /// Entries of all logs.
    pub(crate) head: u64,
    /// Those that are folded.
    pub(crate) folded: u64,
    /// Effects that are not delivered yet.
    pub(crate) waiting: BTreeMap<String, u64>,
    /// Whether the fold stands still.
    pub(crate) stopped: bool,
    /// What was refused before it was looked at: what was wrong, and how often.
    pub(crate) denied: [(&'static str, u64); 3],
}

/// The text.
///
/// # Errors
///
/// What writing into a text returns; it does not fail.
pub(crate) fn write(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("trimtab");
    registry.register_collector(Box::new(scrape));
    let mut text = String::new();
    text::encode(&mut text, &registry)?;
    Ok(text)
}

type Label<'a> = (&'static str, &'a str);

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.encode_log(&mut encoder)?;
        self.models.encode(&mut encoder)?;
        self.encode_denied(&mut encoder)?;
        self.encode_policies(&mut encoder)?;
        self.encode_calls(&mut encoder)
    }
}

impl Scrape {
    fn encode_log(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut gauge = |name, help, value: u64| {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(family)
        };
        gauge("log_entries", "Entries of all logs", self.head)?;
        gauge("folded_entries", "Entries of all logs that findings and decisions account for", self.folded)?;
        gauge("fold_stopped", "1 where the fold stands still and needs a person", u64::from(self.stopped))?;
        let build = [([("version", self.build.clone())], 1.0)];
        gauges(encoder, "build_info", "The program", build)?;
        gauges(
            encoder,
            "effects_waiting",
            "Alerts that are decided and not delivered yet, by where they go",
            self.waiting.iter().map(|(sink, count)| ([("sink", sink.clone())], *count as f64)),
        )
    }

    fn encode_denied(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let mut family = encoder.encode_descriptor(
            "access_denied",
            "Requests that were refused before they were looked at since the host started, by what was wrong",
            None,
            MetricType::Counter,
        )?;
        for (reason, times) in self.denied {
            ConstCounter::new(times).encode(family.encode_family(&[("reason", reason)])?)?;
        }
        Ok(())
    }

    fn encode_policies(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let known = &self.policies;
        gauges(
            encoder,
            "policy_in_force",
            "For each version of a policy that is asked the share of the subjects that it decides for",
            known.policies.iter().filter(|policy| policy.mode != Mode::Off).flat_map(|policy| {
                let version = |digest: &Digest| {
                    [
                        ("policy", policy.policy.name.clone()),
                        ("digest", digest.short()),
                        ("mode", policy.mode.name().to_owned()),
                    ]
                };
                let share = policy.rollout.as_ref().map_or(1.0, |rollout| rollout.share);
                let previous = policy.rollout.as_ref().and_then(|rollout| rollout.previous.as_ref());
                let previous = previous.map(|digest| (version(digest), 1.0 - share));
                [(version(&policy.policy.digest), share)].into_iter().chain(previous)
            }),
        )?;
        gauges(
            encoder,
            "policy_refused",
            "1 for each folder of the policies directory that is not put in force; serving: whether an earlier version serves",
            known.problems.iter().map(|problem| {
                let serving = if problem.still_serving { "yes" } else { "no" };
                ([("policy", problem.name.clone()), ("serving", serving.to_owned())], 1.0)
            }),
        )?;
        let of = |failing: &PolicyFailures| [("policy", failing.policy.name.clone())];
        gauges(
            encoder,
            "policy_failures_in_a_row",
            "How often a policy has failed since it last answered",
            known.failures.iter().map(|failing| (of(failing), f64::from(failing.in_a_row))),
        )?;
        let left_alone = known
            .failures
            .iter()
            .filter(|failing| failing.left_alone_until.max(failing.everywhere_until).is_some());
        gauges(
            encoder,
            "policy_left_alone",
            "1 for each policy that is not asked for a while because it fails again and again",
            left_alone.map(|failing| (of(failing), 1.0)),
        )
    }

    fn encode_calls(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let calls = &self.policies.calls;
        let mut family = encoder.encode_descriptor(
            "policy_call_duration",
            "How long policies took to answer since the host started",
            Some(&Unit::Seconds),
            MetricType::Histogram,
        )?;
        for asked in calls {
            let buckets: Vec<_> = asked.histogram.iter().map(seconds).collect();
            let digest = asked.policy.digest.short();
            let labels = labels(asked, &digest);
            let mut metric = family.encode_family(&labels)?;
            metric.encode_histogram::<[Label<'_>; 0]>(
                asked.total_us as f64 / 1e6,
                asked.calls,
                &buckets,
                None,
            )?;
        }
        let mut family = encoder.encode_descriptor(
            "policy_failures",
            "Calls of policies that failed since the host started, by kind of failure",
            None,
            MetricType::Counter,
        )?;
        for asked in calls {
            let digest = asked.policy.digest.short();
            for (failure, times) in &asked.failures {
                let [policy, version, question] = labels(asked, &digest);
                let labels = [policy, version, question, ("failure", failure)];
                ConstCounter::new(*times).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn labels<'a>(asked: &'a PolicyCalls, digest: &'a str) -> [Label<'a>; 3] {
    [("policy", &asked.policy.name), ("digest", digest), ("question", &asked.question)]
}

fn seconds(bucket: &Bucket) -> (f64, u64) {
    (bucket.up_to_us.map_or(f64::INFINITY, |bound| bound as f64 / 1e6), bucket.calls)
}

/// A gauge of many; nothing where there is none.
fn gauges<const LABELS: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = ([(&'static str, String); LABELS], f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}
