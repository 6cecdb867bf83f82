//! How often rules cry wolf and how late they see a change: seeded simulation of errors, independent and in runs.

use serde::Serialize;
use trimtab_stats::{
    Adwin, AdwinConfig, Alternative, Ddm, DdmConfig, Direction, EDetector, EDetectorConfig, EDetectorKind,
    HddmA, HddmAConfig, HddmW, HddmWConfig, OnlineDetector, StatsError, Window, proportion::z_test,
};

use crate::rows::Random;

/// The error rate that is normal.
const NORMAL: f64 = 0.3;
/// Lag-one correlation of errors.
const CORRELATIONS: [f64; 3] = [0.0, 0.3, 0.6];
/// Error rates after a change.
const CHANGED: [f64; 3] = [0.35, 0.4, 0.5];
/// A run length comes from this many alarms, which leaves a standard error of about 3 %, or this many observations.
const ALARMS: u64 = 1_000;
const OBSERVATIONS: u64 = 10_000_000;
/// A delay is the mean of so many runs with so many quiet observations first, each cut off at a limit.
const RUNS: u64 = 300;
const QUIET: u64 = 10_000;
const LIMIT: u64 = 50_000;

/// What was simulated, one line a rule.
#[derive(Debug, Serialize)]
pub(crate) struct RunLengths {
    rules: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    rule: String,
    /// Observations between false alarms, by correlation.
    between_alarms: Vec<Mean>,
    /// Observations from a change to its alarm, by the error rate then; errors are independent.
    delay: Vec<Mean>,
}

#[derive(Debug, Serialize)]
struct Mean {
    value: f64,
    /// Some runs were cut off, or there was no alarm at all.
    at_least: bool,
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

fn rules() -> Result<Vec<(String, Box<dyn Rule>)>, StatsError> {
    let mut rules: Vec<(String, Box<dyn Rule>)> = Vec::new();
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
        let between_alarms = CORRELATIONS.map(|correlation| between_alarms(detector, correlation));
        let delay = CHANGED.map(|rate| delay(detector, rate));
        Ok(Self {
            rule,
            between_alarms: between_alarms.into_iter().collect::<Result<_, _>>()?,
            delay: delay.into_iter().collect::<Result<_, _>>()?,
        })
    }
}

/// Nothing ever changes; the rule starts anew after each alarm.
fn between_alarms(rule: &mut dyn Rule, correlation: f64) -> Result<Mean, StatsError> {
    let mut errors = Errors::new(1, correlation);
    rule.restart();
    let (mut alarms, mut observations) = (0, 0);
    while alarms < ALARMS && observations < OBSERVATIONS {
        observations += 1;
        if rule.alarms(errors.next(NORMAL))? {
            alarms += 1;
            rule.restart();
        }
    }
    Ok(Mean { value: observations as f64 / alarms.max(1) as f64, at_least: alarms == 0 })
}

/// Errors change after a quiet time, in which a false alarm starts the rule anew.
fn delay(rule: &mut dyn Rule, rate: f64) -> Result<Mean, StatsError> {
    let (mut total, mut at_least) = (0, false);
    for seed in 0..RUNS {
        let mut errors = Errors::new(1_000 + seed, 0.0);
        rule.restart();
        for _ in 0..QUIET {
            if rule.alarms(errors.next(NORMAL))? {
                rule.restart();
            }
        }
        let mut waited = 1;
        while !rule.alarms(errors.next(rate))? {
            if waited == LIMIT {
                at_least = true;
                break;
            }
            waited += 1;
        }
        total += waited;
    }
    Ok(Mean { value: total as f64 / RUNS as f64, at_least })
}

impl std::fmt::Display for RunLengths {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let percent = |rate: f64| format!("to {:.0} %", rate * 100.0);
        writeln!(
            f,
            "observations between false alarms, by lag-one correlation of the errors; to an alarm after"
        )?;
        writeln!(f, "errors went from {:.0} % to more; > where runs were cut off", NORMAL * 100.0)?;
        write!(f, "{:40}", "rule")?;
        CORRELATIONS.iter().try_for_each(|correlation| write!(f, " {correlation:>12}"))?;
        CHANGED.iter().try_for_each(|&rate| write!(f, " {:>10}", percent(rate)))?;
        writeln!(f)?;
        for line in &self.rules {
            write!(f, "{:40}", line.rule)?;
            line.between_alarms.iter().try_for_each(|mean| write!(f, " {:>12}", mean.to_string()))?;
            line.delay.iter().try_for_each(|mean| write!(f, " {:>10}", mean.to_string()))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Mean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let sign = if self.at_least { "> " } else { "" };
        write!(f, "{sign}{}", crate::report::figure(self.value.round()))
    }
}
