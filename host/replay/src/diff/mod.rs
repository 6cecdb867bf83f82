//! How two series of decisions about the same log differ: moment by moment, in numbers and with examples that say why. A
//! moment is all that was decided about one subject at one position. Pure.

mod direction;
mod sent;
mod short;
mod side;
mod why;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{Action, DecisionRecord, Finding, Occasion, Position, Severity, Subject, Timestamp};

use direction::direction;
use side::{Key, findings, is_message, proposed, said};
use why::{why, why_in_shadow};

pub use direction::Direction;
pub use sent::Sent;
pub(crate) use sent::messages;
pub use side::{Said, Side};

/// Examples of each kind that are kept: the first ones.
const MOST_EXAMPLES: usize = 100;

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
    /// Of those that differ, in which less is held back, told or done.
    #[serde(default)]
    pub looser: u64,
    /// Of those that differ, in which more is.
    #[serde(default)]
    pub stricter: u64,
}

impl Counts {
    /// Whether anything differs.
    pub fn differ(&self) -> bool {
        self.changed + self.gone + self.new > 0
    }

    /// All of them.
    pub fn all(&self) -> u64 {
        self.unchanged + self.changed + self.gone + self.new
    }

    /// Adds others.
    pub fn add(&mut self, other: &Self) {
        self.unchanged += other.unchanged;
        self.changed += other.changed;
        self.gone += other.gone;
        self.new += other.new;
        self.looser += other.looser;
        self.stricter += other.stricter;
    }

    /// Those that differ, by direction.
    pub fn towards(&self, direction: Direction) -> u64 {
        match direction {
            Direction::Looser => self.looser,
            Direction::Stricter => self.stricter,
            Direction::Other => self.changed + self.gone + self.new - self.looser - self.stricter,
        }
    }

    fn count(&mut self, kind: Kind, direction: Option<Direction>) {
        match direction {
            Some(Direction::Looser) => self.looser += 1,
            Some(Direction::Stricter) => self.stricter += 1,
            Some(Direction::Other) | None => {}
        }
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
    /// Messages by occasion.
    #[serde(default)]
    pub sent: BTreeMap<Occasion, Sent>,
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
    /// Whether it is stricter or looser; `None`: the same is done, or it is about the words of an alert.
    pub direction: Option<Direction>,
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

impl Example {
    /// How it differs, as people read it: `looser (gone)`.
    pub fn title(&self) -> String {
        match self.direction {
            Some(direction) => format!("{} ({})", direction.name(), self.kind.name()),
            None => self.kind.name().to_owned(),
        }
    }
}

impl Diff {
    /// Whether any decision, or any alert's words, would be others.
    pub fn differs(&self) -> bool {
        self.total.differ()
            || self.messages.differ()
            || self.sent.values().any(|sent| sent.recorded != sent.candidate)
    }

    /// Whether nothing at all was decided, on either side.
    pub fn is_empty(&self) -> bool {
        self.total == Counts::default() && self.messages == Counts::default()
    }

    /// Takes the messages of both series over the same stretch.
    pub(crate) fn tell(&mut self, recorded: &[Occasion], candidate: &[Occasion]) {
        for occasion in recorded {
            self.sent.entry(*occasion).or_default().recorded += 1;
        }
        for occasion in candidate {
            self.sent.entry(*occasion).or_default().candidate += 1;
        }
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
        let differs = key.2.is_none() && !matches!(kind, Kind::Unchanged | Kind::Reworded);
        let towards = differs.then(|| direction(recorded, candidate, judged));
        if key.2.is_some() {
            self.messages.count(kind, None);
        } else {
            self.total.count(kind, towards);
            self.reworded += u64::from(kind == Kind::Reworded);
            self.models.entry(any.subject.model_key().to_string()).or_default().count(kind, towards);
            self.severities.entry(severity).or_default().count(kind, towards);
            self.days.entry(any.at.to_string().chars().take(10).collect()).or_default().count(kind, towards);
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
                direction: towards,
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
        for (occasion, sent) in other.sent {
            self.sent.entry(occasion).or_default().add(sent);
        }
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

    /// Keeps the first examples of each kind and direction, whatever the order in which parts came.
    fn shorten(&mut self) {
        self.examples.sort_by(|a, b| {
            (a.at, &a.subject, a.position, &a.channel).cmp(&(b.at, &b.subject, b.position, &b.channel))
        });
        let mut kept: BTreeMap<_, usize> = BTreeMap::new();
        self.examples.retain(|example| {
            let kept = kept.entry((example.kind, example.direction)).or_default();
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

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_types::testing::{self, finding};
    use trimtab_types::{Answer, Decision, Mode, Phase, Question, Verdict};

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
        assert_eq!(diff.total, Counts { unchanged: 2, changed: 1, gone: 1, new: 1, looser: 1, stricter: 2 });
        // A pause that is gone decides again, and a new one decides no more.
        assert_eq!(diff.total.towards(Direction::Other), 0);
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
    fn whether_it_matters_is_one_sentence() {
        let recorded = [decided(1, &[Action::Monitor], ""), decided(2, &[Action::Pause], "")];
        let candidate = [decided(1, &[Action::KillSwitchOn], ""), decided(2, &[Action::Pause], "")];
        let mut same = diff(&recorded, &recorded);
        assert_eq!(same.in_short(), "no decision changes, of 2");
        same.tell(&[Occasion::Firing], &[Occasion::Firing]);
        assert_eq!(same.in_short(), "no decision changes, of 2; 1 message as before");
        assert!(!same.differs());
        let mut other = diff(&recorded, &candidate);
        other.tell(
            &[Occasion::Firing, Occasion::Repeated, Occasion::Repeated],
            &[Occasion::Firing, Occasion::Repeated],
        );
        assert_eq!(
            other.in_short(),
            "1 of 2 decisions change: 1 stricter; 1 of them about what is high or critical; \
             done: kill-switch-on 1 instead of 0, monitor 0 instead of 1; \
             2 messages instead of 3, of them 1 reminder instead of 2"
        );
        let mut quieter = diff(&recorded, &recorded);
        quieter.tell(&[Occasion::Repeated], &[]);
        assert!(quieter.differs(), "who is told less often has something to know");
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
