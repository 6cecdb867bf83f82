//! `trimtab policy`: what is in force, what a folder holds, and how one becomes the other. One file a command.

mod apply;
mod build;
mod candidate;
mod check;
mod compare;
mod diff;
mod dry_run;
mod history;
mod inspect;
mod list;
mod merge;
mod new;
mod period;
mod run;
mod stop;
mod test;

use std::path::{Component, Path, PathBuf};

use trimtab_core::Configuration;
use trimtab_files::Directory;
use trimtab_policy::{MANIFEST, Package};
use trimtab_server::{ExitCode, Failure};

use crate::{
    args::{Global, PolicyArgs, PolicyCommand},
    commands::terms,
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
        PolicyCommand::Merge(args) => merge::merge(args, output),
        PolicyCommand::Compare(args) => compare::compare(global, args, output).await,
        PolicyCommand::History { name } => history::history(global, name, output).await,
        PolicyCommand::Rollback(args) => history::rollback(global, args, output).await,
        PolicyCommand::Apply(args) => apply::apply(global, args, output).await,
        PolicyCommand::Stop(args) => stop::stop(global, args, true, output).await,
        PolicyCommand::Start(args) => stop::stop(global, args, false, output).await,
        PolicyCommand::Ask(args) => terms::ask(global, args, output).await,
        PolicyCommand::Inspect { policy } => inspect::inspect(global, policy, output),
        PolicyCommand::Check { policies } => check::check(global, policies, output),
        PolicyCommand::Test(args) => test::test(global, args, output),
        PolicyCommand::Run(args) => run::run(global, args, output),
        PolicyCommand::New(args) => new::run(args, output),
        PolicyCommand::Build(args) => build::run(args, output),
    }
}

/// The folder of the policy that the caller means: a folder, or a name in the policies directory.
fn folder(global: &Global, named: &Path) -> Result<PathBuf, Failure> {
    let directory = policies_directory(global);
    let folder = if named.is_dir() { named.to_owned() } else { directory.join(named) };
    if !folder.is_dir() {
        return Err(Failure::missing(format!(
            "there is no policy folder `{}`, and none of that name in `{}`",
            named.display(),
            directory.display()
        )));
    }
    // A policy has the name of its folder, which `.` does not say; a link has one of its own.
    let named = folder.components().next_back().is_some_and(|last| matches!(last, Component::Normal(_)));
    let real = if named { std::path::absolute(&folder) } else { folder.canonicalize() };
    real.map_err(|error| Failure::files(format!("cannot open `{}`: {error}", folder.display())))
}

/// The folders of these policies. None named: the policy that we stand in, or all in the policies directory.
fn folders(global: &Global, named: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if !named.is_empty() {
        return named.iter().map(|named| folder(global, named)).collect();
    }
    if Path::new(MANIFEST).is_file() {
        return Ok(vec![folder(global, Path::new("."))?]);
    }
    let directory = policies_directory(global);
    if !directory.is_dir() {
        return Err(Failure::missing(format!(
            "there is no `{MANIFEST}` here and no policies directory `{}`; name a policy's folder",
            directory.display()
        )));
    }
    let found = trimtab_policy::folders(&Directory::open(&directory)?)?;
    Ok(found.into_iter().map(|(name, _)| directory.join(name)).collect())
}

fn package(folder: &Path) -> Result<Package, Failure> {
    Package::read(folder).map_err(|error| Failure::invalid(error.to_string()))
}

/// The configuration of the data directory, or the defaults where there is none.
fn configuration(global: &Global) -> Result<Configuration, Failure> {
    let config = global.data.join(CONFIG);
    if config.exists() { connect::read_configuration(&config) } else { Ok(Configuration::default()) }
}

/// The policies directory of the data directory, or the one beside us where there is none.
fn policies_directory(global: &Global) -> PathBuf {
    let config = global.data.join(CONFIG);
    match connect::read_configuration(&config) {
        Ok(configuration) => connect::policies_directory(&global.data, &configuration),
        Err(_) => "policies".into(),
    }
}
