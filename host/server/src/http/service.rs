//! What the handlers work on, and the forms that questions and answers have.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json,
    extract::{self, FromRequestParts, State},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::Semaphore;
use trimtab_api::{Failure, PolicyProblem};
use trimtab_core::Configuration;
use trimtab_runtime::{Folders, Host, Supervisors};
use trimtab_sqlite::LogsReader;
use trimtab_types::ErrorKind;

use super::{SCHEMA_VERSION, error::Refusal};
use crate::{
    clock,
    doors::Denied,
    sinks::{Destination, Destinations},
};

/// Requests with rows that are read and parsed at the same time; more are told to come back.
const ROW_REQUESTS: usize = 64;
/// Streams of rows at the same time; more are told to come back.
pub(super) const STREAMS: usize = 256;
/// Readers that are kept for the next question.
const READERS: usize = 8;

/// What the handlers work on.
pub struct Service {
    pub(super) host: Host,
    readers: Mutex<Vec<LogsReader>>,
    pub(super) row_requests: Semaphore,
    /// Streams of rows that are open at the same time.
    pub(super) streams: Arc<Semaphore>,
    /// Rows are parsed beside the threads that serve, by no more than there are cores.
    parsers: Semaphore,
    /// What was refused before it was looked at.
    pub(crate) denied: Denied,
    /// What runs trainers; `None`: nothing is retrained here, as in a backtest.
    supervisors: Option<Supervisors>,
    /// Where alerts go besides the queue file.
    destinations: Mutex<Arc<Destinations>>,
    /// Whether a host that serves has put in force what is to be.
    started: AtomicBool,
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
            streams: Arc::new(Semaphore::new(STREAMS)),
            parsers: Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)),
            denied: Denied::default(),
            supervisors: None,
            destinations: Mutex::default(),
            started: AtomicBool::new(false),
            reload: Box::new(reload),
        }
    }

    /// The same, with what runs trainers.
    pub fn training_with(self, supervisors: Supervisors) -> Self {
        Self { supervisors: Some(supervisors), ..self }
    }

    /// The same, with what a configuration says of sinks.
    ///
    /// # Errors
    /// An address or a secret cannot be used.
    pub fn sending_as(self, configuration: &Configuration) -> Result<Self, Failure> {
        self.send_to(Destination::all(configuration)?);
        Ok(self)
    }

    fn send_to(&self, destinations: Destinations) {
        *self.destinations.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(destinations);
    }

    pub(crate) fn note_started(&self) {
        self.started.store(true, Ordering::Release);
    }

    pub(super) fn has_started(&self) -> bool {
        self.started.load(Ordering::Acquire)
    }

    /// Where alerts go.
    pub(crate) fn destinations(&self) -> Arc<Destinations> {
        Arc::clone(&self.destinations.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has trainers follow the registry; what cannot be done is said, and tried again the next time.
    pub fn train(&self) -> Result<(), Failure> {
        let Some(supervisors) = &self.supervisors else { return Ok(()) };
        for untrained in self.host.train(supervisors, clock::now())? {
            tracing::error!("{untrained}");
        }
        Ok(())
    }

    /// Parses rows where no question waits for it.
    pub(super) async fn parse<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let _turn = self.parsers.acquire().await.map_err(|closed| bug(&closed))?;
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(bug(&error)))
    }

    /// The host.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Waits until what was just recorded is folded. Where that takes too long, its caller learns that it is recorded.
    pub(super) fn settle_recorded(&self) -> Result<(), Failure> {
        self.host.settle().map_err(|error| {
            let failure = Failure::from(error);
            let recorded = "it is recorded, and what comes of it is not known yet";
            Failure { message: format!("{recorded}: {}", failure.message), ..failure }
        })
    }

    pub(crate) fn read<T>(&self, ask: impl FnOnce(&LogsReader) -> Result<T, Failure>) -> Result<T, Failure> {
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
        let configuration = (self.reload)()?;
        // What cannot be sent is not put in force.
        let destinations = Destination::all(&configuration)?;
        // A folder that is gone may be back in a moment; who watches the directory sees to it.
        let problems = self.host.put_in_force(&configuration, &Folders::default(), clock::change(by, ""))?;
        self.send_to(destinations);
        Ok(problems)
    }

    /// The same for policies alone, under the configuration in force.
    pub(crate) fn reload_policies(&self, folders: &Folders) -> Result<(), Failure> {
        Ok(self
            .host
            .put_policies_in_force(folders, clock::change("policies directory", "its files changed"))?)
    }
}

pub(crate) type Shared = State<Arc<Service>>;
pub(crate) type Answer<T> = Result<Reply<T>, Refusal>;

/// An answer: JSON with a schema version.
pub(crate) struct Reply<T>(pub(crate) T);

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
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refusal> {
        match extract::Query::try_from_uri(&parts.uri) {
            Ok(extract::Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Failure::invalid(rejection.body_text()).into()),
        }
    }
}

/// Runs what waits for disk or fold away from the threads that serve.
pub(super) async fn blocking<T: Send + 'static>(
    service: Arc<Service>,
    work: impl FnOnce(&Service) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(move || work(&service)).await;
    Ok(done.unwrap_or_else(|error| Err(bug(&error)))?)
}

pub(super) fn bug(error: &dyn std::error::Error) -> Failure {
    Failure::new(ErrorKind::Bug, error.to_string())
}
