//! Makes components from core modules written as text. What a module's author would get wrong or do on purpose is
//! written in the test itself; the frame around it is here.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// The policy interface, to which tests make changes.
pub(super) const WIT: &str = include_str!("../../../../wit/policy.wit");

/// As much of WASI as tests import.
const WASI: [&str; 4] = [
    "package wasi:io@0.2.0;
     interface poll { resource pollable { block: func(); } }
     interface error { resource error; }
     interface streams {
        use error.{error};
        variant stream-error { last-operation-failed(error), closed }
        resource output-stream {
            blocking-write-and-flush: func(contents: list<u8>) -> result<_, stream-error>;
        }
     }",
    "package wasi:cli@0.2.0;
     interface stdout { use wasi:io/streams@0.2.0.{output-stream}; get-stdout: func() -> output-stream; }
     interface exit { exit: func(status: result); }
     interface unheard-of { act: func(); }",
    "package wasi:clocks@0.2.0;
     interface wall-clock { record datetime { seconds: u64, nanoseconds: u32 } now: func() -> datetime; }
     interface monotonic-clock {
        use wasi:io/poll@0.2.0.{pollable};
        now: func() -> u64;
        subscribe-duration: func(when: u64) -> pollable;
     }",
    "package wasi:random@0.2.0;
     interface random { get-random-u64: func() -> u64; get-random-bytes: func(len: u64) -> list<u8>; }",
];

/// A core module as a component with this world, on this text of the policy interface.
pub(super) fn component_on(wit: &str, world: &str, core: &str) -> Vec<u8> {
    let module = wat::parse_str(core).expect("the module parses");
    component_of(wit, world, module).expect("the module fits its world")
}

/// The same for a module that may not fit.
pub(super) fn component_of(wit: &str, world: &str, mut module: Vec<u8>) -> Result<Vec<u8>, String> {
    let mut resolve = Resolve::default();
    for (n, package) in WASI.iter().enumerate() {
        resolve.push_str(format!("wasi{n}.wit"), package).expect("WASI parses");
    }
    resolve.push_str("policy.wit", wit).expect("the policy interface parses");
    let other = "package other:place@1.0.0; interface thing { act: func(); }";
    resolve.push_str("other.wit", other).expect("parses");
    let test = format!("package test:case; world test {{ {world} }}");
    let package = resolve.push_str("test.wit", &test).expect("the world parses");
    let world = resolve.select_world(&[package], Some("test")).expect("there is one world");
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata");
    ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .and_then(|encoder| encoder.encode())
        .map_err(|error| format!("{error:#}"))
}

/// A drift-action policy from pieces.
pub(super) struct Core {
    /// Besides what every drift-action policy imports.
    pub(super) world: &'static str,
    /// Imports of the module; they come first.
    pub(super) imports: &'static str,
    /// Pages of 64 KiB.
    pub(super) memory: u32,
    /// Further items of the module.
    pub(super) items: &'static str,
    /// Body of `decide`, before it returns the answer at `ANSWER`.
    pub(super) decide: &'static str,
}

impl Default for Core {
    fn default() -> Self {
        Self { world: "", imports: "", memory: 1, items: "", decide: "" }
    }
}

impl Core {
    pub(super) fn component(&self) -> Vec<u8> {
        component_on(WIT, &self.world(), &self.module())
    }

    pub(super) fn world(&self) -> String {
        format!("include trimtab:policy/drift-action-policy@0.1.0; {}", self.world)
    }

    /// The module. Its answer lies at 16 and is `ok(decision)` with one action at 64 and its reason, `fine.`, at 128:
    ///
    ///     16 error? | 20 actions: address, 24 number | 28 reason: address, 32 length
    ///     64 kind of action | 72 its parameter
    ///
    /// Local 2 and 3 are free i32, 4 is a free i64. `$heap` is where `cabi_realloc` hands out memory.
    pub(super) fn module(&self) -> String {
        let Self { imports, memory, items, decide, .. } = self;
        let realloc = if items.contains("cabi_realloc") { "" } else { REALLOC };
        format!(
            r#"(module
                {imports}
                (memory (export "memory") {memory})
                (global $heap (mut i32) (i32.const 4096))
                (data (i32.const 20) "\40\00\00\00\01\00\00\00\80\00\00\00\05\00\00\00")
                (data (i32.const 128) "fine.")
                {realloc}
                {items}
                (func (export "trimtab:policy/drift-action@0.1.0#decide") (param i32 i32) (result i32)
                    (local i32 i32 i64)
                    {decide}
                    i32.const 16))"#
        )
    }
}

const REALLOC: &str = r#"
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
        (local i32)
        ;; Up to the next multiple of 8, which is more than any alignment here.
        (local.set 4 (i32.and (i32.add (global.get $heap) (i32.const 7)) (i32.const -8)))
        (global.set $heap (i32.add (local.get 4) (local.get 3)))
        (local.get 4))"#;
