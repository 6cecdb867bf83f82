//! The host at a glance.

use axum::extract::State;
use trimtab_api::{Failure, ModelStatus, PolicyStatus, Status};
use trimtab_log::Reader;

use super::{
    error::Refusal,
    questions::ListQuery,
    service::{Answer, Query, Reply, Shared, blocking},
    subjects::subjects,
};

pub(super) async fn ready(State(service): Shared) -> Result<&'static str, Refusal> {
    match service.host.progress() {
        (_, _, None) => Ok("ready"),
        (_, _, Some(trouble)) => Err(Failure::unreachable(trouble).into()),
    }
}

pub(super) async fn status(State(service): Shared, Query(query): Query<ListQuery>) -> Answer<Status> {
    blocking(service, move |service| {
        query.settle(service)?;
        let counts = service.read(|reader| Ok(reader.counts()?))?;
        let (head, folded, trouble) = service.host.progress();
        let (clock, configuration, policies, keys) = service.host.with_state(|state| {
            let policies = state.policies.policies.iter().map(|policy| PolicyStatus {
                name: policy.policy.name.clone(),
                digest: policy.policy.digest.to_string(),
                mode: policy.mode,
                order: policy.order,
                kinds: policy.kinds.clone(),
            });
            let wanted = state.models.iter().filter(|(key, _)| query.is_about(&key.tenant, &key.model));
            let models = wanted.map(|(key, model)| {
                (key.clone(), state.configuration.stage(key), model.retrain_planned, model.last_retrain)
            });
            (
                state.newest(),
                state.configuration_digest.map(|digest| digest.to_string()),
                policies.collect(),
                models.collect::<Vec<_>>(),
            )
        });
        let models = keys
            .into_iter()
            .map(|(key, stage, retrain_planned, last_retrain)| ModelStatus {
                may_trade: service.host.may_trade(&key),
                stage,
                retrain_planned,
                last_retrain,
            })
            .collect();
        Ok(Reply(Status {
            directory: service.host.directory().display().to_string(),
            head: head.0,
            folded: folded.0,
            trouble,
            clock,
            counts,
            configuration,
            sandbox: service.host.sandbox().call_path().to_string(),
            models,
            subjects: subjects(service, &query),
            fleet: service.host.with_state(|state| {
                let mut fleets = state.fleets();
                fleets.retain(|fleet| query.tenant.as_ref().is_none_or(|tenant| *tenant == fleet.tenant));
                fleets
            }),
            policies,
            policy_problems: service.host.policy_problems(),
        }))
    })
    .await
}
