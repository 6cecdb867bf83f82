//! `trimtab policy dry-run` and `compare`: which decisions would be others. Both only read, beside a running host or without
//! one, in a process of their own, so that they cost the host nothing and cannot touch what it does.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use trimtab_engine::{
    diff::{Diff, Side},
    dry_run::{self, Period, Report},
    overlay::{Overlay, Substitution},
};
use trimtab_policy::{MANIFEST, Package, Policy, read_directory};
use trimtab_server::{ExitCode, Failure, page};
use trimtab_store::{Reader, SqliteReader};
use trimtab_types::{Position, Timestamp, parse_duration};

use super::diff;
use crate::{
    args::{CompareArgs, DryRunArgs, Global, PeriodArgs},
    connect,
    output::Output,
};

/// Entries whose decisions are compared at once.
const STEP: u64 = 100_000;

pub(super) async fn dry_run(
    global: &Global,
    args: &DryRunArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let data = global.data.clone();
    let reader = settled(global).await?;
    let overlay = Arc::new(overlay(args, &reader)?);
    let period = period(&args.period, &reader)?;
    let sandbox = connect::sandbox(Some(data.join("cache")))?;
    check(&overlay, &sandbox, &reader)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let report: Report = {
        let output = &*output;
        let mut progress = |done, of| output.progress(&format!("folded {done} of {of} entries"));
        let open = || SqliteReader::open(&data);
        tokio::task::block_in_place(|| {
            dry_run::dry_run(&open, &sandbox, &overlay, &period, workers, &mut progress)
        })?
    };
    output.progress("");
    let title = format!("Dry run of {}", described(args));
    let labels = ["recorded", "candidate"];
    if let Some(file) = &args.period.html {
        write_page(file, &page::diff(&title, labels, &report.diff, &report.settings))?;
    }
    let exit = if report.diff.differs() { ExitCode::Different } else { ExitCode::Ok };
    if output.is_json() {
        output.json(&report)?;
        return Ok(exit);
    }
    output.line(format!("{title}: {} entries folded, nothing written", report.entries))?;
    diff::settings(&report.settings, output)?;
    diff::show(&report.diff, labels, args.period.examples, output)?;
    Ok(exit)
}

pub(super) async fn compare(
    global: &Global,
    args: &CompareArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let reader = settled(global).await?;
    let period = period(&args.period, &reader)?;
    let end = reader.folded_state()?.0;
    let mut found = Diff::default();
    let mut at = Position(0);
    while at < end {
        let until = Position(end.0.min(at.0 + STEP));
        let decisions = reader.decided(at, until)?;
        let within = || decisions.iter().filter(|decision| period.is_about(decision));
        let shadow = Side::shadow(within(), &args.name);
        found.compare(&Side::enforced(within(), false).where_also(&shadow), &shadow);
        at = until;
    }
    if found == Diff::default() {
        return Err(Failure::missing(format!(
            "`{0}` said nothing in shadow mode in this period; set `mode = \"shadow\"` under [policies.{0}] and wait for findings",
            args.name
        )));
    }
    let title = format!("`{}` in shadow mode", args.name);
    let labels = ["decided", "in shadow"];
    if let Some(file) = &args.period.html {
        write_page(file, &page::diff(&title, labels, &found, &[]))?;
    }
    let exit = if found.differs() { ExitCode::Different } else { ExitCode::Ok };
    if output.is_json() {
        output.json(&found)?;
        return Ok(exit);
    }
    output.line(format!("{title}, held against what was decided:"))?;
    diff::show(&found, labels, args.period.examples, output)?;
    Ok(exit)
}

/// A reader of the log, once everything that was acknowledged is folded and decided on.
async fn settled(global: &Global) -> Result<SqliteReader, Failure> {
    let _: serde_json::Value =
        connect::connect(global).await?.get("/v1/findings?settled=true&limit=1").await?;
    Ok(SqliteReader::open(&global.data)?)
}

fn write_page(file: &Path, page: &str) -> Result<(), Failure> {
    Ok(trimtab_server::replace_file(file, page.as_bytes())?)
}

/// What is tried out.
fn overlay(args: &DryRunArgs, reader: &SqliteReader) -> Result<Overlay, Failure> {
    let configuration = args.config.as_ref().map(|file| connect::read_configuration(file)).transpose()?;
    let mut settings: BTreeMap<String, BTreeMap<String, serde_json::Value>> = BTreeMap::new();
    for text in &args.set {
        let (policy, key, value) = setting(text)?;
        settings.entry(policy).or_default().insert(key, value);
    }
    let policies = match &args.candidate {
        Some(candidate) => substitution(candidate, args.replaces.as_deref(), reader)?,
        None => Substitution::None,
    };
    Ok(Overlay { configuration, settings, policies })
}

fn substitution(path: &Path, replaces: Option<&str>, reader: &SqliteReader) -> Result<Substitution, Failure> {
    let invalid = |error: trimtab_policy::PackageError| Failure::invalid(error.to_string());
    if path.is_file() {
        return component(path, replaces, reader).map(|package| Substitution::One(Box::new(package)));
    }
    if !path.is_dir() {
        return Err(Failure::missing(format!(
            "there is no `{}`; name a policy's folder, a directory of policies, or a component",
            path.display()
        )));
    }
    if path.join(MANIFEST).exists() {
        // Its real name: `.` has none.
        let real = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut package = Package::read(&real).map_err(invalid)?;
        if let Some(name) = replaces {
            name.clone_into(&mut package.name);
        }
        return Ok(Substitution::One(Box::new(package)));
    }
    let packages: Vec<_> = read_directory(path)
        .map_err(invalid)?
        .into_iter()
        .map(|(_, package)| package)
        .collect::<Result<_, _>>()
        .map_err(invalid)?;
    if packages.is_empty() {
        return Err(Failure::invalid(format!("`{}` holds no policies", path.display())));
    }
    Ok(Substitution::All(packages))
}

/// A component alone takes the manifest of the policy that it would replace.
fn component(path: &Path, replaces: Option<&str>, reader: &SqliteReader) -> Result<Package, Failure> {
    let name = match replaces {
        Some(name) => name.to_owned(),
        None => path.file_stem().unwrap_or_default().to_string_lossy().replace('_', "-"),
    };
    let in_force = dry_run::package_in_force(reader, &name)?.ok_or_else(|| {
        Failure::missing(format!(
            "no policy `{name}` is in force whose manifest the component could take; say which with --replaces, or name a folder"
        ))
    })?;
    let bytes = connect::read_bytes(path)?;
    Package::from_parts(name, in_force.manifest_text, bytes)
        .map_err(|error| Failure::invalid(error.to_string()))
}

/// `POLICY.KEY=VALUE`, the value as in TOML; a text may do without quotes.
fn setting(text: &str) -> Result<(String, String, serde_json::Value), Failure> {
    let parts = text.split_once('=').and_then(|(place, value)| {
        let (policy, key) = place.trim().split_once('.')?;
        Some((policy.to_owned(), key.to_owned(), value.trim()))
    });
    let Some((policy, key, value)) = parts else {
        return Err(Failure::invalid(format!(
            "--set {text}: is not POLICY.KEY=VALUE; write it like drift-ladder.watch-within=24h"
        )));
    };
    let parsed = toml::from_str::<BTreeMap<String, serde_json::Value>>(&format!("x = {value}"));
    let value = parsed.ok().and_then(|mut parsed| parsed.remove("x")).unwrap_or_else(|| value.into());
    Ok((policy, key, value))
}

/// Refuses a candidate that no host would put in force, and settings of policies that are not there.
fn check(
    overlay: &Overlay,
    sandbox: &Arc<trimtab_policy::Sandbox>,
    reader: &SqliteReader,
) -> Result<(), Failure> {
    let recorded = dry_run::configuration_in_force(reader)?;
    let configuration = overlay.configuration(&recorded);
    let rule =
        |name: &str| configuration.policies.get(name).map(|rule| rule.settings.clone()).unwrap_or_default();
    for package in overlay.packages() {
        Policy::register(sandbox, package, &rule(&package.name))
            .map_err(|error| Failure::invalid(error.to_string()))?;
    }
    for name in overlay.settings.keys() {
        if overlay.packages().iter().any(|package| package.name == *name) {
            continue;
        }
        let package = dry_run::package_in_force(reader, name)?
            .ok_or_else(|| Failure::missing(format!("--set {name}: no policy of this name is in force")))?;
        Policy::register(sandbox, &package, &rule(name))
            .map_err(|error| Failure::invalid(error.to_string()))?;
    }
    Ok(())
}

fn period(args: &PeriodArgs, reader: &SqliteReader) -> Result<Period, Failure> {
    let clock = dry_run::clock(reader)?;
    let time = |flag: &str, text: &Option<String>| -> Result<Option<Timestamp>, Failure> {
        let Some(text) = text else { return Ok(None) };
        if let Ok(ago) = parse_duration(text) {
            let seconds = clock.as_unix().saturating_sub(u64::from(ago));
            return Ok(Some(Timestamp::EPOCH.plus(seconds)));
        }
        Timestamp::parse(text).map(Some).map_err(|_| {
            Failure::invalid(format!(
                "--{flag} {text}: is neither a time, such as 2026-01-31T00:00:00Z, nor a length of time, such as 30d"
            ))
        })
    };
    let period = Period {
        since: time("since", &args.since)?,
        until: time("until", &args.until)?,
        tenant: args.filter.tenant.clone(),
        model: args.filter.model.clone(),
    };
    if period.since.zip(period.until).is_some_and(|(since, until)| since >= until) {
        return Err(Failure::invalid("--since is not before --until; nothing lies between them"));
    }
    Ok(period)
}

/// What was tried out, in words.
fn described(args: &DryRunArgs) -> String {
    let show = |path: &PathBuf| format!("`{}`", path.display());
    let parts = [
        args.candidate.as_ref().map(show),
        args.config.as_ref().map(show),
        (!args.set.is_empty()).then(|| args.set.join(", ")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(" with ")
}
