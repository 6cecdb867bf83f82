//! At the stage `alert`, which is where everybody begins, what policies want changed waits for a person. What is approved is
//! done; what is rejected, or over, is not; a replay comes to the same.

use serde_json::Value;

use crate::support::{Scratch, told};

/// The story, at the stage that a model has of which nothing is said.
fn drifted(more: &str) -> Scratch {
    told(&format!("[detectors.accuracy-z]\nenabled = true\n{more}"))
}

/// Proposals in this state, as (id, what, what it is bound to).
fn proposals(scratch: &Scratch, state: &str) -> Vec<(String, String, String)> {
    let all = scratch.run(&["proposals", "--all", "--json"]);
    let listed = all.json();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let is_so = |proposal: &&Value| {
        proposal["state"].as_str().map_or_else(|| !proposal["state"][state].is_null(), |is| is == state)
    };
    let listed = listed["proposals"].as_array().expect("a list");
    listed
        .iter()
        .filter(is_so)
        .map(|proposal| {
            let action = &proposal["what"]["change"]["action"];
            let name = action
                .as_str()
                .map(str::to_owned)
                .or_else(|| action.as_object().and_then(|object| object.keys().next().cloned()));
            (text(&proposal["id"]), name.unwrap_or_default(), text(&proposal["shown"]))
        })
        .collect()
}

#[test]
fn what_the_stage_does_not_allow_waits_for_a_person() {
    let scratch = drifted("");
    let open = proposals(&scratch, "open");
    let of = |name: &str| open.iter().find(|(_, what, _)| what == name).cloned();
    let (id, _, shown) = of("scale-exposure").unwrap_or_else(|| panic!("the ladder reduces: {open:?}"));
    let exposure = || scratch.json(&["exposure", "show", "m"])["exposure"].as_f64().expect("a number");
    assert_eq!(exposure(), 1.0, "nothing has happened yet");
    // It says so where people look, and how to answer.
    scratch.run(&["status"]).expect(0).prints(&["for a person; see `trimtab proposals`"]);
    scratch.run(&["proposals", "show", &id]).expect(0).prints(&["scale-exposure", "approve"]);

    // What was shown is what is approved.
    let approve = |shown: &str| {
        scratch.run(&["proposals", "approve", &id, "--hash", shown, "--actor", "ada", "--reason", "agreed"])
    };
    approve(&"0".repeat(64)).expect(4).says(&["is not that of what waits now"]);
    approve(&shown).expect(0);
    assert!(exposure() < 1.0, "it is done");
    let causes = scratch.run(&["exposure", "show", "m"]).expect(0);
    causes.prints(&["drift-ladder"]);
    approve(&shown).expect(4).says(&["ada has approved it"]);
    scratch.verify();
}

#[test]
fn what_is_over_need_not_be_answered() {
    // One detector, which sees the story recover in between: what was to tighten then is withdrawn.
    let scratch = drifted("[detectors.e-sr]\nenabled = false\n");
    let stale = proposals(&scratch, "stale");
    assert!(stale.iter().any(|(_, what, _)| what == "kill-switch-on"), "{stale:?}");
    scratch.verify();
}

#[test]
fn a_model_that_proposes_nothing_refuses() {
    let scratch = drifted("[[models]]\nmodel = \"m\"\npropose = false\n");
    assert_eq!(proposals(&scratch, "open"), []);
    assert_eq!(proposals(&scratch, "stale"), []);
    let decisions = scratch.json(&["decisions", "--limit", "1000"]).to_string();
    assert!(decisions.contains("the stage of `m` is not `act`") && decisions.contains("refused"));
}

#[test]
fn that_something_waits_makes_no_model_one_with_registered_versions() {
    let scratch = drifted("");
    assert!(!proposals(&scratch, "open").is_empty());
    // Ticks come, at which schedules are asked for, about models with versions.
    assert_eq!(scratch.serve().stop(), Some(0));
    let decisions = scratch.json(&["decisions", "--limit", "1000"]).to_string();
    assert!(decisions.contains("drift-action") && !decisions.contains("retrain-schedule"), "{decisions}");
    scratch.run(&["schedule", "show", "m"]).expect(66);
    scratch.verify();
}
