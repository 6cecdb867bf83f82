//! One series of decisions, by moment, and what was said at each.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Action, Answer, DecisionRecord, Finding, Mode, PolicyRef, Position, Question, Subject, Verdict,
};

/// What a policy, or the host in its place, said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// `None`: no policy applied.
    pub policy: Option<PolicyRef>,
    /// Each action with what the safeguards made of it; `None`: in shadow, where nobody asks them.
    pub actions: Vec<(Action, Option<Verdict>)>,
    /// Its reason, message or failure.
    pub words: String,
}

/// Which moment.
pub(super) type Key<'a> = (Position, &'a Subject, Option<&'a str>);

/// One of the two series.
#[derive(Debug)]
pub struct Side<'a> {
    pub(super) moments: BTreeMap<Key<'a>, Vec<&'a DecisionRecord>>,
    /// Whether the safeguards were asked.
    pub(super) judged: bool,
    /// Tables of its configuration that let other things happen.
    pub(super) other_tables: Vec<&'static str>,
}

impl<'a> Side<'a> {
    /// What was acted on; with the words of alerts, if asked.
    pub fn enforced(decisions: impl IntoIterator<Item = &'a DecisionRecord>, messages: bool) -> Self {
        let enforced = decisions.into_iter().filter(|decision| decision.mode == Mode::Enforce);
        let moments = moments(enforced.filter(|decision| messages || !is_message(decision)));
        Self { moments, judged: true, other_tables: Vec::new() }
    }

    /// Judged under a configuration in which these tables are others than on the other side.
    #[must_use]
    pub fn under(self, other_tables: Vec<&'static str>) -> Self {
        Self { other_tables, ..self }
    }

    /// What a policy said in shadow.
    pub fn shadow(decisions: impl IntoIterator<Item = &'a DecisionRecord>, policy: &str) -> Self {
        let said = |decision: &&DecisionRecord| {
            decision.mode == Mode::Shadow
                && !is_message(decision)
                && decision.policy.as_ref().is_some_and(|by| by.name == policy)
        };
        let moments = moments(decisions.into_iter().filter(said));
        Self { moments, judged: false, other_tables: Vec::new() }
    }

    /// Only the moments that the other side has, too.
    #[must_use]
    pub fn where_also(mut self, other: &Self) -> Self {
        self.moments.retain(|key, _| other.moments.contains_key(key));
        self
    }
}

pub(super) fn is_message(decision: &DecisionRecord) -> bool {
    matches!(decision.question, Question::AlertFormat { .. })
}

fn moments<'a>(
    decisions: impl Iterator<Item = &'a DecisionRecord>,
) -> BTreeMap<Key<'a>, Vec<&'a DecisionRecord>> {
    let mut moments: BTreeMap<Key<'a>, Vec<_>> = BTreeMap::new();
    for decision in decisions {
        let channel = match &decision.question {
            Question::AlertFormat { channel, .. } => Some(channel.as_str()),
            _ => None,
        };
        moments.entry((decision.position, &decision.subject, channel)).or_default().push(decision);
    }
    moments
}

pub(super) fn findings(decision: &DecisionRecord) -> &[Finding] {
    decision.question.findings()
}

/// The names of the actions that were proposed, and whether something held each back.
pub(super) fn proposed<'a>(decisions: &'a [&DecisionRecord]) -> impl Iterator<Item = (String, bool)> + 'a {
    decisions.iter().flat_map(|decision| said(decision).actions).map(|(action, verdict)| {
        (action.name().to_owned(), verdict.is_some_and(|verdict| verdict.holds_back()))
    })
}

pub(super) fn actions(decision: &DecisionRecord) -> Vec<Action> {
    said(decision).actions.into_iter().map(|(action, _)| action).collect()
}

pub(super) fn said(decision: &DecisionRecord) -> Said {
    let (proposed, words) = match &decision.answer {
        Answer::Decision(answer) => (answer.actions.as_slice(), answer.reason.clone()),
        Answer::Message(message) => (&[][..], format!("{}\n{}", message.title, message.body)),
        answer => (&[][..], answer.words()),
    };
    let actions = if decision.verdicts.is_empty() {
        proposed.iter().map(|action| (action.clone(), None)).collect()
    } else {
        let judged = decision.verdicts.iter();
        judged.map(|(action, verdict)| (action.clone(), Some(verdict.clone()))).collect()
    };
    Said { policy: decision.policy.clone(), actions, words }
}
