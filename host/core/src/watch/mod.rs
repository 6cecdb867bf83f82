//! The watch: what the rows of a subject lead to. Detectors with their open episodes, windows, kept rows, sketches, scores
//! that wait, and what is due. A file for each detector that has something of its own; each takes the parts that it
//! looks at and nothing else. Reads nothing of what is decided; see `ledger`.

mod accuracy_z;
mod by_class;
mod calibration;
mod categories;
mod coverage;
mod difference;
mod e_process;
mod episode;
mod events;
mod feed;
mod health;
mod ks;
mod look;
mod online;
mod pairs;
mod performance;
mod provisional;
mod psi;
mod running;
mod sketches;
mod staleness;
mod subject;
mod times;
mod trading;
mod waiting;
mod window;

pub(crate) use e_process::{blocks, null_mean};
pub(crate) use episode::{At, ended};
pub(crate) use feed::{Pair, Settings};
pub(crate) use look::Look;
pub(crate) use staleness::{Now, Others};
pub use subject::SubjectState;
