//! What can be said of `trimtab policy`.

use std::path::PathBuf;

use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use trimtab_author::Language;
use trimtab_policy::Kind;

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    #[command(subcommand)]
    pub(crate) command: PolicyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// The policies in force, and folders that are not and why.
    List,
    /// What a policy's folder holds: kinds, interface, imports and grants, limits, settings.
    Inspect {
        /// The policy's folder, or its name in the policies directory.
        policy: PathBuf,
    },
    /// Write a project to begin with: a small rule, settings, fixtures and the contract.
    New(PolicyNewArgs),
    /// Build a policy's project, in Rust, JavaScript, TypeScript, Python, C or Go, into a component.
    Build(PolicyBuildArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PolicyNewArgs {
    /// The policy's name, and that of its folder, which must not be there yet.
    pub(crate) name: String,
    /// The language.
    #[arg(long, value_parser = one_of(&Language::ALL, Language::name))]
    pub(crate) lang: Language,
    /// The question that the policy answers.
    #[arg(long, default_value = "drift-action", value_parser = one_of(&Kind::ALL, Kind::name))]
    pub(crate) kind: Kind,
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
