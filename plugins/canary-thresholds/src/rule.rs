//! The rule, as a pure function of an experiment and settings: promoted is what keeps all limits, ended what trades much
//! worse, and everything else goes on. Limits are no tests: over seven days the difference of two annualised Sharpe ratios
//! has a standard deviation near 10, so that a lead of 0.2 comes about as often as a coin shows heads.

use experiment_text::{Experiment, ROUNDING, Ruling, Verdict, compared, measured};
use wording::{count, decimal, duration, percent};

/// The operator's settings.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// Sharpe ratio: at least so much more than the champion's.
    pub sharpe_lead: f64,
    /// Sharpe ratio: ended if it is less than the champion's by more.
    pub sharpe_lag: f64,
    /// Drawdown: at most this share of the champion's.
    pub drawdown_share: f64,
    /// Calibration error: at most this.
    pub most_ece: f64,
    /// In seconds.
    pub least_duration: u32,
}

impl Rule {
    /// What should become of a healthy experiment.
    pub fn judge(&self, experiment: &Experiment) -> Ruling {
        let Experiment { champion, challenger, .. } = experiment;
        let evidence = || {
            let mut evidence =
                Vec::from(["sharpe", "drawdown", "ece"].map(|name| compared(experiment, name)));
            evidence.push(count(challenger.critical_findings as usize, "critical finding"));
            evidence
        };
        let both = |name| Some((measured(challenger, name)?.value, measured(champion, name)?.value));
        let sharpe = both("sharpe");
        if sharpe.is_some_and(|(mine, theirs)| mine < theirs - self.sharpe_lag - ROUNDING) {
            let because = format!("The Sharpe ratio is more than {} lower.", decimal(self.sharpe_lag, 3));
            return (Verdict::Abort, because, evidence());
        }
        let limits = [
            (
                sharpe.is_some_and(|(mine, theirs)| mine >= theirs + self.sharpe_lead - ROUNDING),
                format!("a Sharpe ratio higher by {}", decimal(self.sharpe_lead, 3)),
            ),
            (
                both("drawdown")
                    .is_some_and(|(mine, theirs)| mine <= theirs * self.drawdown_share + ROUNDING),
                format!("a drawdown of at most {} of the champion's", percent(self.drawdown_share)),
            ),
            (
                measured(challenger, "ece").is_some_and(|ece| ece.value <= self.most_ece + ROUNDING),
                format!("an ECE of at most {}", percent(self.most_ece)),
            ),
            (challenger.critical_findings == 0, "no critical finding".to_owned()),
            (experiment.running >= self.least_duration, duration(self.least_duration)),
        ];
        let missing: Vec<_> = limits.into_iter().filter(|(kept, _)| !kept).map(|(_, limit)| limit).collect();
        match missing.as_slice() {
            [] => (Verdict::Promote, "All limits are kept.".to_owned(), evidence()),
            missing => (Verdict::Extend, format!("It still takes {}.", missing.join(", ")), evidence()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment_text::testing::{arm, experiment};

    const DAY: u32 = 86_400;
    const RULE: Rule = Rule {
        sharpe_lead: 0.2,
        sharpe_lag: 0.3,
        drawdown_share: 0.9,
        most_ece: 0.05,
        least_duration: 7 * DAY,
    };

    /// The challenger's Sharpe ratio, drawdown and ECE; the champion has 1.0, 10 % and 4 %.
    fn against(sharpe: f64, drawdown: f64, ece: f64) -> Experiment {
        Experiment {
            champion: arm("v7", 8000, &[("sharpe", 1.0), ("drawdown", 0.1), ("ece", 0.04)]),
            challenger: arm("v8", 900, &[("sharpe", sharpe), ("drawdown", drawdown), ("ece", ece)]),
            running: 7 * DAY,
            ..experiment()
        }
    }

    fn check(experiment: &Experiment, expected: Verdict, because: &str) {
        let (verdict, reason, evidence) = RULE.judge(experiment);
        assert_eq!(format!("{verdict:?}"), format!("{expected:?}"), "{reason}");
        assert!(reason.contains(because), "`{because}` in `{reason}`");
        assert_eq!(evidence.len(), 4);
    }

    /// Each limit, from both sides.
    #[test]
    fn all_limits_have_to_be_kept() {
        check(&against(1.2, 0.09, 0.05), Verdict::Promote, "All limits");
        check(&against(1.19, 0.09, 0.05), Verdict::Extend, "takes a Sharpe ratio higher by 0.200.");
        check(
            &against(1.2, 0.091, 0.05),
            Verdict::Extend,
            "takes a drawdown of at most 90.0 % of the champion's.",
        );
        check(&against(1.2, 0.09, 0.051), Verdict::Extend, "takes an ECE of at most 5.0 %.");
        let early = Experiment { running: 7 * DAY - 1, ..against(1.2, 0.09, 0.05) };
        check(&early, Verdict::Extend, "takes 7 d.");
        let mut critical = against(1.2, 0.09, 0.05);
        critical.challenger.critical_findings = 1;
        check(&critical, Verdict::Extend, "takes no critical finding.");
        // What is not known is not kept.
        check(
            &experiment(),
            Verdict::Extend,
            "a Sharpe ratio higher by 0.200, a drawdown of at most 90.0 % of the champion's, an ECE",
        );
    }

    #[test]
    fn what_trades_much_worse_ends() {
        check(&against(0.7, 0.05, 0.01), Verdict::Extend, "Sharpe ratio");
        check(&against(0.69, 0.05, 0.01), Verdict::Abort, "more than 0.300 lower");
        let early = Experiment { running: 0, ..against(0.69, 0.05, 0.01) };
        check(&early, Verdict::Abort, "lower");
    }
}
