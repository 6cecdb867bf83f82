//! What was found, decided and sent, newest first.

use axum::extract::{Path, State, rejection::PathRejection};
use trimtab_api::Failure;
use trimtab_log::Reader;
use trimtab_types::DecisionRecord;

use super::{
    questions::ListQuery,
    service::{Answer, Query, Reply, Shared, blocking},
    subjects::subjects,
};

pub(super) async fn findings(
    State(service): Shared,
    Query(query): Query<ListQuery>,
) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle_known(service)?;
        let listing = query.listing()?;
        let findings = if query.open {
            subjects(service, &query)
                .into_iter()
                .flat_map(|subject| subject.open)
                .take(listing.limit as usize)
                .collect()
        } else {
            service.read(|reader| Ok(reader.findings(&listing)?))?
        };
        Ok(Reply(serde_json::json!({ "findings": findings })))
    })
    .await
}

pub(super) async fn decisions(
    State(service): Shared,
    Query(query): Query<ListQuery>,
) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle_known(service)?;
        let listing = query.listing()?;
        let decisions = service.read(|reader| Ok(reader.decisions(&listing)?))?;
        Ok(Reply(serde_json::json!({ "decisions": decisions })))
    })
    .await
}

pub(super) async fn decision(
    State(service): Shared,
    id: Result<Path<String>, PathRejection>,
) -> Answer<DecisionRecord> {
    let Path(id) = id.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    blocking(service, move |service| {
        let found = service.read(|reader| Ok(reader.decision(&id)?))?;
        found.map(Reply).ok_or_else(|| {
            Failure::missing(format!("there is no decision `{id}`; `trimtab decisions` lists them"))
        })
    })
    .await
}

pub(super) async fn effects(
    State(service): Shared,
    Query(query): Query<ListQuery>,
) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle_known(service)?;
        let limit = query.listing()?.limit;
        let effects = service.read(|reader| Ok(reader.effects(false, limit)?))?;
        Ok(Reply(serde_json::json!({ "effects": effects })))
    })
    .await
}
