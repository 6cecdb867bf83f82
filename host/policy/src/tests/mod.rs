//! Tests of this crate, in one binary: components written as text, and the shipped policies as they are built.

mod cases;
mod core;
mod folders;
mod hostile;
mod interface;
mod manifests;
mod provenance;
mod random;
mod shipped;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use trimtab_types::{Alert, Estimate, Finding, Occasion, Phase, Position, Severity, Subject, Timestamp};

use crate::{Package, Policy, Sandbox, SandboxOptions};

/// One sandbox for all tests, as a host has one for all policies.
fn sandbox() -> &'static Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(&SandboxOptions::default()).expect("a sandbox"))
}

fn repository() -> PathBuf {
    // As cargo says now: what was compiled in is another checkout's, where two share a target directory.
    let here = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&here).join("../..")
}

/// The names of the shipped policies: the folders with a manifest, of which each is built from the crate of its name.
fn names() -> Vec<String> {
    let folders = std::fs::read_dir(repository().join("policies")).expect("a folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        let entry = entry.expect("is read");
        let is_policy = entry.path().join(crate::MANIFEST).is_file();
        is_policy.then(|| entry.file_name().into_string().expect("a plain name"))
    };
    let mut names: Vec<_> = folders.filter_map(name).collect();
    names.sort_unstable();
    names
}

/// The shipped policies, built once; after `cargo xtask policies` there is nothing to build.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let test = std::env::current_exe().expect("the test's own path");
        let target = test.ancestors().nth(3).expect("target/PROFILE/deps/test").to_owned();
        let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--profile", "policy", "--target", "wasm32-wasip2"])
            .args(names().iter().flat_map(|name| ["-p", name]))
            .arg("--target-dir")
            .arg(&target)
            .current_dir(repository())
            .status()
            .expect("cargo runs");
        assert!(
            status.success(),
            "the shipped policies do not build; is the target wasm32-wasip2 installed?"
        );
        target.join("wasm32-wasip2/policy")
    })
}

/// A shipped policy with the manifest of the repository.
#[expect(clippy::disallowed_methods, reason = "tests read what was built")]
fn shipped(name: &str) -> Package {
    let component =
        std::fs::read(built().join(format!("{}.wasm", name.replace('-', "_")))).expect("was built");
    let manifest = repository().join("policies").join(name).join(crate::MANIFEST);
    Package::from_parts(name, std::fs::read_to_string(manifest).expect("a manifest"), component)
        .expect("a package")
}

fn register(package: &Package) -> Policy {
    Policy::register(sandbox(), package, &BTreeMap::new()).expect("is accepted")
}

fn noon() -> Timestamp {
    Timestamp::parse("2026-11-20T12:00:00Z").expect("a time")
}

fn subject() -> Subject {
    Subject { tenant: "acme".into(), model: "btc".into(), version: "v7".into(), segment: "BTC/USDT".into() }
}

fn estimate(value: f64, samples: u32) -> Estimate {
    Estimate { value, samples, interval: None, from_outcomes: true }
}

/// An open finding of an accuracy that fell from 68 % to 61 %.
fn finding(severity: Severity) -> Finding {
    let subject = subject();
    Finding {
        id: Finding::episode_id(&subject, "e-sr", "accuracy", Position(7)),
        subject,
        phase: Phase::Opened,
        position: Position(7),
        at: noon(),
        opened: noon(),
        detector: "e-sr".into(),
        quantity: "accuracy".into(),
        severity,
        statistic: 12_345.6,
        threshold: 10_000.0,
        p_value: None,
        e_value: Some(12_345.6),
        significant: true,
        baseline: Some(estimate(0.68, 1000)),
        current: Some(estimate(0.61, 200)),
        window: "last 200 against the baseline".into(),
        chance: None,
        sizes: None,
    }
}

fn alert() -> Alert {
    Alert {
        id: "a-1".into(),
        subject: subject(),
        severity: Severity::High,
        occasion: Occasion::Firing,
        started: noon(),
        findings: vec![finding(Severity::High)],
        metrics: Vec::new(),
        reason: "Because.".into(),
        actions: Vec::new(),
        link: None,
    }
}
