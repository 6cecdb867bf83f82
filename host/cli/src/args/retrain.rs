//! `trimtab retrain`: what can be said.

use clap::{Args, Subcommand};

use super::{ModelArgs, WhoArgs};

#[derive(Debug, Args)]
pub(crate) struct RetrainArgs {
    #[command(subcommand)]
    pub(crate) command: RetrainCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RetrainCommand {
    /// Begin a retrain, or join the one that goes on.
    Now {
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Show retrains, newest first.
    List {
        /// Only of this model.
        #[arg(long)]
        model: Option<String>,
        /// Only of this tenant.
        #[arg(long)]
        tenant: Option<String>,
        /// At most so many.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Show one with what its trainer said.
    Show {
        /// Its id.
        run: String,
    },
    /// End one.
    Cancel {
        /// Its id.
        run: String,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Say until when no drift has a model retrained again.
    Cooldown {
        #[command(flatten)]
        model: ModelArgs,
    },
    /// Have retrains begun again that failed again and again.
    CloseBreaker {
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        who: WhoArgs,
    },
}
