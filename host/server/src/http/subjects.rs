//! Subjects at a glance, for everything that shows them.

use trimtab_api::{Health, SubjectStatus};
use trimtab_core::{Configuration, fold::SubjectState, strength};
use trimtab_runtime::Snapshot;
use trimtab_types::Subject;

use super::{questions::ListQuery, service::Service};

pub(super) fn subjects(service: &Service, query: &ListQuery) -> Vec<SubjectStatus> {
    let snapshot = service.host.snapshot();
    snapshot
        .subjects()
        .into_iter()
        .filter(|(subject, _)| query.is_about(&subject.tenant, &subject.model))
        .map(|(subject, known)| status_of(&snapshot, subject, known))
        .collect()
}

/// How a subject is, without looking at its rows.
pub(super) fn health_of(configuration: &Configuration, subject: &Subject, known: &SubjectState) -> Health {
    let judging = configuration.judging(&subject.model_key());
    let unknown = strength::unknown(judging, known.baseline.as_deref(), known.predictions > 0);
    Health::of(unknown.is_none(), known.worst())
}

/// All that is shown of a subject.
pub(super) fn status_of(snapshot: &Snapshot, subject: &Subject, known: &SubjectState) -> SubjectStatus {
    let configuration = &snapshot.standing().configuration;
    let kept = &configuration.metrics;
    let detectors = configuration.detectors(&subject.model_key());
    SubjectStatus {
        subject: subject.clone(),
        health: health_of(configuration, subject, known),
        predictions: known.predictions,
        resolved: known.resolved,
        unjudged: known.unjudged,
        accuracy: [50, 100, 200]
            .map(|last| known.accuracy(last).filter(|estimate| estimate.samples as usize == last)),
        baseline: known.baseline.as_ref().map(|baseline| baseline.accuracy),
        losing_run: known.right.losing_run() as u64,
        newest: known.newest,
        metrics: known.metrics(kept),
        estimated: known.estimates(configuration.judging(&subject.model_key()).binary_threshold),
        confusion: known.confusion(kept),
        cannot_tell: known.cannot_tell(detectors, kept),
        strength: strength::strength(
            detectors,
            configuration.judging(&subject.model_key()),
            known.baseline.as_deref(),
            known.predictions > 0,
        ),
        provisional: known.provisional(),
        paused: snapshot.diary(subject).is_some_and(|diary| diary.paused),
        open: known.open_findings().map(|(_, finding)| finding.clone()).collect(),
    }
}
