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
}
