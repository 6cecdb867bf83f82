//! Whether the e-process keeps what it promises, by seeded simulation: run lengths where neighbouring errors are alike, and
//! how soon and how rarely an episode is called over. The other rules are in `run_lengths`.

use serde::Serialize;
use trimtab_stats::{
    EDetectorConfig, Level, LevelChange, StatsError, TwoLevel, TwoLevelConfig, dependence::BlockInflation,
    null_mean_upper,
};

use crate::{
    report::grouped,
    run_lengths::{CHANGED, Errors, LIMIT, NORMAL, QUIET},
};

/// Lag-one correlation of errors.
const CORRELATIONS: [f64; 5] = [0.0, 0.3, 0.6, 0.9, 0.95];
/// The correlations of episodes, and the baseline that their limit is made from.
const EPISODES: [f64; 3] = [0.0, 0.3, 0.6];
const BASELINE: u64 = 5_000;
/// Runs in which nothing changes; the standard error of a mean run length is about 3 % of it.
const QUIET_RUNS: u64 = 1_000;
const CHANGING_RUNS: u64 = 100;
/// How much the limit of a detector that waits for a change lies above the normal rate.
const TOLERANCE: f64 = 0.02;
/// Rows for which errors are more, and rows for which they are as before.
const DRIFT: u64 = 30_000;
const BACK: u64 = 8_000;
/// Up to this correlation the promised run length is held against the simulated one.
const GATED: f64 = 0.9;

/// Both tables.
#[derive(Debug, Serialize)]
pub(crate) struct Promises {
    run_lengths: Vec<RunLength>,
    episodes: Vec<Episodes>,
}

/// A detector on errors of one correlation.
#[derive(Debug, Serialize)]
struct RunLength {
    correlation: f64,
    detector: Detector,
    inflation: f64,
    /// Mean rows to a false opening with the rate at the very limit.
    run_length: f64,
    /// Runs of it that were cut off.
    cut_off: usize,
    /// Mean rows to open when errors become more after a quiet time.
    delays: [f64; 3],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
enum Detector {
    /// Blocks of 20 at face value.
    Plain,
    /// Blocks of 5 with the true inflation.
    Inflated,
    /// Both together: until either opens.
    FirstSign,
}

impl Detector {
    const ALL: [(Self, &str); 3] = [
        (Self::Plain, "block 20, no inflation"),
        (Self::Inflated, "block 5, inflated"),
        (Self::FirstSign, "both, first sign"),
    ];

    fn config(self, correlation: f64, null_mean: f64) -> TwoLevelConfig {
        let inflated = BlockInflation { block: 5, inflation: inflation(correlation, 5) };
        let blocks = if self == Self::Plain { BlockInflation::UNMEASURED } else { inflated };
        TwoLevelConfig { null_mean, blocks, early_sign: self == Self::FirstSign, ..TwoLevelConfig::default() }
    }

    fn least(self) -> Level {
        if self == Self::FirstSign { Level::Early } else { Level::Full }
    }
}

/// How many times more the mean of many blocks varies than if blocks were independent: a long mean's (1 + φ)/(1 − φ) over
/// a block's 1 + 2·Σ (1 − j/b)·φʲ.
pub(crate) fn inflation(correlation: f64, block: u32) -> f64 {
    let mut within = 1.0;
    let mut power = 1.0;
    for lag in 1..block {
        power *= correlation;
        within += 2.0 * (1.0 - f64::from(lag) / f64::from(block)) * power;
    }
    (1.0 + correlation) / (1.0 - correlation) / within
}

/// Episodes of one kind of errors: more of them for a long time, then as before, then more again.
#[derive(Debug, Serialize)]
struct Episodes {
    correlation: f64,
    rate: f64,
    limit: f64,
    /// Mean rows to open, and to open again.
    opens: f64,
    opens_again: f64,
    /// Rows to close once errors are as before: the mean, and nine runs of ten take no more.
    closes: f64,
    closes_90: u64,
    /// Rows during which an episode was open while errors were more, and how often it was called over in them.
    open_rows: u64,
    false_recoveries: u64,
}

impl Promises {
    pub(crate) fn simulate() -> Result<Self, StatsError> {
        let detectors = CORRELATIONS
            .into_iter()
            .flat_map(|correlation| Detector::ALL.map(|(detector, _)| (correlation, detector)))
            .collect();
        let episodes =
            EPISODES.into_iter().flat_map(|correlation| CHANGED.map(|rate| (correlation, rate))).collect();
        Ok(Self {
            run_lengths: side_by_side(detectors, |(correlation, detector)| {
                RunLength::of(correlation, detector)
            })?,
            episodes: side_by_side(episodes, |(correlation, rate)| Episodes::of(correlation, rate))?,
        })
    }

    fn gates(&self) -> [(String, bool); 3] {
        let least_run = self
            .run_lengths
            .iter()
            .filter(|line| line.detector == Detector::Inflated && line.correlation <= GATED)
            .map(|line| line.run_length)
            .fold(f64::INFINITY, f64::min);
        let rarest =
            self.episodes.iter().filter_map(Episodes::rows_per_false_recovery).fold(f64::INFINITY, f64::min);
        let slowest = self.episodes.iter().map(|cell| cell.closes).fold(0.0, f64::max);
        let promised = EDetectorConfig::default().average_run_length;
        [
            (
                format!(
                    "run length with known inflation >= {} up to a correlation of {GATED}: least {}",
                    grouped(0.95 * promised),
                    grouped(least_run)
                ),
                least_run >= 0.95 * promised,
            ),
            (
                format!("rows per false recovery >= 2,000 in each cell: least {}", grouped(rarest)),
                rarest >= 2_000.0,
            ),
            (format!("mean closing <= 1,000 in each cell: most {}", grouped(slowest)), slowest <= 1_000.0),
        ]
    }
}

/// Each case on a thread of its own, the results in order.
fn side_by_side<C: Send, R: Send>(
    cases: Vec<C>,
    of: impl Fn(C) -> Result<R, StatsError> + Sync,
) -> Result<Vec<R>, StatsError> {
    let of = &of;
    std::thread::scope(|scope| {
        let running: Vec<_> = cases.into_iter().map(|case| scope.spawn(move || of(case))).collect();
        running
            .into_iter()
            .map(|case| case.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

impl RunLength {
    fn of(correlation: f64, detector: Detector) -> Result<Self, StatsError> {
        let at_limit = detector.config(correlation, NORMAL);
        let run = |seed| {
            let (mut watch, mut errors) = (TwoLevel::new(at_limit)?, Errors::new(seed, correlation));
            wait(&mut watch, &mut errors, NORMAL, detector.least())
        };
        let runs = (0..QUIET_RUNS).map(run).collect::<Result<Vec<u64>, _>>()?;
        let mut delays = [0.0; 3];
        for (delay, rate) in delays.iter_mut().zip(CHANGED) {
            let run = |seed| delay_to(detector, correlation, rate, seed);
            *delay = mean(&(0..CHANGING_RUNS).map(run).collect::<Result<Vec<u64>, _>>()?);
        }
        Ok(Self {
            correlation,
            detector,
            inflation: at_limit.blocks.inflation,
            run_length: mean(&runs),
            cut_off: runs.iter().filter(|&&run| run == LIMIT).count(),
            delays,
        })
    }
}

/// Rows to open when errors become more after a quiet time, in which a false opening starts everything anew.
fn delay_to(detector: Detector, correlation: f64, rate: f64, seed: u64) -> Result<u64, StatsError> {
    let mut watch = TwoLevel::new(detector.config(correlation, NORMAL + TOLERANCE))?;
    let mut errors = Errors::new(QUIET_RUNS + seed, correlation);
    for _ in 0..QUIET {
        if watch.update(errors.next(NORMAL))?.is_some() {
            watch.restart();
        }
    }
    wait(&mut watch, &mut errors, rate, detector.least())
}

/// Rows at a rate until an episode has come so far.
fn wait(watch: &mut TwoLevel, errors: &mut Errors, rate: f64, least: Level) -> Result<u64, StatsError> {
    for row in 1..LIMIT {
        watch.update(errors.next(rate))?;
        if watch.level() >= Some(least) {
            return Ok(row);
        }
    }
    Ok(LIMIT)
}

impl Episodes {
    fn of(correlation: f64, rate: f64) -> Result<Self, StatsError> {
        let worth = BASELINE as f64 * (1.0 - correlation) / (1.0 + correlation);
        let count = (NORMAL * BASELINE as f64).round() as u64;
        let limit = null_mean_upper(count, BASELINE, TOLERANCE, 0.95, Some(worth))?;
        let config = Detector::Inflated.config(correlation, limit);
        let (mut opens, mut opens_again, mut closes) = (Vec::new(), Vec::new(), Vec::new());
        let (mut open_rows, mut false_recoveries) = (0, 0);
        for seed in 0..CHANGING_RUNS {
            let (mut watch, mut errors) = (TwoLevel::new(config)?, Errors::new(seed, correlation));
            opens.push(wait(&mut watch, &mut errors, rate, Level::Full)?);
            for _ in 0..DRIFT {
                open_rows += u64::from(watch.level().is_some());
                if let Some(LevelChange::Closed(_)) = watch.update(errors.next(rate))? {
                    false_recoveries += 1;
                }
            }
            if watch.level().is_none() {
                wait(&mut watch, &mut errors, rate, Level::Full)?;
            }
            let mut closed = None;
            for row in 1..=BACK {
                if let Some(LevelChange::Closed(_)) = watch.update(errors.next(NORMAL))? {
                    closed = closed.or(Some(row));
                }
            }
            closes.push(closed.unwrap_or(BACK));
            if watch.level().is_some() {
                watch.restart();
            }
            opens_again.push(wait(&mut watch, &mut errors, rate, Level::Full)?);
        }
        closes.sort_unstable();
        Ok(Self {
            correlation,
            rate,
            limit,
            opens: mean(&opens),
            opens_again: mean(&opens_again),
            closes: mean(&closes),
            closes_90: closes[closes.len() * 9 / 10 - 1],
            open_rows,
            false_recoveries,
        })
    }

    /// `None` where there was no false recovery.
    fn rows_per_false_recovery(&self) -> Option<f64> {
        (self.false_recoveries > 0).then(|| self.open_rows as f64 / self.false_recoveries as f64)
    }
}

fn mean(rows: &[u64]) -> f64 {
    rows.iter().sum::<u64>() as f64 / rows.len() as f64
}

impl std::fmt::Display for Promises {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(
            f,
            "\nmean rows to a false opening where the rate is the very limit (> where runs were cut off), and"
        )?;
        writeln!(f, "to open with a limit {TOLERANCE} above; by the errors' correlation at lag one")?;
        write!(f, "{:>11}  {:24} {:>9} {:>12}", "correlation", "detector", "inflation", "run length")?;
        CHANGED.iter().try_for_each(|rate| write!(f, " {:>9}", format!("to {:.0} %", rate * 100.0)))?;
        writeln!(f)?;
        for line in &self.run_lengths {
            let name = Detector::ALL.iter().find(|(detector, _)| *detector == line.detector);
            let name = name.map_or("", |(_, name)| name);
            let least = if line.cut_off > 0 { ">" } else { "" };
            let run_length = format!("{least}{}", grouped(line.run_length));
            write!(f, "{:>11}  {name:24} {:>9.2} {run_length:>12}", line.correlation, line.inflation)?;
            line.delays.iter().try_for_each(|&delay| write!(f, " {:>9}", grouped(delay)))?;
            writeln!(f)?;
        }
        writeln!(
            f,
            "\nepisodes against a baseline of {} with {NORMAL}: mean rows, in {CHANGING_RUNS} runs",
            grouped(BASELINE as f64)
        )?;
        writeln!(
            f,
            "{:>11} {:>8} {:>6} {:>7} {:>16} {:>11}  rows per false recovery",
            "correlation", "drift to", "limit", "open", "close (90 %)", "open again"
        )?;
        for cell in &self.episodes {
            let closes = format!("{} ({})", grouped(cell.closes), grouped(cell.closes_90 as f64));
            let false_recoveries = match cell.rows_per_false_recovery() {
                Some(rows) => grouped(rows),
                None => format!("none in {}", grouped(cell.open_rows as f64)),
            };
            writeln!(
                f,
                "{:>11} {:>8} {:>6.3} {:>7} {closes:>16} {:>11}  {false_recoveries}",
                cell.correlation,
                cell.rate,
                cell.limit,
                grouped(cell.opens),
                grouped(cell.opens_again),
            )?;
        }
        writeln!(f)?;
        for (gate, is_kept) in self.gates() {
            writeln!(f, "{} {gate}", if is_kept { "kept:  " } else { "MISSED:" })?;
        }
        writeln!(f)
    }
}
