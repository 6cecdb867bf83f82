//! How differences between decisions read on a terminal.

use trimtab_engine::{
    diff::{Counts, Diff, Example, Kind, Said},
    dry_run::SettingChange,
};
use trimtab_server::Failure;

use crate::{
    commands::show,
    output::{Output, Table, Tone, cell, count},
};

/// Settings that differ.
pub(super) fn settings(changes: &[SettingChange], output: &mut Output) -> Result<(), Failure> {
    for change in changes {
        let value = |value: &Option<serde_json::Value>| {
            value.as_ref().map_or("not there".to_owned(), ToString::to_string)
        };
        output.line(format!(
            "setting {}.{}: {} instead of {}",
            change.policy,
            change.key,
            value(&change.candidate),
            value(&change.recorded)
        ))?;
    }
    Ok(())
}

/// Numbers first, then examples with what each side said and why they differ.
pub(super) fn show(
    diff: &Diff,
    labels: [&'static str; 2],
    examples: usize,
    output: &mut Output,
) -> Result<(), Failure> {
    output.line("")?;
    let mut table = Table::new(&["moments", "unchanged", "changed", "gone", "new"]);
    table.row(counts("all", &diff.total));
    for (severity, of) in diff.severities.iter().rev() {
        table.row(counts(&format!("  {severity}"), of));
    }
    for (model, of) in &diff.models {
        table.row(counts(&format!("  {model}"), of));
    }
    if diff.messages != Counts::default() {
        table.row(counts("words of alerts", &diff.messages));
    }
    output.table(&table)?;
    if diff.reworded > 0 {
        output.line(format!("of the unchanged, {} for reasons that read differently", diff.reworded))?;
    }
    if !diff.actions.is_empty() {
        output.line("")?;
        let mut table = Table::new(&["action", labels[0], labels[1]]);
        for (action, proposed) in &diff.actions {
            let tone = if proposed.recorded == proposed.candidate { Tone::Plain } else { Tone::Warning };
            table.row([cell(action), cell(proposed.recorded), (proposed.candidate.to_string(), tone)]);
        }
        output.table(&table)?;
    }
    for kind in [Kind::Changed, Kind::New, Kind::Gone] {
        for example in diff.examples.iter().filter(|example| example.kind == kind).take(examples) {
            show_example(example, labels, output)?;
        }
    }
    if !diff.differs() {
        output.line("")?;
        output.line(output.paint("no decision changes", Tone::Good))?;
    }
    Ok(())
}

fn counts(what: &str, of: &Counts) -> [(String, Tone); 5] {
    let tone = |n: u64| (n.to_string(), if n == 0 { Tone::Plain } else { Tone::Warning });
    [cell(what), cell(of.unchanged), tone(of.changed), tone(of.gone), tone(of.new)]
}

fn show_example(example: &Example, labels: [&str; 2], output: &mut Output) -> Result<(), Failure> {
    output.line("")?;
    let channel = example.channel.as_ref().map_or(String::new(), |channel| format!(", for {channel}"));
    output.line(format!(
        "{} at {}: {} (position {}{channel})",
        output.paint(example.kind.name(), Tone::Warning),
        example.at.for_people(),
        example.subject,
        example.position
    ))?;
    for finding in &example.findings {
        let now = finding
            .current
            .map_or(String::new(), |now| format!(", now {} over {}", show::figure(now.value), now.samples));
        let before = finding
            .baseline
            .map_or(String::new(), |before| format!(", before {}", show::figure(before.value)));
        output.line(format!(
            "  {:<10} {} on {} {}: {}{now}{before}; {}",
            "found",
            finding.detector,
            finding.quantity,
            finding.phase.name(),
            finding.severity,
            show::evidence(finding)
        ))?;
    }
    for (label, side) in labels.into_iter().zip([&example.recorded, &example.candidate]) {
        if side.is_empty() {
            output.line(format!("  {label:<10} nothing"))?;
        }
        for said in side {
            show_said(label, said, output)?;
        }
    }
    for why in &example.why {
        output.line(format!("  {:<10} {why}", "why"))?;
    }
    Ok(())
}

fn show_said(label: &str, said: &Said, output: &mut Output) -> Result<(), Failure> {
    let by = said
        .policy
        .as_ref()
        .map_or("the host".to_owned(), |policy| format!("{} {}", policy.name, policy.digest.short()));
    output.line(format!("  {label:<10} {by}: {}", count(said.actions.len() as u64, "action")))?;
    for (action, verdict) in &said.actions {
        let verdict = verdict.as_ref().map_or(String::new(), |verdict| format!(" - {verdict}"));
        output.line(format!("  {:<10} - {action}{verdict}", ""))?;
    }
    for line in said.words.lines().take(6) {
        output.line(format!("  {:<10}   {}", "", output.paint(line, Tone::Faint)))?;
    }
    Ok(())
}
