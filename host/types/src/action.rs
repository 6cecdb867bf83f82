//! What a policy may propose, and what of it makes a model do less.

use serde::{Deserialize, Serialize};

use crate::{Seconds, Severity};

/// What a policy proposes. It has no effect of its own: the safeguards answer each action with a [`Verdict`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Keep watching; recorded as such.
    Monitor,
    /// Tell people.
    Alert(Severity),
    /// Plan a retrain within this time.
    ScheduleRetrain(Seconds),
    /// An emergency retrain.
    RetrainNow,
    /// Stop trading on this model.
    KillSwitchOn,
    /// Allow it again.
    KillSwitchOff,
    /// To the previous champion.
    Rollback,
    /// To this version.
    RollbackTo(String),
    /// Multiply exposure by this factor in 0..1.
    ScaleExposure(f64),
    /// Keep findings of the subject and do not decide on them.
    Pause,
    /// Decide again.
    Resume,
    /// End the canary.
    StopCanary,
    /// Serve no prediction of this model below this confidence, 0..1.
    MinimumConfidence(f64),
    /// Start the named detector anew.
    ResetDetector(String),
    /// Mark the version degraded.
    MarkDegraded,
    /// The challenger of an experiment becomes champion.
    Promote(String),
    /// The challenger of an experiment serves this share, 0..1.
    SetFraction(f64),
    /// These versions go.
    Delete(Vec<String>),
    /// Retrain so often from here on.
    RetrainEvery(Seconds),
}

impl Action {
    /// Whether it makes a model do less. It is done at the stage `protect`: a person can take each of them back.
    pub fn tightens(&self) -> bool {
        match self {
            Self::KillSwitchOn
            | Self::ScaleExposure(_)
            | Self::MinimumConfidence(_)
            | Self::Pause
            | Self::StopCanary
            | Self::MarkDegraded => true,
            Self::Monitor
            | Self::Alert(_)
            | Self::ScheduleRetrain(_)
            | Self::RetrainNow
            | Self::KillSwitchOff
            | Self::Rollback
            | Self::RollbackTo(_)
            | Self::Resume
            | Self::Promote(_)
            | Self::SetFraction(_)
            | Self::Delete(_)
            | Self::RetrainEvery(_)
            | Self::ResetDetector(_) => false,
        }
    }

    /// The name of the kind of action, without its parameter.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Monitor => "monitor",
            Self::Alert(_) => "alert",
            Self::ScheduleRetrain(_) => "schedule-retrain",
            Self::RetrainNow => "retrain-now",
            Self::KillSwitchOn => "kill-switch-on",
            Self::KillSwitchOff => "kill-switch-off",
            Self::Rollback => "rollback",
            Self::RollbackTo(_) => "rollback-to",
            Self::ScaleExposure(_) => "scale-exposure",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::StopCanary => "stop-canary",
            Self::MinimumConfidence(_) => "minimum-confidence",
            Self::ResetDetector(_) => "reset-detector",
            Self::MarkDegraded => "mark-degraded",
            Self::Promote(_) => "promote",
            Self::SetFraction(_) => "set-fraction",
            Self::Delete(_) => "delete",
            Self::RetrainEvery(_) => "retrain-every",
        }
    }
}

impl std::fmt::Display for Action {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::Alert(severity) => write!(f, " ({severity})"),
            Self::ScheduleRetrain(within) => {
                write!(f, " (within {})", crate::format_duration(u64::from(*within)))
            }
            Self::RollbackTo(version) | Self::Promote(version) => write!(f, " ({version})"),
            Self::Delete(versions) => write!(f, " ({})", versions.join(", ")),
            Self::RetrainEvery(every) => write!(f, " ({})", crate::format_duration(u64::from(*every))),
            Self::ScaleExposure(factor) | Self::MinimumConfidence(factor) | Self::SetFraction(factor) => {
                write!(f, " ({})", crate::number(*factor))
            }
            Self::ResetDetector(detector) => write!(f, " ({detector})"),
            _ => Ok(()),
        }
    }
}
