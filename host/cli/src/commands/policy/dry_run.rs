//! `trimtab policy dry-run`: which decisions would be others. It only reads, beside a running host or without one, in a
//! process of its own, so that it costs the host nothing and cannot touch what it does.

use std::sync::Arc;

use trimtab_log::{Reader, StoreError};
use trimtab_replay::{
    dry_run::{self, Report},
    period::Period,
};
use trimtab_server::{ExitCode, Failure, page::DiffPage};
use trimtab_sqlite::SqliteReader;
use trimtab_types::{DecisionRecord, Position, Question, Timestamp};

use super::{
    candidate, diff,
    period::{self, STEP},
};
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
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = args.workers.map_or(cores, usize::from);
    let report: Report = {
        let output = &*output;
        let mut progress = |done, of| output.progress(&format!("folded {done} of {of} entries"));
        let open = || SqliteReader::open(&data);
        tokio::task::block_in_place(|| {
            dry_run::dry_run(&open, &sandbox, &overlay, &period, workers, &mut progress)
        })?
    };
    output.progress("");
    let compared = period::described(&period, in_force.newest());
    if report.diff.is_empty() {
        let last = last_decided(&period, in_force.position, &reader)?;
        return Err(nothing_decided(last, &compared));
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

/// When something was last decided about the same models, whenever that was.
fn last_decided(
    period: &Period,
    end: Position,
    reader: &dyn Reader,
) -> Result<Option<Timestamp>, StoreError> {
    let ever = Period { since: None, until: None, ..period.clone() };
    let decided = |decision: &&DecisionRecord| {
        ever.is_about(decision) && matches!(decision.question, Question::DriftAction { .. })
    };
    let mut until = end.0;
    while until > 0 {
        let from = until.saturating_sub(STEP);
        let decisions = reader.decided(Position(from), Position(until))?;
        if let Some(last) = decisions.iter().rfind(decided) {
            return Ok(Some(last.at));
        }
        until = from;
    }
    Ok(None)
}

/// Nothing can be said of a candidate where nothing was to be decided.
fn nothing_decided(last: Option<Timestamp>, compared: &str) -> Failure {
    let last = last.map_or("none was made so far".to_owned(), |last| {
        format!("the last one was made at {}", last.for_people())
    });
    Failure::missing(format!(
        "there are no {compared}, with the candidate or without, and nothing to compare; {last}"
    ))
}

/// A reader of the log, once everything that was acknowledged is folded and decided on.
pub(super) async fn settled(global: &Global) -> Result<SqliteReader, Failure> {
    let _: serde_json::Value =
        connect::connect(global).await?.get("/v1/findings?settled=true&limit=1").await?;
    Ok(SqliteReader::open(&global.data)?)
}
