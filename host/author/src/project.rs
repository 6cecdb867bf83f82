//! What a folder with a policy's sources holds: its name, its language, its world. Reads, and writes nothing.

use std::path::{Path, PathBuf};

use trimtab_types::{Digest, DigestBuilder};

use crate::{CONTRACT, CONTRACT_FILE, language::Language};

/// The largest source file that is read.
const LARGEST_SOURCE: u64 = 8 << 20;

/// A folder with the sources of one policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// Absolute.
    pub folder: PathBuf,
    /// The folder's name, and the component's.
    pub name: String,
    /// By the file that marks it.
    pub language: Language,
    /// Rust: the library's name, which is also that of what cargo builds.
    pub(crate) library: Option<String>,
    /// C and Go list them on the command line; file names, sorted.
    pub(crate) sources: Vec<String>,
}

/// Why a folder is no project.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// There is no such folder.
    #[error("there is no folder {}; `trimtab policy new` makes one", .0.display())]
    NoFolder(PathBuf),
    /// It has none of the files, or several.
    #[error(
        "{} {found}; a policy's project has exactly one of {}", .folder.display(), marks()
    )]
    Language {
        /// Which folder.
        folder: PathBuf,
        /// What was found instead.
        found: String,
    },
    /// A world is needed, and the folder has none.
    #[error(
        "{} is missing; it says which questions the policy answers, such as `package local:policy; world policy {{ include trimtab:policy/basics@0.1.0; export trimtab:policy/drift-action@0.1.0; }}`",
        .0.display()
    )]
    NoWorld(PathBuf),
    /// `Cargo.toml` does not say what it builds.
    #[error("{}: {problem}", .path.display())]
    Cargo {
        /// Which file.
        path: PathBuf,
        /// What is wrong and what to write.
        problem: String,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {cause}", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

fn marks() -> String {
    Language::ALL.map(|language| format!("{} ({language})", language.mark())).join(", ")
}

impl Project {
    /// Looks at a folder.
    pub fn read(folder: &Path) -> Result<Self, ProjectError> {
        let folder = folder.canonicalize().map_err(|_| ProjectError::NoFolder(folder.to_owned()))?;
        if !folder.is_dir() {
            return Err(ProjectError::NoFolder(folder));
        }
        let found: Vec<_> =
            Language::ALL.into_iter().filter(|language| folder.join(language.mark()).is_file()).collect();
        let [language] = found.as_slice() else {
            let found: Vec<_> = found.iter().map(|language| language.mark()).collect();
            let found = match found.as_slice() {
                [] => "has no policy's sources".to_owned(),
                several => format!("has {} beside each other", several.join(" and ")),
            };
            return Err(ProjectError::Language { folder, found });
        };
        let world = folder.join("wit/world.wit");
        if *language != Language::Rust && !world.is_file() {
            return Err(ProjectError::NoWorld(world));
        }
        let library = (*language == Language::Rust)
            .then(|| library(&folder.join(Language::Rust.mark())))
            .transpose()?;
        let sources = if *language == Language::C { files_ending(&folder, ".c")? } else { Vec::new() };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { folder, name, language: *language, library, sources })
    }

    /// Of everything that the component is built from, but for the toolchain.
    pub(crate) fn digest(&self, work: &Path) -> Result<Digest, ProjectError> {
        let mut files = Vec::new();
        self.collect(&self.folder, work, &mut files)?;
        files.sort();
        let mut digest = DigestBuilder::new("policy sources").part(self.language.name().as_bytes());
        if !self.folder.join("wit").join(CONTRACT_FILE).is_file() {
            digest = digest.part(CONTRACT.as_bytes());
        }
        for path in files {
            let name = path.strip_prefix(&self.folder).unwrap_or(&path).to_string_lossy().into_owned();
            digest = digest.part(name.as_bytes()).part(&read(&path)?);
        }
        Ok(digest.finish())
    }

    /// Source files, without what builds, tests and editors leave.
    fn collect(&self, folder: &Path, work: &Path, files: &mut Vec<PathBuf>) -> Result<(), ProjectError> {
        const NOT_SOURCES: [&str; 6] =
            ["build", "target", "node_modules", "fixtures", "__pycache__", "policy.toml"];
        let failed = |cause| ProjectError::Read { path: folder.to_owned(), cause };
        for entry in std::fs::read_dir(folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let other = path == work
                || name.starts_with('.')
                || NOT_SOURCES.contains(&name.as_str())
                || name.ends_with(".wasm")
                || name.ends_with(".md");
            if other {
                continue;
            }
            if path.is_dir() { self.collect(&path, work, files)? } else { files.push(path) }
        }
        Ok(())
    }
}

/// The name of the library that cargo builds.
fn library(path: &Path) -> Result<String, ProjectError> {
    let wrong = |problem: &str| ProjectError::Cargo { path: path.to_owned(), problem: problem.to_owned() };
    let text = String::from_utf8(read(path)?).map_err(|_| wrong("is not UTF-8 text"))?;
    let manifest: toml::Table = toml::from_str(&text).map_err(|error| wrong(&error.to_string()))?;
    let name = |table: &str| manifest.get(table)?.get("name")?.as_str();
    let name = name("lib").or_else(|| name("package"));
    let kinds = manifest.get("lib").and_then(|lib| lib.get("crate-type")).and_then(|kinds| kinds.as_array());
    if !kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind.as_str() == Some("cdylib"))) {
        return Err(wrong("a policy is a cdylib; add `[lib]` with `crate-type = [\"cdylib\", \"rlib\"]`"));
    }
    name.map(|name| name.replace('-', "_")).ok_or_else(|| wrong("has no `[package]` with a `name`"))
}

fn files_ending(folder: &Path, ending: &str) -> Result<Vec<String>, ProjectError> {
    let failed = |cause| ProjectError::Read { path: folder.to_owned(), cause };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(ending) && !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[expect(clippy::disallowed_methods, reason = "this module reads the sources of policies")]
fn read(path: &Path) -> Result<Vec<u8>, ProjectError> {
    let failed = |cause| ProjectError::Read { path: path.to_owned(), cause };
    let size = path.metadata().map_err(failed)?.len();
    if size > LARGEST_SOURCE {
        let cause =
            format!("it has {size} bytes, and sources have at most {LARGEST_SOURCE}; move it elsewhere");
        return Err(failed(std::io::Error::other(cause)));
    }
    std::fs::read(path).map_err(failed)
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "tests make folders")]
mod tests {
    use super::*;

    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        for (name, content) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
            std::fs::write(path, content).expect("writes");
        }
        folder
    }

    #[test]
    fn a_folder_is_known_by_its_mark() {
        for language in Language::ALL.into_iter().filter(|language| *language != Language::Rust) {
            let folder = folder(&[(language.mark(), ""), ("wit/world.wit", "")]);
            assert_eq!(Project::read(folder.path()).expect("a project").language, language);
        }
        let cargo = "[package]\nname = \"my-rule\"\n[lib]\ncrate-type = [\"cdylib\"]\n";
        let rust = folder(&[("Cargo.toml", cargo)]);
        let rust = Project::read(rust.path()).expect("a project");
        assert_eq!((rust.language, rust.library.as_deref()), (Language::Rust, Some("my_rule")));
    }

    #[test]
    fn what_is_no_project_says_why() {
        let cases: [(&[(&str, &str)], &str); 4] = [
            (&[], "has no policy's sources"),
            (&[("policy.js", ""), ("policy.py", "")], "policy.js and policy.py beside each other"),
            (&[("policy.py", "")], "world.wit is missing"),
            (&[("Cargo.toml", "[package]\nname = \"a\"\n")], "cdylib"),
        ];
        for (files, words) in cases {
            let folder = folder(files);
            let error = Project::read(folder.path()).expect_err("no project").to_string();
            assert!(error.contains(words), "should say `{words}`: {error}");
        }
    }

    #[test]
    fn the_digest_knows_sources_and_nothing_else() {
        let folder = folder(&[("policy.py", "a"), ("wit/world.wit", "w"), ("rule.py", "b")]);
        let project = Project::read(folder.path()).expect("a project");
        let digest = || project.digest(&folder.path().join("work")).expect("a digest");
        let write = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().expect("a parent")).expect("makes");
            std::fs::write(path, content).expect("writes");
        };
        let before = digest();
        for name in ["work/x", "build/x", ".git/x", "policy.toml", "fixtures/a.toml", "README.md", "p.wasm"] {
            write(name, "changed");
            assert_eq!(digest(), before, "{name}");
        }
        for name in ["rule.py", "wit/world.wit", "new/file.py"] {
            let before = digest();
            write(name, "changed");
            assert_ne!(digest(), before, "{name}");
        }
    }
}
