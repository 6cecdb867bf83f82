//! The rule, as a pure function of findings and settings. It reads the distance itself and not the host's severity, so that
//! the table holds whatever limits the detectors have.
//!
//! | level | PSI | Kolmogorov–Smirnov | actions |
//! |---|---|---|---|
//! | ok | below medium | below medium | none |
//! | medium | from medium | from medium | monitor, plan a retrain |
//! | high | from high | from high | retrain now |
//! | critical | above critical | | kill switch on, retrain now, alert |
//!
//! A distance that could be chance is ok: with 30 against 30 samples and no drift PSI exceeds 0.2 nearly always.

use wording::{count, decimal, duration};

use crate::bindings::exports::trimtab::policy::drift_action::{Action, Decision};
use crate::bindings::trimtab::policy::types::{Finding, Phase, Severity};

/// The operator's settings.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// PSI from which to watch.
    pub psi_medium: f64,
    /// PSI from which to act.
    pub psi_high: f64,
    /// PSI above which to stop.
    pub psi_critical: f64,
    /// Kolmogorov–Smirnov distance from which to watch.
    pub ks_medium: f64,
    /// Kolmogorov–Smirnov distance from which to act.
    pub ks_high: f64,
    /// With fewer samples on either side, where a finding says how many there are, nothing is done.
    pub least_samples: u32,
    /// Whether a distance that is not significant is ok.
    pub needs_significance: bool,
    /// Seconds within which a retrain is planned while watching.
    pub watch_retrain_within: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Medium,
    High,
    Critical,
}

impl Rule {
    /// What does not fit together.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.psi_medium >= self.psi_high {
            problems.push(format!(
                "`psi-medium` is {} and `psi-high` {}; set `psi-medium` below `psi-high`",
                self.psi_medium, self.psi_high
            ));
        }
        if self.psi_high > self.psi_critical {
            problems.push(format!(
                "`psi-high` is {} and `psi-critical` {}; set `psi-critical` to `psi-high` or above",
                self.psi_high, self.psi_critical
            ));
        }
        if self.ks_medium >= self.ks_high {
            problems.push(format!(
                "`ks-medium` is {} and `ks-high` {}; set `ks-medium` below `ks-high`",
                self.ks_medium, self.ks_high
            ));
        }
        problems
    }

    /// How grave a distance is, or why it is ok.
    fn level(&self, finding: &Finding) -> Result<Level, &'static str> {
        let few = |samples: u32| samples < self.least_samples;
        let mut sides = finding.current.iter().chain(&finding.baseline);
        if sides.any(|estimate| few(estimate.samples)) {
            return Err("with too few samples");
        }
        if self.needs_significance && !finding.significant {
            return Err("not significant");
        }
        let distance = finding.statistic;
        let (medium, high, critical) = match finding.detector.as_str() {
            "psi" => (self.psi_medium, self.psi_high, self.psi_critical),
            "ks" => (self.ks_medium, self.ks_high, f64::INFINITY),
            _ => return Err("not a distance of this table"),
        };
        Ok(match distance {
            d if d > critical => Level::Critical,
            d if d >= high => Level::High,
            d if d >= medium => Level::Medium,
            _ => return Err("within the limits"),
        })
    }
}

/// The decision.
pub fn decide(rule: &Rule, findings: &[Finding]) -> Decision {
    let open: Vec<&Finding> = findings.iter().filter(|finding| finding.phase != Phase::Closed).collect();
    // The first of the worst.
    let worst = open
        .iter()
        .map(|finding| (rule.level(finding), *finding))
        .reduce(|a, b| if b.0.ok() > a.0.ok() { b } else { a });
    let Some((level, finding)) = worst else {
        return Decision {
            // Whoever was told that it began is told that it is over; the host sends nothing to others.
            actions: vec![Action::Alert(Severity::Info)],
            reason: format!("{} recovered.", count(findings.len(), "distance")),
        };
    };
    let what = format!("{} on {}: {}", finding.detector, finding.quantity, decimal(finding.statistic, 3));
    let (level, actions, consequence) = match level {
        Err(why) => (why, Vec::new(), "Nothing to do.".to_owned()),
        Ok(Level::Medium) => (
            "medium",
            vec![Action::Monitor, Action::ScheduleRetrain(rule.watch_retrain_within)],
            format!("Watch, and retrain within {}.", duration(rule.watch_retrain_within)),
        ),
        Ok(Level::High) => ("high", vec![Action::RetrainNow], "Retrain now.".to_owned()),
        Ok(Level::Critical) => (
            "critical",
            vec![Action::KillSwitchOn, Action::RetrainNow, Action::Alert(Severity::Critical)],
            "Stop serving it, and retrain now.".to_owned(),
        ),
    };
    let more = match open.len() - 1 {
        0 => String::new(),
        n => format!(" {} besides.", count(n, "open finding")),
    };
    Decision { actions, reason: format!("{what}, {level}.{more} {consequence}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::trimtab::policy::types::{Estimate, Subject};

    const RULE: Rule = Rule {
        psi_medium: 0.1,
        psi_high: 0.2,
        psi_critical: 0.3,
        ks_medium: 0.15,
        ks_high: 0.25,
        least_samples: 30,
        needs_significance: true,
        watch_retrain_within: 172_800,
    };

    fn finding(detector: &str, statistic: f64) -> Finding {
        Finding {
            id: "f".into(),
            subject: Subject {
                tenant: "t".into(),
                model: "m".into(),
                version: "v".into(),
                segment: String::new(),
            },
            phase: Phase::Opened,
            opened: 0,
            detector: detector.into(),
            quantity: "score".into(),
            severity: Severity::High,
            statistic,
            threshold: 0.1,
            p_value: Some(0.001),
            e_value: None,
            significant: true,
            baseline: None,
            current: None,
            window: String::new(),
        }
    }

    /// The limits of the table, from both sides.
    #[test]
    fn the_table() {
        for (detector, statistic, expected) in [
            ("psi", 0.099_9, None),
            ("psi", 0.1, Some(Level::Medium)),
            ("psi", 0.199_9, Some(Level::Medium)),
            ("psi", 0.2, Some(Level::High)),
            ("psi", 0.3, Some(Level::High)),
            ("psi", 0.300_1, Some(Level::Critical)),
            ("ks", 0.149_9, None),
            ("ks", 0.15, Some(Level::Medium)),
            ("ks", 0.249_9, Some(Level::Medium)),
            ("ks", 0.25, Some(Level::High)),
            ("ks", 1.0, Some(Level::High)),
            ("e-sr", 1e6, None),
        ] {
            assert_eq!(RULE.level(&finding(detector, statistic)).ok(), expected, "{detector} {statistic}");
        }
        let strict = Rule { psi_critical: 0.2, ..RULE };
        assert_eq!(strict.level(&finding("psi", 0.2)), Ok(Level::High));
        assert_eq!(strict.level(&finding("psi", 0.200_1)), Ok(Level::Critical));
    }

    #[test]
    fn what_could_be_chance_is_ok() {
        let chance = Finding { significant: false, ..finding("psi", 0.5) };
        assert_eq!(RULE.level(&chance), Err("not significant"));
        assert_eq!(Rule { needs_significance: false, ..RULE }.level(&chance), Ok(Level::Critical));
        for (samples, expected) in [(29, Err("with too few samples")), (30, Ok(Level::Critical))] {
            let side = Some(Estimate { value: 0.5, samples, interval: None, from_outcomes: true });
            let few = Finding { current: side, ..finding("psi", 0.5) };
            assert_eq!(RULE.level(&few), expected);
            assert_eq!(RULE.level(&Finding { current: None, baseline: side, ..few }), expected);
        }
        assert!(decide(&RULE, &[chance]).actions.is_empty());
    }

    #[test]
    fn the_worst_that_is_open_decides() {
        let closed = Finding { phase: Phase::Closed, ..finding("psi", 0.5) };
        let decision = decide(&RULE, &[finding("psi", 0.15), finding("ks", 0.3), closed.clone()]);
        assert!(matches!(decision.actions[..], [Action::RetrainNow]), "{decision:?}");
        assert_eq!(decision.reason, "ks on score: 0.300, high. 1 open finding besides. Retrain now.");
        let decision = decide(&RULE, &[closed]);
        assert!(matches!(decision.actions[..], [Action::Alert(Severity::Info)]), "{decision:?}");
    }

    #[test]
    fn settings_have_to_fit_together() {
        assert!(RULE.problems().is_empty());
        assert!(Rule { psi_critical: 0.2, ..RULE }.problems().is_empty());
        assert_eq!(Rule { psi_high: 0.1, ks_high: 0.1, ..RULE }.problems().len(), 2);
        assert_eq!(Rule { psi_critical: 0.19, ..RULE }.problems().len(), 1);
    }
}
