//! Who hears what how often. How it is decided is `decide::alerts`.

use serde::{Deserialize, Serialize};
use trimtab_types::{Seconds, Severity};

use super::{
    check::{Need, is_default},
    span::Duration,
};

const DAY: u32 = 86_400;
/// Most reminders that can be written one by one.
const MOST: usize = 32;

/// Who hears what how often.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct AlertRules {
    /// Channels that every alert goes to.
    pub channels: Vec<String>,
    /// Milder ones are not sent.
    pub minimum: Severity,
    /// Within this time of the last news a group says no more than that it became worse.
    pub interval: Duration,
    /// What makes a group, besides model and kind.
    #[serde(skip_serializing_if = "is_default")]
    pub group_by: Vec<GroupBy>,
    /// How long after it began, or became worse, it is said again that something is still there; after that as `remind-every` says.
    #[serde(skip_serializing_if = "Reminders::is_usual")]
    pub remind: Reminders,
    /// Further reminders come this far apart.
    #[serde(skip_serializing_if = "is_a_month")]
    pub remind_every: Duration,
    /// For this long what is high or critical is said again each `interval`.
    #[serde(skip_serializing_if = "is_ten_days")]
    pub remind_grave: Duration,
}

/// What alerts may be told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GroupBy {
    /// Each version by itself.
    Version,
    /// Each segment by itself.
    Segment,
}

/// Times after the beginning, rising.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reminders(pub Vec<Duration>);

impl Default for Reminders {
    fn default() -> Self {
        Self([1, 3, 7].map(|days| Duration(days * DAY)).to_vec())
    }
}

impl Reminders {
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

fn is_a_month(every: &Duration) -> bool {
    every.0 == 30 * DAY
}

fn is_ten_days(daily: &Duration) -> bool {
    daily.0 == 10 * DAY
}

impl Default for AlertRules {
    fn default() -> Self {
        Self {
            channels: vec!["chat".to_owned()],
            minimum: Severity::Medium,
            interval: Duration(DAY),
            group_by: Vec::new(),
            remind: Reminders::default(),
            remind_every: Duration(30 * DAY),
            remind_grave: Duration(10 * DAY),
        }
    }
}

impl AlertRules {
    pub(super) fn check(&self, need: &mut Need<'_>) {
        need(self.interval.0 > 0, "interval", "must be at least one second");
        need(self.remind_every.0 > 0, "remind-every", "must be at least one second");
        let times = &self.remind.0;
        let rise = times.iter().all(|time| time.0 > 0) && times.windows(2).all(|pair| pair[0] < pair[1]);
        need(rise && times.len() <= MOST, "remind", "must be at most 32 lengths of time that rise");
    }

    /// The first reminder that is due later than `said` seconds after it began or became worse, in seconds after that. A
    /// policy that wants them `own` seconds apart has them so, within `interval` and `remind_every`.
    pub(crate) fn reminder_after(&self, said: u64, severity: Severity, own: Option<Seconds>) -> u64 {
        let interval = u64::from(self.interval.0);
        if let Some(own) = own {
            let every = u64::from(own).min(u64::from(self.remind_every.0)).max(interval);
            return (said / every + 1) * every;
        }
        let daily = (said / interval + 1) * interval;
        let is_daily = severity >= Severity::High && daily <= u64::from(self.remind_grave.0);
        let mut written = self.remind.0.iter().map(|time| u64::from(time.0));
        let usual = written.find(|time| *time > said).unwrap_or_else(|| {
            let last = self.remind.0.last().map_or(0, |time| u64::from(time.0));
            let every = u64::from(self.remind_every.0);
            last + ((said - last) / every + 1) * every
        });
        if is_daily { usual.min(daily) } else { usual }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The days on which something is said again, if nobody ever answers.
    fn days(severity: Severity, own: Option<Seconds>) -> Vec<u64> {
        let rules = AlertRules::default();
        let mut said = 0;
        std::iter::repeat_with(|| {
            said = rules.reminder_after(said, severity, own);
            said / u64::from(DAY)
        })
        .take_while(|day| *day <= 100)
        .collect()
    }

    #[test]
    fn reminders_thin_out() {
        assert_eq!(days(Severity::Medium, None), [1, 3, 7, 37, 67, 97]);
        assert_eq!(days(Severity::High, None), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 37, 67, 97]);
    }

    #[test]
    fn a_policy_has_reminders_as_it_wants_within_what_the_operator_allows() {
        for severity in [Severity::Medium, Severity::Critical] {
            assert_eq!(days(severity, Some(14 * DAY)), [14, 28, 42, 56, 70, 84, 98]);
            // Not more often than `interval`, and not more seldom than `remind-every`.
            assert_eq!(days(severity, Some(3_600)), (1..=100).collect::<Vec<_>>());
            assert_eq!(days(severity, Some(365 * DAY)), [30, 60, 90]);
        }
    }
}
