//! Files that `import` must refuse: by line, with the cause and what to do, and without keeping any of the request.

use std::{
    io::Write,
    process::{Command, Output, Stdio},
};

use serde_json::json;

use crate::support::{Run, Scratch, at, lines, outcome, prediction};

const MAP: &str = r#"
time = "at"
[[predictions]]
id = "{at}"
model = "m"
version = "v1"
score = "score"
features = ["price"]
[outcome]
label = "label"
after = "30m"
"#;

/// A directory with two rows that must survive whatever follows.
fn with_rows() -> Scratch {
    let scratch = Scratch::with_config("");
    let rows =
        [json!({ "prediction": prediction("kept", 0, 0.7) }), json!({ "outcome": outcome("kept", 60, 1) })];
    let file = scratch.file("kept.ndjson", lines(&rows));
    scratch.run(&["import", &file]).expect(0);
    scratch
}

/// The boundary of `import`: this content is refused with this exit code and these words, and nothing of it is kept.
#[track_caller]
fn check(scratch: &Scratch, name: &str, content: impl AsRef<[u8]>, words: &[&str]) {
    let (file, map) = (scratch.file(name, content), scratch.file("map.toml", MAP));
    let args =
        if name.ends_with(".csv") { vec!["import", &file, "--map", &map] } else { vec!["import", &file] };
    scratch.run(&args).expect(65).says(words).says(&["error: ", name]);
    assert_eq!(scratch.rows(), (1, 1), "{words:?}");
}

/// A line of NDJSON: a prediction with these fields in place of its own; `null` takes one away.
fn changed(fields: serde_json::Value) -> String {
    let mut row = prediction("p", 0, 0.7);
    for (key, value) in fields.as_object().expect("fields") {
        row[key] = value.clone();
    }
    row.as_object_mut().expect("a row").retain(|_, value| !value.is_null());
    json!({ "prediction": row }).to_string()
}

#[test]
fn wrong_csv_is_refused_by_line_and_column() {
    let scratch = with_rows();
    let good = "2025-01-01T00:00:00Z,0.7,1.5,1\n";
    let line = |line: &str| format!("at,score,price,label\n{good}{line}\n");
    #[rustfmt::skip]
    let cases: [(String, &[&str]); 15] = [
        (String::new(),                                     &["is empty", "names the columns"]),
        (format!("at,score,label\n{good}"),                 &["line 1", "no column `price` (for `features`)", "the columns are at, score, label"]),
        (format!("at,score,price,label,score\n{good}"),     &["line 1", "column `score` is there twice"]),
        (line("2025-01-01T00:30:00Z,0.7,1.5,1,9"),          &["line 3", "has 5 cells", "the first line 4", "look for"]),
        (line("2025-01-01T00:30:00Z,0.7"),                  &["line 3", "has 2 cells", "the first line 4", "look for"]),
        (line("2025-01-01T00:30:00Z,\"0.7,1.5,1"),          &["line 3", "quote"]),
        (line("2025-01-01T00:30:00Z,much,1.5,1"),           &["line 3", "column `score`", "`much` is not a number"]),
        (line("2025-01-01T00:30:00Z,1.01,1.5,1"),           &["line 3", "score: is 1.01", "between 0 and 1"]),
        (line("2025-01-01T00:30:00Z,NaN,1.5,1"),            &["line 3", "column `score`", "`NaN` is not a number", "missing = [\"NaN\"]"]),
        (line("2025-01-01T00:30:00Z,0.7,-inf,1"),           &["line 3", "column `price`", "`-inf` is not a number"]),
        (line("2025-01-01T00:30:00Z,0.7,1.5,0.5"),          &["line 3", "column `label`", "`0.5` is not a whole number"]),
        (line("2025-01-01 00:30:00,0.7,1.5,1"),             &["line 3", "column `at`", "not a time with a zone", "write it as"]),
        (line("0000-12-31T23:59:59Z,0.7,1.5,1"),            &["line 3", "column `at`", "outside the years 1 to 9999"]),
        (line("9998-01-01T00:00:00Z,0.7,1.5,1"),            &["line 3", "lies in the future", "check the sender's clock"]),
        (line(",0.7,1.5,1"),                                &["line 3", "column `at`", "not a time with a zone"]),
    ];
    for (content, words) in cases {
        check(&scratch, "bad.csv", content, words);
    }
    check(
        &scratch,
        "bad.csv",
        b"at,score,price,label\n2025-01-01T00:00:00Z,0.7,\xff,1\n",
        &["line 2", "not UTF-8", "convert"],
    );
    scratch.verify();
}

#[test]
fn wrong_ndjson_is_refused_by_line_and_field() {
    let scratch = with_rows();
    let good = json!({ "prediction": prediction("good", 0, 0.7) });
    let outcome = |rest: &str| format!(r#"{{"outcome":{{"model":"m","id":"p","time":"{}"{rest}}}}}"#, at(60));
    #[rustfmt::skip]
    let cases: [(String, &[&str]); 20] = [
        ("{".into(),                                        &["column 1", "EOF"]),
        ("[]".into(),                                       &["column"]),
        ("what is this".into(),                             &["column 1", "expected value"]),
        (r#"{"prophecy":{}}"#.into(),                       &["unknown variant `prophecy`", "`prediction` or `outcome`"]),
        (changed(json!({ "scoer": 0.7 })),                  &["unknown field `scoer`", "`score`"]),
        (changed(json!({ "score": "0.7" })),                &["invalid type: string", "expected f64"]),
        (changed(json!({ "score": 7.5 })),                  &["score: is 7.5", "between 0 and 1"]),
        (changed(json!({ "score": -0.1 })),                 &["score: is -0.1", "between 0 and 1"]),
        (changed(json!({ "score": null })),                 &["exactly one of `direction`, `score`, `class` and `value`"]),
        (changed(json!({ "value": 3 })),                    &["exactly one of `direction`, `score`, `class` and `value`"]),
        (changed(json!({ "id": "" })),                      &["id: is empty"]),
        (changed(json!({ "model": null })),                 &["model: is empty"]),
        (changed(json!({ "time": "2025-01-01T00:00:00" })), &["time: ", "not a time with a zone", "write it as"]),
        (changed(json!({ "time": "0000-12-31T23:59:59Z" })), &["time: ", "outside the years 1 to 9999"]),
        (changed(json!({ "time": "9998-01-01T00:00:00Z" })), &["time: ", "lies in the future", "check the sender's clock"]),
        (changed(json!({ "score": 0 })).replace(":0,", ":NaN,"), &["column", "expected value"]),
        (changed(json!({ "score": 0 })).replace(":0,", ":1e999,"), &["column", "number out of range"]),
        (outcome(""),                                       &["outcome: says nothing", "give `label`"]),
        (outcome(r#","value":-Infinity"#),                  &["column"]),
        (outcome(r#","label":1,"value":1.0"#),              &["label", "not both"]),
    ];
    for (line, words) in cases {
        let words = [&["line 2"], words].concat();
        check(&scratch, "bad.ndjson", format!("{good}\n{line}\n"), &words);
    }
    check(&scratch, "bad.ndjson", b"{\"prediction\":\xff}\n", &["line 1", "not UTF-8", "convert"]);
    scratch.verify();
}

/// One row after another, each with what becomes of it.
#[test]
fn the_same_id_is_the_same_row_or_a_conflict() {
    let scratch = with_rows();
    let send = |row: serde_json::Value| {
        let file = scratch.file("one.ndjson", lines(&[row]));
        scratch.run(&["import", &file])
    };
    let p = |id: &str, score: f64| json!({ "prediction": prediction(id, 0, score) });
    let o = |id: &str, label: i64| json!({ "outcome": outcome(id, 60, label) });
    let correction = |label: i64| {
        let mut row = o("kept", label);
        row["outcome"]["correction"] = json!(true);
        row
    };

    // How many entries the log has more than before.
    let before = std::cell::Cell::new(scratch.json(&["status"])["head"].as_u64().expect("a number"));
    let grown = || {
        let head = scratch.json(&["status"])["head"].as_u64().expect("a number");
        head - before.replace(head)
    };
    let resolved = || scratch.json(&["status"])["subjects"][0]["resolved"].clone();

    send(p("kept", 0.7)).expect(0);
    assert_eq!(grown(), 0, "the same prediction again is unchanged");
    send(p("kept", 0.6)).expect(65).says(&[
        "line 1",
        "prediction `kept` of model `m` exists with other content",
        "0.7",
        "0.6",
        "an id of its own",
    ]);
    send(o("kept", 1)).expect(0);
    assert_eq!(grown(), 0, "the same outcome again is unchanged");
    send(o("kept", 0)).expect(65).says(&["line 1", "outcome `kept`", "other content", "`correction` true"]);
    assert_eq!((grown(), scratch.rows()), (0, (1, 1)), "a conflict changes nothing");
    send(correction(0)).expect(0);
    assert_eq!((grown(), scratch.rows()), (1, (1, 1)), "a correction is an entry, and no row more");
    send(correction(0)).expect(0);
    assert_eq!(grown(), 0, "the same correction again is unchanged");

    send(o("early", 1)).expect(0);
    assert_eq!((scratch.rows(), resolved()), ((1, 2), json!(1)), "an outcome of an unknown id waits");
    send(p("early", 0.7)).expect(0);
    assert_eq!((scratch.rows(), resolved()), ((2, 2), json!(2)), "it resolves when the prediction comes");
    scratch.verify();
}

#[test]
fn a_mistake_late_in_a_file_keeps_whole_batches_before_it_and_says_how_much() {
    let scratch = Scratch::with_config("");
    let rows: Vec<_> =
        (0..25).map(|n| json!({ "prediction": prediction(&format!("p{n}"), n, 0.7) })).collect();
    let conflict = json!({ "prediction": prediction("p3", 24, 0.1) });
    for (last, words) in [
        ("nonsense".to_owned(), ["line 26", "expected value"]),
        (changed(json!({ "score": 2, "time": at(24) })), ["line 26", "between 0 and 1"]),
        (changed(json!({ "time": "9998-01-01T00:00:00Z" })), ["line 26", "in the future"]),
        (conflict.to_string(), ["line 26", "an id of its own"]),
    ] {
        let file = scratch.file("late.ndjson", lines(&rows) + &last + "\n");
        let run = scratch.run(&["import", &file, "--batch", "10"]).expect(65).says(&words);
        run.says(&["20 rows before it are kept", "mend the file and import it again"]);
        assert_eq!(scratch.rows(), (20, 0));
    }
    let file = scratch.file("mended.ndjson", lines(&rows));
    let report = scratch.json(&["import", &file]);
    assert_eq!((&report["new"], &report["unchanged"]), (&json!(5), &json!(20)));
    scratch.verify();
}

#[test]
fn an_empty_file_is_no_rows() {
    let scratch = with_rows();
    let (map, header) = (scratch.file("map.toml", MAP), scratch.file("a.csv", "at,score,price,label\n"));
    for args in [&["import", &scratch.file("a.ndjson", "")][..], &["import", &header, "--map", &map]] {
        let report = scratch.json(args);
        assert_eq!((&report["lines"], &report["new"]), (&json!(0), &json!(0)));
    }
    assert_eq!(scratch.rows(), (1, 1));
}

#[test]
fn what_cannot_be_opened_or_understood_is_named() {
    let scratch = with_rows();
    let file = |name: &str, content: &str| scratch.file(name, content);
    let rows = file("rows.csv", "at,score\n");
    #[rustfmt::skip]
    let cases: [(&[&str], i32, &[&str]); 7] = [
        (&["import", "nowhere.ndjson"],                      74, &["cannot read `nowhere.ndjson`"]),
        (&["import", "/", "--format", "ndjson"],             74, &["cannot read /", "directory"]),
        (&["import", &file("rows.txt", "")],                 65, &["what format", "--format csv"]),
        (&["import", &rows],                                 65, &["needs a column map", "--map"]),
        (&["import", &rows, "--map", "nowhere.toml"],        74, &["cannot read `nowhere.toml`"]),
        (&["import", &rows, "--map", &file("a.toml", "time = \"at\"\npredictions = []\n")], 78, &["a.toml", "no [[predictions]]"]),
        (&["import", &rows, "--map", &file("b.toml", "tiem = \"at\"\n")], 78, &["b.toml", "line 1", "tiem"]),
    ];
    for (args, code, words) in cases {
        scratch.run(args).expect(code).says(words);
    }
    assert_eq!(scratch.rows(), (1, 1));
}

#[test]
fn a_line_of_a_gigabyte_is_refused_before_it_is_read() {
    let scratch = with_rows();
    let map = scratch.file("map.toml", MAP);
    for args in [&["import", "-", "--format", "ndjson"][..], &["import", "-", "--map", &map]] {
        let (output, taken) = pour(scratch.command(args), 1 << 30);
        Run::of(output).expect(65).says(&["stdin", "line 1", "longer than 1048576 bytes"]);
        assert!(taken < 4 << 20, "it took {taken} bytes");
    }
    assert_eq!(scratch.rows(), (1, 1));
}

/// Pours one endless line into a command. Returns what it gave, and how many bytes it (and the pipe) took.
fn pour(mut command: Command, bytes: usize) -> (Output, usize) {
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().expect("starts");
    let mut pipe = child.stdin.take().expect("piped");
    let part = [b'x'; 1 << 16];
    let taken = (0..bytes / part.len()).take_while(|_| pipe.write_all(&part).is_ok()).count();
    drop(pipe);
    (child.wait_with_output().expect("ends"), taken * part.len())
}
