//! `trimtab check`: whether anything drifts, by exit code, with a report.

use trimtab_server::{CheckReport, ExitCode, Failure, replace_file};

use super::{filtered, query, show, status::FEW};
use crate::{
    args::{CheckArgs, Global},
    connect,
    output::Output,
};

/// Subjects in the report, the worst ones; it says how many there are.
const REPORTED: u32 = 10_000;
/// Subjects on the screen.
const SHOWN: usize = 200;

pub(crate) async fn run(global: &Global, args: &CheckArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let mut parts = filtered(&args.filter);
    parts.push(("limit", Some(REPORTED.to_string())));
    let report: CheckReport = connect::connect(global).await?.get(&query("/v1/check", &parts)).await?;
    let path = args.report.clone().unwrap_or_else(|| global.data.join("check_report.json"));
    let versioned = serde_json::json!({ "schema_version": trimtab_server::SCHEMA_VERSION, "report": report });
    let bytes = serde_json::to_vec_pretty(&versioned).map_err(|error| Failure::files(error.to_string()))?;
    replace_file(&path, &bytes)?;
    if output.is_json() {
        output.json(&report)?;
    } else {
        output.line(format!(
            "ok {}  warning {}  critical {}  unknown {}",
            report.ok, report.warning, report.critical, report.unknown
        ))?;
        let mut subjects = report.subjects.clone();
        if args.open {
            subjects.retain(|subject| !subject.open.is_empty() || subject.paused);
        }
        if !subjects.is_empty() {
            let hidden = subjects.len().saturating_sub(SHOWN);
            subjects.truncate(SHOWN);
            output.table(&show::subjects(&subjects))?;
            if hidden > 0 {
                output.line(format!("and {hidden} more, none of them worse; the report has them"))?;
            }
            show::strengths(&subjects, FEW).iter().try_for_each(|line| output.warning(line))?;
            show::waiting(&subjects).iter().take(FEW).try_for_each(|line| output.line(line))?;
            show::cannot_tell(&subjects).iter().try_for_each(|line| output.line(line))?;
        }
        if report.unknown > 0 && !args.allow_unknown {
            output.note(format!(
                "{} unknown: without a good baseline nobody knows how they are (`trimtab baseline set`); --allow-unknown lets that pass",
                report.unknown
            ));
        }
        output.note(format!("report: {}", path.display()));
    }
    Ok(if report.critical > 0 {
        ExitCode::Critical
    } else if report.warning > 0 || (report.unknown > 0 && !args.allow_unknown) {
        ExitCode::Warning
    } else {
        ExitCode::Ok
    })
}
