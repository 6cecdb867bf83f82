//! Pages that people look at.

pub mod diff;
