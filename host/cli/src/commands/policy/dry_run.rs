//! `trimtab policy dry-run`: which decisions would be others. It only reads, beside a running host or without one, in a
//! process of its own, so that it costs the host nothing and cannot touch what it does.

use std::sync::Arc;

use trimtab_log::{Listing, LogError, Reader, decision_of};
use trimtab_replay::{
    Standing,
    dry_run::{self, Asked, Report},
    parts::{Part, Share},
    period::Period,
    standing,
};
use trimtab_server::{ExitCode, Failure, client::Client, page::DiffPage};
use trimtab_sqlite::LogsReader;
use trimtab_types::{Question, Timestamp};

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
    let share = args.shard;
    let reader = if share.is_some() { for_part(global).await? } else { settled(global).await? };
    let in_force = Standing::read(&reader)?;
    let newest = standing::newest(&reader)?;
    let period = period::read(&args.period, newest, &reader)?;
    let overlay = Arc::new(candidate::read(global, args, &in_force, &reader)?);
    let sandbox = connect::sandbox(Some(data.join("cache")), &super::configuration(global)?.host)?;
    candidate::check(&overlay, args.config.as_deref(), &sandbox, &in_force, &reader)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = args.workers.map_or(cores, usize::from);
    let part: Part = {
        let output = &*output;
        let mut progress = |done, of| output.progress(&format!("folded {done} of {of} entries"));
        let open = || LogsReader::open(&data);
        let title = format!("Dry run of {}", candidate::described(args));
        let fold = args.fold;
        let asked =
            Asked { sandbox: &sandbox, overlay: &overlay, period: &period, title: &title, workers, fold };
        let share = share.unwrap_or(Share::ALL);
        tokio::task::block_in_place(|| dry_run::part(&open, &asked, share, &mut progress))?
    };
    output.progress("");
    if share.is_some() {
        output.json(&part)?;
        return Ok(ExitCode::Ok);
    }
    let (report, title, period) = Part::merge(vec![part])?;
    let compared = period::described(&period, newest);
    if report.diff.is_empty() {
        let last = last_decided(&period, &reader)?;
        return Err(nothing_decided(last, &compared));
    }
    show(&report, &title, &compared, &args.period.shown(), output)
}

/// Shows a report.
pub(super) fn show(
    report: &Report,
    title: &str,
    compared: &str,
    shown: &diff::Shown<'_>,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let folded = format!("{}, nothing written; {compared}", gone_through(report));
    let page = DiffPage {
        title,
        about: &[&[folded], report.remarks.as_slice()].concat(),
        labels: ["recorded", "candidate"],
        diff: &report.diff,
        settings: &report.settings,
    };
    diff::publish(&page, report, shown, output)
}

/// What was read, in words.
fn gone_through(report: &Report) -> String {
    let (entries, instant, all) = (report.entries, report.instant, report.diff.total.all());
    match instant {
        0 => format!("{entries} entries folded"),
        _ if instant == all => format!("{entries} entries, told from the record without folding a row"),
        _ => format!("{entries} entries, {instant} of {all} moments told from the record, the rest folded"),
    }
}

/// Decisions that are looked at at once.
const STEP: u32 = 1_000;

/// When something was last decided about the same models, whenever that was.
fn last_decided(period: &Period, reader: &dyn Reader) -> Result<Option<Timestamp>, LogError> {
    let ever = Period { since: None, until: None, ..period.clone() };
    let (tenant, model) = (period.tenant.clone(), period.model.clone());
    let mut listing = Listing { tenant, model, before: None, limit: STEP };
    loop {
        let decisions = reader.decisions(&listing)?;
        let Some(oldest) = decisions.last() else { return Ok(None) };
        listing.before = Some(oldest.seq);
        for stored in &decisions {
            let decision = decision_of(stored.shard, &stored.decision)?;
            if ever.is_about(&decision) && matches!(decision.question, Question::DriftAction { .. }) {
                return Ok(Some(decision.at));
            }
        }
    }
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

/// A reader for a part. Parts are made side by side, so none of them takes the directory for itself, unless something is still to
/// be folded.
async fn for_part(global: &Global) -> Result<LogsReader, Failure> {
    if Client::running(&global.data).await.is_none() {
        let reader = LogsReader::open(&global.data)?;
        if reader.shards()?.iter().all(|shard| shard.cursor == shard.head) {
            return Ok(reader);
        }
    }
    settled(global).await
}

/// A reader of the log, once everything that was acknowledged is folded and decided on.
pub(super) async fn settled(global: &Global) -> Result<LogsReader, Failure> {
    let _: serde_json::Value =
        connect::connect(global).await?.get("/v1/findings?settled=true&limit=1").await?;
    Ok(LogsReader::open(&global.data)?)
}
