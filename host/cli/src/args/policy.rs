//! What can be said of `trimtab policy`.

use std::path::PathBuf;

use clap::{
    ArgGroup, Args, Subcommand,
    builder::{NonEmptyStringValueParser, PossibleValuesParser, TypedValueParser},
};
use trimtab_author::Language;
use trimtab_policy::PolicyKind;
use trimtab_replay::parts::Share;

use super::{FilterArgs, WhoArgs};

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
    /// Nothing is written and nothing happens. Exit code 3: decisions change; 66: there is nothing to compare.
    DryRun(DryRunArgs),
    /// Put the parts of a dry run together, which `dry-run --shard` wrote, into the report of one run.
    ///
    /// Exit code 3: decisions change; 65: they are not the parts of one run.
    Merge(MergeArgs),
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
    /// Put the version in the policies directory in force that a gate holds back.
    Apply(ApplyArgs),
    /// Ask a policy nothing more, whatever version of it is in force, until it is started again.
    ///
    /// It holds at once, ahead of everything that is not folded yet, and works also without a host.
    Stop(StopArgs),
    /// Have a policy asked again that was stopped.
    Start(StopArgs),
    /// Ask a policy in force about what is open of a model, now.
    Ask(AskArgs),
    /// What a policy's folder holds: kinds, interface, imports and grants, limits, settings.
    Inspect {
        /// The policy's folder, or its name in the policies directory.
        policy: PathBuf,
    },
    /// Say whether the host would put a policy in force: component, interface, grants, settings, its fixtures.
    Check {
        /// Folders, or names in the policies directory; where nothing is said, the folder that this is, or all of them.
        policies: Vec<PathBuf>,
    },
    /// Run a policy's fixtures, and say what of it they exercise.
    ///
    /// Exit code 3: an answer differs from what is expected.
    Test(PolicyTestArgs),
    /// Ask a policy one question, and show its answer, what it read and what it used.
    Run(PolicyRunArgs),
    /// Write a project to begin with: a small rule, settings, fixtures and the contract.
    New(PolicyNewArgs),
    /// Build a policy's project, in Rust, JavaScript, TypeScript, Python, C or Go, into a component.
    Build(PolicyBuildArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyTestArgs {
    /// Folders, or names in the policies directory; where nothing is said, the folder that this is, or all of them.
    pub(crate) policies: Vec<PathBuf>,
    /// Where an answer differs, write it into the fixture as what is expected. Never writes a failure.
    #[arg(long)]
    pub(crate) update: bool,
    /// A policy without fixtures is an error: exit code 66.
    #[arg(long)]
    pub(crate) fail_on_empty: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyRunArgs {
    /// The policy's folder, or its name in the policies directory.
    pub(crate) policy: PathBuf,
    /// The question, written like a fixture, in JSON or TOML by its ending; `-`: JSON from stdin.
    #[arg(long, value_name = "FILE")]
    pub(crate) input: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyNewArgs {
    /// The policy's name, and that of its folder, which must not be there yet.
    pub(crate) name: String,
    /// The language.
    #[arg(long, value_parser = one_of(&Language::ALL, Language::name))]
    pub(crate) lang: Language,
    /// The question that the policy answers.
    #[arg(long, default_value = "drift-action", value_parser = one_of(&PolicyKind::ALL, PolicyKind::name))]
    pub(crate) kind: PolicyKind,
    /// The folder in which the project's folder is made.
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) r#in: PathBuf,
}

/// Reads one of these by its name; the names are in the help and in the error.
fn one_of<T>(all: &'static [T], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    let names = all.iter().map(|one| name(*one));
    PossibleValuesParser::new(names).try_map(move |text| {
        all.iter().copied().find(|one| name(*one) == text).ok_or("there is no such name")
    })
}

#[derive(Debug, Args)]
pub(crate) struct PolicyBuildArgs {
    /// The project.
    #[arg(default_value = ".")]
    pub(crate) folder: PathBuf,
    /// Where to put the component; NAME.wasm in the project where nothing is said.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// For intermediate files; `build` in the project where nothing is said.
    #[arg(long, value_name = "DIR")]
    pub(crate) work: Option<PathBuf>,
    /// Where toolchains from package registries are kept; `trimtab/toolchains` in the user's cache directory where
    /// nothing is said.
    #[arg(long, env = "TRIMTAB_TOOLCHAINS", value_name = "DIR")]
    pub(crate) toolchains: Option<PathBuf>,
    /// Install nothing: use the toolchains that are there.
    #[arg(long)]
    pub(crate) offline: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StopArgs {
    /// The policy.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// The policy.
    pub(crate) name: String,
    /// The model.
    #[arg(long)]
    pub(crate) model: String,
    /// Owner of the model.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, Args)]
pub(crate) struct ApplyArgs {
    /// The policy.
    pub(crate) name: String,
    /// The version that was looked at; with another one in the folder nothing happens.
    #[arg(long)]
    pub(crate) digest: String,
    /// Ask it about what is open, too; otherwise what the version before decided about that stands.
    #[arg(long)]
    pub(crate) ask: bool,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The policy.
    pub(crate) name: String,
    /// Beginning of the version's digest; the version before the one in force where nothing is said.
    #[arg(long, value_name = "DIGEST", value_parser = NonEmptyStringValueParser::new())]
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
    /// Only decisions made at this time or later: a time, a date (its midnight in UTC), or a length of time before the
    /// log's newest entry, such as 30d.
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
#[command(group = ArgGroup::new("tried").args(["candidate", "config", "set"]).required(true).multiple(true))]
pub(crate) struct DryRunArgs {
    /// A policy's folder or its name in the policies directory, a directory of policies, or a component in place of the one
    /// in force. One policy alone decides whatever its mode.
    pub(crate) candidate: Option<PathBuf>,
    /// The policy whose manifest a component takes; by the file's name where nothing is said.
    #[arg(long, value_name = "NAME", requires = "candidate")]
    pub(crate) replaces: Option<String>,
    /// Another configuration: other thresholds, detectors, safeguards.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Another value of a policy's setting, such as drift-ladder.watch-retrain-within=24h; may be given several times.
    #[arg(long, value_name = "POLICY.KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// Threads that fold, each some of the models; as many as there are cores where nothing is said. The result is the same.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) workers: Option<std::num::NonZeroUsize>,
    /// Fold all rows, also where what was recorded of them would do. It takes longer and comes to the same.
    #[arg(long)]
    pub(crate) fold: bool,
    /// Fold a part of the 64 logs only, such as 2/8, and write what it comes to as JSON, for `policy merge`; wants --until, so
    /// that all parts are about the same decisions.
    #[arg(long, value_name = "K/N", requires = "until", conflicts_with_all = ["html", "examples"], value_parser = Share::parse)]
    pub(crate) shard: Option<Share>,
    #[command(flatten)]
    pub(crate) period: PeriodArgs,
}

#[derive(Debug, Args)]
pub(crate) struct MergeArgs {
    /// Files that `policy dry-run --shard` wrote, one a part, in any order.
    #[arg(required = true)]
    pub(crate) parts: Vec<PathBuf>,
    /// Show so many examples of each direction.
    #[arg(long, value_name = "NUMBER", default_value_t = 3)]
    pub(crate) examples: usize,
    /// Write a page for a browser.
    #[arg(long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// The policy in shadow mode.
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) period: PeriodArgs,
}
