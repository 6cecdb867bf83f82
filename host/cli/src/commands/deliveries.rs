//! `trimtab deliveries`: where alerts went.

use serde::{Deserialize, Serialize};
use trimtab_server::{ExitCode, Failure};
use trimtab_types::{Effect, Timestamp};

use super::{filtered, query};
use crate::{
    args::{DeliveriesArgs, Global},
    connect,
    output::{Output, Table, Tone, cell},
};

/// Deliveries that are asked for at once, of which some are wanted.
const LISTED: u32 = 1_000;

#[derive(Deserialize)]
struct Listed {
    effects: Vec<Delivery>,
}

#[derive(Serialize, Deserialize)]
struct Delivery {
    #[serde(flatten)]
    effect: Effect,
    state: String,
    attempts: u32,
    said: Option<String>,
    delivered: Option<Timestamp>,
}

pub(crate) async fn run(
    global: &Global,
    args: &DeliveriesArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let mut parts = filtered(&args.filter);
    parts.push(("limit", Some(LISTED.to_string())));
    let listed: Listed = connect::connect(global).await?.get(&query("/v1/effects", &parts)).await?;
    let wanted = |delivery: &Delivery| {
        args.sink.as_ref().is_none_or(|sink| *sink == delivery.effect.sink)
            && !(args.failed && delivery.state == "delivered")
    };
    let deliveries: Vec<Delivery> =
        listed.effects.into_iter().filter(wanted).take(args.limit as usize).collect();
    if output.is_json() {
        output.json(&serde_json::json!({ "deliveries": deliveries }))?;
        return Ok(ExitCode::Ok);
    }
    if deliveries.is_empty() {
        output.line("no alert was sent")?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["at", "sink", "alert", "state", "tries", "last"]);
    for delivery in &deliveries {
        let tone = match delivery.state.as_str() {
            "delivered" => Tone::Faint,
            "waiting" => Tone::Plain,
            _ => Tone::Bad,
        };
        table.row([
            cell(delivery.effect.at.for_people()),
            cell(&delivery.effect.sink),
            cell(delivery.effect.body["message"]["title"].as_str().unwrap_or("-")),
            (delivery.state.clone(), tone),
            cell(delivery.attempts),
            cell(delivery.said.as_deref().unwrap_or("-")),
        ]);
    }
    output.table(&table)?;
    Ok(ExitCode::Ok)
}
