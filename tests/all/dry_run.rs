//! Dry runs: what is in force changes nothing, what is stricter shows where and why, and nothing is ever written.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::{
    languages,
    support::{Run, STORY, Scratch, at, lines, program, repository, stage, story, told},
};

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
    let cases: [&[&str]; 7] = [
        &[&policies],
        &[&ladder],
        &["drift-ladder"],
        &[&component],
        &["--config", &config],
        &[&ladder, "--since", "6h"],
        &[&ladder, "--since", "2025-01-01"],
    ];
    for args in cases {
        let report = dry_run(&scratch, args, 0);
        let total = &report["diff"]["total"];
        assert!(total["unchanged"].as_u64().is_some_and(|n| n > 0), "{args:?}: {total}");
        assert_eq!(report["diff"]["examples"], serde_json::json!([]), "{args:?}");
        assert_eq!(report["settings"], serde_json::json!([]), "{args:?}");
        let said = report["remarks"].as_array().expect("a list");
        assert!(said.iter().all(|remark| !remark.to_string().contains("drift-ladder")), "{args:?}: {said:?}");
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
        "drift-ladder.chance: 0.95 instead of 0",
        "stricter (changed) at",
        "recorded",
        "why",
    ]);
    // The page stands by itself.
    let page = std::fs::read_to_string(page).expect("is written");
    for part in [
        "<svg",
        "<h1>Dry run of <code>drift-ladder.chance=0.95</code></h1>",
        "entries, told from the record without folding a row, nothing written; decisions from the beginning",
        "kill-switch-on",
        ", before 0.900; ",
        "<h4>why</h4>",
    ] {
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
}

/// What a dry run prints about a candidate.
#[track_caller]
fn prints(scratch: &Scratch, args: &[&str], exit: i32, words: &[&str]) {
    let all: Vec<&str> = ["policy", "dry-run"].iter().chain(args).copied().collect();
    scratch.run(&all).expect(exit).prints(words);
}

/// A copy of the shipped ladder under another name, with another order.
fn ladder_as(scratch: &Scratch, name: &str, order: &str) -> String {
    let (from, to) = (repository().join("policies/drift-ladder"), scratch.path(name));
    std::fs::create_dir_all(&to).expect("makes");
    std::fs::copy(from.join("drift-ladder.wasm"), to.join("drift-ladder.wasm")).expect("copies");
    let manifest = std::fs::read_to_string(from.join("policy.toml")).expect("reads");
    let other = manifest.replace("order = 100", &format!("order = {order}"));
    assert_ne!(manifest, other, "the shipped ladder has order 100");
    std::fs::write(to.join("policy.toml"), other).expect("writes");
    to.display().to_string()
}

#[test]
fn a_candidate_that_takes_no_part_says_why() {
    let scratch = told(STORY);
    let late = ladder_as(&scratch, "late", "200");
    let never = [
        "`late` (order 200) is never asked",
        "`drift-ladder` (order 100)",
        "set `order = 99`",
        "no decision changes",
    ];
    prints(&scratch, &[&late], 0, &never);
    prints(
        &scratch,
        &["version-cleanup"],
        0,
        &["`version-cleanup` is never asked", "nobody planned a cleanup"],
    );
    // Tried out alone it decides, whatever its mode.
    let off = [
        "the answers of `drift-count` count here",
        "its mode is `off`",
        "it applies to none of the findings",
    ];
    prints(&scratch, &["drift-count"], 0, &off);
    // First in order, or together with the ladder.
    let early = ladder_as(&scratch, "early", "50");
    let instead = ["`early` decides, and not `drift-ladder`"];
    prints(&scratch, &[&early, "--set", "early.chance=0.95"], 3, &instead);
    let all = scratch.file("all.toml", format!("{STORY}[decisions]\npolicies = \"all\"\n"));
    let together = ["`late` decides as well", "overruled: by drift-ladder", "held back: overruled"];
    prints(&scratch, &[&late, "--config", &all], 3, &together);
}

#[test]
fn a_version_comes_in_the_order_that_its_own_manifest_says() {
    let scratch = stage(STORY);
    let policies = scratch.own_policies();
    ladder_as(&scratch, "policies/other", "50");
    scratch.configure(&policies, STORY);
    let rows = lines(&story(7));
    scratch.run(&["import", &scratch.file("story.ndjson", rows)]).expect(0);
    let last = ladder_as(&scratch, "candidates/other", "200");
    let instead = ["`drift-ladder` decides, and not `other`", "`other` (order 200) is never asked"];
    prints(&scratch, &[&last, "--set", "drift-ladder.chance=0.95"], 3, &instead);
}

#[test]
fn what_a_directory_leaves_out_is_named_and_its_words_are_gone() {
    let scratch = told(STORY);
    let few = scratch.path("few");
    ladder_as(&scratch, "few/drift-ladder", "101");
    let report = dry_run(&scratch, &[&few.display().to_string()], 3);
    let said = report["remarks"][0].as_str().expect("a remark");
    for word in ["not in the candidate", "`chat-alert`", "`drift-count` (off)"] {
        assert!(said.contains(word), "should say `{word}`: {said}");
    }
    assert_eq!(report["settings"], serde_json::json!([]), "of policies that are gone");
    let messages = &report["diff"]["messages"];
    assert!(messages["gone"].as_u64().is_some_and(|n| n > 0), "{messages}");
    assert_eq!((&messages["unchanged"], &messages["new"]), (&0.into(), &0.into()));
}

#[test]
fn another_configuration_is_what_the_host_would_do_under_it() {
    let scratch = told(STORY);
    let off = scratch.file("off.toml", format!("{STORY}[policies.drift-ladder]\nmode = \"off\"\n"));
    prints(&scratch, &["--config", &off], 3, &["`host` decides, and not `drift-ladder`"]);
    let alert = scratch.file("alert.toml", STORY.replace("\"act\"", "\"alert\""));
    let stage = ["because the configuration says otherwise in [[models]]"];
    prints(&scratch, &["--config", &alert], 3, &stage);
}

#[test]
fn a_page_that_cannot_be_written_takes_nothing_away() {
    let scratch = told(STORY);
    let nowhere = scratch.path("nowhere/page.html").display().to_string();
    let stricter = ["--set", "drift-ladder.chance=0.95", "--html", &nowhere];
    prints(&scratch, &stricter, 74, &["nothing written", "(changed) at"]);
    let report = dry_run(&scratch, &stricter, 74);
    assert_eq!(report["error"], Value::Null);
    assert!(report["diff"]["total"]["changed"].as_u64().is_some_and(|n| n > 0), "{report}");
}

#[test]
fn what_cannot_be_tried_is_named() {
    let scratch = told(STORY);
    let empty = scratch.path("empty");
    std::fs::create_dir(&empty).expect("makes");
    let broken = scratch.file("drift-ladder.wasm", b"\0asm....");
    let unknown = scratch.file("unknown.wasm", b"\0asm....");
    let table = scratch.file("history.csv", "at,score\n");
    let manifest = repository().join("policies/drift-ladder/policy.toml").display().to_string();
    let nobody = scratch.file("nobody.toml", "[policies.nobody]\nmode = \"off\"\n");
    let beyond = scratch.file("beyond.toml", "[policies.drift-ladder]\nsettings = { chance = 9 }\n");
    let cases: [(&[&str], i32, &[&str]); 17] = [
        (&[], 64, &["CANDIDATE", "--config", "--set"]),
        (&["nowhere"], 66, &["there is no `nowhere`", "no policy of that name in"]),
        (&[&table], 65, &["history.csv", "is not WebAssembly", "a policy's folder or name"]),
        (&[&manifest], 65, &["policy.toml", "name the folder"]),
        (&["--config", &nobody], 78, &["nobody.toml", "[policies.nobody]", "no policy of this name"]),
        (&["--config", &beyond], 78, &["beyond.toml", "settings.chance: is 9", "the largest allowed is 1"]),
        (&["--set", "drift-ladder.chance=9"], 65, &["settings.chance: is 9"]),
        (&["drift-ladder", "--model", "another"], 66, &["--model another", "trimtab status"]),
        (&["drift-ladder", "--tenant", "another"], 66, &["--tenant another", "trimtab status"]),
        (
            &["drift-ladder", "--since", "2025-02-01"],
            66,
            &["no decisions from 2025-02-01 00:00 UTC", "the last one was made at 2025-01-01"],
        ),
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
    let compare = |args: &[&str], words: &[&str]| {
        let all: Vec<&str> = ["policy", "compare"].iter().chain(args).copied().collect();
        scratch.run(&all).expect(66).says(words);
    };
    let mode = "[policies.strict]\nmode = \"shadow\"\nsettings = { chance = 0.95 }\n";
    scratch.configure(&policies, &format!("{STORY}{mode}"));
    compare(&["strict"], &["said nothing in shadow mode so far", "wait for findings"]);
    compare(&["nobody"], &["no policy `nobody` is in force", "trimtab policy list"]);
    compare(&["drift-ladder"], &["its mode is `enforce`", "[policies.drift-ladder]"]);
    compare(&["chat-alert"], &["answers alert-format"]);
    compare(&["strict", "--model", "another"], &["--model another", "trimtab status"]);
    let rows = lines(&story(7));
    scratch.run(&["import", &scratch.file("story.ndjson", rows)]).expect(0);
    let found = scratch.run(&["--json", "policy", "compare", "strict"]).expect(3).json();
    assert!(found["total"]["changed"].as_u64().is_some_and(|n| n > 0), "{found}");
    assert_eq!((&found["total"]["gone"], &found["total"]["new"]), (&0.into(), &0.into()));
    let told = scratch.run(&["policy", "compare", "strict"]).expect(3);
    told.prints(&["in shadow", "(changed) at"]);
    assert!(!told.stdout.contains("decides, and not"), "in shadow nobody decides: {}", told.stdout);
    compare(&["strict", "--since", "2025-02-01"], &["said nothing", "it last said something at 2025-01-01"]);
    scratch.verify();
}

/// The story, lived by several models, which are in several logs.
fn told_by_several() -> Scratch {
    let scratch = told(STORY);
    for model in ["n", "o", "p", "q"] {
        let renamed = story(11).into_iter().map(|mut row| {
            for half in ["prediction", "outcome"] {
                if let Some(row) = row.get_mut(half) {
                    row["id"] = format!("{model}{}", row["id"].as_str().expect("an id")).into();
                    row["model"] = model.into();
                }
            }
            row
        });
        let file = scratch.file(&format!("{model}.ndjson"), lines(&renamed.collect::<Vec<_>>()));
        scratch.run(&["import", &file]).expect(0);
    }
    scratch
}

#[test]
fn parts_of_a_dry_run_are_the_report_of_one_run() {
    let scratch = told_by_several();
    let asked = ["--set", "drift-ladder.chance=0.9", "--until", "2026-01-01"];
    let whole = dry_run(&scratch, &asked, 3);
    let part = |share: &str| -> String {
        let all = [&["policy", "dry-run", "--shard", share][..], &asked].concat();
        let name = format!("part-{}.json", share.replace('/', "-of-"));
        scratch.file(&name, &scratch.run(&all).expect(0).stdout)
    };
    let merge = |parts: &[String], exit: i32| {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        scratch.run(&[&["--json", "policy", "merge"][..], &parts].concat()).expect(exit)
    };
    for of in [1, 3, 64] {
        let mut parts: Vec<String> = (1..=of).map(|number| part(&format!("{number}/{of}"))).collect();
        assert_eq!(merge(&parts, 3).json(), whole, "{of} parts");
        parts.reverse();
        assert_eq!(merge(&parts, 3).json(), whole, "{of} parts, the last one first");
    }
    // A task that ran twice has written the same part again.
    let again = std::fs::read_to_string(part("1/2")).expect("reads");
    assert_eq!(std::fs::read_to_string(part("1/2")).expect("reads"), again);

    let (first, second) = (part("1/2"), part("2/2"));
    merge(std::slice::from_ref(&first), 65).says(&["of 2 parts these are missing: 2"]);
    merge(&[first.clone(), first.clone(), second.clone()], 65).says(&["part 1/2 is there twice"]);
    let other = scratch.run(&["policy", "dry-run", "drift-count", "--until", "2026-01-01", "--shard", "2/2"]);
    let other = scratch.file("other.json", &other.expect(0).stdout);
    merge(&[first.clone(), other], 65).says(&["another candidate"]);
    let longer = ["policy", "dry-run", "--shard", "2/2", asked[0], asked[1], "--until", "2026-02-01"];
    let longer = scratch.file("longer.json", &scratch.run(&longer).expect(0).stdout);
    merge(&[first, longer], 65).says(&["another period"]);
    merge(&[scratch.file("no.json", "{}")], 65).says(&["no.json", "is not a part of a dry run", "--shard"]);
    for (share, exit, words) in [("3/2", 64, "write it like 2/8"), ("1/65", 64, "at most 64")] {
        scratch
            .run(&[&["policy", "dry-run", "--shard", share][..], &asked].concat())
            .expect(exit)
            .says(&[words]);
    }
    // Without an end, rows that come in meanwhile would be in one part and not in another.
    scratch.run(&["policy", "dry-run", "--shard", "1/2", "drift-count"]).expect(64).says(&["--until"]);
    let page =
        ["policy", "dry-run", "--shard", "1/2", "--html", "x.html", "--until", "2026-01-01", "drift-count"];
    scratch.run(&page).expect(64).says(&["--html", "--shard"]);
}

/// Parts take nothing for themselves: any number of them at once on one directory. A copy with other rows is another history,
/// also where the rows are those of another part.
#[test]
fn parts_are_made_side_by_side_and_of_one_history() {
    let scratch = told_by_several();
    let asked = ["--set", "drift-ladder.chance=0.9", "--until", "2026-01-01"];
    let command = |share: &str| {
        let mut command = scratch.command(&[&["policy", "dry-run", "--shard", share][..], &asked].concat());
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts")
    };
    const PARTS: usize = 16;
    let running: Vec<_> = (1..=PARTS).map(|number| command(&format!("{number}/{PARTS}"))).collect();
    let parts: Vec<String> = running
        .into_iter()
        .enumerate()
        .map(|(number, part)| {
            let run = Run::of(part.wait_with_output().expect("runs")).expect(0);
            scratch.file(&format!("side-{number}.json"), &run.stdout)
        })
        .collect();
    let merge = |parts: &[String], exit: i32| {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        scratch.run(&[&["--json", "policy", "merge"][..], &parts].concat()).expect(exit)
    };
    assert_eq!(merge(&parts, 3).json(), dry_run(&scratch, &asked, 3));

    let half = |share: &str, name: &str| {
        let all = [&["policy", "dry-run", "--shard", share][..], &asked].concat();
        scratch.file(name, &scratch.run(&all).expect(0).stdout)
    };
    let first = half("1/2", "before.json");
    let late =
        json!({ "prediction": { "id": "late", "model": "m", "version": "v1", "time": at(1), "score": 0.9 } });
    scratch.run(&["import", &scratch.file("late.ndjson", lines(&[late]))]).expect(0);
    let second = half("2/2", "after.json");
    merge(&[first, second], 65).says(&["parts 1/2 and 2/2 have another history", "while no host writes"]);
    merge(&[half("1/2", "again.json"), half("2/2", "again-2.json")], 3);
}

/// Whoever has read enough of an answer still hears by the exit code what it was.
#[test]
fn a_pipe_that_closes_early_keeps_the_exit_code() {
    let scratch = told_by_several();
    let mut command = scratch.command(&["policy", "dry-run", "--set", "drift-ladder.chance=0.9"]);
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("starts");
    drop(running.stdout.take());
    assert_eq!(running.wait().expect("ends").code(), Some(3));
}

/// The adapter that deals parts out as tasks of Ray, with the real one: `contrib/ray` has tests of its own.
#[test]
fn parts_are_dealt_out_as_tasks_of_ray() {
    let Some(python) = languages::ray() else { return };
    let scratch = told_by_several();
    let run = Command::new(python)
        .arg("-B")
        .arg(repository().join("contrib/ray/test_trimtab_ray.py"))
        .arg(program())
        .arg(scratch.data())
        .args(["--set drift-ladder.chance=0.9", "2026-01-01"])
        .output();
    let run = Run::of(run.expect("runs")).expect(0);
    run.prints(&["0 failed"]);
}

/// The boundary of instant dry runs: they say what folding all rows says, and how much of it needed rows.
#[track_caller]
fn check_instant(scratch: &Scratch, args: &[&str], instant: impl Fn(u64, u64) -> bool) {
    let run = |more: &[&str]| {
        let all = [&["--json", "policy", "dry-run"][..], args, more].concat();
        let run = scratch.run(&all);
        assert!(run.code == Some(0) || run.code == Some(3), "{args:?}: {}", run.stderr);
        run.json()
    };
    let (mut told, mut folded) = (run(&[]), run(&["--fold"]));
    let count = |report: &mut Value| report["instant"].take().as_u64().expect("a number");
    let (without_rows, none) = (count(&mut told), count(&mut folded));
    assert_eq!(none, 0, "{args:?}");
    assert_eq!(told, folded, "{args:?}");
    let total = &told["diff"]["total"];
    let all = ["unchanged", "changed", "gone", "new"].map(|kind| total[kind].as_u64().expect("a number"));
    let all = all.iter().sum();
    assert!(all > 0, "{args:?}: nothing is compared");
    assert!(instant(without_rows, all), "{args:?}: {without_rows} of {all} without rows");
}

#[test]
fn what_was_lived_says_what_folding_says() {
    let more = "[detectors.page-hinkley]\nenabled = true\n[alerts]\ninterval = \"1h\"\n";
    let config = format!("{STORY}{more}");
    let scratch = stage(&config);
    let rows = story(7);
    let (first, second) = rows.split_at(rows.len() / 2);
    let import = |name: &str, rows: &str| drop(scratch.run(&["import", &scratch.file(name, rows)]).expect(0));
    import("first.ndjson", &lines(first));
    scratch.run(&["exposure", "set", "m", "0.5", "--reason", "a test"]).expect(0);
    scratch.run(&["kill", "on", "m", "--reason", "a test"]).expect(0);
    scratch.run(&["kill", "off", "m", "--reason", "a test"]).expect(0);
    import("second.ndjson", &lines(second));
    let n = ["--model", "n", "--version", "v1", "--samples", "2000", "--accuracy", "0.9"];
    scratch.run(&[&["baseline", "set"][..], &n].concat()).expect(0);
    let renamed = lines(&story(11)).replace("\"model\":\"m\"", "\"model\":\"n\"");
    import("n.ndjson", &renamed.replace("\"id\":\"p", "\"id\":\"n"));
    scratch.run(&["exposure", "clear", "m", "--reason", "a test"]).expect(0);

    let policies = repository().join("policies");
    let other = |name: &str, text: &str| {
        scratch.file(name, format!("[host]\npolicies = \"{}\"\n{text}", policies.display()))
    };
    let all = |instant: u64, of: u64| instant == of;
    let since = ["--since", "2025-01-01T05:00:00Z"];
    check_instant(&scratch, &["drift-ladder"], all);
    let stricter = ["--set", "drift-ladder.chance=0.9"];
    check_instant(&scratch, &stricter, all);
    check_instant(&scratch, &[&stricter[..], &since].concat(), all);
    check_instant(&scratch, &["drift-count"], |instant, _| instant > 0);
    check_instant(&scratch, &["distribution-table"], |instant, _| instant > 0);
    check_instant(&scratch, &["chat-alert"], all);
    // Stages, switches, the breaker, alerts and safeguards decide, and do not watch.
    let act = config.replace("\"m\"", "\"*\"");
    check_instant(&scratch, &["--config", &other("act.toml", &act)], all);
    let breaker = format!("{config}[breaker]\nfailures = 1\n[safeguards.retrain]\nenabled = true\n");
    check_instant(&scratch, &["--config", &other("breaker.toml", &breaker)], all);
    let alerts = config.replace("interval = \"1h\"", "interval = \"2d\"\nminimum = \"low\"");
    check_instant(&scratch, &["--config", &other("alerts.toml", &alerts)], all);
    let observe = config.replace("stage = \"act\"", "stage = \"observe\"");
    check_instant(&scratch, &["--config", &other("observe.toml", &observe)], all);
    // A question that nobody had, about what is open when the stage rises: what it reads of rows is folded.
    let raised = other("raised.toml", &act);
    check_instant(&scratch, &[&["--config", raised.as_str()], &since[..]].concat(), |instant, of| {
        instant < of
    });
    // Others watch otherwise.
    let none = |instant: u64, _: u64| instant == 0;
    let watches = config.replace("[detectors.page-hinkley]", "[detectors.adwin]");
    check_instant(&scratch, &["--config", &other("watches.toml", &watches)], none);
    let judges = format!("{config}[judging]\ndead-band = 0.1\n");
    check_instant(&scratch, &["--config", &other("judges.toml", &judges)], none);
    scratch.verify();
}
