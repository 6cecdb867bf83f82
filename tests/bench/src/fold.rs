//! Rows a second through the fold, with the default detectors: in memory, and from the log on disk to committed state.

use std::{error::Error, time::Instant};

use trimtab_core::{
    Configuration,
    fold::{State, apply},
};
use trimtab_log::{Batch, Reader, Record, Scope, Transaction, Writer};
use trimtab_policy::{Sandbox, SandboxOptions};
use trimtab_runtime::{Host, HostOptions};
use trimtab_sqlite::{LogsReader, LogsWriter};
use trimtab_types::{Baseline, Entry, Position, Reference};

use crate::{report::Report, rows};

const PAIRS: usize = 150_000;
const SUBJECTS: usize = 20;
const FEATURES: usize = 20;

pub(crate) fn measure(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let subjects = rows::subjects(SUBJECTS);
    let mut entries: Vec<Entry> = subjects
        .iter()
        .map(|subject| {
            Entry::Baseline(Box::new(Baseline {
                distributions: distributions(),
                ..Baseline::given((**subject).clone(), 10_000, 0.8)
            }))
        })
        .collect();
    entries.extend(rows::entries(PAIRS, &subjects, FEATURES));
    let count = entries.len() as f64;
    let mut writer = LogsWriter::open(directory.path())?;
    for chunk in entries.chunks(10_000) {
        let batch = Batch::of(chunk.iter().cloned().map(Into::into).collect());
        let mut result = Ok(Vec::new());
        writer.transaction(&mut |transaction: &mut dyn Transaction| result = transaction.append(&batch))?;
        result?;
    }
    drop(writer);

    let reader = LogsReader::open(directory.path())?;
    let started = Instant::now();
    let mut logs = Vec::new();
    for log in reader.shards()? {
        let (mut records, mut at) = (Vec::new(), Position(0));
        while at < log.head {
            let scanned = reader.scan(log.shard, &Scope::All, at, log.head, 4_096)?;
            at = scanned.upto;
            records.extend(scanned.records.into_iter().filter_map(Record::for_fold));
        }
        logs.push(records);
    }
    report.rate("scan of the logs, entries", count / started.elapsed().as_secs_f64(), "1/s", None, "none");

    let mut states = vec![State::default(); logs.len()];
    let started = Instant::now();
    let found: usize = std::iter::zip(&mut states, &logs)
        .map(|(state, records)| records.iter().map(|record| apply(state, record).len()).sum::<usize>())
        .sum();
    let rate = count / started.elapsed().as_secs_f64();
    report.rate(&format!("fold in memory, entries ({found} findings)"), rate, "1/s", None, ">= 300,000");
    drop((logs, reader));

    let started = Instant::now();
    let host = Host::open(HostOptions {
        directory: directory.path().to_owned(),
        artifacts: directory.path().join("artifacts"),
        policies: directory.path().join("policies"),
        configuration: Configuration::default(),
        sandbox: Sandbox::new(&SandboxOptions::default())?,
        build: "bench".to_owned(),
        started: trimtab_types::Change {
            at: trimtab_types::Timestamp::EPOCH,
            by: "bench".into(),
            reason: String::new(),
        },
    })?;
    host.settle()?;
    let rate = count / started.elapsed().as_secs_f64();
    report.rate("fold from disk to committed state, entries", rate, "1/s", None, ">= 300,000");
    Ok(())
}

/// Deciles of what the rows hold: scores of 0.9 and features evenly between 0 and 1.
fn distributions() -> Vec<Reference> {
    let even = |feature| Reference {
        feature,
        edges: (1..10).map(|n| f64::from(n) / 10.0).collect(),
        counts: vec![1_000; 10],
        worth: 10_000.0,
        fine: None,
    };
    let score = Reference { edges: vec![0.9, 0.900_1], counts: vec![1, 9_998, 1], ..even(None) };
    let features = (0..FEATURES).map(|n| even(Some(format!("feature-{n:02}"))));
    std::iter::once(score).chain(features).collect()
}
