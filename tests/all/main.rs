//! Tests that run the real program: end to end, with real files, real signals and real crashes.

#![expect(
    clippy::disallowed_methods,
    reason = "tests stand outside of the program: they make its files and look at its clock"
)]

mod alerts;
mod allocations;
mod authoring;
mod browser;
mod compiling;
mod corpus;
mod crash;
mod crates;
mod doors;
mod dry_run;
mod elec2;
mod experiments;
mod files;
mod gate;
mod goldens;
mod hostile;
mod imports;
mod input;
mod judging;
mod languages;
mod life;
mod monitoring;
mod output;
mod pagers;
mod pages;
mod policies;
mod proposals;
mod requests;
mod retrain;
mod serving;
mod silence;
mod sinks;
mod storage;
mod stream;
mod support;
mod swap;
mod trust;
mod tutorials;
mod verify;
