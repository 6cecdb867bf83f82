//! Retrains: what people ask for, how runs stand, and how often a model is to be retrained.

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use serde::Deserialize;
use trimtab_api::{Failure, RetrainRequest, Retrains, RunOutput, RunStatus, ScheduleStatus, rows::parse_row};
use trimtab_core::lifecycle::Registry;
use trimtab_types::{Entry, ModelKey, Request, RetrainChange, Ruled, Run, Seconds, Subject};

use super::{
    life::{done, known, when},
    questions::{ModelQuery, accountable, model_key, text},
    service::{Answer, Query, Reply, Service, Shared, blocking},
};
use crate::clock;

const HOUR: u32 = 3_600;
const DAY: u32 = 86_400;
/// Runs that are listed where nobody says how many.
const LISTED: u32 = 50;

pub(super) async fn change_retrain(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Ruled> {
    let RetrainRequest { tenant, model, act, actor, reason, at } = parse_row(1, &text(body)?)?;
    accountable(&actor, &reason)?;
    let model = model_key(tenant, model);
    blocking(service, move |service| {
        service.host.settle()?;
        let at = when(at, &service.host.snapshot(), &model)?;
        let change = RetrainChange { model: model.clone(), act, actor, at, wall: Some(clock::now()), reason };
        change.validate()?;
        known(&service.host.snapshot(), &model)?;
        let entry = Entry::Retrain(change.clone());
        let ruled = done(service, &model, &Request::Retrain(change), entry)?;
        // At once, also where no host serves.
        service.train()?;
        Ok(Reply(ruled))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RunsQuery {
    tenant: Option<String>,
    model: Option<String>,
    run: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn retrains(State(service): Shared, Query(query): Query<RunsQuery>) -> Answer<Retrains> {
    blocking(service, move |service| {
        service.train()?;
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let tenant = |model: &ModelKey| match (&query.tenant, &query.model) {
            (Some(tenant), _) => model.tenant == *tenant,
            (None, Some(_)) => model.tenant == Subject::DEFAULT_TENANT,
            (None, None) => true,
        };
        if let Some(name) = &query.model {
            known(&snapshot, &model_key(query.tenant.clone(), name.clone()))?;
        }
        let wanted =
            |model: &ModelKey| tenant(model) && query.model.as_ref().is_none_or(|name| *name == model.model);
        let registries = snapshot.states().flat_map(|state| &state.registries);
        let mut found: Vec<(&ModelKey, &Registry, &Run)> = registries
            .filter(|(model, _)| wanted(model))
            .flat_map(|(model, known)| known.runs.iter().map(move |run| (model, known.as_ref(), run)))
            .filter(|(.., run)| query.run.as_ref().is_none_or(|id| *id == run.id))
            .collect();
        found.sort_by_key(|(model, _, run)| (std::cmp::Reverse(run.asked), *model));
        if let (Some(id), true) = (&query.run, found.is_empty()) {
            return Err(Failure::missing(format!(
                "there is no run `{id}`; `trimtab retrain list` shows them"
            )));
        }
        let runs = found
            .into_iter()
            .take(query.limit.unwrap_or(LISTED) as usize)
            .map(|(model, registry, run)| status(service, model, registry, run, query.run.is_some()))
            .collect::<Result<_, _>>()?;
        let key = query.model.clone().map(|name| model_key(query.tenant.clone(), name));
        let last_retrain = key.and_then(|key| snapshot.model(&key)?.last_retrain);
        let cooldown = u64::from(snapshot.standing().configuration.safeguards.retrain.cooldown.0);
        let cooldown_until = last_retrain.map(|last| last.plus(cooldown));
        Ok(Reply(Retrains { runs, last_retrain, cooldown_until }))
    })
    .await
}

fn status(
    service: &Service,
    model: &ModelKey,
    registry: &Registry,
    run: &Run,
    whole: bool,
) -> Result<RunStatus, Failure> {
    let watched = service.host.watched(&run.id, whole).map_err(|error| Failure::files(error.to_string()))?;
    let lossy = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (head, tail) = &watched.output;
    Ok(RunStatus {
        model: model.clone(),
        run: run.clone(),
        progress: watched.progress.as_ref().map(|progress| progress.share),
        note: watched.progress.map(|progress| progress.note),
        is_watched: watched.is_watched,
        is_stopped: registry.is_retrain_stopped(),
        output: whole.then(|| RunOutput { bytes: watched.bytes, head: lossy(head), tail: lossy(tail) }),
    })
}

pub(super) async fn schedule(
    State(service): Shared,
    Query(query): Query<ModelQuery>,
) -> Answer<ScheduleStatus> {
    let model = model_key(query.tenant, query.model);
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let planned = known(&snapshot, &model)?.and_then(|registry| registry.schedule.clone());
        let Some((at, schedule)) = planned else {
            return Ok(Reply(ScheduleStatus { schedule: None, planned: None, cronjob: None, note: None }));
        };
        let (cron, note) = cron(schedule.every);
        let cronjob = serde_json::json!({ "spec": { "schedule": cron, "concurrencyPolicy": "Forbid" } });
        Ok(Reply(ScheduleStatus {
            schedule: Some(schedule),
            planned: Some(at),
            cronjob: Some(cronjob),
            note,
        }))
    })
    .await
}

/// A schedule of cron that is no rarer than an interval, and what differs.
fn cron(every: Seconds) -> (String, Option<String>) {
    let hours = every / HOUR;
    let (schedule, really) = match every {
        every if every >= 7 * DAY => ("0 2 * * 0".to_owned(), 7 * DAY),
        every if every >= DAY => ("0 2 * * *".to_owned(), DAY),
        every if every >= HOUR => {
            // Only divisors of a day come at equal distances.
            let hours =
                [1, 2, 3, 4, 6, 8, 12].into_iter().rev().find(|divisor| *divisor <= hours).unwrap_or(1);
            let schedule = if hours == 1 { "0 * * * *".to_owned() } else { format!("0 */{hours} * * *") };
            (schedule, hours * HOUR)
        }
        every => {
            let minutes = [1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30];
            let minutes = minutes.into_iter().rev().find(|divisor| *divisor <= every / 60).unwrap_or(1);
            (format!("*/{minutes} * * * *"), minutes * 60)
        }
    };
    let spelled = |seconds: Seconds| trimtab_types::format_duration(u64::from(seconds));
    let note = (really != every).then(|| {
        format!("cron has no such interval: every {} instead of every {}", spelled(really), spelled(every))
    });
    (schedule, note)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The three that the volatility rule uses are cron's own; others are rounded down, and that is said.
    #[test]
    fn a_schedule_is_one_of_crons() {
        for (every, schedule, is_exact) in [
            (6 * HOUR, "0 */6 * * *", true),
            (DAY, "0 2 * * *", true),
            (7 * DAY, "0 2 * * 0", true),
            (5 * HOUR, "0 */4 * * *", false),
            (36 * HOUR, "0 2 * * *", false),
            (600, "*/10 * * * *", true),
            (30 * DAY, "0 2 * * 0", false),
            (30, "*/1 * * * *", false),
        ] {
            let (found, note) = cron(every);
            assert_eq!((found.as_str(), note.is_none()), (schedule, is_exact), "{every}");
        }
    }
}
