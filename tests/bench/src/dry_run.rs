//! A dry run over a stored history that is full of decisions, with and without folding its rows: deciding again and
//! comparing with the record, beside the same number of bare calls.

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

use crate::{bare::Bare, report::Report, rows};

const PAIRS: usize = 100_000;
const SUBJECTS: usize = 32;
const ROUNDS: usize = 3;
/// Bare calls of a thread.
const CALLS: usize = 20_000;

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
        artifacts: directory.path().join("artifacts"),
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
    let run = |fold: bool| -> Result<(f64, u64), Box<dyn Error>> {
        let started = Instant::now();
        let period = Period::default();
        let asked =
            Asked { sandbox: &sandbox, overlay: &overlay, period: &period, title: "bench", workers, fold };
        let found = dry_run(&open, &asked, &mut |_, _| {})?;
        let seconds = started.elapsed().as_secs_f64();
        let total = found.diff.total;
        if total.differ() {
            return Err(format!("the policy in force decides otherwise in a dry run: {total:?}").into());
        }
        if found.instant != if fold { 0 } else { total.unchanged } {
            return Err(format!("{} of {total:?} were told without rows", found.instant).into());
        }
        Ok((total.unchanged as f64 / seconds, found.entries / total.unchanged.max(1)))
    };
    let bare = Bare::new(&Package::read(&folder)?.component)?;
    // By turns, so that a noisy machine disturbs all alike; the best of each counts.
    let (mut instant, mut folded, mut alone, mut each) = (0.0_f64, 0.0_f64, 0.0_f64, 0);
    for _ in 0..ROUNDS {
        alone = alone.max(calls(&bare, workers)?);
        instant = instant.max(run(false)?.0);
        let (rate, entries) = run(true)?;
        (folded, each) = (folded.max(rate), entries);
    }
    report.rate(
        &format!("dry run, instant, decisions, beside wasmtime alone on {workers} threads"),
        instant,
        "1/s",
        Some(alone),
        ">= 0.65 x",
    );
    let what = format!("dry run with folding, {each} entries a decision, beside the same");
    report.rate(&what, folded, "1/s", Some(alone), ">= 0.6 x");
    Ok(())
}

/// Bare calls a second on so many threads.
fn calls(bare: &Bare, threads: usize) -> Result<f64, Box<dyn Error>> {
    bare.decide()??;
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| (0..CALLS).for_each(|_| drop(bare.decide())));
        }
    });
    Ok((threads * CALLS) as f64 / started.elapsed().as_secs_f64())
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
