//! What of a sink is to be sent now: of each model the oldest that waits, so that an end never overtakes its beginning; after a
//! failure only when its pause is over. Pure.

use std::collections::BTreeSet;

use trimtab_log::StoredEffect;
use trimtab_types::{DigestBuilder, Timestamp};

/// The first pause, and the longest, in milliseconds.
const FIRST: u64 = 1_000;
const LONGEST: u64 = 900_000;

/// What is to be done about what waits.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Due<'a> {
    /// It is no news any more.
    pub(crate) expired: Vec<&'a StoredEffect>,
    /// It is to be sent, in this order.
    pub(crate) send: Vec<&'a StoredEffect>,
}

/// Of what waits for a sink, oldest first.
pub(crate) fn due(waiting: &[StoredEffect], now: Timestamp) -> Due<'_> {
    let (mut due, mut seen) = (Due::default(), BTreeSet::new());
    for stored in waiting {
        if stored.effect.expires.is_some_and(|expires| now >= expires) {
            due.expired.push(stored);
            continue;
        }
        let is_first = seen.insert(model(stored));
        if is_first && is_due(stored, now) {
            due.send.push(stored);
        }
    }
    due
}

fn model(stored: &StoredEffect) -> String {
    stored.effect.about.model_key().map(|model| model.to_string()).unwrap_or_default()
}

fn is_due(stored: &StoredEffect, now: Timestamp) -> bool {
    let pause = pause(&stored.effect.key, stored.attempts);
    stored.tried.is_none_or(|tried| now.as_millis().abs_diff(tried.as_millis()) >= pause)
}

/// The pause after so many tries, in milliseconds: twice as long each time, a fifth more or less, so that many do not come at
/// once.
fn pause(key: &str, attempts: u32) -> u64 {
    let Some(doublings) = attempts.checked_sub(1) else { return 0 };
    let base = FIRST.saturating_mul(1_u64.checked_shl(doublings.min(20)).unwrap_or(u64::MAX)).min(LONGEST);
    let number =
        DigestBuilder::new("pause").part(key.as_bytes()).number(u64::from(attempts)).finish().prefix();
    base * 4 / 5 + number % (base * 2 / 5 + 1)
}

#[cfg(test)]
mod tests {
    use trimtab_log::{About, Effect, EffectState};
    use trimtab_types::{ModelKey, Position, Shard};

    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH.plus(seconds)
    }

    fn waiting(seq: u64, model: &str, attempts: u32, tried: Option<u64>, expires: u64) -> StoredEffect {
        let key = ModelKey { tenant: "t".into(), model: model.into() };
        StoredEffect {
            seq,
            shard: Shard::of("t", model),
            ordinal: 0,
            state: EffectState::Waiting,
            attempts,
            tried: tried.map(at),
            said: None,
            effect: Effect {
                position: Position(seq),
                key: format!("k{seq}"),
                kind: "alert".into(),
                about: About::Model(key),
                sink: "ops".into(),
                body: "{}".into(),
                due: at(0),
                expires: Some(at(expires)),
            },
        }
    }

    #[test]
    fn of_each_model_the_oldest_is_sent_and_a_failure_holds_only_its_model_up() {
        let all = [
            waiting(1, "a", 0, None, 10),
            waiting(2, "a", 3, Some(99), 1_000),
            waiting(3, "a", 0, None, 1_000),
            waiting(4, "b", 0, None, 1_000),
            waiting(5, "b", 0, None, 1_000),
        ];
        let seqs = |of: &[&StoredEffect]| of.iter().map(|stored| stored.seq).collect::<Vec<_>>();
        let soon = due(&all, at(100));
        assert_eq!((seqs(&soon.expired), seqs(&soon.send)), (vec![1], vec![4]), "a waits for its pause");
        let later = due(&all, at(110));
        assert_eq!(seqs(&later.send), [2, 4]);
        assert_eq!(seqs(&due(&all, at(2_000)).expired), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn pauses_double_up_to_a_quarter_of_an_hour() {
        assert_eq!(pause("k", 0), 0);
        for attempts in 1..200 {
            let base = (1_000_u64 << u64::from(attempts - 1).min(10)).min(LONGEST);
            let pause = pause("k", attempts);
            assert!((base * 4 / 5..=base * 6 / 5).contains(&pause), "{attempts}: {pause}");
        }
        assert_ne!(pause("k", 5), pause("j", 5), "they do not all come at once");
    }
}
