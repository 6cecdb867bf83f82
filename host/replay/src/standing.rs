//! What is in force for everything: the newest configuration, set of policies and kill switch of everything, as the control
//! entries say. Known without a log that is awake, and the same for all logs.

use std::{collections::BTreeMap, sync::Arc};

use trimtab_core::{Configuration, fold::KillNote};
use trimtab_log::{Entry, Reader};
use trimtab_policy::Package;
use trimtab_types::{Act, Digest, PolicySetEntry, Timestamp};

use crate::{
    PrepareError,
    prepare::{At, Contents},
};

/// Control entries that are read at once.
const STEP: usize = 1_024;

/// What is in force.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Up to which control entry.
    pub number: u64,
    /// The configuration.
    pub configuration: Arc<Configuration>,
    /// Its digest; `None` before the first.
    pub configuration_digest: Option<Digest>,
    /// The policies.
    pub policies: PolicySetEntry,
    /// Trading is stopped on all models.
    pub killed: Option<KillNote>,
    /// Policies that people stopped, by name.
    pub stopped: BTreeMap<String, KillNote>,
}

impl Standing {
    /// As the newest control entry leaves it.
    pub fn read(reader: &dyn Reader) -> Result<Self, PrepareError> {
        let mut standing = Self::default();
        standing.catch_up(reader)?;
        Ok(standing)
    }

    /// Takes in what came since. Whether there was anything.
    pub fn catch_up(&mut self, reader: &dyn Reader) -> Result<bool, PrepareError> {
        let before = (self.number, self.configuration_digest);
        loop {
            let entries = reader.control(self.number, STEP)?;
            for (number, entry) in &entries {
                self.number = *number;
                self.take(entry);
            }
            if entries.len() < STEP {
                break;
            }
        }
        if let Some(digest) = self.configuration_digest.filter(|digest| Some(*digest) != before.1) {
            let contents = Contents { reader, at: At::Control(self.number) };
            self.configuration = Arc::new(contents.configuration(&digest)?);
        }
        Ok(self.number > before.0)
    }

    fn take(&mut self, entry: &Entry) {
        let Entry::Known(known) = entry else { return };
        match known.entry() {
            trimtab_types::Entry::Configuration(digest) => self.configuration_digest = Some(*digest),
            trimtab_types::Entry::PolicySet(set) => self.policies = set.clone(),
            trimtab_types::Entry::OperatorAct(act) => match &act.act {
                Act::KillSwitch { model: None, on } => self.killed = on.then(|| KillNote::of(act)),
                Act::StopPolicy { policy, stopped: true } => {
                    self.stopped.insert(policy.clone(), KillNote::of(act));
                }
                Act::StopPolicy { policy, stopped: false } => {
                    self.stopped.remove(policy);
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// The package of a policy in force; `None`: there is none of this name.
    pub fn package(&self, name: &str, reader: &dyn Reader) -> Result<Option<Package>, PrepareError> {
        let Some(entry) = self.policies.policy(name) else { return Ok(None) };
        let contents = Contents { reader, at: At::Control(self.number) };
        contents.package(name, &entry.policy.digest).map(Some)
    }
}

/// The newest time that any log knows.
pub fn newest(reader: &dyn Reader) -> Result<Timestamp, PrepareError> {
    let mut newest = Timestamp::MIN;
    for state in reader.shards()? {
        let checkpoint = reader.checkpoints(state.shard)?.pop();
        let after = checkpoint.as_ref().map_or_else(Default::default, |checkpoint| checkpoint.position);
        let later = reader.newest(state.shard, after)?;
        newest = [checkpoint.map(|checkpoint| checkpoint.at), later]
            .into_iter()
            .flatten()
            .fold(newest, Timestamp::max);
    }
    Ok(newest)
}
