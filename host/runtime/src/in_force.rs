//! Changing what a host has in force: a configuration, a policies directory, an earlier version of a policy. Everything
//! that takes time is done before; the switch itself is entries of the log.

use std::sync::Arc;

use trimtab_api::{PolicyProblem, PolicyVersion, RolledBack};
use trimtab_core::Configuration;
use trimtab_log::Batch;
use trimtab_types::{Change, Entry};

use crate::{Host, HostError, policies, runner::lock};

impl Host {
    /// Compares configuration and policies directory with what is in force, and logs what differs. Everything that takes
    /// time, reading, compiling and trying out, is done before; the switch itself is one entry of the log.
    ///
    /// Returns the folders that could not be put in force. A mistake in a configuration that is not in force yet changes
    /// nothing; where it is in force already, only the policy that it is about stays as it was.
    pub fn put_in_force(
        &self,
        configuration: &Configuration,
        change: Change,
    ) -> Result<Vec<PolicyProblem>, HostError> {
        let _one_at_a_time = lock(&self.swap);
        self.settle()?;
        let (current, digest) = self.with_state(|state| (state.policies.clone(), state.configuration_digest));
        let mut found = policies::inspect(&self.sandbox, configuration, &self.policies_directory, &current)?;
        let mut batch = Batch::default();
        if digest != Some(configuration.digest()) {
            if let Some(error) = found.misconfigured {
                return Err(error);
            }
            batch.contents.push((configuration.digest(), configuration.canonical()));
            batch.entries.push(Entry::Configuration(configuration.digest()));
        }
        if !found.set.same(&current) {
            batch.contents.extend(found.contents());
            found.set.change = Some(change);
            batch.entries.push(Entry::PolicySet(found.set.clone()));
        }
        self.switch(batch)?;
        let mut problems = lock(&self.problems);
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
        let head = self.settle()?;
        let current = self.with_state(|state| state.policies.clone());
        let reader = self.reader()?;
        let sets = policies::sets(&reader, head)?;
        let mut set = policies::rolled_back(&sets, &current, name, to)?;
        set.change = Some(change);
        let policy =
            set.policy(name).cloned().ok_or_else(|| HostError::NoSuchPolicy { name: name.to_owned() })?;
        let held = set.held.get(name).copied();
        // It may have been accepted under other settings.
        let configuration = self.with_state(|state| Arc::clone(&state.configuration));
        let _loaded = policies::from_store(&self.sandbox, &configuration, &policy, &reader)?;
        self.switch(Batch::of(vec![Entry::PolicySet(set)]))?;
        Ok(RolledBack { policy, held })
    }

    /// Appends what is to be in force, and waits until it is.
    fn switch(&self, batch: Batch) -> Result<(), HostError> {
        if batch.entries.is_empty() {
            return Ok(());
        }
        let appended = self.writer.append_and_wait(batch)?;
        self.shared.advanced(&appended);
        self.settle()?;
        Ok(())
    }

    /// What was in force of a policy, oldest first.
    pub fn policy_history(&self, name: &str) -> Result<Vec<PolicyVersion>, HostError> {
        let head = self.settle()?;
        let history = policies::history(&policies::sets(&self.reader()?, head)?, name);
        if history.is_empty() { Err(HostError::NoSuchPolicy { name: name.to_owned() }) } else { Ok(history) }
    }
}
