//! What a step returns. It is data: somebody else records it, and carries out what is to happen outside.

use trimtab_types::{DecisionRecord, Effect, Finding, ModelKey, PolicyRef};

/// What came of one record, or of several in their order.
#[derive(Debug, Default, PartialEq)]
pub struct Output {
    /// Changes of findings.
    pub findings: Vec<Finding>,
    /// Everything that was decided.
    pub decisions: Vec<DecisionRecord>,
    /// What is to happen outside.
    pub effects: Vec<Effect>,
    /// What an operator wants to read in the host's log. Not recorded.
    pub notes: Vec<Note>,
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
    /// Adds what came after.
    pub fn append(&mut self, mut later: Self) {
        self.findings.append(&mut later.findings);
        self.decisions.append(&mut later.decisions);
        self.effects.append(&mut later.effects);
        self.notes.append(&mut later.notes);
    }
}
