//! Policies directories with bad policies in them: each is named with its mistake, the host lives, the others decide,
//! and an earlier good version keeps serving.

use std::path::Path;

use serde_json::{Value, json};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use crate::support::{STORY, lines, repository, stage, story};

pub(crate) const MANIFEST: &str = "summary = \"a test\"\n";

/// A drift-action policy on this text of the interface, with further items and imports of its module.
fn component(wit: &str, version: &str, import: &str, items: &str) -> Vec<u8> {
    let mut resolve = wit_parser::Resolve::default();
    resolve.push_str("policy.wit", wit).expect("the policy interface parses");
    let world = format!(
        "package test:case; world test {{ include trimtab:policy/drift-action-policy@{version}; {import} }}"
    );
    let package = resolve.push_str("test.wit", &world).expect("the world parses");
    let world = resolve.select_world(&[package], Some("test")).expect("there is one world");
    let mut module = wat::parse_str(format!(
        r#"(module {items}
            (memory (export "memory") 1)
            (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
            (func (export "trimtab:policy/drift-action@{version}#decide") (param i32 i32) (result i32) unreachable))"#
    ))
    .expect("the module parses");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    let mut encoder = ComponentEncoder::default();
    encoder
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .expect("the module fits its world")
}

fn wit() -> String {
    std::fs::read_to_string(repository().join("wit/policy.wit")).expect("reads")
}

/// A policy that is accepted, and stops with a trap when it is asked.
pub(crate) fn trapping() -> Vec<u8> {
    component(&wit(), "0.1.0", "", "")
}

pub(crate) fn put(policies: &Path, name: &str, manifest: &[u8], component: &[u8]) {
    let folder = policies.join(name);
    std::fs::create_dir_all(&folder).expect("makes");
    std::fs::write(folder.join("policy.toml"), manifest).expect("writes");
    std::fs::write(folder.join(format!("{name}.wasm")), component).expect("writes");
}

fn names(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|item| item["name"].as_str().expect("a name")).collect()
}

/// The boundary of the policies directory: this one is not in force, and why.
#[track_caller]
fn check(listed: &Value, name: &str, still_serving: bool, words: &[&str]) {
    let problem =
        listed["problems"].as_array().expect("a list").iter().find(|problem| problem["name"] == name);
    let problem = problem.unwrap_or_else(|| panic!("{name} is not among the problems: {listed}"));
    assert_eq!(problem["still_serving"], still_serving, "{problem}");
    for word in words {
        assert!(
            problem["problem"].as_str().is_some_and(|text| text.contains(word)),
            "should say `{word}`: {problem}"
        );
    }
    assert_eq!(names(&listed["policies"]).contains(&name), still_serving, "{listed}");
}

/// Name, manifest, component, and what is said of it.
type Case<'a> = (&'a str, &'a [u8], Vec<u8>, &'a [&'a str]);

#[test]
fn bad_policies_are_named_and_the_others_decide() {
    let shipped =
        std::fs::read(repository().join("policies/drift-ladder/drift-ladder.wasm")).expect("is built");
    let wit = wit();
    let other_version =
        |version: &str| component(&wit.replace("@0.1.0;", &format!("@{version};")), version, "", "");
    let uses_state = r#"(import "trimtab:policy/state@0.1.0" "remove" (func (param i32 i32)))"#;
    let m = MANIFEST.as_bytes();
    #[rustfmt::skip]
    let cases: [Case<'_>; 12] = [
        ("core-module", m, wat::parse_str("(module)").expect("parses"),      &["core WebAssembly module", "wasm32-wasip2"]),
        ("truncated",   m, shipped[..shipped.len() / 2].to_vec(),            &["damaged"]),
        ("script",      m, b"#!/bin/sh\nexit 0\n".to_vec(),                  &["not a WebAssembly component"]),
        ("empty",       m, Vec::new(),                                       &["not a WebAssembly component"]),
        ("mute",        m, wat::parse_str("(component)").expect("parses"),   &["answers no question"]),
        ("too-new",     m, other_version("0.2.0"),                           &["0.2.0", "this host serves 0.1"]),
        ("ungranted",   m, component(&wit, "0.1.0", "import trimtab:policy/state@0.1.0;", uses_state), &["state", "not granted", "[grants]"]),
        ("endless",     m, component(&wit, "0.1.0", "", "(func $start (loop br 0)) (start $start)"), &["as soon as it is loaded", "fuel"]),
        ("broken-toml", b"summary = ", trapping(),                           &["policy.toml:1", "summary"]),
        ("unknown-key", b"summary = \"s\"\nmood = \"bad\"\n", trapping(),    &["policy.toml:2", "mood"]),
        ("latin",       b"summary = \"\xe9\"\n", trapping(),                 &["policy.toml", "UTF-8"]),
        ("Shouting",    m, trapping(),                                       &["`Shouting`", "rename the folder"]),
    ];
    let scratch = stage("");
    let policies = scratch.own_policies();
    for (name, manifest, component, _) in &cases {
        put(&policies, name, manifest, component);
    }
    std::fs::create_dir(policies.join("hollow")).expect("makes");
    scratch.configure(&policies, STORY);

    let host = scratch.serve();
    let listed = scratch.json(&["policy", "list"]);
    for (name, _, _, words) in &cases {
        check(&listed, name, false, &[words, &[*name][..]].concat());
    }
    check(&listed, "hollow", false, &["hollow has no policy.toml"]);
    assert_eq!(names(&listed["policies"]), ["chat-alert", "drift-ladder"]);
    let text = scratch.run(&["policy", "list"]).expect(0).stdout;
    assert!(cases.iter().all(|(name, ..)| text.contains(name)), "{text}");

    host.socket().post_lines("/v1/rows", lines(&story(7))).expect(200);
    let decisions = scratch.json(&["decisions", "--limit", "1000"]);
    let asked = |name: &str| {
        let decisions = decisions["decisions"].as_array().expect("a list").iter();
        decisions.filter(|decision| decision["policy"]["name"] == name).count()
    };
    assert!(asked("drift-ladder") > 0 && asked("chat-alert") > 0, "{decisions}");
    scratch.verify();
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn an_earlier_good_version_keeps_serving() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    scratch.configure(&policies, STORY);
    let host = scratch.serve();
    let before = scratch.json(&["policy", "list"]);
    assert_eq!(before["problems"], json!([]));

    let wasm = policies.join("drift-ladder/drift-ladder.wasm");
    let good = std::fs::read(&wasm).expect("reads");
    std::fs::write(&wasm, &good[..1_000]).expect("writes");
    let answer = host.socket().post("/v1/reload", "").expect(200).json();
    assert_eq!(
        (&answer["problems"][0]["name"], &answer["problems"][0]["still_serving"]),
        (&json!("drift-ladder"), &json!(true))
    );
    let listed = scratch.json(&["policy", "list"]);
    check(&listed, "drift-ladder", true, &["damaged"]);
    assert_eq!(listed["policies"], before["policies"], "what is in force is what was");

    // It also serves after a crash, from what the log keeps.
    host.kill();
    let host = scratch.serve();
    check(&scratch.json(&["policy", "list"]), "drift-ladder", true, &["damaged"]);
    host.socket().post_lines("/v1/rows", lines(&story(7))).expect(200);
    let decisions = scratch.json(&["decisions", "--limit", "1000"])["decisions"].to_string();
    assert!(decisions.contains("\"drift-ladder\""), "{decisions}");
    assert!(!decisions.contains("\"failed\""), "{decisions}");
    scratch.verify();

    std::fs::write(&wasm, &good).expect("writes");
    host.socket().post("/v1/reload", "").expect(200);
    let mended = scratch.json(&["policy", "list"]);
    assert_eq!(mended["policies"], before["policies"], "mended, it is in force as before");
    assert_eq!(mended["problems"], json!([]));
}

#[test]
fn a_policy_that_fails_when_asked_raises_a_critical_alert_and_no_finding_is_dropped() {
    let scratch = stage("");
    let policies = scratch.path("policies");
    put(&policies, "trapping", MANIFEST.as_bytes(), &trapping());
    scratch.configure(&policies, STORY);
    let file = scratch.file("story.ndjson", lines(&story(7)));
    scratch.run(&["import", &file]).expect(0);
    let decisions = scratch.json(&["decisions", "--limit", "1000"]);
    let decisions = decisions["decisions"].as_array().expect("a list");
    assert!(!decisions.is_empty());
    for decision in decisions {
        assert_eq!(decision["answer"]["failed"]["kind"], "trap", "{decision}");
        assert_eq!(
            decision["verdicts"][0][0],
            json!({ "alert": "critical" }),
            "the fail-safe applies: {decision}"
        );
    }
    let queue = std::fs::read_to_string(scratch.data().join("trade_alerts.json")).expect("reads");
    let queue: Value = serde_json::from_str(&queue).expect("is valid");
    let alert = &queue["alerts"][0]["alert"];
    assert_eq!(alert["severity"], "critical");
    assert!(alert["reason"].as_str().is_some_and(|reason| reason.contains("policy `trapping`")), "{alert}");
    scratch.verify();
}

/// The value of the one series of this name with these labels, in any order.
#[track_caller]
fn series(text: &str, name: &str, labels: &[(&str, &str)]) -> f64 {
    let of = |line: &&str| {
        let rest = line.strip_prefix(name).filter(|rest| rest.starts_with(['{', ' ']));
        rest.is_some_and(|rest| {
            labels.iter().all(|(key, value)| rest.contains(&format!("{key}=\"{value}\"")))
        })
    };
    let mut found = text.lines().filter(of);
    let line = found.next().unwrap_or_else(|| panic!("no {name} with {labels:?} in\n{text}"));
    assert_eq!(found.next(), None, "{name} with {labels:?} is several");
    let value = line.rsplit_once(' ').expect("a value").1;
    value.parse().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn monitoring_sees_calls_failures_and_what_is_not_in_force() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    put(&policies, "trapping", MANIFEST.as_bytes(), &trapping());
    put(&policies, "empty", MANIFEST.as_bytes(), b"");
    scratch.configure(&policies, &format!("{STORY}\n[decisions]\npolicies = \"all\"\n"));
    let host = scratch.serve();
    host.socket().post_lines("/v1/rows", lines(&story(7))).expect(200);
    host.socket().get("/v1/findings?settled=true").expect(200);
    let listed = scratch.json(&["policy", "list"]);

    let scraped = host.port().get("/metrics").expect(200).body;
    assert!(scraped.ends_with("# EOF\n"), "{scraped}");
    assert_eq!(series(&scraped, "trimtab_log_entries", &[]), series(&scraped, "trimtab_folded_entries", &[]));
    assert_eq!(series(&scraped, "trimtab_fold_stopped", &[]), 0.0);
    assert_eq!(series(&scraped, "trimtab_policy_refused", &[("policy", "empty"), ("serving", "no")]), 1.0);
    assert!(!scraped.contains("trimtab_policy_refused{policy=\"trapping\""), "{scraped}");
    for call in listed["calls"].as_array().expect("a list") {
        let text = |key: &str| call[key].as_str().expect("a text");
        let (name, digest, question) = (text("name"), &text("digest")[..12], text("question"));
        let labels = [("policy", name), ("digest", digest), ("question", question)];
        let of = |suffix: &str| {
            series(&scraped, &format!("trimtab_policy_call_duration_seconds_{suffix}"), &labels)
        };
        let calls = call["calls"].as_f64().expect("a number");
        assert!(calls > 0.0);
        assert_eq!(of("count"), calls);
        let total = call["total_us"].as_f64().expect("a number") / 1e6;
        assert!((of("sum") - total).abs() <= 1e-9, "{} against {total}", of("sum"));
        let up_to = |bound| {
            let labels = [&labels[..], &[("le", bound)]].concat();
            series(&scraped, "trimtab_policy_call_duration_seconds_bucket", &labels)
        };
        assert_eq!(up_to("+Inf"), calls);
        assert!(up_to("0.001") <= up_to("5.0"));
        assert_eq!(
            series(&scraped, "trimtab_policy_in_force", &[labels[0], labels[1], ("mode", "enforce")]),
            1.0
        );
        if name == "trapping" {
            let labels = [&labels[..], &[("failure", "trap")]].concat();
            assert_eq!(series(&scraped, "trimtab_policy_failures_total", &labels), calls);
            assert!(series(&scraped, "trimtab_policy_failures_in_a_row", &[("policy", name)]) >= 1.0);
        } else {
            assert!(!scraped.contains(&format!("failures_in_a_row{{policy=\"{name}\"")), "{scraped}");
        }
    }
    let asked = |name: &str| listed["calls"].to_string().contains(name);
    assert!(asked("trapping") && asked("drift-ladder") && asked("chat-alert"), "{listed}");
}

/// What the operator grants is what a policy gets, whatever it asks for, and both are shown.
#[test]
fn an_operators_caps_are_what_policies_get_and_are_shown() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    scratch.configure(&policies, &format!("{STORY}[limits]\nmemory = \"8MiB\"\nlog-lines = 7\n"));
    let listed = scratch.json(&["policy", "list"]);
    let cut: Vec<_> = listed["not_granted"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|cut| cut["policy"]["name"] == "drift-ladder")
        .map(|cut| (cut["limit"].clone(), cut["asked"].clone(), cut["granted"].clone()))
        .collect();
    assert_eq!(
        cut,
        [(json!("memory"), json!("16MiB"), json!("8MiB")), (json!("log-lines"), json!("100"), json!("7"))]
    );
    scratch
        .run(&["policy", "list"])
        .expect(0)
        .prints(&["`drift-ladder` asks for memory 16MiB", "allows 8MiB"]);
    scratch.run(&["policy", "inspect", "drift-ladder"]).expect(0).prints(&[
        "memory 8MiB",
        "not given  memory 16MiB",
        "not given  log-lines 100",
        "[limits] allows 7",
    ]);
    // One that cannot do its work with that fails its own examples, and says which limit it was.
    let fixture =
        "[[findings]]\ndetector = \"e-sr\"\nseverity = \"high\"\n[expect]\nactions = [\"retrain-now\"]\n";
    std::fs::create_dir(policies.join("drift-ladder/fixtures")).expect("makes");
    std::fs::write(policies.join("drift-ladder/fixtures/one.toml"), fixture).expect("writes");
    let manifest = policies.join("drift-ladder/policy.toml");
    let text = std::fs::read_to_string(&manifest).expect("reads");
    std::fs::write(&manifest, format!("# anew\n{text}")).expect("writes");
    scratch.configure(&policies, &format!("{STORY}[limits]\nfuel = 1000\n"));
    let listed = scratch.json(&["policy", "list"]);
    check(&listed, "drift-ladder", true, &["policy `drift-ladder`", "fuel of 1000", "limits.fuel"]);
}
