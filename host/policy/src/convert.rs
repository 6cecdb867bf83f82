//! From Trimtab's vocabulary to the policy interface and back. The only place that knows both.
//!
//! The contract promises policies finite numbers: an estimate that is not finite is no estimate, and an infinite
//! statistic becomes the largest finite one.

use trimtab_types::{self as host, Timestamp};

use crate::bindings::exports::trimtab::policy::{
    alert_format, canary_promotion, cleanup, drift_action, retrain_schedule,
};
use crate::bindings::trimtab::policy::types as wit;

impl From<&host::Subject> for wit::Subject {
    fn from(subject: &host::Subject) -> Self {
        Self {
            tenant: subject.tenant.clone(),
            model: subject.model.clone(),
            version: subject.version.clone(),
            segment: subject.segment.clone(),
        }
    }
}

impl From<host::Severity> for wit::Severity {
    fn from(severity: host::Severity) -> Self {
        match severity {
            host::Severity::Info => Self::Info,
            host::Severity::Low => Self::Low,
            host::Severity::Medium => Self::Medium,
            host::Severity::High => Self::High,
            host::Severity::Critical => Self::Critical,
        }
    }
}

impl From<wit::Severity> for host::Severity {
    fn from(severity: wit::Severity) -> Self {
        match severity {
            wit::Severity::Info => Self::Info,
            wit::Severity::Low => Self::Low,
            wit::Severity::Medium => Self::Medium,
            wit::Severity::High => Self::High,
            wit::Severity::Critical => Self::Critical,
        }
    }
}

impl From<host::Phase> for wit::Phase {
    fn from(phase: host::Phase) -> Self {
        match phase {
            host::Phase::Opened => Self::Opened,
            host::Phase::Raised => Self::Raised,
            host::Phase::Closed => Self::Closed,
        }
    }
}

/// `None` where the estimate is not a finite number.
pub(crate) fn estimate(estimate: &host::Estimate) -> Option<wit::Estimate> {
    estimate.value.is_finite().then(|| wit::Estimate {
        value: estimate.value,
        samples: estimate.samples,
        interval: estimate
            .interval
            .filter(|interval| interval.lower.is_finite() && interval.upper.is_finite())
            .map(|interval| wit::Interval { lower: interval.lower, upper: interval.upper }),
        from_outcomes: estimate.from_outcomes,
    })
}

fn metrics(metrics: &[host::Metric]) -> Vec<wit::Metric> {
    metrics
        .iter()
        .filter_map(|metric| {
            Some(wit::Metric { name: metric.name.clone(), estimate: estimate(&metric.estimate)? })
        })
        .collect()
}

/// Why some questions cannot be put.
pub(crate) const NO_EARLIER: &str = "the policy interface 0.1.0 has no times before 1970";

/// Seconds since 1970, as the interface has them. No policy is asked about earlier times: see `Policy::call`.
pub(crate) fn unix(time: Timestamp) -> u64 {
    u64::try_from(time.as_unix()).unwrap_or_default()
}

fn finite(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(f64::MIN, f64::MAX) }
}

impl From<&host::Finding> for wit::Finding {
    fn from(finding: &host::Finding) -> Self {
        Self {
            id: finding.id.clone(),
            subject: (&finding.subject).into(),
            phase: finding.phase.into(),
            opened: unix(finding.opened),
            detector: finding.detector.clone(),
            quantity: finding.quantity.clone(),
            severity: finding.severity.into(),
            statistic: finite(finding.statistic),
            threshold: finite(finding.threshold),
            p_value: finding.p_value.filter(|p| !p.is_nan()).map(finite),
            e_value: finding.e_value.filter(|e| !e.is_nan()).map(finite),
            significant: finding.significant,
            baseline: finding.baseline.as_ref().and_then(estimate),
            current: finding.current.as_ref().and_then(estimate),
            window: finding.window.clone(),
        }
    }
}

impl From<&host::ModelVersion> for wit::ModelVersion {
    fn from(version: &host::ModelVersion) -> Self {
        Self {
            version: version.version.clone(),
            stage: match version.stage {
                host::Stage::Candidate => wit::Stage::Candidate,
                host::Stage::Shadow => wit::Stage::Shadow,
                host::Stage::Canary => wit::Stage::Canary,
                host::Stage::Production => wit::Stage::Production,
                host::Stage::Archived => wit::Stage::Archived,
                host::Stage::Degraded => wit::Stage::Degraded,
                host::Stage::Deleted => wit::Stage::Deleted,
            },
            protections: version
                .protections
                .iter()
                .map(|protection| match protection {
                    host::Protection::Champion => wit::Protection::Champion,
                    host::Protection::Challenger => wit::Protection::Challenger,
                    host::Protection::PreviousChampion => wit::Protection::PreviousChampion,
                    host::Protection::Experiment => wit::Protection::Experiment,
                    host::Protection::Pinned => wit::Protection::Pinned,
                })
                .collect(),
            age: version.age,
            size_bytes: version.size_bytes,
            metrics: metrics(&version.metrics),
        }
    }
}

impl From<&host::Alert> for alert_format::Alert {
    fn from(alert: &host::Alert) -> Self {
        Self {
            id: alert.id.clone(),
            subject: (&alert.subject).into(),
            severity: alert.severity.into(),
            occasion: match alert.occasion {
                // The contract has no words of its own for these two: to whom it was over, it is firing anew; and more
                // of it is worse.
                host::Occasion::Firing | host::Occasion::Again => alert_format::Occasion::Firing,
                host::Occasion::Repeated => alert_format::Occasion::Repeated,
                host::Occasion::Escalated | host::Occasion::Grown => alert_format::Occasion::Escalated,
                host::Occasion::Resolved => alert_format::Occasion::Resolved,
            },
            started: unix(alert.started),
            findings: alert.findings.iter().map(Into::into).collect(),
            metrics: metrics(&alert.metrics),
            reason: alert.reason.clone(),
            actions: alert.actions.clone(),
            link: alert.link.clone(),
        }
    }
}

impl From<alert_format::Message> for host::Message {
    fn from(message: alert_format::Message) -> Self {
        Self { title: message.title, body: message.body, rich: message.rich }
    }
}

impl From<drift_action::Action> for host::Action {
    fn from(action: drift_action::Action) -> Self {
        use drift_action::Action;
        match action {
            Action::Monitor => Self::Monitor,
            Action::Alert(severity) => Self::Alert(severity.into()),
            Action::ScheduleRetrain(within) => Self::ScheduleRetrain(within),
            Action::RetrainNow => Self::RetrainNow,
            Action::KillSwitchOn => Self::KillSwitchOn,
            Action::KillSwitchOff => Self::KillSwitchOff,
            Action::Rollback => Self::Rollback,
            Action::RollbackTo(version) => Self::RollbackTo(version),
            Action::ScaleExposure(factor) => Self::ScaleExposure(factor),
            Action::Pause => Self::Pause,
            Action::Resume => Self::Resume,
            Action::StopCanary => Self::StopCanary,
            Action::MinimumConfidence(confidence) => Self::MinimumConfidence(confidence),
            Action::ResetDetector(detector) => Self::ResetDetector(detector),
            Action::MarkDegraded => Self::MarkDegraded,
        }
    }
}

impl From<drift_action::Decision> for host::Decision {
    fn from(decision: drift_action::Decision) -> Self {
        Self { actions: decision.actions.into_iter().map(Into::into).collect(), reason: decision.reason }
    }
}

impl From<&host::Arm> for canary_promotion::Arm {
    fn from(arm: &host::Arm) -> Self {
        Self {
            version: arm.version.clone(),
            samples: arm.samples,
            metrics: metrics(&arm.metrics),
            critical_findings: arm.critical_findings,
        }
    }
}

impl From<&host::Experiment> for canary_promotion::Experiment {
    fn from(experiment: &host::Experiment) -> Self {
        let difference = |difference: &host::Difference| {
            Some(canary_promotion::Difference {
                name: difference.name.clone(),
                estimate: estimate(&difference.estimate)?,
                better: finite(difference.better),
                worse: finite(difference.worse),
            })
        };
        Self {
            id: experiment.id.clone(),
            tenant: experiment.tenant.clone(),
            model: experiment.model.clone(),
            design: match experiment.design {
                host::Design::Shadow => canary_promotion::Design::Shadow,
                host::Design::Canary => canary_promotion::Design::Canary,
                host::Design::AbTest => canary_promotion::Design::AbTest,
            },
            fraction: finite(experiment.fraction),
            running: experiment.running,
            concerns: experiment
                .concerns
                .iter()
                .map(|concern| match concern {
                    host::Concern::NoData => canary_promotion::Concern::NoData,
                    host::Concern::TooFewSamples => canary_promotion::Concern::TooFewSamples,
                    host::Concern::SampleRatioMismatch => canary_promotion::Concern::SampleRatioMismatch,
                    host::Concern::OutcomeCoverageMismatch => {
                        canary_promotion::Concern::OutcomeCoverageMismatch
                    }
                })
                .collect(),
            champion: (&experiment.champion).into(),
            challenger: (&experiment.challenger).into(),
            differences: experiment.differences.iter().filter_map(difference).collect(),
        }
    }
}

impl From<canary_promotion::Judgement> for host::Judgement {
    fn from(judgement: canary_promotion::Judgement) -> Self {
        use canary_promotion::Verdict;
        let verdict = match judgement.verdict {
            Verdict::Promote => host::Ruling::Promote,
            Verdict::Extend => host::Ruling::Extend,
            Verdict::ExtendBy(time) => host::Ruling::ExtendBy(time),
            Verdict::Abort => host::Ruling::Abort,
            Verdict::SetFraction(fraction) => host::Ruling::SetFraction(fraction),
        };
        Self { verdict, reason: judgement.reason }
    }
}

impl From<&host::Inventory> for cleanup::Inventory {
    fn from(inventory: &host::Inventory) -> Self {
        Self {
            tenant: inventory.tenant.clone(),
            model: inventory.model.clone(),
            versions: inventory.versions.iter().map(Into::into).collect(),
            budget: cleanup::Budget {
                max_bytes: inventory.budget.max_bytes,
                max_versions: inventory.budget.max_versions,
                used_bytes: inventory.budget.used_bytes,
            },
        }
    }
}

impl From<cleanup::Recommendation> for host::Recommendation {
    fn from(recommendation: cleanup::Recommendation) -> Self {
        let fate = match recommendation.fate {
            cleanup::Fate::Keep => host::Fate::Keep,
            cleanup::Fate::Delete => host::Fate::Delete,
        };
        Self { version: recommendation.version, fate, reason: recommendation.reason }
    }
}

impl From<&host::Conditions> for retrain_schedule::Conditions {
    fn from(conditions: &host::Conditions) -> Self {
        Self {
            tenant: conditions.tenant.clone(),
            model: conditions.model.clone(),
            daily_volatility: conditions.daily_volatility.filter(|volatility| volatility.is_finite()),
            since_retrain: conditions.since_retrain,
            drifts_last_week: conditions.drifts_last_week,
        }
    }
}

impl From<retrain_schedule::Schedule> for host::Schedule {
    fn from(schedule: retrain_schedule::Schedule) -> Self {
        Self { every: schedule.every, immediately: schedule.immediately, reason: schedule.reason }
    }
}
