//! "May I trade?", and the kill switch.

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use trimtab_api::{Failure, KillRequest, MayTrade, rows::parse_row};

use super::{
    questions::{ModelQuery, model_key, require_actor, text},
    service::{Answer, Query, Reply, Shared, blocking},
};
use crate::clock;

pub(super) async fn may_trade(State(service): Shared, Query(query): Query<ModelQuery>) -> Answer<MayTrade> {
    Ok(Reply(service.host.may_trade(&model_key(query.tenant, query.model))))
}

pub(super) async fn kill_switch(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<serde_json::Value> {
    let request: KillRequest = parse_row(1, &text(body)?)?;
    let model = match (request.all, request.model) {
        (true, None) => None,
        (false, Some(model)) => Some(model_key(request.tenant, model)),
        _ => {
            let problem = "give a `model`, or `all` for every model of every tenant, and not both";
            return Err(Failure::invalid(problem).into());
        }
    };
    require_actor(&request.actor)?;
    let position = blocking(service, move |service| {
        Ok(service.host.kill_switch(model, request.on, request.actor, request.reason, clock::now())?)
    })
    .await?;
    Ok(Reply(serde_json::json!({ "position": position })))
}
