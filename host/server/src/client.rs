//! The other side of the interface: asks a running host through its socket, or a host in this very process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{Router, body::Body, http::Request, response::Response};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tower::ServiceExt;

use crate::{
    Failure, Service,
    doors::{JSON, NDJSON},
    router,
};

/// Name of the socket in a data directory.
pub(crate) const SOCKET: &str = "trimtab.sock";
/// Answers larger than this are not taken.
const LARGEST_ANSWER: usize = 1 << 30;

/// Where the socket of a data directory is.
pub fn socket_path(directory: &Path) -> PathBuf {
    directory.join(SOCKET)
}

/// A way to reach a host.
pub enum Client {
    /// A host that runs.
    Socket(PathBuf),
    /// A host in this process.
    Local(Router, Arc<Service>),
}

impl Client {
    /// The host that runs on this directory, if there is one.
    pub async fn running(directory: &Path) -> Option<Self> {
        let path = socket_path(directory);
        tokio::net::UnixStream::connect(&path).await.ok().map(|_| Self::Socket(path))
    }

    /// A host in this process.
    pub fn local(service: Arc<Service>) -> Self {
        Self::Local(router(Arc::clone(&service)), service)
    }

    /// Asks.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        self.send(Request::get(path).body(Body::empty())).await
    }

    /// Sends something as JSON.
    pub async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Failure> {
        let body = serde_json::to_vec(body).map_err(|error| Failure::invalid(error.to_string()))?;
        self.send(Request::post(path).header("content-type", JSON).body(Body::from(body))).await
    }

    /// Sends lines.
    pub async fn post_lines<T: DeserializeOwned>(&self, path: &str, lines: String) -> Result<T, Failure> {
        self.send(Request::post(path).header("content-type", NDJSON).body(Body::from(lines))).await
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Result<Request<Body>, axum::http::Error>,
    ) -> Result<T, Failure> {
        let request = request.map_err(|error| Failure::invalid(error.to_string()))?;
        let response = match self {
            Self::Local(router, _) => match router.clone().oneshot(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            },
            Self::Socket(path) => over_socket(path, request).await.map_err(|error| {
                Failure::unreachable(format!("the host at `{}` does not answer: {error}", path.display()))
            })?,
        };
        read(response).await
    }
}

async fn over_socket(
    path: &Path,
    mut request: Request<Body>,
) -> Result<Response, Box<dyn std::error::Error + Send + Sync>> {
    let stream = tokio::net::UnixStream::connect(path).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    request.headers_mut().insert("host", axum::http::HeaderValue::from_static("localhost"));
    let response = sender.send_request(request).await?;
    let response = response.map(Body::new);
    drop(driver);
    Ok(response)
}

async fn read<T: DeserializeOwned>(response: Response) -> Result<T, Failure> {
    #[derive(serde::Deserialize)]
    struct Failed {
        error: Failure,
    }
    let status = response.status();
    let body = Limited::new(response.into_body(), LARGEST_ANSWER);
    let bytes = body
        .collect()
        .await
        .map_err(|error| Failure::unreachable(format!("the host's answer did not arrive whole: {error}")))?
        .to_bytes();
    if status.is_success() {
        return serde_json::from_slice(&bytes).map_err(|error| {
            Failure::unreachable(format!("the host's answer is not of this build: {error}"))
        });
    }
    match serde_json::from_slice::<Failed>(&bytes) {
        Ok(Failed { error }) => Err(Failure { status: status.as_u16(), ..error }),
        Err(_) => Err(Failure::unreachable(format!(
            "the host answered {status}: {}",
            String::from_utf8_lossy(&bytes)
        ))),
    }
}
