use crate::{
    Occasion, Report, Severity, clip,
    escape::flat,
    html, lines, neutral,
    report::retrain,
    testing::{alert, endless, hostile, report},
    units, within, written,
};

#[test]
fn titles_tell_the_occasion() {
    for (severity, occasion, title) in [
        (Severity::High, Occasion::Firing, "🔴 HIGH alert: acme/btc v7 [BTC/USDT]"),
        (Severity::Medium, Occasion::Repeated, "🟠 MEDIUM alert, still there: acme/btc v7 [BTC/USDT]"),
        (Severity::Critical, Occasion::Escalated, "🚨 CRITICAL alert, got worse: acme/btc v7 [BTC/USDT]"),
        (Severity::High, Occasion::Resolved, "✅ Resolved: HIGH alert: acme/btc v7 [BTC/USDT]"),
    ] {
        let by_the_host = crate::Alert { severity, occasion, findings: Vec::new(), ..alert() };
        assert_eq!(report(&by_the_host, 3).title_with_emoji(), title);
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
        ("schedule-retrain (within 2d): overruled: by ladder", "overruled by ladder"),
        ("alert (high): done", "not proposed"),
    ] {
        assert_eq!(retrain(&[action.to_owned()]), says, "{action}");
    }
}

/// Everything that a message has to state.
#[test]
fn text_states_every_fact() {
    let text = report(&alert(), 3).text(4096);
    for line in [
        "HIGH drift: acme/btc v7 [BTC/USDT]",
        "Level: HIGH",
        "Model: acme/btc",
        "Version: v7",
        "Segment: BTC/USDT",
        "Since: 2026-01-01 00:00 UTC",
        "Watched: accuracy",
        "Current: 61.0 % (n = 200)",
        "Baseline: 68.0 % (n = 1000)",
        // 0.07 of 0.68 is 10.29 %.
        "Drop: 7.0 points (10.3 %)",
        "Window: last 200 against the baseline",
        "Detector: accuracy-z",
        "Evidence: p = 0.0082, significant",
        "Decided: Retrain now.",
        "Action: retrain-now: refused: the master switch is off",
        "Retrain: not eligible, the master switch is off",
        "Advice: Check the data first, then decide on a retrain or a rollback.",
        "Link: http://localhost:7878/alerts/a-1",
    ] {
        assert!(text.lines().any(|other| other == line), "`{line}` in\n{text}");
    }
}

#[test]
fn nobody_writes_lines_of_their_own() {
    let friendly = report(&alert(), 3).text(4096).lines().count();
    let report = report(&hostile(), 3);
    // One action more, and no link: it is none to a page.
    assert_eq!(report.text(4096).lines().count(), friendly, "{}", report.text(4096));
    assert_eq!(report.link, None);
    assert!(!report.title().contains(['\n', '\r', '\u{202e}']));
    assert_eq!(flat("a\u{2066}b\tc\u{200f}", 10), "a b c ");
}

#[test]
fn what_is_too_long_is_cut() {
    let report = report(&endless(), 20);
    assert!(report.title().len() <= 512 && report.title_with_emoji().len() <= 512);
    for most in [200, 1000, 4096] {
        assert!(units(&report.text(most)) <= most, "{most}");
    }
    assert!(units(&report.text(100_000)) > 4096, "it would be longer");
    assert_eq!((clip("ääää", 8).as_str(), clip("äääää", 8).as_str()), ("ääää", "ää…"));
    // The entity counts as the five characters that it is, and is not cut through.
    assert_eq!(
        (written("a&&", 11, html).as_str(), written("a&&", 10, html).as_str()),
        ("a&amp;&amp;", "a&amp;…")
    );
    assert_eq!(lines("one\ntwo\nthree", 9), "one\n…");
    assert_eq!(lines("one\ntwo", 6), "one\n…");
    assert_eq!(lines("one\ntwo", 7), "one\ntwo");
}

/// What was decided matters more than the fourth finding.
#[test]
fn findings_make_room_for_the_decision() {
    let mut long = alert();
    long.findings = vec![long.findings[0].clone(); 20];
    let layout = |report: &Report| {
        let findings = report.findings.iter().map(|finding| finding.quantity.clone());
        findings.chain(report.uncounted()).chain([report.decided.clone()]).collect()
    };
    let text = within(&report(&long, 20), 60, layout);
    assert_eq!(text, "accuracy\naccuracy\n… and 18 findings more\nRetrain now.");
}

#[test]
fn markers_are_neutral_where_they_would_format() {
    for (text, neutral_text) in [
        ("btc_trend_v2", "btc_trend_v2"),
        ("2*3", "2*3"),
        ("*bold*", "\u{2217}bold\u{2217}"),
        ("_it_ ~s~", "\u{ff3f}it\u{ff3f} \u{223c}s\u{223c}"),
        ("```", "\u{2cb}\u{2cb}\u{2cb}"),
    ] {
        assert_eq!(neutral(text), neutral_text);
    }
}
