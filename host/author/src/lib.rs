//! For authors of policies: starting a project in one of six languages, and building it into a component. What a policy
//! is and how it is asked is `trimtab-policy`'s business; nothing here runs one.
//!
//! A folder is a [`Project`]; from it and the places on this machine follows a [`Plan`], which is data; [`build`]
//! carries the plan out. Toolchains from package registries are pinned, and kept in a directory of their own.

mod bindings;
mod build;
mod declarations;
mod invocation;
mod language;
mod names;
mod plan;
mod project;
mod scaffold;
mod toolchain;

pub use build::{BuildError, Built, Options, build};
pub use invocation::Invocation;
pub use language::Language;
pub use plan::{Plan, Step};
pub use project::{Project, ProjectError};
pub use scaffold::{ScaffoldError, Scaffolded, scaffold};
pub use toolchain::{Toolchain, Toolchains, default_directory};

/// The contract with policies, as this host serves it.
pub const CONTRACT: &str = include_str!("../../../wit/policy.wit");
/// Where it stands in a project's `wit` folder.
pub(crate) const CONTRACT_FILE: &str = "deps/trimtab-policy.wit";
/// The name that a project gives its world.
pub(crate) const WORLD: &str = "policy";
