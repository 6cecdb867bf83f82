//! What looks at windows now and then: how its episodes open, rise and close, and what must not open one.

use trimtab_types::{
    Baseline, CategoryReference, Entry, Feature, Features, Outcome, Position, Predicted, Prediction,
    Reference, Timestamp, Trade,
};

use super::{Log, even};
use trimtab_types::testing::subject;

use crate::fold::SubjectView;
use trimtab_types::View;

/// One detector alone.
fn only(name: &str, more: &str) -> Log {
    let psi = if name == "psi" { "" } else { "psi.enabled = false" };
    Log::new(&format!("[detectors]\ne-sr.enabled = false\n{psi}\n{name}.enabled = true\n{more}"))
}

/// With k of the newest 500 in the upper half only, the distance is k/1,000, so 0.15 and 0.25 are reached at k = 150 and
/// 250.
#[test]
fn the_distance_of_a_score_opens_rises_and_closes() {
    fn check(reference: Reference, script: fn(&mut Log), expected: &str) {
        let mut log = only("ks", "");
        log.baseline_with(vec![reference]);
        script(&mut log);
        assert_eq!(log.life(), expected);
    }
    let moves = |log: &mut Log| {
        log.scores(1_000, 0.0, 1.0);
        log.scores(1_000, 0.5, 1.0);
        log.scores(1_000, 0.0, 1.0);
    };
    let life = "score opened medium, score raised high, score closed high";
    check(even(None), moves, life);
    check(even(None), |log| (0..3).for_each(|_| log.scores(1_000, 0.0, 1.0)), "");
    check(Reference { fine: None, ..even(None) }, moves, life);
    // Values that are worth 50 in the baseline are worth 5 in the window: half of them may well lie elsewhere.
    check(Reference { worth: 50.0, ..even(None) }, moves, "");
    // Too few on the baseline's side.
    let few = Reference { counts: vec![2; 10], worth: 20.0, fine: None, ..even(None) };
    check(few, moves, "");
    let mut off = Log::new("[detectors]\ne-sr.enabled = false\npsi.enabled = false");
    off.baseline_with(vec![even(None)]);
    moves(&mut off);
    assert!(off.state.subjects[&subject()].distributions.is_empty(), "what is off keeps nothing");
}

/// With k of the newest 500 all "up" the total variation from half and half is k/1,000.
#[test]
fn shares_of_categories_open_rise_and_close() {
    let reference = |feature: Option<&str>, names: [&str; 2]| CategoryReference {
        feature: feature.map(str::to_owned),
        names: names.map(str::to_owned).to_vec(),
        counts: vec![500, 500, 0],
        worth: 1_000.0,
    };
    let started = |distance: &str| {
        let mut log = only("categories", &format!("categories.distance = \"{distance}\""));
        let categories = vec![reference(None, ["0", "1"]), reference(Some("trend"), ["down", "up"])];
        let baseline = Baseline { categories, ..Log::baseline_of(0.8, 5_000) };
        log.entry(Entry::Baseline(baseline.into()), None);
        log
    };
    let predict = |log: &mut Log, count: u64, class: fn(u64) -> u32, trend: fn(u64) -> &'static str| {
        for n in 0..count {
            let id = log.state.position.0 + 1;
            let features = Features::from_pairs(vec![
                ("size".into(), Feature::Number(1.0)),
                ("trend".into(), Feature::Category(trend(n).into())),
            ]);
            let predicted = Predicted::Multiclass(class(n));
            let prediction = Prediction { predicted, features, ..log.prediction(id) };
            log.entry(Entry::Prediction(prediction), None);
        }
    };
    let half: fn(u64) -> &'static str = |n| if n % 2 == 0 { "up" } else { "down" };
    let even_class: fn(u64) -> u32 = |n| (n % 2) as u32;
    let life = "feature/trend opened medium, feature/trend raised high, feature/trend closed high";
    for distance in ["total-variation", "jensen-shannon"] {
        let mut log = started(distance);
        predict(&mut log, 1_000, even_class, half);
        assert_eq!(log.life(), "", "{distance}");
        predict(&mut log, 1_000, even_class, |_| "up");
        predict(&mut log, 1_000, even_class, half);
        assert_eq!(log.life(), life, "{distance}");
    }
    let mut log = started("total-variation");
    predict(&mut log, 1_000, even_class, |_| "sideways");
    assert!(log.life().starts_with("feature/trend opened high"), "a new category: {}", log.life());
    let mut log = started("total-variation");
    predict(&mut log, 1_000, |_| 7, half);
    assert!(log.life().starts_with("class opened high"), "another class: {}", log.life());
}

/// Every prediction claims 90 %.
#[test]
fn scores_that_no_longer_come_true_are_found() {
    let mut log = only("calibration", "");
    log.pattern(900, 100);
    assert_eq!(log.life(), "", "calibrated");
    log.pattern(350, 150);
    log.pattern(900, 100);
    assert_eq!(log.life(), "ece opened medium, ece raised high, ece closed high");
    // With 60 of 500 at 84 %, an error of 0.06 is what chance leaves.
    let mut log = only("calibration", "calibration.window = 50\ncalibration.minimum = 50");
    log.pattern(42, 8);
    assert_eq!(log.life(), "", "0.06 on fifty is nothing");
}

#[test]
fn a_metric_below_the_baselines_opens_rises_and_closes() {
    let config = "performance.metrics = [\"accuracy\", \"recall\", \"sharpe\"]";
    let mut log = only("performance", config);
    log.pattern(100, 100);
    assert_eq!(log.life(), "", "no baseline");
    log.baseline(0.8, 5_000);
    log.pattern(800, 200);
    log.pattern(120, 80);
    // Recall and Sharpe ratio are not in this baseline.
    let rises = "accuracy opened medium, accuracy raised high, accuracy raised critical";
    assert!(log.life().starts_with("accuracy opened"), "{}", log.life());
    log.pattern(800, 200);
    // On the way to 80 % the window was at 50 %, so that the first look found it at once.
    assert_eq!(
        log.life(),
        format!("accuracy opened critical, accuracy closed critical, {rises}, accuracy closed critical")
    );
    let mut log = only("performance", "");
    log.baseline(0.8, 5_000);
    log.pattern(1_000, 0);
    assert_eq!(log.life(), "", "better is no drop");
}

/// Trades of 1 % and of −1 %.
#[test]
fn trades_that_no_longer_go_well_are_found() {
    fn trade(log: &mut Log, gain: f64) {
        let id = log.state.position.0 + 1;
        let trade = Trade { entry_price: Some(100.0), ..Trade::default() };
        let prediction = Prediction { predicted: Predicted::Direction(1), trade, ..log.prediction(id) };
        let exit_price = Some(100.0 * (1.0 + gain));
        let outcome = Outcome { actual: None, exit_price, ..log.outcome(id, true) };
        log.pair(prediction, outcome);
    }
    let baseline = |log: &mut Log, metrics: &[(&str, f64)]| {
        let metrics = metrics.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        log.entry(Entry::Baseline(Box::new(Baseline { metrics, ..Log::baseline_of(0.6, 1_000) })), None);
    };
    // Six of ten win, in turns: never two losses in a row.
    let healthy = |log: &mut Log, count: usize| {
        for n in 0..count {
            trade(log, if [1, 3, 6, 8].contains(&(n % 10)) { -0.01 } else { 0.01 });
        }
    };
    let mut log = only("trading", "trading.window = 40\n[metrics]\nperiods-per-year = 1");
    baseline(&mut log, &[("win-rate", 0.6), ("sharpe", 0.2)]);
    healthy(&mut log, 200);
    assert_eq!(log.life(), "");
    // Without a number of trades a year it is of days, and these are of one: who asks is told.
    let mut days = only("trading", "trading.window = 40");
    baseline(&mut days, &[("win-rate", 0.6), ("sharpe", 0.2), ("sharpe-daily", 3.0)]);
    healthy(&mut days, 200);
    (0..20).for_each(|_| trade(&mut days, -0.01));
    assert!(!days.life().contains("sharpe"), "{}", days.life());
    let configuration = &days.state.configuration;
    let why = days.state.subjects[&subject()].cannot_tell(&configuration.detectors, &configuration.metrics);
    assert!(why.iter().any(|why| why.contains("fewer than 30 days")), "{why:?}");
    for _ in 0..20 {
        trade(&mut log, -0.01);
    }
    let opened = |log: &Log| {
        let mut open: Vec<_> = log
            .findings
            .iter()
            .filter(|finding| finding.phase == trimtab_types::Phase::Opened)
            .map(|finding| format!("{} {}", finding.quantity, finding.severity))
            .collect();
        open.sort();
        open.join(", ")
    };
    // 20 losses of 1 % are a fall of 1 − 0.99²⁰ = 18 %; the win rate falls to 30 % and the mean below 0.
    assert_eq!(opened(&log), "drawdown high, losing-run medium, sharpe high, win-rate high");
    log.findings.clear();
    trade(&mut log, 0.01);
    assert_eq!(log.life(), "losing-run closed medium");
    log.findings.clear();
    healthy(&mut log, 100);
    let mut closed: Vec<_> = log.life().split(", ").map(str::to_owned).collect();
    closed.sort();
    assert_eq!(closed.join(", "), "drawdown closed high, sharpe closed high, win-rate closed high");
    // Floors hold without any baseline.
    let mut log = only("trading", "trading.losses = 100\ntrading.least-win-rate = 0.65");
    healthy(&mut log, 40);
    assert_eq!(log.life(), "win-rate opened high");
}

#[test]
fn outcomes_that_stay_away_are_missed_once_they_are_due() {
    let hour = |log: &mut Log, hours: u64| log.entry(Entry::Tick(Timestamp::EPOCH.plus(hours * 3_600)), None);
    let mut log = only("coverage", "");
    let predictions: Vec<(Position, Prediction)> = (1..=100)
        .map(|n| {
            let horizon = Some(3_600);
            let prediction = Prediction { horizon, time: Timestamp::EPOCH.plus(n), ..log.prediction(n) };
            log.entry(Entry::Prediction(prediction.clone()), None);
            (log.state.position, prediction)
        })
        .collect();
    let mut resolve = {
        let mut waiting = predictions.into_iter();
        move |log: &mut Log, count: usize| {
            for (position, prediction) in waiting.by_ref().take(count) {
                let outcome = Outcome { id: prediction.id.clone(), ..log.outcome(1, true) };
                log.resolve(position, prediction, outcome);
            }
        }
    };
    resolve(&mut log, 40);
    hour(&mut log, 2);
    assert_eq!(log.life(), "", "due in the second hour, with one more of grace");
    hour(&mut log, 3);
    assert_eq!(log.life(), "outcomes opened medium", "40 of 100");
    resolve(&mut log, 20);
    hour(&mut log, 4);
    assert_eq!(log.life(), "outcomes opened medium, outcomes closed medium");
}

#[test]
fn policies_read_what_is_kept_and_nothing_where_it_is_not() {
    let mut log = Log::new("[metrics]\nwindow = 100");
    log.baseline(0.8, 1_000);
    log.pattern(150, 50);
    let model = subject().model_key();
    log.state.model_mut(&model).at = log.state.clock(&model);
    let view = SubjectView::of(&log.state, &subject());
    let value = |metric: &str, last| view.recent(metric, last).map(|estimate| estimate.value);
    assert_eq!(value("precision", 100), Some(0.75), "everything is predicted positive");
    assert_eq!(value("recall", 100), Some(1.0));
    assert_eq!(value("accuracy", 200), Some(0.75));
    let ece = value("ece", 100).expect("scores");
    assert!((ece - 0.15).abs() < 1e-12, "{ece}");
    assert_eq!(value("precision", 101), None, "too few are kept");
    assert_eq!(value("sharpe", 100), None, "no trades");
    assert_eq!(value("luck", 100), None);
    assert_eq!(view.baseline("accuracy").map(|estimate| estimate.value), Some(0.8));
    assert_eq!(view.baseline("ece"), None);
    // Rows are two minutes apart: 30 in less than an hour; six hours have more than are kept.
    assert_eq!(view.between("precision", 3_599, 0).map(|estimate| estimate.samples), Some(30));
    assert_eq!(view.between("precision", 6 * 3_600, 0), None);
    let mut off = Log::new("");
    off.pattern(150, 50);
    let view = SubjectView::of(&off.state, &subject());
    assert_eq!(view.recent("precision", 100), None);
    assert!(view.recent("accuracy", 200).is_some());
}

/// Scores by the hour for days, with a tick after each.
fn days(log: &mut Log, from: u64, until: u64, low: f64, high: f64) {
    for hour in from * 24..until * 24 {
        let (id, score) = (log.state.position.0 + 1, low + (high - low) * log.coin());
        let time = Timestamp::EPOCH.plus(hour * 3_600);
        let prediction = Prediction { predicted: Predicted::Binary(score), time, ..log.prediction(id) };
        log.entry(Entry::Prediction(prediction), None);
        log.entry(Entry::Tick(time.plus(1_800)), None);
    }
}

/// With a share x of the last seven days in the upper half only, the distance is x/2. An index of 720 and 168 values that is
/// improbable at 0.001 is above 27.88·(1/720 + 1/168) = 0.205 (chi-square, 9 degrees of freedom): high at once.
#[test]
fn the_last_week_is_held_against_a_month_before_without_a_baseline() {
    let expected = [
        ("ks", "score opened medium, score raised high", "score closed high"),
        ("psi", "score opened high, score raised critical", "score closed critical"),
    ];
    for (name, rises, closes) in expected {
        let mut log = only(name, &format!("{name}.window = \"7d\""));
        days(&mut log, 0, 62, 0.0, 1.0);
        assert_eq!(log.life(), "", "{name}");
        let mut restored = log.restored();
        for log in [&mut log, &mut restored] {
            days(log, 62, 72, 0.5, 1.0);
        }
        assert_eq!(log.life(), rises);
        // A day that is no longer hours counts where it begins in the stretch: at least six of the seven.
        let words = &log.findings[0].window;
        assert!(
            words.starts_with("last 7d (1") && words.ends_with("against 30d to 60d ago (720)"),
            "{words}"
        );
        assert_eq!(restored.findings, log.findings, "{name}: restored");
        log.findings.clear();
        days(&mut log, 72, 82, 0.0, 1.0);
        assert_eq!(log.life(), closes);
    }
}

#[test]
fn sketches_are_kept_only_where_a_window_is_a_length_of_time() {
    let mut log = only("ks", "ks.window = \"7d\"\nsketches.budget = 65536");
    days(&mut log, 0, 100, 0.0, 1.0);
    let known = |log: &Log| {
        let subject = &log.state.subjects[&subject()];
        (
            subject.open_hours.len(),
            subject.timelines.values().map(|timeline| timeline.len()).collect::<Vec<_>>(),
        )
    };
    // Three days of hours and what has begun of a day; then days, up to one more than the earlier stretch reaches.
    let (open, timelines) = known(&log);
    let (hours, kept) = timelines[0];
    assert!(open == 1 && (72..=96).contains(&hours) && (57..=59).contains(&kept), "{hours} {kept}");
    let off = crate::Configuration::parse("", "test").expect("valid");
    log.state.put_in_force(std::sync::Arc::new(off));
    log.scored(0.5);
    assert_eq!(known(&log), (0, Vec::new()));
    // More features than the budget has room for: at least 4,096 bytes each.
    let mut log = only("ks", "ks.window = \"7d\"\nsketches.budget = 65536");
    let features = (0..40).map(|n| (format!("f{n:02}"), Feature::Number(1.0))).collect();
    let prediction = Prediction { features: Features::from_pairs(features), ..log.prediction(1) };
    log.entry(Entry::Prediction(prediction), None);
    assert_eq!(known(&log).0, 16);
}

/// Of scores of 0.9 and 0.2 in turns, nine of ten and eight of ten predictions are expected to be right.
#[test]
fn performance_is_estimated_while_outcomes_are_missing_and_says_so() {
    let mut log = Log::new("[metrics]\nwindow = 100");
    let mut positions = Vec::new();
    for n in 0..150 {
        log.scored(if n % 2 == 0 { 0.9 } else { 0.2 });
        positions.push(log.state.position);
    }
    let recent = |log: &Log, metric: &str, last| SubjectView::of(&log.state, &subject()).recent(metric, last);
    let found = recent(&log, "accuracy", 100).expect("estimated");
    assert!((found.value - 0.85).abs() < 1e-12 && !found.from_outcomes && found.samples == 100, "{found:?}");
    assert!((recent(&log, "precision", 100).expect("estimated").value - 0.9).abs() < 1e-12);
    assert!((recent(&log, "estimated-recall", 100).expect("estimated").value - 0.9 / 1.1).abs() < 1e-12);
    assert_eq!(recent(&log, "accuracy", 101), None, "more than are kept");
    assert_eq!(recent(&log, "ece", 100), None, "not to be had without outcomes");
    // Outcomes come: what is known is said, and those that came no longer wait.
    for position in &positions[130..] {
        let prediction = log.prediction(position.0);
        let outcome = log.outcome(position.0, true);
        log.resolve(*position, prediction, outcome);
    }
    let known = recent(&log, "accuracy", 20).expect("measured");
    assert!(known.value == 1.0 && known.from_outcomes, "{known:?}");
    assert_eq!(recent(&log, "estimated-accuracy", 81), None);
    assert!(recent(&log, "estimated-accuracy", 80).is_some());
    let mut off = Log::new("");
    (0..150).for_each(|_| off.scored(0.9));
    assert_eq!(recent(&off, "accuracy", 100), None);
}

/// Scores that are too sure are recalibrated by the judged ones: 0.9 came true in seven of ten.
#[test]
fn estimates_are_recalibrated_where_that_helps() {
    let mut log = Log::new("[metrics]\nwindow = 300");
    log.pattern(210, 90);
    (0..50).for_each(|_| log.scored(0.9));
    let view = SubjectView::of(&log.state, &subject());
    let found = view.recent("estimated-accuracy", 50).expect("estimated");
    assert!((found.value - 0.7).abs() < 1e-9, "{found:?}");
}

/// A prediction and an outcome every two minutes for 2,000 rows is less than three days: 5,040 a week, of which e-sr
/// promises one false alarm in 10,000, and PSI one test of a thousand, every 50.
#[test]
fn a_fleet_says_how_many_false_alarms_to_expect() {
    let mut log = Log::new("[detectors]\nadwin.enabled = true\n");
    log.baseline_with(vec![even(None)]);
    log.rows(2_000, 0.8);
    let fleets = crate::fleets([&log.state], &log.state.configuration);
    assert_eq!(fleets.len(), 1);
    let fleet = &fleets[0];
    assert_eq!((fleet.tenant.as_str(), fleet.streams, fleet.tests), ("default", 1, 1));
    // Rows are two minutes apart.
    let expected = 5_040.0 / 10_000.0 + 5_040.0 / 50.0 * 0.001;
    assert!((fleet.false_alarms_per_week / expected - 1.0).abs() < 0.01, "{fleet:?}, not {expected}");
    assert_eq!(fleet.without_promise, ["adwin"]);
    // All scores are 0.9, where a tenth was expected.
    assert_eq!(fleet.significant, ["btc@v1 psi score"]);
    assert!(fleet.changed.is_empty());
    log.rows(1_000, 0.5);
    assert_eq!(crate::fleets([&log.state], &log.state.configuration)[0].changed, ["btc@v1 e-sr"]);
}
