//! `trimtab baseline`: what subjects are held against.

use trimtab_server::{BaselineRequest, BaselineStatus, ExitCode, Failure};
use trimtab_types::{BaselineSource, ClassErrors, Timestamp};

use super::{filtered, query, show};
use crate::{
    args::{BaselineArgs, BaselineCommand, BaselineSetArgs, Global},
    connect,
    output::{Output, Table, cell},
};

pub(crate) async fn run(
    global: &Global,
    args: &BaselineArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let baselines: Vec<BaselineStatus> = match &args.command {
        BaselineCommand::Set(args) => {
            let request = request(args)?;
            vec![connect::connect(global).await?.post("/v1/baselines", &request).await?]
        }
        BaselineCommand::Show(filter) => {
            #[derive(serde::Deserialize)]
            struct Answer {
                baselines: Vec<BaselineStatus>,
            }
            let answer: Answer =
                connect::connect(global).await?.get(&query("/v1/baselines", &filtered(filter))).await?;
            answer.baselines
        }
    };
    if output.is_json() {
        output.json(&serde_json::json!({ "baselines": baselines }))?;
        return Ok(ExitCode::Ok);
    }
    let mut table = Table::new(&["subject", "right", "samples", "worth", "alike", "from"]);
    for BaselineStatus { baseline, .. } in &baselines {
        let from = match &baseline.source {
            BaselineSource::Given => "given by hand".to_owned(),
            BaselineSource::First { rows } => format!("the first {rows} resolved"),
            BaselineSource::Range { from, until } => format!("{from} to {until}"),
        };
        let worth = baseline.effective_samples.map_or("-".to_owned(), |worth| format!("{worth:.0}"));
        table.row([
            cell(&baseline.subject),
            cell(show::right(baseline)),
            cell(baseline.samples),
            cell(worth),
            // As e-sr bets by default.
            cell(baseline.inflation(5).map_or("-".to_owned(), |inflation| format!("{inflation:.1}"))),
            cell(from),
        ]);
    }
    if table.is_empty() {
        output.line("no baseline is set; every subject's health is unknown")?;
    } else {
        output.table(&table)?;
    }
    for BaselineStatus { baseline, strength, unseen } in &baselines {
        if *unseen > 0 {
            output.warning(format!(
                "{unseen} predictions of {} that were judged after these are not held against them, only the newest are; \
                 `trimtab backtest` with a column map sets the baseline on the way and looks at all",
                baseline.subject
            ))?;
        }
        if !strength.rises.is_empty() {
            output.line(format!("{} finds more errors: {}", baseline.subject, strength.words()))?;
        }
        let (watched, others) = baseline.classes.split_at(baseline.watched_classes().len());
        for (classes, what) in [(watched, "watches by class"), (others, "does not watch, for too few events")]
        {
            if !classes.is_empty() {
                output.line(format!("{} {what}: {}", baseline.subject, by_class(classes)))?;
            }
        }
        show::strength(&baseline.subject, strength).iter().try_for_each(|line| output.warning(line))?;
    }
    Ok(ExitCode::Ok)
}

/// How many of each class there were, and how many of them were wrong.
fn by_class(classes: &[ClassErrors]) -> String {
    let of = |known: &ClassErrors| format!("{} ({} of {} wrong)", known.name, known.errors, known.events);
    classes.iter().map(of).collect::<Vec<_>>().join(", ")
}

fn request(args: &BaselineSetArgs) -> Result<BaselineRequest, Failure> {
    let time = |flag: &str, text: &Option<String>| {
        let parse = |text: &String| {
            Timestamp::parse_or_date(text)
                .map_err(|invalid| Failure::invalid(format!("--{flag}: {}", invalid.problem)))
        };
        text.as_ref().map(parse).transpose()
    };
    Ok(BaselineRequest {
        tenant: args.tenant.clone(),
        model: args.model.clone(),
        version: args.version.clone(),
        segment: args.segment.clone(),
        first: args.first,
        from: time("from", &args.from)?,
        until: time("until", &args.until)?,
        samples: args.samples,
        accuracy: args.accuracy,
        precision: args.precision,
        recall: args.recall,
        f1: args.f1,
    })
}
