//! The rule, as a pure function of findings, settings and counts. The host counts the findings of a detector that opened
//! since it was last reset, the one that is asked about included.

use wording::count;

use crate::bindings::exports::trimtab::policy::drift_action::{Action, Decision};
use crate::bindings::trimtab::policy::types::{Finding, Phase, Severity};

/// The operator's settings.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// After so many drifts of a detector the model is retrained.
    pub drifts: u32,
    /// Whether people are told of it.
    pub alert: bool,
}

/// The decision; `drift_count` says how many drifts a detector has had.
pub fn decide(rule: &Rule, findings: &[Finding], drift_count: impl Fn(&str) -> u32) -> Decision {
    // A drift is counted where it begins; that one gets worse or ends is no other drift.
    let mut detectors: Vec<&str> = findings
        .iter()
        .filter(|finding| finding.phase == Phase::Opened && finding.severity >= Severity::Medium)
        .map(|finding| finding.detector.as_str())
        .collect();
    detectors.sort_unstable();
    detectors.dedup();
    let counts: Vec<(&str, u32)> = detectors.into_iter().map(|name| (name, drift_count(name))).collect();
    let progress: Vec<_> = counts.iter().map(|(name, n)| format!("{name} {n}/{}", rule.drifts)).collect();
    let due: Vec<&str> = counts.iter().filter(|(_, n)| *n >= rule.drifts).map(|(name, _)| *name).collect();

    if due.is_empty() {
        let reason = match progress.as_slice() {
            [] => "No new drift to count.".to_owned(),
            progress => format!("Drifts since the last reset: {}. Keep counting.", progress.join(", ")),
        };
        return Decision { actions: vec![Action::Monitor], reason };
    }
    let mut actions = vec![Action::RetrainNow];
    actions.extend(due.iter().map(|name| Action::ResetDetector((*name).to_owned())));
    actions.extend(rule.alert.then_some(Action::Alert(Severity::High)));
    let reason = format!(
        "Drifts since the last reset: {}. After {} the model is retrained, and {} starts counting anew.",
        progress.join(", "),
        count(rule.drifts as usize, "drift"),
        due.join(" and "),
    );
    Decision { actions, reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::trimtab::policy::types::Subject;

    fn finding(detector: &str, phase: Phase, severity: Severity) -> Finding {
        Finding {
            id: "f".into(),
            subject: Subject {
                tenant: "t".into(),
                model: "m".into(),
                version: "v".into(),
                segment: String::new(),
            },
            phase,
            opened: 0,
            detector: detector.into(),
            quantity: "error".into(),
            severity,
            statistic: 1.0,
            threshold: 1.0,
            p_value: None,
            e_value: None,
            significant: true,
            baseline: None,
            current: None,
            window: String::new(),
        }
    }

    fn check(findings: &[Finding], counts: &[(&str, u32)], expected: &[&str]) {
        let counted = |name: &str| counts.iter().find(|(other, _)| *other == name).map_or(0, |(_, n)| *n);
        let decision = decide(&Rule { drifts: 3, alert: true }, findings, counted);
        let name = |action: &Action| match action {
            Action::Monitor => "monitor".to_owned(),
            Action::RetrainNow => "retrain".to_owned(),
            Action::ResetDetector(name) => format!("reset {name}"),
            Action::Alert(Severity::High) => "alert".to_owned(),
            other => format!("{other:?}"),
        };
        let actions: Vec<_> = decision.actions.iter().map(name).collect();
        assert_eq!(actions, expected, "{}", decision.reason);
    }

    #[test]
    fn the_third_drift_retrains() {
        use Phase::{Closed, Opened, Raised};
        use Severity::{High, Low};
        let opened = |detector| finding(detector, Opened, High);
        check(&[opened("adwin")], &[("adwin", 1)], &["monitor"]);
        check(&[opened("adwin")], &[("adwin", 2)], &["monitor"]);
        check(&[opened("adwin")], &[("adwin", 3)], &["retrain", "reset adwin", "alert"]);
        // Where an earlier decision was not carried out, the count has gone on.
        check(&[opened("adwin")], &[("adwin", 4)], &["retrain", "reset adwin", "alert"]);
        // Each detector counts for itself, and one retrain is enough.
        check(&[opened("adwin"), opened("ddm")], &[("adwin", 2), ("ddm", 2)], &["monitor"]);
        check(
            &[opened("ddm"), opened("adwin"), opened("adwin")],
            &[("adwin", 3), ("ddm", 3)],
            &["retrain", "reset adwin", "reset ddm", "alert"],
        );
        // What gets worse, ends or is mild is no new drift.
        check(&[finding("ddm", Raised, High)], &[("ddm", 3)], &["monitor"]);
        check(&[finding("ddm", Closed, High)], &[("ddm", 3)], &["monitor"]);
        check(&[finding("ddm", Opened, Low)], &[("ddm", 3)], &["monitor"]);
    }

    #[test]
    fn reasons_say_how_far_it_is() {
        let rule = Rule { drifts: 3, alert: false };
        let decision = decide(&rule, &[finding("adwin", Phase::Opened, Severity::High)], |_| 2);
        assert_eq!(decision.reason, "Drifts since the last reset: adwin 2/3. Keep counting.");
    }
}
