//! Where alerts go besides the queue file: real requests to a receiver of ours, which answers as services do when they are well,
//! busy, broken or gone.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    support::{Scratch, Seeded, ago, lines},
    swap::eventually,
};

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Arrived {
    headers: Vec<(String, String)>,
    pub(crate) body: Value,
}

impl Arrived {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map_or_else(|| panic!("no header `{name}`: {self:?}"), |(_, value)| value)
    }
}

/// Somebody who takes requests, and what came.
pub(crate) struct Receiver {
    pub(crate) port: u16,
    arrived: Arc<Mutex<Vec<Arrived>>>,
}

impl Receiver {
    /// Answers the n-th request as `answer` says: the whole of the response. Nothing at all: it hangs.
    pub(crate) fn start(answer: impl Fn(usize) -> Option<String> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let arrived: Arc<Mutex<Vec<Arrived>>> = Arc::default();
        let (kept, answer) = (Arc::clone(&arrived), Arc::new(answer));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
                std::thread::spawn(move || take(stream, &kept, answer.as_ref()));
            }
        });
        Self { port, arrived }
    }

    pub(crate) fn arrived(&self) -> Vec<Arrived> {
        self.arrived.lock().expect("a list").clone()
    }
}

fn take(stream: TcpStream, kept: &Mutex<Vec<Arrived>>, answer: &dyn Fn(usize) -> Option<String>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            headers.push((name.to_lowercase(), value.to_owned()));
        }
        let length = headers.iter().find(|(name, _)| name == "content-length");
        let length: usize = length.expect("a length").1.parse().expect("a number");
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let number = {
            let mut kept = kept.lock().expect("a list");
            kept.push(Arrived { headers, body: serde_json::from_slice(&body).expect("JSON") });
            kept.len()
        };
        match answer(number) {
            Some(answer) => (&stream).write_all(answer.as_bytes()).expect("answers"),
            None => std::thread::sleep(Duration::from_secs(600)),
        }
    }
}

pub(crate) fn response(status: &str, body: &str) -> Option<String> {
    Some(format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()))
}

pub(crate) fn sink(name: &str, kind: &str, port: u16, more: &str) -> String {
    format!("[sinks.{name}]\ntype = \"{kind}\"\nurl = \"http://127.0.0.1:{port}/in\"\nprivate = true\n{more}")
}

/// A serving host whose model has just degraded.
pub(crate) fn drifting(config: &str) -> (Scratch, crate::support::Serving) {
    let scratch = Scratch::with_config(config);
    scratch.set_baseline();
    let host = scratch.serve();
    host.socket().post_lines("/v1/rows", rows(0, 600, 0.55)).expect(200);
    (scratch, host)
}

/// Rows that end now.
pub(crate) fn rows(from: u64, until: u64, accuracy: f64) -> String {
    let row = |n: u64| {
        let up = Seeded(n).share() < 0.5;
        let right = Seeded(n * 31 + 5).share() < accuracy;
        let (time, id) = (ago((until - n) * 2), format!("p{n}"));
        let score = if up == right { 0.9 } else { 0.1 };
        let prediction = json!({ "id": id, "model": "m", "version": "v1", "time": time, "score": score });
        let outcome = json!({ "id": id, "model": "m", "time": time, "label": i64::from(up) });
        [json!({ "prediction": prediction }), json!({ "outcome": outcome })]
    };
    lines(&(from..until).flat_map(row).collect::<Vec<_>>())
}

fn deliveries(scratch: &Scratch, sink: &str) -> Vec<Value> {
    scratch.json(&["deliveries", "--sink", sink])["deliveries"].as_array().expect("a list").clone()
}

pub(crate) fn states(scratch: &Scratch, sink: &str) -> Vec<String> {
    let state = |delivery: &Value| delivery["state"].as_str().expect("a state").to_owned();
    deliveries(scratch, sink).iter().map(state).collect()
}

#[test]
fn each_sink_hears_of_each_alert_once_in_its_own_form() {
    let (hook, chat) =
        (Receiver::start(|_| response("204 No Content", "")), Receiver::start(|_| response("200 OK", "ok")));
    let secret = "secret = \"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"\n";
    let config = format!(
        "{}{}{}",
        sink("hook", "webhook", hook.port, secret),
        sink("chat", "slack", chat.port, ""),
        sink("others", "slack", 9, "model = \"other\"\n")
    );
    let (scratch, host) = drifting(&config);
    eventually(|| (!hook.arrived().is_empty() && !chat.arrived().is_empty()).then_some(()));
    eventually(|| states(&scratch, "hook").iter().all(|state| state == "delivered").then_some(()));
    let arrived = hook.arrived();
    let first = &arrived[0];
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.body["type"], "alert.firing", "{first:?}");
    assert_eq!(first.header("webhook-id"), first.body["data"]["key"].as_str().expect("a key"));
    assert!(first.header("webhook-signature").starts_with("v1,"));
    assert_eq!((first.header("ce-type"), first.header("ce-specversion")), ("trimtab.alert.firing", "1.0"));
    assert_eq!(first.body["data"]["alert"]["subject"]["model"], "m");
    let slack = &chat.arrived()[0];
    assert!(slack.body["blocks"].is_array() && slack.body["text"].is_string(), "{slack:?}");
    let told = scratch.json(&["alerts", "--model", "m", "--limit", "100"]);
    let told =
        told["events"].as_array().expect("events").iter().filter(|event| event["told"] == true).count();
    assert_eq!((arrived.len(), chat.arrived().len()), (told, told), "each once");
    assert!(deliveries(&scratch, "others").is_empty(), "it is not about its models");
    assert_eq!(deliveries(&scratch, "queue").len(), told, "and the queue file as before");
    // What was delivered is not sent again, also by another host after everything was folded again.
    assert_eq!(host.stop(), Some(0));
    let host = scratch.serve();
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(hook.arrived().len(), told);
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
    // Addresses and secrets stand in the file alone.
    for file in std::fs::read_dir(scratch.data()).expect("a folder") {
        let path = file.expect("a file").path();
        if path.is_file() && path.file_name().is_some_and(|name| name != "trimtab.toml") {
            let bytes = std::fs::read(&path).expect("reads");
            let text = String::from_utf8_lossy(&bytes);
            assert!(!text.contains("whsec_") && !text.contains("127.0.0.1:"), "{}", path.display());
        }
    }
}

#[test]
fn what_a_sink_does_not_take_is_tried_again_or_refused_and_holds_nobody_up() {
    let busy = Receiver::start(|number| {
        if number < 3 { response("503 Service Unavailable", "later") } else { response("200 OK", "") }
    });
    let hanging = Receiver::start(|_| None);
    let picky = Receiver::start(|number| {
        if number % 2 == 1 { response("400 Bad Request", "invalid_blocks") } else { response("200 OK", "ok") }
    });
    let gone = Receiver::start(|_| response("404 Not Found", "no_service"));
    let moved = Receiver::start(|_| {
        Some(
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n".to_owned(),
        )
    });
    let well = Receiver::start(|_| response("200 OK", ""));
    let config = [
        sink("busy", "webhook", busy.port, ""),
        sink("hanging", "webhook", hanging.port, ""),
        sink("picky", "slack", picky.port, ""),
        sink("gone", "slack", gone.port, ""),
        sink("moved", "webhook", moved.port, ""),
        sink("closed", "webhook", 9, ""),
        sink("inside", "webhook", well.port, "").replace("private = true\n", ""),
        sink("named", "webhook", well.port, "")
            .replace("private = true\n", "")
            .replace("127.0.0.1", "localhost"),
        sink("well", "webhook", well.port, ""),
    ]
    .concat();
    let (scratch, host) = drifting(&config);
    eventually(|| (states(&scratch, "well").first()? == "delivered").then_some(()));
    eventually(|| (states(&scratch, "busy").last()? == "delivered").then_some(()));
    let keys: Vec<String> = busy.arrived().iter().map(|one| one.header("webhook-id").to_owned()).collect();
    assert!(
        keys.len() >= 3 && keys[0] == keys[1] && keys[1] == keys[2],
        "the same key at each try: {keys:?}"
    );
    let last = |sink: &str| deliveries(&scratch, sink).last().cloned().expect("a delivery");
    assert_eq!(last("busy")["attempts"], 3);
    eventually(|| (last("picky")["state"] == "delivered").then_some(()));
    let picky = picky.arrived();
    assert!(
        picky[0].body["blocks"].is_array() && picky[1].body.get("blocks").is_none(),
        "plain text the second time"
    );
    for (sink, says) in [
        ("gone", "404: no_service"),
        ("moved", "302: it redirects"),
        ("inside", "private: `127.0.0.1` is a private address"),
        ("named", "private: `localhost"),
    ] {
        eventually(|| (last(sink)["state"] == "refused").then_some(()));
        let said = last(sink)["said"].as_str().expect("text").to_owned();
        assert!(said.starts_with(says), "{sink}: {said}");
    }
    eventually(|| (last("closed")["attempts"].as_u64()? >= 2).then_some(()));
    assert_eq!(last("closed")["state"], "waiting", "it may come back");
    assert!(!hanging.arrived().is_empty() && last("hanging")["attempts"] == 0, "it is waited for");
    let metrics = host.socket().get("/metrics");
    let text = metrics.body;
    assert!(text.contains("trimtab_effects_waiting{sink=\"well\"} 0"), "{text}");
    scratch.run(&["deliveries", "--failed"]).expect(0).prints(&["refused", "404: no_service"]);
    let started = std::time::Instant::now();
    assert_eq!(host.stop(), Some(0));
    assert!(started.elapsed() < Duration::from_secs(15), "one that hangs does not keep the host from ending");
    scratch.verify();
}

#[test]
fn a_sink_that_cannot_be_is_named() {
    for (text, words) in [
        ("[sinks.a]\ntype = \"webhook\"\nurl = \"ftp://x\"\n", &["sinks.a.url"][..]),
        ("[sinks.a]\ntype = \"webhook\"\nurl = \"https://[\"\n", &["sinks.a.url"]),
        (
            "[sinks.a]\ntype = \"webhook\"\nurl = \"https://x\"\nsecret = \"env:NOT_SET_ANYWHERE\"\n",
            &["sinks.a.secret", "NOT_SET_ANYWHERE"],
        ),
        (
            "[sinks.a]\ntype = \"webhook\"\nurl = \"https://x\"\nsecret = \"whsec_short\"\n",
            &["sinks.a.secret"],
        ),
        ("[sinks.a]\ntype = \"pager\"\nurl = \"https://x\"\n", &["pager"]),
    ] {
        let scratch = Scratch::with_config("");
        scratch.configure(std::path::Path::new("policies"), text);
        let run = scratch.run(&["status"]).expect(78);
        run.says(words);
    }
}

/// What waits for a sink that is gone from the configuration does not wait for ever.
#[test]
fn what_nobody_sends_any_more_expires() {
    let config = format!("{}{}", sink("gone", "webhook", 9, ""), crate::support::STORY);
    let scratch = crate::support::told(&config);
    assert!(!deliveries(&scratch, "gone").is_empty());
    scratch.configure(&crate::support::repository().join("policies"), crate::support::STORY);
    let host = scratch.serve();
    eventually(|| states(&scratch, "gone").iter().all(|state| state == "expired").then_some(()));
    let said = deliveries(&scratch, "gone")[0]["said"].as_str().expect("text").to_owned();
    assert!(said.contains("no sink of this name is configured"), "{said}");
    assert_eq!(host.stop(), Some(0));
}

/// History that is imported pages nobody.
#[test]
fn alerts_that_are_old_news_are_not_sent() {
    let well = Receiver::start(|_| response("200 OK", ""));
    let config = format!("{}{}", sink("well", "webhook", well.port, ""), crate::support::STORY);
    let scratch = crate::support::told(&config);
    let host = scratch.serve();
    let told = deliveries(&scratch, "well").len();
    assert!(told > 0, "it would have been sent");
    eventually(|| states(&scratch, "well").iter().any(|state| state == "expired").then_some(()));
    for delivery in deliveries(&scratch, "well") {
        // The host's first tick may remind of what is open: that is news.
        let is_reminder = delivery["body"]["alert"]["occasion"] == "repeated";
        assert!(is_reminder || delivery["state"] == "expired", "{delivery}");
    }
    assert_eq!(host.stop(), Some(0));
}
