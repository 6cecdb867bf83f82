//! How often rules cry wolf and how late they see a change: seeded simulation of errors, independent and in runs.

use serde::Serialize;
use trimtab_stats::{
    Adwin, AdwinConfig, Alternative, Ddm, DdmConfig, Direction, EDetector, EDetectorConfig, EDetectorKind,
    HddmA, HddmAConfig, HddmW, HddmWConfig, OnlineDetector, StatsError, Window, proportion::z_test,
};

use crate::{report::grouped, rows::Random};

/// The error rate that is normal.
const NORMAL: f64 = 0.3;
/// Lag-one correlation of errors.
const CORRELATIONS: [f64; 3] = [0.0, 0.3, 0.6];
/// Error rates after a change.
const CHANGED: [f64; 3] = [0.35, 0.4, 0.5];
/// Runs in which nothing changes; the standard error of a mean run length is about 3 % of it.
const QUIET_RUNS: u64 = 1_000;
/// Runs in which errors change, and the observations before.
const CHANGING_RUNS: u64 = 300;
const QUIET: u64 = 10_000;
/// Every run is cut off here.
const LIMIT: u64 = 100_000;

/// What was simulated, one line a rule.
#[derive(Debug, Serialize)]
pub(crate) struct RunLengths {
    rules: Vec<Line>,
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
struct Errors {
    random: Random,
    last: f64,
    correlation: f64,
}

impl Errors {
    fn new(seed: u64, correlation: f64) -> Self {
        let mut errors = Self { random: Random(seed), last: 0.0, correlation: 0.0 };
        errors.next(NORMAL);
        Self { correlation, ..errors }
    }

    fn next(&mut self, rate: f64) -> f64 {
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
        Ok(Self { rules: lines? })
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
        Ok(())
    }
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let more = |is_more: bool| if is_more { ">" } else { "" };
        let (mean, median) = (grouped(self.mean), grouped(self.median as f64));
        write!(f, "{}{mean} / {}{median}", more(self.cut_off > 0), more(self.median == LIMIT))
    }
}
