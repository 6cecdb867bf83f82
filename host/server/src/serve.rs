//! `serve`: the interface on a local socket and, if asked, on loopback; ticks, delivery, reload and an orderly end.

use std::{
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use axum_server::{Address, Control, Handle, Server};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener},
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
};
use trimtab_types::{Entry, ErrorKind};

use crate::{
    Failure, Service,
    changed::Changed,
    client::{SOCKET, socket_path},
    clock,
    doors::{self, HostNames},
    router,
    sinks::{queue_file, send_all},
};

/// Time between two ticks of the log's clock.
const TICK: Duration = Duration::from_secs(60);
/// Time between two looks at the outbox.
const DELIVERY: Duration = Duration::from_millis(250);
/// Time between two looks at trainers.
const TRAINING: Duration = Duration::from_millis(500);
/// Time between two looks at the policies directory: a change is in force within half a second.
const LOOK: Duration = Duration::from_millis(100);
/// How long requests under way may take once the host is asked to stop.
const GRACE: Duration = Duration::from_secs(10);
/// How long the head of a request may take, and how long a connection may wait for the next one.
const HEAD_TIME: Duration = Duration::from_secs(10);
/// Bytes of a head that are waited for: one of this size is taken, and one of twice this size never.
const LARGEST_HEAD: usize = 32 << 10;

/// Where to serve besides the local socket.
#[derive(Debug, Clone)]
pub struct Listen {
    /// An address on loopback; the port may be 0, for a free one.
    pub address: SocketAddr,
    /// What clients may call this host, without port, besides its address.
    pub hosts: Vec<String>,
}

/// Why a host cannot serve.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The socket cannot be made.
    #[error("cannot listen on `{}`: {source}; {hint}", path.display())]
    Socket {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
        /// What to do.
        hint: &'static str,
    },
    /// The address cannot be used.
    #[error("cannot listen on {address}: {source}; choose another address with --listen")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The address is reachable from outside.
    #[error(
        "{0} is not a loopback address; without tokens the host serves this machine only. Use 127.0.0.1 or a proxy that authenticates"
    )]
    NotLoopback(SocketAddr),
    /// Serving failed.
    #[error("serving failed: {0}")]
    Io(#[from] std::io::Error),
    /// What is to be in force cannot be.
    #[error("{}", .0.message)]
    Start(Failure),
}

/// How far a host is that begins to serve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It answers, and restores what it folded before.
    Listening,
    /// What is to be in force is.
    Ready,
}

/// Serves until it is asked to stop (SIGTERM, SIGINT). `start` puts in force what is to be; requests are answered before.
/// `told` hears how far it is, with the addresses.
pub async fn serve(
    service: Arc<Service>,
    listen: Option<Listen>,
    start: impl FnOnce(&Service) -> Result<(), Failure> + Send + 'static,
    mut told: impl FnMut(Begun, &std::path::Path, Option<SocketAddr>),
) -> Result<(), ServeError> {
    let tcp = match &listen {
        None => None,
        Some(Listen { address, .. }) if !address.ip().is_loopback() => {
            return Err(ServeError::NotLoopback(*address));
        }
        Some(Listen { address, hosts }) => {
            let failed = |source| ServeError::Listen { address: *address, source };
            let listener = TcpListener::bind(address).await.map_err(failed)?;
            let own = address.ip().to_string();
            let names = HostNames::new(hosts.iter().chain([&own]).map(String::as_str));
            Some((listener, names))
        }
    };
    // From here on a signal is heeded, so that those who saw the host ready can send one at once.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let hangup = signal(SignalKind::hangup())?;
    let path = socket_path(service.host().directory());
    let unix = bind(&path)?;
    let bound = tcp.as_ref().and_then(|(listener, _)| listener.local_addr().ok());
    let app = router(Arc::clone(&service));
    let connections = Control::new();
    let mut servers =
        vec![tokio::spawn(answer::<std::os::unix::net::SocketAddr>(unix, app.clone(), connections.clone()))];
    if let Some((listener, names)) = tcp {
        let app = doors::guard(app, Arc::clone(&service), names);
        servers.push(tokio::spawn(answer::<SocketAddr>(listener, app, connections.clone())));
    }
    told(Begun::Listening, &path, bound);
    let (stop, stopped) = watch::channel(false);
    let mut background = Vec::new();
    let starting = Arc::clone(&service);
    let mut starting = tokio::task::spawn_blocking(move || start(&starting));
    let mut started = tokio::select! {
        started = &mut starting => Some(started),
        _ = terminate.recv() => None,
        _ = interrupt.recv() => None,
    };
    if let Some(Ok(Ok(()))) = started {
        service.note_started();
        background = vec![
            tokio::spawn(ticks(Arc::clone(&service), stopped.clone())),
            tokio::spawn(tidying(Arc::clone(&service), stopped.clone())),
            tokio::spawn(training(Arc::clone(&service), stopped.clone())),
            tokio::spawn(deliveries(Arc::clone(&service), stopped.clone())),
            tokio::spawn(send_all(Arc::clone(&service), stopped.clone())),
            tokio::spawn(reloads(Arc::clone(&service), hangup, stopped.clone())),
            tokio::spawn(watch_policies(Arc::clone(&service), stopped.clone())),
        ];
        told(Begun::Ready, &path, bound);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    }
    tracing::info!("stopping: finishing the requests under way");
    service.host().close();
    if started.is_none() {
        started = Some(starting.await);
    }
    stop.send_replace(true);
    // A client that holds its connection open does not hold the host up.
    connections.graceful_shutdown(Some(GRACE));
    for server in servers {
        if let Ok(Err(error)) = server.await {
            tracing::error!("serving failed: {error}");
        }
    }
    for task in background {
        task.await.ok();
    }
    std::fs::remove_file(&path).ok();
    match started {
        Some(Ok(Err(failure))) if failure.kind != ErrorKind::Closing.name() => {
            Err(ServeError::Start(failure))
        }
        _ => Ok(()),
    }
}

fn bind(path: &std::path::Path) -> Result<UnixListener, ServeError> {
    let failed = |source: std::io::Error| ServeError::Socket {
        path: path.to_owned(),
        hint: if source.kind() == std::io::ErrorKind::InvalidInput {
            "a socket's path may have about 100 bytes: choose a data directory with a shorter name"
        } else {
            "check that the data directory is writable"
        },
        source,
    };
    // The directory's lock is ours, so a socket that is there is left over from a host that was killed.
    if path.exists() {
        std::fs::remove_file(path).map_err(failed)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)?;
    tracing::debug!(SOCKET, "listening");
    Ok(listener)
}

async fn until_stopped(mut stopped: watch::Receiver<bool>) {
    stopped.wait_for(|stopped| *stopped).await.ok();
}

/// Answers on one door until the host stops. Every door has the same limits.
async fn answer<A>(listener: A::Listener, app: Router, connections: Control) -> std::io::Result<()>
where
    A: Address + Send + 'static,
    A::Stream: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut server = Server::<A>::from_listener(listener)
        .http1_only()
        .handle(Handle::with_control(connections))
        .accept_error_handler(|_, error| tracing::warn!("cannot accept a connection: {error}"));
    server.http_builder().http1().header_read_timeout(HEAD_TIME).max_buf_size(LARGEST_HEAD);
    server.serve(app.into_make_service()).await
}

/// Runs `work` again and again until the host stops, and once more at the end.
async fn every(
    period: Duration,
    service: Arc<Service>,
    stopped: watch::Receiver<bool>,
    work: impl Fn(&Service) -> Result<(), Failure> + Clone + Send + 'static,
    what: &'static str,
) {
    let mut interval = tokio::time::interval(period);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let stop = until_stopped(stopped);
    tokio::pin!(stop);
    loop {
        let last = tokio::select! {
            _ = interval.tick() => false,
            () = &mut stop => true,
        };
        let (service, work) = (Arc::clone(&service), work.clone());
        let done = tokio::task::spawn_blocking(move || work(&service)).await;
        match done {
            // What was not done any more is done at the next start.
            Ok(Err(error)) if error.kind == ErrorKind::Closing.name() => {}
            Ok(Err(error)) => tracing::error!(what, "{error}"),
            _ => {}
        }
        if last {
            return;
        }
    }
}

async fn ticks(service: Arc<Service>, stopped: watch::Receiver<bool>) {
    // What history left of retrains is settled before the clock moves; nobody else waits for it.
    let trained = Arc::clone(&service);
    if let Ok(Err(error)) = tokio::task::spawn_blocking(move || trained.train()).await {
        tracing::error!("trainers: {error}");
    }
    let tick = |service: &Service| {
        service.host().append_and_wait(vec![Entry::Tick(clock::now())])?;
        Ok(())
    };
    every(TICK, service, stopped, tick, "tick").await;
}

/// Has files of versions follow the registry.
async fn tidying(service: Arc<Service>, stopped: watch::Receiver<bool>) {
    every(TICK, service, stopped, Service::tidy, "artifacts").await;
}

/// Has trainers follow the registry.
async fn training(service: Arc<Service>, stopped: watch::Receiver<bool>) {
    every(TRAINING, service, stopped, Service::train, "trainers").await;
}

async fn deliveries(service: Arc<Service>, stopped: watch::Receiver<bool>) {
    every(DELIVERY, service, stopped, |service| queue_file::deliver(service.host()).map(drop), "delivery")
        .await;
}

/// Puts in force what changed in the policies directory.
async fn watch_policies(service: Arc<Service>, stopped: watch::Receiver<bool>) {
    let done = |service: &Service| (service.host().sandbox().compiled(), service.host().tried_out());
    let known = done(&service);
    let mut watch = Changed::new(service.host().policies_directory().to_owned());
    let snapshot = service.host().snapshot();
    watch.were_there(snapshot.standing().policies.policies.iter().map(|entry| entry.policy.name.clone()));
    let watch = Arc::new(Mutex::new((watch, known)));
    let look = move |service: &Service| {
        let (watch, known) = &mut *watch.lock().unwrap_or_else(PoisonError::into_inner);
        let now = done(service);
        if std::mem::replace(known, now) != now {
            watch.look_at_all();
        }
        if let Some(folders) = watch.has_changed() {
            service.reload_policies(&folders).inspect_err(|_| watch.look_again())?;
        }
        Ok(())
    };
    every(LOOK, service, stopped, look, "policies directory").await;
}

/// SIGHUP: read configuration and policies again.
async fn reloads(service: Arc<Service>, mut hangup: Signal, stopped: watch::Receiver<bool>) {
    let stop = until_stopped(stopped);
    tokio::pin!(stop);
    loop {
        tokio::select! {
            _ = hangup.recv() => {}
            () = &mut stop => return,
        }
        let service = Arc::clone(&service);
        match tokio::task::spawn_blocking(move || service.reload("SIGHUP")).await {
            Ok(Ok(problems)) => {
                tracing::info!(problems = problems.len(), "read configuration and policies again")
            }
            Ok(Err(error)) => tracing::error!("nothing changed: {error}"),
            Err(error) => tracing::error!("reload failed: {error}"),
        }
    }
}

impl Service {
    /// Has files of versions follow the registry; what cannot be done is said, and tried again the next time.
    pub fn tidy(&self) -> Result<(), Failure> {
        for untidy in self.host().tidy()? {
            let (model, version) = (untidy.model.to_string(), untidy.version);
            tracing::error!(model, version, "files left alone: {}", untidy.problem);
        }
        Ok(())
    }

    /// Delivers what waits; for commands that open a directory themselves and then end.
    pub fn deliver(&self) -> Result<usize, Failure> {
        queue_file::deliver(self.host())
    }
}
