//! The part of history that somebody asks about.

use serde::{Deserialize, Serialize};
use trimtab_types::{DecisionRecord, Timestamp};

/// Which decisions are compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Period {
    /// Made at this time of the log's clock or later.
    pub since: Option<Timestamp>,
    /// Made before this time.
    pub until: Option<Timestamp>,
    /// Only about models of this tenant …
    pub tenant: Option<String>,
    /// … and this name.
    pub model: Option<String>,
}

impl Period {
    /// Whether a decision is compared.
    pub fn is_about(&self, decision: &DecisionRecord) -> bool {
        let (subject, at) = (&decision.subject, decision.at);
        self.tenant.as_ref().is_none_or(|tenant| *tenant == subject.tenant)
            && self.model.as_ref().is_none_or(|model| *model == subject.model)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }
}
