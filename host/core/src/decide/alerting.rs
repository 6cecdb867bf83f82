//! Alerts: whether one goes out, its words, and its place in the outbox. The rules are `alerts`'; sending is
//! the server's.

use std::sync::Arc;

use trimtab_types::{
    Action, Alert, Answer, DecisionRecord, DigestBuilder, Effect, Failure, Finding, Message, Metric, Mode,
    Occasion, PolicyKind, Question, Severity, Subject, Verdict,
};

use super::alerts;
use super::{ask::decision_id, turn::Turn};
use crate::{config::ReleaseStage, fold::SentAlert, in_force::Version};

/// Resolved predictions over which an alert states the subject's metrics.
const METRICS_OVER: usize = 200;

impl Turn<'_> {
    /// Considers, formats and enqueues the alerts of a decision, and records it.
    pub(super) fn send_alerts(&mut self, mut record: DecisionRecord, reason: &str) {
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
            let now = self.state.clock(&key);
            let verdict = match alerts::consider(severity, about, sent.as_ref(), rules, now) {
                Err(why) => Verdict::Suppressed { why },
                Ok((occasion, severity)) => {
                    let channels = rules.channels.clone();
                    let sent = SentAlert {
                        severity,
                        at: now,
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
    pub(super) fn repeat_alerts(&mut self) {
        let mut due = Vec::new();
        for (key, model) in &self.state.models {
            let rules = &self.state.configuration.alerts;
            let now = self.state.clock(key);
            let firing = model.alerts.iter().filter(|(_, sent)| alerts::is_due_again(sent, rules, now));
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
            let (at, severity) = (self.state.clock(&key), finding.severity);
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
        if !self.ask.writes_alerts() {
            return;
        }
        let policies = Arc::clone(&self.state.in_force);
        for channel in self.state.configuration.alerts.channels.clone() {
            let formatters = policies.iter().filter(|policy| policy.answers(PolicyKind::AlertFormat));
            let formatter = formatters
                .filter_map(|policy| policy.version_for(&alert.subject))
                .find(|version| version.mode == Mode::Enforce && version.formats(&channel, &alert));
            let (message, by) = match formatter {
                None => (plain(&alert, None), None),
                Some(formatter) => {
                    let (message, failure) = self.render(formatter, &alert, &channel);
                    (
                        message.unwrap_or_else(|| plain(&alert, failure.as_ref())),
                        Some(formatter.reference.clone()),
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
        formatter: Version<'_>,
        alert: &Alert,
        channel: &str,
    ) -> (Option<Message>, Option<Failure>) {
        let question = Question::AlertFormat { alert: Box::new(alert.clone()), channel: channel.to_owned() };
        let reference = formatter.reference.clone();
        let id = decision_id(self.state.position, &alert.subject, &question, Some(&reference));
        let asked = self.ask(&id, Some(formatter), &alert.subject, &question);
        let result = match &asked.answer {
            Answer::Message(message) => (Some(message.clone()), None),
            Answer::Failed(failure) => (None, Some(failure.clone())),
            Answer::Decision(_) => (None, None),
        };
        let record = self.record(id, &alert.subject, Some(reference), formatter.mode, question, asked);
        self.output.decisions.push(record);
        result
    }
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
