//! Subjects at a glance, for everything that shows them.

use trimtab_api::{Health, SubjectStatus};

use super::{questions::ListQuery, service::Service};

pub(super) fn subjects(service: &Service, query: &ListQuery) -> Vec<SubjectStatus> {
    service.host.with_state(|state| {
        let kept = &state.configuration.metrics;
        state
            .subjects
            .iter()
            .filter(|(subject, _)| query.is_about(&subject.tenant, &subject.model))
            .map(|(subject, known)| SubjectStatus {
                subject: subject.clone(),
                health: Health::of(known.baseline.is_some(), known.worst()),
                predictions: known.predictions,
                resolved: known.resolved,
                unjudged: known.unjudged,
                accuracy: [50, 100, 200]
                    .map(|last| known.accuracy(last).filter(|estimate| estimate.samples as usize == last)),
                baseline: known.baseline.as_ref().map(|baseline| baseline.accuracy),
                losing_run: known.right.losing_run() as u64,
                newest: known.newest,
                metrics: known.metrics(kept),
                estimated: known.estimates(state.configuration.judging.binary_threshold),
                confusion: known.confusion(kept),
                cannot_tell: known.cannot_tell(state.configuration.detectors(&subject.model_key())),
                paused: known.paused,
                open: known.open_findings().map(|(_, finding)| finding.clone()).collect(),
            })
            .collect()
    })
}
