//! `trimtab experiment`, `route`, `proposals`, `cleanup` and `schedule`.

use trimtab_api::{
    ActRequest, AnswerRequest, ExperimentRequest, ExperimentStatus, Experiments, ModelAct, Proposals,
    RouteAnswer, ScheduleStatus,
};
use trimtab_replay::words::figure;
use trimtab_server::{ExitCode, Failure};
use trimtab_types::{
    Answer, Arm, Concern, DecisionRecord, Design, Digest, ErrorKind, ExperimentAct, Fate, Interval, Mode,
    Plan, Proposal, ProposalState, Proposed, Protection, Question, Ruled, parse_duration,
};

use super::{
    actor, filtered, plan as plan_of, query,
    versions::{said, time},
};
use crate::{
    args::{
        ChangeArgs, CleanupCommand, ExperimentCommand, Global, ModelArgs, ProposalsArgs, ProposalsCommand,
        RouteArgs, ScheduleCommand, StartArgs, VersionArgs, WhoArgs,
    },
    connect,
    output::{Output, Table, Tone, cell, count, percent},
};

/// What keeps a version from being deleted, as people read it.
pub(super) fn protections(protections: &[Protection]) -> String {
    let name = |protection: &Protection| match protection {
        Protection::Champion => "serves",
        Protection::Challenger => "serves a share",
        Protection::PreviousChampion => "served before",
        Protection::Experiment => "tried",
        Protection::Pinned => "pinned",
    };
    protections.iter().map(name).collect::<Vec<_>>().join(", ")
}

pub(crate) async fn experiment(
    global: &Global,
    command: &ExperimentCommand,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let (version, act) = match command {
        ExperimentCommand::Report(model) => return report(global, model, output).await,
        ExperimentCommand::Plan(args) => return plan_of::plan(global, args, output).await,
        ExperimentCommand::Fraction { model, version, fraction, change } => {
            let act = ExperimentAct::Fraction(*fraction);
            return change_experiment(global, model, version, act, change, output).await;
        }
        ExperimentCommand::Start(args) => (&args.version, ExperimentAct::Start(plan(args)?)),
        ExperimentCommand::Pause(version) => (version, ExperimentAct::Pause),
        ExperimentCommand::Resume(version) => (version, ExperimentAct::Resume),
        ExperimentCommand::Stop(version) => (version, ExperimentAct::Stop),
        ExperimentCommand::Promote(version) => (version, ExperimentAct::Promote),
    };
    let VersionArgs { model, version, change } = version;
    change_experiment(global, model, version, act, change, output).await
}

fn plan(args: &StartArgs) -> Result<Plan, Failure> {
    let design = match (args.shadow, args.canary) {
        (true, _) => Design::Shadow,
        (_, true) => Design::Canary,
        _ => Design::AbTest,
    };
    let usual = match design {
        Design::Shadow => 0.0,
        Design::Canary => 0.1,
        Design::AbTest => 0.5,
    };
    let end = args.end.as_deref().map(parse_duration).transpose();
    Ok(Plan {
        design,
        fraction: args.fraction.unwrap_or(usual),
        ramp: args.ramp,
        margin: args.margin,
        block: args.block,
        end: end.map_err(|invalid| Failure::invalid(format!("--end: {}", invalid.problem)))?,
        affected: args.affected,
        again: args.again,
    })
}

async fn change_experiment(
    global: &Global,
    model: &ModelArgs,
    version: &str,
    act: ExperimentAct,
    change: &ChangeArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let request = ExperimentRequest {
        tenant: model.tenant.clone(),
        model: model.model.clone(),
        version: version.to_owned(),
        act,
        seen: change.expect,
        actor: actor(change.who.actor.as_ref()),
        reason: change.who.reason.clone(),
        at: time(change.at.as_deref())?,
    };
    let ruled: Ruled = connect::connect(global).await?.post("/v1/experiments", &request).await?;
    said(&ruled, output)
}

async fn report(global: &Global, model: &ModelArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let parts = [("tenant", model.tenant.clone()), ("model", Some(model.model.clone()))];
    let answer: Experiments = connect::connect(global).await?.get(&query("/v1/experiments", &parts)).await?;
    if output.is_json() {
        output.json(&answer)?;
        return Ok(ExitCode::Ok);
    }
    if answer.running.is_empty() {
        output.line("no experiment is under way")?;
    }
    for status in &answer.running {
        show(status, output)?;
    }
    if !answer.ended.is_empty() {
        output.line("")?;
        let mut table = Table::new(&["ended", "version", "against", "since", "outcome", "why"]);
        for ended in &answer.ended {
            table.row([
                cell(ended.ended.for_people()),
                cell(&ended.version),
                cell(&ended.champion),
                cell(ended.started.for_people()),
                cell(&ended.outcome),
                cell(&ended.why),
            ]);
        }
        output.table(&table)?;
    }
    Ok(ExitCode::Ok)
}

fn show(status: &ExperimentStatus, output: &mut Output) -> Result<(), Failure> {
    let experiment = &status.experiment;
    let design = match experiment.design {
        Design::Shadow => "in shadow".to_owned(),
        Design::Canary => format!("canary, {} of the traffic", percent(status.plan.fraction)),
        Design::AbTest => format!("A/B test, {} of the traffic", percent(status.plan.fraction)),
    };
    let paused = if status.paused { ", paused: everything goes to the champion" } else { "" };
    output.line(format!(
        "`{}` against `{}`: {design}{paused}; experiment {}, since {}",
        experiment.challenger.version,
        experiment.champion.version,
        experiment.id,
        status.started.for_people()
    ))?;
    let concerns: Vec<_> = experiment.concerns.iter().map(concern).collect();
    if !concerns.is_empty() {
        output
            .line(output.paint(&format!("not to be trusted yet: {}", concerns.join(", ")), Tone::Warning))?;
    }
    let mut table = Table::new(&[
        "metric",
        "champion",
        "challenger",
        "difference",
        "95 % at any time",
        "better",
        "worse",
    ]);
    let names =
        experiment.champion.metrics.iter().chain(&experiment.challenger.metrics).map(|metric| &metric.name);
    let mut shown: Vec<&String> = Vec::new();
    for name in names {
        if shown.contains(&name) {
            continue;
        }
        shown.push(name);
        let of = |arm: &Arm| {
            let metric = arm.metrics.iter().find(|metric| metric.name == *name);
            metric.map_or("-".to_owned(), |metric| {
                format!("{} ({})", figure(metric.estimate.value), metric.estimate.samples)
            })
        };
        let difference = experiment.differences.iter().find(|difference| difference.name == *name);
        let [value, interval, better, worse] = match difference {
            Some(found) => [
                format!("{} ({} blocks)", signed(found.estimate.value), found.estimate.samples),
                found.estimate.interval.map_or("-".to_owned(), |interval| {
                    format!("{} to {}", signed(interval.lower), signed(interval.upper))
                }),
                figure(found.better),
                figure(found.worse),
            ],
            None => ["-"; 4].map(str::to_owned),
        };
        table.row([
            cell(name),
            cell(of(&experiment.champion)),
            cell(of(&experiment.challenger)),
            cell(value),
            cell(interval),
            cell(better),
            cell(worse),
        ]);
    }
    if !table.is_empty() {
        output.table(&table)?;
    }
    if let [Some(champion), Some(challenger)] = &status.accuracy {
        let of = |interval: &Interval| format!("{} to {}", percent(interval.lower), percent(interval.upper));
        output.line(format!(
            "accuracy by itself, with 95 % confidence now: champion {}, challenger {}",
            of(champion),
            of(challenger)
        ))?;
    }
    let how = if status.paired { "the arms are compared row by row" } else { "only served rows count" };
    output.line(format!(
        "{how}, in blocks of {}; better and worse are e-values: 20 comes by chance in at most one of 20 experiments",
        status.plan.block
    ))?;
    if status.correlation.is_some_and(|correlation| correlation > 0.2) {
        output.line("blocks follow each other too closely to be independent: plan longer ones, or the difference drifts")?;
    }
    Ok(())
}

fn signed(value: f64) -> String {
    if value > 0.0 { format!("+{}", figure(value)) } else { figure(value) }
}

fn concern(concern: &Concern) -> &'static str {
    match concern {
        Concern::NoData => "an arm has no outcome, or no more rows",
        Concern::TooFewSamples => "an arm has fewer than 100 outcomes",
        Concern::SampleRatioMismatch => "traffic was not shared out as it should be",
        Concern::OutcomeCoverageMismatch => "outcomes of one arm are missing more often",
    }
}

pub(crate) async fn route(
    global: &Global,
    args: &RouteArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let parts = [
        ("tenant", args.model.tenant.clone()),
        ("model", Some(args.model.model.clone())),
        ("key", Some(args.key.clone())),
    ];
    let answer: RouteAnswer = connect::connect(global).await?.get(&query("/v1/route", &parts)).await?;
    let exit = if answer.version.is_some() { ExitCode::Ok } else { ExitCode::No };
    if output.is_json() {
        output.json(&answer)?;
        return Ok(exit);
    }
    match (&answer.version, &answer.arm) {
        (Some(version), Some(arm)) => output.line(format!("{version} ({arm})"))?,
        _ => output.line(output.paint("nobody", Tone::Bad))?,
    }
    if let Some(reason) = &answer.reason {
        output.line(format!("- {reason}"))?;
    }
    if let Some(confidence) = answer.minimum_confidence {
        output.line(format!("- only if its confidence is at least {confidence}"))?;
    }
    Ok(exit)
}

pub(crate) async fn proposals(
    global: &Global,
    args: &ProposalsArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let (id, hash, approved, only, who, at) = match &args.command {
        None => return list(global, args, output).await,
        Some(ProposalsCommand::Show { id }) => {
            let proposal = find(global, id).await?;
            if output.is_json() {
                output.json(&proposal)?;
            } else {
                show_proposal(&proposal, output)?;
            }
            return Ok(ExitCode::Ok);
        }
        Some(ProposalsCommand::Approve { id, hash, only, who, at }) => {
            (id, hash, true, only.clone(), who, at)
        }
        Some(ProposalsCommand::Reject { id, hash, who, at }) => {
            if who.reason.trim().is_empty() {
                let failure = Failure::invalid("say why it is rejected, with `--reason`");
                return Err(Failure { exit_code: ExitCode::Usage as u8, ..failure });
            }
            (id, hash, false, Vec::new(), who, at)
        }
    };
    let shown = Digest::parse(hash).ok_or_else(|| {
        Failure::invalid("--hash: is no hash; `trimtab proposals show` prints the 64 digits that belong here")
    })?;
    let request = AnswerRequest {
        proposal: id.clone(),
        shown,
        approved,
        only,
        actor: actor(who.actor.as_ref()),
        reason: who.reason.clone(),
        at: time(at.as_deref())?,
    };
    let ruled: Ruled = connect::connect(global).await?.post("/v1/proposals/answer", &request).await?;
    said(&ruled, output)
}

async fn all(
    global: &Global,
    mut parts: Vec<(&'static str, Option<String>)>,
    open: bool,
) -> Result<Vec<Proposal>, Failure> {
    parts.push(("open", open.then(|| "true".to_owned())));
    let answer: Proposals = connect::connect(global).await?.get(&query("/v1/proposals", &parts)).await?;
    Ok(answer.proposals)
}

async fn find(global: &Global, id: &str) -> Result<Proposal, Failure> {
    let all = all(global, vec![("settled", Some("true".to_owned()))], false).await?;
    all.into_iter().find(|proposal| proposal.id == id).ok_or_else(|| {
        Failure::missing(format!("there is no proposal `{id}`; `trimtab proposals` lists those that wait"))
    })
}

async fn list(global: &Global, args: &ProposalsArgs, output: &mut Output) -> Result<ExitCode, Failure> {
    let proposals = all(global, filtered(&args.filter), !args.all).await?;
    let waits = proposals.iter().any(|proposal| proposal.state == ProposalState::Open);
    let exit = if waits { ExitCode::Warning } else { ExitCode::Ok };
    if output.is_json() {
        output.json(&serde_json::json!({ "proposals": proposals }))?;
        return Ok(exit);
    }
    if proposals.is_empty() {
        output.line("nothing waits for a person")?;
        return Ok(exit);
    }
    let mut table = Table::new(&["id", "model", "what", "by", "since", "until", "state"]);
    for proposal in &proposals {
        let tone = if proposal.state == ProposalState::Open { Tone::Warning } else { Tone::Faint };
        table.row([
            cell(&proposal.id),
            cell(&proposal.model),
            cell(&proposal.what),
            cell(proposal.by.as_ref().map_or("-", |policy| &policy.name)),
            cell(proposal.opened.for_people()),
            cell(proposal.expires.for_people()),
            (proposal.state.name().to_owned(), tone),
        ]);
    }
    output.table(&table)?;
    if waits {
        output.line("`trimtab proposals show ID` shows one with its hash, which an answer needs")?;
    }
    Ok(exit)
}

fn show_proposal(proposal: &Proposal, output: &mut Output) -> Result<(), Failure> {
    output.line(format!("proposal   {} ({})", proposal.id, proposal.state.name()))?;
    output.line(format!("about      {} at revision {}", proposal.model, proposal.revision))?;
    output.line(format!("what       {}", proposal.what))?;
    if let Some(policy) = &proposal.by {
        output.line(format!(
            "policy     {} {} (decision {})",
            policy.name,
            policy.digest.short(),
            proposal.decision
        ))?;
    }
    output.line(format!("why        {}", proposal.reason))?;
    output.line(format!(
        "since      {}, until {}",
        proposal.opened.for_people(),
        proposal.expires.for_people()
    ))?;
    if let Proposed::Cleanup { plan } = &proposal.what {
        for fate in [Fate::Keep, Fate::Delete] {
            let lines: Vec<_> = plan.iter().filter(|line| line.fate == fate).collect();
            let bytes: u64 = lines.iter().map(|line| line.size_bytes).sum();
            output.line("")?;
            let head = format!("{} {}, {bytes} bytes:", fate.name(), count(lines.len() as u64, "version"));
            output
                .line(output.paint(&head, if fate == Fate::Delete { Tone::Warning } else { Tone::Plain }))?;
            let mut table = Table::new(&["version", "bytes", "why"]);
            for line in lines {
                table.row([cell(&line.version), cell(line.size_bytes), cell(&line.reason)]);
            }
            if !table.is_empty() {
                output.table(&table)?;
            }
        }
        output.line("")?;
    }
    match &proposal.state {
        ProposalState::Open => {
            output.line(format!("hash       {}", proposal.shown))?;
            output.line(format!(
                "approve    trimtab proposals approve {} --hash {}",
                proposal.id, proposal.shown
            ))
        }
        ProposalState::Approved { by, at } => {
            output.line(format!("approved   by {by} at {}", at.for_people()))
        }
        ProposalState::Rejected { by, at, reason } => {
            output.line(format!("rejected   by {by} at {}: {reason}", at.for_people()))
        }
        ProposalState::Stale { why } => output.line(format!("stale      {why}")),
        ProposalState::Expired => output.line("expired    nobody answered in time"),
    }
}

pub(crate) async fn cleanup(
    global: &Global,
    command: &CleanupCommand,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let CleanupCommand::Plan { model, who } = command;
    ask(global, model, ModelAct::Review, who).await?;
    let parts = [
        ("tenant", model.tenant.clone()),
        ("model", Some(model.model.clone())),
        ("settled", Some("true".to_owned())),
    ];
    let open = all(global, parts.to_vec(), true).await?;
    let plan = open.into_iter().find(|proposal| matches!(proposal.what, Proposed::Cleanup { .. }));
    match plan {
        Some(plan) if output.is_json() => output.json(&plan)?,
        Some(plan) => show_proposal(&plan, output)?,
        None => {
            output.line(format!(
                "no version of `{}` goes; `trimtab decisions --model {}` shows what was asked and answered",
                model.model, model.model
            ))?;
            return Ok(ExitCode::Ok);
        }
    }
    Ok(ExitCode::Warning)
}

async fn ask(global: &Global, model: &ModelArgs, act: ModelAct, who: &WhoArgs) -> Result<(), Failure> {
    let request = ActRequest {
        tenant: model.tenant.clone(),
        model: model.model.clone(),
        act,
        actor: actor(who.actor.as_ref()),
        reason: who.reason.clone(),
    };
    let client = connect::connect(global).await?;
    let _: serde_json::Value = client.post("/v1/acts", &request).await?;
    // What was asked last is answered first: a policy that could not answer has not said that there is nothing to do.
    #[derive(serde::Deserialize)]
    struct Listed {
        decisions: Vec<DecisionRecord>,
    }
    let parts = [
        ("tenant", model.tenant.clone()),
        ("model", Some(model.model.clone())),
        ("limit", Some("20".to_owned())),
    ];
    let listed: Listed = client.get(&query("/v1/decisions", &parts)).await?;
    let enforced = listed.decisions.iter().filter(|decision| decision.mode == Mode::Enforce);
    let mut of_it = enforced.filter(|decision| {
        matches!(decision.question, Question::Cleanup { .. } | Question::RetrainSchedule { .. })
    });
    match of_it.next().map(|decision| &decision.answer) {
        Some(Answer::Failed(failure)) => Err(Failure::new(ErrorKind::Prerequisite, failure.to_string())),
        Some(Answer::Ruled(Ruled { refusal: Some(refusal), .. })) => {
            Err(Failure::new(ErrorKind::NotFound, refusal.problem.clone()))
        }
        _ => Ok(()),
    }
}

pub(crate) async fn schedule(
    global: &Global,
    command: &ScheduleCommand,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let (model, cronjob) = match command {
        ScheduleCommand::Show { model, cronjob } => (model, *cronjob),
        ScheduleCommand::Plan { model, who } => {
            ask(global, model, ModelAct::PlanRetrains, who).await?;
            (model, false)
        }
    };
    let parts = [("tenant", model.tenant.clone()), ("model", Some(model.model.clone()))];
    let status: ScheduleStatus = connect::connect(global).await?.get(&query("/v1/schedule", &parts)).await?;
    if output.is_json() {
        output.json(&status)?;
        return Ok(ExitCode::Ok);
    }
    let (Some(schedule), Some(patch)) = (&status.schedule, &status.cronjob) else {
        return Err(Failure::missing(format!(
            "no policy has said how often `{}` is to be retrained; `trimtab schedule plan {}` asks them",
            model.model, model.model
        )));
    };
    if cronjob {
        output.line(patch.to_string())?;
        if let Some(note) = &status.note {
            output.note(note);
        }
        return Ok(ExitCode::Ok);
    }
    let every = trimtab_types::format_duration(u64::from(schedule.every));
    let at_once = if schedule.immediately { ", and once at once" } else { "" };
    output.line(format!("every {every}{at_once}: {}", schedule.reason))?;
    if let Some(planned) = status.planned {
        output.line(format!("as planned at {}", planned.for_people()))?;
    }
    if let Some(note) = &status.note {
        output.line(format!("- {note}"))?;
    }
    Ok(ExitCode::Ok)
}
