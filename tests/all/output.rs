//! What programs read from commands: exit codes, JSON with a schema version, and plain text without colour.

use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::support::{Run, STORY, Scratch, lines, prediction, program, stage, story, told};

#[test]
fn exit_codes_are_documented_and_kept() {
    let help = Run::of(Command::new(program()).arg("--help").output().expect("runs")).expect(0).stdout;
    for code in ["0 ", "1 ", "2 ", "3 ", "4 ", "64 ", "65 ", "66 ", "69 ", "70 ", "74 ", "75 ", "78 "] {
        assert!(help.contains(&format!("  {code}")), "--help does not tell {code}");
    }
    let version = Run::of(Command::new(program()).arg("--version").output().expect("runs")).expect(0).stdout;
    assert!(version.starts_with("trimtab "), "{version}");

    let scratch = Scratch::with_config("");
    #[rustfmt::skip]
    let wrong: [(&[&str], &[&str]); 7] = [
        (&["frobnicate"],                        &["frobnicate", "Usage"]),
        (&["status", "--frob"],                  &["--frob", "Usage"]),
        (&["kill", "on"],                        &["MODEL", "Usage"]),
        (&["kill", "on", "m", "--all"],          &["cannot be used with"]),
        (&["kill", "maybe", "m"],                &["maybe", "on", "off"]),
        (&["import", "-", "--batch", "0"],       &["--batch", "1..=1000"]),
        (&["baseline", "set", "--model", "m"],   &["--version", "Usage"]),
    ];
    for (args, words) in wrong {
        scratch.run(args).expect(64).says(words);
    }
    scratch.run(&["decisions", "show", "d-none"]).expect(66).says(&["no decision `d-none`"]);
    scratch.run(&["policy", "inspect", "nobody"]).expect(66).says(&["no policy folder `nobody`"]);
    scratch.run(&["may-trade", "nobody"]).expect(4);
    scratch.run(&["findings", "--limit", "10001"]).expect(65).says(&["at most 10000"]);
}

/// `check` says by exit code what is open, and leaves a report.
#[test]
fn check_tells_how_bad_it_is() {
    let rows = story(7);
    let z = "[detectors.e-sr]\nenabled = false\n[detectors.accuracy-z]\nenabled = true\n";
    #[rustfmt::skip]
    let cases = [
        // what is configured,                  rows, exit code, health
        (z.to_owned(),                             0, 1, "unknown"),
        (z.to_owned(),                           100, 0, "ok"),
        (z.to_owned(),                         1_200, 1, "warning"),
        (format!("{z}[[models]]\nmodel = \"m\"\nchance = 0.95\n"), 1_200, 2, "critical"),
    ];
    for (config, count, code, health) in cases {
        let scratch = stage(&config);
        let file = scratch.file("rows.ndjson", lines(&rows[..count]));
        scratch.run(&["import", &file]).expect(0);
        let report = scratch.run(&["check", "--json"]).expect(code).json();
        assert_eq!(report[health], 1, "{report}");
        let left = std::fs::read_to_string(scratch.data().join("check_report.json")).expect("was left");
        let left: Value = serde_json::from_str(&left).expect("is valid");
        assert_eq!((&left["schema_version"], &left["report"][health]), (&json!(1), &json!(1)));
    }
    let unknown = Scratch::with_config("");
    let file = unknown.file("rows.ndjson", lines(&[json!({ "prediction": prediction("p", 0, 0.7) })]));
    unknown.run(&["import", &file]).expect(0);
    assert_eq!(
        unknown.run(&["check", "--json"]).expect(1).json()["unknown"],
        1,
        "no baseline is unknown, never ok"
    );
    unknown.run(&["check", "--allow-unknown"]).expect(0);
    for command in ["check", "status", "findings", "decisions"] {
        unknown.run(&[command, "--model", "nosuch"]).expect(66).says(&["nosuch", "is not known"]);
    }
}

#[test]
fn json_has_a_schema_version_and_text_has_no_escape_codes() {
    let scratch = told(STORY);
    let decision = scratch.json(&["decisions"])["decisions"][0]["id"].as_str().expect("an id").to_owned();
    let file = scratch.file("story.ndjson", lines(&story(7)));
    let elsewhere = scratch.path("elsewhere").to_str().expect("UTF-8").to_owned();
    #[rustfmt::skip]
    let commands: [&[&str]; 15] = [
        &["import", &file], &["status"], &["check"], &["findings"], &["findings", "--open"], &["decisions"],
        &["decisions", "show", &decision], &["decisions", "show", "d-none"], &["baseline", "show"],
        &["may-trade", "m"], &["kill", "on", "m"], &["verify"], &["policy", "list"],
        &["policy", "inspect", "drift-ladder"], &["backtest", &file, "--keep", &elsewhere],
    ];
    for command in commands {
        let json = scratch.run(&[command, &["--json"]].concat());
        assert_eq!(json.json()["schema_version"], 1, "{command:?}");
        std::fs::remove_dir_all(&elsewhere).ok();
        for (key, value) in [("NO_COLOR", "1"), ("TERM", "xterm-256color")] {
            let text = Run::of(scratch.command(command).env(key, value).output().expect("runs"));
            assert_eq!(text.code, json.code, "{command:?} ends differently with --json");
            assert!(
                !text.stdout.contains('\x1b') && !text.stderr.contains('\x1b'),
                "{command:?}: {}",
                text.stdout
            );
            std::fs::remove_dir_all(&elsewhere).ok();
        }
    }
    let error = scratch.run(&["decisions", "show", "d-none", "--json"]).expect(66).json();
    assert_eq!((&error["error"]["kind"], &error["error"]["exit_code"]), (&json!("not-found"), &json!(66)));
}

#[test]
fn whoever_stops_reading_is_not_an_error() {
    let scratch = told(STORY);
    for command in
        [&["findings"][..], &["decisions", "--json"], &["status"], &["verify"], &["policy", "list"]]
    {
        let mut child =
            scratch.command(command).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starts");
        drop(child.stdout.take());
        let run = Run::of(child.wait_with_output().expect("ends")).expect(0);
        assert_eq!(run.stderr, "", "{command:?}");
    }
}

/// Every question about one tenant or one model is answered about that one alone; a model's name alone means all tenants'.
#[test]
fn tenants_are_told_apart() {
    let scratch = Scratch::with_config("[detectors.accuracy-z]\nenabled = true\n");
    for tenant in ["red", "blue"] {
        for model in ["m", "n"] {
            let subject = ["--tenant", tenant, "--model", model, "--version", "v1"];
            let numbers = ["--samples", "2000", "--accuracy", "0.9"];
            scratch.run(&[&["baseline", "set"][..], &subject, &numbers].concat()).expect(0);
        }
        let of = |model: &str| {
            let named = format!("\"model\":\"{model}\",\"tenant\":\"{tenant}\"");
            lines(&story(7)[..1_200]).replace("\"model\":\"m\"", &named)
        };
        let file = scratch.file("rows.ndjson", of("m") + &of("n"));
        scratch.run(&["import", &file, "--sort"]).expect(0);
    }
    let owner = |item: &Value| {
        let subject = item.get("subject").unwrap_or(item);
        let text = |key: &str| subject[key].as_str().expect("a name").to_owned();
        format!("{}/{}", text("tenant"), text("model"))
    };
    #[rustfmt::skip]
    let cases: [(&[&str], &[&str]); 4] = [
        (&[],                                    &["blue/m", "blue/n", "red/m", "red/n"]),
        (&["--tenant", "red"],                   &["red/m", "red/n"]),
        (&["--model", "m"],                      &["blue/m", "red/m"]),
        (&["--tenant", "red", "--model", "m"],   &["red/m"]),
    ];
    let questions: [(&[&str], &str); 7] = [
        (&["findings"], "findings"),
        (&["findings", "--open"], "findings"),
        (&["decisions"], "decisions"),
        (&["baseline", "show"], "baselines"),
        (&["check"], "subjects"),
        (&["status"], "subjects"),
        (&["status"], "models"),
    ];
    for (command, list) in questions {
        for (filter, expected) in cases {
            let answer = scratch.run(&[command, filter, &["--json"]].concat()).json();
            let owners: BTreeSet<_> = answer[list].as_array().expect("a list").iter().map(owner).collect();
            assert_eq!(Vec::from_iter(owners), expected, "{command:?} {filter:?}");
        }
    }
}

/// What a sender writes reaches no terminal as it is: not by a name, and not by the reason of a person.
#[test]
fn text_from_outside_steers_no_terminal() {
    const HOSTILE: &str = "m\u{202e}x\u{1b}]0;owned\u{7}";
    let scratch = told(STORY);
    scratch.run(&["kill", "on", "m", "--reason", HOSTILE, "--actor", "eve\u{1b}[2J"]).expect(0);
    for command in [&["may-trade", "m"][..], &["status"], &["decisions"], &["findings"]] {
        let run = scratch.run(command);
        for text in [&run.stdout, &run.stderr] {
            let steering = text.chars().find(|c| *c != '\n' && (c.is_control() || *c == '\u{202e}'));
            assert_eq!(steering, None, "{command:?}: {text:?}");
        }
    }
    let answer = scratch.run(&["may-trade", "m"]).expect(4);
    answer.prints(&[r"m\u{202e}x\u{1b}]0;owned\u{7}", r"eve\u{1b}[2J"]);
    // For programs nothing is changed.
    assert!(scratch.run(&["may-trade", "m", "--json"]).json().to_string().contains("\u{202e}"));
}
