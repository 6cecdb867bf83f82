//! `trimtab policy list`: what is in force and how it does, and what is not in force and why.

use trimtab_server::{ExitCode, Failure, NotGranted, PoliciesAnswer};
use trimtab_types::PolicyInForce;

use crate::{
    args::Global,
    connect,
    output::{Output, Table, Tone, cell, count, percent},
};

pub(super) async fn list(global: &Global, output: &mut Output) -> Result<ExitCode, Failure> {
    let listed: PoliciesAnswer = connect::connect(global).await?.get("/v1/policies").await?;
    if output.is_json() {
        output.json(&listed)?;
        return Ok(ExitCode::Ok);
    }
    if listed.policies.is_empty() {
        output.line(format!("no policy is in force (directory `{}`)", listed.directory))?;
    } else {
        output.table(&in_force(&listed))?;
    }
    for (name, said) in &listed.stopped {
        let text = format!("stopped: `{name}` is asked nothing ({said})");
        output.line(output.paint(&text, Tone::Bad))?;
    }
    for problem in &listed.problems {
        output.line(output.paint(&problem.to_string(), Tone::Warning))?;
    }
    for NotGranted { policy, limit, asked, granted } in &listed.not_granted {
        let text =
            format!("not given: `{}` asks for {limit} {asked}, and [limits] allows {granted}", policy.name);
        output.line(output.paint(&text, Tone::Warning))?;
    }
    for (name, digest) in &listed.held {
        let text = format!(
            "held back: version {} of `{name}` lies in the directory, and somebody went back from it",
            digest.short()
        );
        output.line(output.paint(&text, Tone::Warning))?;
    }
    for failing in &listed.failures {
        let failures = count(failing.in_a_row.into(), "failure");
        let about =
            if failing.about > 1 { format!(" about {} models", failing.about) } else { String::new() };
        let rest = match (failing.everywhere_until, failing.left_alone_until) {
            (Some(until), _) => format!("; it is asked about no model until {}", until.for_people()),
            (None, Some(until)) => format!("; it is not asked until {}", until.for_people()),
            (None, None) => String::new(),
        };
        let text = format!("failing{about}: `{}`, {failures} in a row{rest}", failing.policy.name);
        output.line(output.paint(&text, Tone::Bad))?;
    }
    Ok(ExitCode::Ok)
}

fn in_force(listed: &PoliciesAnswer) -> Table {
    let mut table = Table::new(&[
        "policy",
        "digest",
        "signed with",
        "mode",
        "order",
        "answers",
        "calls",
        "failed",
        "p50 µs",
        "p99 µs",
    ]);
    for entry in &listed.policies {
        let of_this = || listed.calls.iter().filter(|calls| calls.policy == entry.policy);
        let calls: u64 = of_this().map(|calls| calls.calls).sum();
        let failed: u64 = of_this().flat_map(|calls| calls.failures.values()).sum();
        // Of several kinds of question the slowest: what a policy costs at worst.
        let slowest = of_this().max_by_key(|calls| calls.p50_us);
        let time = |time: Option<u64>| cell(time.map_or("-".to_owned(), |time| time.to_string()));
        table.row([
            cell(&entry.policy.name),
            cell(entry.policy.digest.short()),
            cell(signed(entry)),
            cell(stands(entry)),
            cell(entry.order),
            cell(entry.kinds.join(", ")),
            cell(calls),
            (failed.to_string(), if failed == 0 { Tone::Plain } else { Tone::Warning }),
            time(slowest.map(|calls| calls.p50_us)),
            time(slowest.map(|calls| calls.p99_us)),
        ]);
    }
    table
}

fn signed(entry: &PolicyInForce) -> String {
    match &entry.signed {
        Some(signed) if signed.trusted => signed.key.clone(),
        Some(signed) => format!("{}, not checked", signed.key),
        None => "-".to_owned(),
    }
}

fn stands(entry: &PolicyInForce) -> String {
    match &entry.rollout {
        Some(rollout) => format!("{} for {}", entry.mode.name(), percent(rollout.share)),
        None => entry.mode.name().to_owned(),
    }
}
