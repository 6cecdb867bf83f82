//! When outcomes count of predictions that have a horizon.

use std::collections::BTreeMap;

use trimtab_types::{
    Actual, Due, DueRow, Entry, Outcome, Position, Prediction, Record, Resolution, Timestamp,
};

use super::Log;
use crate::{fold::apply, fold::tests::subject, horizon};

const HORIZON: u32 = 3_600;

/// A log whose rows are kept, so that what comes due can be told.
struct Story {
    log: Log,
    rows: BTreeMap<Position, (Prediction, Vec<(Position, Outcome)>)>,
}

impl Story {
    fn new(config: &str) -> Self {
        let mut log = Log::new(config);
        log.baseline(0.8, 10_000);
        Self { log, rows: BTreeMap::new() }
    }

    fn take(&mut self, entry: Entry, resolves: Option<Resolution>) {
        let position = Position(self.log.state.position.0 + 1);
        let mut due = Vec::new();
        for wanted in horizon::wanted(&self.log.state, &entry) {
            let mut rows: Vec<DueRow> = Vec::new();
            for (position, (prediction, outcomes)) in &self.rows {
                let at = prediction.due().expect("all have a horizon");
                if (at, *position) > wanted.after && at <= wanted.until {
                    let newest = outcomes.last().cloned();
                    rows.extend(newest.map(|(_, outcome)| DueRow {
                        at,
                        position: *position,
                        prediction: prediction.clone(),
                        outcome,
                    }));
                }
            }
            rows.sort_by_key(|row| (row.at, row.position));
            let upto = (wanted.until, Position(u64::MAX));
            due.push(Due { model: wanted.model, rows, upto, clock: wanted.clock });
        }
        let record = Record { due, ..Record::new(position, entry, resolves) };
        let found = apply(&mut self.log.state, &record);
        self.log.findings.extend(found);
    }

    fn predict(&mut self, at: u64) -> Position {
        let position = Position(self.log.state.position.0 + 1);
        let time = Timestamp::EPOCH.plus(at);
        let prediction = Prediction { time, horizon: Some(HORIZON), ..self.log.prediction(position.0) };
        self.take(Entry::Prediction(prediction.clone()), None);
        self.rows.insert(position, (prediction, Vec::new()));
        position
    }

    /// An outcome, or where there is one a correction.
    fn outcome(&mut self, of: Position, at: u64, right: bool) {
        let (prediction, outcomes) = self.rows[&of].clone();
        let previous = outcomes.last().map(|(_, outcome)| Box::new(outcome.clone()));
        let outcome = Outcome {
            time: Timestamp::EPOCH.plus(at),
            actual: Some(Actual::Label(i64::from(right))),
            correction: previous.is_some(),
            ..self.log.outcome(of.0, right)
        };
        let resolves = Resolution::Of { position: of, prediction: Box::new(prediction), previous };
        self.take(Entry::Outcome(outcome.clone()), Some(resolves));
        let position = self.log.state.position;
        self.rows.get_mut(&of).expect("known").1.push((position, outcome));
    }

    /// Judged, right, waiting for the horizon, and corrected after it.
    fn known(&self) -> (u64, u64, u64, u64) {
        let known = &self.log.state.subjects[&subject()];
        let right = known.right.newest(200).successes;
        let provisional = known.provisional();
        (known.resolved, right, provisional.waiting, provisional.after_horizon)
    }
}

#[test]
fn what_comes_before_the_horizon_is_provisional_and_what_comes_after_changes_nothing() {
    let mut story = Story::new("");
    let (early, late, never) = (story.predict(0), story.predict(10), story.predict(20));
    story.outcome(early, 60, true);
    assert_eq!(story.known(), (0, 0, 1, 0), "it waits");
    story.outcome(early, 120, false);
    assert_eq!(story.known(), (0, 0, 1, 0), "a correction of what waits is not another one");
    // A row at 3,600 is not later than the horizon of `early`, and one after it is.
    story.predict(3_600);
    assert_eq!(story.known(), (1, 0, 0, 0), "the newest outcome that was known then counts: it was wrong");
    story.outcome(early, 3_700, true);
    assert_eq!(story.known(), (1, 0, 0, 1), "too late");
    story.outcome(late, 3_700, true);
    assert_eq!(story.known(), (2, 1, 0, 1), "nothing had judged it");
    story.outcome(late, 3_800, false);
    assert_eq!(story.known(), (2, 1, 0, 2));
    let _ = never;
    // Time passes without rows: from the first tick on.
    let last = story.predict(3_900);
    story.outcome(last, 3_950, true);
    story.take(Entry::Tick(Timestamp::EPOCH.plus(3_960)), None);
    story.take(Entry::Tick(Timestamp::EPOCH.plus(7_499)), None);
    assert_eq!(story.known().0, 2);
    story.take(Entry::Tick(Timestamp::EPOCH.plus(7_510)), None);
    assert_eq!(story.known(), (3, 2, 0, 2));
    // What is stored goes on where it was.
    let mut stored = Story { log: story.log.restored(), rows: story.rows.clone() };
    for one in [&mut story, &mut stored] {
        let row = one.predict(8_000);
        one.outcome(row, 8_001, true);
        one.take(Entry::Tick(Timestamp::EPOCH.plus(99_999)), None);
        assert_eq!(one.known(), (4, 3, 0, 2));
    }
}

#[test]
fn who_wants_the_first_outcome_to_count_says_so() {
    let mut story = Story::new("[judging]\nwhen = \"on-arrival\"\n");
    let row = story.predict(0);
    story.outcome(row, 60, true);
    assert_eq!(story.known(), (1, 1, 0, 0));
    story.outcome(row, 7_200, false);
    assert_eq!(story.known(), (1, 0, 0, 0), "windows follow a correction, as ever");
}

/// Rows whose horizon passes at once open and close episodes of their own, each with a name of its own.
#[test]
fn what_comes_due_at_once_is_judged_one_by_one() {
    let config = "[detectors.e-sr]\nenabled = false\n[detectors.adwin]\nenabled = true\n";
    let mut story = Story::new(config);
    let mut told = Vec::new();
    for (n, right) in [(1_000, true), (400, false), (1_500, true), (400, false)] {
        for _ in 0..n {
            let at = story.rows.len() as u64;
            let row = story.predict(at);
            told.push((row, right));
        }
    }
    let told: Vec<_> = told.into_iter().collect();
    for (row, right) in told {
        story.outcome(row, 3_500, right);
    }
    assert_eq!(story.known().0, 0, "nobody has waited long enough: {:?}", story.known());
    story.predict(100_000);
    assert_eq!(story.known().0, 3_300);
    let opened: Vec<_> =
        story.log.findings.iter().filter(|finding| finding.phase == trimtab_types::Phase::Opened).collect();
    let mut ids: Vec<_> = opened.iter().map(|finding| &finding.id).collect();
    ids.sort();
    ids.dedup();
    assert!(opened.len() >= 2 && ids.len() == opened.len(), "{} of {}", ids.len(), opened.len());
    assert!(opened.iter().all(|finding| finding.position == story.log.state.position));
}

/// Who changes his mind loses nothing: what waits is judged at its horizon, and what was judged on arrival is not judged again.
#[test]
fn what_waits_goes_on_waiting_when_horizons_are_switched_off_and_on() {
    let put = |story: &mut Story, config: &str| {
        let configuration = std::sync::Arc::new(crate::Configuration::parse(config, "test").expect("valid"));
        assert_eq!(story.log.state.put_in_force(configuration), []);
    };
    let mut story = Story::new("");
    let first = story.predict(0);
    story.outcome(first, 60, true);
    put(&mut story, "[judging]\nwhen = \"on-arrival\"\n");
    let second = story.predict(100);
    story.outcome(second, 160, true);
    assert_eq!(story.known(), (1, 1, 1, 0), "the second on arrival, and the first still waits");
    put(&mut story, "");
    story.outcome(first, 200, false);
    let third = story.predict(300);
    story.outcome(third, 360, true);
    assert_eq!(story.known(), (1, 1, 2, 0));
    story.predict(20_000);
    assert_eq!(story.known(), (3, 2, 0, 0), "the first by its correction, and the second once only");
}
