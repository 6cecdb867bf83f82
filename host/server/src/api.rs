//! The HTTP interface: what is asked, and who answers. Nothing is decided here.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{
        DefaultBodyLimit, FromRequestParts, Path, Query, Request, State,
        rejection::{BytesRejection, PathRejection},
    },
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::sync::{Semaphore, oneshot};
use trimtab_engine::{
    Configuration, Host, PolicyProblem, RolledBack, baseline,
    rows::{BadRow, OutcomeRow, PredictionRow, Row, parse_row},
    verify,
};
use trimtab_store::{Appended, Listing, Reader, SqliteReader};
use trimtab_types::{Baseline, BaselineSource, Entry, Invalid, ModelKey, Subject, Timestamp};

use crate::{
    clock,
    error::{ExitCode, Failure},
    exposition::{self, Scrape},
    wire::{
        Accepted, BaselineRequest, CheckReport, Health, KillRequest, ModelStatus, PoliciesAnswer,
        PolicyFailures, PolicyHistory, PolicyStatus, RollbackRequest, Status, SubjectStatus, TrustAnswer,
    },
};

/// Version of every JSON answer.
pub const SCHEMA_VERSION: u32 = 1;
/// Largest body of a request. One request is one transaction, so this bounds a transaction too.
const LARGEST_BODY: usize = 16 << 20;
/// Requests with rows that are read and parsed at the same time; more are told to come back.
const ROW_REQUESTS: usize = 64;
/// A row's time may lie this far in the future: clocks differ, but not by days.
const FUTURE: u64 = 86_400;
/// Readers that are kept for the next question.
const READERS: usize = 8;
const DEFAULT_LIMIT: u32 = 50;
const MOST_LISTED: u32 = 10_000;

/// What the handlers work on.
pub struct Service {
    host: Host,
    readers: Mutex<Vec<SqliteReader>>,
    row_requests: Semaphore,
    reload: Box<dyn Fn() -> Result<Configuration, Failure> + Send + Sync>,
}

impl Service {
    /// A service on a host; `reload` reads the configuration again.
    pub fn new(
        host: Host,
        reload: impl Fn() -> Result<Configuration, Failure> + Send + Sync + 'static,
    ) -> Self {
        Self {
            host,
            readers: Mutex::default(),
            row_requests: Semaphore::new(ROW_REQUESTS),
            reload: Box::new(reload),
        }
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    fn read<T>(&self, ask: impl FnOnce(&SqliteReader) -> Result<T, Failure>) -> Result<T, Failure> {
        let pooled = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let reader = match pooled {
            Some(reader) => reader,
            None => self.host.reader()?,
        };
        let answer = ask(&reader);
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if readers.len() < READERS {
            readers.push(reader);
        }
        answer
    }

    /// Reads configuration and policies again and puts in force what changed. `by` says who asked for it.
    pub fn reload(&self, by: &str) -> Result<Vec<PolicyProblem>, Failure> {
        Ok(self.host.put_in_force(&(self.reload)()?, clock::change(by, ""))?)
    }

    /// The same for policies alone, under the configuration in force.
    pub(crate) fn reload_policies(&self) -> Result<Vec<PolicyProblem>, Failure> {
        let configuration = self.host.with_state(|state| Arc::clone(&state.configuration));
        Ok(self
            .host
            .put_in_force(&configuration, clock::change("policies directory", "its files changed"))?)
    }
}

type Shared = State<Arc<Service>>;
type Answer<T> = Result<Reply<T>, Failure>;

/// An answer: JSON with a schema version.
struct Reply<T>(T);

impl<T: Serialize> IntoResponse for Reply<T> {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Versioned<T> {
            schema_version: u32,
            #[serde(flatten)]
            body: T,
        }
        Json(Versioned { schema_version: SCHEMA_VERSION, body: self.0 }).into_response()
    }
}

/// A request's query. A mistake in it is answered like any other.
struct Asked<T>(T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Asked<T> {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Failure> {
        match Query::try_from_uri(&parts.uri) {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Failure::invalid(rejection.body_text())),
        }
    }
}

/// The interface on a service.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .merge(
            Router::new()
                .route("/v1/predictions", post(predictions))
                .route("/v1/outcomes", post(outcomes))
                .route("/v1/rows", post(rows))
                .layer(axum::middleware::from_fn_with_state(Arc::clone(&service), admit)),
        )
        .route("/v1/may-trade", get(may_trade))
        .route("/v1/kill-switch", post(kill_switch))
        .route("/v1/status", get(status))
        .route("/v1/check", get(check))
        .route("/v1/findings", get(findings))
        .route("/v1/decisions", get(decisions))
        .route("/v1/decisions/{id}", get(decision))
        .route("/v1/effects", get(effects))
        .route("/v1/baselines", get(baselines).post(set_baseline))
        .route("/v1/policies", get(policies))
        .route("/v1/policies/{name}/history", get(policy_history))
        .route("/v1/policies/{name}/rollback", post(policy_rollback))
        .route("/v1/reload", post(reload))
        .route("/v1/verify", post(run_verify))
        .fallback(|request: Request| async move {
            Failure::missing(format!("there is no {} {}", request.method(), request.uri().path()))
        })
        .method_not_allowed_fallback(|request: Request| async move {
            let message = format!("{} does not take {}", request.uri().path(), request.method());
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "method", ExitCode::Usage, message)
        })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(axum::middleware::from_fn(trace))
        .with_state(service)
}

/// Before a body is read: what the host cannot take now, it does not keep in memory.
async fn admit(State(service): Shared, request: Request, next: Next) -> Response {
    match service.row_requests.try_acquire() {
        Ok(_permit) => next.run(request).await,
        Err(_) => Failure::from(trimtab_store::StoreError::Busy).into_response(),
    }
}

async fn trace(request: Request, next: Next) -> Response {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let response = next.run(request).await;
    tracing::debug!(%method, path, status = response.status().as_u16(), "answered");
    response
}

/// Runs what waits for disk or fold away from the threads that serve.
async fn blocking<T: Send + 'static>(
    service: Arc<Service>,
    work: impl FnOnce(&Service) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    tokio::task::spawn_blocking(move || work(&service)).await.unwrap_or_else(|error| Err(bug(&error)))
}

fn bug(error: &dyn std::error::Error) -> Failure {
    Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "bug", ExitCode::Broken, error.to_string())
}

// ---- rows in

/// A request's body as text, or what is wrong with it.
fn text(body: Result<Bytes, BytesRejection>) -> Result<String, Failure> {
    let body = body.map_err(|rejection| {
        let status = rejection.status();
        let message = if status == StatusCode::PAYLOAD_TOO_LARGE {
            format!(
                "the request is larger than {} MiB; send it in parts. Nothing of it was kept",
                LARGEST_BODY >> 20
            )
        } else {
            format!("the request did not arrive whole ({rejection}); send it again. Nothing of it was kept")
        };
        Failure::new(status, "body", ExitCode::Data, message)
    })?;
    String::from_utf8(body.into()).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
        Failure::invalid(format!(
            "line {line}: is not UTF-8 (byte {at} of the request). Nothing of this request was kept"
        ))
    })
}

fn is_ndjson(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("ndjson") || value.contains("jsonl"))
}

/// One object, an array of them, or one on each line. Each comes with its line (or place, in an array).
fn parse_rows<T: for<'de> Deserialize<'de>>(ndjson: bool, text: &str) -> Result<Vec<(u64, T)>, BadRow> {
    let trimmed = text.trim_start();
    if ndjson {
        return text
            .lines()
            .zip(1..)
            .filter(|(line, _)| !line.trim().is_empty())
            .map(|(line, number)| Ok((number, parse_row(number, line)?)))
            .collect();
    }
    if trimmed.starts_with('[') {
        let rows: Vec<&serde_json::value::RawValue> = serde_json::from_str(text)
            .map_err(|error| BadRow { line: error.line() as u64, problem: error.to_string() })?;
        return rows
            .iter()
            .zip(1..)
            .map(|(row, number)| Ok((number, parse_row(number, row.get())?)))
            .collect();
    }
    Ok(vec![(1, parse_row(1, text)?)])
}

fn check_time(time: Timestamp, now: Timestamp) -> Result<(), Invalid> {
    if time > now.plus(FUTURE) {
        return Err(Invalid::new(
            "time",
            format!("{time} lies in the future (it is {now}); check the sender's clock and zone"),
        ));
    }
    Ok(())
}

/// Makes entries of rows, all or none.
fn entries<T>(rows: Vec<(u64, T)>, make: impl Fn(T) -> Result<Entry, Invalid>) -> Result<Vec<Entry>, BadRow> {
    let now = clock::now();
    rows.into_iter()
        .map(|(line, row)| {
            let entry = make(row).and_then(|entry| {
                match &entry {
                    Entry::Prediction(row) => check_time(row.time, now)?,
                    Entry::Outcome(row) => check_time(row.time, now)?,
                    _ => {}
                }
                Ok(entry)
            });
            entry.map_err(|invalid| BadRow { line, problem: invalid.to_string() })
        })
        .collect()
}

async fn append(service: Arc<Service>, entries: Vec<Entry>, with_ids: bool) -> Answer<Accepted> {
    let ids = if with_ids {
        entries
            .iter()
            .filter_map(|entry| match entry {
                Entry::Prediction(prediction) => Some(prediction.id.clone()),
                _ => None,
            })
            .collect()
    } else {
        Vec::new()
    };
    let (sender, receiver) = oneshot::channel();
    service.host.append(entries, move |result| {
        sender.send(result).ok();
    });
    let appended = receiver.await.unwrap_or(Err(trimtab_store::StoreError::Stopped))?;
    let new = appended.iter().filter(|appended| matches!(appended, Appended::New(_))).count() as u64;
    let rows = appended.len() as u64;
    Ok(Reply(Accepted { rows, new, unchanged: rows - new, ids }))
}

async fn predictions(
    State(service): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Accepted> {
    let ndjson = is_ndjson(&headers);
    let rows = parse_rows(ndjson, &text(body)?)?;
    let entries = entries(rows, |row: PredictionRow| row.prediction().map(Entry::Prediction))?;
    append(service, entries, !ndjson).await
}

async fn outcomes(
    State(service): Shared,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Answer<Accepted> {
    let rows = parse_rows(is_ndjson(&headers), &text(body)?)?;
    let entries = entries(rows, |row: OutcomeRow| row.outcome().map(Entry::Outcome))?;
    append(service, entries, false).await
}

async fn rows(State(service): Shared, body: Result<Bytes, BytesRejection>) -> Answer<Accepted> {
    let rows = parse_rows(true, &text(body)?)?;
    append(service, entries(rows, Row::entry)?, false).await
}

// ---- trading

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModelQuery {
    tenant: Option<String>,
    model: String,
}

fn model_key(tenant: Option<String>, model: String) -> ModelKey {
    ModelKey { tenant: tenant.unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()), model }
}

async fn may_trade(
    State(service): Shared,
    Asked(query): Asked<ModelQuery>,
) -> Answer<trimtab_engine::MayTrade> {
    Ok(Reply(service.host.may_trade(&model_key(query.tenant, query.model))))
}

async fn kill_switch(
    State(service): Shared,
    body: Result<Bytes, BytesRejection>,
) -> Answer<serde_json::Value> {
    let request: KillRequest = parse_row(1, &text(body)?)?;
    let model = match (request.all, request.model) {
        (true, None) => None,
        (false, Some(model)) => Some(model_key(request.tenant, model)),
        _ => {
            return Err(Failure::invalid(
                "give a `model`, or `all` for every model of every tenant, and not both",
            ));
        }
    };
    require_actor(&request.actor)?;
    let position = blocking(service, move |service| {
        Ok(service.host.kill_switch(model, request.on, request.actor, request.reason, clock::now())?)
    })
    .await?;
    Ok(Reply(serde_json::json!({ "position": position })))
}

fn require_actor(actor: &str) -> Result<(), Failure> {
    if actor.trim().is_empty() {
        return Err(Failure::invalid("actor: is empty; say who does this"));
    }
    Ok(())
}

// ---- questions

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ListQuery {
    tenant: Option<String>,
    model: Option<String>,
    limit: Option<u32>,
    /// Only episodes that are open.
    open: bool,
    /// Wait until everything that was acknowledged is folded.
    settled: bool,
}

impl ListQuery {
    fn listing(&self) -> Result<Listing, Failure> {
        let limit = self.limit.unwrap_or(DEFAULT_LIMIT);
        if limit > MOST_LISTED {
            return Err(Failure::invalid(format!(
                "limit: is {limit}; at most {MOST_LISTED} are listed at once"
            )));
        }
        Ok(Listing { tenant: self.tenant.clone(), model: self.model.clone(), until: None, limit })
    }

    /// Whether the question is about this model; without a tenant, it is about those of all.
    fn is_about(&self, tenant: &str, model: &str) -> bool {
        self.tenant.as_deref().is_none_or(|wanted| wanted == tenant)
            && self.model.as_deref().is_none_or(|wanted| wanted == model)
    }

    fn settle(&self, service: &Service) -> Result<(), Failure> {
        if self.settled {
            service.host.settle()?;
        }
        Ok(())
    }
}

async fn ready(State(service): Shared) -> Result<&'static str, Failure> {
    match service.host.progress() {
        (_, _, None) => Ok("ready"),
        (_, _, Some(trouble)) => Err(Failure::unreachable(trouble)),
    }
}

async fn status(State(service): Shared, Asked(query): Asked<ListQuery>) -> Answer<Status> {
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
                state.clock,
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

fn subjects(service: &Service, query: &ListQuery) -> Vec<SubjectStatus> {
    service.host.with_state(|state| {
        let kept = &state.configuration.metrics;
        state
            .subjects
            .iter()
            .filter(|(subject, _)| query.is_about(&subject.tenant, &subject.model))
            .map(|(subject, known)| SubjectStatus {
                subject: subject.clone(),
                health: Health::of(known.baseline.is_some(), known.worst()),
                predictions: known.predictions,
                resolved: known.resolved,
                unjudged: known.unjudged,
                accuracy: [50, 100, 200]
                    .map(|last| known.accuracy(last).filter(|estimate| estimate.samples as usize == last)),
                baseline: known.baseline.as_ref().map(|baseline| baseline.accuracy),
                losing_run: known.right.losing_run() as u64,
                newest: known.newest,
                metrics: known.metrics(kept),
                estimated: known.estimates(state.configuration.judging.binary_threshold),
                confusion: known.confusion(kept),
                paused: known.paused,
                open: known.open_findings().map(|(_, finding)| finding.clone()).collect(),
            })
            .collect()
    })
}

async fn check(State(service): Shared, Asked(query): Asked<ListQuery>) -> Answer<CheckReport> {
    blocking(service, move |service| {
        query.settle(service)?;
        let subjects = subjects(service, &query);
        let count = |health| subjects.iter().filter(|subject| subject.health == health).count() as u64;
        Ok(Reply(CheckReport {
            at: clock::now(),
            ok: count(Health::Ok),
            warning: count(Health::Warning),
            critical: count(Health::Critical),
            unknown: count(Health::Unknown),
            subjects,
        }))
    })
    .await
}

async fn findings(State(service): Shared, Asked(query): Asked<ListQuery>) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle(service)?;
        let listing = query.listing()?;
        let findings = if query.open {
            subjects(service, &query)
                .into_iter()
                .flat_map(|subject| subject.open)
                .take(listing.limit as usize)
                .collect()
        } else {
            service.read(|reader| Ok(reader.findings(&listing)?))?
        };
        Ok(Reply(serde_json::json!({ "findings": findings })))
    })
    .await
}

async fn decisions(State(service): Shared, Asked(query): Asked<ListQuery>) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle(service)?;
        let listing = query.listing()?;
        let decisions = service.read(|reader| Ok(reader.decisions(&listing)?))?;
        Ok(Reply(serde_json::json!({ "decisions": decisions })))
    })
    .await
}

async fn decision(
    State(service): Shared,
    id: Result<Path<String>, PathRejection>,
) -> Answer<trimtab_types::DecisionRecord> {
    let Path(id) = id.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    blocking(service, move |service| {
        let found = service.read(|reader| Ok(reader.decision(&id)?))?;
        found.map(Reply).ok_or_else(|| {
            Failure::missing(format!("there is no decision `{id}`; `trimtab decisions` lists them"))
        })
    })
    .await
}

async fn effects(State(service): Shared, Asked(query): Asked<ListQuery>) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle(service)?;
        let limit = query.listing()?.limit;
        let effects = service.read(|reader| Ok(reader.effects(false, limit)?))?;
        Ok(Reply(serde_json::json!({ "effects": effects })))
    })
    .await
}

async fn metrics(State(service): Shared) -> Result<Response, Failure> {
    blocking(service, |service| {
        let (head, folded, trouble) = service.host.progress();
        let policies = known_policies(service);
        let scrape = Scrape { policies, head, folded, stopped: trouble.is_some() };
        let text = exposition::write(scrape).map_err(|error| bug(&error))?;
        Ok(([(header::CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response())
    })
    .await
}

async fn policies(State(service): Shared) -> Answer<PoliciesAnswer> {
    blocking(service, |service| Ok(Reply(known_policies(service)))).await
}

fn known_policies(service: &Service) -> PoliciesAnswer {
    let (set, breakers, configuration) = service.host.with_state(|state| {
        let clock = state.clock;
        let breakers = state.breakers.iter().map(|(policy, breaker)| PolicyFailures {
            policy: policy.clone(),
            in_a_row: breaker.failures,
            left_alone_until: breaker.open_until(clock),
        });
        (state.policies.clone(), breakers.collect(), Arc::clone(&state.configuration))
    });
    PoliciesAnswer {
        directory: service.host.policies_directory().display().to_string(),
        policies: set.policies,
        held: set.held,
        problems: service.host.policy_problems(),
        trust: trust(&configuration),
        failures: breakers,
        calls: service.host.calls(),
    }
}

fn trust(configuration: &Configuration) -> TrustAnswer {
    let pinned = configuration.policies.iter().filter_map(|(name, rule)| Some((name.clone(), rule.digest?)));
    TrustAnswer {
        keys: configuration.trust.key_ids(),
        require_signed: configuration.trust.require_signed,
        pinned: pinned.collect(),
    }
}

async fn policy_history(
    State(service): Shared,
    name: Result<Path<String>, PathRejection>,
) -> Answer<PolicyHistory> {
    let Path(name) = name.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    blocking(service, move |service| {
        Ok(Reply(PolicyHistory { versions: service.host.policy_history(&name)? }))
    })
    .await
}

async fn policy_rollback(
    State(service): Shared,
    name: Result<Path<String>, PathRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<RolledBack> {
    let Path(name) = name.map_err(|rejection| Failure::invalid(rejection.body_text()))?;
    let request: RollbackRequest = parse_row(1, &text(body)?)?;
    require_actor(&request.actor)?;
    blocking(service, move |service| {
        let change = clock::change(&request.actor, &request.reason);
        Ok(Reply(service.host.roll_back_policy(&name, request.to.as_deref(), change)?))
    })
    .await
}

async fn reload(State(service): Shared) -> Answer<serde_json::Value> {
    let problems = blocking(service, |service| service.reload("POST /v1/reload")).await?;
    Ok(Reply(serde_json::json!({ "problems": problems })))
}

async fn run_verify(State(service): Shared) -> Answer<verify::Report> {
    blocking(service, |service| {
        service.host.settle()?;
        let sandbox = Arc::clone(service.host.sandbox());
        service.read(|reader| Ok(Reply(verify::verify(reader, &sandbox, &mut |_, _| {})?)))
    })
    .await
}

// ---- baselines

async fn baselines(State(service): Shared, Asked(query): Asked<ListQuery>) -> Answer<serde_json::Value> {
    blocking(service, move |service| {
        query.settle(service)?;
        let baselines: Vec<Baseline> = service.host.with_state(|state| {
            state
                .subjects
                .iter()
                .filter(|(subject, _)| query.is_about(&subject.tenant, &subject.model))
                .filter_map(|(_, known)| known.baseline.as_deref().cloned())
                .collect()
        });
        Ok(Reply(serde_json::json!({ "baselines": baselines })))
    })
    .await
}

async fn set_baseline(State(service): Shared, body: Result<Bytes, BytesRejection>) -> Answer<Baseline> {
    let request: BaselineRequest = parse_row(1, &text(body)?)?;
    blocking(service, move |service| {
        let subject = Subject {
            tenant: request.tenant.unwrap_or_else(|| Subject::DEFAULT_TENANT.to_owned()),
            model: request.model,
            version: request.version,
            segment: request.segment,
        };
        subject.validate()?;
        let source = match (request.first, request.from, request.until, request.samples, request.accuracy) {
            (Some(rows), None, None, None, None) => BaselineSource::First { rows },
            (None, Some(from), Some(until), None, None) => BaselineSource::Range { from, until },
            (None, None, None, Some(_), Some(_)) => BaselineSource::Given,
            _ => {
                return Err(Failure::invalid(
                    "a baseline is given by `first`, by `from` and `until`, or by `samples` and `accuracy`; by exactly one of these",
                ));
            }
        };
        let baseline = if source == BaselineSource::Given {
            Baseline {
                subject,
                source,
                provisional: false,
                samples: request.samples.unwrap_or_default(),
                effective_samples: None,
                accuracy: request.accuracy.unwrap_or_default(),
                precision: request.precision,
                recall: request.recall,
                f1: request.f1,
                chance: None,
                distributions: Vec::new(),
                categories: Vec::new(),
                metrics: std::collections::BTreeMap::new(),
            }
        } else {
            let until = service.host.settle()?;
            let rules = service.host.with_state(|state| state.configuration.judging);
            service.read(|reader| Ok(baseline::from_log(reader, &subject, source, &rules, until)?))?
        };
        baseline.validate()?;
        // What holds already is not set again: detectors would start anew.
        let holds = service.host.with_state(|state| {
            state.subjects.get(&baseline.subject).and_then(|known| known.baseline.clone())
        });
        if holds.as_deref() == Some(&baseline) {
            return Ok(Reply(baseline));
        }
        service.host.append_and_wait(vec![Entry::Baseline(baseline.clone())])?;
        Ok(Reply(baseline))
    })
    .await
}
