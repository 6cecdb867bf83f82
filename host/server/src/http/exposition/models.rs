//! What is scraped of models: how they are, on which terms they may be used, and what their newest rows show. All of it from
//! one snapshot; which subjects have series of their own is decided here, because a fleet can have more of them than a
//! monitoring system takes.

use std::collections::BTreeMap;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter},
};
use trimtab_api::{Health, SubjectStatus};
use trimtab_core::config::MonitoringSettings;
use trimtab_runtime::Snapshot;
use trimtab_types::{Counts, ModelKey, Severity, Subject, Timestamp};

use super::gauges;

/// Subjects of which all have series of their own.
const ALL: usize = 1_000;
/// Of more, those that are worst.
const WORST: usize = 50;
/// And no more than these altogether, whatever the configuration names.
const MOST: usize = 2_000;

/// What is shown of models.
#[derive(Debug, Default)]
pub(crate) struct Models {
    /// Subjects by tenant and health; each health of each tenant, from 0.
    pub(crate) health: BTreeMap<(String, Health), u64>,
    /// Those with series of their own.
    pub(crate) subjects: Vec<Shown>,
    /// How many have none.
    pub(crate) dropped: u64,
    /// Share of the usual exposure, and whether it is stopped.
    pub(crate) terms: Vec<(ModelKey, f64, bool)>,
    /// Whether everything is stopped.
    pub(crate) all_stopped: bool,
    /// Seconds since the newest row, the longest of each tenant.
    pub(crate) stalest: BTreeMap<String, f64>,
    /// Proposals that wait, by tenant.
    pub(crate) proposals: BTreeMap<String, u64>,
    /// Rows, findings, decisions and alerts so far.
    pub(crate) counts: Counts,
}

/// A subject with series of its own.
#[derive(Debug)]
pub(crate) struct Shown {
    pub(crate) status: SubjectStatus,
    /// Seconds between its newest row and the model's clock.
    pub(crate) age: Option<f64>,
}

/// Which subjects have series of their own: all of few, else those of the named models and the worst.
pub(crate) fn chosen<'a>(
    subjects: &[(&'a Subject, Health)],
    settings: &MonitoringSettings,
) -> Vec<&'a Subject> {
    if subjects.len() <= ALL {
        return subjects.iter().map(|(subject, _)| *subject).collect();
    }
    let is_named = |subject: &Subject| settings.models.iter().any(|glob| glob.matches(&subject.model));
    let (named, others): (Vec<_>, Vec<_>) =
        subjects.iter().copied().partition(|(subject, _)| is_named(subject));
    let mut worst: Vec<_> = others.into_iter().filter(|(_, health)| *health > Health::Ok).collect();
    worst.sort_by(|(a, x), (b, y)| y.cmp(x).then(a.cmp(b)));
    named.into_iter().take(MOST).chain(worst.into_iter().take(WORST)).map(|(subject, _)| subject).collect()
}

/// Seconds from the newest row of a subject to the clock of its model.
pub(crate) fn age(snapshot: &Snapshot, subject: &Subject, newest: Option<Timestamp>) -> Option<f64> {
    let key = subject.model_key();
    let clock = snapshot.log_of(&key)?.clock(&key);
    Some(clock.since(newest?) as f64)
}

type Labels = [(&'static str, String); 4];

fn labels(subject: &Subject) -> Labels {
    [
        ("tenant", subject.tenant.clone()),
        ("model", subject.model.clone()),
        ("version", subject.version.clone()),
        ("segment", subject.segment.clone()),
    ]
}

fn with<const N: usize, const M: usize>(
    labels: [(&'static str, String); N],
    more: (&'static str, String),
) -> [(&'static str, String); M] {
    let mut all = labels.into_iter().chain([more]);
    std::array::from_fn(|_| all.next().unwrap_or_default())
}

impl Models {
    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        self.encode_fleet(encoder)?;
        self.encode_terms(encoder)?;
        self.encode_subjects(encoder)?;
        self.encode_counts(encoder)
    }

    fn encode_fleet(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let health = self.health.iter().map(|((tenant, health), count)| {
            ([("tenant", tenant.clone()), ("health", health.name().to_owned())], *count as f64)
        });
        gauges(encoder, "subjects", "Versions and segments of models, by how they are", health)?;
        let stalest = self.stalest.iter().map(|(tenant, age)| ([("tenant", tenant.clone())], *age));
        let help = "Age of the newest row of the subject that has waited longest, by the model's clock";
        gauges(encoder, "feature_staleness_max_seconds", help, stalest)?;
        let waiting = self.proposals.iter().map(|(tenant, n)| ([("tenant", tenant.clone())], *n as f64));
        gauges(encoder, "proposals_waiting", "What waits for a person", waiting)?;
        let dropped = [([], self.dropped as f64)];
        gauges(encoder, "series_dropped", "Subjects without series of their own: see [monitoring]", dropped)
    }

    fn encode_terms(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let of = |key: &ModelKey| [("tenant", key.tenant.clone()), ("model", key.model.clone())];
        let exposure = self.terms.iter().map(|(key, exposure, _)| (of(key), *exposure));
        gauges(
            encoder,
            "exposure_ratio",
            "Share of the usual exposure at which a model may be used",
            exposure,
        )?;
        let stopped = self.terms.iter().map(|(key, _, stopped)| (of(key), f64::from(u8::from(*stopped))));
        gauges(encoder, "kill_switch", "1 where a model is stopped", stopped)?;
        let all = [([], f64::from(u8::from(self.all_stopped)))];
        gauges(encoder, "kill_switch_all", "1 where all models are stopped", all)
    }

    fn encode_subjects(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let shown = || self.subjects.iter().map(|shown| (labels(&shown.status.subject), shown));
        let health = shown().map(|(labels, shown)| (labels, f64::from(level(shown.status.health))));
        gauges(encoder, "model_health", "0 ok, 1 unknown, 2 warning, 3 critical", health)?;
        let open = shown().flat_map(|(labels, shown)| {
            SEVERITIES.map(|severity| {
                let count = shown.status.open.iter().filter(|finding| finding.severity == severity).count();
                (with::<4, 5>(labels.clone(), ("severity", severity.to_string())), count as f64)
            })
        });
        gauges(encoder, "open_findings", "Drifts that are open now, by severity", open)?;
        let age = shown().filter_map(|(labels, shown)| Some((labels, shown.age?)));
        let help = "Age of the newest row, by the model's clock";
        gauges(encoder, "feature_staleness_seconds", help, age)?;
        let accuracy = shown().flat_map(|(labels, shown)| {
            let known = [50, 100, 200].into_iter().zip(shown.status.accuracy);
            known.filter_map(move |(window, estimate)| {
                let window = ("window", format!("{window}"));
                Some((with::<4, 5>(labels.clone(), window), estimate?.value))
            })
        });
        gauges(encoder, "model_accuracy_ratio", "Accuracy of the newest judged predictions", accuracy)?;
        let baseline = shown().filter_map(|(labels, shown)| Some((labels, shown.status.baseline?)));
        gauges(encoder, "baseline_accuracy_ratio", "Accuracy of the baseline", baseline)?;
        for (name, exported, help) in KEPT {
            let values = shown().filter_map(|(labels, shown)| {
                let found = shown.status.metrics.iter().find(|metric| metric.name == name)?;
                Some((labels, found.estimate.value))
            });
            gauges(encoder, exported, help, values)?;
        }
        Ok(())
    }

    fn encode_counts(&self, encoder: &mut DescriptorEncoder<'_>) -> std::fmt::Result {
        let Counts { predictions, outcomes, findings, decisions, effects } = self.counts;
        let help = "Rows that are recorded";
        let mut family = encoder.encode_descriptor("rows", help, None, MetricType::Counter)?;
        for (kind, count) in [("prediction", predictions), ("outcome", outcomes)] {
            ConstCounter::new(count).encode(family.encode_family(&[("kind", kind)])?)?;
        }
        for (name, help, count) in [
            ("findings", "Drifts that opened, rose or closed", findings),
            ("decisions", "Questions that were put to policies or decided by the host", decisions),
            ("alerts", "Alerts that were handed to somewhere to go", effects),
        ] {
            let family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            ConstCounter::new(count).encode(family)?;
        }
        Ok(())
    }
}

const SEVERITIES: [Severity; 4] = [Severity::Info, Severity::Medium, Severity::High, Severity::Critical];

/// Metrics of the newest rows that are exported: as they are known here, as they are there, and what they are.
const KEPT: [(&str, &str, &str); 4] = [
    ("ece", "model_ece_ratio", "Expected calibration error of the newest judged predictions"),
    ("win-rate", "model_win_rate_ratio", "Share of the newest trades that won"),
    ("drawdown", "model_drawdown_ratio", "Largest drawdown of the newest trades"),
    ("sharpe", "model_sharpe", "Sharpe ratio of the newest trades"),
];

fn level(health: Health) -> u8 {
    match health {
        Health::Ok => 0,
        Health::Unknown => 1,
        Health::Warning => 2,
        Health::Critical => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(model: String) -> Subject {
        Subject { tenant: "t".into(), model, version: "v1".into(), segment: String::new() }
    }

    #[test]
    fn a_large_fleet_shows_what_is_named_and_what_is_worst() {
        let all: Vec<Subject> = (0..1_500).map(|n| subject(format!("m-{n:04}"))).collect();
        let health = |n: usize| match n {
            7 => Health::Critical,
            n if n % 10 == 0 => Health::Warning,
            _ => Health::Ok,
        };
        let known: Vec<_> = all.iter().enumerate().map(|(n, subject)| (subject, health(n))).collect();
        let names = |known: &[(&Subject, Health)], models: &[&str]| -> Vec<String> {
            let models = models.iter().map(|name| trimtab_types::Glob::new(name)).collect();
            chosen(known, &MonitoringSettings { models })
                .iter()
                .map(|subject| subject.model.clone())
                .collect()
        };
        assert_eq!(names(&known[..1_000], &[]).len(), 1_000, "all of few");
        let shown = names(&known, &["m-0001", "m-149*"]);
        assert_eq!(shown.len(), 11 + 50);
        assert_eq!(shown[0], "m-0001");
        assert_eq!(shown[11], "m-0007", "the worst first");
        assert!(!shown.contains(&"m-0002".to_owned()));
    }
}
