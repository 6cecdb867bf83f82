//! Decisions: what a policy was asked and answered, what the safeguards made of it, and the record of both.

use serde::{Deserialize, Serialize};

use crate::{
    Action, Alert, Approval, Conditions, Digest, Estimate, Experiment, ExperimentChange, Finding, Inventory,
    Judgement, Message, ModelVersion, PolicyKind, Position, Recommendation, RetrainChange, Ruled, Schedule,
    Seconds, Severity, Subject, Timestamp, TrainerEvent, TrainerReport, VersionChange,
};

/// What a drift-action policy answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// In the order in which they should happen. Empty: nothing to do.
    pub actions: Vec<Action>,
    /// Why, in the policy's words.
    pub reason: String,
}

/// What the safeguards made of a proposed action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Done by the host at this position.
    Done {
        /// What was done.
        what: String,
    },
    /// Allowed; carried out by somebody else.
    Allowed {
        /// By whom, or when.
        what: String,
    },
    /// Held back, as the rules for alerts say.
    Suppressed {
        /// Which rule.
        why: String,
    },
    /// Waits for a person.
    Waits {
        /// For what.
        why: String,
    },
    /// Gave way to a safer proposal of another policy about the same subject at the same moment.
    Overruled {
        /// That policy.
        by: String,
    },
    /// Not done.
    Refused {
        /// Every reason, not only the first.
        reasons: Vec<String>,
    },
}

impl Verdict {
    /// One word: `done`, `allowed`, `suppressed`, `waits`, `overruled` or `refused`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Done { .. } => "done",
            Self::Allowed { .. } => "allowed",
            Self::Suppressed { .. } => "suppressed",
            Self::Waits { .. } => "waits",
            Self::Overruled { .. } => "overruled",
            Self::Refused { .. } => "refused",
        }
    }

    /// Whether nothing comes of the action, at least for now.
    pub fn holds_back(&self) -> bool {
        match self {
            Self::Done { .. } | Self::Allowed { .. } => false,
            Self::Suppressed { .. } | Self::Waits { .. } | Self::Overruled { .. } | Self::Refused { .. } => {
                true
            }
        }
    }
}

impl Verdict {
    /// For a message: of several reasons the first, without what to do about it; the record has them all.
    pub fn in_short(&self) -> String {
        let Self::Refused { reasons } = self else { return self.to_string() };
        let first = reasons.first().and_then(|reason| reason.split(';').next()).unwrap_or_default();
        match reasons.len() {
            0 => self.name().to_owned(),
            1 => format!("{}: {first}", self.name()),
            2 => format!("{}: {first}, and one more reason", self.name()),
            more => format!("{}: {first}, and {} more reasons", self.name(), more - 1),
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let detail = match self {
            Self::Done { what } | Self::Allowed { what } => what.clone(),
            Self::Suppressed { why } | Self::Waits { why } => why.clone(),
            Self::Overruled { by } => format!("by {by}"),
            Self::Refused { reasons } => reasons.join("; "),
        };
        if detail.is_empty() { f.write_str(self.name()) } else { write!(f, "{}: {detail}", self.name()) }
    }
}

/// What a policy's answer may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// It is acted on, as far as the safeguards allow.
    #[default]
    Enforce,
    /// It is recorded and never acted on.
    Shadow,
    /// The policy is not asked.
    Off,
}

impl Mode {
    /// As configurations write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// Which policy: its name and the digest of component and manifest.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PolicyRef {
    /// The folder's name.
    pub name: String,
    /// Of component and manifest, because defaults are part of a decision.
    pub digest: Digest,
}

/// What a policy was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// These findings changed; what should be done?
    DriftAction {
        /// All of one subject that changed at one position, gravest first.
        findings: Vec<Finding>,
    },
    /// How should this alert read?
    AlertFormat {
        /// The alert.
        alert: Box<Alert>,
        /// For which channel.
        channel: String,
    },
    /// What should become of this experiment?
    CanaryPromotion {
        /// The experiment.
        experiment: Box<Experiment>,
    },
    /// Which versions may go?
    Cleanup {
        /// The versions.
        inventory: Box<Inventory>,
    },
    /// How often should this model be retrained?
    RetrainSchedule {
        /// The circumstances.
        conditions: Conditions,
    },
    /// Somebody wants something done; the host itself answers.
    Request(Box<Request>),
}

/// What somebody wants done about the life of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// About a version.
    Version(VersionChange),
    /// About an experiment.
    Experiment(ExperimentChange),
    /// An answer to a proposal.
    Answer(Approval),
    /// About retrains.
    Retrain(RetrainChange),
    /// What a trainer reports.
    Trainer(TrainerReport),
}

impl Question {
    /// Of which kind it is; `None`: no policy is asked.
    pub fn kind(&self) -> Option<PolicyKind> {
        match self {
            Self::DriftAction { .. } => Some(PolicyKind::DriftAction),
            Self::AlertFormat { .. } => Some(PolicyKind::AlertFormat),
            Self::CanaryPromotion { .. } => Some(PolicyKind::CanaryPromotion),
            Self::Cleanup { .. } => Some(PolicyKind::Cleanup),
            Self::RetrainSchedule { .. } => Some(PolicyKind::RetrainSchedule),
            Self::Request(_) => None,
        }
    }

    /// The findings that it is about.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::DriftAction { findings } => findings,
            Self::AlertFormat { alert, .. } => &alert.findings,
            Self::CanaryPromotion { .. }
            | Self::Cleanup { .. }
            | Self::RetrainSchedule { .. }
            | Self::Request(_) => &[],
        }
    }
}

impl Request {
    /// In a few words, as people read it.
    pub fn name(&self) -> String {
        match self {
            Self::Version(change) => {
                format!("{} {}", change.act.name(), change.version).trim_end().to_owned()
            }
            Self::Experiment(change) => format!("experiment {} {}", change.act.name(), change.version),
            Self::Answer(answer) => {
                let word = if answer.approved { "approve" } else { "reject" };
                format!("{word} proposal {}", answer.proposal)
            }
            Self::Retrain(change) => format!("retrain {}", change.act.name()),
            Self::Trainer(report) => match report.event {
                TrainerEvent::Started => format!("trainer of run {} started", report.run),
                TrainerEvent::Ended { .. } => format!("trainer of run {} ended", report.run),
            },
        }
    }

    /// Who wants it.
    pub fn actor(&self) -> &str {
        match self {
            Self::Version(change) => &change.actor,
            Self::Experiment(change) => &change.actor,
            Self::Answer(answer) => &answer.actor,
            Self::Retrain(change) => &change.actor,
            Self::Trainer(_) => "trainer",
        }
    }
}

/// What a policy answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// To `drift-action`.
    Decision(Decision),
    /// To `alert-format`.
    Message(Message),
    /// To `canary-promotion`.
    Judgement(Judgement),
    /// To `cleanup`: one for every version.
    Review(Vec<Recommendation>),
    /// To `retrain-schedule`.
    Schedule(Schedule),
    /// The host's own, to a request.
    Ruled(Ruled),
    /// It could not answer.
    Failed(Failure),
}

impl Answer {
    /// Its reason, message or failure in one line, as people read it.
    pub fn words(&self) -> String {
        match self {
            Self::Decision(decision) => decision.reason.clone(),
            Self::Message(message) => message.title.clone(),
            Self::Judgement(judgement) => format!("{}: {}", judgement.verdict, judgement.reason),
            Self::Review(review) => {
                let gone = review.iter().filter(|line| line.fate == crate::Fate::Delete).count();
                format!("{gone} of {} versions may go", review.len())
            }
            Self::Schedule(schedule) => {
                format!("every {}: {}", crate::format_duration(u64::from(schedule.every)), schedule.reason)
            }
            Self::Ruled(Ruled { refusal: Some(refusal), .. }) => {
                format!("{}: {}", refusal.kind, refusal.problem)
            }
            Self::Ruled(ruled) => ruled.says.clone(),
            Self::Failed(failure) => failure.to_string(),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{}: {message}", kind.name())]
pub struct Failure {
    /// What kind of failure.
    pub kind: FailureKind,
    /// What happened, with the name of the policy.
    pub message: String,
}

/// Kinds of failure of a policy call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FailureKind {
    /// The policy answered with an error sentence of its own.
    Refused,
    /// It trapped: unreachable code, a panic, an access out of bounds.
    Trap,
    /// It used up its fuel. Repeatable to the unit.
    Fuel,
    /// The safety net behind the fuel stopped it. Not repeatable: replay takes it from the record.
    Deadline,
    /// It wanted more memory, tables or instances than its limits allow.
    Memory,
    /// It called the host too often, wrote too much log, or broke a rule of an imported function.
    HostCall,
    /// It answered something that no policy may answer: NaN, a rate outside 0..1, too long a text.
    InvalidAnswer,
    /// It could not be loaded.
    Load,
    /// It was not asked, because it had failed too often in a row.
    CircuitOpen,
    /// It was not asked, because the record of the day is full.
    Record,
    /// It was not asked, because a person stopped it. Not repeatable: that holds ahead of the log.
    Stopped,
}

impl FailureKind {
    /// The name that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Trap => "trap",
            Self::Fuel => "fuel",
            Self::Deadline => "deadline",
            Self::Memory => "memory",
            Self::HostCall => "host-call",
            Self::InvalidAnswer => "invalid-answer",
            Self::Load => "load",
            Self::CircuitOpen => "circuit-open",
            Self::Record => "record",
            Self::Stopped => "stopped",
        }
    }

    /// Whether there was no call that could have taken any time.
    pub fn was_not_asked(self) -> bool {
        matches!(self, Self::Load | Self::CircuitOpen | Self::Record | Self::Stopped)
    }

    /// Whether asking again gives the same failure. What is not repeatable is replayed from the record.
    pub fn is_repeatable(self) -> bool {
        match self {
            Self::Deadline | Self::Stopped => false,
            Self::Refused
            | Self::Trap
            | Self::Fuel
            | Self::Memory
            | Self::HostCall
            | Self::InvalidAnswer
            | Self::Load
            | Self::CircuitOpen
            | Self::Record => true,
        }
    }
}

/// One thing that a policy read through `history` or `state`, with what it was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are those of the policy interface")]
pub enum Read {
    Recent { metric: String, last: u32, answer: Option<Estimate> },
    Between { metric: String, from_ago: Seconds, until_ago: Seconds, answer: Option<Estimate> },
    Baseline { metric: String, answer: Option<Estimate> },
    Findings { within: Seconds, at_least: Severity, limit: u32, answer: Vec<Finding> },
    DriftCount { detector: String, answer: u32 },
    Versions { answer: Vec<ModelVersion> },
    SinceActivation { answer: Option<Seconds> },
    SinceRetrain { answer: Option<Seconds> },
    State { key: String, answer: Option<String> },
}

/// A change that a policy made to its notebook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateChange {
    /// Which key.
    pub key: String,
    /// `None`: removed.
    pub value: Option<String>,
}

/// How loud a line of a policy's log is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum LogLevel {
    Debug,
    Info,
    Warn,
    Error,
}

/// A line that a policy wrote for the operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// How loud.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
}

/// Everything about one decision. Without `fuel` and `duration_us`, which are measurements, it is the same at each
/// replay, byte for byte.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DecisionRecord {
    /// Derived from position, subject, question and policy.
    pub id: String,
    /// Log position at which the question arose.
    pub position: Position,
    /// The log's clock then; what the policy's own clock says.
    pub at: Timestamp,
    /// Whom it is about.
    pub subject: Subject,
    /// Who decided. `None`: no policy applies, and the host recorded that.
    pub policy: Option<PolicyRef>,
    /// Whether it was acted on.
    pub mode: Mode,
    /// What was asked.
    pub question: Question,
    /// What the policy read, in order.
    pub reads: Vec<Read>,
    /// What it wrote into its notebook.
    pub notebook: Vec<StateChange>,
    /// What it answered.
    pub answer: Answer,
    /// Its log.
    pub log: Vec<LogLine>,
    /// Each action that follows from the answer (or from the fail-safe, if there is none) with the safeguards' verdict.
    pub verdicts: Vec<(Action, Verdict)>,
    /// Fuel used.
    pub fuel: u64,
    /// How long the call took, in microseconds.
    pub duration_us: u64,
}

impl DecisionRecord {
    /// The policy that decided, or `host`.
    pub fn decided_by(&self) -> &str {
        self.policy.as_ref().map_or("host", |policy| &policy.name)
    }

    /// The record without what is only measured: what two replays must agree on.
    #[must_use]
    pub fn without_measurements(&self) -> Self {
        Self { fuel: 0, duration_us: 0, ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn a_message_has_the_first_reason_and_how_many_more() {
        let refused = |reasons: &[&str]| {
            Verdict::Refused { reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect() }
                .in_short()
        };
        assert_eq!(refused(&["no such detector"]), "refused: no such detector");
        assert_eq!(refused(&["the stage is `alert`; set another"]), "refused: the stage is `alert`");
        assert_eq!(refused(&["a; b", "c"]), "refused: a, and one more reason");
        assert_eq!(refused(&["a", "b", "c", "d"]), "refused: a, and 3 more reasons");
        let waits = Verdict::Waits { why: "a person answers proposal p1; soon".to_owned() };
        assert_eq!(waits.in_short(), waits.to_string());
    }
}
