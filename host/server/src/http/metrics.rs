//! What monitoring scrapes.

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};

use trimtab_api::{Failure, Health};
use trimtab_log::Reader;
use trimtab_types::Effect;

use super::{
    error::Refusal,
    exposition::{self, Models, Scrape, Shown, age, chosen},
    policies::known_policies,
    service::{self, Service, blocking, bug},
    subjects::{health_of, status_of},
};

pub(super) async fn metrics(State(service): service::Shared) -> Result<Response, Refusal> {
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
            models: models(service)?,
            build: env!("CARGO_PKG_VERSION").to_owned(),
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

/// How models are, from one snapshot.
fn models(service: &Service) -> Result<Models, Failure> {
    let snapshot = service.host.snapshot();
    let counts = service.read(|reader| Ok(reader.counts()?))?;
    let all_stopped = snapshot.standing().killed.is_some();
    let mut models = Models { counts, all_stopped, ..Models::default() };
    let known = snapshot.subjects();
    let configuration = &snapshot.standing().configuration;
    let health = |subject, known| (subject, health_of(configuration, subject, known));
    let healths: Vec<_> = known.iter().map(|(subject, known)| health(*subject, known)).collect();
    for ((subject, known), (_, health)) in known.iter().zip(&healths) {
        // Each from 0, so that what was never there can be told from what is not scraped.
        for one in Health::ALL {
            models.health.entry((subject.tenant.clone(), one)).or_default();
        }
        *models.health.entry((subject.tenant.clone(), *health)).or_default() += 1;
        if let Some(age) = age(&snapshot, subject, known.newest) {
            let stalest = models.stalest.entry(subject.tenant.clone()).or_default();
            *stalest = stalest.max(age);
        }
    }
    let shown = chosen(&healths, &snapshot.standing().configuration.monitoring);
    models.dropped = (healths.len() - shown.len()) as u64;
    let shown = shown.into_iter().filter_map(|subject| Some((subject, snapshot.subject(subject)?)));
    models.subjects = shown
        .map(|(subject, known)| Shown {
            status: status_of(&snapshot, subject, known),
            age: age(&snapshot, subject, known.newest),
        })
        .collect();
    for (key, _) in snapshot.models() {
        let may = snapshot.may_trade(key);
        models.proposals.entry(key.tenant.clone()).or_default();
        models.terms.push((key.clone(), may.exposure, !may.allowed));
    }
    let registries =
        snapshot.states().flat_map(|state| state.registries.iter().map(move |known| (state, known)));
    for (state, (key, registry)) in registries {
        let open = registry.waiting(state.clock(key)).count();
        *models.proposals.entry(key.tenant.clone()).or_default() += open as u64;
    }
    Ok(models)
}
