//! What the host finds, decides and sends, held as text. A change of structure changes not one byte of it; a change of
//! meaning changes it on purpose, and its commit says which lines and why.
//!
//! Left out is what is only measured (fuel, durations), and digests of policies, which depend on the compiler. Ids are
//! derived from these digests, so they are numbered in the order in which they come.

use std::{collections::BTreeMap, path::PathBuf};

use serde_json::{Map, Value};

use trimtab_log::Reader as _;
use trimtab_sqlite::LogsReader;
use trimtab_types::Position;

use crate::{
    elec2,
    support::{STORY, Scratch, lines, repository, story, told},
};

/// Text of a record, the same on each machine.
#[derive(Default)]
struct Normal {
    ids: BTreeMap<String, String>,
    of_kind: BTreeMap<char, usize>,
}

impl Normal {
    fn value(&mut self, value: &Value) -> Value {
        match value {
            Value::String(text) => Value::String(self.text(text)),
            Value::Array(items) => items.iter().map(|item| self.value(item)).collect(),
            Value::Object(fields) => {
                let kept =
                    fields.iter().filter(|(name, _)| !["fuel", "duration_us"].contains(&name.as_str()));
                Value::Object(
                    kept.map(|(name, value)| (name.clone(), self.value(value))).collect::<Map<_, _>>(),
                )
            }
            other => other.clone(),
        }
    }

    /// An id is a letter for its kind, a dash and 16 hexadecimal digits; a digest has 64.
    fn text(&mut self, text: &str) -> String {
        let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let Some(kind) = text.chars().next() else { return String::new() };
        if text.len() == 64 && hexadecimal(text) {
            return "a digest".to_owned();
        }
        let digits = text.split_once('-').filter(|(kind, _)| kind.len() == 1).map(|(_, digits)| digits);
        if digits.is_none_or(|digits| digits.len() != 16 || !hexadecimal(digits)) {
            return text.to_owned();
        }
        if let Some(known) = self.ids.get(text) {
            return known.clone();
        }
        let number = self.of_kind.entry(kind).or_default();
        *number += 1;
        let name = format!("{kind}-{number}");
        self.ids.insert(text.to_owned(), name.clone());
        name
    }
}

/// Everything recorded, a line each: findings, then decisions, then effects; by log, in its order.
fn recorded(scratch: &Scratch) -> Vec<String> {
    let database = rusqlite::Connection::open(scratch.data().join("logs.db")).expect("opens");
    let mut normal = Normal::default();
    let mut all = Vec::new();
    let reader = LogsReader::open(&scratch.data()).expect("opens");
    for state in reader.shards().expect("reads") {
        let outputs = reader.outputs(state.shard, Position(0), state.head).expect("reads");
        for finding in outputs.folded(state.shard).expect("is readable").findings() {
            let body = normal.value(&serde_json::to_value(finding).expect("JSON"));
            all.push(format!("finding {}:{} {body}", state.shard.number(), finding.position.0));
        }
    }
    let tables = [
        ("decision", "SELECT shard, position, body FROM decision"),
        (
            "effect",
            "SELECT shard, position, json_object('key', key, 'position', position, 'kind', kind, 'channel', sink,
                    'body', json(body))
             FROM effect",
        ),
    ];
    for (table, query) in tables {
        let mut query =
            database.prepare(&format!("{query} ORDER BY shard, position, ordinal")).expect("a table");
        let rows = query
            .query_map([], |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?, row.get::<_, String>(2)?)))
            .expect("runs");
        for row in rows {
            let (shard, position, body) = row.expect("a row");
            let body = normal.value(&serde_json::from_str(&body).expect("JSON"));
            all.push(format!("{table} {shard}:{position} {body}"));
        }
    }
    all
}

/// The boundary: these lines are those of the file. `TRIMTAB_GOLDENS=write` writes them instead.
#[track_caller]
fn check(name: &str, found: &[String]) {
    let path: PathBuf = repository().join("tests/goldens").join(name);
    let text = lines_of(found);
    if std::env::var("TRIMTAB_GOLDENS").is_ok_and(|what| what == "write") {
        std::fs::write(&path, text).expect("writes");
        return;
    }
    let golden = std::fs::read_to_string(&path).expect("a golden");
    if golden == text {
        return;
    }
    let differs = golden.lines().zip(found).position(|(golden, found)| golden != found);
    let line = differs.unwrap_or_else(|| golden.lines().count().min(found.len()));
    panic!(
        "{} differs in line {}:\n- {}\n+ {}",
        path.display(),
        line + 1,
        golden.lines().nth(line).unwrap_or("(nothing)"),
        found.get(line).map_or("(nothing)", String::as_str),
    );
}

fn lines_of(found: &[String]) -> String {
    found.iter().map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_story_ends_as_it_always_did() {
    let scratch = told(STORY);
    check("story.txt", &recorded(&scratch));
}

/// The same rows under every detector there is, and a second model that is only observed.
#[test]
fn the_story_under_every_detector_ends_as_it_always_did() {
    let scratch = told(&format!("{STORY}{}", every_detector()));
    let second: Vec<_> = story(11)
        .into_iter()
        .map(|mut row| {
            for half in ["prediction", "outcome"] {
                if let Some(row) = row.get_mut(half) {
                    row["model"] = "n".into();
                    row["id"] = format!("n{}", row["id"].as_str().expect("an id")).into();
                }
            }
            row
        })
        .collect();
    let file = scratch.file("second.ndjson", lines(&second));
    scratch.run(&["import", &file]).expect(0);
    check("every-detector.txt", &summary(&recorded(&scratch)));
}

fn every_detector() -> String {
    [
        "own-past",
        "adwin",
        "adwin-river",
        "page-hinkley",
        "ddm",
        "eddm",
        "hddm-a",
        "hddm-w",
        "kswin",
        "e-cusum",
        "ks",
        "categories",
        "calibration",
        "performance",
        "trading",
        "staleness",
        "coverage",
    ]
    .into_iter()
    .map(|name| format!("[detectors.{name}]\nenabled = true\n"))
    .collect()
}

#[test]
fn elec2_ends_as_it_always_did() {
    let Some(data) = elec2::data() else { return };
    let scratch = elec2::imported(&data);
    check("elec2.txt", &summary(&recorded(&scratch)));
}

/// What is too much to keep: the number and digest of each table's lines, and findings in short.
fn summary(all: &[String]) -> Vec<String> {
    let mut kept = Vec::new();
    for table in ["finding", "decision", "effect"] {
        let of_table: Vec<_> = all.iter().filter(|line| line.starts_with(table)).cloned().collect();
        let digest = trimtab_types::Digest::of(lines_of(&of_table).as_bytes());
        kept.push(format!("{table}: {} lines, {digest}", of_table.len()));
    }
    kept.extend(all.iter().filter_map(|line| in_short(line)));
    kept
}

fn in_short(line: &str) -> Option<String> {
    let (place, body) = line.strip_prefix("finding ")?.split_once(' ')?;
    let body: Value = serde_json::from_str(body).expect("JSON");
    let text = |name: &str| body[name].as_str().expect("a text").to_owned();
    let (model, version) = (&body["subject"]["model"], &body["subject"]["version"]);
    Some(format!(
        "{place} {} {model}@{version} {} on {} {}: {}, {}",
        text("at"),
        text("detector"),
        text("quantity"),
        text("phase"),
        text("severity"),
        body["statistic"],
    ))
}
