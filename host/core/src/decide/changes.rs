//! What a drift policy wants changed where the stage does not let it: a person answers, and the safeguards are asked once
//! more, because things may have changed since. That it waits, and until when, is the registry's matter.

use std::sync::Arc;

use trimtab_types::{Action, ErrorKind, Finding, Phase, Proposed, Refusal, Request, Ruled, Subject, Verdict};

use super::{
    safeguards::{self, Case, Plan},
    turn::Turn,
};
use crate::lifecycle::Registry;

/// A change that a person approves.
pub(super) struct Change {
    subject: Subject,
    plan: Plan,
    /// What is done, for people.
    says: String,
    /// In whose name, and why.
    by: String,
    reason: String,
}

impl Turn<'_> {
    /// The change of the ledger that a request approves, or why it cannot be made; `None`: it is about something else.
    pub(super) fn approved_change(&self, request: &Request) -> Option<Result<Change, Refusal>> {
        let Request::Answer(answer) = request else { return None };
        let registry = self.state.registries.get(&answer.model)?;
        let proposal = registry.change_in(answer)?;
        let Proposed::Change { subject, action, cause } = &proposal.what else { return None };
        let policy = proposal.by.as_ref().map_or("host", |policy| policy.name.as_str());
        let (verdict, plan) = self.would_do(subject, action, cause);
        Some(match verdict {
            Verdict::Done { what } => Ok(Change {
                subject: subject.clone(),
                plan,
                says: what,
                by: format!("policy {policy}, approved by {}", answer.actor),
                reason: proposal.reason.clone(),
            }),
            other => Err(Refusal { kind: ErrorKind::Refused.name().to_owned(), problem: other.to_string() }),
        })
    }

    /// What would come of an action that a person approves.
    fn would_do(&self, subject: &Subject, action: &Action, cause: &str) -> (Verdict, Plan) {
        let key = subject.model_key();
        let model = self.state.models.get(&key).cloned().unwrap_or_default();
        let configuration = Arc::clone(&self.state.configuration);
        let case = Case {
            configuration: &configuration,
            subject,
            model: &model,
            registry: self.state.registries.get(&key).map(AsRef::as_ref),
            paused: self.state.diaries.get(subject).is_some_and(|diary| diary.paused),
            findings: &[],
            by: cause,
            now: self.state.now(&key),
        };
        safeguards::effect(action, &case, cause)
    }

    /// Makes an approved change, if the registry took the answer.
    pub(super) fn follow_change(&mut self, change: Option<Result<Change, Refusal>>, ruled: Ruled) -> Ruled {
        match change {
            Some(Ok(Change { subject, plan, says, by, reason })) if ruled.refusal.is_none() => {
                self.carry_out(plan, &subject, by, reason);
                Ruled { says, ..ruled }
            }
            _ => ruled,
        }
    }

    /// Where the last finding on a subject closes, nobody need answer what was to tighten because of it.
    pub(super) fn withdraw(&mut self, subject: &Subject, findings: &[Finding]) {
        let model = subject.model_key();
        let closes = findings.iter().all(|finding| finding.phase == Phase::Closed);
        let is_open = self.state.diaries.get(subject).is_some_and(|diary| !diary.open.is_empty());
        // Asked first: what is not changed is not written anew.
        let waits = |registry: &Arc<Registry>| registry.waits_because_of(subject);
        if closes && !is_open && self.state.registries.get(&model).is_some_and(waits) {
            self.state.registry_mut(&model).withdraw(subject);
        }
    }
}
