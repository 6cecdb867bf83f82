//! Alerts as plain text, a labelled fact a line: for terminals, pagers, tickets and operations centres. What is said
//! comes from `alert-text`.

use alert_text::{Message, Report};

/// No channel's limit, but more than anybody reads.
const MOST: usize = 16_384;

/// Writes the message.
pub fn write(report: &Report) -> Message {
    Message { title: report.title(), body: report.text(MOST), rich: None }
}

alert_text::policy!(write);

#[cfg(test)]
mod tests {
    use super::*;
    use alert_text::testing::{alert, hostile, report};

    #[test]
    fn words_only() {
        let message = write(&report(&alert(), 3));
        assert_eq!(message.title, "HIGH drift: acme/btc v7 [BTC/USDT]");
        assert!(message.title.is_ascii() && message.body.is_ascii(), "{}", message.body);
        assert_eq!(message.rich, None);
        // Every line is the title, empty, or a fact with its label.
        let body = write(&report(&hostile(), 3)).body;
        assert!(body.lines().skip(1).all(|line| line.is_empty() || line.contains(": ")), "{body}");
    }
}
