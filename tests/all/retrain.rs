//! Retrains with real trainers: begun by a drift, by a person, by a schedule; what they may take, what they bring, and what is
//! left of them. Each trainer is a script, as an operator writes one.

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    support::{Run, Scratch, Seeded, ago, lines},
    swap::eventually,
};

const SWITCHES: &str = "[safeguards.retrain]\nenabled = true\ntenants = [\"*\"]\nminimum-samples = 1\n";
const MODEL: &str = "[[models]]\nmodel = \"m\"\nstage = \"act\"\nretrain = true\n";

/// A directory in which `v1` serves `m`, retrained by a script; `trainer` are more keys of its table.
fn with_trainer(script: &str, trainer: &str) -> Scratch {
    with_config(&format!("{SWITCHES}{MODEL}{}{trainer}", trainer_table("[\"sh\", \"train.sh\"]")), script)
}

fn trainer_table(command: &str) -> String {
    format!("[[trainers]]\nmodel = \"*\"\ncommand = {command}\npause = \"1s\"\n")
}

fn with_config(config: &str, script: &str) -> Scratch {
    let scratch = Scratch::with_config(config);
    std::fs::write(scratch.data().join("train.sh"), script).expect("writes");
    scratch.run(&["model", "register", "m", "v1", "--champion", "--metric", "accuracy=0.72"]).expect(0);
    scratch
}

#[track_caller]
fn retrain(scratch: &Scratch) -> String {
    let said = scratch.run(&["retrain", "now", "m", "--reason", "a test"]).expect(0).stdout;
    said.split_ascii_whitespace().find(|word| word.starts_with("r-")).expect("an id").to_owned()
}

fn newest(scratch: &Scratch) -> Value {
    scratch.json(&["retrain", "list", "--model", "m"])["runs"][0].clone()
}

/// The newest run, once it is over.
fn over(scratch: &Scratch) -> Value {
    eventually(|| {
        let run = newest(scratch);
        (!["starting", "running"].contains(&run["state"].as_str().expect("a state"))).then_some(run)
    })
}

#[track_caller]
fn check(script: &str, trainer: &str, state: &str, says: &[&str]) -> Scratch {
    let scratch = with_trainer(script, trainer);
    retrain(&scratch);
    let run = over(&scratch);
    assert_eq!(run["state"], state, "{run}");
    let said = run["says"].as_str().expect("text");
    for part in says {
        assert!(said.contains(part), "{said} lacks {part}");
    }
    let versions = scratch.json(&["model", "list", "m"]);
    assert_eq!(versions["champion"], "v1", "nothing serves by itself: {versions}");
    scratch.verify();
    scratch
}

/// What a trainer writes that brings `v2` with an accuracy.
fn brings(accuracy: &str) -> String {
    format!(
        "echo weights > \"$TRIMTAB_ARTIFACTS/model.bin\"\necho '{{\"version\":\"v2\",\"metrics\":{{\"accuracy\":{accuracy}}},\"baseline\":{{\"samples\":500,\"accuracy\":0.74}},\"cost\":1.5}}' > \"$TRIMTAB_RESULT\"\n"
    )
}

fn stage(scratch: &Scratch, version: &str) -> Option<String> {
    let versions = scratch.json(&["model", "list", "m"]);
    let found = versions["versions"].as_array()?.iter().find(|known| known["version"] == version)?;
    Some(found["stage"].as_str()?.to_owned())
}

#[test]
fn a_trainer_brings_a_version_that_is_tried_in_shadow() {
    let scratch = check(
        &format!("echo '{{\"trimtab\":{{\"progress\":0.5,\"note\":\"half\"}}}}'\nenv\n{}", brings("0.74")),
        "validation.minimum = { accuracy = 0.7 }\n",
        "validated",
        &["accuracy 0.74 (at least 0.7)", "(champion 0.72)", "in shadow"],
    );
    assert_eq!(stage(&scratch, "v2").as_deref(), Some("shadow"));
    let run = newest(&scratch);
    let (id, cost) = (run["id"].as_str().expect("an id"), &run["cost"]);
    assert_eq!(*cost, 1.5);
    let shown = scratch.run(&["retrain", "show", id]).expect(0);
    shown.prints(&[
        "RETRAIN_MODE=scheduled",
        "DRIFT_THRESHOLD=",
        "TRIMTAB_CHAMPION=v1",
        "TRIMTAB_MODEL=m",
        "cost 1.5",
    ]);
    assert!(!shown.stdout.contains("CARGO"), "only what is listed of the host's variables is given");
    let baselines = scratch.json(&["baseline", "show"]);
    assert!(
        baselines.to_string().contains("\"v2\""),
        "what it brought is held against its own baseline: {baselines}"
    );
    scratch.run(&["retrain", "cooldown", "m"]).expect(0).prints(&["until", "the last retrain began"]);
    scratch.run(&["retrain", "show", "r-none"]).expect(66);
    scratch.run(&["retrain", "list", "--model", "none"]).expect(66);
}

#[test]
fn what_a_trainer_brings_is_held_against_the_validation() {
    let minimum = "validation.minimum = { accuracy = 0.7 }\n";
    check(&brings("0.66"), minimum, "rejected", &["accuracy 0.66 (at least 0.7)", "(champion 0.72)"]);
    let scratch = check(&brings("0.69"), "", "rejected", &["accuracy 0.69 (champion 0.72)"]);
    assert_eq!(stage(&scratch, "v2").as_deref(), Some("candidate"), "it may be looked at, and cleaned up");
    check(&brings("0.71"), "", "validated", &["accuracy 0.71 (champion 0.72)", "in shadow"]);
    let none = "echo '{\"version\":\"v2\"}' > \"$TRIMTAB_RESULT\"\n";
    check(none, "", "rejected", &["no metric was reported"]);
    check(none, "validation.unmeasured = true\n", "validated", &["nothing was asked for"]);
    check(&brings("0.9"), "validation.maximum = { ece = 0.05 }\n", "rejected", &["ece was not reported"]);
    check(&brings("0.9"), "then = \"register\"\n", "validated", &["it is a candidate"]);
    let canary =
        check(&brings("0.9"), "then = \"canary\"\nfraction = 0.2\n", "validated", &["20 % of the traffic"]);
    assert_eq!(stage(&canary, "v2").as_deref(), Some("canary"));
    let proposed = check(&brings("0.9"), "then = \"propose\"\n", "validated", &["a person is asked"]);
    let proposals = proposed.run(&["proposals", "--json"]).expect(1).json();
    assert_eq!(proposals["proposals"][0]["what"]["promote"]["version"], "v2", "{proposals}");
}

#[test]
fn a_result_that_cannot_be_used_fails_with_its_reason_and_registers_nothing() {
    for (script, says) in [
        ("exit 0", &["exit 0 but no result", "TRIMTAB_RESULT"][..]),
        (
            "echo '{\"version\":\"v2\",\"metrics\":{\"accuracy\": NaN}}' > $TRIMTAB_RESULT",
            &["metric `accuracy` is NaN"],
        ),
        (
            "echo '{\"version\":\"v2\",\"artifact\":\"../../etc\"}' > $TRIMTAB_RESULT",
            &["artifact outside the root", "../../etc"],
        ),
        (
            "echo '{\"version\":\"v2\",\"artifact\":\"/etc/passwd\"}' > $TRIMTAB_RESULT",
            &["artifact outside the root"],
        ),
        (
            "ln -s /etc $TRIMTAB_ARTIFACTS/out; echo \"{\\\"version\\\":\\\"v2\\\",\\\"artifact\\\":\\\"$TRIMTAB_RUN/out\\\"}\" > $TRIMTAB_RESULT",
            &["artifact"],
        ),
        (
            "echo '{\"version\":\"v1\",\"metrics\":{\"accuracy\":0.9}}' > $TRIMTAB_RESULT",
            &["conflict", "`v1`"],
        ),
        ("printf '{\"version\":\"v\\\\u0007\"}' > $TRIMTAB_RESULT", &["version"]),
        ("echo oops > $TRIMTAB_RESULT", &["cannot be read"]),
        (
            "echo '{\"version\":\"v2\",\"baseline\":{\"samples\":9,\"accuracy\":5}}' > $TRIMTAB_RESULT",
            &["its baseline cannot be used"],
        ),
        (
            "ln -s /etc $TRIMTAB_ARTIFACTS/out; echo '{\"version\":\"v2\"}' > $TRIMTAB_RESULT",
            &["TRIMTAB_ARTIFACTS cannot be used"],
        ),
        ("head -c 2000000 /dev/zero > $TRIMTAB_RESULT", &["cannot be read"]),
        ("ln -s /etc/passwd $TRIMTAB_RESULT", &["cannot be read"]),
        ("mkfifo $TRIMTAB_RESULT", &["cannot be read"]),
        ("echo mistake >&2; exit 7", &["exit code 7"]),
        ("kill -9 $$", &["signal 9"]),
    ] {
        let scratch = check(script, "attempts = 1\n", "failed", says);
        assert_eq!(stage(&scratch, "v2"), None, "{script}");
    }
    let scratch = check("exit 3", "", "no-model", &["nothing better was found"]);
    assert_eq!(newest(&scratch)["is_stopped"], false);
}

#[test]
fn a_trainer_that_cannot_start_is_tried_again_and_no_cooldown_begins() {
    let config = format!("{SWITCHES}{MODEL}{}", trainer_table("[\"./nosuch\"]"));
    let scratch = with_config(&config, "");
    for _ in 0..3 {
        retrain(&scratch);
        let run = over(&scratch);
        assert_eq!(run["state"], "failed", "{run}");
        let said = run["says"].as_str().expect("text");
        assert!(said.contains("`./nosuch` cannot be started") && said.contains("3 of 3"), "{said}");
    }
    scratch.run(&["retrain", "cooldown", "m"]).expect(0).prints(&["none"]);
    // Three in a row: nothing is begun until a person says so.
    scratch.run(&["retrain", "now", "m"]).expect(4).says(&["3 runs in a row failed", "close-breaker"]);
    scratch.run(&["retrain", "list"]).expect(0).prints(&["close-breaker"]);
    scratch.run(&["retrain", "close-breaker", "m", "--reason", "mended"]).expect(0);
    let config = format!("{SWITCHES}{MODEL}{}", trainer_table("[\"sh\", \"train.sh\"]"));
    scratch.configure(Path::new("policies"), &config);
    std::fs::write(
        scratch.data().join("train.sh"),
        format!("test -e tried || {{ touch tried; exit 75; }}\n{}", brings("0.8")),
    )
    .expect("writes");
    retrain(&scratch);
    assert_eq!(over(&scratch)["state"], "validated", "75 asks to be tried later, and it was");
    scratch.verify();
}

#[test]
fn without_switches_every_reason_is_named_and_a_second_request_joins_the_first() {
    let scratch = Scratch::with_config("[[models]]\nmodel = \"m\"\n");
    scratch.run(&["retrain", "now", "m"]).expect(66);
    scratch.run(&["model", "register", "m", "v1", "--champion"]).expect(0);
    scratch.run(&["retrain", "now", "m"]).expect(4).says(&[
        "safeguards.retrain.enabled",
        "tenant `default`",
        "own switch",
        "no trainer is configured",
        "[[trainers]]",
    ]);
    let scratch = with_trainer("sleep 600", "");
    let run = retrain(&scratch);
    scratch.run(&["retrain", "now", "m"]).expect(0).prints(&["joined run", &run]);
    assert_eq!(newest(&scratch)["joined"], 1);
    eventually(|| (newest(&scratch)["state"] == "running").then_some(()));
    scratch.run(&["retrain", "cancel", &run, "--actor", "ada", "--reason", "not now"]).expect(0);
    let cancelled = over(&scratch);
    assert_eq!((&cancelled["state"], &cancelled["cancelled_by"]), (&json!("cancelled"), &json!("ada")));
    scratch.run(&["retrain", "cancel", &run]).expect(4).says(&["is over"]);
    assert_eq!(newest(&scratch)["is_stopped"], false, "who cancels has not failed");
    scratch.verify();
}

/// Processes whose environment names a run.
fn of_run(run: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let is_of_it = |path: &Path| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(run)
    };
    let of_it = processes.map(|entry| entry.path()).filter(|path| is_of_it(path));
    of_it.map(|path| path.display().to_string()).collect()
}

#[test]
fn a_trainer_that_takes_too_long_leaves_nothing_behind() {
    // A daemon that has left its session, one that does not heed the request, and one in the group.
    let script = "setsid sh -c 'sleep 600 & sleep 600' & \nsh -c 'trap \"\" TERM; while :; do sleep 1; done' &\nsleep 600 &\nsleep 600";
    let scratch = with_trainer(script, "limit = \"2s\"\n");
    let run = retrain(&scratch);
    eventually(|| (of_run(&run).len() >= 5).then_some(()));
    let ended = eventually_long(|| {
        let run = newest(&scratch);
        (run["state"] == "timed-out").then_some(run)
    });
    assert!(ended["says"].as_str().expect("text").contains("more than 2s"), "{ended}");
    assert_eq!(of_run(&run), Vec::<String>::new(), "no descendant is left");
    // What ends well leaves nothing either.
    let scratch = with_trainer(&format!("setsid sleep 600 &\n{}", brings("0.8")), "");
    let run = retrain(&scratch);
    assert_eq!(over(&scratch)["state"], "validated");
    assert_eq!(of_run(&run), Vec::<String>::new());
}

fn eventually_long<T>(look: impl Fn() -> Option<T>) -> T {
    for _ in 0..400 {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    panic!("it did not happen within 40 s")
}

#[test]
fn who_is_not_heard_of_any_more_is_ended_and_what_is_said_is_bounded() {
    let silent = "echo '{\"trimtab\":{\"progress\":0.1}}'\nsleep 600";
    check(silent, "heartbeat = \"1s\"\n", "timed-out", &["reported nothing for more than 1s"]);
    // Who never reports is not asked to.
    check(&format!("sleep 2\n{}", brings("0.8")), "heartbeat = \"1s\"\n", "validated", &[]);
    let loud = "head -c 300000000 /dev/zero | tr '\\0' 'x'; echo the end; exit 1";
    let scratch = check(loud, "attempts = 1\n", "failed", &["exit code 1"]);
    let run = newest(&scratch);
    let id = run["id"].as_str().expect("an id");
    let said = scratch.json(&["retrain", "show", id])["output"].clone();
    assert_eq!(said["bytes"], 300_000_008);
    assert!(said["tail"].as_str().expect("text").ends_with("the end\n"));
    let folder = scratch.data().join("runs").join(id);
    let size: u64 = std::fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").metadata().expect("a file").len())
        .sum();
    assert!(size < 200_000, "{size} bytes are kept");
}

#[test]
fn a_run_goes_on_when_the_host_is_killed_and_is_picked_up() {
    let scratch = with_trainer(&format!("while ! test -e go; do sleep 0.1; done\n{}", brings("0.8")), "");
    let host = scratch.serve();
    let run = retrain(&scratch);
    eventually(|| (newest(&scratch)["state"] == "running").then_some(()));
    host.kill();
    assert!(!of_run(&run).is_empty(), "it goes on");
    std::fs::write(scratch.data().join("go"), "").expect("writes");
    eventually(|| of_run(&run).is_empty().then_some(()));
    let host = scratch.serve();
    let ended = over(&scratch);
    assert_eq!(ended["state"], "validated", "{ended}");
    assert_eq!(stage(&scratch, "v2").as_deref(), Some("shadow"));
    // Without any checkpoint everything is folded again, and nothing is begun again.
    assert_eq!(host.stop(), Some(0));
    let runs = std::fs::read_dir(scratch.data().join("runs")).expect("a folder").count();
    scratch.verify();
    let host = scratch.serve();
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(std::fs::read_dir(scratch.data().join("runs")).expect("a folder").count(), runs);
    drop(host);
    // The supervisor itself is killed: nobody knows what became of it, and that is said.
    let scratch = with_trainer("sleep 600", "");
    let run = retrain(&scratch);
    eventually(|| (newest(&scratch)["state"] == "running").then_some(()));
    let supervisors = supervisors_of(&run);
    assert_eq!(supervisors.len(), 1, "{supervisors:?}");
    end(&supervisors);
    let lost = over(&scratch);
    assert_eq!(lost["state"], "lost", "{lost}");
    // Its trainer goes on, and nobody watches it: that is what is lost.
    end(&of_run(&run));
}

/// Processes that watch a run.
fn supervisors_of(run: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").expect("processes").filter_map(Result::ok);
    let watches = |path: &Path| {
        let command = std::fs::read(path.join("cmdline")).unwrap_or_default();
        let command = String::from_utf8_lossy(&command).into_owned();
        command.contains("supervise-trainer") && command.contains(run)
    };
    let paths = processes.map(|entry| entry.path()).filter(|path| watches(path));
    paths.map(|path| path.display().to_string()).collect()
}

fn end(processes: &[String]) {
    for process in processes {
        let pid = process.trim_start_matches("/proc/");
        Command::new("kill").args(["-9", pid]).status().expect("runs");
    }
}

/// Rows that end now, of a version with an accuracy: the host's clock is the wall's.
fn rows_until_now(from: u32, until: u32, accuracy: f64) -> String {
    let mut rows = Vec::new();
    for n in from..until {
        let up = Seeded(u64::from(n)).share() < 0.5;
        let right = Seeded(u64::from(n) * 31 + 5).share() < accuracy;
        let score = if up == right { 0.9 } else { 0.1 };
        let time = ago(u64::from(until - n) * 2);
        let prediction =
            json!({ "id": format!("p{n}"), "model": "m", "version": "v1", "time": time, "score": score });
        rows.push(json!({ "prediction": prediction }));
        rows.push(json!({ "outcome": { "id": format!("p{n}"), "model": "m", "time": time, "label": i64::from(up) } }));
    }
    lines(&rows)
}

fn told(run: Run) -> String {
    run.expect(0).stdout
}

/// A drift begins an emergency retrain, and people are told when it really begins and what becomes of it.
#[test]
fn a_drift_begins_an_emergency_retrain_and_people_are_told() {
    let script =
        "env | grep -e RETRAIN_MODE -e DRIFT_THRESHOLD > seen; cat $TRIMTAB_FINDINGS > findings; exit 9";
    let scratch = with_trainer(script, "attempts = 1\n");
    scratch.set_baseline();
    let host = scratch.serve();
    host.socket().post_lines("/v1/rows", rows_until_now(0, 600, 0.55)).expect(200);
    let run = over(&scratch);
    assert_eq!((&run["mode"], &run["state"]), (&json!("emergency"), &json!("failed")), "{run}");
    let seen = std::fs::read_to_string(scratch.data().join("seen")).expect("the trainer ran");
    let threshold = run["threshold"].as_f64().expect("a threshold");
    assert!(seen.contains("RETRAIN_MODE=emergency"), "{seen}");
    assert!(seen.contains(&format!("DRIFT_THRESHOLD={threshold}")), "{seen}: {threshold}");
    let findings = std::fs::read(scratch.data().join("findings")).expect("findings");
    let findings: Value = serde_json::from_slice(&findings).expect("JSON");
    assert!(!findings.as_array().expect("a list").is_empty());
    let effects = host.socket().get("/v1/effects").json();
    let told = |words: &str, severity: &str| {
        effects["effects"].as_array().expect("effects").iter().any(|effect| {
            let alert = &effect["body"]["alert"];
            alert["severity"] == severity
                && alert["reason"].as_str().is_some_and(|reason| reason.contains(words))
        })
    };
    assert!(told("emergency retrain started", "high"), "{effects:#}");
    assert!(told("emergency retrain failed", "critical"), "{effects:#}");
    assert_eq!(host.stop(), Some(0));
    // Its start counts, also where it failed: no drift has it retrained again within the cooldown.
    let decisions = self::told(scratch.run(&["retrain", "cooldown", "m"]));
    assert!(decisions.contains("until"), "{decisions}");
    scratch.verify();
}

/// At the stage `alert`, and where `approval` asks for it, a person decides.
#[test]
fn a_retrain_that_needs_an_answer_waits_for_one() {
    for config in [
        format!("{SWITCHES}approval = true\n{MODEL}"),
        format!("{SWITCHES}{}", MODEL.replace("\"act\"", "\"alert\"")),
    ] {
        let table = trainer_table("[\"sh\", \"train.sh\"]");
        let scratch = with_config(&format!("{config}{table}"), &brings("0.8"));
        scratch.set_baseline();
        let host = scratch.serve();
        host.socket().post_lines("/v1/rows", rows_until_now(0, 600, 0.55)).expect(200);
        let proposals = eventually(|| {
            let run = scratch.run(&["proposals", "--json"]);
            (run.code == Some(1)).then(|| run.json())
        });
        // Beside less exposure, which waits for a person, too, at the stage `alert`.
        let all = proposals["proposals"].as_array().expect("a list").iter();
        let of_retrain = all.clone().find(|proposal| proposal["what"]["retrain"].is_object());
        let proposal = of_retrain.unwrap_or_else(|| panic!("{proposals}"));
        assert_eq!(newest(&scratch), Value::Null, "nothing has begun");
        let (id, hash) = (proposal["id"].as_str().expect("id"), proposal["shown"].as_str().expect("hash"));
        scratch.run(&["proposals", "approve", id, "--hash", hash]).expect(0).prints(&["begins as soon as"]);
        assert_eq!(over(&scratch)["state"], "validated");
        assert_eq!(host.stop(), Some(0));
        scratch.verify();
    }
}

/// History that is imported begins nothing, whatever its drifts would have led to; it can be tried all the same.
#[test]
fn imported_history_begins_no_trainer() {
    let config = format!("{SWITCHES}{MODEL}{}", trainer_table("[\"touch\", \"ran\"]"));
    let scratch = with_config(&config, "");
    scratch.set_baseline();
    let file = scratch.file("story.ndjson", lines(&crate::support::story(7)));
    scratch.run(&["import", &file]).expect(0);
    let run = over(&scratch);
    assert_eq!((&run["mode"], &run["state"]), (&json!("emergency"), &json!("cancelled")), "{run}");
    assert!(run["says"].as_str().expect("text").contains("begins no trainer"), "{run}");
    let host = scratch.serve();
    std::thread::sleep(std::time::Duration::from_millis(1_200));
    assert!(!scratch.data().join("ran").exists(), "nothing ran");
    assert_eq!(host.stop(), Some(0));
    scratch.verify();
}
