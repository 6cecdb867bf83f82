//! What was in force of a policy, and the way back: the set with an earlier version of it. Pure, over the sets that the
//! log holds.

use trimtab_api::PolicyVersion;
use trimtab_log::{Entry, LogError, Reader};
use trimtab_types::{PolicyInForce, PolicySetEntry};

use crate::HostError;

/// Control entries that are read at once.
const STEP: usize = 1_024;

/// All sets that were in force, oldest first, with the numbers of their control entries.
pub(crate) fn sets(reader: &dyn Reader) -> Result<Vec<(u64, PolicySetEntry)>, LogError> {
    let mut sets = Vec::new();
    let mut after = 0;
    loop {
        let entries = reader.control(after, STEP)?;
        let Some((last, _)) = entries.last() else { return Ok(sets) };
        after = *last;
        for (number, entry) in &entries {
            if let Entry::Known(known) = entry
                && let trimtab_types::Entry::PolicySet(set) = known.entry()
            {
                sets.push((*number, set.clone()));
            }
        }
    }
}

/// What was in force of a policy, oldest first: an entry wherever that changed.
pub(crate) fn history(sets: &[(u64, PolicySetEntry)], name: &str) -> Vec<PolicyVersion> {
    let mut history: Vec<PolicyVersion> = Vec::new();
    for (number, set) in sets {
        let (policy, held) = (set.policy(name).cloned(), set.held.contains_key(name));
        let same = match history.last() {
            Some(last) => last.policy == policy && last.held == held,
            None => policy.is_none(),
        };
        if !same {
            history.push(PolicyVersion { number: *number, policy, held, change: set.change.clone() });
        }
    }
    history
}

/// The versions that somebody can go back to, oldest first; the last is the one in force. What was gone back from is no
/// longer among them, so that going back again goes further back, and never forward.
fn way_back(history: &[PolicyVersion]) -> Vec<&PolicyInForce> {
    let mut way: Vec<&PolicyInForce> = Vec::new();
    for PolicyVersion { policy, held, .. } in history {
        let Some(entry) = policy else { continue };
        let same = |earlier: &&PolicyInForce| earlier.policy.digest == entry.policy.digest;
        if let Some(place) = way.iter().rposition(same).filter(|place| *held || place + 1 == way.len()) {
            way.truncate(place);
        }
        way.push(entry);
    }
    way
}

/// The set with an earlier version of a policy: the one before, or the one whose digest begins with `to`.
pub(crate) fn rolled_back(
    sets: &[(u64, PolicySetEntry)],
    current: &PolicySetEntry,
    name: &str,
    to: Option<&str>,
) -> Result<PolicySetEntry, HostError> {
    let history = history(sets, name);
    if history.is_empty() {
        return Err(HostError::NoSuchPolicy { name: name.to_owned() });
    }
    let serving = current.policy(name);
    let earlier = match to {
        Some(to) => {
            let mut versions = history.iter().rev().filter_map(|version| version.policy.as_ref());
            versions.find(|entry| entry.policy.digest.to_string().starts_with(to))
        }
        None => {
            let is_serving =
                |entry: &&&PolicyInForce| serving.is_some_and(|serving| serving.policy == entry.policy);
            way_back(&history).iter().rev().find(|entry| !is_serving(entry)).copied()
        }
    };
    let earlier = earlier.ok_or_else(|| HostError::NoSuchVersion {
        name: name.to_owned(),
        wanted: to.map_or_else(|| "before the one in force".to_owned(), |to| format!("`{to}…`")),
    })?;
    let entry = PolicyInForce { rollout: None, ..earlier.clone() };
    if serving.is_some_and(|serving| serving.policy == entry.policy && serving.rollout.is_none()) {
        return Err(HostError::InForceAlready {
            name: name.to_owned(),
            version: entry.policy.digest.short(),
        });
    }
    let mut set = PolicySetEntry { ask: None, ..current.clone() };
    if let Some(serving) = serving {
        // The newest is what lies in the directory, unless an earlier one had been gone back to already.
        set.held.entry(name.to_owned()).or_insert(serving.policy.digest);
    }
    if set.held.get(name) == Some(&entry.policy.digest) {
        set.held.remove(name);
    }
    set.policies.retain(|entry| entry.policy.name != name);
    set.policies.push(entry);
    set.policies.sort_by(|a, b| (a.order, &a.policy.name).cmp(&(b.order, &b.policy.name)));
    Ok(set)
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::{Digest, Mode, PolicyRef};

    fn digest(of: &str) -> Digest {
        Digest::of(of.as_bytes())
    }

    fn in_force(version: &str) -> PolicyInForce {
        PolicyInForce {
            policy: PolicyRef { name: "ladder".into(), digest: digest(version) },
            mode: Mode::Enforce,
            order: 0,
            kinds: vec!["drift-action".into()],
            rollout: None,
            signed: None,
        }
    }

    fn set(version: &str, held: Option<&str>) -> PolicySetEntry {
        PolicySetEntry {
            policies: vec![in_force(version)],
            held: held.map(|held| ("ladder".to_owned(), digest(held))).into_iter().collect(),
            change: None,
            ask: None,
        }
    }

    /// In force and held after going back, given the versions that were in force, newest last.
    fn check(were: &[(&str, Option<&str>)], to: Option<&str>, expected: Result<(&str, Option<&str>), &str>) {
        let sets: Vec<_> =
            were.iter().zip(1..).map(|((version, held), at)| (at, set(version, *held))).collect();
        let current = sets.last().map(|(_, set)| set.clone()).unwrap_or_default();
        let to = to.map(|version| digest(version).to_string());
        let result = rolled_back(&sets, &current, "ladder", to.as_deref());
        match (result, expected) {
            (Ok(result), Ok((version, held))) => {
                assert!(result.same(&set(version, held)), "{result:?}");
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (result, expected) => panic!("{result:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn going_back_holds_what_lies_in_the_directory() {
        check(&[("1", None), ("2", None)], None, Ok(("1", Some("2"))));
        check(&[("1", None), ("2", None), ("3", None)], None, Ok(("2", Some("3"))));
        check(&[("1", None), ("2", None), ("3", None)], Some("1"), Ok(("1", Some("3"))));
        check(&[("1", None)], None, Err("no version before the one in force"));
        check(&[("1", None)], Some("7"), Err("no version `"));
        check(&[("1", None)], Some("1"), Err("is in force already"));
        check(&[], None, Err("never was"));
    }

    #[test]
    fn going_back_again_goes_further_back_and_forward_only_by_name() {
        // The directory still holds 3.
        let twice = [("1", None), ("2", None), ("3", None), ("2", Some("3"))];
        check(&twice, None, Ok(("1", Some("3"))));
        check(&twice, Some("3"), Ok(("3", None)));
        let thrice = [&twice[..], &[("1", Some("3"))]].concat();
        check(&thrice, None, Err("no version before the one in force"));
        check(&thrice, Some("2"), Ok(("2", Some("3"))));
        check(&[("1", None), ("2", None), ("1", Some("2"))], None, Err("no version before the one in force"));
        // A version that comes again by its files is the newest of all.
        check(&[("1", None), ("2", None), ("1", None)], None, Ok(("2", Some("1"))));
        // What is gone back to is what lies in the directory: nothing is held.
        check(&[("1", None), ("2", None), ("1", None), ("2", Some("1"))], None, Ok(("1", None)));
    }

    #[test]
    fn history_is_what_changed_of_one_policy() {
        let other = PolicySetEntry { policies: Vec::new(), ..PolicySetEntry::default() };
        let sets = [
            (1, other.clone()),
            (2, set("1", None)),
            (3, set("1", None)),
            (4, set("2", None)),
            (5, set("1", Some("2"))),
            (6, other),
        ];
        let history = history(&sets, "ladder");
        let shown: Vec<_> = history
            .iter()
            .map(|version| {
                let digest = version.policy.as_ref().map(|entry| entry.policy.digest);
                (version.number, digest, version.held)
            })
            .collect();
        let (one, two) = (Some(digest("1")), Some(digest("2")));
        assert_eq!(shown, [(2, one, false), (4, two, false), (5, one, true), (6, None, false)]);
    }
}
