//! Measures one decision of a component in a fresh instance, through this crate and through wasmtime alone, side by side.
//!
//!     cargo run --profile bench -p trimtab-policy --example decide -- policies/drift-ladder
//!
//! Rounds alternate, so that a noisy machine disturbs both alike. Numbers are for reading; nothing is asserted.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "this program measures and prints")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trimtab_policy::{NoHistory, Package, Policy, Sandbox, SandboxOptions};
use trimtab_types::{Estimate, Finding, Phase, Position, Severity, Subject, Timestamp};

const ROUNDS: usize = 40;
const CALLS: usize = 500;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| "policies/drift-ladder".to_owned());
    let package = Package::read(&Path::new(&folder).canonicalize()?)?;
    let sandbox = Sandbox::new(&SandboxOptions::default())?;
    let started = Instant::now();
    let policy = Policy::register(&sandbox, &package, &BTreeMap::new())?;
    println!("registered in {:.1?}", started.elapsed());
    let bare = bare::Bare::new(&package.component)?;
    let finding = finding();
    println!("call path: {}", sandbox.call_path());

    let call = policy.decide(
        Timestamp::EPOCH,
        std::slice::from_ref(&finding),
        Arc::new(NoHistory),
        &BTreeMap::new(),
    );
    println!("fuel {}; {:?}", call.fuel, call.answer?.actions);

    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.extend(time(|| drop(bare.decide())));
        ours.extend(time(|| {
            drop(policy.decide(
                Timestamp::EPOCH,
                std::slice::from_ref(&finding),
                Arc::new(NoHistory),
                &BTreeMap::new(),
            ));
        }));
    }
    let (ours, theirs) = (quantiles(ours), quantiles(theirs));
    println!("bare wasmtime  p50 {:>8.2?}  p99 {:>8.2?}", theirs.0, theirs.1);
    println!("trimtab-policy p50 {:>8.2?}  p99 {:>8.2?}", ours.0, ours.1);
    println!("ratio of p50: {:.2}", ours.0.as_secs_f64() / theirs.0.as_secs_f64());

    for threads in [1, 2] {
        let started = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    for _ in 0..20_000 {
                        drop(policy.decide(
                            Timestamp::EPOCH,
                            std::slice::from_ref(&finding),
                            Arc::new(NoHistory),
                            &BTreeMap::new(),
                        ));
                    }
                });
            }
        });
        println!(
            "{threads} thread(s): {:.0} decisions/s",
            f64::from(threads * 20_000) / started.elapsed().as_secs_f64()
        );
    }
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

fn quantiles(mut times: Vec<Duration>) -> (Duration, Duration) {
    times.sort_unstable();
    (times[times.len() / 2], times[times.len() * 99 / 100])
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
    }
}

/// wasmtime on the same fast path with the least host that the component runs on: no fuel, deadline, limits or records.
mod bare {
    use wasmtime::component::{Component, HasSelf, InstancePre, Linker, ResourceTable};
    use wasmtime::{Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store};
    use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

    wasmtime::component::bindgen!({
        path: "../../wit",
        inline: "
            package trimtab:alone;
            world alone { include trimtab:policy/drift-action-policy@0.1.0; }
        ",
    });
    use self::exports::trimtab::policy::drift_action::{Decision, GuestIndices};
    use self::trimtab::policy::types::{Estimate, Finding, ModelVersion, Phase, Severity, Subject};
    use self::trimtab::policy::{clock, history, log, settings};

    #[derive(Default)]
    struct Host {
        wasi: Option<Box<(WasiCtx, ResourceTable)>>,
    }

    impl WasiView for Host {
        fn ctx(&mut self) -> WasiCtxView<'_> {
            let wasi =
                self.wasi.get_or_insert_with(|| Box::new((WasiCtx::builder().build(), ResourceTable::new())));
            WasiCtxView { ctx: &mut wasi.0, table: &mut wasi.1 }
        }
    }

    impl settings::Host for Host {
        fn text(&mut self, _: String) -> String {
            String::new()
        }
        fn texts(&mut self, _: String) -> Vec<String> {
            Vec::new()
        }
        fn number(&mut self, _: String) -> f64 {
            0.5
        }
        fn count(&mut self, _: String) -> u32 {
            100
        }
        fn duration(&mut self, _: String) -> u32 {
            172_800
        }
        fn flag(&mut self, _: String) -> bool {
            false
        }
    }
    impl clock::Host for Host {
        fn now(&mut self) -> u64 {
            0
        }
        fn format(&mut self, _: u64) -> String {
            String::new()
        }
    }
    impl log::Host for Host {
        fn debug(&mut self, _: String) {}
        fn info(&mut self, _: String) {}
        fn warn(&mut self, _: String) {}
        fn error(&mut self, _: String) {}
    }
    impl history::Host for Host {
        fn recent(&mut self, _: String, _: u32) -> Option<Estimate> {
            None
        }
        fn between(&mut self, _: String, _: u32, _: u32) -> Option<Estimate> {
            None
        }
        fn baseline(&mut self, _: String) -> Option<Estimate> {
            None
        }
        fn findings(&mut self, _: u32, _: Severity, _: u32) -> Vec<Finding> {
            Vec::new()
        }
        fn drift_count(&mut self, _: String) -> u32 {
            0
        }
        fn versions(&mut self) -> Vec<ModelVersion> {
            Vec::new()
        }
        fn since_activation(&mut self) -> Option<u32> {
            None
        }
        fn since_retrain(&mut self) -> Option<u32> {
            None
        }
    }

    pub(super) struct Bare {
        engine: Engine,
        pre: InstancePre<Host>,
        question: GuestIndices,
    }

    impl Bare {
        pub(super) fn new(component: &[u8]) -> wasmtime::Result<Self> {
            let mut pool = PoolingAllocationConfig::new();
            pool.total_memories(16).linear_memory_keep_resident(512 << 10).table_keep_resident(512 << 10);
            pool.pagemap_scan(Enabled::Auto);
            let mut config = Config::new();
            config.concurrency_support(false);
            config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
            let engine = Engine::new(&config)?;
            let mut linker = Linker::new(&engine);
            wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
            settings::add_to_linker::<Host, HasSelf<Host>>(&mut linker, |host| host)?;
            clock::add_to_linker::<Host, HasSelf<Host>>(&mut linker, |host| host)?;
            log::add_to_linker::<Host, HasSelf<Host>>(&mut linker, |host| host)?;
            history::add_to_linker::<Host, HasSelf<Host>>(&mut linker, |host| host)?;
            let pre = linker.instantiate_pre(&Component::from_binary(&engine, component)?)?;
            let question = GuestIndices::new(&pre)?;
            Ok(Self { engine, pre, question })
        }

        pub(super) fn decide(&self) -> wasmtime::Result<Result<Decision, String>> {
            let mut store = Store::new(&self.engine, Host::default());
            let instance = self.pre.instantiate(&mut store)?;
            let finding = finding();
            self.question.load(&mut store, &instance)?.call_decide(&mut store, &[finding])
        }
    }

    fn finding() -> Finding {
        let estimate =
            |value, samples| Some(Estimate { value, samples, interval: None, from_outcomes: true });
        Finding {
            id: "f-0123456789abcdef".into(),
            subject: Subject {
                tenant: "default".into(),
                model: "btc-direction".into(),
                version: "v7".into(),
                segment: "BTC/USDT".into(),
            },
            phase: Phase::Opened,
            opened: 0,
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
        }
    }
}
