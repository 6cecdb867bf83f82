//! Prints how many observations a second each online detector takes. For comparing by hand; no test asserts it.
//! Run: `cargo run --release -p trimtab-stats --example throughput`.

#![expect(clippy::print_stdout, reason = "printing is what this example is for")]

use std::hint::black_box;

use trimtab_stats::{
    Adwin, AdwinConfig, AdwinVariant, EDetector, EDetectorConfig, EDetectorKind, OnlineDetector, StatsError,
};

const OBSERVATIONS: usize = 4_000_000;

/// Independent errors at 30 %, by a multiplicative generator.
fn errors() -> Vec<f64> {
    let mut state = 0x2545_F491_4F6C_DD1Du64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f64::from(u8::from(state >> 11 < (1 << 53) / 10 * 3))
    };
    (0..OBSERVATIONS).map(|_| next()).collect()
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures time")]
fn time(name: &str, detector: &mut dyn OnlineDetector, values: &[f64]) -> Result<(), StatsError> {
    let (mut best, mut drifts) = (f64::INFINITY, 0);
    for _ in 0..3 {
        detector.reset();
        drifts = 0;
        let start = std::time::Instant::now();
        for &x in values {
            drifts += u32::from(detector.update(black_box(x))?.drift().is_some());
        }
        best = best.min(start.elapsed().as_secs_f64());
    }
    println!("{name:<28} {:>8.1} M/s   {drifts} drifts", values.len() as f64 / best / 1e6);
    Ok(())
}

fn main() -> Result<(), StatsError> {
    let values = errors();
    let adwin = |clock, variant| Adwin::new(AdwinConfig { clock, variant, ..AdwinConfig::default() });
    time("ADWIN, clock 32", &mut adwin(32, AdwinVariant::KeepWindow)?, &values)?;
    time("ADWIN, clock 32, reset", &mut adwin(32, AdwinVariant::ResetOnDrift)?, &values)?;
    time("ADWIN, clock 1", &mut adwin(1, AdwinVariant::KeepWindow)?, &values)?;
    for (kind, name) in [(EDetectorKind::ShiryaevRoberts, "e-SR"), (EDetectorKind::Cusum, "e-CUSUM")] {
        for block in [20, 1] {
            let config = EDetectorConfig { kind, block, null_mean: 0.3, ..EDetectorConfig::default() };
            time(&format!("{name}, block {block}"), &mut EDetector::new(config)?, &values)?;
        }
    }
    Ok(())
}
