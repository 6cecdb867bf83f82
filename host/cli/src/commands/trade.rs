//! `trimtab may-trade` and `trimtab kill`: whether trading is allowed, and the switch that people hold.

use trimtab_api::MayTrade;
use trimtab_server::{ExitCode, Failure, KillRequest};

use super::{actor, query};
use crate::{
    args::{Global, KillArgs, MayTradeArgs, Switch},
    connect,
    output::{Output, Tone},
};

pub(crate) async fn may_trade(
    global: &Global,
    args: &MayTradeArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let parts = [("tenant", args.tenant.clone()), ("model", Some(args.model.clone()))];
    let answer: MayTrade = connect::connect(global).await?.get(&query("/v1/may-trade", &parts)).await?;
    if output.is_json() {
        output.json(&answer)?;
    } else {
        let text =
            if answer.allowed { output.paint("yes", Tone::Good) } else { output.paint("no", Tone::Bad) };
        output.line(format!("{text}, exposure {}", answer.exposure))?;
        for reason in &answer.reasons {
            output.line(format!("- {}", trimtab_types::shown(reason)))?;
        }
        if let Some(confidence) = answer.minimum_confidence {
            output.line(format!("- only predictions with a confidence of at least {confidence}"))?;
        }
    }
    Ok(if answer.allowed { ExitCode::Ok } else { ExitCode::No })
}

pub(crate) async fn kill(global: &Global, args: &KillArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let request = KillRequest {
        tenant: args.tenant.clone(),
        model: args.model.clone(),
        all: args.all,
        on: args.switch == Switch::On,
        actor: actor(args.actor.as_ref()),
        reason: args.reason.clone(),
    };
    let answer: serde_json::Value = connect::connect(global).await?.post("/v1/kill-switch", &request).await?;
    if output.is_json() {
        output.json(&answer)?;
    } else {
        let by = format!(
            "(by {}, recorded at {})",
            request.actor,
            answer["recorded"].as_str().unwrap_or_default()
        );
        output.line(match (&args.model, request.on) {
            (None, true) => format!("trading on all models is stopped {by}"),
            (None, false) => format!("the stop of all models is lifted {by}"),
            (Some(model), true) => format!("trading on `{model}` is stopped {by}"),
            (Some(model), false) => format!("trading on `{model}` is allowed again {by}"),
        })?;
    }
    warn(&answer, args, output);
    Ok(ExitCode::Ok)
}

/// What somebody in a hurry may not expect.
fn warn(answer: &serde_json::Value, args: &KillArgs, output: &mut Output) {
    if let Some(model) = args.model.as_ref().filter(|_| answer["known"] == false) {
        let tenant = args.tenant.as_deref().map_or(String::new(), |tenant| format!(" of tenant `{tenant}`"));
        output.note(format!(
            "warning: no prediction of a model `{model}`{tenant} was ever recorded; is the name right? `trimtab status` lists models"
        ));
    }
    let others = answer["still_stopped"].as_array().into_iter().flatten();
    let others: Vec<_> =
        others.filter_map(|model| model.as_str()).map(|model| format!("`{model}`")).collect();
    if !others.is_empty() {
        output.note(format!("note: still stopped by themselves: {}", others.join(", ")));
    }
}
