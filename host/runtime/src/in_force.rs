//! Changing what a host has in force: a configuration, a policies directory, an earlier version of a policy. Everything
//! that takes time is done before; the switch itself is entries of the log.

use std::collections::BTreeSet;

use trimtab_api::{PolicyProblem, PolicyVersion, RolledBack};
use trimtab_core::Configuration;
use trimtab_log::Batch;
use trimtab_types::{Change, Entry};

use crate::{Host, HostError, policies, progress::lock};

impl Host {
    /// Compares configuration and policies directory with what is in force, and logs what differs. Everything that takes
    /// time, reading, compiling and trying out, is done before; the switch itself is one entry of the log.
    ///
    /// Returns the folders that could not be put in force. A mistake in a configuration that is not in force yet changes
    /// nothing; where it is in force already, only the policy that it is about stays as it was. So does a policy whose
    /// folder is `unsettled`: somebody is changing it.
    pub fn put_in_force(
        &self,
        configuration: &Configuration,
        unsettled: &BTreeSet<String>,
        change: Change,
    ) -> Result<Vec<PolicyProblem>, HostError> {
        self.compare_and_switch(Some(configuration), unsettled, change)
    }

    /// The same for policies alone, under the configuration that is in force when it is this change's turn: one that was
    /// looked up before could put an older one back.
    pub fn put_policies_in_force(
        &self,
        unsettled: &BTreeSet<String>,
        change: Change,
    ) -> Result<Vec<PolicyProblem>, HostError> {
        self.compare_and_switch(None, unsettled, change)
    }

    fn compare_and_switch(
        &self,
        configuration: Option<&Configuration>,
        unsettled: &BTreeSet<String>,
        change: Change,
    ) -> Result<Vec<PolicyProblem>, HostError> {
        let _one_at_a_time = lock(&self.swap);
        self.settle()?;
        let snapshot = self.snapshot();
        let configuration = configuration.unwrap_or(&snapshot.standing().configuration);
        let (current, digest) = (&snapshot.standing().policies, snapshot.standing().configuration_digest);
        let mut found =
            policies::inspect(&self.sandbox, configuration, &self.policies_directory, current, unsettled)?;
        let mut batch = Batch::default();
        if digest != Some(configuration.digest()) {
            if let Some(error) = found.misconfigured {
                return Err(error);
            }
            batch.contents.push((configuration.digest(), configuration.canonical()));
            batch.entries.push(Entry::Configuration(configuration.digest()).into());
        }
        if !found.set.same(current) {
            batch.contents.extend(found.contents());
            found.set.change = Some(change);
            batch.entries.push(Entry::PolicySet(found.set.clone()).into());
        }
        self.switch(batch)?;
        let mut problems = lock(&self.problems);
        // What was wrong with a folder is wrong until it has been looked at again.
        found.problems.extend(problems.iter().filter(|problem| unsettled.contains(&problem.name)).cloned());
        for problem in found.problems.iter().filter(|problem| !problems.contains(problem)) {
            tracing::warn!(policy = problem.name, still_serving = problem.still_serving, "{problem}");
        }
        problems.clone_from(&found.problems);
        Ok(found.problems)
    }

    /// Goes back to an earlier version of a policy: the one before, or the one whose digest begins with `to`. What
    /// lies in the policies directory now is not put in force again until it changes.
    pub fn roll_back_policy(
        &self,
        name: &str,
        to: Option<&str>,
        change: Change,
    ) -> Result<RolledBack, HostError> {
        let _one_at_a_time = lock(&self.swap);
        self.settle()?;
        let snapshot = self.snapshot();
        let standing = snapshot.standing();
        let reader = self.reader()?;
        let sets = policies::sets(&reader)?;
        let mut set = policies::rolled_back(&sets, &standing.policies, name, to)?;
        set.change = Some(change);
        let policy =
            set.policy(name).cloned().ok_or_else(|| HostError::NoSuchPolicy { name: name.to_owned() })?;
        let held = set.held.get(name).copied();
        // It may have been accepted under other settings.
        let _loaded = policies::from_store(&self.sandbox, &standing.configuration, &policy, &reader)?;
        self.switch(Batch::of(vec![Entry::PolicySet(set).into()]))?;
        Ok(RolledBack { policy, held })
    }

    /// Appends what is to be in force, and waits until it is.
    fn switch(&self, batch: Batch) -> Result<(), HostError> {
        if batch.entries.is_empty() {
            return Ok(());
        }
        self.write(batch)?;
        self.settle()
    }

    /// What was in force of a policy, oldest first.
    pub fn policy_history(&self, name: &str) -> Result<Vec<PolicyVersion>, HostError> {
        self.settle()?;
        let history = policies::history(&policies::sets(&self.reader()?)?, name);
        if history.is_empty() { Err(HostError::NoSuchPolicy { name: name.to_owned() }) } else { Ok(history) }
    }
}
