//! The one pipe: a record is folded, its findings are put to policies, the safeguards judge what these propose, and what
//! follows is changed in the state or put into the outbox. A live host, a backtest, a dry run and `verify` all run this
//! code; they differ in where records come from and where the results go.
//!
//! Here: records and what is in force. `decide` puts findings to policies and carries out what follows, `ask` makes one
//! call, `alerting` tells people.

mod alerting;
mod ask;
mod decide;
mod in_force;

use std::{collections::BTreeMap, sync::Arc};

use trimtab_policy::Sandbox;
use trimtab_store::{FoldCommit, LogRecord, Reader, StoreError};
use trimtab_types::{Answer, DecisionRecord, Digest, Entry, Finding, PolicyInForce, Position};

use crate::{
    Configuration,
    fold::{self, State},
    overlay::Overlay,
};
use in_force::InForce;
pub(crate) use in_force::package;

/// Why the pipe stops. None of this is a policy's doing.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored state is unusable.
    #[error(transparent)]
    State(#[from] fold::BadState),
    /// The log names a content that is not there.
    #[error(
        "the log names {what} {digest} at position {position}, but its content is missing or unreadable: {problem}"
    )]
    Content {
        /// `configuration` or `policy NAME`.
        what: String,
        /// Its digest.
        digest: String,
        /// Where.
        position: u64,
        /// What is wrong.
        problem: String,
    },
}

/// The pipe and its state.
pub struct Pipeline {
    state: State,
    sandbox: Arc<Sandbox>,
    /// The policies in force: replaced as a whole, by a log entry.
    policies: Arc<Vec<InForce>>,
    /// What is tried out in place of what is in force.
    overlay: Option<Arc<Overlay>>,
    /// The configuration as it is recorded, whatever is tried out.
    recorded_configuration: Arc<Configuration>,
    /// Earlier decisions that are taken from the record instead of being made again, by id.
    recall: BTreeMap<String, DecisionRecord>,
    output: FoldCommit,
}

impl Pipeline {
    /// From a state; what the state says is in force is loaded from the store.
    pub fn new(mut state: State, sandbox: Arc<Sandbox>, reader: &dyn Reader) -> Result<Self, PipelineError> {
        if let Some(digest) = state.configuration_digest {
            state.configuration = Arc::new(load_configuration(&digest, state.position, reader)?);
        }
        let output = FoldCommit { from: state.position, to: state.position, ..FoldCommit::default() };
        let policies = Arc::new(Vec::new());
        let recorded_configuration = Arc::clone(&state.configuration);
        let recall = BTreeMap::new();
        let mut pipeline =
            Self { state, sandbox, policies, overlay: None, recorded_configuration, recall, output };
        pipeline.load_policies(reader)?;
        Ok(pipeline)
    }

    /// The state after the newest record.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Decisions that cannot be repeated and are taken from the record instead.
    pub fn recall<'a>(&mut self, decisions: impl IntoIterator<Item = &'a DecisionRecord>) {
        let once =
            |answer: &Answer| matches!(answer, Answer::Failed(failure) if !failure.kind.is_repeatable());
        self.recall_all(decisions.into_iter().filter(|decision| once(&decision.answer)));
    }

    /// Decisions that are taken from the record instead of being made again.
    pub fn recall_all<'a>(&mut self, decisions: impl IntoIterator<Item = &'a DecisionRecord>) {
        self.recall = decisions.into_iter().map(|decision| (decision.id.clone(), decision.clone())).collect();
    }

    /// The settings of the policies in force.
    pub fn settings_in_force(&self) -> BTreeMap<String, BTreeMap<String, serde_json::Value>> {
        self.policies.iter().filter_map(InForce::settings).collect()
    }

    /// Whether alerts are put into words: not where something is tried out that would not change them.
    pub fn writes_alerts(&self) -> bool {
        self.overlay.as_ref().is_none_or(|overlay| overlay.rewrites_alerts(&self.state.policies))
    }

    /// The policies that are asked, as they stand.
    pub(crate) fn in_force(&self) -> impl Iterator<Item = &PolicyInForce> {
        self.policies.iter().map(|policy| &policy.entry)
    }

    /// Whether the newest version of a policy in force would be asked about a finding.
    pub(crate) fn applies_to(&self, policy: &str, finding: &Finding) -> bool {
        self.policies.iter().any(|known| known.entry.policy.name == policy && known.applies_to(finding))
    }

    /// Tables of the configuration that is tried out which let other things happen than those of the recorded one.
    pub(crate) fn other_tables(&self) -> Vec<&'static str> {
        let (recorded, tried) = (&self.recorded_configuration, &self.state.configuration);
        [
            ("[[models]]", recorded.models != tried.models),
            ("[safeguards]", recorded.safeguards != tried.safeguards),
            ("[alerts]", recorded.alerts != tried.alerts),
        ]
        .into_iter()
        .filter_map(|(table, differs)| differs.then_some(table))
        .collect()
    }

    /// Everything since the last call, to be written in one transaction.
    pub fn take_commit(&mut self) -> Result<FoldCommit, PipelineError> {
        let next = FoldCommit { from: self.state.position, to: self.state.position, ..FoldCommit::default() };
        let mut commit = std::mem::replace(&mut self.output, next);
        commit.to = self.state.position;
        commit.states = self.state.take_touched()?;
        Ok(commit)
    }

    /// Takes one record through the pipe.
    pub fn step(&mut self, record: &LogRecord, reader: &dyn Reader) -> Result<(), PipelineError> {
        let mut findings = fold::apply(&mut self.state, record);
        match &record.entry {
            Entry::Configuration(digest) => {
                let recorded = Arc::new(load_configuration(digest, record.position, reader)?);
                let configuration = match &self.overlay {
                    Some(overlay) => Arc::new(overlay.configuration(&recorded)),
                    None => Arc::clone(&recorded),
                };
                self.recorded_configuration = recorded;
                findings = self.state.put_in_force(configuration);
                self.state.configuration_digest = Some(*digest);
                self.state.touch_global();
                self.load_policies(reader)?;
            }
            Entry::PolicySet(set) => {
                self.state.policies = set.clone();
                self.state.touch_global();
                self.load_policies(reader)?;
            }
            Entry::Tick(_) => self.repeat_alerts(),
            _ => {}
        }
        self.found(&findings);
        Ok(())
    }

    /// Lets a record pass that is about a model which another pipe folds.
    pub fn pass_over(&mut self, record: &LogRecord) {
        fold::pass_over(&mut self.state, record);
    }

    /// Records findings and puts them to the policies, those of one subject together.
    fn found(&mut self, findings: &[Finding]) {
        self.output.findings.extend(findings.iter().cloned());
        let mut rest = findings;
        while let Some(first) = rest.first() {
            let (same, others) =
                rest.split_at(rest.partition_point(|finding| finding.subject <= first.subject));
            let put = fold::put_to_policies(same);
            if !put.is_empty() {
                self.decide(&first.subject, put);
            }
            rest = others;
        }
    }

    /// Tries something else out from here on.
    pub fn try_out(&mut self, overlay: Arc<Overlay>, reader: &dyn Reader) -> Result<(), PipelineError> {
        let configuration = overlay.configuration(&self.state.configuration);
        self.overlay = Some(overlay);
        let findings = self.state.put_in_force(Arc::new(configuration));
        self.load_policies(reader)?;
        self.found(&findings);
        Ok(())
    }

    fn load_policies(&mut self, reader: &dyn Reader) -> Result<(), PipelineError> {
        let policies = in_force::load(&self.state, self.overlay.as_deref(), &self.sandbox, reader)?;
        self.state.keep_breakers(|known| policies.iter().any(|policy| policy.has(known)));
        self.policies = Arc::new(policies);
        Ok(())
    }
}

pub(crate) fn load_configuration(
    digest: &Digest,
    position: Position,
    reader: &dyn Reader,
) -> Result<Configuration, PipelineError> {
    let missing = |problem: String| PipelineError::Content {
        what: "configuration".to_owned(),
        digest: digest.to_string(),
        position: position.0,
        problem,
    };
    let bytes = reader.content(digest)?.ok_or_else(|| missing("not stored".to_owned()))?;
    Configuration::from_canonical(&bytes).map_err(|error| missing(error.to_string()))
}
