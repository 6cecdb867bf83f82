//! The diary of a subject: what is remembered of its findings, and what decisions left there. No detector reads it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use trimtab_types::{Facts, Finding, Phase, Severity, Timestamp};

use crate::watch::{At, ended};

/// Findings that a subject remembers for policies that ask.
const FINDINGS_KEPT: usize = 32;

/// What is remembered of a subject.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Diary {
    /// Findings kept and not decided on.
    pub paused: bool,
    /// Findings since the detector was last reset.
    pub drift_counts: BTreeMap<String, u32>,
    /// The newest findings, oldest first.
    pub findings: VecDeque<Finding>,
    /// The newest change of each open episode, in the order in which they opened.
    pub open: Vec<Finding>,
    /// Notebooks of the policies that keep one about this subject.
    pub notebooks: BTreeMap<String, BTreeMap<String, String>>,
    /// When each policy was last asked about it.
    pub asked: BTreeMap<String, Timestamp>,
    /// What deciding needed to know of the rows when its findings last changed.
    pub facts: Facts,
}

impl Diary {
    /// The gravest open episode.
    pub fn worst(&self) -> Option<Severity> {
        self.open.iter().map(|finding| finding.severity).max()
    }

    /// Writes a change down, for policies that ask. Openings are counted.
    pub(crate) fn note(&mut self, finding: &Finding) {
        if finding.phase == Phase::Opened {
            let count = self.drift_counts.entry(finding.detector.clone()).or_default();
            *count = count.saturating_add(1);
        }
        if self.findings.len() == FINDINGS_KEPT {
            self.findings.pop_front();
        }
        self.findings.push_back(finding.clone());
        let known = self.open.iter().position(|open| open.id == finding.id);
        match (known, finding.phase) {
            (Some(place), Phase::Closed) => drop(self.open.remove(place)),
            (Some(place), _) => self.open[place].clone_from(finding),
            (None, Phase::Closed) => {}
            (None, _) => self.open.push(finding.clone()),
        }
    }

    /// The closings of what is open of a detector that is started anew, or of all.
    pub(crate) fn ends(&self, detector: Option<&str>, at: At<'_>) -> Vec<Finding> {
        let of_it = |open: &&Finding| detector.is_none_or(|detector| open.detector == detector);
        self.open.iter().filter(of_it).map(|open| ended(open.clone(), at)).collect()
    }
}
