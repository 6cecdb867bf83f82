//! Manifests: what is read, and what is said about mistakes.

use std::time::Duration;

use trimtab_types::{Action, Mode, Severity};

use super::{finding, subject};
use crate::{Limits, Manifest, SettingValue, manifest::OnSwap};

/// The boundary: this text has a mistake on this line, and the message says all of this.
#[track_caller]
fn check_mistake(text: &str, line: usize, says: &[&str]) {
    let error = Manifest::parse(text, "p/policy.toml").expect_err("has a mistake");
    assert_eq!(error.line, line, "{error}");
    let message = error.to_string();
    assert!(message.starts_with(&format!("p/policy.toml:{line}: ")), "{message}");
    for part in says {
        assert!(message.contains(part), "should say `{part}`: {message}");
    }
}

#[test]
fn mistakes_name_line_key_and_fix() {
    check_mistake("", 1, &["missing field `summary`"]);
    check_mistake("summary = \"\"", 1, &["summary: must be one line"]);
    check_mistake("summary = \"s\"\nordr = 3", 2, &["ordr", "unknown field", "order"]);
    check_mistake("summary = \"s\"\norder = \"first\"", 2, &["order", "invalid type"]);
    check_mistake("summary = \"s\"\nmode = \"on\"", 2, &["mode", "enforce", "shadow", "off"]);
    check_mistake("summary = \"s\"\nnonsense", 2, &["nonsense"]);
    for path in ["../other.wasm", "/etc/passwd", "a/b.wasm", ".hidden.wasm", "policy.js"] {
        check_mistake(
            &format!("summary = \"s\"\ncomponent = \"{path}\""),
            2,
            &["component: must be the name of a .wasm"],
        );
    }
    check_mistake("summary = \"s\"\n[grants]\nnetwork = true", 3, &["network", "unknown field", "history"]);
    check_mistake(
        "summary = \"s\"\n[applies-to]\ntenant = []",
        3,
        &["applies-to.tenant: is empty", "mode = \"off\""],
    );
    check_mistake("summary = \"s\"\n[applies-to]\nseverity = \"bad\"", 3, &["severity", "critical"]);

    let again = |text: &str| format!("summary = \"s\"\n{text}");
    check_mistake(&again("reconsider = \"59s\""), 2, &["reconsider: is `59s`", "at least 1m, such as 24h"]);
    check_mistake(&again("reconsider = \"daily\""), 2, &["reconsider: is `daily`", "24h"]);
    check_mistake(&again("repeat = \"1s\""), 2, &["repeat: is `1s`", "at least 1m"]);
    check_mistake(&again("on-swap = \"never\""), 2, &["on-swap", "ask", "wait"]);

    let limit = |line: &str, says: &str| {
        check_mistake(&format!("summary = \"s\"\n[limits]\n{line}"), 3, &["limits.", says])
    };
    limit("fuel = 1", "is 1; it must lie in 1000..10000000000");
    limit("time = \"5m\"", "write it as 100ms or 2s");
    limit("time = \"61s\"", "1ms to 60s");
    limit("memory = \"1GiB\"", "64KiB to 256MiB");
    limit("memory = \"99999999999999999999MiB\"", "is not a size");
    limit("answer = \"5MiB\"", "256B to 4MiB");
    limit("log-lines = 1_000_000", "0..1000");
    limit("log-line = \"1MiB\"", "16B to 16KiB");
    limit("host-calls = 0", "1..100000");
    limit("state-keys = 1001", "0..1000");
    limit("state = \"2MiB\"", "0B to 1MiB");

    let actions = |list: &str, says: &str| {
        check_mistake(&format!("summary = \"s\"\n[fail-safe]\nactions = {list}"), 3, &["actions", says])
    };
    actions("[]", "never dropped in silence");
    actions("[\"retrain-now\"]", "retrain-now is not allowed here; choose from");
    actions("[{ scale-exposure = 0.5 }]", "scale-exposure is not allowed");
    actions("[\"explode\"]", "unknown variant");

    let setting = |key: &str, lines: &str, says: &str| {
        let text = format!("summary = \"s\"\n[settings.{key}]\nsummary = \"\"\n{lines}");
        let error = Manifest::parse(&text, "f").expect_err("has a mistake").to_string();
        assert!(error.contains(says), "should say `{says}`: {error}");
    };
    setting("a", "type = \"number\"", "missing field `default`");
    setting("A", "type = \"number\"\ndefault = 1", "lower-case letters");
    setting("a", "type = \"float\"\ndefault = 1", "unknown variant `float`");
    setting("a", "type = \"count\"\ndefault = -1", "settings.a.default: must be a whole number");
    setting("a", "type = \"number\"\ndefault = nan", "must be a finite number");
    setting("a", "type = \"duration\"\ndefault = 48", "a length of time in quotes");
    setting("a", "type = \"duration\"\ndefault = \"soon\"", "`soon` is not a length of time");
    setting(
        "a",
        "type = \"number\"\ndefault = 2\nmax = 1",
        "settings.a.default: is 2; the largest allowed is 1",
    );
    setting("a", "type = \"flag\"\ndefault = true\nmax = 1", "settings.a.max: is only for numbers");
    setting("a", "type = \"text\"\ndefault = \"x\"\nchoices = [\"y\"]", "\"x\" is not one of [\"y\"]");
    setting("a", "type = \"count\"\ndefault = 1\nchoices = [\"y\"]", "settings.a.choices: is only for text");
    setting("a", "type = \"flag\"\ndefault = true\nvalue = false", "unknown field `value`");
}

#[test]
fn defaults_and_values_are_read() {
    let bare = Manifest::parse("summary = \"s\"", "f").expect("parses");
    assert_eq!((bare.mode, bare.order, bare.component), (Mode::Enforce, 100, None));
    assert_eq!((bare.reconsider, bare.on_swap, bare.repeat), (None, OnSwap::Ask, None));
    let again = Manifest::parse(
        "summary = \"s\"\nreconsider = \"24h\"\nrepeat = \"3d\"\non-swap = \"wait\"",
        "p/policy.toml",
    );
    let again = again.expect("is right");
    assert_eq!((again.reconsider, again.on_swap, again.repeat), (Some(86_400), OnSwap::Wait, Some(259_200)));
    assert_eq!(bare.limits, Limits::DEFAULT);
    assert_eq!(bare.fail_safe, [Action::Alert(Severity::Critical)]);
    assert!(!bare.grants.history && !bare.grants.state && bare.channels.is_empty());
    assert!(bare.applies_to.finding(&finding(Severity::Info)));

    let full = Manifest::parse(
        r#"
        summary = "s"
        component = "p.wasm"
        mode = "shadow"
        order = -5
        channels = ["chat", "ops-*"]
        [grants]
        state = true
        [limits]
        fuel = 2_000_000
        time = "250ms"
        memory = "64MiB"
        answer = "8KiB"
        log-lines = 3
        log-line = "64B"
        host-calls = 50
        record = "32KiB"
        state-keys = 2
        state = "1KiB"
        [fail-safe]
        actions = ["kill-switch-on", { alert = "high" }]
        [settings.from]
        type = "duration"
        default = "2d"
        summary = "since when"
        [settings.names]
        type = "texts"
        default = ["a", "b"]
        summary = "whose"
        "#,
        "f",
    )
    .expect("parses");
    assert_eq!((full.mode, full.order, full.component.as_deref()), (Mode::Shadow, -5, Some("p.wasm")));
    assert!(full.channels.matches("ops-night") && !full.channels.matches("slack"));
    assert_eq!(
        full.limits,
        Limits {
            fuel: 2_000_000,
            time: Duration::from_millis(250),
            memory: 64 << 20,
            answer: 8 << 10,
            log_lines: 3,
            log_line: 64,
            host_calls: 50,
            record: 32 << 10,
            state_keys: 2,
            state: 1 << 10,
        }
    );
    assert_eq!(full.fail_safe, [Action::KillSwitchOn, Action::Alert(Severity::High)]);
    assert_eq!(full.settings["from"].default, SettingValue::Duration(172_800));
    assert_eq!(full.settings["from"].default.to_string(), "2d");
    assert_eq!(full.settings["names"].default, SettingValue::Texts(vec!["a".into(), "b".into()]));
}

#[test]
fn globs_choose_findings() {
    let cases = [
        ("", true),
        ("tenant = [\"acme\"]", true),
        ("tenant = [\"other\", \"ac*\"]", true),
        ("tenant = [\"other\"]", false),
        // `*` goes over slashes, for segments such as BTC/USDT.
        ("segment = [\"BTC*\"]", true),
        ("segment = [\"*/USDT\"]", true),
        ("segment = [\"\"]", false),
        ("model = [\"btc\"]\ndetector = [\"psi\"]", false),
        ("detector = [\"e-*\"]\nseverity = \"high\"", true),
        ("severity = \"critical\"", false),
    ];
    assert_eq!(subject().segment, "BTC/USDT");
    for (lines, expected) in cases {
        let manifest =
            Manifest::parse(&format!("summary = \"s\"\n[applies-to]\n{lines}"), "f").expect("parses");
        assert_eq!(manifest.applies_to.finding(&finding(Severity::High)), expected, "{lines}");
    }
}
