//! Hostile policies: what somebody would do on purpose or get badly wrong, made from source when the tests run. The tests
//! of the sandbox and those of the running host go through the same list; docs/policies/sandbox.md shows it.

use trimtab_types::FailureKind;

use super::core::{Core, WIT, component_on};

/// One hostile policy.
pub(super) struct Case {
    /// As the page about the sandbox calls it.
    pub(super) name: &'static str,
    /// Lines of its manifest.
    pub(super) lines: &'static str,
    pub(super) component: Vec<u8>,
    pub(super) outcome: Outcome,
}

/// What becomes of it.
pub(super) enum Outcome {
    /// It is not put in force; the error says all of this.
    Refused(&'static [&'static str]),
    /// Only a call shows it: the call fails in this way and says this.
    Fails(FailureKind, &'static str),
    /// It answers, and what it tried had no effect.
    Answers,
    /// It fails where a finding was closed, and answers elsewhere.
    FailsAtTimes,
}

/// The manifest of a policy with these lines in it. The safety net is far away unless they say otherwise: a busy machine
/// must not make another failure of what the fuel decides.
pub(super) fn manifest(lines: &str) -> String {
    let lines = match (lines.contains("[limits]"), lines.contains("time =")) {
        (_, true) => lines.to_owned(),
        (true, false) => lines.replace("[limits]", "[limits]\ntime = \"60s\""),
        (false, false) => format!("{lines}\n[limits]\ntime = \"60s\""),
    };
    format!("summary = \"a test\"\norder = 1\n{lines}\n")
}

/// A policy that was built for another version of the interface.
pub(super) fn built_for(version: &str, imports: &'static str) -> Vec<u8> {
    let wit = WIT.replace("trimtab:policy@0.1.0;", &format!("trimtab:policy@{version};"));
    let at = format!("@{version}");
    let (world, core) = (Core::default().world(), Core { imports, ..Core::default() }.module());
    component_on(&wit, &world.replace("@0.1.0", &at), &core.replace("@0.1.0", &at))
}

const LOG: &str = r#"(import "trimtab:policy/log@0.1.0" "info" (func $info (param i32 i32)))"#;
const FLAG: &str =
    r#"(import "trimtab:policy/settings@0.1.0" "flag" (func $flag (param i32 i32) (result i32)))"#;
const X: &str = "[settings.x]\ntype = \"flag\"\ndefault = true\nsummary = \"\"";
const RANDOM: &str = r#"(import "wasi:random/random@0.2.0" "get-random-u64" (func $random (result i64)))"#;
const STDOUT: &str = r#"(import "wasi:cli/stdout@0.2.0" "get-stdout" (func $stdout (result i32)))"#;

fn case(name: &'static str, lines: &'static str, core: &Core, outcome: Outcome) -> Case {
    Case { name, lines, component: core.component(), outcome }
}

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    use FailureKind::{Deadline, Fuel, HostCall, InvalidAnswer, Memory, Trap};
    use Outcome::{Answers, Fails, FailsAtTimes, Refused};
    let core = Core::default;
    let refused = |name, component, says| Case { name, lines: "", component, outcome: Refused(says) };
    let scale = |number: &'static str, says| (Core { decide: number, ..core() }, Fails(InvalidAnswer, says));
    let (nan, is_nan) = scale(
        "(i32.store8 (i32.const 64) (i32.const 8)) (f64.store (i32.const 72) (f64.const nan))",
        "scale-exposure(NaN); a fraction must lie in 0..1",
    );
    let (infinity, is_infinite) = scale(
        "(i32.store8 (i32.const 64) (i32.const 8)) (f64.store (i32.const 72) (f64.const inf))",
        "scale-exposure(inf); a fraction must lie in 0..1",
    );
    let harmless = core().component();
    vec![
        // What registration finds.
        refused(
            "core module",
            wat::parse_str("(module)").expect("parses"),
            &["core WebAssembly module", "wasm32-wasip2"],
        ),
        refused("no WebAssembly", b"#!/bin/sh\nexit 0\n".to_vec(), &["not a WebAssembly component"]),
        refused("truncated file", harmless[..harmless.len() / 2].to_vec(), &["damaged", "build it again"]),
        refused(
            "wrong world",
            wat::parse_str("(component)").expect("parses"),
            &["answers no question", "drift-action"],
        ),
        refused("newer interface", built_for("0.2.0", ""), &["0.2.0", "this host serves 0.1"]),
        refused("older interface", built_for("0.0.9", ""), &["0.0.9", "this host serves 0.1"]),
        case(
            "undeclared import",
            "",
            &Core {
                world: "import other:place/thing@1.0.0;",
                imports: r#"(import "other:place/thing@1.0.0" "act" (func))"#,
                ..core()
            },
            Refused(&["`other:place/thing@1.0.0`, which this host does not have"]),
        ),
        case(
            "capability not granted",
            "[grants]\nhistory = true",
            &Core {
                world: "import trimtab:policy/state@0.1.0;",
                imports: r#"(import "trimtab:policy/state@0.1.0" "remove" (func (param i32 i32)))"#,
                ..core()
            },
            Refused(&["state, which is not granted", "[grants] in policy.toml"]),
        ),
        case(
            "bad settings",
            "[settings.rate]\ntype = \"number\"\ndefault = 1.5\nmax = 1\nsummary = \"\"",
            &core(),
            Refused(&["policy.toml:5: settings.rate.default", "the largest allowed is 1"]),
        ),
        case(
            "endless start function",
            "",
            &Core { items: "(func $start (loop br 0)) (start $start)", ..core() },
            Refused(&["as soon as it is loaded", "used up its fuel"]),
        ),
        case(
            "endless start function, fuel without end",
            "[limits]\nfuel = 10_000_000_000\ntime = \"20ms\"",
            &Core { items: "(func $start (loop br 0)) (start $start)", ..core() },
            Refused(&["as soon as it is loaded", "stopped after 20 ms"]),
        ),
        case(
            "memory beyond the limit from the start",
            "",
            &Core { memory: 257, ..core() },
            Refused(&["limits.memory allows 16384 KiB"]),
        ),
        // What only a call shows.
        case(
            "endless call",
            "",
            &Core { decide: "(loop br 0)", ..core() },
            Fails(Fuel, "used up its fuel of 50000000; the limit is limits.fuel"),
        ),
        case(
            "endless call, fuel without end",
            "[limits]\nfuel = 10_000_000_000\ntime = \"20ms\"",
            &Core { decide: "(loop br 0)", ..core() },
            Fails(Deadline, "stopped after 20 ms; the limit is limits.time"),
        ),
        case(
            "memory bomb",
            "",
            &Core { decide: "(loop (drop (memory.grow (i32.const 10))) br 0)", ..core() },
            Fails(Memory, "limits.memory allows 16384 KiB"),
        ),
        case(
            "two memories, each under the limit",
            "",
            &Core {
                items: "(memory $second 1)",
                decide: "(drop (memory.grow 0 (i32.const 160))) (drop (memory.grow $second (i32.const 160)))",
                ..core()
            },
            Fails(Memory, "limits.memory allows 16384 KiB"),
        ),
        case(
            "table bomb",
            "[limits]\nmemory = \"512KiB\"",
            &Core {
                items: "(table $a 1 funcref) (table $b 1 funcref)",
                decide: "(drop (table.grow $a (ref.null func) (i32.const 50000)))
                         (drop (table.grow $b (ref.null func) (i32.const 50000)))",
                ..core()
            },
            Fails(Memory, "limits.memory allows 512 KiB"),
        ),
        case(
            "deep recursion",
            "",
            &Core { items: "(func $deeper call $deeper)", decide: "call $deeper", ..core() },
            Fails(Trap, "recursed too deeply"),
        ),
        case(
            "trap, then call again",
            "",
            &Core { decide: "unreachable", ..core() },
            Fails(Trap, "unreachable"),
        ),
        case(
            "reading outside its memory",
            "",
            &Core { decide: "(drop (i32.load (i32.const 0x7fffffff)))", ..core() },
            Fails(Trap, "outside its memory"),
        ),
        case(
            "ending its process",
            "",
            &Core {
                world: "import wasi:cli/exit@0.2.0;",
                imports: r#"(import "wasi:cli/exit@0.2.0" "exit" (func $exit (param i32)))"#,
                decide: "(call $exit (i32.const 1))",
                ..core()
            },
            Fails(Trap, "ended itself with exit code 1"),
        ),
        case(
            // Nothing survives a call that it could count with, so it goes by the question: the first finding's phase.
            "crash every n-th call",
            "",
            &Core {
                decide: "(if (i32.eq (i32.load8_u offset=40 (local.get 0)) (i32.const 2)) (then unreachable))",
                ..core()
            },
            FailsAtTimes,
        ),
        case(
            "`cabi_realloc` out of range",
            "",
            &Core {
                items: r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const -16))"#,
                ..core()
            },
            Fails(InvalidAnswer, "something invalid"),
        ),
        case(
            "`cabi_realloc` re-entrant",
            "",
            &Core {
                imports: LOG,
                items: r#"(func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                    (call $info (i32.const 128) (i32.const 5)) (i32.const 4096))"#,
                ..core()
            },
            Fails(Trap, "cannot leave"),
        ),
        case(
            "100 MiB answer",
            "[limits]\nmemory = \"128MiB\"",
            &Core { memory: 1700, decide: "(i32.store (i32.const 32) (i32.const 104857600))", ..core() },
            Fails(InvalidAnswer, "limits.answer of 64KiB"),
        ),
        case(
            "record flood",
            "[grants]\nstate = true",
            &Core {
                world: "import trimtab:policy/state@0.1.0;",
                imports: r#"(import "trimtab:policy/state@0.1.0" "set" (func $set (param i32 i32 i32 i32)))"#,
                decide: "(loop $again
                    (call $set (i32.const 128) (i32.const 5) (i32.const 128) (i32.const 2048)) (br $again))",
                ..core()
            },
            Fails(HostCall, "the limit is limits.record"),
        ),
        case(
            "invalid UTF-8",
            "",
            &Core { decide: "(i32.store8 (i32.const 130) (i32.const 255))", ..core() },
            Fails(InvalidAnswer, "something invalid"),
        ),
        case("NaN in an answer", "", &nan, is_nan),
        case("infinity in an answer", "", &infinity, is_infinite),
        case(
            "resource-handle flood",
            "",
            &Core {
                world: "import wasi:cli/stdout@0.2.0;",
                imports: STDOUT,
                decide: "(loop (drop (call $stdout)) br 0)",
                ..core()
            },
            Fails(HostCall, "more than 256 WASI handles"),
        ),
        case(
            "log flood",
            "",
            &Core {
                imports: LOG,
                decide: "(loop (call $info (i32.const 128) (i32.const 5)) br 0)",
                ..core()
            },
            Fails(HostCall, "more than 100 lines of log; the limit is limits.log-lines"),
        ),
        case(
            "host-call flood",
            X,
            &Core {
                imports: FLAG,
                items: r#"(data (i32.const 200) "x")"#,
                decide: "(loop (drop (call $flag (i32.const 200) (i32.const 1))) br 0)",
                ..core()
            },
            Fails(HostCall, "called the host more than 10000 times; the limit is limits.host-calls"),
        ),
        case(
            // These functions cannot end the call themselves: it goes on until the fuel ends, and is still told apart.
            "host-call flood through WASI",
            "[limits]\nfuel = 1_000_000",
            &Core {
                world: "import wasi:random/random@0.2.0;",
                imports: RANDOM,
                decide: "(loop (drop (call $random)) br 0)",
                ..core()
            },
            Fails(HostCall, "limits.host-calls"),
        ),
        // What it tries, and nothing comes of it.
        case(
            "sleep",
            "",
            &Core {
                world: "import wasi:clocks/monotonic-clock@0.2.0;",
                imports: r#"
                    (import "wasi:clocks/monotonic-clock@0.2.0" "subscribe-duration" (func $sleep (param i64) (result i32)))
                    (import "wasi:io/poll@0.2.0" "[method]pollable.block" (func $block (param i32)))"#,
                decide: "(call $block (call $sleep (i64.const 3600000000000)))",
                ..core()
            },
            Answers,
        ),
        case(
            // An emergency retrain, which nobody has switched on.
            "answer outside the safeguards",
            "",
            &Core { decide: "(i32.store8 (i32.const 64) (i32.const 3))", ..core() },
            Answers,
        ),
    ]
}
