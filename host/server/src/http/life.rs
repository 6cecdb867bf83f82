//! The life of a model: versions, experiments, proposals, and who serves what. What is asked for is judged by the registry as
//! it is now, so that a refusal is answered at once and written nowhere; what is written is judged again where it stands in the
//! log, and that is what is answered.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use serde::Deserialize;
use trimtab_api::{
    AnswerRequest, EndedStatus, ExperimentNumbers, ExperimentRequest, ExperimentStatus, Experiments, Failure,
    PlanQuestion, Proposals, ReignStatus, RouteAnswer, VersionEvent, VersionHistory, VersionRequest,
    Versions, rows::parse_row,
};
use trimtab_core::{
    basis, decide,
    lifecycle::{Registry, Running, Setting},
};
use trimtab_log::{Listing, Reader as _, decision_of};
use trimtab_route::{Share, Table};
use trimtab_runtime::Snapshot;
use trimtab_types::{
    Approval, Arm, DecisionRecord, Entry, ErrorKind, ExperimentChange, Interval, ModelKey, Plan,
    ProposalState, Question, Refusal, Request, Ruled, Stage, Timestamp, VersionAct, VersionChange,
};

use super::{
    questions::{ListQuery, ModelQuery, accountable, model_key, now_of, text},
    service::{Answer, Query, Reply, Service, Shared, blocking},
};
use crate::{clock, planning};

/// Events that a history shows at most.
const MOST_EVENTS: u32 = 10_000;

pub(super) async fn change_version(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Ruled> {
    let VersionRequest { tenant, model, version, act, seen, actor, reason, at } = parse_row(1, &text(body)?)?;
    accountable(&actor, &reason)?;
    let model = model_key(tenant, model);
    blocking(service, move |service| {
        service.host.settle()?;
        let act = match act {
            // What is at the path now is what the version is.
            VersionAct::Register(mut registration) => {
                if let Some(artifact) = &mut registration.artifact {
                    *artifact = service.host.measure(&artifact.path)?;
                }
                VersionAct::Register(registration)
            }
            VersionAct::Purged { .. } => {
                let problem =
                    "only the host says that files are gone; `trimtab cleanup plan` begins a cleanup";
                return Err(Failure::new(ErrorKind::Forbidden, problem));
            }
            other => other,
        };
        let at = when(at, &service.host.snapshot(), &model)?;
        let change = VersionChange { model: model.clone(), version, act, seen, actor, at, reason };
        change.validate()?;
        let entry = Entry::VersionChange(change.clone());
        Ok(Reply(done(service, &model, &Request::Version(change), entry)?))
    })
    .await
}

pub(super) async fn change_experiment(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Ruled> {
    let ExperimentRequest { tenant, model, version, act, seen, actor, reason, at } =
        parse_row(1, &text(body)?)?;
    accountable(&actor, &reason)?;
    let model = model_key(tenant, model);
    blocking(service, move |service| {
        service.host.settle()?;
        let at = when(at, &service.host.snapshot(), &model)?;
        let change = ExperimentChange { model: model.clone(), version, act, seen, actor, at, reason };
        change.validate()?;
        let entry = Entry::Experiment(change.clone());
        Ok(Reply(done(service, &model, &Request::Experiment(change), entry)?))
    })
    .await
}

pub(super) async fn answer(State(service): Shared, body: Result<Bytes, BytesRejection>) -> Answer<Ruled> {
    let AnswerRequest { proposal, shown, approved, only, actor, reason, at } = parse_row(1, &text(body)?)?;
    accountable(&actor, &reason)?;
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let of_it =
            registries(&snapshot).find(|(_, registry)| registry.proposals.iter().any(|it| it.id == proposal));
        let Some((model, _)) = of_it else {
            return Err(Failure::missing(format!(
                "there is no proposal `{proposal}`; `trimtab proposals` lists those that wait"
            )));
        };
        let model = model.clone();
        let at = when(at, &snapshot, &model)?;
        let answer = Approval { model: model.clone(), proposal, shown, approved, only, actor, at, reason };
        let entry = Entry::Approval(answer.clone());
        Ok(Reply(done(service, &model, &Request::Answer(answer), entry)?))
    })
    .await
}

/// When somebody does something: as was said, or now. What has not happened yet cannot be told.
pub(super) fn when(
    said: Option<Timestamp>,
    snapshot: &Snapshot,
    model: &ModelKey,
) -> Result<Timestamp, Failure> {
    let now = now_of(snapshot, model);
    match said {
        Some(said) if said > now.max(clock::now()) => {
            Err(Failure::invalid(format!("at: {said} has not come yet; leave it out, and it is now")))
        }
        said => Ok(said.unwrap_or(now)),
    }
}

/// Has something done, unless the registry refuses it as it is now. Says what came of it.
pub(super) fn done(
    service: &Service,
    model: &ModelKey,
    request: &Request,
    entry: Entry,
) -> Result<Ruled, Failure> {
    let snapshot = service.host.snapshot();
    let mut registry = registry(&snapshot, model).cloned().unwrap_or_default();
    let before = registry.revision;
    let at = entry.time().unwrap_or_else(clock::now);
    let clock = snapshot.log_of(model).map_or(at, |state| state.clock(model).max(at));
    let configuration = Arc::clone(&snapshot.standing().configuration);
    let setting = Setting::of(&configuration, model, clock);
    let ruled = ruled(registry.take(request, setting))?;
    if ruled.revision == before {
        return Ok(ruled);
    }
    // What begins to serve is what was registered, or it does not.
    let begins = ruled.moves.iter().filter(|moved| matches!(moved.to, Stage::Production | Stage::Canary));
    for version in begins.map(|moved| &moved.version) {
        let artifact = registry.versions.get(version).and_then(|known| known.registration.artifact.as_ref());
        if let Some(artifact) = artifact {
            service.host.verify_artifact(version, artifact).map_err(refused)?;
        }
    }
    let held = service.host.hold_versions();
    let appended = service.host.append_and_wait(vec![entry])?;
    service.settle_recorded()?;
    drop(held);
    let Some(place) = appended.first().and_then(|appended| appended.places().first().copied()) else {
        return Err(Failure::new(ErrorKind::Bug, "the log gave the entry no place"));
    };
    let decided = service.read(|reader| {
        let before = trimtab_types::Position(place.position.0 - 1);
        let stored = reader.decided(place.shard, before, place.position)?;
        Ok(stored
            .iter()
            .map(|stored| decision_of(place.shard, &stored.decision))
            .collect::<Result<Vec<_>, _>>()?)
    })?;
    let answer = decided.into_iter().find_map(|decision| match (decision.question, decision.answer) {
        (Question::Request(_), trimtab_types::Answer::Ruled(ruled)) => Some(ruled),
        _ => None,
    });
    let answer = ruled_of(answer)?;
    // Files follow at once, also where no host serves.
    service.tidy()?;
    Ok(answer)
}

fn ruled_of(answer: Option<Ruled>) -> Result<Ruled, Failure> {
    match answer {
        Some(answer) => ruled(answer),
        None => Err(Failure::new(ErrorKind::Bug, "nothing was recorded about the entry")),
    }
}

/// What the host said, or its refusal as a failure.
fn ruled(ruled: Ruled) -> Result<Ruled, Failure> {
    match ruled.refusal {
        Some(refusal) => Err(refused(refusal)),
        None => Ok(ruled),
    }
}

fn refused(refusal: Refusal) -> Failure {
    Failure::new(ErrorKind::by_name(&refusal.kind).unwrap_or(ErrorKind::Refused), refusal.problem)
}

fn registry<'a>(snapshot: &'a Snapshot, model: &ModelKey) -> Option<&'a Registry> {
    snapshot.log_of(model)?.registries.get(model).map(AsRef::as_ref)
}

fn registries(snapshot: &Snapshot) -> impl Iterator<Item = (&ModelKey, &Registry)> {
    let all = snapshot.states().flat_map(|state| &state.registries);
    all.map(|(model, registry)| (model, registry.as_ref()))
}

/// A model that is known by a row or a version.
pub(super) fn known<'a>(snapshot: &'a Snapshot, model: &ModelKey) -> Result<Option<&'a Registry>, Failure> {
    let registry = registry(snapshot, model);
    if registry.is_none() && snapshot.model(model).is_none() {
        return Err(Failure::missing(format!(
            "model `{model}`: is not known; `trimtab status` lists models, and `trimtab model register` makes one known"
        )));
    }
    Ok(registry)
}

pub(super) async fn versions(State(service): Shared, Query(query): Query<ModelQuery>) -> Answer<Versions> {
    let model = model_key(query.tenant, query.model);
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let empty = Registry::default();
        let registry = known(&snapshot, &model)?.unwrap_or(&empty);
        let state = snapshot.log_of(&model);
        let mut unregistered: Vec<String> = state
            .into_iter()
            .flat_map(|state| state.subjects_of(&model).map(|(subject, _)| subject.version.clone()))
            .filter(|version| !registry.versions.contains_key(version))
            .collect();
        unregistered.sort();
        unregistered.dedup();
        Ok(Reply(Versions {
            revision: registry.revision,
            champion: registry.champion().map(str::to_owned),
            challenger: registry.challenger().map(str::to_owned),
            previous: registry.previous().map(str::to_owned),
            versions: state.map(|state| decide::versions(state, &model)).unwrap_or_default(),
            unregistered,
            model,
        }))
    })
    .await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HistoryQuery {
    tenant: Option<String>,
    model: String,
    at: Option<String>,
    limit: Option<u32>,
}

pub(super) async fn history(
    State(service): Shared,
    Query(query): Query<HistoryQuery>,
) -> Answer<VersionHistory> {
    let HistoryQuery { tenant, model, at, limit } = query;
    let at = at
        .as_deref()
        .map(Timestamp::parse_or_date)
        .transpose()
        .map_err(|invalid| Failure::invalid(format!("at: {}", invalid.problem)))?;
    let model = model_key(tenant, model);
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let empty = Registry::default();
        let registry = known(&snapshot, &model)?.unwrap_or(&empty);
        let reign = |reign: &trimtab_core::lifecycle::Reign| ReignStatus {
            version: reign.version.clone(),
            from: reign.from,
            revision: reign.revision,
        };
        let served = match at {
            Some(at) => registry.served_at(at).map(reign),
            None => registry.reigns.last().map(reign),
        };
        let listing = Listing {
            tenant: Some(model.tenant.clone()),
            model: Some(model.model.clone()),
            before: None,
            limit: MOST_EVENTS,
        };
        let decisions: Vec<DecisionRecord> = service.read(|reader| {
            let stored = reader.decisions(&listing)?;
            Ok(stored
                .iter()
                .map(|stored| decision_of(stored.shard, &stored.decision))
                .collect::<Result<_, _>>()?)
        })?;
        let events = decisions.iter().filter_map(event).take(limit.unwrap_or(50) as usize).collect();
        let reigns = registry.reigns.iter().map(reign).collect();
        Ok(Reply(VersionHistory { served, reigns, events, model }))
    })
    .await
}

/// What a decision changed of versions or experiments, if it did.
fn event(decision: &DecisionRecord) -> Option<VersionEvent> {
    let (what, by) = match &decision.question {
        Question::Request(request) => (request.name(), request.actor().to_owned()),
        Question::CanaryPromotion { experiment } => {
            let changes = |(action, verdict): &(trimtab_types::Action, trimtab_types::Verdict)| {
                !verdict.holds_back() && *action != trimtab_types::Action::Monitor
            };
            let by_host = matches!(decision.answer, trimtab_types::Answer::Ruled(_));
            (by_host || decision.verdicts.iter().any(changes)).then_some(())?;
            (format!("experiment with {}", experiment.challenger.version), decision.decided_by().to_owned())
        }
        _ => return None,
    };
    let verdicts = decision.verdicts.iter().map(|(action, verdict)| format!("{action}: {verdict}"));
    let says = std::iter::once(decision.answer.words()).chain(verdicts).collect::<Vec<_>>().join("; ");
    Some(VersionEvent { at: decision.at, what, by, says, decision: decision.id.clone() })
}

pub(super) async fn experiments(
    State(service): Shared,
    Query(query): Query<ModelQuery>,
) -> Answer<Experiments> {
    let model = model_key(query.tenant, query.model);
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let empty = Registry::default();
        let registry = known(&snapshot, &model)?.unwrap_or(&empty);
        let Some(state) = snapshot.log_of(&model) else {
            return Ok(Reply(Experiments { running: Vec::new(), ended: Vec::new() }));
        };
        let running = registry.trials.values().filter_map(|trial| {
            let tally = state.tallies.get(&model)?.get(&trial.version)?;
            let experiment = decide::experiment(state, &model, trial, tally);
            let accuracy = [&experiment.champion, &experiment.challenger].map(interval);
            Some(ExperimentStatus {
                plan: trial.plan,
                started: trial.started,
                paused: trial.running != Running::Yes,
                paired: !trial.plan.affected,
                correlation: tally.correlation(),
                accuracy,
                experiment,
            })
        });
        let ended = registry.ended.iter().rev().map(|ended| EndedStatus {
            id: ended.trial.id.clone(),
            version: ended.trial.version.clone(),
            champion: ended.trial.champion.clone(),
            started: ended.trial.started,
            ended: ended.at,
            outcome: ended.outcome.name().to_owned(),
            why: ended.why.clone(),
        });
        Ok(Reply(Experiments { running: running.collect(), ended: ended.collect() }))
    })
    .await
}

/// In what the accuracy of an arm lies.
fn interval(arm: &Arm) -> Option<Interval> {
    let accuracy = arm.metrics.iter().find(|metric| metric.name == "accuracy")?.estimate;
    planning::jeffreys(accuracy.value, u64::from(accuracy.samples))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PlanQuery {
    tenant: Option<String>,
    model: String,
    metric: String,
    effect: f64,
    margin: Option<f64>,
    power: Option<f64>,
    alpha: Option<f64>,
    block: Option<u32>,
    fraction: Option<f64>,
    affected: Option<bool>,
    end: Option<u32>,
}

pub(super) async fn plan(
    State(service): Shared,
    Query(query): Query<PlanQuery>,
) -> Answer<ExperimentNumbers> {
    let model = model_key(query.tenant, query.model);
    let asked = PlanQuestion {
        effect: query.effect,
        margin: query.margin.unwrap_or(0.0),
        power: query.power.unwrap_or(0.8),
        alpha: query.alpha.unwrap_or(0.05),
        block: query.block.unwrap_or(Plan::block()),
        fraction: query.fraction.unwrap_or(0.1),
        affected: query.affected.unwrap_or(false),
        end: query.end,
    };
    let metric = query.metric;
    blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        known(&snapshot, &model)?;
        let basis = snapshot.log_of(&model).and_then(|state| basis(state, &model, &metric));
        let basis = basis.ok_or_else(|| {
            Failure::missing(format!(
                "model `{}`: no version serves that has 30 judged rows with `{metric}`; it is one of accuracy, win-rate and brier, and `[metrics] window` says how many rows are kept",
                model.model
            ))
        })?;
        Ok(Reply(planning::plan(&basis, &asked)?))
    })
    .await
}

pub(super) async fn proposals(State(service): Shared, Query(query): Query<ListQuery>) -> Answer<Proposals> {
    blocking(service, move |service| {
        query.settle_known(service)?;
        let snapshot = service.host.snapshot();
        let mut proposals: Vec<_> = registries(&snapshot)
            .filter(|(model, _)| query.is_about(&model.tenant, &model.model))
            .flat_map(|(model, registry)| {
                let now = snapshot.log_of(model).map_or(Timestamp::MIN, |state| state.clock(model));
                registry.proposals.iter().map(move |proposal| proposal.as_of(now))
            })
            .filter(|proposal| !query.open || proposal.state == ProposalState::Open)
            .collect();
        proposals.sort_by(|a, b| b.opened.cmp(&a.opened).then_with(|| a.id.cmp(&b.id)));
        Ok(Reply(Proposals { proposals }))
    })
    .await
}

/// Who serves a model, as it is known now.
fn table(snapshot: &Snapshot, model: &ModelKey) -> Result<Table, Failure> {
    let Some(registry) = known(snapshot, model)?.filter(|registry| registry.champion().is_some()) else {
        let problem = format!(
            "no version of `{model}` serves by the registry; `trimtab model register {} VERSION --champion` says which does",
            model.model
        );
        return Err(Failure::new(ErrorKind::NotFound, problem));
    };
    let terms = snapshot.may_trade(model);
    let (mut champion, mut challenger, mut reason) = (registry.champion().map(Into::into), None, None);
    if !terms.allowed {
        (champion, reason) = (None, Some(terms.reasons.join("; ")));
    }
    if let Some(trial) = registry.trials.values().find(|trial| trial.serves()) {
        if trial.running == Running::Yes {
            challenger = Some(Share {
                version: trial.version.as_str().into(),
                experiment: trial.id.as_str().into(),
                fraction: trial.fraction,
                salt: trial.salt(model),
            });
        } else {
            reason = reason.or_else(|| Some(format!("the experiment with `{}` is paused", trial.version)));
        }
    }
    Ok(Table {
        revision: registry.revision,
        champion,
        challenger,
        minimum_confidence: terms.minimum_confidence,
        exposure: terms.exposure,
        reason,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RouteQuery {
    tenant: Option<String>,
    model: String,
    key: String,
}

pub(super) async fn route(State(service): Shared, Query(query): Query<RouteQuery>) -> Answer<RouteAnswer> {
    let model = model_key(query.tenant, query.model);
    let table = table(&service.host.snapshot(), &model)?;
    let route = table.route(&query.key);
    let arm = route.version.as_ref().map(|_| if route.is_challenger { "challenger" } else { "champion" });
    Ok(Reply(RouteAnswer {
        version: route.version.map(|version| version.to_string()),
        arm: arm.map(str::to_owned),
        experiment: table.challenger.as_ref().map(|share| share.experiment.to_string()),
        fraction: table.challenger.as_ref().map_or(0.0, |share| share.fraction),
        unit: route.unit,
        minimum_confidence: table.minimum_confidence,
        exposure: table.exposure,
        revision: table.revision,
        reason: table.reason,
    }))
}

pub(super) async fn routes(State(service): Shared, Query(query): Query<ModelQuery>) -> Answer<Table> {
    Ok(Reply(table(&service.host.snapshot(), &model_key(query.tenant, query.model))?))
}
