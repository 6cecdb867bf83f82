//! A new version of a policy is tried out on history before it is put in force, where the operator wants that.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::{
    support::{STORY, Scratch, Serving, lines, stage, story},
    swap::eventually,
};

const GATE: &str = "[policies.drift-ladder]\ngate = { period = \"1000d\", changed = 0.05, looser = 0 }\n";

struct Stage {
    scratch: Scratch,
    manifest: PathBuf,
    original: String,
}

/// A directory with policies of its own, in which the story was told or nothing was.
fn with_gate(is_told: bool) -> Stage {
    let scratch = stage("");
    let policies = scratch.own_policies();
    scratch.configure(&policies, &format!("{STORY}{GATE}"));
    if is_told {
        let file = scratch.file("story.ndjson", lines(&story(7)));
        scratch.run(&["import", &file]).expect(0);
    } else {
        scratch.run(&["status"]).expect(0);
    }
    let manifest = policies.join("drift-ladder/policy.toml");
    let original = std::fs::read_to_string(&manifest).expect("reads");
    Stage { scratch, manifest, original }
}

fn put(manifest: &Path, text: &str) {
    let temporary = manifest.with_extension("tmp");
    std::fs::write(&temporary, text).expect("writes");
    std::fs::rename(&temporary, manifest).expect("renames");
}

fn digest(scratch: &Scratch) -> String {
    let listed = scratch.json(&["policy", "list"]);
    let policies = listed["policies"].as_array().expect("a list");
    let ladder = policies.iter().find(|policy| policy["name"] == "drift-ladder").expect("is in force");
    ladder["digest"].as_str().expect("a digest").to_owned()
}

/// What keeps the ladder's new version out, once it has been tried out.
fn held(scratch: &Scratch) -> String {
    eventually(|| {
        let listed = scratch.json(&["policy", "list"]);
        let problem =
            listed["problems"].as_array()?.iter().find(|problem| problem["name"] == "drift-ladder")?.clone();
        assert_eq!(problem["still_serving"], true, "{problem}");
        let text = problem["problem"].as_str()?.to_owned();
        text.contains("is not put in force").then_some(text)
    })
}

/// The digest that a problem names.
fn named(problem: &str) -> String {
    let rest = problem.split("--digest ").nth(1).expect("a digest");
    rest.chars().take_while(char::is_ascii_hexdigit).collect()
}

fn apply(scratch: &Scratch, digest: &str) -> crate::support::Run {
    scratch.run(&[
        "policy",
        "apply",
        "drift-ladder",
        "--digest",
        digest,
        "--actor",
        "ada",
        "--reason",
        "seen",
    ])
}

#[test]
fn what_decides_as_before_goes_in_and_what_is_looser_waits_for_a_person() {
    let Stage { scratch, manifest, original } = with_gate(true);
    let host: Serving = scratch.serve();
    let first = digest(&scratch);
    // The same in other words: nothing would be decided otherwise.
    put(&manifest, &format!("# version 2\n{original}"));
    let second = eventually(|| Some(digest(&scratch)).filter(|now| *now != first));

    // Half the exposure becomes nine tenths.
    let looser = original.replace("default = 0.5\nmin = 0\nmax = 1", "default = 0.9\nmin = 0\nmax = 1");
    assert_ne!(looser, original);
    put(&manifest, &looser);
    let problem = held(&scratch);
    for part in ["decisions of the last 1000d would be others", "looser (at most 0)", "policy dry-run"] {
        assert!(problem.contains(part), "{problem} lacks {part}");
    }
    assert_eq!(digest(&scratch), second, "the version before serves");
    scratch.run(&["policy", "list"]).expect(0).prints(&["looser"]);
    // A reload and a restart let it in as little.
    host.socket().post("/v1/reload", "").expect(200);
    assert_eq!(digest(&scratch), second);
    assert_eq!(host.stop(), Some(0));
    let host = scratch.serve();
    let problem = held(&scratch);
    assert_eq!(digest(&scratch), second);

    // A person has looked at this version, and at no other.
    let third = named(&problem);
    apply(&scratch, &second).expect(4).says(&["its folder holds version"]);
    apply(&scratch, "abc").expect(65).says(&["64 hexadecimal digits"]);
    apply(&scratch, &third).expect(0).prints(&["is in force"]);
    assert_eq!(digest(&scratch), third);
    let listed = scratch.json(&["policy", "list"]);
    assert_eq!(listed["problems"], json!([]), "{listed}");
    let history = scratch.json(&["policy", "history", "drift-ladder"]);
    let newest: &Value = history["versions"].as_array().expect("a list").last().expect("a version");
    assert_eq!((&newest["change"]["by"], &newest["change"]["reason"]), (&json!("ada"), &json!("seen")));

    // What somebody went back from stays out, whoever wants it.
    scratch.run(&["policy", "rollback", "drift-ladder"]).expect(0);
    assert_eq!(digest(&scratch), second);
    apply(&scratch, &third).expect(4).says(&["went back from"]);
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
}

/// Where nothing was decided, nobody knows what a version would do, and that is no reason to let it in.
#[test]
fn without_history_a_new_version_waits() {
    let Stage { scratch, manifest, original } = with_gate(false);
    let host = scratch.serve();
    let first = digest(&scratch);
    put(&manifest, &format!("# version 2\n{original}"));
    let problem = held(&scratch);
    assert!(problem.contains("asked nothing in the last 1000d"), "{problem}");
    assert_eq!(digest(&scratch), first);
    apply(&scratch, &named(&problem)).expect(0);
    assert_ne!(digest(&scratch), first);
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
}
