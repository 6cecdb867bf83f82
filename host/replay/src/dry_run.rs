//! Dry runs: folds the stored log again with something else in force and says which decisions would have been others.
//! Nothing is written and nothing happens: what would be committed is compared and dropped.
//!
//! Models do not depend on each other, so each worker folds the models that fall to it and lets the others' records
//! pass. What is compared is a moment: all that was decided about one subject at one position.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde::Serialize;
use trimtab_core::fold::State;
use trimtab_log::{Reader, StoreError};
use trimtab_policy::{Package, Sandbox};
use trimtab_types::{DecisionRecord, Entry, Timestamp};

use crate::{
    PrepareError,
    again::{Recorded, Replay},
    deal::{Batch, Deal, Shares, Worker},
    diff::{Diff, Side},
    overlay::Overlay,
    period::Period,
    prepare::Contents,
    remarks::{Parts, remarks},
};

/// What a dry run came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Log entries that were folded.
    pub entries: u64,
    /// How the decisions differ.
    pub diff: Diff,
    /// Settings that differ between what was in force at the end and what was tried out, of policies that are in both.
    pub settings: Vec<SettingChange>,
    /// What to know of the policies that were tried out, in sentences.
    pub remarks: Vec<String>,
}

/// A setting that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SettingChange {
    /// Of which policy.
    pub policy: String,
    /// Which.
    pub key: String,
    /// As it was in force; `None`: there was none.
    pub recorded: Option<serde_json::Value>,
    /// As it was tried out.
    pub candidate: Option<serde_json::Value>,
}

/// What is in force, and known, where the log is folded to.
pub fn in_force(reader: &dyn Reader) -> Result<State, PrepareError> {
    let (end, _, states) = reader.folded_state()?;
    let mut state = State::restore(end, &states)?;
    if let Some(digest) = state.configuration_digest {
        state.configuration = Arc::new(Contents { reader, position: end }.configuration(&digest)?);
    }
    Ok(state)
}

/// The package of a policy in force; `None`: there is none of this name.
pub fn package_in_force(
    in_force: &State,
    name: &str,
    reader: &dyn Reader,
) -> Result<Option<Package>, PrepareError> {
    let Some(entry) = in_force.policies.policy(name) else { return Ok(None) };
    let contents = Contents { reader, position: in_force.position };
    contents.package(name, &entry.policy.digest).map(Some)
}

/// Folds the log up to where it is folded, with `overlay` in force: from the beginning if it may change findings, because
/// detectors have a past, and otherwise from the beginning of the period, before which everything is as recorded.
///
/// `open` opens a reader for each worker; `progress` hears how many entries of how many are done.
pub fn dry_run<R: Reader>(
    open: &(dyn Fn() -> Result<R, StoreError> + Sync),
    sandbox: &Arc<Sandbox>,
    overlay: &Arc<Overlay>,
    period: &Period,
    workers: usize,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, PrepareError> {
    let reader = open()?;
    let recorded = in_force(&reader)?;
    let end = recorded.position;
    let workers = workers.min(recorded.models.len()).max(1);
    let shares = &Shares::of(recorded.models.keys(), workers);
    let deal = Deal { open, recorded: &|reader, after, until| reader.decided(after, until), end, workers };
    let make = |number, reader: &dyn Reader| Trial::new(number, shares, sandbox, overlay, period, reader);
    let (entries, trials) = deal.run(&make, progress)?;
    let mut diff = Diff::default();
    let mut parts = Parts::default();
    let mut candidate = None;
    for trial in trials {
        diff.merge(trial.diff);
        parts.merge(trial.parts);
        candidate = candidate.or(Some(trial.replay));
    }
    let mut report = Report { entries, diff, settings: Vec::new(), remarks: Vec::new() };
    if let Some(candidate) = candidate {
        let recorded = Replay::resume(recorded, Arc::clone(sandbox), &reader)?;
        let left_aside = overlay.mode_left_aside(&candidate.state().configuration);
        let stand = |replay: &Replay| replay.in_force().cloned().collect::<Vec<_>>();
        report.settings = settings(&recorded, &candidate);
        report.remarks = remarks(&parts, &stand(&recorded), &stand(&candidate), left_aside);
        explain(&mut report.diff, &report.settings);
    }
    Ok(report)
}

/// Folds the models that fall to it.
struct Trial<'a> {
    number: usize,
    shares: &'a Shares,
    replay: Replay,
    overlay: &'a Arc<Overlay>,
    trying: bool,
    /// The newest time of any entry so far.
    newest: Option<Timestamp>,
    period: &'a Period,
    diff: Diff,
    parts: Parts,
}

impl<'a> Trial<'a> {
    fn new(
        number: usize,
        shares: &'a Shares,
        sandbox: &Arc<Sandbox>,
        overlay: &'a Arc<Overlay>,
        period: &'a Period,
        reader: &dyn Reader,
    ) -> Result<Self, PrepareError> {
        let replay = Replay::new(Arc::clone(sandbox));
        let parts = Parts::of(overlay.packages().iter().map(|package| &package.name));
        let diff = Diff::default();
        let mut trial =
            Self { number, shares, replay, overlay, trying: false, newest: None, period, diff, parts };
        if overlay.changes_findings() || period.since.is_none() {
            trial.try_out(reader)?;
        }
        Ok(trial)
    }

    fn try_out(&mut self, reader: &dyn Reader) -> Result<(), PrepareError> {
        self.trying = true;
        self.replay.try_out(Arc::clone(self.overlay), reader)
    }

    fn is_mine(&self, entry: &Entry) -> bool {
        entry.model().is_none_or(|(tenant, model)| self.shares.worker_of(tenant, model) == self.number)
    }

    fn is_compared(&self, decision: &DecisionRecord) -> bool {
        self.period.is_about(decision)
            && self.shares.worker_of(&decision.subject.tenant, &decision.subject.model) == self.number
    }
}

impl Worker<Vec<DecisionRecord>> for Trial<'_> {
    fn step(
        &mut self,
        batch: &Batch<Vec<DecisionRecord>>,
        reader: &dyn Reader,
    ) -> Result<bool, PrepareError> {
        self.replay.recall(if self.trying {
            Recorded::once(&batch.recorded)
        } else {
            Recorded::all(&batch.recorded)
        });
        for record in &batch.records {
            // By all entries, also of models that others fold: each worker begins at the same place.
            self.newest = self.newest.max(record.entry.time());
            let begins = self.period.since.is_some_and(|since| self.newest.is_some_and(|at| at >= since));
            if !self.trying && begins {
                self.try_out(reader)?;
                self.replay.recall(Recorded::once(&batch.recorded));
            }
            if self.is_mine(&record.entry) {
                self.replay.step(record, reader)?;
            } else {
                self.replay.pass_over(record);
            }
        }
        let decided = self.replay.take().decisions;
        // A dry run keeps no state.
        self.replay.forget_touched();
        let messages = self.replay.writes_alerts();
        let recorded: Vec<_> = batch.recorded.iter().filter(|decision| self.is_compared(decision)).collect();
        let candidate: Vec<_> = decided.iter().filter(|decision| self.is_compared(decision)).collect();
        for decision in &candidate {
            self.parts.count(decision, |policy, finding| self.replay.applies_to(policy, finding));
        }
        let candidate = Side::enforced(candidate, messages).under(self.replay.other_tables());
        self.diff.compare(&Side::enforced(recorded, messages), &candidate);
        Ok(true)
    }
}

/// Where the records do not show why a version answers otherwise, its settings do.
fn explain(diff: &mut Diff, settings: &[SettingChange]) {
    let value = |value: &Option<serde_json::Value>| {
        value.as_ref().map_or("not there".to_owned(), ToString::to_string)
    };
    for example in diff.examples.iter_mut().filter(|example| example.why.is_empty()) {
        let decides = |name: &str| {
            example
                .candidate
                .iter()
                .any(|said| said.policy.as_ref().is_some_and(|policy| policy.name == name))
        };
        let changed: Vec<_> = settings
            .iter()
            .filter(|change| decides(&change.policy))
            .map(|change| {
                let (now, before) = (value(&change.candidate), value(&change.recorded));
                format!("`{}` is {now}, not {before}", change.key)
            })
            .collect();
        if !changed.is_empty() {
            example.why.push(format!(
                "asked the same and having read the same, with other settings: {}",
                changed.join(", ")
            ));
        }
    }
}

/// Settings that differ between two replays at the end of the log. Of a policy that one of them does not have, the policy is
/// the news.
fn settings(recorded: &Replay, candidate: &Replay) -> Vec<SettingChange> {
    type Settings = BTreeMap<(String, String), serde_json::Value>;
    let of = |replay: &Replay| -> Settings {
        let policies = replay.settings_in_force();
        policies
            .into_iter()
            .flat_map(|(policy, settings)| {
                settings.into_iter().map(move |(key, value)| ((policy.clone(), key), value))
            })
            .collect()
    };
    let has = |replay: &Replay, name: &str| replay.in_force().any(|entry| entry.policy.name == name);
    let in_both = |key: &&(String, String)| has(recorded, &key.0) && has(candidate, &key.0);
    let (before, now) = (of(recorded), of(candidate));
    let keys: BTreeSet<_> = before.keys().chain(now.keys()).filter(in_both).collect();
    let (recorded, candidate) = (&before, &now);
    keys.into_iter()
        .filter(|key| recorded.get(*key) != candidate.get(*key))
        .map(|key| SettingChange {
            policy: key.0.clone(),
            key: key.1.clone(),
            recorded: recorded.get(key).cloned(),
            candidate: candidate.get(key).cloned(),
        })
        .collect()
}
