//! Effects: what is to happen outside, persisted before it does. Who carries it out is not known here.

use serde::{Deserialize, Serialize};

use crate::{Position, Timestamp};

/// Something that is to happen outside, persisted before it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Effect {
    /// Derived from content: the idempotency key of every try.
    pub key: String,
    /// Where it was decided.
    pub position: Position,
    /// What kind: `alert`.
    pub kind: String,
    /// Who carries it out: [`Effect::QUEUE`], or a sink of the configuration by its name.
    pub sink: String,
    /// For an alert: in whose words it is.
    pub channel: String,
    /// When it was decided, by the model's clock.
    pub at: Timestamp,
    /// Not after; `None`: however late.
    pub expires: Option<Timestamp>,
    /// What is to be sent, as JSON.
    pub body: serde_json::Value,
}

impl Effect {
    /// The file that bots poll.
    pub const QUEUE: &str = "queue";
}
