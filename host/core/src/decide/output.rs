//! What a step returns. It is data: somebody else records it, and carries out what is to happen outside.

use trimtab_types::{
    DecisionRecord, Effect, Finding, ModelKey, Moment, Occasion, PolicyRef, Subject, Timestamp,
};

/// What came of one record, or of several in their order.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// What changed.
    pub moments: Vec<Moment>,
    /// What decisions changed of the watch, in order.
    pub orders: Vec<Order>,
    /// Everything that was decided.
    pub decisions: Vec<DecisionRecord>,
    /// What is to happen outside.
    pub effects: Vec<Effect>,
    /// Each message to people, also where nobody puts it into words.
    pub told: Vec<Heard>,
    /// What an operator wants to read in the host's log. Not recorded.
    pub notes: Vec<Note>,
}

/// People hear of something, once, through however many channels.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// Of what.
    pub subject: Subject,
    /// Why now.
    pub occasion: Occasion,
    /// When, by the clock of whoever decides.
    pub at: Timestamp,
}

/// A change of the watch that a decision carries: a detector of a subject starts anew, or all of a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Order {
    /// Of whom.
    pub subject: Subject,
    /// Which; [`Order::ALL`]: all, of all segments of the version.
    pub reset: String,
}

impl Order {
    /// All detectors of a version.
    pub const ALL: &str = "*";

    /// What a promotion orders: the detectors of what serves from now on start anew.
    pub fn promotion(model: &ModelKey, version: &str) -> Self {
        let ModelKey { tenant, model } = model.clone();
        let subject = Subject { tenant, model, version: version.to_owned(), segment: String::new() };
        Self { subject, reset: Self::ALL.to_owned() }
    }
}

/// Something for the host's own log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Note {
    /// A policy fails again and again about a model and is left alone for a while.
    LeftAlone {
        /// Which version.
        policy: PolicyRef,
        /// About which model.
        model: ModelKey,
    },
}

impl Output {
    /// Changes of findings, in order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.moments.iter().flat_map(|moment| &moment.findings)
    }

    /// Adds what came after.
    pub fn append(&mut self, mut later: Self) {
        self.moments.append(&mut later.moments);
        self.orders.append(&mut later.orders);
        self.decisions.append(&mut later.decisions);
        self.effects.append(&mut later.effects);
        self.told.append(&mut later.told);
        self.notes.append(&mut later.notes);
    }
}
