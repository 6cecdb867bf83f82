//! Experiments: how long one takes, and when its numbers are not to be trusted.

use serde_json::json;

use crate::{
    life::{import, two_versions},
    support::Scratch,
};

/// An arm whose rows end midway is no data, whatever came before; what comes back counts again.
#[test]
fn traffic_that_ends_midway_is_seen() {
    let scratch = two_versions("");
    scratch.run(&["experiment", "start", "m", "v2", "--shadow"]).expect(0);
    let concerns = || {
        let report = scratch.json(&["experiment", "report", "m"]);
        report["running"][0]["experiment"]["concerns"].clone()
    };
    import(&scratch, 300, 600, &[("v1", 0.7), ("v2", 0.7)]);
    assert_eq!(concerns(), json!([]));
    // All of one arm and then all of the other: nothing has ended.
    import(&scratch, 600, 700, &[("v1", 0.7)]);
    import(&scratch, 600, 700, &[("v2", 0.7)]);
    assert_eq!(concerns(), json!([]));
    // Rows are half an hour apart.
    import(&scratch, 700, 720, &[("v1", 0.7)]);
    assert_eq!(concerns(), json!([]), "twenty rows are no reason yet");
    import(&scratch, 720, 725, &[("v1", 0.7)]);
    assert_eq!(concerns(), json!(["no-data"]));
    import(&scratch, 725, 740, &[("v1", 0.7), ("v2", 0.7)]);
    assert_eq!(concerns(), json!([]));
    scratch.verify();
}

/// How long an experiment takes is said before it begins, from the champion's own rows.
#[test]
fn a_plan_says_how_long_an_experiment_takes() {
    let scratch = two_versions("[metrics]\nwindow = 200\n");
    let plan = |effect: &str, more: &[&str]| {
        let args = [&["experiment", "plan", "m", "--effect", effect], more].concat();
        let run = scratch.run(&[&args, &["--json"][..]].concat());
        (run.code, run.json())
    };
    let (code, numbers) = plan("0.1", &[]);
    assert_eq!(code, Some(0));
    // A row each half hour.
    let rows_per_day = numbers["rows_per_day"].as_f64().expect("a number");
    assert!((47.0..50.0).contains(&rows_per_day), "{numbers}");
    let rows = |numbers: &serde_json::Value, name: &str| numbers[name].as_u64().expect("a number");
    assert!(rows(&numbers, "anytime_rows") > rows(&numbers, "fixed_rows"), "{numbers}");
    assert_eq!(rows(&numbers, "anytime_rows"), 20 * rows(&numbers, "anytime_blocks"));
    let (_, smaller) = plan("0.05", &[]);
    assert!(rows(&smaller, "fixed_rows") > 3 * rows(&numbers, "fixed_rows"), "{smaller}");
    let (code, short) = plan("0.1", &["--end", "3d"]);
    assert_eq!((code, &short["can_be_shown"]), (Some(1), &json!(false)), "{short}");
    assert!(short["least_effect"].as_f64().expect("a number") > 0.1, "{short}");
    scratch.run(&["experiment", "plan", "m", "--effect", "0.1", "--end", "3d"]).expect(1).prints(&[
        "champion   `v1`",
        "may be looked at at any time",
        "cannot be shown until the end",
    ]);
    scratch.run(&["experiment", "plan", "m", "--effect", "0"]).expect(65).says(&["effect"]);
    scratch
        .run(&["experiment", "plan", "m", "--effect", "0.1", "--metric", "luck"])
        .expect(66)
        .says(&["luck"]);
    scratch.run(&["experiment", "plan", "other", "--effect", "0.1"]).expect(66);
    let nothing = Scratch::with_config("");
    nothing.run(&["model", "register", "m", "v1", "--champion"]).expect(0);
    nothing.run(&["experiment", "plan", "m", "--effect", "0.1"]).expect(66).says(&["30 judged rows"]);
}

/// A stretch of time in figures, each measured or with the reason why it is not.
#[test]
fn a_report_says_what_can_be_measured() {
    let scratch = crate::support::told(crate::support::STORY);
    let report = scratch.json(&["report", "--since", "7d"]);
    let of = |name: &str| {
        let all = report["measures"].as_array().expect("a list");
        all.iter()
            .find(|measure| measure["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {report}"))
            .clone()
    };
    let findings = scratch.json(&["findings", "--limit", "1000"]);
    let opened = findings["findings"].as_array().expect("a list").iter();
    let opened = opened.filter(|finding| finding["phase"] == "opened").count();
    assert!(opened > 0);
    assert_eq!(of("drifts")["value"], opened as f64, "{report}");
    let sent = scratch.json(&["deliveries"])["deliveries"].as_array().expect("a list").len();
    assert_eq!(of("alerts sent")["value"], sent as f64);
    assert_eq!(of("retrains that went well")["value"], json!(null));
    assert!(of("detected within 24 h")["note"].is_string());
    let shown = scratch.run(&["report"]).expect(0);
    shown.prints(&["drifts a day", "not measurable", "< 5 %", "retrains that went well"]);
    scratch.run(&["report", "--model", "nosuch"]).expect(66);
    scratch.run(&["report", "--since", "soon"]).expect(65);
}
