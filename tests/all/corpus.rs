//! Directories of earlier formats. Each was made once by the program of its time and is never edited: it opens, what it recorded is
//! what comes out, and it goes on. `TRIMTAB_CORPUS=write` adds the one of today where it is missing.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{STORY, Scratch, lines, outcome, prediction, repository, story};

fn corpus() -> PathBuf {
    repository().join("tests/corpus")
}

/// The formats that a directory is of: of its tables, and of the states in its checkpoints.
fn format(scratch: &Scratch) -> String {
    let database = rusqlite::Connection::open(scratch.data().join("logs.db")).expect("opens");
    let number = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    let (tables, states) = (number("PRAGMA user_version"), number("SELECT max(format) FROM checkpoint_part"));
    format!("tables-{tables}-states-{states}")
}

/// A small history with everything in it that a format has to keep: rows, corrections, a baseline, findings, decisions, alerts,
/// acts, versions, and a host that served.
fn history() -> Scratch {
    let scratch = Scratch::empty();
    // Two policies are enough.
    let policies = scratch.own_policies();
    scratch.run(&["init", "--policies", policies.to_str().expect("UTF-8")]).expect(0);
    scratch.configure(&policies, STORY);
    scratch.set_baseline();
    scratch.serve().stop();
    let file = scratch.file("story.ndjson", lines(&story(7)[..1_600]));
    scratch.run(&["import", &file]).expect(0);
    let correction = scratch.file(
        "correction.ndjson",
        r#"{"outcome":{"id":"p0","model":"m","time":"2025-01-02T00:00:00Z","label":1,"correction":true}}"#,
    );
    scratch.run(&["import", &correction]).expect(0);
    let act = |args: &[&str]| scratch.run(&[args, &["--reason", "a corpus"]].concat()).expect(0);
    act(&["kill", "on", "m"]);
    act(&["kill", "off", "m"]);
    act(&["exposure", "set", "m", "0.5"]);
    act(&["model", "register", "m", "v1", "--champion"]);
    scratch
}

fn tar(args: &[&str], directory: &Path) {
    let status = Command::new("tar").args(args).current_dir(directory).status().expect("tar runs");
    assert!(status.success(), "tar {args:?}");
}

/// What the directory holds, as it said itself when it was made.
fn holdings(scratch: &Scratch) -> Value {
    let status = scratch.json(&["status"]);
    let may = scratch.run(&["may-trade", "m", "--json"]).json();
    serde_json::json!({ "counts": status["counts"], "allowed": may["allowed"], "exposure": may["exposure"] })
}

#[test]
fn directories_of_every_format_open_agree_with_their_record_and_go_on() {
    if std::env::var_os("TRIMTAB_CORPUS").is_some() {
        add();
    }
    let mut formats = 0;
    for entry in std::fs::read_dir(corpus()).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name").to_owned();
        let Some(format) = name.strip_suffix(".tar.gz") else { continue };
        formats += 1;
        let scratch = Scratch::empty();
        std::fs::create_dir(scratch.data()).expect("makes");
        tar(&["-xzf", path.to_str().expect("UTF-8"), "--no-same-owner"], &scratch.data());
        let told = std::fs::read_to_string(corpus().join(format!("{format}.json"))).expect("reads");
        let told: Value = serde_json::from_str(&told).expect("is JSON");
        scratch.verify();
        assert_eq!(holdings(&scratch), told, "{format}");
        // It goes on: more rows, and the whole agrees still.
        let rows: Vec<Value> = (0..50)
            .flat_map(|n| {
                let id = format!("later-{n}");
                let at = 400_000 + n * 60;
                [
                    serde_json::json!({ "prediction": prediction(&id, at, 0.7) }),
                    serde_json::json!({ "outcome": outcome(&id, at + 30, 1) }),
                ]
            })
            .collect();
        let file = scratch.file("later.ndjson", lines(&rows));
        scratch.run(&["import", &file]).expect(0).prints(&["100 rows new"]);
        scratch.verify();
        let before = told["counts"]["predictions"].as_u64().expect("a number");
        assert_eq!(scratch.rows().0, before + 50, "{format}");
    }
    assert!(formats > 0, "there is at least the format of today");
}

#[test]
fn the_format_of_today_is_in_the_corpus() {
    let today = format(&history());
    let known = corpus().join(format!("{today}.tar.gz")).exists();
    assert!(
        known,
        "{today} is not in tests/corpus; add it: TRIMTAB_CORPUS=write cargo test --test all -- corpus"
    );
}

/// Adds a directory of today's format. One that is there stays as it is.
fn add() {
    let scratch = history();
    let name = format(&scratch);
    let archive = corpus().join(format!("{name}.tar.gz"));
    std::fs::create_dir_all(corpus()).expect("makes");
    if archive.exists() {
        return;
    }
    let held = holdings(&scratch);
    let held = serde_json::to_string_pretty(&held).expect("JSON");
    std::fs::write(corpus().join(format!("{name}.json")), held + "\n").expect("writes");
    let path = archive.to_str().expect("UTF-8").to_owned();
    // Nothing of this machine: the policies directory that is named is not there elsewhere, and nobody needs it.
    let config = scratch.data().join("trimtab.toml");
    let text = std::fs::read_to_string(&config).expect("reads");
    let own: Vec<_> = text.lines().filter(|line| !line.starts_with("policies = ")).collect();
    std::fs::write(&config, own.join("\n") + "\n").expect("writes");
    let database = rusqlite::Connection::open(scratch.data().join("logs.db")).expect("opens");
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("checkpoints");
    drop(database);
    tar(&["--owner=0", "--group=0", "-czf", &path, "logs.db", "trimtab.toml"], &scratch.data());
}
