//! Running `trimtab` in a directory of its own.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// The repository's root.
pub(crate) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ has a parent").to_owned()
}

/// The program, as built with these tests.
pub(crate) fn program() -> PathBuf {
    let test = std::env::current_exe().expect("the test's own path");
    let built = test.parent().and_then(Path::parent).expect("target/PROFILE/deps").join("trimtab");
    assert!(built.exists(), "{} is not built; run the tests with `cargo xtask test`", built.display());
    built
}

/// A data directory that is removed at the end.
pub(crate) struct Scratch {
    directory: tempfile::TempDir,
}

/// What a run of the program gave.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Must have ended with this code.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Its answer as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}\n{}", self.stdout, self.stderr))
    }
}

impl Scratch {
    /// An empty directory.
    pub(crate) fn empty() -> Self {
        Self { directory: tempfile::tempdir().expect("a temporary directory") }
    }

    /// A data directory with the shipped policies and this configuration.
    pub(crate) fn with_config(config: &str) -> Self {
        let scratch = Self::empty();
        let policies = repository().join("policies");
        scratch.run(&["init", "--policies", policies.to_str().expect("UTF-8")]).expect(0);
        if !config.is_empty() {
            let path = scratch.data().join("trimtab.toml");
            let text = format!("[host]\npolicies = \"{}\"\n{config}", policies.display());
            std::fs::write(path, text).expect("writes");
        }
        scratch
    }

    /// The data directory.
    pub(crate) fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// A path beside the data directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a file beside the data directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("writes");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// The program on the data directory.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(args).arg("--data").arg(self.data()).env_remove("TRIMTAB_DATA").env("USER", "tester");
        command
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Run {
        Run::of(self.command(args).output().expect("runs"))
    }
}
