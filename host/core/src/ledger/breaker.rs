//! A policy's circuit breaker about one model: after failures in a row the policy is left alone for a while, each time
//! longer. Part of the model's state and on its clock, so that a replay leaves it alone at the same questions, and one
//! model's failures take the policy away from no other.

use serde::{Deserialize, Serialize};
use trimtab_types::Timestamp;

use crate::config::BreakerRules;

/// What a policy's failures have come to. A policy that answers has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Breaker {
    /// Failures in a row.
    pub failures: u32,
    /// How often in a row it opened.
    pub openings: u32,
    /// Until when the policy is not asked; the next question after that tries it again.
    until: Option<Timestamp>,
}

impl Breaker {
    /// Until when the policy is not asked, if it is not asked now.
    pub fn open_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| now < *until)
    }

    /// The breaker after another failure. A trial that fails opens it again at once.
    #[must_use]
    pub(crate) fn failed(self, now: Timestamp, rules: &BreakerRules) -> Self {
        let failures = self.failures.saturating_add(1);
        if failures < rules.failures && self.openings == 0 {
            return Self { failures, ..self };
        }
        let pause = u64::from(rules.pause.0) << self.openings.min(20);
        let until = now.plus(pause.min(u64::from(rules.longest.0)));
        Self { failures, openings: self.openings.saturating_add(1), until: Some(until) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Duration;

    #[test]
    fn pauses_grow_and_end() {
        let rules = BreakerRules { failures: 3, pause: Duration(60), longest: Duration(200) };
        let at = |seconds| Timestamp::EPOCH.plus(seconds);
        let mut breaker = Breaker::default();
        for _ in 0..2 {
            breaker = breaker.failed(at(0), &rules);
            assert_eq!(breaker.open_until(at(0)), None);
        }
        breaker = breaker.failed(at(0), &rules);
        assert_eq!(breaker.open_until(at(59)), Some(at(60)));
        assert_eq!(breaker.open_until(at(60)), None, "tried again");
        breaker = breaker.failed(at(60), &rules);
        assert_eq!(breaker.open_until(at(60)), Some(at(180)), "twice as long");
        breaker = breaker.failed(at(180), &rules);
        assert_eq!(breaker.open_until(at(180)), Some(at(380)), "and no longer than the longest");
        assert_eq!(breaker.failures, 5);
    }
}
