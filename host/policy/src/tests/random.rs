//! Random components: whatever bytes somebody puts into a policies directory, registering and calling end, nothing panics, and
//! another policy is as good as ever. The seeds are fixed, so that a failure comes back.

use std::collections::BTreeMap;
use std::sync::Arc;

use arbitrary::Unstructured;
use trimtab_types::Severity;
use wasm_smith::{Component, Config, Module};

use super::core::{Core, WIT, component_of};
use super::{finding, noon, register, sandbox};
use crate::{NoHistory, Package, Policy};

const ROUNDS: u64 = 150;
/// Bytes that a module or component is made of.
const BYTES: usize = 4 << 10;

/// What a drift-action policy exports, for modules that are random otherwise.
const EXPORTS: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) unreachable)
    (func (export "trimtab:policy/drift-action@0.1.0#decide") (param i32 i32) (result i32) unreachable))"#;

/// What they may call.
const IMPORTS: &str = r#"(module
    (import "trimtab:policy/log@0.1.0" "info" (func (param i32 i32)))
    (import "trimtab:policy/clock@0.1.0" "now" (func (result i64))))"#;

/// Random bytes that are the same at each run (SplitMix64).
fn bytes(seed: u64) -> Vec<u8> {
    let mut state = seed;
    let word = || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    };
    std::iter::repeat_with(word).take(BYTES / 8).flatten().collect()
}

/// As much of WebAssembly as the sandbox takes.
fn config() -> Config {
    Config {
        exports: Some(wat::parse_str(EXPORTS).expect("parses")),
        available_imports: Some(wat::parse_str(IMPORTS).expect("parses")),
        max_memories: 1,
        max_memory32_bytes: 1 << 20,
        memory64_enabled: false,
        threads_enabled: false,
        shared_everything_threads_enabled: false,
        exceptions_enabled: false,
        gc_enabled: false,
        reference_types_enabled: false,
        custom_page_sizes_enabled: false,
        wide_arithmetic_enabled: false,
        custom_descriptors_enabled: false,
        tail_call_enabled: false,
        relaxed_simd_enabled: false,
        allow_start_export: true,
        ..Config::default()
    }
}

const MANIFEST: &str = "summary = \"random\"\n[limits]\nfuel = 2_000_000\ntime = \"60s\"\n";

/// What became of one: it was refused, or its call answered or failed.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    Refused,
    Answered,
    Failed,
}

fn try_out(component: Vec<u8>) -> End {
    let Ok(package) = Package::from_parts("random", MANIFEST.to_owned(), component) else {
        return End::Refused;
    };
    let Ok(policy) = Policy::register(sandbox(), &package, &BTreeMap::new()) else { return End::Refused };
    let call = policy.decide(noon(), &[finding(Severity::High)], Arc::new(NoHistory), &BTreeMap::new());
    if call.answer.is_ok() { End::Answered } else { End::Failed }
}

fn harmless_still_works() {
    let package =
        Package::from_parts("harmless", "summary = \"a test\"\n".to_owned(), Core::default().component());
    let harmless = register(&package.expect("a package"));
    let call = harmless.decide(noon(), &[finding(Severity::High)], Arc::new(NoHistory), &BTreeMap::new());
    assert_eq!(call.answer.expect("answers").reason, "fine.");
}

#[test]
fn random_modules_behind_the_interface_end() {
    let mut ends: BTreeMap<End, u64> = BTreeMap::new();
    for seed in 0..ROUNDS {
        let module = Module::new(config(), &mut Unstructured::new(&bytes(seed))).expect("a module");
        let Ok(component) = component_of(WIT, &Core::default().world(), module.to_bytes()) else { continue };
        *ends.entry(try_out(component)).or_default() += 1;
    }
    // Random code hardly ever gives a good answer; but it has to run.
    assert!(ends.get(&End::Failed).is_some_and(|calls| *calls > ROUNDS / 3), "{ends:?}");
    harmless_still_works();
}

#[test]
fn random_components_are_refused() {
    for seed in 0..ROUNDS {
        let component = Component::new(Config::default(), &mut Unstructured::new(&bytes(seed)));
        assert_eq!(try_out(component.expect("a component").to_bytes()), End::Refused, "{seed}");
    }
    harmless_still_works();
}

/// A good component with one byte changed: it is refused, or it is a policy like any other.
#[test]
fn damaged_components_end() {
    let good = Core::default().component();
    for seed in 0..ROUNDS {
        let random = bytes(seed);
        let at = usize::from(u16::from_le_bytes([random[0], random[1]])) % good.len();
        let mut damaged = good.clone();
        damaged[at] ^= random[2].max(1);
        try_out(damaged);
    }
    harmless_still_works();
}
