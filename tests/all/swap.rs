//! Policies are swapped while the host runs: by a file that changes, by hand and back, for a share of the subjects, and
//! under load without a decision that is dropped, doubled or made by nobody.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use serde_json::{Value, json};

use crate::{
    policies::{MANIFEST, put, trapping},
    support::{STORY, Scratch, lines, stage, story},
};

/// Waits for something that comes a moment later.
#[track_caller]
pub(crate) fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..500 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("it does not come");
}

fn digest(scratch: &Scratch) -> String {
    let listed = scratch.json(&["policy", "list"]);
    let policies = listed["policies"].as_array().expect("a list");
    let ladder = policies.iter().find(|policy| policy["name"] == "drift-ladder").expect("is in force");
    ladder["digest"].as_str().expect("a digest").to_owned()
}

/// Writes a manifest that says the same in other words: another version, by its digest.
fn reworded(manifest: &Path, original: &str, number: usize) {
    let text = format!("# version {number}\n{original}");
    // As programs write that do not want half a file to be seen.
    let temporary = manifest.with_extension("tmp");
    std::fs::write(&temporary, text).expect("writes");
    std::fs::rename(&temporary, manifest).expect("renames");
}

struct Stage {
    scratch: Scratch,
    manifest: PathBuf,
    original: String,
}

fn with_own_policies(config: &str) -> Stage {
    let scratch = stage("");
    let policies = scratch.own_policies();
    scratch.configure(&policies, config);
    let manifest = policies.join("drift-ladder/policy.toml");
    let original = std::fs::read_to_string(&manifest).expect("reads");
    Stage { scratch, manifest, original }
}

#[test]
fn a_file_that_changes_is_in_force_and_there_is_a_way_back() {
    let Stage { scratch, manifest, original } = with_own_policies(STORY);
    let host = scratch.serve();
    let first = digest(&scratch);

    reworded(&manifest, &original, 2);
    let second = eventually(|| Some(digest(&scratch)).filter(|now| *now != first));
    // A mistake is named, and what was good keeps serving.
    std::fs::write(&manifest, "summary = ").expect("writes");
    let listed = eventually(|| {
        Some(scratch.json(&["policy", "list"])).filter(|listed| listed["problems"] != json!([]))
    });
    assert_eq!(listed["problems"][0]["still_serving"], true, "{listed}");
    assert_eq!(digest(&scratch), second);
    reworded(&manifest, &original, 2);
    eventually(|| Some(scratch.json(&["policy", "list"])).filter(|listed| listed["problems"] == json!([])));

    // Back: what lies in the directory is held back, over a restart as well.
    scratch
        .run(&["policy", "rollback", "drift-ladder", "--actor", "ada", "--reason", "too strict"])
        .expect(0)
        .prints(&["ada"]);
    assert_eq!(digest(&scratch), first);
    host.socket().post("/v1/reload", "").expect(200);
    assert_eq!(digest(&scratch), first);
    assert_eq!(host.stop(), Some(0));
    let _host = scratch.serve();
    assert_eq!(digest(&scratch), first);
    scratch.run(&["policy", "list"]).expect(0).prints(&["held back"]);
    // Again would be further back, never forward.
    let back = |more: &[&str]| scratch.run(&[&["policy", "rollback", "drift-ladder"], more].concat());
    back(&[]).expect(66).says(&["no version before the one in force"]);
    back(&["--to", &first[..8]]).expect(4).says(&["is in force already"]);
    assert_eq!(digest(&scratch), first);
    // The same files written anew, piece by piece, are no other version.
    std::fs::write(&manifest, "summary = ").expect("writes");
    eventually(|| Some(scratch.json(&["policy", "list"])).filter(|listed| listed["problems"] != json!([])));
    reworded(&manifest, &original, 2);
    let listed = eventually(|| {
        Some(scratch.json(&["policy", "list"])).filter(|listed| listed["problems"] == json!([]))
    });
    assert_eq!(listed["held"], json!({ "drift-ladder": second }));
    assert_eq!(digest(&scratch), first);

    // Until it changes.
    reworded(&manifest, &original, 3);
    let third = eventually(|| Some(digest(&scratch)).filter(|now| *now != first));
    let history = scratch.json(&["policy", "history", "drift-ladder"]);
    let versions: Vec<_> = history["versions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|version| (version["policy"]["digest"].as_str().expect("a digest"), version["held"] == true))
        .collect();
    assert_eq!(versions, [(&*first, false), (&*second, false), (&*first, true), (&*third, false)]);
    assert_eq!(history["versions"][2]["change"]["by"], "ada");
    scratch
        .run(&["policy", "history", "drift-ladder"])
        .expect(0)
        .prints(&["ada: too strict", "policies directory"]);

    scratch.run(&["policy", "rollback", "drift-ladder", "--to", &second[..12]]).expect(0);
    assert_eq!(digest(&scratch), second);
    scratch
        .run(&["policy", "rollback", "drift-ladder", "--to", "feed"])
        .expect(66)
        .says(&["no version `feed"]);
    scratch.run(&["policy", "rollback", "nobody"]).expect(66).says(&["no policy `nobody`"]);
    scratch.run(&["policy", "history", "nobody"]).expect(66);

    // A folder that goes is taken out; one that comes is put in force.
    let folder = manifest.parent().expect("a folder");
    let elsewhere = scratch.path("elsewhere");
    let names = || -> Vec<String> {
        let listed = scratch.json(&["policy", "list"]);
        let names = listed["policies"].as_array().expect("a list").iter();
        names.map(|policy| policy["name"].as_str().expect("a name").to_owned()).collect()
    };
    std::fs::rename(folder, &elsewhere).expect("renames");
    eventually(|| names().iter().all(|name| name != "drift-ladder").then_some(()));
    std::fs::rename(&elsewhere, folder).expect("renames");
    // What was gone back from stays out, also where its folder was away in between, and it is said.
    let problem = eventually(|| {
        let listed = scratch.json(&["policy", "list"]);
        listed["problems"][0]["problem"].as_str().map(str::to_owned)
    });
    assert!(problem.contains("somebody went back from version"), "{problem}");
    assert!(!names().iter().any(|name| name == "drift-ladder"));
    reworded(&manifest, &original, 4);
    eventually(|| names().iter().any(|name| name == "drift-ladder").then_some(()));
    scratch.verify();
}

/// The digest of the alerts' policy, once it is another.
fn alerts_change(scratch: &Scratch, number: usize) {
    let manifest = scratch.path("policies").join("chat-alert/policy.toml");
    let of = || {
        let listed = scratch.json(&["policy", "list"]);
        let policies = listed["policies"].as_array().expect("a list");
        policies.iter().find(|policy| policy["name"] == "chat-alert").expect("is in force")["digest"].clone()
    };
    let before = of();
    reworded(&manifest, &std::fs::read_to_string(&manifest).expect("reads"), number);
    eventually(|| (of() != before).then_some(()));
}

#[test]
fn what_does_not_fit_the_configuration_stops_only_its_own_policy() {
    let config = format!("{STORY}\n[policies.drift-ladder]\nsettings = {{ act-exposure = 0.9 }}\n");
    let Stage { scratch, manifest, original } = with_own_policies(&config);
    let host = scratch.serve();
    let first = digest(&scratch);
    let problem = || scratch.json(&["policy", "list"])["problems"][0].clone();

    let narrow = original.replace(
        "default = 0.5\nmin = 0\nmax = 1\nsummary = \"High",
        "default = 0.5\nmin = 0\nmax = 0.8\nsummary = \"High",
    );
    assert_ne!(narrow, original);
    std::fs::write(&manifest, &narrow).expect("writes");
    let said = eventually(|| Some(problem()).filter(|problem| !problem.is_null()));
    assert_eq!(said["still_serving"], true, "{said}");
    assert!(said["problem"].as_str().is_some_and(|text| text.contains("act-exposure")), "{said}");
    assert_eq!(digest(&scratch), first);
    alerts_change(&scratch, 2);

    // A folder that is taken out is out, though the configuration still speaks of it.
    let folder = manifest.parent().expect("a folder");
    std::fs::rename(folder, scratch.path("elsewhere")).expect("renames");
    let said = eventually(|| Some(problem()).filter(|problem| problem["still_serving"] == false));
    assert!(said["problem"].as_str().is_some_and(|text| text.contains("[policies.drift-ladder]")), "{said}");
    alerts_change(&scratch, 3);
    scratch.run(&["policy", "list"]).expect(0).prints(&["not in force: [policies.drift-ladder]"]);
    scratch.run(&["status"]).expect(0).prints(&["not in force: [policies.drift-ladder]"]);
    // It starts again as it was; what is new in a configuration has to be right.
    assert_eq!(host.stop(), Some(0));
    assert_eq!(scratch.serve().stop(), Some(0));
    scratch.configure(&scratch.path("policies"), &format!("{config}\n[policies.other]\nmode = \"off\"\n"));
    scratch.run(&["status"]).expect(78).says(&["[policies."]);
    scratch.configure(&scratch.path("policies"), &config);
    scratch.verify();
}

#[test]
fn a_policy_that_fails_its_own_fixtures_is_not_put_in_force() {
    let Stage { scratch, manifest, original } = with_own_policies(STORY);
    let fixture = manifest.with_file_name("fixtures").join("wrong.toml");
    std::fs::create_dir_all(fixture.parent().expect("a folder")).expect("makes");
    let host = scratch.serve();
    let before = digest(&scratch);
    std::fs::write(
        fixture,
        "[[findings]]\ndetector = \"e-sr\"\nseverity = \"critical\"\n[expect]\nactions = [\"resume\"]\n",
    )
    .expect("writes");
    reworded(&manifest, &original, 2);
    let answer = host.socket().post("/v1/reload", "").expect(200).json();
    let problem = answer["problems"][0]["problem"].as_str().expect("a problem");
    assert!(problem.contains("fails its own fixtures") && problem.contains("wrong"), "{problem}");
    assert_eq!(digest(&scratch), before);
}

#[test]
fn two_hundred_swaps_under_load_drop_double_and_mix_no_decision() {
    const SWAPS: usize = 200;
    let config = format!(
        "{}stage = \"act\"\n",
        STORY.split("stage").next().expect("a beginning").replace("\"m\"", "\"*\"")
    );
    let Stage { scratch, manifest, original } = with_own_policies(&config);
    let host = scratch.serve();
    let http = host.socket();
    let done = AtomicBool::new(false);
    let models = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut models = 0;
            while !done.load(Ordering::Relaxed) {
                let model = format!("model-{models}");
                let baseline = json!({ "model": model, "version": "v1", "samples": 2000, "accuracy": 0.9 });
                http.post("/v1/baselines", baseline.to_string()).expect(200);
                let rows = lines(&story(models)).replace("\"m\"", &format!("\"{model}\""));
                // In parts, so that swaps come between rows of one model, too.
                let rows: Vec<_> = rows.lines().collect();
                for part in rows.chunks(400) {
                    http.post_lines("/v1/rows", part.join("\n")).expect(200);
                }
                models += 1;
            }
            models
        });
        for number in 0..SWAPS {
            reworded(&manifest, &original, number);
            http.post("/v1/reload", "").expect(200);
        }
        done.store(true, Ordering::Relaxed);
        load.join().expect("the load runs")
    });
    http.get("/v1/status?settled=true").expect(200);

    let history = scratch.json(&["policy", "history", "drift-ladder"]);
    let versions: Vec<(u64, String)> = history["versions"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|version| {
            let digest = version["policy"]["digest"].as_str().expect("a digest").to_owned();
            (version["number"].as_u64().expect("a control entry"), digest)
        })
        .collect();
    assert_eq!(versions.len(), SWAPS + 1);
    let set_at = policy_set_of_decisions(&scratch);
    let serving = |decision: &str| {
        let set = set_at[decision];
        &versions.iter().rev().find(|(from, _)| *from <= set).expect("something was in force").1
    };
    let decisions = scratch.json(&["decisions", "--limit", "10000"]);
    let mut decided: BTreeMap<String, u32> = BTreeMap::new();
    let mut digests = std::collections::BTreeSet::new();
    let mut told: Vec<String> = Vec::new();
    for decision in decisions["decisions"].as_array().expect("a list") {
        let Some(findings) = decision["question"]["drift-action"]["findings"].as_array() else { continue };
        let (by, id) = (&decision["policy"], decision["id"].as_str().expect("an id"));
        let change =
            |finding: &Value| format!("{} {} {}", finding["id"], finding["phase"], finding["position"]);
        if by.is_null() {
            // The host says again what was decided; see below.
            told.extend(findings.iter().map(change));
            continue;
        }
        assert_eq!(by["name"], "drift-ladder", "{decision}");
        assert_eq!(by["digest"], **serving(id), "the version in force at its position: {decision}");
        assert!(decision["answer"]["decision"].is_object(), "{decision}");
        digests.insert(by["digest"].as_str().expect("a digest").to_owned());
        for finding in findings {
            *decided.entry(change(finding)).or_default() += 1;
        }
    }
    let findings = scratch.json(&["findings", "--limit", "10000"]);
    let findings = findings["findings"].as_array().expect("a list");
    let opened_and_closed_at_once = |finding: &&Value| {
        finding["phase"] == "closed"
            && findings.iter().any(|other| {
                other["id"] == finding["id"]
                    && other["phase"] != "closed"
                    && other["position"] == finding["position"]
            })
    };
    let put = findings.iter().filter(|finding| !opened_and_closed_at_once(finding));
    let put: Vec<String> = put
        .map(|finding| format!("{} {} {}", finding["id"], finding["phase"], finding["position"]))
        .collect();
    assert!(
        put.len() > 20 && digests.len() > 2,
        "{models} models, {} findings, {} digests",
        put.len(),
        digests.len()
    );
    for change in &put {
        assert_eq!(decided.get(change), Some(&1), "{change}: decided once");
    }
    assert_eq!(decided.len(), put.len());
    assert!(
        told.iter().all(|change| decided.contains_key(change)),
        "the host decides nothing by itself: {told:?}"
    );
    scratch.verify();
    assert_eq!(host.stop(), Some(0));
}

#[test]
fn a_new_version_decides_for_a_share_of_the_subjects() {
    let config = format!("{}[policies.drift-ladder]\nrollout = 0.5\n", STORY.replace("\"m\"", "\"*\""));
    let Stage { scratch, manifest, original } = with_own_policies(&STORY.replace("\"m\"", "\"*\""));
    let host = scratch.serve();
    let http = host.socket();
    let first = digest(&scratch);
    scratch.configure(manifest.parent().and_then(Path::parent).expect("policies"), &config);
    reworded(&manifest, &original, 2);
    http.post("/v1/reload", "").expect(200);
    let second = digest(&scratch);
    assert_ne!(first, second);
    scratch.run(&["policy", "list"]).expect(0).prints(&["enforce for 50.0 %"]);
    for model in 0..12 {
        let model = format!("model-{model}");
        let baseline = json!({ "model": model, "version": "v1", "samples": 2000, "accuracy": 0.9 });
        http.post("/v1/baselines", baseline.to_string()).expect(200);
        http.post_lines("/v1/rows", lines(&story(7)).replace("\"m\"", &format!("\"{model}\""))).expect(200);
    }
    let by_model = || {
        let decisions = scratch.json(&["decisions", "--limit", "10000"]);
        let mut by: BTreeMap<String, std::collections::BTreeSet<String>> = BTreeMap::new();
        for decision in decisions["decisions"].as_array().expect("a list") {
            if decision["question"]["drift-action"].is_object() {
                let text = |value: &Value| value.as_str().expect("a text").to_owned();
                by.entry(text(&decision["subject"]["model"]))
                    .or_default()
                    .insert(text(&decision["policy"]["digest"]));
            }
        }
        by
    };
    let by = by_model();
    assert_eq!(by.len(), 12);
    assert!(by.values().all(|digests| digests.len() == 1), "a subject stays with its version: {by:?}");
    let new = by.values().filter(|digests| digests.contains(&second)).count();
    let old = by.values().filter(|digests| digests.contains(&first)).count();
    assert!(new > 0 && old > 0 && new + old == 12, "{new} new, {old} old");

    // For all.
    scratch.configure(
        manifest.parent().and_then(Path::parent).expect("policies"),
        &config.replace("0.5", "1.0"),
    );
    http.post("/v1/reload", "").expect(200);
    assert_eq!(digest(&scratch), second);
    scratch
        .run(&["policy", "history", "drift-ladder"])
        .expect(0)
        .prints(&["new version for 50.0 %", "for all subjects"]);
    scratch.verify();
}

#[test]
fn a_policy_that_fails_again_and_again_is_left_alone_and_nothing_is_dropped() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    // It comes first, so that it is asked about everything.
    put(&policies, "trapping", format!("{MANIFEST}order = 1\n").as_bytes(), &trapping());
    scratch.configure(
        &policies,
        &format!("{STORY}[breaker]\nfailures = 2\npause = \"30d\"\nlongest = \"30d\"\n"),
    );
    let file = scratch.file("story.ndjson", lines(&story(7)));
    scratch.run(&["import", &file]).expect(0);
    let decisions = scratch.json(&["decisions", "--limit", "1000"]);
    let mut kinds: Vec<_> = decisions["decisions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|decision| decision["policy"]["name"] == "trapping")
        .map(|decision| decision["answer"]["failed"]["kind"].as_str().expect("it failed").to_owned())
        .collect();
    kinds.reverse();
    assert!(kinds.len() > 3, "{kinds:?}");
    assert_eq!(kinds[..2], ["trap", "trap"]);
    assert!(kinds[2..].iter().all(|kind| kind == "circuit-open"), "{kinds:?}");
    scratch.run(&["policy", "list"]).expect(0).prints(&["failing: `trapping`", "is not asked until"]);
    // Mended, it is another version, and is asked again.
    put(&policies, "trapping", format!("{MANIFEST}order = 1\nmode = \"off\"\n").as_bytes(), &trapping());
    let listed = scratch.json(&["policy", "list"]);
    assert_eq!(listed["failures"], json!([]));
    scratch.verify();
}

#[test]
fn several_policies_decide_together_and_the_safest_stands() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    let ladder = policies.join("drift-ladder");
    let milder = policies.join("milder");
    std::fs::create_dir(&milder).expect("makes");
    for (from, to) in [("policy.toml", "policy.toml"), ("drift-ladder.wasm", "drift-ladder.wasm")] {
        std::fs::copy(ladder.join(from), milder.join(to)).expect("copies");
    }
    let config = |compose: &str| {
        format!(
            "{STORY}[decisions]\npolicies = \"{compose}\"\n[policies.milder]\norder = 1\nsettings = {{ act-exposure = 0.9, chance = 0 }}\n[policies.drift-ladder.settings]\nchance = 0\n"
        )
    };
    let file = scratch.file("story.ndjson", lines(&story(7)));
    scratch.configure(&policies, &config("all"));
    scratch.run(&["import", &file]).expect(0);
    let decisions = scratch.json(&["decisions", "--limit", "1000"]);
    let decisions: Vec<&Value> = decisions["decisions"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|decision| decision["question"]["drift-action"].is_object())
        .collect();
    let by = |name: &str| decisions.iter().filter(|decision| decision["policy"]["name"] == name).count();
    assert_eq!(by("milder"), by("drift-ladder"), "all are asked");
    let verdicts = |name: &str| -> Vec<(String, Value)> {
        let of = decisions.iter().filter(|decision| decision["policy"]["name"] == name);
        of.flat_map(|decision| decision["verdicts"].as_array().expect("a list"))
            .filter(|verdict| verdict[0]["scale-exposure"].is_number())
            .map(|verdict| (verdict[0]["scale-exposure"].to_string(), verdict[1].clone()))
            .collect()
    };
    let (milder, ladder) = (verdicts("milder"), verdicts("drift-ladder"));
    assert!(!ladder.is_empty(), "{decisions:?}");
    for (factor, verdict) in &milder {
        assert_eq!(
            (factor.as_str(), &verdict["overruled"]["by"]),
            ("0.9", &json!("drift-ladder")),
            "{verdict}"
        );
    }
    for (factor, verdict) in &ladder {
        assert!(factor == "0.5" && verdict["done"].is_object(), "{factor} {verdict}");
    }
    scratch.verify();
}

/// By decision: the number of the control entry whose policy set is in force at its position, as the log of its model has it.
fn policy_set_of_decisions(scratch: &Scratch) -> BTreeMap<String, u64> {
    let database = rusqlite::Connection::open(scratch.data().join("logs.db")).expect("opens");
    let shards: Vec<u8> = database
        .prepare("SELECT shard FROM shard WHERE awake = 1")
        .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
        .expect("reads");
    let mut found = BTreeMap::new();
    for shard in shards {
        let sql = format!(
            "SELECT id, (SELECT max(link) FROM log_{shard:02} AS log WHERE kind = 7 AND log.position <= decision.position)
             FROM decision WHERE shard = {shard}"
        );
        let mut query = database.prepare(&sql).expect("reads");
        let rows = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("reads");
        found.extend(rows.collect::<rusqlite::Result<Vec<_>>>().expect("reads"));
    }
    found
}

/// Policies are asked about what is open already: one that is new, once; one that a person asks; nobody else.
#[test]
fn what_is_open_is_put_to_who_is_new_or_asked_by_a_person() {
    let Stage { scratch, manifest, original } = with_own_policies(STORY);
    scratch.run(&["import", &scratch.file("story.ndjson", lines(&story(7)))]).expect(0);
    let open = scratch.json(&["findings", "--open"])["findings"].as_array().map_or(0, Vec::len);
    assert!(open > 0, "the story ends in a drift");
    let by = |name: &str| -> Vec<Value> {
        let all = scratch.json(&["decisions", "--limit", "1000"]);
        let all = all["decisions"].as_array().expect("a list").clone();
        all.into_iter().filter(|decision| decision["policy"]["name"] == name).collect()
    };
    let policies = manifest.ancestors().nth(2).expect("a directory");
    let component = std::fs::read(policies.join("drift-ladder/drift-ladder.wasm")).expect("reads");
    let add = |name: &str, lines: &str| {
        let text =
            original.replace("order = 100", lines).replace("drift-ladder.wasm", &format!("{name}.wasm"));
        put(policies, name, text.as_bytes(), &component);
        scratch.json(&["status"]);
    };
    // It comes before the ladder, so that what is open is its to decide about.
    add("first", "order = 50");
    let asked = by("first");
    assert_eq!(asked.len(), 1, "{asked:?}");
    let findings = asked[0]["question"]["drift-action"]["findings"].as_array().expect("findings").clone();
    assert_eq!(findings.len(), open);
    assert!(findings.iter().all(|finding| finding["phase"] == "raised"), "{findings:?}");
    // One that says so waits; one that comes later has nothing to decide about.
    add("waits", "order = 40\non-swap = \"wait\"");
    add("later", "order = 200");
    assert_eq!((by("waits").len(), by("later").len(), by("first").len()), (0, 0, 1));
    scratch
        .run(&["policy", "ask", "waits", "--model", "m", "--reason", "a test"])
        .expect(0)
        .prints(&["asked `waits` about what is open of `m`"]);
    assert_eq!((by("waits").len(), by("first").len()), (1, 1));
    scratch
        .run(&["policy", "ask", "nobody", "--model", "m"])
        .expect(66)
        .says(&["no policy `nobody` in force"]);
    scratch.run(&["policy", "ask", "waits", "--model", "x"]).expect(66).says(&["no prediction of"]);
    scratch.verify();
}

/// Somebody stops a policy: nobody asks it from then on, with a host or without one, and a replay comes to the same.
#[test]
fn a_policy_that_is_stopped_is_asked_nothing() {
    let Stage { scratch, manifest, original } = with_own_policies(STORY);
    let rows = story(7);
    let (first, second) = rows.split_at(rows.len() / 2);
    let import = |name: &str, rows: &[Value]| {
        scratch.run(&["import", &scratch.file(name, lines(rows))]).expect(0);
    };
    // By kind of answer, the decisions of the ladder.
    let answers = || -> BTreeMap<String, usize> {
        let all = scratch.json(&["decisions", "--limit", "1000"]);
        let mut kinds = BTreeMap::new();
        for decision in all["decisions"].as_array().expect("a list") {
            if decision["policy"]["name"] == "drift-ladder" {
                let failed = decision["answer"]["failed"]["kind"].as_str();
                *kinds.entry(failed.unwrap_or("decided").to_owned()).or_default() += 1;
            }
        }
        kinds
    };
    // Without a host nothing is folded, and it holds all the same.
    scratch.run(&["policy", "stop", "nobody"]).expect(66).says(&["no policy `nobody` in force"]);
    scratch.json(&["status"]);
    scratch
        .run(&["policy", "stop", "drift-ladder", "--reason", "it fills the disk"])
        .expect(0)
        .prints(&["`drift-ladder` is asked nothing more", "policy start drift-ladder"]);
    let host = scratch.serve();
    import("first.ndjson", first);
    let stopped = answers();
    assert!(stopped.len() == 1 && stopped["stopped"] > 0, "{stopped:?}");
    let listed = scratch.json(&["policy", "list"]);
    let said = listed["stopped"]["drift-ladder"].as_str().expect("is listed");
    assert!(said.contains("it fills the disk"), "{said}");
    scratch.run(&["policy", "list"]).expect(0).prints(&["stopped: `drift-ladder` is asked nothing"]);
    // It has not failed, so it is not left alone, and its fail-safe spoke for it.
    assert_eq!(listed["failures"], json!([]));
    let all = scratch.json(&["decisions", "--limit", "1000"]);
    let safe = all["decisions"].as_array().expect("a list").iter().any(|decision| {
        decision["policy"]["name"] == "drift-ladder"
            && decision["verdicts"].as_array().is_some_and(|verdicts| !verdicts.is_empty())
    });
    assert!(safe, "its fail-safe applies");
    // Another version of it is stopped, too; with the host running it is started again.
    reworded(&manifest, &original, 2);
    eventually(|| {
        Some(scratch.json(&["policy", "history", "drift-ladder"]))
            .filter(|history| history["versions"].as_array().is_some_and(|versions| versions.len() == 2))
    });
    scratch.run(&["policy", "start", "drift-ladder"]).expect(0).prints(&["is asked again"]);
    import("second.ndjson", second);
    let after = answers();
    assert_eq!(after["stopped"], stopped["stopped"], "{after:?}");
    assert!(after["decided"] > 0, "{after:?}");
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
    // What is tried out is asked also where the version in force was stopped.
    scratch.run(&["policy", "dry-run", "drift-ladder"]).expect(3);
}
