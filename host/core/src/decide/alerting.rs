//! Alerts: who is told what a decision or the time brings, in which words, and its place in the outbox. The rules are
//! `alerts`'; sending is the server's.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use trimtab_types::{
    Action, Alert, AlertKind, Answer, Decision, DecisionRecord, DigestBuilder, Effect, Failure, Finding,
    Message, Mode, ModelKey, Occasion, Phase, PolicyKind, Question, Seconds, Severity, Subject, Timestamp,
    Verdict,
};

use super::alerts::{About, News, Open, Rules};
use super::{ask::decision_id, output::Heard, plain::plain, turn::Turn};
use crate::{
    config::{GroupBy, ReleaseStage, SinkRule},
    detector::DetectorKind,
    fold::State,
    in_force::Version,
    ledger::{AlertGroup, Decided, GroupKey, Line},
};

/// Most findings in a message; of more it says how many.
const FINDINGS_SHOWN: usize = 20;
/// An alert is news for so long, in seconds; …
const NEWS: u64 = 86_400;
/// … one that is critical for so long.
const GRAVE_NEWS: u64 = 3 * 86_400;
/// From here on a reminder asks whether the baseline still fits.
const LONG: u64 = 30 * 86_400;

/// A message that goes out.
struct Telling<'a> {
    id: String,
    /// What is told together.
    group: &'a GroupKey,
    subject: &'a Subject,
    occasion: Occasion,
    severity: Severity,
    started: Timestamp,
    findings: Vec<Finding>,
    reason: String,
    actions: Vec<String>,
}

impl Turn<'_> {
    /// Considers, formats and enqueues the alerts of a decision, and records it.
    pub(super) fn send_alerts(&mut self, mut record: DecisionRecord, reason: &str) {
        let Question::DriftAction { findings } = record.question.clone() else { return };
        let mut tellings = Vec::new();
        for index in 0..record.verdicts.len() {
            let Action::Alert(severity) = record.verdicts[index].0 else { continue };
            if findings.iter().all(|finding| finding.detector == Finding::ACTIVATION) {
                // Nothing is open that could grow or be over: it is said once.
                let said = self.announce(
                    &record.subject,
                    (AlertKind::Performance, severity),
                    reason.to_owned(),
                    &record.id,
                );
                record.verdicts[index].1 = said;
                continue;
            }
            record.verdicts[index].1 =
                self.alert(&record, (index, severity), &findings, reason, &mut tellings);
        }
        let actions: Vec<_> = record
            .verdicts
            .iter()
            .filter(|(action, _)| !matches!(action, Action::Alert(_)))
            .map(|(action, verdict)| format!("{action}: {}", verdict.in_short()))
            .collect();
        let subject = record.subject.clone();
        let model = subject.model_key();
        self.output.decisions.push(record);
        for (id, key, occasion, severity, findings) in tellings {
            let findings = self.with_held(&model, &key, findings);
            self.tell(Telling {
                id,
                group: &key,
                subject: &subject,
                occasion,
                severity,
                started: findings.iter().map(|f| f.opened).min().unwrap_or_else(|| self.state.now(&model)),
                findings,
                reason: reason.to_owned(),
                actions: actions.clone(),
            });
        }
    }

    /// One alert of a decision: each group that its findings belong to is told by itself.
    fn alert(
        &mut self,
        record: &DecisionRecord,
        (index, severity): (usize, Severity),
        findings: &[Finding],
        reason: &str,
        tellings: &mut Vec<(String, GroupKey, Occasion, Severity, Vec<Finding>)>,
    ) -> Verdict {
        let failed = record.policy.as_ref().filter(|_| matches!(record.answer, Answer::Failed(_)));
        let decided = Decided {
            subject: record.subject.clone(),
            reason: reason.to_owned(),
            at: self.state.now(&record.subject.model_key()),
            repeat: self.repeat(record),
        };
        let decided = &decided;
        let gravest = findings.first().map(|finding| group_of(self.state, finding));
        let mut said = Vec::new();
        let mut held_back = Vec::new();
        for (key, findings) in by_group(self.state, findings) {
            // What was decided is about the gravest.
            let worst = findings.iter().map(|finding| finding.severity).max().unwrap_or(severity);
            let severity = if gravest.as_ref() == Some(&key) { severity } else { severity.min(worst) };
            let lines = findings.iter().filter(|f| f.phase != Phase::Closed).map(line).collect();
            let news = News { severity, decided, findings: &findings, lines };
            match self.consider(&key, &news) {
                Ok((occasion, severity)) => said.push((key, occasion, severity, findings)),
                Err(why) => held_back.push(why),
            }
        }
        // The failure of a policy is news, unless the message says so anyway.
        if let Some(policy) = failed.filter(|_| said.is_empty()) {
            let key = GroupKey { kind: AlertKind::Policy, version: String::new(), segment: String::new() };
            let lines = vec![(String::new(), policy.name.clone())];
            match self.consider(&key, &News { severity, decided, findings: &[], lines }) {
                Ok((occasion, severity)) => said.push((key, occasion, severity, findings.to_vec())),
                Err(why) => held_back.push(why),
            }
        }
        if said.is_empty() {
            return Verdict::Suppressed { why: held_back.join("; ") };
        }
        let mut what: Vec<_> = said.iter().map(|(_, occasion, ..)| self.done(*occasion)).collect();
        what.extend(held_back.into_iter().map(|why| format!("the rest held back: {why}")));
        for (key, occasion, severity, findings) in said {
            let id = DigestBuilder::new("alert").part(record.id.as_bytes()).number(index as u64);
            let id = id.part(key.kind.name().as_bytes()).id('a');
            tellings.push((id, key, occasion, severity, findings));
        }
        Verdict::Done { what: what.join("; ") }
    }

    /// How often the policy that decided wants its alert to be said again. One that failed has decided nothing.
    fn repeat(&self, record: &DecisionRecord) -> Option<Seconds> {
        let by = record.policy.as_ref().filter(|_| matches!(record.answer, Answer::Decision(_)))?;
        let known = self.state.in_force.iter().find(|policy| policy.entry.policy.name == by.name)?;
        known.version_for(&record.subject)?.rules.as_ref().ok()?.repeat
    }

    fn consider(&mut self, key: &GroupKey, news: &News<'_>) -> super::alerts::Verdict {
        let model = news.decided.subject.model_key();
        let mut group = self.group(&model, key);
        let open = self.open(&model, key, &group, &news.lines);
        let configuration = Arc::clone(&self.state.configuration);
        let silence = self.state.silence(&model, key.kind).cloned();
        let by = Rules {
            rules: &configuration.alerts,
            silence: silence.as_ref(),
            now: self.state.now(&model),
            back: self.state.back,
        };
        let verdict = group.consider(news, &open, by);
        self.keep(&model, key, group);
        verdict
    }

    /// Something closed: of what groups of the model nothing is open any more, people are told so.
    pub(super) fn tell_what_is_over(&mut self, model: &ModelKey) {
        if self.state.configuration.stage(model) == ReleaseStage::Observe {
            return;
        }
        let known = self.state.models.get(model);
        let is_told = |(key, group): &(&GroupKey, &AlertGroup)| {
            key.kind != AlertKind::Policy && group.told.as_ref().is_some_and(|told| !told.momentary)
        };
        let told = known.into_iter().flat_map(|known| &known.alerts).filter(is_told);
        let told: Vec<GroupKey> = told.map(|(key, _)| key.clone()).collect();
        for key in told {
            let open = self.open(model, &key, &self.group(model, &key), &[]);
            if open.lines.is_empty() {
                self.tell_what_is_due_of(model, &key);
            }
        }
    }

    /// Time has passed: tells what is due.
    pub(super) fn tell_what_is_due(&mut self) {
        let groups: Vec<_> = self
            .state
            .models
            .iter()
            .filter(|(model, _)| self.state.configuration.stage(model) != ReleaseStage::Observe)
            .flat_map(|(model, known)| known.alerts.keys().map(|key| (model.clone(), key.clone())))
            .collect();
        for (model, key) in groups {
            self.tell_what_is_due_of(&model, &key);
        }
    }

    fn tell_what_is_due_of(&mut self, model: &ModelKey, key: &GroupKey) {
        let mut group = self.group(model, key);
        let open = self.open(model, key, &group, &[]);
        let configuration = Arc::clone(&self.state.configuration);
        let silence = self.state.silence(model, key.kind).cloned();
        let now = self.state.now(model);
        let by =
            Rules { rules: &configuration.alerts, silence: silence.as_ref(), now, back: self.state.back };
        let due = group.due(&open, by);
        let about = due.and_then(|due| group.tell_what_is_due(due, &open, now));
        group.forget(by);
        self.keep(model, key, group);
        if let (Some((occasion, severity)), Some(about)) = (due, about) {
            self.say(key, occasion, severity, &about);
        }
    }

    /// Tells what is due, as a decision of the host.
    fn say(&mut self, key: &GroupKey, occasion: Occasion, severity: Severity, about: &About) {
        let subject = &about.decided.subject;
        let model = subject.model_key();
        let now = self.state.now(&model);
        let findings = self.open_findings(&model, key);
        let reason = because(occasion, about, &findings, now);
        let findings: Vec<_> = findings.into_iter().take(FINDINGS_SHOWN).cloned().collect();
        let id = DigestBuilder::new("said").number(self.state.position.0).part(model.to_string().as_bytes());
        let id =
            id.part(key.kind.name().as_bytes()).part(key.version.as_bytes()).part(key.segment.as_bytes());
        let question = Question::DriftAction { findings: findings.clone() };
        let action = Action::Alert(severity);
        let decision = Decision { actions: vec![action.clone()], reason: reason.clone() };
        let asked = trimtab_types::Asked::of(Answer::Decision(decision));
        let mut record = self.record(id.id('d'), subject, None, Mode::Enforce, question, asked);
        record.verdicts = vec![(action, Verdict::Done { what: self.done(occasion) })];
        let id = DigestBuilder::new("alert").part(record.id.as_bytes()).number(0).id('a');
        self.output.decisions.push(record);
        let (started, actions) = (about.since, Vec::new());
        self.tell(Telling {
            id,
            group: key,
            subject,
            occasion,
            severity,
            started,
            findings,
            reason,
            actions,
        });
    }

    /// What was done with an alert, in words.
    fn done(&self, occasion: Occasion) -> String {
        format!("{} on {}", occasion.name(), self.state.configuration.alerts.channels.join(", "))
    }

    /// Tells people something that is no finding, once. Says what was done.
    pub(super) fn announce(
        &mut self,
        subject: &Subject,
        (kind, severity): (AlertKind, Severity),
        reason: String,
        decision: &str,
    ) -> Verdict {
        let model = subject.model_key();
        let now = self.state.now(&model);
        let suppressed = |why: String| Verdict::Suppressed { why };
        if let Some(silence) = self.state.silence(&model, kind).filter(|silence| now < silence.until) {
            return suppressed(format!(
                "silenced until {} by {}",
                silence.until.for_people(),
                silence.note.by
            ));
        }
        let minimum = self.state.configuration.alerts.minimum;
        if severity < minimum || self.state.configuration.stage(&model) == ReleaseStage::Observe {
            return suppressed(format!("milder than {minimum}"));
        }
        let diaries = self.state.diaries_of(&model);
        let mut findings: Vec<Finding> = diaries.flat_map(|(_, diary)| &diary.open).cloned().collect();
        findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.subject.cmp(&b.subject)));
        findings.truncate(FINDINGS_SHOWN);
        let id = DigestBuilder::new("alert").part(decision.as_bytes()).part(b"once").id('a');
        let occasion = Occasion::Firing;
        let actions = Vec::new();
        let group = &GroupKey { kind, version: String::new(), segment: String::new() };
        self.tell(Telling {
            id,
            group,
            subject,
            occasion,
            severity,
            started: now,
            findings,
            reason,
            actions,
        });
        Verdict::Done { what: self.done(occasion) }
    }

    fn group(&self, model: &ModelKey, key: &GroupKey) -> AlertGroup {
        self.state.models.get(model).and_then(|model| model.alerts.get(key)).cloned().unwrap_or_default()
    }

    /// Keeps what was changed of a group. One of which nothing is known is none.
    fn keep(&mut self, model: &ModelKey, key: &GroupKey, group: AlertGroup) {
        if group == self.group(model, key) {
            return;
        }
        let alerts = &mut self.state.model_mut(model).alerts;
        if group == AlertGroup::default() {
            alerts.remove(key);
        } else {
            alerts.insert(key.clone(), group);
        }
    }

    /// What is open of a group: what is grave enough to be told, or was told, or is news.
    fn open(&self, model: &ModelKey, key: &GroupKey, group: &AlertGroup, news: &[Line]) -> Open {
        if key.kind == AlertKind::Policy {
            return self.failing(model, group);
        }
        let rules = &self.state.configuration.alerts;
        let told = |line: &Line| group.told.as_ref().is_some_and(|told| told.lines.contains_key(line));
        let mut open = Open { lines: BTreeMap::new(), muted: true };
        for (_, known) in self.state.diaries_of(model) {
            for finding in &known.open {
                let line = line(finding);
                let counts = finding.severity >= rules.minimum
                    || told(&line)
                    || news.contains(&line)
                    || group.held.contains_key(&line);
                if counts && group_of(self.state, finding) == *key {
                    let severity = open.lines.entry(line).or_insert(finding.severity);
                    *severity = finding.severity.max(*severity);
                    open.muted &= known.paused;
                }
            }
        }
        open.muted &= !open.lines.is_empty();
        open
    }

    /// The policies that fail about a model. That one answers again is said only after a while: it may fail about one
    /// subject and answer about the next.
    fn failing(&self, model: &ModelKey, group: &AlertGroup) -> Open {
        let asked = |name: &str| {
            let mut policies = self.state.in_force.iter();
            policies.any(|known| known.entry.policy.name == name && known.entry.mode == Mode::Enforce)
        };
        let known = self.state.models.get(model);
        let breakers = known.into_iter().flat_map(|known| known.breakers());
        let lines: BTreeMap<_, _> = breakers
            .filter(|(policy, kind, _)| *kind == PolicyKind::DriftAction.name() && asked(&policy.name))
            .map(|(policy, ..)| ((String::new(), policy.name.clone()), Severity::High))
            .collect();
        let interval = u64::from(self.state.configuration.alerts.interval.0);
        let now = self.state.now(model);
        let is_new = group.told.as_ref().is_some_and(|told| now.since(told.news) < interval);
        Open { muted: lines.is_empty() && is_new, lines }
    }

    /// The open findings of a group about which somebody decides, gravest first.
    fn open_findings(&self, model: &ModelKey, key: &GroupKey) -> Vec<&Finding> {
        let diaries = self.state.diaries_of(model).filter(|(_, diary)| !diary.paused);
        let mut findings: Vec<_> = diaries
            .flat_map(|(_, diary)| &diary.open)
            .filter(|finding| group_of(self.state, finding) == *key)
            .collect();
        findings.sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| a.subject.cmp(&b.subject)));
        findings
    }

    /// Findings with the others of their group that are open: whoever reads of one wants to know of the rest.
    fn with_held(&self, model: &ModelKey, key: &GroupKey, mut findings: Vec<Finding>) -> Vec<Finding> {
        for other in self.open_findings(model, key) {
            if findings.len() >= FINDINGS_SHOWN {
                break;
            }
            if findings.iter().all(|finding| finding.id != other.id) {
                findings.push(other.clone());
            }
        }
        findings
    }

    /// Puts an alert into words on every channel and into the outbox.
    fn tell(&mut self, telling: Telling<'_>) {
        let Telling { id, group, subject, occasion, severity, started, findings, reason, actions } = telling;
        let alert = Alert {
            id,
            subject: subject.clone(),
            severity,
            occasion,
            started,
            findings,
            // Of its newest moment: an alert that is said again needs no rows.
            metrics: self
                .state
                .diaries
                .get(subject)
                .map(|diary| diary.facts.metrics.clone())
                .unwrap_or_default(),
            reason,
            actions,
            link: None,
        };
        let configuration = Arc::clone(&self.state.configuration);
        let mut written: BTreeMap<&str, serde_json::Value> = BTreeMap::new();
        let queue = configuration.alerts.channels.iter().map(|channel| (Effect::QUEUE, channel.as_str()));
        let hears = |(_, sink): &(&String, &SinkRule)| sink.hears(&alert);
        let others =
            configuration.sinks.iter().filter(hears).map(|(name, sink)| (name.as_str(), sink.channel()));
        let hear: Vec<(&str, &str)> = queue.chain(others).collect();
        if hear.is_empty() {
            return;
        }
        let at = self.state.now(&subject.model_key());
        self.output.told.push(Heard { subject: subject.clone(), occasion, at });
        if !self.ask.writes_alerts() {
            return;
        }
        for (sink, channel) in hear {
            // Whoever hears of it in the same words has them of one question.
            let body = match written.get(channel) {
                Some(body) => body.clone(),
                None => self.write(&alert, group, channel),
            };
            let effect = self.effect(&alert, sink, channel, body.clone());
            self.output.effects.push(effect);
            written.insert(channel, body);
        }
    }

    /// An alert in the words of a channel.
    fn write(&mut self, alert: &Alert, group: &GroupKey, channel: &str) -> serde_json::Value {
        let policies = Arc::clone(&self.state.in_force);
        let formatters = policies.iter().filter(|policy| policy.answers(PolicyKind::AlertFormat));
        let formatter = formatters
            .filter_map(|policy| policy.version_for(&alert.subject))
            .find(|version| version.mode == Mode::Enforce && version.formats(channel, alert));
        let (message, by) = match formatter {
            None => (plain(alert, None), None),
            Some(formatter) => {
                let (message, failure) = self.render(formatter, alert, channel);
                let message = message.unwrap_or_else(|| plain(alert, failure.as_ref()));
                (message, Some(formatter.reference.clone()))
            }
        };
        serde_json::json!({ "alert": alert, "group": group, "message": message, "formatted_by": by })
    }

    /// What a sink is to be sent. The queue file takes it however late it is; to others it is news for a while only.
    fn effect(&self, alert: &Alert, sink: &str, channel: &str, body: serde_json::Value) -> Effect {
        let at = self.state.now(&alert.subject.model_key());
        let key = DigestBuilder::new("effect").part(alert.id.as_bytes()).part(channel.as_bytes());
        let (key, expires) = if sink == Effect::QUEUE {
            (key.id('e'), None)
        } else {
            let news = if alert.severity == Severity::Critical { GRAVE_NEWS } else { NEWS };
            (key.part(sink.as_bytes()).id('e'), Some(at.plus(news)))
        };
        Effect {
            key,
            position: self.state.position,
            kind: "alert".to_owned(),
            sink: sink.to_owned(),
            channel: channel.to_owned(),
            at,
            expires,
            body,
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
            _ => (None, None),
        };
        let record = self.record(id, &alert.subject, Some(reference), formatter.mode, question, asked);
        self.output.decisions.push(record);
        result
    }
}

/// The group that a finding belongs to.
fn group_of(state: &State, finding: &Finding) -> GroupKey {
    let by = &state.configuration.alerts.group_by;
    let apart = |by_this: GroupBy, name: &str| {
        if by.contains(&by_this) { name.to_owned() } else { String::new() }
    };
    GroupKey {
        kind: DetectorKind::from_name(&finding.detector)
            .map_or(AlertKind::Performance, DetectorKind::alert_kind),
        version: apart(GroupBy::Version, &finding.subject.version),
        segment: apart(GroupBy::Segment, &finding.subject.segment),
    }
}

fn by_group(state: &State, findings: &[Finding]) -> BTreeMap<GroupKey, Vec<Finding>> {
    let mut groups: BTreeMap<GroupKey, Vec<Finding>> = BTreeMap::new();
    for finding in findings {
        groups.entry(group_of(state, finding)).or_default().push(finding.clone());
    }
    groups
}

/// What a finding is to a group.
fn line(finding: &Finding) -> Line {
    (finding.subject.version.clone(), finding.quantity.clone())
}

/// Why something is told that was not decided now.
fn because(occasion: Occasion, about: &About, open: &[&Finding], now: Timestamp) -> String {
    let mut reason = match occasion {
        Occasion::Resolved => "nothing of it is open any more".to_owned(),
        // Its figures and its advice are those of then.
        _ if about.decided.at < now => {
            format!("decided at {}: {}", about.decided.at.for_people(), about.decided.reason)
        }
        _ => about.decided.reason.clone(),
    };
    let subjects: BTreeSet<_> = open.iter().map(|finding| &finding.subject).collect();
    if open.len() > 1 {
        reason.push_str(&format!("; {} findings of {} open", open.len(), among(subjects.len())));
    }
    if occasion == Occasion::Repeated && now.since(about.since) >= LONG {
        reason.push_str(&format!("; since {}: does the baseline still fit?", about.since.for_people()));
    }
    reason
}

fn among(subjects: usize) -> String {
    if subjects == 1 { "one subject".to_owned() } else { format!("{subjects} subjects") }
}
