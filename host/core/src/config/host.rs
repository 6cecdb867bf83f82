//! Where a host finds and serves things, and what it may cost there. Nothing in a fold depends on it.

use std::time::Duration;

use serde::Deserialize;
use trimtab_types::{Size, Time};

use super::check::Need;

/// Where this host finds and serves things.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct HostSettings {
    /// The policies directory, relative to the data directory; `policies` in it where nothing is said.
    pub policies: Option<String>,
    /// The root of artifacts of versions, relative to the data directory; `artifacts` in it where nothing is said.
    pub artifacts: Option<String>,
    /// Address on loopback to serve HTTP on, besides the local socket.
    pub listen: Option<String>,
    /// Trainers that run at the same time.
    pub trainers: u32,
    /// Processor time that compiling one policy may take, in whole seconds; it counts from the next start.
    pub compile_time: Time,
    /// Memory that it may take; the same.
    pub compile_memory: Size,
}

impl Default for HostSettings {
    /// Ample for what the shipped languages make.
    fn default() -> Self {
        Self {
            policies: None,
            artifacts: None,
            listen: None,
            trainers: 1,
            compile_time: Time(Duration::from_secs(60)),
            compile_memory: Size(1 << 30),
        }
    }
}

impl HostSettings {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        need(self.compile_time.0 >= Duration::from_secs(1), "compile-time", "must be at least 1s");
        need(self.compile_memory.0 >= 64 << 20, "compile-memory", "must be at least 64MiB");
    }
}
