//! `trimtab policy list`: what is in force, and what is not and why.

use trimtab_engine::PolicyProblem;
use trimtab_server::{ExitCode, Failure};
use trimtab_types::PolicyInForce;

use crate::{
    args::Global,
    connect,
    output::{Output, Table, Tone, cell},
};

pub(super) async fn list(global: &Global, output: &mut Output) -> Result<ExitCode, Failure> {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Listed {
        directory: String,
        policies: Vec<PolicyInForce>,
        problems: Vec<PolicyProblem>,
    }
    let listed: Listed = connect::connect(global).await?.get("/v1/policies").await?;
    if output.is_json() {
        output.json(&listed)?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["policy", "digest", "mode", "order", "answers"]);
    for entry in &listed.policies {
        table.row([
            cell(&entry.policy.name),
            cell(entry.policy.digest.short()),
            cell(format!("{:?}", entry.mode).to_lowercase()),
            cell(entry.order),
            cell(entry.kinds.join(", ")),
        ]);
    }
    if table.is_empty() {
        output.line(format!("no policy is in force (directory `{}`)", listed.directory))?;
    } else {
        output.table(&table)?;
    }
    for problem in &listed.problems {
        let serving = if problem.still_serving { "; the version before keeps serving" } else { "" };
        output.line(output.paint(&format!("not in force: {}{serving}", problem.problem), Tone::Warning))?;
    }
    Ok(ExitCode::Ok)
}
