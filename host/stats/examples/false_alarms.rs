//! Prints how often rules cry wolf: average observations between false alarms where nothing changes, and how late
//! they see a real change. The numbers in the documentation come from here.
//! Run: `cargo run --release -p trimtab-stats --example false_alarms`.

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use trimtab_stats::proportion::z_test;
use trimtab_stats::{
    Adwin, AdwinConfig, Alternative, Direction, EDetector, EDetectorConfig, EDetectorKind, OnlineDetector,
    StatsError, Window,
};

/// Errors at a rate; each repeats its predecessor with probability `stick`, which is their correlation at lag one.
struct Errors {
    state: u64,
    last: f64,
    stick: f64,
}

impl Errors {
    fn uniform(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn next(&mut self, rate: f64) -> f64 {
        if self.uniform() >= self.stick {
            self.last = f64::from(u8::from(self.uniform() < rate));
        }
        self.last
    }
}

/// Mean observations up to the first alarm at `rate`, after `quiet` observations at 0.3; runs end at a million.
fn mean_run(
    stick: f64,
    quiet: u64,
    rate: f64,
    mut rule: impl FnMut(Option<f64>) -> Result<bool, StatsError>,
) -> Result<f64, StatsError> {
    let runs = 300;
    let mut total = 0;
    for seed in 0..runs {
        let mut errors = Errors { state: seed, last: 0.0, stick };
        rule(None)?;
        for _ in 0..quiet {
            rule(Some(errors.next(0.3)))?;
        }
        let mut length = 1;
        while !rule(Some(errors.next(rate)))? && length < 1_000_000 {
            length += 1;
        }
        total += length;
    }
    Ok(total as f64 / runs as f64)
}

fn show(name: &str, mut rule: impl FnMut(Option<f64>) -> Result<bool, StatsError>) -> Result<(), StatsError> {
    let independent = mean_run(0.0, 0, 0.3, &mut rule)?;
    let sticky = mean_run(0.55, 0, 0.3, &mut rule)?;
    let delay = mean_run(0.0, 1_000, 0.5, &mut rule)?;
    println!("{name:<34} {independent:>12.0} {sticky:>12.0} {delay:>10.0}");
    Ok(())
}

/// A detector as a rule; `None` starts anew.
fn fires(detector: &mut impl OnlineDetector, x: Option<f64>) -> Result<bool, StatsError> {
    let Some(x) = x else {
        detector.reset();
        return Ok(false);
    };
    Ok(detector.update(x)?.drift().is_some_and(|alarm| alarm.direction == Some(Direction::Up)))
}

fn main() -> Result<(), StatsError> {
    println!(
        "errors at 30 %: run length if independent, if correlated (0.55); delay at 50 % after 1,000 quiet ones"
    );
    for size in [50, 100, 200] {
        let mut window = Window::new(size)?;
        show(&format!("z-test at 5 %, window {size}"), |x| {
            let Some(x) = x else {
                window.clear();
                return Ok(false);
            };
            window.push(0, x == 0.0);
            let seen = window.newest(size as usize);
            let full = seen.n == u64::from(size);
            Ok(full && z_test(seen.successes, seen.n, 0.7, Alternative::Less)?.p_value < 0.05)
        })?;
    }
    let mut adwin = Adwin::new(AdwinConfig::default())?;
    show("ADWIN, upwards", |x| fires(&mut adwin, x))?;
    for (kind, name) in [(EDetectorKind::ShiryaevRoberts, "e-SR"), (EDetectorKind::Cusum, "e-CUSUM")] {
        for block in [1, 20] {
            for (null_mean, margin) in [(0.3, "at the bound"), (0.32, "0.02 below it")] {
                let config = EDetectorConfig { kind, block, null_mean, ..EDetectorConfig::default() };
                let mut detector = EDetector::new(config)?;
                show(&format!("{name}, block {block}, {margin}"), |x| fires(&mut detector, x))?;
            }
        }
    }
    Ok(())
}
