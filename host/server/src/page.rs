//! Pages that stand by themselves: one file, no scripts, nothing loaded from anywhere. The chart here is the only one.

use std::{collections::BTreeMap, fmt::Write};

use trimtab_engine::{
    diff::{Counts, Diff, Example, Kind, Said},
    dry_run::SettingChange,
};
use trimtab_types::Timestamp;

/// Bars of a chart; days are put together until they fit.
const BARS: u64 = 60;
/// Examples of each kind.
const EXAMPLES: usize = 20;

const STYLE: &str = "
:root { color-scheme: light dark; --same: #8fa3b5; --changed: #d97706; --gone: #7c3aed; --new: #dc2626; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } svg { width: 100%; height: auto; } svg text { font: 11px system-ui, sans-serif; fill: currentColor; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; margin: 1rem 0; } article h3 { margin: .3rem 0; font-size: 1rem; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; } .columns > div { min-width: 0; overflow-wrap: anywhere; }
.words { opacity: .75; white-space: pre-line; } .why { border-left: 3px solid var(--changed); padding-left: .8rem; }
.same { fill: var(--same); } .changed { fill: var(--changed); } .gone { fill: var(--gone); } .new { fill: var(--new); }
@media (max-width: 40rem) { .columns { grid-template-columns: 1fr; } }
";

/// Text as HTML shows it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

/// How decisions differ, as a page. `labels` name the two sides.
pub fn diff(title: &str, labels: [&str; 2], diff: &Diff, settings: &[SettingChange]) -> String {
    let mut page = String::new();
    // Writing into a string cannot fail.
    write_diff(&mut page, title, labels, diff, settings).ok();
    page
}

fn write_diff(
    page: &mut String,
    title: &str,
    labels: [&str; 2],
    diff: &Diff,
    settings: &[SettingChange],
) -> std::fmt::Result {
    let title = escape(title);
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    )?;
    let total = &diff.total;
    if total.differ() {
        writeln!(
            page,
            "<p>Of {} moments at which something was decided, {} are decided otherwise, {} are not decided any more and {} are new.</p>",
            total.unchanged + total.changed + total.gone + total.new,
            total.changed,
            total.gone,
            total.new
        )?;
    } else {
        writeln!(page, "<p>No decision changes ({} moments).</p>", total.unchanged)?;
    }
    if !settings.is_empty() {
        writeln!(
            page,
            "<table><tr><th>setting</th><th>{}</th><th>{}</th></tr>",
            escape(labels[0]),
            escape(labels[1])
        )?;
        for change in settings {
            let value = |value: &Option<serde_json::Value>| {
                value.as_ref().map_or("-".to_owned(), |value| escape(&value.to_string()))
            };
            writeln!(
                page,
                "<tr><td>{}.{}</td><td>{}</td><td>{}</td></tr>",
                escape(&change.policy),
                escape(&change.key),
                value(&change.recorded),
                value(&change.candidate)
            )?;
        }
        page.push_str("</table>\n");
    }
    chart(page, &diff.days)?;
    table(
        page,
        "severity",
        diff.severities.iter().rev().map(|(severity, counts)| (severity.to_string(), counts)),
    )?;
    table(page, "model", diff.models.iter().map(|(model, counts)| (model.clone(), counts)))?;
    writeln!(
        page,
        "<table><tr><th>action</th><th>{}</th><th>{}</th></tr>",
        escape(labels[0]),
        escape(labels[1])
    )?;
    for (action, proposed) in &diff.actions {
        writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(action),
            proposed.recorded,
            proposed.candidate
        )?;
    }
    page.push_str("</table>\n");
    for kind in [Kind::Changed, Kind::New, Kind::Gone, Kind::Reworded] {
        let mut examples = diff.examples.iter().filter(|example| example.kind == kind).peekable();
        if examples.peek().is_some() {
            writeln!(page, "<h2>{}</h2>", kind.name())?;
        }
        for shown in examples.take(EXAMPLES) {
            example(page, shown, labels)?;
        }
    }
    page.push_str("</body></html>\n");
    Ok(())
}

fn table<'a>(
    page: &mut String,
    what: &str,
    rows: impl Iterator<Item = (String, &'a Counts)>,
) -> std::fmt::Result {
    writeln!(
        page,
        "<table><tr><th>{what}</th><th>unchanged</th><th>changed</th><th>gone</th><th>new</th></tr>"
    )?;
    for (name, of) in rows {
        writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&name),
            of.unchanged,
            of.changed,
            of.gone,
            of.new
        )?;
    }
    page.push_str("</table>\n");
    Ok(())
}

/// Stacked bars over time: what is the same at the bottom, what differs above it.
fn chart(page: &mut String, days: &BTreeMap<String, Counts>) -> std::fmt::Result {
    const WIDTH: f64 = 900.0;
    const HEIGHT: f64 = 160.0;
    let day_of =
        |day: &str| Timestamp::parse(&format!("{day}T00:00:00Z")).map_or(0, |time| time.as_unix() / 86_400);
    let (first, last) = match (days.keys().next(), days.keys().next_back()) {
        (Some(first), Some(last)) => (first, last),
        _ => return Ok(()),
    };
    let together = (day_of(last) - day_of(first) + 1).div_ceil(BARS);
    // By the number of the bar, so that time without decisions takes its place.
    let mut bars: BTreeMap<u64, (&String, Counts)> = BTreeMap::new();
    for (day, counts) in days {
        let bar = (day_of(day) - day_of(first)) / together;
        bars.entry(bar).or_insert((day, Counts::default())).1.add(counts);
    }
    let parts = |counts: &Counts| {
        [(counts.unchanged, "same"), (counts.changed, "changed"), (counts.gone, "gone"), (counts.new, "new")]
    };
    let all = |counts: &Counts| counts.unchanged + counts.changed + counts.gone + counts.new;
    let highest = bars.values().map(|(_, counts)| all(counts)).max().unwrap_or(1).max(1) as f64;
    let step = WIDTH / (bars.keys().next_back().unwrap_or(&0) + 1) as f64;
    writeln!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {}\" role=\"img\" aria-label=\"moments over time\">",
        HEIGHT + 40.0
    )?;
    for (index, (day, counts)) in &bars {
        let mut top = HEIGHT;
        for (n, class) in parts(counts).into_iter().filter(|(n, _)| *n > 0) {
            let height = n as f64 / highest * (HEIGHT - 15.0);
            top -= height;
            writeln!(
                page,
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{}: {n} {class}</title></rect>",
                *index as f64 * step,
                (step - 1.0).clamp(1.0, 40.0),
                escape(day)
            )?;
        }
    }
    writeln!(page, "<text x=\"0\" y=\"{:.0}\">{}</text>", HEIGHT + 15.0, escape(first))?;
    writeln!(
        page,
        "<text x=\"{WIDTH}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>",
        HEIGHT + 15.0,
        escape(last)
    )?;
    writeln!(page, "<text x=\"0\" y=\"11\">{highest}</text>")?;
    for (place, (class, words)) in
        [("same", "unchanged"), ("changed", "changed"), ("gone", "gone"), ("new", "new")]
            .into_iter()
            .enumerate()
    {
        let x = place as f64 * 110.0;
        writeln!(
            page,
            "<rect class=\"{class}\" x=\"{x}\" y=\"{0:.0}\" width=\"10\" height=\"10\"/><text x=\"{1}\" y=\"{2:.0}\">{words}</text>",
            HEIGHT + 26.0,
            x + 15.0,
            HEIGHT + 35.0
        )?;
    }
    page.push_str("</svg>\n");
    Ok(())
}

fn example(page: &mut String, example: &Example, labels: [&str; 2]) -> std::fmt::Result {
    let channel = example.channel.as_ref().map_or(String::new(), |channel| format!(" for {channel}"));
    writeln!(
        page,
        "<article><h3>{} - {}{}</h3>",
        escape(&example.at.for_people()),
        escape(&example.subject.to_string()),
        escape(&channel)
    )?;
    for finding in &example.findings {
        writeln!(
            page,
            "<p>{} on {} {}: {}. {} against {}; {}</p>",
            escape(&finding.detector),
            escape(&finding.quantity),
            finding.phase.name(),
            finding.severity,
            finding.statistic,
            finding.threshold,
            escape(&finding.window)
        )?;
    }
    page.push_str("<div class=\"columns\">");
    for (label, side) in labels.into_iter().zip([&example.recorded, &example.candidate]) {
        write!(page, "<div><strong>{}</strong>", escape(label))?;
        if side.is_empty() {
            page.push_str("<p>nothing</p>");
        }
        for said in side {
            write_said(page, said)?;
        }
        page.push_str("</div>");
    }
    page.push_str("</div>\n");
    for why in &example.why {
        writeln!(page, "<p class=\"why\">{}</p>", escape(why))?;
    }
    page.push_str("</article>\n");
    Ok(())
}

fn write_said(page: &mut String, said: &Said) -> std::fmt::Result {
    let by =
        said.policy.as_ref().map_or("the host".to_owned(), |by| format!("{} {}", by.name, by.digest.short()));
    write!(page, "<p>{}</p><ul>", escape(&by))?;
    for (action, verdict) in &said.actions {
        let verdict = verdict.as_ref().map_or(String::new(), |verdict| format!(" - {verdict}"));
        write!(page, "<li>{}{}</li>", escape(&action.to_string()), escape(&verdict))?;
    }
    write!(page, "</ul><p class=\"words\">{}</p>", escape(&said.words))
}
