//! The one pipe: a record is folded, its findings are put to policies, the safeguards judge what these propose, and what
//! follows is changed in the state or put into the outbox. A live host, a backtest and `verify` all run this code; they
//! differ in where records come from and where the results go.

use std::{collections::BTreeMap, sync::Arc};

use trimtab_policy::{Call, Package, Policy, Sandbox};
use trimtab_store::{Effect, FoldCommit, LogRecord, Reader, StoreError};
use trimtab_types::{
    Action, Alert, Answer, DecisionRecord, DigestBuilder, Entry, Failure, FailureKind, Finding, Message,
    Metric, Mode, Occasion, Phase, PolicyInForce, PolicyRef, Position, Question, Severity, Subject, Verdict,
};

use crate::{
    Configuration, alerts,
    config::ReleaseStage,
    fold::{self, KillNote, SentAlert, State, SubjectView},
    safeguards::{self, Case, Plan},
};

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

/// Resolved predictions over which an alert states the subject's metrics.
const METRICS_OVER: usize = 200;

/// A policy of the set in force, ready or not.
struct InForce {
    entry: PolicyInForce,
    policy: Result<Policy, String>,
}

impl InForce {
    fn answers(&self, kind: &str) -> bool {
        self.entry.mode != Mode::Off && self.entry.kinds.iter().any(|answered| answered == kind)
    }

    fn applies_to(&self, finding: &Finding) -> bool {
        // One that cannot be loaded any more is asked about everything, so that its failure is seen.
        self.policy.as_ref().map_or(true, |policy| policy.applies_to(finding))
    }
}

/// The pipe and its state.
pub struct Pipeline {
    state: State,
    sandbox: Arc<Sandbox>,
    /// The policies in force: replaced as a whole, by a log entry.
    policies: Arc<Vec<InForce>>,
    /// Earlier decisions that cannot be repeated, by id: calls that the safety net stopped.
    recall: BTreeMap<String, DecisionRecord>,
    output: FoldCommit,
}

/// What a policy's call came to, of whatever kind.
struct Asked {
    answer: Answer,
    call: Call<()>,
}

impl Pipeline {
    /// From a state; what the state says is in force is loaded from the store.
    pub fn new(mut state: State, sandbox: Arc<Sandbox>, reader: &dyn Reader) -> Result<Self, PipelineError> {
        if let Some(digest) = state.configuration_digest {
            state.configuration = Arc::new(load_configuration(&digest, state.position, reader)?);
        }
        let output = FoldCommit { from: state.position, to: state.position, ..FoldCommit::default() };
        let policies = Arc::new(Vec::new());
        let mut pipeline = Self { state, sandbox, policies, recall: BTreeMap::new(), output };
        pipeline.load_policies(reader)?;
        Ok(pipeline)
    }

    /// The state after the newest record.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Decisions that cannot be repeated and are taken from the record instead.
    pub fn recall(&mut self, decisions: impl IntoIterator<Item = DecisionRecord>) {
        self.recall = decisions
            .into_iter()
            .filter(|decision| matches!(&decision.answer, Answer::Failed(failure) if !failure.kind.is_repeatable()))
            .map(|decision| (decision.id.clone(), decision))
            .collect();
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
                let configuration = load_configuration(digest, record.position, reader)?;
                findings = self.state.put_in_force(Arc::new(configuration));
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
        self.output.findings.extend(findings.iter().cloned());
        let mut rest = findings.as_slice();
        while let Some(first) = rest.first() {
            let (same, others) =
                rest.split_at(rest.partition_point(|finding| finding.subject <= first.subject));
            let put = fold::put_to_policies(same);
            if !put.is_empty() {
                self.decide(&first.subject, put);
            }
            rest = others;
        }
        Ok(())
    }

    fn load_policies(&mut self, reader: &dyn Reader) -> Result<(), PipelineError> {
        let mut loaded = Vec::new();
        for entry in &self.state.policies.policies {
            let reference = &entry.policy;
            let missing = |problem: String| PipelineError::Content {
                what: format!("policy {}", reference.name),
                digest: reference.digest.to_string(),
                position: self.state.position.0,
                problem,
            };
            let bytes = reader.content(&reference.digest)?.ok_or_else(|| missing("not stored".to_owned()))?;
            let package =
                Package::from_bytes(&reference.name, &bytes).map_err(|error| missing(error.to_string()))?;
            let settings = self
                .state
                .configuration
                .policies
                .get(&reference.name)
                .map(|rule| rule.settings.clone())
                .unwrap_or_default();
            let policy =
                Policy::register(&self.sandbox, &package, &settings).map_err(|error| error.to_string());
            if let Err(problem) = &policy {
                tracing::error!(policy = reference.name, problem, "a policy in force cannot be loaded");
            }
            loaded.push(InForce { entry: entry.clone(), policy });
        }
        self.policies = Arc::new(loaded);
        Ok(())
    }

    /// Puts findings of one subject to the policies: each finding to the first in order that applies and is enforced,
    /// and besides to every shadow that applies.
    fn decide(&mut self, subject: &Subject, findings: Vec<Finding>) {
        let stage = self.state.configuration.stage(&subject.model_key());
        let paused = self.state.subjects.get(subject).is_some_and(|state| state.paused);
        if stage == ReleaseStage::Observe || paused {
            return;
        }
        let policies = Arc::clone(&self.policies);
        let asked = || policies.iter().filter(|policy| policy.answers("drift-action"));
        for shadow in asked().filter(|policy| policy.entry.mode == Mode::Shadow) {
            let seen: Vec<_> =
                findings.iter().filter(|finding| shadow.applies_to(finding)).cloned().collect();
            if !seen.is_empty() {
                self.put_to(Some(shadow), subject, seen);
            }
        }
        let mut rest = findings;
        for policy in asked().filter(|policy| policy.entry.mode == Mode::Enforce) {
            let (taken, left): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|finding| policy.applies_to(finding));
            rest = left;
            if !taken.is_empty() {
                self.put_to(Some(policy), subject, taken);
            }
        }
        if !rest.is_empty() {
            self.put_to(None, subject, rest);
        }
    }

    /// One question, its answer, and what follows from it.
    fn put_to(&mut self, policy: Option<&InForce>, subject: &Subject, findings: Vec<Finding>) {
        let question = Question::DriftAction { findings };
        let reference = policy.map(|policy| policy.entry.policy.clone());
        let id = decision_id(self.state.position, subject, &question, reference.as_ref());
        let asked = self.ask(&id, policy, subject, &question);
        let Question::DriftAction { findings } = &question else { return };

        let (actions, reason) = match (&asked.answer, policy) {
            (Answer::Decision(decision), _) => (decision.actions.clone(), decision.reason.clone()),
            (_, Some(policy)) => fail_safe(policy, &asked.answer),
            (_, None) => host_default(findings),
        };
        let mode = policy.map_or(Mode::Enforce, |policy| policy.entry.mode);
        let mut record = self.record(id, subject, reference, mode, question.clone(), asked);
        if mode != Mode::Enforce {
            self.output.decisions.push(record);
            return;
        }
        self.write_notebook(&record);
        record.verdicts = actions
            .into_iter()
            .map(|action| {
                let verdict = match action {
                    // Alerts come last: they say what has become of the rest.
                    Action::Alert(_) => Verdict::Done { what: String::new() },
                    _ => self.judge_and_apply(&action, &record),
                };
                (action, verdict)
            })
            .collect();
        self.send_alerts(record, &reason);
    }

    /// Asks a policy, or takes from the record what cannot be repeated.
    fn ask(&mut self, id: &str, policy: Option<&InForce>, subject: &Subject, question: &Question) -> Asked {
        if let Some(recorded) = self.recall.get(id) {
            return Asked {
                answer: recorded.answer.clone(),
                call: Call {
                    answer: Ok(()),
                    reads: recorded.reads.clone(),
                    notebook: recorded.notebook.clone(),
                    log: recorded.log.clone(),
                    fuel: recorded.fuel,
                    duration: std::time::Duration::from_micros(recorded.duration_us),
                },
            };
        }
        let failed = |message: String| Asked {
            answer: Answer::Failed(Failure { kind: FailureKind::Load, message }),
            call: Call {
                answer: Ok(()),
                reads: Vec::new(),
                notebook: Vec::new(),
                log: Vec::new(),
                fuel: 0,
                duration: std::time::Duration::ZERO,
            },
        };
        let Some(in_force) = policy else { return failed("no policy applies to this".to_owned()) };
        let policy = match &in_force.policy {
            Ok(policy) => policy,
            Err(problem) => return failed(problem.clone()),
        };
        match question {
            Question::DriftAction { findings } => {
                let view = Arc::new(SubjectView::of(&self.state, subject));
                let notebook = self
                    .state
                    .subjects
                    .get(subject)
                    .and_then(|state| state.notebooks.get(&in_force.entry.policy.name))
                    .cloned()
                    .unwrap_or_default();
                asked(policy.decide(self.state.clock, findings, view, &notebook), Answer::Decision)
            }
            Question::AlertFormat { alert, channel } => {
                asked(policy.render(self.state.clock, alert, channel), Answer::Message)
            }
        }
    }

    /// What was asked and answered here and now; nothing has followed from it yet.
    fn record(
        &self,
        id: String,
        subject: &Subject,
        policy: Option<PolicyRef>,
        mode: Mode,
        question: Question,
        asked: Asked,
    ) -> DecisionRecord {
        let Asked { answer, call } = asked;
        DecisionRecord {
            id,
            position: self.state.position,
            at: self.state.clock,
            subject: subject.clone(),
            policy,
            mode,
            question,
            reads: call.reads,
            notebook: call.notebook,
            answer,
            log: call.log,
            verdicts: Vec::new(),
            fuel: call.fuel,
            duration_us: micros(call.duration),
        }
    }

    fn write_notebook(&mut self, record: &DecisionRecord) {
        let Some(policy) = record.policy.as_ref().filter(|_| !record.notebook.is_empty()) else { return };
        let notebook =
            self.state.subject_mut(&record.subject).notebooks.entry(policy.name.clone()).or_default();
        for change in &record.notebook {
            match &change.value {
                Some(value) => notebook.insert(change.key.clone(), value.clone()),
                None => notebook.remove(&change.key),
            };
        }
    }

    fn judge_and_apply(&mut self, action: &Action, record: &DecisionRecord) -> Verdict {
        let key = record.subject.model_key();
        let Question::DriftAction { findings } = &record.question else {
            return Verdict::Refused { reasons: vec!["only a drift-action policy may act".to_owned()] };
        };
        let model = self.state.models.get(&key).cloned().unwrap_or_default();
        let configuration = Arc::clone(&self.state.configuration);
        let case = Case {
            configuration: &configuration,
            subject: &record.subject,
            model: &model,
            findings,
            now: self.state.clock,
        };
        let (verdict, plan) = safeguards::judge(action, &case);
        self.carry_out(plan, record);
        verdict
    }

    fn carry_out(&mut self, plan: Plan, record: &DecisionRecord) {
        let (clock, subject) = (self.state.clock, &record.subject);
        let key = subject.model_key();
        match plan {
            Plan::Nothing => {}
            Plan::Kill => {
                let by = record
                    .policy
                    .as_ref()
                    .map_or_else(|| "host".to_owned(), |p| format!("policy {}", p.name));
                let reason = match &record.answer {
                    Answer::Decision(decision) => decision.reason.clone(),
                    Answer::Message(_) | Answer::Failed(_) => "fail-safe".to_owned(),
                };
                self.state.model_mut(&key).killed_by_policy = Some(KillNote { by, at: clock, reason });
            }
            Plan::Unkill => self.state.model_mut(&key).killed_by_policy = None,
            Plan::Exposure(exposure) => self.state.model_mut(&key).exposure = exposure,
            Plan::MinimumConfidence(confidence) => {
                self.state.model_mut(&key).minimum_confidence = Some(confidence);
            }
            Plan::PlanRetrain(until) => self.state.model_mut(&key).retrain_planned = Some(until),
            Plan::Retrain => self.state.model_mut(&key).trained(clock),
            Plan::Pause(paused) => self.state.subject_mut(subject).paused = paused,
            Plan::ResetDetector(name) => {
                // What this closes is recorded and not put to a policy again: a decision must not lead to itself.
                let closed = self.state.reset(subject, Some(&name));
                self.output.findings.extend(closed);
            }
            Plan::MarkDegraded => {
                self.state.model_mut(&key).degraded.insert(subject.version.clone());
            }
        }
    }

    /// Considers, formats and enqueues the alerts of a decision, and records it.
    fn send_alerts(&mut self, mut record: DecisionRecord, reason: &str) {
        let Question::DriftAction { findings } = record.question.clone() else { return };
        let failed = matches!(record.answer, Answer::Failed(_)) && record.policy.is_some();
        let key = record.subject.model_key();
        let kind = match &record.policy {
            Some(policy) if failed => format!("policy {}", policy.name),
            _ => alerts::kind_of(&findings),
        };
        let slot = (record.subject.segment.clone(), kind);
        let mut messages = Vec::new();
        for index in 0..record.verdicts.len() {
            let Action::Alert(severity) = record.verdicts[index].0 else { continue };
            let sent = self.state.models.get(&key).and_then(|model| model.alerts.get(&slot)).cloned();
            // The failure of a policy is news even when what it was asked about is over.
            let about = if failed { &[][..] } else { &findings[..] };
            let rules = &self.state.configuration.alerts;
            let verdict = match alerts::consider(severity, about, sent.as_ref(), rules, self.state.clock) {
                Err(why) => Verdict::Suppressed { why },
                Ok((occasion, severity)) => {
                    let channels = rules.channels.clone();
                    let sent = SentAlert {
                        severity,
                        at: self.state.clock,
                        firing: occasion != Occasion::Resolved,
                        subject: record.subject.clone(),
                        reason: reason.to_owned(),
                    };
                    self.state.model_mut(&key).alerts.insert(slot.clone(), sent);
                    messages.push((index, occasion, severity));
                    Verdict::Done { what: format!("{} on {}", occasion.name(), channels.join(", ")) }
                }
            };
            record.verdicts[index].1 = verdict;
        }
        let alerts: Vec<_> = messages
            .into_iter()
            .map(|(index, occasion, severity)| {
                self.alert(&record, index, occasion, severity, &findings, reason)
            })
            .collect();
        self.output.decisions.push(record);
        for alert in alerts {
            self.enqueue(alert);
        }
    }

    fn alert(
        &self,
        record: &DecisionRecord,
        index: usize,
        occasion: Occasion,
        severity: Severity,
        findings: &[Finding],
        reason: &str,
    ) -> Alert {
        Alert {
            id: DigestBuilder::new("alert").part(record.id.as_bytes()).number(index as u64).id('a'),
            subject: record.subject.clone(),
            severity,
            occasion,
            started: findings.iter().map(|finding| finding.opened).min().unwrap_or(record.at),
            findings: findings.to_vec(),
            metrics: self.metrics(&record.subject),
            reason: reason.to_owned(),
            actions: record
                .verdicts
                .iter()
                .filter(|(action, _)| !matches!(action, Action::Alert(_)))
                .map(|(action, verdict)| format!("{action}: {verdict}"))
                .collect(),
            link: None,
        }
    }

    fn metrics(&self, subject: &Subject) -> Vec<Metric> {
        let Some(subject) = self.state.subjects.get(subject) else { return Vec::new() };
        [("accuracy", subject.accuracy(METRICS_OVER)), ("win-rate", subject.win_rate(METRICS_OVER))]
            .into_iter()
            .filter_map(|(name, estimate)| Some(Metric { name: name.to_owned(), estimate: estimate? }))
            .collect()
    }

    /// Says again what is still firing, when its interval is over. Nothing is decided anew.
    fn repeat_alerts(&mut self) {
        let mut due = Vec::new();
        for (key, model) in &self.state.models {
            let rules = &self.state.configuration.alerts;
            let firing =
                model.alerts.iter().filter(|(_, sent)| alerts::is_due_again(sent, rules, self.state.clock));
            for (slot, sent) in firing {
                let subject = self.state.subjects.get(&sent.subject);
                let open = subject.and_then(|state| {
                    let mut open = state.open_findings().filter(|(kind, _)| kind.name() == slot.1);
                    open.next().filter(|_| !state.paused).map(|(_, finding)| finding.clone())
                });
                if let Some(finding) = open
                    && self.state.configuration.stage(key) != ReleaseStage::Observe
                {
                    due.push((key.clone(), slot.clone(), sent.clone(), finding));
                }
            }
        }
        for (key, slot, sent, finding) in due {
            let (at, severity) = (self.state.clock, finding.severity);
            let alert = Alert {
                id: DigestBuilder::new("alert")
                    .number(self.state.position.0)
                    .part(sent.subject.to_string().as_bytes())
                    .part(finding.id.as_bytes())
                    .id('a'),
                subject: sent.subject.clone(),
                severity,
                occasion: Occasion::Repeated,
                started: finding.opened,
                metrics: self.metrics(&sent.subject),
                findings: vec![finding],
                reason: sent.reason.clone(),
                actions: Vec::new(),
                link: None,
            };
            self.state.model_mut(&key).alerts.insert(slot, SentAlert { severity, at, ..sent });
            self.enqueue(alert);
        }
    }

    /// Puts an alert into words on every channel and into the outbox.
    fn enqueue(&mut self, alert: Alert) {
        let policies = Arc::clone(&self.policies);
        for channel in self.state.configuration.alerts.channels.clone() {
            let formatter = policies.iter().find(|policy| {
                policy.entry.mode == Mode::Enforce
                    && policy.answers("alert-format")
                    && policy.policy.as_ref().map_or(true, |policy| policy.formats(&channel, &alert))
            });
            let (message, by) = match formatter {
                None => (plain(&alert, None), None),
                Some(formatter) => {
                    let (message, failure) = self.render(formatter, &alert, &channel);
                    (
                        message.unwrap_or_else(|| plain(&alert, failure.as_ref())),
                        Some(formatter.entry.policy.clone()),
                    )
                }
            };
            let key = DigestBuilder::new("effect").part(alert.id.as_bytes()).part(channel.as_bytes()).id('e');
            self.output.effects.push(Effect {
                key,
                position: self.state.position,
                kind: "alert".to_owned(),
                body: serde_json::json!({ "alert": alert, "message": message, "formatted_by": by }),
                channel,
            });
        }
    }

    fn render(
        &mut self,
        formatter: &InForce,
        alert: &Alert,
        channel: &str,
    ) -> (Option<Message>, Option<Failure>) {
        let question = Question::AlertFormat { alert: Box::new(alert.clone()), channel: channel.to_owned() };
        let reference = formatter.entry.policy.clone();
        let id = decision_id(self.state.position, &alert.subject, &question, Some(&reference));
        let asked = self.ask(&id, Some(formatter), &alert.subject, &question);
        let result = match &asked.answer {
            Answer::Message(message) => (Some(message.clone()), None),
            Answer::Failed(failure) => (None, Some(failure.clone())),
            Answer::Decision(_) => (None, None),
        };
        let mode = formatter.entry.mode;
        let record = self.record(id, &alert.subject, Some(reference), mode, question, asked);
        self.output.decisions.push(record);
        result
    }
}

fn asked<T>(call: Call<T>, answer: impl FnOnce(T) -> Answer) -> Asked {
    let Call { answer: result, reads, notebook, log, fuel, duration } = call;
    let (answer, notebook) = match result {
        Ok(value) => (answer(value), notebook),
        // What a failed call wrote into its notebook is not kept.
        Err(failure) => (Answer::Failed(failure), Vec::new()),
    };
    Asked { answer, call: Call { answer: Ok(()), reads, notebook, log, fuel, duration } }
}

/// What the manifest says for a policy that cannot answer.
fn fail_safe(policy: &InForce, answer: &Answer) -> (Vec<Action>, String) {
    let problem = match answer {
        Answer::Failed(failure) => failure.to_string(),
        Answer::Decision(_) | Answer::Message(_) => "it answered another question".to_owned(),
    };
    let reason =
        format!("policy `{}` could not decide ({problem}); its fail-safe applies", policy.entry.policy.name);
    let actions = policy.policy.as_ref().map_or_else(
        |_| vec![Action::Alert(Severity::Critical)],
        |policy| policy.manifest().fail_safe.clone(),
    );
    (actions, reason)
}

/// What the host does where no policy applies: a finding is never silently dropped.
fn host_default(findings: &[Finding]) -> (Vec<Action>, String) {
    let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info);
    let over = findings.iter().all(|finding| finding.phase == Phase::Closed);
    let what = if over { "recovered" } else { "drifted" };
    (vec![Action::Alert(worst)], format!("{} {what}, and no policy applies to it", findings[0].subject))
}

/// The host's own words, for when no policy has any.
fn plain(alert: &Alert, failure: Option<&Failure>) -> Message {
    let mut body = alert.reason.clone();
    for action in &alert.actions {
        body.push_str("\n- ");
        body.push_str(action);
    }
    if let Some(failure) = failure {
        body.push_str(&format!("\n(formatted by the host: {failure})"));
    }
    Message {
        title: format!("[{}] {} {}", alert.severity, alert.subject, alert.occasion.name()),
        body,
        rich: None,
    }
}

fn decision_id(
    position: Position,
    subject: &Subject,
    question: &Question,
    policy: Option<&PolicyRef>,
) -> String {
    let what = match question {
        Question::DriftAction { findings } => {
            findings.iter().map(|finding| finding.id.as_str()).collect::<Vec<_>>().join(",")
        }
        Question::AlertFormat { alert, channel } => format!("{} {channel}", alert.id),
    };
    let builder = DigestBuilder::new("decision")
        .number(position.0)
        .part(subject.to_string().as_bytes())
        .part(what.as_bytes());
    match policy {
        Some(policy) => builder.part(policy.name.as_bytes()).part(policy.digest.as_bytes()),
        None => builder,
    }
    .id('d')
}

fn load_configuration(
    digest: &trimtab_types::Digest,
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

fn micros(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
