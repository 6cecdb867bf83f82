//! The HTTP interface: one file a resource. What is asked, and who answers; nothing is decided here.

mod alerts;
mod baselines;
mod check;
mod error;
mod exposition;
mod life;
mod lists;
mod metrics;
mod policies;
mod questions;
mod report;
mod retrains;
mod rows;
mod service;
mod status;
mod stream;
mod subjects;
mod trade;
mod version_details;

use std::sync::Arc;

use axum::{
    Router,
    extract::{DefaultBodyLimit, Request},
    middleware::Next,
    response::Response,
    routing::{get, post},
};
use trimtab_api::Failure;
use trimtab_types::ErrorKind;

use crate::doors::json_only;
pub(crate) use error::Refusal;

pub use service::Service;

/// Version of every JSON answer.
pub const SCHEMA_VERSION: u32 = 1;
/// Largest body of a request. One request is one transaction, so this bounds a transaction too.
const LARGEST_BODY: usize = 16 << 20;

/// The interface on a service.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(status::ready))
        .route("/metrics", get(metrics::metrics))
        .merge(
            Router::new()
                .route("/v1/predictions", post(rows::predictions))
                .route("/v1/outcomes", post(rows::outcomes))
                .route("/v1/rows", post(rows::rows))
                .layer(axum::middleware::from_fn_with_state(Arc::clone(&service), rows::admit)),
        )
        .route("/v1/stream", post(stream::stream).layer(DefaultBodyLimit::disable()))
        .route("/v1/may-trade", get(trade::may_trade))
        .route("/v1/exposure", get(trade::exposure))
        .route("/v1/acts", post(trade::act))
        .route("/v1/kill-switch", post(trade::kill_switch))
        .route("/v1/versions", get(life::versions).post(life::change_version))
        .route("/v1/versions/history", get(life::history))
        .route("/v1/versions/show", get(version_details::details))
        .route("/v1/versions/orphans", get(version_details::orphans))
        .route("/v1/experiments", get(life::experiments).post(life::change_experiment))
        .route("/v1/experiments/plan", get(life::plan))
        .route("/v1/proposals", get(life::proposals))
        .route("/v1/proposals/answer", post(life::answer))
        .route("/v1/route", get(life::route))
        .route("/v1/routes", get(life::routes))
        .route("/v1/schedule", get(retrains::schedule))
        .route("/v1/retrains", get(retrains::retrains).post(retrains::change_retrain))
        .route("/v1/status", get(status::status))
        .route("/v1/report", get(report::report))
        .route("/v1/check", get(check::check))
        .route("/v1/findings", get(lists::findings))
        .route("/v1/decisions", get(lists::decisions))
        .route("/v1/decisions/{id}", get(lists::decision))
        .route("/v1/alerts", get(alerts::alerts))
        .route("/v1/alerts/acknowledge", post(alerts::acknowledge))
        .route("/v1/alerts/silence", post(alerts::silence))
        .route("/v1/effects", get(lists::effects))
        .route("/v1/baselines", get(baselines::baselines).post(baselines::set_baseline))
        .route("/v1/policies", get(policies::policies))
        .route("/v1/policies/{name}/history", get(policies::policy_history))
        .route("/v1/policies/{name}/rollback", post(policies::policy_rollback))
        .route("/v1/policies/stop", post(policies::stop))
        .route("/v1/policies/apply", post(policies::apply))
        .route("/v1/reload", post(policies::reload))
        .route("/v1/verify", post(check::run_verify))
        .fallback(|request: Request| async move {
            Refusal(Failure::missing(format!("there is no {} {}", request.method(), request.uri().path())))
        })
        .method_not_allowed_fallback(|request: Request| async move {
            let message = format!("{} does not take {}", request.uri().path(), request.method());
            Refusal(Failure::new(ErrorKind::Method, message))
        })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(axum::middleware::from_fn_with_state(Arc::clone(&service), json_only))
        .layer(axum::middleware::from_fn(trace))
        .with_state(service)
}

async fn trace(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    response
}
