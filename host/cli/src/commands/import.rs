//! `trimtab import`: rows from a file into the log.

use trimtab_server::{ExitCode, Failure, client::Client};

use super::show;
use crate::{
    args::{Global, ImportArgs},
    connect,
    import::{Feed, Source},
    output::{Output, count},
};

pub(crate) async fn run(
    global: &Global,
    args: &ImportArgs,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    let source = Source::open(&args.source)?;
    let client = connect::connect(global).await?;
    let name = source.name.clone();
    let feed = Feed::new(&client, args.batch, None);
    let fed = feed
        .run(source, |fed| output.progress(&format!("{name}: {} lines, {} rows new", fed.lines, fed.new)))
        .await;
    output.progress("");
    let fed = fed?;
    // The rows are there, and what was asked for besides is not, and will not be: nothing has that name, or too much has.
    let exit =
        if fed.not_set.iter().all(|not_set| not_set.has_rows) { ExitCode::Ok } else { ExitCode::Warning };
    // What was imported is folded and decided before the command ends.
    let status = client.get("/v1/status?settled=true&limit=10000").await;
    let status: trimtab_server::Status = status.map_err(|failure: Failure| {
        let kept =
            format!("all {} of {name} are kept; what comes of them", count(fed.new + fed.unchanged, "row"));
        Failure { message: format!("{kept} is not known yet: {}", failure.message), ..failure }
    })?;
    if let Client::Local(_, service) = &client {
        let service = std::sync::Arc::clone(service);
        connect::blocking(move || service.deliver()).await?;
    }
    if output.is_json() {
        let unjudged: Vec<_> = status
            .subjects
            .iter()
            .filter(|subject| subject.unjudged > 0)
            .map(|subject| serde_json::json!({ "subject": subject.subject, "outcomes": subject.unjudged }))
            .collect();
        output.json(&serde_json::json!({
            "lines": fed.lines, "predictions": fed.predictions, "outcomes": fed.outcomes,
            "left_out": fed.left_out, "remarks": fed.remarks, "new": fed.new, "unchanged": fed.unchanged,
            "baselines": fed.baselines, "baselines_not_set": fed.not_set, "unjudged": unjudged, "entries": status.head,
        }))?;
        return Ok(exit);
    }
    output.line(format!(
        "{name}: {} lines; {} rows new, {} already there",
        fed.lines, fed.new, fed.unchanged
    ))?;
    if fed.lines == 0 {
        output.warning(format!("{name} has no rows; what follows is about what was there before"))?;
    }
    fed.summary().iter().try_for_each(|line| output.line(line))?;
    show::baselines(&fed.baselines, output)?;
    show::unjudged(&status.subjects).iter().try_for_each(|line| output.line(line))?;
    output.line(format!(
        "log: {} entries; {}, {}",
        status.head,
        count(status.counts.findings, "finding change"),
        count(status.counts.decisions, "decision")
    ))?;
    Ok(exit)
}
