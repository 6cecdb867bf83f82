//! What a policy's manifest says about when it is asked and what follows. Who decides needs no more of a manifest than
//! this; grants, limits and settings are the sandbox's.

use crate::{Action, Alert, Finding, Globs, Mode, ModelKey, Seconds, Severity, Subject};

/// A question that a policy answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PolicyKind {
    /// These findings changed; what should be done?
    DriftAction,
    /// How should this alert read?
    AlertFormat,
    /// What should become of this experiment?
    CanaryPromotion,
    /// Which versions may go?
    Cleanup,
    /// How often should this model be retrained?
    RetrainSchedule,
}

impl PolicyKind {
    /// All kinds.
    pub const ALL: [Self; 5] =
        [Self::DriftAction, Self::AlertFormat, Self::CanaryPromotion, Self::Cleanup, Self::RetrainSchedule];

    /// The name of the interface that the policy exports.
    pub fn name(self) -> &'static str {
        match self {
            Self::DriftAction => "drift-action",
            Self::AlertFormat => "alert-format",
            Self::CanaryPromotion => "canary-promotion",
            Self::Cleanup => "cleanup",
            Self::RetrainSchedule => "retrain-schedule",
        }
    }
}

impl std::fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

/// What a policy is asked about; without a manifest entry, about everything.
#[derive(Debug, Clone, PartialEq)]
pub struct AppliesTo {
    /// Tenants.
    pub tenant: Globs,
    /// Models.
    pub model: Globs,
    /// Segments; the empty one stands for all segments together.
    pub segment: Globs,
    /// Detectors.
    pub detector: Globs,
    /// The mildest finding that counts.
    pub severity: Severity,
}

impl AppliesTo {
    fn subject(&self, subject: &Subject) -> bool {
        self.tenant.matches(&subject.tenant)
            && self.model.matches(&subject.model)
            && self.segment.matches(&subject.segment)
    }

    /// Whether the policy is asked about a model's life: its experiments, its versions, its retraining.
    pub fn model(&self, model: &ModelKey) -> bool {
        self.tenant.matches(&model.tenant) && self.model.matches(&model.model)
    }

    /// Whether the policy is asked about this finding.
    pub fn finding(&self, finding: &Finding) -> bool {
        // What no detector found is put to those alone who name it.
        let is_named = match finding.detector.as_str() {
            Finding::ACTIVATION => self.detector.names(Finding::ACTIVATION),
            detector => self.detector.matches(detector),
        };
        finding.severity >= self.severity && is_named && self.subject(&finding.subject)
    }

    /// Whether the policy is asked to put this alert into words. An alert of the host itself has no detector.
    pub fn alert(&self, alert: &Alert) -> bool {
        let mut findings = alert.findings.iter();
        alert.severity >= self.severity
            && self.subject(&alert.subject)
            && (alert.findings.is_empty() || findings.any(|finding| self.detector.matches(&finding.detector)))
    }
}

/// What deciding needs to know of one version of a policy.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// The questions that it answers.
    pub kinds: Vec<PolicyKind>,
    /// Whether answers are acted on, where the operator says nothing.
    pub mode: Mode,
    /// Policies of lower order are asked first, where the operator says nothing.
    pub order: i32,
    /// Channels that an alert-format policy writes for.
    pub channels: Globs,
    /// What it is asked about.
    pub applies_to: AppliesTo,
    /// What happens if it cannot answer.
    pub fail_safe: Vec<Action>,
    /// How long after it was asked about a subject it is asked again, while something that it applies to is open; `None`:
    /// only when something changes.
    pub reconsider: Option<Seconds>,
    /// Whether it is asked about what is open when it comes into force under a name that was not there.
    pub asked_on_swap: bool,
    /// How long after it was said that something is open this is said again; `None`: as the operator's reminders have it.
    pub repeat: Option<Seconds>,
}

impl Rules {
    /// Whether it decides on this finding. Its mode is the caller's business.
    pub fn decides(&self, finding: &Finding) -> bool {
        self.kinds.contains(&PolicyKind::DriftAction) && self.applies_to.finding(finding)
    }

    /// Whether it writes this alert for this channel.
    pub fn formats(&self, channel: &str, alert: &Alert) -> bool {
        self.kinds.contains(&PolicyKind::AlertFormat)
            && self.channels.matches(channel)
            && self.applies_to.alert(alert)
    }
}
