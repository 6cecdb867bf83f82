//! How often rules cry wolf and how late they see a change: seeded simulation of errors, and of scores and features,
//! independent and in runs.

use serde::Serialize;
use trimtab_stats::{
    Adwin, AdwinConfig, Alternative, Bins, Ddm, DdmConfig, Direction, EDetector, EDetectorConfig,
    EDetectorKind, EmptyBins, HddmA, HddmAConfig, HddmW, HddmWConfig, OnlineDetector, StatsError, Window,
    dependence::effective_sample_size,
    ks::{ks_binned, ks_p_value_effective},
    proportion::z_test,
    psi::{psi, psi_p_value},
    special::normal_quantile,
};

use crate::{promises::Promises, report::grouped, rows::Random};

/// The error rate that is normal.
pub(crate) const NORMAL: f64 = 0.3;
/// Lag-one correlation of errors.
const CORRELATIONS: [f64; 3] = [0.0, 0.3, 0.6];
/// Lag-one correlation of scores and features.
const DEPENDENCE: [f64; 3] = [0.0, 0.6, 0.95];
/// Error rates after a change.
pub(crate) const CHANGED: [f64; 3] = [0.35, 0.4, 0.5];
/// Runs in which nothing changes; the standard error of a mean run length is about 3 % of it.
const QUIET_RUNS: u64 = 1_000;
/// Runs in which errors change, and the observations before.
const CHANGING_RUNS: u64 = 300;
pub(crate) const QUIET: u64 = 10_000;
/// Every run is cut off here.
pub(crate) const LIMIT: u64 = 100_000;

/// Values of a baseline, of the window that is held against it, and after how many it is tested again; these are the
/// host's defaults.
const BASELINE: usize = 5_000;
const WINDOW: usize = 500;
const EVERY: usize = 50;
/// Runs without any drift, and the tests in each.
const DISTRIBUTION_RUNS: u64 = 300;
const TESTS: usize = 200;

/// What was simulated, one line a rule.
#[derive(Debug, Serialize)]
pub(crate) struct RunLengths {
    rules: Vec<Line>,
    distributions: Vec<Share>,
    promises: Promises,
}

/// How often a comparison of distributions opens without drift.
#[derive(Debug, Serialize)]
struct Share {
    rule: String,
    /// Tests that pass its limits, as a share of all, and openings per 10,000 predictions (an episode is over when the
    /// difference is probable again), by correlation.
    by_correlation: Vec<(f64, f64)>,
}

#[derive(Debug, Serialize)]
struct Line {
    rule: String,
    /// Observations up to a false alarm, by correlation.
    run_length: Vec<Waits>,
    /// Observations from a change to its alarm, by the error rate then; errors are independent.
    delay: Vec<Waits>,
}

/// How long it took to an alarm. Some rules alarm early or hardly ever, which a mean alone would not show.
#[derive(Debug, Serialize)]
struct Waits {
    mean: f64,
    median: u64,
    /// Runs that were cut off: the mean is at least so much.
    cut_off: usize,
}

/// Errors at a rate; each repeats its predecessor with a probability, which is their correlation at lag one.
pub(crate) struct Errors {
    random: Random,
    last: f64,
    correlation: f64,
}

impl Errors {
    pub(crate) fn new(seed: u64, correlation: f64) -> Self {
        let mut errors = Self { random: Random(seed), last: 0.0, correlation: 0.0 };
        errors.next(NORMAL);
        Self { correlation, ..errors }
    }

    pub(crate) fn next(&mut self, rate: f64) -> f64 {
        if self.random.unit() >= self.correlation {
            self.last = f64::from(u8::from(self.random.unit() < rate));
        }
        self.last
    }
}

/// A rule that looks at every error and alarms for the worse.
trait Rule: Send {
    fn alarms(&mut self, error: f64) -> Result<bool, StatsError>;
    fn restart(&mut self);
}

impl<D: OnlineDetector + Send> Rule for D {
    fn alarms(&mut self, error: f64) -> Result<bool, StatsError> {
        Ok(self.update(error)?.drift().is_some_and(|alarm| alarm.direction == Some(Direction::Up)))
    }

    fn restart(&mut self) {
        self.reset();
    }
}

/// The newest so many against the normal rate by a z-test at 5 %, at every step once there are enough.
struct RollingZ(Window);

impl Rule for RollingZ {
    fn alarms(&mut self, error: f64) -> Result<bool, StatsError> {
        self.0.push(0, error == 0.0);
        let newest = self.0.newest(self.0.capacity());
        let is_full = newest.n == self.0.capacity() as u64;
        Ok(is_full && z_test(newest.successes, newest.n, 1.0 - NORMAL, Alternative::Less)?.p_value < 0.05)
    }

    fn restart(&mut self) {
        self.0.clear();
    }
}

/// Accuracy over the newest so many below a limit, looked at every so often.
struct Below {
    window: Window,
    limit: f64,
    every: u64,
    seen: u64,
}

impl Below {
    fn new(limit: f64, every: u64) -> Result<Self, StatsError> {
        Ok(Self { window: Window::new(200)?, limit, every, seen: 0 })
    }
}

impl Rule for Below {
    fn alarms(&mut self, error: f64) -> Result<bool, StatsError> {
        self.window.push(0, error == 0.0);
        self.seen += 1;
        let newest = self.window.newest(self.window.capacity());
        let is_looked_at = newest.n == self.window.capacity() as u64 && self.seen.is_multiple_of(self.every);
        Ok(is_looked_at && newest.share().is_some_and(|share| share <= self.limit + 1e-9))
    }

    fn restart(&mut self) {
        self.window.clear();
        self.seen = 0;
    }
}

/// So many errors in a row.
struct InARow(u32, u32);

impl Rule for InARow {
    fn alarms(&mut self, error: f64) -> Result<bool, StatsError> {
        self.1 = if error > 0.0 { self.1 + 1 } else { 0 };
        Ok(self.1 >= self.0)
    }

    fn restart(&mut self) {
        self.1 = 0;
    }
}

type Named = (String, Box<dyn Rule>);

fn rules() -> Result<Vec<Named>, StatsError> {
    let mut rules: Vec<Named> = Vec::new();
    for (kind, name) in [(EDetectorKind::ShiryaevRoberts, "e-SR"), (EDetectorKind::Cusum, "e-CUSUM")] {
        for block in [20, 1] {
            for (null_mean, margin) in [(NORMAL, "at the bound"), (NORMAL + 0.02, "0.02 below it")] {
                let config = EDetectorConfig { kind, block, null_mean, ..EDetectorConfig::default() };
                let name = format!("{name} for 10,000, block {block}, {margin}");
                rules.push((name, Box::new(EDetector::new(config)?)));
            }
        }
    }
    rules.push(("ADWIN".to_owned(), Box::new(Adwin::new(AdwinConfig::default())?)));
    rules.push(("HDDM-A".to_owned(), Box::new(HddmA::new(HddmAConfig::default())?)));
    rules.push(("HDDM-W".to_owned(), Box::new(HddmW::new(HddmWConfig::default())?)));
    rules.push(("DDM".to_owned(), Box::new(Ddm::new(DdmConfig::default())?)));
    for size in [50, 100, 200] {
        rules.push((format!("z-test at 5 %, window {size}"), Box::new(RollingZ(Window::new(size)?))));
    }
    let right = 1.0 - NORMAL;
    for drop in [0.05, 0.1, 0.2] {
        let name = format!("accuracy {:.0} % below, of 200 every 20", drop * 100.0);
        rules.push((name, Box::new(Below::new(right * (1.0 - drop), 20)?)));
    }
    rules.push(("accuracy 10 points below, of 200".to_owned(), Box::new(Below::new(right - 0.1, 1)?)));
    rules.push(("5 errors in a row".to_owned(), Box::new(InARow(5, 0))));
    Ok(rules)
}

impl RunLengths {
    /// Simulates every rule, each on a thread of its own.
    pub(crate) fn simulate() -> Result<Self, StatsError> {
        let rules = rules()?;
        let lines: Result<Vec<Line>, StatsError> = std::thread::scope(|scope| {
            let lines: Vec<_> = rules
                .into_iter()
                .map(|(rule, mut detector)| scope.spawn(move || Line::simulate(rule, detector.as_mut())))
                .collect();
            lines
                .into_iter()
                .map(|line| line.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
                .collect()
        });
        Ok(Self { rules: lines?, distributions: Share::simulate()?, promises: Promises::simulate()? })
    }
}

impl Line {
    fn simulate(rule: String, detector: &mut dyn Rule) -> Result<Self, StatsError> {
        let mut line = Self { rule, run_length: Vec::new(), delay: Vec::new() };
        for correlation in CORRELATIONS {
            let runs = (0..QUIET_RUNS).map(|seed| run_length(detector, correlation, seed));
            line.run_length.push(Waits::of(runs.collect::<Result<_, _>>()?));
        }
        for rate in CHANGED {
            let runs = (0..CHANGING_RUNS).map(|seed| delay(detector, rate, seed));
            line.delay.push(Waits::of(runs.collect::<Result<_, _>>()?));
        }
        Ok(line)
    }
}

/// Normal values, each correlated with its predecessor: autoregressive of order one.
struct Values {
    random: Random,
    last: f64,
    correlation: f64,
}

impl Values {
    fn next(&mut self) -> f64 {
        let normal = normal_quantile(self.random.unit().max(f64::EPSILON));
        let rest = (1.0 - self.correlation * self.correlation).sqrt();
        self.last = self.correlation * self.last + rest * normal;
        self.last
    }
}

/// What opens an episode, as the host does it.
#[derive(Debug, Clone, Copy)]
enum Comparison {
    /// The index alone from here on.
    PlainPsi(f64),
    /// The index, and improbable at this level for its sizes.
    Psi(f64, f64),
    /// The distance, and improbable at this level for its sizes.
    Ks(f64, f64),
}

impl Comparison {
    const ALL: [(Self, &str); 4] = [
        (Self::PlainPsi(0.1), "PSI from 0.1, whatever the size"),
        (Self::Psi(0.1, 0.001), "PSI from 0.1 and at 0.001 (default)"),
        (Self::Ks(0.0, 0.01), "KS at 0.01, any distance"),
        (Self::Ks(0.15, 0.01), "KS from 0.15 and at 0.01"),
    ];

    /// Whether an episode opens, and whether an open one is over.
    fn look(self, baseline: (&[u64], f64), counts: &[u64]) -> Result<(bool, bool), StatsError> {
        let (expected, worth) = baseline;
        let now = worth * WINDOW as f64 / BASELINE as f64;
        let (statistic, limit, p_value, alpha) = match self {
            Self::PlainPsi(limit) => {
                (psi(expected, counts, EmptyBins::HalfCount)?, limit, f64::MIN_POSITIVE, 1.0)
            }
            Self::Psi(limit, alpha) => {
                let index = psi(expected, counts, EmptyBins::HalfCount)?;
                (index, limit, psi_p_value(index, expected.len(), worth, now), alpha)
            }
            Self::Ks(limit, alpha) => {
                let distance = ks_binned(expected, counts)?;
                (distance, limit, ks_p_value_effective(distance, worth, now), alpha)
            }
        };
        Ok((statistic >= limit && p_value < alpha, p_value > 0.05 || statistic < 0.5 * limit))
    }

    fn bins(self) -> u32 {
        if let Self::Ks(..) = self { 100 } else { 10 }
    }
}

impl Share {
    fn simulate() -> Result<Vec<Self>, StatsError> {
        let of = |(comparison, name): (Comparison, &str)| {
            let by_correlation = DEPENDENCE
                .map(|correlation| Self::of(comparison, correlation))
                .into_iter()
                .collect::<Result<_, _>>()?;
            Ok(Self { rule: name.to_owned(), by_correlation })
        };
        Comparison::ALL.into_iter().map(of).collect()
    }

    fn of(comparison: Comparison, correlation: f64) -> Result<(f64, f64), StatsError> {
        let (mut passed, mut opened) = (0_u64, 0_u64);
        for seed in 0..DISTRIBUTION_RUNS {
            let mut values = Values { random: Random(seed), last: 0.0, correlation };
            let baseline: Vec<f64> = (0..BASELINE).map(|_| values.next()).collect();
            let bins = Bins::quantiles(&baseline, comparison.bins())?;
            let (expected, worth) = (bins.count(&baseline)?, effective_sample_size(&baseline)?);
            let mut window: Vec<f64> = (0..WINDOW - EVERY).map(|_| values.next()).collect();
            let mut is_open = false;
            for _ in 0..TESTS {
                window.extend((0..EVERY).map(|_| values.next()));
                let counts = bins.count(&window)?;
                window.drain(..EVERY);
                let (opens, is_over) = comparison.look((&expected, worth), &counts)?;
                passed += u64::from(opens);
                opened += u64::from(opens && !is_open);
                is_open = opens || (is_open && !is_over);
            }
        }
        let tests = (DISTRIBUTION_RUNS * TESTS as u64) as f64;
        Ok((passed as f64 / tests, opened as f64 / (tests * EVERY as f64) * 10_000.0))
    }
}

/// Nothing ever changes.
fn run_length(rule: &mut dyn Rule, correlation: f64, seed: u64) -> Result<u64, StatsError> {
    rule.restart();
    wait(rule, &mut Errors::new(seed, correlation), NORMAL)
}

/// Errors change after a quiet time, in which a false alarm starts the rule anew.
fn delay(rule: &mut dyn Rule, rate: f64, seed: u64) -> Result<u64, StatsError> {
    let mut errors = Errors::new(QUIET_RUNS + seed, 0.0);
    rule.restart();
    for _ in 0..QUIET {
        if rule.alarms(errors.next(NORMAL))? {
            rule.restart();
        }
    }
    wait(rule, &mut errors, rate)
}

/// Observations at a rate up to an alarm.
fn wait(rule: &mut dyn Rule, errors: &mut Errors, rate: f64) -> Result<u64, StatsError> {
    let mut waited = 1;
    while !rule.alarms(errors.next(rate))? && waited < LIMIT {
        waited += 1;
    }
    Ok(waited)
}

impl Waits {
    fn of(mut waits: Vec<u64>) -> Self {
        waits.sort_unstable();
        Self {
            mean: waits.iter().sum::<u64>() as f64 / waits.len() as f64,
            median: waits[waits.len() / 2],
            cut_off: waits.iter().filter(|&&wait| wait == LIMIT).count(),
        }
    }
}

impl std::fmt::Display for RunLengths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |rate: f64| format!("to {:.0} %", rate * 100.0);
        writeln!(
            f,
            "observations, mean / median; up to a false alarm, by the errors' correlation at lag one;"
        )?;
        writeln!(
            f,
            "and to the alarm when errors go from {:.0} % to more; > where runs were cut off",
            NORMAL * 100.0
        )?;
        write!(f, "{:42}", "rule")?;
        CORRELATIONS.iter().try_for_each(|correlation| write!(f, " {correlation:>20}"))?;
        CHANGED.iter().try_for_each(|&rate| write!(f, " {:>16}", percent(rate)))?;
        writeln!(f)?;
        for line in &self.rules {
            write!(f, "{:42}", line.rule)?;
            line.run_length.iter().try_for_each(|waits| write!(f, " {:>20}", waits.to_string()))?;
            line.delay.iter().try_for_each(|waits| write!(f, " {:>16}", waits.to_string()))?;
            writeln!(f)?;
        }
        writeln!(
            f,
            "\ntests of a window of {WINDOW} against {BASELINE}, every {EVERY}, that pass without drift, and"
        )?;
        writeln!(f, "openings per 10,000 predictions, by the values' correlation at lag one")?;
        write!(f, "{:42}", "rule")?;
        DEPENDENCE.iter().try_for_each(|correlation| write!(f, " {correlation:>20}"))?;
        writeln!(f)?;
        for line in &self.distributions {
            write!(f, "{:42}", line.rule)?;
            for (share, openings) in &line.by_correlation {
                write!(f, " {:>20}", format!("{:.2} % / {openings:.2}", 100.0 * share))?;
            }
            writeln!(f)?;
        }
        write!(f, "{}", self.promises)
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = |is_more: bool| if is_more { ">" } else { "" };
        let (mean, median) = (grouped(self.mean), grouped(self.median as f64));
        write!(f, "{}{mean} / {}{median}", more(self.cut_off > 0), more(self.median == LIMIT))
    }
}
