//! What monitoring scrapes.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use trimtab_log::Reader;

use super::{
    error::Refusal,
    exposition::{self, Scrape},
    policies::known_policies,
    service::{Shared, blocking, bug},
};

pub(super) async fn metrics(State(service): Shared) -> Result<Response, Refusal> {
    blocking(service, |service| {
        let (head, folded, trouble) = service.host.progress();
        let policies = known_policies(service);
        let waiting = service.read(|reader| Ok(reader.waiting_count()?))?;
        let scrape = Scrape {
            policies,
            head,
            folded,
            waiting,
            stopped: trouble.is_some(),
            denied: service.denied.counts(),
        };
        let text = exposition::write(scrape).map_err(|error| bug(&error))?;
        Ok(([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response())
    })
    .await
}
