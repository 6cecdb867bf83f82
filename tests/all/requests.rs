//! Requests that the interface must refuse: by row and field, with the right status, and without keeping any of them.

use serde_json::{Value, json};

use crate::support::{Http, Reply, Scratch, Serving, outcome, prediction};

const MEBIBYTE: usize = 1 << 20;

/// A host with one resolved prediction, which must survive whatever follows.
fn with_rows(scratch: &Scratch) -> Serving {
    let host = scratch.serve();
    host.socket().post("/v1/predictions", prediction("kept", 0, 0.7).to_string()).expect(200);
    host.socket().post("/v1/outcomes", outcome("kept", 60, 1).to_string()).expect(200);
    host
}

/// The boundary of the interface: this answer is an error with this status, kind and words.
#[track_caller]
fn check(reply: Reply, status: u16, kind: &str, words: &[&str]) {
    let reply = reply.expect(status);
    assert!(reply.head.contains("content-type: application/json"), "{}", reply.head);
    let answer = reply.json();
    assert_eq!(answer["schema_version"], 1, "{answer}");
    assert_eq!(answer["error"]["kind"], kind, "{answer}");
    let message = answer["error"]["message"].as_str().expect("a message");
    for word in words {
        assert!(message.contains(word), "should say `{word}`: {message}");
    }
}

#[track_caller]
fn check_counts(http: &Http, predictions: u64, outcomes: u64) {
    let counts = http.get("/v1/status?settled=true").expect(200).json()["counts"].clone();
    assert_eq!((&counts["predictions"], &counts["outcomes"]), (&json!(predictions), &json!(outcomes)));
}

/// A prediction with one field changed.
fn with(key: &str, value: Value) -> String {
    let mut row = prediction("p", 0, 0.7);
    row[key] = value;
    row.to_string()
}

#[test]
fn wrong_rows_are_refused_and_nothing_of_their_request_is_kept() {
    const KEPT: &str = "Nothing of this request was kept";
    let scratch = Scratch::with_config("");
    let host = with_rows(&scratch);
    let good = prediction("good", 0, 0.7).to_string();
    #[rustfmt::skip]
    let cases: [(String, &[&str]); 15] = [
        (String::new(),                            &["row 1", "EOF", KEPT]),
        ("{".into(),                               &["row 1", "EOF", KEPT]),
        ("prediction=p".into(),                    &["row 1", "expected value", KEPT]),
        (with("scoer", json!(1)),                  &["row 1", "unknown field `scoer`", KEPT]),
        (with("score", json!("high")),             &["row 1", "invalid type", KEPT]),
        (with("score", json!(1.5)),                &["row 1", "score: is 1.5", "between 0 and 1", KEPT]),
        (with("score", json!(0)).replace(":0,", ":NaN,"), &["row 1", "expected value", KEPT]),
        (with("score", json!(0)).replace(":0,", ":1e999,"), &["row 1", "number out of range", KEPT]),
        (with("time", json!("2025-01-01T00:00:00")), &["row 1", "not a time with a zone", "write it as", KEPT]),
        (with("time", json!("0000-12-31T23:59:59Z")), &["row 1", "1 to 9999", KEPT]),
        (with("time", json!("9998-01-01T00:00:00Z")), &["row 1", "lies in the future", "check the sender's clock", KEPT]),
        (with("id", json!("x".repeat(MEBIBYTE))),  &["row 1", "may have at most 1048576", KEPT]),
        (format!("[{good},{}]", with("score", json!(2))), &["row 2", "between 0 and 1", KEPT]),
        (format!("[{good},{}]", prediction("kept", 0, 0.1)), &["row 2", "an id of its own", KEPT]),
        (format!("[{good},"),                      &["EOF", KEPT]),
    ];
    for http in [host.socket(), host.port()] {
        for (body, words) in &cases {
            let conflict = words.contains(&"an id of its own");
            let (status, kind) = if conflict { (409, "conflict") } else { (400, "invalid") };
            check(http.post("/v1/predictions", body), status, kind, words);
        }
        let lines = format!("{good}\n{}\n", with("score", json!(2)));
        check(http.post_lines("/v1/predictions", lines), 400, "invalid", &["row 2", "between 0 and 1", KEPT]);
        let other = outcome("kept", 60, 0).to_string();
        check(
            http.post("/v1/outcomes", other),
            409,
            "conflict",
            &["row 1", "outcome `kept`", "`correction` true", KEPT],
        );
        check(http.post("/v1/predictions", b"[\n\xff]"), 400, "invalid", &["line 2", "not UTF-8", KEPT]);
        let large = vec![b' '; 16 * MEBIBYTE + 1];
        check(
            http.post("/v1/predictions", large),
            413,
            "too-large",
            &["larger than 16 MiB", "send it in parts"],
        );
        check_counts(&http, 1, 1);
    }
    assert_eq!(host.stop(), Some(0));
    assert_eq!(scratch.rows(), (1, 1));
    scratch.verify();
}

#[test]
fn wrong_questions_are_refused_with_a_way_out() {
    let scratch = Scratch::with_config("");
    let host = with_rows(&scratch);
    let http = host.socket();
    let kill = |rest: Value| {
        let mut request = json!({ "on": true, "actor": "ada" });
        request.as_object_mut().expect("an object").extend(rest.as_object().expect("an object").clone());
        http.post("/v1/kill-switch", request.to_string())
    };
    let baseline =
        |rest: &str| http.post("/v1/baselines", format!(r#"{{"model":"m","version":"v1"{rest}}}"#));
    #[rustfmt::skip]
    let cases: [(Reply, u16, &str, &[&str]); 17] = [
        (http.get("/v1/nothing"),                      404, "not-found", &["there is no GET /v1/nothing"]),
        (http.get("/v1/predictions"),                  405, "method",    &["/v1/predictions does not take GET"]),
        (http.post("/v1/status", ""),                  405, "method",    &["/v1/status does not take POST"]),
        (http.get("/v1/decisions/d-none"),             404, "not-found", &["no decision `d-none`", "trimtab decisions"]),
        (http.get("/v1/findings?limit=10001"),         400, "invalid",   &["limit: is 10001", "at most 10000"]),
        (http.get("/v1/findings?limit=few"),           400, "invalid",   &["limit"]),
        (http.get("/v1/findings?mdoel=m"),             400, "invalid",   &["mdoel"]),
        (http.get("/v1/may-trade"),                    400, "invalid",   &["model"]),
        (http.get("/v1/decisions/%ff"),                400, "invalid",   &["UTF-8"]),
        (kill(json!({})),                              400, "invalid",   &["give a `model`, or `all`"]),
        (kill(json!({ "model": "m", "all": true })),   400, "invalid",   &["not both"]),
        (kill(json!({ "model": "m", "actor": " " })),  400, "invalid",   &["actor: is empty", "say who"]),
        (baseline(""),                                 400, "invalid",   &["by exactly one of these"]),
        (baseline(r#","first":2"#),                    400, "invalid",   &["1 resolved predictions, not 2"]),
        (baseline(r#","samples":0,"accuracy":0.9"#),   400, "invalid",   &["samples: is 0"]),
        (baseline(r#","samples":9,"accuracy":90"#),    400, "invalid",   &["accuracy", "between 0 and 1", "0.05"]),
        (baseline(r#","frist":2"#),                    400, "invalid",   &["unknown field `frist`"]),
    ];
    for (reply, status, kind, words) in cases {
        check(reply, status, kind, words);
    }
    let status = http.get("/v1/status?settled=true").json();
    assert_eq!(status["models"][0]["allowed"], true, "no refused act had an effect: {status}");
    assert_eq!(http.get("/v1/baselines").json()["baselines"], json!([]));
}

#[test]
fn what_is_not_http_does_not_disturb_the_host() {
    use std::io::{Read, Write};
    let scratch = Scratch::with_config("");
    let host = with_rows(&scratch);
    let Http::Socket(path) = host.socket() else { panic!("a socket") };
    for garbage in [
        &b"\x00\xff\xfe not http\r\n\r\n"[..],
        b"POST /v1/predictions HTTP/1.1\r\ncontent-length: 9\r\n\r\n{",
    ] {
        let mut stream = std::os::unix::net::UnixStream::connect(&path).expect("connects");
        stream.write_all(garbage).expect("writes");
        stream.shutdown(std::net::Shutdown::Write).expect("half closes");
        let mut answer = Vec::new();
        // Whatever it answers, and even if it hangs up.
        stream.read_to_end(&mut answer).ok();
        assert!(!answer.starts_with(b"HTTP/1.1 200"));
    }
    check_counts(&host.socket(), 1, 1);
}
