//! One version with all that is known of it, and files that no version owns. Only reads.

use std::collections::BTreeSet;

use axum::extract::State;
use serde::Deserialize;
use trimtab_api::{Failure, Orphan, Orphans, Recent, VersionDetails};
use trimtab_core::lifecycle::{Registry, Version};
use trimtab_runtime::Snapshot;
use trimtab_types::{ModelKey, Subject};

use super::{
    life::known,
    questions::model_key,
    service::{Answer, Query, Reply, Shared, blocking},
};

/// Stretches of the newest judged predictions over which a version is shown, all of them together.
const STRETCHES: [usize; 3] = [50, 100, 200];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VersionQuery {
    tenant: Option<String>,
    model: String,
    version: String,
}

pub(super) async fn details(
    State(service): Shared,
    Query(query): Query<VersionQuery>,
) -> Answer<VersionDetails> {
    let model = model_key(query.tenant, query.model);
    let version = query.version;
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let empty = Registry::default();
        let registry = known(&snapshot, &model)?.unwrap_or(&empty);
        let Some(found) = registry.versions.get(&version) else {
            return Err(Failure::missing(format!(
                "there is no version `{version}` of `{}`; `trimtab model list {}` shows those that are registered",
                model.model, model.model
            )));
        };
        Ok(Reply(of(&snapshot, registry, &model, &version, found)))
    })
    .await
}

fn of(
    snapshot: &Snapshot,
    registry: &Registry,
    model: &ModelKey,
    name: &str,
    found: &Version,
) -> VersionDetails {
    let rows = snapshot.log_of(model).and_then(|state| {
        let is_of = |subject: &&Subject| subject.version == name;
        // Over all segments where they are known together, or where there is one.
        let mut subjects: Vec<&Subject> =
            state.subjects_of(model).map(|(subject, _)| subject).filter(is_of).collect();
        subjects.sort_by_key(|subject| !subject.segment.is_empty());
        let only = match subjects.as_slice() {
            [first, rest @ ..] if first.segment.is_empty() || rest.is_empty() => *first,
            _ => return None,
        };
        state.subjects.get(only)
    });
    let recent = STRETCHES.iter().filter_map(|last| {
        let estimate = rows?.accuracy(*last)?;
        Some(Recent { last: *last as u64, accuracy: estimate })
    });
    VersionDetails {
        model: model.clone(),
        version: name.to_owned(),
        stage: found.stage,
        marked: found.marked,
        pinned: found.pinned,
        registered: found.registered,
        registration: found.registration.clone(),
        deleted: found.deleted.map(|(at, _)| at),
        purged: found.purged,
        protections: registry.protections(name),
        served: registry
            .reigns
            .iter()
            .filter(|reign| reign.version == name)
            .map(|reign| reign.from)
            .collect(),
        predictions: rows.map_or(0, |rows| rows.predictions),
        resolved: rows.map_or(0, |rows| rows.resolved),
        baseline: rows.and_then(|rows| rows.baseline.as_ref()).map(|baseline| baseline.samples),
        recent: recent.collect(),
    }
}

pub(super) async fn orphans(State(service): Shared) -> Answer<Orphans> {
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let registries = || snapshot.states().flat_map(|state| state.registries.values());
        let versions = registries().flat_map(|registry| registry.versions.values());
        let mut owned: BTreeSet<String> = versions
            .filter(|known| !known.purged)
            .filter_map(|known| known.registration.artifact.as_ref())
            .map(|artifact| artifact.path.clone())
            .collect();
        // A trainer at work fills its folder.
        owned.extend(registries().filter_map(|registry| registry.active_run()).map(|run| run.id.clone()));
        let orphans = service.host.orphans(&owned)?;
        let orphans =
            orphans.into_iter().map(|found| Orphan { path: found.path, size_bytes: found.size_bytes });
        Ok(Reply(Orphans { orphans: orphans.collect() }))
    })
    .await
}
