//! Alerts for the tests of channels.

use crate::{Alert, Estimate, Finding, Occasion, Phase, Report, Severity, Style, Subject};

/// What an attacker might call a model, and what a policy might say: markup of every channel, mentions, links, lines of
/// their own, and characters that turn the direction of writing.
pub const HOSTILE: &str =
    "<b>x</b> & <!channel> <https://evil.example|ok> *bold* _it_ ~s~ `c` \"q\" 'a'\r\nSubject: no\u{202e}";

/// A high alert about one finding: accuracy fell from 68 % to 61 %.
pub fn alert() -> Alert {
    let estimate = |value, samples| Some(Estimate { value, samples, interval: None, from_outcomes: true });
    let subject = Subject {
        tenant: "acme".into(),
        model: "btc".into(),
        version: "v7".into(),
        segment: "BTC/USDT".into(),
    };
    let finding = Finding {
        id: "f-1".into(),
        subject: subject.clone(),
        phase: Phase::Opened,
        opened: 0,
        detector: "accuracy-z".into(),
        quantity: "accuracy".into(),
        severity: Severity::High,
        statistic: -2.4,
        threshold: -1.645,
        p_value: Some(0.0082),
        e_value: None,
        significant: true,
        baseline: estimate(0.68, 1000),
        current: estimate(0.61, 200),
        window: "last 200 against the baseline".into(),
    };
    Alert {
        id: "a-1".into(),
        subject,
        severity: Severity::High,
        occasion: Occasion::Firing,
        started: 0,
        findings: vec![finding],
        metrics: Vec::new(),
        reason: "Retrain now.".into(),
        actions: vec!["retrain-now: refused: the master switch is off".into()],
        link: Some("http://localhost:7878/alerts/a-1".into()),
    }
}

/// The same alert with hostile text wherever text is.
pub fn hostile() -> Alert {
    let text = || HOSTILE.to_owned();
    let mut alert = alert();
    alert.subject = Subject { tenant: text(), model: text(), version: text(), segment: text() };
    alert.reason = text();
    alert.actions = vec![format!("retrain-now: refused: {HOSTILE}"), text()];
    alert.link = Some(format!("javascript:{HOSTILE}"));
    for finding in &mut alert.findings {
        (finding.detector, finding.quantity, finding.window) = (text(), text(), text());
    }
    alert
}

/// The hostile alert with as much of everything as a host lets through, in characters that markup makes longer.
pub fn endless() -> Alert {
    let mut alert = hostile();
    let long = |n| "&".repeat(n);
    alert.subject = Subject { tenant: long(200), model: long(200), version: long(200), segment: long(200) };
    alert.reason = long(4096);
    alert.actions = vec![long(4096); 32];
    for finding in &mut alert.findings {
        (finding.detector, finding.quantity, finding.window) = (long(200), long(200), long(200));
    }
    alert.findings = vec![alert.findings[0].clone(); 100];
    alert
}

/// The report of an alert, with so many findings described.
pub fn report(alert: &Alert, most_findings: usize) -> Report {
    Report::of(alert, &Style { started: "2026-01-01 00:00 UTC".into(), most_findings, recommend: true })
}
