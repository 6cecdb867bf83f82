//! Predictions and features that stay away, as people meet it: found without any setting, and ended by a person or by what comes.

use serde_json::{Value, json};

use crate::support::{Scratch, at, lines};

const HOUR: u32 = 3_600;

/// A prediction of a model at an hour, right four times of five, with a feature or without.
fn hour(model: &str, n: u32, with_feature: bool) -> [Value; 2] {
    let is_right = !n.is_multiple_of(5);
    let up = u64::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 63 == 1;
    let score = if up == is_right { 0.9 } else { 0.1 };
    let (id, time) = (format!("{model}-{n}"), at(n * HOUR));
    let mut row = json!({ "id": id, "model": model, "version": "v1", "time": time, "score": score });
    if with_feature {
        // Never the same value twice in a row.
        row["features"] = json!({ "load": f64::from(n % 97) });
    }
    let outcome = json!({ "id": id, "model": model, "time": time, "label": i64::from(up) });
    [json!({ "prediction": row }), json!({ "outcome": outcome })]
}

fn open(scratch: &Scratch) -> Vec<String> {
    let findings = scratch.json(&["findings", "--open"])["findings"].clone();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let of = |finding: &Value| {
        format!(
            "{} {} {}",
            text(&finding["subject"]["model"]),
            text(&finding["quantity"]),
            text(&finding["severity"])
        )
    };
    let mut open: Vec<String> = findings.as_array().expect("a list").iter().map(of).collect();
    open.sort();
    open
}

/// Two models predict once an hour; after twenty days one of them stops. Nobody has configured anything.
#[test]
fn a_model_that_stops_is_told_without_any_setting() {
    let scratch = Scratch::with_config("");
    let rows: Vec<Value> = (0..24 * 25)
        .flat_map(|n| {
            let silent = (n < 24 * 20).then(|| hour("stops", n, false));
            hour("goes-on", n, false).into_iter().chain(silent.into_iter().flatten())
        })
        .collect();
    let file = scratch.file("rows.ndjson", lines(&rows));
    let report = scratch.json(&["backtest", &file]);
    let found: Vec<_> = report["findings"]
        .as_array()
        .expect("a list")
        .iter()
        .filter(|finding| finding["detector"] == "staleness")
        .map(|finding| {
            (finding["subject"]["model"].clone(), finding["phase"].clone(), finding["severity"].clone())
        })
        .collect();
    assert_eq!(found, [(json!("stops"), json!("opened"), json!("high"))]);
    let window = report["findings"].as_array().expect("a list").iter().find(|f| f["detector"] == "staleness");
    let window = window.expect("found")["window"].as_str().expect("a text").to_owned();
    assert!(
        window.starts_with("no prediction for ") && window.contains("the longest usual gap is 1 h"),
        "{window}"
    );
}

#[test]
fn a_person_says_that_nothing_more_is_expected() {
    let scratch = Scratch::with_config("");
    let with: Vec<Value> = (0..1_000).flat_map(|n| hour("m", n, true)).collect();
    scratch.run(&["import", &scratch.file("with.ndjson", lines(&with))]).expect(0);
    scratch.run(&["baseline", "set", "--model", "m", "--version", "v1", "--first", "1000"]).expect(0);
    let without: Vec<Value> = (1_000..1_060).flat_map(|n| hour("m", n, false)).collect();
    scratch.run(&["import", &scratch.file("without.ndjson", lines(&without))]).expect(0);
    assert_eq!(open(&scratch), ["m feature/load (missing) critical"]);
    scratch.run(&["check"]).expect(2);

    // What is not there is named, with what there is.
    scratch.run(&["retire", "m", "--feature", "lod"]).expect(66).says(&["feature `lod`", "there are `load`"]);
    scratch.run(&["retire", "m", "--version", "v9"]).expect(66).says(&["version `v9`", "there are `v1`"]);
    scratch.run(&["retire", "nobody"]).expect(66).says(&["nobody"]);
    scratch.run(&["retire", "m", "--feature", "load", "--reason", "no longer made"]).expect(0);
    assert_eq!(open(&scratch), [] as [&str; 0]);
    scratch.run(&["check"]).expect(0);
    let more: Vec<Value> = (1_060..1_160).flat_map(|n| hour("m", n, false)).collect();
    scratch.run(&["import", &scratch.file("more.ndjson", lines(&more))]).expect(0);
    assert_eq!(open(&scratch), [] as [&str; 0], "it is not missed");
    // It comes once, and is missed again.
    let back: Vec<Value> = (1_160..1_260).flat_map(|n| hour("m", n, n == 1_160)).collect();
    scratch.run(&["import", &scratch.file("back.ndjson", lines(&back))]).expect(0);
    assert_eq!(open(&scratch), ["m feature/load (missing) critical"]);

    // The whole model: what is open of it ends, and it is well as far as anybody wants to know.
    scratch.run(&["retire", "m", "--reason", "replaced"]).expect(0);
    assert_eq!(open(&scratch), [] as [&str; 0]);
    scratch.run(&["status"]).expect(0).prints(&["retired"]);
    scratch.run(&["check"]).expect(0);
    scratch.verify();
    let again: Vec<Value> = (1_260..1_261).flat_map(|n| hour("m", n, true)).collect();
    scratch.run(&["import", &scratch.file("again.ndjson", lines(&again))]).expect(0);
    assert_eq!(scratch.json(&["status"])["subjects"][0]["retired"], Value::Null, "a row takes it back");
}

/// A horizon says when an outcome is due; where most are not there by then, that is told without any setting.
#[test]
fn outcomes_that_stay_away_are_told_where_a_horizon_says_when_they_are_due() {
    let scratch = Scratch::with_config("");
    let rows: Vec<Value> = (0..24 * 10)
        .flat_map(|n| {
            let [mut prediction, outcome] = hour("m", n, false);
            prediction["prediction"]["horizon"] = json!("1h");
            // Several an hour, so that there are enough in a day.
            let copies = (0..3).map(move |copy| {
                let mut both = [prediction.clone(), outcome.clone()];
                both[0]["prediction"]["id"] = json!(format!("{n}-{copy}"));
                both[1]["outcome"]["id"] = json!(format!("{n}-{copy}"));
                both
            });
            copies.flat_map(move |both| both.into_iter().take(if n < 24 * 5 { 2 } else { 1 }))
        })
        .collect();
    let report = scratch.json(&["backtest", &scratch.file("rows.ndjson", lines(&rows))]);
    let found = report["findings"].as_array().expect("a list").iter().filter(|f| f["detector"] == "coverage");
    let found: Vec<_> =
        found.map(|finding| (finding["phase"].clone(), finding["severity"].clone())).collect();
    assert_eq!(found, [(json!("opened"), json!("medium")), (json!("raised"), json!("high"))]);
}
