//! Who is asked again about what is open already: all policies, where more may be done than when it opened; one that is new;
//! one that wants to be asked again after a while; one that a person has asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trimtab_types::{Finding, ModelKey, Phase, PolicyKind, Subject};

use super::turn::Turn;
use crate::{Configuration, config::ReleaseStage, in_force::InForce, ledger::Diary};

/// What was in force before a record.
pub(super) struct Before {
    pub(super) configuration: Arc<Configuration>,
    pub(super) policies: Arc<Vec<InForce>>,
}

impl Turn<'_> {
    /// Where the stage of a model rose, policies are asked again about what is open. One that is there under a new name is
    /// asked about it for the first time, and so is a new version of one where a person wanted that (`wanted`).
    pub(super) fn ask_where_more_may_be_done(&mut self, before: &Before, wanted: Option<&str>) {
        let after = Arc::clone(&self.state.configuration);
        if !Arc::ptr_eq(&before.configuration, &after) {
            self.ask_again(|subject| {
                let model = subject.model_key();
                after.stage(&model) > before.configuration.stage(&model)
            });
        }
        let policies = Arc::clone(&self.state.in_force);
        if !Arc::ptr_eq(&before.policies, &policies) {
            let was_there = |name: &str| before.policies.iter().any(|known| known.is_asked_as(name));
            let is_new = |policy: &&InForce| {
                let name = &policy.entry.policy.name;
                let is_new = policy.is_asked_on_swap() && !was_there(name);
                policy.is_asked_as(name) && (is_new || wanted == Some(name))
            };
            let new: BTreeSet<String> =
                policies.iter().filter(is_new).map(|policy| policy.entry.policy.name.clone()).collect();
            self.ask_these(|_, _| new.clone());
        }
    }

    /// Time has passed: policies that want to be asked again are.
    pub(super) fn reconsider(&mut self) {
        let policies = Arc::clone(&self.state.in_force);
        if policies.iter().all(|policy| !policy.reconsiders()) {
            return;
        }
        self.ask_these(|now, (subject, diary)| {
            let is_due = |policy: &&InForce| {
                let version = policy.version_for(subject);
                let every = version.and_then(|version| version.rules.as_ref().ok()?.reconsider);
                let asked = diary.asked.get(&policy.entry.policy.name);
                // One that was never asked about it is not the one who decides about it.
                every.zip(asked).is_some_and(|(every, asked)| now.since(*asked) >= u64::from(every))
            };
            policies.iter().filter(is_due).map(|policy| policy.entry.policy.name.clone()).collect()
        });
    }

    /// A person asks a policy about what is open of a model.
    pub(super) fn ask_one(&mut self, policy: &str, model: &ModelKey) {
        let one = BTreeSet::from([policy.to_owned()]);
        let of_model = |subject: &Subject| subject.model_key() == *model;
        self.ask_these(|_, (subject, _)| if of_model(subject) { one.clone() } else { BTreeSet::new() });
    }

    /// Puts what is open to the policies again, as raised: more may follow from it now than when it opened.
    pub(super) fn ask_again(&mut self, about: impl Fn(&Subject) -> bool) {
        let wanted: Vec<Subject> =
            self.subjects_with_open().filter(|(subject, _)| about(subject)).map(|(s, _)| s.clone()).collect();
        for subject in wanted {
            let open = self.open_of(&subject);
            self.decide(&subject, open);
        }
    }

    /// Puts what is open of each subject to these policies alone; nobody else is asked, and what is paused stays so.
    fn ask_these(&mut self, who: impl Fn(trimtab_types::Timestamp, (&Subject, &Diary)) -> BTreeSet<String>) {
        let mut wanted: BTreeMap<Subject, BTreeSet<String>> = BTreeMap::new();
        for (subject, diary) in self.subjects_with_open().filter(|(_, diary)| !diary.paused) {
            let model = subject.model_key();
            if self.state.configuration.stage(&model) == ReleaseStage::Observe {
                continue;
            }
            let these = who(self.state.now(&model), (subject, diary));
            if !these.is_empty() {
                wanted.insert(subject.clone(), these);
            }
        }
        for (subject, these) in wanted {
            let open = self.open_of(&subject);
            self.put(&subject, open, Some(&these));
        }
    }

    /// The subjects of which something is open.
    fn subjects_with_open(&self) -> impl Iterator<Item = (&Subject, &Diary)> {
        let diaries = self.state.diaries.iter().map(|(subject, diary)| (subject, diary.as_ref()));
        diaries.filter(|(_, diary)| !diary.open.is_empty())
    }

    /// What is open of a subject, as it is put again: gravest first.
    fn open_of(&self, subject: &Subject) -> Vec<Finding> {
        let (position, at) = (self.state.position, self.state.now(&subject.model_key()));
        let again = |finding: &Finding| Finding { phase: Phase::Raised, position, at, ..finding.clone() };
        let open = self.state.diaries.get(subject).map(|diary| diary.open.iter().map(again).collect());
        let mut open: Vec<Finding> = open.unwrap_or_default();
        open.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        open
    }
}

impl InForce {
    /// Whether there is a policy of this name that is asked what to do.
    fn is_asked_as(&self, name: &str) -> bool {
        self.entry.policy.name == name && self.answers(PolicyKind::DriftAction)
    }
}
