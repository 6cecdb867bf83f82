//! The other side of the interface: asks a running host through its socket, or a host in this very process.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use axum::{
    Router,
    body::{Body, Bytes},
    http::Request,
    response::Response,
};
use http_body_util::{BodyExt, Limited};
use hyper_util::rt::TokioIo;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc;
use tower::ServiceExt;
use trimtab_api::Streamed;

use crate::{
    Failure, Service,
    doors::{JSON, NDJSON},
    router,
};

/// Name of the socket in a data directory.
pub(crate) const SOCKET: &str = "trimtab.sock";
/// Answers larger than this are not taken.
const LARGEST_ANSWER: usize = 1 << 30;
/// Nor is a line of an answer to a stream.
const LARGEST_LINE: usize = 1 << 20;

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

    /// Begins a stream of rows that are kept in chunks of so many.
    pub async fn stream(&self, chunk: u32) -> Result<RowStream, Failure> {
        let (lines, taken) = mpsc::channel::<Bytes>(1);
        let body = futures_util::stream::unfold(taken, |mut taken| async {
            taken.recv().await.map(|lines| (Ok::<_, std::convert::Infallible>(lines), taken))
        });
        let request = Request::post(format!("/v1/stream?chunk={chunk}")).header("content-type", NDJSON);
        let response = self.ask(request.body(Body::from_stream(body))).await?;
        if !response.status().is_success() {
            return Err(read::<serde_json::Value>(response).await.err().unwrap_or_else(gone));
        }
        Ok(RowStream { lines: Some(lines), answers: response.into_body(), heard: Vec::new() })
    }

    async fn send<T: DeserializeOwned>(
        &self,
        request: Result<Request<Body>, axum::http::Error>,
    ) -> Result<T, Failure> {
        read(self.ask(request).await?).await
    }

    async fn ask(&self, request: Result<Request<Body>, axum::http::Error>) -> Result<Response, Failure> {
        let request = request.map_err(|error| Failure::invalid(error.to_string()))?;
        match self {
            Self::Local(router, _) => match router.clone().oneshot(request).await {
                Ok(response) => Ok(response),
                Err(never) => match never {},
            },
            Self::Socket(path) => over_socket(path, request).await.map_err(|error| {
                Failure::unreachable(format!("the host at `{}` does not answer: {error}", path.display()))
            }),
        }
    }
}

/// Rows on their way to a host, and what it answers.
pub struct RowStream {
    /// `None`: nothing more is sent.
    lines: Option<mpsc::Sender<Bytes>>,
    answers: Body,
    /// Bytes of an answer that is not whole yet.
    heard: Vec<u8>,
}

impl RowStream {
    /// Sends lines, and gives what is answered meanwhile to `heard`: a host that is not listened to takes no more.
    ///
    /// # Errors
    /// The host is gone, or `heard` wants no more.
    pub async fn send(
        &mut self,
        lines: String,
        mut heard: impl FnMut(Streamed) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(to) = self.lines.clone() else { return Ok(()) };
        let room = to.reserve();
        tokio::pin!(room);
        loop {
            tokio::select! {
                room = &mut room => {
                    // Where the host takes no more, its last answer says why.
                    if let Ok(room) = room {
                        room.send(lines.into());
                        return Ok(());
                    }
                    while let Some(answer) = self.next().await? {
                        heard(answer)?;
                    }
                    return Err(gone());
                }
                answer = self.next() => match answer? {
                    Some(answer) => heard(answer)?,
                    None => return Err(gone()),
                },
            }
        }
    }

    /// Says that nothing more comes.
    pub fn finish(&mut self) {
        self.lines = None;
    }

    /// The next answer; `None` at the end.
    ///
    /// # Errors
    /// The host is gone, or is of another build.
    pub async fn next(&mut self) -> Result<Option<Streamed>, Failure> {
        loop {
            if let Some(end) = self.heard.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.heard.drain(..=end).collect();
                return serde_json::from_slice(&line).map(Some).map_err(|error| {
                    Failure::unreachable(format!("the host's answer is not of this build: {error}"))
                });
            }
            match self.answers.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => self.heard.extend(frame.data_ref().into_iter().flatten()),
                Some(Err(_)) => return Err(gone()),
            }
            if self.heard.len() > LARGEST_LINE {
                return Err(Failure::unreachable(
                    "the host's answer is not of this build: a line without end",
                ));
            }
        }
    }
}

fn gone() -> Failure {
    Failure::unreachable("the host went away; what it did not answer may be kept or not")
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
