//! `trimtab policy dry-run`: which decisions would be others. It only reads, beside a running host or without one, in a
//! process of its own, so that it costs the host nothing and cannot touch what it does.

use std::sync::Arc;

use trimtab_engine::dry_run::{self, Period, Report};
use trimtab_server::{ExitCode, Failure, page::DiffPage};
use trimtab_store::{Listing, Reader, SqliteReader};

use super::{candidate, diff, period};
use crate::{
    args::{DryRunArgs, Global},
    connect,
    output::Output,
};

pub(super) async fn dry_run(
    global: &Global,
    args: &DryRunArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let data = global.data.clone();
    let reader = settled(global).await?;
    let in_force = dry_run::in_force(&reader)?;
    let period = period::read(&args.period, &in_force)?;
    let overlay = Arc::new(candidate::read(global, args, &in_force, &reader)?);
    let sandbox = connect::sandbox(Some(data.join("cache")))?;
    candidate::check(&overlay, args.config.as_deref(), &sandbox, &in_force, &reader)?;
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let report: Report = {
        let output = &*output;
        let mut progress = |done, of| output.progress(&format!("folded {done} of {of} entries"));
        let open = || SqliteReader::open(&data);
        tokio::task::block_in_place(|| {
            dry_run::dry_run(&open, &sandbox, &overlay, &period, workers, &mut progress)
        })?
    };
    output.progress("");
    let compared = period::described(&period, in_force.clock);
    if report.diff.is_empty() {
        return Err(nothing_decided(&period, &compared, &reader)?);
    }
    let folded = format!("{} entries folded, nothing written; {compared}", report.entries);
    let page = DiffPage {
        title: &format!("Dry run of {}", candidate::described(args)),
        about: &[&[folded], report.remarks.as_slice()].concat(),
        labels: ["recorded", "candidate"],
        diff: &report.diff,
        settings: &report.settings,
    };
    diff::publish(&page, &report, &args.period, output)
}

/// Nothing can be said of a candidate where nothing was to be decided.
fn nothing_decided(period: &Period, compared: &str, reader: &dyn Reader) -> Result<Failure, Failure> {
    let listing =
        Listing { tenant: period.tenant.clone(), model: period.model.clone(), until: None, limit: 1 };
    Ok(Failure::missing(match reader.decisions(&listing)?.first() {
        Some(last) => format!(
            "there are no {compared}, with the candidate or without, and nothing to compare; the last one was made at {}",
            last.at.for_people()
        ),
        None => format!(
            "there are no {compared}, with the candidate or without, and nothing to compare; none was made so far"
        ),
    }))
}

/// A reader of the log, once everything that was acknowledged is folded and decided on.
pub(super) async fn settled(global: &Global) -> Result<SqliteReader, Failure> {
    let _: serde_json::Value =
        connect::connect(global).await?.get("/v1/findings?settled=true&limit=1").await?;
    Ok(SqliteReader::open(&global.data)?)
}
