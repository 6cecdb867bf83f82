//! Which crate may know which: the table of ARCHITECTURE.md, held against what the manifests say.

use std::{collections::BTreeMap, process::Command};

use crate::support::repository;

/// Each crate with what it may link of ours. What is not in the row is not to be known.
#[rustfmt::skip]
const ALLOWED: &[(&str, &[&str])] = &[
    ("types", &[]),
    ("stats", &[]),
    ("files", &["types"]),
    ("log", &["types"]),
    ("sqlite", &["types", "files", "log"]),
    ("core", &["types", "stats"]),
    ("policy", &["types", "files"]),
    ("api", &["types"]),
    ("route", &[]),
    ("trainer", &["types", "files"]),
    ("replay", &["types", "core", "log", "policy"]),
    ("runtime", &["types", "files", "core", "log", "sqlite", "policy", "api", "replay", "trainer"]),
    ("server", &["types", "files", "core", "log", "sqlite", "policy", "api", "replay", "route", "runtime", "stats"]),
    ("author", &["types"]),
];

/// What the manifest of each package links of ours, without what only its tests need.
fn linked() -> BTreeMap<String, Vec<String>> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let ours = |name: &str| name.strip_prefix("trimtab-").map(str::to_owned);
    metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .filter_map(|package| {
            let name = ours(package["name"].as_str()?)?;
            let dependencies = package["dependencies"].as_array()?.iter();
            let linked = dependencies
                .filter(|dependency| dependency["kind"].is_null())
                .filter_map(|dependency| ours(dependency["name"].as_str()?));
            Some((name, linked.collect()))
        })
        .collect()
}

#[test]
fn crates_know_no_more_than_they_may() {
    let linked = linked();
    for (name, allowed) in ALLOWED {
        let found = linked.get(*name).unwrap_or_else(|| panic!("there is no crate `{name}`"));
        for other in found {
            assert!(allowed.contains(&other.as_str()), "`{name}` must not link `{other}`");
        }
    }
}

/// A crate that nobody has thought about is in no row: it is added to the table, with a reason.
#[test]
fn every_crate_of_the_host_is_in_the_table() {
    let all = std::fs::read_dir(repository().join("host")).expect("the host's crates");
    for entry in all {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let known = name == "cli" || ALLOWED.iter().any(|(listed, _)| *listed == name);
        assert!(known, "host/{name} is not in the table");
    }
}

/// The core is pure because it links nothing that could make it otherwise.
#[test]
fn the_core_links_no_thread_no_clock_and_no_file() {
    for name in ["core", "types", "stats"] {
        let manifest = repository().join("host").join(name).join("Cargo.toml");
        let text = std::fs::read_to_string(manifest).expect("a manifest");
        let dependencies = text.split("[dev-dependencies]").next().unwrap_or_default();
        for never in ["tokio", "tracing", "rusqlite", "wasmtime", "rand"] {
            let links = dependencies.lines().any(|line| line.starts_with(never));
            assert!(!links, "`{name}` must not link `{never}`");
        }
    }
}

/// Files that have grown until nobody reads them are cut before they grow further.
#[test]
fn no_source_file_has_more_than_550_lines() {
    let mut folders =
        vec![repository().join("host"), repository().join("xtask"), repository().join("plugins")];
    let mut long = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let skipped = path.file_name().is_some_and(|name| name == "target" || name == "build");
            if path.is_dir() && !skipped {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let lines = std::fs::read_to_string(&path).expect("a source file").lines().count();
                if lines > 550 {
                    long.push(format!("{} has {lines} lines", path.display()));
                }
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}
