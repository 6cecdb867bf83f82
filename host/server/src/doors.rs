//! What a request has to show before it is looked at.
//!
//! Over TCP every program on this machine may ask, and so may every page that is open in a browser on it. [`guard`]
//! refuses what such a page can send. Of the local socket and of calls within the process it asks nothing: no browser
//! reaches them, and the socket's mode lets in its owner only. That a body says what it is, is asked at every door,
//! because it is part of the interface. Who may do what is not asked here yet: there are no tokens.

use std::{
    collections::BTreeSet,
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, Uri, header, uri::Authority},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use tower_http::csrf::{CsrfLayer, ProtectionError};

use trimtab_api::Failure;
use trimtab_types::ErrorKind;

use crate::{Service, http::Refusal};

/// One object or an array.
pub(crate) const JSON: &str = "application/json";
/// One object on each line.
pub(crate) const NDJSON: &str = "application/x-ndjson";
/// Asked by address, and they say nothing about what the host knows.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// What was refused since the host started, by what was wrong.
#[derive(Debug, Default)]
pub(crate) struct Denied {
    host: AtomicU64,
    origin: AtomicU64,
    content_type: AtomicU64,
}

impl Denied {
    /// Each kind of refusal and how often it happened.
    pub(crate) fn counts(&self) -> [(&'static str, u64); 3] {
        [("host", &self.host), ("origin", &self.origin), ("content-type", &self.content_type)]
            .map(|(kind, count)| (kind, count.load(Ordering::Relaxed)))
    }
}

fn refuse(counter: &AtomicU64, failure: Failure) -> Response {
    counter.fetch_add(1, Ordering::Relaxed);
    tracing::debug!(kind = failure.kind, "refused: {failure}");
    Refusal(failure).into_response()
}

/// Names and addresses that a host answers to, compared without port and case.
#[derive(Debug)]
pub(crate) struct HostNames(BTreeSet<String>);

impl HostNames {
    pub(crate) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(canonical).collect())
    }

    /// Whether a request is meant for this host. Reads are asked, too: a page whose name was made to point to this
    /// machine is of the same origin to its browser, and only the name tells.
    fn check(&self, target: &Uri, headers: &HeaderMap) -> Result<(), Failure> {
        let unclear = |problem: &str| Failure::invalid(problem);
        if target.authority().is_some() {
            return Err(unclear(
                "the target of the request is a whole address, which is for proxies; ask for the path alone",
            ));
        }
        let mut given = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (given.next(), given.next()) else {
            return Err(unclear("the request needs the header `Host`, and only once"));
        };
        let authority = Authority::try_from(host.as_bytes()).ok().filter(|host| !host.as_str().contains('@'));
        let Some(authority) = authority else {
            return Err(unclear("the header `Host` is not a name or an address with or without a port"));
        };
        if self.0.contains(&canonical(authority.host())) {
            return Ok(());
        }
        let message = format!(
            "the header `Host` says `{authority}`, and that is not what this host is called; where it should be, add it \
             to `http.hosts` in trimtab.toml, without port, and start the host again"
        );
        Err(Failure::new(ErrorKind::Misdirected, message))
    }
}

fn canonical(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().map_or_else(|_| bare.to_ascii_lowercase(), |address| address.to_string())
}

/// The interface behind the door on TCP.
pub(crate) fn guard(app: Router, service: Arc<Service>, names: HostNames) -> Router {
    let counted = Arc::clone(&service);
    let foreign = move |_: ProtectionError| {
        let message = "a page of another origin sent this, and pages may not change anything here; a program sends \
                       neither `Origin` nor `Sec-Fetch-Site`";
        let failure = Failure::new(ErrorKind::Origin, message);
        refuse(&counted.denied.origin, failure)
    };
    app.layer(CsrfLayer::new().with_rejection_response(foreign))
        .layer(from_fn_with_state(Arc::new((service, names)), known_host))
}

async fn known_host(
    State(door): State<Arc<(Arc<Service>, HostNames)>>,
    request: Request,
    next: Next,
) -> Response {
    let (service, names) = &*door;
    if !PROBES.contains(&request.uri().path())
        && let Err(failure) = names.check(request.uri(), request.headers())
    {
        return refuse(&service.denied.host, failure);
    }
    next.run(request).await
}

/// What a request's body is, without parameters; nothing where that is not said, or said twice.
fn media_type(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (given.next(), given.next()) else { return None };
    let text = value.to_str().ok()?;
    Some(text.split_once(';').map_or(text, |(kind, _)| kind).trim())
}

fn is(headers: &HeaderMap, kind: &str) -> bool {
    media_type(headers).is_some_and(|given| given.eq_ignore_ascii_case(kind))
}

/// Whether a request's body has an object on each line.
pub(crate) fn is_ndjson(headers: &HeaderMap) -> bool {
    is(headers, NDJSON)
}

/// Lets a write through only where its body says that it is JSON. Forms and plain text are what browsers send anywhere
/// without asking first.
pub(crate) async fn json_only(State(service): State<Arc<Service>>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    if request.method().is_safe() || is(headers, JSON) || is(headers, NDJSON) {
        return next.run(request).await;
    }
    let message = format!(
        "the header `Content-Type` of a {} must be `{JSON}`, or `{NDJSON}` for an object on each line; with curl: --json",
        request.method()
    );
    let failure = Failure::new(ErrorKind::MediaType, message);
    refuse(&service.denied.content_type, failure)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    /// What is answered to a request for this target with these values of `Host`; 200 where it is let in.
    #[track_caller]
    fn check(target: &str, hosts: &[&[u8]], status: u16) {
        let names = HostNames::new(["localhost", "127.0.0.1", "::1", "Drift.Example"]);
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_bytes(host).expect("a value"));
        }
        let answer = names.check(&target.parse().expect("a target"), &headers);
        let given = answer.as_ref().map_or_else(|failure| failure.status, |()| 200);
        assert_eq!(given, status, "{target} {hosts:?}: {answer:?}");
    }

    #[test]
    fn a_host_answers_to_its_names_and_to_no_others() {
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "[0:0:0:0:0:0:0:1]", "drift.example"] {
            check("/v1/status", &[host.as_bytes()], 200);
            check("/v1/status", &[format!("{host}:7878").as_bytes()], 200);
        }
        for host in [
            "evil.example",
            "evil.example:7878",
            "localhost.evil.example",
            "notlocalhost",
            "localhost.",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "[::2]",
            "0",
        ] {
            check("/v1/status", &[host.as_bytes()], 421);
        }
        for host in ["", "local host", "user@localhost", "localhost/", "http://localhost", "\u{e4}.example"] {
            check("/v1/status", &[host.as_bytes()], 400);
        }
        check("/", &[], 400);
        check("/", &[b"localhost", b"localhost"], 400);
        check("/", &[b"localhost", b"evil.example"], 400);
        check("http://localhost/v1/status", &[b"localhost"], 400);
        check("http://evil.example/v1/status", &[b"localhost"], 400);
        check("localhost:7878", &[b"localhost"], 400);
    }

    #[test]
    fn a_refused_host_hears_what_it_sent_and_where_names_stand() {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("ml.example:8443"));
        let failure =
            HostNames::new(["localhost"]).check(&Uri::from_static("/"), &headers).expect_err("refused");
        for part in ["`ml.example:8443`", "`http.hosts`", "without port"] {
            assert!(failure.message.contains(part), "should say {part}: {failure}");
        }
    }
}
