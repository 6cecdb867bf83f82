//! The languages that policies can be written in, with the file by which a project is known as one of them.

use std::str::FromStr;

/// A language of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names are the languages' own")]
pub enum Language {
    Rust,
    JavaScript,
    TypeScript,
    Python,
    C,
    Go,
}

impl Language {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Rust, Self::JavaScript, Self::TypeScript, Self::Python, Self::C, Self::Go];

    /// As it is said on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::JavaScript => "js",
            Self::TypeScript => "ts",
            Self::Python => "python",
            Self::C => "c",
            Self::Go => "go",
        }
    }

    /// The file that only projects in this language have.
    pub(crate) fn mark(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::JavaScript => "policy.js",
            Self::TypeScript => "policy.ts",
            Self::Python => "policy.py",
            Self::C => "policy.c",
            Self::Go => "go.mod",
        }
    }
}

impl std::fmt::Display for Language {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Language {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|language| language.name() == text);
        known.ok_or_else(|| {
            format!("there is no language `{text}`; use {}", Self::ALL.map(Self::name).join(", "))
        })
    }
}
