//! Predictions that stay away: the age of the newest one, by the log's clock. Without ticks nothing is late.

use trimtab_types::{Severity, Timestamp};

use super::{episode::Evidence, look::Look};
use crate::{config::StalenessSettings, detector::DetectorKind};

/// What findings call the age of the newest prediction.
pub(super) const AGE: &str = "age";

/// Age of the newest prediction against the log's clock.
pub(super) fn look(settings: &StalenessSettings, newest: Option<Timestamp>, now: Timestamp) -> Option<Look> {
    let age = now.since(newest?) as f64;
    let is_retired = age > f64::from(settings.retired.0);
    let limit = settings.limit();
    Some(Look {
        kind: DetectorKind::Staleness,
        quantity: AGE.into(),
        level: (age > limit && !is_retired).then_some(Severity::High),
        recovered: age <= limit || is_retired,
        evidence: Evidence {
            statistic: age,
            threshold: limit,
            window: if is_retired {
                "seconds since the newest prediction: no longer expected".to_owned()
            } else {
                "seconds since the newest prediction".to_owned()
            },
            ..Evidence::default()
        },
    })
}
