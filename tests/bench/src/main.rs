//! `cargo xtask bench`: what is promised about speed, measured beside a peer in the same run. Machines are noisy: read the
//! ratios, not the times. Nothing here is a test.

#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "this program measures and prints")]

mod bare;
mod detection;
mod dry_run;
mod fold;
mod ingest;
mod log;
mod peers;
mod policy;
mod promises;
mod report;
mod route;
mod rows;
mod rules;
mod run_lengths;
mod stats;

use std::{error::Error, path::PathBuf};

use detection::Detection;
use report::Report;
use run_lengths::RunLengths;

const GROUPS: [&str; 8] = ["stats", "policy", "fold", "ingest", "log", "route", "run-lengths", "detection"];

fn main() -> Result<(), Box<dyn Error>> {
    let (flags, wanted): (Vec<String>, Vec<String>) =
        std::env::args().skip(1).partition(|arg| arg == "--json");
    if let Some(unknown) = wanted.iter().find(|name| !GROUPS.contains(&name.as_str())) {
        return Err(format!("there is no group `{unknown}`; there are {}", GROUPS.join(", ")).into());
    }
    let is_wanted = |name: &str| wanted.is_empty() || wanted.iter().any(|wanted| wanted == name);
    let mut report = Report::default();
    if is_wanted("stats") {
        stats::measure(&mut report)?;
    }
    if is_wanted("policy") {
        policy::measure(&mut report)?;
        dry_run::measure(&mut report)?;
    }
    if is_wanted("fold") {
        fold::measure(&mut report)?;
    }
    if is_wanted("ingest") {
        ingest::measure(&mut report)?;
    }
    if is_wanted("log") {
        log::measure(&mut report)?;
    }
    if is_wanted("route") {
        route::measure(&mut report);
    }
    if is_wanted("run-lengths") {
        report.run_lengths = Some(RunLengths::simulate()?);
    }
    if is_wanted("detection") {
        report.detection = Some(Detection::simulate()?);
    }
    if !flags.is_empty() {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

/// The folder of this crate, as cargo says now: what was compiled in is another checkout's, where two share a target
/// directory.
fn folder() -> PathBuf {
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}
