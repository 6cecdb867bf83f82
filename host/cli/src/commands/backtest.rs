//! `trimtab backtest`: a file of history through the same pipe, into a scratch store.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde::Serialize;
use trimtab_core::Configuration;
use trimtab_replay::verify::Report;
use trimtab_runtime::{Host, HostOptions};
use trimtab_server::BaselineStatus;
use trimtab_server::{ExitCode, Failure, Service, Status, client::Client, clock};
use trimtab_types::Finding;

use super::show;
use crate::{
    args::{BacktestArgs, Global},
    connect,
    import::{Feed, NotSet, Source, Times},
    output::{Output, count},
};

/// Rows of one transaction.
const BATCH: u32 = 5_000;
/// Time between two ticks of the log's clock.
const TICK: u32 = 3_600;
/// Findings that are listed.
const LISTED: u32 = 10_000;

#[derive(Serialize)]
struct BacktestReport {
    file: String,
    lines: u64,
    rows: u64,
    predictions: u64,
    outcomes: u64,
    left_out: BTreeMap<String, Times>,
    remarks: BTreeMap<String, Times>,
    baselines: Vec<BaselineStatus>,
    baselines_not_set: Vec<NotSet>,
    status: Status,
    /// Oldest first.
    findings: Vec<Finding>,
    verify: Report,
    kept: Option<PathBuf>,
}

pub(crate) async fn run(_: &Global, args: &BacktestArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let source = Source::open(&args.source)?;
    let scratch = Scratch::new(args.keep.clone())?;
    let service = {
        let (directory, args_config, policies) =
            (scratch.path.clone(), args.config.clone(), args.policies.clone());
        connect::blocking(move || open(directory, args_config, policies)).await?
    };
    // History must not be played to fewer policies than were named.
    if let Some(problem) = service.host().policy_problems().into_iter().next() {
        return Err(Failure::invalid(problem.problem));
    }
    let client = Client::local(Arc::clone(&service));
    let name = source.name.clone();
    let feed = Feed::new(&client, BATCH, Some(TICK));
    let fed = feed.run(source, |fed| output.progress(&format!("{name}: {} lines", fed.lines))).await;
    output.progress("");
    let fed = fed?;
    #[derive(serde::Deserialize)]
    struct Answer {
        findings: Vec<Finding>,
    }
    let mut found: Answer = client.get(&format!("/v1/findings?settled=true&limit={LISTED}")).await?;
    found.findings.reverse();
    let status: Status = client.get("/v1/status?limit=10000").await?;
    let verify: Report = client.post("/v1/verify", &()).await?;
    drop((client, service));
    let summary = fed.summary();
    let report = BacktestReport {
        file: name,
        lines: fed.lines,
        rows: fed.new,
        predictions: fed.predictions,
        outcomes: fed.outcomes,
        left_out: fed.left_out,
        remarks: fed.remarks,
        baselines: fed.baselines,
        baselines_not_set: fed.not_set,
        status,
        findings: found.findings,
        verify,
        kept: args.keep.clone(),
    };
    if output.is_json() {
        output.json(&report)?;
        return Ok(if report.verify.difference.is_none() { ExitCode::Ok } else { ExitCode::Different });
    }
    output.line(format!("{}: {} lines, {} rows", report.file, report.lines, report.rows))?;
    summary.iter().try_for_each(|line| output.line(line))?;
    show::baselines(&report.baselines, output)?;
    output.line("")?;
    if report.findings.is_empty() {
        output.line("nothing was found")?;
    } else {
        output.table(&show::findings(&report.findings))?;
    }
    output.line("")?;
    output.table(&show::subjects(&report.status.subjects))?;
    show::unjudged(&report.status.subjects).iter().try_for_each(|line| output.line(line))?;
    let metrics = show::metrics(&report.status.subjects);
    if !metrics.is_empty() {
        output.line("")?;
        output.table(&metrics)?;
    }
    output.line("")?;
    output.line(format!(
        "{}, {}",
        count(report.status.counts.decisions, "decision"),
        count(report.status.counts.effects, "alert")
    ))?;
    let exit = super::verify::show(&report.verify, output)?;
    if let Some(kept) = &report.kept {
        output
            .line(format!("kept in `{0}`; look at it with trimtab --data {0} decisions", kept.display()))?;
    }
    Ok(exit)
}

fn open(
    directory: PathBuf,
    config: Option<PathBuf>,
    policies: Option<PathBuf>,
) -> Result<Arc<Service>, Failure> {
    let (text, configuration) = match &config {
        Some(path) => (connect::read_text(path)?, connect::read_configuration(path)?),
        None => (String::new(), Configuration::default()),
    };
    // With its configuration beside it, a store that is kept can be opened by the other commands.
    let path = directory.join(connect::CONFIG);
    let policies = match policies {
        Some(policies) => std::fs::canonicalize(&policies)
            .map_err(|error| Failure::files(format!("cannot find `{}`: {error}", policies.display())))?,
        None => connect::policies_directory(&directory, &configuration),
    };
    let kept = with_policies(&text, &policies)?;
    trimtab_server::replace_file(&path, kept.as_bytes())?;
    let sandbox = connect::sandbox(Some(directory.join("cache")), &configuration.host)?;
    let host = Host::open(HostOptions {
        artifacts: directory.join("artifacts"),
        directory,
        policies,
        configuration,
        sandbox,
        build: connect::BUILD.to_owned(),
        started: clock::change("backtest", ""),
    })?;
    Ok(Arc::new(Service::new(host, || Ok(Configuration::default()))))
}

/// A configuration that names this policies directory, whatever it named before: the same policies are in force when a
/// store that is kept is opened again.
fn with_policies(text: &str, policies: &Path) -> Result<String, Failure> {
    let mut configuration: toml_edit::DocumentMut =
        text.parse().map_err(|error: toml_edit::TomlError| Failure::invalid(error.to_string()))?;
    let host = configuration.entry("host").or_insert_with(toml_edit::table);
    host["policies"] = toml_edit::value(policies.display().to_string());
    Ok(configuration.to_string())
}

/// A directory for the time of a backtest, unless it is to be kept.
struct Scratch {
    path: PathBuf,
    keep: bool,
}

impl Scratch {
    fn new(keep: Option<PathBuf>) -> Result<Self, Failure> {
        let keeps = keep.is_some();
        let path = keep
            .unwrap_or_else(|| std::env::temp_dir().join(format!("trimtab-backtest-{}", std::process::id())));
        if path.join("trimtab.db").exists() {
            return Err(Failure::invalid(format!(
                "`{}` holds a store already; a backtest starts from nothing. Name another directory",
                path.display()
            )));
        }
        std::fs::create_dir_all(&path)
            .map_err(|error| Failure::files(format!("cannot create `{}`: {error}", path.display())))?;
        Ok(Self { path, keep: keeps })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.keep {
            // What cannot be removed from the temporary directory is its owner's to clean.
            std::fs::remove_dir_all(&self.path).ok();
        }
    }
}
