//! What subjects are held against.

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use trimtab_api::{BaselineRequest, BaselineStatus, Failure, rows::parse_row};
use trimtab_core::{fold::SubjectState, strength};
use trimtab_runtime::{Snapshot, baseline};
use trimtab_types::{Baseline, BaselineSource, Entry, Subject};

use super::{
    questions::{ListQuery, text},
    service::{Answer, Query, Reply, Shared, blocking},
};

pub(super) async fn baselines(
    State(service): Shared,
    Query(query): Query<ListQuery>,
) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle(service)?;
        let snapshot = service.host.snapshot();
        let baselines: Vec<BaselineStatus> = snapshot
            .subjects()
            .into_iter()
            .filter(|(subject, _)| query.is_about(&subject.tenant, &subject.model))
            .filter_map(|(_, known)| Some(status(&snapshot, known.baseline.as_deref()?.clone())))
            .collect();
        Ok(Reply(serde_json::json!({ "baselines": baselines })))
    })
    .await
}

pub(super) async fn set_baseline(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<BaselineStatus> {
    let request: BaselineRequest = parse_row(1, &text(body)?)?;
    blocking(service, move |service| {
        let subject = Subject {
            tenant: request.tenant.unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()),
            model: request.model,
            version: request.version,
            segment: request.segment,
        };
        subject.validate()?;
        let source = match (request.first, request.from, request.until, request.samples, request.accuracy) {
            (Some(rows), None, None, None, None) => BaselineSource::First { rows },
            (None, Some(from), Some(until), None, None) => BaselineSource::Range { from, until },
            (None, None, None, Some(_), Some(_)) => BaselineSource::Given,
            _ => {
                return Err(Failure::invalid(
                    "a baseline is given by `first`, by `from` and `until`, or by `samples` and `accuracy`; by exactly one of these",
                ));
            }
        };
        match &source {
            BaselineSource::First { rows: 0 } => {
                return Err(Failure::invalid("first: is 0; a baseline needs at least one prediction"));
            }
            BaselineSource::Range { from, until } if from >= until => {
                return Err(Failure::invalid(format!("until: {until} is not after `from`, {from}")));
            }
            _ => {}
        }
        let baseline = if source == BaselineSource::Given {
            let samples = request.samples.unwrap_or_default();
            Baseline {
                precision: request.precision,
                recall: request.recall,
                f1: request.f1,
                ..Baseline::given(subject, samples, request.accuracy.unwrap_or_default())
            }
        } else {
            service.host.settle()?;
            let rules = *service.host.snapshot().standing().configuration.judging(&subject.model_key());
            service.read(|reader| Ok(baseline::from_log(reader, &subject, source, &rules)?))?
        };
        baseline.validate()?;
        // What holds already is not set again: detectors would start anew.
        let snapshot = service.host.snapshot();
        let holds = snapshot.subject(&baseline.subject).and_then(|known| known.baseline.as_deref());
        if holds == Some(&baseline) {
            return Ok(Reply(status(&snapshot, baseline)));
        }
        let unseen = unseen(&baseline, snapshot.subject(&baseline.subject));
        service.host.append_and_wait(vec![Entry::Baseline(Box::new(baseline.clone()))])?;
        Ok(Reply(BaselineStatus { unseen, ..status(&snapshot, baseline) }))
    })
    .await
}

fn status(snapshot: &Snapshot, baseline: Baseline) -> BaselineStatus {
    let (model, configuration) = (baseline.subject.model_key(), &snapshot.standing().configuration);
    let (detectors, judging) = (configuration.detectors(&model), configuration.judging(&model));
    let is_there = snapshot.subject(&baseline.subject).is_some_and(|known| known.predictions > 0);
    let strength = strength::strength(detectors, judging, Some(&baseline), is_there);
    BaselineStatus { baseline, strength, unseen: 0 }
}

/// Judged predictions after those of a baseline that nobody held against it: all but the newest.
fn unseen(baseline: &Baseline, known: Option<&SubjectState>) -> u64 {
    let judged = match (&baseline.source, known) {
        (BaselineSource::First { .. }, Some(known)) => known.resolved.saturating_sub(baseline.samples),
        // How many lie before a stretch of time nobody has counted.
        _ => 0,
    };
    judged.saturating_sub(SubjectState::CAUGHT_UP)
}
