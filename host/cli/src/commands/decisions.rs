//! `trimtab decisions`: what was decided and why.

use trimtab_server::{ExitCode, Failure};
use trimtab_types::{Answer, DecisionRecord, Question};

use super::{escape, filtered, query, show};
use crate::{
    args::{DecisionsArgs, DecisionsCommand, Global},
    connect,
    output::{Output, Table, Tone, cell},
};

pub(crate) async fn run(
    global: &Global,
    args: &DecisionsArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let client = connect::connect(global).await?;
    #[derive(serde::Deserialize)]
    struct Listed {
        decisions: Vec<DecisionRecord>,
    }
    let mut parts = filtered(&args.filter);
    parts.push(("policy", args.policy.clone()));
    if let Some(DecisionsCommand::Show { id, .. }) = &args.command {
        let decision = match id {
            Some(id) => client.get(&format!("/v1/decisions/{}", escape(id))).await?,
            None => {
                parts.push(("limit", Some("1".to_owned())));
                let newest: Listed = client.get(&query("/v1/decisions", &parts)).await?;
                let none = || Failure::missing("nothing was decided so far");
                newest.decisions.into_iter().next().ok_or_else(none)?
            }
        };
        if output.is_json() {
            output.json(&decision)?;
        } else {
            detail(&decision, output)?;
        }
        return Ok(ExitCode::Ok);
    }
    parts.push(("limit", Some(args.limit.to_string())));
    let listed: Listed = client.get(&query("/v1/decisions", &parts)).await?;
    if output.is_json() {
        output.json(&serde_json::json!({ "decisions": listed.decisions }))?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["id", "at", "subject", "policy", "asked", "answered"]);
    for decision in &listed.decisions {
        let failed = matches!(decision.answer, Answer::Failed(_));
        table.row([
            cell(&decision.id),
            cell(decision.at),
            cell(&decision.subject),
            cell(decision.policy.as_ref().map_or("-", |policy| &policy.name)),
            cell(show::asked(decision)),
            (show::decided(decision), if failed { Tone::Bad } else { Tone::Plain }),
        ]);
    }
    if table.is_empty() {
        output.line("nothing was decided so far")?;
    } else {
        output.table(&table)?;
    }
    Ok(ExitCode::Ok)
}

/// Everything about one decision.
pub(crate) fn detail(decision: &DecisionRecord, output: &mut Output) -> Result<(), Failure> {
    output.line(format!(
        "decision   {} at {} (at {})",
        decision.id,
        decision.at,
        decision.subject.place(decision.position)
    ))?;
    output.line(format!("about      {}", decision.subject))?;
    match &decision.policy {
        Some(policy) => output.line(format!(
            "policy     {} {} ({})",
            policy.name,
            policy.digest.short(),
            format!("{:?}", decision.mode).to_lowercase()
        ))?,
        None => output.line("policy     none applies; the host's default")?,
    }
    match &decision.question {
        Question::DriftAction { findings } => {
            output.line("asked      what to do about")?;
            output.table(&show::findings(findings))?;
        }
        _ => output.line(format!("asked      {}", show::asked(decision)))?,
    }
    show::reads(&decision.reads, output)?;
    match &decision.answer {
        Answer::Decision(answer) => output.line(format!("answered   {}", answer.reason))?,
        Answer::Message(message) => {
            output.line(format!("answered   {}", message.title))?;
            for line in message.body.lines() {
                output.line(format!("           {line}"))?;
            }
        }
        Answer::Judgement(_) | Answer::Review(_) | Answer::Schedule(_) | Answer::Ruled(_) => {
            output.line(format!("answered   {}", decision.answer.words()))?;
        }
        Answer::Failed(failure) => output.line(output.paint(&format!("failed     {failure}"), Tone::Bad))?,
    }
    for (action, verdict) in &decision.verdicts {
        output.line(format!("action     {action}: {verdict}"))?;
    }
    show::traces(&decision.notebook, &decision.log, output)?;
    show::took(decision.duration_us, decision.fuel, output)
}
