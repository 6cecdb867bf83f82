//! A host that is killed at any moment loses nothing that was acknowledged, repeats nothing, and arrives where one that
//! was never interrupted arrives.

use std::{io::Read, process::Stdio, time::Duration};

use serde_json::{Value, json};

use crate::support::{STORY, Scratch, Seeded, lines, stage, story};

const ROUNDS: u64 = 12;

/// Everything that was found and decided, without what is only measured.
fn judged(scratch: &Scratch) -> (Value, Value) {
    let mut decisions = scratch.json(&["decisions", "--limit", "10000"]);
    for decision in decisions["decisions"].as_array_mut().expect("a list") {
        decision.as_object_mut().expect("an object").retain(|key, _| key != "fuel" && key != "duration_us");
    }
    (scratch.json(&["findings", "--limit", "10000"]), decisions)
}

/// What does not depend on the log's clock and on the positions of its ticks.
fn without_clock(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|key, _| !["id", "position", "at", "opened"].contains(&key.as_str()));
            fields.values_mut().for_each(without_clock);
        }
        Value::Array(items) => items.iter_mut().for_each(without_clock),
        _ => {}
    }
}

#[test]
fn an_import_that_is_killed_again_and_again_ends_as_one_that_was_not() {
    let mut random = Seeded(0x5eed);
    let (calm, stormy) = (stage(STORY), stage(STORY));
    let rows = lines(&story(11));
    let file = calm.file("story.ndjson", &rows);
    calm.run(&["import", &file, "--batch", "50"]).expect(0);

    let mut kills = 0;
    for _ in 0..ROUNDS {
        let mut import = stormy.command(&["import", &file, "--batch", "50"]);
        let mut child = import.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("starts");
        std::thread::sleep(Duration::from_millis(20 + random.below(200)));
        // One that had ended already cannot be killed any more.
        kills += u32::from(child.try_wait().expect("is asked").is_none());
        child.kill().ok();
        let mut errors = String::new();
        child.stderr.take().expect("piped").read_to_string(&mut errors).expect("reads");
        child.wait().expect("ends");
        assert_eq!(errors, "", "a start after a crash needs no help");
        if random.below(3) == 0 {
            stormy.verify();
        }
    }
    assert!(kills > 0, "nothing was killed");
    stormy.run(&["import", &file, "--batch", "50"]).expect(0);
    assert_eq!(stormy.rows(), calm.rows());
    assert!(judged(&stormy) == judged(&calm), "findings or decisions differ");
    stormy.verify();
}

#[test]
fn a_host_that_is_killed_again_and_again_keeps_what_it_acknowledged() {
    let mut random = Seeded(0xfeed);
    let (calm, stormy) = (stage(STORY), stage(STORY));
    let rows = story(13);
    let batches: Vec<_> = rows.chunks(20).map(lines).collect();
    let host = calm.serve();
    for batch in &batches {
        host.socket().post_lines("/v1/rows", batch).expect(200);
    }
    assert_eq!(host.stop(), Some(0));

    let (mut acknowledged, mut crashes) = (0, 0);
    while acknowledged < batches.len() {
        let host = stormy.serve();
        let http = host.socket();
        let counts = http.get("/v1/status").expect(200).json()["counts"].clone();
        let there = counts["predictions"].as_u64().expect("a number")
            + counts["outcomes"].as_u64().expect("a number");
        assert!(
            there >= acknowledged as u64 * 20,
            "{there} rows are there, {acknowledged} batches were acknowledged"
        );
        assert_eq!(there % 20, 0, "a batch is kept whole or not at all");

        // What was not acknowledged is sent again, whether it was kept or not.
        let rest = batches[acknowledged..].to_vec();
        let client = std::thread::spawn(move || {
            let sent =
                |batch: &String| http.try_send("POST /v1/rows", "application/x-ndjson", batch.as_bytes());
            rest.iter().take_while(|batch| sent(batch).is_ok_and(|reply| reply.status == 200)).count()
        });
        if crashes < ROUNDS {
            std::thread::sleep(Duration::from_millis(random.below(60)));
            host.kill();
            acknowledged += client.join().expect("ends");
            crashes += 1;
        } else {
            acknowledged += client.join().expect("ends");
            assert_eq!(host.stop(), Some(0));
        }
    }
    assert!(crashes > 0);
    assert_eq!(stormy.rows(), (rows.len() as u64 / 2, rows.len() as u64 / 2), "every row is there once");
    let found = |scratch: &Scratch| {
        let (mut findings, _) = judged(scratch);
        without_clock(&mut findings);
        findings
    };
    assert!(found(&stormy) == found(&calm), "findings differ");
    let alerts = |scratch: &Scratch| {
        let queue = std::fs::read_to_string(scratch.data().join("trade_alerts.json")).expect("was delivered");
        let queue: Value = serde_json::from_str(&queue).expect("is valid");
        let alerts = queue["alerts"].as_array().expect("a list").clone();
        alerts
            .iter()
            .map(|alert| json!([alert["alert"]["severity"], alert["alert"]["occasion"]]))
            .collect::<Vec<_>>()
    };
    stormy.serve().stop();
    calm.serve().stop();
    assert_eq!(alerts(&stormy), alerts(&calm), "an alert was lost or repeated");
    stormy.verify();
}
