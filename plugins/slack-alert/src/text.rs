//! The message, as a pure function of the report. Limits and escaping: Slack's documentation, "Block Kit" reference
//! (blocks, text object) and "Formatting message text" (escaping).

use alert_text::{Fact, Message, Report, fitted, html, lines, neutral, units, written};
use serde_json::{Value, json};

/// Blocks of a message.
const MOST_BLOCKS: usize = 50;
/// Blocks besides those about findings: header, subject, what is only counted, decision and link.
const OTHER_BLOCKS: usize = 5;
/// Characters of a header, of a section's text and of a field; and fields of a section.
const LONGEST_HEADER: usize = 150;
const LONGEST_TEXT: usize = 3000;
const LONGEST_FIELD: usize = 2000;
const MOST_FIELDS: usize = 10;
/// What is shown where blocks are not: the notification.
const LONGEST_BODY: usize = 4000;
/// Bytes of all blocks: with title and body well below the host's limit on an answer, 64 KiB unless the manifest says more.
const LONGEST_BLOCKS: usize = 40_000;

/// Writes the message.
pub fn write(report: &Report) -> Message {
    let decision = decision(report);
    Message {
        title: report.title_with_emoji(),
        body: body(report),
        rich: Some(fitted(
            report,
            |report| Value::from(blocks(report, &decision)).to_string(),
            |blocks| blocks.len() <= LONGEST_BLOCKS,
        )),
    }
}

/// Slack parses this as well.
fn body(report: &Report) -> String {
    let text = |report: &Report| {
        let words = Report { link: None, ..report.clone() }.text(usize::MAX);
        // An address with other characters in it leads elsewhere, so it is not made neutral.
        let link = report.link.iter().map(|link| format!("\nLink: {}", written(link, usize::MAX, entity)));
        escaped(&words, usize::MAX) + &link.collect::<String>()
    };
    lines(&fitted(report, text, |text| units(text) <= LONGEST_BODY), LONGEST_BODY)
}

fn blocks(report: &Report, decision: &str) -> Vec<Value> {
    let header = written(&report.title_with_emoji(), LONGEST_HEADER, entity);
    let mut blocks = vec![json!({ "type": "header", "text": { "type": "plain_text", "text": header } })];
    blocks.push(fields(&report.subject_facts()));
    blocks.extend(
        report.findings.iter().take(MOST_BLOCKS - OTHER_BLOCKS).map(|finding| fields(&finding.facts())),
    );
    blocks.extend(report.uncounted().map(|more| section(&more)));
    blocks.push(section(decision));
    // `|` would end the address, as would `>`, which becomes an entity.
    let address = |link: &String| written(&link.replace('|', "%7C"), LONGEST_TEXT, entity);
    blocks.extend(report.link.iter().map(|link| section(&format!("<{}|Open the alert>", address(link)))));
    blocks
}

fn decision(report: &Report) -> String {
    let text = |report: &Report| report.decision_facts().iter().map(labelled).collect::<Vec<_>>().join("\n");
    lines(&fitted(report, text, |text| units(text) <= LONGEST_TEXT), LONGEST_TEXT)
}

/// Facts side by side.
fn fields(facts: &[Fact]) -> Value {
    let fields: Vec<_> = facts.iter().take(MOST_FIELDS).map(|fact| mrkdwn(&two_lines(fact))).collect();
    json!({ "type": "section", "fields": fields })
}

fn two_lines(fact: &Fact) -> String {
    format!("*{}*\n{}", fact.label, escaped(&fact.value, LONGEST_FIELD - 50))
}

fn labelled(fact: &Fact) -> String {
    format!("*{}:* {}", fact.label, escaped(&fact.value, LONGEST_TEXT / 2))
}

fn section(text: &str) -> Value {
    json!({ "type": "section", "text": mrkdwn(text) })
}

/// `verbatim`: nothing but what we mark is a link or a mention.
fn mrkdwn(text: &str) -> Value {
    json!({ "type": "mrkdwn", "text": text, "verbatim": true })
}

/// Text of others, for mrkdwn. What begins a line with `>` is a quotation there even as an entity, so another character
/// that looks alike begins it.
fn escaped(text: &str, most: usize) -> String {
    let quotes = text.starts_with('>');
    let text = if quotes { text.replacen('>', "\u{203a}", 1) } else { text.to_owned() };
    written(&neutral(&text), most, entity)
}

/// The three characters that Slack takes for its own, and no others.
fn entity(c: char) -> Option<&'static str> {
    html(c).filter(|_| matches!(c, '&' | '<' | '>'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alert_text::{
        testing::{alert, endless, hostile, report},
        units,
    };

    fn parsed(report: &Report) -> Vec<Value> {
        let rich = write(report).rich.expect("blocks");
        serde_json::from_str::<Value>(&rich).expect("JSON").as_array().expect("an array").clone()
    }

    /// All texts of the blocks, with the limit that holds for each.
    fn texts(blocks: &[Value]) -> Vec<(String, usize)> {
        let text = |value: &Value| value["text"].as_str().expect("a text").to_owned();
        let mut texts = Vec::new();
        for block in blocks {
            let limit = if block["type"] == "header" { LONGEST_HEADER } else { LONGEST_TEXT };
            texts.extend(block.get("text").map(|value| (text(value), limit)));
            let fields = block["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
            assert!(fields.len() <= MOST_FIELDS);
            texts.extend(fields.iter().map(|value| (text(value), LONGEST_FIELD)));
        }
        texts
    }

    #[test]
    fn blocks_state_every_fact() {
        let blocks = parsed(&report(&alert(), 3));
        let kinds: Vec<_> = blocks.iter().map(|block| block["type"].as_str().expect("a type")).collect();
        assert_eq!(kinds, ["header", "section", "section", "section", "section"]);
        let texts: Vec<_> = texts(&blocks).into_iter().map(|(text, _)| text).collect();
        for text in [
            "🔴 HIGH drift: acme/btc v7 [BTC/USDT]",
            "*Level*\nHIGH",
            "*Model*\nacme/btc",
            "*Segment*\nBTC/USDT",
            "*Current*\n61.0 % (n = 200)",
            "*Baseline*\n68.0 % (n = 1000)",
            "*Drop*\n7.0 points (10.3 %)",
            "*Window*\nlast 200 against the baseline",
            "*Evidence*\np = 0.0082, significant",
            "*Decided:* Retrain now.\n*Action:* retrain-now: refused: the master switch is off\n\
             *Retrain:* not eligible, the master switch is off\n\
             *Advice:* Check the data first, then decide on a retrain or a rollback.",
            "<http://localhost:7878/alerts/a-1|Open the alert>",
        ] {
            assert!(texts.iter().any(|other| other == text), "`{text}` in {texts:#?}");
        }
    }

    #[test]
    fn hostile_text_stays_text() {
        let blocks = parsed(&report(&hostile(), 3));
        for (text, limit) in texts(&blocks) {
            // Nothing is a link or a mention, and nothing but our labels is bold. A header is plain text.
            assert!(!text.contains(['<', '>']), "{text}");
            let formats = text.contains("*bold*") || text.contains('`') || text.contains("_it_");
            assert!(limit == LONGEST_HEADER || !formats, "{text}");
        }
        assert!(texts(&blocks).iter().any(|(text, _)| text.contains("&lt;!channel&gt;")), "{blocks:?}");
        let mut linked = alert();
        linked.link = Some("https://trimtab.example/~ops/_a_?b&c".into());
        let body = write(&report(&linked, 3)).body;
        assert!(body.ends_with("\nLink: https://trimtab.example/~ops/_a_?b&amp;c"), "{body}");
        let mut quotes = alert();
        quotes.subject.segment = "> so they said".into();
        let blocks = parsed(&report(&quotes, 3));
        assert!(
            texts(&blocks).iter().any(|(text, _)| text == "*Segment*\n\u{203a} so they said"),
            "{blocks:?}"
        );
    }

    #[test]
    fn limits_are_kept() {
        for most in [0, 20, 100] {
            let blocks = parsed(&report(&endless(), most));
            assert!(blocks.len() <= MOST_BLOCKS, "{}", blocks.len());
            for (text, limit) in texts(&blocks) {
                assert!((1..=limit).contains(&units(&text)), "{} of {limit}: {text}", units(&text));
            }
            // What matters most stands there nevertheless.
            let message = write(&report(&endless(), most));
            let rich = message.rich.as_deref().expect("blocks");
            for text in [rich, &message.body] {
                assert!(text.contains("Retrain") && text.contains("Check the data first"), "{text}");
            }
            assert!(units(&message.body) <= LONGEST_BODY && rich.len() <= LONGEST_BLOCKS);
        }
    }
}
