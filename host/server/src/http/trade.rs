//! "May I trade?", the kill switch, and the other terms that a person can change.

use std::collections::BTreeSet;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use trimtab_api::{ActRequest, ExposureStatus, Failure, KillRequest, MayTrade, ModelAct, rows::parse_row};
use trimtab_runtime::Snapshot;
use trimtab_types::{Act, ModelKey};

use super::{
    questions::{ModelQuery, NAMED, accountable, model_key, named, now_of, text},
    service::{Answer, Query, Reply, Shared, blocking},
};
use crate::clock;

pub(super) async fn may_trade(State(service): Shared, Query(query): Query<ModelQuery>) -> Answer<MayTrade> {
    Ok(Reply(service.host.may_trade(&model_key(query.tenant, query.model))))
}

pub(super) async fn exposure(
    State(service): Shared,
    Query(query): Query<ModelQuery>,
) -> Answer<ExposureStatus> {
    let key = model_key(query.tenant, query.model);
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let exposure = &snapshot.model(&key).ok_or_else(|| unknown(&key))?.exposure;
        let causes = exposure.causes().clone();
        Ok(Reply(ExposureStatus { exposure: exposure.share(), base: exposure.base(), causes }))
    })
    .await
}

pub(super) async fn act(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<serde_json::Value> {
    let ActRequest { tenant, model, act, actor, reason } = parse_row(1, &text(body)?)?;
    accountable(&actor, &reason)?;
    let share = |name: &str, share: f64| {
        let problem = || Failure::invalid(format!("{name}: is {share}; a share lies between 0 and 1"));
        if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(problem()) }
    };
    let key = named(tenant, model)?;
    let act = match act {
        ModelAct::SetExposure(exposure) => {
            Act::SetExposure { model: key.clone(), exposure: share("exposure", exposure)? }
        }
        ModelAct::ClearExposure(cause) => Act::ClearExposure { model: key.clone(), cause },
        ModelAct::MinimumConfidence(confidence) => {
            let confidence = confidence.map(|confidence| share("confidence", confidence)).transpose()?;
            Act::MinimumConfidence { model: key.clone(), confidence }
        }
        ModelAct::Review => Act::Review { model: key.clone() },
        ModelAct::PlanRetrains => Act::PlanRetrains { model: key.clone() },
        ModelAct::Resume => Act::Resume { model: key.clone() },
        ModelAct::Ask(policy) => Act::Ask { policy, model: key.clone() },
        ModelAct::Retire { version, segment, feature } => {
            Act::Retire { model: key.clone(), version, segment, feature }
        }
    };
    let recorded = blocking(service, move |service| {
        let is_settled = service.host.settle_soon()?;
        let cause = match &act {
            Act::ClearExposure { cause, .. } => cause.clone(),
            _ => None,
        };
        let snapshot = service.host.snapshot();
        if snapshot.model(&key).is_none() && !is_settled {
            service.host.settle()?;
        }
        let snapshot = service.host.snapshot();
        let known = snapshot.model(&key).ok_or_else(|| unknown(&key))?;
        if let Some(cause) = cause.filter(|cause| !known.exposure.causes().contains_key(cause)) {
            return Err(Failure::missing(format!(
                "nothing is reduced by `{cause}`; `trimtab exposure show` lists the causes"
            )));
        }
        if let Act::Ask { policy, .. } = &act
            && snapshot.standing().policies.policy(policy).is_none()
        {
            return Err(Failure::missing(format!(
                "there is no policy `{policy}` in force; `trimtab policy list` shows those that are"
            )));
        }
        if let Act::Retire { version, segment, feature, .. } = &act {
            retirable(&snapshot, &key, [version, segment, feature])?;
        }
        let recorded = service.host.act(act, actor, reason, now_of(&snapshot, &key))?;
        // It is recorded, whatever holds the fold up.
        service.host.settle_soon().ok();
        Ok(recorded)
    })
    .await?;
    Ok(Reply(serde_json::json!({ "recorded": recorded })))
}

/// Whether there is what is to be retired; where not, what there is.
fn retirable(
    snapshot: &Snapshot,
    key: &ModelKey,
    [version, segment, feature]: [&Option<String>; 3],
) -> Result<(), Failure> {
    let of_model = || snapshot.all_subjects().filter(|(subject, _)| subject.model_key() == *key);
    let missing = |what: &str, name: &str, there: BTreeSet<&str>| {
        let mut names: Vec<String> = there.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        if there.len() > NAMED {
            names.push("others".to_owned());
        }
        let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        Err(Failure::missing(format!("{what} `{name}` of `{key}`: is not known; there are {names}")))
    };
    if let Some(name) = version {
        let there: BTreeSet<&str> = of_model().map(|(subject, _)| subject.version.as_str()).collect();
        if !there.contains(name.as_str()) {
            return missing("version", name, there);
        }
    }
    if let Some(name) = segment {
        let there: BTreeSet<&str> = of_model().map(|(subject, _)| subject.segment.as_str()).collect();
        if !there.contains(name.as_str()) {
            return missing("segment", name, there);
        }
    }
    if let Some(name) = feature {
        let baselines = of_model().filter_map(|(_, known)| known.baseline.as_deref());
        let supplies = baselines.flat_map(|baseline| &baseline.supplies);
        let there: BTreeSet<&str> = supplies.filter_map(|supply| supply.feature.as_deref()).collect();
        if !there.contains(name.as_str()) {
            return missing("feature", name, there);
        }
    }
    Ok(())
}

fn unknown(key: &ModelKey) -> Failure {
    Failure::missing(format!("no prediction of `{key}` was ever recorded; `trimtab status` lists models"))
}

pub(super) async fn kill_switch(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<serde_json::Value> {
    let request: KillRequest = parse_row(1, &text(body)?)?;
    let model = match (request.all, request.model) {
        (true, None) => None,
        (false, Some(model)) => Some(named(request.tenant, model)?),
        _ => {
            let problem = "give a `model`, or `all` for every model of every tenant, and not both";
            return Err(Failure::invalid(problem).into());
        }
    };
    accountable(&request.actor, &request.reason)?;
    let (recorded, known, others) = blocking(service, move |service| {
        let snapshot = service.host.snapshot();
        let at = model.as_ref().map_or_else(clock::now, |model| now_of(&snapshot, model));
        // A model may be stopped before its first row. But a name that nobody has heard of may as well be mistyped.
        let known = model.as_ref().is_none_or(|model| {
            snapshot.is_restoring(model) || snapshot.model(model).is_some_and(|known| known.predictions > 0)
        });
        let others =
            if model.is_none() && !request.on { snapshot.stopped_by_themselves() } else { Vec::new() };
        let recorded = service.host.kill_switch(model, request.on, request.actor, request.reason, at)?;
        Ok((recorded, known, others))
    })
    .await?;
    Ok(Reply(serde_json::json!({ "recorded": recorded, "known": known, "still_stopped": others })))
}
