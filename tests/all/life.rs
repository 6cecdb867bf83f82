//! The life of a model, from a version's registration to its deletion: what policies propose, what people answer, what is
//! refused, and that all of it can be replayed.

use serde_json::{Value, json};

use crate::support::{Scratch, Seeded, ago, at, lines};

const HALF_HOUR: u32 = 1_800;

/// Rows `from..until`, one each half hour, of versions with an accuracy each; their scores say how sure they are. `v2` serves
/// one row in ten.
fn rows(from: u32, until: u32, arms: &[(&str, f64)]) -> String {
    let mut rows = Vec::new();
    for n in from..until {
        let up = Seeded(u64::from(n)).share() < 0.5;
        let to_challenger = arms.len() > 1 && Seeded(u64::from(n) + 1_000_000).share() < 0.1;
        for (place, (version, accuracy)) in arms.iter().enumerate() {
            let right = Seeded(u64::from(n) * 31 + 7 * place as u64 + 5).share() < *accuracy;
            let score = if up == right { *accuracy } else { 1.0 - accuracy };
            let (id, time) = (format!("{version}-{n}"), at(n * HALF_HOUR));
            let served = (place == 0) != to_challenger;
            let prediction = json!({ "id": id, "model": "m", "version": version, "time": time, "score": score, "served": served });
            rows.push(json!({ "prediction": prediction }));
            rows.push(json!({ "outcome": { "id": id, "model": "m", "time": time, "label": i64::from(up) } }));
        }
    }
    lines(&rows)
}

/// A directory in which `v1` serves `m`, and `v2` is a candidate.
pub(crate) fn two_versions(config: &str) -> Scratch {
    let scratch = Scratch::with_config(config);
    import(&scratch, 0, 300, &[("v1", 0.7)]);
    scratch.run(&["model", "register", "m", "v1", "--champion", "--metric", "accuracy=0.7"]).expect(0);
    scratch.run(&["model", "register", "m", "v2", "--metric", "accuracy=0.8", "--samples", "300"]).expect(0);
    scratch
}

#[track_caller]
pub(crate) fn import(scratch: &Scratch, from: u32, until: u32, arms: &[(&str, f64)]) {
    let file = scratch.file("rows.ndjson", rows(from, until, arms));
    scratch.run(&["import", &file]).expect(0);
}

/// The proposals that wait.
fn open(scratch: &Scratch) -> Vec<Value> {
    let run = scratch.run(&["proposals", "--json"]);
    let proposals = run.json()["proposals"].as_array().cloned().unwrap_or_default();
    assert_eq!(run.code, Some(i32::from(!proposals.is_empty())), "1: something waits");
    proposals
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("{key}: {value}"))
}

#[test]
fn versions_are_registered_promoted_and_gone_back_from() {
    let scratch = two_versions("");
    let serves = |name: &str| {
        let versions = scratch.json(&["model", "list", "m"]);
        assert_eq!(versions["champion"], name, "{versions}");
    };
    serves("v1");
    scratch
        .run(&["model", "register", "m", "v2", "--metric", "accuracy=0.9"])
        .expect(65)
        .says(&["other content"]);
    scratch.run(&["model", "register", "m", "v3", "--champion"]).expect(4).says(&["`v1` serves"]);
    scratch.run(&["model", "promote", "m", "nosuch"]).expect(66).says(&["nosuch", "model list"]);
    scratch.run(&["model", "promote", "nosuch", "v1"]).expect(66);
    scratch.run(&["model", "archive", "m", "v1"]).expect(4).says(&["production", "another version first"]);
    scratch.run(&["model", "promote", "m", "v2", "--expect", "1"]).expect(4).says(&["revision 1", "at 2"]);
    scratch.run(&["model", "promote", "m", "v2", "--expect", "2", "--reason", "better"]).expect(0);
    serves("v2");
    scratch.run(&["model", "rollback", "m", "--reason", "worse after all"]).expect(0);
    serves("v1");
    scratch.run(&["model", "rollback", "m"]).expect(4).says(&["neither degraded nor deleted"]);
    scratch.run(&["model", "promote", "m", "v2"]).expect(4).says(&["degraded", "--again"]);
    scratch.run(&["model", "promote", "m", "v2", "--again", "--reason", "mended"]).expect(0);
    scratch.run(&["model", "pin", "m", "v1", "--at", "2099-01-01"]).expect(65).says(&["has not come yet"]);
    scratch.run(&["model", "pin", "m", "v1", "--reason", &"x".repeat(5_000)]).expect(65).says(&["4096"]);
    scratch.run(&["model", "register", "m", "a\nb"]).expect(65).says(&["control character"]);
    scratch.run(&["model", "history", "m", "--at", "2024-01-01"]).expect(0).prints(&["no version"]);
    let history = scratch.run(&["model", "history", "m"]).expect(0);
    history.prints(&["tester", "rollback", "promote v2", "register v1", "`v1` serves again"]);
    // What was refused was written nowhere: two registrations, two promotions and a rollback were done.
    let events =
        scratch.json(&["model", "history", "m", "--limit", "100"])["events"].as_array().map_or(0, Vec::len);
    assert_eq!(events, 5);
    scratch.verify();
}

/// The story of the mission: a better version is tried, a policy finds it shown, a person lets it go ahead. A margin that it
/// does not reach would not have promoted it.
#[test]
fn a_canary_is_promoted_by_evidence_and_a_person() {
    let scratch = two_versions("");
    let start = [
        "experiment",
        "start",
        "m",
        "v2",
        "--canary",
        "--fraction",
        "0.1",
        "--margin",
        "0.01",
        "--end",
        "150d",
    ];
    scratch.run(&start).expect(0).prints(&["canary with 10 %"]);
    scratch.run(&start).expect(4);
    import(&scratch, 300, 2_800, &[("v1", 0.7), ("v2", 0.85)]);

    let experiment = &scratch.json(&["experiment", "report", "m"])["running"][0]["experiment"];
    assert_eq!(experiment["concerns"], json!([]), "{experiment}");
    let accuracy =
        experiment["differences"].as_array().expect("differences").iter().find(|d| d["name"] == "accuracy");
    assert!(accuracy.is_some_and(|found| found["better"].as_f64() > Some(20.0)), "{experiment}");

    let proposals = open(&scratch);
    assert_eq!(proposals.len(), 1, "looking again makes no second one: {proposals:#?}");
    let (id, hash) = (text(&proposals[0], "id"), text(&proposals[0], "shown"));
    assert_eq!(proposals[0]["what"], json!({ "promote": { "version": "v2" } }));
    scratch.run(&["proposals", "show", id]).expect(0).prints(&[hash, "canary-evidence", "promote v2"]);
    scratch.run(&["proposals", "approve", id, "--hash", &"0".repeat(64)]).expect(4).says(&["hash"]);
    scratch.run(&["proposals", "approve", id, "--hash", "short"]).expect(65).says(&["64 digits"]);
    scratch.run(&["proposals", "reject", id, "--hash", hash]).expect(64).says(&["--reason"]);
    scratch.run(&["proposals", "approve", id, "--hash", hash]).expect(0).prints(&["`v2` serves since"]);
    scratch
        .run(&["proposals", "approve", id, "--hash", hash, "--actor", "bob"])
        .expect(4)
        .says(&["tester", "approved"]);
    assert!(open(&scratch).is_empty());
    let ended = &scratch.json(&["experiment", "report", "m"])["ended"][0];
    assert_eq!((text(ended, "outcome"), text(ended, "version")), ("promoted", "v2"));
    scratch.run(&["route", "m", "anybody"]).expect(0).prints(&["v2 (champion)"]);
    scratch.verify();

    let other = scratch
        .run(&["policy", "dry-run", "canary-evidence", "--set", "canary-evidence.margin=0.5"])
        .expect(3);
    other.prints(&["promote"]);
    scratch.run(&["policy", "dry-run", "--set", "canary-evidence.margin=0.01"]).expect(0);
    assert_eq!(scratch.json(&["model", "list", "m"])["champion"], "v2", "a dry run changes nothing");
}

/// What tightens is done by a policy alone from `protect` on; below, a person is asked, and nothing has happened.
#[test]
fn a_worse_canary_is_stopped_as_far_as_the_stage_allows() {
    for (stage, is_stopped) in [("protect", true), ("alert", false)] {
        let scratch = two_versions(&format!("[[models]]\nmodel = \"m\"\nstage = \"{stage}\"\n"));
        scratch.run(&["experiment", "start", "m", "v2", "--canary"]).expect(0);
        import(&scratch, 300, 1_500, &[("v1", 0.75), ("v2", 0.55)]);
        let report = scratch.json(&["experiment", "report", "m"]);
        assert_eq!(report["running"].as_array().is_some_and(Vec::is_empty), is_stopped, "{stage}: {report}");
        assert_eq!(report["ended"][0]["outcome"], if is_stopped { json!("stopped") } else { Value::Null });
        assert_eq!(open(&scratch).len(), usize::from(!is_stopped), "{stage}");
        let versions = scratch.json(&["model", "list", "m"]);
        let stage_of_v2 = &versions["versions"][0]["stage"];
        assert_eq!(
            (&versions["champion"], stage_of_v2),
            (&json!("v1"), &json!(if is_stopped { "archived" } else { "canary" }))
        );
        scratch.verify();
    }
}

/// Who gets the challenger stays with it when the share grows and after a restart; a pause sends everybody to the champion.
#[test]
fn routes_are_sticky() {
    let scratch = two_versions("");
    scratch.run(&["experiment", "start", "m", "v2", "--ab", "--fraction", "0.3"]).expect(0);
    let routed = || {
        let serving = scratch.serve();
        let route = |n: u32| serving.socket().get(&format!("/v1/route?model=m&key=unit-{n}")).json();
        (0..300).map(|n| route(n)["version"] == "v2").collect::<Vec<bool>>()
    };
    let before = routed();
    let share = before.iter().filter(|it| **it).count();
    // Four standard deviations around 90 of 300.
    assert!((58..=122).contains(&share), "{share}");
    assert_eq!(routed(), before, "a restart changes nothing");
    scratch.run(&["experiment", "fraction", "m", "v2", "0.6"]).expect(0);
    assert!(before.iter().zip(routed()).all(|(before, now)| !before || now), "nobody leaves when it grows");
    scratch.run(&["experiment", "fraction", "m", "v2", "1.5"]).expect(65).says(&["between 0 and 1"]);
    scratch.run(&["experiment", "fraction", "m", "v2", "0.3"]).expect(0);
    scratch.run(&["experiment", "pause", "m", "v2"]).expect(0);
    scratch.run(&["route", "m", "unit-1"]).expect(0).prints(&["v1 (champion)", "paused"]);
    scratch.run(&["experiment", "resume", "m", "v2"]).expect(0);
    assert_eq!(routed(), before, "the same units as before the pause");
    scratch.run(&["kill", "on", "m", "--reason", "test"]).expect(0);
    scratch.run(&["route", "m", "unit-1"]).expect(4).prints(&["nobody", "test"]);
    scratch.verify();
}

/// A client that serves more of one arm than it was told to makes all numbers worthless, and is seen.
#[test]
fn traffic_that_is_not_shared_out_as_it_should_be_is_seen() {
    let scratch = two_versions("");
    scratch.run(&["experiment", "start", "m", "v2", "--canary", "--fraction", "0.3"]).expect(0);
    // One row in ten goes to the challenger, and not three.
    import(&scratch, 300, 1_300, &[("v1", 0.7), ("v2", 0.9)]);
    let experiment = &scratch.json(&["experiment", "report", "m"])["running"][0]["experiment"];
    assert_eq!(experiment["concerns"], json!(["sample-ratio-mismatch"]));
    assert!(open(&scratch).is_empty(), "however good the numbers are");
}

/// An end never promotes: what was not shown is not shown.
#[test]
fn an_experiment_that_shows_nothing_is_inconclusive() {
    let scratch = two_versions("");
    scratch.run(&["experiment", "start", "m", "v2", "--canary", "--end", "10d"]).expect(0);
    import(&scratch, 300, 1_300, &[("v1", 0.7), ("v2", 0.7)]);
    let report = scratch.json(&["experiment", "report", "m"]);
    assert_eq!((&report["running"], &report["ended"][0]["outcome"]), (&json!([]), &json!("inconclusive")));
    assert_eq!(scratch.json(&["model", "list", "m"])["champion"], "v1");
    scratch.verify();
}

/// A version that is tried in shadow may be as bad as it likes: what serves is not touched.
#[test]
fn findings_of_a_version_that_does_not_serve_touch_nothing_that_serves() {
    let scratch = two_versions("[[models]]\nmodel = \"m\"\nstage = \"act\"\n");
    let set =
        ["baseline", "set", "--model", "m", "--version", "v2", "--samples", "2000", "--accuracy", "0.9"];
    scratch.run(&set).expect(0);
    scratch.run(&["experiment", "start", "m", "v2", "--shadow"]).expect(0);
    import(&scratch, 300, 900, &[("v1", 0.7), ("v2", 0.4)]);
    let findings = scratch.json(&["findings", "--model", "m", "--open"]);
    let grave = findings["findings"].as_array().expect("findings").iter();
    assert!(grave.clone().any(|finding| finding["subject"]["version"] == "v2"), "{findings}");
    let may = scratch.json(&["may-trade", "m"]);
    assert_eq!((&may["allowed"], &may["exposure"]), (&json!(true), &json!(1.0)), "{may}");
    let decisions = scratch.json(&["decisions", "--model", "m", "--limit", "1000"]);
    assert!(decisions.to_string().contains("other-arm"), "the ladder wanted more");
    scratch.verify();
}

/// What goes is planned by a policy, protected by the host and approved by a person.
#[test]
fn a_cleanup_takes_what_a_person_approved() {
    let scratch = two_versions("");
    for n in 1..=8 {
        let accuracy = format!("accuracy=0.5{n}");
        scratch.run(&["model", "register", "m", &format!("c{n}"), "--metric", &accuracy]).expect(0);
    }
    scratch.run(&["cleanup", "plan", "m"]).expect(1).prints(&[
        "keep 8 versions",
        "delete 2 versions",
        "approve",
    ]);
    let plan = &open(&scratch)[0];
    let (id, hash) = (text(plan, "id").to_owned(), text(plan, "shown").to_owned());
    let gone: Vec<String> = plan["what"]["cleanup"]["plan"]
        .as_array()
        .expect("a plan")
        .iter()
        .filter(|line| line["fate"] == "delete")
        .map(|line| text(line, "version").to_owned())
        .collect();
    assert_eq!(gone, ["c2", "c1"], "the worst by accuracy");
    scratch
        .run(&["proposals", "approve", &id, "--hash", &hash, "--only", "v1"])
        .expect(4)
        .says(&["`v1`", "nothing was done"]);
    scratch.run(&["model", "pin", "m", "c1"]).expect(0);
    scratch.run(&["proposals", "approve", &id, "--hash", &hash]).expect(4).says(&["`c1` is pinned"]);
    scratch.run(&["cleanup", "plan", "m"]).expect(1);
    let plan = &open(&scratch)[0];
    let (id, hash) = (text(plan, "id").to_owned(), text(plan, "shown").to_owned());
    scratch.run(&["proposals", "approve", &id, "--hash", &hash]).expect(0).prints(&["1 deleted"]);
    let stage = |name: &str| {
        let list = scratch.json(&["model", "list", "m"]);
        let versions = list["versions"].as_array().expect("versions").clone();
        versions.iter().find(|version| version["version"] == name).map(|version| version["stage"].clone())
    };
    assert_eq!((stage("c2"), stage("c1")), (Some(json!("deleted")), Some(json!("candidate"))));
    scratch.run(&["model", "restore", "m", "c2"]).expect(0);
    assert_eq!(stage("c2"), Some(json!("candidate")));
    scratch.verify();
}

/// Files of versions: measured when they are registered, held against that before they serve, put aside when a person lets
/// them go, and gone for good only when the grace is over.
#[test]
fn files_of_versions_follow_the_registry() {
    let scratch = two_versions("[cleanup]\ngrace = \"1s\"\n");
    let root = scratch.data().join("artifacts");
    std::fs::create_dir_all(root.join("c1/sub")).expect("makes");
    std::fs::write(root.join("c1/sub/model.bin"), vec![1; 100_000]).expect("writes");
    std::fs::write(root.join("c2.bin"), b"two").expect("writes");
    std::os::unix::fs::symlink("/etc", root.join("etc")).expect("links");
    let register =
        |version: &str, path: &str| scratch.run(&["model", "register", "m", version, "--artifact", path]);
    register("c1", "c1").expect(0);
    register("c2", "c2.bin").expect(0);
    register("c2", "c2.bin").expect(0).prints(&["already"]);
    for (path, exit, words) in [
        ("../trimtab.toml", 65, "without `..`"),
        ("/etc/passwd", 65, "without `..`"),
        ("etc/passwd", 74, "link"),
        ("etc", 74, "link"),
        ("nosuch", 74, "nosuch"),
    ] {
        register("c9", path).expect(exit).says(&[words]);
    }
    let size = |version: &str| {
        let list = scratch.json(&["model", "list", "m"]);
        let versions = list["versions"].as_array().expect("versions").clone();
        versions.iter().find(|known| known["version"] == version).map(|known| known["size_bytes"].clone())
    };
    assert_eq!((size("c1"), size("c9")), (Some(json!(100_000)), None));

    // What is known of one, two side by side, and what nobody owns.
    let shown = scratch.run(&["model", "show", "m", "c1"]).expect(0);
    shown.prints(&["c1 of m: candidate", "files      c1, 100000 bytes", "digest", "too few outcomes yet"]);
    let served = scratch.json(&["model", "show", "m", "v1"]);
    let stretches: Vec<_> =
        served["recent"].as_array().expect("a list").iter().map(|one| &one["last"]).collect();
    assert_eq!(stretches, [50, 100, 200], "{served}");
    scratch
        .run(&["model", "compare", "m", "v1", "v2"])
        .expect(0)
        .prints(&["validation accuracy", "accuracy of 200"]);
    scratch.run(&["model", "show", "m", "nosuch"]).expect(66).says(&["nosuch", "model list"]);
    std::fs::write(root.join("left.bin"), b"left").expect("writes");
    let orphans = scratch.json(&["model", "orphans"]);
    assert_eq!(
        orphans["orphans"],
        json!([{ "path": "etc", "size_bytes": null }, { "path": "left.bin", "size_bytes": 4 }])
    );

    // What is not what was registered does not serve.
    std::fs::write(root.join("c2.bin"), b"other").expect("writes");
    scratch
        .run(&["model", "promote", "m", "c2"])
        .expect(4)
        .says(&["`c2`", "register them as another version"]);
    scratch.run(&["experiment", "start", "m", "c2", "--canary"]).expect(4).says(&["`c2`"]);
    std::fs::remove_file(root.join("c2.bin")).expect("removes");
    scratch.run(&["model", "promote", "m", "c2"]).expect(4).says(&["not there"]);
    std::fs::write(root.join("c2.bin"), b"two").expect("writes");

    // Eight better ones, so that the two may go.
    for n in 1..=8 {
        let accuracy = format!("accuracy=0.6{n}");
        scratch.run(&["model", "register", "m", &format!("d{n}"), "--metric", &accuracy]).expect(0);
    }
    import(&scratch, 2_500, 2_502, &[("v1", 0.7)]);
    scratch.run(&["cleanup", "plan", "m"]).expect(1).prints(&["c1", "100000"]);
    let plan = &open(&scratch)[0];
    let (id, hash) = (text(plan, "id").to_owned(), text(plan, "shown").to_owned());
    let approve = ["proposals", "approve", &id, "--hash", &hash, "--only", "c1"];
    scratch.run(&approve).expect(0).prints(&["1 deleted, 100000 bytes predicted"]);
    assert!(!root.join("c1").exists() && root.join("c2.bin").exists(), "put aside, and nothing else");
    scratch.run(&["model", "restore", "m", "c1"]).expect(0);
    assert_eq!(std::fs::read(root.join("c1/sub/model.bin")).expect("back").len(), 100_000);

    scratch.run(&["cleanup", "plan", "m"]).expect(1);
    let plan = &open(&scratch)[0];
    let (id, hash) = (text(plan, "id").to_owned(), text(plan, "shown").to_owned());
    scratch.run(&["proposals", "approve", &id, "--hash", &hash, "--only", "c1"]).expect(0);
    // Time passes, and somebody does something: the grace is over.
    import(&scratch, 2_502, 2_504, &[("v1", 0.7)]);
    scratch.run(&["model", "pin", "m", "d1"]).expect(0);
    assert_eq!(std::fs::read_dir(root.join(".trash")).expect("a folder").count(), 0, "gone for good");
    let history = scratch.run(&["model", "history", "m"]).expect(0);
    history.prints(&["purged c1", "bytes freed, 100000 predicted"]);
    scratch.run(&["model", "restore", "m", "c1"]).expect(66).says(&["for good"]);
    register("c1", "c2.bin").expect(66).says(&["not used again"]);
    scratch.verify();
}

/// Where nobody answers, that is said, and not that there is nothing to do.
#[test]
fn without_a_policy_nothing_is_planned() {
    let scratch = two_versions("[policies.version-cleanup]\nmode = \"off\"\n");
    scratch.run(&["cleanup", "plan", "m"]).expect(66).says(&["no policy in force answers `cleanup`"]);
    assert!(open(&scratch).is_empty());
    scratch.verify();
}

/// How often to retrain is a policy's answer, published where a scheduler can take it.
#[test]
fn a_schedule_is_what_a_policy_says() {
    let scratch = two_versions("");
    scratch.run(&["schedule", "show", "m"]).expect(66).says(&["schedule plan m"]);
    scratch.run(&["schedule", "plan", "m"]).expect(0).prints(&["every 7d", "volatility is not known"]);
    let patch = scratch.run(&["schedule", "show", "m", "--cronjob"]).expect(0);
    let patch: Value = serde_json::from_str(&patch.stdout).expect("a patch");
    assert_eq!(patch, json!({ "spec": { "schedule": "0 2 * * 0", "concurrencyPolicy": "Forbid" } }));
    scratch.verify();
}

/// Each experiment has a tally of its own: neither another design nor a restart brings back what was counted before.
#[test]
fn an_experiment_counts_from_its_own_beginning() {
    let scratch = two_versions("");
    let samples = |scratch: &Scratch| {
        let report = scratch.json(&["experiment", "report", "m"]);
        let running = report["running"].as_array().expect("a list");
        running.first().map(|status| status["experiment"]["challenger"]["samples"].as_u64().expect("a count"))
    };
    scratch.run(&["experiment", "start", "m", "v2", "--shadow"]).expect(0);
    import(&scratch, 300, 600, &[("v1", 0.7), ("v2", 0.7)]);
    assert_eq!(samples(&scratch), Some(300));
    scratch.run(&["experiment", "start", "m", "v2", "--canary"]).expect(0);
    assert_eq!(samples(&scratch), Some(0), "a canary is another experiment");
    import(&scratch, 600, 700, &[("v1", 0.7), ("v2", 0.7)]);
    assert_eq!(samples(&scratch), Some(100));
    // An orderly end leaves a checkpoint.
    assert_eq!(scratch.serve().stop(), Some(0));
    assert_eq!(samples(&scratch), Some(100), "as it was before the restart");
    scratch.run(&["experiment", "stop", "m", "v2"]).expect(0);
    assert_eq!(scratch.serve().stop(), Some(0));
    assert_eq!(samples(&scratch), None);
    scratch.run(&["experiment", "start", "m", "v2", "--canary"]).expect(0);
    assert_eq!(samples(&scratch), Some(0), "what had ended does not come back");
    scratch.verify();
}

/// Whoever puts other files where a deleted version's were keeps them.
#[test]
fn files_that_nobody_registered_stay_where_they_are() {
    let scratch = two_versions("[cleanup]\ngrace = \"1s\"\n");
    let root = scratch.data().join("artifacts");
    std::fs::create_dir_all(&root).expect("makes");
    std::fs::write(root.join("c1.bin"), b"one").expect("writes");
    scratch
        .run(&["model", "register", "m", "c1", "--artifact", "c1.bin", "--metric", "accuracy=0.5"])
        .expect(0);
    for n in 1..=8 {
        let accuracy = format!("accuracy=0.6{n}");
        scratch.run(&["model", "register", "m", &format!("d{n}"), "--metric", &accuracy]).expect(0);
    }
    std::fs::write(root.join("c1.bin"), b"somebody else's").expect("writes");
    scratch.run(&["cleanup", "plan", "m"]).expect(1).prints(&["c1"]);
    let plan = &open(&scratch)[0];
    scratch
        .run(&["proposals", "approve", text(plan, "id"), "--hash", text(plan, "shown"), "--only", "c1"])
        .expect(0);
    assert_eq!(std::fs::read(root.join("c1.bin")).expect("still there"), b"somebody else's");
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(scratch.serve().stop(), Some(0));
    assert_eq!(std::fs::read(root.join("c1.bin")).expect("still there"), b"somebody else's");
    scratch.verify();
}

/// A day after a version began to serve, somebody asks whether it is as good as the one before.
#[test]
fn a_version_that_is_worse_than_the_one_before_is_proposed_to_be_gone_back_from() {
    const HOUR: u64 = 3_600;
    for (accuracy, is_worse) in [(0.6, true), (0.8, false)] {
        let scratch = Scratch::with_config("");
        let bring = |version: &str, from: u64, until: u64, accuracy: f64| {
            let rows = (until..from).rev().flat_map(|quarter| {
                let up = Seeded(quarter).share() < 0.5;
                let right = Seeded(quarter * 31 + 5).share() < accuracy;
                let (id, time) = (format!("{version}-{quarter}"), ago(quarter * HOUR / 4));
                let score = if up == right { 0.8 } else { 0.2 };
                let prediction =
                    json!({ "id": id, "model": "m", "version": version, "time": time, "score": score });
                let outcome = json!({ "id": id, "model": "m", "time": time, "label": i64::from(up) });
                [json!({ "prediction": prediction }), json!({ "outcome": outcome })]
            });
            let file = scratch.file("rows.ndjson", lines(&rows.collect::<Vec<_>>()));
            scratch.run(&["import", &file]).expect(0);
        };
        // Quarters of an hour: v1 for three days, then v2 for two.
        bring("v1", 5 * 96, 2 * 96, 0.8);
        scratch.run(&["model", "register", "m", "v1", "--champion"]).expect(0);
        scratch.run(&["model", "register", "m", "v2"]).expect(0);
        scratch.run(&["model", "promote", "m", "v2"]).expect(0);
        bring("v2", 2 * 96, 0, accuracy);
        assert!(open(&scratch).is_empty(), "nothing happens before a host's clock says that a day is over");
        let host = scratch.serve();
        let decisions = crate::swap::eventually(|| {
            let decisions = scratch.json(&["decisions", "--model", "m"]);
            let all = decisions["decisions"].as_array().expect("decisions").clone();
            let of_it: Vec<Value> =
                all.into_iter().filter(|decision| decision["policy"]["name"] == "rollback-watch").collect();
            (!of_it.is_empty()).then_some(of_it)
        });
        assert_eq!(decisions.len(), 1, "once a day: {decisions:#?}");
        let proposals = open(&scratch);
        assert_eq!(proposals.len(), usize::from(is_worse), "{decisions:#?}");
        let effects = host.socket().get("/v1/effects").json();
        let told = effects["effects"].as_array().expect("effects").iter().any(|effect| {
            effect["body"]["alert"]["reason"]
                .as_str()
                .is_some_and(|reason| reason.contains("Worse than before"))
        });
        assert_eq!(told, is_worse, "{effects:#}");
        if let Some(proposal) = proposals.first() {
            assert_eq!(proposal["what"]["act"]["action"], "rollback", "{proposal}");
            let (id, hash) = (text(proposal, "id"), text(proposal, "shown"));
            scratch
                .run(&["proposals", "approve", id, "--hash", hash])
                .expect(0)
                .prints(&["`v1` serves again"]);
        }
        assert_eq!(host.stop(), Some(0));
        scratch.verify();
    }
}
