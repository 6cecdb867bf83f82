//! The rule, as a pure function of an experiment and settings: with enough trades or after enough time, promoted is what is
//! better by a share of the champion's. Nothing is ended by it.

use experiment_text::{Experiment, ROUNDING, Ruling, Verdict, compared, measured};
use wording::{count, duration, percent};

/// The operator's settings.
#[derive(Debug, Clone)]
pub struct Rule {
    /// What the arms are compared by; more is better.
    pub metric: String,
    /// Better by more than this share of the champion's.
    pub better_by: f64,
    /// So many in each arm are enough ...
    pub least_trades: u32,
    /// ... and so are so many seconds.
    pub least_duration: u32,
}

impl Rule {
    /// What should become of a healthy experiment.
    pub fn judge(&self, experiment: &Experiment) -> Ruling {
        let (verdict, because) = match self.gain(experiment) {
            Err(why) => (Verdict::Extend, why),
            Ok(gain) if gain > self.better_by + ROUNDING => {
                (Verdict::Promote, format!("The challenger is better by {}.", percent(gain)))
            }
            Ok(gain) => (
                Verdict::Extend,
                format!(
                    "The challenger is {} by {}; more than {} better are needed.",
                    if gain >= 0.0 { "better" } else { "worse" },
                    percent(gain.abs()),
                    percent(self.better_by)
                ),
            ),
        };
        (verdict, because, vec![compared(experiment, &self.metric)])
    }

    /// As a share of the champion's, or why it is too early to say.
    fn gain(&self, experiment: &Experiment) -> Result<f64, String> {
        let known = |arm| {
            measured(arm, &self.metric).ok_or_else(|| format!("{} is not known of both arms.", self.metric))
        };
        let (mine, theirs) = (known(&experiment.challenger)?, known(&experiment.champion)?);
        let trades = mine.samples.min(theirs.samples);
        if trades < self.least_trades && experiment.running < self.least_duration {
            let (n, time) = (count(trades as usize, "trade"), duration(experiment.running));
            return Err(format!(
                "Too early with {n} and {time}: {} in each arm are needed, or {}.",
                count(self.least_trades as usize, "trade"),
                duration(self.least_duration)
            ));
        }
        if theirs.value <= 0.0 {
            return Err("Nothing is a share of what the champion has, which is not above zero.".to_owned());
        }
        Ok((mine.value - theirs.value) / theirs.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use experiment_text::testing::{arm, experiment};

    const WEEK: u32 = 7 * 86_400;

    /// Sharpe ratios of challenger and champion over so many trades each, after so many seconds.
    fn check(ratios: [f64; 2], trades: [u32; 2], running: u32, expected: Verdict, because: &str) {
        let rule = Rule { metric: "sharpe".into(), better_by: 0.15, least_trades: 100, least_duration: WEEK };
        let experiment = Experiment {
            challenger: arm("v8", trades[0], &[("sharpe", ratios[0])]),
            champion: arm("v7", trades[1], &[("sharpe", ratios[1])]),
            running,
            ..experiment()
        };
        let (verdict, reason, evidence) = rule.judge(&experiment);
        assert_eq!(format!("{verdict:?}"), format!("{expected:?}"), "{reason}");
        assert!(reason.contains(because), "`{because}` in `{reason}`");
        assert!(evidence[0].starts_with("sharpe"), "{evidence:?}");
    }

    #[test]
    fn enough_trades_or_enough_time() {
        let ratios = [1.2, 1.0];
        check(ratios, [100, 400], 3_600, Verdict::Promote, "better by 20.0 %");
        check(ratios, [99, 400], WEEK - 1, Verdict::Extend, "Too early with 99 trades and 6 d 23 h");
        check(ratios, [400, 99], WEEK - 1, Verdict::Extend, "Too early");
        check(ratios, [99, 400], WEEK, Verdict::Promote, "better by 20.0 %");
    }

    #[test]
    fn better_by_more_than_a_share() {
        let check = |ratios, expected, because| check(ratios, [200, 800], WEEK, expected, because);
        check([1.15, 1.0], Verdict::Extend, "better by 15.0 %; more than 15.0 %");
        check([1.151, 1.0], Verdict::Promote, "better");
        check([0.5, 1.0], Verdict::Extend, "worse by 50.0 %");
        // A share of nothing, or of a loss, means nothing.
        check([1.0, 0.0], Verdict::Extend, "not above zero");
        check([1.0, -1.0], Verdict::Extend, "not above zero");
    }

    #[test]
    fn what_is_not_known_is_not_better() {
        let rule = Rule { metric: "sharpe".into(), better_by: 0.15, least_trades: 100, least_duration: WEEK };
        let (verdict, reason, _) = rule.judge(&experiment());
        assert!(matches!(verdict, Verdict::Extend) && reason.contains("not known of both"), "{reason}");
    }
}
