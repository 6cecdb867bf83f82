//! `trimtab policy merge`: the parts of a dry run, put together into the report of one run. It reads the parts and nothing else.

use trimtab_replay::parts::Part;
use trimtab_server::{ExitCode, Failure};

use super::{diff::Shown, dry_run::show, period};
use crate::{args::MergeArgs, connect, output::Output};

pub(super) fn merge(args: &MergeArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let mut parts = Vec::with_capacity(args.parts.len());
    for file in &args.parts {
        let part: Part = serde_json::from_slice(&connect::read_bytes(file)?).map_err(|error| {
            Failure::invalid(format!(
                "`{}` is not a part of a dry run ({error}); make it with `trimtab policy dry-run --shard`",
                file.display()
            ))
        })?;
        parts.push(part);
    }
    let (report, title, period) = Part::merge(parts)?;
    let compared = period::described(&period, period.until.unwrap_or_default());
    if report.diff.is_empty() {
        return Err(Failure::missing(format!(
            "there are no {compared}, with the candidate or without, and nothing to compare"
        )));
    }
    show(&report, &title, &compared, &Shown { examples: args.examples, html: args.html.as_deref() }, output)
}
