//! `trimtab policy run`: one question, and everything about its answer.

use std::{io::Read, path::Path};

use trimtab_core::config::HostSettings;
use trimtab_policy::{Fixture, FixtureError, Format, fixture_text};
use trimtab_server::{ExitCode, Failure};

use super::{folder, package};
use crate::{
    args::{Global, PolicyRunArgs},
    commands::show,
    connect,
    output::{Output, Tone},
};

pub(super) fn run(global: &Global, args: &PolicyRunArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let package = package(&folder(global, &args.policy)?)?;
    let wrong = |error: FixtureError| match error {
        FixtureError::Read(_) => Failure::files(format!("{}: {error}", args.input.display())),
        _ => Failure::invalid(format!("{}: {error}", args.input.display())),
    };
    let (from, format) = input(&args.input)?;
    let question = Fixture::parse(&fixture_text(from).map_err(wrong)?, format).map_err(wrong)?;
    let kind = question.kind().map_err(wrong)?;
    let policy = question
        .policy(&connect::authors_sandbox(&HostSettings::default())?, &package)
        .map_err(|error| Failure::invalid(error.to_string()))?;
    let call = question.ask(&policy).map_err(wrong)?;
    let exit = if call.answer.is_ok() { ExitCode::Ok } else { ExitCode::Data };
    if output.is_json() {
        output.json(&serde_json::json!({
            "policy": package.name, "digest": package.digest, "kind": kind.name(),
            "answer": call.answer.as_ref().ok(), "failure": call.answer.as_ref().err(),
            "reads": call.reads, "notebook": call.notebook, "log": call.log,
            "fuel": call.fuel, "duration_us": u64::try_from(call.duration.as_micros()).unwrap_or(u64::MAX),
        }))?;
        return Ok(exit);
    }
    show::reads(&call.reads, output)?;
    match &call.answer {
        Ok(answer) => {
            output.line(format!("answered   {}", answer.to_string().replace('\n', "\n           ")))?
        }
        Err(failure) => output.line(output.paint(&format!("failed     {failure}"), Tone::Bad))?,
    }
    show::traces(&call.notebook, &call.log, output)?;
    show::took(call.duration.as_micros(), call.fuel, output)?;
    Ok(exit)
}

fn input(file: &Path) -> Result<(Box<dyn Read>, Format), Failure> {
    if file == Path::new("-") {
        return Ok((Box::new(std::io::stdin()), Format::Json));
    }
    let format = Format::of(file).ok_or_else(|| {
        Failure::invalid(format!("`{}`: questions are .json or .toml files", file.display()))
    })?;
    Ok((Box::new(connect::open_file(file)?), format))
}
