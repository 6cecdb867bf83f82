//! Paths from before the engine was cut into `core`, `replay`, `runtime` and `api`; it goes when nobody uses them any more.

pub use trimtab_api::{Bucket, MayTrade, PolicyCalls, PolicyProblem, PolicyVersion, RolledBack, rows};
pub use trimtab_core::{Configuration, config, decide::safeguards, detector, fold, measure, metric};
pub use trimtab_replay::{PrepareError, backtest, diff, dry_run, overlay, period, verify, words};
pub use trimtab_runtime::{Host, HostError, HostOptions, baseline, would_serve};
