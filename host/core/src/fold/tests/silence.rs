//! Predictions that stay away: when a silence is too long, who is to blame where versions follow each other, and what ends it.

use trimtab_types::{Act, ModelKey, OperatorAct, Subject};

use super::*;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// Predictions of versions and segments over days, with a tick at each hour.
struct Days {
    log: Log,
    now: u64,
    id: u64,
}

impl Days {
    fn new(config: &str) -> Self {
        let mut days = Self { log: Log::new(config), now: 0, id: 0 };
        days.tick();
        days
    }

    fn tick(&mut self) {
        self.log.entry(Entry::Tick(Timestamp::EPOCH.plus(self.now)), None);
    }

    fn predict(&mut self, (version, segment): (&str, &str), served: bool) -> &mut Self {
        self.id += 1;
        let subject = Subject { version: version.into(), segment: segment.into(), ..subject() };
        let prediction = Prediction {
            subject: Arc::new(subject),
            time: Timestamp::EPOCH.plus(self.now),
            served,
            ..self.log.prediction(self.id)
        };
        self.log.entry(Entry::Prediction(prediction), None);
        self
    }

    /// Time passes, with a tick at each hour; each of these predicts once an hour.
    fn pass(&mut self, hours: u64, who: &[(&str, &str)]) -> &mut Self {
        for _ in 0..hours {
            for one in who {
                self.predict(*one, true);
            }
            self.now += HOUR;
            self.tick();
        }
        self
    }

    fn retire(&mut self, version: Option<&str>, segment: Option<&str>) -> &mut Self {
        let Subject { tenant, model, .. } = subject();
        let act = Act::Retire {
            model: ModelKey { tenant, model },
            version: version.map(str::to_owned),
            segment: segment.map(str::to_owned),
            feature: None,
        };
        let at = Timestamp::EPOCH.plus(self.now);
        let act = OperatorAct { actor: "ada".into(), at, act, reason: String::new() };
        self.log.entry(Entry::OperatorAct(act), None);
        self
    }

    /// What was found since this was asked last: version, segment and what happened.
    #[track_caller]
    fn found(&mut self, expected: &[&str]) -> &mut Self {
        let short = |finding: Finding| {
            let Subject { version, segment, .. } = &finding.subject;
            format!("{version}{segment} {} {}", finding.phase.name(), finding.severity)
        };
        let found: Vec<String> = std::mem::take(&mut self.log.findings).into_iter().map(short).collect();
        assert_eq!(found, expected, "at hour {}", self.now / HOUR);
        self
    }
}

const V1: (&str, &str) = ("v1", "");
const V2: (&str, &str) = ("v2", "");

#[test]
fn a_model_that_stops_is_found_and_stays_found_until_it_speaks() {
    let mut days = Days::new("");
    // Three days at first; however long it lasts afterwards, nothing but a prediction ends it.
    days.pass(24, &[V1]).pass(71, &[]).found(&[]).pass(1, &[]).found(&["v1 opened high"]);
    let words = days.log.state.subjects.values().next().and_then(|known| known.open_findings().next());
    let words = words.map(|(_, finding)| finding.window.clone()).unwrap_or_default();
    assert_eq!(words, "no prediction for 3 d 1 h, and 3 d is allowed; what is usual is known after 15 days");
    days.pass(24 * 60, &[]).found(&[]).predict(V1, true).found(&["v1 closed high"]);
}

#[test]
fn what_is_usual_says_how_long_a_silence_may_last() {
    // Once it is known that there is a prediction an hour, two and a half hours are allowed.
    let mut days = Days::new("");
    days.pass(24 * 16, &[V1]).pass(1, &[]).found(&[]).pass(2, &[]).found(&["v1 opened high"]);
    // Where a limit is set, that is what counts, from the first day on.
    let mut days = Days::new("[detectors.staleness]\nlimit = \"4h\"\n");
    days.pass(5, &[V1]).pass(3, &[]).found(&[]).pass(2, &[]).found(&["v1 opened high"]);
    Days::new("[detectors.staleness]\nenabled = false\n").pass(5, &[V1]).pass(24 * 30, &[]).found(&[]);
}

#[test]
fn a_version_that_another_takes_over_from_is_not_missed_and_one_beside_is() {
    let mut days = Days::new("");
    days.pass(24 * 20, &[V1]).pass(24 * 10, &[V2]).found(&[]);
    // Side by side for days, and one ends: medium, because the model still predicts.
    let mut days = Days::new("");
    days.pass(24 * 20, &[V1, V2]).pass(1, &[V2]).found(&[]).pass(24, &[V2]).found(&["v1 opened medium"]);
    // The other ends, too.
    days.pass(24, &[]).found(&["v1 raised high", "v2 opened high"]);
    // A segment that ends while others of its version go on is missed.
    let mut days = Days::new("");
    let (btc, eth) = (("v1", "/btc"), ("v1", "/eth"));
    days.pass(24 * 20, &[btc, eth]).pass(24, &[eth]).found(&["v1/btc opened high"]);
}

#[test]
fn what_is_retired_is_not_missed_until_it_comes_again() {
    let mut days = Days::new("");
    days.pass(24 * 20, &[V1]).pass(24, &[]).found(&["v1 opened high"]);
    days.retire(Some("v2"), None).found(&[]);
    days.retire(Some("v1"), None).found(&["v1 closed high"]).pass(24 * 30, &[]).found(&[]);
    assert!(days.log.state.subjects.values().all(|known| known.is_retired()));
    days.predict(V1, true).found(&[]);
    assert!(!days.log.state.subjects.values().any(|known| known.is_retired()));
    days.pass(24 * 20, &[V1]).pass(24, &[]).found(&["v1 opened high"]);
    // Ahead of time, and only of one segment.
    let mut days = Days::new("");
    let (btc, eth) = (("v1", "/btc"), ("v1", "/eth"));
    days.pass(24 * 20, &[btc, eth]).retire(None, Some("/btc"));
    days.pass(24, &[]).found(&["v1/eth opened high"]);
}

/// A host that did not run for a week has missed nothing; what does not come from then on is.
#[test]
fn while_no_host_ran_nothing_was_missed() {
    let mut days = Days::new("");
    days.pass(24 * 20, &[V1]).found(&[]);
    days.now += 7 * DAY;
    days.tick();
    days.found(&[]).pass(2, &[]).found(&[]).pass(1, &[]).found(&["v1 opened high"]);
    // History without any ticks, and then a host.
    let mut days = Days { log: Log::new(""), now: 0, id: 0 };
    for _ in 0..24 * 20 {
        days.predict(V1, true);
        days.now += HOUR;
    }
    days.now += 300 * DAY;
    days.tick();
    days.found(&[]);
}

/// An archived version of which rows still come, because all versions predict all rows, is not missed when they end.
#[test]
fn what_was_put_away_is_not_missed() {
    let put_away = |days: &mut Days, is_away: bool| {
        let subjects: Vec<_> =
            days.log.state.subjects.keys().filter(|s| s.version == "v1").cloned().collect();
        for subject in subjects {
            days.log.state.subject_mut(&subject).arrivals.put_away(is_away);
        }
    };
    let mut days = Days::new("");
    days.pass(24 * 20, &[V1, V2]);
    put_away(&mut days, true);
    days.predict(V1, false).pass(24 * 10, &[V2]).found(&[]);
    // It serves again, and ends.
    days.predict(V1, true).pass(24 * 10, &[V2]).found(&["v1 opened medium"]);
}
