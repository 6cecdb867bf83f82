//! The host's own words for an alert. Nothing that comes from outside steers a terminal by them.

use trimtab_types::{Alert, Failure, Message, shown, shown_lines};

/// The host's own words, for when no policy has any. Names and reasons in them come from outside.
pub(super) fn plain(alert: &Alert, failure: Option<&Failure>) -> Message {
    let mut body = alert.reason.clone();
    for action in &alert.actions {
        body.push_str("\n- ");
        body.push_str(action);
    }
    if let Some(failure) = failure {
        body.push_str(&format!("\n(formatted by the host: {failure})"));
    }
    Message {
        title: shown(&format!("[{}] {} {}", alert.severity, alert.subject, alert.occasion.name()))
            .into_owned(),
        body: shown_lines(&body).into_owned(),
        rich: None,
    }
}

#[cfg(test)]
mod tests {
    use trimtab_types::{Occasion, Phase, Severity, Subject, Timestamp, testing};

    use super::*;

    /// No policy can put more into the host's words than text.
    #[test]
    fn nothing_from_outside_steers_the_hosts_own_words() {
        let finding = testing::finding(Severity::High, Phase::Opened);
        let subject = Subject { model: "m\u{1b}[31m\u{202e}".into(), ..finding.subject.clone() };
        let alert = Alert {
            id: "a-1".into(),
            subject,
            severity: Severity::High,
            occasion: Occasion::Firing,
            started: Timestamp::EPOCH,
            findings: vec![finding],
            metrics: Vec::new(),
            reason: "one\ntwo\u{9b}2J\u{2066}".into(),
            actions: vec!["retrain\r: done".into()],
            link: None,
        };
        let message = plain(&alert, None);
        assert!(message.title.contains(r"m\u{1b}[31m\u{202e}"), "{}", message.title);
        assert_eq!(message.body, "one\ntwo\\u{9b}2J\\u{2066}\n- retrain\\r: done");
    }
}
