//! What a fold leaves behind: one step as it is written, and all of it as it is read.

use trimtab_types::{DecisionRecord, Effect, Finding, Position, Timestamp};

/// What one step of the fold writes, in one transaction.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FoldCommit {
    /// The cursor before this step; the commit is refused if the stored one differs.
    pub from: Position,
    /// The cursor after it: every entry up to here is folded.
    pub to: Position,
    /// States that changed: key and bytes; no bytes: removed.
    pub states: Vec<StateChange>,
    /// Findings in their order.
    pub findings: Vec<Finding>,
    /// Decisions in their order.
    pub decisions: Vec<DecisionRecord>,
    /// Effects that somebody has to carry out, in their order.
    pub effects: Vec<Effect>,
}

/// An effect and what has become of it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StoredEffect {
    /// What is to happen.
    #[serde(flatten)]
    pub effect: Effect,
    /// When it was delivered.
    pub delivered: Option<Timestamp>,
}

/// A state's key and its bytes; no bytes: removed.
pub type StateChange = (String, Option<Vec<u8>>);

/// Cursor, format, and states by key.
pub type FoldedState = (Position, u32, Vec<(String, Vec<u8>)>);

/// What the fold recorded over a stretch of the log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folded {
    /// In order.
    pub findings: Vec<Finding>,
    /// In order.
    pub decisions: Vec<DecisionRecord>,
    /// In order.
    pub effects: Vec<Effect>,
}
