//! What was found, decided and sent, newest first.

use axum::extract::{Path, State, rejection::PathRejection};
use serde::Serialize;
use trimtab_api::Failure;
use trimtab_log::{
    EffectState, Listing, LogError, Reader, StoredEffect, decision_of, effect_of, findings_of,
};
use trimtab_types::{DecisionRecord, Effect, Finding, Timestamp};

use super::{
    questions::ListQuery,
    service::{Answer, Query, Reply, Shared, blocking},
    subjects::open,
};

/// Decisions that are looked at at once where only some are wanted.
const LOOKED_AT: u32 = 1_000;

/// An effect and what has become of it.
#[derive(Serialize)]
struct SentEffect {
    #[serde(flatten)]
    effect: Effect,
    state: EffectState,
    /// How often it was tried.
    attempts: u32,
    /// What the last try came to: in a word or a status, and in the sink's words.
    said: Option<String>,
    /// When it was delivered.
    delivered: Option<Timestamp>,
}

impl SentEffect {
    fn of(stored: &StoredEffect) -> Result<Self, LogError> {
        let delivered = stored.tried.filter(|_| stored.state == EffectState::Delivered);
        let said = stored.said.as_ref().map(|(result, detail)| match detail.as_str() {
            "" => result.clone(),
            detail => format!("{result}: {detail}"),
        });
        let (state, attempts) = (stored.state, stored.attempts);
        Ok(Self { effect: effect_of(stored)?, state, attempts, said, delivered })
    }
}

/// Changes of findings, the newest first: those of one moment in the reverse of their order, as if each were a row.
fn newest_findings(reader: &dyn Reader, listing: &Listing) -> Result<Vec<Finding>, Failure> {
    let moments = reader.moments(listing)?;
    let mut findings = Vec::new();
    for (shard, stored) in &moments {
        findings.extend(findings_of(*shard, &stored.moment)?.into_iter().rev());
    }
    findings.truncate(listing.limit as usize);
    Ok(findings)
}

pub(super) async fn findings(
    State(service): Shared,
    Query(query): Query<ListQuery>,
) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle_known(service)?;
        let listing = query.listing()?;
        let findings = if query.open {
            open(&service.host.snapshot(), &query, listing.limit as usize)
        } else {
            service.read(|reader| newest_findings(reader, &listing))?
        };
        Ok(Reply(serde_json::json!({ "findings": findings })))
    })
    .await
}

/// The newest decisions, or those of a policy: these are looked for from the newest on.
fn newest_decisions(
    reader: &dyn Reader,
    mut listing: Listing,
    policy: Option<&str>,
) -> Result<Vec<DecisionRecord>, Failure> {
    let wanted = listing.limit as usize;
    if policy.is_some() {
        listing.limit = LOOKED_AT;
    }
    let mut found = Vec::new();
    loop {
        let stored = reader.decisions(&listing)?;
        for stored in &stored {
            let is_of = |policy: &str| {
                let name = stored.decision.policy.as_ref().map(|policy| policy.name.as_str());
                name.unwrap_or("host") == policy
            };
            if policy.is_none_or(is_of) {
                found.push(decision_of(stored.shard, &stored.decision)?);
            }
            if found.len() == wanted {
                return Ok(found);
            }
        }
        listing.before = stored.last().map(|stored| stored.seq);
        if stored.len() < listing.limit as usize || policy.is_none() {
            return Ok(found);
        }
    }
}

pub(super) async fn decisions(
    State(service): Shared,
    Query(query): Query<ListQuery>,
) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle_known(service)?;
        let listing = query.listing()?;
        let decisions = service.read(|reader| newest_decisions(reader, listing, query.policy.as_deref()))?;
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
        let found = service.read(|reader| {
            let stored = reader.decision(&id)?;
            Ok(stored.map(|stored| decision_of(stored.shard, &stored.decision)).transpose()?)
        })?;
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
        let listing = query.listing()?;
        let effects: Vec<SentEffect> = service.read(|reader| {
            let stored = reader.effects(&listing)?;
            Ok(stored.iter().map(SentEffect::of).collect::<Result<_, _>>()?)
        })?;
        Ok(Reply(serde_json::json!({ "effects": effects })))
    })
    .await
}
