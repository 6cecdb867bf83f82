//! Whether score and features still come as they did in the baseline.

use trimtab_types::{
    BaselineSource, Entry, Feature, Features, Finding, Judging, Phase, Position, Prediction, Severity,
};

use super::{Log, subject};
use crate::baseline::Sums;

/// Quiet about everything else.
const ONLY: &str = "[detectors]\ne-sr.enabled = false\npsi.enabled = false\ncategories.enabled = false\n";

type Row = Vec<(&'static str, Feature)>;

fn row_of(log: &mut Log) -> Row {
    let number = Feature::Number(log.coin() * 20.0);
    let name = ["red", "green", "blue"][(log.coin() * 3.0) as usize];
    vec![("colour", Feature::Category(name.into())), ("heat", number)]
}

fn prediction(log: &Log, row: Row) -> Prediction {
    let pairs = row.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Prediction { features: Features::from_pairs(pairs), ..log.prediction(log.state.position.0 + 1) }
}

/// A log with a baseline of 2,000 such rows, made as the host makes one.
fn with_baseline(config: &str) -> Log {
    let mut log = Log::new(config);
    let mut sums = Sums::default();
    for n in 1..=2_000 {
        let row = row_of(&mut log);
        let prediction = prediction(&log, row);
        let outcome = log.outcome(n, n % 5 != 0);
        sums.add(Position(n), &prediction, &outcome, &Judging::default());
    }
    let baseline = sums.baseline(&subject(), BaselineSource::First { rows: 2_000 }).expect("a baseline");
    baseline.validate().expect("sound");
    log.entry(Entry::Baseline(baseline.into()), None);
    log
}

/// Rows of which some are changed; returns after how many the first episode opened.
fn rows(log: &mut Log, count: usize, mut change: impl FnMut(&mut Log, Row) -> Row) -> Option<usize> {
    log.findings.clear();
    let mut first = None;
    for n in 1..=count {
        let row = row_of(log);
        let row = change(log, row);
        let prediction = prediction(log, row);
        log.entry(Entry::Prediction(prediction), None);
        first = first.or((!log.findings.is_empty()).then_some(n));
    }
    first
}

fn without(name: &str) -> impl FnMut(&mut Log, Row) -> Row + '_ {
    move |_, row| row.into_iter().filter(|(other, _)| *other != name).collect()
}

fn heat(of: impl Fn(f64) -> Feature) -> impl FnMut(&mut Log, Row) -> Row {
    move |_, row| {
        let changed = |(name, value)| match (name, value) {
            ("heat", Feature::Number(number)) => (name, of(number)),
            other => other,
        };
        row.into_iter().map(changed).collect()
    }
}

#[test]
fn nothing_is_found_where_nothing_changed() {
    let mut log = with_baseline(ONLY);
    assert_eq!(rows(&mut log, 20_000, |_, row| row), None, "{}", log.life());
    assert!(log.state.subjects[&subject()].worst().is_none());
}

/// The design's figure for a quantity that is missing altogether: within 30 rows, where the baseline has 150 or more.
#[test]
fn a_feature_that_is_no_longer_sent_is_critical_and_comes_back() {
    let mut log = with_baseline("");
    rows(&mut log, 503, |_, row| row);
    let first = rows(&mut log, 200, without("heat")).expect("found");
    assert!(first <= 30, "after {first} rows");
    let told = log.findings.last().expect("told");
    assert_eq!((told.severity, &told.quantity[..]), (Severity::Critical, "feature/heat (missing)"));
    assert!(told.window.starts_with("no longer sent: missing in"), "{}", told.window);
    assert!(told.e_value >= Some(told.threshold));
    // Closed again 45 to 135 rows after all of it is back.
    let back = rows(&mut log, 200, |_, row| row).expect("closed");
    assert!(back <= 135, "after {back} rows");
    assert_eq!(log.life(), "feature/heat (missing) closed critical");
    assert_eq!(rows(&mut log, 3_000, |_, row| row), None, "{}", log.life());
}

#[test]
fn another_unit_a_stuck_value_text_for_numbers_and_a_new_name_are_found() {
    let opened = |change: &mut dyn FnMut(&mut Log, Row) -> Row| {
        let mut log = with_baseline(ONLY);
        rows(&mut log, 1_000, |_, row| row);
        let first = rows(&mut log, 300, change).expect("found");
        let found: Vec<Finding> = log.findings.iter().filter(|f| f.phase == Phase::Opened).cloned().collect();
        (first, found)
    };
    // Celsius to Fahrenheit: from 32 to 68 where 0 to 20 is known.
    let (first, found) = opened(&mut heat(|c| Feature::Number(c * 1.8 + 32.0)));
    assert!(first <= 60, "after {first} rows");
    assert_eq!(found[0].quantity, "feature/heat (outside)");
    assert!(found[0].window.contains("lies from 0.0") && found[0].window.contains("lately "), "{found:?}");

    let (first, found) = opened(&mut heat(|_| Feature::Number(7.0)));
    assert!(first <= 60, "after {first} rows");
    assert_eq!((found.len(), &found[0].quantity[..]), (1, "feature/heat (repeated)"));

    let (first, found) = opened(&mut heat(|c| Feature::Category(format!("{c}"))));
    assert!(first <= 30, "after {first} rows");
    assert_eq!(found[0].quantity, "feature/heat (missing)");
    assert!(found[0].window.ends_with("times text where the baseline has numbers"), "{found:?}");

    let (first, found) = opened(&mut |log, mut row| {
        if log.coin() < 0.3 {
            row[0].1 = Feature::Category("pi\u{202e}nk".into());
        }
        row
    });
    assert!(first <= 100, "after {first} rows");
    assert_eq!(found[0].quantity, "feature/colour (new)");
    assert!(found[0].window.ends_with("lately pi\\u{202e}nk"), "{found:?}");
}

/// A baseline of an older version says nothing of all this, and a restored state goes on as if nothing had happened.
#[test]
fn older_baselines_watch_nothing_of_it_and_restored_states_go_on() {
    let mut older = Log::new(ONLY);
    older.baseline(0.8, 5_000);
    assert_eq!(rows(&mut older, 500, without("heat")), None);
    let mut through = with_baseline(ONLY);
    rows(&mut through, 503, |_, row| row);
    rows(&mut through, 17, without("heat"));
    let mut restored = through.restored();
    for log in [&mut through, &mut restored] {
        rows(log, 40, without("heat"));
        rows(log, 200, |_, row| row);
    }
    assert_eq!(through.life(), "feature/heat (missing) closed critical");
    assert_eq!(restored.findings, through.findings);
    assert_eq!(
        restored.state.take_touched().expect("encodes"),
        through.state.take_touched().expect("encodes")
    );
}
