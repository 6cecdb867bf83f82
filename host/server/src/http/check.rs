//! Questions about the whole: how all models are, and whether replay and record agree.

use std::sync::Arc;

use axum::extract::State;
use trimtab_api::{CheckReport, Failure, Totals};
use trimtab_replay::verify;

use super::{
    questions::ListQuery,
    service::{Answer, Query, Reply, Shared, blocking},
    subjects::{Page, page},
};
use crate::clock;

pub(super) async fn check(State(service): Shared, Query(query): Query<ListQuery>) -> Answer<CheckReport> {
    blocking(service, move |service| {
        if service.host.is_restoring() {
            let why = service.host.behind().unwrap_or_else(|| "the host is starting".to_owned());
            return Err(Failure::unreachable(format!("{why}; until then nobody can say how all models are")));
        }
        query.settle_known(service)?;
        let Page { totals, subjects, next } = page(&service.host.snapshot(), &query)?;
        let Totals { ok, warning, critical, unknown, .. } = totals;
        Ok(Reply(CheckReport { at: clock::now(), ok, warning, critical, unknown, subjects, next }))
    })
    .await
}

pub(super) async fn run_verify(State(service): Shared) -> Answer<verify::Report> {
    blocking(service, |service| {
        service.host.settle()?;
        let sandbox = Arc::clone(service.host.sandbox());
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let open = || service.host.reader();
        Ok(Reply(verify::verify(&open, &sandbox, workers, &mut |_, _| {})?))
    })
    .await
}
