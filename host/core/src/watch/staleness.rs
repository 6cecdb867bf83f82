//! Predictions that stay away: how long ago the newest arrived, against the gaps that are usual. By the log's clock, which
//! ticks move; without ticks nothing is late, and what happened while there were none was not seen.

use serde::{Deserialize, Serialize};
use trimtab_stats::silence::DailyGaps;
use trimtab_types::{Severity, Timestamp};

use super::{episode::Evidence, look::Look};
use crate::{config::StalenessSettings, detector::DetectorKind};

/// What findings call the age of the newest prediction.
pub(super) const AGE: &str = "age";

const DAY: u64 = 86_400_000;

/// When the predictions of a subject arrived.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Arrivals {
    gaps: DailyGaps,
    expected: Expected,
}

/// Whether another prediction is expected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
enum Expected {
    #[default]
    Yes,
    /// Its version was put away. One that was served takes that back.
    PutAway,
    /// A person said that there is none. The next one takes that back.
    Retired,
}

impl Arrivals {
    /// A prediction is there.
    pub(super) fn arrived(&mut self, settings: &StalenessSettings, served: bool, clock: Timestamp) {
        if self.expected != Expected::PutAway || served {
            self.expected = Expected::Yes;
        }
        self.gaps.add(&settings.rule(), clock.as_millis());
    }

    /// A person says that no other is expected.
    pub(super) fn retire(&mut self) {
        self.expected = Expected::Retired;
    }

    /// Its version was put away, or is tried again.
    pub(crate) fn put_away(&mut self, is_away: bool) {
        self.expected = if is_away { Expected::PutAway } else { Expected::Yes };
    }

    /// Whether it would be changed by that.
    pub(crate) fn follows(&self, is_away: bool) -> bool {
        match self.expected {
            Expected::Yes => is_away,
            Expected::PutAway => !is_away,
            // What a person said stands.
            Expected::Retired => false,
        }
    }

    /// Whether a person said that no other is expected.
    pub(crate) fn is_retired(&self) -> bool {
        self.expected == Expected::Retired
    }

    /// First and newest, in milliseconds since the epoch.
    pub(crate) fn span(&self) -> Option<(i64, i64)> {
        self.gaps.first().zip(self.gaps.newest())
    }
}

/// How the other versions of a model go on where one stays away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Others {
    /// None of them predicts either.
    Silent,
    /// Another predicts, as it did before.
    GoOn,
    /// Another began to predict when this one ended: it took over.
    TookOver,
}

/// What time it is where predictions are missed.
#[derive(Clone, Copy)]
pub(crate) struct Now<'a> {
    pub(crate) clock: Timestamp,
    /// Since when ticks come without a pause.
    pub(crate) awake: Timestamp,
    /// How other versions go on, given when this one was heard last and how long a silence may last, in milliseconds.
    pub(crate) others: &'a dyn Fn(i64, u64) -> Others,
}

/// Age of the newest prediction against the gaps that are usual.
pub(super) fn look(settings: &StalenessSettings, arrivals: &Arrivals, now: Now<'_>) -> Option<Look> {
    let (first, newest) = arrivals.span()?;
    let clock = now.clock.as_millis();
    let since = |then: i64| if clock > then { clock.abs_diff(then) } else { 0 };
    let limit = match settings.limit {
        Some(limit) => u64::from(limit.0) * 1_000,
        None => arrivals.gaps.limit(&settings.rule(), since(first)),
    };
    // While nobody ticked, nobody could arrive.
    let age = since(newest.max(now.awake.as_millis()));
    let is_expected = arrivals.expected == Expected::Yes;
    let is_late = age > limit && is_expected;
    let others = if is_late { (now.others)(newest, limit) } else { Others::Silent };
    let level = match others {
        _ if !is_late => None,
        Others::Silent => Some(Severity::High),
        Others::GoOn => Some(Severity::Medium),
        Others::TookOver => None,
    };
    let usual = match settings.limit {
        Some(_) => String::new(),
        None if since(first) < u64::from(settings.days) * DAY => {
            format!("; what is usual is known after {} days", settings.days)
        }
        None => format!("; the longest usual gap is {}", lasting(arrivals.gaps.usual())),
    };
    let beside = if others == Others::GoOn { "; another version of the model predicts" } else { "" };
    let window = match (is_expected, others) {
        (false, _) => "no other is expected".to_owned(),
        (_, Others::TookOver) => "another version has taken over".to_owned(),
        _ if level.is_none() => "predictions come again".to_owned(),
        _ => format!(
            "no prediction for {}, and {} is allowed{usual}{beside}",
            lasting(since(newest)),
            lasting(limit)
        ),
    };
    Some(Look {
        kind: DetectorKind::Staleness,
        quantity: AGE.into(),
        level,
        recovered: level.is_none(),
        evidence: Evidence {
            statistic: age as f64 / 1_000.0,
            threshold: limit as f64 / 1_000.0,
            significant: level.is_some(),
            window,
            ..Evidence::default()
        },
    })
}

/// A length of time for people, in its two largest units.
fn lasting(millis: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let mut rest = millis / 1_000;
    let mut parts = Vec::new();
    for (size, unit) in UNITS {
        if rest >= size && parts.len() < 2 {
            parts.push(format!("{} {unit}", rest / size));
            rest %= size;
        } else if !parts.is_empty() {
            break;
        }
    }
    if parts.is_empty() { "less than a second".to_owned() } else { parts.join(" ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_in_two_units() {
        for (millis, expected) in [
            (0, "less than a second"),
            (59_999, "59 s"),
            (61_000, "1 min 1 s"),
            (3_600_000, "1 h"),
            (3_601_000, "1 h"),
            (90_000_000, "1 d 1 h"),
            (86_400_000 + 59_000, "1 d"),
        ] {
            assert_eq!(lasting(millis), expected, "{millis}");
        }
    }
}
