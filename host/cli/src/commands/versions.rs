//! `trimtab model`: versions, which of them serves, and how that came about.

use trimtab_api::{VersionHistory, VersionRequest, Versions};
use trimtab_server::{ExitCode, Failure};
use trimtab_types::{Artifact, Digest, Estimate, Metric, Registration, Ruled, Stage, Timestamp, VersionAct};

use super::{actor, life::protections, query, version_details};
use crate::{
    args::{ChangeArgs, Global, ModelArgs, ModelCommand, RegisterArgs, VersionArgs},
    connect,
    output::{Output, Table, Tone, cell, percent},
};

pub(crate) async fn run(
    global: &Global,
    command: &ModelCommand,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let (version, act) = match command {
        ModelCommand::List(model) => return list(global, model, output).await,
        ModelCommand::Show { model, version } => {
            return version_details::show(global, model, version, output).await;
        }
        ModelCommand::Compare { model, one, other } => {
            return version_details::compare(global, model, [one, other], output).await;
        }
        ModelCommand::Orphans => return version_details::orphans(global, output).await,
        ModelCommand::History { model, at, limit } => {
            return history(global, model, at.as_deref(), *limit, output).await;
        }
        ModelCommand::Rollback { model, to, change } => {
            return act(
                global,
                model,
                to.as_deref().unwrap_or_default(),
                VersionAct::Rollback,
                change,
                output,
            )
            .await;
        }
        ModelCommand::Register(args) => (&args.version, VersionAct::Register(Box::new(registration(args)?))),
        ModelCommand::Promote { version, again } => (version, VersionAct::Promote { again: *again }),
        ModelCommand::Archive(version) => (version, VersionAct::Archive),
        ModelCommand::MarkDegraded(version) => (version, VersionAct::MarkDegraded),
        ModelCommand::ClearDegraded(version) => (version, VersionAct::ClearDegraded),
        ModelCommand::Pin(version) => (version, VersionAct::Pin),
        ModelCommand::Unpin(version) => (version, VersionAct::Unpin),
        ModelCommand::Restore(version) => (version, VersionAct::Restore),
    };
    let VersionArgs { model, version, change } = version;
    self::act(global, model, version, act, change, output).await
}

fn registration(args: &RegisterArgs) -> Result<Registration, Failure> {
    let metric = |text: &String| {
        let problem =
            || Failure::invalid(format!("--metric {text}: write it as NAME=VALUE, such as accuracy=0.71"));
        let (name, value) = text.split_once('=').ok_or_else(problem)?;
        let value: f64 = value.parse().map_err(|_| problem())?;
        let estimate = Estimate { value, samples: args.samples, interval: None, from_outcomes: true };
        Ok(Metric { name: name.to_owned(), estimate })
    };
    Ok(Registration {
        // The host measures what is there.
        artifact: args.artifact.as_ref().map(|path| Artifact {
            path: path.clone(),
            size_bytes: 0,
            digest: Digest::of(b""),
        }),
        metrics: args.metrics.iter().map(metric).collect::<Result<_, Failure>>()?,
        tags: args.tags.clone(),
        champion: args.champion,
    })
}

async fn act(
    global: &Global,
    model: &ModelArgs,
    version: &str,
    act: VersionAct,
    change: &ChangeArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let request = VersionRequest {
        tenant: model.tenant.clone(),
        model: model.model.clone(),
        version: version.to_owned(),
        act,
        seen: change.expect,
        actor: actor(change.who.actor.as_ref()),
        reason: change.who.reason.clone(),
        at: time(change.at.as_deref())?,
    };
    let ruled: Ruled = connect::connect(global).await?.post("/v1/versions", &request).await?;
    said(&ruled, output)
}

/// A time as somebody wrote it.
pub(super) fn time(text: Option<&str>) -> Result<Option<Timestamp>, Failure> {
    let parsed = text.map(Timestamp::parse_or_date).transpose();
    parsed.map_err(|invalid| Failure::invalid(format!("--at: {}", invalid.problem)))
}

/// What the host made of it.
pub(super) fn said(ruled: &Ruled, output: &mut Output) -> Result<ExitCode, Failure> {
    if output.is_json() {
        output.json(ruled)?;
    } else {
        output.line(format!("{} (revision {})", ruled.says, ruled.revision))?;
    }
    Ok(ExitCode::Ok)
}

async fn list(global: &Global, model: &ModelArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let parts = [("tenant", model.tenant.clone()), ("model", Some(model.model.clone()))];
    let answer: Versions = connect::connect(global).await?.get(&query("/v1/versions", &parts)).await?;
    if output.is_json() {
        output.json(&answer)?;
        return Ok(ExitCode::Ok);
    }
    let serves = answer.champion.as_deref().map_or("no version serves by the registry".to_owned(), |name| {
        let back =
            answer.previous.as_deref().map_or(String::new(), |name| format!("; a rollback goes to `{name}`"));
        format!("`{name}` serves{back}")
    });
    output.line(format!("{}: {serves} (revision {})", answer.model, answer.revision))?;
    let mut table = Table::new(&["version", "stage", "age", "accuracy", "bytes", "kept because"]);
    for version in &answer.versions {
        let tone = match version.stage {
            Stage::Production => Tone::Good,
            Stage::Degraded => Tone::Bad,
            Stage::Deleted | Stage::Archived => Tone::Faint,
            _ => Tone::Plain,
        };
        let accuracy = version.metrics.iter().find(|metric| metric.name == "accuracy");
        table.row([
            cell(&version.version),
            (version.stage.to_string(), tone),
            cell(trimtab_types::format_duration(u64::from(version.age))),
            cell(accuracy.map_or("-".to_owned(), |metric| percent(metric.estimate.value))),
            cell(version.size_bytes),
            cell(protections(&version.protections)),
        ]);
    }
    for version in &answer.unregistered {
        table.row([
            cell(version),
            ("unregistered".to_owned(), Tone::Warning),
            cell("-"),
            cell("-"),
            cell("-"),
            cell(""),
        ]);
    }
    if !table.is_empty() {
        output.table(&table)?;
    }
    Ok(ExitCode::Ok)
}

async fn history(
    global: &Global,
    model: &ModelArgs,
    at: Option<&str>,
    limit: u32,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let parts = [
        ("tenant", model.tenant.clone()),
        ("model", Some(model.model.clone())),
        ("at", time(at)?.map(|at| at.to_string())),
        ("limit", Some(limit.to_string())),
    ];
    let answer: VersionHistory =
        connect::connect(global).await?.get(&query("/v1/versions/history", &parts)).await?;
    if output.is_json() {
        output.json(&answer)?;
        return Ok(ExitCode::Ok);
    }
    let when = at.map_or("now".to_owned(), |at| format!("at {at}"));
    output.line(match &answer.served {
        Some(reign) => format!("{when}: `{}` (since {})", reign.version, reign.from.for_people()),
        None => format!("{when}: no version by the registry"),
    })?;
    if at.is_some() {
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["at", "by", "what", "what came of it"]);
    for event in &answer.events {
        table.row([cell(event.at.for_people()), cell(&event.by), cell(&event.what), cell(&event.says)]);
    }
    if !table.is_empty() {
        output.table(&table)?;
    }
    Ok(ExitCode::Ok)
}
