//! When predictions are judged and by which rules, as people meet it: provisional labels, rare classes, models with rules of their
//! own, baselines that can show nothing.

use serde_json::{Value, json};

use crate::support::{Scratch, at, lines};

const HOUR: u32 = 3_600;
const DAY: u32 = 24 * HOUR;

/// Payments, one an hour: each is good after an hour, and one in ten is called fraud four days later. Up to `found_until` hours the
/// model finds nine of ten of those, and none from then on.
fn payments(hours: u32, found_until: u32, horizon: Option<&str>) -> Vec<Value> {
    let mut events = Vec::new();
    for n in 0..hours {
        // Without any order: the high bits of a multiple of the golden ratio.
        let coin = u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
        let is_fraud = coin % 10 == 0;
        let is_called = is_fraud && n < found_until && coin % 100 != 0;
        let (id, time) = (n.to_string(), n * HOUR);
        let mut row = json!({ "id": id, "model": "m", "version": "v1", "time": at(time), "score": if is_called { 0.9 } else { 0.1 } });
        if let Some(horizon) = horizon {
            row["horizon"] = json!(horizon);
        }
        events.push((time, 1, json!({ "prediction": row })));
        let outcome = |time: u32, label: i64, correction: bool| json!({ "outcome": { "id": id, "model": "m", "time": at(time), "label": label, "correction": correction } });
        events.push((time + HOUR, 0, outcome(time + HOUR, 0, false)));
        if is_fraud {
            events.push((time + 4 * DAY, 0, outcome(time + 4 * DAY, 1, true)));
        }
    }
    events.sort_by_key(|(time, order, _)| (*time, *order));
    events.into_iter().map(|(_, _, event)| event).collect()
}

fn judged(scratch: &Scratch) -> Value {
    scratch.json(&["status"])["subjects"][0].clone()
}

/// Errors by themselves: what is told of the score is another story.
fn openings(scratch: &Scratch) -> Vec<(String, String)> {
    let findings = scratch.json(&["findings", "--limit", "500"])["findings"].clone();
    let findings = findings.as_array().expect("a list").iter().rev();
    let of_errors = findings.filter(|finding| finding["detector"] == "e-sr" && finding["phase"] == "opened");
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    of_errors.map(|finding| (text(&finding["quantity"]), text(&finding["at"]))).collect()
}

/// With a horizon the label that is final counts: quiet while the model is as good as ever, found once its loss is known. Without
/// one nothing can be seen, and that is said.
#[test]
fn labels_that_are_provisional_count_at_the_horizon() {
    let scratch = Scratch::with_config("");
    let rows = payments(2_400, 1_200, Some("5d"));
    let (first, second) = rows.split_at(rows.len() / 2);
    let file = scratch.file("first.ndjson", lines(first));
    scratch.run(&["import", &file]).expect(0);
    let waiting = judged(&scratch)["provisional"]["waiting"].as_u64().expect("a number");
    assert!((100..=125).contains(&waiting), "five days of an hourly model: {waiting}");
    scratch.run(&["status"]).expect(0).prints(&["wait for the horizon of their predictions"]);
    scratch.run(&["baseline", "set", "--model", "m", "--version", "v1", "--first", "1000"]).expect(0);
    let baseline = scratch.json(&["baseline", "show"])["baselines"][0].clone();
    let accuracy = baseline["accuracy"].as_f64().expect("a number");
    assert!(
        (0.985..=0.995).contains(&accuracy),
        "one in ten is fraud, one in ten of these is missed: {accuracy}"
    );
    assert_eq!(openings(&scratch), []);
    let file = scratch.file("second.ndjson", lines(second));
    scratch.run(&["import", &file]).expect(0);
    let found = openings(&scratch);
    // The loss begins in hour 1,200, and the first of it is due five days later; ten frauds take a hundred hours.
    let (quantity, when) = found.first().expect("the loss is found");
    assert_eq!(quantity, "error/class-1", "{found:?}");
    assert!(*when > at(1_320 * HOUR) && *when < at(1_600 * HOUR), "{found:?}");
    scratch.verify();

    let blind = Scratch::with_config("");
    let file = blind.file("rows.ndjson", lines(&payments(2_400, 1_200, None)));
    blind.run(&["import", &file]).expect(0);
    blind.run(&["baseline", "set", "--model", "m", "--version", "v1", "--first", "1000"]).expect(0);
    let words = "that are 1 became so only after something else had judged, nine of ten of them within 5d";
    blind.run(&["status"]).expect(0).prints(&[words]);
    blind.run(&["check", "--allow-unknown"]).prints(&[words]);
}

/// A host that is killed and a host that is not come to the same, also where rows wait for their horizon.
#[test]
fn what_waits_for_its_horizon_survives_a_kill() {
    let rows = payments(600, 600, Some("5d"));
    let whole = Scratch::with_config("");
    let file = whole.file("rows.ndjson", lines(&rows));
    whole.run(&["import", &file]).expect(0);
    let parts = Scratch::with_config("");
    for part in rows.chunks(rows.len() / 3 + 1) {
        let host = parts.serve();
        let file = parts.file("part.ndjson", lines(part));
        parts.run(&["import", &file]).expect(0);
        host.kill();
    }
    for key in ["resolved", "accuracy", "provisional"] {
        assert_eq!(judged(&parts)[key], judged(&whole)[key], "{key}");
    }
    parts.verify();
}

/// The rules of one model are no other model's, and what was judged by other rules is not gone on with.
#[test]
fn a_model_is_judged_by_rules_of_its_own() {
    let row = |n: u32, model: &str| {
        let id = format!("{model}{n}");
        [
            json!({ "prediction": { "id": id, "model": model, "version": "v1", "time": at(n * 60), "score": 0.3 } }),
            json!({ "outcome": { "id": id, "model": model, "time": at(n * 60 + 30), "label": i64::from(!n.is_multiple_of(4)) } }),
        ]
    };
    let rows = |from: u32| -> Vec<Value> {
        (from..from + 400).flat_map(|n| [row(n, "m"), row(n, "n")].concat()).collect()
    };
    let scratch = Scratch::with_config("[[models]]\nmodel = \"m\"\njudging.binary-threshold = 0.2\n");
    let file = scratch.file("rows.ndjson", lines(&rows(0)));
    scratch.run(&["import", &file]).expect(0);
    let accuracy = |scratch: &Scratch| {
        let status = scratch.json(&["status"]);
        let of = |index: usize| status["subjects"][index]["accuracy"][2]["value"].as_f64();
        (of(0), of(1))
    };
    assert_eq!(accuracy(&scratch), (Some(0.75), Some(0.25)));
    scratch.run(&["baseline", "set", "--model", "m", "--version", "v1", "--first", "300"]).expect(0);
    // Other rules: nothing that was right by the old ones counts, and the baseline is not held against.
    let policies = crate::support::repository().join("policies");
    scratch.configure(&policies, "[[models]]\nmodel = \"m\"\njudging.binary-threshold = 0.5\n");
    scratch.run(&["status", "--model", "m"]).expect(0).prints(&["was judged by other rules: set it anew"]);
    assert_eq!(accuracy(&scratch), (None, Some(0.25)));
    scratch.verify();
}

/// A baseline in which everything is right, or in which there is one class only, says nothing about what is to come.
#[test]
fn a_baseline_that_can_show_nothing_is_unknown_and_says_why() {
    let scratch = Scratch::with_config("");
    let import = |model: &str, label: fn(u32) -> i64| {
        let row = |n: u32| {
            let id = format!("{model}{n}");
            let score = if n.is_multiple_of(2) { 0.9 } else { 0.1 };
            [
                json!({ "prediction": { "id": id, "model": model, "version": "v1", "time": at(n * 60), "score": score } }),
                json!({ "outcome": { "id": id, "model": model, "time": at(n * 60 + 30), "label": label(n) } }),
            ]
        };
        let rows: Vec<Value> = (0..400).flat_map(row).collect();
        let file = scratch.file(&format!("{model}.ndjson"), lines(&rows));
        scratch.run(&["import", &file]).expect(0);
        scratch.run(&["baseline", "set", "--model", model, "--version", "v1", "--first", "400"]).expect(0)
    };
    import("right", |n| i64::from(n.is_multiple_of(2))).prints(&["everything is right"]);
    import("good", |n| i64::from(n.is_multiple_of(2) && !n.is_multiple_of(10))).prints(&[
        "good@v1 finds more errors: +5 points after more than 2000, +10 points after about 500",
        "good@v1 watches by class: 0 (40 of 240 wrong), 1 (0 of 160 wrong)",
    ]);
    import("one", |_| 0).prints(&["every outcome is 0"]);
    let check = scratch.run(&["check"]).expect(1);
    check.prints(&[
        "ok 1  warning 0  critical 0  unknown 2",
        "one@v1 has a baseline in which every outcome is 0",
    ]);
    scratch.run(&["check", "--allow-unknown"]).expect(0);
}

const EACH_SEGMENT: &str = r#"
time = "time"
[[predictions]]
id = "{id}"
model = "m"
version = "v1"
segment = "{country}"
score = "score"
[outcome]
label = "label"
after = "1m"
[[baselines]]
model = "m"
version = "v1"
segment = "*"
first = 200
"#;

/// One baseline for each segment that a file has, and each that has too few rows is named. A history that comes in parts is held
/// against the same.
#[test]
fn a_map_makes_a_baseline_for_each_segment() {
    let row = |n: u32| {
        let country = if n.is_multiple_of(50) { "NZ" } else { ["DE", "FR"][(n % 2) as usize] };
        // One in ten is wrong, and from the 900th on half of them.
        let wrong = if n < 900 { n.is_multiple_of(10) } else { n % 4 < 2 };
        format!("{},{n},{country},0.8,{}\n", at(n * 60), i64::from(!wrong))
    };
    let head = "time,id,country,score,label\n";
    let rows: Vec<String> = (0..2_000).map(row).collect();
    let whole = Scratch::with_config("");
    let map = whole.file("map.toml", EACH_SEGMENT);
    let file = whole.file("rows.csv", format!("{head}{}", rows.concat()));
    let run = whole.run(&["import", &file, "--map", &map]).expect(0);
    run.prints(&[
        "baseline of m@v1[DE]: ",
        "baseline of m@v1[FR]: ",
        "baseline of m@v1[NZ] is not set: 40 different predictions of it are judged, and it wants 200",
    ]);
    let found = openings(&whole);
    assert!(found.len() >= 2, "both are worse from the 900th row on: {found:?}");
    let parts = Scratch::with_config("");
    for (number, part) in rows.chunks(380).enumerate() {
        let file = parts.file(&format!("{number}.csv"), format!("{head}{}", part.concat()));
        parts.run(&["import", &file, "--map", &map]).expect(0);
    }
    assert_eq!(openings(&parts), found);
}

/// Rows that say themselves what they are need a map for their baselines alone; whoever has columns is told what is missing.
#[test]
fn baselines_of_ndjson_need_no_columns() {
    let scratch = Scratch::with_config("");
    let only = scratch.file("map.toml", "[[baselines]]\nmodel = \"m\"\nversion = \"v1\"\nfirst = 1000\n");
    let rows = scratch.file("rows.ndjson", lines(&payments(1_500, 1_500, None)));
    scratch.run(&["import", &rows, "--map", &only]).expect(0).prints(&["baseline of m@v1: "]);
    let csv = scratch.file("rows.csv", "time,score\n");
    let refused = scratch.run(&["import", &csv, "--map", &only]).expect(78);
    refused.says(&["map.toml: there is no `time`", "which column"]);
}

/// What is there changes nothing, also where it was corrected since.
#[test]
fn a_file_with_corrections_may_be_imported_again() {
    let scratch = Scratch::with_config("");
    let rows = payments(300, 300, None);
    let file = scratch.file("rows.ndjson", lines(&rows));
    scratch.run(&["import", &file]).expect(0);
    let before = judged(&scratch);
    let again = |row: &Value, label: i64| {
        let mut row = row.clone();
        row["outcome"]["label"] = json!(label);
        row["outcome"]["time"] = json!(at(350 * HOUR));
        row
    };
    // A later file corrects the corrections; the first one comes once more.
    let corrections: Vec<Value> =
        rows.iter().filter(|row| row["outcome"]["correction"] == true).map(|row| again(row, 0)).collect();
    assert!(corrections.len() > 10);
    let later = scratch.file("later.ndjson", lines(&corrections));
    scratch.run(&["import", &later]).expect(0);
    let corrected = judged(&scratch);
    assert_ne!(before["accuracy"], corrected["accuracy"]);
    scratch.run(&["import", &file]).expect(0).prints(&["0 rows new"]);
    assert_eq!(judged(&scratch), corrected);
}

/// A name that nobody predicts under is no healthy subject.
#[test]
fn a_baseline_without_predictions_is_unknown() {
    let scratch = Scratch::with_config("");
    let set =
        ["baseline", "set", "--model", "tpyo", "--version", "v1", "--samples", "2000", "--accuracy", "0.9"];
    scratch.run(&set).expect(0).prints(&["tpyo@v1 has no prediction yet: is that its name?"]);
    scratch.run(&["check"]).expect(1).prints(&["unknown 1"]);
}
