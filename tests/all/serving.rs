//! A host that serves: what it answers, over the socket, over loopback and through the command line, and how it ends.

use serde_json::{Value, json};

use crate::support::{Http, Reply, STORY, Scratch, Serving, lines, outcome, prediction, stage, story, told};

/// Whole story through HTTP: predictions and outcomes, in order.
fn tell(http: &Http, rows: &[Value]) {
    for part in rows.chunks(200) {
        http.post_lines("/v1/rows", lines(part)).expect(200);
    }
}

fn accepted(rows: u64, new: u64) -> Value {
    json!({ "schema_version": 1, "rows": rows, "new": new, "unchanged": rows - new })
}

#[test]
fn rows_come_one_by_one_as_arrays_and_as_lines() {
    let scratch = Scratch::with_config("");
    let host = scratch.serve();
    let p = |n: u32| prediction(&format!("p{n}"), n, 0.7);
    let o = |n: u32| outcome(&format!("p{n}"), n + 60, 1);
    let array = |rows: &[Value]| Value::from(rows.to_vec()).to_string();
    let nameless = || {
        let mut row = p(9);
        row.as_object_mut().expect("a row").remove("id");
        row.to_string()
    };
    let (socket, port) = (host.socket(), host.port());
    let counted = |reply: Reply| {
        let mut answer = reply.expect(200).json();
        let ids = answer.as_object_mut().expect("an object").remove("ids");
        (answer, ids.unwrap_or_default())
    };

    assert_eq!(counted(socket.post("/v1/predictions", p(0).to_string())), (accepted(1, 1), json!(["p0"])));
    assert_eq!(
        counted(port.post("/v1/predictions", array(&[p(0), p(1), p(2)]))),
        (accepted(3, 2), json!(["p0", "p1", "p2"]))
    );
    assert_eq!(
        counted(socket.post_lines("/v1/predictions", lines(&[p(3), p(4)]) + "\n")),
        (accepted(2, 2), Value::Null)
    );
    assert_eq!(counted(port.post("/v1/outcomes", o(0).to_string())).0, accepted(1, 1));
    assert_eq!(counted(socket.post("/v1/outcomes", array(&[o(0), o(1)]))).0, accepted(2, 1));
    assert_eq!(counted(port.post_lines("/v1/outcomes", lines(&[o(2), o(3)]))).0, accepted(2, 2));
    assert_eq!(counted(socket.post("/v1/predictions", "[]")), (accepted(0, 0), Value::Null));

    let (first, id) = counted(socket.post("/v1/predictions", nameless()));
    let (again, same) = counted(socket.post("/v1/predictions", nameless()));
    assert_eq!((first, again), (accepted(1, 1), accepted(1, 0)), "sent twice is one row");
    assert_eq!(id, same);
    assert!(id[0].as_str().is_some_and(|id| id.starts_with("r-")), "{id}");
    assert_eq!(host.stop(), Some(0));
    assert_eq!(scratch.rows(), (6, 4));
    scratch.verify();
}

/// Every question, and that the command line gives the same answer with a host that serves and without one.
#[test]
fn a_command_answers_the_same_whether_a_host_runs_or_not() {
    let scratch = told(STORY);
    // A host that serves brings the log's clock to today, and a day later what is still open is alerted again.
    scratch.serve().stop();
    let decision = scratch.json(&["decisions"])["decisions"][0]["id"].as_str().expect("an id").to_owned();
    let questions: [(&[&str], String); 9] = [
        (&["status"], "/v1/status".into()),
        (&["findings"], "/v1/findings".into()),
        (&["findings", "--open"], "/v1/findings?open=true".into()),
        (&["decisions"], "/v1/decisions".into()),
        (&["decisions", "show", &decision], format!("/v1/decisions/{decision}")),
        (&["check"], "/v1/check".into()),
        (&["baseline", "show"], "/v1/baselines".into()),
        (&["policy", "list"], "/v1/policies".into()),
        (&["may-trade", "m"], "/v1/may-trade?model=m".into()),
    ];
    // The host's ticks are entries of their own; what is compared is what does not depend on the clock.
    let answer = |mut answer: Value| {
        for key in ["at", "clock", "head", "folded"] {
            answer.as_object_mut().expect("an object").remove(key);
        }
        answer
    };
    let ask = |command: &[&str]| {
        let run = scratch.run(&[command, &["--json"]].concat());
        (run.code, answer(run.json()))
    };
    let alone: Vec<_> = questions.iter().map(|(command, _)| ask(command)).collect();
    let host = scratch.serve();
    for ((command, path), alone) in questions.iter().zip(alone) {
        assert!(ask(command) == alone, "{command:?}");
        for http in [host.socket(), host.port()] {
            assert!(answer(http.get(path).expect(200).json()) == alone.1, "{path}");
        }
    }
    assert_eq!(host.socket().get("/healthz").expect(200).body, "ok");
    assert_eq!(host.socket().get("/readyz").expect(200).body, "ready");
    scratch.verify();

    // What changes something is relayed too: the host that runs has the lock.
    let file = scratch.file("more.ndjson", lines(&[json!({ "prediction": prediction("more", 0, 0.7) })]));
    let report = scratch.json(&["import", &file]);
    assert_eq!((&report["new"], &report["unchanged"]), (&json!(1), &json!(0)));
    scratch.json(&[
        "baseline",
        "set",
        "--model",
        "m",
        "--version",
        "v2",
        "--samples",
        "9",
        "--accuracy",
        "0.5",
    ]);
    assert_eq!(
        host.socket().get("/v1/baselines?settled=true").json()["baselines"].as_array().map(Vec::len),
        Some(2)
    );
    drop(host);
    scratch.verify();
}

#[test]
fn the_kill_switch_holds_until_a_person_lifts_it() {
    let scratch = Scratch::with_config("");
    let mut host = scratch.serve();
    host.socket().post("/v1/predictions", prediction("p", 0, 0.7).to_string()).expect(200);
    let mut other = prediction("p", 0, 0.7);
    other["model"] = json!("other");
    host.socket().post("/v1/predictions", other.to_string()).expect(200);
    host.socket().get("/v1/status?settled=true").expect(200);

    /// All ways to ask agree.
    #[track_caller]
    fn check(scratch: &Scratch, host: Option<&Serving>, model: &str, allowed: bool, why: &str) {
        let run = scratch.run(&["may-trade", model, "--json"]).expect(if allowed { 0 } else { 4 });
        let mut answers = vec![run.json()];
        for http in host.iter().flat_map(|host| [host.socket(), host.port()]) {
            answers.push(http.get(&format!("/v1/may-trade?model={model}")).expect(200).json());
        }
        for answer in answers {
            assert_eq!(answer["allowed"], allowed, "{answer}");
            assert_eq!(answer["exposure"], f64::from(u8::from(allowed)), "{answer}");
            assert!(answer["reasons"].to_string().contains(why), "{answer}");
        }
    }

    check(&scratch, Some(&host), "m", true, "");
    check(&scratch, Some(&host), "nobody", false, "no prediction of this model was ever recorded");
    let act = |host: &Serving, what: Value| {
        let mut request = json!({ "actor": "ada", "reason": "strange prices" });
        request.as_object_mut().expect("an object").extend(what.as_object().expect("an object").clone());
        host.port().post("/v1/kill-switch", request.to_string()).expect(200);
    };

    act(&host, json!({ "model": "m", "on": true }));
    check(&scratch, Some(&host), "m", false, "ada: strange prices");
    check(&scratch, Some(&host), "other", true, "");
    host.kill();
    check(&scratch, None, "m", false, "ada: strange prices");
    host = scratch.serve();
    check(&scratch, Some(&host), "m", false, "ada: strange prices");

    scratch.run(&["kill", "on", "--all", "--reason", "lunch"]).expect(0);
    act(&host, json!({ "model": "m", "on": false }));
    check(&scratch, Some(&host), "m", false, "stopped on all models (tester: lunch)");
    check(&scratch, Some(&host), "other", false, "stopped on all models (tester: lunch)");
    assert_eq!(host.stop(), Some(0));
    check(&scratch, None, "other", false, "stopped on all models (tester: lunch)");
    scratch.run(&["kill", "off", "--all"]).expect(0);
    check(&scratch, None, "m", true, "");
    check(&scratch, None, "other", true, "");

    // To lift what was never set makes nobody known, not even for a moment.
    host = scratch.serve();
    for n in 0..50 {
        act(&host, json!({ "model": format!("nobody-{n}"), "on": false }));
        let answer = host.socket().get(&format!("/v1/may-trade?model=nobody-{n}")).expect(200).json();
        assert_eq!(answer["allowed"], false, "{answer}");
    }
    drop(host);
    scratch.verify();
}

#[test]
fn a_host_that_is_asked_to_end_finishes_and_cleans_up() {
    for signal in ["TERM", "INT"] {
        let scratch = Scratch::with_config("");
        let host = scratch.serve();
        // Asked to end at once, and while a client holds a connection open.
        let Http::Socket(socket) = host.socket() else { panic!("a socket") };
        host.socket().post("/v1/predictions", prediction("p", 0, 0.7).to_string()).expect(200);
        host.signal(signal);
        assert_eq!(host.wait(), Some(0), "{signal}");
        assert!(!socket.exists(), "{signal}: the socket is left");
        assert_eq!(scratch.rows(), (1, 0));
        scratch.verify();
    }
}

#[test]
fn a_reload_puts_changes_in_force_as_entries_of_the_log() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    scratch.configure(&policies, STORY);
    let host = scratch.serve();
    let http = host.socket();
    let rows = story(3);
    let (first, rest) = rows.split_at(rows.len() / 2);
    tell(&http, first);
    let in_force = || {
        let status = http.get("/v1/status?settled=true").json();
        (status["configuration"].clone(), status["policies"].clone())
    };
    // What a signal leads to comes a moment later.
    let reloaded = |before: &(Value, Value)| {
        (0..500).find_map(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            Some(in_force()).filter(|now| now != before)
        })
    };

    let before = in_force();
    scratch.configure(&policies, &format!("{STORY}[detectors.adwin]\nenabled = true\n"));
    host.signal("HUP");
    let configured = reloaded(&before).expect("the configuration is in force");
    assert_ne!(configured.0, before.0);
    assert_eq!(configured.1, before.1, "policies are as they were");
    scratch.verify();

    let manifest = policies.join("drift-ladder/policy.toml");
    let text = std::fs::read_to_string(&manifest).expect("reads");
    std::fs::write(&manifest, text.replace("default = \"48h\"", "default = \"24h\"")).expect("writes");
    host.signal("HUP");
    let swapped = reloaded(&configured).expect("the policy is in force");
    assert_eq!(swapped.0, configured.0, "the configuration is as it was");
    assert_ne!(swapped.1, configured.1);
    scratch.verify();

    // A mistake changes nothing, and the host lives.
    scratch.configure(&policies, "[alerts]\ninterval = \"soon\"\n");
    let refused = http.post("/v1/reload", "").expect(422).json();
    assert!(refused["error"]["message"].as_str().is_some_and(|text| text.contains("interval")), "{refused}");
    assert_eq!(in_force(), swapped);
    scratch.configure(&policies, &format!("{STORY}[detectors.adwin]\nenabled = true\n"));
    let head = http.get("/v1/status").json()["head"].clone();
    http.post("/v1/reload", "").expect(200);
    assert_eq!(http.get("/v1/status").json()["head"], head, "what did not change makes no entry");

    tell(&http, rest);
    scratch.verify();
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
}

#[test]
fn alerts_reach_the_queue_file_once_and_whole() {
    let scratch = stage(STORY);
    let host = scratch.serve();
    let queue = scratch.data().join("trade_alerts.json");
    let read = || match std::fs::read_to_string(&queue) {
        Ok(text) => serde_json::from_str::<Value>(&text).expect("is valid at any moment"),
        Err(_) => json!({ "alerts": [] }),
    };
    assert_eq!(read(), json!({ "alerts": [] }), "nothing is alerted before anything was found");
    let rows = story(7);
    for part in rows.chunks(50) {
        tell(&host.socket(), part);
        read();
    }
    host.socket().get("/v1/status?settled=true").expect(200);
    assert_eq!(host.stop(), Some(0));

    let (file, effects) = (read(), scratch.serve().socket().get("/v1/effects").json());
    let keys = |list: &Value| {
        list.as_array().expect("a list").iter().map(|item| item["key"].clone()).collect::<Vec<_>>()
    };
    let mut sent = keys(&effects["effects"]);
    sent.reverse();
    assert!(!sent.is_empty());
    assert_eq!(keys(&file["alerts"]), sent, "every alert once, the oldest first");
    assert_eq!(file["schema_version"], 1);
    let alert = &file["alerts"][0];
    assert_eq!(
        (&alert["channel"], &alert["alert"]["occasion"]),
        (&json!("chat"), &json!("firing")),
        "{alert}"
    );
    assert!(alert["message"]["title"].as_str().is_some_and(|title| !title.is_empty()), "{alert}");

    // More of the same within a day is not sent, and the decision says so.
    let decisions = scratch.json(&["decisions", "--limit", "1000"]);
    let verdicts: Vec<_> = decisions["decisions"]
        .as_array()
        .expect("a list")
        .iter()
        .flat_map(|decision| decision["verdicts"].as_array().expect("verdicts"))
        .collect();
    let suppressed = verdicts.iter().find(|verdict| verdict[1]["suppressed"].is_object());
    let why = suppressed.expect("the story drifts twice in a day")[1]["suppressed"]["why"]
        .as_str()
        .expect("a reason");
    assert!(why.contains("that it grew is said at most once in 1d") || why.contains("already, as"), "{why}");
    scratch.verify();
}

/// What a person in a hurry gets wrong is said, and nothing is undone by a number that is none.
#[test]
fn acts_name_what_cannot_be_meant() {
    let scratch = told(STORY);
    let run = |args: &[&str]| scratch.run(args);
    run(&["confidence", "set", "m", "0.7"]).expect(0);
    run(&["confidence", "set", "m", "NaN"]).expect(64).says(&["not a finite number"]);
    run(&["may-trade", "m"]).prints(&["at least 0.7"]);
    run(&["exposure", "set", "m", "inf"]).expect(64).says(&["not a finite number"]);
    run(&["exposure", "set", "m", "-0.1"]).expect(65).says(&["between 0 and 1"]);

    // A name that nobody has heard of is stopped all the same, and it is said.
    let mistyped = run(&["kill", "on", "mm", "--reason", "now"]).expect(0);
    assert!(mistyped.stderr.contains("no prediction of a model `mm`"), "{}", mistyped.stderr);
    assert_eq!(run(&["kill", "on", "m", "--reason", "now"]).expect(0).stderr, "");
    let long = "y".repeat(300);
    for name in ["", "a\u{1b}[2Jb", &long] {
        run(&["kill", "on", name]).expect(65).says(&["model: "]);
    }
    let reason = "r".repeat(5_000);
    run(&["kill", "on", "m", "--reason", &reason]).expect(65).says(&["reason: has 5000 bytes"]);
    // What is lifted is the stop of all; those that are stopped by themselves are named.
    run(&["kill", "on", "--all", "--reason", "lunch"]).expect(0);
    let lifted = run(&["kill", "off", "--all"]).expect(0);
    assert!(lifted.stdout.contains("the stop of all models is lifted"), "{}", lifted.stdout);
    assert!(lifted.stderr.contains("still stopped by themselves: `m`"), "{}", lifted.stderr);
    // A reason says one thing in one line.
    run(&["kill", "on", "m", "--reason", "why\nyes, exposure 1"]).expect(0);
    let may = run(&["may-trade", "m"]).expect(4);
    assert!(!may.stdout.lines().any(|line| line.starts_with("yes")), "{}", may.stdout);
    scratch.verify();
}
