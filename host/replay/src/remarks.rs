//! What to know of policies that are tried out, besides how decisions differ: which are left out, in which mode one
//! decides that would not, and why one was never asked. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use trimtab_types::{DecisionRecord, Finding, Mode, PolicyInForce, Question};

/// How policies that are tried out took part in what was decided.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Parts(BTreeMap<String, Part>);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Part {
    asked: u64,
    /// Who was asked about findings that it applies to.
    taken_by: BTreeSet<String>,
}

impl Parts {
    /// Of these policies, before anything was decided.
    pub(crate) fn of<'a>(names: impl Iterator<Item = &'a String>) -> Self {
        Self(names.map(|name| (name.clone(), Part::default())).collect())
    }

    /// Counts a decision. `applies` says whether a policy would be asked about a finding.
    pub(crate) fn count(&mut self, decision: &DecisionRecord, applies: impl Fn(&str, &Finding) -> bool) {
        let by = decision.decided_by();
        for (name, part) in &mut self.0 {
            if by == name {
                part.asked += 1;
            } else if let Question::DriftAction { findings } = &decision.question
                && decision.mode == Mode::Enforce
                && findings.iter().any(|finding| applies(name, finding))
            {
                part.taken_by.insert(by.to_owned());
            }
        }
    }

    /// Questions that were put to those that are tried out.
    pub(crate) fn asked(&self) -> u64 {
        self.0.values().map(|part| part.asked).sum()
    }

    /// Adds what took part in another part of the log.
    pub(crate) fn merge(&mut self, other: Self) {
        for (name, part) in other.0 {
            let sum = self.0.entry(name).or_default();
            sum.asked += part.asked;
            sum.taken_by.extend(part.taken_by);
        }
    }
}

/// The remarks, in sentences. `left_aside` is the mode that a policy which is tried out alone does not have here.
pub(crate) fn remarks(
    parts: &Parts,
    recorded: &[PolicyInForce],
    tried: &[PolicyInForce],
    left_aside: Option<Mode>,
) -> Vec<String> {
    // In a directory, only those that are not in force as they stand: that the others are not asked is no news.
    let alone = parts.0.len() == 1;
    let stood = |entry: &PolicyInForce| {
        let same = |before: &PolicyInForce| {
            (&before.policy, before.mode, before.order) == (&entry.policy, entry.mode, entry.order)
        };
        recorded.iter().any(same)
    };
    let candidates: Vec<_> = tried
        .iter()
        .filter(|entry| alone || !stood(entry))
        .filter_map(|entry| Some((entry, parts.0.get(&entry.policy.name)?)))
        .collect();
    let mut remarks: Vec<_> = left_out(recorded, tried).into_iter().collect();
    if let (Some(mode), [(entry, _)]) = (left_aside, candidates.as_slice()) {
        remarks.push(format!(
            "the answers of `{}` count here, although its mode is `{}`: a policy that is tried out alone decides",
            entry.policy.name,
            mode.name()
        ));
    }
    remarks.extend(candidates.iter().filter_map(|(entry, part)| never_asked(entry, part, tried)));
    remarks
}

fn left_out(recorded: &[PolicyInForce], tried: &[PolicyInForce]) -> Option<String> {
    let stays = |entry: &&PolicyInForce| tried.iter().any(|now| now.policy.name == entry.policy.name);
    let gone: Vec<_> = recorded
        .iter()
        .filter(|entry| !stays(entry))
        .map(|entry| match entry.mode {
            Mode::Enforce => format!("`{}`", entry.policy.name),
            mode => format!("`{}` ({})", entry.policy.name, mode.name()),
        })
        .collect();
    (!gone.is_empty()).then(|| format!("in force, and not in the candidate: {}", gone.join(", ")))
}

fn never_asked(entry: &PolicyInForce, part: &Part, tried: &[PolicyInForce]) -> Option<String> {
    let answers = |kind: &str| entry.kinds.iter().any(|answered| answered == kind);
    let name = &entry.policy.name;
    if part.asked > 0 || entry.mode == Mode::Off {
        return None;
    }
    if answers("drift-action") {
        let takers: Vec<_> =
            tried.iter().filter(|other| part.taken_by.contains(&other.policy.name)).collect();
        let Some(first) = takers.iter().map(|taker| taker.order).min() else {
            return Some(format!(
                "`{name}` is never asked: it applies to none of the findings ([applies-to] in its policy.toml)"
            ));
        };
        let takers: Vec<_> =
            takers.iter().map(|taker| format!("`{}` (order {})", taker.policy.name, taker.order)).collect();
        return Some(format!(
            "`{name}` (order {}) is never asked: the findings that it applies to go to {} before it; to put it first, set `order = {}` in its policy.toml or under [policies.{name}]",
            entry.order,
            takers.join(" and "),
            first.saturating_sub(1)
        ));
    }
    let why = [
        (
            "alert-format",
            "no alert goes out on a channel of its, or another policy puts it into words before",
        ),
        ("canary-promotion", "no experiment of a model that it applies to had new evidence"),
        ("cleanup", "nobody planned a cleanup of a model that it applies to"),
        ("retrain-schedule", "no model that it applies to has registered versions, or no day has passed"),
    ];
    let (_, why) = why.into_iter().find(|(kind, _)| answers(kind))?;
    Some(format!("`{name}` is never asked: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::testing::{decided, finding};
    use trimtab_types::{Digest, Phase, PolicyRef, Severity};

    fn entry(name: &str, mode: Mode, order: i32, kinds: &[&str]) -> PolicyInForce {
        PolicyInForce {
            policy: PolicyRef { name: name.into(), digest: Digest::of(name.as_bytes()) },
            mode,
            order,
            kinds: kinds.iter().map(|&kind| kind.to_owned()).collect(),
            rollout: None,
            signed: None,
        }
    }

    /// The remarks on these candidates, where `by` decided about a finding that candidates whose names do not begin with
    /// `other` apply to.
    #[track_caller]
    fn check(candidates: &[PolicyInForce], by: &str, left_aside: Option<Mode>, expected: &[&[&str]]) {
        let ladder = entry("ladder", Mode::Enforce, 100, &["drift-action"]);
        let names: Vec<_> = candidates.iter().map(|entry| entry.policy.name.clone()).collect();
        let mut parts = Parts::of(names.iter());
        let asked = vec![finding(Severity::High, Phase::Opened)];
        parts.count(&decided(1, Some(by), asked), |name, _| !name.starts_with("other"));
        let tried = [std::slice::from_ref(&ladder), candidates].concat();
        let remarks = remarks(&parts, &[ladder], &tried, left_aside);
        assert_eq!(remarks.len(), expected.len(), "{remarks:?}");
        for (remark, words) in remarks.iter().zip(expected) {
            for word in *words {
                assert!(remark.contains(word), "should say `{word}`: {remark}");
            }
        }
    }

    #[test]
    fn who_is_never_asked_is_named_with_the_reason() {
        let drift = |name, mode, order| entry(name, mode, order, &["drift-action"]);
        let taken: &[&str] =
            &["`mine` (order 200) is never asked", "`ladder` (order 100)", "`order = 99`", "[policies.mine]"];
        check(&[drift("mine", Mode::Enforce, 200)], "ladder", None, &[taken]);
        check(&[drift("mine", Mode::Enforce, 1)], "mine", None, &[]);
        check(&[drift("mine", Mode::Off, 200)], "ladder", None, &[]);
        check(
            &[drift("other", Mode::Enforce, 200)],
            "ladder",
            None,
            &[&["`other` is never asked", "[applies-to]"]],
        );
        check(&[entry("words", Mode::Enforce, 1, &["alert-format"])], "ladder", None, &[&["channel"]]);
        for (kind, words) in [
            ("cleanup", "nobody planned a cleanup"),
            ("retrain-schedule", "no day has passed"),
            ("canary-promotion", "no experiment"),
        ] {
            check(
                &[entry("mine", Mode::Enforce, 1, &[kind])],
                "ladder",
                None,
                &[&["`mine` is never asked", words]],
            );
        }
    }

    #[test]
    fn of_a_directory_only_what_is_new_is_remarked_on() {
        let unasked = |name| entry(name, Mode::Enforce, 1, &["cleanup"]);
        let (old, new) = (unasked("old"), unasked("new"));
        let parts = Parts::of([&old, &new].map(|entry| &entry.policy.name).into_iter());
        let remarks = remarks(&parts, std::slice::from_ref(&old), &[old.clone(), new], None);
        assert!(matches!(remarks.as_slice(), [one] if one.contains("`new` is never asked")), "{remarks:?}");
    }

    #[test]
    fn a_mode_that_is_left_aside_is_said() {
        let mine = entry("mine", Mode::Enforce, 1, &["drift-action"]);
        check(&[mine], "mine", Some(Mode::Shadow), &[&["the answers of `mine` count here", "`shadow`"]]);
    }

    #[test]
    fn policies_that_are_left_out_are_named() {
        let recorded = [entry("a", Mode::Enforce, 1, &[]), entry("b", Mode::Off, 2, &[])];
        let of = |tried: &[PolicyInForce]| remarks(&Parts::default(), &recorded, tried, None);
        assert_eq!(of(&recorded), [""; 0]);
        assert_eq!(of(&recorded[1..]), ["in force, and not in the candidate: `a`"]);
        assert_eq!(of(&[]), ["in force, and not in the candidate: `a`, `b` (off)"]);
    }
}
