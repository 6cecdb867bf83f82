//! Data directories that cannot be used, or not any more: each is refused by name, with the cause and what to do.

use std::process::Command;

use serde_json::json;

use crate::support::{Run, Scratch, lines, prediction, program, repository};

/// A directory with one prediction.
fn with_row() -> Scratch {
    let scratch = Scratch::with_config("");
    let file = scratch.file("kept.ndjson", lines(&[json!({ "prediction": prediction("kept", 0, 0.7) })]));
    scratch.run(&["import", &file]).expect(0);
    scratch
}

fn database(scratch: &Scratch) -> rusqlite::Connection {
    rusqlite::Connection::open(scratch.data().join("logs.db")).expect("opens")
}

#[test]
fn a_directory_that_was_never_made_is_named_by_every_command() {
    let scratch = Scratch::empty();
    let file = scratch.file("a.ndjson", "");
    let baseline =
        ["baseline", "set", "--model", "m", "--version", "v1", "--samples", "9", "--accuracy", "0.9"];
    let commands: [&[&str]; 12] = [
        &["serve"],
        &["import", &file],
        &baseline,
        &["baseline", "show"],
        &["status"],
        &["check"],
        &["findings"],
        &["decisions"],
        &["decisions", "show", "d-1"],
        &["may-trade", "m"],
        &["kill", "on", "--all"],
        &["verify"],
    ];
    for command in commands.into_iter().chain([&["policy", "list"][..]]) {
        let data = scratch.data();
        scratch.run(command).expect(66).says(&[
            "there is no Trimtab data in",
            data.to_str().expect("UTF-8"),
            "run `trimtab init` first",
            "--data",
        ]);
        assert!(!data.exists(), "{command:?} made a directory");
    }
}

#[test]
fn init_changes_nothing_that_is_there() {
    let scratch = Scratch::with_config("# mine\n");
    let config = scratch.data().join("trimtab.toml");
    let before = std::fs::read_to_string(&config).expect("reads");
    scratch.run(&["init"]).expect(65).says(&[
        "trimtab.toml",
        "is there already; nothing was changed",
        "--data",
    ]);
    assert_eq!(std::fs::read_to_string(&config).expect("reads"), before);
    let elsewhere = Scratch::empty();
    elsewhere.run(&["init", "--policies", "/nowhere"]).expect(74).says(&["cannot find `/nowhere`"]);
}

#[test]
fn databases_of_others_are_refused_and_left_alone() {
    type Change = fn(&Scratch);
    let newer: Change = |scratch| database(scratch).pragma_update(None, "user_version", 99).expect("updates");
    let foreign: Change =
        |scratch| database(scratch).pragma_update(None, "application_id", 7).expect("updates");
    let unmarked: Change = |scratch| {
        std::fs::remove_file(scratch.data().join("logs.db")).expect("removes");
        database(scratch).execute_batch("CREATE TABLE theirs (x)").expect("makes a table");
    };
    let no_database: Change = |scratch| {
        std::fs::write(scratch.data().join("logs.db"), "Dear diary, today I wrote no database. ".repeat(99))
            .expect("writes");
    };
    let cases: [(&str, Change, &[&str]); 4] = [
        ("newer", newer, &["schema version 99", "knows versions up to 2", "use the newer build"]),
        ("foreign", foreign, &["is not a Trimtab database", "0x7", "--data"]),
        ("unmarked", unmarked, &["is not a Trimtab database", "--data"]),
        ("no database", no_database, &["is not a Trimtab database", "--data"]),
    ];
    for (name, change, words) in cases {
        let scratch = with_row();
        change(&scratch);
        let path = scratch.data().join("logs.db");
        let before = std::fs::read(&path).expect("reads");
        for command in [&["status"][..], &["serve"], &["verify"]] {
            scratch.run(command).expect(65).says(words).says(&["logs.db"]);
        }
        assert!(std::fs::read(&path).expect("reads") == before, "{name}: the file was changed");
    }
}

#[test]
fn a_directory_of_the_earlier_format_is_refused_by_name() {
    let scratch = Scratch::with_config("");
    std::fs::remove_file(scratch.data().join("logs.db")).expect("removes");
    std::fs::write(scratch.data().join("trimtab.db"), "one log").expect("writes");
    for command in [&["status"][..], &["serve"], &["verify"], &["policy", "dry-run", "drift-ladder"]] {
        scratch.run(command).expect(78).says(&["trimtab.db", "the earlier format", "trimtab init", "import"]);
    }
    assert!(!scratch.data().join("logs.db").exists(), "nothing was made");
}

#[test]
fn a_second_host_is_refused_and_told_which_process_has_the_data() {
    let scratch = with_row();
    let host = scratch.serve();
    let second = scratch.run(&["serve"]).expect(75);
    second.says(&["in use by another host", &format!("(process {})", host.pid()), "stop that host"]);
    host.socket().get("/healthz").expect(200);
    host.kill();
    let after = scratch.serve();
    assert_eq!(after.socket().get("/readyz").expect(200).body, "ready", "a lock ends with its process");
}

#[test]
fn only_this_machine_is_served() {
    let scratch = with_row();
    for address in ["0.0.0.0:0", "192.0.2.1:7878", "[::]:0"] {
        let run = scratch.run(&["serve", "--listen", address]).expect(78);
        run.says(&["is not a loopback address", "Use 127.0.0.1 or a proxy"]);
        assert!(!scratch.data().join("trimtab.sock").exists(), "it left a socket");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("binds");
    let address = taken.local_addr().expect("bound").to_string();
    scratch.run(&["serve", "--listen", &address]).expect(78).says(&[
        &address,
        "in use",
        "choose another address",
    ]);
}

#[test]
fn mistakes_in_the_configuration_name_file_line_and_key_and_change_nothing() {
    #[rustfmt::skip]
    let cases: [(&str, &[&str]); 10] = [
        ("[detectors.e-sr]\nrun-lenght = 5",          &["line 4", "run-lenght", "run-length"]),
        ("[detectors.e-sr]\nblock = \"many\"",        &["line 4", "block", "many"]),
        ("[detectors.e-sr]\nblock = 0",               &["detectors.e-sr.block", "between 1 and 10000"]),
        ("[alerts]\ninterval = \"soon\"",             &["line 4", "interval", "length of time", "48h"]),
        ("[alerts]\nminimum = \"loud\"",              &["line 4", "minimum", "loud", "medium"]),
        ("[[models]]\nstage = \"act\"",               &["line 3", "missing field `model`"]),
        ("[models",                                   &["line 3"]),
        ("[judging]\nbinary-threshold = nan",         &["judging.binary-threshold", "between 0 and 1"]),
        ("[policies.nobody]\norder = 1",              &["[policies.nobody]", "no policy of this name"]),
        ("[policies.drift-ladder.settings]\nact-exposure = 2.5", &["[policies.drift-ladder]", "act-exposure", "2.5", "largest allowed is 1"]),
    ];
    let scratch = with_row();
    let policies = repository().join("policies");
    scratch.configure(&policies, "");
    let head = || scratch.json(&["status"])["head"].clone();
    let before = head();
    for (config, words) in cases {
        scratch.configure(&policies, config);
        scratch.run(&["status"]).expect(78).says(words).says(&["trimtab.toml"]);
        scratch.configure(&policies, "");
        assert_eq!(head(), before, "{config}: no mistake gets into the log");
    }
    scratch.configure(&policies, "listen = \"everywhere\"");
    scratch.run(&["serve"]).expect(78).says(&["trimtab.toml", "host.listen", "everywhere", "127.0.0.1:7878"]);
    scratch.verify();
}

/// Runs a script where `$ROOM` is a copy of the data directory on a small file system of its own, which goes away with
/// it, and `trimtab` works there. `None`, with a reason, where such a file system cannot be made.
#[expect(clippy::print_stdout, reason = "a test that cannot run here says why")]
fn in_small_room(scratch: &Scratch, script: &str) -> Option<Run> {
    const ROOM: &str = r#"
        trimtab() { "$PROGRAM" "$@" --data "$ROOM"; }
        mount -t tmpfs -o size=32m tmpfs "$ROOM" && cp "$DATA"/trimtab.toml "$DATA"/logs.db "$ROOM" || exit 99
    "#;
    let isolated = |script: &str| {
        let mut unshare = Command::new("unshare");
        unshare.args(["--user", "--map-root-user", "--mount", "sh", "-c", script]);
        unshare.env("PROGRAM", program()).env("DATA", scratch.data()).env("ROOM", scratch.path("room"));
        unshare.output()
    };
    std::fs::create_dir_all(scratch.path("room")).expect("makes");
    if !isolated("mount -t tmpfs tmpfs \"$ROOM\"").is_ok_and(|output| output.status.success()) {
        println!(
            "skipped: this system does not let a test mount a file system of its own (unshare --user --mount)"
        );
        return None;
    }
    Some(Run::of(isolated(&format!("{ROOM}{script}")).expect("runs")))
}

#[test]
fn a_full_disk_is_named_and_costs_nothing_that_was_acknowledged() {
    let scratch = with_row();
    let wide = json!({ "note": "x".repeat(190) });
    let row = |n: u32| {
        let mut row = prediction(&format!("p{n}"), n, 0.7);
        row["features"] = wide.clone();
        json!({ "prediction": row })
    };
    let rows: Vec<_> = (0..10_000).map(row).collect();
    let file = scratch.file("many.ndjson", lines(&rows));
    let host = r#""$PROGRAM" serve --data "$ROOM" > /dev/null & until [ -S "$ROOM/trimtab.sock" ]; do sleep 0.05; done"#;
    for (start, stop) in [("", ""), (host, "kill $!; wait $!")] {
        let script = format!(
            r#"{start}
        head -c 30000000 /dev/zero > "$ROOM/filler"
        trimtab import {file} > /dev/null; echo "code $?"
        rm "$ROOM/filler"
        trimtab status --json | grep '"predictions"' | head -1
        trimtab verify
        trimtab import {file} | head -1
        trimtab verify
        {stop}"#
        );
        let Some(run) = in_small_room(&scratch, &script) else { return };
        let run =
            run.expect(0).says(&["the disk is full", "nothing of this request was kept", "Free some room"]);
        let answers: Vec<_> = run.stdout.lines().collect();
        let [code, predictions, verified, again, verified_again] = answers[..] else {
            panic!("{}", run.stdout)
        };
        assert_eq!(code, "code 74");
        let kept: u64 = predictions.trim_matches(|c: char| !c.is_ascii_digit()).parse().expect("a number");
        assert_eq!(kept % 1_000, 1, "requests are kept whole or not at all");
        assert!(
            verified.starts_with("identical") && verified_again.starts_with("identical"),
            "{}",
            run.stdout
        );
        let (new, there) = (10_001 - kept, kept - 1);
        assert!(again.contains(&format!("{new} rows new, {there} already there")), "{kept}: {again}");
    }
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let scratch = with_row();
    let file = scratch.file("one.ndjson", lines(&[json!({ "prediction": prediction("p", 0, 0.7) })]));
    for command in [&format!("import {file}"), "serve", "status"] {
        let script = format!("mount -o remount,ro \"$ROOM\"\ntrimtab {command}");
        let Some(run) = in_small_room(&scratch, &script) else { return };
        run.expect(74).says(&["/room", "Read-only", "writable"]);
    }
    let mut init = Command::new(program());
    let run = Run::of(init.args(["init", "--data", "/proc/trimtab"]).output().expect("runs"));
    run.expect(74).says(&["cannot create `/proc/trimtab`"]);
}
