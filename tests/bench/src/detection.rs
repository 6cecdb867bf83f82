//! What is watched besides the error rate, by seeded simulation: how soon a quantity that stays away, a rare class that is
//! missed, worse numbers and a feed that stops are found, how often each opens for nothing, and how near the rows that
//! `baseline show` predicts come to those that it takes. The error rate itself is in `promises`.

use std::fmt;

use serde::Serialize;
use trimtab_stats::{
    EDetectorKind, LevelChange, StatsError, TwoLevel, TwoLevelConfig,
    by_class::{ClassBaseline, ClassSettings},
    dependence::{BlockInflation, block_inflation, effective_sample_size},
    health::{
        HealthChange, HealthLimit, HealthStream,
        allowed::{Allowed, Margins, missing},
    },
    large_errors::ErrorScale,
    null_mean_upper,
    power::{Power, Rows},
    silence::{DailyGaps, SilenceSettings},
    special::normal_quantile,
};

use crate::{
    report::grouped,
    rows::Random,
    run_lengths::{CHANGED, Errors, NORMAL},
};

const RUNS: u64 = 300;
const TOLERANCE: f64 = 0.02;
const CONFIDENCE: f64 = 0.95;
/// Rows between false openings of a family.
const RUN_LENGTH: f64 = 10_000.0;
/// Every run is cut off here.
const LIMIT: u64 = 60_000;

/// All tables.
#[derive(Debug, Serialize)]
pub(crate) struct Detection {
    missing: Vec<Missing>,
    classes: Vec<Class>,
    numbers: Vec<Numbers>,
    power: Vec<Predicted>,
    silence: Vec<Silence>,
}

/// A quantity of which nothing was missing in the baseline.
#[derive(Debug, Serialize)]
struct Missing {
    worth: u64,
    streams: u32,
    /// The share that is missing from now on.
    share: f64,
    rows: Waits,
}

/// A class of which a baseline holds so many events, nine of ten of them recalled.
#[derive(Debug, Serialize)]
struct Class {
    events: usize,
    /// Events of the class until it opens, by the recall that is left.
    found: [Waits; 2],
    /// Runs of 1,000 in which 2,000 events as before open it.
    false_openings: usize,
}

const RECALLS: [f64; 2] = [0.0, 0.5];

/// Predictions of numbers whose errors are drawn from this.
#[derive(Debug, Serialize)]
struct Numbers {
    errors: Noise,
    found: [Waits; 4],
    /// Of 200 runs of 20,000 rows in which nothing changes, those that open.
    false_openings: usize,
}

/// Times as wide, and shifted by.
const WORSE: [(f64, f64); 4] = [(1.2, 0.0), (1.5, 0.0), (2.0, 0.0), (1.0, 1.0)];

#[derive(Debug, Clone, Copy, Serialize)]
enum Noise {
    Normal,
    /// Student's, with three degrees of freedom.
    HeavyTailed,
}

/// What a baseline of so many rows says, and what it takes.
#[derive(Debug, Serialize)]
struct Predicted {
    baseline: usize,
    correlation: f64,
    to: f64,
    predicted: Option<u32>,
    simulated: Option<f64>,
}

/// A model whose predictions come in this way.
#[derive(Debug, Serialize)]
struct Silence {
    feed: Feed,
    /// Openings in 20 models of 200 days, once what is usual is known.
    false_openings: u64,
    /// Those before, while three days are allowed.
    at_first: u64,
    /// How long a silence may last at the end, in hours.
    limit: f64,
}

#[derive(Debug, Clone, Copy, Serialize)]
enum Feed {
    AroundTheClock,
    QuietNights,
    OfficeHours,
    DailyBatch,
    WeeklyBatch,
}

#[derive(Debug, Serialize)]
struct Waits {
    mean: f64,
    median: u64,
    /// 95 of 100 took no longer.
    most: u64,
}

impl Waits {
    fn of(mut waits: Vec<u64>) -> Self {
        waits.sort_unstable();
        let at = |share: f64| waits[((waits.len() as f64 * share) as usize).min(waits.len() - 1)];
        Self { mean: waits.iter().sum::<u64>() as f64 / waits.len() as f64, median: at(0.5), most: at(0.95) }
    }
}

impl Detection {
    pub(crate) fn simulate() -> Result<Self, StatsError> {
        let worths = [1_000, 150, 50, 20];
        let streams = [3, 30, 300, 3_000];
        let all = worths.into_iter().flat_map(|worth| streams.map(|streams| (worth, streams, 1.0)));
        let shares = [0.1, 0.2, 0.3, 0.5].map(|share| (1_000, 30, share));
        Ok(Self {
            missing: all
                .chain(shares)
                .map(|(worth, streams, share)| Missing::of(worth, streams, share))
                .collect::<Result<_, _>>()?,
            classes: [10, 20, 50, 200].into_iter().map(Class::of).collect::<Result<_, _>>()?,
            numbers: [Noise::Normal, Noise::HeavyTailed]
                .into_iter()
                .map(Numbers::of)
                .collect::<Result<_, _>>()?,
            power: [(200, 0.0), (1_000, 0.0), (5_000, 0.0), (1_000, 0.6), (5_000, 0.6)]
                .into_iter()
                .flat_map(|(baseline, correlation)| CHANGED.map(|to| (baseline, correlation, to)))
                .map(|(baseline, correlation, to)| Predicted::of(baseline, correlation, to))
                .collect::<Result<_, _>>()?,
            silence: Feed::ALL.into_iter().map(|(feed, _)| Silence::of(feed)).collect(),
        })
    }

    fn gates(&self) -> Vec<(String, bool)> {
        let gone = self.missing.iter().filter(|line| line.share >= 1.0 && line.worth >= 150);
        let slowest = gone.map(|line| line.rows.mean).fold(0.0, f64::max);
        let rare = self.classes.iter().find(|class| class.events == 50);
        let missed = rare.map_or(f64::NAN, |class| class.found[0].median as f64);
        let predicted = self.power.iter().filter_map(|line| Some((line.predicted?, line.simulated?)));
        let near = predicted.filter(|(predicted, _)| *predicted <= 1_000);
        let off = near
            .map(|(predicted, simulated)| (f64::from(predicted) / simulated - 1.0).abs())
            .fold(0.0, f64::max);
        let silent: u64 = self.silence.iter().map(|line| line.false_openings).sum();
        vec![
            (
                format!("missing altogether, baseline worth 150 or more, within 30 rows: most {slowest:.0}"),
                slowest <= 30.0,
            ),
            (
                format!(
                    "a rare class missed altogether, 50 events in the baseline, after about 10: {missed}"
                ),
                missed <= 12.0,
            ),
            (
                format!(
                    "predicted rows up to 1,000 within 25 % of those it takes: most {:.0} %",
                    100.0 * off
                ),
                off <= 0.25,
            ),
            (format!("feeds as usual are never called silent: {silent}"), silent == 0),
        ]
    }
}

impl Missing {
    fn of(worth: u64, streams: u32, share: f64) -> Result<Self, StatsError> {
        let Allowed::UpTo(limit) = missing(0, worth, worth as f64, &Margins::default())? else {
            unreachable!("nothing was missing")
        };
        let limit = HealthLimit::new(limit, 5, RUN_LENGTH * f64::from(streams))?;
        let rows = (0..RUNS).map(|seed| {
            let mut random = Random(seed);
            let mut stream = HealthStream::default();
            for row in 0..LIMIT {
                let is_missing = random.unit() < share;
                if let Some(HealthChange::Opened(_)) = stream.update(&limit, row, is_missing)? {
                    return Ok(row + 1);
                }
            }
            Ok(LIMIT)
        });
        Ok(Self { worth, streams, share, rows: Waits::of(rows.collect::<Result<_, StatsError>>()?) })
    }
}

/// Rows until a stream opens, at most `most`.
fn opens(
    config: TwoLevelConfig,
    most: u64,
    mut next: impl FnMut() -> f64,
) -> Result<Option<u64>, StatsError> {
    let mut stream = TwoLevel::new(config)?;
    for row in 1..=most {
        if let Some(LevelChange::Opened(_)) = stream.update(next())? {
            return Ok(Some(row));
        }
    }
    Ok(None)
}

fn bernoulli(random: &mut Random, rate: f64) -> f64 {
    f64::from(u8::from(random.unit() < rate))
}

impl Class {
    const MISSED: f64 = 0.1;
    const SETTINGS: ClassSettings = ClassSettings {
        kind: EDetectorKind::ShiryaevRoberts,
        average_run_length: RUN_LENGTH,
        recovery_run_length: 2_000.0,
        tolerance: TOLERANCE,
        confidence: CONFIDENCE,
    };

    fn of(events: usize) -> Result<Self, StatsError> {
        let run = |seed: u64, missed: f64, most: u64| {
            let mut random = Random(seed);
            let baseline: Vec<f64> = (0..events).map(|_| bernoulli(&mut random, Self::MISSED)).collect();
            let config = ClassBaseline::of(&baseline)?.watch(&Self::SETTINGS, 2)?;
            opens(config, most, || bernoulli(&mut random, missed))
        };
        let found = |recall: f64| -> Result<Waits, StatsError> {
            let runs = (0..RUNS).map(|seed| Ok(run(seed, 1.0 - recall, LIMIT)?.unwrap_or(LIMIT)));
            Ok(Waits::of(runs.collect::<Result<_, StatsError>>()?))
        };
        let quiet: Vec<Option<u64>> =
            (0..1_000).map(|seed| run(RUNS + seed, Self::MISSED, 2_000)).collect::<Result<_, _>>()?;
        Ok(Self {
            events,
            found: [found(RECALLS[0])?, found(RECALLS[1])?],
            false_openings: quiet.iter().flatten().count(),
        })
    }
}

impl Noise {
    fn next(self, random: &mut Random) -> f64 {
        let mut normal = || normal_quantile(random.unit().max(f64::EPSILON));
        match self {
            Self::Normal => normal(),
            Self::HeavyTailed => {
                let of = normal();
                let squares: f64 = (0..3).map(|_| normal().powi(2)).sum();
                of / (squares / 3.0).sqrt()
            }
        }
    }
}

impl Numbers {
    const BASELINE: usize = 2_000;

    fn of(errors: Noise) -> Result<Self, StatsError> {
        let run = |seed: u64, (spread, shift): (f64, f64), most: u64| {
            let mut random = Random(seed);
            let baseline: Vec<f64> = (0..Self::BASELINE).map(|_| errors.next(&mut random)).collect();
            let scale = ErrorScale::of(&baseline, &vec![0.0; baseline.len()])?;
            let large = baseline
                .iter()
                .map(|error| Ok(f64::from(u8::from(scale.is_large(*error, 0.0)?))))
                .collect::<Result<Vec<f64>, StatsError>>()?;
            let config = watching(&large)?;
            opens(config, most, || {
                let error = spread * errors.next(&mut random) + shift;
                f64::from(u8::from(error.abs() > scale.large))
            })
        };
        let found = |worse: (f64, f64)| -> Result<Waits, StatsError> {
            let runs = (0..RUNS).map(|seed| Ok(run(seed, worse, LIMIT)?.unwrap_or(LIMIT)));
            Ok(Waits::of(runs.collect::<Result<_, StatsError>>()?))
        };
        let quiet: Vec<Option<u64>> =
            (0..200).map(|seed| run(RUNS + seed, (1.0, 0.0), 20_000)).collect::<Result<_, _>>()?;
        let [a, b, c, d] = WORSE;
        Ok(Self {
            errors,
            found: [found(a)?, found(b)?, found(c)?, found(d)?],
            false_openings: quiet.iter().flatten().count(),
        })
    }
}

/// The stream that a baseline of these errors makes, without its early sign.
fn watching(errors: &[f64]) -> Result<TwoLevelConfig, StatsError> {
    let n = errors.len() as u64;
    let wrong = errors.iter().filter(|error| **error > 0.0).count() as u64;
    let worth = effective_sample_size(errors)?;
    Ok(TwoLevelConfig {
        null_mean: null_mean_upper(wrong, n, TOLERANCE, CONFIDENCE, Some(worth))?,
        blocks: measured(errors)?,
        early_sign: false,
        ..TwoLevelConfig::default()
    })
}

fn measured(errors: &[f64]) -> Result<BlockInflation, StatsError> {
    if errors.len() < BlockInflation::LEAST_BLOCKS * 5 {
        return Ok(BlockInflation::UNMEASURED);
    }
    block_inflation(errors, 5)
}

impl Predicted {
    /// Of one baseline, the most usual one: as many errors as are expected of its rows.
    fn of(baseline: usize, correlation: f64, to: f64) -> Result<Self, StatsError> {
        let wrong = (NORMAL * baseline as f64).round() as u64;
        let dependence = (1.0 + correlation) / (1.0 - correlation);
        let worth = baseline as f64 / dependence;
        let null_mean = null_mean_upper(wrong, baseline as u64, TOLERANCE, CONFIDENCE, Some(worth))?;
        let blocks = if baseline < BlockInflation::LEAST_BLOCKS * 5 {
            BlockInflation::UNMEASURED
        } else {
            BlockInflation { block: 5, inflation: crate::promises::inflation(correlation, 5) }
        };
        let power = Power { null_mean, average_run_length: RUN_LENGTH, blocks, dependence };
        let predicted = match power.rows_to(to)? {
            Rows::About(rows) => Some(rows),
            Rows::More | Rows::Never => None,
        };
        let config = TwoLevelConfig { null_mean, blocks, early_sign: false, ..TwoLevelConfig::default() };
        let runs = (0..RUNS).map(|seed| {
            let mut errors = Errors::new(seed, correlation);
            opens(config, LIMIT, || errors.next(to))
        });
        let runs: Vec<Option<u64>> = runs.collect::<Result<_, _>>()?;
        let all: Option<Vec<u64>> = runs.into_iter().collect();
        let simulated = all.map(|rows| rows.iter().sum::<u64>() as f64 / rows.len() as f64);
        Ok(Self { baseline, correlation, to, predicted, simulated })
    }
}

impl Feed {
    const ALL: [(Self, &str); 5] = [
        (Self::AroundTheClock, "100 a day, at any time"),
        (Self::QuietNights, "100 a day, few at night"),
        (Self::OfficeHours, "100 a day, weekdays 9 to 17"),
        (Self::DailyBatch, "a batch a day"),
        (Self::WeeklyBatch, "a batch a week"),
    ];

    /// Times of 200 days, in seconds.
    fn times(self, random: &mut Random) -> Vec<i64> {
        const HOUR: f64 = 3_600.0;
        let mut times = Vec::new();
        for day in 0..200_i64 {
            let mut at = |hour: f64| times.push(day * 86_400 + (hour * HOUR) as i64);
            match self {
                Self::AroundTheClock => (0..100).for_each(|_| at(24.0 * random.unit())),
                Self::QuietNights => (0..100).for_each(|_| {
                    let is_night = random.unit() < 0.03;
                    at(if is_night { 8.0 * random.unit() } else { 8.0 + 16.0 * random.unit() });
                }),
                Self::OfficeHours if day % 7 < 5 => (0..100).for_each(|_| at(9.0 + 8.0 * random.unit())),
                Self::DailyBatch => (0..100).for_each(|_| at(2.0 + random.unit())),
                Self::WeeklyBatch if day % 7 == 0 => (0..100).for_each(|_| at(2.0 + random.unit())),
                Self::OfficeHours | Self::WeeklyBatch => {}
            }
        }
        times.sort_unstable();
        times
    }
}

impl Silence {
    fn of(feed: Feed) -> Self {
        let settings = SilenceSettings::default();
        let mut line = Self { feed, false_openings: 0, at_first: 0, limit: 0.0 };
        for model in 0..20 {
            let mut gaps = DailyGaps::default();
            let times = feed.times(&mut Random(model));
            for time in times {
                let at = time * 1_000;
                // Silence is looked at each minute: an opening is whatever was too long just before the next came.
                let is_known =
                    gaps.first().is_some_and(|first| at - first >= i64::from(settings.days) * 86_400_000);
                let opens = u64::from(gaps.too_long(&settings, at - 1).is_some());
                *(if is_known { &mut line.false_openings } else { &mut line.at_first }) += opens;
                gaps.add(&settings, at);
            }
            let far = gaps.newest().unwrap_or_default() + 400 * 86_400_000;
            let limit = gaps.too_long(&settings, far).map_or(0, |(_, limit)| limit);
            line.limit = limit as f64 / 3_600_000.0;
        }
        line
    }
}

impl fmt::Display for Waits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{} / {}", grouped(self.median as f64), grouped(self.most as f64)))
    }
}

impl fmt::Display for Detection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rows until a quantity that is missing opens: median / 95 of 100")?;
        writeln!(f, "{:>8} {:>8} {:>8} {:>14} {:>8}", "worth", "streams", "missing", "rows", "mean")?;
        for Missing { worth, streams, share, rows } in &self.missing {
            let share = format!("{:.0} %", 100.0 * share);
            writeln!(f, "{worth:>8} {streams:>8} {share:>8} {rows:>14} {:>8.0}", rows.mean)?;
        }
        writeln!(
            f,
            "\nevents of a class, recalled at 90 % in the baseline, until it opens: median / 95 of 100"
        )?;
        writeln!(
            f,
            "{:>8} {:>14} {:>14} {:>26}",
            "events", "recall 0", "recall 50 %", "of 1,000 quiet runs open"
        )?;
        for Class { events, found: [none, half], false_openings } in &self.classes {
            writeln!(f, "{events:>8} {none:>14} {half:>14} {false_openings:>26}")?;
        }
        writeln!(f, "\nrows until worse numbers open, baseline 2,000: mean")?;
        let header = ["spread x 1.2", "x 1.5", "x 2", "bias 1", "of 200 quiet runs open"];
        write!(f, "{:>12}", "errors")?;
        header.iter().try_for_each(|name| write!(f, " {name:>12}"))?;
        writeln!(f)?;
        for Numbers { errors, found, false_openings } in &self.numbers {
            let name = if matches!(errors, Noise::Normal) { "normal" } else { "t, 3" };
            write!(f, "{name:>12}")?;
            found.iter().try_for_each(|waits| write!(f, " {:>12}", grouped(waits.mean)))?;
            writeln!(f, " {false_openings:>12}")?;
        }
        writeln!(f, "\nrows until more errors open, from a cold start: predicted and simulated")?;
        writeln!(
            f,
            "{:>8} {:>11} {:>6} {:>10} {:>10}",
            "baseline", "correlation", "to", "predicted", "simulated"
        )?;
        for Predicted { baseline, correlation, to, predicted, simulated } in &self.power {
            let to = format!("{:.0} %", 100.0 * to);
            let predicted = predicted.map_or("-".to_owned(), |rows| grouped(f64::from(rows)));
            let simulated = simulated.map_or("-".to_owned(), grouped);
            writeln!(f, "{baseline:>8} {correlation:>11} {to:>6} {predicted:>10} {simulated:>10}")?;
        }
        writeln!(f, "\nsilence: false openings in 20 models of 200 days, and the limit that is found")?;
        for Silence { feed, false_openings, at_first, limit } in &self.silence {
            let named = Feed::ALL.iter().find(|(known, _)| *known as u8 == *feed as u8);
            let name = named.map_or("", |(_, name)| name);
            writeln!(f, "{name:30} {false_openings:>4} {at_first:>4} at first {limit:>8.1} h")?;
        }
        writeln!(f)?;
        for (gate, is_kept) in self.gates() {
            writeln!(f, "{}: {gate}", if is_kept { "kept" } else { "NOT KEPT" })?;
        }
        writeln!(f)
    }
}
