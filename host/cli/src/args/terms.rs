//! `trimtab exposure`, `confidence`, `resume` and `retire`: what can be said.

use clap::{Args, Subcommand};

use super::{WhoArgs, finite};

/// Which model.
#[derive(Debug, Args)]
pub(crate) struct ModelArgs {
    /// The model.
    pub(crate) model: String,
    /// Its owner.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExposureArgs {
    #[command(subcommand)]
    pub(crate) command: ExposureCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExposureCommand {
    /// Show the exposure and what reduces it.
    Show(ModelArgs),
    /// Set the exposure; what policies reduced stays reduced.
    Set {
        #[command(flatten)]
        model: ModelArgs,
        /// Share of the usual exposure, 0..1.
        #[arg(value_parser = finite, allow_negative_numbers = true)]
        exposure: f64,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// Take back what reduces it.
    Clear {
        #[command(flatten)]
        model: ModelArgs,
        /// Only this cause, as `show` names it.
        #[arg(long)]
        cause: Option<String>,
        #[command(flatten)]
        who: WhoArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ConfidenceArgs {
    #[command(subcommand)]
    pub(crate) command: ConfidenceCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfidenceCommand {
    /// No prediction below this confidence is to be served.
    Set {
        #[command(flatten)]
        model: ModelArgs,
        /// 0..1.
        #[arg(value_parser = finite, allow_negative_numbers = true)]
        confidence: f64,
        #[command(flatten)]
        who: WhoArgs,
    },
    /// All predictions may be served.
    Clear {
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        who: WhoArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, Args)]
pub(crate) struct RetireArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// Only this version.
    #[arg(long)]
    pub(crate) version: Option<String>,
    /// Only this segment.
    #[arg(long)]
    pub(crate) segment: Option<String>,
    /// Only this feature: predictions come, and come without it.
    #[arg(long)]
    pub(crate) feature: Option<String>,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}
