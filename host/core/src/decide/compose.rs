//! What happens when several policies propose about the same subject at the same moment: of proposals that contradict each
//! other the safest stands, and the others are recorded as overruled. Pure.
//!
//! | about | the safest first |
//! |---|---|
//! | trading | `kill-switch-on`, `kill-switch-off` |
//! | deciding | `pause`, `resume` |
//! | the version | `rollback`, `rollback-to`: whichever the policy of lower order proposes |
//! | exposure | the smallest `scale-exposure` |
//! | confidence | the highest `minimum-confidence` |
//! | retraining | `retrain-now`, then the soonest `schedule-retrain` |
//!
//! Whose proposal is the safest about a row decides it, and the actions of the others about it give way; of equals, the
//! policy of lower order. Actions on different rows do not contradict each other. Neither do alerts, which have rules of
//! their own, nor the actions of one policy, which come in the order that it gave them.

use trimtab_types::Action;

/// For each action of each proposal: the proposal that overrules it, if one does. Proposals come in the policies' order.
pub(crate) fn overruled(proposals: &[&[Action]]) -> Vec<Vec<Option<usize>>> {
    let winner = |topic: Topic<'_>| {
        let mut best: Option<(f64, usize)> = None;
        for (proposal, actions) in proposals.iter().enumerate() {
            for (_, safety) in actions.iter().filter_map(place).filter(|(about, _)| *about == topic) {
                if best.is_none_or(|(safest, _)| safety > safest) {
                    best = Some((safety, proposal));
                }
            }
        }
        best.map(|(_, proposal)| proposal)
    };
    let overruling = |mine: usize, action: &Action| {
        place(action).and_then(|(topic, _)| winner(topic)).filter(|winner| *winner != mine)
    };
    let of = |(mine, actions): (usize, &&[Action])| {
        actions.iter().map(|action| overruling(mine, action)).collect()
    };
    proposals.iter().enumerate().map(of).collect()
}

/// What an action is about: two about the same contradict each other.
#[derive(Clone, Copy, PartialEq)]
enum Topic<'a> {
    Trading,
    Deciding,
    Version,
    Exposure,
    Confidence,
    Retraining,
    Canary,
    Mark,
    Detector(&'a str),
}

/// What an action is about and how safe it is among those: more is safer. `None`: it contradicts nothing.
fn place(action: &Action) -> Option<(Topic<'_>, f64)> {
    Some(match action {
        Action::Monitor | Action::Alert(_) => return None,
        Action::KillSwitchOn => (Topic::Trading, 1.0),
        Action::KillSwitchOff => (Topic::Trading, 0.0),
        Action::Pause => (Topic::Deciding, 1.0),
        Action::Resume => (Topic::Deciding, 0.0),
        Action::Rollback | Action::RollbackTo(_) | Action::Promote(_) => (Topic::Version, 0.0),
        Action::SetFraction(fraction) => (Topic::Canary, -fraction),
        Action::Delete(_) => (Topic::Version, -1.0),
        Action::RetrainEvery(_) => (Topic::Retraining, -f64::INFINITY),
        Action::ScaleExposure(factor) => (Topic::Exposure, -factor),
        Action::MinimumConfidence(confidence) => (Topic::Confidence, *confidence),
        Action::RetrainNow => (Topic::Retraining, 0.0),
        Action::ScheduleRetrain(within) => (Topic::Retraining, -1.0 - f64::from(*within)),
        Action::StopCanary => (Topic::Canary, 0.0),
        Action::MarkDegraded => (Topic::Mark, 0.0),
        Action::ResetDetector(detector) => (Topic::Detector(detector), 0.0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use Action::{
        Alert, KillSwitchOff, KillSwitchOn, MinimumConfidence, Monitor, Pause, ResetDetector, Resume,
        RetrainNow, Rollback, RollbackTo, ScaleExposure, ScheduleRetrain,
    };
    use proptest::prelude::*;
    use trimtab_types::Severity;

    /// What stands, by proposal.
    fn check(proposals: &[&[Action]], stands: &[&[Action]]) {
        let overruled = overruled(proposals);
        let standing: Vec<Vec<Action>> = proposals
            .iter()
            .zip(&overruled)
            .map(|(actions, overruled)| {
                actions.iter().zip(overruled).filter(|(_, by)| by.is_none()).map(|(a, _)| a.clone()).collect()
            })
            .collect();
        assert_eq!(standing, stands.iter().map(|actions| actions.to_vec()).collect::<Vec<_>>());
    }

    #[test]
    fn the_safest_stands() {
        check(&[&[KillSwitchOff, Resume], &[KillSwitchOn, Pause]], &[&[], &[KillSwitchOn, Pause]]);
        check(&[&[ScaleExposure(0.5)], &[ScaleExposure(0.2)]], &[&[], &[ScaleExposure(0.2)]]);
        check(&[&[MinimumConfidence(0.7)], &[MinimumConfidence(0.6)]], &[&[MinimumConfidence(0.7)], &[]]);
        check(&[&[ScheduleRetrain(60)], &[ScheduleRetrain(30)], &[RetrainNow]], &[&[], &[], &[RetrainNow]]);
        // The order decides where neither is safer.
        check(&[&[RollbackTo("v1".into())], &[Rollback]], &[&[RollbackTo("v1".into())], &[]]);
        check(&[&[Pause], &[Pause]], &[&[Pause], &[]]);
        // What can happen together does.
        let psi = || ResetDetector("psi".into());
        check(
            &[
                &[KillSwitchOn, psi(), Monitor],
                &[ScaleExposure(0.5), ResetDetector("ks".into()), Alert(Severity::High)],
            ],
            &[
                &[KillSwitchOn, psi(), Monitor],
                &[ScaleExposure(0.5), ResetDetector("ks".into()), Alert(Severity::High)],
            ],
        );
        // One policy's own list is its own business.
        check(&[&[ScaleExposure(0.5), ScaleExposure(0.5)]], &[&[ScaleExposure(0.5), ScaleExposure(0.5)]]);
        check(&[], &[]);
    }

    fn action() -> impl Strategy<Value = Action> {
        prop_oneof![
            Just(KillSwitchOn),
            Just(KillSwitchOff),
            Just(Pause),
            Just(Resume),
            Just(RetrainNow),
            (0_u32..3).prop_map(ScheduleRetrain),
            (0_u8..3).prop_map(|n| ScaleExposure(f64::from(n) / 2.0)),
            Just(Rollback),
            Just(Monitor),
        ]
    }

    proptest! {
        #[test]
        fn something_stands_and_what_overrules_is_not_overruled(
            proposals in proptest::collection::vec(proptest::collection::vec(action(), 0..4), 0..4)
        ) {
            let proposals: Vec<&[Action]> = proposals.iter().map(Vec::as_slice).collect();
            let overruled = overruled(&proposals);
            for (mine, actions) in proposals.iter().enumerate() {
                for (index, action) in actions.iter().enumerate() {
                    let Some(by) = overruled[mine][index] else { continue };
                    prop_assert_ne!(by, mine);
                    let (topic, safety) = place(action).expect("only what contradicts is overruled");
                    let standing = proposals[by].iter().zip(&overruled[by]).any(|(theirs, by)| {
                        by.is_none()
                            && place(theirs).is_some_and(|(about, theirs)| about == topic && theirs >= safety)
                    });
                    prop_assert!(standing, "{action} is overruled by what does not stand");
                }
            }
        }
    }
}
