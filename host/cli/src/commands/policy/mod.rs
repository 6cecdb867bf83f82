//! `trimtab policy`: what is in force, what a folder holds, and how one becomes the other. One file a command.

mod build;
mod diff;
mod dry_run;
mod history;
mod inspect;
mod list;
mod new;

use std::path::{Path, PathBuf};

use trimtab_policy::Package;
use trimtab_server::{ExitCode, Failure};
use trimtab_types::Mode;

use crate::{
    args::{Global, PolicyArgs, PolicyCommand},
    connect::{self, CONFIG},
    output::Output,
};

pub(crate) async fn run(
    global: &Global,
    args: &PolicyArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    match &args.command {
        PolicyCommand::List => list::list(global, output).await,
        PolicyCommand::DryRun(args) => dry_run::dry_run(global, args, output).await,
        PolicyCommand::Compare(args) => dry_run::compare(global, args, output).await,
        PolicyCommand::History { name } => history::history(global, name, output).await,
        PolicyCommand::Rollback(args) => history::rollback(global, args, output).await,
        PolicyCommand::Inspect { policy } => inspect::inspect(global, policy, output),
        PolicyCommand::New(args) => new::run(args, output),
        PolicyCommand::Build(args) => build::run(args, output),
    }
}

/// The policy that the caller means: a folder, or a name in the policies directory.
fn package(global: &Global, named: &Path) -> Result<Package, Failure> {
    let directory = policies_directory(global);
    let folder = if named.is_dir() { named.to_owned() } else { directory.join(named) };
    if !folder.is_dir() {
        return Err(Failure::missing(format!(
            "there is no policy folder `{}`, and none of that name in `{}`",
            named.display(),
            directory.display()
        )));
    }
    Package::read(&folder).map_err(|error| Failure::invalid(error.to_string()))
}

/// The policies directory of the data directory, or the one beside us where there is none.
fn policies_directory(global: &Global) -> PathBuf {
    let config = global.data.join(CONFIG);
    match connect::read_configuration(&config) {
        Ok(configuration) => connect::policies_directory(&global.data, &configuration),
        Err(_) => "policies".into(),
    }
}

/// A mode as configurations write it.
fn mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Enforce => "enforce",
        Mode::Shadow => "shadow",
        Mode::Off => "off",
    }
}
