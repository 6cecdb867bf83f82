//! From Trimtab's vocabulary to the policy interface and back. The only place that knows both.
//!
//! The contract promises policies finite numbers: an estimate that is not finite is no estimate, and an infinite
//! statistic becomes the largest finite one.

use trimtab_types as host;

use crate::bindings::exports::trimtab::policy::{alert_format, drift_action};
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

fn finite(number: f64) -> f64 {
    if number.is_nan() { 0.0 } else { number.clamp(f64::MIN, f64::MAX) }
}

impl From<&host::Finding> for wit::Finding {
    fn from(finding: &host::Finding) -> Self {
        Self {
            id: finding.id.clone(),
            subject: (&finding.subject).into(),
            phase: finding.phase.into(),
            opened: finding.opened.as_unix(),
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
                host::Occasion::Firing => alert_format::Occasion::Firing,
                host::Occasion::Repeated => alert_format::Occasion::Repeated,
                host::Occasion::Escalated => alert_format::Occasion::Escalated,
                host::Occasion::Resolved => alert_format::Occasion::Resolved,
            },
            started: alert.started.as_unix(),
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
