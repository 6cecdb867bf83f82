//! `trimtab verify`: whether replay and record agree.

use trimtab_replay::verify::Report;
use trimtab_server::{ExitCode, Failure};

use crate::{
    args::{Global, VerifyArgs},
    connect,
    output::{Output, Tone, count},
};

pub(crate) async fn run(global: &Global, _: &VerifyArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let report: Report = connect::connect(global).await?.post("/v1/verify", &()).await?;
    show(&report, output)
}

/// Shows a report and gives the exit code that says the same.
pub(crate) fn show(report: &Report, output: &mut Output) -> Result<ExitCode, Failure> {
    let exit = if report.difference.is_none() { ExitCode::Ok } else { ExitCode::Different };
    if output.is_json() {
        output.json(report)?;
        return Ok(exit);
    }
    let counts = format!(
        "{} entries, {}, {}, {}, {}",
        report.entries,
        count(report.findings, "finding change"),
        count(report.decisions, "decision"),
        count(report.effects, "effect"),
        count(report.states, "state")
    );
    match &report.difference {
        None => output.line(format!("{}: {counts}", output.paint("identical", Tone::Good)))?,
        Some(difference) => {
            output.line(format!("{} after {counts}", output.paint("different", Tone::Bad)))?;
            output.line(format!(
                "first difference: {} {} at {}: {}",
                difference.what, difference.id, difference.place, difference.problem
            ))?;
        }
    }
    for build in report.builds.iter().filter(|_| report.builds.len() > 1) {
        output.line(format!(
            "build {} (rules {}): {} entries, {}, {}",
            build.build,
            build.rules,
            build.entries,
            count(build.decisions, "decision"),
            count(build.differences, "difference")
        ))?;
        if let Some(first) = build.first.as_ref().filter(|first| Some(*first) != report.difference.as_ref()) {
            output.line(format!(
                "  first: {} {} at {}: {}",
                first.what, first.id, first.place, first.problem
            ))?;
        }
    }
    Ok(exit)
}
