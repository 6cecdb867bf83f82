//! Pages that stand by themselves: one file, no scripts, nothing loaded from anywhere. The chart here is the only one.

use std::{collections::BTreeMap, fmt::Write};

use trimtab_replay::{
    diff::{Counts, Diff, Direction, Example, Proposed, Said},
    dry_run::SettingChange,
    words::{self, HELD_BACK, count},
};
use trimtab_types::{Timestamp, shown_lines};

/// Bars of a chart; days are put together until they fit.
const BARS: u64 = 60;
/// Examples of each kind.
const EXAMPLES: usize = 20;

const STYLE: &str = "
:root { color-scheme: light dark; --same: #8fa3b5; --looser: #dc2626; --stricter: #7c3aed; --other: #d97706; --line: #8884; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; } th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; } svg { display: block; width: 100%; height: 10rem; }
table { display: block; overflow-x: auto; } figure { margin: 1rem 0; } figcaption, .axis, .legend { font-size: .85rem; }
.axis { display: flex; justify-content: space-between; border-top: 1px solid var(--line); } .legend > span { margin-right: 1.2rem; }
.legend i { display: inline-block; width: .8em; height: .8em; margin-right: .3em; } code { font-size: .95em; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: .5rem 1rem; margin: 1rem 0; } article h3, article h4 { margin: .3rem 0; font-size: 1rem; }
.columns { display: grid; grid-template-columns: 1fr 1fr; gap: 1.5rem; } .columns > div { min-width: 0; overflow-wrap: anywhere; }
.words { opacity: .75; white-space: pre-line; } .why { border-left: 3px solid var(--other); padding-left: .8rem; }
.same { fill: var(--same); background: var(--same); } .looser { fill: var(--looser); background: var(--looser); }
.stricter { fill: var(--stricter); background: var(--stricter); } .other { fill: var(--other); background: var(--other); }
@media (max-width: 40rem) { .columns { grid-template-columns: 1fr; } }
";

/// Text as HTML shows it.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in shown_lines(text).chars() {
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

/// Text in which names stand between backticks, with these as code.
fn with_names(text: &str) -> String {
    let escaped = escape(text);
    let (mut shown, mut rest) = (String::new(), escaped.as_str());
    while let Some((before, (name, after))) =
        rest.split_once('`').and_then(|(before, rest)| Some((before, rest.split_once('`')?)))
    {
        shown.push_str(&format!("{before}<code>{name}</code>"));
        rest = after;
    }
    shown + rest
}

/// How decisions differ, to be shown as a page.
pub struct DiffPage<'a> {
    /// What was tried out.
    pub title: &'a str,
    /// What was looked at, and what else there is to know: a paragraph each.
    pub about: &'a [String],
    /// What the two sides are called.
    pub labels: [&'static str; 2],
    /// How they differ.
    pub diff: &'a Diff,
    /// Settings that differ.
    pub settings: &'a [SettingChange],
}

impl DiffPage<'_> {
    /// The page.
    pub fn html(&self) -> String {
        let mut page = String::new();
        // Writing into a string cannot fail.
        write_diff(&mut page, self).ok();
        page
    }
}

fn write_diff(page: &mut String, shown: &DiffPage<'_>) -> std::fmt::Result {
    let DiffPage { title, about, labels, diff, settings } = *shown;
    write!(
        page,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body>\n<h1>{}</h1>\n",
        escape(&title.replace('`', "")),
        with_names(title)
    )?;
    writeln!(page, "<p><strong>{}</strong></p>", escape(&diff.in_short()))?;
    for paragraph in about {
        writeln!(page, "<p>{}</p>", with_names(paragraph))?;
    }
    if !diff.differs() {
        writeln!(page, "<p>No decision changes ({}).</p>", count(diff.total.unchanged, "moment"))?;
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
    let words = (diff.messages != Counts::default()).then_some(("words of alerts", &diff.messages));
    let all = std::iter::once(("all", &diff.total)).chain(words);
    table(page, "moments", all.map(|(what, counts)| (what.to_owned(), counts)))?;
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
            words::proposed(proposed.recorded, proposed.recorded_held_back),
            words::proposed(proposed.candidate, proposed.candidate_held_back)
        )?;
    }
    page.push_str("</table>\n");
    if diff.actions.values().any(Proposed::held_back) {
        writeln!(page, "<p>{HELD_BACK}</p>")?;
    }
    // What is held back less comes first: that is what people look for.
    let directions = Direction::ALL.into_iter().map(|direction| (Some(direction), direction.name()));
    for (direction, title) in directions.chain([(None, "in other words")]) {
        let mut examples = diff.examples.iter().filter(|example| example.direction == direction).peekable();
        if examples.peek().is_some() {
            writeln!(page, "<h2>{title}</h2>")?;
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
        "<table><tr><th>{what}</th><th>unchanged</th><th>looser</th><th>stricter</th><th>other</th></tr>"
    )?;
    for (name, of) in rows {
        writeln!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&name),
            of.unchanged,
            of.looser,
            of.stricter,
            of.towards(Direction::Other)
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
        |day: &str| Timestamp::parse_or_date(day).map_or(0, |time| time.as_unix().div_euclid(86_400));
    let (first, last) = match (days.keys().next(), days.keys().next_back()) {
        (Some(first), Some(last)) => (first, last),
        _ => return Ok(()),
    };
    let since = |day: &str| u64::try_from(day_of(day) - day_of(first)).unwrap_or_default();
    let together = (since(last) + 1).div_ceil(BARS);
    // By the number of the bar, so that time without decisions takes its place.
    let mut bars: BTreeMap<u64, (&String, Counts)> = BTreeMap::new();
    for (day, counts) in days {
        let bar = since(day) / together;
        bars.entry(bar).or_insert((day, Counts::default())).1.add(counts);
    }
    let parts = |counts: &Counts| {
        let other = counts.towards(Direction::Other);
        [
            (counts.unchanged, "same"),
            (other, "other"),
            (counts.stricter, "stricter"),
            (counts.looser, "looser"),
        ]
    };
    let all = |counts: &Counts| counts.unchanged + counts.changed + counts.gone + counts.new;
    let highest = bars.values().map(|(_, counts)| all(counts)).max().unwrap_or(1).max(1);
    let step = WIDTH / (bars.keys().next_back().unwrap_or(&0) + 1) as f64;
    writeln!(
        page,
        "<figure><figcaption>{} at most in {}</figcaption>",
        count(highest, "moment"),
        if together == 1 { "a day".to_owned() } else { count(together, "day") }
    )?;
    // Stretched to the page's width, so that what is written stands beside it and keeps its size.
    writeln!(
        page,
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" preserveAspectRatio=\"none\" role=\"img\" aria-label=\"moments over time\">"
    )?;
    for (index, (day, counts)) in &bars {
        let mut top = HEIGHT;
        for (n, class) in parts(counts).into_iter().filter(|(n, _)| *n > 0) {
            let height = n as f64 / highest as f64 * HEIGHT;
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
    writeln!(page, "</svg><div class=\"axis\"><span>{}</span>", escape(first))?;
    if first != last {
        writeln!(page, "<span>{}</span>", escape(last))?;
    }
    page.push_str("</div><div class=\"legend\">");
    for (class, words) in
        [("same", "unchanged"), ("other", "other"), ("stricter", "stricter"), ("looser", "looser")]
    {
        write!(page, "<span><i class=\"{class}\"></i>{words}</span>")?;
    }
    page.push_str("</div></figure>\n");
    Ok(())
}

fn example(page: &mut String, example: &Example, labels: [&str; 2]) -> std::fmt::Result {
    let channel = example.channel.as_ref().map_or(String::new(), |channel| format!(" for {channel}"));
    writeln!(
        page,
        "<article><h3>{} at {} - {}{}</h3>",
        example.kind.name(),
        escape(&example.at.for_people()),
        escape(&example.subject.to_string()),
        escape(&channel)
    )?;
    for finding in &example.findings {
        writeln!(page, "<p>{}; {}</p>", escape(&words::found(finding)), escape(&finding.window))?;
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
    if !example.why.is_empty() {
        page.push_str("<h4>why</h4>\n");
    }
    for why in &example.why {
        writeln!(page, "<p class=\"why\">{}</p>", with_names(why))?;
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
        write!(page, "<li>{}{}</li>", escape(&action.to_string()), with_names(&verdict))?;
    }
    write!(page, "</ul><p class=\"words\">{}</p>", escape(&said.words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_between_backticks_are_code_and_nothing_is_markup() {
        for (text, html) in [
            ("`m` is <b>", "<code>m</code> is &lt;b&gt;"),
            ("one ` alone", "one ` alone"),
            ("`a` and `b`", "<code>a</code> and <code>b</code>"),
        ] {
            assert_eq!(with_names(text), html);
        }
    }

    /// A page about so many moments on each of these days.
    fn page(days: &[&str], each: u64) -> String {
        let counts = Counts { unchanged: each, ..Counts::default() };
        let days = days.iter().map(|&day| (day.to_owned(), counts)).collect();
        let diff = Diff { total: counts, days, ..Diff::default() };
        let about = ["3 entries folded".to_owned()];
        DiffPage { title: "Dry run of `x`", about: &about, labels: ["a", "b"], diff: &diff, settings: &[] }
            .html()
    }

    #[test]
    fn a_page_says_what_it_is_about_in_singular_and_plural() {
        let one = page(&["2025-01-03"], 1);
        for part in [
            "<title>Dry run of x</title>",
            "<h1>Dry run of <code>x</code></h1>",
            "3 entries folded",
            "(1 moment)",
            "1 moment at most in a day",
        ] {
            assert!(one.contains(part), "should contain `{part}`: {one}");
        }
        assert_eq!(one.matches("<span>2025-01-03</span>").count(), 1, "one day is written once");
        let many = page(&["2025-01-03", "2025-06-01"], 2);
        for part in ["(2 moments)", "2 moments at most in 3 days", "2025-01-03</span>", "2025-06-01</span>"] {
            assert!(many.contains(part), "should contain `{part}`: {many}");
        }
    }
}
