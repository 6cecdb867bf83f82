//! Whether a candidate holds a model tighter or looser than what was recorded: what people look for first in a dry run.
//! Only what came of an action counts, not what was proposed and held back.

use serde::{Deserialize, Serialize};
use trimtab_types::{Action, DecisionRecord, Severity, Verdict};

use super::side::said;

/// In which direction a moment differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// Less is held back, told or done about it than was.
    Looser,
    /// More.
    Stricter,
    /// More of one and less of another, or something of which neither can be said.
    Other,
}

impl Direction {
    /// In the order in which people want to see them.
    pub const ALL: [Self; 3] = [Self::Looser, Self::Stricter, Self::Other];

    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Looser => "looser",
            Self::Stricter => "stricter",
            Self::Other => "other",
        }
    }
}

/// The direction from what was done to what would be. `judged`: the safeguards were asked on both sides.
pub(super) fn direction(
    recorded: &[&DecisionRecord],
    candidate: &[&DecisionRecord],
    judged: bool,
) -> Direction {
    match towards(Hold::of(recorded, judged, false), Hold::of(candidate, judged, false)) {
        // Where a person has the last word, what is put before him has a direction, too.
        None => towards(Hold::of(recorded, judged, true), Hold::of(candidate, judged, true)),
        found => found,
    }
    .unwrap_or(Direction::Other)
}

/// `None`: no axis differs.
fn towards(before: Hold, now: Hold) -> Option<Direction> {
    let axes = before.axes().into_iter().zip(now.axes());
    let (mut less, mut more) = (false, false);
    for (before, now) in axes {
        less |= now < before;
        more |= now > before;
    }
    match (less, more) {
        (true, false) => Some(Direction::Looser),
        (false, true) => Some(Direction::Stricter),
        (true, true) => Some(Direction::Other),
        (false, false) => None,
    }
}

/// What a moment's decisions hold back, tell and start. Along each axis a greater number is stricter.
#[derive(Debug, Clone, Copy)]
struct Hold {
    /// Trading: 1 stopped, -1 allowed again.
    stopped: f64,
    /// Share of the exposure that is taken away.
    reduced: f64,
    /// Least confidence that is served.
    confidence: f64,
    /// How loud people are told.
    told: Option<Severity>,
    /// 1 a retrain is planned, 2 it begins.
    retrain: f64,
    /// Versions that are left, experiments that are ended, versions that are marked.
    left: f64,
    /// What is tried and gets more of the traffic.
    served: f64,
    /// 1 decisions are taken up again, -1 they are paused.
    deciding: f64,
}

impl Hold {
    /// `waiting`: what waits for a person counts as if it were done.
    fn of(decisions: &[&DecisionRecord], judged: bool, waiting: bool) -> Self {
        let mut hold = Self {
            stopped: 0.0,
            reduced: 0.0,
            confidence: 0.0,
            told: None,
            retrain: 0.0,
            left: 0.0,
            served: 0.0,
            deciding: 0.0,
        };
        let actions = decisions.iter().flat_map(|decision| said(decision).actions);
        let came = actions.filter(|(action, verdict)| match verdict {
            // Who is told too often had been told already.
            Some(Verdict::Suppressed { .. }) if matches!(action, Action::Alert(_)) => true,
            Some(Verdict::Waits { .. }) if waiting => true,
            Some(verdict) => !judged || !verdict.holds_back(),
            None => true,
        });
        came.for_each(|(action, _)| hold.add(&action));
        hold
    }

    fn add(&mut self, action: &Action) {
        match action {
            Action::Monitor | Action::ResetDetector(_) => {}
            Action::Alert(severity) => self.told = self.told.max(Some(*severity)),
            Action::ScheduleRetrain(_) => self.retrain = self.retrain.max(1.0),
            Action::RetrainNow => self.retrain = 2.0,
            Action::KillSwitchOn => self.stopped = 1.0,
            Action::KillSwitchOff => self.stopped = self.stopped.max(0.0) - 1.0,
            Action::ScaleExposure(factor) => self.reduced = 1.0 - (1.0 - self.reduced) * factor,
            Action::MinimumConfidence(least) => self.confidence = self.confidence.max(*least),
            Action::Rollback | Action::RollbackTo(_) | Action::StopCanary | Action::MarkDegraded => {
                self.left += 1.0;
            }
            Action::Promote(_) => self.served += 1.0,
            Action::SetFraction(fraction) => self.served += fraction,
            // More goes, or more is retrained: neither is stricter.
            Action::Delete(_) | Action::RetrainEvery(_) => {}
            Action::Pause => self.deciding = -1.0,
            Action::Resume => self.deciding = 1.0,
        }
    }

    fn axes(&self) -> [f64; 8] {
        let told = self.told.map_or(0.0, |severity| 1.0 + f64::from(severity as u8));
        // Nothing is traded where trading is stopped.
        let reduced = if self.stopped > 0.0 { 1.0 } else { self.reduced };
        [self.stopped, reduced, self.confidence, told, self.retrain, self.left, -self.served, self.deciding]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::testing;
    use trimtab_types::{Answer, Decision};

    fn decided(actions: &[(Action, bool)]) -> DecisionRecord {
        let verdict = |done: bool| {
            if done {
                Verdict::Done { what: String::new() }
            } else {
                Verdict::Refused { reasons: vec!["stage".into()] }
            }
        };
        let proposed = actions.iter().map(|(action, _)| action.clone()).collect();
        DecisionRecord {
            answer: Answer::Decision(Decision { actions: proposed, reason: String::new() }),
            verdicts: actions.iter().map(|(action, done)| (action.clone(), verdict(*done))).collect(),
            ..testing::decided(1, Some("ladder"), Vec::new())
        }
    }

    /// What was done, what would be, and what that is called; the other way round it is called the opposite.
    #[track_caller]
    fn check(before: &[(Action, bool)], now: &[(Action, bool)], expected: Direction) {
        let (before, now) = (decided(before), decided(now));
        assert_eq!(direction(&[&before], &[&now], true), expected);
        let opposite = match expected {
            Direction::Looser => Direction::Stricter,
            Direction::Stricter => Direction::Looser,
            Direction::Other => Direction::Other,
        };
        assert_eq!(direction(&[&now], &[&before], true), opposite);
    }

    #[test]
    fn what_is_held_back_more_is_stricter() {
        use Action::{
            Alert, KillSwitchOff, KillSwitchOn, MarkDegraded, MinimumConfidence, Monitor, Pause, RetrainNow,
            Rollback, ScaleExposure, ScheduleRetrain,
        };
        use Direction::{Other, Stricter};
        let half = || (ScaleExposure(0.5), true);
        check(&[(Monitor, true)], &[(KillSwitchOn, true)], Stricter);
        check(&[], &[(Alert(Severity::Low), true)], Stricter);
        check(&[(Alert(Severity::Low), true)], &[(Alert(Severity::High), true)], Stricter);
        check(&[half()], &[half(), half()], Stricter);
        check(&[(ScaleExposure(0.8), true)], &[half()], Stricter);
        check(&[half()], &[half(), (KillSwitchOn, true)], Stricter);
        check(&[half()], &[(KillSwitchOn, true)], Stricter);
        check(&[(MinimumConfidence(0.6), true)], &[(MinimumConfidence(0.7), true)], Stricter);
        check(&[(ScheduleRetrain(60), true)], &[(RetrainNow, true)], Stricter);
        check(&[], &[(Rollback, true)], Stricter);
        check(&[], &[(MarkDegraded, true)], Stricter);
        check(&[(KillSwitchOff, true)], &[], Stricter);
        check(&[(Pause, true)], &[], Stricter);
        // More of one and less of another.
        check(&[half()], &[(Alert(Severity::High), true)], Other);
        // Nothing that is held.
        check(&[(Monitor, true)], &[], Other);
    }

    #[test]
    fn an_alert_that_is_suppressed_had_been_told() {
        let told = decided(&[(Action::Alert(Severity::High), true)]);
        let mut again = told.clone();
        again.verdicts[0].1 = Verdict::Suppressed { why: "one a day".into() };
        assert_eq!(direction(&[&told], &[&again], true), Direction::Other);
    }

    #[test]
    fn what_is_held_back_by_the_host_is_not_done() {
        check(&[], &[(Action::KillSwitchOn, false)], Direction::Other);
        check(&[(Action::KillSwitchOn, false)], &[(Action::KillSwitchOn, true)], Direction::Stricter);
        let shadow = decided(&[(Action::KillSwitchOn, false)]);
        assert_eq!(direction(&[], &[&shadow], false), Direction::Stricter, "in shadow nobody judges");
    }
}
