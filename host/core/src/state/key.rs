//! The parts of the state that are stored by themselves, and how a checkpoint names them.

use trimtab_types::{About, ModelKey, Subject};

/// A part of the state that is stored by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateKey {
    /// Newest tick, what is in force, the kill switch of everything.
    Global,
    /// A model.
    Model(ModelKey),
    /// A subject.
    Subject(Subject),
    /// What a subject is held against.
    Baseline(Subject),
    /// How a subject's score and features were distributed when.
    Timelines(Subject),
    /// What is remembered of a subject's findings.
    Diary(Subject),
    /// The life of a model.
    Registry(ModelKey),
    /// What has come in of its experiments.
    Tallies(ModelKey),
}

impl StateKey {
    /// Whom it is about, and which part that is: how a checkpoint names it. Numbers are stored and never used again.
    pub fn named(&self) -> (About, u8) {
        match self {
            Self::Global => (About::All, 1),
            Self::Model(model) => (About::Model(model.clone()), 2),
            Self::Subject(subject) => (About::Subject(subject.clone()), 3),
            Self::Baseline(subject) => (About::Subject(subject.clone()), 4),
            Self::Timelines(subject) => (About::Subject(subject.clone()), 5),
            Self::Diary(subject) => (About::Subject(subject.clone()), 6),
            Self::Registry(model) => (About::Model(model.clone()), 7),
            Self::Tallies(model) => (About::Model(model.clone()), 8),
        }
    }

    /// From how a checkpoint names it.
    pub fn from_name(about: About, part: u8) -> Option<Self> {
        match (about, part) {
            (About::All, 1) => Some(Self::Global),
            (About::Model(model), 2) => Some(Self::Model(model)),
            (About::Subject(subject), 3) => Some(Self::Subject(subject)),
            (About::Subject(subject), 4) => Some(Self::Baseline(subject)),
            (About::Subject(subject), 5) => Some(Self::Timelines(subject)),
            (About::Subject(subject), 6) => Some(Self::Diary(subject)),
            (About::Model(model), 7) => Some(Self::Registry(model)),
            (About::Model(model), 8) => Some(Self::Tallies(model)),
            _ => None,
        }
    }

    /// The model that it is about; `None`: it is about all of them.
    pub fn model(&self) -> Option<ModelKey> {
        match self {
            Self::Global => None,
            Self::Model(key) | Self::Registry(key) | Self::Tallies(key) => Some(key.clone()),
            Self::Subject(subject)
            | Self::Baseline(subject)
            | Self::Timelines(subject)
            | Self::Diary(subject) => Some(subject.model_key()),
        }
    }
}

impl std::fmt::Display for StateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Global => f.write_str("everything"),
            Self::Model(model) => write!(f, "model {model}"),
            Self::Subject(subject) => write!(f, "subject {subject}"),
            Self::Baseline(subject) => write!(f, "baseline {subject}"),
            Self::Timelines(subject) => write!(f, "timelines {subject}"),
            Self::Diary(subject) => write!(f, "diary {subject}"),
            Self::Registry(model) => write!(f, "registry {model}"),
            Self::Tallies(model) => write!(f, "experiments {model}"),
        }
    }
}
