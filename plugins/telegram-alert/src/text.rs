//! The message, as a pure function of the report, in the HTML style of the Telegram Bot API ("Formatting options"). A
//! message has up to 4096 characters there after the markup is taken out; here with it, so that it certainly fits.

use alert_text::{Fact, Message, Report, fitted, html, lines, units, written};

const MOST: usize = 4096;
/// Of one value, so that one alone does not fill the message.
const LONGEST_VALUE: usize = 2000;

/// Writes the message.
pub fn write(report: &Report) -> Message {
    Message { title: report.title_with_emoji(), body: report.text(MOST), rich: Some(rich(report)) }
}

fn rich(report: &Report) -> String {
    let text = |report: &Report| layout(report).join("\n");
    lines(&fitted(report, text, |text| units(text) <= MOST), MOST)
}

/// Each line closes what it opens.
fn layout(report: &Report) -> Vec<String> {
    let mut lines = vec![format!("{} <b>{}</b>", report.emoji, escaped(&report.headline)), String::new()];
    lines.extend(report.subject_facts().iter().map(labelled));
    for finding in &report.findings {
        lines.push(String::new());
        lines.extend(finding.facts().iter().map(labelled));
    }
    lines.extend(report.uncounted());
    lines.push(String::new());
    lines.extend(report.decision_facts().iter().map(labelled));
    let link = report.link.iter();
    lines.extend(link.map(|link| format!("<a href=\"{}\">Open the alert</a>", escaped(link))));
    lines
}

fn labelled(fact: &Fact) -> String {
    format!("<b>{}:</b> {}", fact.label, escaped(&fact.value))
}

fn escaped(text: &str) -> String {
    written(text, LONGEST_VALUE, entity)
}

/// Of named entities Telegram knows those of `&`, `<`, `>` and `"`; an apostrophe means nothing to it. There is no escape for
/// `@name`, which calls that person, so another character that looks alike stands there. An address becomes a link to what
/// it says, and is left.
fn entity(c: char) -> Option<&'static str> {
    match c {
        '@' => Some("\u{ff20}"),
        '\'' => None,
        other => html(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alert_text::{
        testing::{alert, endless, hostile, report},
        units,
    };

    /// Without our own markup nothing is left that could be some, and all of it is closed.
    fn check(rich: &str) {
        for (open, close) in [("<b>", "</b>"), ("<a href=", "</a>")] {
            assert_eq!(rich.matches(open).count(), rich.matches(close).count(), "{rich}");
        }
        let mut bare = rich.replace("<b>", "").replace("</b>", "").replace("</a>", "");
        if let Some((before, link)) = bare.split_once("<a href=\"") {
            let after = link.split_once("\">").expect("closed").1;
            bare = format!("{before}{after}");
        }
        assert!(!bare.contains(['<', '>', '"']), "{bare}");
        let entities = ["&amp;", "&lt;", "&gt;", "&quot;"];
        let lone = entities.iter().fold(bare, |bare, entity| bare.replace(entity, ""));
        assert!(!lone.contains('&'), "{lone}");
    }

    #[test]
    fn html_states_every_fact() {
        let rich = rich(&report(&alert(), 3));
        check(&rich);
        for line in [
            "🔴 <b>HIGH drift</b>",
            "<b>Model:</b> acme/btc",
            "<b>Segment:</b> BTC/USDT",
            "<b>Level:</b> HIGH",
            "<b>Current:</b> 61.0 % (n = 200)",
            "<b>Baseline:</b> 68.0 % (n = 1000)",
            "<b>Drop:</b> 7.0 points (10.3 %)",
            "<b>Window:</b> last 200 against the baseline",
            "<b>Evidence:</b> p = 0.0082, significant",
            "<b>Decided:</b> Retrain now.",
            "<b>Retrain:</b> not eligible, the master switch is off",
            "<b>Advice:</b> Check the data first, then decide on a retrain or a rollback.",
            "<a href=\"http://localhost:7878/alerts/a-1\">Open the alert</a>",
        ] {
            assert!(rich.lines().any(|other| other == line), "`{line}` in\n{rich}");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let rich = rich(&report(&hostile(), 3));
        check(&rich);
        assert!(rich.contains("&lt;b&gt;x&lt;/b&gt; &amp; &lt;!channel&gt;"), "{rich}");
        assert!(!rich.contains("javascript:"), "{rich}");
        let mut calls = alert();
        calls.subject.segment = "@everyone".into();
        let rich = super::rich(&report(&calls, 3));
        assert!(rich.contains("<b>Segment:</b> \u{ff20}everyone"), "{rich}");
    }

    #[test]
    fn the_limit_is_kept() {
        for most in [0, 3, 20] {
            let message = write(&report(&endless(), most));
            let rich = message.rich.expect("HTML");
            check(&rich);
            assert!(units(&rich) <= MOST && units(&message.body) <= MOST);
            for text in [rich, message.body] {
                assert!(text.contains("Retrain") && text.contains("Check the data first"), "{text}");
            }
        }
    }
}
