//! `trimtab policy stop` and `start`: nobody asks a policy any more, and the way back. Where no host runs the act is written
//! without folding anything: a policy may be the reason why none does.

use trimtab_replay::Standing;
use trimtab_runtime::note_act;
use trimtab_server::{ExitCode, Failure, StopRequest, client::Client, clock};
use trimtab_sqlite::LogsReader;
use trimtab_types::{Act, OperatorAct};

use crate::{
    args::{Global, StopArgs},
    commands::actor,
    connect,
    output::Output,
};

pub(super) async fn stop(
    global: &Global,
    args: &StopArgs,
    stopped: bool,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let (policy, actor, reason) =
        (args.name.clone(), actor(args.who.actor.as_ref()), args.who.reason.clone());
    match Client::running(&global.data).await {
        Some(host) => {
            let request = StopRequest { policy, stopped, actor, reason };
            let _: serde_json::Value = host.post("/v1/policies/stop", &request).await?;
        }
        None => {
            let data = global.data.clone();
            connect::blocking(move || {
                let standing = Standing::read(&LogsReader::open(&data)?)?;
                if standing.policies.policy(&policy).is_none() && !standing.stopped.contains_key(&policy) {
                    return Err(Failure::missing(format!("there is no policy `{policy}` in force")));
                }
                let act = Act::StopPolicy { policy, stopped };
                Ok(note_act(&data, OperatorAct { actor, at: clock::now(), act, reason })?)
            })
            .await?;
        }
    }
    if output.is_json() {
        output.json(&serde_json::json!({ "policy": args.name, "stopped": stopped }))?;
    } else if stopped {
        output.line(format!(
            "`{}` is asked nothing more; its fail-safe applies; `trimtab policy start {}` undoes it",
            args.name, args.name
        ))?;
    } else {
        output.line(format!("`{}` is asked again", args.name))?;
    }
    Ok(ExitCode::Ok)
}
