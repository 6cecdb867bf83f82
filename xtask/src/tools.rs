//! Running other programs, and finding and installing what the commands need.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Why a command failed, for people.
pub(crate) struct Failed(pub(crate) String);

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Where cargo builds.
pub(crate) fn target_directory() -> PathBuf {
    match std::env::var_os("CARGO_TARGET_DIR") {
        Some(directory) => repository().join(directory),
        None => repository().join("target"),
    }
}

/// A call of the cargo that runs us.
pub(crate) fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args).current_dir(repository());
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
