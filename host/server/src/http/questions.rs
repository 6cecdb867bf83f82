//! What several questions have in common: whom they are about, how much they want, and who asks.

use axum::{body::Bytes, extract::rejection::BytesRejection, http::StatusCode};
use serde::Deserialize;
use trimtab_api::Failure;
use trimtab_log::Listing;
use trimtab_runtime::Snapshot;
use trimtab_types::{ErrorKind, ModelKey, Subject, Timestamp};

use super::{LARGEST_BODY, service::Service};
use crate::clock;

const DEFAULT_LIMIT: u32 = 50;
const MOST_LISTED: u32 = 10_000;
/// Bytes of a reason, and of the name of who gives it.
const LONGEST_REASON: usize = 4_096;
const LONGEST_ACTOR: usize = 200;

/// A request's body as text, or what is wrong with it.
pub(super) fn text(body: Result<Bytes, BytesRejection>) -> Result<String, Failure> {
    let body = body.map_err(|rejection| {
        let (kind, message) = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            let message = format!(
                "the request is larger than {} MiB; send it in parts. Nothing of it was kept",
                LARGEST_BODY >> 20
            );
            (ErrorKind::TooLarge, message)
        } else {
            let message = format!(
                "the request did not arrive whole ({rejection}); send it again. Nothing of it was kept"
            );
            (ErrorKind::Invalid, message)
        };
        Failure::new(kind, message)
    })?;
    String::from_utf8(body.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::invalid(format!(
            "line {line}: is not UTF-8 (byte {at} of the request). Nothing of this request was kept"
        ))
    })
}

/// Most models that an error names.
pub(super) const NAMED: usize = 10;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModelQuery {
    pub(super) tenant: Option<String>,
    pub(super) model: String,
}

pub(super) fn model_key(tenant: Option<String>, model: String) -> ModelKey {
    ModelKey { tenant: tenant.unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()), model }
}

/// The model that an act is about: under names that a row may have, whether one was ever there or not.
pub(super) fn named(tenant: Option<String>, model: String) -> Result<ModelKey, Failure> {
    let key = model_key(tenant, model);
    key.check().map_err(|invalid| Failure::invalid(format!("{}: {}", invalid.field, invalid.problem)))?;
    Ok(key)
}

/// Who does something, and why: somebody is named, and neither is longer than what is kept for ever and shown often may be.
pub(super) fn accountable(actor: &str, reason: &str) -> Result<(), Failure> {
    if actor.trim().is_empty() {
        return Err(Failure::invalid("actor: is empty; say who does this"));
    }
    if actor.len() > LONGEST_ACTOR {
        let problem = format!("actor: has {} bytes; at most {LONGEST_ACTOR} are kept", actor.len());
        return Err(Failure::invalid(problem));
    }
    if reason.len() > LONGEST_REASON {
        let problem = format!("reason: has {} bytes; at most {LONGEST_REASON} are kept", reason.len());
        return Err(Failure::invalid(problem));
    }
    Ok(())
}

/// The time at which somebody does something about a model. Where no host has served the directory yet, its rows are history,
/// and it is the time of the newest of them.
pub(super) fn now_of(snapshot: &Snapshot, model: &ModelKey) -> Timestamp {
    let own =
        snapshot.log_of(model).filter(|state| state.tick == Timestamp::MIN).map(|state| state.clock(model));
    own.filter(|own| *own > Timestamp::MIN).unwrap_or_else(clock::now)
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ListQuery {
    pub(super) tenant: Option<String>,
    model: Option<String>,
    limit: Option<u32>,
    /// Where a page of subjects begins: what the page before said is `next`.
    pub(super) after: Option<String>,
    /// Only decisions of this policy; `host`: those that no policy made.
    pub(super) policy: Option<String>,
    /// Only episodes that are open.
    pub(super) open: bool,
    /// Wait until everything that was acknowledged is folded.
    settled: bool,
}

impl ListQuery {
    pub(super) fn listing(&self) -> Result<Listing, Failure> {
        let limit = self.limit(DEFAULT_LIMIT)?;
        Ok(Listing { tenant: self.tenant.clone(), model: self.model.clone(), before: None, limit })
    }

    /// How many are wanted; so many where nothing is said.
    pub(super) fn limit(&self, usual: u32) -> Result<u32, Failure> {
        let limit = self.limit.unwrap_or(usual);
        if !(1..=MOST_LISTED).contains(&limit) {
            return Err(Failure::invalid(format!(
                "limit: is {limit}; at least 1 and at most {MOST_LISTED} are listed at once"
            )));
        }
        Ok(limit)
    }

    /// Whether the question is about this model; without a tenant, it is about those of all.
    pub(super) fn is_about(&self, tenant: &str, model: &str) -> bool {
        self.tenant.as_deref().is_none_or(|wanted| wanted == tenant)
            && self.model.as_deref().is_none_or(|wanted| wanted == model)
    }

    pub(super) fn settle(&self, service: &Service) -> Result<(), Failure> {
        if self.settled {
            service.host.settle()?;
        }
        Ok(())
    }

    /// The same, but no longer than people wait; the answer says how far it is.
    pub(super) fn settle_soon(&self, service: &Service) -> Result<(), Failure> {
        if self.settled {
            service.host.settle_soon()?;
        }
        Ok(())
    }

    /// As `settle`; a model that nobody knows is a mistake, and not a model of which there is nothing.
    pub(super) fn settle_known(&self, service: &Service) -> Result<(), Failure> {
        self.settle(service)?;
        let Some(wanted) = &self.model else { return Ok(()) };
        let snapshot = service.host.snapshot();
        let models =
            snapshot.states().flat_map(|state| state.models.keys().map(|key| (&key.tenant, &key.model)));
        let subjects = snapshot
            .states()
            .flat_map(|state| state.subjects.keys().map(|subject| (&subject.tenant, &subject.model)));
        let mut known: Vec<(&String, &String)> = models.chain(subjects).collect();
        if known.iter().any(|(tenant, model)| self.is_about(tenant, model)) {
            return Ok(());
        }
        known.sort();
        known.dedup();
        let names: Vec<_> = known.iter().take(NAMED).map(|(_, model)| format!("`{model}`")).collect();
        let there = match (names.is_empty(), known.len() > NAMED) {
            (true, _) => "there is no model yet".to_owned(),
            (false, false) => format!("there are {}", names.join(", ")),
            (false, true) => format!("there are {}, and others", names.join(", ")),
        };
        Err(Failure::missing(format!("model `{wanted}`: is not known; {there}")))
    }
}
