//! Files as they come from the wild: whatever is read is read in full, and what is not is refused or counted. Each test is
//! one kind of trouble that people have reported of import tools; the inputs are our own.

use std::fmt::Write as _;

use serde_json::json;

use crate::support::{Run, Scratch, at, lines, outcome, prediction, program, repository};

/// A map of scores with these keys besides.
fn map(top: &str, prediction: &str, rest: &str) -> String {
    format!(
        "time = \"time\"\n{top}\n[[predictions]]\nid = \"{{id}}\"\nmodel = \"m\"\nversion = \"v1\"\nscore = \"score\"\n{prediction}\n[outcome]\nlabel = \"label\"\nafter = \"15m\"\n{rest}\n"
    )
}

/// Rows `time,id,score,label` at every minute, each with `more` behind it.
fn rows(count: u32, more: &str) -> Vec<String> {
    (0..count).map(|n| format!("{},{n},0.{},{}{more}", at(n), 1 + n % 9, n % 2)).collect()
}

/// A data directory without policies.
fn directory() -> Scratch {
    let scratch = Scratch::empty();
    scratch.run(&["init"]).expect(0);
    scratch
}

/// Imports a file with a map into a data directory of its own.
fn import(name: &str, content: impl AsRef<[u8]>, map: &str) -> (Scratch, Run) {
    let scratch = directory();
    let (file, map) = (scratch.file(name, content), scratch.file("map.toml", map));
    let run = scratch.run(&["import", &file, "--map", &map]);
    (scratch, run)
}

/// Refused with these words, and nothing kept.
#[track_caller]
fn refused(content: impl AsRef<[u8]>, map: &str, words: &[&str]) {
    let (scratch, run) = import("f.csv", content, map);
    run.expect(65).says(words);
    assert_eq!(scratch.rows(), (0, 0), "{words:?}");
}

/// Taken in full: so many predictions and outcomes.
#[track_caller]
fn taken(name: &str, content: impl AsRef<[u8]>, map: &str, expected: (u64, u64)) -> Run {
    let (scratch, run) = import(name, content, map);
    let run = run.expect(0);
    assert_eq!(scratch.rows(), expected, "{}", run.stdout);
    run
}

#[test]
fn a_quote_too_many_loses_no_rows() {
    let free = map("", "", "");
    let file = |change: &dyn Fn(&mut Vec<String>)| {
        let mut rows = rows(3_000, ",fine");
        change(&mut rows);
        format!("time,id,score,label,note\n{}\n", rows.join("\n"))
    };
    let stray = |row: &mut String| *row = row.replace("fine", "\"fine");
    // In a column that the map does not even use. The rows of the batches before it stay.
    let (scratch, run) = import("f.csv", file(&|rows| stray(&mut rows[2_980])), &free);
    run.expect(65).says(&["f.csv line 2982 column `note`", "never closed"]);
    assert!(scratch.rows().0 <= 2_980);
    refused(
        file(&|rows| stray(&mut rows[5])),
        &free,
        &["line 7 column `note`", "more than 50 lines", "cell-lines = 500"],
    );
    refused(
        file(&|rows| [5, 9].iter().for_each(|n| stray(&mut rows[*n]))),
        &free,
        &["line 7 column `note`", "text behind the one that closes it in line 11"],
    );
    // A lone quote closes where the next one opens: that is good CSV, and still swallows rows.
    let lone = |row: &mut String| *row = row.replace("fine", "\"");
    refused(
        file(&|rows| [5, 9].iter().for_each(|n| lone(&mut rows[*n]))),
        &free,
        &["line 7 column `note`", "line 8 within it is a row of its own"],
    );
    refused(
        file(&|rows| [5, 6].iter().for_each(|n| lone(&mut rows[*n]))),
        &free,
        &["line 8 within it is a row"],
    );
    // Texts of several lines are no fault.
    let note = "\"she said \"\"no\"\",\nand: 2025-01-01, as before\"";
    taken("f.csv", file(&|rows| rows[5] = rows[5].replace("fine", note)), &free, (3_000, 3_000));
    let long = format!("\"{}\"", "line\n".repeat(60));
    let longer = map("cell-lines = 100", "", "");
    taken("f.csv", file(&|rows| rows[5] = rows[5].replace("fine", &long)), &longer, (3_000, 3_000));
}

#[test]
fn the_end_says_what_was_read_and_what_was_left_out() {
    let content = "time,id,score,label\n\
        2025-01-01T00:00:00Z,1,0.7,1\n\
        \n\
        2025-01-01T00:01:00Z,2,,1\n\
        2025-01-01T00:02:00Z,3,0.2,\n\
        2025-01-01T00:03:00Z,4,0.2,?\n\
        ,,,\n";
    let scratch = directory();
    let (file, map) =
        (scratch.file("f.csv", content), scratch.file("map.toml", map("missing = [\"?\"]", "", "")));
    let report = scratch.json(&["import", &file, "--map", &map]);
    assert_eq!(
        report["left_out"],
        json!({
            "blank line": { "count": 2, "first_line": 3 },
            "prediction without `score`": { "count": 1, "first_line": 4 },
            "outcome of a prediction without `score`": { "count": 1, "first_line": 4 },
            "outcome without `label`": { "count": 2, "first_line": 5 },
        })
    );
    assert_eq!(
        [&report["lines"], &report["predictions"], &report["outcomes"]],
        [&json!(6), &json!(3), &json!(1)]
    );
    scratch.run(&["backtest", &file, "--map", &map]).expect(0).prints(&[
        "6 lines, 4 rows",
        "made: 3 predictions, 1 outcome",
        "left out: blank line, 2 in all, first in line 3",
        "left out: outcome without `label`, 2 in all, first in line 5",
    ]);
}

#[test]
fn an_empty_label_is_left_out_whatever_its_time_holds() {
    let known = "time = \"time\"\n[[predictions]]\nid = \"{id}\"\nmodel = \"m\"\nversion = \"v1\"\nscore = \"score\"\n[outcome]\nlabel = \"label\"\ntime = \"known\"\n";
    let line =
        |label: &str, known: &str| format!("time,id,score,label,known\n{},1,0.7,{label},{known}\n", at(0));
    for time in ["", "NaT", "soon"] {
        taken("f.csv", line("", time), known, (1, 0));
        refused(line("1", time), known, &["line 2 column `known`", "not a time with a zone"]);
    }
}

#[test]
fn a_file_out_of_order_is_refused_or_sorted() {
    let plain = map("", "", "");
    let in_order = rows(50, "");
    let file = |rows: &[String]| format!("time,id,score,label\n{}\n", rows.join("\n"));
    let newest_first: Vec<_> = in_order.iter().rev().cloned().collect();
    let mut one_late = in_order.clone();
    one_late.swap(20, 30);
    for (rows, line) in [(&newest_first, "line 3"), (&one_late, "line 23")] {
        refused(file(rows), &plain, &[line, "is before that of line", "--sort"]);
        let scratch = directory();
        let (name, map) = (scratch.file("f.csv", file(rows)), scratch.file("map.toml", &plain));
        let ordered = scratch.file("ordered.csv", file(&in_order));
        scratch.run(&["backtest", &name, "--map", &map]).expect(65).says(&["--sort"]);
        let sorted = scratch.json(&["backtest", &name, "--map", &map, "--sort"]);
        let straight = scratch.json(&["backtest", &ordered, "--map", &map]);
        assert_eq!(sorted["status"]["subjects"], straight["status"]["subjects"]);
        scratch.run(&["import", &name, "--map", &map, "--sort"]).expect(0);
        assert_eq!(scratch.rows(), (50, 50));
    }

    // NDJSON has its predictions in order; outcomes come when they come, and are in order among themselves.
    let scratch = directory();
    let p = |id: &str, minute| json!({ "prediction": prediction(id, minute, 0.7) });
    let o = |id: &str, minute| json!({ "outcome": outcome(id, minute, 1) });
    for (name, rows, code) in [
        ("late", vec![p("a", 0), p("b", 9), o("a", 5), o("b", 12)], 0),
        ("back", vec![p("c", 20), p("d", 19)], 65),
        ("outcomes", vec![o("a2", 30), o("b2", 29)], 65),
    ] {
        let file = scratch.file(&format!("{name}.ndjson"), lines(&rows));
        let run = scratch.run(&["import", &file]).expect(code);
        if code != 0 {
            run.says(&["line 2", "--sort"]);
            scratch.run(&["import", &file, "--sort"]).expect(0);
        }
    }
    assert_eq!(scratch.rows(), (4, 4));
}

#[test]
fn units_of_time_are_read_or_asked_about() {
    let unix = |format: &str, more: &str| map(&format!("time-format = \"{format}\"\n{more}"), "", "");
    let file = |times: &[&str]| {
        let mut text = "time,id,score,label\n".to_owned();
        for (id, time) in times.iter().enumerate() {
            writeln!(text, "{time},{id},0.7,1").expect("writes");
        }
        text
    };
    for (format, times) in [
        ("unix", ["1735689600", "1735689600.25"]),
        ("unix", ["1.7356896e9", "1735689600.25"]),
        ("unix-ms", ["1735689600000", "1735689600250"]),
        ("unix-us", ["1735689600000000", "1735689600250000.0"]),
        ("unix-ns", ["1735689600000000000", "1735689600250000000"]),
    ] {
        let (scratch, run) = import("f.csv", file(&times), &unix(format, ""));
        run.expect(0);
        assert_eq!(
            scratch.json(&["status"])["subjects"][0]["newest"],
            json!("2025-01-01T00:00:00.250Z"),
            "{format}"
        );
    }
    refused(
        file(&["1735689600"]),
        &unix("unix-ms", ""),
        &["line 2 column `time`", "1970-01-21", "time-format = \"unix\""],
    );
    refused(
        file(&["1735689600000"]),
        &unix("unix", ""),
        &["line 2 column `time`", "time-format = \"unix-ms\""],
    );
    refused(
        file(&["1735689600", "1735689600000"]),
        &unix("unix", ""),
        &["line 3", "time-format = \"unix-ms\""],
    );
    refused(
        file(&["1000000000", "1735689600"]),
        &unix("unix", ""),
        &["line 3", "is the unit the same", "longest-gap"],
    );
    taken("f.csv", file(&["1000000000", "1735689600"]), &unix("unix", "longest-gap = \"9000d\""), (2, 2));
    taken("f.csv", file(&["86400", "90000"]), &unix("unix", "earliest = \"1970-01-01\""), (2, 2));
}

#[test]
fn numbers_that_are_none_are_missing_or_refused() {
    let spellings = [
        "NaN",
        "nan",
        "NA",
        "N/A",
        "null",
        "NULL",
        "None",
        "-",
        "?",
        "#N/A",
        "1.#IND",
        "inf",
        "-Infinity",
        ".",
        "0,7",
        "75%",
    ];
    let file = |column: usize, cell: &str| {
        let mut cells = [
            vec![at(0), "1".into(), "0.7".into(), "1".into(), "2.5".into()],
            vec![at(1), "2".into(), "0.7".into(), "1".into(), "2.5".into()],
        ];
        cells[1][column] = format!("\"{cell}\"");
        format!("time,id,score,label,x\n{}\n{}\n", cells[0].join(","), cells[1].join(","))
    };
    for (column, name) in [(2, "score"), (3, "label"), (4, "x")] {
        for spelling in spellings {
            let features = "features = [\"x\"]";
            refused(
                file(column, spelling),
                &map("", features, ""),
                &[&format!("line 3 column `{name}`"), spelling],
            );
            let missing = map(&format!("missing = ['{spelling}']"), features, "");
            let expected = match column {
                2 => (1, 1),
                3 => (2, 1),
                _ => (2, 2),
            };
            taken("f.csv", file(column, spelling), &missing, expected);
        }
    }
    // Alone in its column it does not make a category of it either.
    let alone = format!("time,id,score,label,x\n{},1,0.7,1,NA\n", at(0));
    refused(
        &alone,
        &map("", "features = [\"x\"]", ""),
        &["column `x`", "missing = [\"NA\"]", "categories = [\"x\"]"],
    );
    taken("f.csv", &alone, &map("", "categories = [\"x\"]", ""), (1, 1));

    let european = format!("\u{feff}time;id;score;label;x\r\n{};1;0,7;1;1.100,50\r\n", at(0));
    let semicolons = "delimiter = \";\"";
    refused(&european, &map(semicolons, "features = [\"x\"]", ""), &["line 2 column `score`", "thousands"]);
    let read = map(
        &format!("{semicolons}\ndecimal = \",\"\nthousands = \".\""),
        "features = [\"x\"]",
        "[[baselines]]\nmodel = \"m\"\nversion = \"v1\"\nfirst = 1",
    );
    let (scratch, run) = import("f.csv", &european, &read);
    run.expect(0);
    let baseline = &scratch.json(&["baseline", "show"])["baselines"][0];
    assert_eq!(baseline["categories"], json!([]), "the feature is a number");
}

#[test]
fn a_feature_that_changes_its_kind_is_told() {
    let features = map("", "features = [\"x\"]", "");
    let file = |values: &[&str]| {
        let mut text = "time,id,score,label,x\n".to_owned();
        for (n, value) in (0..).zip(values) {
            writeln!(text, "{},{n},0.7,1,{value}", at(n)).expect("writes");
        }
        text
    };
    refused(
        file(&["1", "2", "red"]),
        &features,
        &["line 4 column `x`", "missing = [\"red\"]", "categories = [\"x\"]"],
    );
    // Behind the first thousand rows: the batches before it stay, and a number among texts is told.
    let mut late = vec!["1"; 1_500];
    late.push("red");
    let (_, run) = import("f.csv", file(&late), &features);
    run.expect(65).says(&["line 1502 column `x`", "`red` is not a number"]);
    let mut late = vec!["red"; 1_500];
    late.push("7");
    let run = taken("f.csv", file(&late), &features, (1_501, 1_501));
    run.prints(&[
        "note: column `x`: a number among texts, taken as a category, 1 in all, first in line 1502",
    ]);
}

#[test]
fn labels_are_0_and_1_or_what_the_map_says() {
    let file = |labels: &[&str]| {
        let mut text = "time,id,score,label\n".to_owned();
        for (n, label) in (0..).zip(labels) {
            writeln!(text, "{},{n},0.7,{label}", at(n)).expect("writes");
        }
        text
    };
    let plain = map("", "", "");
    let resolved = |labels: &[&str], map: &str| {
        let (scratch, run) = import("f.csv", file(labels), map);
        run.expect(0);
        let subject = scratch.json(&["status"])["subjects"][0].clone();
        (subject["resolved"].clone(), subject["losing_run"].clone())
    };
    // All predictions say yes; the last outcomes say no.
    assert_eq!(resolved(&["1", "1.0", "0", "0.0"], &plain), (json!(4), json!(2)));
    let words = map("", "", "[outcome.labels]\ngood = 1\nbad = 0");
    assert_eq!(resolved(&["good", "bad", "bad"], &words), (json!(3), json!(2)));
    let one_two = map("", "", "[outcome.labels]\n1 = 0\n2 = 1");
    assert_eq!(resolved(&["2", "1", "1.0"], &one_two), (json!(3), json!(2)));
    refused(
        file(&["1", "2"]),
        &plain,
        &["line 3 column `label`", "`2` is no label", "labels of a score are 0 and 1", "[outcome.labels]"],
    );
    refused(file(&["-1"]), &plain, &["labels of a score are 0 and 1"]);
    refused(
        file(&["good", "ugly"]),
        &words,
        &["line 3 column `label`", "`ugly` is not in [outcome.labels]", "`bad`, `good`"],
    );
}

#[test]
fn a_baseline_counts_different_predictions() {
    let doubled: Vec<_> = rows(400, "").into_iter().flat_map(|row| [row.clone(), row]).collect();
    let content = format!("time,id,score,label\n{}\n", doubled.join("\n"));
    let baseline = |segment: &str, first: u64| {
        format!("[[baselines]]\nmodel = \"m\"\nversion = \"v1\"\n{segment}\nfirst = {first}\n")
    };
    let (scratch, run) = import("f.csv", &content, &map("", "", &baseline("", 300)));
    run.expect(0).prints(&["800 lines; 800 rows new, 800 already there", "over 300"]);
    assert_eq!(scratch.json(&["status"])["subjects"][0]["resolved"], json!(400));

    // Rows of an earlier file count, too; what does not suffice is named, and what does not occur.
    let more = [baseline("", 500), baseline("segment = \"DE\"", 10)].concat();
    let (scratch, run) = import("f.csv", &content, &map("", "", &more));
    // The rows are there, and a script learns that what it asked for besides is not.
    run.expect(1).prints(&[
        "baseline of m@v1 is not set: 400 different predictions of it are judged, and it wants 500",
        "baseline of m@v1[DE] is not set: the file has no prediction of it; it has those of m@v1",
    ]);
    let later: String = (400..520).map(|n| format!("{},{n},0.7,1\n", at(n))).collect();
    let file = scratch.file("later.csv", format!("time,id,score,label\n{later}"));
    let map = scratch.file("map.toml", map("", "", &more));
    scratch.run(&["import", &file, "--map", &map]).expect(1).prints(&["baseline of m@v1: ", "over 500"]);
}

#[test]
fn an_outcome_that_can_never_judge_is_refused_or_shown() {
    // A map says it before a row is read …
    let content = format!("time,id,score,label\n{}\n", rows(3, "").join("\n"));
    let value = map("", "", "").replace("score = \"score\"", "value = \"score\"");
    let (scratch, run) = import("f.csv", content, &value);
    run.expect(78).says(&["map.toml", "can never judge", "for `value` it needs `value`"]);
    assert_eq!(scratch.rows(), (0, 0));
    // … where rows come one by one, each outcome is kept, counted and shown.
    let rows = [
        json!({ "prediction": prediction("a", 0, 0.7) }),
        json!({ "prediction": prediction("b", 0, 0.7) }),
        json!({ "prediction": prediction("c", 0, 0.7) }),
        json!({ "outcome": outcome("a", 60, 2) }),
        json!({ "outcome": { "model": "m", "id": "b", "time": at(60), "value": 1.0 } }),
        json!({ "outcome": outcome("c", 60, 1) }),
    ];
    let file = scratch.file("f.ndjson", lines(&rows));
    let report = scratch.json(&["import", &file]);
    assert_eq!(report["unjudged"][0]["outcomes"], json!(2));
    let subject = || scratch.json(&["status"])["subjects"][0].clone();
    assert_eq!((&subject()["resolved"], &subject()["unjudged"]), (&json!(1), &json!(2)));
    scratch.run(&["status"]).expect(0).prints(&["2 outcomes of m@v1 can judge nothing"]);
    // A correction of another kind judges.
    let mut correction = outcome("b", 120, 1);
    correction["correction"] = json!(true);
    let file = scratch.file("correction.ndjson", lines(&[json!({ "outcome": correction })]));
    scratch.run(&["import", &file]).expect(0);
    assert_eq!((&subject()["resolved"], &subject()["unjudged"]), (&json!(2), &json!(1)));
    scratch.verify();
}

#[test]
fn years_before_1970_are_history() {
    let content = "time,id,score,label\n1969-12-31T23:30:00Z,1,0.7,1\n1969-12-31T23:55:00Z,2,0.7,0\n1970-01-01T00:10:00Z,3,0.7,1\n";
    taken("f.csv", content, &map("", "", ""), (3, 3));
    let counted = "time,id,score,label\n-1800,1,0.7,1\n-300.5,2,0.7,0\n600,3,0.7,1\n";
    refused(
        counted,
        &map("time-format = \"unix\"", "", ""),
        &["line 2", "1969-12-31T23:30:00Z", "earliest = \"1969-12-31\""],
    );
    let (scratch, run) =
        import("f.csv", counted, &map("time-format = \"unix\"\nearliest = \"1960-01-01\"", "", ""));
    run.expect(0);
    scratch.verify();
    assert_eq!(scratch.json(&["status"])["subjects"][0]["newest"], json!("1970-01-01T00:10:00Z"));
}

#[test]
fn what_a_backtest_keeps_has_its_policies() {
    let scratch = directory();
    let content = format!("time,id,score,label\n{}\n", rows(30, "").join("\n"));
    let (file, map) = (scratch.file("f.csv", content), scratch.file("map.toml", map("", "", "")));
    let config =
        scratch.file("own.toml", "[host]\npolicies = \"elsewhere\"\n# as it was\n[metrics]\nwindow = 50\n");
    let policies = repository().join("policies");
    let policies = policies.to_str().expect("UTF-8");
    let names = |keep: &str| {
        let mut command = std::process::Command::new(program());
        command.args(["status", "--json", "--data", keep]).env_remove("TRIMTAB_DATA");
        let status = Run::of(command.output().expect("runs")).expect(0).json();
        let policies = status["policies"].as_array().expect("policies");
        policies.iter().map(|policy| policy["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    for (name, config) in [("plain", None), ("configured", Some(&config))] {
        let keep = scratch.path(name);
        let keep = keep.to_str().expect("UTF-8");
        let mut args = vec!["backtest", &file, "--map", &map, "--policies", policies, "--keep", keep];
        args.extend(config.iter().flat_map(|config| ["--config", config.as_str()]));
        scratch.run(&args).expect(0);
        assert!(names(keep).contains(&"drift-ladder".to_owned()), "{name}: {:?}", names(keep));
    }
    let kept = std::fs::read_to_string(scratch.path("configured").join("trimtab.toml")).expect("reads");
    assert!(kept.contains("# as it was") && kept.contains("window = 50"), "{kept}");
}

#[test]
fn lines_are_those_of_the_file() {
    let by_line = map("", "", "").replace("{id}", "{line}");
    let note = "\"two\nlines\"";
    let body = format!(
        "time,id,score,label,note\n{},1,0.7,1,{note}\n\n{},2,0.7,1,\n{},3,much,1,\n",
        at(0),
        at(1),
        at(2)
    );
    for end in ["\n", "\r\n", "\r"] {
        refused(body.replace('\n', end), &by_line, &["line 6 column `score`"]);
        let good = body.replace("much", "0.7").replace('\n', end);
        let (scratch, run) = import("f.csv", &good, &by_line);
        run.expect(0);
        // The same file with other line ends has the same ids: nothing is new.
        let again = scratch.file("again.csv", body.replace("much", "0.7"));
        let report =
            scratch.json(&["import", &again, "--map", scratch.path("map.toml").to_str().expect("UTF-8")]);
        assert_eq!((&report["new"], &report["unchanged"]), (&json!(0), &json!(6)), "{end:?}");
    }
}

#[test]
fn headers_of_spreadsheets_are_read() {
    let row = |more: &str| format!("{},1,0.7,1{more}\n", at(0));
    let plain = map("", "", "");
    taken("f.csv", format!("time,id,score,label,,\n{}", row(",,")), &plain, (1, 1));
    taken("f.csv", format!("sep=,\ntime, id , score,label\n{}", row("")), &plain, (1, 1));
    taken("f.csv", format!("\ntime,id,score,label,other,other\n{}", row(",a,b")), &plain, (1, 1));
    refused(
        format!("time,id,score,label,score\n{}", row(",0.5")),
        &plain,
        &["column `score` is there twice"],
    );
    let broken = map("", "features = [\"no\\nte\"]", "");
    taken("f.csv", format!("time,id,score,label,\"no\nte\"\n{}", row(",x")), &broken, (1, 1));
}

#[test]
fn packed_files_and_marks_are_read() {
    let plain = map("", "", "");
    let content = format!("time,id,score,label\n{}\n", rows(20, "").join("\n"));
    let mark = |text: &str| format!("\u{feff}{text}");
    taken("f.csv.gz", gzip(mark(&content).as_bytes()), &plain, (20, 20));
    refused(&gzip(content.as_bytes())[..60], &plain, &["gzip data", "cut off"]);
    let (_, run) = import("f.csv.zst", b"\x28\xb5\x2f\xfd nothing of the kind", &plain);
    run.expect(65).says(&["Zstandard data are damaged"]);
    // As the format's description has it: magic number, a header that says 4 bytes in one segment, one raw last block.
    let zstandard = |text: &[u8]| {
        let size = u32::try_from(text.len()).expect("short");
        let block = (size << 3 | 1).to_le_bytes();
        [b"\x28\xb5\x2f\xfd\xa0".as_slice(), &size.to_le_bytes(), &block[..3], text].concat()
    };
    taken("f.csv.zst", zstandard(content.as_bytes()), &plain, (20, 20));

    let scratch = directory();
    let rows =
        lines(&[json!({ "prediction": prediction("a", 0, 0.7) }), json!({ "outcome": outcome("a", 60, 1) })]);
    for (name, content) in [
        ("marked.ndjson", mark(&rows).into_bytes()),
        ("packed.jsonl.gz", gzip(rows.as_bytes())),
        ("packed.ndjson.zst", zstandard(mark(&rows).as_bytes())),
    ] {
        let file = scratch.file(name, content);
        scratch.run(&["import", &file]).expect(0);
        assert_eq!(scratch.rows(), (1, 1), "{name}");
    }
}

/// A member of gzip whose data are not packed, as RFC 1951 and 1952 have it.
fn gzip(text: &[u8]) -> Vec<u8> {
    let size = u16::try_from(text.len()).expect("short");
    let mut crc = u32::MAX;
    for byte in text {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let mut packed = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x01".to_vec();
    packed.extend(size.to_le_bytes());
    packed.extend((!size).to_le_bytes());
    packed.extend(text);
    packed.extend((!crc).to_le_bytes());
    packed.extend(u32::from(size).to_le_bytes());
    packed
}
