//! The commands of this repository: `cargo xtask demo`, `test`, `policies`, `bench`, `lint`. No dependencies, so that it is
//! there at once on a fresh machine.

#![expect(clippy::disallowed_methods, reason = "clock and files are the host's concern; here is none")]

mod demo;
mod json;
mod tools;

use std::process::{Command, ExitCode};

use tools::{Failed, cargo, repository, run};

const USAGE: &str = "\
usage: cargo xtask COMMAND

  demo [--exit]   build host and policies and play a story: a model that degrades, and what becomes of it
  test            install what tests of other languages need, and run all tests; --no-languages leaves these out
  policies        build the shipped policies into policies/
  languages       install what policies in other languages than Rust are built with, build the ladder in each, and install Ray
  bench [NAME]    measure against peers, as ratios: stats, policy, fold, ingest, log, route; by simulation: run-lengths, detection
  lint            formatting and lints, as CI has them";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let command: &dyn Fn() -> Result<(), Failed> = match args.as_slice() {
        ["demo"] => &|| demo::demo(false),
        ["demo", "--exit"] => &|| demo::demo(true),
        ["test", rest @ ..] => &|| test(rest),
        ["policies"] => &policies,
        ["languages"] => &languages,
        ["bench", rest @ ..] => &|| bench(rest),
        ["lint"] => &lint,
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(64);
        }
    };
    match tools::find_places().and_then(|()| command()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failed(message)) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// Builds the shipped policies and puts each into its folder, which has the name of its crate.
fn policies() -> Result<(), Failed> {
    tools::ensure_target("wasm32-wasip2")?;
    let policies = tools::policies()?;
    let mut build = cargo(&["build", "--quiet", "--profile", "policy", "--target", "wasm32-wasip2"]);
    for policy in &policies {
        build.args(["--package", policy]);
    }
    run(&mut build)?;
    for policy in &policies {
        let built = tools::target_directory()
            .join("wasm32-wasip2/policy")
            .join(format!("{}.wasm", policy.replace('-', "_")));
        let place = repository().join("policies").join(policy).join(format!("{policy}.wasm"));
        tools::place(&built, &place)?;
    }
    Ok(())
}

/// The languages of the ladders beside the shipped one.
const LANGUAGES: &[&str] = &["js", "python", "c", "go"];

/// Builds the ladder in other languages, as anybody would, with `trimtab policy build`. What it needs comes from package
/// registries into the user's cache; the tests then find it there, and skip what they do not find.
fn languages() -> Result<(), Failed> {
    build()?;
    let others = tools::target_directory().join("policies-other/work");
    let mut failed = Vec::new();
    for language in LANGUAGES {
        let name = format!("drift-ladder-{language}");
        let mut build = Command::new(tools::program());
        build.args(["policy", "build"]).arg(repository().join("plugins").join(&name));
        // Where the tests look, so that nothing is built twice.
        let work = others.join(&name);
        std::fs::create_dir_all(&work).map_err(|error| Failed(format!("{}: {error}", work.display())))?;
        build.arg("--output").arg(work.join(format!("{name}.wasm"))).arg("--work").arg(work);
        if run(&mut build).is_err() {
            failed.push(*language);
        }
    }
    if ray().is_err() {
        failed.push("ray");
    }
    if failed.is_empty() {
        return Ok(());
    }
    Err(Failed(format!("not everything could be built: {}; the reasons are above", failed.join(", "))))
}

/// Installs the Ray that `contrib/ray` is tested with, where the tests look for it.
fn ray() -> Result<(), Failed> {
    let place = tools::target_directory().join("ray");
    let python = place.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&place))?;
    }
    let wanted = repository().join("contrib/ray/requirements.txt");
    run(Command::new(python).args(["-m", "pip", "install", "--quiet", "--requirement"]).arg(wanted))
}

/// Leaves out what is in other languages than Rust.
const NO_LANGUAGES: &str = "--no-languages";

/// Everything that a test needs, and then all tests in one build.
fn test(rest: &[&str]) -> Result<(), Failed> {
    let with_languages = !rest.contains(&NO_LANGUAGES);
    let rest = rest.iter().filter(|arg| **arg != NO_LANGUAGES);
    policies()?;
    // The integration tests run the real program.
    build()?;
    if with_languages {
        // Tests of what is missing say that they are skipped.
        if let Err(Failed(message)) = languages() {
            eprintln!("warning: {message}");
        }
    }
    run(cargo(&["test", "--all-targets"]).args(SELECTION).args(rest))
}

/// The packages that are selected, whatever is built of them: another selection would have other features, and build the
/// dependencies again.
const SELECTION: [&str; 3] = ["--workspace", "--exclude", "trimtab-bench"];

/// Builds the host, and none of the tests.
fn build() -> Result<(), Failed> {
    run(cargo(&["build", "--bin", "trimtab"]).args(SELECTION))
}

fn bench(rest: &[&str]) -> Result<(), Failed> {
    policies()?;
    run(cargo(&["run", "--quiet", "--profile", "bench", "--package", "trimtab-bench", "--"]).args(rest))
}

fn lint() -> Result<(), Failed> {
    run(&mut cargo(&["fmt", "--all", "--check"]))?;
    run(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}
