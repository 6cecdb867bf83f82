//! `trimtab status`: the host, its models, subjects and policies at a glance.

use trimtab_server::{ExitCode, Failure, Status};

use super::{paged, query, show};
use crate::{
    args::{Global, StatusArgs},
    connect,
    output::{Output, Table, Tone, cell, count},
};

/// Lines about baselines that fit beside fifty models.
pub(crate) const FEW: usize = 8;

pub(crate) async fn run(
    global: &Global,
    args: &StatusArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let filter = paged(&args.filter, &args.page, args.open);
    let mut status: Status = connect::connect(global).await?.get(&query("/v1/status", &filter)).await?;
    if let Some(wanted) =
        args.filter.model.as_ref().filter(|_| status.models.is_empty() && status.totals.subjects == 0)
    {
        return Err(Failure::missing(format!(
            "--model {wanted}: is not known; `trimtab status` lists models"
        )));
    }
    if output.is_json() {
        output.json(&status)?;
        return Ok(ExitCode::Ok);
    }
    if args.open {
        status.models.retain(|model| !model.may_trade.allowed || !model.may_trade.reasons.is_empty());
    }
    let counts = status.counts;
    output.line(format!("data       {}", status.directory))?;
    output.line(format!(
        "log        {} entries, {} folded, clock {}",
        status.head, status.folded, status.clock
    ))?;
    output.line(format!("rows       {} predictions, {} outcomes", counts.predictions, counts.outcomes))?;
    output.line(format!(
        "so far     {}, {}, {}",
        count(counts.findings, "finding change"),
        count(counts.decisions, "decision"),
        count(counts.effects, "alert")
    ))?;
    output.line(format!("health     {}", show::summary(&status.totals)))?;
    if status.waiting > 0 {
        let waits =
            format!("waits      {} for a person; see `trimtab proposals`", count(status.waiting, "proposal"));
        output.line(output.paint(&waits, Tone::Warning))?;
    }
    output.line(format!("sandbox    {}", status.sandbox))?;
    if let Some(behind) = &status.behind {
        output.line(output.paint(&format!("behind     {behind}"), Tone::Warning))?;
    }
    if let Some(trouble) = &status.trouble {
        output.line(output.paint(&format!("trouble    {trouble}"), Tone::Bad))?;
    }
    if !status.models.is_empty() {
        let mut table = Table::new(&["model", "stage", "may trade", "exposure", "because"]);
        for model in &status.models {
            let trade = &model.may_trade;
            let allowed =
                if trade.allowed { ("yes".to_owned(), Tone::Good) } else { ("no".to_owned(), Tone::Bad) };
            table.row([
                cell(format!("{}/{}", trade.tenant, trade.model)),
                cell(format!("{:?}", model.stage).to_lowercase()),
                allowed,
                cell(trade.exposure),
                cell(trade.reasons.join("; ")),
            ]);
        }
        output.line("")?;
        output.table(&table)?;
    }
    if !status.subjects.is_empty() {
        output.line("")?;
        output.table(&show::subjects(&status.subjects))?;
        show::rest(status.next.as_ref()).iter().try_for_each(|line| output.line(line))?;
        show::strengths(&status.subjects, FEW).iter().try_for_each(|line| output.warning(line))?;
        show::waiting(&status.subjects).iter().take(FEW).try_for_each(|line| output.line(line))?;
        show::unjudged(&status.subjects).iter().try_for_each(|line| output.line(line))?;
        show::cannot_tell(&status.subjects).iter().try_for_each(|line| output.line(line))?;
        let metrics = show::metrics(&status.subjects);
        if !metrics.is_empty() {
            output.line("")?;
            output.table(&metrics)?;
        }
    }
    for fleet in &status.fleet {
        output.line("")?;
        show::fleet(fleet).iter().try_for_each(|line| output.line(line))?;
    }
    let mut table = Table::new(&["policy", "digest", "mode", "order", "answers"]);
    for policy in &status.policies {
        table.row([
            cell(&policy.name),
            cell(&policy.digest[..12.min(policy.digest.len())]),
            cell(format!("{:?}", policy.mode).to_lowercase()),
            cell(policy.order),
            cell(policy.kinds.join(", ")),
        ]);
    }
    output.line("")?;
    if table.is_empty() {
        output.line("no policy is in force: every finding becomes an alert of the host's own")?;
    } else {
        output.table(&table)?;
    }
    for problem in &status.policy_problems {
        output.line(output.paint(&problem.to_string(), Tone::Warning))?;
    }
    Ok(ExitCode::Ok)
}
