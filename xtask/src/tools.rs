//! Running other programs, and finding and installing what the commands need.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use crate::json::Json;

/// Why a command failed, for people.
pub(crate) struct Failed(pub(crate) String);

/// Where things are on this machine.
struct Places {
    repository: PathBuf,
    target: PathBuf,
}

/// Found once, by [`find_places`].
static PLACES: OnceLock<Places> = OnceLock::new();

/// Finds the repository and where cargo builds; before anything else. All of it is asked for when this program runs:
/// what was compiled in is another checkout's, where two share a target directory and cargo takes one's `xtask` for the
/// other's.
pub(crate) fn find_places() -> Result<(), Failed> {
    let here =
        std::env::current_dir().map_err(|error| Failed(format!("there is no current directory: {error}")))?;
    // Cargo tells those that it runs; started by hand this is run somewhere in the repository.
    let within = std::env::var_os("CARGO_MANIFEST_DIR").map_or(here, PathBuf::from);
    let Some(repository) = within.ancestors().find(|folder| folder.join("xtask/Cargo.toml").is_file()) else {
        let problem = "is not in a checkout of Trimtab; run `cargo xtask` in one";
        return Err(Failed(format!("{} {problem}", within.display())));
    };
    let target = target(repository)?;
    PLACES.get_or_init(|| Places { repository: repository.to_owned(), target });
    Ok(())
}

/// Where cargo builds, by its own word: an environment variable may say, or any of several files.
fn target(repository: &Path) -> Result<PathBuf, Failed> {
    let failed =
        |problem: &dyn std::fmt::Display| Failed(format!("cannot ask cargo where it builds: {problem}"));
    let output = cargo_in(repository, &["metadata", "--no-deps", "--format-version", "1"])
        .stderr(std::process::Stdio::inherit())
        .output()
        .map_err(|error| failed(&error))?;
    let metadata =
        Json::parse(&String::from_utf8_lossy(&output.stdout)).map_err(|problem| failed(&problem))?;
    match metadata.text("target_directory") {
        "" => Err(failed(&format!("`cargo metadata` ended with {}", output.status))),
        target => Ok(target.into()),
    }
}

/// The repository's root.
pub(crate) fn repository() -> &'static Path {
    &places().repository
}

/// Where cargo builds.
pub(crate) fn target_directory() -> &'static Path {
    &places().target
}

fn places() -> &'static Places {
    PLACES.get().expect("places are found before anything else is done")
}

/// The program that [`crate::build`] makes.
pub(crate) fn program() -> PathBuf {
    target_directory().join("debug/trimtab")
}

/// A call of the cargo that runs us.
pub(crate) fn cargo(args: &[&str]) -> Command {
    cargo_in(repository(), args)
}

fn cargo_in(directory: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(directory);
    command
}

/// Runs a program that must succeed.
pub(crate) fn run(command: &mut Command) -> Result<(), Failed> {
    let status = command.status().map_err(|error| Failed(format!("cannot run {command:?}: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failed(format!("{command:?} ended with {status}"))) }
}

/// Adds a target to the toolchain where it is missing: automatic installation may be switched off.
pub(crate) fn ensure_target(target: &str) -> Result<(), Failed> {
    let output = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(repository())
        .output()
        .map_err(|error| Failed(format!("cannot run rustc: {error}; install Rust with rustup")))?;
    let sysroot = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    if sysroot.join("lib/rustlib").join(target).join("lib").is_dir() {
        return Ok(());
    }
    eprintln!("adding the Rust target {target}");
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", target]).current_dir(repository());
    run(&mut rustup).map_err(|Failed(message)| {
        Failed(format!("{message}\nthe policies need the target {target}; add it to your Rust toolchain"))
    })
}

/// The names of the shipped policies, sorted: the folders with a manifest, of which each is built from the crate of its
/// name. What only a build has left behind has none.
pub(crate) fn policies() -> Result<Vec<String>, Failed> {
    let directory = repository().join("policies");
    let failed = |error: std::io::Error| Failed(format!("cannot read {}: {error}", directory.display()));
    let mut names = Vec::new();
    for entry in std::fs::read_dir(&directory).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.path().join("policy.toml").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// Puts a file into its place, if it is not there already, so that nobody reads half of it.
pub(crate) fn place(from: &Path, to: &Path) -> Result<(), Failed> {
    let failed =
        |error: std::io::Error| Failed(format!("cannot put {} to {}: {error}", from.display(), to.display()));
    let new = std::fs::read(from).map_err(failed)?;
    if std::fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    let temporary = to.with_extension("wasm.new");
    std::fs::write(&temporary, new).map_err(failed)?;
    std::fs::rename(&temporary, to).map_err(failed)
}
