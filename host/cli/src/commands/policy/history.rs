//! `trimtab policy history` and `rollback`: what was in force of a policy, and the way back.

use trimtab_engine::PolicyVersion;
use trimtab_server::{ExitCode, Failure, PolicyHistory, RollbackRequest};
use trimtab_types::PolicyInForce;

use crate::{
    args::{Global, RollbackArgs},
    commands::{actor, escape},
    connect,
    output::{Output, Table, Tone, cell, percent},
};

pub(super) async fn history(global: &Global, name: &str, output: &mut Output) -> Result<ExitCode, Failure> {
    let path = format!("/v1/policies/{}/history", escape(name));
    let history: PolicyHistory = connect::connect(global).await?.get(&path).await?;
    if output.is_json() {
        output.json(&history)?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["position", "at", "digest", "mode", "what", "by"]);
    let mut before: Option<&PolicyInForce> = None;
    for version in &history.versions {
        let digest = version.policy.as_ref().map_or("-".to_owned(), |entry| entry.policy.digest.short());
        let change = version.change.as_ref();
        let by = change.map_or("-".to_owned(), |change| match change.reason.as_str() {
            "" => change.by.clone(),
            reason => format!("{}: {reason}", change.by),
        });
        table.row([
            cell(version.position),
            cell(change.map_or("-".to_owned(), |change| change.at.to_string())),
            cell(digest),
            cell(version.policy.as_ref().map_or("-", |entry| entry.mode.name())),
            what(version, before),
            cell(by),
        ]);
        before = version.policy.as_ref();
    }
    output.table(&table)?;
    Ok(ExitCode::Ok)
}

/// What changed, in words.
fn what(version: &PolicyVersion, before: Option<&PolicyInForce>) -> (String, Tone) {
    let Some(now) = &version.policy else { return ("taken out".to_owned(), Tone::Warning) };
    if version.held {
        let tone = Tone::Warning;
        return ("gone back to; the newer version in the directory is held back".to_owned(), tone);
    }
    let rollout =
        now.rollout.as_ref().map(|rollout| format!("for {} of the subjects", percent(rollout.share)));
    let text = match (before, rollout) {
        (None, None) => "put in force".to_owned(),
        (None, Some(share)) => format!("put in force {share}"),
        (Some(before), Some(share)) if before.policy != now.policy => format!("new version {share}"),
        (Some(before), None) if before.policy != now.policy => "new version".to_owned(),
        (Some(before), None) if before.rollout.is_some() => "for all subjects".to_owned(),
        (Some(_), Some(share)) => share,
        (Some(before), None) if before.mode != now.mode => format!("mode {}", now.mode.name()),
        (Some(_), None) => format!("order {}", now.order),
    };
    (text, Tone::Plain)
}

pub(super) async fn rollback(
    global: &Global,
    args: &RollbackArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let path = format!("/v1/policies/{}/rollback", escape(&args.name));
    let request = RollbackRequest {
        to: args.to.clone(),
        actor: actor(args.actor.as_ref()),
        reason: args.reason.clone(),
    };
    let entry: PolicyInForce = connect::connect(global).await?.post(&path, &request).await?;
    if output.is_json() {
        output.json(&entry)?;
    } else {
        output.line(format!(
            "`{}` decides with version {} again (by {}); what lies in the policies directory is held back until it changes",
            args.name,
            entry.policy.digest.short(),
            request.actor
        ))?;
    }
    Ok(ExitCode::Ok)
}
