//! What the author of a policy does before anything is put in force: inspect, check, ask one question, run fixtures.

use std::{io::Write, path::Path, process::Stdio};

use serde_json::{Value, json};

use crate::{
    policies::{MANIFEST, put, trapping},
    support::{Run, Scratch, repository},
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
    let file = policy.join("fixtures").join(name);
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("makes");
    std::fs::write(file, text).expect("writes");
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
    // One document, with the report, whatever the exit code.
    let report = test(&scratch, &[&named, "--fail-on-empty"], 66);
    assert_eq!(report["policies"][0]["fixtures"], json!([]));
    scratch
        .run(&["policy", "test", &named, "--fail-on-empty"])
        .expect(66)
        .says(&["`drift-ladder` has no fixtures"]);
    // A file that is wrong is no answer that differs.
    #[rustfmt::skip]
    let cases: [(&str, &str, i32, &[&str]); 9] = [
        ("bad.json", QUESTION,                                          3, &["expects nothing", "--update"]),
        ("bad.json", r#"{"findings": [], "expect": {"actions": []}}"#, 65, &["asks nothing"]),
        ("bad.json", r#"{"findings": 7}"#,                             65, &["bad.json", "at findings: must be a list; it is `7`"]),
        ("bad.json", "\u{7}",                                          65, &["bad.json", "line 1"]),
        ("bad.json", r#"{"inventory": {"versions": []}}"#,             65, &["bad.json", "`drift-ladder` answers drift-action; the question is cleanup"]),
        ("bad.yaml", "",                                               65, &["bad.yaml: is not read", ".toml or .json"]),
        ("bad.TOML", QUESTION,                                         65, &["bad.TOML: is not read"]),
        ("deep/bad.json", QUESTION,                                    65, &["deep: is not read", "a file in this folder"]),
        ("deep.json/bad.json", QUESTION,                               65, &["deep.json", "not a plain file"]),
    ];
    let fixtures = Path::new(&named).join("fixtures");
    for (file, text, code, words) in cases {
        fixture(Path::new(&named), file, text);
        let report = test(&scratch, &[&named], code);
        let tested = &report["policies"][0];
        let outcome = if code == 65 { "invalid" } else { "failed" };
        assert_eq!(
            (&tested["fixtures"][0]["outcome"], &tested[outcome]),
            (&json!(outcome), &json!(1)),
            "{file}"
        );
        let problems = tested["fixtures"][0]["problems"].to_string();
        for word in words {
            assert!(problems.contains(word), "should say `{word}`: {problems}");
        }
        std::fs::remove_dir_all(&fixtures).expect("removes");
    }
    // What editors leave is none.
    for name in ["bad.json~", ".bad.json.swp", "#bad.json#"] {
        fixture(Path::new(&named), name, "half a f");
    }
    test(&scratch, &[&named, "--fail-on-empty"], 66);
    // What is beyond the most that are run is not left out in silence.
    for n in 0..=1000 {
        fixture(Path::new(&named), &format!("{n}.yaml"), "");
    }
    let report = test(&scratch, &[&named], 65);
    let ran = report["policies"][0]["fixtures"].as_array().expect("a list");
    let last = ran.last().expect("some")["problems"].to_string();
    assert!(ran.len() == 1001 && last.contains("has 1001 files; at most 1000 are run"), "{last}");
    std::fs::remove_dir_all(&fixtures).expect("removes");
    // Hidden files are nobody's examples.
    fixture(Path::new(&named), ".gitkeep", "");
    test(&scratch, &[&named], 0);
    // A failure never becomes what is expected.
    let trap = scratch.own_policies();
    put(&trap, "trap", MANIFEST.as_bytes(), &trapping());
    let trap = trap.join("trap");
    fixture(&trap, "asks.json", QUESTION);
    let named = trap.display().to_string();
    assert_eq!(test(&scratch, &[&named, "--update"], 3)["policies"][0]["failed"], 1);
    assert_eq!(std::fs::read_to_string(trap.join("fixtures/asks.json")).expect("reads"), QUESTION);
}

/// Only what a question came to counts, and only what is another value than the default.
#[test]
fn what_was_not_asked_is_not_exercised() {
    let (scratch, named) = ladder(&[
        ("other-kind.json", r#"{"conditions": {}}"#),
        ("refused.json", &QUESTION.replace("{\"f", r#"{"settings": {"chance": 7}, "f"#)),
    ]);
    let report = test(&scratch, &[&named], 65);
    let exercised = &report["policies"][0]["exercised"];
    assert_eq!((&exercised["kinds"], &exercised["settings"]), (&json!([]), &json!([])), "{exercised}");
}

/// What holds stays as its author wrote it, and what is not looked at does not become so.
#[test]
fn an_update_changes_only_what_does_not_hold() {
    let narrow = "[[findings]]\ndetector = \"e-sr\"\nseverity = \"high\"\n\n[expect]\n# never that\nexcludes = [\"kill-switch-on\"]\n# the level\nincludes = [{ alert = \"low\" }] # of late\nreason-matches = [\"^High\"]\n";
    let (scratch, named) = ladder(&[("narrow.toml", narrow)]);
    test(&scratch, &[&named, "--update"], 0);
    let written = std::fs::read_to_string(Path::new(&named).join("fixtures/narrow.toml")).expect("reads");
    let actions = "[\"retrain-now\", { scale-exposure = 0.5 }, { alert = \"high\" }]";
    assert_eq!(written, narrow.replace("[{ alert = \"low\" }]", actions));
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
    run.prints(&[
        "read       accuracy over the last 100: nothing",
        "answered   [retrain-now, scale-exposure (0.5), alert (high)]: High",
        "units of fuel",
    ]);

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
    let of = |policy: &str, file: &str| scratch.run(&["policy", "run", policy, "--input", file]);
    let long = format!(r#"{{"summary": "{}", "conditions": {{}}}}"#, "a".repeat(256 << 10));
    #[rustfmt::skip]
    let cases: [(&str, Vec<u8>, &[&str]); 14] = [
        ("drift-ladder", finding(r#", "current": {"value": "0.61"}"#).into(), &["findings[0].current.value: must be a number; it is the text \"0.61\""]),
        ("drift-ladder", finding(r#", "p-value": true"#).into(),              &["findings[0].p-value: must be a number; it is `true`"]),
        ("drift-ladder", finding(r#", "sevrity": "low""#).into(),             &["findings[0].sevrity", "unknown field"]),
        ("drift-ladder", r#"{"findings": {}}"#.into(),                        &["findings", "must be a list"]),
        ("drift-ladder", "[]".into(),                                         &["must be an object; it is a list"]),
        ("drift-ladder", "".into(),                                           &["EOF"]),
        ("drift-ladder", vec![b'"', 0xff, b'"'],                              &["bad.json: this is not UTF-8 text"]),
        ("drift-ladder", long.into(),                                         &["bad.json: is longer than 262144 bytes"]),
        ("drift-ladder", QUESTION.replace("{\"f", r#"{"settings": {"act-exposure": "much"}, "f"#).into(), &["act-exposure", "number"]),
        ("drift-ladder", QUESTION.replace("{\"f", r#"{"experiment": {"design": "canary", "running": "1d", "champion": {"version": "a"}, "challenger": {"version": "b"}}, "f"#).into(),
                                                                              &["keep one of [[findings]] and [experiment]"]),
        // What cannot be, and what the policy is not asked.
        ("volatility-schedule", r#"{"conditions": {"daily-volatility": -1}}"#.into(), &["at conditions.daily-volatility: is -1; it must be 0 or more"]),
        ("version-cleanup", r#"{"inventory": {"versions": [{"version": "v9", "stage": "archived"}, {"version": "v9", "stage": "archived"}]}}"#.into(),
                                                                              &["at inventory.versions[1].version: `v9` is there twice"]),
        ("drift-ladder", r#"{"conditions": {}}"#.into(),                      &["bad.json: policy `drift-ladder` answers drift-action; the question is retrain-schedule"]),
        ("chat-alert", r#"{"alert": {"severity": "low", "reason": "a"}, "channel": "fax"}"#.into(), &["at channel: policy `chat-alert` does not write for `fax`; its channels are chat"]),
    ];
    for (policy, text, words) in cases {
        let file = scratch.file("bad.json", text);
        of(policy, &file).expect(65).says(words);
    }
    let other = scratch.file("question.yaml", "");
    of("drift-ladder", &other).expect(65).says(&[".json or .toml"]);
    of("drift-ladder", "/nowhere.json").expect(74).says(&["/nowhere.json"]);
}

/// From stdin as from a file.
#[test]
fn a_question_from_stdin_is_bounded_in_the_same_way() {
    let scratch = Scratch::with_config("");
    let ask = |question: &str| {
        let mut child = scratch
            .command(&["policy", "run", "drift-ladder", "--input", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        // It may have ended before it read all of it.
        child.stdin.take().expect("piped").write_all(question.as_bytes()).ok();
        Run::of(child.wait_with_output().expect("ends"))
    };
    ask(QUESTION).expect(0).prints(&["answered"]);
    ask(&" ".repeat((256 << 10) + 1)).expect(65).says(&["-: is longer than 262144 bytes"]);
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
        run.prints(&[if code == 0 { "linked: answers drift-action" } else { "is a link" }]);
    }
    scratch.run(&["policy", "check", "linked"]).expect(65).prints(&["is a link"]);
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
    assert_eq!(
        (&told["mode"], &told["order"], &told["channels"]),
        (&json!("enforce"), &json!(100), &json!([]))
    );
    assert_eq!(told["applies_to"]["severity"], "info");
    assert_eq!(told["fail_safe"], json!([{"alert": "critical"}]));
    assert_eq!((&told["limits"]["time_ms"], &told["limits"]["memory"]), (&json!(1000), &json!(16 << 20)));
    // Values are of their own type.
    let setting = |key: &str| {
        let settings = told["settings"].as_array().expect("a list");
        settings.iter().find(|setting| setting["key"] == key).expect(key).clone()
    };
    let exposure = setting("act-exposure");
    assert_eq!(
        (&exposure["default"], &exposure["min"], &exposure["max"]),
        (&json!(0.5), &json!(0.0), &json!(1.0))
    );
    scratch.run(&["policy", "inspect", "drift-ladder"]).expect(0).prints(&[
        "trimtab:policy 0.1.0",
        "history (granted)",
        "mode       enforce, order 100",
        "applies to tenant *",
        "fail-safe  alert (critical)",
        "0 to 1",
    ]);
    scratch.run(&["policy", "inspect", "chat-alert"]).expect(0).prints(&["channels   chat"]);
}
