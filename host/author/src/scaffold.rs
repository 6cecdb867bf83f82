//! New projects, from templates that are part of the program. Every language has every kind of policy; a test scaffolds,
//! builds and runs all of them.

#![expect(clippy::disallowed_methods, reason = "a new project is files that are written")]

use std::path::{Path, PathBuf};

use crate::{CONTRACT, CONTRACT_FILE, language::Language};

const LONGEST_NAME: usize = 100;

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scaffolded {
    /// The project's folder.
    pub folder: PathBuf,
    /// Its files, relative to the folder.
    pub files: Vec<String>,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// The name cannot be a policy's.
    #[error(
        "`{0}` is no name for a policy; use at most {LONGEST_NAME} lower-case letters, digits, dashes and underscores, with a letter first"
    )]
    Name(String),
    /// There is no such kind.
    #[error("there is no kind `{given}`; use {known}", given = .0, known = kinds().join(", "))]
    Kind(String),
    /// There is no folder to make it in.
    #[error("there is no folder {}; make it first, or name another", .0.display())]
    NoParent(PathBuf),
    /// There is something already.
    #[error("{} is there already, and nothing is overwritten; choose another name or folder", .0.display())]
    Exists(PathBuf),
    /// A file or folder cannot be written.
    #[error("{} cannot be written: {cause}", .path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        cause: std::io::Error,
    },
}

/// Writes a project into the folder `name` of `parent`, which must not be there yet.
pub fn scaffold(
    parent: &Path,
    name: &str,
    language: Language,
    kind: &str,
) -> Result<Scaffolded, ScaffoldError> {
    let files = files(name, language, kind)?;
    let folder = parent.join(name);
    let failed = |path: &Path, cause| ScaffoldError::Write { path: path.to_owned(), cause };
    // A folder that nobody made is a typing mistake.
    if !parent.is_dir() {
        return Err(ScaffoldError::NoParent(parent.to_owned()));
    }
    // Not `create_dir_all`: it has to be new, also if somebody else makes it at this moment.
    std::fs::create_dir(&folder).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::AlreadyExists => ScaffoldError::Exists(folder.clone()),
        _ => failed(&folder, cause),
    })?;
    for (file, content) in &files {
        let path = folder.join(file);
        let within = path.parent().unwrap_or(&folder);
        std::fs::create_dir_all(within).map_err(|cause| failed(within, cause))?;
        std::fs::write(&path, content).map_err(|cause| failed(&path, cause))?;
    }
    Ok(Scaffolded { folder, files: files.into_iter().map(|(file, _)| file).collect() })
}

/// The files of a project and what is in them.
fn files(name: &str, language: Language, kind: &str) -> Result<Vec<(String, String)>, ScaffoldError> {
    check_name(name)?;
    let template = KINDS
        .iter()
        .find(|template| template.name == kind)
        .ok_or_else(|| ScaffoldError::Kind(kind.to_owned()))?;
    let words = words(language);
    let fill = |text: &str| {
        [
            ("{{name}}", name),
            ("{{kind}}", kind),
            ("{{language}}", words.language),
            ("{{main}}", words.main),
            ("{{needs}}", words.needs),
            ("{{editor}}", words.editor),
        ]
        .iter()
        .fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value))
    };
    let mut files = vec![
        ("policy.toml".to_owned(), fill(template.manifest)),
        ("README.md".to_owned(), fill(README)),
        (".gitignore".to_owned(), "/build\n/target\n/*.wasm\n".to_owned()),
        ("wit/world.wit".to_owned(), world(kind)),
        (format!("wit/{CONTRACT_FILE}"), CONTRACT.to_owned()),
        (words.main.to_owned(), template.source(language).to_owned()),
    ];
    let fixtures =
        template.fixtures.iter().map(|(name, text)| (format!("fixtures/{name}.toml"), (*text).to_owned()));
    files.extend(fixtures);
    files.extend(beside(language).iter().map(|(name, text)| ((*name).to_owned(), fill(text))));
    Ok(files)
}

/// A name becomes part of paths, of keys and, in Rust, of a crate.
fn check_name(name: &str) -> Result<(), ScaffoldError> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    let starts_well = name.starts_with(|c: char| c.is_ascii_lowercase());
    if !starts_well || name.len() > LONGEST_NAME || !name.chars().all(plain) {
        return Err(ScaffoldError::Name(name.chars().take(LONGEST_NAME).collect()));
    }
    Ok(())
}

/// The kinds that there are templates for.
fn kinds() -> [&'static str; KINDS.len()] {
    KINDS.map(|kind| kind.name)
}

/// A world that imports nothing that has to be granted: some tools import all of a world and others what is used, and a
/// grant that is right for the ones would be wrong for the others.
fn world(kind: &str) -> String {
    format!(
        "package local:policy;\n\n\
         // What the policy answers and what it reads. To read what is known of the subject as well, add\n\
         // `import trimtab:policy/history@0.1.0;` here and `history = true` to [grants] in policy.toml; to keep a\n\
         // notebook, the same with `state`.\n\
         world policy {{\n    include trimtab:policy/basics@0.1.0;\n    export trimtab:policy/{kind}@0.1.0;\n}}\n"
    )
}

/// What a README says of a language.
struct Words {
    language: &'static str,
    main: &'static str,
    needs: &'static str,
    editor: &'static str,
}

fn words(language: Language) -> Words {
    macro_rules! fetched {
        ($needs:literal) => {
            concat!(
                "The build needs ",
                $needs,
                ". What it needs beyond that is fetched at the first time, pinned, into the user's cache directory."
            )
        };
    }
    match language {
        Language::Rust => Words {
            language: "Rust",
            main: "policy.rs",
            needs: "The build needs Rust with its target `wasm32-wasip2`: `rustup target add wasm32-wasip2`.",
            editor: "Rules that ask nobody anything can be tested with `cargo test --lib`.",
        },
        Language::JavaScript => Words {
            language: "JavaScript",
            main: "policy.js",
            needs: fetched!("Node.js with npm"),
            editor: "Types are checked at every build. After the first one, editors know them, too, by `tsconfig.json`.",
        },
        Language::TypeScript => Words {
            language: "TypeScript",
            main: "policy.ts",
            needs: fetched!("Node.js with npm"),
            editor: "After the first build, editors know the types, too, by `tsconfig.json`.",
        },
        Language::Python => Words {
            language: "Python",
            main: "policy.py",
            needs: fetched!("Python with pip"),
            editor: "After the first build, the types are in `build/python`; `pyrightconfig.json` tells editors so.",
        },
        Language::C => Words {
            language: "C",
            main: "policy.c",
            needs: fetched!("Python with pip"),
            editor: "All `.c` files of the folder are compiled. After the first build, the header with all types is `build/c/trimtab.h`.",
        },
        Language::Go => Words {
            language: "Go",
            main: "policy.go",
            needs: fetched!("Python with pip"),
            editor: "After the first build, the types are in `build/go`; `go.mod` tells editors so.",
        },
    }
}

/// A language's files that are the same for all kinds.
fn beside(language: Language) -> &'static [(&'static str, &'static str)] {
    match language {
        Language::Rust => &[("Cargo.toml", include_str!("../templates/rust/Cargo.toml.txt"))],
        Language::JavaScript => &[("tsconfig.json", include_str!("../templates/js/tsconfig.json"))],
        Language::TypeScript => &[("tsconfig.json", include_str!("../templates/ts/tsconfig.json"))],
        Language::Python => &[("pyrightconfig.json", include_str!("../templates/python/pyrightconfig.json"))],
        Language::C => &[("compile_flags.txt", include_str!("../templates/c/compile_flags.txt"))],
        Language::Go => &[("go.mod", include_str!("../templates/go/go.mod.txt"))],
    }
}

const README: &str = include_str!("../templates/README.md");

/// The templates of one kind of policy.
#[derive(Debug, Clone, Copy)]
struct Kind {
    name: &'static str,
    manifest: &'static str,
    fixtures: &'static [(&'static str, &'static str)],
    rust: &'static str,
    js: &'static str,
    ts: &'static str,
    python: &'static str,
    c: &'static str,
    go: &'static str,
}

impl Kind {
    fn source(&self, language: Language) -> &'static str {
        match language {
            Language::Rust => self.rust,
            Language::JavaScript => self.js,
            Language::TypeScript => self.ts,
            Language::Python => self.python,
            Language::C => self.c,
            Language::Go => self.go,
        }
    }
}

macro_rules! kind {
    ($name:literal, [$($fixture:literal),*]) => {
        Kind {
            name: $name,
            manifest: include_str!(concat!("../templates/kinds/", $name, "/policy.toml")),
            fixtures: &[
                $(($fixture, include_str!(concat!("../templates/kinds/", $name, "/fixtures/", $fixture, ".toml")))),*
            ],
            rust: include_str!(concat!("../templates/rust/", $name, ".rs")),
            js: include_str!(concat!("../templates/js/", $name, ".js")),
            ts: include_str!(concat!("../templates/ts/", $name, ".ts")),
            python: include_str!(concat!("../templates/python/", $name, ".py")),
            c: include_str!(concat!("../templates/c/", $name, ".c")),
            go: include_str!(concat!("../templates/go/", $name, ".go")),
        }
    };
}

const KINDS: [Kind; 5] = [
    kind!("drift-action", ["grave", "mild", "recovered"]),
    kind!("alert-format", ["plain", "prefix"]),
    kind!("canary-promotion", ["better", "other-metric", "untrusted", "worse"]),
    kind!("cleanup", ["few", "five-versions"]),
    kind!("retrain-schedule", ["calm", "drifting", "trained-lately"]),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Project;

    #[test]
    fn every_language_has_every_kind() {
        let parent = tempfile::tempdir().expect("a folder");
        for language in Language::ALL {
            for kind in kinds() {
                let name = format!("{language}-{kind}");
                let made = scaffold(parent.path(), &name, language, kind).expect("is written");
                assert_eq!(Project::read(&made.folder).expect("a project").language, language);
                for file in &made.files {
                    let text = std::fs::read_to_string(made.folder.join(file)).expect("is text");
                    assert!(!text.contains("{{"), "{name}/{file} has a mark that was not filled");
                }
            }
        }
    }

    #[test]
    fn nothing_is_overwritten() {
        let parent = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(parent.path().join("mine")).expect("makes");
        std::fs::write(parent.path().join("file"), "mine").expect("writes");
        for name in ["mine", "file"] {
            let error = scaffold(parent.path(), name, Language::C, "cleanup").expect_err("is refused");
            assert!(error.to_string().contains("is there already"), "{error}");
        }
        assert_eq!(std::fs::read_dir(parent.path().join("mine")).expect("reads").count(), 0);
        assert_eq!(std::fs::read_to_string(parent.path().join("file")).expect("reads"), "mine");
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made() {
        let parent = tempfile::tempdir().expect("a folder");
        let nowhere = parent.path().join("nowhere");
        let error = scaffold(&nowhere, "mine", Language::C, "cleanup").expect_err("is refused");
        assert!(error.to_string().contains("there is no folder") && !nowhere.exists(), "{error}");
    }

    #[test]
    fn names_and_kinds_are_checked() {
        let long = "a".repeat(LONGEST_NAME + 1);
        for name in ["", "Mine", "../up", "a/b", "-a", "1st", "ä", "a b", ".", long.as_str()] {
            assert!(matches!(files(name, Language::C, "cleanup"), Err(ScaffoldError::Name(_))), "{name}");
        }
        let error = files("a", Language::C, "party").expect_err("is refused").to_string();
        assert!(error.contains("party") && error.contains("retrain-schedule"), "{error}");
    }
}
