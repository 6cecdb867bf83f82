//! How two series of decisions about the same log differ: moment by moment, in numbers and with examples that say why. A
//! moment is all that was decided about one subject at one position. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Action, Answer, DecisionRecord, Finding, Mode, PolicyRef, Position, Question, Severity, Subject,
    Timestamp, Verdict,
};

use crate::words::read;

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

/// How often an action is proposed, and how often nothing came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proposed {
    /// As recorded.
    pub recorded: u64,
    /// Of these: overruled, suppressed, refused, or waiting.
    pub recorded_held_back: u64,
    /// With the candidate.
    pub candidate: u64,
    /// Of these: overruled, suppressed, refused, or waiting.
    pub candidate_held_back: u64,
}

impl Proposed {
    /// Whether something was held back on either side.
    pub fn held_back(&self) -> bool {
        self.recorded_held_back + self.candidate_held_back > 0
    }

    fn add(&mut self, other: &Self) {
        self.recorded += other.recorded;
        self.recorded_held_back += other.recorded_held_back;
        self.candidate += other.candidate;
        self.candidate_held_back += other.candidate_held_back;
    }
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
    /// By action: how often it is proposed, and held back.
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
    /// Tables of its configuration that let other things happen.
    other_tables: Vec<&'static str>,
}

impl<'a> Side<'a> {
    /// What was acted on; with the words of alerts, if asked.
    pub fn enforced(decisions: impl IntoIterator<Item = &'a DecisionRecord>, messages: bool) -> Self {
        let enforced = decisions.into_iter().filter(|decision| decision.mode == Mode::Enforce);
        let moments = moments(enforced.filter(|decision| messages || !is_message(decision)));
        Self { moments, judged: true, other_tables: Vec::new() }
    }

    /// Judged under a configuration in which these tables are others than on the other side.
    #[must_use]
    pub fn under(self, other_tables: Vec<&'static str>) -> Self {
        Self { other_tables, ..self }
    }

    /// What a policy said in shadow.
    pub fn shadow(decisions: impl IntoIterator<Item = &'a DecisionRecord>, policy: &str) -> Self {
        let said = |decision: &&DecisionRecord| {
            decision.mode == Mode::Shadow
                && !is_message(decision)
                && decision.policy.as_ref().is_some_and(|by| by.name == policy)
        };
        let moments = moments(decisions.into_iter().filter(said));
        Self { moments, judged: false, other_tables: Vec::new() }
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

    /// Whether nothing at all was decided, on either side.
    pub fn is_empty(&self) -> bool {
        self.total == Counts::default() && self.messages == Counts::default()
    }

    /// Takes both series over the same stretch of the log.
    pub fn compare(&mut self, recorded: &Side<'_>, candidate: &Side<'_>) {
        let judged = recorded.judged && candidate.judged;
        let other_tables = &candidate.other_tables;
        let before =
            recorded.moments.iter().map(|(key, said)| (key, (Some(said), candidate.moments.get(key))));
        let only_now = candidate.moments.iter().filter(|(key, _)| !recorded.moments.contains_key(*key));
        let only_now = only_now.map(|(key, said)| (key, (None, Some(said))));
        for (key, (recorded, candidate)) in before.chain(only_now) {
            let (recorded, candidate) =
                (recorded.map_or(&[][..], Vec::as_slice), candidate.map_or(&[][..], Vec::as_slice));
            self.moment(key, recorded, candidate, judged, other_tables);
        }
        self.shorten();
    }

    fn moment(
        &mut self,
        key: &Key<'_>,
        recorded: &[&DecisionRecord],
        candidate: &[&DecisionRecord],
        judged: bool,
        other_tables: &[&str],
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
        for (action, held_back) in proposed(recorded) {
            let one = Proposed { recorded: 1, recorded_held_back: held_back.into(), ..Proposed::default() };
            self.actions.entry(action).or_default().add(&one);
        }
        for (action, held_back) in proposed(candidate) {
            let one = Proposed { candidate: 1, candidate_held_back: held_back.into(), ..Proposed::default() };
            self.actions.entry(action).or_default().add(&one);
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
                why: if judged {
                    why(recorded, candidate, other_tables)
                } else {
                    why_in_shadow(recorded, candidate)
                },
            });
        }
    }

    /// Takes the differences of another part of the log.
    pub fn merge(&mut self, other: Self) {
        self.total.add(&other.total);
        self.messages.add(&other.messages);
        self.reworded += other.reworded;
        for (action, proposed) in other.actions {
            self.actions.entry(action).or_default().add(&proposed);
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

/// The names of the actions that were proposed, and whether something held each back.
fn proposed<'a>(decisions: &'a [&DecisionRecord]) -> impl Iterator<Item = (String, bool)> + 'a {
    decisions.iter().flat_map(|decision| said(decision).actions).map(|(action, verdict)| {
        (action.name().to_owned(), verdict.is_some_and(|verdict| verdict.holds_back()))
    })
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

/// Why two moments differ, as far as the records show. Those of one policy are held against each other.
fn why(recorded: &[&DecisionRecord], candidate: &[&DecisionRecord], other_tables: &[&str]) -> Vec<String> {
    match (recorded, candidate) {
        ([before, ..], []) => return vec![missing(before, "with the candidate")],
        ([], [now, ..]) => return vec![missing(now, "in the record")],
        _ => {}
    }
    let mut why: Vec<_> = others_decide(recorded, candidate).into_iter().collect();
    for now in candidate {
        let Some(before) = recorded.iter().find(|before| before.decided_by() == now.decided_by()) else {
            continue;
        };
        if let (Some(a), Some(b)) = (&before.policy, &now.policy)
            && a.digest != b.digest
        {
            why.push(format!(
                "another version of `{}` decides: {} instead of {}",
                b.name,
                b.digest.short(),
                a.digest.short()
            ));
        }
        why.extend(fails_otherwise(before, now));
        why.extend(found_otherwise(before, now));
        why.extend(read_otherwise(before, now));
        if actions(before) == actions(now) && before.verdicts != now.verdicts {
            why.extend(judged_otherwise(before, now, other_tables));
        }
    }
    why.truncate(MOST_REASONS);
    why
}

/// Why a policy says something else in shadow than what was decided. Where several decided together, none of them is
/// what it stands in for.
fn why_in_shadow(recorded: &[&DecisionRecord], shadow: &[&DecisionRecord]) -> Vec<String> {
    match (recorded, shadow) {
        ([], [now, ..]) => vec![missing(now, "in the record")],
        ([before], [now]) => {
            [fails_otherwise(before, now), found_otherwise(before, now), read_otherwise(before, now)]
                .into_iter()
                .flatten()
                .collect()
        }
        _ => Vec::new(),
    }
}

fn missing(decision: &DecisionRecord, where_not: &str) -> String {
    let findings: Vec<_> = findings(decision)
        .iter()
        .map(|finding| format!("{} on {} {}", finding.detector, finding.quantity, finding.phase.name()))
        .collect();
    let findings = findings.join(", ");
    if is_message(decision) {
        format!("{where_not} no policy puts an alert into words at this moment ({findings})")
    } else {
        format!("{where_not} nothing was put to a policy at this moment ({findings})")
    }
}

/// Who decides that did not, and the other way round.
fn others_decide(recorded: &[&DecisionRecord], candidate: &[&DecisionRecord]) -> Option<String> {
    let only = |these: &[&DecisionRecord], those: &[&DecisionRecord]| -> Vec<String> {
        let missing = |decision: &&&DecisionRecord| {
            those.iter().all(|other| other.decided_by() != decision.decided_by())
        };
        these.iter().filter(missing).map(|decision| format!("`{}`", decision.decided_by())).collect()
    };
    let (before, now) = (only(recorded, candidate), only(candidate, recorded));
    let decide = |names: &[String], one: &str, several: &str| {
        format!("{} {}", names.join(" and "), if names.len() == 1 { one } else { several })
    };
    match (before.is_empty(), now.is_empty()) {
        (true, true) => None,
        (true, false) => Some(format!("{} as well", decide(&now, "decides", "decide"))),
        (false, true) => Some(format!("{} any more", decide(&before, "does not decide", "do not decide"))),
        (false, false) => {
            Some(format!("{}, and not {}", decide(&now, "decides", "decide"), before.join(" and ")))
        }
    }
}

fn fails_otherwise(before: &DecisionRecord, now: &DecisionRecord) -> Option<String> {
    match (&before.answer, &now.answer) {
        (Answer::Failed(_), Answer::Failed(_)) => None,
        (_, Answer::Failed(failure)) => Some(format!("`{}` fails ({failure})", now.decided_by())),
        // Where no policy applied, none has failed.
        (Answer::Failed(failure), _) if before.policy.is_some() => {
            Some(format!("`{}` had failed ({failure})", before.decided_by()))
        }
        _ => None,
    }
}

fn found_otherwise(before: &DecisionRecord, now: &DecisionRecord) -> Option<String> {
    let shown = |decision: &DecisionRecord| -> Vec<String> {
        let one = |finding: &Finding| {
            format!(
                "{} on {} {} ({})",
                finding.detector,
                finding.quantity,
                finding.phase.name(),
                finding.severity
            )
        };
        findings(decision).iter().map(one).collect()
    };
    let (asked_before, asked_now) = (shown(before).join(", "), shown(now).join(", "));
    let (by_before, by_now) = (before.decided_by(), now.decided_by());
    if asked_before == asked_now {
        None
    } else if by_before == by_now {
        Some(format!("`{by_now}` was asked about {asked_now}, and not about {asked_before}"))
    } else {
        Some(format!("`{by_now}` was asked about {asked_now}, and `{by_before}` about {asked_before}"))
    }
}

/// The first thing that was read otherwise.
fn read_otherwise(before: &DecisionRecord, now: &DecisionRecord) -> Option<String> {
    let (by_before, by_now) = (before.decided_by(), now.decided_by());
    let had = if by_before == by_now { "it had".to_owned() } else { format!("`{by_before}`") };
    let (before, now) = (&before.reads, &now.reads);
    let differs = before.iter().zip(now).find(|(before, now)| before != now);
    match differs {
        Some((before, now)) => {
            Some(format!("`{by_now}` read {}, where {had} read {}", read(now), read(before)))
        }
        None if now.len() > before.len() => {
            now.get(before.len()).map(|extra| format!("`{by_now}` read {} as well", read(extra)))
        }
        None => before.get(now.len()).map(|less| format!("`{by_now}` did not read {}", read(less))),
    }
}

/// The host's other answer to the same action, with what it comes from.
fn judged_otherwise(before: &DecisionRecord, now: &DecisionRecord, other_tables: &[&str]) -> Option<String> {
    let mut pairs = before.verdicts.iter().zip(&now.verdicts);
    let ((action, before), (_, now)) = pairs.find(|(before, now)| before != now)?;
    let overruled = |verdict: &Verdict| matches!(verdict, Verdict::Overruled { .. });
    let because = if overruled(before) || overruled(now) {
        // Who overrules is part of the answer.
        String::new()
    } else if other_tables.is_empty() {
        ", because of what came of earlier decisions".to_owned()
    } else {
        format!(", because the configuration says otherwise in {}", other_tables.join(" and "))
    };
    Some(format!("the host answers {action} with \"{now}\" and not with \"{before}\"{because}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, finding};
    use trimtab_types::{Decision, Phase};

    fn decided(position: u64, actions: &[Action], reason: &str) -> DecisionRecord {
        by(None, position, actions, reason)
    }

    fn by(policy: Option<&str>, position: u64, actions: &[Action], reason: &str) -> DecisionRecord {
        let done = || Verdict::Done { what: String::new() };
        DecisionRecord {
            answer: Answer::Decision(Decision { actions: actions.to_vec(), reason: reason.to_owned() }),
            verdicts: actions.iter().map(|action| (action.clone(), done())).collect(),
            ..testing::decided(position, policy, vec![finding(Severity::High, Phase::Opened)])
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
        let proposed = |action: &str| (diff.actions[action].recorded, diff.actions[action].candidate);
        assert_eq!(proposed("monitor"), (3, 3));
        assert_eq!(proposed("kill-switch-on"), (0, 1));
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
        let counted = Proposed { recorded: 1, candidate: 1, candidate_held_back: 1, recorded_held_back: 0 };
        assert_eq!(diff.actions["retrain-now"], counted);
    }

    /// Why the one moment differs.
    #[track_caller]
    fn check_why(recorded: Side<'_>, candidate: Side<'_>, expected: &[&str]) {
        let mut diff = Diff::default();
        diff.compare(&recorded, &candidate);
        let why: Vec<_> = diff.examples.iter().flat_map(|example| example.why.iter()).collect();
        assert_eq!(why, expected);
    }

    #[test]
    fn why_is_said_of_the_same_policy_on_both_sides() {
        let side = |decisions: &'static [DecisionRecord]| Side::enforced(decisions, false);
        let kept = |decisions: Vec<DecisionRecord>| -> &'static [DecisionRecord] { decisions.leak() };
        let ladder = |action: Action| by(Some("ladder"), 1, &[action], "");
        let mine = || by(Some("mine"), 1, &[Action::Pause], "");
        let recorded = kept(vec![ladder(Action::Monitor)]);
        let cases: [(&[DecisionRecord], &[&str]); 4] = [
            (kept(vec![mine()]), &["`mine` decides, and not `ladder`"]),
            (kept(vec![mine(), ladder(Action::Monitor)]), &["`mine` decides as well"]),
            (
                kept(vec![mine(), decided(1, &[Action::Monitor], "")]),
                &["`mine` and `host` decide, and not `ladder`"],
            ),
            (kept(vec![ladder(Action::Pause)]), &[]),
        ];
        for (candidate, why) in cases {
            check_why(side(recorded), side(candidate), why);
        }
        let both = kept(vec![mine(), ladder(Action::Monitor)]);
        check_why(side(both), side(recorded), &["`mine` does not decide any more"]);
    }

    #[test]
    fn a_verdict_comes_from_what_differs() {
        let judged = |verdict: Verdict| {
            let mut decision = decided(1, &[Action::RetrainNow], "");
            decision.verdicts[0].1 = verdict;
            [decision]
        };
        let done = judged(Verdict::Done { what: String::new() });
        let refused = judged(Verdict::Refused { reasons: vec!["stage".into()] });
        let overruled = judged(Verdict::Overruled { by: "mine".into() });
        let answers =
            |now: &str| format!("the host answers retrain-now with \"{now}\" and not with \"done\"");
        let cases = [
            (&refused, vec![], answers("refused: stage") + ", because of what came of earlier decisions"),
            (
                &refused,
                vec!["[[models]]"],
                answers("refused: stage") + ", because the configuration says otherwise in [[models]]",
            ),
            (&overruled, vec![], answers("overruled: by mine")),
        ];
        for (candidate, tables, why) in cases {
            let candidate = Side::enforced(candidate, false).under(tables);
            check_why(Side::enforced(&done, false), candidate, &[&why]);
        }
    }

    #[test]
    fn in_shadow_nobody_decides() {
        let ladder = [by(Some("ladder"), 1, &[Action::Monitor], "")];
        let mut shadow = by(Some("mine"), 1, &[Action::Pause], "");
        shadow.mode = Mode::Shadow;
        check_why(Side::enforced(&ladder, false), Side::shadow([&shadow], "mine"), &[]);
        shadow.question = Question::DriftAction { findings: vec![finding(Severity::Low, Phase::Opened)] };
        check_why(
            Side::enforced(&ladder, false),
            Side::shadow([&shadow], "mine"),
            &[
                "`mine` was asked about e-sr on error opened (low), and `ladder` about e-sr on error opened (high)",
            ],
        );
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
