//! `trimtab alerts`: what can be said.

use clap::{Args, Subcommand, ValueEnum};
use trimtab_types::AlertKind;

use super::FilterArgs;

#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<AlertsCommand>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// At most so many that were told or held back, newest first.
    #[arg(long, default_value_t = 20)]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertsCommand {
    /// Say that somebody knows: no reminder until there is news.
    Ack(AckArgs),
    /// Send nothing for a while; what is still there afterwards is told then.
    Silence(SilenceArgs),
    /// Send alerts again.
    Unsilence(UnsilenceArgs),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum KindArg {
    /// Errors, accuracy, trading, calibration.
    Performance,
    /// Score, features, categories.
    Data,
    /// Predictions or outcomes stay away.
    Feed,
    /// A policy failed.
    Policy,
}

impl From<KindArg> for AlertKind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Performance => Self::Performance,
            KindArg::Data => Self::Data,
            KindArg::Feed => Self::Feed,
            KindArg::Policy => Self::Policy,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct AckArgs {
    /// The model.
    pub(crate) model: String,
    /// Its owner.
    #[arg(long)]
    pub(crate) tenant: Option<String>,
    /// Only what is of this kind.
    #[arg(long)]
    pub(crate) kind: Option<KindArg>,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SilenceArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    /// For how long, such as 4h or 2d.
    #[arg(long = "for", value_name = "TIME")]
    pub(crate) time: String,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

#[derive(Debug, Args)]
pub(crate) struct UnsilenceArgs {
    #[command(flatten)]
    pub(crate) whom: WhomArgs,
    #[command(flatten)]
    pub(crate) who: WhoArgs,
}

/// About which models, and of what.
#[derive(Debug, Args)]
pub(crate) struct WhomArgs {
    /// The model.
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) model: Option<String>,
    /// Its owner.
    #[arg(long, conflicts_with = "all")]
    pub(crate) tenant: Option<String>,
    /// All models of all tenants.
    #[arg(long)]
    pub(crate) all: bool,
    /// Only what is of this kind.
    #[arg(long)]
    pub(crate) kind: Option<KindArg>,
}

/// Who acts, and why.
#[derive(Debug, Args)]
pub(crate) struct WhoArgs {
    /// Why; kept in the log.
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
    /// Who; the name of the user where nothing is said.
    #[arg(long)]
    pub(crate) actor: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct DeliveriesArgs {
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Only to this sink.
    #[arg(long)]
    pub(crate) sink: Option<String>,
    /// Only what is not delivered.
    #[arg(long)]
    pub(crate) failed: bool,
    /// At most so many.
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: u32,
}
