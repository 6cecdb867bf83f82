//! `trimtab retrain`.

use trimtab_api::{RetrainRequest, Retrains, RunStatus};
use trimtab_server::{ExitCode, Failure};
use trimtab_types::{RetrainAct, Ruled, RunState, format_duration, shown_lines};

use super::{actor, query, versions::said};
use crate::{
    args::{Global, RetrainCommand, WhoArgs},
    connect,
    output::{Output, Table, Tone, cell, percent},
};

pub(crate) async fn run(
    global: &Global,
    command: &RetrainCommand,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let (model, who, act) = match command {
        RetrainCommand::List { model, tenant, limit } => {
            let parts =
                [("tenant", tenant.clone()), ("model", model.clone()), ("limit", Some(limit.to_string()))];
            return list(global, &parts, output).await;
        }
        RetrainCommand::Show { run } => return show(global, run, output).await,
        RetrainCommand::Cooldown { model } => {
            let parts = [("tenant", model.tenant.clone()), ("model", Some(model.model.clone()))];
            return cooldown(global, &parts, output).await;
        }
        RetrainCommand::Cancel { run, who } => {
            let status = find(global, run).await?;
            let act = RetrainAct::Cancel { run: run.clone() };
            let (tenant, model) = (Some(status.model.tenant), status.model.model);
            return change(global, (tenant, model), act, who, output).await;
        }
        RetrainCommand::Now { model, who } => (model, who, RetrainAct::Now),
        RetrainCommand::CloseBreaker { model, who } => (model, who, RetrainAct::CloseBreaker),
    };
    change(global, (model.tenant.clone(), model.model.clone()), act, who, output).await
}

async fn change(
    global: &Global,
    (tenant, model): (Option<String>, String),
    act: RetrainAct,
    who: &WhoArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let request = RetrainRequest {
        tenant,
        model,
        act,
        actor: actor(who.actor.as_ref()),
        reason: who.reason.clone(),
        at: None,
    };
    let ruled: Ruled = connect::connect(global).await?.post("/v1/retrains", &request).await?;
    said(&ruled, output)
}

async fn ask(global: &Global, parts: &[(&str, Option<String>)]) -> Result<Retrains, Failure> {
    connect::connect(global).await?.get(&query("/v1/retrains", parts)).await
}

async fn find(global: &Global, run: &str) -> Result<RunStatus, Failure> {
    let answer = ask(global, &[("run", Some(run.to_owned()))]).await?;
    let missing = || Failure::missing(format!("there is no run `{run}`; `trimtab retrain list` shows them"));
    answer.runs.into_iter().next().ok_or_else(missing)
}

async fn list(
    global: &Global,
    parts: &[(&str, Option<String>)],
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let answer = ask(global, parts).await?;
    if output.is_json() {
        output.json(&answer)?;
        return Ok(ExitCode::Ok);
    }
    if answer.runs.is_empty() {
        output.line("nothing was retrained; `trimtab retrain now MODEL` begins one")?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["run", "model", "mode", "by", "asked", "took", "state", "version"]);
    for status in &answer.runs {
        let run = &status.run;
        let took = if run.ended.is_some() { format_duration(u64::from(run.took)) } else { "-".to_owned() };
        table.row([
            cell(&run.id),
            cell(&status.model),
            cell(run.cause.mode),
            cell(&run.cause.by),
            cell(run.asked.for_people()),
            cell(took),
            (state(status), tone(run.state)),
            cell(run.version.as_deref().unwrap_or("-")),
        ]);
    }
    output.table(&table)?;
    if answer.runs.iter().any(|status| status.is_stopped) {
        output.line(output.paint(
            "retrains failed again and again and are not begun any more; `trimtab retrain close-breaker MODEL` has them begun again",
            Tone::Warning,
        ))?;
    }
    Ok(ExitCode::Ok)
}

fn state(status: &RunStatus) -> String {
    match status.progress.filter(|_| status.run.state == RunState::Running) {
        Some(share) => format!("{}, {}", status.run.state, percent(share)),
        None => status.run.state.to_string(),
    }
}

fn tone(state: RunState) -> Tone {
    match state {
        state if state.is_failure() => Tone::Bad,
        RunState::Rejected | RunState::Cancelled => Tone::Warning,
        RunState::Starting | RunState::Running => Tone::Plain,
        _ => Tone::Faint,
    }
}

async fn show(global: &Global, run: &str, output: &mut Output) -> Result<ExitCode, Failure> {
    let status = find(global, run).await?;
    if output.is_json() {
        output.json(&status)?;
        return Ok(ExitCode::Ok);
    }
    let run = &status.run;
    output.line(format!("run        {} of {}: {}", run.id, status.model, state(&status)))?;
    output.line(format!("asked      {} by {} ({})", run.asked.for_people(), run.cause.by, run.cause.mode))?;
    if !run.cause.reason.is_empty() {
        output.line(format!("why        {}", run.cause.reason))?;
    }
    if run.joined > 0 {
        output.line(format!("joined     by {} more requests", run.joined))?;
    }
    if let Some(started) = run.started {
        output.line(format!("started    {}", started.for_people()))?;
    }
    if let Some(note) = status.note.as_ref().filter(|note| !note.is_empty() && run.state.is_active()) {
        output.line(format!("note       {note}"))?;
    }
    if let Some(ended) = run.ended {
        let took = format_duration(u64::from(run.took));
        let cost = run.cost.map_or(String::new(), |cost| format!(", cost {}", trimtab_types::number(cost)));
        output.line(format!("ended      {}, after {took}{cost}", ended.for_people()))?;
        output.line(format!("result     {}", run.says))?;
    }
    if let Some(by) = &run.cancelled_by {
        output.line(format!("cancelled  by {by}"))?;
    }
    let Some(said) = status.output.filter(|said| said.bytes > 0) else { return Ok(ExitCode::Ok) };
    let kept = (said.head.len() + said.tail.len()) as u64;
    output.line(format!("said       {} bytes", said.bytes))?;
    output.line("")?;
    output.line(shown_lines(&said.head))?;
    if kept < said.bytes {
        output.line("…")?;
    }
    if !said.tail.is_empty() {
        output.line(shown_lines(&said.tail))?;
    }
    Ok(ExitCode::Ok)
}

async fn cooldown(
    global: &Global,
    parts: &[(&str, Option<String>)],
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let answer = ask(global, parts).await?;
    if output.is_json() {
        output.json(&answer)?;
        return Ok(ExitCode::Ok);
    }
    match (answer.last_retrain, answer.cooldown_until) {
        (Some(last), Some(until)) => output.line(format!(
            "until {}; the last retrain began {}",
            until.for_people(),
            last.for_people()
        ))?,
        _ => output.line("none: no trainer has begun yet")?,
    }
    Ok(ExitCode::Ok)
}
