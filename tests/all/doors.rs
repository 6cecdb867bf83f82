//! What a request has to show before it is looked at, on each door, and how long it may take to show it.

use std::io::{Read, Write};

use serde_json::json;

use crate::support::{Http, Scratch, Serving, prediction};

const LIFT: &str = r#"{"model":"m","on":false,"actor":"page"}"#;

/// A host with a model that a person has stopped.
pub(crate) fn stopped(scratch: &Scratch) -> Serving {
    let host = scratch.serve();
    host.socket().post("/v1/predictions", prediction("p", 0, 0.7).to_string()).expect(200);
    host.socket().get("/v1/status?settled=true").expect(200);
    stop(&host);
    host
}

fn stop(host: &Serving) {
    let act = json!({ "model": "m", "on": true, "actor": "ada", "reason": "strange prices" });
    host.socket().post("/v1/kill-switch", act.to_string()).expect(200);
}

pub(crate) fn may_trade(host: &Serving) -> bool {
    host.socket().get("/v1/may-trade?model=m").expect(200).json()["allowed"] == true
}

/// How often a kind of refusal was counted.
#[track_caller]
pub(crate) fn denied(host: &Serving, reason: &str) -> u64 {
    let text = host.socket().get("/metrics").expect(200).body;
    let name = format!("trimtab_access_denied_total{{reason=\"{reason}\"}} ");
    let count = text.lines().find_map(|line| line.strip_prefix(&name)).and_then(|count| count.parse().ok());
    count.unwrap_or_else(|| panic!("{name} is not there: {text}"))
}

/// This request with these headers is answered like this, and lifts the kill switch only where it was let in.
#[track_caller]
fn check(host: &Serving, door: &Http, request: &str, headers: &[&str], status: u16) {
    let Http::Port(address) = host.port() else { panic!("a port") };
    let head = headers.iter().map(|header| format!("{header}\r\n")).collect::<String>();
    let head = head.replace("{port}", &address.port().to_string());
    let length = LIFT.len();
    let head = format!("{request} HTTP/1.1\r\n{head}connection: close\r\ncontent-length: {length}\r\n\r\n");
    let reply = door.exchange(&head, LIFT.as_bytes()).expect("is answered");
    assert_eq!(reply.status, status, "{head}{reply:?}");
    assert!(!reply.head.contains("access-control"), "no page may read answers: {}", reply.head);
    if status >= 400 {
        let error = reply.json()["error"].clone();
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
    let lifted = status == 200 && request == "POST /v1/kill-switch";
    assert_eq!(may_trade(host), lifted, "{head}");
    if lifted {
        stop(host);
    }
}

const KILL: &str = "POST /v1/kill-switch";
const JSON: &str = "content-type: application/json";
const TEXT: &str = "content-type: text/plain";

/// Request, headers, answer over TCP, answer over the local socket. No browser reaches the socket, so nobody asks there
/// what a request is for and where it comes from.
#[rustfmt::skip]
const CASES: &[(&str, &[&str], u16, u16)] = &[
    // Programs.
    (KILL, &["host: localhost", JSON],                                             200, 200),
    (KILL, &["host: localhost:{port}", JSON],                                      200, 200),
    (KILL, &["host: 127.0.0.1:{port}", "content-type: application/json; charset=utf-8"], 200, 200),
    (KILL, &["host: [::1]:{port}", "content-type: Application/JSON"],              200, 200),
    // A page of this host, and an address that somebody typed.
    (KILL, &["host: localhost:{port}", "origin: http://localhost:{port}", "sec-fetch-site: same-origin", JSON], 200, 200),
    (KILL, &["host: localhost:{port}", "origin: http://localhost:{port}", JSON],   200, 200),
    (KILL, &["host: localhost", "sec-fetch-site: none", JSON],                     200, 200),
    // Pages of other origins: another site, another port, a file, an old browser.
    (KILL, &["host: localhost", "origin: http://evil.example", "sec-fetch-site: cross-site", JSON], 403, 200),
    (KILL, &["host: localhost", "origin: http://evil.example", "sec-fetch-site: cross-site", TEXT], 403, 415),
    (KILL, &["host: localhost", "sec-fetch-site: cross-site", JSON],               403, 200),
    (KILL, &["host: localhost:{port}", "origin: http://localhost:1", "sec-fetch-site: same-site", JSON], 403, 200),
    (KILL, &["host: localhost", "origin: null", "sec-fetch-site: cross-site", JSON], 403, 200),
    (KILL, &["host: localhost", "origin: null", JSON],                             403, 200),
    (KILL, &["host: localhost", "origin: http://evil.example", JSON],              403, 200),
    (KILL, &["host: localhost", "origin: http://localhost.evil.example", JSON],    403, 200),
    (KILL, &["host: localhost:{port}", "origin: https://evil.example", "sec-fetch-site: nonsense", JSON], 403, 200),
    ("POST /v1/reload", &["host: localhost", "sec-fetch-site: cross-site", JSON],  403, 200),
    ("POST /v1/policies/drift-ladder/rollback", &["host: localhost", "sec-fetch-site: cross-site", TEXT], 403, 415),
    ("DELETE /v1/kill-switch", &["host: localhost", "sec-fetch-site: cross-site", JSON], 403, 405),
    // What forms and `no-cors` send, from whomever.
    (KILL, &["host: localhost"],                                                   415, 415),
    (KILL, &["host: localhost", TEXT],                                             415, 415),
    (KILL, &["host: localhost", "content-type: application/x-www-form-urlencoded"], 415, 415),
    (KILL, &["host: localhost", "content-type: multipart/form-data; boundary=x"],  415, 415),
    (KILL, &["host: localhost", "content-type: text/plain; application/json"],     415, 415),
    (KILL, &["host: localhost", "content-type: application/jsonp"],                415, 415),
    (KILL, &["host: localhost", "content-type: application/json, text/plain"],     415, 415),
    (KILL, &["host: localhost", JSON, TEXT],                                       415, 415),
    ("POST /v1/reload", &["host: localhost"],                                      415, 415),
    ("PUT /v1/kill-switch", &["host: localhost", TEXT],                            415, 415),
    // A name that was made to point here: to its browser, the page is of the same origin.
    (KILL, &["host: evil.example:{port}", "origin: http://evil.example:{port}", "sec-fetch-site: same-origin", JSON], 421, 200),
    (KILL, &["host: evil.example", JSON],                                          421, 200),
    ("GET /v1/status", &["host: evil.example:{port}", "sec-fetch-site: same-origin"], 421, 200),
    ("GET /v1/status", &["host: 169.254.169.254"],                                 421, 200),
    ("GET /metrics", &["host: evil.example"],                                      421, 200),
    ("GET /healthz", &["host: 10.0.0.7:{port}"],                                   200, 200),
    ("GET /readyz", &["host: 10.0.0.7:{port}"],                                    200, 200),
    // Unclear whom it is for.
    (KILL, &["host: localhost", "host: localhost", JSON],                          400, 200),
    (KILL, &[JSON],                                                                400, 200),
    (KILL, &["host: ", JSON],                                                      400, 200),
    ("POST http://localhost/v1/kill-switch", &["host: localhost", JSON],           400, 200),
    // Questions change nothing; pages may ask and cannot read, because nobody answers them who they may.
    ("GET /v1/status", &["host: localhost", "sec-fetch-site: cross-site"],         200, 200),
    ("OPTIONS /v1/kill-switch", &["host: localhost", "origin: http://evil.example", "access-control-request-method: POST"], 405, 405),
];

#[test]
fn every_door_asks_what_it_has_to() {
    let scratch = Scratch::with_config("");
    let host = stopped(&scratch);
    for (request, headers, status, _) in CASES {
        check(&host, &host.port(), request, headers, *status);
    }
    let refused = |statuses: &[u16]| CASES.iter().filter(|case| statuses.contains(&case.2)).count() as u64;
    assert_eq!(denied(&host, "origin"), refused(&[403]));
    assert_eq!(denied(&host, "content-type"), refused(&[415]));
    assert_eq!(denied(&host, "host"), refused(&[400, 421]));
    for (request, headers, _, status) in CASES {
        // The same act, whatever its target is called.
        let request = request.replace("http://localhost", "");
        check(&host, &host.socket(), &request, headers, *status);
    }
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
}

#[test]
fn a_host_answers_to_the_names_that_its_configuration_lists() {
    let scratch = Scratch::with_config("[http]\nhosts = [\"drift.example\", \"::1\"]\n");
    let host = stopped(&scratch);
    for (name, status) in
        [("Drift.Example", 200), ("[::1]", 200), ("127.0.0.1", 200), ("localhost", 421), ("example", 421)]
    {
        check(&host, &host.port(), "GET /v1/status", &[&format!("host: {name}:{{port}}")], status);
    }
    scratch.configure(&scratch.own_policies(), "[http]\nhosts = [\"localhost:7878\"]\n");
    drop(host);
    scratch.run(&["status"]).expect(78).says(&["http.hosts (`localhost:7878`)", "without scheme, port"]);
}

/// The other side has closed this connection without an answer to what never came whole.
#[track_caller]
fn check_closed(mut stream: impl Read, what: &str) {
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Ok(_) => {
            assert!(!answer.starts_with(b"HTTP/1.1 200"), "{what}: {}", String::from_utf8_lossy(&answer))
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{what}: is still open"),
    }
}

#[test]
fn a_head_that_does_not_come_whole_does_not_hold_its_connection() {
    let scratch = Scratch::with_config("");
    let host = stopped(&scratch);
    let mut open = Vec::new();
    for door in [host.socket(), host.port()] {
        for half in ["", "POST /v1/kill-switch HT", "GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: "] {
            let mut stream = door.connect().expect("connects");
            stream.write_all(half.as_bytes()).expect("writes");
            open.push((stream, format!("{door:?} {half}")));
        }
    }
    // Neither does one that comes bit by bit. Far fewer bits than a host takes time for are enough.
    let mut stream = host.port().connect().expect("connects");
    let mut bits = 0;
    while stream.write_all(if bits == 0 { b"GET /healthz HTTP/1.1\r\nx: " } else { b"x" }).is_ok() {
        bits += 1;
        assert!(bits < 600, "is still open");
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    for (stream, what) in open {
        check_closed(stream, &what);
    }
    assert_eq!(host.socket().get("/healthz").expect(200).body, "ok");
}

#[test]
fn a_head_has_a_largest_size() {
    let scratch = Scratch::with_config("");
    let host = stopped(&scratch);
    for door in [host.socket(), host.port()] {
        for (bytes, status) in [(31 << 10, 200), (65 << 10, 431), (1 << 20, 431)] {
            let head = format!(
                "GET /v1/status HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx: {}\r\n\r\n",
                "x".repeat(bytes)
            );
            match door.exchange(&head, b"") {
                Ok(reply) => assert_eq!(reply.status, status, "{bytes} bytes"),
                // It may hang up while much is still on its way.
                Err(error) => assert_eq!(status, 431, "{bytes} bytes: {error}"),
            }
        }
    }
}
