//! `trimtab alerts`: what people were told, what was held back and why, and how a person answers.

use trimtab_api::{AcknowledgeRequest, AlertEvent, AlertGroupStatus, Alerts, SilenceRequest};
use trimtab_server::{ExitCode, Failure};
use trimtab_types::parse_duration;

use super::{actor, filtered, query};
use crate::{
    args::{AckArgs, AlertsArgs, AlertsCommand, Global, WhoArgs, WhomArgs},
    connect,
    output::{Output, Table, Tone, cell},
};

pub(crate) async fn run(
    global: &Global,
    args: &AlertsArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    match &args.command {
        None => list(global, args, output).await,
        Some(AlertsCommand::Ack(args)) => acknowledge(global, args, output).await,
        Some(AlertsCommand::Silence(args)) => {
            let seconds = parse_duration(&args.time)
                .map_err(|invalid| Failure::invalid(format!("--for: {}", invalid.problem)))?;
            silence(global, &args.whom, Some(seconds), &args.who, output).await
        }
        Some(AlertsCommand::Unsilence(args)) => silence(global, &args.whom, None, &args.who, output).await,
    }
}

async fn list(global: &Global, args: &AlertsArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let mut parts = filtered(&args.filter);
    parts.push(("limit", Some(args.limit.to_string())));
    let answer: Alerts = connect::connect(global).await?.get(&query("/v1/alerts", &parts)).await?;
    if output.is_json() {
        output.json(&answer)?;
        return Ok(ExitCode::Ok);
    }
    if answer.groups.is_empty() {
        output.line("nothing is firing")?;
    } else {
        output.table(&groups(&answer.groups))?;
    }
    for event in &answer.events {
        output.line("")?;
        show(event, output)?;
    }
    Ok(ExitCode::Ok)
}

fn groups(groups: &[AlertGroupStatus]) -> Table {
    let mut table = Table::new(&["model", "kind", "", "severity", "since", "said", "what"]);
    for group in groups {
        let at = |at: Option<trimtab_types::Timestamp>| at.map_or("-".to_owned(), |at| at.for_people());
        let severity = group
            .severity
            .map_or(("-".to_owned(), Tone::Plain), |severity| (severity.to_string(), Tone::of(severity)));
        let apart = [&group.version, &group.segment].map(String::as_str);
        let apart: String =
            apart.into_iter().filter(|name| !name.is_empty()).map(|name| format!(" [{name}]")).collect();
        let mut what = group.lines.clone();
        what.extend(group.held_back.iter().map(|line| format!("{line} (held back)")));
        what.extend(group.note.clone());
        table.row([
            cell(format!("{}{apart}", group.model)),
            cell(group.kind),
            cell(&group.state),
            severity,
            cell(at(group.since)),
            cell(at(group.said)),
            cell(what.join(", ")),
        ]);
    }
    table
}

fn show(event: &AlertEvent, output: &mut Output) -> Result<(), Failure> {
    let (word, tone) =
        if event.told { ("told", Tone::of(event.severity)) } else { ("held back", Tone::Faint) };
    let word = output.paint(word, tone);
    output.line(format!("{} {word}: {} {}", event.at.for_people(), event.severity, event.subject))?;
    output.line(format!("  {}", event.what))?;
    output.line(format!("  {} (decision {} of {})", event.reason, event.decision, event.by))
}

async fn acknowledge(global: &Global, args: &AckArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let request = AcknowledgeRequest {
        tenant: args.tenant.clone(),
        model: args.model.clone(),
        kind: args.kind.map(Into::into),
        actor: actor(args.who.actor.as_ref()),
        reason: args.who.reason.clone(),
    };
    let answer: serde_json::Value =
        connect::connect(global).await?.post("/v1/alerts/acknowledge", &request).await?;
    if output.is_json() {
        output.json(&answer)?;
    } else {
        let (by, at) = (&request.actor, answer["recorded"].as_str().unwrap_or_default());
        output.line(format!(
            "`{}` is not said again until there is news (known to {by}, recorded at {at})",
            args.model
        ))?;
    }
    Ok(ExitCode::Ok)
}

async fn silence(
    global: &Global,
    whom: &WhomArgs,
    seconds: Option<u32>,
    who: &WhoArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let request = SilenceRequest {
        tenant: whom.tenant.clone(),
        model: whom.model.clone(),
        all: whom.all,
        kind: whom.kind.map(Into::into),
        seconds,
        actor: actor(who.actor.as_ref()),
        reason: who.reason.clone(),
    };
    let answer: serde_json::Value =
        connect::connect(global).await?.post("/v1/alerts/silence", &request).await?;
    if output.is_json() {
        output.json(&answer)?;
        return Ok(ExitCode::Ok);
    }
    let what = whom.model.as_deref().map_or("all models".to_owned(), |model| format!("`{model}`"));
    let until = answer["until"].as_str().and_then(|until| trimtab_types::Timestamp::parse(until).ok());
    output.line(match until {
        Some(until) => format!("no alerts about {what} until {}", until.for_people()),
        None => format!("alerts about {what} are sent"),
    })?;
    Ok(ExitCode::Ok)
}
