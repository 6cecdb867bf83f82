//! The rule, as a pure function of an experiment and settings.
//!
//! | first that holds | verdict |
//! |---|---|
//! | a guardrail is broken that the champion keeps, or by more than the champion breaks it | abort |
//! | evidence that the challenger is worse | abort |
//! | evidence that it is better, by more than the margin, and no guardrail is broken | promote |
//! | else | extend |
//!
//! The evidence may be looked at after every outcome: an e-value of 20 comes up by chance in at most one of 20 experiments,
//! however often it is asked (Ville's inequality). Guardrails are limits and no tests; they stop what does harm. The
//! calibration error of few rows is above 0 however well a model is calibrated (by about 8 points at 200 rows in ten bins), so
//! that its limit is one over the root of the rows higher.

use experiment_text::{Difference, Experiment, ROUNDING, Ruling, Verdict, compared, measured, shown};
use wording::{count, decimal, difference, percent};

/// The operator's settings.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What the arms are compared by; more is better.
    pub metric: String,
    /// The e-value from which a difference counts as shown.
    pub evidence: f64,
    /// A difference up to this is not worth a switch, in the metric's unit.
    pub margin: f64,
    /// Guardrail: the deepest fall of the challenger from its peak.
    pub most_drawdown: f64,
    /// Guardrail: the largest calibration error of the challenger.
    pub most_ece: f64,
}

/// A guardrail that the challenger breaks.
struct Broken {
    what: String,
    /// The champion does better there, so that it is the challenger's own doing.
    own_doing: bool,
}

impl Rule {
    /// What should become of a healthy experiment.
    pub fn judge(&self, experiment: &Experiment) -> Ruling {
        let broken = self.broken(experiment);
        let difference = experiment.differences.iter().find(|difference| difference.name == self.metric);
        let (verdict, because) = self.verdict(&broken, difference);
        let mut evidence = vec![compared(experiment, &self.metric)];
        evidence.extend(difference.map(|found| {
            format!(
                "{}, e-values: better {}, worse {}",
                shown(&self.metric, &found.estimate),
                decimal(found.better, 2),
                decimal(found.worse, 2)
            )
        }));
        evidence.extend(["drawdown", "ece"].map(|name| compared(experiment, name)));
        evidence.push(format!(
            "{} against {}",
            count(experiment.challenger.critical_findings as usize, "critical finding"),
            experiment.champion.critical_findings
        ));
        (verdict, because, evidence)
    }

    fn verdict(&self, broken: &[Broken], difference: Option<&Difference>) -> (Verdict, String) {
        let names = |broken: &[&Broken]| {
            broken.iter().map(|broken| broken.what.as_str()).collect::<Vec<_>>().join(", ")
        };
        let own: Vec<_> = broken.iter().filter(|broken| broken.own_doing).collect();
        if !own.is_empty() {
            return (Verdict::Abort, format!("The challenger does harm: {}.", names(&own)));
        }
        let Some(found) = difference.filter(|found| found.estimate.from_outcomes) else {
            return (Verdict::Extend, format!("There is no comparison of {} yet.", self.metric));
        };
        match (found.better >= self.evidence, found.worse >= self.evidence) {
            (false, true) => (Verdict::Abort, "The challenger is worse.".to_owned()),
            (true, false) if !self.exceeds_margin(found) => (
                Verdict::Extend,
                format!("The challenger is better, and not by more than {} yet.", self.shown_margin()),
            ),
            (true, false) if !broken.is_empty() => {
                let all: Vec<_> = broken.iter().collect();
                (Verdict::Extend, format!("The challenger is better, but not now: {}.", names(&all)))
            }
            (true, false) => (Verdict::Promote, "The challenger is better.".to_owned()),
            // Both: the arms changed on the way. Neither: it is open.
            (true, true) | (false, false) => (
                Verdict::Extend,
                format!("Which is better is open; an e-value of {} is needed.", decimal(self.evidence, 1)),
            ),
        }
    }

    /// Whether certainly so: the whole interval lies above it. The e-value alone speaks against no difference at all.
    fn exceeds_margin(&self, found: &Difference) -> bool {
        match found.estimate.interval {
            Some(interval) if self.margin > 0.0 => interval.lower > self.margin + ROUNDING,
            None if self.margin > 0.0 => false,
            _ => found.estimate.value > 0.0,
        }
    }

    fn shown_margin(&self) -> String {
        difference(&self.metric, self.margin)
    }

    fn broken(&self, experiment: &Experiment) -> Vec<Broken> {
        let Experiment { champion, challenger, .. } = experiment;
        let by_chance = |samples: u32| 1.0 / f64::from(samples.max(1)).sqrt();
        let beyond = |name: &str, limit: f64| {
            let mine = measured(challenger, name)?;
            let allowed = if name == "ece" { limit + by_chance(mine.samples) } else { limit };
            let mine = Some(mine).filter(|mine| mine.value > allowed + ROUNDING)?;
            // What the champion breaks as well, and no less, speaks for neither.
            let noise = if name == "ece" { by_chance(mine.samples) } else { 0.0 };
            let own_doing = measured(champion, name).is_none_or(|theirs| theirs.value + noise < mine.value);
            let what = format!("its {name} is above {}", percent(limit));
            own_doing.then_some(Broken { what, own_doing })
        };
        let critical = (challenger.critical_findings > 0).then(|| Broken {
            what: format!("it has {}", count(challenger.critical_findings as usize, "critical finding")),
            own_doing: challenger.critical_findings > champion.critical_findings,
        });
        let limits = [beyond("drawdown", self.most_drawdown), beyond("ece", self.most_ece), critical];
        limits.into_iter().flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment_text::{
        Estimate, Interval,
        testing::{arm, experiment},
    };

    fn rule() -> Rule {
        Rule { metric: "accuracy".into(), evidence: 20.0, margin: 0.01, most_drawdown: 0.15, most_ece: 0.05 }
    }

    /// With an interval of two points to either side.
    fn difference(value: f64, better: f64, worse: f64) -> Difference {
        let interval = Some(Interval { lower: value - 0.02, upper: value + 0.02 });
        let estimate = Estimate { value, samples: 900, interval, from_outcomes: true };
        Difference { name: "accuracy".into(), estimate, better, worse }
    }

    fn check(rule: &Rule, experiment: &Experiment, expected: Verdict, because: &str) {
        let (verdict, reason, evidence) = rule.judge(experiment);
        assert_eq!(format!("{verdict:?}"), format!("{expected:?}"), "{reason}");
        assert!(reason.contains(because), "`{because}` in `{reason}`");
        assert!(evidence.iter().any(|text| text.starts_with("accuracy")), "{evidence:?}");
    }

    fn with(found: Option<Difference>) -> Experiment {
        Experiment { differences: found.into_iter().collect(), ..experiment() }
    }

    #[test]
    fn evidence_decides() {
        let found = |value, better, worse| with(Some(difference(value, better, worse)));
        check(&rule(), &with(None), Verdict::Extend, "no comparison of accuracy");
        check(&rule(), &found(0.05, 19.9, 0.0), Verdict::Extend, "20.0 is needed");
        check(&rule(), &found(0.05, 20.0, 0.0), Verdict::Promote, "better");
        check(&rule(), &found(-0.05, 0.0, 20.0), Verdict::Abort, "worse");
        check(&rule(), &found(0.05, 20.0, 20.0), Verdict::Extend, "open");
        // 2.5 ± 2 points are not certainly more than one; they are certainly more than none.
        check(&rule(), &found(0.025, 30.0, 0.0), Verdict::Extend, "not by more than 1.0 points");
        check(&Rule { margin: 0.0, ..rule() }, &found(0.025, 30.0, 0.0), Verdict::Promote, "better");
        // Without an interval a margin cannot be shown.
        let mut bare = difference(0.05, 30.0, 0.0);
        bare.estimate.interval = None;
        check(&rule(), &with(Some(bare.clone())), Verdict::Extend, "not by more");
        check(&Rule { margin: 0.0, ..rule() }, &with(Some(bare)), Verdict::Promote, "better");
        let mut guess = difference(0.05, 30.0, 0.0);
        guess.estimate.from_outcomes = false;
        check(&rule(), &with(Some(guess)), Verdict::Extend, "no comparison");
        // Another metric's evidence is not this one's.
        let other = Difference { name: "win-rate".into(), ..difference(0.05, 30.0, 0.0) };
        check(&rule(), &with(Some(other)), Verdict::Extend, "no comparison");
    }

    #[test]
    fn guardrails_come_first() {
        let better = || with(Some(difference(0.05, 30.0, 0.0)));
        let ece = |challenger, champion| Experiment {
            challenger: arm("v8", 900, &[("ece", challenger)]),
            champion: arm("v7", 8000, &[("ece", champion)]),
            ..better()
        };
        check(&rule(), &ece(0.05, 0.02), Verdict::Promote, "better");
        // Computed, a twentieth is not always a twentieth.
        check(&rule(), &ece(1.05 - 1.0, 0.02), Verdict::Promote, "better");
        // Of 900 rows, 8.3 % come by chance.
        check(&rule(), &ece(0.08, 0.02), Verdict::Promote, "better");
        check(&rule(), &ece(0.09, 0.02), Verdict::Abort, "its ece is above 5.0 %");
        // The champion is no better there, or not by more than chance: that speaks for neither.
        check(&rule(), &ece(0.09, 0.09), Verdict::Promote, "better");
        check(&rule(), &ece(0.09, 0.06), Verdict::Promote, "better");
        let drawdown = Experiment { challenger: arm("v8", 900, &[("drawdown", 0.2)]), ..better() };
        check(&rule(), &drawdown, Verdict::Abort, "its drawdown is above 15.0 %");
        let critical = |challenger, champion| {
            let mut experiment = better();
            experiment.challenger.critical_findings = challenger;
            experiment.champion.critical_findings = champion;
            experiment
        };
        check(&rule(), &critical(1, 0), Verdict::Abort, "1 critical finding");
        check(&rule(), &critical(1, 1), Verdict::Extend, "not now: it has 1 critical finding");
        check(&rule(), &critical(0, 1), Verdict::Promote, "better");
    }
}
