//! Entries of the 64 logs: what comes from outside, about whom, and as records with their place and other half.

use serde::{Deserialize, Serialize};
use trimtab_types::{About, Act, Outcome, Place, Prediction, Resolution, Shard, Timestamp};

use crate::{Kind, LogError, first_difference};

/// One entry.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A model predicted.
    Prediction(Prediction, Routed),
    /// The world answered, or an earlier answer is corrected.
    Outcome(Outcome),
    /// What is no row and has a word of its own in `types`.
    Known(Known),
    /// A build took over.
    Build(Build),
    /// Of a kind without a word of its own in `types`.
    Event(Event),
    /// Something about everything that no fold needs: a token, a backup, an export, a report. It has no place in any log.
    Noted(Event),
}

/// An entry of `types` that is no row.
#[derive(Debug, Clone, PartialEq)]
pub struct Known(trimtab_types::Entry);

impl Known {
    /// The entry.
    pub fn entry(&self) -> &trimtab_types::Entry {
        &self.0
    }
}

/// What a prediction says of its way to a version.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Routed {
    /// The unit that was routed (a user, an order, a bar), by which the arms of an experiment are joined.
    pub key: Option<String>,
    /// Why nobody acted on the prediction: `confidence`, `shadow`, …
    pub unserved: Option<String>,
}

impl Routed {
    /// The conflict of a prediction whose way differs from the stored one's.
    pub fn conflict(&self, index: usize, given: &Self, prediction: &Prediction) -> Option<LogError> {
        let difference = first_difference(self, given)?;
        let (model, id) = (prediction.subject.model.clone(), prediction.id.clone());
        let fix = "a prediction never changes; give the new one an id of its own";
        Some(LogError::Conflict { index, what: "prediction", model, id, difference, fix })
    }
}

/// A build, as it announces itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// The version and the commit.
    pub version: String,
    /// Rises when the meaning of the log changes.
    pub rules: u32,
    /// When it took over.
    pub at: Timestamp,
}

/// An entry whose contents the log does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// 10, 11 or above 16.
    #[serde(skip, default = "no_kind")]
    pub kind: Kind,
    /// Whom it is about.
    pub about: About,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// For how long it stands.
    #[serde(default, skip_serializing_if = "Lasts::is_once")]
    pub lasts: Lasts,
    /// What.
    pub body: serde_json::Value,
}

/// The kind is a column; whoever reads an event puts it back.
fn no_kind() -> Kind {
    Kind::ActOfAll
}

/// Whether something about everything or a tenant goes on standing, so that a shard that wakes later begins with it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lasts {
    /// It is over once it was done.
    #[default]
    Once,
    /// It stands, under this name, until something closes it.
    Opens(String),
    /// It closes what stands under this name.
    Closes(String),
}

impl Lasts {
    fn is_once(&self) -> bool {
        *self == Self::Once
    }
}

impl From<trimtab_types::Entry> for Entry {
    fn from(entry: trimtab_types::Entry) -> Self {
        match entry {
            trimtab_types::Entry::Prediction(prediction) => Self::Prediction(prediction, Routed::default()),
            trimtab_types::Entry::Outcome(outcome) => Self::Outcome(outcome),
            other => Self::Known(Known(other)),
        }
    }
}

/// The text of an entry that is no row, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stored {
    /// In the words of `types`.
    Entry(trimtab_types::Entry),
    /// A build.
    Build(Build),
    /// Anything else.
    Event(Event),
    /// What is in no log.
    Noted(Event),
}

impl Stored {
    /// The entry, with the kind that stood beside it; `None` if it is a row, which is never stored as text.
    pub fn into_entry(self, kind: Kind) -> Option<Entry> {
        match self {
            Self::Entry(entry) => match Entry::from(entry) {
                known @ Entry::Known(_) => Some(known),
                _ => None,
            },
            Self::Build(build) => Some(Entry::Build(build)),
            Self::Event(event) => Some(Entry::Event(Event { kind, ..event })),
            Self::Noted(event) => Some(Entry::Noted(Event { kind, ..event })),
        }
    }
}

impl Entry {
    /// Its kind; an outcome that replaces an earlier one is stored as a correction.
    pub fn kind(&self) -> Kind {
        use trimtab_types::Entry as E;
        match self {
            Self::Prediction(..) => Kind::Prediction,
            Self::Outcome(_) => Kind::Outcome,
            Self::Build(_) => Kind::Build,
            Self::Event(event) | Self::Noted(event) => event.kind,
            Self::Known(Known(entry)) => match entry {
                E::Prediction(_) => Kind::Prediction,
                E::Outcome(_) => Kind::Outcome,
                E::Tick(_) => Kind::Tick,
                E::Configuration(_) => Kind::Configuration,
                E::PolicySet(_) => Kind::PolicySet,
                E::JobStart(_) => Kind::JobOfAll,
                E::OperatorAct(act) => match &act.act {
                    Act::KillSwitch { model: None, .. } => Kind::KillSwitch,
                    Act::KillSwitch { model: Some(_), .. }
                    | Act::Silence { model: Some(_), .. }
                    | Act::SetExposure { .. }
                    | Act::ClearExposure { .. }
                    | Act::MinimumConfidence { .. }
                    | Act::Ask { .. }
                    | Act::Review { .. }
                    | Act::PlanRetrains { .. }
                    | Act::Resume { .. }
                    | Act::Retire { .. }
                    | Act::Acknowledge { .. } => Kind::Act,
                    Act::Silence { model: None, .. } | Act::LeaveAlone { .. } | Act::StopPolicy { .. } => {
                        Kind::ActOfAll
                    }
                },
                E::Baseline(_) => Kind::Baseline,
                E::Reset(_) => Kind::Reset,
                E::Redaction(_) => Kind::Redaction,
                E::Approval(_) => Kind::Approval,
                E::Trainer(_) => Kind::TrainerResult,
                E::Retrain(_) => Kind::Retrain,
                E::VersionChange(_) => Kind::VersionChange,
                E::Experiment(_) => Kind::Experiment,
            },
        }
    }

    /// Tenant and model, if it is about one.
    pub fn model(&self) -> Option<(&str, &str)> {
        match self {
            Self::Prediction(prediction, _) => Some((&prediction.subject.tenant, &prediction.subject.model)),
            Self::Outcome(outcome) => Some((&outcome.tenant, &outcome.model)),
            Self::Build(_) => None,
            Self::Event(event) | Self::Noted(event) => event.about.model(),
            Self::Known(Known(entry)) => entry.model(),
        }
    }

    /// When it happened, if it says so.
    pub fn time(&self) -> Option<Timestamp> {
        use trimtab_types::Entry as E;
        match self {
            Self::Prediction(prediction, _) => Some(prediction.time),
            Self::Outcome(outcome) => Some(outcome.time),
            Self::Build(build) => Some(build.at),
            Self::Event(event) | Self::Noted(event) => Some(event.at),
            Self::Known(Known(entry)) => match entry {
                E::Prediction(prediction) => Some(prediction.time),
                E::Outcome(outcome) => Some(outcome.time),
                E::Tick(time) => Some(*time),
                E::PolicySet(set) => set.change.as_ref().map(|change| change.at),
                E::JobStart(job) => Some(job.due),
                E::OperatorAct(act) => Some(act.at),
                E::Approval(approval) => Some(approval.at),
                E::VersionChange(change) => Some(change.at),
                E::Experiment(change) => Some(change.at),
                E::Retrain(change) => Some(change.at),
                E::Trainer(report) => Some(report.at),
                E::Baseline(_) | E::Configuration(_) | E::Reset(_) | E::Redaction(_) => None,
            },
        }
    }

    /// Where it goes, or why it can go nowhere.
    pub fn goes(&self, index: usize) -> Result<Goes, LogError> {
        let kind = self.kind();
        let refused = |problem| Err(LogError::Misplaced { index, kind: kind.name(), problem });
        match (self, self.model()) {
            (Self::Noted(_), _) if kind == Kind::ActOfAll => Ok(Goes::Beside),
            (Self::Noted(_), _) => {
                refused("only an act about everything or a tenant can be kept beside the logs")
            }
            (Self::Event(_), _) if kind < Kind::JobOfAll || matches!(kind, Kind::Baseline | Kind::Reset) => {
                refused("this kind has a form of its own")
            }
            (_, Some((tenant, model))) if !kind.is_control() => Ok(Goes::Model(Shard::of(tenant, model))),
            (_, None) if kind.is_control() => Ok(Goes::Everywhere),
            (_, Some(_)) => refused("it is about a model, and this kind is about everything or a tenant"),
            (_, None) => refused("it names no model, and this kind is about one"),
        }
    }

    /// Its text, if it is stored as text: everything but rows and ticks.
    pub fn stored(&self) -> Option<Stored> {
        match self {
            Self::Prediction(..) | Self::Outcome(_) => None,
            Self::Known(_) if self.kind() == Kind::Tick => None,
            Self::Known(Known(entry)) => Some(Stored::Entry(entry.clone())),
            Self::Build(build) => Some(Stored::Build(build.clone())),
            Self::Event(event) => Some(Stored::Event(event.clone())),
            Self::Noted(event) => Some(Stored::Noted(event.clone())),
        }
    }
}

impl Record {
    /// As a fold takes it; `None`: nothing that a fold knows.
    pub fn for_fold(self) -> Option<trimtab_types::Record> {
        let Self { place, entry, resolves } = self;
        let entry = match entry {
            Entry::Prediction(prediction, _) => trimtab_types::Entry::Prediction(prediction),
            Entry::Outcome(outcome) => trimtab_types::Entry::Outcome(outcome),
            Entry::Known(Known(entry)) => entry,
            Entry::Build(_) | Entry::Event(_) | Entry::Noted(_) => return None,
        };
        Some(trimtab_types::Record::new(place.position, entry, resolves))
    }
}

/// Where an entry goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goes {
    /// Into the log of its model.
    Model(Shard),
    /// Into every log that is awake.
    Everywhere,
    /// Into none.
    Beside,
}

/// An entry with its place and the row that it completes, as of that place.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Where.
    pub place: Place,
    /// What.
    pub entry: Entry,
    /// The other half, if the entry resolves a prediction; its position is in the same shard.
    pub resolves: Option<Resolution>,
}
