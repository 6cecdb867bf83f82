//! The host at a glance.

use std::collections::BTreeSet;

use axum::extract::State;
use trimtab_api::{Failure, ModelStatus, PolicyStatus, Status, SubjectStatus};
use trimtab_log::Reader;
use trimtab_runtime::Snapshot;
use trimtab_types::{ModelKey, Subject};

use super::{
    error::Refusal,
    questions::ListQuery,
    service::{Answer, Query, Reply, Shared, blocking},
    subjects::{Page, page},
};

/// Models beside those of the subjects that are listed, where nothing is said.
const MODELS: u32 = 200;

pub(super) async fn ready(State(service): Shared) -> Result<&'static str, Refusal> {
    match service.host.progress() {
        (_, _, None) if !service.has_started() || service.host.is_restoring() => {
            let why = service.host.behind().unwrap_or_else(|| "the host is starting".to_owned());
            Err(Failure::unreachable(why).into())
        }
        (_, _, None) => Ok("ready"),
        (_, _, Some(trouble)) => Err(Failure::unreachable(trouble).into()),
    }
}

pub(super) async fn status(State(service): Shared, Query(query): Query<ListQuery>) -> Answer<Status> {
    blocking(service, move |service| {
        query.settle_soon(service)?;
        let counts = service.read(|reader| Ok(reader.counts()?))?;
        let (head, folded, trouble) = service.host.progress();
        let snapshot = service.host.snapshot();
        let standing = snapshot.standing();
        let policies = standing.policies.policies.iter().map(|policy| PolicyStatus {
            name: policy.policy.name.clone(),
            digest: policy.policy.digest.to_string(),
            mode: policy.mode,
            order: policy.order,
            kinds: policy.kinds.clone(),
        });
        let Page { totals, subjects, next } = page(&snapshot, &query)?;
        let models = models(&snapshot, &query, &subjects)?;
        let mut fleet = trimtab_core::fleets(snapshot.states(), &standing.configuration);
        fleet.retain(|fleet| query.tenant.as_ref().is_none_or(|tenant| *tenant == fleet.tenant));
        let registries =
            snapshot.states().flat_map(|state| state.registries.iter().map(move |known| (state, known)));
        let about = registries.filter(|(_, (key, _))| query.is_about(&key.tenant, &key.model));
        let waiting: usize =
            about.map(|(state, (key, registry))| registry.waiting(state.clock(key)).count()).sum();
        let differences = service.host.differences().into_iter().map(|difference| {
            format!("{} {} at {}: {}", difference.what, difference.id, difference.place, difference.problem)
        });
        Ok(Reply(Status {
            directory: service.host.directory().display().to_string(),
            head,
            folded,
            trouble,
            behind: service.host.behind(),
            differences: differences.collect(),
            clock: snapshot.newest(),
            counts,
            waiting: waiting as u64,
            configuration: standing.configuration_digest.map(|digest| digest.to_string()),
            sandbox: service.host.sandbox().call_path().to_string(),
            models,
            totals,
            subjects,
            next,
            fleet,
            policies: policies.collect(),
            policy_problems: service.host.policy_problems(),
        }))
    })
    .await
}

/// The models of a page of subjects. On the first page also those that nobody may trade on and those without any subject,
/// as far as there is room.
fn models(
    snapshot: &Snapshot,
    query: &ListQuery,
    shown: &[SubjectStatus],
) -> Result<Vec<ModelStatus>, Failure> {
    let mut keys: BTreeSet<ModelKey> = shown.iter().map(|subject| subject.subject.model_key()).collect();
    if query.after.is_none() {
        let limit = query.limit(MODELS)? as usize;
        let with_subjects: BTreeSet<ModelKey> =
            snapshot.all_subjects().map(|(subject, _)| Subject::model_key(subject)).collect();
        let asked = snapshot.models().into_iter().map(|(key, _)| key);
        let asked = asked.filter(|key| query.is_about(&key.tenant, &key.model));
        let others = asked.filter(|key| !with_subjects.contains(*key) || !snapshot.may_trade(key).allowed);
        keys.extend(others.take(limit).cloned());
    }
    let configuration = &snapshot.standing().configuration;
    let of = |key: &ModelKey| {
        let known = snapshot.log_of(key).and_then(|state| state.models.get(key));
        ModelStatus {
            may_trade: snapshot.may_trade(key),
            stage: configuration.stage(key),
            retrain_planned: known.and_then(|known| known.retrain_planned),
            last_retrain: known.and_then(|known| known.last_retrain),
        }
    };
    Ok(keys.iter().map(of).collect())
}
