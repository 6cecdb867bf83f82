//! A dry run over a stored history that is full of decisions: folding, deciding again and comparing with the record.

use std::{error::Error, path::Path, sync::Arc, time::Instant};

use trimtab_core::Configuration;
use trimtab_policy::{Package, Sandbox, SandboxOptions};
use trimtab_replay::{
    dry_run::{Asked, dry_run},
    overlay::{Overlay, Substitution},
    period::Period,
};
use trimtab_runtime::{Host, HostOptions};
use trimtab_sqlite::LogsReader;
use trimtab_types::{Actual, Change, Entry, Timestamp};

use crate::{report::Report, rows};

const PAIRS: usize = 100_000;
const SUBJECTS: usize = 32;

/// Page-Hinkley that fires whenever an error comes after right predictions: many decisions in few rows.
const NERVOUS: &str = "
[detectors.e-sr]
enabled = false
[detectors.psi]
enabled = false
[detectors.page-hinkley]
enabled = true
minimum = 1
threshold = 0.5
";

pub(crate) fn measure(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let subjects = rows::subjects(SUBJECTS);
    let folder = crate::folder().join("../../policies/drift-ladder").canonicalize()?;
    let policies = directory.path().join("policies");
    copy(&folder, &policies.join("drift-ladder"))?;
    let sandbox = Sandbox::new(&SandboxOptions::default())?;
    let host = Host::open(HostOptions {
        directory: directory.path().to_owned(),
        policies,
        configuration: Configuration::parse(NERVOUS, "bench")?,
        sandbox: Arc::clone(&sandbox),
        build: "bench".to_owned(),
        started: Change { at: Timestamp::EPOCH, by: "bench".into(), reason: String::new() },
    })?;
    for chunk in alternating(rows::entries(PAIRS, &subjects, 0)).chunks(10_000) {
        host.append_and_wait(chunk.to_vec())?;
    }
    host.settle()?;
    drop(host);

    let overlay =
        Overlay { policies: Substitution::One(Box::new(Package::read(&folder)?)), ..Overlay::default() };
    let overlay = Arc::new(overlay);
    let open = || LogsReader::open(directory.path());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let started = Instant::now();
    let asked = Asked {
        sandbox: &sandbox,
        overlay: &overlay,
        period: &Period::default(),
        title: "bench",
        workers,
        fold: true,
    };
    let found = dry_run(&open, &asked, &mut |_, _| {})?;
    let seconds = started.elapsed().as_secs_f64();
    let total = found.diff.total;
    if total.differ() {
        return Err(format!("the policy in force decides otherwise in a dry run: {total:?}").into());
    }
    let what = format!("dry run, decisions (of {} entries)", found.entries);
    report.rate(&what, total.unchanged as f64 / seconds, "1/s", None, ">= 80,000");
    Ok(())
}

/// Each subject is right and wrong by turns.
fn alternating(mut entries: Vec<Entry>) -> Vec<Entry> {
    let outcomes = entries.iter_mut().filter_map(|entry| match entry {
        Entry::Outcome(outcome) => Some(outcome),
        _ => None,
    });
    for (n, outcome) in outcomes.enumerate() {
        outcome.actual = Some(Actual::Label(i64::from((n / SUBJECTS).is_multiple_of(2))));
    }
    entries
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for file in ["policy.toml", "drift-ladder.wasm"] {
        std::fs::copy(from.join(file), to.join(file))?;
    }
    Ok(())
}
