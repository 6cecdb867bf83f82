//! `trimtab`: the command line. A command reads as: load, ask, show. What a host does is behind the HTTP interface, so that
//! every command works with a running host and without one.

mod args;
mod commands;
mod connect;
mod import;
mod output;

use std::process;

use clap::Parser;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::{fmt, layer::SubscriberExt as _, util::SubscriberInitExt as _};
use trimtab_server::{ExitCode, Failure};

use crate::args::{Cli, Command};
use crate::output::Output;

fn main() -> process::ExitCode {
    // Before anything else of this program has begun: the child that compiles has limits on memory and threads of its own.
    let mut arguments = std::env::args_os().skip(1);
    let first = arguments.next();
    if first.as_ref().is_some_and(|first| first == trimtab_trainer::SUPERVISE) {
        return supervise(arguments.next().unwrap_or_default());
    }
    if first.is_some_and(|first| first == trimtab_policy::COMPILE) {
        let rest: Vec<_> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
        return code(trimtab_policy::compile_as_child(&rest));
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are not errors; anything else is a mistake on the command line.
            error.print().ok();
            return code(if error.use_stderr() { ExitCode::Usage } else { ExitCode::Ok } as u8);
        }
    };
    log_to_stderr(cli.global.verbose);
    let mut output = Output::new(cli.global.json);
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output.failure(&Failure::files(format!("cannot start the runtime: {error}")));
            return code(ExitCode::Broken as u8);
        }
    };
    match runtime.block_on(run(cli, &mut output)) {
        Ok(exit) => code(exit as u8),
        Err(failure) => {
            output.failure(&failure);
            code(failure.exit_code)
        }
    }
}

/// The process that watches a trainer. What becomes of it is in the run's folder; what is in the way of watching is printed,
/// for whoever starts it by hand.
fn supervise(folder: std::ffi::OsString) -> process::ExitCode {
    match trimtab_trainer::supervise(std::path::Path::new(&folder)) {
        Ok(()) => code(ExitCode::Ok as u8),
        Err(error) => {
            Output::new(false).failure(&Failure::files(error.to_string()));
            code(ExitCode::Broken as u8)
        }
    }
}

fn code(number: u8) -> process::ExitCode {
    process::ExitCode::from(number)
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    let asked = std::env::var("TRIMTAB_LOG").ok().and_then(|filter| filter.parse().ok());
    let filter = asked.unwrap_or_else(|| Targets::new().with_target("trimtab", level));
    // One line is written at once.
    let lines = fmt::layer().with_writer(|| output::Log).with_ansi(false);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

async fn run(cli: Cli, output: &mut Output) -> Result<ExitCode, Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Init(args) => commands::init::run(&global, &args, output),
        Command::Serve(args) => commands::serve::run(&global, &args, output).await,
        Command::Import(args) => commands::import::run(&global, &args, output).await,
        Command::Baseline(args) => commands::baseline::run(&global, &args, output).await,
        Command::Status(args) => commands::status::run(&global, &args, output).await,
        Command::Check(args) => commands::check::run(&global, &args, output).await,
        Command::Findings(args) => commands::findings::run(&global, &args, output).await,
        Command::Decisions(args) => commands::decisions::run(&global, &args, output).await,
        Command::Alerts(args) => commands::alerts::run(&global, &args, output).await,
        Command::Deliveries(args) => commands::deliveries::run(&global, &args, output).await,
        Command::Report(args) => commands::report::run(&global, &args, output).await,
        Command::Model(args) => commands::versions::run(&global, &args.command, output).await,
        Command::Experiment(args) => commands::life::experiment(&global, &args.command, output).await,
        Command::Route(args) => commands::life::route(&global, &args, output).await,
        Command::Proposals(args) => commands::life::proposals(&global, &args, output).await,
        Command::Cleanup(args) => commands::life::cleanup(&global, &args.command, output).await,
        Command::Retrain(args) => commands::retrain::run(&global, &args.command, output).await,
        Command::Schedule(args) => commands::life::schedule(&global, &args.command, output).await,
        Command::MayTrade(args) => commands::trade::may_trade(&global, &args, output).await,
        Command::Kill(args) => commands::trade::kill(&global, &args, output).await,
        Command::Exposure(args) => commands::terms::exposure(&global, &args.command, output).await,
        Command::Confidence(args) => commands::terms::confidence(&global, &args.command, output).await,
        Command::Retire(args) => commands::terms::retire(&global, &args, output).await,
        Command::Resume(args) => commands::terms::resume(&global, &args.model, &args.who, output).await,
        Command::Verify(args) => commands::verify::run(&global, &args, output).await,
        Command::Backtest(args) => commands::backtest::run(&global, &args, output).await,
        Command::Config(args) => commands::config::run(&global, &args, output),
        Command::Policy(args) => commands::policy::run(&global, &args, output).await,
    }
}
