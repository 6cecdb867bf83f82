//! A version that serves anew is watched for a week: once a day, policies that name the detector `activation` are asked whether it
//! is as good as the one before. Nobody else is asked, and nobody's findings change: it is the clock that asks.

use std::collections::BTreeSet;

use trimtab_types::{
    Finding, ModelKey, Phase, PolicyKind, Position, Severity, Subject, Timestamp, format_duration,
};

use super::turn::Turn;
use crate::config::ReleaseStage;

const DAY: u64 = 86_400;
/// So long it is watched.
const WATCHED: u64 = 7 * DAY;

/// Whether it is time to look at a version that serves since `from` and was looked at last then.
fn is_due(now: Timestamp, from: Timestamp, looked: Option<Timestamp>) -> bool {
    let age = now.since(from);
    // After a time without ticks one look is made up for, and not each.
    let is_watched = age >= DAY && looked.is_none_or(|looked| looked.since(from) < WATCHED);
    is_watched && looked.is_none_or(|looked| now.since(looked) >= DAY)
}

/// What policies are asked about: no detector found anything, and it is not kept.
fn finding(subject: &Subject, position: Position, from: Timestamp, now: Timestamp) -> Finding {
    Finding {
        id: Finding::episode_id(subject, Finding::ACTIVATION, "accuracy", position),
        subject: subject.clone(),
        phase: Phase::Opened,
        position,
        at: now,
        opened: from,
        detector: Finding::ACTIVATION.to_owned(),
        quantity: "accuracy".to_owned(),
        severity: Severity::Info,
        statistic: now.since(from) as f64,
        threshold: DAY as f64,
        p_value: None,
        e_value: None,
        significant: false,
        baseline: None,
        current: None,
        window: format!("since it began to serve, {} ago", format_duration(now.since(from))),
        chance: None,
        sizes: None,
    }
}

impl Turn<'_> {
    /// Time has passed: whoever watches activations is asked about those that are due.
    pub(super) fn watch_activations(&mut self) {
        let models: Vec<ModelKey> = self.state.registries.keys().cloned().collect();
        for model in models {
            let now = self.state.now(&model);
            let Some(registry) = self.state.registries.get(&model) else { continue };
            let Some(reign) = registry.reigns.last().filter(|_| registry.previous().is_some()) else {
                continue;
            };
            let looked =
                registry.watched.filter(|(revision, _)| *revision == reign.revision).map(|(_, at)| at);
            if !is_due(now, reign.from, looked)
                || self.state.configuration.stage(&model) == ReleaseStage::Observe
            {
                continue;
            }
            let (from, revision) = (reign.from, reign.revision);
            let subject = self.champion_of(&model);
            let finding = finding(&subject, self.state.position, from, now);
            let asked: BTreeSet<String> = self
                .state
                .in_force
                .iter()
                .filter(|policy| policy.answers(PolicyKind::DriftAction) && policy.applies_to(&finding))
                .map(|policy| policy.entry.policy.name.clone())
                .collect();
            if asked.is_empty() {
                continue;
            }
            self.state.registry_mut(&model).watched = Some((revision, now));
            self.put(&subject, vec![finding], Some(&asked));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_looked_at_once_a_day_for_a_week() {
        let at = |hours: u64| Timestamp::EPOCH.plus(hours * 3_600);
        #[rustfmt::skip]
        let cases = [
            // now, looked at, due
            (23,  None,      false),
            (24,  None,      true),
            (47,  Some(24),  false),
            (48,  Some(24),  true),
            (168, Some(144), true),
            (192, Some(168), false),
            (193, Some(150), true),
            // The host was down for a month: one look, and no more.
            (800, Some(48),  true),
            (824, Some(800), false),
            (900, None,      true),
        ];
        for (now, looked, expected) in cases {
            assert_eq!(is_due(at(now), at(0), looked.map(at)), expected, "{now} {looked:?}");
        }
    }
}
