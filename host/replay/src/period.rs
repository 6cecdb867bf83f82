//! The part of history that somebody asks about.

use serde::{Deserialize, Serialize};
use trimtab_types::{DecisionRecord, Subject, Timestamp};

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
        self.covers(&decision.subject, decision.at)
    }

    /// Whether something about a subject at a time is compared.
    pub(crate) fn covers(&self, subject: &Subject, at: Timestamp) -> bool {
        self.tenant.as_ref().is_none_or(|tenant| *tenant == subject.tenant)
            && self.model.as_ref().is_none_or(|model| *model == subject.model)
            && self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
    }
}
