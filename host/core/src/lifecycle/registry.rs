//! The versions of a model and which of them served when. Aliases are derived, so that two champions cannot exist.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Metric, ModelVersion, Proposal, ProposalState, Proposed, Protection, Registration, Run, Schedule,
    Seconds, Stage, Timestamp,
};

use super::trials::{Ended, Trial};

/// What is known of the life of a model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Registry {
    /// Rises with each change; rows do not raise it.
    pub revision: u64,
    /// By name.
    pub versions: BTreeMap<String, Version>,
    /// Which version served from when on, oldest first.
    pub reigns: Vec<Reign>,
    /// Experiments under way, by the version that is tried.
    pub trials: BTreeMap<String, Trial>,
    /// Experiments that are over, oldest first.
    pub ended: Vec<Ended>,
    /// What waits for a person and what did, oldest first.
    pub proposals: Vec<Proposal>,
    /// How often it is to be retrained, as a policy said last, and when.
    pub schedule: Option<(Timestamp, Schedule)>,
    /// When policies were last asked that.
    pub planned: Option<Timestamp>,
    /// When policies were last asked which versions may go.
    pub reviewed: Option<Timestamp>,
    /// At which revision the champion began that policies were asked about last, and when.
    pub watched: Option<(u64, Timestamp)>,
    /// Retrains, oldest first; at most the last one goes on.
    pub runs: Vec<Run>,
    /// How many of the newest of them failed, in a row, since a person last looked.
    pub failed_runs: u32,
}

/// A version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Version {
    /// Where it stands.
    pub stage: Stage,
    /// The champion is marked degraded: it serves on, and is degraded once it has left.
    pub marked: bool,
    /// Nothing deletes it.
    pub pinned: bool,
    /// When it was registered.
    pub registered: Timestamp,
    /// In which place: versions are in the order of registration.
    pub number: u64,
    /// With what.
    pub registration: Registration,
    /// While it is deleted: since when, and the stage that it had.
    pub deleted: Option<(Timestamp, Stage)>,
    /// Its files are gone for good.
    pub purged: bool,
}

/// A version serves from here on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reign {
    /// Which.
    pub version: String,
    /// Since when.
    pub from: Timestamp,
    /// The revision from which on it does.
    pub revision: u64,
}

impl Registry {
    /// The version that serves.
    pub fn champion(&self) -> Option<&str> {
        self.reigns.last().map(|reign| reign.version.as_str())
    }

    /// The version that one would go back to: the newest before the champion that is neither degraded nor deleted.
    pub fn previous(&self) -> Option<&str> {
        let champion = self.champion()?;
        let is_whole =
            |name: &str| self.versions.get(name).is_some_and(|known| known.stage == Stage::Archived);
        let before = self.reigns.iter().rev().map(|reign| reign.version.as_str());
        before.filter(|name| *name != champion).find(|name| is_whole(name))
    }

    /// Whether a version served once and does no more.
    pub fn is_put_away(&self, version: &str) -> bool {
        let known = self.versions.get(version);
        known.is_some_and(|known| matches!(known.stage, Stage::Archived | Stage::Degraded | Stage::Deleted))
    }

    /// The version that serves a share beside the champion.
    pub fn challenger(&self) -> Option<&str> {
        self.trials.values().find(|trial| trial.serves()).map(|trial| trial.version.as_str())
    }

    /// The version that served at a time.
    pub fn served_at(&self, at: Timestamp) -> Option<&Reign> {
        self.reigns.iter().rev().find(|reign| reign.from <= at)
    }

    /// What keeps a version from being deleted.
    pub fn protections(&self, version: &str) -> Vec<Protection> {
        let proposed = |proposal: &Proposal| {
            proposal.state == ProposalState::Open
                && match &proposal.what {
                    Proposed::Promote { version: about }
                    | Proposed::Fraction { version: about, .. }
                    | Proposed::Act { version: about, .. } => about == version,
                    Proposed::Change { .. } | Proposed::Cleanup { .. } | Proposed::Retrain { .. } => false,
                }
        };
        let is_tried = self.trials.contains_key(version) || self.proposals.iter().any(proposed);
        let pinned = self.versions.get(version).is_some_and(|known| known.pinned);
        [
            (self.champion() == Some(version), Protection::Champion),
            (self.challenger() == Some(version), Protection::Challenger),
            (self.previous() == Some(version), Protection::PreviousChampion),
            (is_tried, Protection::Experiment),
            (pinned, Protection::Pinned),
        ]
        .into_iter()
        .filter_map(|(holds, protection)| holds.then_some(protection))
        .collect()
    }

    /// All versions but those whose files are gone, newest first, as a policy sees them. `latest` knows metrics of newer
    /// rows; where it has none, those of the registration count.
    pub fn seen(&self, now: Timestamp, latest: impl Fn(&str) -> Vec<Metric>) -> Vec<ModelVersion> {
        let mut versions: Vec<(&String, &Version)> =
            self.versions.iter().filter(|(_, known)| !known.purged).collect();
        versions.sort_by_key(|(_, known)| std::cmp::Reverse(known.number));
        let one = |(name, known): (&String, &Version)| {
            let newer = latest(name);
            ModelVersion {
                version: name.clone(),
                stage: known.stage,
                protections: self.protections(name),
                age: Seconds::try_from(now.since(known.registered)).unwrap_or(Seconds::MAX),
                size_bytes: known.registration.artifact.as_ref().map_or(0, |artifact| artifact.size_bytes),
                metrics: if newer.is_empty() { known.registration.metrics.clone() } else { newer },
            }
        };
        versions.into_iter().map(one).collect()
    }
}
