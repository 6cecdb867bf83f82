//! What can be said of `trimtab policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::FilterArgs;

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// The policies in force, and folders that are not and why.
    List,
    /// Fold the stored log again with something else in force, and show which decisions would be others.
    ///
    /// Nothing is written and nothing happens. Exit code 3: decisions change.
    DryRun(DryRunArgs),
    /// Hold what a policy in shadow mode says against what was decided.
    ///
    /// Exit code 3: they differ.
    Compare(CompareArgs),
    /// What was in force of a policy, when, and who changed it.
    History {
        /// Its name.
        name: String,
    },
    /// Go back to an earlier version of a policy.
    ///
    /// What lies in the policies directory is not put in force again until it changes.
    Rollback(RollbackArgs),
    /// What a policy's folder holds: kinds, interface, imports and grants, limits, settings.
    Inspect {
        /// The policy's folder, or its name in the policies directory.
        policy: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The policy.
    pub(crate) name: String,
    /// Beginning of the version's digest; the newest other version where nothing is said.
    #[arg(long, value_name = "DIGEST")]
    pub(crate) to: Option<String>,
    /// Why; kept in the log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Who; the name of the user where nothing is said.
    #[arg(long)]
    pub(crate) actor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PeriodArgs {
    /// Only decisions made at this time or later: a time, or a length of time before the log's newest entry, such as 30d.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only decisions made before this time.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Examples of each kind that are shown.
    #[arg(long, default_value_t = 3, value_name = "NUMBER")]
    pub(crate) examples: usize,
    /// Also write everything as one page.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct DryRunArgs {
    /// A policy's folder, a directory of policies, or a component in place of the one in force.
    #[arg(required_unless_present_any = ["config", "set"])]
    pub(crate) candidate: Option<PathBuf>,
    /// The policy whose manifest a component takes; by the file's name where nothing is said.
    #[arg(long, value_name = "NAME", requires = "candidate")]
    pub(crate) replaces: Option<String>,
    /// Another configuration: other thresholds, detectors, safeguards.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Another value of a policy's setting, such as drift-ladder.watch-within=24h; may be given several times.
    #[arg(long, value_name = "POLICY.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    #[command(flatten)]
    pub(crate) period: PeriodArgs,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The policy in shadow mode.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) period: PeriodArgs,
}
