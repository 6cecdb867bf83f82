//! `trimtab policy apply`: a person has looked at what a version would change, and wants it in force.

use trimtab_api::ApplyRequest;
use trimtab_server::{ExitCode, Failure};
use trimtab_types::{Digest, PolicyInForce};

use crate::{
    args::{ApplyArgs, Global},
    commands::actor,
    connect,
    output::Output,
};

pub(super) async fn apply(
    global: &Global,
    args: &ApplyArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let digest = Digest::parse(&args.digest).ok_or_else(|| {
        Failure::invalid("--digest: has 64 hexadecimal digits; `trimtab policy list` shows those of the version that waits")
    })?;
    let request = ApplyRequest {
        policy: args.name.clone(),
        digest,
        ask: args.ask,
        actor: actor(args.who.actor.as_ref()),
        reason: args.who.reason.clone(),
    };
    let entry: PolicyInForce = connect::connect(global).await?.post("/v1/policies/apply", &request).await?;
    if output.is_json() {
        output.json(&entry)?;
    } else {
        let asked = if args.ask { ", and is asked about what is open" } else { "" };
        output.line(format!("`{}` {} is in force{asked}", entry.policy.name, entry.policy.digest.short()))?;
    }
    Ok(ExitCode::Ok)
}
