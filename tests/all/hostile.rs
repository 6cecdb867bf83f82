//! Hostile policies on a host that runs, while rows come in: what a gate can catch is never in force, and the version
//! before decides on; what only a call shows fails by name, is left alone after a while, and keeps nobody else from
//! deciding. The list is that of the sandbox's own tests.

use std::{
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::{Value, json};

use self::cases::{Case, Outcome, cases, manifest};
use crate::support::{Http, STORY, Scratch, lines, stage, story};

#[path = "../../host/policy/src/tests/cases.rs"]
mod cases;
#[path = "../../host/policy/src/tests/core.rs"]
mod core;
#[path = "slow.rs"]
mod slow;

/// All that apply are asked, so that who decides well is seen beside who does not; two failures are enough.
fn config() -> String {
    let story = STORY.replace("\"m\"", "\"*\"");
    format!(
        "{story}[decisions]\npolicies = \"all\"\n[breaker]\nfailures = 2\npause = \"30d\"\nlongest = \"30d\"\n"
    )
}

fn put(folder: &Path, case: &Case) {
    std::fs::create_dir_all(folder).expect("makes");
    // Not asked about the models of the load, whose questions come at any time.
    let manifest = format!("{}[applies-to]\nmodel = [\"case-*\"]\n", manifest(case.lines));
    std::fs::write(folder.join("policy.toml"), manifest).expect("writes");
    // The name that the component before had, so that there is one.
    let name = folder.file_name().expect("a name").to_string_lossy().into_owned();
    std::fs::write(folder.join(format!("{name}.wasm")), &case.component).expect("writes");
}

/// Tells the story of a model of its own.
fn tell(http: &Http, model: &str) {
    let baseline = json!({ "model": model, "version": "v1", "samples": 2000, "accuracy": 0.9 });
    http.post("/v1/baselines", baseline.to_string()).expect(200);
    let rows = lines(&story(7)).replace("\"m\"", &format!("\"{model}\""));
    http.post_lines("/v1/rows", rows).expect(200);
}

fn in_force(http: &Http, name: &str) -> Value {
    let listed = http.get("/v1/policies").expect(200).json();
    let policies = listed["policies"].as_array().expect("a list");
    policies.iter().find(|policy| policy["name"] == name).cloned().unwrap_or_default()
}

/// What a policy answered about a model, oldest first.
fn decisions(scratch: &Scratch, model: &str, policy: &str) -> Vec<Value> {
    let all = scratch.json(&["decisions", "--model", model, "--limit", "10000"]);
    let all = all["decisions"].as_array().expect("a list").iter().rev();
    let by = |decision: &&Value| {
        decision["policy"]["name"] == policy && decision["question"]["drift-action"].is_object()
    };
    all.filter(by).cloned().collect()
}

#[test]
fn hostile_policies_are_named_and_the_others_decide_while_rows_come_in() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    scratch.configure(&policies, &config());
    let ladder = policies.join("drift-ladder");
    let good = ["policy.toml", "drift-ladder.wasm"].map(|file| {
        let path = ladder.join(file);
        (path.clone(), std::fs::read(path).expect("reads"))
    });
    let host = scratch.serve();
    let http = host.socket();
    let before = in_force(&http, "drift-ladder");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut models = 0;
            while !done.load(Ordering::Relaxed) {
                tell(&http, &format!("load-{models}"));
                models += 1;
            }
            models
        });
        // Whatever fails in here, the load must end.
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (number, case) in cases().iter().enumerate() {
                let model = format!("case-{number}");
                match &case.outcome {
                    Outcome::Refused(says) => {
                        put(&ladder, case);
                        check_refused(&http, case.name, says);
                        assert_eq!(in_force(&http, "drift-ladder"), before, "{}", case.name);
                        tell(&http, &model);
                    }
                    Outcome::Fails(..) | Outcome::Answers | Outcome::FailsAtTimes => {
                        for (path, bytes) in &good {
                            std::fs::write(path, bytes).expect("writes");
                        }
                        put(&policies.join("case"), case);
                        let answer = http.post("/v1/reload", "").expect(200).json();
                        assert_eq!(answer["problems"], json!([]), "{}: no gate can see it", case.name);
                        tell(&http, &model);
                        http.get("/v1/status?settled=true").expect(200);
                        check_asked(case, &decisions(&scratch, &model, "case"));
                    }
                }
                http.get("/v1/status?settled=true").expect(200);
                let decided = decisions(&scratch, &model, "drift-ladder");
                assert!(!decided.is_empty(), "{}: the ladder is asked", case.name);
                for decision in decided {
                    assert_eq!(decision["policy"]["digest"], before["digest"], "{}", case.name);
                    assert!(decision["answer"]["decision"].is_object(), "{}: {decision}", case.name);
                }
            }
        }));
        done.store(true, Ordering::Relaxed);
        let models = load.join().expect("the load runs");
        outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        for model in [0, models - 1] {
            let decided = decisions(&scratch, &format!("load-{model}"), "drift-ladder");
            assert!(decided.iter().all(|decision| decision["answer"]["decision"].is_object()));
            assert!(!decided.is_empty(), "rows came in and were decided about");
        }
    });
    scratch.verify();
    assert_eq!(host.stop(), Some(0));
}

/// A policy that fails about some of the models is left alone about each by itself, and at last, because they are many,
/// about all. A dry run of what is in force leaves it alone at the same questions, however models are dealt to workers.
#[test]
fn a_dry_run_of_what_is_in_force_differs_nowhere_for_any_number_of_workers() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    let traps = cases().into_iter().find(|case| case.name.contains("trap")).expect("a policy that traps");
    put(&policies.join("case"), &traps);
    scratch.configure(&policies, &config());
    let host = scratch.serve();
    let http = host.socket();
    for model in 0..10 {
        tell(&http, &format!("case-{model}"));
        tell(&http, &format!("m-{model}"));
    }
    // The host says it by itself, after the failures.
    let failing = || http.get("/v1/policies?settled=true").expect(200).json()["failures"][0].clone();
    let said = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        failing()["everywhere_until"].is_string()
    });
    assert!(said, "{}", failing());
    tell(&http, "case-late");
    http.get("/v1/status?settled=true").expect(200);
    assert_eq!(host.stop(), Some(0));
    let late = decisions(&scratch, "case-late", "case");
    assert!(late.iter().all(|decision| decision["answer"]["failed"]["kind"] == "circuit-open"), "{late:?}");
    assert!(!late.is_empty());
    for model in ["case-0", "case-2", "case-5"] {
        let failures: Vec<_> = decisions(&scratch, model, "case")
            .iter()
            .map(|decision| decision["answer"]["failed"]["kind"].as_str().unwrap_or("answered").to_owned())
            .collect();
        assert_eq!(failures[..3], ["trap", "trap", "circuit-open"], "{model}: {failures:?}");
    }
    let directory = policies.display().to_string();
    let reports = ["1", "2", "7"].map(|workers| {
        let args = ["policy", "dry-run", &directory, "--workers", workers, "--json"];
        let report = scratch.run(&args).expect(0).json();
        assert_eq!(report["diff"]["examples"], json!([]), "{workers} workers");
        report
    });
    assert!(reports[0]["diff"]["total"]["unchanged"].as_u64().is_some_and(|n| n > 20), "{}", reports[0]);
    assert_eq!(reports[0], reports[1]);
    assert_eq!(reports[0], reports[2]);
    scratch.verify();
}

/// It is not put in force, by name and cause, and a version before it is.
#[track_caller]
fn check_refused(http: &Http, name: &str, says: &[&str]) {
    let answer = http.post("/v1/reload", "").expect(200).json();
    let problem = &answer["problems"][0];
    assert_eq!(
        (&problem["name"], &problem["still_serving"]),
        (&json!("drift-ladder"), &json!(true)),
        "{name}"
    );
    let text = problem["problem"].as_str().expect("a text");
    for part in [says, &["drift-ladder"]].concat() {
        assert!(text.contains(part), "{name}: should say `{part}`: {text}");
    }
}

/// What it answered when it was asked, and what was done then.
#[track_caller]
fn check_asked(case: &Case, asked: &[Value]) {
    let name = case.name;
    assert!(asked.len() > 2, "{name}: {} calls", asked.len());
    let fails = |decision: &&Value| decision["answer"]["failed"].is_object();
    match case.outcome {
        Outcome::Fails(kind, says) => {
            for (number, decision) in asked.iter().enumerate() {
                let failed = &decision["answer"]["failed"];
                let expected = if number < 2 { kind.name() } else { "circuit-open" };
                assert_eq!(failed["kind"], expected, "{name}: {decision}");
                let message = failed["message"].as_str().expect("a message");
                assert!(
                    message.contains("`case`") && (number >= 2 || message.contains(says)),
                    "{name}: {message}"
                );
                assert_eq!(decision["verdicts"][0][0], json!({ "alert": "critical" }), "{name}: {decision}");
            }
        }
        Outcome::Answers => {
            assert_eq!(asked.iter().find(fails), None, "{name}");
            let may = ["refused", "done", "allowed"];
            for verdict in asked.iter().flat_map(|decision| decision["verdicts"].as_array().expect("a list"))
            {
                // A retrain is not switched on; to watch is always allowed.
                let expected = if verdict[0] == "retrain-now" { &may[..1] } else { &may[1..] };
                assert!(expected.iter().any(|kind| verdict[1][kind] != Value::Null), "{name}: {verdict}");
            }
        }
        Outcome::FailsAtTimes => {
            let failed = asked.iter().filter(fails).count();
            assert!(failed > 0 && failed < asked.len(), "{name}: {failed} of {}", asked.len());
        }
        Outcome::Refused(_) => unreachable!("it was not put in force"),
    }
}

/// Links that lead out, and a component that is written anew again and again while it is read: what is in force is always
/// one whole version.
#[test]
fn files_that_change_under_the_reader_are_read_whole_or_not_at_all() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    scratch.configure(&policies, STORY);
    let host = scratch.serve();
    let http = host.socket();
    let component = policies.join("drift-ladder/drift-ladder.wasm");
    let digest = || in_force(&http, "drift-ladder")["digest"].as_str().expect("a digest").to_owned();
    let first = std::fs::read(&component).expect("reads");
    // The same with a custom section at its end: nothing that runs differs.
    let second = [&first[..], &[0, 5, 4, b'n', b'o', b't', b'e']].concat();
    let versions = [&first, &second].map(|bytes| {
        std::fs::write(&component, bytes).expect("writes");
        assert_eq!(http.post("/v1/reload", "").expect(200).json()["problems"], json!([]));
        digest()
    });
    assert_ne!(versions[0], versions[1]);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                // In pieces, so that a reader may see the half of it.
                for bytes in [&first, &second] {
                    std::fs::write(&component, &bytes[..bytes.len() / 2]).expect("writes");
                    std::fs::write(&component, bytes).expect("writes");
                }
            }
        });
        let looks = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..100 {
                let answer = http.post("/v1/reload", "").expect(200).json();
                for problem in answer["problems"].as_array().expect("a list") {
                    assert_eq!(problem["still_serving"], true);
                    let text = problem["problem"].as_str().expect("a text");
                    assert!(text.contains("damaged") || text.contains("not a WebAssembly"), "{text}");
                }
                assert!(versions.contains(&digest()));
            }
        }));
        done.store(true, Ordering::Relaxed);
        looks.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });

    // A link out of the folder, even to the very same bytes.
    let outside = scratch.file("outside.wasm", &first);
    std::fs::remove_file(&component).expect("removes");
    std::os::unix::fs::symlink(outside, &component).expect("links");
    check_refused(&http, "symlink out of the directory", &["is a link, which is not followed"]);
    assert!(versions.contains(&digest()));
    scratch.verify();
    assert_eq!(host.stop(), Some(0));
}
