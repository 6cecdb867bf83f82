//! The rule: three steps of realised daily volatility, three intervals. Pure.

use wording::{duration, percent};

use crate::bindings::exports::trimtab::policy::retrain_schedule::{Conditions, Schedule};

/// The operator's settings. Volatilities are fractions a day, intervals seconds.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub high: f64,
    pub medium: f64,
    pub every_high: u32,
    pub every_medium: u32,
    pub every_low: u32,
    /// Whether a retrain that is overdue under the new interval begins at once.
    pub catch_up: bool,
}

impl Rule {
    /// What does not fit together.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.medium >= self.high {
            problems.push(format!(
                "`medium` is {} and `high` {}; set `medium` below `high`",
                self.medium, self.high
            ));
        }
        if self.every_high > self.every_medium || self.every_medium > self.every_low {
            problems.push(
                "`every-high` must not be longer than `every-medium`, nor that longer than `every-low`: the more the \
                 price moves, the more often"
                    .to_owned(),
            );
        }
        problems
    }
}

/// How often the model is retrained from here on.
pub fn plan(rule: &Rule, conditions: &Conditions) -> Schedule {
    let (every, because) = match conditions.daily_volatility {
        None => (rule.every_low, "The volatility is not known".to_owned()),
        Some(volatility) => {
            let (every, than) = if volatility > rule.high {
                (rule.every_high, format!("above {}", percent(rule.high)))
            } else if volatility > rule.medium {
                (rule.every_medium, format!("above {}", percent(rule.medium)))
            } else {
                (rule.every_low, format!("not above {}", percent(rule.medium)))
            };
            (every, format!("The price moves {} a day, {than}", percent(volatility)))
        }
    };
    let overdue = conditions.since_retrain.filter(|since| rule.catch_up && *since > every);
    let now = overdue.map_or(String::new(), |since| {
        format!(" The last retrain began {} ago, so one begins now.", duration(since))
    });
    Schedule {
        every,
        immediately: overdue.is_some(),
        reason: format!("{because}: retrain every {}.{now}", duration(every)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u32 = 3_600;
    const RULE: Rule = Rule {
        high: 0.05,
        medium: 0.02,
        every_high: 6 * HOUR,
        every_medium: 24 * HOUR,
        every_low: 168 * HOUR,
        catch_up: true,
    };

    fn check(volatility: Option<f64>, since_retrain: Option<u32>, hours: u32, immediately: bool) {
        let conditions = Conditions {
            tenant: "default".into(),
            model: "btc".into(),
            daily_volatility: volatility,
            since_retrain,
            drifts_last_week: 0,
        };
        let schedule = plan(&RULE, &conditions);
        assert_eq!(
            (schedule.every, schedule.immediately),
            (hours * HOUR, immediately),
            "{}",
            schedule.reason
        );
    }

    #[test]
    fn the_more_it_moves_the_more_often() {
        check(Some(0.06), None, 6, false);
        check(Some(0.05), None, 24, false);
        check(Some(0.020_1), None, 24, false);
        check(Some(0.02), None, 168, false);
        check(Some(0.0), None, 168, false);
        check(Some(f64::MAX), None, 6, false);
        check(None, None, 168, false);
    }

    #[test]
    fn what_is_overdue_begins_now() {
        check(Some(0.06), Some(6 * HOUR), 6, false);
        check(Some(0.06), Some(6 * HOUR + 1), 6, true);
        check(Some(0.01), Some(48 * HOUR), 168, false);
        check(None, Some(u32::MAX), 168, true);
    }

    #[test]
    fn settings_have_to_fit_together() {
        assert!(RULE.problems().is_empty());
        assert_eq!(Rule { medium: 0.05, ..RULE }.problems().len(), 1);
        assert_eq!(Rule { medium: 0.05, every_high: 48 * HOUR, ..RULE }.problems().len(), 2);
    }
}
