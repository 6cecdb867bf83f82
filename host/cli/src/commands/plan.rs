//! `trimtab experiment plan`.

use trimtab_api::ExperimentNumbers;
use trimtab_replay::words::figure;
use trimtab_server::{ExitCode, Failure};
use trimtab_types::{number, parse_duration};

use super::query;
use crate::{
    args::{Global, PlanArgs},
    connect,
    output::{Output, Tone, percent},
};

pub(super) async fn plan(global: &Global, args: &PlanArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let end = args.end.as_deref().map(parse_duration).transpose();
    let end = end.map_err(|invalid| Failure::invalid(format!("--end: {}", invalid.problem)))?;
    let parts = [
        ("tenant", args.model.tenant.clone()),
        ("model", Some(args.model.model.clone())),
        ("metric", Some(args.metric.clone())),
        ("effect", Some(args.effect.to_string())),
        ("margin", Some(args.margin.to_string())),
        ("power", Some(args.power.to_string())),
        ("alpha", Some(args.alpha.to_string())),
        ("block", Some(args.block.to_string())),
        ("fraction", Some(args.fraction.to_string())),
        ("affected", Some(args.affected.to_string())),
        ("end", end.map(|end| end.to_string())),
    ];
    let numbers: ExperimentNumbers =
        connect::connect(global).await?.get(&query("/v1/experiments/plan", &parts)).await?;
    let exit = if numbers.can_be_shown { ExitCode::Ok } else { ExitCode::Warning };
    if output.is_json() {
        output.json(&numbers)?;
        return Ok(exit);
    }
    output.line(format!(
        "champion   `{}`: {} {} on its newest {} rows, correlation of a row with the next {}",
        numbers.champion,
        args.metric,
        percent(numbers.mean),
        numbers.rows,
        figure(numbers.correlation)
    ))?;
    let what = if args.affected { "served rows of the challenger" } else { "pairs of rows" };
    output.line(format!("traffic    {} {what} a day", tenths(numbers.rows_per_day)))?;
    let days = |days: Option<f64>| days.map_or("-".to_owned(), |days| format!("{} days", tenths(days)));
    output.line(format!(
        "evidence   {} rows in {} blocks, {}: may be looked at at any time, as the experiment does it",
        numbers.anytime_rows,
        numbers.anytime_blocks,
        days(numbers.anytime_days)
    ))?;
    output.line(format!(
        "fixed      {} rows, {}: looked at once, at the end",
        numbers.fixed_rows,
        days(numbers.fixed_days)
    ))?;
    if let Some(least) = numbers.least_effect {
        output.line(format!("until then a difference of {} is expected to be shown", percent(least)))?;
    }
    if !numbers.can_be_shown {
        output.line(output.paint("it cannot be shown until the end", Tone::Warning))?;
    }
    Ok(exit)
}

/// An estimate, as far as it can be trusted.
fn tenths(value: f64) -> String {
    number((value * 10.0).round() / 10.0)
}
