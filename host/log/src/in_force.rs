//! What a shard that wakes begins with.

use trimtab_types::Act;

use crate::{Entry, Event, Kind, Lasts};

/// Of all control entries so far, in their order, those that are in force: the newest build, configuration, set of
/// policies and kill switch (if it is on), every act and job that stands, and the newest about each version of a policy that
/// is left alone. Gives their numbers, in order.
///
/// Pure: the same entries give the same beginning, in every store.
pub fn in_force<'a>(entries: impl IntoIterator<Item = (u64, &'a Entry)>) -> Vec<u64> {
    let mut newest: Vec<(Kind, u64)> = Vec::new();
    let mut standing: Vec<(String, u64)> = Vec::new();
    for (number, entry) in entries {
        let kind = entry.kind();
        match (kind, entry) {
            (Kind::Configuration | Kind::PolicySet | Kind::Build | Kind::KillSwitch, _) => {
                newest.retain(|(of, _)| *of != kind);
                if kind != Kind::KillSwitch || kills(entry) {
                    newest.push((kind, number));
                }
            }
            (_, Entry::Event(Event { lasts: Lasts::Opens(name), .. })) => {
                standing.retain(|(open, _)| open != name);
                standing.push((name.clone(), number));
            }
            (_, Entry::Event(Event { lasts: Lasts::Closes(name), .. })) => {
                standing.retain(|(open, _)| open != name);
            }
            _ => {
                if let Some((name, stands)) = stands(entry) {
                    standing.retain(|(open, _)| *open != name);
                    standing.extend(stands.then_some((name, number)));
                }
            }
        }
    }
    let mut numbers: Vec<u64> = newest
        .into_iter()
        .map(|(_, number)| number)
        .chain(standing.into_iter().map(|(_, number)| number))
        .collect();
    numbers.sort_unstable();
    numbers
}

/// Whether a kill switch was put on.
fn kills(entry: &Entry) -> bool {
    match entry {
        Entry::Known(known) => match known.entry() {
            trimtab_types::Entry::OperatorAct(act) => {
                matches!(act.act, Act::KillSwitch { on: true, .. })
            }
            _ => false,
        },
        _ => false,
    }
}

/// What an act of everything does that lasts, by name, and whether it stands from here on: a silence, and a version of a
/// policy that is left alone. Until when, the act says itself.
fn stands(entry: &Entry) -> Option<(String, bool)> {
    let Entry::Known(known) = entry else { return None };
    let trimtab_types::Entry::OperatorAct(act) = known.entry() else { return None };
    match &act.act {
        Act::Silence { model: None, kind, until } => {
            Some((format!("silence {}", kind.map_or("", |kind| kind.name())), until.is_some()))
        }
        Act::LeaveAlone { policy, .. } => {
            Some((format!("leave-alone {} {}", policy.name, policy.digest), true))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use trimtab_types::{Digest, OperatorAct, PolicyRef, PolicySetEntry, Timestamp};

    use super::*;
    use crate::{About, Build};

    fn configuration(text: &str) -> Entry {
        trimtab_types::Entry::Configuration(Digest::of(text.as_bytes())).into()
    }

    fn kill(on: bool) -> Entry {
        let act = Act::KillSwitch { model: None, on };
        let act = OperatorAct { actor: "ann".into(), at: Timestamp::EPOCH, act, reason: String::new() };
        trimtab_types::Entry::OperatorAct(act).into()
    }

    fn leave(policy: &str) -> Entry {
        let policy = PolicyRef { name: policy.into(), digest: Digest::of(policy.as_bytes()) };
        let act = Act::LeaveAlone { policy, until: Timestamp::EPOCH };
        let act = OperatorAct { actor: "host".into(), at: Timestamp::EPOCH, act, reason: String::new() };
        trimtab_types::Entry::OperatorAct(act).into()
    }

    fn act(lasts: Lasts) -> Entry {
        Entry::Event(Event {
            kind: Kind::ActOfAll,
            about: About::All,
            at: Timestamp::EPOCH,
            actor: "ann".into(),
            reason: String::new(),
            lasts,
            body: Value::Null,
        })
    }

    fn check(entries: &[Entry], expected: &[u64]) {
        assert_eq!(in_force((1..).zip(entries)), expected, "{entries:?}");
    }

    #[test]
    fn a_shard_wakes_with_what_is_in_force_and_no_more() {
        let opens = |name: &str| act(Lasts::Opens(name.into()));
        let closes = |name: &str| act(Lasts::Closes(name.into()));
        let set = || Entry::from(trimtab_types::Entry::PolicySet(PolicySetEntry::default()));
        let build = || Entry::Build(Build { version: "1".into(), rules: 1, at: Timestamp::EPOCH });
        check(&[], &[]);
        check(&[build(), configuration("a"), set(), configuration("b"), set()], &[1, 4, 5]);
        check(&[kill(true)], &[1]);
        check(&[kill(true), kill(false)], &[]);
        check(&[kill(true), kill(false), kill(true)], &[3]);
        check(&[opens("s1"), opens("s2"), closes("s1"), act(Lasts::Once)], &[2]);
        check(&[opens("s1"), closes("s1"), opens("s1")], &[3]);
        check(&[opens("s1"), configuration("a"), opens("s1")], &[2, 3]);
        let silence = |kind, until| {
            let act = Act::Silence { model: None, kind, until };
            let act = OperatorAct { actor: "ann".into(), at: Timestamp::EPOCH, act, reason: String::new() };
            Entry::from(trimtab_types::Entry::OperatorAct(act))
        };
        let (data, until) = (Some(trimtab_types::AlertKind::Data), Some(Timestamp::MAX));
        check(&[silence(None, until), silence(data, until), silence(None, None)], &[2]);
        check(&[leave("a"), leave("b"), leave("a")], &[2, 3]);
    }
}
