//! Questions for a ladder: the same in every process, because all of them come from one seed. They lean to where
//! languages could differ: numbers half-way between two roundings, very large and negative ones, minus zero, texts
//! beyond ASCII, histories in which the same episode stands several times.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use trimtab_policy::View;
use trimtab_types::{
    Digest, Estimate, Finding, Interval, ModelVersion, Phase, Position, Seconds, Severity, Subject, Timestamp,
};

const SEED: u64 = 20_261_121;

/// What is asked, and what a history answers.
pub(crate) struct Question {
    pub(crate) now: Timestamp,
    /// Which of [`settings`], modulo their number.
    pub(crate) settings: usize,
    pub(crate) findings: Vec<Finding>,
    pub(crate) view: Answers,
}

impl Question {
    /// Shows that two processes were asked the same.
    pub(crate) fn digest(&self) -> String {
        let text = format!("{:?} {} {:?} {:?}", self.now, self.settings, self.findings, self.view);
        Digest::of(text.as_bytes()).short().to_string()
    }
}

/// The operator's settings that questions are asked under.
pub(crate) fn settings() -> Vec<BTreeMap<String, Value>> {
    let sets = [
        json!({}),
        json!({ "recover": true }),
        json!({ "chance": 0 }),
        json!({ "chance": 1, "act-exposure": 0 }),
        json!({ "act-exposure": 0.333_333_333_333_333_3, "chance": 0.333 }),
        json!({ "act-exposure": 1, "recover": true, "chance": 0.525 }),
        json!({ "watch-retrain-within": "1h", "window": 1 }),
        json!({ "watch-retrain-within": "61m", "window": 100_000, "look-back": "365d" }),
        json!({ "watch-retrain-within": "3601s", "look-back": "1h", "act-exposure": 0.0005 }),
        json!({ "watch-retrain-within": "60d", "look-back": "30d", "window": 17, "recover": true }),
    ];
    sets.map(|set| serde_json::from_value(set).unwrap_or_default()).into()
}

/// Endless, and always the same.
pub(crate) fn questions() -> impl Iterator<Item = Question> {
    let mut random = Random(SEED);
    std::iter::repeat_with(move || question(&mut random))
}

fn question(random: &mut Random) -> Question {
    let now = Timestamp::EPOCH.plus(1_700_000_000 + random.below(100_000_000));
    // A third are recoveries, which are decided by what else is open; the others have closed ones among them at times.
    let closed = random.below(3) == 0;
    let mut findings: Vec<_> = (0..1 + random.below(4)).map(|_| finding(random, now, closed)).collect();
    findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    let recent = (random.below(4) > 0).then(|| estimate(random));
    let others = (0..random.below(8)).map(|_| finding(random, now, false)).collect();
    let settings = random.below(1_000) as usize;
    Question { now, settings, findings, view: Answers { recent, others } }
}

fn finding(random: &mut Random, now: Timestamp, closed: bool) -> Finding {
    let phase =
        if closed { Phase::Closed } else { random.one(&[Phase::Opened, Phase::Raised, Phase::Closed]) };
    Finding {
        // From few, so that the same episode stands in several places.
        id: format!("f{}", random.below(6)),
        subject: Subject {
            tenant: Subject::DEFAULT_TENANT.into(),
            model: "btc-trend".into(),
            version: "v7".into(),
            segment: "BTC/USDT".into(),
        },
        phase,
        position: Position(random.below(1 << 40)),
        at: now,
        opened: now,
        detector: random.one(&["e-sr", "adwin", "accuracy-z", "psi", "ks", "détecteur-é", "漂移", ""]).into(),
        quantity: random
            .one(&[
                "accuracy",
                "accuracy",
                "accuracy",
                "error",
                "error",
                "ece",
                "score",
                "feature/rsi %d",
                "feature/🙂\n",
            ])
            .into(),
        severity: random.one(&Severity::ALL),
        statistic: number(random),
        threshold: number(random),
        p_value: (random.below(2) == 0).then(|| random.share().powi(1 + random.below(9) as i32)),
        e_value: (random.below(2) == 0).then(|| number(random)),
        significant: random.below(3) > 0,
        baseline: (random.below(2) == 0).then(|| estimate(random)),
        current: (random.below(3) > 0).then(|| estimate(random)),
        window: "last 7 d against 30 to 60 d ago".into(),
        chance: None,
        sizes: None,
    }
}

fn estimate(random: &mut Random) -> Estimate {
    let value = match random.below(6) {
        0 => number(random),
        // Half-way between two roundings of a percentage with one decimal, and the levels that rules compare with.
        1 => (random.below(1_000) as f64 + 0.5) / 1_000.0,
        2 => random.one(&[0.0, 0.5, 0.525, 0.333, 1.0, 0.499_999_999_999_999_9, 0.475]),
        _ => random.share(),
    };
    Estimate {
        value,
        samples: random.one(&[0, 1, 17, 99, 100, 101, 5_000, u32::MAX]),
        interval: (random.below(2) == 0).then_some(Interval { lower: value - 0.1, upper: value + 0.1 }),
        from_outcomes: random.below(4) > 0,
    }
}

fn number(random: &mut Random) -> f64 {
    let small = random.below(4_000_000) as f64 / 16_000.0 - 100.0;
    random.one(&[
        small,
        small,
        small / 1e4,
        small * 1e6,
        small * 1e12,
        0.0,
        -0.0,
        0.000_5,
        0.25,
        -0.05,
        999_999_999.95,
        -999_999_999.949_9,
        1e9,
        f64::MAX,
        f64::MIN,
        f64::MIN_POSITIVE,
    ])
}

/// A history with these answers, whatever the length of time.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    recent: Option<Estimate>,
    others: Vec<Finding>,
}

impl View for Answers {
    fn recent(&self, metric: &str, _: u32) -> Option<Estimate> {
        self.recent.filter(|_| metric == "accuracy")
    }
    fn between(&self, _: &str, _: Seconds, _: Seconds) -> Option<Estimate> {
        None
    }
    fn baseline(&self, _: &str) -> Option<Estimate> {
        None
    }
    fn findings(&self, _: Seconds, at_least: Severity, limit: u32) -> Vec<Finding> {
        let grave = self.others.iter().filter(|finding| finding.severity >= at_least);
        grave.take(limit as usize).cloned().collect()
    }
    fn drift_count(&self, _: &str) -> u32 {
        0
    }
    fn versions(&self) -> Vec<ModelVersion> {
        Vec::new()
    }
    fn since_activation(&self) -> Option<Seconds> {
        None
    }
    fn since_retrain(&self) -> Option<Seconds> {
        None
    }
}

/// Random numbers that are the same at each run (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, most: u64) -> u64 {
        self.next() % most
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len() as u64) as usize]
    }
}
