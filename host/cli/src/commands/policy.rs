//! `trimtab policy`: what is in force, and what a folder holds.

use std::{collections::BTreeMap, path::Path};

use trimtab_engine::PolicyProblem;
use trimtab_policy::{Package, Policy};
use trimtab_server::{ExitCode, Failure};
use trimtab_types::PolicyInForce;

use crate::{
    args::{Global, PolicyArgs, PolicyCommand},
    connect::{self, CONFIG},
    output::{Output, Table, Tone, cell},
};

pub(crate) async fn run(
    global: &Global,
    args: &PolicyArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    match &args.command {
        PolicyCommand::List => list(global, output).await,
        PolicyCommand::Inspect { policy } => inspect(global, policy, output),
    }
}

async fn list(global: &Global, output: &mut Output) -> Result<ExitCode, Failure> {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Listed {
        directory: String,
        policies: Vec<PolicyInForce>,
        problems: Vec<PolicyProblem>,
    }
    let listed: Listed = connect::connect(global).await?.get("/v1/policies").await?;
    if output.is_json() {
        output.json(&listed)?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["policy", "digest", "mode", "order", "answers"]);
    for entry in &listed.policies {
        table.row([
            cell(&entry.policy.name),
            cell(entry.policy.digest.short()),
            cell(format!("{:?}", entry.mode).to_lowercase()),
            cell(entry.order),
            cell(entry.kinds.join(", ")),
        ]);
    }
    if table.is_empty() {
        output.line(format!("no policy is in force (directory `{}`)", listed.directory))?;
    } else {
        output.table(&table)?;
    }
    for problem in &listed.problems {
        let serving = if problem.still_serving { "; the version before keeps serving" } else { "" };
        output.line(output.paint(&format!("not in force: {}{serving}", problem.problem), Tone::Warning))?;
    }
    Ok(ExitCode::Ok)
}

fn inspect(global: &Global, policy: &Path, output: &mut Output) -> Result<ExitCode, Failure> {
    let folder = if policy.is_dir() { policy.to_owned() } else { policies(global).join(policy) };
    if !folder.is_dir() {
        return Err(Failure::missing(format!(
            "there is no policy folder `{}`, and none of that name in `{}`",
            policy.display(),
            policies(global).display()
        )));
    }
    let package = Package::read(&folder).map_err(|error| Failure::invalid(error.to_string()))?;
    let sandbox = connect::sandbox(None)?;
    let policy = Policy::register(&sandbox, &package, &BTreeMap::new())
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let manifest = policy.manifest();
    let kinds: Vec<_> = policy.kinds().iter().map(|kind| kind.name()).collect();
    let grants: Vec<_> = [("history", manifest.grants.history), ("state", manifest.grants.state)]
        .into_iter()
        .filter_map(|(name, granted)| granted.then_some(name))
        .collect();
    let settings: Vec<_> = manifest
        .settings
        .iter()
        .map(|(key, setting)| {
            (key.clone(), setting.kind().name(), setting.default.to_string(), setting.summary.clone())
        })
        .collect();
    if output.is_json() {
        output.json(&serde_json::json!({
            "name": package.name, "digest": package.digest, "bytes": package.component.len(),
            "summary": manifest.summary, "kinds": kinds, "imports": policy.imports(), "grants": grants,
            "settings": settings.iter().map(|(key, kind, default, summary)| serde_json::json!({
                "key": key, "type": kind, "default": default, "summary": summary,
            })).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::Ok);
    }
    output.line(format!("policy     {} - {}", package.name, manifest.summary))?;
    output.line(format!("digest     {}", package.digest))?;
    output.line(format!("size       {} KiB", package.component.len().div_ceil(1024)))?;
    output.line(format!("answers    {}", kinds.join(", ")))?;
    output.line(format!("imports    {}", policy.imports().join(", ")))?;
    output.line(format!(
        "granted    {}",
        if grants.is_empty() { "nothing beyond the basics".to_owned() } else { grants.join(", ") }
    ))?;
    let limits = &manifest.limits;
    output.line(format!(
        "limits     {} fuel, {} ms, {} KiB of memory, {} KiB an answer, {} host calls",
        limits.fuel,
        limits.time.as_millis(),
        limits.memory / 1024,
        limits.answer / 1024,
        limits.host_calls
    ))?;
    if !settings.is_empty() {
        let mut table = Table::new(&["setting", "type", "default", "summary"]);
        for (key, kind, default, summary) in settings {
            table.row([cell(key), cell(kind), cell(default), cell(summary)]);
        }
        output.line("")?;
        output.table(&table)?;
    }
    Ok(ExitCode::Ok)
}

/// The policies directory of the data directory, or the one beside us where there is none.
fn policies(global: &Global) -> std::path::PathBuf {
    let config = global.data.join(CONFIG);
    match connect::read_configuration(&config) {
        Ok(configuration) => connect::policies_directory(&global.data, &configuration),
        Err(_) => "policies".into(),
    }
}
