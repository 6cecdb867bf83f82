//! Command lines as data: which program, with what, where. Nothing here runs one.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// A program that a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Program {
    /// Rust's.
    Cargo,
    /// JavaScript's.
    Node,
    /// The package manager that comes with it.
    Npm,
    /// `python3`.
    Python,
    /// One that is part of an installed toolchain.
    Installed(PathBuf),
}

impl Program {
    /// What is started.
    pub fn path(&self) -> OsString {
        match self {
            // Cargo tells those that it runs which one it is.
            Self::Cargo => std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()),
            Self::Node => "node".into(),
            Self::Npm => "npm".into(),
            Self::Python => "python3".into(),
            Self::Installed(path) => path.clone().into(),
        }
    }

    /// What to do where it is missing.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Cargo => "install Rust with rustup (https://rustup.rs)",
            Self::Node | Self::Npm => "install Node.js 18 or later with npm (Debian: apt install nodejs npm)",
            Self::Python => "install Python 3.10 or later with pip (Debian: apt install python3 python3-pip)",
            Self::Installed(_) => "the toolchain is damaged: remove its folder, and it is installed again",
        }
    }
}

/// A command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// For people: `checking types`.
    pub what: &'static str,
    /// What is run.
    pub program: Program,
    /// With what.
    pub args: Vec<OsString>,
    /// Set in addition to the environment that is there.
    pub env: Vec<(&'static str, OsString)>,
    /// Where.
    pub directory: PathBuf,
}

impl Invocation {
    pub(crate) fn new(what: &'static str, program: Program, directory: impl AsRef<Path>) -> Self {
        let directory = directory.as_ref().to_owned();
        Self { what, program, args: Vec::new(), env: Vec::new(), directory }
    }

    pub(crate) fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    pub(crate) fn args<T: Into<OsString>>(mut self, args: impl IntoIterator<Item = T>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.env.push((name, value.into()));
        self
    }
}
