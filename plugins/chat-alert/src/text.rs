//! The message, as a pure function of alert and style. One fact a line, the most important first, because a phone shows
//! the first lines only; `*bold*` is what chat programs understand.
//!
//! Rounding: halves away from zero, by integer arithmetic, so that every language writes the same; drops are taken from
//! the unrounded numbers.

use crate::bindings::exports::trimtab::policy::alert_format::{Alert, Message, Occasion};
use crate::bindings::trimtab::policy::types::{Finding, Phase, Severity};

/// What is not in the alert itself.
#[derive(Debug, Clone)]
pub struct Style {
    /// When the alert started, for people.
    pub started: String,
    /// Findings that are described; the others are counted.
    pub most_findings: usize,
    /// Whether to end with a recommendation.
    pub recommend: bool,
}

/// Metrics that are numbers of their own and not rates.
const NOT_RATES: [&str; 2] = ["sharpe", "pnl"];

/// Writes the message.
pub fn write(alert: &Alert, style: &Style) -> Message {
    let model = match alert.subject.tenant.as_str() {
        "default" => alert.subject.model.clone(),
        tenant => format!("{tenant}/{}", alert.subject.model),
    };
    let segment = match alert.subject.segment.as_str() {
        "" => String::new(),
        segment => format!(" [{segment}]"),
    };
    let (emoji, what) = headline(alert);
    let mut lines = vec![
        format!("{emoji} *{what}*"),
        format!(
            "🤖 {model} · version {}{}",
            alert.subject.version,
            match alert.subject.segment.as_str() {
                "" => " · all segments".to_owned(),
                segment => format!(" · segment {segment}"),
            }
        ),
        format!(
            "🕐 {} {}",
            if alert.occasion == Occasion::Resolved { "Started" } else { "Since" },
            style.started
        ),
    ];

    let described = alert.findings.iter().take(style.most_findings);
    lines.extend(described.flat_map(|finding| [String::new(), measured(finding), evidence(finding)]));
    if alert.findings.len() > style.most_findings {
        lines.push(format!("… and {} more", count(alert.findings.len() - style.most_findings, "finding")));
    }
    if alert.findings.is_empty() && !alert.metrics.is_empty() {
        let metrics: Vec<_> = alert
            .metrics
            .iter()
            .map(|m| format!("{} {}", m.name, quantity(&m.name, m.estimate.value)))
            .collect();
        lines.extend([String::new(), format!("📊 {}", metrics.join(", "))]);
    }

    lines.extend([String::new(), format!("🧭 *Decided:* {}", alert.reason)]);
    lines.extend(alert.actions.iter().map(|action| format!("• {action}")));
    if !alert.findings.is_empty() && alert.occasion != Occasion::Resolved {
        lines.push(format!("🔁 *Retrain:* {}", retrain(&alert.actions)));
    }
    if style.recommend {
        lines.push(format!("👉 {}", recommendation(alert)));
    }
    if let Some(link) = &alert.link {
        lines.push(format!("🔗 {link}"));
    }
    Message {
        title: format!("{emoji} {what}: {model} {}{segment}", alert.subject.version),
        body: lines.join("\n"),
        rich: None,
    }
}

fn headline(alert: &Alert) -> (&'static str, String) {
    let level = match alert.severity {
        Severity::Info => "INFO",
        Severity::Low => "LOW",
        Severity::Medium => "MEDIUM",
        Severity::High => "HIGH",
        Severity::Critical => "CRITICAL",
    };
    let emoji = match alert.severity {
        Severity::Info => "ℹ️",
        Severity::Low => "🟡",
        Severity::Medium => "🟠",
        Severity::High => "🔴",
        Severity::Critical => "🚨",
    };
    let what = if alert.findings.is_empty() { "alert" } else { "drift" };
    match alert.occasion {
        Occasion::Firing => (emoji, format!("{level} {what}")),
        Occasion::Repeated => (emoji, format!("{level} {what}, still there")),
        Occasion::Escalated => (emoji, format!("{level} {what}, got worse")),
        Occasion::Resolved => ("✅", format!("Resolved: {level} {what}")),
    }
}

/// What was measured: now, before, and the drop.
fn measured(finding: &Finding) -> String {
    let name = &finding.quantity;
    let over = match finding.phase {
        Phase::Closed => " (recovered)",
        Phase::Opened | Phase::Raised => "",
    };
    match (finding.current, finding.baseline) {
        (Some(now), Some(before)) => {
            let change = before.value - now.value;
            let (arrow, direction) = if change >= 0.0 { ("📉", "drop") } else { ("📈", "rise") };
            let points = match rate(name) {
                true => format!("{} points", decimal(change.abs() * 100.0, 1)),
                false => decimal(change.abs(), 3),
            };
            let relative = match before.value {
                0.0 => String::new(),
                from => format!(" ({})", percent((change / from).abs())),
            };
            let estimated = if now.from_outcomes { "" } else { ", estimated without outcomes" };
            format!(
                "{arrow} {name}{over}: *{}* now (n = {}{estimated}), baseline {} (n = {}), {direction} {points}{relative}",
                quantity(name, now.value),
                now.samples,
                quantity(name, before.value),
                before.samples
            )
        }
        (Some(now), None) => {
            format!("📊 {name}{over}: *{}* now (n = {}), no baseline", quantity(name, now.value), now.samples)
        }
        _ => format!(
            "📊 {name}{over}: statistic {}, limit {}",
            decimal(finding.statistic, 3),
            decimal(finding.threshold, 3)
        ),
    }
}

fn evidence(finding: &Finding) -> String {
    let evidence = match (finding.p_value, finding.e_value) {
        (Some(p), _) if p < 0.0001 => "p < 0.0001, ".to_owned(),
        (Some(p), _) => format!("p = {}, ", decimal(p, 4)),
        (None, Some(e)) => format!("e-value {}, ", decimal(e, 1)),
        (None, None) => String::new(),
    };
    let significant = if finding.significant { "significant" } else { "not significant" };
    format!("🔎 {}, {}: {evidence}{significant}", finding.detector, finding.window)
}

/// From the texts of the actions: what becomes of a retrain.
fn retrain(actions: &[String]) -> String {
    let Some(action) = actions
        .iter()
        .find(|action| action.starts_with("retrain-now") || action.starts_with("schedule-retrain"))
    else {
        return "not proposed".to_owned();
    };
    match action.split_once(": ") {
        Some((_, verdict)) if verdict.starts_with("refused") => {
            format!("not eligible, {}", verdict.trim_start_matches("refused").trim_start_matches(": "))
        }
        Some((_, verdict)) if verdict.starts_with("waits") => "eligible, waits for approval".to_owned(),
        Some((_, verdict)) if verdict.starts_with("suppressed") => "suppressed".to_owned(),
        _ => "eligible, on its way".to_owned(),
    }
}

fn recommendation(alert: &Alert) -> &'static str {
    match (alert.occasion, alert.severity) {
        (Occasion::Resolved, _) => {
            "Look at the kill switch and the exposure: a recovery does not restore them."
        }
        (_, Severity::Critical) => "Stop trusting this model now. Check its data, then roll back or retrain.",
        (_, Severity::High) => "Check the data first, then decide on a retrain or a rollback.",
        (_, Severity::Medium) => "Keep an eye on it and have a retrain ready.",
        (_, Severity::Low | Severity::Info) => "Nothing to do.",
    }
}

fn rate(name: &str) -> bool {
    !NOT_RATES.contains(&name) && !name.starts_with("feature/") && name != "score"
}

fn quantity(name: &str, value: f64) -> String {
    if rate(name) { percent(value) } else { decimal(value, 3) }
}

fn percent(fraction: f64) -> String {
    format!("{} %", decimal(fraction * 100.0, 1))
}

/// With so many decimals. Programming languages disagree on how to print 0.25 with one decimal; integers they agree on.
fn decimal(value: f64, places: u32) -> String {
    const MOST: f64 = 1e9;
    if value.abs() >= MOST {
        return if value > 0.0 { "over 1000000000".to_owned() } else { "under -1000000000".to_owned() };
    }
    let unit = 10_u64.pow(places);
    let rounded = (value.abs() * unit as f64 + 0.5).floor() as u64;
    let sign = if value < 0.0 && rounded > 0 { "-" } else { "" };
    let (whole, part) = (rounded / unit, rounded % unit);
    format!("{sign}{whole}.{part:0width$}", width = places as usize)
}

fn count(n: usize, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::trimtab::policy::types::Subject;

    fn alert(severity: Severity, occasion: Occasion) -> Alert {
        Alert {
            id: "a".into(),
            subject: Subject {
                tenant: "default".into(),
                model: "m".into(),
                version: "v".into(),
                segment: String::new(),
            },
            severity,
            occasion,
            started: 0,
            findings: Vec::new(),
            metrics: Vec::new(),
            reason: "Because.".into(),
            actions: Vec::new(),
            link: None,
        }
    }

    #[test]
    fn titles_tell_the_occasion() {
        let style = Style { started: "now".into(), most_findings: 3, recommend: true };
        for (severity, occasion, title) in [
            (Severity::High, Occasion::Firing, "🔴 HIGH alert: m v"),
            (Severity::Medium, Occasion::Repeated, "🟠 MEDIUM alert, still there: m v"),
            (Severity::Critical, Occasion::Escalated, "🚨 CRITICAL alert, got worse: m v"),
            (Severity::High, Occasion::Resolved, "✅ Resolved: HIGH alert: m v"),
        ] {
            assert_eq!(write(&alert(severity, occasion), &style).title, title);
        }
    }

    #[test]
    fn retrain_eligibility_comes_from_the_actions() {
        for (action, says) in [
            (
                "retrain-now: refused: master switch is off; cooldown",
                "not eligible, master switch is off; cooldown",
            ),
            ("retrain-now: waits: for approval", "eligible, waits for approval"),
            ("retrain-now: allowed: trainer", "eligible, on its way"),
            ("schedule-retrain (within 2d): done", "eligible, on its way"),
            ("alert (high): done", "not proposed"),
        ] {
            assert_eq!(retrain(&[action.to_owned()]), says, "{action}");
        }
    }
}
