//! A comparison in one sentence: whether it matters.

use trimtab_types::{Occasion, Severity};

use super::{Diff, Direction, Proposed, Sent};
use crate::words::count;

impl Diff {
    /// Whether it matters, in a sentence: what is decided otherwise, what is done more or less often, and how many messages
    /// come of it.
    pub fn in_short(&self) -> String {
        let mut parts = vec![self.decisions_in_short()];
        let done = |proposed: &Proposed| {
            (
                proposed.recorded - proposed.recorded_held_back,
                proposed.candidate - proposed.candidate_held_back,
            )
        };
        let actions = self.actions.iter().map(|(action, proposed)| (action, done(proposed)));
        let actions: Vec<String> = actions
            .filter(|(_, (recorded, candidate))| recorded != candidate)
            .map(|(action, (recorded, candidate))| format!("{action} {candidate} instead of {recorded}"))
            .collect();
        if !actions.is_empty() {
            parts.push(format!("done: {}", actions.join(", ")));
        }
        let all = |of: fn(&Sent) -> u64| self.sent.values().map(of).sum::<u64>();
        let (recorded, candidate) = (all(|sent| sent.recorded), all(|sent| sent.candidate));
        let reminders = self.sent.get(&Occasion::Repeated).copied().unwrap_or_default();
        match (recorded == candidate, reminders.recorded == reminders.candidate) {
            _ if self.sent.is_empty() => {}
            (true, true) => parts.push(format!("{} as before", count(recorded, "message"))),
            _ => {
                let of_them = match (reminders.recorded, reminders.candidate) {
                    (0, 0) => String::new(),
                    (before, now) => format!(", of them {} instead of {before}", count(now, "reminder")),
                };
                parts.push(format!("{} instead of {recorded}{of_them}", count(candidate, "message")));
            }
        }
        parts.join("; ")
    }

    fn decisions_in_short(&self) -> String {
        let differ = self.total.changed + self.total.gone + self.total.new;
        if differ == 0 {
            return format!("no decision changes, of {}", self.total.all());
        }
        let towards = Direction::ALL.map(|direction| (direction.name(), self.total.towards(direction)));
        let towards = towards.iter().filter(|(_, n)| *n > 0).map(|(name, n)| format!("{n} {name}"));
        let grave: u64 = self
            .severities
            .iter()
            .filter(|(severity, _)| **severity >= Severity::High)
            .map(|(_, of)| of.changed + of.gone + of.new)
            .sum();
        format!(
            "{differ} of {} decisions change: {}; {grave} of them about what is high or critical",
            self.total.all(),
            towards.collect::<Vec<_>>().join(", ")
        )
    }
}
