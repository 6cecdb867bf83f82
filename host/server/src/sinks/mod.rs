//! Where effects go.

pub(crate) mod queue_file;
