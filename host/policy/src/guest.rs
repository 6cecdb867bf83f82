//! The host's side of one call: what a policy is told through its imports, what it wrote, and what it used up. One of
//! these lives in the store of each fresh instance, and is taken apart when the call is over.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use trimtab_types::{Estimate, FailureKind, LogLevel, Read, Seconds, Size, StateChange, Timestamp, View};
use wasmtime::component::ResourceTable;

use crate::bindings::trimtab::policy::{clock, history, log, settings, state, types as wit};
use crate::convert;
use crate::limits::Limits;
use crate::output::{Log, Stop, kib, shorten, stop};
use crate::settings::{SettingValue, Settings};
use crate::world::EmptyWorld;

/// Names that the interface lists; a policy that asks for another is told so in its log.
const METRICS: [&str; 9] =
    ["accuracy", "win-rate", "sharpe", "drawdown", "ece", "precision", "recall", "pr-auc", "pnl"];
/// No more findings than this are read at once, whatever the policy asks for.
const MOST_FINDINGS: u32 = 1000;
const LONGEST_NAME: usize = 200;

/// The state of one call.
pub(crate) struct Guest {
    pub(crate) now: Timestamp,
    pub(crate) limits: Limits,
    settings: Arc<Settings>,
    view: Arc<dyn View>,
    notebook: BTreeMap<String, String>,
    pub(crate) reads: Vec<Read>,
    /// The last change to each key of the notebook; `None`: removed.
    changes: BTreeMap<String, Option<String>>,
    pub(crate) log: Arc<Mutex<Log>>,
    host_calls: u64,
    memory: usize,
    /// Built when the guest first calls WASI; most policies never do.
    pub(crate) world: Option<Box<EmptyWorld>>,
    pub(crate) table: ResourceTable,
}

impl Guest {
    pub(crate) fn new(
        now: Timestamp,
        limits: Limits,
        settings: Arc<Settings>,
        view: Arc<dyn View>,
        notebook: BTreeMap<String, String>,
    ) -> Self {
        Self {
            now,
            limits,
            settings,
            view,
            notebook,
            reads: Vec::new(),
            changes: BTreeMap::new(),
            log: Arc::new(Mutex::new(Log::new(limits))),
            host_calls: 0,
            memory: 0,
            world: None,
            table: ResourceTable::new(),
        }
    }

    /// Charges a call of an imported function, and ends the policy's call at the limit. A call costs 1.
    ///
    /// What a policy reads is recorded and what it hands over is copied, so both are charged: an item of a list, or a
    /// KiB of text, is as much as a call. Otherwise few instructions could fill the host's memory.
    pub(crate) fn charge(&mut self, cost: usize) -> wasmtime::Result<()> {
        self.charge_for_later(cost);
        match self.excess_of_host_calls() {
            Some(excess) => Err(excess.into()),
            None => Ok(()),
        }
    }

    /// For the places that cannot end the call themselves; `excess_of_host_calls` is then asked at the end.
    pub(crate) fn charge_for_later(&mut self, cost: usize) {
        self.host_calls = self.host_calls.saturating_add(cost as u64);
    }

    /// The failure of a policy that called the host too often, however its call ended.
    pub(crate) fn excess_of_host_calls(&self) -> Option<Stop> {
        let most = self.limits.host_calls;
        (self.host_calls > most).then(|| Stop {
            kind: FailureKind::HostCall,
            message: format!("it called the host more than {most} times; the limit is limits.host-calls"),
        })
    }

    fn setting<T>(
        &mut self,
        key: &str,
        wanted: &str,
        read: impl Fn(&SettingValue) -> Option<T>,
    ) -> wasmtime::Result<T> {
        self.charge(1 + kib(key))?;
        let Some(value) = self.settings.get(key) else {
            return stop(
                FailureKind::HostCall,
                format!("it asked for the setting `{}`, which its manifest does not declare", shorten(key)),
            );
        };
        let size = match value {
            SettingValue::Text(text) => kib(text),
            SettingValue::Texts(texts) => texts.len() + texts.iter().map(|text| kib(text)).sum::<usize>(),
            _ => 0,
        };
        match read(value) {
            Some(value) => self.charge(size).map(|()| value),
            None => stop(
                FailureKind::HostCall,
                format!("it asked for the setting `{key}` as {wanted}; it is a {}", value.kind().name()),
            ),
        }
    }

    /// A name of a metric, detector or key: it is recorded, so it is short.
    fn name(&mut self, name: &str) -> wasmtime::Result<()> {
        self.charge(1 + kib(name))?;
        if name.is_empty() || name.len() > LONGEST_NAME {
            return stop(
                FailureKind::HostCall,
                format!(
                    "it handed over the name `{}`, which is empty or longer than {LONGEST_NAME} bytes",
                    shorten(name)
                ),
            );
        }
        Ok(())
    }

    fn metric(&mut self, metric: &str, answer: Option<Estimate>) -> wasmtime::Result<Option<wit::Estimate>> {
        if answer.is_none() && !METRICS.contains(&metric) {
            let line = format!("history: no metric `{}`; there are {}", shorten(metric), METRICS.join(", "));
            self.write(LogLevel::Warn, &line)?;
        }
        Ok(answer.as_ref().and_then(convert::estimate))
    }

    /// What was read is recorded, and takes room there.
    fn record(&mut self, read: Read) -> wasmtime::Result<()> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).take_room(&read)?;
        self.reads.push(read);
        Ok(())
    }

    fn log(&mut self, level: LogLevel, message: &str) -> wasmtime::Result<()> {
        self.charge(1 + kib(message))?;
        self.write(level, message)
    }

    fn write(&mut self, level: LogLevel, message: &str) -> wasmtime::Result<()> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).write(level, message)?;
        Ok(())
    }

    /// The changes to the notebook, by key.
    pub(crate) fn take_changes(&mut self) -> Vec<StateChange> {
        let changes = std::mem::take(&mut self.changes);
        changes.into_iter().map(|(key, value)| StateChange { key, value }).collect()
    }

    fn check_notebook(&self) -> wasmtime::Result<()> {
        let keys = self.notebook.len();
        let bytes: usize = self.notebook.iter().map(|(key, value)| key.len() + value.len()).sum();
        let Limits { state_keys, state, .. } = self.limits;
        if keys > state_keys {
            return stop(
                FailureKind::HostCall,
                format!("its notebook has more than {state_keys} keys; the limit is limits.state-keys"),
            );
        }
        if bytes > state {
            return stop(
                FailureKind::HostCall,
                format!("its notebook has {bytes} bytes; limits.state allows {}", Size(state)),
            );
        }
        Ok(())
    }
}

/// What a policy is told, and what is recorded: an estimate that is a number.
fn finite(estimate: Estimate) -> Option<Estimate> {
    let interval = estimate.interval.filter(|i| i.lower.is_finite() && i.upper.is_finite());
    estimate.value.is_finite().then_some(Estimate { interval, ..estimate })
}

impl settings::Host for Guest {
    fn text(&mut self, key: String) -> wasmtime::Result<String> {
        self.setting(&key, "text", |value| match value {
            SettingValue::Text(text) => Some(text.clone()),
            _ => None,
        })
    }
    fn texts(&mut self, key: String) -> wasmtime::Result<Vec<String>> {
        self.setting(&key, "texts", |value| match value {
            SettingValue::Texts(texts) => Some(texts.clone()),
            _ => None,
        })
    }
    fn number(&mut self, key: String) -> wasmtime::Result<f64> {
        self.setting(&key, "number", |value| match value {
            SettingValue::Number(number) => Some(*number),
            _ => None,
        })
    }
    fn count(&mut self, key: String) -> wasmtime::Result<u32> {
        self.setting(&key, "count", |value| match value {
            SettingValue::Count(count) => Some(*count),
            _ => None,
        })
    }
    fn duration(&mut self, key: String) -> wasmtime::Result<Seconds> {
        self.setting(&key, "duration", |value| match value {
            SettingValue::Duration(seconds) => Some(*seconds),
            _ => None,
        })
    }
    fn flag(&mut self, key: String) -> wasmtime::Result<bool> {
        self.setting(&key, "flag", |value| match value {
            SettingValue::Flag(flag) => Some(*flag),
            _ => None,
        })
    }
}

impl clock::Host for Guest {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.charge(1)?;
        Ok(convert::unix(self.now))
    }
    fn format(&mut self, time: u64) -> wasmtime::Result<String> {
        self.charge(1)?;
        let millis = i64::try_from(time).ok().and_then(|seconds| seconds.checked_mul(1000));
        let time = millis.and_then(Timestamp::from_millis).unwrap_or(Timestamp::MAX);
        Ok(time.for_people())
    }
}

impl log::Host for Guest {
    fn debug(&mut self, message: String) -> wasmtime::Result<()> {
        self.log(LogLevel::Debug, &message)
    }
    fn info(&mut self, message: String) -> wasmtime::Result<()> {
        self.log(LogLevel::Info, &message)
    }
    fn warn(&mut self, message: String) -> wasmtime::Result<()> {
        self.log(LogLevel::Warn, &message)
    }
    fn error(&mut self, message: String) -> wasmtime::Result<()> {
        self.log(LogLevel::Error, &message)
    }
}

impl history::Host for Guest {
    fn recent(&mut self, metric: String, last: u32) -> wasmtime::Result<Option<wit::Estimate>> {
        self.name(&metric)?;
        let answer = self.view.recent(&metric, last).and_then(finite);
        let told = self.metric(&metric, answer);
        self.record(Read::Recent { metric, last, answer })?;
        told
    }
    fn between(
        &mut self,
        metric: String,
        from_ago: Seconds,
        until_ago: Seconds,
    ) -> wasmtime::Result<Option<wit::Estimate>> {
        self.name(&metric)?;
        let answer = self.view.between(&metric, from_ago, until_ago).and_then(finite);
        let told = self.metric(&metric, answer);
        self.record(Read::Between { metric, from_ago, until_ago, answer })?;
        told
    }
    fn baseline(&mut self, metric: String) -> wasmtime::Result<Option<wit::Estimate>> {
        self.name(&metric)?;
        let answer = self.view.baseline(&metric).and_then(finite);
        let told = self.metric(&metric, answer);
        self.record(Read::Baseline { metric, answer })?;
        told
    }
    fn findings(
        &mut self,
        within: Seconds,
        at_least: wit::Severity,
        limit: u32,
    ) -> wasmtime::Result<Vec<wit::Finding>> {
        let at_least = at_least.into();
        let most = limit.min(MOST_FINDINGS);
        let mut answer = self.view.findings(within, at_least, most);
        answer.truncate(most as usize);
        self.charge(1 + answer.len())?;
        if let Some(early) = answer.iter().find(|finding| finding.opened < Timestamp::EPOCH) {
            let message = format!("a finding of {} cannot be told: {}", early.opened, convert::NO_EARLIER);
            return Err(Stop { kind: FailureKind::HostCall, message }.into());
        }
        let told = answer.iter().map(Into::into).collect();
        self.record(Read::Findings { within, at_least, limit, answer })?;
        Ok(told)
    }
    fn drift_count(&mut self, detector: String) -> wasmtime::Result<u32> {
        self.name(&detector)?;
        let answer = self.view.drift_count(&detector);
        self.record(Read::DriftCount { detector, answer })?;
        Ok(answer)
    }
    fn versions(&mut self) -> wasmtime::Result<Vec<wit::ModelVersion>> {
        let answer = self.view.versions();
        self.charge(1 + answer.len())?;
        let told = answer.iter().map(Into::into).collect();
        self.record(Read::Versions { answer })?;
        Ok(told)
    }
    fn since_activation(&mut self) -> wasmtime::Result<Option<Seconds>> {
        self.charge(1)?;
        let answer = self.view.since_activation();
        self.record(Read::SinceActivation { answer })?;
        Ok(answer)
    }
    fn since_retrain(&mut self) -> wasmtime::Result<Option<Seconds>> {
        self.charge(1)?;
        let answer = self.view.since_retrain();
        self.record(Read::SinceRetrain { answer })?;
        Ok(answer)
    }
}

impl state::Host for Guest {
    fn get(&mut self, key: String) -> wasmtime::Result<Option<String>> {
        self.name(&key)?;
        let answer = self.notebook.get(&key).cloned();
        self.charge(answer.as_deref().map_or(0, kib))?;
        self.record(Read::State { key, answer: answer.clone() })?;
        Ok(answer)
    }
    fn set(&mut self, key: String, value: String) -> wasmtime::Result<()> {
        self.name(&key)?;
        self.charge(kib(&value))?;
        self.log.lock().unwrap_or_else(PoisonError::into_inner).take_room(&(&key, &value))?;
        self.notebook.insert(key.clone(), value.clone());
        self.check_notebook()?;
        self.changes.insert(key, Some(value));
        Ok(())
    }
    fn remove(&mut self, key: String) -> wasmtime::Result<()> {
        self.name(&key)?;
        if self.notebook.remove(&key).is_some() {
            self.changes.insert(key, None);
        }
        Ok(())
    }
}

/// Bytes of host memory behind one element of a table.
const TABLE_ELEMENT: usize = size_of::<usize>();
/// Instances, memories and tables inside one component; the pool is sized by them.
pub(crate) const MOST_INSTANCES: u32 = 64;
pub(crate) const MOST_MEMORIES: u32 = 8;
pub(crate) const MOST_TABLES: u32 = 32;

/// wasmtime asks about one memory or table at a time; the limit is on their sum.
impl wasmtime::ResourceLimiter for Guest {
    fn memory_growing(&mut self, now: usize, wanted: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(now, wanted, most, 1)
    }
    fn table_growing(&mut self, now: usize, wanted: usize, most: Option<usize>) -> wasmtime::Result<bool> {
        self.grow(now, wanted, most, TABLE_ELEMENT)
    }
    fn instances(&self) -> usize {
        MOST_INSTANCES as usize
    }
    fn memories(&self) -> usize {
        MOST_MEMORIES as usize
    }
    fn tables(&self) -> usize {
        MOST_TABLES as usize
    }
}

impl Guest {
    fn grow(
        &mut self,
        now: usize,
        wanted: usize,
        most: Option<usize>,
        size: usize,
    ) -> wasmtime::Result<bool> {
        // Beyond its own maximum it does not grow, whatever is said here; a module may ask as often as it likes.
        if most.is_some_and(|most| wanted > most) {
            return Ok(false);
        }
        let sum = self.memory.saturating_add(wanted.saturating_sub(now).saturating_mul(size));
        if sum > self.limits.memory {
            return stop(
                FailureKind::Memory,
                format!(
                    "it wanted {} KiB in memories and tables; limits.memory allows {} KiB",
                    sum.div_ceil(1024),
                    self.limits.memory / 1024
                ),
            );
        }
        self.memory = sum;
        Ok(true)
    }
}
