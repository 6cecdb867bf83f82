//! Alerts: what people were told, what was held back and by which rule, and how a person answers.

use axum::{
    body::Bytes,
    extract::{State, rejection::BytesRejection},
};
use trimtab_api::{
    AcknowledgeRequest, AlertEvent, AlertGroupStatus, Alerts, Failure, SilenceRequest, rows::parse_row,
};
use trimtab_core::fold::{AlertGroup, GroupKey, Line, Silence};
use trimtab_log::{Listing, LogError, Reader, decision_of};
use trimtab_runtime::Snapshot;
use trimtab_types::{Act, Action, Answer, DecisionRecord, ModelKey, Verdict};

use super::{
    questions::{ListQuery, accountable, named, now_of, text},
    service::{Answer as Reply, Query, Reply as Body, Shared, blocking},
};
use crate::clock;

/// Most decisions that are looked through for alerts.
const LOOKED_THROUGH: u32 = 10_000;

pub(super) async fn alerts(State(service): Shared, Query(query): Query<ListQuery>) -> Reply<Alerts> {
    blocking(service, move |service| {
        query.settle(service)?;
        let listing = query.listing()?;
        let limit = listing.limit as usize;
        let listing = Listing { limit: LOOKED_THROUGH, ..listing };
        let decisions: Vec<DecisionRecord> = service.read(|reader| {
            let stored = reader.decisions(&listing)?;
            let records = stored.iter().map(|stored| decision_of(stored.shard, &stored.decision));
            Ok(records.collect::<Result<_, LogError>>()?)
        })?;
        let events = decisions.iter().flat_map(events).take(limit).collect();
        let groups = groups(&service.host.snapshot(), &query);
        Ok(Body(Alerts { groups, events }))
    })
    .await
}

pub(super) async fn acknowledge(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Reply<serde_json::Value> {
    let AcknowledgeRequest { tenant, model, kind, actor, reason } = parse_row(1, &text(body)?)?;
    accountable(&actor, &reason)?;
    let model = named(tenant, model)?;
    let recorded = blocking(service, move |service| {
        service.host.settle()?;
        let snapshot = service.host.snapshot();
        let groups = snapshot.model(&model).map(|known| &known.alerts);
        let wanted = |key: &GroupKey| kind.is_none_or(|kind| kind == key.kind);
        let known = groups
            .is_some_and(|groups| groups.iter().any(|(key, group)| wanted(key) && group.told.is_some()));
        if !known {
            let of = kind.map_or(String::new(), |kind| format!(" of kind `{kind}`"));
            return Err(Failure::missing(format!(
                "no alert{of} about `{model}` is firing; `trimtab alerts` lists those that are"
            )));
        }
        let at = now_of(&snapshot, &model);
        Ok(service.host.act(Act::Acknowledge { model, kind }, actor, reason, at)?)
    })
    .await?;
    Ok(Body(serde_json::json!({ "recorded": recorded })))
}

pub(super) async fn silence(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Reply<serde_json::Value> {
    let SilenceRequest { tenant, model, all, kind, seconds, actor, reason } = parse_row(1, &text(body)?)?;
    let model = match (all, model) {
        (true, None) => None,
        (false, Some(model)) => Some(named(tenant, model)?),
        _ => {
            let problem = "give a `model`, or `all` for every model of every tenant, and not both";
            return Err(Failure::invalid(problem).into());
        }
    };
    accountable(&actor, &reason)?;
    let answer = blocking(service, move |service| {
        service.host.settle()?;
        // A silence ends by the clock of the models that it is about, which may be fed last month's rows.
        let snapshot = service.host.snapshot();
        let (at, now) = match &model {
            Some(model) => {
                let at = now_of(&snapshot, model);
                (at, snapshot.log_of(model).map_or(at, |state| state.clock(model).max(at)))
            }
            None => (clock::now(), snapshot.newest().max(clock::now())),
        };
        let until = seconds.map(|seconds| now.plus(u64::from(seconds)));
        let recorded = service.host.act(Act::Silence { model, kind, until }, actor, reason, at)?;
        Ok(serde_json::json!({ "recorded": recorded, "until": until }))
    })
    .await?;
    Ok(Body(answer))
}

/// What a decision told or held back.
fn events(decision: &DecisionRecord) -> Vec<AlertEvent> {
    let reason = match &decision.answer {
        Answer::Decision(answer) => answer.reason.clone(),
        Answer::Failed(failure) => failure.to_string(),
        _ => String::new(),
    };
    let event = |(action, verdict): &(Action, Verdict)| {
        let Action::Alert(severity) = action else { return None };
        let (told, what) = match verdict {
            Verdict::Done { what } => (true, what.clone()),
            other => (false, other.to_string()),
        };
        Some(AlertEvent {
            at: decision.at,
            position: decision.position.0,
            subject: decision.subject.clone(),
            severity: *severity,
            told,
            what,
            decision: decision.id.clone(),
            by: decision.decided_by().to_owned(),
            reason: reason.clone(),
        })
    };
    decision.verdicts.iter().filter_map(event).collect()
}

fn groups(snapshot: &Snapshot, query: &ListQuery) -> Vec<AlertGroupStatus> {
    let models = snapshot.states().flat_map(|state| state.models.iter().map(move |known| (state, known)));
    let wanted = models.filter(|(_, (model, _))| query.is_about(&model.tenant, &model.model));
    let mut groups: Vec<_> = wanted
        .flat_map(|(state, (model, known))| {
            known
                .alerts
                .iter()
                .map(move |(key, group)| status(model, key, group, state.silence(model, key.kind)))
        })
        .collect();
    groups.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.model.cmp(&b.model)));
    groups
}

fn status(
    model: &ModelKey,
    key: &GroupKey,
    group: &AlertGroup,
    silence: Option<&Silence>,
) -> AlertGroupStatus {
    let name = |(version, what): &Line| {
        if version.is_empty() { what.clone() } else { format!("{what} of {version}") }
    };
    let said = |by: &str, reason: &str| {
        if reason.is_empty() { by.to_owned() } else { format!("{by}: {reason}") }
    };
    let told = group.told.as_ref();
    let acknowledged = told.and_then(|told| told.acknowledged.as_ref());
    let state = match (told, acknowledged) {
        (Some(_), Some(_)) => "acknowledged",
        (Some(_), None) => "firing",
        (None, _) if !group.held.is_empty() => "held back",
        (None, _) => "over",
    };
    let quiet = silence.map(|silence| {
        let by = said(&silence.note.by, &silence.note.reason);
        format!("silenced until {} by {by}", silence.until.for_people())
    });
    let known = acknowledged.map(|note| format!("known to {}", said(&note.by, &note.reason)));
    AlertGroupStatus {
        model: model.clone(),
        kind: key.kind,
        version: key.version.clone(),
        segment: key.segment.clone(),
        state: state.to_owned(),
        severity: told.map(|told| told.severity),
        since: told.map(|told| told.since).or(group.over),
        said: told.map(|told| told.said).or(group.over),
        lines: told.into_iter().flat_map(|told| told.lines.keys()).map(name).collect(),
        held_back: group.held.keys().map(name).collect(),
        note: quiet.or(known),
    }
}
