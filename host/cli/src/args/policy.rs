//! What can be said of `trimtab policy`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

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
    /// Build a policy's project, in Rust, JavaScript, TypeScript, Python, C or Go, into a component.
    Build(PolicyBuildArgs),
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
