//! wasmtime alone: the same component on the same fast path with the least host that it runs on, and no fuel, deadline,
//! limits or records. What our layers are measured against.

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

pub(crate) struct Bare {
    engine: Engine,
    pre: InstancePre<Host>,
    question: GuestIndices,
}

impl Bare {
    pub(crate) fn new(component: &[u8]) -> wasmtime::Result<Self> {
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

    pub(crate) fn decide(&self) -> wasmtime::Result<Result<Decision, String>> {
        let mut store = Store::new(&self.engine, Host::default());
        let instance = self.pre.instantiate(&mut store)?;
        let finding = finding();
        self.question.load(&mut store, &instance)?.call_decide(&mut store, &[finding])
    }
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
