//! The message, as a pure function of the report. One fact a line, the most important first, because a phone shows the
//! first lines only; `*bold*` is what chat programs understand.

use alert_text::{Measured, Message, Report, neutral, within};

/// What WhatsApp takes as the body of a text message, and Telegram too.
const MOST: usize = 4096;

/// Writes the message.
pub fn write(report: &Report) -> Message {
    Message { title: report.title_with_emoji(), body: within(report, MOST, layout), rich: None }
}

fn layout(report: &Report) -> Vec<String> {
    let segment = match &report.segment {
        None => "all segments".to_owned(),
        Some(segment) => format!("segment {}", neutral(segment)),
    };
    let mut lines = vec![
        format!("{} *{}*", report.emoji, report.headline),
        format!("🤖 {} · version {} · {segment}", neutral(&report.model), neutral(&report.version)),
        format!("🕐 {} {}", report.since(), report.started),
    ];
    for finding in &report.findings {
        lines.extend([String::new(), measured(finding), evidence(finding)]);
    }
    lines.extend(report.uncounted());
    if !report.metrics.is_empty() {
        lines.extend([String::new(), format!("📊 {}", neutral(&report.metrics.join(", ")))]);
    }
    lines.extend([String::new(), format!("🧭 *Decided:* {}", neutral(&report.decided))]);
    lines.extend(report.actions.iter().map(|action| format!("• {}", neutral(action))));
    lines.extend(report.retrain.iter().map(|retrain| format!("🔁 *Retrain:* {}", neutral(retrain))));
    lines.extend(report.recommendation.map(|advice| format!("👉 {advice}")));
    lines.extend(report.link.iter().map(|link| format!("🔗 {link}")));
    lines
}

/// What was measured: now, before, and the drop.
fn measured(finding: &Measured) -> String {
    let over = if finding.recovered { " (recovered)" } else { "" };
    let what = format!("{}{over}", neutral(&finding.quantity));
    let Some(now) = &finding.current else {
        return format!("📊 {what}: statistic {}, limit {}", finding.statistic, finding.threshold);
    };
    let estimated = if now.estimated { ", estimated without outcomes" } else { "" };
    let now = format!("*{}* now (n = {}{estimated})", now.value, now.samples);
    let (Some(before), Some(change)) = (&finding.baseline, &finding.change) else {
        return format!("📊 {what}: {now}, no baseline");
    };
    let (arrow, direction) = if change.fell { ("📉", "drop") } else { ("📈", "rise") };
    format!(
        "{arrow} {what}: {now}, baseline {} (n = {}), {direction} {}",
        before.value, before.samples, change.by
    )
}

fn evidence(finding: &Measured) -> String {
    format!("🔎 {}, {}: {}", neutral(&finding.detector), neutral(&finding.window), finding.evidence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alert_text::{
        testing::{alert, endless, hostile, report},
        units,
    };

    #[test]
    fn a_fact_a_line() {
        let message = write(&report(&alert(), 3));
        assert_eq!(message.title, "🔴 HIGH drift: acme/btc v7 [BTC/USDT]");
        let expected = "🔴 *HIGH drift*\n\
            🤖 acme/btc · version v7 · segment BTC/USDT\n\
            🕐 Since 2026-01-01 00:00 UTC\n\
            \n\
            📉 accuracy: *61.0 %* now (n = 200), baseline 68.0 % (n = 1000), drop 7.0 points (10.3 %)\n\
            🔎 accuracy-z, last 200 against the baseline: p = 0.0082, significant\n\
            \n\
            🧭 *Decided:* Retrain now.\n\
            • retrain-now: refused: the master switch is off\n\
            🔁 *Retrain:* not eligible, the master switch is off\n\
            👉 Check the data first, then decide on a retrain or a rollback.\n\
            🔗 http://localhost:7878/alerts/a-1";
        assert_eq!(message.body, expected);
    }

    #[test]
    fn hostile_text_neither_formats_nor_grows() {
        let body = write(&report(&hostile(), 3)).body;
        assert!(!body.contains("*bold*") && !body.contains("`c`") && !body.contains('\r'), "{body}");
        let body = write(&report(&endless(), 20)).body;
        assert!(units(&body) <= MOST && body.contains("Decided"), "{body}");
    }
}
