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
//! Rounding: severities are the host's. The one number compared here, accuracy against chance, is compared as it is;
//! only what the reason shows is rounded, to one decimal of a per cent.

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
    /// Accuracy below which a model is worse than guessing; 0 switches the comparison off.
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
            format!("Retrain now, and trade with {} of the exposure.", percent(rule.act_exposure)),
        ),
        Level::Halt => (
            vec![Action::KillSwitchOn, Action::RetrainNow, Action::Alert(Severity::Critical)],
            "Stop trading and retrain now.".to_owned(),
        ),
    };

    let mut reason = describe(finding);
    if below_chance(rule, finding) {
        reason += &format!(" That is below chance ({}).", percent(rule.chance));
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
    let measured = finding.current.is_some_and(|current| current.from_outcomes);
    measured
        && finding.significant
        && finding.quantity == "accuracy"
        && finding.current.is_some_and(|current| current.value < rule.chance)
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
            text +=
                &format!(", statistic {:.3} against a limit of {:.3}", finding.statistic, finding.threshold)
        }
    }
    match (finding.e_value, finding.p_value) {
        (Some(e), _) => text += &format!("; e-value {e:.1}"),
        (None, Some(p)) => text += &format!("; p-value {p:.4}"),
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

fn percent(fraction: f64) -> String {
    format!("{:.1} %", fraction * 100.0)
}

fn duration(seconds: u32) -> String {
    match seconds {
        s if s >= 3600 && s.is_multiple_of(3600) => format!("{} h", s / 3600),
        s if s >= 60 && s.is_multiple_of(60) => format!("{} min", s / 60),
        s => format!("{s} s"),
    }
}
