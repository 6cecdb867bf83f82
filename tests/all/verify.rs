//! `verify` finds replay and record identical after everything that may happen, and different after what may not.

use serde_json::json;

use crate::support::{STORY, Scratch, lines, outcome, story, told};

/// The boundary of tampering: after this change, `verify` ends with 3 and names this as the first difference.
#[track_caller]
fn check_tampered(scratch: &Scratch, sql: &str, what: &str, words: &[&str]) {
    let path = scratch.data().join("logs.db");
    let database = rusqlite::Connection::open(&path).expect("opens");
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("checkpoints");
    drop(database);
    let untouched = std::fs::read(&path).expect("reads");
    // Each on a directory as it was left: a start that passes a damaged checkpoint over makes a new one at its end.
    for json in [false, true] {
        tamper(&path, sql);
        let run = scratch.run(if json { &["verify", "--json"] } else { &["verify"] }).expect(3);
        if json {
            assert_eq!(run.json()["difference"]["what"], what, "{sql}: {}", run.stdout);
        } else {
            assert!(run.stdout.starts_with("different"), "{sql}: {}", run.stdout);
            for word in [&[&format!("first difference: {what} ") as &str, " at "], words].concat() {
                assert!(run.stdout.contains(word), "{sql}: should say `{word}`: {}", run.stdout);
            }
        }
        std::fs::write(&path, &untouched).expect("restores");
        // What the write-ahead log still had belongs to the other file.
        for left in ["logs.db-wal", "logs.db-shm"] {
            std::fs::remove_file(scratch.data().join(left)).ok();
        }
    }
    scratch.verify();
}

/// Somebody who changes rows takes the triggers away first.
#[track_caller]
fn tamper(path: &std::path::Path, sql: &str) {
    let database = rusqlite::Connection::open(path).expect("opens");
    let triggers: Vec<String> = database
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'trigger'")
        .and_then(|mut query| query.query_map([], |row| row.get(0))?.collect())
        .expect("reads");
    for trigger in triggers {
        database.execute_batch(&format!("DROP TRIGGER {trigger}")).expect("drops");
    }
    assert!(database.execute(sql, []).expect(sql) > 0, "{sql}: changed nothing");
}

#[test]
fn whoever_changes_the_record_is_found_out() {
    let scratch = told(STORY);
    let decided = "json_extract(body, '$.answer.decision') IS NOT NULL";
    let first = |table: &str, with: &str| format!("seq = (SELECT min(seq) FROM {table} WHERE {with})");
    #[rustfmt::skip]
    let cases: [(String, &str, &[&str]); 11] = [
        (other_statistic(&scratch), "finding", &["`statistic` is 1.5, not"]),
        (format!("DELETE FROM moment WHERE {}", first("moment", "changes > 0")), "finding", &["opened", "it comes now and was not recorded"]),
        (format!("UPDATE decision SET body = json_set(body, '$.answer.decision.reason', 'because') WHERE {}", first("decision", decided)), "decision", &["reason` is \"because\", not"]),
        (format!("UPDATE decision SET body = json_set(body, '$.verdicts', json('[]')) WHERE {}", first("decision", decided)), "decision", &["verdicts"]),
        ("DELETE FROM decision WHERE seq = (SELECT max(seq) FROM decision)".into(), "decision", &["it comes now and was not recorded"]),
        (format!("UPDATE effect SET body = json_set(body, '$.message.title', 'all is well') WHERE {}", first("effect", "true")), "effect", &["all is well"]),
        // What people read is as it was, and what was chained is not.
        (format!("UPDATE decision SET did = zeroblob(16) WHERE {}", first("decision", decided)), "chain", &["rows were changed"]),
        ("UPDATE stretch SET hash = zeroblob(32)".into(), "chain", &["rows were changed"]),
        ("UPDATE checkpoint_part SET bytes = CAST(bytes || x'00' AS BLOB) WHERE part = 3".into(), "state", &["subject", "is not what the log folds to"]),
        ("UPDATE checkpoint_part SET bytes = CAST(bytes || x'00' AS BLOB) WHERE part = 2".into(), "state", &["model", "is not what the log folds to"]),
        // Label 1 becomes 0 and the other way round in the record of the very last outcome.
        (flipped_label(&scratch), "state", &["is not what the log folds to"]),
    ];
    for (sql, what, words) in cases {
        check_tampered(&scratch, &sql, what, words);
    }
}

/// Puts another statistic into the first finding.
fn other_statistic(scratch: &Scratch) -> String {
    let database = rusqlite::Connection::open(scratch.data().join("logs.db")).expect("opens");
    let first = "SELECT seq, findings FROM moment WHERE changes > 0 ORDER BY seq LIMIT 1";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?));
    let (seq, mut bytes) = database.query_row(first, [], row).expect("there are findings");
    let findings = scratch.json(&["findings", "--limit", "10000"]);
    let oldest = findings["findings"].as_array().and_then(|all| all.last()).expect("there are findings");
    let statistic = oldest["statistic"].as_f64().expect("a number").to_le_bytes();
    let at = bytes.windows(8).position(|window| window == statistic).expect("is kept as it is");
    bytes[at..at + 8].copy_from_slice(&1.5_f64.to_le_bytes());
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("UPDATE moment SET findings = x'{hex}' WHERE seq = {seq}")
}

/// Turns round the label of the newest outcome. A row ends with: label, no price, no profit, no correction.
fn flipped_label(scratch: &Scratch) -> String {
    let database = rusqlite::Connection::open(scratch.data().join("logs.db")).expect("opens");
    let log: String = database
        .query_row("SELECT printf('log_%02d', shard) FROM shard WHERE awake = 1 LIMIT 1", [], |row| {
            row.get(0)
        })
        .expect("one is awake");
    let newest = format!("SELECT position, body FROM {log} WHERE kind = 2 ORDER BY position DESC LIMIT 1");
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, u64>(0)?, row.get::<_, Vec<u8>>(1)?));
    let (position, mut body) = database.query_row(&newest, [], row).expect("there are outcomes");
    let label = body.len() - 4;
    assert!(matches!(body[label..], [0 | 2, 0, 0, 0]), "{body:?}");
    body[label] ^= 2;
    let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("UPDATE {log} SET body = x'{hex}' WHERE position = {position}")
}

#[test]
fn what_an_operator_may_do_leaves_replay_and_record_identical() {
    let scratch = told(STORY);
    scratch.verify();

    let policies = scratch.own_policies();
    // The story goes on with other rows.
    let more = |part: u64| {
        let rows = lines(&story(part)).replace("\"id\":\"p", &format!("\"id\":\"{part}/p"));
        let file = scratch.file("more.ndjson", rows);
        assert_eq!(scratch.json(&["import", &file])["unchanged"], 0);
        scratch.verify();
    };

    // Other detectors: those that change start anew.
    scratch.configure(
        &policies,
        &format!("{STORY}[detectors.e-sr]\nrun-length = 5000\n[detectors.adwin]\nenabled = true\n"),
    );
    scratch.verify();
    more(1);

    // Another default in a manifest is another policy.
    let manifest = policies.join("drift-ladder/policy.toml");
    let text = std::fs::read_to_string(&manifest).expect("reads");
    std::fs::write(&manifest, text.replace("default = \"48h\"", "default = \"24h\"")).expect("writes");
    scratch.verify();
    more(2);

    // Policies come and go; earlier decisions are replayed with the ones that made them.
    std::fs::remove_dir_all(policies.join("drift-ladder")).expect("removes");
    scratch.verify();
    more(3);

    let corrections: Vec<_> = (0..400)
        .map(|n| {
            let mut row = outcome(&format!("p{n}"), n * 30 + 30, 1);
            row["correction"] = json!(true);
            json!({ "outcome": row })
        })
        .collect();
    let file = scratch.file("corrections.ndjson", lines(&corrections));
    assert!(scratch.json(&["import", &file])["new"].as_u64() > Some(0));
    scratch.verify();
    scratch.run(&["kill", "on", "m", "--reason", "look"]).expect(0);
    scratch.run(&["baseline", "set", "--model", "m", "--version", "v1", "--first", "200"]).expect(0);
    scratch.verify();
    more(4);
}
