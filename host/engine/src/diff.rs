//! How two series of decisions about the same log differ: moment by moment, in numbers and with examples that say why. A
//! moment is all that was decided about one subject at one position. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Action, Answer, DecisionRecord, Finding, Mode, PolicyRef, Position, Question, Read, Severity, Subject,
    Timestamp, Verdict, format_duration,
};

/// Examples of each kind that are kept: the first ones.
const MOST_EXAMPLES: usize = 100;
/// Reasons why that are given for one example.
const MOST_REASONS: usize = 6;

/// How often what became of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    /// The same actions with the same verdicts.
    pub unchanged: u64,
    /// Others.
    pub changed: u64,
    /// Decided before, and not any more.
    pub gone: u64,
    /// Not decided before.
    pub new: u64,
}

impl Counts {
    /// Whether anything differs.
    pub fn differ(&self) -> bool {
        self.changed + self.gone + self.new > 0
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.unchanged += other.unchanged;
        self.changed += other.changed;
        self.gone += other.gone;
        self.new += other.new;
    }

    fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Unchanged | Kind::Reworded => self.unchanged += 1,
            Kind::Changed => self.changed += 1,
            Kind::Gone => self.gone += 1,
            Kind::New => self.new += 1,
        }
    }
}

/// What became of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The same.
    Unchanged,
    /// The same is done for reasons that read differently.
    Reworded,
    /// Something else is done.
    Changed,
    /// Nothing is decided any more.
    Gone,
    /// Nothing was decided before.
    New,
}

impl Kind {
    /// As people read it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unchanged => "unchanged",
            Self::Reworded => "reworded",
            Self::Changed => "changed",
            Self::Gone => "gone",
            Self::New => "new",
        }
    }
}

/// How often an action is proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proposed {
    /// As recorded.
    pub recorded: u64,
    /// With the candidate.
    pub candidate: u64,
}

/// How two series of decisions differ.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Diff {
    /// Of all moments at which something was decided.
    pub total: Counts,
    /// Of the words of alerts, one for each alert and channel.
    pub messages: Counts,
    /// Of the unchanged, those whose reasons read differently.
    pub reworded: u64,
    /// By action: how often it is proposed.
    pub actions: BTreeMap<String, Proposed>,
    /// By model.
    pub models: BTreeMap<String, Counts>,
    /// By the gravest finding.
    pub severities: BTreeMap<Severity, Counts>,
    /// By day of the log's clock.
    pub days: BTreeMap<String, Counts>,
    /// The first of each kind, in the order of the log.
    pub examples: Vec<Example>,
}

/// One moment that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// How.
    pub kind: Kind,
    /// Where in the log.
    pub position: Position,
    /// The log's clock then.
    pub at: Timestamp,
    /// About whom.
    pub subject: Subject,
    /// For which channel, if it is about an alert's words.
    pub channel: Option<String>,
    /// What was put to the policies.
    pub findings: Vec<Finding>,
    /// What had been decided.
    pub recorded: Vec<Said>,
    /// What would be.
    pub candidate: Vec<Said>,
    /// Why they differ, in sentences; empty where the records do not show it.
    pub why: Vec<String>,
}

/// What a policy, or the host in its place, said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Said {
    /// `None`: no policy applied.
    pub policy: Option<PolicyRef>,
    /// Each action with what the safeguards made of it; `None`: in shadow, where nobody asks them.
    pub actions: Vec<(Action, Option<Verdict>)>,
    /// Its reason, message or failure.
    pub words: String,
}

/// Which moment.
type Key<'a> = (Position, &'a Subject, Option<&'a str>);

/// One of the two series.
#[derive(Debug)]
pub struct Side<'a> {
    moments: BTreeMap<Key<'a>, Vec<&'a DecisionRecord>>,
    /// Whether the safeguards were asked.
    judged: bool,
}

impl<'a> Side<'a> {
    /// What was acted on; with the words of alerts, if asked.
    pub fn enforced(decisions: impl IntoIterator<Item = &'a DecisionRecord>, messages: bool) -> Self {
        let enforced = decisions.into_iter().filter(|decision| decision.mode == Mode::Enforce);
        Self { moments: moments(enforced.filter(|decision| messages || !is_message(decision))), judged: true }
    }

    /// What a policy said in shadow.
    pub fn shadow(decisions: impl IntoIterator<Item = &'a DecisionRecord>, policy: &str) -> Self {
        let said = |decision: &&DecisionRecord| {
            decision.mode == Mode::Shadow
                && !is_message(decision)
                && decision.policy.as_ref().is_some_and(|by| by.name == policy)
        };
        Self { moments: moments(decisions.into_iter().filter(said)), judged: false }
    }

    /// Only the moments that the other side has, too.
    #[must_use]
    pub fn where_also(mut self, other: &Self) -> Self {
        self.moments.retain(|key, _| other.moments.contains_key(key));
        self
    }
}

fn is_message(decision: &DecisionRecord) -> bool {
    matches!(decision.question, Question::AlertFormat { .. })
}

fn moments<'a>(
    decisions: impl Iterator<Item = &'a DecisionRecord>,
) -> BTreeMap<Key<'a>, Vec<&'a DecisionRecord>> {
    let mut moments: BTreeMap<Key<'a>, Vec<_>> = BTreeMap::new();
    for decision in decisions {
        let channel = match &decision.question {
            Question::DriftAction { .. } => None,
            Question::AlertFormat { channel, .. } => Some(channel.as_str()),
        };
        moments.entry((decision.position, &decision.subject, channel)).or_default().push(decision);
    }
    moments
}

impl Diff {
    /// Whether any decision, or any alert's words, would be others.
    pub fn differs(&self) -> bool {
        self.total.differ() || self.messages.differ()
    }

    /// Takes both series over the same stretch of the log.
    pub fn compare(&mut self, recorded: &Side<'_>, candidate: &Side<'_>) {
        let judged = recorded.judged && candidate.judged;
        let before =
            recorded.moments.iter().map(|(key, said)| (key, (Some(said), candidate.moments.get(key))));
        let only_now = candidate.moments.iter().filter(|(key, _)| !recorded.moments.contains_key(*key));
        let only_now = only_now.map(|(key, said)| (key, (None, Some(said))));
        for (key, (recorded, candidate)) in before.chain(only_now) {
            let (recorded, candidate) =
                (recorded.map_or(&[][..], Vec::as_slice), candidate.map_or(&[][..], Vec::as_slice));
            self.moment(key, recorded, candidate, judged);
        }
        self.shorten();
    }

    fn moment(
        &mut self,
        key: &Key<'_>,
        recorded: &[&DecisionRecord],
        candidate: &[&DecisionRecord],
        judged: bool,
    ) {
        let Some(any) = recorded.first().or(candidate.first()) else { return };
        let kind = kind(recorded, candidate, judged);
        let findings = findings(any);
        let severity = findings.iter().map(|finding| finding.severity).max().unwrap_or(Severity::Info);
        if key.2.is_some() {
            self.messages.count(kind);
        } else {
            self.total.count(kind);
            self.reworded += u64::from(kind == Kind::Reworded);
            self.models.entry(any.subject.model_key().to_string()).or_default().count(kind);
            self.severities.entry(severity).or_default().count(kind);
            self.days.entry(any.at.to_string().chars().take(10).collect()).or_default().count(kind);
        }
        for decision in recorded {
            for action in actions(decision) {
                self.actions.entry(action.name().to_owned()).or_default().recorded += 1;
            }
        }
        for decision in candidate {
            for action in actions(decision) {
                self.actions.entry(action.name().to_owned()).or_default().candidate += 1;
            }
        }
        if kind != Kind::Unchanged {
            self.examples.push(Example {
                kind,
                position: key.0,
                at: any.at,
                subject: any.subject.clone(),
                channel: key.2.map(str::to_owned),
                findings: findings.to_vec(),
                recorded: recorded.iter().map(|decision| said(decision)).collect(),
                candidate: candidate.iter().map(|decision| said(decision)).collect(),
                why: why(recorded, candidate, judged),
            });
        }
    }

    /// Takes the differences of another part of the log.
    pub fn merge(&mut self, other: Self) {
        self.total.add(&other.total);
        self.messages.add(&other.messages);
        self.reworded += other.reworded;
        for (action, proposed) in other.actions {
            let sum = self.actions.entry(action).or_default();
            sum.recorded += proposed.recorded;
            sum.candidate += proposed.candidate;
        }
        for (model, counts) in other.models {
            self.models.entry(model).or_default().add(&counts);
        }
        for (severity, counts) in other.severities {
            self.severities.entry(severity).or_default().add(&counts);
        }
        for (day, counts) in other.days {
            self.days.entry(day).or_default().add(&counts);
        }
        self.examples.extend(other.examples);
        self.shorten();
    }

    /// Keeps the first examples of each kind, whatever the order in which parts came.
    fn shorten(&mut self) {
        self.examples
            .sort_by(|a, b| (a.position, &a.subject, &a.channel).cmp(&(b.position, &b.subject, &b.channel)));
        let mut kept: BTreeMap<Kind, usize> = BTreeMap::new();
        self.examples.retain(|example| {
            let kept = kept.entry(example.kind).or_default();
            *kept += 1;
            *kept <= MOST_EXAMPLES
        });
    }
}

fn kind(recorded: &[&DecisionRecord], candidate: &[&DecisionRecord], judged: bool) -> Kind {
    if recorded.is_empty() {
        return Kind::New;
    }
    if candidate.is_empty() {
        return Kind::Gone;
    }
    let done = |decisions: &[&DecisionRecord]| -> Vec<(Action, &'static str)> {
        decisions
            .iter()
            .flat_map(|decision| said(decision).actions)
            .map(|(action, verdict)| {
                (action, verdict.filter(|_| judged).map_or("", |verdict| verdict.name()))
            })
            .collect()
    };
    let words = |decisions: &[&DecisionRecord]| -> Vec<String> {
        decisions.iter().map(|decision| said(decision).words).collect()
    };
    let about_words = recorded.iter().any(|decision| is_message(decision));
    match (done(recorded) == done(candidate), words(recorded) == words(candidate)) {
        (true, true) => Kind::Unchanged,
        // An alert's words are what there is of it.
        (true, false) if !about_words => Kind::Reworded,
        _ => Kind::Changed,
    }
}

fn findings(decision: &DecisionRecord) -> &[Finding] {
    match &decision.question {
        Question::DriftAction { findings } => findings,
        Question::AlertFormat { alert, .. } => &alert.findings,
    }
}

fn actions(decision: &DecisionRecord) -> Vec<Action> {
    said(decision).actions.into_iter().map(|(action, _)| action).collect()
}

fn said(decision: &DecisionRecord) -> Said {
    let (proposed, words) = match &decision.answer {
        Answer::Decision(answer) => (answer.actions.as_slice(), answer.reason.clone()),
        Answer::Message(message) => (&[][..], format!("{}\n{}", message.title, message.body)),
        Answer::Failed(failure) => (&[][..], failure.to_string()),
    };
    let actions = if decision.verdicts.is_empty() {
        proposed.iter().map(|action| (action.clone(), None)).collect()
    } else {
        let judged = decision.verdicts.iter();
        judged.map(|(action, verdict)| (action.clone(), Some(verdict.clone()))).collect()
    };
    Said { policy: decision.policy.clone(), actions, words }
}

/// Why two moments differ, as far as the records show.
fn why(recorded: &[&DecisionRecord], candidate: &[&DecisionRecord], judged: bool) -> Vec<String> {
    let mut why = Vec::new();
    match (recorded.first(), candidate.first()) {
        (Some(before), None) => why.push(missing(before, "with the candidate")),
        (None, Some(now)) => why.push(missing(now, "in the record")),
        _ => {}
    }
    for (before, now) in recorded.iter().zip(candidate) {
        match (&before.policy, &now.policy) {
            (Some(a), Some(b)) if a.name == b.name && a.digest != b.digest => why.push(format!(
                "another version of `{}` decides: {} instead of {}",
                b.name,
                b.digest.short(),
                a.digest.short()
            )),
            (a, b) if a != b => {
                why.push(format!("`{}` decides, and not `{}`", now.decided_by(), before.decided_by()));
            }
            _ => {}
        }
        match (&before.answer, &now.answer) {
            (Answer::Failed(_), Answer::Failed(_)) => {}
            (_, Answer::Failed(failure)) => why.push(format!("the candidate fails ({failure})")),
            (Answer::Failed(failure), _) => why.push(format!("it had failed ({failure}), and answers now")),
            _ => {}
        }
        why.extend(found_otherwise(findings(before), findings(now)));
        why.extend(read_otherwise(&before.reads, &now.reads));
        if judged && actions(before) == actions(now) && before.verdicts != now.verdicts {
            why.extend(judged_otherwise(before, now));
        }
    }
    why.truncate(MOST_REASONS);
    why
}

fn missing(decision: &DecisionRecord, where_not: &str) -> String {
    let findings: Vec<_> = findings(decision)
        .iter()
        .map(|finding| format!("{} on {} {}", finding.detector, finding.quantity, finding.phase.name()))
        .collect();
    format!("{where_not} nothing was put to a policy at this moment ({})", findings.join(", "))
}

fn found_otherwise(before: &[Finding], now: &[Finding]) -> Option<String> {
    let shown = |findings: &[Finding]| -> Vec<String> {
        let one = |finding: &Finding| {
            format!(
                "{} on {} {} ({})",
                finding.detector,
                finding.quantity,
                finding.phase.name(),
                finding.severity
            )
        };
        findings.iter().map(one).collect()
    };
    let (before, now) = (shown(before), shown(now));
    (before != now)
        .then(|| format!("it was asked about {}, and not about {}", now.join(", "), before.join(", ")))
}

/// The first thing that was read otherwise.
fn read_otherwise(before: &[Read], now: &[Read]) -> Option<String> {
    let differs = before.iter().zip(now).find(|(before, now)| before != now);
    match differs {
        Some((before, now)) => Some(format!("it read {}, where it had read {}", read(now), read(before))),
        None if now.len() > before.len() => {
            now.get(before.len()).map(|extra| format!("it read {} as well", read(extra)))
        }
        None if now.len() < before.len() => {
            before.get(now.len()).map(|less| format!("it did not read {} any more", read(less)))
        }
        None => None,
    }
}

/// What was read, in words.
pub fn read(read: &Read) -> String {
    let estimate = |estimate: &Option<trimtab_types::Estimate>| {
        estimate
            .as_ref()
            .map_or("nothing".to_owned(), |known| format!("{} ({} samples)", known.value, known.samples))
    };
    let ago = |seconds: &u32| format_duration(u64::from(*seconds));
    let time = |known: &Option<u32>| {
        known.as_ref().map_or("never".to_owned(), |known| format!("{} ago", ago(known)))
    };
    match read {
        Read::Recent { metric, last, answer } => {
            format!("{metric} over the last {last}: {}", estimate(answer))
        }
        Read::Between { metric, from_ago, until_ago, answer } => {
            format!("{metric} from {} to {} ago: {}", ago(from_ago), ago(until_ago), estimate(answer))
        }
        Read::Baseline { metric, answer } => format!("the baseline's {metric}: {}", estimate(answer)),
        Read::Findings { within, at_least, limit, answer } => format!(
            "findings of the last {}, at least {at_least}, at most {limit}: {}",
            ago(within),
            answer.len()
        ),
        Read::DriftCount { detector, answer } => format!("drifts of {detector}: {answer}"),
        Read::Versions { answer } => format!("the versions: {}", answer.len()),
        Read::SinceActivation { answer } => format!("when the champion was activated: {}", time(answer)),
        Read::SinceRetrain { answer } => format!("when the last retrain began: {}", time(answer)),
        Read::State { key, answer } => {
            format!("`{key}` in its notebook: {}", answer.as_deref().unwrap_or("nothing"))
        }
    }
}

fn judged_otherwise(before: &DecisionRecord, now: &DecisionRecord) -> Option<String> {
    let mut pairs = before.verdicts.iter().zip(&now.verdicts);
    let ((action, before), (_, now)) = pairs.find(|(before, now)| before != now)?;
    Some(format!(
        "the host answers {action} with \"{now}\" and not with \"{before}\", because of what came of earlier decisions"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{finding, subject};
    use trimtab_types::{Decision, Phase};

    fn decided(position: u64, actions: &[Action], reason: &str) -> DecisionRecord {
        let done = || Verdict::Done { what: String::new() };
        DecisionRecord {
            id: format!("d{position}"),
            position: Position(position),
            at: Timestamp::EPOCH.plus(position * 86_400),
            subject: subject(),
            policy: None,
            mode: Mode::Enforce,
            question: Question::DriftAction { findings: vec![finding(Severity::High, Phase::Opened)] },
            reads: Vec::new(),
            notebook: Vec::new(),
            answer: Answer::Decision(Decision { actions: actions.to_vec(), reason: reason.to_owned() }),
            log: Vec::new(),
            verdicts: actions.iter().map(|action| (action.clone(), done())).collect(),
            fuel: 7,
            duration_us: 7,
        }
    }

    fn diff(recorded: &[DecisionRecord], candidate: &[DecisionRecord]) -> Diff {
        let mut diff = Diff::default();
        diff.compare(&Side::enforced(recorded, false), &Side::enforced(candidate, false));
        diff
    }

    #[test]
    fn moments_are_told_apart() {
        let recorded = [
            decided(1, &[Action::Monitor], "same"),
            decided(2, &[Action::Monitor], "word"),
            decided(3, &[Action::Monitor], "other"),
            decided(4, &[Action::Pause], "gone"),
        ];
        let candidate = [
            decided(1, &[Action::Monitor], "same"),
            decided(2, &[Action::Monitor], "another word"),
            decided(3, &[Action::KillSwitchOn], "other"),
            decided(5, &[Action::Pause, Action::Monitor], "new"),
        ];
        let diff = diff(&recorded, &candidate);
        assert_eq!(diff.total, Counts { unchanged: 2, changed: 1, gone: 1, new: 1 });
        assert_eq!(diff.reworded, 1);
        let kinds: Vec<_> = diff.examples.iter().map(|example| (example.position.0, example.kind)).collect();
        assert_eq!(kinds, [(2, Kind::Reworded), (3, Kind::Changed), (4, Kind::Gone), (5, Kind::New)]);
        assert_eq!(diff.actions["monitor"], Proposed { recorded: 3, candidate: 3 });
        assert_eq!(diff.actions["kill-switch-on"], Proposed { recorded: 0, candidate: 1 });
        assert_eq!(diff.days.len(), 5);
        assert_eq!(diff.severities[&Severity::High], diff.total);
    }

    #[test]
    fn a_verdict_counts_and_a_measurement_does_not() {
        let one = decided(1, &[Action::RetrainNow], "r");
        let slower = DecisionRecord { duration_us: 9, fuel: 9, ..one.clone() };
        assert!(!diff(std::slice::from_ref(&one), &[slower]).total.differ());
        let mut refused = one.clone();
        refused.verdicts[0].1 = Verdict::Refused { reasons: vec!["cooldown".into()] };
        let diff = diff(&[one], &[refused]);
        assert_eq!(diff.total.changed, 1);
        assert!(diff.examples[0].why[0].contains("refused: cooldown"), "{:?}", diff.examples[0].why);
    }

    #[test]
    fn parts_add_up_in_any_order() {
        let part = |from: u64| {
            let recorded: Vec<_> = (from..from + 80).map(|at| decided(at, &[Action::Monitor], "a")).collect();
            let candidate: Vec<_> = (from..from + 80).map(|at| decided(at, &[Action::Pause], "b")).collect();
            diff(&recorded, &candidate)
        };
        let sum = |parts: [u64; 3]| {
            let mut sum = Diff::default();
            parts.into_iter().for_each(|from| sum.merge(part(from)));
            sum
        };
        let one = sum([0, 80, 160]);
        assert_eq!(one, sum([160, 0, 80]));
        assert_eq!(one.total.changed, 240);
        assert_eq!(one.examples.len(), MOST_EXAMPLES);
        assert_eq!(one.examples[0].position, Position(0));
    }
}
