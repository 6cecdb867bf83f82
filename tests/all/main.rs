//! Tests that run the real program: end to end, with real files, real signals and real crashes.

mod elec2;
mod support;
