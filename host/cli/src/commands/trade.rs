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
            output.line(format!("- {reason}"))?;
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
        let what = args.model.as_deref().map_or("all models".to_owned(), |model| format!("`{model}`"));
        let done = if request.on { "is stopped" } else { "is allowed again" };
        output.line(format!(
            "trading on {what} {done} (by {}, recorded at {})",
            request.actor,
            answer["recorded"].as_str().unwrap_or_default()
        ))?;
    }
    Ok(ExitCode::Ok)
}
