//! How subjects, findings and decisions are shown; what several commands share.

use trimtab_core::fold::Fleet;
use trimtab_replay::words::{self, amount, evidence, figure};
use trimtab_server::{BaselineStatus, Failure, Health, SubjectStatus, Totals};
use trimtab_types::{
    Baseline, DecisionRecord, Estimate, Finding, LogLine, Phase, Question, Read, StateChange, Strength,
    Subject,
};

use crate::output::{Output, Table, Tone, cell, count, percent};

pub(crate) fn health(health: Health) -> (String, Tone) {
    let tone = match health {
        Health::Ok => Tone::Good,
        Health::Unknown => Tone::Faint,
        Health::Warning => Tone::Warning,
        Health::Critical => Tone::Bad,
    };
    (health.name().to_owned(), tone)
}

/// How many subjects are how, the worst first.
pub(crate) fn summary(totals: &Totals) -> String {
    let of = |(number, health): (u64, Health)| (number > 0).then(|| format!("{number} {}", health.name()));
    let all = [
        (totals.critical, Health::Critical),
        (totals.warning, Health::Warning),
        (totals.unknown, Health::Unknown),
        (totals.ok, Health::Ok),
    ];
    let all: Vec<_> = all.into_iter().filter_map(of).collect();
    if all.is_empty() { "no subject yet".to_owned() } else { all.join(", ") }
}

/// That there are more than a page shows, if there are.
pub(crate) fn rest(next: Option<&String>) -> Option<String> {
    next.map(|next| {
        format!("and others, none of them worse: --model shows one, --limit more, and the next page is --after {next}")
    })
}

pub(crate) fn subjects(subjects: &[SubjectStatus]) -> Table {
    let mut table =
        Table::new(&["subject", "health", "resolved", "last 50", "last 100", "last 200", "baseline", "open"]);
    for subject in subjects {
        let share = |share: Option<f64>| cell(share.map_or("-".to_owned(), percent));
        let open = open(&subject.open);
        let [last_50, last_100, last_200] =
            subject.accuracy.map(|estimate| estimate.map(|estimate| estimate.value));
        table.row([
            cell(&subject.subject),
            health(subject.health),
            cell(subject.resolved),
            share(last_50),
            share(last_100),
            share(last_200),
            share(subject.baseline),
            cell(match (subject.retired, subject.paused) {
                (true, _) => format!("retired {open}"),
                (false, true) => format!("paused {open}"),
                (false, false) => open,
            }),
        ]);
    }
    table
}

/// What is open, the gravest first, in short.
fn open(findings: &[Finding]) -> String {
    const SHOWN: usize = 3;
    let mut findings: Vec<_> = findings.iter().collect();
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.severity), finding.opened));
    let short = |finding: &&Finding| {
        format!("{} {} since {}", finding.quantity, finding.severity, finding.opened.for_people())
    };
    let mut parts: Vec<_> = findings.iter().take(SHOWN).map(short).collect();
    if findings.len() > SHOWN {
        parts.push(format!("{} more", findings.len() - SHOWN));
    }
    parts.join(", ")
}

/// Outcomes that judge nothing, in words.
pub(crate) fn unjudged(subjects: &[SubjectStatus]) -> Vec<String> {
    let of = |subject: &SubjectStatus| {
        format!(
            "{} of {} can judge nothing: of another kind than the prediction, such as a label for a value, or a label that its task does not have",
            count(subject.unjudged, "outcome"),
            subject.subject
        )
    };
    subjects.iter().filter(|subject| subject.unjudged > 0).map(of).collect()
}

/// Baselines that were set on the way, and what they cannot show.
pub(crate) fn baselines(baselines: &[BaselineStatus], output: &mut Output) -> Result<(), Failure> {
    for BaselineStatus { baseline, strength: known, .. } in baselines {
        let subject = &baseline.subject;
        output.line(format!("baseline of {subject}: {} over {}", right(baseline), baseline.samples))?;
        strength(subject, known).iter().try_for_each(|line| output.warning(line))?;
    }
    Ok(())
}

/// How much of a baseline is right. Of numbers nothing is right or wrong: an error is what is larger than most were.
pub(crate) fn right(baseline: &Baseline) -> String {
    match &baseline.errors {
        Some(scale) => format!("{} off by {} at most", percent(baseline.accuracy), figure(scale.usual)),
        None => percent(baseline.accuracy),
    }
}

/// What the baselines of subjects cannot show, in words, of so many of them.
pub(crate) fn strengths(subjects: &[SubjectStatus], most: usize) -> Vec<String> {
    // What is judged too early is news; that there is no baseline, many know.
    let early = subjects.iter().filter_map(|subject| subject.provisional.words(&subject.subject));
    let mut lines: Vec<String> = early.collect();
    let unseen = subjects.iter().filter(|subject| subject.unseen > 0).map(|subject| {
        format!(
            "up to {} of {} came before its baseline was set and were never held against it, but for the newest; \
             `trimtab backtest` with a column map looks at all",
            count(subject.unseen, "judged prediction"),
            subject.subject
        )
    });
    lines.extend(unseen);
    lines.extend(subjects.iter().flat_map(|subject| strength(&subject.subject, &subject.strength)));
    let more = lines.len().saturating_sub(most);
    lines.truncate(most);
    if more > 0 {
        lines.push(format!("and {more} more lines like these; --model NAME shows those of one"));
    }
    lines
}

/// What a baseline cannot show, in words; nothing where it is good enough.
pub(crate) fn strength(subject: &Subject, strength: &Strength) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(unknown) = &strength.unknown {
        lines.push(format!("{subject} {unknown}"));
    }
    if strength.finds_too_little {
        lines.push(format!(
            "the baseline of {subject} finds more errors late or never ({}); a longer one finds them sooner",
            strength.words()
        ));
    }
    lines
}

/// What waits for its horizon, in words.
pub(crate) fn waiting(subjects: &[SubjectStatus]) -> Vec<String> {
    let of = |subject: &SubjectStatus| {
        let waiting = subject.provisional.waiting;
        let late = subject.provisional.after_horizon;
        let mut parts = Vec::new();
        if waiting > 0 {
            let whose = if waiting == 1 { "its prediction" } else { "their predictions" };
            parts.push(format!("{} for the horizon of {whose}", wait(waiting)));
        }
        if late > 0 {
            parts.push(format!("{} came after the horizon and changed nothing", count(late, "correction")));
        }
        (!parts.is_empty()).then(|| format!("{}: {}", subject.subject, parts.join("; ")))
    };
    subjects.iter().filter_map(of).collect()
}

fn wait(outcomes: u64) -> String {
    format!("{} {}", count(outcomes, "outcome"), if outcomes == 1 { "waits" } else { "wait" })
}

/// What cannot be told of subjects, in words.
pub(crate) fn cannot_tell(subjects: &[SubjectStatus]) -> Vec<String> {
    let of = |subject: &SubjectStatus| {
        let what = subject.cannot_tell.iter();
        let what = what.map(|quantity| format!("  {quantity}"));
        let head = format!("watched and never looked at of {}:", subject.subject);
        std::iter::once(head).chain(what).collect::<Vec<_>>()
    };
    subjects.iter().filter(|subject| !subject.cannot_tell.is_empty()).flat_map(of).collect()
}

/// A tenant's subjects together, in words.
pub(crate) fn fleet(fleet: &Fleet) -> Vec<String> {
    let found = |names: &[String]| match names {
        [] => "none stands out (what is open by itself is open all the same)".to_owned(),
        names => names.join(", "),
    };
    let mut lines = vec![format!(
        "{}: at most {} false alarms a week expected",
        fleet.tenant,
        figure(fleet.false_alarms_per_week)
    )];
    if !fleet.without_promise.is_empty() {
        lines.push(format!("  besides those of {}, which promise no rate", fleet.without_promise.join(", ")));
    }
    if fleet.streams > 1 {
        lines.push(format!(
            "  {} streams of errors, held against chance all together: {}",
            fleet.streams,
            found(&fleet.changed)
        ));
    }
    if fleet.tests > 1 {
        lines.push(format!(
            "  {} tests of distributions, held against chance all together: {}",
            fleet.tests,
            found(&fleet.significant)
        ));
    }
    lines
}

/// Metrics of the subjects that keep them, and what is estimated where outcomes have not come.
pub(crate) fn metrics(subjects: &[SubjectStatus]) -> Table {
    let mut table = Table::new(&["subject", "of", "metrics"]);
    for subject in subjects {
        for (metrics, kind) in
            [(&subject.metrics, "judged"), (&subject.estimated, "without outcome, estimated")]
        {
            let most = metrics.iter().map(|metric| metric.estimate.samples).max();
            let Some(most) = most else { continue };
            let metrics: Vec<_> = metrics
                .iter()
                .map(|metric| format!("{} {}", metric.name, figure(metric.estimate.value)))
                .collect();
            table.row([cell(&subject.subject), cell(format!("{most} {kind}")), cell(metrics.join(", "))]);
        }
    }
    table
}

pub(crate) fn findings(findings: &[Finding]) -> Table {
    let mut table =
        Table::new(&["place", "at", "subject", "", "severity", "detector", "before", "now", "evidence"]);
    for finding in findings {
        let estimate = |estimate: Option<Estimate>| {
            cell(estimate.map_or("-".to_owned(), |estimate| {
                format!("{} ({})", amount(&finding.quantity, estimate.value), estimate.samples)
            }))
        };
        let phase = match finding.phase {
            Phase::Opened => ("opened".to_owned(), Tone::Warning),
            Phase::Raised => ("raised".to_owned(), Tone::Bad),
            Phase::Closed => ("closed".to_owned(), Tone::Good),
        };
        table.row([
            cell(finding.subject.place(finding.position)),
            cell(finding.at),
            cell(&finding.subject),
            phase,
            (finding.severity.to_string(), Tone::of(finding.severity)),
            cell(format!("{} on {}", finding.detector, finding.quantity)),
            estimate(finding.baseline),
            estimate(finding.current),
            cell(evidence(finding)),
        ]);
    }
    table
}

/// What was decided, in one line.
pub(crate) fn decided(decision: &DecisionRecord) -> String {
    decision.answer.words()
}

/// Which question was asked.
pub(crate) fn asked(decision: &DecisionRecord) -> String {
    match &decision.question {
        Question::DriftAction { findings } => {
            let findings: Vec<_> = findings
                .iter()
                .map(|finding| format!("{} {} {}", finding.detector, finding.phase.name(), finding.severity))
                .collect();
            findings.join(", ")
        }
        Question::AlertFormat { alert, channel } => format!("{} alert for {channel}", alert.occasion.name()),
        Question::CanaryPromotion { experiment } => {
            format!("experiment with {} after {} blocks", experiment.challenger.version, blocks(experiment))
        }
        Question::Cleanup { inventory } => format!("which of {} versions may go", inventory.versions.len()),
        Question::RetrainSchedule { .. } => "how often to retrain".to_owned(),
        Question::Request(request) => format!("{} by {}", request.name(), request.actor()),
    }
}

/// Blocks of evidence of an experiment, of the metric that has most.
fn blocks(experiment: &trimtab_types::Experiment) -> u32 {
    experiment.differences.iter().map(|difference| difference.estimate.samples).max().unwrap_or(0)
}

/// What a policy read before it answered.
pub(crate) fn reads(reads: &[Read], output: &mut Output) -> Result<(), Failure> {
    for read in reads {
        output.line(format!("read       {}", words::read(read)))?;
    }
    Ok(())
}

/// What a policy wrote into its notebook, and its log.
pub(crate) fn traces(notebook: &[StateChange], log: &[LogLine], output: &mut Output) -> Result<(), Failure> {
    for change in notebook {
        let value = change.value.as_deref().unwrap_or("(removed)");
        output.line(format!("noted      {} = {value}", change.key))?;
    }
    for line in log {
        output.line(format!("log        {:?}: {}", line.level, line.message))?;
    }
    Ok(())
}

/// What an answer cost.
pub(crate) fn took(micros: impl std::fmt::Display, fuel: u64, output: &mut Output) -> Result<(), Failure> {
    output.line(format!("took       {micros} µs, {} of fuel", count(fuel, "unit")))
}
