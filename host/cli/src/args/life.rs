//! `trimtab model`, `experiment`, `route`, `proposals`, `cleanup` and `schedule`: what can be said.

use clap::{Args, Subcommand};

use super::{FilterArgs, ModelArgs, WhoArgs, finite};

/// Who changes something, why, and on what it is based.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) who: WhoArgs,
    /// Only if the model is still at this revision, as `model list` shows it.
    #[arg(long, value_name = "REVISION")]
    pub(crate) expect: Option<u64>,
    /// When it happened; now, or the time of the newest row where no host has served the directory yet.
    #[arg(long, value_name = "TIME")]
    pub(crate) at: Option<String>,
}

/// Which version of which model.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// The version.
    pub(crate) version: String,
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
}

#[derive(Debug, Args)]
pub(crate) struct LifeArgs {
    #[command(subcommand)]
    pub(crate) command: ModelCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    /// Make a version known.
    Register(RegisterArgs),
    /// Show the versions of a model, newest first.
    List(ModelArgs),
    /// Show one version with all that is known of it.
    Show {
        #[command(flatten)]
        model: ModelArgs,
        /// The version.
        version: String,
    },
    /// Show two versions side by side.
    Compare {
        #[command(flatten)]
        model: ModelArgs,
        /// One version.
        one: String,
        /// The other.
        other: String,
    },
    /// List what lies in the root of artifacts and belongs to no version; nothing is deleted.
    Orphans,
    /// Show which version served when, and what was done.
    History {
        #[command(flatten)]
        model: ModelArgs,
        /// Say which version served then.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
        /// At most so many events.
        #[arg(long, default_value_t = 20)]
        limit: u32,
    },
    /// Make a version serve.
    Promote {
        #[command(flatten)]
        version: VersionArgs,
        /// Although it is marked degraded.
        #[arg(long)]
        again: bool,
    },
    /// Go back to the version that served before; what is left is marked degraded.
    Rollback {
        #[command(flatten)]
        model: ModelArgs,
        /// To this version.
        #[arg(long)]
        to: Option<String>,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Put a version aside.
    Archive(VersionArgs),
    /// Mark a version, so that nothing makes it serve by accident.
    MarkDegraded(VersionArgs),
    /// Take the mark away.
    ClearDegraded(VersionArgs),
    /// Keep a version from being deleted.
    Pin(VersionArgs),
    /// Let it be deleted again.
    Unpin(VersionArgs),
    /// Bring a deleted version back.
    Restore(VersionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RegisterArgs {
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Its files, relative to the root of artifacts: a file or a directory.
    #[arg(long, value_name = "PATH")]
    pub(crate) artifact: Option<String>,
    /// A metric of its validation, such as accuracy=0.71; may be given several times.
    #[arg(long = "metric", value_name = "NAME=VALUE")]
    pub(crate) metrics: Vec<String>,
    /// Rows behind the metrics.
    #[arg(long, default_value_t = 0)]
    pub(crate) samples: u32,
    /// Anything to find it by; may be given several times.
    #[arg(long = "tag", value_name = "TEXT")]
    pub(crate) tags: Vec<String>,
    /// It serves at once, where nothing serves yet.
    #[arg(long)]
    pub(crate) champion: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExperimentArgs {
    #[command(subcommand)]
    pub(crate) command: ExperimentCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExperimentCommand {
    /// Say how long an experiment takes that is to show a difference.
    Plan(PlanArgs),
    /// Try a version beside the champion.
    Start(StartArgs),
    /// Show what is known of the experiments of a model.
    #[command(alias = "list")]
    Report(ModelArgs),
    /// Change the challenger's share of the traffic.
    Fraction {
        #[command(flatten)]
        model: ModelArgs,
        /// The version that is tried.
        version: String,
        /// 0..1.
        #[arg(value_parser = finite, allow_negative_numbers = true)]
        fraction: f64,
        #[command(flatten)]
        change: ChangeArgs,
    },
    /// Send everything to the champion for a while.
    Pause(VersionArgs),
    /// Go on; the same units get the challenger as before.
    Resume(VersionArgs),
    /// End it; the champion stays.
    Stop(VersionArgs),
    /// End it; the challenger serves.
    Promote(VersionArgs),
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What is compared: accuracy, win-rate or brier.
    #[arg(long, default_value = "accuracy")]
    pub(crate) metric: String,
    /// By how much the challenger is better; 0.02 is two points.
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) effect: f64,
    /// A difference up to this does not matter.
    #[arg(long, default_value_t = 0.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) margin: f64,
    /// How often the experiment is to show it.
    #[arg(long, default_value_t = 0.8, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) power: f64,
    /// How often it may show what is not there.
    #[arg(long, default_value_t = 0.05, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) alpha: f64,
    /// Rows that are one piece of evidence together.
    #[arg(long, default_value_t = 20)]
    pub(crate) block: u32,
    /// The challenger's share of the traffic.
    #[arg(long, default_value_t = 0.1, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) fraction: f64,
    /// When it ends, such as 30d.
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,
    /// Only served rows count, and arms are not compared row by row.
    #[arg(long)]
    pub(crate) affected: bool,
}

#[derive(Debug, Args)]
#[group(id = "design", required = true, multiple = false, args = ["shadow", "canary", "ab"])]
pub(crate) struct StartArgs {
    #[command(flatten)]
    pub(crate) version: VersionArgs,
    /// Its predictions are logged and never served.
    #[arg(long)]
    pub(crate) shadow: bool,
    /// It serves a small share.
    #[arg(long)]
    pub(crate) canary: bool,
    /// Both serve.
    #[arg(long)]
    pub(crate) ab: bool,
    /// Its share of the traffic, 0..1.
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) fraction: Option<f64>,
    /// A policy may raise its share up to this by itself.
    #[arg(long, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) ramp: Option<f64>,
    /// A difference up to this does not matter; 0.01 is one point.
    #[arg(long, default_value_t = 0.0, value_parser = finite, allow_negative_numbers = true)]
    pub(crate) margin: f64,
    /// Rows that are one piece of evidence together.
    #[arg(long, default_value_t = 20)]
    pub(crate) block: u32,
    /// When it ends undecided, such as 30d.
    #[arg(long, value_name = "TIME")]
    pub(crate) end: Option<String>,
    /// What is served changes what happens: only served rows count, and arms are not compared row by row.
    #[arg(long)]
    pub(crate) affected: bool,
    /// Although the version is marked degraded.
    #[arg(long)]
    pub(crate) again: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RouteArgs {
    #[command(flatten)]
    pub(crate) model: ModelArgs,
    /// What is routed: a user, an order, a bar.
    pub(crate) key: String,
}

#[derive(Debug, Args)]
pub(crate) struct ProposalsArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ProposalsCommand>,
    #[command(flatten)]
    pub(crate) filter: FilterArgs,
    /// Also those that are answered, expired or stale.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ProposalsCommand {
    /// Show one with everything that an answer depends on, and its hash.
    Show {
        /// Its id.
        id: String,
    },
    /// Let it go ahead.
    Approve {
        /// Its id.
        id: String,
        /// The hash that `show` printed.
        #[arg(long)]
        hash: String,
        /// Of a cleanup: only this version; may be given several times.
        #[arg(long = "only", value_name = "VERSION")]
        only: Vec<String>,
        #[command(flatten)]
        who: WhoArgs,
        /// When; now, or the time of the newest row where no host has served the directory yet.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
    /// Say no; the same is not proposed again for a day.
    Reject {
        /// Its id.
        id: String,
        /// The hash that `show` printed.
        #[arg(long)]
        hash: String,
        #[command(flatten)]
        who: WhoArgs,
        /// When; now, or the time of the newest row where no host has served the directory yet.
        #[arg(long, value_name = "TIME")]
        at: Option<String>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct CleanupArgs {
    #[command(subcommand)]
    pub(crate) command: CleanupCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CleanupCommand {
    /// Ask the policies which versions may go; nothing goes before a person has approved.
    Plan {
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        who: WhoArgs,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ScheduleArgs {
    #[command(subcommand)]
    pub(crate) command: ScheduleCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ScheduleCommand {
    /// Show how often a model is to be retrained.
    Show {
        #[command(flatten)]
        model: ModelArgs,
        /// Write nothing but a merge patch for a Kubernetes CronJob.
        #[arg(long)]
        cronjob: bool,
    },
    /// Ask the policies now.
    Plan {
        #[command(flatten)]
        model: ModelArgs,
        #[command(flatten)]
        who: WhoArgs,
    },
}
