//! What the author of a policy does before anything is put in force: inspect, check, ask one question, run fixtures.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    policies::{MANIFEST, put, trapping},
    support::{Scratch, repository},
};

const QUESTION: &str = r#"{"findings": [{"detector": "e-sr", "severity": "high"}]}"#;

/// A scratch directory with a copy of the ladder, with these fixtures of its own.
fn ladder(fixtures: &[(&str, &str)]) -> (Scratch, String) {
    let scratch = Scratch::empty();
    let ladder = scratch.own_policies().join("drift-ladder");
    for (name, text) in fixtures {
        fixture(&ladder, name, text);
    }
    let named = ladder.display().to_string();
    (scratch, named)
}

fn fixture(policy: &Path, name: &str, text: &str) {
    let fixtures = policy.join("fixtures");
    std::fs::create_dir_all(&fixtures).expect("makes");
    std::fs::write(fixtures.join(name), text).expect("writes");
}

fn test(scratch: &Scratch, args: &[&str], code: i32) -> Value {
    let args: Vec<_> = ["policy", "test", "--json"].iter().chain(args).copied().collect();
    let run = scratch.run(&args).expect(code);
    run.json()
}

#[test]
fn fixtures_pass_or_say_what_differs() {
    let holds = "[[findings]]\ndetector = \"e-sr\"\nseverity = \"low\"\n[expect]\nactions = [\"monitor\"]\n";
    let differs = r#"{"summary": "wrong", "findings": [{"detector": "e-sr", "severity": "high"}],
        "settings": {"act-exposure": 0.3}, "expect": {"actions": ["monitor"], "reason-matches": ["^Low"]}}"#;
    let refused = "[settings]\nact-exposure = 7\n[[findings]]\ndetector = \"e-sr\"\nseverity = \"low\"\n[expect]\nfails = \"act-exposure\"\n";
    let (scratch, named) =
        ladder(&[("holds.toml", holds), ("differs.json", differs), ("refused.toml", refused)]);

    let report = test(&scratch, &[&named], 3);
    let tested = &report["policies"][0];
    let outcomes: Vec<_> = tested["fixtures"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|ran| (ran["name"].as_str().unwrap_or_default(), ran["outcome"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(outcomes, [("differs", "failed"), ("holds", "passed"), ("refused", "passed")]);
    let problems = tested["fixtures"][0]["problems"].to_string();
    assert!(problems.contains("expected [monitor], got [retrain-now, scale-exposure (0.3)"), "{problems}");
    assert!(problems.contains("expected /^Low/ to match"), "{problems}");
    assert_eq!(tested["exercised"]["severities"], json!(["high", "low"]));
    assert_eq!(tested["not_exercised"]["severities"], json!(["critical", "info", "medium"]));
    assert_eq!(tested["exercised"]["settings"], json!(["act-exposure"]));
    assert_eq!(tested["exercised"]["failures"], 1);

    // For people, with the coverage line.
    let run = scratch.run(&["policy", "test", &named]).expect(3);
    run.prints(&[
        "FAIL  differs: wrong",
        "pass  holds",
        "3 fixtures, 1 failed",
        "exercised: questions drift-action",
    ]);

    // Nothing was written. With --update what is answered becomes what is expected, and the rest stays.
    let file = Path::new(&named).join("fixtures/differs.json");
    assert_eq!(std::fs::read_to_string(&file).expect("reads"), differs);
    assert_eq!(test(&scratch, &[&named, "--update"], 0)["policies"][0]["updated"], 1);
    let written = std::fs::read_to_string(&file).expect("reads");
    assert!(written.starts_with(differs.split("\"expect\"").next().expect("a beginning")), "{written}");
    let written: Value = serde_json::from_str(&written).expect("is JSON");
    assert_eq!(
        written["expect"]["actions"],
        json!(["retrain-now", {"scale-exposure": 0.3}, {"alert": "high"}])
    );
    assert_eq!(test(&scratch, &[&named], 0)["policies"][0]["passed"], 3);
}

#[test]
fn fixtures_that_cannot_be_run_fail() {
    let (scratch, named) = ladder(&[]);
    test(&scratch, &[&named], 0);
    scratch
        .run(&["policy", "test", &named, "--fail-on-empty"])
        .expect(66)
        .says(&["`drift-ladder` has no fixtures"]);
    for (text, words) in [
        (QUESTION, &["expects nothing", "--update"][..]),
        ("{\"findings\": [], \"expect\": {\"actions\": []}}", &["asks nothing"]),
        ("{\"findings\": 7}", &["bad.json", "at findings", "integer `7`", "a sequence"]),
        ("\u{7}", &["bad.json", "line 1"]),
    ] {
        fixture(Path::new(&named), "bad.json", text);
        let problems = test(&scratch, &[&named], 3)["policies"][0]["fixtures"][0]["problems"].to_string();
        for word in words {
            assert!(problems.contains(word), "should say `{word}`: {problems}");
        }
    }
    // A failure never becomes what is expected.
    let trap = scratch.own_policies();
    put(&trap, "trap", MANIFEST.as_bytes(), &trapping());
    let trap = trap.join("trap");
    fixture(&trap, "asks.json", QUESTION);
    let named = trap.display().to_string();
    assert_eq!(test(&scratch, &[&named, "--update"], 3)["policies"][0]["failed"], 1);
    assert_eq!(std::fs::read_to_string(trap.join("fixtures/asks.json")).expect("reads"), QUESTION);
}

#[test]
fn one_question_is_answered_with_all_that_there_is_to_know() {
    let scratch = Scratch::with_config("");
    let question = scratch.file("question.json", QUESTION);
    let said =
        scratch.run(&["policy", "run", "drift-ladder", "--input", &question, "--json"]).expect(0).json();
    assert_eq!(said["kind"], "drift-action");
    assert_eq!(said["answer"]["actions"], json!(["retrain-now", {"scale-exposure": 0.5}, {"alert": "high"}]));
    assert_eq!(said["reads"][0]["recent"]["metric"], "accuracy", "{said}");
    assert!(said["fuel"].as_u64().is_some_and(|fuel| fuel > 0) && said["failure"].is_null(), "{said}");
    let run = scratch.run(&["policy", "run", "drift-ladder", "--input", &question]).expect(0);
    run.prints(&["answered   [retrain-now, scale-exposure (0.5), alert (high)]: High", "units of fuel"]);

    // Fixtures are questions, too.
    let fixture = repository().join("policies/drift-ladder/fixtures/medium-watches.toml");
    let fixture = fixture.to_str().expect("UTF-8");
    scratch.run(&["policy", "run", "drift-ladder", "--input", fixture]).expect(0);
}

#[test]
fn a_bad_question_is_named_with_its_path_and_type() {
    let scratch = Scratch::with_config("");
    let finding =
        |more: &str| format!(r#"{{"findings": [{{"detector": "e-sr", "severity": "high"{more}}}]}}"#);
    let cases: [(String, &[&str]); 6] = [
        (
            finding(r#", "current": {"value": "0.61"}"#),
            &["findings[0].current.value", "string \"0.61\"", "f64"],
        ),
        (finding(r#", "p-value": true"#), &["findings[0].p-value", "boolean `true`", "f64"]),
        (finding(r#", "sevrity": "low""#), &["findings[0].sevrity", "unknown field"]),
        (r#"{"findings": {}}"#.into(), &["findings", "expected a sequence"]),
        (
            r#"{"settings": {"act-exposure": "much"}, "findings": [{"detector": "a", "severity": "low"}]}"#
                .into(),
            &["act-exposure", "number"],
        ),
        (String::new(), &["EOF"]),
    ];
    for (text, words) in cases {
        let file = scratch.file("bad.json", text);
        scratch.run(&["policy", "run", "drift-ladder", "--input", &file]).expect(65).says(words);
    }
    let other = scratch.file("question.yaml", "");
    scratch.run(&["policy", "run", "drift-ladder", "--input", &other]).expect(65).says(&[".json or .toml"]);
    scratch
        .run(&["policy", "run", "drift-ladder", "--input", "/nowhere.json"])
        .expect(74)
        .says(&["/nowhere.json"]);
    // The policy answers another question.
    let schedule = scratch.file("schedule.json", "{\"conditions\": {}}");
    let run = scratch.run(&["policy", "run", "drift-ladder", "--input", &schedule]).expect(65);
    run.prints(&["failed", "retrain-schedule"]);
}

#[test]
fn check_says_what_the_host_would() {
    let (scratch, named) = ladder(&[]);
    let run = scratch.run(&["policy", "check", &named]).expect(0);
    run.prints(&["ok      drift-ladder: answers drift-action", "it has no examples"]);
    let policies = scratch.own_policies();
    put(&policies, "greedy", b"summary = \"a test\"\n[grants]\nstate = true\n", &trapping());
    put(&policies, "broken", MANIFEST.as_bytes(), b"\0asm\x01\0\0\0");
    let both = [policies.join("greedy"), policies.join("broken")].map(|folder| folder.display().to_string());
    let run = scratch.run(&["policy", "check", &both[0], &both[1]]).expect(65);
    run.prints(&[
        "state is granted and not imported",
        "refused policy `broken`: this is a core WebAssembly module",
    ]);
    let report = scratch.run(&["policy", "check", &both[1], "--json"]).expect(65).json();
    assert_eq!(report["policies"][0]["ok"], false);

    // A fixture that fails is a gate, and so are the settings of the data directory.
    fixture(Path::new(&named), "wrong.json", &QUESTION.replace("]}", r#"], "expect": {"actions": []}}"#));
    scratch.run(&["policy", "check", &named]).expect(65).prints(&["fails its own fixtures", "wrong: "]);
    let scratch = Scratch::with_config("[policies.drift-ladder.settings]\nchance = 2\n");
    scratch.run(&["policy", "check", "drift-ladder"]).expect(65).prints(&["chance", "largest allowed"]);
    // Nothing named: all of the policies directory.
    let scratch = Scratch::with_config("");
    let report = scratch.run(&["policy", "check", "--json"]).expect(0).json();
    assert!(report["policies"].as_array().is_some_and(|policies| policies.len() >= 2), "{report}");
    // A link out of the directory is fine elsewhere and refused there.
    let policies = scratch.own_policies();
    scratch.configure(&policies, "");
    let ladder = repository().join("policies/drift-ladder");
    for (place, code) in [(scratch.path("linked"), 0), (policies.join("linked"), 65)] {
        std::os::unix::fs::symlink(&ladder, &place).expect("links");
        let run = scratch.run(&["policy", "check", &place.display().to_string()]).expect(code);
        run.prints(&[if code == 0 { "linked: answers drift-action" } else { "leads out of its folder" }]);
    }
    scratch.run(&["policy", "check", "linked"]).expect(65).prints(&["leads out of its folder"]);
}

#[test]
fn inspect_holds_imports_against_grants() {
    let scratch = Scratch::with_config("");
    let told = scratch.run(&["policy", "inspect", "drift-ladder", "--json"]).expect(0).json();
    assert_eq!(told["kinds"], json!(["drift-action"]));
    assert_eq!(told["interface"], json!(["0.1.0"]));
    assert_eq!(told["imports"], json!(["history", "settings"]));
    assert_eq!(told["grants"], json!(["history"]));
    assert_eq!(told["signature"], "not signed");
    scratch
        .run(&["policy", "inspect", "drift-ladder"])
        .expect(0)
        .prints(&["trimtab:policy 0.1.0", "history (granted)"]);
}
