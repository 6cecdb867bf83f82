//! Dry runs: what is in force changes nothing, what is stricter shows where and why, and nothing is ever written.

use serde_json::Value;

use crate::support::{STORY, Scratch, repository, stage, told};

/// What a directory holds, as far as a dry run must leave it alone.
fn held(scratch: &Scratch) -> Value {
    let status = scratch.json(&["status"]);
    let policies = scratch.json(&["policy", "list"])["policies"].clone();
    serde_json::json!([
        status["head"],
        status["folded"],
        status["counts"],
        policies,
        scratch.json(&["decisions"])
    ])
}

#[track_caller]
fn dry_run(scratch: &Scratch, args: &[&str], exit: i32) -> Value {
    let all: Vec<&str> = ["--json", "policy", "dry-run"].iter().chain(args).copied().collect();
    scratch.run(&all).expect(exit).json()
}

#[test]
fn what_is_in_force_changes_nothing() {
    let scratch = told(STORY);
    let before = held(&scratch);
    let policies = repository().join("policies");
    let policies = policies.display().to_string();
    let ladder = format!("{policies}/drift-ladder");
    let component = format!("{ladder}/drift-ladder.wasm");
    let config = scratch.data().join("trimtab.toml").display().to_string();
    let cases: [&[&str]; 5] =
        [&[&policies], &[&ladder], &[&component], &["--config", &config], &[&ladder, "--since", "6h"]];
    for args in cases {
        let report = dry_run(&scratch, args, 0);
        let total = &report["diff"]["total"];
        assert!(total["unchanged"].as_u64().is_some_and(|n| n > 0), "{args:?}: {total}");
        assert_eq!(report["diff"]["examples"], serde_json::json!([]), "{args:?}");
        assert_eq!(report["settings"], serde_json::json!([]), "{args:?}");
    }
    assert_eq!(held(&scratch), before, "a dry run writes nothing");
    scratch.verify();
}

#[test]
fn a_stricter_ladder_shows_what_would_change_and_why() {
    let scratch = told(STORY);
    let page = scratch.path("diff.html");
    let stricter = ["--set", "drift-ladder.chance=0.95", "--html", &page.display().to_string()];
    let report = dry_run(&scratch, &stricter, 3);
    let changed = report["diff"]["total"]["changed"].as_u64().expect("a count");
    assert!(changed > 0, "{report}");
    let switches = &report["diff"]["actions"]["kill-switch-on"];
    assert!(switches["candidate"].as_u64() > switches["recorded"].as_u64(), "{switches}");
    let setting = &report["settings"][0];
    assert_eq!(
        (&setting["policy"], &setting["key"], &setting["candidate"]),
        (&"drift-ladder".into(), &"chance".into(), &0.95.into())
    );
    let text = scratch.run(&["policy", "dry-run", "--set", "drift-ladder.chance=0.95"]).expect(3);
    text.prints(&[
        "nothing written",
        "drift-ladder.chance: 0.95 instead of 0.5",
        "changed at",
        "recorded",
        "why",
    ]);
    // The page stands by itself.
    let page = std::fs::read_to_string(page).expect("is written");
    for part in ["<svg", "drift-ladder.chance", "kill-switch-on", "class=\"why\""] {
        assert!(page.contains(part), "{part}");
    }
    for outside in ["http:", "https:", "src=", "<script", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    scratch.verify();
}

#[test]
fn other_detectors_find_other_things_and_a_period_bounds_what_is_compared() {
    let scratch = told(STORY);
    let config = scratch.file("quiet.toml", "[detectors.e-sr]\nenabled = false\n[detectors.psi]\nenabled = false\n[[models]]\nmodel = \"m\"\nstage = \"act\"\n");
    let all = dry_run(&scratch, &["--config", &config], 3);
    let total = &all["diff"]["total"];
    assert_eq!(
        (&total["unchanged"], &total["changed"], &total["new"]),
        (&0.into(), &0.into(), &0.into()),
        "{total}"
    );
    let gone = total["gone"].as_u64().expect("a count");
    assert!(gone > 1, "{total}");
    let late = dry_run(&scratch, &["--config", &config, "--since", "3h"], 3);
    let late = late["diff"]["total"]["gone"].as_u64().expect("a count");
    assert!((1..gone).contains(&late), "{late} of {gone}");
    let other = dry_run(&scratch, &["--config", &config, "--model", "another"], 0);
    assert_eq!(other["diff"]["total"]["gone"], 0);
}

#[test]
fn what_cannot_be_tried_is_named() {
    let scratch = told(STORY);
    let empty = scratch.path("empty");
    std::fs::create_dir(&empty).expect("makes");
    let broken = scratch.file("drift-ladder.wasm", b"\0asm....");
    let unknown = scratch.file("unknown.wasm", b"\0asm....");
    let cases: [(&[&str], i32, &[&str]); 9] = [
        (&[], 64, &["CANDIDATE"]),
        (&["nowhere"], 66, &["there is no `nowhere`"]),
        (&[&empty.display().to_string()], 65, &["holds no policies"]),
        (&[&broken], 65, &["drift-ladder", "WebAssembly"]),
        (&[&unknown], 66, &["no policy `unknown` is in force", "--replaces"]),
        (&["--set", "chance"], 65, &["POLICY.KEY=VALUE"]),
        (&["--set", "drift-ladder.chanse=0.4"], 65, &["settings.chanse", "no such setting"]),
        (&["--set", "nobody.chance=0.4"], 66, &["no policy of this name"]),
        (&["--set", "drift-ladder.chance=0.4", "--since", "yesterday"], 65, &["--since yesterday", "30d"]),
    ];
    for (args, exit, words) in cases {
        let all: Vec<&str> = ["policy", "dry-run"].iter().chain(args).copied().collect();
        scratch.run(&all).expect(exit).says(words);
    }
}

#[test]
fn shadow_is_held_against_what_was_decided() {
    let scratch = stage(STORY);
    let policies = scratch.own_policies();
    // The same ladder under another name, stricter, beside the one that decides.
    let (ladder, shadow) = (policies.join("drift-ladder"), policies.join("strict"));
    std::fs::create_dir(&shadow).expect("makes");
    for (from, to) in [("policy.toml", "policy.toml"), ("drift-ladder.wasm", "drift-ladder.wasm")] {
        std::fs::copy(ladder.join(from), shadow.join(to)).expect("copies");
    }
    let mode = "[policies.strict]\nmode = \"shadow\"\nsettings = { chance = 0.95 }\n";
    scratch.configure(&policies, &format!("{STORY}{mode}"));
    scratch.run(&["policy", "compare", "strict"]).expect(66).says(&["said nothing in shadow mode"]);
    let rows = crate::support::lines(&crate::support::story(7));
    scratch.run(&["import", &scratch.file("story.ndjson", rows)]).expect(0);
    let found = scratch.run(&["--json", "policy", "compare", "strict"]).expect(3).json();
    assert!(found["total"]["changed"].as_u64().is_some_and(|n| n > 0), "{found}");
    assert_eq!((&found["total"]["gone"], &found["total"]["new"]), (&0.into(), &0.into()));
    scratch.run(&["policy", "compare", "strict"]).expect(3).prints(&["in shadow", "changed at"]);
    scratch.verify();
}
