//! `trimtab exposure`, `confidence` and `resume`: the ways back from what tightens, and what a person sets.

use trimtab_api::{ActRequest, ExposureStatus, MayTrade, ModelAct};
use trimtab_server::{ExitCode, Failure};

use super::{actor, query};
use crate::{
    args::{AskArgs, ConfidenceCommand, ExposureCommand, Global, ModelArgs, RetireArgs, WhoArgs},
    connect,
    output::{Output, Table, cell},
};

pub(crate) async fn exposure(
    global: &Global,
    command: &ExposureCommand,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    match command {
        ExposureCommand::Show(model) => show(global, model, output).await,
        ExposureCommand::Set { model, exposure, who } => {
            act(global, model, ModelAct::SetExposure(*exposure), who).await?;
            show(global, model, output).await
        }
        ExposureCommand::Clear { model, cause, who } => {
            act(global, model, ModelAct::ClearExposure(cause.clone()), who).await?;
            show(global, model, output).await
        }
    }
}

pub(crate) async fn confidence(
    global: &Global,
    command: &ConfidenceCommand,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let (model, minimum, who) = match command {
        ConfidenceCommand::Set { model, confidence, who } => (model, Some(*confidence), who),
        ConfidenceCommand::Clear { model, who } => (model, None, who),
    };
    let answer = act(global, model, ModelAct::MinimumConfidence(minimum), who).await?;
    done(
        &answer,
        output,
        match minimum {
            Some(minimum) => {
                format!("predictions of `{}` below confidence {minimum} are not to be served", model.model)
            }
            None => format!("predictions of `{}` of any confidence may be served", model.model),
        },
    )
}

pub(crate) async fn resume(
    global: &Global,
    model: &ModelArgs,
    who: &WhoArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let answer = act(global, model, ModelAct::Resume, who).await?;
    done(&answer, output, format!("policies decide about all of `{}`", model.model))
}

/// No further predictions are expected.
pub(crate) async fn retire(
    global: &Global,
    args: &RetireArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let RetireArgs { model, version, segment, feature, who } = args;
    let retired =
        ModelAct::Retire { version: version.clone(), segment: segment.clone(), feature: feature.clone() };
    let answer = act(global, model, retired, who).await?;
    let of = |what: &str, name: &Option<String>| {
        name.as_ref().map_or(String::new(), |name| format!(", {what} `{name}`"))
    };
    let whom = format!(
        "`{}`{}{}{}",
        model.model,
        of("version", version),
        of("segment", segment),
        of("feature", feature)
    );
    done(
        &answer,
        output,
        format!("no further predictions are expected of {whom}; the next one takes that back"),
    )
}

/// A policy is asked about what is open of a model.
pub(crate) async fn ask(global: &Global, args: &AskArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let model = ModelArgs { tenant: args.tenant.clone(), model: args.model.clone() };
    let answer = act(global, &model, ModelAct::Ask(args.name.clone()), &args.who).await?;
    let what = format!(
        "asked `{}` about what is open of `{}`; `trimtab decisions --model {}` shows what it decided",
        args.name, args.model, args.model
    );
    done(&answer, output, what)
}

async fn act(
    global: &Global,
    model: &ModelArgs,
    act: ModelAct,
    who: &WhoArgs,
) -> Result<serde_json::Value, Failure> {
    let request = ActRequest {
        tenant: model.tenant.clone(),
        model: model.model.clone(),
        act,
        actor: actor(who.actor.as_ref()),
        reason: who.reason.clone(),
    };
    connect::connect(global).await?.post("/v1/acts", &request).await
}

async fn show(global: &Global, model: &ModelArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let parts = [("tenant", model.tenant.clone()), ("model", Some(model.model.clone()))];
    let status: ExposureStatus = connect::connect(global).await?.get(&query("/v1/exposure", &parts)).await?;
    if output.is_json() {
        output.json(&status)?;
        return Ok(ExitCode::Ok);
    }
    output.line(format!("exposure of `{}`: {}", model.model, status.exposure))?;
    let mut table = Table::new(&["factor", "cause"]);
    table.row([cell(status.base), cell("set by a person, or nobody did")]);
    for (cause, factor) in &status.causes {
        table.row([cell(factor), cell(cause)]);
    }
    output.table(&table)?;
    // Whatever the exposure would be, a model that is stopped has none.
    let may: MayTrade = connect::connect(global).await?.get(&query("/v1/may-trade", &parts)).await?;
    if !may.allowed {
        may.reasons.iter().try_for_each(|reason| output.line(trimtab_types::shown(reason)))?;
    }
    Ok(ExitCode::Ok)
}

fn done(answer: &serde_json::Value, output: &mut Output, text: String) -> Result<ExitCode, Failure> {
    if output.is_json() {
        output.json(answer)?;
    } else {
        output.line(format!("{text} (recorded at {})", answer["recorded"].as_str().unwrap_or_default()))?;
    }
    Ok(ExitCode::Ok)
}
