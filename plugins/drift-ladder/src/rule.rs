//! What the ladder decides, as a pure function of findings, settings and evidence. It asks nobody anything.
//!
//! | worst open finding | actions |
//! |---|---|
//! | below medium | monitor |
//! | medium | monitor, plan a retrain |
//! | high | retrain now, scale exposure, alert |
//! | critical, or accuracy significantly below chance | kill switch on, retrain now, alert |
//! | none: everything closed | alert that it recovered, monitor; lifts the kill switch only if `recover` is set |
//!
//! Rounding: severities are the host's. The one number compared here, accuracy against chance, is compared as it is.
//! Only what the reason shows is rounded, halves away from zero, by integer arithmetic: the same in every language.

use wording::{decimal, percent};

use crate::bindings::exports::trimtab::policy::drift_action::{Action, Decision};
use crate::bindings::trimtab::policy::types::{Estimate, Finding, Phase, Severity};

/// From here on a finding is grave: the ladder acts on it by itself.
pub(crate) const GRAVE: Severity = Severity::High;
/// How many other findings are looked at when something recovers.
pub(crate) const MOST_OTHERS: u32 = 100;

/// The settings, as `policy.toml` declares them.
#[derive(Debug, Clone)]
pub struct Rule {
    /// Seconds within which a retrain is planned while watching.
    pub watch_retrain_within: u32,
    /// Factor for exposure while acting.
    pub act_exposure: f64,
    /// Accuracy below which a model is halted; 0, the default, leaves it to the host, which calls critical what is below
    /// chance.
    pub chance: f64,
    /// Whether a complete recovery lifts the kill switch.
    pub recover: bool,
}

/// What the host said when it was asked.
#[derive(Debug, Clone)]
pub struct Evidence {
    /// How many outcomes `recent` is over.
    pub window: u32,
    /// Recent accuracy.
    pub recent: Option<Estimate>,
    /// Grave findings of late, newest first; only asked for when something recovers.
    pub others: Vec<Finding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Nothing,
    Watch,
    Act,
    Halt,
}

/// Nothing that changed is still open.
pub(crate) fn is_recovery(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.phase == Phase::Closed)
}

/// The decision.
pub fn decide(rule: &Rule, findings: &[Finding], evidence: &Evidence) -> Decision {
    let open = findings.iter().filter(|finding| finding.phase != Phase::Closed);
    // The host sends the gravest first; the level also knows chance, so it may be a later one. The first of the worst.
    let worst = open
        .clone()
        .map(|finding| (level(rule, finding), finding))
        .reduce(|a, b| if b.0 > a.0 { b } else { a });
    let Some((level, finding)) = worst else { return recovered(rule, findings, evidence) };

    let (actions, consequence) = match level {
        Level::Nothing => {
            (vec![Action::Monitor], "Below the first step of the ladder: keep watching.".to_owned())
        }
        Level::Watch => (
            vec![Action::Monitor, Action::ScheduleRetrain(rule.watch_retrain_within)],
            format!("Watch, and retrain within {}.", duration(rule.watch_retrain_within)),
        ),
        Level::Act => (
            vec![Action::RetrainNow, Action::ScaleExposure(rule.act_exposure), Action::Alert(Severity::High)],
            format!("Retrain now, and give it {} of its weight.", percent(rule.act_exposure)),
        ),
        Level::Halt => (
            vec![Action::KillSwitchOn, Action::RetrainNow, Action::Alert(Severity::Critical)],
            "Stop serving it, and retrain now.".to_owned(),
        ),
    };

    let mut reason = describe(finding);
    if below_chance(rule, finding) {
        reason += &format!(" That is below chance, an accuracy of {}.", percent(rule.chance));
    }
    let more = open.count() - 1;
    if more > 0 {
        reason += &format!(" {more} more {} open.", if more == 1 { "finding is" } else { "findings are" });
    }
    reason += &recently(evidence);
    Decision { actions, reason: format!("{reason} {consequence}") }
}

fn level(rule: &Rule, finding: &Finding) -> Level {
    match finding.severity {
        Severity::Critical => Level::Halt,
        _ if below_chance(rule, finding) => Level::Halt,
        Severity::High => Level::Act,
        Severity::Medium => Level::Watch,
        Severity::Info | Severity::Low => Level::Nothing,
    }
}

/// Measured from outcomes and significant: a handful of unlucky predictions is no reason to stop trading.
fn below_chance(rule: &Rule, finding: &Finding) -> bool {
    let Some(current) = finding.current.filter(|current| current.from_outcomes) else { return false };
    let accuracy = match finding.quantity.as_str() {
        "accuracy" => current.value,
        "error" => 1.0 - current.value,
        _ => return false,
    };
    finding.significant && accuracy < rule.chance
}

/// Recovery never raises risk by itself: what was stopped stays stopped until a person, or the setting, says otherwise.
fn recovered(rule: &Rule, closed: &[Finding], evidence: &Evidence) -> Decision {
    let what = match closed {
        [one] => format!("{} on {} recovered.", one.detector, one.quantity),
        many => format!("{} findings recovered.", many.len()),
    };
    let remaining = still_open(closed, &evidence.others);
    let recently = recently(evidence);
    if remaining > 0 {
        let verb = if remaining == 1 { "grave finding remains" } else { "grave findings remain" };
        return Decision {
            actions: vec![Action::Monitor],
            reason: format!("{what} {remaining} {verb} open.{recently} Keep watching."),
        };
    }
    if rule.recover {
        return Decision {
            actions: vec![Action::KillSwitchOff, Action::Alert(Severity::Info), Action::Monitor],
            reason: format!("{what} Nothing grave remains open.{recently} The kill switch may be lifted."),
        };
    }
    Decision {
        actions: vec![Action::Alert(Severity::Info), Action::Monitor],
        reason: format!(
            "{what} Nothing grave remains open.{recently} Kill switch and exposure stay as they are until a person changes them."
        ),
    }
}

/// Grave episodes whose newest change is not their end, without those that just closed.
fn still_open(closed: &[Finding], others: &[Finding]) -> usize {
    let newest = |finding: &&Finding| {
        others.iter().find(|other| other.id == finding.id).is_some_and(|first| std::ptr::eq(first, *finding))
    };
    others
        .iter()
        .filter(newest)
        .filter(|other| other.phase != Phase::Closed && closed.iter().all(|finding| finding.id != other.id))
        .count()
}

fn describe(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Info => "Info",
        Severity::Low => "Low",
        Severity::Medium => "Medium",
        Severity::High => "High",
        Severity::Critical => "Critical",
    };
    let mut text = format!("{severity}: {} on {}", finding.detector, finding.quantity);
    match (finding.baseline, finding.current) {
        (Some(before), Some(now)) => {
            text += &format!(
                ", {} now ({} samples) against {} before ({} samples)",
                percent(now.value),
                now.samples,
                percent(before.value),
                before.samples,
            );
        }
        (None, Some(now)) => text += &format!(", {} now ({} samples)", percent(now.value), now.samples),
        _ => {
            text += &format!(
                ", statistic {} against a limit of {}",
                decimal(finding.statistic, 3),
                decimal(finding.threshold, 3)
            )
        }
    }
    match (finding.e_value, finding.p_value) {
        (Some(e), _) => text += &format!("; e-value {}", decimal(e, 1)),
        (None, Some(p)) if p < 0.0001 => text += "; p-value below 0.0001",
        (None, Some(p)) => text += &format!("; p-value {}", decimal(p, 4)),
        (None, None) => {}
    }
    text + if finding.significant { ", significant." } else { ", not significant." }
}

fn recently(evidence: &Evidence) -> String {
    match evidence.recent {
        Some(recent) => {
            format!(
                " Accuracy over the last {} outcomes: {}.",
                recent.samples.min(evidence.window),
                percent(recent.value)
            )
        }
        None => String::new(),
    }
}

fn duration(seconds: u32) -> String {
    match seconds {
        s if s >= 3600 && s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s if s >= 60 && s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::trimtab::policy::types::Subject;

    const RULE: Rule = Rule { watch_retrain_within: 172_800, act_exposure: 0.5, chance: 0.5, recover: false };

    fn finding(id: &str, severity: Severity, phase: Phase, accuracy: f64) -> Finding {
        let estimate = |value| Some(Estimate { value, samples: 200, interval: None, from_outcomes: true });
        Finding {
            id: id.into(),
            subject: Subject {
                tenant: "t".into(),
                model: "m".into(),
                version: "v".into(),
                segment: String::new(),
            },
            phase,
            opened: 0,
            detector: "e-sr".into(),
            quantity: "accuracy".into(),
            severity,
            statistic: 1.0,
            threshold: 1.0,
            p_value: None,
            e_value: None,
            significant: true,
            baseline: estimate(0.7),
            current: estimate(accuracy),
            window: String::new(),
        }
    }

    fn names(rule: &Rule, findings: &[Finding], others: Vec<Finding>) -> Vec<&'static str> {
        let evidence = Evidence { window: 100, recent: None, others };
        let name = |action: &Action| match action {
            Action::Monitor => "monitor",
            Action::Alert(_) => "alert",
            Action::ScheduleRetrain(_) => "schedule-retrain",
            Action::RetrainNow => "retrain-now",
            Action::KillSwitchOn => "kill-switch-on",
            Action::KillSwitchOff => "kill-switch-off",
            Action::ScaleExposure(_) => "scale-exposure",
            _ => "another",
        };
        decide(rule, findings, &evidence).actions.iter().map(name).collect()
    }

    #[test]
    fn each_step_of_the_ladder() {
        use Phase::{Closed, Opened, Raised};
        use Severity::{Critical, High, Info, Low, Medium};
        let halt: &[&str] = &["kill-switch-on", "retrain-now", "alert"];
        let act: &[&str] = &["retrain-now", "scale-exposure", "alert"];
        let watch: &[&str] = &["monitor", "schedule-retrain"];
        type Changed<'a> = &'a [(Severity, Phase, f64)];
        let cases: &[(Changed, &[&str])] = &[
            (&[(Info, Opened, 0.6)], &["monitor"]),
            (&[(Low, Opened, 0.6)], &["monitor"]),
            (&[(Medium, Opened, 0.6)], watch),
            (&[(High, Opened, 0.6)], act),
            (&[(Critical, Raised, 0.6)], halt),
            (&[(Medium, Opened, 0.499_999)], halt),
            (&[(High, Opened, 0.5)], act),
            // The worst open one decides, wherever it stands; what closed does not count.
            (&[(High, Opened, 0.6), (Medium, Opened, 0.4)], halt),
            (&[(Critical, Closed, 0.6), (Medium, Opened, 0.6)], watch),
        ];
        for (findings, expected) in cases {
            let findings: Vec<_> = findings.iter().map(|(s, p, a)| finding("f", *s, *p, *a)).collect();
            assert_eq!(names(&RULE, &findings, Vec::new()), *expected, "{findings:?}");
        }
    }

    #[test]
    fn error_is_accuracy_from_the_other_side() {
        let watched = |quantity: &str, value| Finding {
            quantity: quantity.into(),
            ..finding("f", Severity::High, Phase::Opened, value)
        };
        for (quantity, value, below) in
            [("error", 0.52, true), ("error", 0.5, false), ("accuracy", 0.48, true), ("ece", 0.1, false)]
        {
            assert_eq!(below_chance(&RULE, &watched(quantity, value)), below, "{quantity} {value}");
        }
    }

    #[test]
    fn recovery_is_careful() {
        use Phase::{Closed, Opened};
        let closed = [finding("a", Severity::Critical, Closed, 0.6)];
        let other = |phase| vec![finding("b", Severity::High, phase, 0.6)];
        let rule = |recover| Rule { recover, ..RULE };
        assert_eq!(names(&rule(false), &closed, Vec::new()), ["alert", "monitor"]);
        assert_eq!(names(&rule(true), &closed, other(Closed)), ["kill-switch-off", "alert", "monitor"]);
        assert_eq!(names(&rule(true), &closed, other(Opened)), ["monitor"]);
        // Its own earlier change does not count; the newest change of another does.
        assert_eq!(
            names(&rule(true), &closed, vec![finding("a", Severity::Critical, Opened, 0.6)]),
            ["kill-switch-off", "alert", "monitor"]
        );
        let closed_then_opened = [other(Closed), other(Opened)].concat();
        assert_eq!(names(&rule(true), &closed, closed_then_opened).len(), 3);
    }

    #[test]
    fn reasons_read_well() {
        assert_eq!(duration(172_800), "48 h");
        assert_eq!(duration(90), "90 s");
        assert_eq!(duration(120), "2 min");
        for (value, places, text) in [
            (61.25, 1, "61.3"),
            (0.25, 1, "0.3"),
            (-0.04, 1, "0.0"),
            (-1.06, 1, "-1.1"),
            (0.0123, 4, "0.0123"),
            (1e300, 1, "over 1000000000"),
        ] {
            assert_eq!(decimal(value, places), text);
        }
    }
}
