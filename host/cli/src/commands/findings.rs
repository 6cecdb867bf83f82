//! `trimtab findings`: what was found, newest first.

use trimtab_server::{ExitCode, Failure};
use trimtab_types::Finding;

use super::{filtered, query, show};
use crate::{
    args::{FindingsArgs, Global},
    connect,
    output::Output,
};

pub(crate) async fn run(
    global: &Global,
    args: &FindingsArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    #[derive(serde::Deserialize)]
    struct Answer {
        findings: Vec<Finding>,
    }
    let mut parts = filtered(&args.filter);
    parts.push(("limit", Some(args.limit.to_string())));
    parts.push(("open", args.open.then(|| "true".to_owned())));
    let answer: Answer = connect::connect(global).await?.get(&query("/v1/findings", &parts)).await?;
    if output.is_json() {
        output.json(&serde_json::json!({ "findings": answer.findings }))?;
    } else if answer.findings.is_empty() {
        output.line(if args.open { "no episode is open" } else { "nothing was found so far" })?;
    } else {
        output.table(&show::findings(&answer.findings))?;
    }
    Ok(ExitCode::Ok)
}
