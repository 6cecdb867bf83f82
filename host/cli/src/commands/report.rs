//! `trimtab report`: a stretch of time in figures.

use trimtab_api::Report;
use trimtab_server::{ExitCode, Failure};
use trimtab_types::parse_duration;

use super::query;
use crate::{
    args::{Global, ReportArgs},
    connect,
    output::{Output, Table, Tone, cell},
};

pub(crate) async fn run(
    global: &Global,
    args: &ReportArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let since = parse_duration(&args.since)
        .map_err(|invalid| Failure::invalid(format!("--since: {}", invalid.problem)))?;
    let parts =
        [("tenant", args.tenant.clone()), ("model", args.model.clone()), ("since", Some(since.to_string()))];
    let report: Report = connect::connect(global).await?.get(&query("/v1/report", &parts)).await?;
    if output.is_json() {
        output.json(&report)?;
        return Ok(ExitCode::Ok);
    }
    output.line(format!("from {} to {}", report.since.for_people(), report.until.for_people()))?;
    let mut table = Table::new(&["figure", "value", "wanted", "note"]);
    for measure in &report.measures {
        let tone = match measure.is_met {
            Some(true) => Tone::Good,
            Some(false) => Tone::Bad,
            None if measure.value.is_none() => Tone::Faint,
            None => Tone::Plain,
        };
        table.row([
            cell(&measure.name),
            (measure.shown.clone(), tone),
            cell(measure.target.as_deref().unwrap_or("")),
            cell(measure.note.as_deref().unwrap_or("")),
        ]);
    }
    output.table(&table)?;
    Ok(ExitCode::Ok)
}
