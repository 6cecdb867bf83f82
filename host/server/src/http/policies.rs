//! Policies in force, what they were, and the way back.

use axum::{
    body::Bytes,
    extract::{
        Path, State,
        rejection::{BytesRejection, PathRejection},
    },
};
use trimtab_api::{
    ApplyRequest, Failure, PoliciesAnswer, PolicyFailures, PolicyHistory, RollbackRequest, RolledBack,
    StopRequest, TrustAnswer, rows::parse_row,
};
use trimtab_core::{Configuration, Failing, fold::KillNote};
use trimtab_types::PolicyInForce;

use super::{
    questions::{accountable, text},
    service::{Answer, Reply, Service, Shared, blocking},
};
use crate::clock;

pub(super) async fn policies(State(service): Shared) -> Answer<PoliciesAnswer> {
    blocking(service, |service| Ok(Reply(known_policies(service)))).await
}

pub(super) fn known_policies(service: &Service) -> PoliciesAnswer {
    let snapshot = service.host.snapshot();
    let standing = snapshot.standing();
    let set = standing.policies.clone();
    let failures = Failing::of(snapshot.states()).into_iter().map(|failing| PolicyFailures {
        policy: failing.policy,
        about: failing.about,
        in_a_row: failing.in_a_row,
        left_alone_until: failing.left_alone_until,
        everywhere_until: failing.everywhere_until,
    });
    PoliciesAnswer {
        directory: service.host.policies_directory().display().to_string(),
        policies: set.policies,
        held: set.held,
        problems: service.host.policy_problems(),
        trust: trust(&standing.configuration),
        failures: failures.collect(),
        not_granted: service.host.not_granted(),
        calls: service.host.calls(),
        stopped: service
            .host
            .stopped_policies()
            .into_iter()
            .map(|(name, note)| (name, said(&note)))
            .collect(),
    }
}

fn said(note: &KillNote) -> String {
    format!("{} at {}: {}", note.by, note.at.for_people(), note.reason)
}

/// Stops a policy, or has it asked again. Waits for no fold.
pub(super) async fn stop(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<serde_json::Value> {
    let StopRequest { policy, stopped, actor, reason } = parse_row(1, &text(body)?)?;
    accountable(&actor, &reason)?;
    blocking(service, move |service| {
        let known = service.host.snapshot().standing().policies.policy(&policy).is_some();
        if !known && !service.host.stopped_policies().contains_key(&policy) {
            return Err(Failure::missing(format!(
                "there is no policy `{policy}` in force; `trimtab policy list` shows those that are"
            )));
        }
        Ok(service.host.stop_policy(&policy, stopped, actor, reason, clock::now())?)
    })
    .await?;
    Ok(Reply(serde_json::json!({ "stopped": stopped })))
}

pub(super) async fn apply(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<PolicyInForce> {
    let ApplyRequest { policy, digest, ask, actor, reason } = parse_row(1, &text(body)?)?;
    accountable(&actor, &reason)?;
    blocking(service, move |service| {
        Ok(Reply(service.host.apply_policy(&policy, digest, clock::change(&actor, &reason), ask)?))
    })
    .await
}

fn trust(configuration: &Configuration) -> TrustAnswer {
    let pinned = configuration.policies.iter().filter_map(|(name, rule)| Some((name.clone(), rule.digest?)));
    TrustAnswer {
        keys: configuration.trust.key_ids(),
        require_signed: configuration.trust.require_signed,
        pinned: pinned.collect(),
    }
}

pub(super) async fn policy_history(
    State(service): Shared,
    name: Result<Path<String>, PathRejection>,
) -> Answer<PolicyHistory> {
    let Path(name) = name.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    blocking(service, move |service| {
        Ok(Reply(PolicyHistory { versions: service.host.policy_history(&name)? }))
    })
    .await
}

pub(super) async fn policy_rollback(
    State(service): Shared,
    name: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<RolledBack> {
    let Path(name) = name.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    let request: RollbackRequest = parse_row(1, &text(body)?)?;
    accountable(&request.actor, &request.reason)?;
    blocking(service, move |service| {
        let change = clock::change(&request.actor, &request.reason);
        Ok(Reply(service.host.roll_back_policy(&name, request.to.as_deref(), change)?))
    })
    .await
}

pub(super) async fn reload(State(service): Shared) -> Answer<serde_json::Value> {
    let problems = blocking(service, |service| service.reload("POST /v1/reload")).await?;
    Ok(Reply(serde_json::json!({ "problems": problems })))
}
