//! One question to one policy, asked behind its circuit breaker and written down. Nothing follows from an answer here.

use std::{collections::BTreeMap, sync::Arc};

use trimtab_types::{
    Answer, Asked, Asking, DecisionRecord, DigestBuilder, FailureKind, Mode, ModelKey, NoHistory, PolicyRef,
    Position, Question, Size, Subject, Timestamp, View,
};

use super::{output::Note, turn::Turn};
use crate::{fold::SubjectView, in_force::Version};

impl Turn<'_> {
    /// Asks a policy, unless its circuit breaker is open.
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
        let Some(kind) = question.kind() else {
            return Asked::failed(FailureKind::Load, "no policy is asked this".to_owned());
        };
        let model = subject.model_key();
        let at = self.state.now(&model);
        if let Some(until) = self.state.left_alone_until(&model, version.reference, kind) {
            // Neither a success nor another failure: the policy was not asked.
            return Asked::failed(FailureKind::CircuitOpen, circuit_open(version, until));
        }
        let most = self.state.configuration.limits.record_per_day;
        if self.state.models.get(&model).is_some_and(|known| known.spent.on(at) >= most.0 as u64) {
            return Asked::failed(FailureKind::Record, record_is_full(version, &model, most));
        }
        let (notebook, view) = self.readable(version, subject, question);
        let policy = version.reference;
        let asked = self.ask.ask(&Asking { id, policy, at, subject, question, notebook: &notebook, view });
        if let Answer::Failed(failure) = &asked.answer
            && failure.kind == FailureKind::Stopped
        {
            // It has not failed.
            return asked;
        }
        let known = self.state.model_mut(&model);
        known.spent = known.spent.with(at, &asked);
        let failed = matches!(asked.answer, Answer::Failed(_));
        let rules = self.state.configuration.breaker;
        if self.state.note_call(&model, version.reference, kind, failed, &rules) {
            self.output.notes.push(Note::LeftAlone { policy: version.reference.clone(), model });
        }
        asked
    }

    /// What may be read for a question: an alert says all by itself.
    fn readable(
        &self,
        version: Version<'_>,
        subject: &Subject,
        question: &Question,
    ) -> (BTreeMap<String, String>, Arc<dyn View>) {
        match question {
            Question::DriftAction { .. } => {
                let known = self.state.diaries.get(subject);
                let notebook = known.and_then(|diary| diary.notebooks.get(&version.reference.name)).cloned();
                (notebook.unwrap_or_default(), Arc::new(SubjectView::of(self.state, subject)))
            }
            Question::AlertFormat { .. } | Question::Request(_) => (BTreeMap::new(), Arc::new(NoHistory)),
            // Where the question names only a model, the subject is its champion over all segments.
            Question::CanaryPromotion { .. }
            | Question::Cleanup { .. }
            | Question::RetrainSchedule { .. } => {
                let known = self.state.diaries.get(subject);
                let notebook = known.and_then(|diary| diary.notebooks.get(&version.reference.name)).cloned();
                let champion = self.champion_of(&subject.model_key());
                (notebook.unwrap_or_default(), Arc::new(SubjectView::of(self.state, &champion)))
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
        let Asked { answer, reads, notebook, log, fuel, duration_us } = asked;
        DecisionRecord {
            id,
            position: self.state.position,
            at: self.state.now(&subject.model_key()),
            subject: subject.clone(),
            policy,
            mode,
            question,
            reads,
            notebook,
            answer,
            log,
            verdicts: Vec::new(),
            fuel,
            duration_us,
        }
    }

    pub(super) fn write_notebook(&mut self, record: &DecisionRecord) {
        let Some(policy) = record.policy.as_ref().filter(|_| !record.notebook.is_empty()) else { return };
        let notebook =
            self.state.diary_mut(&record.subject).notebooks.entry(policy.name.clone()).or_default();
        for change in &record.notebook {
            match &change.value {
                Some(value) => notebook.insert(change.key.clone(), value.clone()),
                None => notebook.remove(&change.key),
            };
        }
    }
}

fn record_is_full(version: Version<'_>, model: &ModelKey, most: Size) -> String {
    format!(
        "policy `{}` is not asked: policies have added {most} to the record of `{model}` today, and the limit is limits.record-per-day of the configuration; it is asked again tomorrow",
        version.reference.name
    )
}

fn circuit_open(version: Version<'_>, until: Timestamp) -> String {
    format!(
        "policy `{}` failed too often in a row and is not asked until {}",
        version.reference.name,
        until.for_people()
    )
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
        Question::CanaryPromotion { experiment } => format!("experiment {}", experiment.id),
        Question::Cleanup { .. } => "cleanup".to_owned(),
        Question::RetrainSchedule { .. } => "retrain-schedule".to_owned(),
        Question::Request(request) => request.name(),
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
