//! `trimtab model show`, `compare` and `orphans`.

use std::collections::BTreeMap;

use trimtab_api::{Orphans, VersionDetails};
use trimtab_replay::words::figure;
use trimtab_server::{ExitCode, Failure};

use super::{life::protections, query};
use crate::{
    args::{Global, ModelArgs},
    connect,
    output::{Output, Table, cell, percent},
};

async fn details(global: &Global, model: &ModelArgs, version: &str) -> Result<VersionDetails, Failure> {
    let parts = [
        ("tenant", model.tenant.clone()),
        ("model", Some(model.model.clone())),
        ("version", Some(version.to_owned())),
    ];
    connect::connect(global).await?.get(&query("/v1/versions/show", &parts)).await
}

pub(super) async fn show(
    global: &Global,
    model: &ModelArgs,
    version: &str,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let found = details(global, model, version).await?;
    if output.is_json() {
        output.json(&found)?;
        return Ok(ExitCode::Ok);
    }
    let marked = if found.marked { ", marked degraded" } else { "" };
    output.line(format!("version    {} of {}: {}{marked}", found.version, found.model, found.stage))?;
    output.line(format!("registered {}", found.registered.for_people()))?;
    for from in &found.served {
        output.line(format!("served     since {}", from.for_people()))?;
    }
    let kept = protections(&found.protections);
    if !kept.is_empty() {
        output.line(format!("kept       {kept}"))?;
    }
    if let Some(at) = found.deleted {
        let gone = if found.purged { ", its files are gone for good" } else { "" };
        output.line(format!("deleted    {}{gone}", at.for_people()))?;
    }
    if let Some(artifact) = &found.registration.artifact {
        output.line(format!("files      {}, {} bytes", artifact.path, artifact.size_bytes))?;
        output.line(format!("digest     {}", artifact.digest))?;
    }
    if !found.registration.tags.is_empty() {
        output.line(format!("tags       {}", found.registration.tags.join(", ")))?;
    }
    for metric in &found.registration.metrics {
        output.line(format!(
            "validation {} {} ({} rows)",
            metric.name,
            figure(metric.estimate.value),
            metric.estimate.samples
        ))?;
    }
    output.line(format!("rows       {} predictions, {} resolved", found.predictions, found.resolved))?;
    match (found.recent.is_empty(), found.baseline) {
        (true, _) => output.line("accuracy   too few outcomes yet")?,
        (false, baseline) => {
            let of = |last: &trimtab_api::Recent| {
                format!("{} over the newest {}", percent(last.accuracy.value), last.accuracy.samples)
            };
            output
                .line(format!("accuracy   {}", found.recent.iter().map(of).collect::<Vec<_>>().join(", ")))?;
            if baseline.is_none() {
                output.line("baseline   none: `trimtab baseline set` gives it one")?;
            }
        }
    }
    Ok(ExitCode::Ok)
}

pub(super) async fn compare(
    global: &Global,
    model: &ModelArgs,
    versions: [&str; 2],
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let [one, other] = versions;
    let both = [details(global, model, one).await?, details(global, model, other).await?];
    if output.is_json() {
        output.json(&serde_json::json!({ "versions": both }))?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["", "one", "other"]);
    let [a, b] = &both;
    table.row([cell("version"), cell(&a.version), cell(&b.version)]);
    table.row([cell("stage"), cell(a.stage), cell(b.stage)]);
    table.row([cell("registered"), cell(a.registered.for_people()), cell(b.registered.for_people())]);
    let bytes =
        |of: &VersionDetails| of.registration.artifact.as_ref().map_or(0, |artifact| artifact.size_bytes);
    table.row([cell("bytes"), cell(bytes(a)), cell(bytes(b))]);
    let mut metrics: BTreeMap<String, [String; 2]> = BTreeMap::new();
    for (place, of) in both.iter().enumerate() {
        let validated = of.registration.metrics.iter();
        let validated =
            validated.map(|metric| (format!("validation {}", metric.name), figure(metric.estimate.value)));
        let recent = of.recent.iter().map(|recent| {
            (format!("accuracy of {}", recent.accuracy.samples), percent(recent.accuracy.value))
        });
        for (name, value) in validated.chain(recent) {
            metrics.entry(name).or_insert_with(|| ["-", "-"].map(str::to_owned))[place] = value;
        }
    }
    for (name, [one, other]) in metrics {
        table.row([cell(name), cell(one), cell(other)]);
    }
    output.table(&table)?;
    output.line("what was measured on other rows is no comparison; `trimtab experiment start` makes one")?;
    Ok(ExitCode::Ok)
}

pub(super) async fn orphans(global: &Global, output: &mut Output) -> Result<ExitCode, Failure> {
    let found: Orphans = connect::connect(global).await?.get("/v1/versions/orphans").await?;
    if output.is_json() {
        output.json(&found)?;
        return Ok(ExitCode::Ok);
    }
    if found.orphans.is_empty() {
        output.line("every file in the root of artifacts belongs to a version")?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["bytes", "path"]);
    for orphan in &found.orphans {
        table.row([
            cell(orphan.size_bytes.map_or("-".to_owned(), |bytes| bytes.to_string())),
            cell(&orphan.path),
        ]);
    }
    output.table(&table)?;
    output.line("no version owns these; nothing is deleted by itself")?;
    Ok(ExitCode::Ok)
}
