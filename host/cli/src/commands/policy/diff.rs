//! How differences between decisions read on a terminal.

use std::path::Path;

use serde::Serialize;
use trimtab_replay::{
    diff::{Counts, Diff, Direction, Example, Kind, Proposed, Said},
    dry_run::SettingChange,
    words::{self, HELD_BACK, proposed},
};
use trimtab_server::{ExitCode, Failure, page::DiffPage, replace_file};

use crate::{
    args::PeriodArgs,
    output::{Output, Table, Tone, cell, count},
};

/// How much of a comparison is shown, and where.
pub(super) struct Shown<'a> {
    /// Examples of each direction.
    pub(super) examples: usize,
    /// A page is written here.
    pub(super) html: Option<&'a Path>,
}

impl PeriodArgs {
    pub(super) fn shown(&self) -> Shown<'_> {
        Shown { examples: self.examples, html: self.html.as_deref() }
    }
}

/// Shows a comparison, `answer` as JSON, and writes its page. The page comes last: a file that cannot be written takes
/// nothing away of what was computed.
pub(super) fn publish(
    page: &DiffPage<'_>,
    answer: &impl Serialize,
    shown: &Shown<'_>,
    output: &mut Output,
) -> Result<ExitCode, Failure> {
    if output.is_json() {
        output.json(answer)?;
    } else {
        let (first, rest) = page.about.split_first().map_or(("", &[][..]), |(first, rest)| (first, rest));
        output.line(format!("{}: {}", page.title, page.diff.in_short()))?;
        output.line(first)?;
        for remark in rest {
            output.line(output.paint(&format!("note: {remark}"), Tone::Warning))?;
        }
        settings(page.settings, output)?;
        show(page.diff, page.labels, shown.examples, output)?;
    }
    if let Some(file) = shown.html
        && let Err(error) = replace_file(file, page.html().as_bytes())
    {
        output.note(format!("error: {error}"));
        return Ok(ExitCode::Files);
    }
    Ok(if page.diff.differs() { ExitCode::Different } else { ExitCode::Ok })
}

/// Settings that differ.
fn settings(changes: &[SettingChange], output: &mut Output) -> Result<(), Failure> {
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
fn show(diff: &Diff, labels: [&'static str; 2], examples: usize, output: &mut Output) -> Result<(), Failure> {
    output.line("")?;
    let mut table = Table::new(&["moments", "unchanged", "looser", "stricter", "other"]);
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
        output.line(format!("of the unchanged, {} in other words", diff.reworded))?;
    }
    if !diff.actions.is_empty() {
        output.line("")?;
        let mut table = Table::new(&["action", labels[0], labels[1]]);
        for (action, of) in &diff.actions {
            let recorded = proposed(of.recorded, of.recorded_held_back);
            let candidate = proposed(of.candidate, of.candidate_held_back);
            let tone = if recorded == candidate { Tone::Plain } else { Tone::Warning };
            table.row([cell(action), cell(recorded), (candidate, tone)]);
        }
        output.table(&table)?;
        if diff.actions.values().any(Proposed::held_back) {
            output.line(output.paint(HELD_BACK, Tone::Faint))?;
        }
    }
    // What is held back less comes first: that is what people look for. Words of alerts have no direction.
    let directions = Direction::ALL.into_iter().map(Some).chain([None]);
    for direction in directions {
        let towards = diff.examples.iter().filter(|example| example.direction == direction);
        for example in towards.filter(|example| example.kind != Kind::Reworded).take(examples) {
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
    let [looser, stricter, other] = Direction::ALL.map(|direction| tone(of.towards(direction)));
    [cell(what), cell(of.unchanged), looser, stricter, other]
}

fn show_example(example: &Example, labels: [&str; 2], output: &mut Output) -> Result<(), Failure> {
    output.line("")?;
    let channel = example.channel.as_ref().map_or(String::new(), |channel| format!(", for {channel}"));
    output.line(format!(
        "{} at {}: {} (at {}{channel})",
        output.paint(&example.title(), Tone::Warning),
        example.at.for_people(),
        example.subject,
        example.subject.place(example.position)
    ))?;
    for finding in &example.findings {
        output.line(format!("  {:<10} {}", "found", words::found(finding)))?;
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
