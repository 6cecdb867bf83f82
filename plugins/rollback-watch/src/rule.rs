//! The rule, as a pure function of settings and of what the host knows of the versions. It is asked by the clock, a day after a
//! version began to serve and each day of its first week: it looks from `after` the activation on, and until `until` after it; what
//! comes later is not the activation's doing.

use wording::{duration, p_value, percent, points};

use crate::bindings::exports::trimtab::policy::drift_action::{Action, Decision};
use crate::bindings::trimtab::policy::types::{Estimate, ModelVersion, Protection, Severity, Subject};

/// Differences are rounded to this before they are held against a limit, so that 0.70 − 0.65 is five points.
const ROUNDING: f64 = 1e-9;

/// The operator's settings. Times are seconds, accuracies fractions.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// So long after its activation a version is compared with the one before.
    pub after: u32,
    /// So long after it, it no longer is.
    pub until: u32,
    /// An accuracy that is lower by more is worse.
    pub drop: f64,
    /// Outcomes that each of the two versions needs.
    pub least_samples: u32,
    /// Level of the test.
    pub alpha: f64,
    /// Whether the accuracy of one segment is held against that of all, which is what is known of the previous version.
    pub segments: bool,
    /// Whether people are told of a rollback.
    pub alert: bool,
}

impl Rule {
    /// What does not fit together.
    pub fn problems(&self) -> Vec<String> {
        if self.after >= self.until {
            return vec![format!(
                "`after` is {} and `until` {}; set `after` below `until`",
                duration(self.after),
                duration(self.until)
            )];
        }
        Vec::new()
    }
}

/// The decision. `active` is how long the champion has been serving, `accuracy_of` the subject's accuracy since so long ago.
pub fn decide(
    rule: &Rule,
    subject: &Subject,
    active: Option<u32>,
    versions: &[ModelVersion],
    accuracy_of: impl FnOnce(u32) -> Option<Estimate>,
) -> Decision {
    match compare(rule, subject, active, versions, accuracy_of) {
        Ok(reason) => {
            let mut actions = vec![Action::Rollback];
            actions.extend(rule.alert.then_some(Action::Alert(Severity::High)));
            Decision { actions, reason: format!("{reason} Back to the previous version.") }
        }
        Err(reason) => Decision { actions: vec![Action::Monitor], reason: format!("No rollback: {reason}") },
    }
}

/// Why to go back, or why not.
fn compare(
    rule: &Rule,
    subject: &Subject,
    active: Option<u32>,
    versions: &[ModelVersion],
    accuracy_of: impl FnOnce(u32) -> Option<Estimate>,
) -> Result<String, String> {
    let active = active.ok_or("it is not known when this version was activated.")?;
    if active < rule.after {
        return Err(format!(
            "the version has served for {} and is compared after {}.",
            duration(active),
            duration(rule.after)
        ));
    }
    if active > rule.until {
        return Err(format!(
            "the version has served for {}, more than {}.",
            duration(active),
            duration(rule.until)
        ));
    }
    let protected = |by: Protection| versions.iter().find(|version| version.protections.contains(&by));
    if protected(Protection::Champion).is_none_or(|champion| champion.version != subject.version) {
        return Err(format!("version {} does not serve.", subject.version));
    }
    if !subject.segment.is_empty() && !rule.segments {
        return Err("of the previous version only the accuracy over all segments is known.".to_owned());
    }
    let previous = protected(Protection::PreviousChampion).ok_or("there is no previous version.")?;
    let before = previous
        .metrics
        .iter()
        .find(|metric| metric.name == "accuracy")
        .map(|metric| metric.estimate)
        .ok_or_else(|| format!("the accuracy of version {} is not known.", previous.version))?;
    let now = accuracy_of(active).ok_or("there are no outcomes since the activation.")?;
    if !now.from_outcomes || !before.from_outcomes {
        return Err("an accuracy is only estimated, not measured by outcomes.".to_owned());
    }
    let samples = now.samples.min(before.samples);
    if samples < rule.least_samples {
        return Err(format!("{samples} outcomes are too few; {} are needed.", rule.least_samples));
    }
    let fall = before.value - now.value;
    let p = p_value_of_fall(before, now);
    let compared = format!(
        "accuracy {} since the activation {} ago (n = {}) against {} of version {} (n = {}), {} {}, {}.",
        percent(now.value),
        duration(active),
        now.samples,
        percent(before.value),
        previous.version,
        before.samples,
        points(fall),
        if fall >= 0.0 { "lower" } else { "higher" },
        p_value(p),
    );
    if fall - rule.drop <= ROUNDING {
        return Err(format!("{compared} The limit is more than {}.", points(rule.drop)));
    }
    if p >= rule.alpha {
        return Err(format!("{compared} That is not significant at {}.", rule.alpha));
    }
    Ok(format!("Worse than before: {compared}"))
}

/// Probability of a fall at least this large if both versions were equally good: the two-proportion z-test with pooled
/// variance, one-sided (NIST/SEMATECH e-Handbook of Statistical Methods, section 7.3.3, "How can we determine whether two
/// processes produce the same proportion of defectives?").
///
/// ```text
/// p = (n₁p₁ + n₂p₂) / (n₁ + n₂),  z = (p₁ − p₂) / √(p (1 − p) (1/n₁ + 1/n₂)),  p-value = 1 − Φ(z)
/// ```
///
/// It takes outcomes as independent. Those of trades come in runs, so it is more certain than it should be; the least
/// fall and the least number of outcomes stand beside it for that reason.
fn p_value_of_fall(before: Estimate, now: Estimate) -> f64 {
    let (n1, n2) = (f64::from(before.samples), f64::from(now.samples));
    let pooled = (n1 * before.value + n2 * now.value) / (n1 + n2);
    let deviation = (pooled * (1.0 - pooled) * (1.0 / n1 + 1.0 / n2)).sqrt();
    if !deviation.is_normal() {
        // All right or all wrong on both sides, or nothing on one: no evidence.
        return 1.0;
    }
    let z = (before.value - now.value) / deviation;
    0.5 * libm::erfc(z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bindings::trimtab::policy::types::{Metric, Stage};

    const HOUR: u32 = 3_600;
    const RULE: Rule = Rule {
        after: 24 * HOUR,
        until: 168 * HOUR,
        drop: 0.05,
        least_samples: 100,
        alpha: 0.05,
        segments: false,
        alert: true,
    };

    fn estimate(value: f64, samples: u32) -> Estimate {
        Estimate { value, samples, interval: None, from_outcomes: true }
    }

    fn version(name: &str, protections: &[Protection], accuracy: Estimate) -> ModelVersion {
        ModelVersion {
            version: name.into(),
            stage: Stage::Production,
            protections: protections.to_vec(),
            age: 0,
            size_bytes: 0,
            metrics: vec![Metric { name: "accuracy".into(), estimate: accuracy }],
        }
    }

    /// Version v2 serves after v1, of which `before` is known.
    struct Case {
        rule: Rule,
        version: &'static str,
        segment: &'static str,
        active: Option<u32>,
        before: Estimate,
        now: Option<Estimate>,
    }

    /// 70 of 100 against 60 of 100 would not do, 700 of 1000 against 60 of 100 does.
    fn worse() -> Case {
        Case {
            rule: RULE,
            version: "v2",
            segment: "",
            active: Some(24 * HOUR),
            before: estimate(0.7, 1000),
            now: Some(estimate(0.6, 100)),
        }
    }

    /// Whether it goes back, and a part of the reason.
    fn check(case: Case, back: bool, reason: &str) {
        let subject = Subject {
            tenant: "t".into(),
            model: "m".into(),
            version: case.version.into(),
            segment: case.segment.into(),
        };
        let versions = [
            version("v2", &[Protection::Champion], estimate(0.9, 1000)),
            version("v1", &[Protection::PreviousChampion, Protection::Pinned], case.before),
            version("v0", &[], estimate(0.9, 1000)),
        ];
        let decision = decide(&case.rule, &subject, case.active, &versions, |_| case.now);
        assert_eq!(matches!(decision.actions[..], [Action::Rollback, ..]), back, "{}", decision.reason);
        assert!(decision.reason.contains(reason), "`{reason}` in `{}`", decision.reason);
    }

    #[test]
    fn worse_and_certainly_so_goes_back() {
        check(worse(), true, "60.0 % since the activation 1 d ago (n = 100) against 70.0 % of version v1");
        // Five points exactly are not more than five.
        check(
            Case { now: Some(estimate(0.65, 10_000)), before: estimate(0.70, 10_000), ..worse() },
            false,
            "more than 5.0 points",
        );
        check(
            Case { now: Some(estimate(0.649, 10_000)), before: estimate(0.70, 10_000), ..worse() },
            true,
            "5.1 points lower",
        );
        // Six points of a hundred could be chance: z = 1.242, p = 0.107.
        check(
            Case { now: Some(estimate(0.64, 100)), ..worse() },
            false,
            "p = 0.1071. That is not significant",
        );
        check(Case { now: Some(estimate(0.8, 100)), ..worse() }, false, "10.0 points higher");
    }

    #[test]
    fn what_is_not_known_is_no_reason() {
        check(Case { active: None, ..worse() }, false, "not known when");
        check(Case { active: Some(24 * HOUR - 1), ..worse() }, false, "compared after 1 d");
        check(Case { active: Some(168 * HOUR + 1), ..worse() }, false, "more than 7 d");
        check(Case { now: None, ..worse() }, false, "no outcomes");
        check(Case { now: Some(estimate(0.1, 99)), ..worse() }, false, "99 outcomes are too few");
        check(Case { before: estimate(1.0, 99), ..worse() }, false, "99 outcomes are too few");
        let guess = Estimate { from_outcomes: false, ..estimate(0.6, 100) };
        check(Case { now: Some(guess), ..worse() }, false, "only estimated");
        // What a shadow version does is no reason to move production.
        check(Case { version: "v3", ..worse() }, false, "v3 does not serve");
        check(Case { segment: "BTC/USDT", ..worse() }, false, "over all segments");
        check(Case { segment: "BTC/USDT", rule: Rule { segments: true, ..RULE }, ..worse() }, true, "Worse");
    }

    #[test]
    fn without_a_previous_version_there_is_no_way_back() {
        let subject =
            Subject { tenant: "t".into(), model: "m".into(), version: "v2".into(), segment: String::new() };
        let alone = [version("v2", &[Protection::Champion], estimate(0.9, 1000))];
        let decision = decide(&RULE, &subject, Some(30 * HOUR), &alone, |_| Some(estimate(0.1, 1000)));
        assert!(matches!(decision.actions[..], [Action::Monitor]));
        assert!(decision.reason.contains("no previous version"), "{}", decision.reason);
    }

    /// By hand. 700 of 1000 and 60 of 100: p = 760/1100 = 0.690909, √(0.213554 · 0.011) = 0.048467, z = 0.1/0.048467 =
    /// 2.0632, and 1 − Φ(2.0632) = 0.0195 in a table of the normal distribution. 255 of 340 and 140 of 200: p = 395/540,
    /// z = 0.05/0.039494 = 1.2660, 1 − Φ(1.2660) = 0.1028.
    #[test]
    fn the_test_is_the_one_of_the_textbook() {
        for (before, now, expected) in [
            (estimate(0.7, 1000), estimate(0.6, 100), 0.0195),
            (estimate(0.75, 340), estimate(0.7, 200), 0.1028),
            (estimate(0.7, 200), estimate(0.7, 200), 0.5),
            (estimate(1.0, 200), estimate(1.0, 200), 1.0),
            (estimate(0.7, 0), estimate(0.7, 0), 1.0),
        ] {
            let p = p_value_of_fall(before, now);
            assert!((p - expected).abs() < 5e-5, "{before:?} {now:?}: {p}");
        }
    }

    #[test]
    fn settings_have_to_fit_together() {
        assert!(RULE.problems().is_empty());
        assert_eq!(Rule { until: RULE.after, ..RULE }.problems().len(), 1);
    }
}
