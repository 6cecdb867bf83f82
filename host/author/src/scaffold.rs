//! New projects, from templates that are part of the program. Every combination of a language and a kind of policy is
//! there, and each is built and run by a test.

use std::path::{Path, PathBuf};

pub struct Scaffolded;
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct ScaffoldError;
pub fn scaffold() {}
