//! A policy that is slow, and answers: nobody but the decisions after it waits for it, neither while the host runs nor when it
//! starts nor when it ends.

use serde_json::json;

use super::{core::Core, put, tell};
use crate::{
    hostile::cases::{Case, Outcome},
    support::{Http, STORY, at, stage},
    swap::eventually,
};

/// Answers after some 10¹⁰ instructions, which takes seconds anywhere.
fn slow() -> Case {
    let spins = Core {
        decide: "(local.set 4 (i64.const 1900000000))
            (loop $on
                (local.set 4 (i64.sub (local.get 4) (i64.const 1)))
                (br_if $on (i64.ne (local.get 4) (i64.const 0))))",
        ..Core::default()
    };
    Case {
        name: "slow",
        lines: "[limits]\ntime = \"60s\"\nfuel = 10_000_000_000\n",
        component: spins.component(),
        outcome: Outcome::Answers,
    }
}

/// What the fold waits for.
fn behind(http: &Http) -> Option<String> {
    let status = http.get("/v1/status?settled=true").expect(200).json();
    status["behind"].as_str().filter(|why| why.contains("policy `slow`")).map(str::to_owned)
}

#[test]
fn a_slow_policy_holds_nobody_up() {
    let scratch = stage("");
    let policies = scratch.own_policies();
    let story = STORY.replace("\"m\"", "\"*\"");
    scratch.configure(&policies, &format!("{story}[decisions]\npolicies = \"all\"\n"));
    put(&policies.join("slow"), &slow());
    let host = scratch.serve();
    let http = host.socket();
    // A version to go back to.
    let manifest = policies.join("drift-ladder/policy.toml");
    let first = std::fs::read_to_string(&manifest).expect("reads");
    std::fs::write(&manifest, format!("# second\n{first}")).expect("writes");
    http.post("/v1/reload", "").expect(200);
    // The models are known before anybody is slow.
    for model in 0..4 {
        let first = json!({ "id": "first", "model": format!("case-{model}"), "version": "v1", "time": at(0), "score": 0.7 });
        http.post("/v1/predictions", first.to_string()).expect(200);
    }
    http.get("/v1/findings?settled=true").expect(200);
    for model in 0..4 {
        tell(&http, &format!("case-{model}"));
    }
    eventually(|| behind(&http));
    // All of this comes to its end while the first of many questions is being answered.
    http.get("/v1/policies").expect(200);
    http.get("/metrics").expect(200);
    std::fs::write(&manifest, format!("# third\n{first}")).expect("writes");
    http.post("/v1/reload", "").expect(200);
    let switch = json!({ "model": "case-1", "on": true, "actor": "ada", "reason": "test" });
    http.post("/v1/kill-switch", switch.to_string()).expect(200);
    let may = http.get("/v1/may-trade?model=case-1").expect(200).json();
    assert_eq!(may["allowed"], false, "{may}");
    let exposure =
        json!({ "model": "case-0", "act": { "set-exposure": 0.5 }, "actor": "ada", "reason": "test" });
    http.post("/v1/acts", exposure.to_string()).expect(200);
    let back = json!({ "actor": "ada", "reason": "test" });
    http.post("/v1/policies/drift-ladder/rollback", back.to_string()).expect(200);
    assert!(behind(&http).is_some(), "the fold is where it was");
    assert_eq!(host.stop(), Some(0));

    // It is asked again at the next start, which does not wait for it either; nor does who stops it.
    let host = scratch.serve();
    let http = host.socket();
    eventually(|| behind(&http));
    scratch.run(&["policy", "stop", "slow", "--reason", "too slow"]).expect(0);
    assert!(behind(&http).is_some(), "the fold is where it was");
    assert_eq!(host.stop(), Some(0));

    let host = scratch.serve();
    eventually(|| {
        let status = host.socket().get("/v1/status").expect(200).json();
        (status["head"] == status["folded"]).then_some(())
    });
    assert_eq!(host.stop(), Some(0));
    let decided = super::decisions(&scratch, "case-0", "slow");
    let stopped = |decision: &&serde_json::Value| decision["answer"]["failed"]["kind"] == "stopped";
    assert_eq!(decided.iter().filter(stopped).count(), decided.len(), "nobody was asked to the end");
    assert!(!decided.is_empty());
    scratch.verify();
}
