//! Policies: user-supplied WebAssembly components that decide what to do about drift. This crate reads, checks, limits
//! and asks them. What becomes of an answer is not its business: a policy proposes and has no effect of its own.
//!
//! A folder becomes a [`Package`]; a package registered in the [`Sandbox`] becomes a [`Policy`]. Which policies are in
//! force is the engine's to say. Asking returns a [`Call`], whatever the policy does: its answer or why there is
//! none, what it read, wrote and logged, and what it used.

mod answer;
mod bindings;
mod cache;
mod compile;
mod contract;
mod convert;
mod fixture;
mod guest;
mod limits;
mod loaded;
mod manifest;
mod output;
mod package;
mod policy;
mod provenance;
mod register_error;
mod sandbox;
mod settings;
mod wasi;
mod world;

pub use compile::{COMPILE, ChildCompiler, CompileError, Compiler, compile_as_child};
pub use fixture::{
    Answer, Exercised, FIXTURES, Fixture, FixtureError, FixtureReport, Format, fixture_text, run_fixtures,
};
pub use limits::Limits;
pub use loaded::{GivenSettings, Loaded};
pub use manifest::{Grants, Manifest, ManifestError};
pub use package::{KeptPackage, MANIFEST, Package, PackageError, folders, is_temporary};
pub use policy::{Call, Policy};
pub use provenance::{ProvenanceError, SignatureState, admit};
pub use register_error::RegisterError;
pub use sandbox::{CallPath, Sandbox, SandboxError, SandboxOptions};
pub use settings::{Setting, SettingKind, SettingValue, Settings};
pub use trimtab_types::{AppliesTo, Globs, NoHistory, PolicyKind, Trust, TrustedKey, View};

#[cfg(test)]
mod tests;
