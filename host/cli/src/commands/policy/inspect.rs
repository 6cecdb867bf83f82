//! `trimtab policy inspect`: what a policy's folder holds.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Value, json};
use trimtab_policy::{AppliesTo, Limits, Policy, Setting};
use trimtab_server::{ExitCode, Failure};

use super::{configuration, folder, package};
use crate::{
    args::Global,
    connect,
    output::{Output, Table, cell},
};

pub(super) fn inspect(global: &Global, named: &Path, output: &mut Output) -> Result<ExitCode, Failure> {
    let mut package = package(&folder(global, named)?)?;
    let configuration = configuration(global)?;
    let signature = package.signature(&configuration.trust).to_string();
    package.cap(&configuration.limits);
    let sandbox = connect::authors_sandbox(&configuration.host)?;
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
    if output.is_json() {
        output.json(&json!({
            "name": package.name, "digest": package.digest, "bytes": package.component.len(), "signature": signature,
            "summary": manifest.summary, "kinds": kinds, "interface": versions, "imports": policy.imports(),
            "grants": granted, "mode": manifest.mode, "order": manifest.order, "channels": manifest.channels.patterns(),
            "applies_to": applies_to(&manifest.applies_to), "fail_safe": manifest.fail_safe,
            "limits": limits(&manifest.limits), "asked": limits(&manifest.asked), "settings": settings(&manifest.settings),
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
    output.line(format!("mode       {}, order {}", manifest.mode.name(), manifest.order))?;
    let AppliesTo { tenant, model, segment, detector, severity } = &manifest.applies_to;
    output.line(format!(
        "applies to tenant {tenant}; model {model}; segment {segment}; detector {detector}; severity {severity} or graver"
    ))?;
    if !manifest.channels.is_empty() {
        output.line(format!("channels   {}", manifest.channels))?;
    }
    let fail_safe: Vec<_> = manifest.fail_safe.iter().map(ToString::to_string).collect();
    output.line(format!("fail-safe  {}", fail_safe.join(", ")))?;
    let limits = manifest.limits.shown().map(|(key, limit)| format!("{key} {limit}"));
    output.line(format!("limits     {}", limits.join(", ")))?;
    for (key, asked, granted) in manifest.cut() {
        output.line(format!("not given  {key} {asked}, which it asks for: [limits] allows {granted}"))?;
    }
    if !manifest.settings.is_empty() {
        let mut table = Table::new(&["setting", "type", "default", "allowed", "summary"]);
        for (key, setting) in &manifest.settings {
            let kind = setting.kind().name();
            table.row([
                cell(key),
                cell(kind),
                cell(&setting.default),
                cell(allowed(setting)),
                cell(&setting.summary),
            ]);
        }
        output.line("")?;
        output.table(&table)?;
    }
    Ok(ExitCode::Ok)
}

/// Which values a setting may have, as far as its manifest limits them.
fn allowed(setting: &Setting) -> String {
    match (&setting.min, &setting.max) {
        _ if !setting.choices.is_empty() => setting.choices.join(", "),
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("{min} or more"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => "any".to_owned(),
    }
}

fn settings(settings: &BTreeMap<String, Setting>) -> Vec<Value> {
    let one = |(key, setting): (&String, &Setting)| {
        json!({
            "key": key, "type": setting.kind().name(), "default": setting.default, "min": setting.min,
            "max": setting.max, "choices": setting.choices, "summary": setting.summary,
        })
    };
    settings.iter().map(one).collect()
}

fn applies_to(applies_to: &AppliesTo) -> Value {
    let AppliesTo { tenant, model, segment, detector, severity } = applies_to;
    json!({
        "tenant": tenant.patterns(), "model": model.patterns(), "segment": segment.patterns(),
        "detector": detector.patterns(), "severity": severity,
    })
}

/// Sizes in bytes.
fn limits(limits: &Limits) -> Value {
    let Limits { fuel, time, memory, answer, log_lines, log_line, host_calls, record, state_keys, state } =
        limits;
    json!({
        "fuel": fuel, "time_ms": u64::try_from(time.as_millis()).unwrap_or(u64::MAX), "memory": memory, "answer": answer,
        "log_lines": log_lines, "log_line": log_line, "host_calls": host_calls, "record": record,
        "state_keys": state_keys, "state": state,
    })
}

/// An import with what gives the policy the right to it.
fn standing(import: &str, granted: &[&str]) -> String {
    if granted.contains(&import) { format!("{import} (granted)") } else { import.to_owned() }
}
