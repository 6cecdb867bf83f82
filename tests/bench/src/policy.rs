//! One decision of a shipped Rust policy in a fresh instance, beside wasmtime alone making the same call, and beside two
//! rule engines that decide the same and isolate nothing.

use std::{
    collections::BTreeMap,
    error::Error,
    sync::Arc,
    time::{Duration, Instant},
};

use trimtab_policy::{NoHistory, Package, Policy, Sandbox, SandboxOptions};
use trimtab_types::{Estimate, Finding, Phase, Position, Severity, Subject, Timestamp};

use crate::{
    bare::Bare,
    report::Report,
    rules::{Rego, Rhai},
};

/// Rounds alternate between the two, so that a noisy machine disturbs both alike.
const ROUNDS: usize = 40;
const CALLS: usize = 500;
const CALLS_PER_THREAD: u32 = 20_000;

pub(crate) fn measure(report: &mut Report) -> Result<(), Box<dyn Error>> {
    let folder = crate::folder().join("../../policies/drift-ladder").canonicalize()?;
    let package = Package::read(&folder)?;
    let sandbox = Sandbox::new(&SandboxOptions::default())?;
    let policy = Policy::register(&sandbox, &package, &BTreeMap::new())?;
    let bare = Bare::new(&package.component)?;
    let finding = finding();
    let decide = || {
        policy.decide(Timestamp::EPOCH, std::slice::from_ref(&finding), Arc::new(NoHistory), &BTreeMap::new())
    };
    // Both must really answer, or the comparison is one of errors.
    decide().answer?;
    bare.decide()??;
    let names: Vec<_> = decide().answer?.actions.iter().map(|action| action.name().to_owned()).collect();
    let mut rego = Rego::new(&finding)?;
    let rhai = Rhai::new(&finding)?;
    for (engine, actions) in [("Rego", rego.decide()?), ("Rhai", rhai.decide()?)] {
        if actions != names {
            return Err(format!("{engine} decides {actions:?}, and the policy {names:?}").into());
        }
    }

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut by_rego, mut by_rhai) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.extend(time(|| drop(bare.decide())));
        ours.extend(time(|| drop(decide())));
        by_rego.extend(time(|| drop(rego.decide())));
        by_rhai.extend(time(|| drop(rhai.decide())));
    }
    for (name, quantile, target) in [("p50", 50, "<= 12 us, <= 1.4 x"), ("p99", 99, "none")] {
        let what = format!("decision, fresh sandbox ({}), {name}", sandbox.call_path());
        report.time(&what, at(&mut ours, quantile), "us", Some(at(&mut theirs, quantile)), target);
    }
    for (engine, times) in [("Rego (regorus)", &mut by_rego), ("Rhai", &mut by_rhai)] {
        let what = format!("the same, beside {engine}, which isolates nothing, p50");
        report.time(&what, at(&mut ours, 50), "us", Some(at(times, 50)), "shown");
    }

    let rate = |threads: u32| {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| (0..CALLS_PER_THREAD).for_each(|_| drop(decide())));
            }
        });
        f64::from(threads * CALLS_PER_THREAD) / started.elapsed().as_secs_f64()
    };
    let (one, two) = (rate(1), rate(2));
    report.rate("decisions on two threads, against one", two, "1/s", Some(one), ">= 1.7 x");
    Ok(())
}

fn time(mut call: impl FnMut()) -> Vec<Duration> {
    (0..CALLS)
        .map(|_| {
            let started = Instant::now();
            call();
            started.elapsed()
        })
        .collect()
}

/// A percentile, in microseconds.
fn at(times: &mut [Duration], percent: usize) -> f64 {
    times.sort_unstable();
    times[times.len() * percent / 100].as_secs_f64() * 1e6
}

fn finding() -> Finding {
    let estimate = |value, samples| Some(Estimate { value, samples, interval: None, from_outcomes: true });
    Finding {
        id: "f-0123456789abcdef".into(),
        subject: Subject {
            tenant: "default".into(),
            model: "btc-direction".into(),
            version: "v7".into(),
            segment: "BTC/USDT".into(),
        },
        phase: Phase::Opened,
        position: Position(7),
        at: Timestamp::EPOCH,
        opened: Timestamp::EPOCH,
        detector: "e-sr".into(),
        quantity: "accuracy".into(),
        severity: Severity::High,
        statistic: 12_345.6,
        threshold: 10_000.0,
        p_value: None,
        e_value: Some(12_345.6),
        significant: true,
        baseline: estimate(0.68, 1000),
        current: estimate(0.61, 200),
        window: "last 200 against the baseline".into(),
        chance: None,
        sizes: None,
    }
}
