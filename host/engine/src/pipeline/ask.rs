//! One question to one policy: asked behind its circuit breaker, or taken from the record, and written down. Nothing
//! follows from an answer here.

use std::{sync::Arc, time::Duration};

use trimtab_policy::Call;
use trimtab_types::{
    Answer, DecisionRecord, DigestBuilder, Failure, FailureKind, Mode, PolicyRef, Position, Question,
    Subject, Timestamp,
};

use super::{Pipeline, in_force::Version};
use crate::fold::SubjectView;

/// What a policy's call came to, of whatever kind.
pub(super) struct Asked {
    pub(super) answer: Answer,
    call: Call<()>,
}

impl Asked {
    fn failed(kind: FailureKind, message: String) -> Self {
        let call = Call {
            answer: Ok(()),
            reads: Vec::new(),
            notebook: Vec::new(),
            log: Vec::new(),
            fuel: 0,
            duration: Duration::ZERO,
        };
        Self { answer: Answer::Failed(Failure { kind, message }), call }
    }

    fn recorded(decision: &DecisionRecord) -> Self {
        Self {
            answer: decision.answer.clone(),
            call: Call {
                answer: Ok(()),
                reads: decision.reads.clone(),
                notebook: decision.notebook.clone(),
                log: decision.log.clone(),
                fuel: decision.fuel,
                duration: Duration::from_micros(decision.duration_us),
            },
        }
    }
}

impl Pipeline {
    /// Asks a policy, unless its circuit breaker is open, or takes the answer from the record.
    pub(super) fn ask(
        &mut self,
        id: &str,
        version: Option<Version<'_>>,
        subject: &Subject,
        question: &Question,
    ) -> Asked {
        let Some(version) = version else {
            return Asked::failed(FailureKind::Load, "no policy applies to this".to_owned());
        };
        let clock = self.state.clock;
        let breaker = self.state.breaker(version.reference);
        let asked = match breaker.and_then(|breaker| breaker.open_until(clock)) {
            // Neither a success nor another failure: the policy was not asked.
            Some(until) => return Asked::failed(FailureKind::CircuitOpen, circuit_open(version, until)),
            None => match self.recall.get(id) {
                Some(recorded) => Asked::recorded(recorded),
                None => self.call(version, subject, question),
            },
        };
        let failed = matches!(asked.answer, Answer::Failed(_));
        let rules = self.state.configuration.breaker;
        if self.state.note_call(version.reference, failed, &rules) {
            tracing::warn!(
                policy = version.reference.name,
                "fails again and again; it is left alone for a while"
            );
        }
        asked
    }

    fn call(&self, version: Version<'_>, subject: &Subject, question: &Question) -> Asked {
        let policy = match version.policy {
            Ok(policy) => policy,
            Err(problem) => return Asked::failed(FailureKind::Load, problem.clone()),
        };
        match question {
            Question::DriftAction { findings } => {
                let view = Arc::new(SubjectView::of(&self.state, subject));
                let known = self.state.subjects.get(subject);
                let notebook = known.and_then(|state| state.notebooks.get(&version.reference.name)).cloned();
                let call = policy.decide(self.state.clock, findings, view, &notebook.unwrap_or_default());
                asked(call, Answer::Decision)
            }
            Question::AlertFormat { alert, channel } => {
                asked(policy.render(self.state.clock, alert, channel), Answer::Message)
            }
        }
    }

    /// What was asked and answered here and now; nothing has followed from it yet.
    pub(super) fn record(
        &self,
        id: String,
        subject: &Subject,
        policy: Option<PolicyRef>,
        mode: Mode,
        question: Question,
        asked: Asked,
    ) -> DecisionRecord {
        let Asked { answer, call } = asked;
        DecisionRecord {
            id,
            position: self.state.position,
            at: self.state.clock,
            subject: subject.clone(),
            policy,
            mode,
            question,
            reads: call.reads,
            notebook: call.notebook,
            answer,
            log: call.log,
            verdicts: Vec::new(),
            fuel: call.fuel,
            duration_us: micros(call.duration),
        }
    }

    pub(super) fn write_notebook(&mut self, record: &DecisionRecord) {
        let Some(policy) = record.policy.as_ref().filter(|_| !record.notebook.is_empty()) else { return };
        let notebook =
            self.state.subject_mut(&record.subject).notebooks.entry(policy.name.clone()).or_default();
        for change in &record.notebook {
            match &change.value {
                Some(value) => notebook.insert(change.key.clone(), value.clone()),
                None => notebook.remove(&change.key),
            };
        }
    }
}

fn circuit_open(version: Version<'_>, until: Timestamp) -> String {
    format!(
        "policy `{}` failed too often in a row and is not asked until {}",
        version.reference.name,
        until.for_people()
    )
}

fn asked<T>(call: Call<T>, answer: impl FnOnce(T) -> Answer) -> Asked {
    let Call { answer: result, reads, notebook, log, fuel, duration } = call;
    let (answer, notebook) = match result {
        Ok(value) => (answer(value), notebook),
        // What a failed call wrote into its notebook is not kept.
        Err(failure) => (Answer::Failed(failure), Vec::new()),
    };
    Asked { answer, call: Call { answer: Ok(()), reads, notebook, log, fuel, duration } }
}

pub(super) fn decision_id(
    position: Position,
    subject: &Subject,
    question: &Question,
    policy: Option<&PolicyRef>,
) -> String {
    let what = match question {
        Question::DriftAction { findings } => {
            findings.iter().map(|finding| finding.id.as_str()).collect::<Vec<_>>().join(",")
        }
        Question::AlertFormat { alert, channel } => format!("{} {channel}", alert.id),
    };
    let builder = DigestBuilder::new("decision")
        .number(position.0)
        .part(subject.to_string().as_bytes())
        .part(what.as_bytes());
    match policy {
        Some(policy) => builder.part(policy.name.as_bytes()).part(policy.digest.as_bytes()),
        None => builder,
    }
    .id('d')
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
