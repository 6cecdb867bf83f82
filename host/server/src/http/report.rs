//! The figures of a stretch of time.

use axum::extract::State;
use serde::Deserialize;
use trimtab_api::{Failure, Report};
use trimtab_log::{Listing, Reader, StoredEffect, findings_of};
use trimtab_types::{Finding, ModelKey, Subject, Timestamp};

use super::{
    life::known,
    questions::model_key,
    service::{Answer, Query, Reply, Shared, blocking},
};
use crate::{clock, report};

/// What is looked at at once.
const STEP: u32 = 1_000;
/// A stretch of time where nobody says which, in seconds.
const USUAL: u64 = 30 * 86_400;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ReportQuery {
    tenant: Option<String>,
    model: Option<String>,
    /// In seconds before now.
    since: Option<u64>,
}

pub(super) async fn report(State(service): Shared, Query(query): Query<ReportQuery>) -> Answer<Report> {
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        if let Some(name) = &query.model {
            known(&snapshot, &model_key(query.tenant.clone(), name.clone()))?;
        }
        let wanted = |model: &ModelKey| {
            let tenant = query.tenant.as_deref().or(query.model.as_ref().map(|_| Subject::DEFAULT_TENANT));
            tenant.is_none_or(|tenant| tenant == model.tenant)
                && query.model.as_ref().is_none_or(|name| *name == model.model)
        };
        // History that was only imported ends with its newest row.
        let newest = snapshot.newest();
        let until = if newest > Timestamp::MIN { newest } else { clock::now() };
        let since = until.minus(query.since.unwrap_or(USUAL));
        let registries = snapshot.states().flat_map(|state| &state.registries);
        let registries =
            registries.filter(|(model, _)| wanted(model)).map(|(model, known)| (model, known.as_ref()));
        let listing =
            Listing { tenant: query.tenant.clone(), model: query.model.clone(), before: None, limit: STEP };
        let (findings, effects) = service.read(|reader| {
            Ok::<_, Failure>((findings(reader, &listing, since)?, effects(reader, &listing, since)?))
        })?;
        let seen = report::Seen { since, until, registries: registries.collect(), findings, effects };
        Ok(Reply(report::report(&seen)))
    })
    .await
}

/// Changes of findings since a time. Logs have clocks of their own, so a whole page has to be older.
fn findings(reader: &dyn Reader, listing: &Listing, since: Timestamp) -> Result<Vec<Finding>, Failure> {
    let (mut listing, mut found) = (listing.clone(), Vec::new());
    loop {
        let moments = reader.moments(&listing)?;
        let is_old = moments.iter().all(|(_, stored)| stored.moment.at < since);
        for (shard, stored) in moments.iter().filter(|(_, stored)| stored.moment.at >= since) {
            found.extend(findings_of(*shard, &stored.moment)?);
        }
        listing.before = moments.last().map(|(_, stored)| stored.seq);
        if is_old || moments.len() < STEP as usize {
            return Ok(found);
        }
    }
}

fn effects(reader: &dyn Reader, listing: &Listing, since: Timestamp) -> Result<Vec<StoredEffect>, Failure> {
    let (mut listing, mut found) = (listing.clone(), Vec::new());
    loop {
        let effects = reader.effects(&listing)?;
        listing.before = effects.last().map(|stored| stored.seq);
        let count = effects.len();
        let recent: Vec<_> = effects.into_iter().filter(|stored| stored.effect.due >= since).collect();
        let is_old = recent.is_empty();
        found.extend(recent);
        if is_old || count < STEP as usize {
            return Ok(found);
        }
    }
}
