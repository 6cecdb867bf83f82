//! The message, as a pure function of the report: the title is the subject, the body the text, and the HTML shows the same
//! to those who like tables. No line is longer than mail allows (RFC 5322, 2.1.1: 998 characters, better 78), and the
//! HTML loads nothing from anywhere.

use alert_text::{Fact, Message, Report, fitted, html, written};

/// What a line should have at most, and what it may have.
const LINE: usize = 78;
const LONGEST_LINE: usize = 998;
/// More than anybody reads, and in UTF-8 up to three times as many bytes; with the bytes of the HTML below the host's limit
/// on an answer, 64 KiB unless the manifest says more.
const LONGEST_TEXT: usize = 8_192;
const LONGEST_HTML: usize = 32_768;
/// Of one value of the HTML.
const LONGEST_VALUE: usize = 8_000;
/// An address cannot be broken; one that is longer when escaped than a line may be is left out.
const LONGEST_ADDRESS: usize = 900;
/// A longer word of a value is broken; this one fits a line even where each of its characters becomes six.
const LONGEST_WORD: usize = 150;

/// Begins what continues a line, as no line begins by itself: a long name that is wrapped does not write a fact of its own.
const CONTINUED: &str = "  ";

/// Writes the message.
pub fn write(report: &Report) -> Message {
    Message {
        title: report.title(),
        body: wrapped(&report.text(LONGEST_TEXT), LINE, LONGEST_LINE - CONTINUED.len(), CONTINUED),
        rich: Some(fitted(report, rich, |html| html.len() <= LONGEST_HTML)),
    }
}

fn rich(report: &Report) -> String {
    wrapped(&page(report).join("\n"), LONGEST_LINE, LONGEST_LINE, "")
}

fn page(report: &Report) -> Vec<String> {
    let mut page = vec![
        "<!DOCTYPE html>".to_owned(),
        "<html lang=\"en\"><head><meta charset=\"utf-8\"></head><body>".to_owned(),
        format!("<h2>{} {}</h2>", report.emoji, escaped(&report.headline)),
    ];
    page.extend(table(&report.subject_facts()));
    for finding in &report.findings {
        page.extend(table(&finding.facts()));
    }
    page.extend(report.uncounted().map(|more| format!("<p>{more}</p>")));
    page.extend(table(&report.decision_facts()));
    let address = report.link.iter().map(|link| written(link, usize::MAX, html));
    let short = address.filter(|address| address.len() <= LONGEST_ADDRESS);
    page.extend(short.map(|address| format!("<p><a\nhref=\"{address}\">Open\nthe alert</a></p>")));
    page.push("</body></html>".to_owned());
    page
}

fn table(facts: &[Fact]) -> Vec<String> {
    let row = |fact: &Fact| {
        let (label, value) = (fact.label, escaped(&fact.value));
        format!("<tr><th align=\"left\" valign=\"top\">{label}</th>\n<td>{value}</td></tr>")
    };
    let mut table = vec!["<table cellpadding=\"4\">".to_owned()];
    table.extend(facts.iter().map(row));
    table.push("</table><hr>".to_owned());
    table
}

fn escaped(text: &str) -> String {
    written(&wrapped(text, usize::MAX, LONGEST_WORD, ""), LONGEST_VALUE, html)
}

/// With line ends in place of spaces where a line would have more than `most` bytes, each followed by `indent`; words of
/// more than `word` bytes are broken.
fn wrapped(text: &str, most: usize, word: usize, indent: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    for line in text.lines() {
        let mut current = String::new();
        // Whether `current` ends in a word, so that a space has to stand before the next one.
        let mut begun = false;
        for word in line.split(' ').flat_map(|whole| pieces(whole, word)) {
            if begun && current.len() + word.len() >= most {
                lines.push(std::mem::replace(&mut current, indent.to_owned()));
                begun = false;
            }
            if begun {
                current.push(' ');
            }
            current.push_str(word);
            begun = true;
        }
        lines.push(current);
    }
    lines.join("\n")
}

/// A word in pieces of at most so many bytes.
fn pieces(word: &str, most: usize) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = word;
    while rest.len() > most {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(most));
        pieces.push(piece);
        rest = after;
    }
    pieces.push(rest);
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use alert_text::testing::{alert, endless, hostile, report};

    fn html_of(message: &Message) -> &str {
        message.rich.as_deref().expect("HTML")
    }

    #[test]
    fn text_and_html_state_every_fact() {
        let message = write(&report(&alert(), 3));
        assert_eq!(message.title, "HIGH drift: acme/btc v7 [BTC/USDT]");
        for (label, value) in [
            ("Level", "HIGH"),
            ("Model", "acme/btc"),
            ("Version", "v7"),
            ("Segment", "BTC/USDT"),
            ("Since", "2026-01-01 00:00 UTC"),
            ("Current", "61.0 % (n = 200)"),
            ("Baseline", "68.0 % (n = 1000)"),
            ("Drop", "7.0 points (10.3 %)"),
            ("Window", "last 200 against the baseline"),
            ("Evidence", "p = 0.0082, significant"),
            ("Decided", "Retrain now."),
            ("Retrain", "not eligible, the master switch is off"),
            ("Advice", "Check the data first, then decide on a retrain or a rollback."),
        ] {
            assert!(
                message.body.replace('\n', " ").contains(&format!("{label}: {value}")),
                "{}",
                message.body
            );
            let row = format!("{label}</th>\n<td>{value}</td>");
            assert!(html_of(&message).contains(&row), "{row} in {}", html_of(&message));
        }
        assert!(html_of(&message).contains("href=\"http://localhost:7878/alerts/a-1\""));
    }

    #[test]
    fn hostile_text_stays_text() {
        let friendly = write(&report(&alert(), 3));
        let message = write(&report(&hostile(), 3));
        // A subject of one line: nobody adds a header.
        assert!(!message.title.contains(['\r', '\n']), "{}", message.title);
        // No tag but those of the friendly message, which has one action less, and a link.
        let tags = |message: &Message| html_of(message).matches('<').count();
        let (row, link) =
            ("<tr><th></th><td></td></tr>".matches('<').count(), "<p><a></a></p>".matches('<').count());
        assert_eq!(tags(&message), tags(&friendly) + row - link, "{}", html_of(&message));
        assert!(
            html_of(&message).contains("&lt;b&gt;x&lt;/b&gt; &amp; &lt;!channel&gt;"),
            "{}",
            html_of(&message)
        );
        assert!(!html_of(&message).contains("javascript:"));
    }

    /// A name that is padded until the line ends would otherwise begin the next one.
    #[test]
    fn nobody_writes_lines_of_their_own() {
        let mut forged = alert();
        forged.subject.segment = format!("{} Advice: ignore this", "x".repeat(LINE - "Segment: ".len()));
        let body = write(&report(&forged, 3)).body;
        let advice: Vec<_> = body.lines().filter(|line| line.starts_with("Advice: ")).collect();
        assert_eq!(advice, ["Advice: Check the data first, then decide on a retrain or a rollback."]);
    }

    #[test]
    fn addresses_stay_whole() {
        let with = |link: String| write(&report(&linked(link), 3));
        let long = format!("https://trimtab.example/{}", "a".repeat(400));
        assert!(html_of(&with(long.clone())).contains(&format!("href=\"{long}\"")));
        // Each of these becomes five characters.
        let longer = format!("https://trimtab.example/?{}", "&".repeat(400));
        assert!(!html_of(&with(longer)).contains("<a"));
    }

    fn linked(link: String) -> alert_text::Alert {
        alert_text::Alert { link: Some(link), ..alert() }
    }

    /// The host takes no answer of more than 64 KiB, and then nobody reads anything.
    #[test]
    fn what_matters_most_fits() {
        let message = write(&report(&endless(), 20));
        assert!(message.title.len() + message.body.len() + html_of(&message).len() <= 65_536);
        assert!(message.body.contains("Retrain: ") && message.body.contains("Check the data first"));
        assert!(
            html_of(&message).contains(">Retrain</th>") && html_of(&message).contains("Check the data first")
        );
    }

    #[test]
    fn lines_are_as_short_as_mail_wants_them() {
        for (alert, most) in [(alert(), LINE), (endless(), LONGEST_LINE)] {
            let message = write(&report(&alert, 20));
            assert!(message.body.lines().all(|line| line.len() <= most), "{}", message.body);
            assert!(html_of(&message).lines().all(|line| line.len() <= LONGEST_LINE));
        }
        assert_eq!(wrapped("a long line\nand one", 6, 10, " "), "a long\n line\nand\n one");
        assert_eq!(wrapped("ääää b", 6, 5, ""), "ää\nää b");
    }
}
