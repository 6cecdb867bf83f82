//! What monitoring scrapes.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use trimtab_log::Reader;
use trimtab_types::Effect;

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
        let mut waiting = service.read(|reader| Ok(reader.waiting_count()?))?;
        let sinks = service.destinations();
        for sink in sinks.keys().map(String::as_str).chain([Effect::QUEUE]) {
            waiting.entry(sink.to_owned()).or_default();
        }
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
