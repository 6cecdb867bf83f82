//! What policies are asked about a model's life: experiments, inventories of versions, schedules; and what they answer.

use serde::{Deserialize, Serialize};

use crate::{Estimate, Metric, ModelVersion, Seconds};

/// How an experiment shares out traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Design {
    /// The challenger's predictions are logged and never served.
    Shadow,
    /// A small share goes to the challenger.
    Canary,
    /// Both serve.
    AbTest,
}

/// Why the numbers of an experiment should not be trusted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are those of the policy interface")]
pub enum Concern {
    NoData,
    TooFewSamples,
    SampleRatioMismatch,
    OutcomeCoverageMismatch,
}

/// One side of an experiment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// The version.
    pub version: String,
    /// Resolved predictions.
    pub samples: u32,
    /// What is known of it.
    pub metrics: Vec<Metric>,
    /// Critical findings that are open.
    pub critical_findings: u32,
}

/// Challenger minus champion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// Of which metric.
    pub name: String,
    /// The difference.
    pub estimate: Estimate,
    /// E-value, valid at any time, that the challenger is better.
    pub better: f64,
    /// E-value that it is worse.
    pub worse: f64,
}

/// An experiment as a policy sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Experiment {
    /// Its id.
    pub id: String,
    /// Owner of the model.
    pub tenant: String,
    /// The model.
    pub model: String,
    /// How traffic is shared out.
    pub design: Design,
    /// Share of traffic that the challenger serves, 0..1.
    pub fraction: f64,
    /// For how long.
    pub running: Seconds,
    /// Empty: healthy.
    pub concerns: Vec<Concern>,
    /// The version that serves.
    pub champion: Arm,
    /// The version that is tried.
    pub challenger: Arm,
    /// How they differ.
    pub differences: Vec<Difference>,
}

/// What should become of an experiment.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ruling {
    /// The challenger becomes champion.
    Promote,
    /// Go on until the next regular look.
    Extend,
    /// Go on; ask again after this time.
    ExtendBy(Seconds),
    /// End it; the champion stays.
    Abort,
    /// Another share of traffic, 0..1.
    SetFraction(f64),
}

impl Ruling {
    /// The name of the kind of verdict, without its parameter.
    pub fn name(self) -> &'static str {
        match self {
            Self::Promote => "promote",
            Self::Extend => "extend",
            Self::ExtendBy(_) => "extend-by",
            Self::Abort => "abort",
            Self::SetFraction(_) => "set-fraction",
        }
    }
}

impl std::fmt::Display for Ruling {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())?;
        match self {
            Self::ExtendBy(time) => write!(f, " ({})", crate::format_duration(u64::from(*time))),
            Self::SetFraction(fraction) => write!(f, " ({fraction})"),
            Self::Promote | Self::Extend | Self::Abort => Ok(()),
        }
    }
}

/// What a canary-promotion policy answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What should become of the experiment.
    pub verdict: Ruling,
    /// Why, in the policy's words.
    pub reason: String,
}

/// What versions may take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// On disk.
    pub max_bytes: Option<u64>,
    /// In number.
    pub max_versions: Option<u32>,
    /// What they take up now.
    pub used_bytes: u64,
}

/// The versions of a model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Inventory {
    /// Owner of the model.
    pub tenant: String,
    /// The model.
    pub model: String,
    /// Newest first.
    pub versions: Vec<ModelVersion>,
    /// What they may take up.
    pub budget: Budget,
}

/// What should become of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It stays.
    Keep,
    /// It may go, once a person has approved.
    Delete,
}

impl Fate {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Delete => "delete",
        }
    }
}

/// What a cleanup policy says of one version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recommendation {
    /// Which.
    pub version: String,
    /// What should become of it.
    pub fate: Fate,
    /// Why, in the policy's words.
    pub reason: String,
}

/// The circumstances in which a model is retrained regularly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// Owner of the model.
    pub tenant: String,
    /// The model.
    pub model: String,
    /// Realised volatility per day, if prices are known: 0.03 is 3 % a day.
    pub daily_volatility: Option<f64>,
    /// `None`: never retrained.
    pub since_retrain: Option<Seconds>,
    /// Drifts in the last seven days.
    pub drifts_last_week: u32,
}

/// What a retrain-schedule policy answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// From here on.
    pub every: Seconds,
    /// Also once now, before the next regular run.
    pub immediately: bool,
    /// Why, in the policy's words.
    pub reason: String,
}
