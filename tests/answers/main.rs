//! `answers FOLDER COUNT CACHE` puts the same made-up questions to one drift-action policy and prints an answer a line.
//! `tests/all/languages.rs` runs it once for each language and compares. It judges nothing itself.

#![expect(clippy::print_stderr, reason = "this program says itself why it failed")]

mod questions;

use std::{
    collections::BTreeMap,
    error::Error,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use trimtab_policy::{Package, Policy, Sandbox, SandboxOptions};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [folder, count, cache] = args.as_slice() else {
        eprintln!("usage: answers FOLDER COUNT CACHE");
        return ExitCode::from(64);
    };
    match answer(folder.as_ref(), count, cache.into()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(folder: &Path, count: &str, cache: PathBuf) -> Result<(), Box<dyn Error>> {
    let count: usize = count.parse()?;
    let package = Package::read(folder)?;
    let sandbox = Sandbox::new(&SandboxOptions { cache: Some(cache), ..SandboxOptions::default() })?;
    // One registration for each set of settings; the first keeps the compiled code for the others.
    let policies = questions::settings()
        .iter()
        .map(|settings| Policy::register(&sandbox, &package, settings))
        .collect::<Result<Vec<_>, _>>()?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, question) in questions::questions().take(count).enumerate() {
        let policy = &policies[question.settings % policies.len()];
        let view = Arc::new(question.view.clone());
        let call = policy.decide(question.now, &question.findings, view, &BTreeMap::new());
        let answer = match &call.answer {
            Ok(decision) => {
                serde_json::json!({ "number": number, "question": question.digest(), "decision": decision, "reads": call.reads })
            }
            Err(failure) => return Err(format!("question {number}: {failure}").into()),
        };
        writeln!(out, "{answer}")?;
    }
    out.flush()?;
    Ok(())
}
