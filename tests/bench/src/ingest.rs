//! Durable rows a second, beside plain rusqlite with the same rows, the same batches and the same durability.

use std::{
    error::Error,
    path::Path,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use rusqlite::{Connection, params};
use trimtab_api::rows::PredictionRow;
use trimtab_core::Configuration;
use trimtab_log::{Batch, Lane, Log};
use trimtab_policy::{Sandbox, SandboxOptions};
use trimtab_runtime::{Host, HostOptions};
use trimtab_server::{Accepted, Service, client::Client};
use trimtab_sqlite::LogsWriter;
use trimtab_types::{Entry, Feature, Predicted, Prediction};

use crate::{report::Report, rows};

/// How long each side may take.
const FOR: Duration = Duration::from_secs(3);

pub(crate) fn measure(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let subjects = rows::subjects(20);
    let predictions: Vec<Prediction> = rows::entries(400_000, &subjects, 5)
        .into_iter()
        .filter_map(|entry| match entry {
            Entry::Prediction(prediction) => Some(prediction),
            _ => None,
        })
        .collect();
    for (batch, target) in [(1_000, ">= 0.7 x"), (100, ">= 0.7 x"), (1, ">= 0.7 x")] {
        let peer = plain(&predictions, batch)?;
        let ours = grouped(&predictions, batch)?;
        report.rate(&format!("durable rows, batches of {batch}"), ours, "1/s", Some(peer), target);
        let ours = over_http(&predictions, batch)?;
        report.rate("the same over HTTP on the socket", ours, "1/s", Some(peer), target);
    }
    Ok(())
}

/// Calls `work` with one batch after the other for a while; rows a second.
fn rate(
    predictions: &[Prediction],
    batch: usize,
    mut work: impl FnMut(&[Prediction]) -> Result<(), Box<dyn Error>>,
) -> Result<f64, Box<dyn Error>> {
    let started = Instant::now();
    let mut rows = 0;
    for chunk in predictions.chunks(batch) {
        work(chunk)?;
        rows += chunk.len();
        if started.elapsed() > FOR {
            break;
        }
    }
    Ok(rows as f64 / started.elapsed().as_secs_f64())
}

/// What one would write by hand: a table with the same fields, unique by model and id.
fn plain(predictions: &[Prediction], batch: usize) -> Result<f64, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let mut connection = Connection::open(directory.path().join("plain.db"))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.execute_batch(
        "CREATE TABLE prediction (
             tenant TEXT, model TEXT, version TEXT, segment TEXT, id TEXT, time INTEGER, score REAL, confidence REAL,
             served INTEGER, horizon INTEGER, features BLOB, UNIQUE (tenant, model, id))",
    )?;
    rate(predictions, batch, |chunk| {
        let transaction = connection.transaction()?;
        for row in chunk {
            let score = match row.predicted {
                Predicted::Binary(score) => score,
                _ => 0.0,
            };
            let features: Vec<u8> = row
                .features
                .values
                .iter()
                .flat_map(|value| match value {
                    Feature::Number(number) => number.to_le_bytes(),
                    Feature::Category(_) => [0; 8],
                })
                .collect();
            let subject = &row.subject;
            transaction
                .prepare_cached("INSERT INTO prediction VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")?
                .execute(params![
                    subject.tenant,
                    subject.model,
                    subject.version,
                    subject.segment,
                    row.id,
                    row.time.as_millis(),
                    score,
                    row.confidence,
                    row.served,
                    row.horizon,
                    features
                ])?;
        }
        Ok(transaction.commit()?)
    })
}

fn grouped(predictions: &[Prediction], batch: usize) -> Result<f64, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let log = Log::start(Box::new(LogsWriter::open(directory.path())?))?;
    rate(predictions, batch, |chunk| {
        let (sender, receiver) = mpsc::sync_channel(1);
        let entries = chunk.iter().cloned().map(|row| Entry::Prediction(row).into()).collect();
        log.append(Batch::of(entries), Lane::Bulk, move |result| {
            sender.send(result).ok();
        });
        receiver.recv()??;
        Ok(())
    })
}

/// NDJSON to a host that folds meanwhile, acknowledged after the disk has it.
fn over_http(predictions: &[Prediction], batch: usize) -> Result<f64, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let service = Arc::new(Service::new(open(directory.path())?, || Ok(Configuration::default())));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let (ready, is_ready) = mpsc::channel();
    let server = runtime.spawn({
        let service = Arc::clone(&service);
        async move {
            let socket = tokio::net::UnixListener::bind(service.host().directory().join("trimtab.sock"));
            if let Ok(socket) = socket {
                ready.send(()).ok();
                axum::serve(socket, trimtab_server::router(service)).await.ok();
            }
        }
    });
    is_ready.recv()?;
    let client = runtime.block_on(Client::running(directory.path())).ok_or("the host does not answer")?;
    let bodies: Vec<String> = predictions.iter().map(line).collect::<Result<_, _>>()?;
    let mut at = 0;
    let rate = rate(predictions, batch, |chunk| {
        let body = bodies[at..at + chunk.len()].concat();
        at += chunk.len();
        let accepted: Accepted = runtime.block_on(client.post_lines("/v1/predictions", body))?;
        if accepted.new == chunk.len() as u64 { Ok(()) } else { Err("rows were lost".into()) }
    });
    server.abort();
    rate
}

fn open(directory: &Path) -> Result<Host, Box<dyn Error>> {
    Ok(Host::open(HostOptions {
        directory: directory.to_owned(),
        artifacts: directory.join("artifacts"),
        policies: directory.join("policies"),
        configuration: Configuration::default(),
        sandbox: Sandbox::new(&SandboxOptions::default())?,
        build: "bench".to_owned(),
        started: trimtab_types::Change {
            at: trimtab_types::Timestamp::EPOCH,
            by: "bench".into(),
            reason: String::new(),
        },
    })?)
}

fn line(prediction: &Prediction) -> Result<String, serde_json::Error> {
    let row = PredictionRow {
        id: Some(prediction.id.clone()),
        model: prediction.subject.model.clone(),
        version: prediction.subject.version.clone(),
        segment: prediction.subject.segment.clone(),
        time: prediction.time.to_string(),
        score: Some(0.9),
        confidence: prediction.confidence,
        horizon: Some("60s".to_owned()),
        features: prediction
            .features
            .names
            .iter()
            .zip(&prediction.features.values)
            .filter_map(|(name, value)| match value {
                Feature::Number(number) => {
                    Some((name.clone(), trimtab_api::rows::FeatureValue::Number(*number)))
                }
                Feature::Category(_) => None,
            })
            .collect(),
        ..PredictionRow::default()
    };
    Ok(serde_json::to_string(&row)? + "\n")
}
