//! What a policy may do to the host: nothing. Every case is refused or stopped with an error that names it, and the
//! next call of the same policy and of another works.

use std::collections::BTreeMap;
use std::sync::Arc;

use trimtab_types::{
    Answer, Ask, Asking, Caps, FailureKind, Finding, Phase, PolicyRef, Question, Read, Severity,
};

use super::cases::{Case, Outcome, built_for, cases, manifest};
use super::core::{Core, WIT, component_on};
use super::{finding, noon, register, repository, sandbox, shipped};
use crate::{Call, Loaded, NoHistory, Package, Policy, RegisterError, Sandbox};

/// A package with these lines in its manifest.
fn package(lines: &str, component: Vec<u8>) -> Package {
    Package::from_parts("case", manifest(lines), component).expect("a package")
}

fn decide(policy: &Policy) -> Call<trimtab_types::Decision> {
    policy.decide(noon(), &[finding(Severity::High)], Arc::new(NoHistory), &BTreeMap::new())
}

/// The boundary of registration: this package is refused with an error that says all of this.
#[track_caller]
fn check_refused(lines: &str, component: Vec<u8>, says: &[&str]) {
    let error = Policy::register(sandbox(), &package(lines, component), &BTreeMap::new())
        .map(|_| ())
        .expect_err("must be refused")
        .to_string();
    for part in says {
        assert!(error.contains(part), "should say `{part}`: {error}");
    }
    assert!(error.contains("policy `case`"), "should name the policy: {error}");
}

/// The boundary of a call: it fails in this way, says this, and a policy that was there before is as good as ever.
#[track_caller]
fn check_stopped(lines: &str, core: &Core, kind: FailureKind, says: &str) {
    let policy = register(&package(lines, core.component()));
    // Twice: the first failure must not have spoilt anything.
    for _ in 0..2 {
        let call = decide(&policy);
        let failure = call.answer.expect_err("must fail");
        assert_eq!(failure.kind, kind, "{failure}");
        assert!(failure.message.contains(says), "should say `{says}`: {failure}");
        assert!(failure.message.contains("policy `case`"), "should name the policy: {failure}");
        assert!(call.notebook.is_empty(), "a failed call writes nothing");
    }
    let harmless = register(&package("", Core::default().component()));
    assert_eq!(decide(&harmless).answer.expect("another policy works").reason, "fine.");
}

const LOG: &str = r#"(import "trimtab:policy/log@0.1.0" "info" (func $info (param i32 i32)))"#;
const FLAG: &str =
    r#"(import "trimtab:policy/settings@0.1.0" "flag" (func $flag (param i32 i32) (result i32)))"#;

/// The sandbox's view of every hostile policy: refused, or stopped with an error that names policy and cause, as often
/// as it is asked; and a policy that was there before is as good as ever. It is the same whichever way calls take on a machine:
/// a limit has one name, wherever instances get their memory from.
#[test]
fn every_hostile_policy_is_named_and_harms_nobody() {
    check_all(sandbox());
    Sandbox::slower_ones().iter().for_each(check_all);
}

#[track_caller]
fn check_all(sandbox: &Arc<Sandbox>) {
    let register =
        |package: &Package| Policy::register(sandbox, package, &BTreeMap::new()).expect("is accepted");
    let harmless = register(&package("", Core::default().component()));
    for Case { name, lines, component, outcome } in cases() {
        let registered = Package::from_parts("case", manifest(lines), component)
            .map_err(|error| error.to_string())
            .and_then(|package| {
                Policy::register(sandbox, &package, &BTreeMap::new()).map_err(|error| error.to_string())
            });
        let policy = match (&outcome, registered) {
            (Outcome::Refused(says), Err(error)) => {
                for part in [says, &["case"][..]].concat() {
                    assert!(error.contains(part), "{name}: should say `{part}`: {error}");
                }
                None
            }
            (Outcome::Refused(_), Ok(_)) => panic!("{name}: must be refused"),
            (_, registered) => Some(registered.unwrap_or_else(|error| panic!("{name}: {error}"))),
        };
        // Twice: the first failure must not have spoilt anything.
        for policy in policy.iter().chain(&policy) {
            let call = decide(policy);
            match (&outcome, &call.answer) {
                (Outcome::Fails(kind, says), Err(failure)) => {
                    assert_eq!(failure.kind, *kind, "{name}: {failure}");
                    assert!(failure.message.contains(says), "{name}: should say `{says}`: {failure}");
                    assert!(failure.message.contains("policy `case`"), "{name}: {failure}");
                    assert!(call.notebook.is_empty(), "{name}: a failed call writes nothing");
                }
                (Outcome::Answers, Ok(_)) => {}
                (Outcome::FailsAtTimes, Ok(_)) => {
                    let closed = Finding { phase: Phase::Closed, ..finding(Severity::High) };
                    let call = policy.decide(noon(), &[closed], Arc::new(NoHistory), &BTreeMap::new());
                    assert_eq!(call.answer.expect_err("fails now").kind, FailureKind::Trap, "{name}");
                }
                (_, answer) => panic!("{name}: {answer:?}"),
            }
        }
        assert_eq!(decide(&harmless).answer.expect("another policy works").reason, "fine.", "{name}");
    }
}

/// The page about the sandbox has a line for each of them.
#[test]
#[expect(clippy::disallowed_methods, reason = "a test reads the documentation")]
fn every_hostile_policy_is_on_the_page_about_the_sandbox() {
    let page = std::fs::read_to_string(repository().join("docs/policies/sandbox.md")).expect("a page");
    for Case { name, .. } in cases() {
        assert!(page.contains(&format!("\n| {name} |")), "docs/policies/sandbox.md has no line for `{name}`");
    }
}

#[test]
fn nothing_is_no_policy() {
    check_refused("", Vec::new(), &["not a WebAssembly component"]);
}

#[test]
fn other_versions_of_the_interface_are_named() {
    for version in ["1.0.0", "0.10.0"] {
        check_refused("", built_for(version, FLAG), &[version, "this host serves 0.1"]);
    }
    // Built against a later 0.1 that added nothing which this policy uses: fine.
    assert!(decide(&register(&package("", built_for("0.1.7", FLAG)))).answer.is_ok());
}

#[test]
fn everything_that_does_not_fit_is_listed_at_once() {
    let grown = WIT
        .replace(
            "    flag: func(key: string) -> bool;",
            "    flag: func(key: string) -> bool;\n    colour: func() -> u32;",
        )
        .replace("drift-count: func(detector: string) -> u32;", "drift-count: func(detector: string) -> u64;")
        .replace("        significant: bool,\n", "");
    let core = Core {
        world: "import other:place/thing@1.0.0; import trimtab:policy/state@0.1.0;",
        imports: r#"
            (import "other:place/thing@1.0.0" "act" (func))
            (import "trimtab:policy/settings@0.1.0" "colour" (func (result i32)))
            (import "trimtab:policy/history@0.1.0" "drift-count" (func (param i32 i32) (result i64)))
            (import "trimtab:policy/state@0.1.0" "remove" (func (param i32 i32)))"#,
        ..Core::default()
    };
    check_refused(
        "",
        component_on(&grown, &core.world(), &core.module()),
        &[
            "`other:place/thing@1.0.0`, which this host does not have",
            "settings.colour, which this host does not have",
            "history, which is not granted; write `history = true` under [grants]",
            "state, which is not granted",
            "history.drift-count with a type that differs",
            "drift-action.decide with a type that differs",
        ],
    );
}

#[test]
fn what_wasi_does_not_have_is_refused() {
    let core = Core {
        world: "import wasi:cli/unheard-of@0.2.0;",
        imports: r#"(import "wasi:cli/unheard-of@0.2.0" "act" (func))"#,
        ..Core::default()
    };
    check_refused("", core.component(), &["wasi:cli/unheard-of@0.2.0", "uses what this host does not have"]);
}

#[test]
fn grants_open_what_they_name() {
    let core = Core {
        world: "import trimtab:policy/state@0.1.0;",
        imports: r#"(import "trimtab:policy/state@0.1.0" "remove" (func (param i32 i32)))"#,
        ..Core::default()
    };
    check_refused("[grants]\nhistory = true", core.component(), &["state, which is not granted"]);
    let granted = register(&package("[grants]\nstate = true", core.component()));
    assert_eq!(granted.imports(), ["state"]);
}

#[test]
fn settings_are_held_against_the_manifest() {
    let lines = "[settings.rate]\ntype=\"number\"\ndefault=0.5\nmin=0\nmax=1\nsummary=\"\"\n[settings.to]\ntype=\"text\"\ndefault=\"a\"\nchoices=[\"a\",\"b\"]\nsummary=\"\"";
    let package = package(lines, Core::default().component());
    let overrides = BTreeMap::from([
        ("rate".to_owned(), serde_json::json!(1.5)),
        ("rat".to_owned(), serde_json::json!(1)),
        ("to".to_owned(), serde_json::json!("c")),
    ]);
    let error = Policy::register(sandbox(), &package, &overrides).expect_err("refused");
    let RegisterError::Settings { problems, .. } = error else { panic!("{error}") };
    assert_eq!(
        problems,
        [
            "settings.rat: no such setting; there are rate, to",
            "settings.rate: is 1.5; the largest allowed is 1",
            "settings.to: \"c\" is not one of [\"a\", \"b\"]",
        ]
    );
}

#[test]
fn answers_are_checked() {
    let check = |decide: &'static str, says: &str| {
        check_stopped("", &Core { decide, ..Core::default() }, FailureKind::InvalidAnswer, says);
    };
    // The action at 64 becomes scale-exposure or minimum-confidence with this parameter.
    check(
        "(i32.store8 (i32.const 64) (i32.const 8)) (f64.store (i32.const 72) (f64.const 1.5))",
        "must lie in 0..1",
    );
    check(
        "(i32.store8 (i32.const 64) (i32.const 12)) (f64.store (i32.const 72) (f64.const -0.1))",
        "minimum-confidence(-0.1)",
    );
    check(
        "(i32.store8 (i32.const 64) (i32.const 7)) (i32.store (i32.const 76) (i32.const 0))",
        "rollback-to with a name",
    );
    check("(i32.store8 (i32.const 64) (i32.const 99))", "something invalid");
    check("(i32.store (i32.const 32) (i32.const 0))", "has no reason");
    check(
        "(i32.store (i32.const 28) (i32.const 8192)) (i32.store (i32.const 32) (i32.const 5000))",
        "a reason of 5000 bytes; at most 4096",
    );
    check(
        "(i32.store (i32.const 20) (i32.const 8192)) (i32.store (i32.const 24) (i32.const 33))",
        "33 actions; at most 32",
    );
    check("(i32.store (i32.const 32) (i32.const 0x7fffffff))", "something invalid");
    check("(i32.store (i32.const 28) (i32.const -4))", "something invalid");
    check("(i32.store (i32.const 24) (i32.const 0x10000000))", "something invalid");
    let wordy = Core { decide: "(i32.store (i32.const 32) (i32.const 300))", ..Core::default() };
    check_stopped(
        "[limits]\nanswer = \"256B\"",
        &wordy,
        FailureKind::InvalidAnswer,
        "limits.answer allows 256",
    );
    let refused = Core {
        decide: "(i32.store8 (i32.const 16) (i32.const 1)) (i64.store (i32.const 20) (i64.const 0x500000080))",
        ..Core::default()
    };
    check_stopped("", &refused, FailureKind::Refused, "fine.");
}

#[test]
fn what_passes_along_is_counted() {
    let settings = "[settings.x]\ntype=\"flag\"\ndefault=true\nsummary=\"\"";
    let printed = Core {
        world: "import wasi:cli/stdout@0.2.0;",
        imports: r#"
            (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
            (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
                (func $print (param i32 i32 i32 i32)))"#,
        items: r#"(data (i32.const 200) "\0a\0a\0a\0a")"#,
        decide: "(local.set 2 (call $stdout))
                 (loop (call $print (local.get 2) (i32.const 200) (i32.const 4) (i32.const 300)) br 0)",
        ..Core::default()
    };
    check_stopped("", &printed, FailureKind::HostCall, "lines of log");
    // A KiB costs as much as a call: 20 lines of 64 KiB are more than 1000.
    let long = Core {
        imports: LOG,
        memory: 2,
        decide: "(loop (call $info (i32.const 8192) (i32.const 65536)) br 0)",
        ..Core::default()
    };
    check_stopped("[limits]\nhost-calls = 1000", &long, FailureKind::HostCall, "limits.host-calls");
    let undeclared = Core {
        imports: FLAG,
        decide: "(drop (call $flag (i32.const 128) (i32.const 4)))",
        ..Core::default()
    };
    check_stopped(
        settings,
        &undeclared,
        FailureKind::HostCall,
        "the setting `fine`, which its manifest does not declare",
    );
    let other_type = "[settings.fine]\ntype=\"count\"\ndefault=1\nsummary=\"\"";
    check_stopped(other_type, &undeclared, FailureKind::HostCall, "`fine` as flag; it is a count");
}

#[test]
fn notebooks_have_limits_and_belong_to_the_decision() {
    let imports = r#"
        (import "trimtab:policy/state@0.1.0" "get" (func $get (param i32 i32 i32)))
        (import "trimtab:policy/state@0.1.0" "set" (func $set (param i32 i32 i32 i32)))
        (import "trimtab:policy/state@0.1.0" "remove" (func $remove (param i32 i32)))"#;
    let core =
        |decide| Core { world: "import trimtab:policy/state@0.1.0;", imports, decide, ..Core::default() };
    let granted = "[grants]\nstate = true\n[limits]\nstate-keys = 3\nstate = \"64B\"";
    // Keys of one, two, three and four zero bytes.
    let keys = core(
        "(loop (local.set 2 (i32.add (local.get 2) (i32.const 1)))
               (call $set (i32.const 300) (local.get 2) (i32.const 128) (i32.const 1)) br 0)",
    );
    check_stopped(granted, &keys, FailureKind::HostCall, "more than 3 keys; the limit is limits.state-keys");
    let bytes = core("(call $set (i32.const 128) (i32.const 4) (i32.const 300) (i32.const 100))");
    check_stopped(granted, &bytes, FailureKind::HostCall, "has 104 bytes; limits.state allows 64");
    let empty = core("(call $set (i32.const 128) (i32.const 0) (i32.const 128) (i32.const 1))");
    check_stopped(granted, &empty, FailureKind::HostCall, "the name ``, which is empty");
    let then_trap =
        core("(call $set (i32.const 128) (i32.const 4) (i32.const 128) (i32.const 1)) unreachable");
    check_stopped(granted, &then_trap, FailureKind::Trap, "unreachable");

    // Reads `fine` before and after it sets it, and removes `old`.
    let policy = register(&package(
        granted,
        Core {
            items: r#"(data (i32.const 200) "old")"#,
            ..core(
                "(call $get (i32.const 128) (i32.const 4) (i32.const 400))
                 (call $set (i32.const 128) (i32.const 4) (i32.const 132) (i32.const 1))
                 (call $get (i32.const 128) (i32.const 4) (i32.const 400))
                 (call $remove (i32.const 200) (i32.const 3))",
            )
        }
        .component(),
    ));
    let notebook =
        BTreeMap::from([("fine".to_owned(), "before".to_owned()), ("old".to_owned(), "1".to_owned())]);
    let call = policy.decide(noon(), &[finding(Severity::High)], Arc::new(NoHistory), &notebook);
    call.answer.expect("a decision");
    let read = |answer: &str| Read::State { key: "fine".into(), answer: Some(answer.into()) };
    assert_eq!(call.reads, [read("before"), read(".")]);
    let change = |key: &str, value: Option<&str>| trimtab_types::StateChange {
        key: key.into(),
        value: value.map(Into::into),
    };
    assert_eq!(call.notebook, [change("fine", Some(".")), change("old", None)]);
}

#[test]
fn time_stands_still_and_chance_repeats() {
    // Traps unless both clocks say what the question says, before and after an hour of sleep.
    let clocks = Core {
        world: "import wasi:clocks/wall-clock@0.2.0; import wasi:clocks/monotonic-clock@0.2.0;",
        imports: r#"
            (import "wasi:clocks/wall-clock@0.2.0" "now" (func $wall (param i32)))
            (import "wasi:clocks/monotonic-clock@0.2.0" "now" (func $monotonic (result i64)))
            (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $sleep (param i64) (result i32)))
            (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))
            (import "trimtab:policy/clock@0.1.0" "now" (func $now (result i64)))"#,
        items: "(func $check
            (call $wall (i32.const 512))
            (if (i64.ne (i64.load (i32.const 512)) (call $now)) (then unreachable))
            (if (i64.ne (call $monotonic) (i64.mul (call $now) (i64.const 1000000000))) (then unreachable))
            (if (i64.ne (call $now) (i64.const 1795176000)) (then unreachable)))",
        decide: "call $check (call $block (call $sleep (i64.const 3600000000000))) call $check",
        ..Core::default()
    };
    decide(&register(&package("", clocks.component()))).answer.expect("time stands still");

    // The reason is eight random letters.
    let random = Core {
        world: "import wasi:random/random@0.2.0;",
        imports: r#"(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))"#,
        decide: "(i64.store (i32.const 128)
                    (i64.or (i64.and (call $random) (i64.const 0x0f0f0f0f0f0f0f0f)) (i64.const 0x6060606060606060)))
                 (i32.store (i32.const 32) (i32.const 8))",
        ..Core::default()
    };
    let policy = register(&package("", random.component()));
    let (first, second) = (decide(&policy), decide(&policy));
    assert_eq!(first.answer, second.answer);
    assert_eq!(first.fuel, second.fuel);
}

#[test]
fn what_is_printed_is_logged() {
    let printed = Core {
        world: "import wasi:cli/stdout@0.2.0;",
        imports: r#"
            (import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))
            (import "wasi:io/streams@0.2.0" "[method]output-stream.blocking-write-and-flush"
                (func $print (param i32 i32 i32 i32)))
            (import "trimtab:policy/log@0.1.0" "info" (func $info (param i32 i32)))"#,
        items: r#"(data (i32.const 200) "one\0atwo\0athree, which is too long for one line")"#,
        decide: "(call $print (call $stdout) (i32.const 200) (i32.const 43) (i32.const 300))
                 (call $info (i32.const 128) (i32.const 5))",
        ..Core::default()
    };
    let policy = register(&package("[limits]\nlog-line = \"16B\"", printed.component()));
    let lines: Vec<_> = decide(&policy).log.into_iter().map(|line| line.message).collect();
    assert_eq!(lines, ["one", "two", "fine.", "three, which is … (1 bytes cut)"]);
}

#[test]
fn an_unknown_metric_is_answered_and_logged() {
    let core = Core {
        imports: r#"(import "trimtab:policy/history@0.1.0" "recent" (func $recent (param i32 i32 i32 i32)))"#,
        decide: "(call $recent (i32.const 128) (i32.const 4) (i32.const 9) (i32.const 400))
                 (if (i32.load8_u (i32.const 400)) (then unreachable))",
        ..Core::default()
    };
    let call = decide(&register(&package("[grants]\nhistory = true", core.component())));
    call.answer.expect("none is an answer");
    assert_eq!(call.reads, [Read::Recent { metric: "fine".into(), last: 9, answer: None }]);
    assert_eq!(call.log.len(), 1);
    assert!(call.log[0].message.starts_with("history: no metric `fine`; there are accuracy, "));
}

#[test]
fn a_policy_checks_its_own_settings() {
    let answer = |lists: &str| {
        let core = Core {
            world: "export trimtab:policy/self-check@0.1.0;",
            items: r#"(func (export "trimtab:policy/self-check@0.1.0#check-settings") (result i32) (i32.const 500))"#,
            ..Core::default()
        };
        // At 500 a list of texts: address 508; there one text, `fine.`.
        let data = format!(r#"(data (i32.const 500) "{lists}\80\00\00\00\05\00\00\00")"#);
        component_on(
            WIT,
            &core.world(),
            &core.module().replace("(global $heap", &format!("{data} (global $heap")),
        )
    };
    check_refused("", answer(r"\fc\01\00\00\01\00\00\00"), &["refuses its settings: fine."]);
    assert!(decide(&register(&package("", answer(r"\fc\01\00\00\00\00\00\00")))).answer.is_ok());
}

#[test]
fn policies_do_not_touch_each_other() {
    let ladder = register(&shipped("drift-ladder"));
    let expected = decide(&ladder);
    let bomb = register(&package(
        "",
        Core { decide: "(loop (drop (memory.grow (i32.const 10))) br 0)", ..Core::default() }.component(),
    ));
    let endless = register(&package("", Core { decide: "(loop br 0)", ..Core::default() }.component()));
    std::thread::scope(|scope| {
        scope.spawn(|| (0..20).for_each(|_| assert!(decide(&bomb).answer.is_err())));
        scope.spawn(|| (0..3).for_each(|_| assert!(decide(&endless).answer.is_err())));
        for _ in 0..200 {
            let call = decide(&ladder);
            assert_eq!(call.answer, expected.answer);
            assert_eq!(call.reads, expected.reads);
            assert_eq!(call.fuel, expected.fuel);
        }
    });
}

#[test]
fn more_calls_than_places_wait_their_turn() {
    let sandbox =
        Sandbox::new(&crate::SandboxOptions { parallel_calls: 1, ..Default::default() }).expect("a sandbox");
    let policy = Policy::register(&sandbox, &package("", Core::default().component()), &BTreeMap::new())
        .expect("accepted");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50).for_each(|_| assert!(decide(&policy).answer.is_ok())));
        }
    });
}

/// The net of wall-clock time is for a live host. A replay comes to the same on a machine that is slow.
#[test]
fn a_replay_has_no_clock() {
    let spins = Core {
        decide: "(local.set 4 (i64.const 10000000))
            (loop $on
                (local.set 4 (i64.sub (local.get 4) (i64.const 1)))
                (br_if $on (i64.ne (local.get 4) (i64.const 0))))",
        ..Core::default()
    };
    let lines = "[limits]\ntime = \"1ms\"\nfuel = 100_000_000";
    let package = package(lines, spins.component());
    let reference = PolicyRef { name: package.name.clone(), digest: package.digest };
    let ask = |loaded: Loaded| {
        let mut loaded = loaded;
        loaded.add(sandbox(), &package, &BTreeMap::new(), &Caps::default()).expect("is accepted");
        let subject = super::subject();
        let question = Question::DriftAction { findings: vec![finding(Severity::High)] };
        loaded.ask(&Asking {
            id: "d-1",
            policy: &reference,
            at: noon(),
            subject: &subject,
            question: &question,
            notebook: &BTreeMap::new(),
            view: Arc::new(NoHistory),
        })
    };
    let live = ask(Loaded::default());
    assert!(
        matches!(&live.answer, Answer::Failed(failure) if failure.kind == FailureKind::Deadline),
        "{live:?}"
    );
    let again = ask(Loaded::default().without_clock());
    assert!(matches!(again.answer, Answer::Decision(_)), "{again:?}");
}
