//! `trimtab policy run`: one question, and everything about its answer.

use std::{io::Read, path::Path};

use trimtab_policy::{Fixture, Format, LONGEST_FIXTURE};
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
    let (text, format) = input(&args.input)?;
    let invalid =
        |error: &dyn std::fmt::Display| Failure::invalid(format!("{}: {error}", args.input.display()));
    let question = Fixture::parse(&text, format).map_err(|error| invalid(&error))?;
    let kind = question.kind().map_err(|error| invalid(&error))?;
    let sandbox = connect::sandbox(None)?;
    let call = question.ask(&sandbox, &package).map_err(|error| Failure::invalid(error.to_string()))?;
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
    output.line(format!("took       {} µs, {} units of fuel", call.duration.as_micros(), call.fuel))?;
    Ok(exit)
}

fn input(file: &Path) -> Result<(String, Format), Failure> {
    if file == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .take(LONGEST_FIXTURE + 1)
            .read_to_string(&mut text)
            .map_err(|error| Failure::files(format!("cannot read stdin: {error}")))?;
        return Ok((text, Format::Json));
    }
    let format = Format::of(file).ok_or_else(|| {
        Failure::invalid(format!("`{}`: questions are .json or .toml files", file.display()))
    })?;
    Ok((connect::read_text(file)?, format))
}
