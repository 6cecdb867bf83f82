//! Experiments as people change them, and what waits for a person's answer.

use serde::{Deserialize, Serialize};

use crate::{
    Action, Design, Digest, Fate, Invalid, ModelKey, PolicyRef, RetrainCause, Seconds, Subject, Timestamp,
    subject::check_name,
};

/// Something is done about the experiment in which a version is tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExperimentChange {
    /// Of which model.
    pub model: ModelKey,
    /// The version that is tried.
    pub version: String,
    /// What.
    pub act: ExperimentAct,
    /// The revision of the model that whoever does it has seen; `None`: whatever it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seen: Option<u64>,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// What can be done about an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ExperimentAct {
    /// It begins.
    Start(Plan),
    /// Another share of the traffic, 0..1.
    Fraction(f64),
    /// Everything goes to the champion for a while.
    Pause,
    /// As it was before the pause.
    Resume,
    /// It is over, and the champion stays.
    Stop,
    /// It is over, and the challenger serves.
    Promote,
}

impl ExperimentAct {
    /// As commands name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Fraction(_) => "fraction",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Promote => "promote",
        }
    }
}

/// How a version is tried.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// How traffic is shared out.
    pub design: Design,
    /// The challenger's share of it, 0..1; nothing in shadow.
    pub fraction: f64,
    /// A policy may raise the share up to this by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ramp: Option<f64>,
    /// A difference up to this does not matter, as a share: 0.01 is one point of accuracy.
    #[serde(default)]
    pub margin: f64,
    /// Rows that are one piece of evidence together, because errors that follow each other are not independent.
    #[serde(default = "Plan::block")]
    pub block: u32,
    /// When it ends undecided; `None`: when somebody ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Seconds>,
    /// What is served changes what happens, so that only served rows say anything.
    #[serde(default)]
    pub affected: bool,
    /// Although the version is marked degraded.
    #[serde(default)]
    pub again: bool,
}

impl Plan {
    /// Rows in a block where nobody said otherwise.
    pub fn block() -> u32 {
        20
    }

    fn validate(&self) -> Result<(), Invalid> {
        let share = |field: &str, share: f64| {
            let fits = (0.0..=1.0).contains(&share);
            if fits {
                Ok(())
            } else {
                Err(Invalid::new(field, format!("is {share}; a share lies between 0 and 1")))
            }
        };
        share("fraction", self.fraction)?;
        share("margin", self.margin)?;
        self.ramp.map_or(Ok(()), |ramp| share("ramp", ramp))?;
        if !(1..=10_000).contains(&self.block) {
            return Err(Invalid::new("block", format!("is {}; it has 1 to 10,000 rows", self.block)));
        }
        if self.design == Design::Shadow && self.fraction > 0.0 {
            return Err(Invalid::new("fraction", "in shadow nothing is served; leave it out"));
        }
        if self.design != Design::Shadow && self.fraction == 0.0 {
            return Err(Invalid::new(
                "fraction",
                "is missing; say which share of the traffic it serves, such as 0.1",
            ));
        }
        Ok(())
    }
}

impl ExperimentChange {
    /// Checks names and shares.
    pub fn validate(&self) -> Result<(), Invalid> {
        check_name("tenant", &self.model.tenant)?;
        check_name("model", &self.model.model)?;
        check_name("version", &self.version)?;
        match &self.act {
            ExperimentAct::Start(plan) => plan.validate(),
            ExperimentAct::Fraction(share) if !(0.0..=1.0).contains(share) => {
                Err(Invalid::new("fraction", format!("is {share}; a share lies between 0 and 1")))
            }
            _ => Ok(()),
        }
    }
}

/// A person's answer to a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Of which model.
    pub model: ModelKey,
    /// The proposal.
    pub proposal: String,
    /// Digest of what was shown.
    pub shown: Digest,
    /// Whether it may go ahead.
    pub approved: bool,
    /// Of a cleanup: only these versions; empty: all that were proposed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Who answered.
    pub actor: String,
    /// When.
    pub at: Timestamp,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
}

/// Something that waits for a person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// Made of what is proposed: the same again has the same.
    pub id: String,
    /// Digest of all that the answer depends on.
    pub shown: Digest,
    /// Of which model.
    pub model: ModelKey,
    /// What.
    pub what: Proposed,
    /// Which policy proposes it.
    pub by: Option<PolicyRef>,
    /// The decision in which it does.
    pub decision: String,
    /// Why, in the policy's words.
    pub reason: String,
    /// The revision of the model then.
    pub revision: u64,
    /// Since when.
    pub opened: Timestamp,
    /// Until when it can be answered.
    pub expires: Timestamp,
    /// What became of it.
    pub state: ProposalState,
}

impl Proposal {
    /// As it is at this time: one that nobody answered expires, whether a tick has said so or not.
    #[must_use]
    pub fn as_of(&self, now: Timestamp) -> Self {
        let has_expired = self.state == ProposalState::Open && !self.waits_at(now);
        let state = if has_expired { ProposalState::Expired } else { self.state.clone() };
        Self { state, ..self.clone() }
    }

    /// Whether it can be answered at this time.
    pub fn waits_at(&self, now: Timestamp) -> bool {
        self.state == ProposalState::Open && now <= self.expires
    }
}

/// What a proposal is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proposed {
    /// The challenger of an experiment becomes champion.
    Promote {
        /// The version.
        version: String,
    },
    /// The challenger of an experiment gets a greater share.
    Fraction {
        /// The version.
        version: String,
        /// 0..1.
        fraction: f64,
    },
    /// Something that a drift policy wants done about a version.
    Act {
        /// The version.
        version: String,
        /// What.
        action: Action,
    },
    /// Something that a drift policy wants changed for a model, where the model's stage does not let it.
    Change {
        /// Whom the findings are about.
        subject: Subject,
        /// What.
        action: Action,
        /// The policy, and the gravest finding that it was asked about.
        cause: String,
    },
    /// Versions go.
    Cleanup {
        /// Every version with what is to become of it, newest first.
        plan: Vec<PlanLine>,
    },
    /// The model is retrained now.
    Retrain {
        /// What led to it.
        cause: RetrainCause,
    },
}

/// What is to become of a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanLine {
    /// Which.
    pub version: String,
    /// Keep or delete.
    pub fate: Fate,
    /// Why.
    pub reason: String,
    /// What its files take up.
    pub size_bytes: u64,
}

/// What became of a proposal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProposalState {
    /// It waits.
    Open,
    /// Somebody approved, and it was done.
    Approved {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// Somebody said no.
    Rejected {
        /// Who.
        by: String,
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Nobody answered in time.
    Expired,
    /// What it was about has changed.
    Stale {
        /// What changed.
        why: String,
    },
}

impl ProposalState {
    /// One word.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Approved { .. } => "approved",
            Self::Rejected { .. } => "rejected",
            Self::Expired => "expired",
            Self::Stale { .. } => "stale",
        }
    }
}

impl std::fmt::Display for Proposed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Promote { version } => write!(f, "promote {version}"),
            Self::Fraction { version, fraction } => write!(f, "serve {fraction} with {version}"),
            Self::Act { version, action } => write!(f, "{action} ({version})"),
            Self::Change { subject, action, .. } => write!(f, "{action} ({subject})"),
            Self::Cleanup { plan } => {
                let gone: Vec<_> = plan.iter().filter(|line| line.fate == Fate::Delete).collect();
                write!(f, "delete {} of {} versions", gone.len(), plan.len())
            }
            Self::Retrain { cause } => write!(f, "{} retrain", cause.mode),
        }
    }
}
