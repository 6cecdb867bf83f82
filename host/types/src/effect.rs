//! Effects: what is to happen outside, persisted before it does. Who carries it out is not known here.

use serde::{Deserialize, Serialize};

use crate::Position;

/// Something that is to happen outside, persisted before it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Derived from content: the idempotency key of every try.
    pub key: String,
    /// Where it was decided.
    pub position: Position,
    /// What kind: `alert`.
    pub kind: String,
    /// For an alert: its channel.
    pub channel: String,
    /// What is to be sent, as JSON.
    pub body: serde_json::Value,
}
