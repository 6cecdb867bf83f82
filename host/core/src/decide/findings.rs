//! From findings to what follows: who is asked about what, which of several policies' proposals stand, what the safeguards
//! make of them, and what changes in the state.

use std::{collections::BTreeSet, sync::Arc};

use trimtab_types::{
    Action, Answer, DecisionRecord, Finding, Mode, MomentKind, Phase, PolicyKind, Proposed, Question,
    RetrainCause, RetrainMode, Severity, Subject, Verdict,
};

use super::{ask::decision_id, moments::moment, output::Order, turn::Turn};
use super::{
    compose,
    safeguards::{self, Case, Plan},
};
use crate::{
    config::{Composition, ReleaseStage},
    fold::KillNote,
    in_force::Version,
};

/// A pause that a policy asked for ends by itself.
const LONGEST_PAUSE: u64 = 86_400;

/// What a policy, or the host in its place, proposes. Nothing has happened yet.
struct Proposal {
    record: DecisionRecord,
    actions: Vec<Action>,
    reason: String,
}

impl Turn<'_> {
    /// Puts findings of one subject to the policies.
    pub(super) fn decide(&mut self, subject: &Subject, findings: Vec<Finding>) {
        self.withdraw(subject, &findings);
        self.put(subject, findings, None);
    }

    /// Puts findings of one subject to the policies, or to these of them. All of them see the state as it was when the
    /// findings arose; then what they propose is composed, judged and carried out.
    pub(super) fn put(&mut self, subject: &Subject, findings: Vec<Finding>, only: Option<&BTreeSet<String>>) {
        let stage = self.state.configuration.stage(&subject.model_key());
        if stage == ReleaseStage::Observe {
            return;
        }
        if self.state.diaries.get(subject).is_some_and(|diary| diary.paused) {
            // A pause keeps what is critical from nobody.
            let is_critical = |f: &Finding| f.phase != Phase::Closed && f.severity == Severity::Critical;
            if !findings.iter().any(is_critical) {
                return;
            }
            self.pause(subject, false);
        }
        let policies = Arc::clone(&self.state.in_force);
        let versions = |mode| {
            let answers = policies.iter().filter(|policy| policy.answers(PolicyKind::DriftAction));
            answers
                .filter_map(|policy| policy.version_for(subject))
                .filter(move |version| version.mode == mode)
        };
        let wanted = |version: &Version<'_>| only.is_none_or(|only| only.contains(&version.reference.name));
        for shadow in versions(Mode::Shadow).filter(wanted) {
            let seen: Vec<_> =
                findings.iter().filter(|finding| shadow.applies_to(finding)).cloned().collect();
            if !seen.is_empty() {
                let proposal = self.propose(Some(shadow), subject, seen);
                self.output.decisions.push(proposal.record);
            }
        }
        let composition = self.state.configuration.decisions.policies;
        // Whoever comes first takes its findings, also where only others are asked.
        let proposals: Vec<_> = share_out(findings, versions(Mode::Enforce), composition)
            .into_iter()
            .filter(|(version, _)| version.as_ref().map_or(only.is_none(), wanted))
            .map(|(version, findings)| self.propose(version, subject, findings))
            .collect();
        let overruled =
            compose::overruled(&proposals.iter().map(|p| p.actions.as_slice()).collect::<Vec<_>>());
        let names: Vec<_> =
            proposals.iter().map(|proposal| proposal.record.decided_by().to_owned()).collect();
        for (proposal, overruled) in proposals.into_iter().zip(overruled) {
            self.follow(proposal, &overruled, &names);
        }
    }

    /// One question and its answer; or what is done in a failed policy's place.
    fn propose(
        &mut self,
        version: Option<Version<'_>>,
        subject: &Subject,
        findings: Vec<Finding>,
    ) -> Proposal {
        let question = Question::DriftAction { findings };
        let reference = version.map(|version| version.reference.clone());
        let id = decision_id(self.state.position, subject, &question, reference.as_ref());
        let asked = self.ask(&id, version, subject, &question);
        if let Some(version) = version {
            let now = self.state.now(&subject.model_key());
            self.state.diary_mut(subject).asked.insert(version.reference.name.clone(), now);
        }
        let (actions, reason) = match (&asked.answer, version, &question) {
            (Answer::Decision(decision), ..) => (decision.actions.clone(), decision.reason.clone()),
            (_, None, Question::DriftAction { findings }) => host_default(findings),
            (answer, Some(version), _) => fail_safe(version, answer),
            (_, None, _) => (Vec::new(), String::new()),
        };
        let mode = version.map_or(Mode::Enforce, |version| version.mode);
        let record = self.record(id, subject, reference, mode, question, asked);
        Proposal { record, actions, reason }
    }

    /// What follows from a proposal. `overruled` says which of its actions give way, and to whose.
    fn follow(&mut self, proposal: Proposal, overruled: &[Option<usize>], names: &[String]) {
        let Proposal { mut record, actions, reason } = proposal;
        self.write_notebook(&record);
        let judged = actions.into_iter().zip(overruled).map(|(action, overruled)| {
            let verdict = match (&action, overruled) {
                (_, Some(by)) => Verdict::Overruled { by: names.get(*by).cloned().unwrap_or_default() },
                // Alerts come last: they say what has become of the rest.
                (Action::Alert(_), None) => Verdict::Done { what: String::new() },
                (_, None) => self.judge_and_apply(&action, &record),
            };
            (action, verdict)
        });
        record.verdicts = judged.collect();
        self.send_alerts(record, &reason);
    }

    pub(super) fn judge_and_apply(&mut self, action: &Action, record: &DecisionRecord) -> Verdict {
        let key = record.subject.model_key();
        let findings = record.question.findings();
        let model = self.state.models.get(&key).cloned().unwrap_or_default();
        let configuration = Arc::clone(&self.state.configuration);
        let registry = self.state.registries.get(&key).cloned();
        let case = Case {
            configuration: &configuration,
            subject: &record.subject,
            model: &model,
            registry: registry.as_deref(),
            paused: self.state.diaries.get(&record.subject).is_some_and(|diary| diary.paused),
            findings,
            by: record.decided_by(),
            now: self.state.now(&key),
        };
        let (verdict, plan) = safeguards::judge(action, &case);
        let is_retrain = plan == Plan::Retrain || plan == Plan::Propose(Action::RetrainNow);
        if is_retrain {
            let cause = retrain_cause(record);
            return match plan {
                Plan::Retrain => self.begin_retrain(&key, cause),
                _ => {
                    let reason = cause.reason.clone();
                    self.put_before_a_person(&key, Proposed::Retrain { cause }, record, &reason)
                }
            };
        }
        if let Plan::Propose(action) = plan {
            let version = record.subject.version.clone();
            let reason = record.answer.words();
            return self.put_before_a_person(&key, Proposed::Act { version, action }, record, &reason);
        }
        if let Plan::ProposeChange { action, cause } = plan {
            let what = Proposed::Change { subject: record.subject.clone(), action, cause };
            let reason = record.answer.words();
            return self.put_before_a_person(&key, what, record, &reason);
        }
        let by = record.policy.as_ref().map_or_else(|| "host".to_owned(), |p| format!("policy {}", p.name));
        let reason = match &record.answer {
            Answer::Decision(decision) => decision.reason.clone(),
            _ => "fail-safe".to_owned(),
        };
        self.carry_out(plan, &record.subject, by, reason);
        verdict
    }

    /// Nobody decides about a subject for a while, or somebody does again.
    fn pause(&mut self, subject: &Subject, paused: bool) {
        self.state.diary_mut(subject).paused = paused;
        let model = subject.model_key();
        let until = self.state.now(&model).plus(LONGEST_PAUSE);
        let pauses = &mut self.state.model_mut(&model).pauses;
        let key = (subject.version.clone(), subject.segment.clone());
        if paused {
            pauses.insert(key, until);
        } else {
            pauses.remove(&key);
        }
    }

    /// Pauses that are over end, and what is open is put to the policies again.
    pub(super) fn end_pauses(&mut self) {
        let mut over = Vec::new();
        for (model, known) in &self.state.models {
            let now = self.state.now(model);
            over.extend(known.pauses.iter().filter(|(_, until)| now >= **until).map(
                |((version, segment), _)| Subject {
                    tenant: model.tenant.clone(),
                    model: model.model.clone(),
                    version: version.clone(),
                    segment: segment.clone(),
                },
            ));
        }
        self.resume(&over);
    }

    /// Ends pauses, and puts what is open to the policies again.
    pub(super) fn resume(&mut self, subjects: &[Subject]) {
        for subject in subjects {
            self.pause(subject, false);
        }
        self.ask_again(|subject| subjects.contains(subject));
    }

    /// Changes the state as planned, in somebody's name.
    pub(super) fn carry_out(&mut self, plan: Plan, subject: &Subject, by: String, reason: String) {
        let key = subject.model_key();
        let clock = self.state.now(&key);
        match plan {
            Plan::Nothing => {}
            Plan::Kill => {
                self.state.model_mut(&key).killed_by_policy = Some(KillNote { by, at: clock, reason });
            }
            Plan::Unkill => self.state.model_mut(&key).killed_by_policy = None,
            Plan::Exposure(exposure) => self.state.model_mut(&key).exposure = exposure,
            Plan::MinimumConfidence(confidence) => {
                self.state.model_mut(&key).minimum_confidence = Some(confidence);
            }
            Plan::PlanRetrain(until) => self.state.model_mut(&key).retrain_planned = Some(until),
            Plan::AskForRetrain => self.state.model_mut(&key).ask_for_retrain(clock),
            Plan::Pause(paused) => self.pause(subject, paused),
            Plan::ResetDetector(name) => {
                // What this closes is recorded and not put to a policy again: a decision must not lead to itself.
                let closed = self.state.order_reset(subject, Some(&name));
                let moment = moment(self.state, MomentKind::Ordered, subject, closed);
                self.state.live(&moment);
                self.output.moments.push(moment);
                self.output.orders.push(Order { subject: subject.clone(), reset: name });
            }
            Plan::MarkDegraded => self.mark_degraded(subject),
            Plan::StopExperiment => self.stop_experiment(&key, &subject.version, &reason),
            // Put before a person, or begun, where it was judged.
            Plan::Propose(_) | Plan::ProposeChange { .. } | Plan::Retrain => {}
        }
    }
}

/// What a drift's retrain is asked for with: the gravest finding says what is to be mended.
fn retrain_cause(record: &DecisionRecord) -> RetrainCause {
    let findings = record.question.findings();
    let gravest = findings.iter().rev().max_by_key(|finding| finding.severity);
    RetrainCause {
        mode: RetrainMode::Emergency,
        by: record.decided_by().to_owned(),
        reason: record.answer.words(),
        threshold: gravest.map(|finding| finding.threshold),
        segment: gravest.map(|finding| finding.subject.segment.clone()).unwrap_or_default(),
    }
}

/// Who is asked about what. Whatever nobody is asked about is the host's own.
fn share_out<'a>(
    findings: Vec<Finding>,
    versions: impl Iterator<Item = Version<'a>>,
    composition: Composition,
) -> Vec<(Option<Version<'a>>, Vec<Finding>)> {
    let mut shares = Vec::new();
    let mut unasked = findings.clone();
    for version in versions {
        let pool = match composition {
            Composition::First => &unasked,
            Composition::All => &findings,
        };
        let taken: Vec<_> = pool.iter().filter(|finding| version.applies_to(finding)).cloned().collect();
        unasked.retain(|finding| !version.applies_to(finding));
        if !taken.is_empty() {
            shares.push((Some(version), taken));
        }
    }
    if !unasked.is_empty() {
        shares.push((None, unasked));
    }
    shares
}

/// What the manifest says for a policy that cannot answer.
fn fail_safe(version: Version<'_>, answer: &Answer) -> (Vec<Action>, String) {
    let problem = match answer {
        Answer::Failed(failure) => failure.to_string(),
        _ => "it answered another question".to_owned(),
    };
    let reason =
        format!("policy `{}` could not decide ({problem}); its fail-safe applies", version.reference.name);
    let actions = version
        .rules
        .as_ref()
        .map_or_else(|_| vec![Action::Alert(Severity::Critical)], |rules| rules.fail_safe.clone());
    (actions, reason)
}

/// What the host does where no policy applies: a finding is never silently dropped.
fn host_default(findings: &[Finding]) -> (Vec<Action>, String) {
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info);
    let over = findings.iter().all(|finding| finding.phase == Phase::Closed);
    let what = if over { "recovered" } else { "drifted" };
    (vec![Action::Alert(worst)], format!("{} {what}, and no policy applies to it", findings[0].subject))
}
