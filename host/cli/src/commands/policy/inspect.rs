//! `trimtab policy inspect`: what a policy's folder holds.

use std::{collections::BTreeMap, path::Path};

use trimtab_policy::Policy;
use trimtab_server::{ExitCode, Failure};

use super::{configuration, folder, package};
use crate::{
    args::Global,
    connect,
    output::{Output, Table, cell},
};

pub(super) fn inspect(global: &Global, named: &Path, output: &mut Output) -> Result<ExitCode, Failure> {
    let package = package(&folder(global, named)?)?;
    let signature = package.signature(&configuration(global)?.trust).to_string();
    let sandbox = connect::sandbox(None)?;
    let policy = Policy::register(&sandbox, &package, &BTreeMap::new())
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let manifest = policy.manifest();
    let kinds: Vec<_> = policy.kinds().iter().map(|kind| kind.name()).collect();
    let grants = [("history", manifest.grants.history), ("state", manifest.grants.state)];
    let granted: Vec<_> = grants.into_iter().filter_map(|(name, granted)| granted.then_some(name)).collect();
    let imports: Vec<_> = policy.imports().iter().map(|import| standing(import, &granted)).collect();
    let unused: Vec<_> =
        granted.iter().filter(|name| !policy.imports().iter().any(|import| import == *name)).collect();
    let versions: Vec<_> = policy.interface_versions().collect();
    let settings: Vec<_> = manifest
        .settings
        .iter()
        .map(|(key, setting)| {
            (key.clone(), setting.kind().name(), setting.default.to_string(), setting.summary.clone())
        })
        .collect();
    if output.is_json() {
        output.json(&serde_json::json!({
            "name": package.name, "digest": package.digest, "bytes": package.component.len(), "signature": signature,
            "summary": manifest.summary, "kinds": kinds, "interface": versions, "imports": policy.imports(), "grants": granted,
            "settings": settings.iter().map(|(key, kind, default, summary)| serde_json::json!({
                "key": key, "type": kind, "default": default, "summary": summary,
            })).collect::<Vec<_>>(),
        }))?;
        return Ok(ExitCode::Ok);
    }
    output.line(format!("policy     {} - {}", package.name, manifest.summary))?;
    output.line(format!("digest     {}", package.digest))?;
    output.line(format!("signature  {signature}"))?;
    output.line(format!("size       {} KiB", package.component.len().div_ceil(1024)))?;
    output.line(format!("answers    {}", kinds.join(", ")))?;
    output.line(format!("interface  trimtab:policy {}", versions.join(", ")))?;
    output.line(format!("imports    {}", imports.join(", ")))?;
    for name in unused {
        output.line(format!("granted    {name}, but it does not import that"))?;
    }
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

/// An import with what gives the policy the right to it.
fn standing(import: &str, granted: &[&str]) -> String {
    if granted.contains(&import) { format!("{import} (granted)") } else { import.to_owned() }
}
