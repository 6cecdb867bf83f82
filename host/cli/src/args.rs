//! The command line: what can be said. Each flag's documentation stands beside it.

mod alerts;
mod life;
mod policy;
mod retrain;
mod terms;

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

pub(crate) use alerts::{AckArgs, AlertsArgs, AlertsCommand, DeliveriesArgs, WhoArgs, WhomArgs};
pub(crate) use life::{
    ChangeArgs, CleanupArgs, CleanupCommand, ExperimentArgs, ExperimentCommand, LifeArgs, ModelCommand,
    PlanArgs, ProposalsArgs, ProposalsCommand, RegisterArgs, RouteArgs, ScheduleArgs, ScheduleCommand,
    StartArgs, VersionArgs,
};
pub(crate) use policy::{
    ApplyArgs, AskArgs, CompareArgs, DryRunArgs, MergeArgs, PeriodArgs, PolicyArgs, PolicyBuildArgs,
    PolicyCommand, PolicyNewArgs, PolicyRunArgs, PolicyTestArgs, RollbackArgs, StopArgs,
};

pub(crate) use retrain::{RetrainArgs, RetrainCommand};
pub(crate) use terms::{
    ConfidenceArgs, ConfidenceCommand, ExposureArgs, ExposureCommand, ModelArgs, ResumeArgs, RetireArgs,
};

const EXIT_CODES: &str = "\
Exit codes:
  0   done; check: no drift; verify: identical; may-trade: yes
  1   check: a warning, or nobody knows; import: a baseline of what is not there
  2   check: critical drift
  3   verify, policy dry-run, compare and test: a difference
  4   may-trade, route: no; the host says no: a stage, a safeguard, a proposal that is stale
  64  wrong command line          65  wrong data: a row, a file, a name
  66  not found                   69  host unreachable, overloaded or closing
  70  host broken                 74  a file or disk problem
  75  another host has the data   78  wrong configuration";

/// Watches the predictions of machine-learning models for drift, and acts by your own rules.
#[derive(Debug, Parser)]
#[command(name = "trimtab", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The data directory.
    #[arg(long, global = true, env = "TRIMTAB_DATA", default_value = "trimtab-data", value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Write JSON to stdout, with a schema version.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Say more on stderr; twice for all.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a data directory with a documented configuration.
    Init(InitArgs),
    /// Run the host: take rows over HTTP, fold, decide, deliver alerts.
    Serve(ServeArgs),
    /// Bring predictions and outcomes in from a file or from stdin.
    Import(ImportArgs),
    /// Set or show what subjects are held against.
    Baseline(BaselineArgs),
    /// Show the host, its models, subjects and policies.
    Status(StatusArgs),
    /// Say by exit code whether anything drifts, and write a report.
    Check(CheckArgs),
    /// List findings, newest first.
    Findings(FindingsArgs),
    /// List decisions, newest first, or show one with everything that led to it.
    Decisions(DecisionsArgs),
    /// Show what people were told and what was held back, and answer.
    Alerts(AlertsArgs),
    /// Show where alerts went, and what became of it.
    Deliveries(DeliveriesArgs),
    /// Show a stretch of time in figures: drifts, alerts, retrains, experiments, promotions, cleanup.
    Report(ReportArgs),
    /// Register versions, make one serve, and go back.
    Model(LifeArgs),
    /// Try a version beside the one that serves.
    Experiment(ExperimentArgs),
    /// Which version serves this?
    Route(RouteArgs),
    /// Show what waits for a person, and answer.
    Proposals(ProposalsArgs),
    /// Plan which versions may go.
    Cleanup(CleanupArgs),
    /// Retrain a model now, and show what became of it.
    #[command(alias = "retrains")]
    Retrain(RetrainArgs),
    /// Show how often a model is to be retrained.
    Schedule(ScheduleArgs),
    /// May this model be served, or traded on, and with how much weight?
    #[command(alias = "may-serve")]
    MayTrade(MayTradeArgs),
    /// Stop serving a model, or allow it again.
    Kill(KillArgs),
    /// Say that no further predictions are expected: of a model, a version, a segment, or with a feature.
    ///
    /// Their silence is no finding any more, and what is open of them ends. The next one that comes takes that back.
    Retire(RetireArgs),
    /// Show, set or clear how much of the usual exposure a model may have.
    #[command(alias = "weight")]
    Exposure(ExposureArgs),
    /// Set or clear the confidence below which no prediction is to be served.
    Confidence(ConfidenceArgs),
    /// Let policies decide about a model again that one of them paused.
    Resume(ResumeArgs),
    /// Fold the whole log again, ask the recorded policies again, and compare.
    Verify(VerifyArgs),
    /// Play a file of history through the same pipe into a scratch store.
    Backtest(BacktestArgs),
    /// List, inspect, test and swap policies.
    Policy(PolicyArgs),
    /// Show the configuration with every value that counts.
    Config(ConfigArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Show every key with its value, the defaults as well.
    Show(ConfigShowArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ConfigShowArgs {
    /// Say where each value comes from: a line of the file, the general detectors, or the default.
    #[arg(long)]
    pub(crate) origin: bool,
    /// The file; `trimtab.toml` in the data directory where nothing is said.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// The policies directory; `policies` in the data directory where nothing is said.
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ServeArgs {
    /// Serve on this loopback address too, such as 127.0.0.1:7878; overrides the configuration.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) listen: Option<SocketAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Comma-separated values; needs a map.
    Csv,
    /// `{"prediction": {…}}` or `{"outcome": {…}}` on each line.
    Ndjson,
}

#[derive(Debug, Args)]
pub(crate) struct SourceArgs {
    /// The file; `-` for stdin.
    pub(crate) file: PathBuf,
    /// What the columns mean, in TOML; needed for CSV. For NDJSON: which baselines to set on the way.
    #[arg(long, value_name = "FILE")]
    pub(crate) map: Option<PathBuf>,
    /// By the file's name where nothing is said.
    #[arg(long)]
    pub(crate) format: Option<Format>,
    /// Put the rows in the order of their times; without, a file that is not in order is refused.
    #[arg(long)]
    pub(crate) sort: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Rows that are kept together or not at all.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) batch: u32,
}

#[derive(Debug, Args)]
pub(crate) struct BaselineArgs {
    #[command(subcommand)]
    pub(crate) command: BaselineCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum BaselineCommand {
    /// Set a baseline: from the first rows, from a stretch of time, or from numbers.
    Set(BaselineSetArgs),
    /// Show the baselines.
    Show(FilterArgs),
}

#[derive(Debug, Args)]
pub(crate) struct BaselineSetArgs {
    #[arg(long)]
    pub(crate) model: String,
    #[arg(long)]
    pub(crate) version: String,
    #[arg(long, default_value = "")]
    pub(crate) segment: String,
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// From the first so many resolved predictions.
    #[arg(long, value_name = "ROWS")]
    pub(crate) first: Option<u64>,
    /// From the resolved predictions made at this time or later …
    #[arg(long, value_name = "TIME", requires = "until")]
    pub(crate) from: Option<String>,
    /// … and before this time.
    #[arg(long, value_name = "TIME", requires = "from")]
    pub(crate) until: Option<String>,
    /// By hand: resolved predictions behind the numbers.
    #[arg(long, requires = "accuracy")]
    pub(crate) samples: Option<u64>,
    /// By hand: share of right predictions, 0..1.
    #[arg(long, requires = "samples", value_parser = finite, allow_negative_numbers = true)]
    pub(crate) accuracy: Option<f64>,
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) precision: Option<f64>,
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) recall: Option<f64>,
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) f1: Option<f64>,
}

#[derive(Debug, Args, Default)]
pub(crate) struct FilterArgs {
    /// Only this model.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Of this tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Only what is open, paused or stopped.
    #[arg(long)]
    pub(crate) open: bool,
    #[command(flatten)]
    pub(crate) page: PageArgs,
}

/// Which part of a long list.
#[derive(Debug, Args)]
pub(crate) struct PageArgs {
    /// At most so many subjects, the worst first.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Where the page begins: what the one before said comes next.
    #[arg(long, value_name = "PLACE")]
    pub(crate) after: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Show only what is open or paused.
    #[arg(long)]
    pub(crate) open: bool,
    /// Where the report goes; `check_report.json` in the data directory where nothing is said.
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<PathBuf>,
    /// Exit 0 also where a version has no baseline, so that nobody knows how it is.
    #[arg(long)]
    pub(crate) allow_unknown: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FindingsArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Only episodes that are open.
    #[arg(long)]
    pub(crate) open: bool,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Debug, Args)]
pub(crate) struct DecisionsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<DecisionsCommand>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Only those of this policy; `host` for those that no policy made.
    #[arg(long)]
    pub(crate) policy: Option<String>,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DecisionsCommand {
    /// Show one decision with everything that led to it.
    Show {
        /// Its id.
        #[arg(required_unless_present = "last")]
        id: Option<String>,
        /// The newest one, of the model and policy that are named before `show`.
        #[arg(long, conflicts_with = "id")]
        last: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    /// Only of this model.
    #[arg(long)]
    pub(crate) model: Option<String>,
    /// Only of this tenant.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// The newest history, of this length.
    #[arg(long, value_name = "TIME", default_value = "30d")]
    pub(crate) since: String,
}

#[derive(Debug, Args)]
pub(crate) struct MayTradeArgs {
    /// The model.
    pub(crate) model: String,
    /// Its owner.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Switch {
    /// Nothing of it is to be served or traded.
    On,
    /// Allow it again.
    Off,
}

#[derive(Debug, Args)]
pub(crate) struct KillArgs {
    /// Stop, or allow again.
    pub(crate) switch: Switch,
    /// The model.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) model: Option<String>,
    /// Its owner.
    #[arg(long, conflicts_with = "all")]
    pub(crate) tenant: Option<String>,
    /// All models of all tenants.
    #[arg(long)]
    pub(crate) all: bool,
    /// Why; kept in the log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Who; the name of the user where nothing is said.
    #[arg(long)]
    pub(crate) actor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {}

#[derive(Debug, Args)]
pub(crate) struct BacktestArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// The configuration to run with; the defaults where nothing is said.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The policies to run with; without, every finding becomes an alert of the host's own.
    #[arg(long, value_name = "DIR")]
    pub(crate) policies: Option<PathBuf>,
    /// Keep the scratch store here, to look at it with the other commands.
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

/// A number that is one: what is not would be left out of a request in silence.
pub(crate) fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number; write it as 0.25".to_owned())?;
    if number.is_finite() {
        Ok(number)
    } else {
        Err("it is not a finite number; write it as 0.25".to_owned())
    }
}
