//! `trimtab policy history` and `rollback`: what was in force of a policy, and the way back.

use trimtab_api::{PolicyVersion, RolledBack};
use trimtab_server::{ExitCode, Failure, PolicyHistory, RollbackRequest};

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
    let mut table = Table::new(&["entry", "at", "digest", "mode", "what", "by"]);
    let mut before: Option<&PolicyVersion> = None;
    for version in &history.versions {
        let digest = version.policy.as_ref().map_or("-".to_owned(), |entry| entry.policy.digest.short());
        let change = version.change.as_ref();
        let by = change.map_or("-".to_owned(), |change| match change.reason.as_str() {
            "" => change.by.clone(),
            reason => format!("{}: {reason}", change.by),
        });
        table.row([
            cell(version.number),
            cell(change.map_or("-".to_owned(), |change| change.at.to_string())),
            cell(digest),
            cell(version.policy.as_ref().map_or("-", |entry| entry.mode.name())),
            what(version, before),
            cell(by),
        ]);
        before = Some(version);
    }
    output.table(&table)?;
    Ok(ExitCode::Ok)
}

/// What changed, in words.
fn what(version: &PolicyVersion, before: Option<&PolicyVersion>) -> (String, Tone) {
    let Some(now) = &version.policy else { return ("taken out".to_owned(), Tone::Warning) };
    if version.held {
        let tone = Tone::Warning;
        return ("gone back to; the newer version in the directory is held back".to_owned(), tone);
    }
    let was_held = before.is_some_and(|before| before.held);
    let before = before.and_then(|before| before.policy.as_ref());
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
        (Some(before), None) if before.order != now.order => format!("order {}", now.order),
        (Some(_), None) if was_held => "nothing in the directory is held back any more".to_owned(),
        (Some(_), None) => "signed otherwise".to_owned(),
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
    let back: RolledBack = connect::connect(global).await?.post(&path, &request).await?;
    if output.is_json() {
        output.json(&back)?;
        return Ok(ExitCode::Ok);
    }
    let held = back.held.map_or("as the policies directory has it".to_owned(), |held| {
        format!(
            "version {}, which lies in the policies directory, is held back until it changes",
            held.short()
        )
    });
    output.line(format!(
        "`{}` decides with version {} (by {}); {held}",
        args.name,
        back.policy.policy.digest.short(),
        request.actor
    ))?;
    Ok(ExitCode::Ok)
}
