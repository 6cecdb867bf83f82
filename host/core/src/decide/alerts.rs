//! Who hears what how often: whether an alert goes out, and as what. Pure; formatting is a policy's, sending the
//! server's.

use trimtab_types::{Finding, Occasion, Phase, Severity, Timestamp, format_duration};

use crate::{config::AlertRules, fold::SentAlert};

/// Decides about an alert of `severity`. `sent` is the newest one of the same model, segment and kind.
///
/// The answer is the occasion and the severity to send it with, or the rule that suppresses it.
pub(crate) fn consider(
    severity: Severity,
    findings: &[Finding],
    sent: Option<&SentAlert>,
    rules: &AlertRules,
    now: Timestamp,
) -> Result<(Occasion, Severity), String> {
    let over = !findings.is_empty() && findings.iter().all(|finding| finding.phase == Phase::Closed);
    if over {
        return match sent {
            Some(sent) if sent.firing => Ok((Occasion::Resolved, sent.severity)),
            _ => Err("what is over had not been alerted".to_owned()),
        };
    }
    if severity < rules.minimum {
        return Err(format!("{severity} is below the minimum severity {}", rules.minimum));
    }
    let Some(sent) = sent else { return Ok((Occasion::Firing, severity)) };
    if now.since(sent.at) >= u64::from(rules.interval.0) {
        return Ok((if sent.firing { Occasion::Repeated } else { Occasion::Firing }, severity));
    }
    if severity > sent.severity {
        return Ok((Occasion::Escalated, severity));
    }
    Err(format!(
        "one alert of this model, segment and kind in {}; the last ({}) went out at {}",
        format_duration(u64::from(rules.interval.0)),
        sent.severity,
        sent.at.for_people()
    ))
}

/// Whether an alert that is firing is due to be said again.
pub(crate) fn is_due_again(sent: &SentAlert, rules: &AlertRules, now: Timestamp) -> bool {
    sent.firing && sent.severity >= rules.minimum && now.since(sent.at) >= u64::from(rules.interval.0)
}

/// What groups alerts besides model and segment.
pub(crate) fn kind_of(findings: &[Finding]) -> String {
    findings.first().map_or_else(|| "host".to_owned(), |gravest| gravest.detector.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_alert_a_day_unless_it_gets_worse() {
        use Severity::{Critical, High, Info, Medium};
        let rules = AlertRules::default();
        let hour = 3_600;
        let now = Timestamp::EPOCH.plus(1_000 * hour);
        let sent = |hours_ago: u64, severity, firing| {
            Some(SentAlert {
                severity,
                at: Timestamp::EPOCH.plus((1_000 - hours_ago) * hour),
                firing,
                subject: trimtab_types::testing::subject(),
                reason: String::new(),
            })
        };
        let occasion = |result: Result<(Occasion, Severity), String>| match result {
            Ok((occasion, severity)) => format!("{} {severity}", occasion.name()),
            Err(reason) => format!("suppressed: {reason}"),
        };
        #[rustfmt::skip]
        let cases = [
            (High,     Phase::Opened, None,                      "firing high"),
            (Info,     Phase::Opened, None,                      "suppressed: info is below"),
            (Medium,   Phase::Opened, None,                      "firing medium"),
            (High,     Phase::Opened, sent(2, High, true),       "suppressed: one alert"),
            (High,     Phase::Opened, sent(2, High, false),      "suppressed: one alert"),
            (Critical, Phase::Raised, sent(2, High, true),       "escalated critical"),
            (High,     Phase::Opened, sent(24, High, true),      "repeated high"),
            (High,     Phase::Opened, sent(24, High, false),     "firing high"),
            (Info,     Phase::Closed, sent(2, High, true),       "resolved high"),
            (Info,     Phase::Closed, sent(2, High, false),      "suppressed: what is over"),
            (Info,     Phase::Closed, None,                      "suppressed: what is over"),
        ];
        for (severity, phase, sent, expected) in cases {
            let findings = [trimtab_types::testing::finding(severity, phase)];
            let got = occasion(consider(severity, &findings, sent.as_ref(), &rules, now));
            assert!(got.starts_with(expected), "{severity} {phase:?} {sent:?}: {got}");
        }
    }
}
