//! The sandbox that all policies share: one wasmtime engine set up for many short calls, one linker with everything
//! that a policy may import, and the clock that stops endless ones. It knows no policy in particular.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use trimtab_files::FilesError;
use trimtab_types::{ErrorKind, HasKind};
use wasmtime::component::{Component, HasSelf, Linker};
use wasmtime::{Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig};

use crate::bindings::trimtab::policy::{clock, history, log, settings, state};
use crate::cache::Cache;
use crate::compile::{CompileError, Compiler};
use crate::guest::{Guest, MOST_INSTANCES, MOST_MEMORIES, MOST_TABLES};
use crate::limits::{KIB, Limits};
use crate::wasi;

/// The deadline of a call that no clock is to stop: no fuel lasts as long. It can be interrupted all the same.
pub(crate) const LONGEST_CALL: Duration = Duration::from_secs(3600);
/// How often the deadline of a running call is looked at.
const TICK: Duration = Duration::from_millis(1);
/// Memory that a slot of the pool keeps between calls. At 64 KiB JavaScript and Python policies take twice as long;
/// more than this gains nothing.
const KEEP_RESIDENT: usize = 512 * KIB;
/// Recursion in a policy; a quarter of the stack that Rust gives to threads.
pub(crate) const STACK: usize = 512 * KIB;
/// Elements of one table. Larger ones than the runtimes of shipped languages have are refused at instantiation.
const TABLE_ELEMENTS: usize = 100_000;

/// How a sandbox is set up.
#[derive(Debug, Clone)]
pub struct SandboxOptions {
    /// Directory for compiled policies, made if it is not there. `None`: compile in memory.
    pub cache: Option<PathBuf>,
    /// Calls at the same time; further ones wait.
    pub parallel_calls: u32,
    /// Where policies are compiled.
    pub compiler: Compiler,
}

impl Default for SandboxOptions {
    fn default() -> Self {
        Self { cache: None, parallel_calls: 32, compiler: Compiler::Here }
    }
}

/// Which way calls take, and why not the fast one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallPath {
    /// Pooled instances whose memory is reset page by page as it was touched: about 10 µs a call.
    Fast,
    /// Pooled instances whose whole memory is reset: about 30 µs a call.
    Pooled {
        /// What is missing.
        why: String,
    },
    /// Memory is mapped for each call.
    OnDemand {
        /// What is missing.
        why: String,
    },
}

impl std::fmt::Display for CallPath {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fast => f.write_str("fast"),
            Self::Pooled { why } => write!(f, "pooled, not fast: {why}"),
            Self::OnDemand { why } => write!(f, "on demand, not fast: {why}"),
        }
    }
}

/// Why there is no sandbox.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// wasmtime refused.
    #[error("the WebAssembly engine cannot be set up on this machine: {cause}")]
    Engine {
        /// In wasmtime's words.
        cause: String,
    },
    /// The thread that stops endless policies did not start.
    #[error("the thread that stops endless policies cannot be started: {0}; raise the limit on threads")]
    Ticker(#[source] std::io::Error),
    /// The directory for compiled policies cannot be used.
    #[error(transparent)]
    Cache(#[from] FilesError),
}

impl SandboxError {
    #[expect(clippy::needless_pass_by_value, reason = "for map_err")]
    fn engine(error: wasmtime::Error) -> Self {
        Self::Engine { cause: format!("{error:#}") }
    }
}

impl HasKind for SandboxError {
    fn kind(&self) -> ErrorKind {
        match self {
            Self::Engine { .. } | Self::Ticker(_) => ErrorKind::Files,
            Self::Cache(error) => error.kind(),
        }
    }
}

/// The engine and everything that calls of policies share.
///
/// A call runs on the thread that asks for it and needs about 1 MiB of that thread's stack.
pub struct Sandbox {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Guest>,
    cache: Arc<Cache>,
    permits: Permits,
    path: CallPath,
    closing: AtomicBool,
}

impl Sandbox {
    /// Sets up the best engine that this machine has, and starts the ticker that lives as long as it.
    pub fn new(options: &SandboxOptions) -> Result<Arc<Self>, SandboxError> {
        let (engine, path) = engine(options.parallel_calls.max(1)).map_err(SandboxError::engine)?;
        Self::on(engine, path, options)
    }

    fn on(engine: Engine, path: CallPath, options: &SandboxOptions) -> Result<Arc<Self>, SandboxError> {
        let linker = linker(&engine).map_err(SandboxError::engine)?;
        let cache = Arc::new(Cache::open(&engine, options.cache.as_deref(), options.compiler.clone())?);
        let weak = engine.weak();
        std::thread::Builder::new()
            .name("policy-ticker".to_owned())
            .spawn(move || tick(&weak))
            .map_err(SandboxError::Ticker)?;
        let permits = Permits::new(options.parallel_calls.max(1));
        let closing = AtomicBool::new(false);
        Ok(Arc::new(Self { engine, linker, cache, permits, path, closing }))
    }

    /// Sandboxes on the ways that a call takes on older kernels and with little address space.
    #[cfg(test)]
    pub(crate) fn slower_ones() -> Vec<Arc<Self>> {
        let options = SandboxOptions::default();
        let why = String::new;
        [
            (config(Some(pool(options.parallel_calls, Enabled::No))), CallPath::Pooled { why: why() }),
            (config(None), CallPath::OnDemand { why: why() }),
        ]
        .map(|(config, path)| {
            Self::on(Engine::new(&config).expect("an engine"), path, &options).expect("a sandbox")
        })
        .into()
    }

    /// Which way calls take.
    pub fn call_path(&self) -> &CallPath {
        &self.path
    }

    /// Compiles a component, or takes it from memory or from the cache on disk.
    pub(crate) fn compile(&self, component: &[u8]) -> Result<Arc<Component>, CompileError> {
        self.cache.compile(&self.engine, component)
    }

    /// Whether a component can be registered without waiting for a compiler. If not, it is being compiled from here on, and
    /// [`Sandbox::compiled`] rises once that is done.
    pub fn is_ready(&self, component: &[u8]) -> bool {
        Cache::is_ready(&self.cache, &self.engine, component)
    }

    /// How many components were compiled behind the scenes, or could not be.
    pub fn compiled(&self) -> u64 {
        self.cache.finished()
    }

    /// Waits until that is another number.
    pub fn wait_compiled(&self, before: u64) {
        self.cache.wait_finished(before);
    }

    /// Ends whatever is being compiled and every call, and begins nothing more: the host stops. What calls answer from here
    /// on is worth nothing.
    pub fn close(&self) {
        self.cache.close();
        self.closing.store(true, Ordering::SeqCst);
        // Every deadline that a call may have is over.
        for _ in 0..=ticks(LONGEST_CALL) {
            self.engine.increment_epoch();
        }
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// Waits for a place in the pool.
    pub(crate) fn permit(&self) -> Permit<'_> {
        self.permits.take()
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        self.cache.close();
    }
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("path", &self.path).finish_non_exhaustive()
    }
}

/// How many ticks a time is, and one more, because the current one has begun already.
pub(crate) fn ticks(time: Duration) -> u64 {
    u64::try_from(time.as_millis() / TICK.as_millis() + 1).unwrap_or(u64::MAX)
}

fn tick(engine: &EngineWeak) {
    // A weak reference, so that the last user of the engine ends this thread.
    while let Some(engine) = engine.upgrade() {
        engine.increment_epoch();
        drop(engine);
        std::thread::sleep(TICK);
    }
}

/// The best engine that this machine has.
fn engine(parallel: u32) -> wasmtime::Result<(Engine, CallPath)> {
    if !PoolingAllocationConfig::is_pagemap_scan_available() {
        let why = "the kernel has no PAGEMAP_SCAN (Linux 6.7 has)".to_owned();
        return match Engine::new(&config(Some(pool(parallel, Enabled::No)))) {
            Ok(engine) => Ok((engine, CallPath::Pooled { why })),
            Err(error) => on_demand(&error),
        };
    }
    match Engine::new(&config(Some(pool(parallel, Enabled::Yes)))) {
        Ok(engine) => Ok((engine, CallPath::Fast)),
        Err(error) => on_demand(&error),
    }
}

/// An engine that only compiles, for engines of all kinds: how instances get their memory is nothing that code depends on.
pub(crate) fn compiling() -> wasmtime::Result<Engine> {
    Engine::new(&config(None))
}

fn on_demand(error: &wasmtime::Error) -> wasmtime::Result<(Engine, CallPath)> {
    let why = format!("no pool of instances ({error:#}); limits on address space are a usual cause");
    Ok((Engine::new(&config(None))?, CallPath::OnDemand { why }))
}

fn config(pool: Option<PoolingAllocationConfig>) -> Config {
    let mut config = Config::new();
    config
        .consume_fuel(true)
        .epoch_interruption(true)
        // The same bits on every machine.
        .cranelift_nan_canonicalization(true)
        .relaxed_simd_deterministic(true)
        .max_wasm_stack(STACK)
        // Neither async nor threads: a call is one thread from beginning to end.
        .concurrency_support(false)
        // Errors name the policy and the cause; a backtrace of the guest costs time on every trap.
        .wasm_backtrace_max_frames(None);
    if let Some(pool) = pool {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    config
}

/// A pool in which `parallel` calls of the largest allowed component always find room.
fn pool(parallel: u32, pagemap_scan: Enabled) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(parallel)
        .total_core_instances(parallel * MOST_INSTANCES)
        .total_memories(parallel * MOST_MEMORIES)
        .total_tables(parallel * MOST_TABLES)
        .max_core_instances_per_component(MOST_INSTANCES)
        .max_memories_per_component(MOST_MEMORIES)
        .max_tables_per_component(MOST_TABLES)
        .max_memories_per_module(MOST_MEMORIES)
        .max_tables_per_module(MOST_TABLES)
        .max_memory_size(Limits::MOST.memory)
        .table_elements(TABLE_ELEMENTS)
        .linear_memory_keep_resident(KEEP_RESIDENT)
        .table_keep_resident(KEEP_RESIDENT)
        .pagemap_scan(pagemap_scan);
    pool
}

fn linker(engine: &Engine) -> wasmtime::Result<Linker<Guest>> {
    let mut linker = Linker::new(engine);
    wasi::add_to_linker(&mut linker)?;
    settings::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    clock::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    log::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    history::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    state::add_to_linker::<Guest, HasSelf<Guest>>(&mut linker, |guest| guest)?;
    Ok(linker)
}

/// So many places, as those in the pool. Who finds none waits for somebody to end; all calls end.
pub(crate) struct Permits {
    places: Mutex<Places>,
    freed: Condvar,
}

struct Places {
    free: u32,
    waiting: u32,
}

impl Permits {
    pub(crate) fn new(free: u32) -> Self {
        Self { places: Mutex::new(Places { free, waiting: 0 }), freed: Condvar::new() }
    }

    pub(crate) fn take(&self) -> Permit<'_> {
        let mut places = self.lock();
        while places.free == 0 {
            places.waiting += 1;
            places = self.freed.wait(places).unwrap_or_else(PoisonError::into_inner);
            places.waiting -= 1;
        }
        places.free -= 1;
        Permit(self)
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One place in the pool, given back when it is dropped.
pub(crate) struct Permit<'a>(&'a Permits);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let mut places = self.0.lock();
        places.free += 1;
        // Waking nobody is a system call, too.
        if places.waiting > 0 {
            self.0.freed.notify_one();
        }
    }
}
