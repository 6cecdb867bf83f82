//! Changing what a host has in force: a configuration, a policies directory, an earlier version of a policy. Everything
//! that takes time is done before; the switch itself is entries of the log.

use std::time::Duration;

use trimtab_api::{PolicyProblem, PolicyVersion, RolledBack};
use trimtab_core::{Configuration, config::Gate};
use trimtab_files::Directory;
use trimtab_log::Batch;
use trimtab_policy::{Package, PackageError, Policy};
use trimtab_types::{Change, Digest, Entry, PolicyInForce, PolicySetEntry};

use crate::{
    Host, HostError,
    policies::{self, Folders},
    progress::lock,
};

/// How long a folder has to be gone before its policy is taken out.
const GONE: Duration = Duration::from_secs(2);

/// What came of a comparison.
enum Compared {
    /// What differed is in force, but for these folders.
    Done(Vec<PolicyProblem>),
    /// Something is being compiled first.
    Waiting,
}

impl Host {
    /// Compares configuration and policies directory with what is in force, and logs what differs. Everything that takes
    /// time, reading, compiling and trying out, is done before; the switch itself is one entry of the log. Nobody else
    /// waits for what this one's policies take to compile.
    ///
    /// Returns the folders that could not be put in force. A mistake in a configuration that is not in force yet changes
    /// nothing; where it is in force already, only the policy that it is about stays as it was.
    pub fn put_in_force(
        &self,
        configuration: &Configuration,
        folders: &Folders,
        change: Change,
    ) -> Result<Vec<PolicyProblem>, HostError> {
        loop {
            let compiled = self.sandbox.compiled();
            match self.compare_and_switch(Some(configuration), folders, change.clone())? {
                Compared::Done(problems) => return Ok(problems),
                Compared::Waiting => self.sandbox.wait_compiled(compiled),
            }
        }
    }

    /// The same for policies alone, under the configuration that is in force when it is this change's turn: one that was
    /// looked up before could put an older one back. Waits for no compiler: what is not compiled yet stays as it is, and
    /// whoever calls looks again when [`Sandbox::compiled`](trimtab_policy::Sandbox::compiled) has risen.
    pub fn put_policies_in_force(&self, folders: &Folders, change: Change) -> Result<(), HostError> {
        self.compare_and_switch(None, folders, change).map(drop)
    }

    fn compare_and_switch(
        &self,
        configuration: Option<&Configuration>,
        folders: &Folders,
        change: Change,
    ) -> Result<Compared, HostError> {
        let _one_at_a_time = lock(&self.swap);
        let standing = self.standing()?;
        let waits = configuration.is_some();
        let configuration = configuration.unwrap_or(&standing.configuration);
        let (current, digest) = (&standing.policies, standing.configuration_digest);
        let tried_out = |package: &Package, gate: Gate| {
            self.gates.verdict(package, gate, &self.sandbox, self.directory().to_owned())
        };
        let directory = &self.policies_directory;
        let mut found =
            policies::inspect(&self.sandbox, configuration, directory, current, folders, &tried_out)?;
        // Who waits has all at once, so that a start is one change and a mistake changes nothing.
        if waits && !found.waiting.is_empty() {
            return Ok(Compared::Waiting);
        }
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
        for gone in current.policies.iter().filter(|entry| found.set.policy(&entry.policy.name).is_none()) {
            tracing::warn!(
                policy = gone.policy.name,
                "its folder is gone, and so is the policy: it is not asked any more"
            );
        }
        let mut problems = lock(&self.problems);
        // What was wrong with a folder is wrong until it has been looked at again.
        let not_looked_at = |problem: &&PolicyProblem| {
            folders.changing.contains(&problem.name) || found.waiting.contains(&problem.name)
        };
        found.problems.extend(problems.iter().filter(not_looked_at).cloned());
        for problem in found.problems.iter().filter(|problem| !problems.contains(problem)) {
            tracing::warn!(policy = problem.name, still_serving = problem.still_serving, "{problem}");
        }
        problems.clone_from(&found.problems);
        Ok(Compared::Done(found.problems))
    }

    /// How many new versions have been tried out on history since the host started.
    pub fn tried_out(&self) -> u64 {
        self.gates.ended()
    }

    /// Puts the version of a policy that lies in the policies directory in force, whatever it would have changed of history: a
    /// person has looked at it. It is this version, or nothing happens. Where `ask` says so, it is then asked about what is
    /// open, as one of a new name is; what the version before decided about that stands otherwise.
    pub fn apply_policy(
        &self,
        name: &str,
        digest: Digest,
        change: Change,
        ask: bool,
    ) -> Result<PolicyInForce, HostError> {
        let entry = self.apply_version(name, digest, &change)?;
        if ask {
            let _one_at_a_time = lock(&self.swap);
            let set = self.standing()?.policies;
            // Somebody may have put another one in force meanwhile: that one is asked nothing by this.
            if set.policy(name).is_some_and(|standing| standing.policy == entry.policy) {
                let set = PolicySetEntry { change: Some(change), ask: Some(name.to_owned()), ..set };
                self.switch(Batch::of(vec![Entry::PolicySet(set).into()]))?;
            }
        }
        Ok(entry)
    }

    fn apply_version(&self, name: &str, digest: Digest, change: &Change) -> Result<PolicyInForce, HostError> {
        let unfit = |problem: String| HostError::Unfit { policy: name.to_owned(), problem };
        let folder = Directory::open(&self.policies_directory).and_then(|directory| directory.folder(name));
        let package = folder.map_err(PackageError::from).and_then(|folder| Package::read_from(&folder));
        let package = package.map_err(|error| unfit(error.to_string()))?;
        if package.digest != digest {
            return Err(unfit(format!(
                "its folder holds version {} by now, and not {}; look at that one, and apply it",
                package.digest.short(),
                digest.short()
            )));
        }
        let standing = self.standing()?;
        if standing.policies.held.get(name) == Some(&digest) {
            return Err(unfit(format!(
                "somebody went back from version {}; it stays out until its folder changes",
                digest.short()
            )));
        }
        let rule = standing.configuration.policies.get(name).and_then(|rule| rule.gate);
        self.gates.approve(name, digest, rule.unwrap_or_default());
        loop {
            let compiled = self.sandbox.compiled();
            self.compare_and_switch(None, &Folders::default(), change.clone())?;
            let standing = self.standing()?;
            let entry = standing.policies.policy(name);
            if let Some(entry) = entry.filter(|entry| entry.policy.digest == digest) {
                return Ok(entry.clone());
            }
            if let Some(problem) = self.policy_problems().into_iter().find(|problem| problem.name == name) {
                return Err(unfit(problem.problem));
            }
            self.sandbox.wait_compiled(compiled);
        }
    }

    /// Goes back to an earlier version of a policy: the one before, or the one whose digest begins with `to`. What
    /// lies in the policies directory now is not put in force again until it changes.
    pub fn roll_back_policy(
        &self,
        name: &str,
        to: Option<&str>,
        change: Change,
    ) -> Result<RolledBack, HostError> {
        // Compiled where nobody waits for it; in its turn it is at hand.
        let _compiled = self.earlier_version(name, to)?;
        let _one_at_a_time = lock(&self.swap);
        let (mut set, policy, _loaded) = self.earlier_version(name, to)?;
        set.change = Some(change);
        let held = set.held.get(name).copied();
        self.switch(Batch::of(vec![Entry::PolicySet(set).into()]))?;
        Ok(RolledBack { policy, held })
    }

    /// The set with an earlier version of a policy, that version, and it loaded: it may have been accepted under other
    /// settings.
    fn earlier_version(
        &self,
        name: &str,
        to: Option<&str>,
    ) -> Result<(PolicySetEntry, PolicyInForce, Policy), HostError> {
        let standing = self.standing()?;
        let reader = self.reader()?;
        let set = policies::rolled_back(&policies::sets(&reader)?, &standing.policies, name, to)?;
        let policy =
            set.policy(name).cloned().ok_or_else(|| HostError::NoSuchPolicy { name: name.to_owned() })?;
        let loaded = policies::from_store(&self.sandbox, &standing.configuration, &policy, &reader)?;
        Ok((set, policy, loaded))
    }

    /// Appends what is to be in force. What was recorded before it is decided as before; nobody waits for a slow policy to
    /// get there.
    fn switch(&self, batch: Batch) -> Result<(), HostError> {
        if !batch.entries.is_empty() {
            self.write(batch)?;
        }
        match self.settle_soon() {
            Ok(_) | Err(HostError::Closing) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The policies in force whose folders stay away: they are looked for again after a moment. Holds nobody up but its
    /// caller.
    pub(crate) fn missing_folders(&self) -> Result<Folders, HostError> {
        let current = self.standing()?.policies;
        let mut gone = policies::gone(&self.policies_directory, &current);
        if !gone.is_empty() {
            std::thread::sleep(GONE);
            let still = policies::gone(&self.policies_directory, &current);
            gone.retain(|name| still.contains(name));
        }
        Ok(Folders { gone, ..Folders::default() })
    }

    /// What was in force of a policy, oldest first.
    pub fn policy_history(&self, name: &str) -> Result<Vec<PolicyVersion>, HostError> {
        let history = policies::history(&policies::sets(&self.reader()?)?, name);
        if history.is_empty() { Err(HostError::NoSuchPolicy { name: name.to_owned() }) } else { Ok(history) }
    }
}
