//! One policy, ready to be asked: registration with all its checks, and calls. A call is a fresh instance in an empty
//! world with limits on everything; whatever the policy does, a call returns, and says what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use trimtab_types::{
    Alert, Caps, Conditions, Decision, Experiment, Failure, FailureKind, Finding, Inventory, Judgement,
    LogLine, Message, NoHistory, PolicyKind, PolicyRef, Read, Recommendation, Rules, Schedule, Size,
    StateChange, Timestamp, View,
};
use wasmtime::component::{Component, Instance, InstancePre, ResourceTableError};
use wasmtime::{Store, Trap};
use wasmtime_wasi::I32Exit;

use crate::answer;
use crate::bindings::exports::trimtab::policy::{
    alert_format, canary_promotion, cleanup, drift_action, retrain_schedule, self_check,
};
use crate::contract;
use crate::convert;
use crate::guest::Guest;
use crate::limits::{Limits, MIB};
use crate::manifest::Manifest;
use crate::output::Stop;
use crate::package::Package;
use crate::register_error::{RegisterError, check_header};
use crate::sandbox::{LONGEST_CALL, STACK, Sandbox, ticks};
use crate::settings::{self, Settings};
use crate::wasi::MOST_HANDLES;

/// What a policy may hand to the host at once, as an argument or an answer. Answers and texts have limits of their own.
const MOST_AT_ONCE: usize = MIB;

/// What wasmtime says, in an error without a type of its own, where a policy hands over more than it may at once.
const COPIED_TOO_MUCH: &str = "fuel allocated for hostcalls has been exhausted";

/// Of a policy's own error.
const LONGEST_SENTENCE: usize = 4096;
/// Broken rules that are shown.
const MOST_RULES: usize = 20;

/// What came of a call.
#[derive(Debug, Clone, PartialEq)]
pub struct Call<T> {
    /// The answer, checked; or why there is none.
    pub answer: Result<T, Failure>,
    /// What the policy read, in order.
    pub reads: Vec<Read>,
    /// What it wrote into its notebook; nothing if there is no answer.
    pub notebook: Vec<StateChange>,
    /// Its log.
    pub log: Vec<LogLine>,
    /// Fuel used: the same for the same question.
    pub fuel: u64,
    /// Time taken: never the same.
    pub duration: Duration,
}

impl<T> Call<T> {
    /// The same call with its answer as something else.
    pub fn map<U>(self, into: impl FnOnce(T) -> U) -> Call<U> {
        let Self { answer, reads, notebook, log, fuel, duration } = self;
        Call { answer: answer.map(into), reads, notebook, log, fuel, duration }
    }
}

/// A registered policy. Cheap to share; holds its compiled code for as long as it lives.
pub struct Policy {
    sandbox: Arc<Sandbox>,
    reference: PolicyRef,
    manifest: Manifest,
    settings: Arc<Settings>,
    rules: Rules,
    imports: Vec<String>,
    interface_versions: BTreeSet<String>,
    keeps_notebook: bool,
    pre: InstancePre<Guest>,
    questions: Questions,
    /// While this lives, registering the same component again compiles nothing.
    _code: Arc<Component>,
}

/// Where in the component its questions are; looked up once.
#[derive(Default)]
struct Questions {
    drift_action: Option<drift_action::GuestIndices>,
    alert_format: Option<alert_format::GuestIndices>,
    canary_promotion: Option<canary_promotion::GuestIndices>,
    cleanup: Option<cleanup::GuestIndices>,
    retrain_schedule: Option<retrain_schedule::GuestIndices>,
    self_check: Option<self_check::GuestIndices>,
}

impl Questions {
    fn new(pre: &InstancePre<Guest>, found: &contract::Found) -> wasmtime::Result<Self> {
        let mut questions = Self::default();
        for kind in &found.kinds {
            match kind {
                PolicyKind::DriftAction => {
                    questions.drift_action = Some(drift_action::GuestIndices::new(pre)?)
                }
                PolicyKind::AlertFormat => {
                    questions.alert_format = Some(alert_format::GuestIndices::new(pre)?)
                }
                PolicyKind::CanaryPromotion => {
                    questions.canary_promotion = Some(canary_promotion::GuestIndices::new(pre)?);
                }
                PolicyKind::Cleanup => questions.cleanup = Some(cleanup::GuestIndices::new(pre)?),
                PolicyKind::RetrainSchedule => {
                    questions.retrain_schedule = Some(retrain_schedule::GuestIndices::new(pre)?);
                }
            }
        }
        if found.self_check {
            questions.self_check = Some(self_check::GuestIndices::new(pre)?);
        }
        Ok(questions)
    }

    /// `GuestIndices::new` compares names only; the types are compared here.
    fn load_all(&self, store: &mut Store<Guest>, instance: &Instance) -> wasmtime::Result<()> {
        self.drift_action.as_ref().map(|question| question.load(&mut *store, instance)).transpose()?;
        self.alert_format.as_ref().map(|question| question.load(&mut *store, instance)).transpose()?;
        self.canary_promotion.as_ref().map(|question| question.load(&mut *store, instance)).transpose()?;
        self.cleanup.as_ref().map(|question| question.load(&mut *store, instance)).transpose()?;
        self.retrain_schedule.as_ref().map(|question| question.load(&mut *store, instance)).transpose()?;
        self.self_check.as_ref().map(|question| question.load(&mut *store, instance)).transpose()?;
        Ok(())
    }
}

impl Policy {
    /// Compiles and checks a policy. `overrides` are the operator's values for its settings.
    pub fn register(
        sandbox: &Arc<Sandbox>,
        package: &Package,
        overrides: &BTreeMap<String, serde_json::Value>,
    ) -> Result<Self, RegisterError> {
        Self::register_under(sandbox, package, package.manifest.clone(), overrides)
    }

    /// The same with no more of each limit than the operator grants.
    pub fn register_within(
        sandbox: &Arc<Sandbox>,
        package: &Package,
        overrides: &BTreeMap<String, serde_json::Value>,
        caps: &Caps,
    ) -> Result<Self, RegisterError> {
        let mut manifest = package.manifest.clone();
        manifest.cap(caps);
        Self::register_under(sandbox, package, manifest, overrides)
    }

    fn register_under(
        sandbox: &Arc<Sandbox>,
        package: &Package,
        manifest: Manifest,
        overrides: &BTreeMap<String, serde_json::Value>,
    ) -> Result<Self, RegisterError> {
        let policy = || package.name.clone();
        check_header(package)?;
        let invalid =
            |error: wasmtime::Error| RegisterError::Invalid { policy: policy(), cause: format!("{error:#}") };
        let component = sandbox
            .compile(&package.component)
            .map_err(|cause| RegisterError::Compile { policy: policy(), cause })?;
        let found = contract::check(&sandbox.engine, &component.component_type(), manifest.grants)
            .map_err(|problems| RegisterError::Interface { policy: policy(), problems })?;
        if found.kinds.contains(&PolicyKind::AlertFormat) && manifest.channels.is_empty() {
            let problem = "policy.toml names no channels; an alert-format policy needs some, such as `channels = [\"chat\"]`";
            return Err(RegisterError::Settings { policy: policy(), problems: vec![problem.to_owned()] });
        }
        let settings = settings::resolve(&manifest.settings, overrides)
            .map_err(|problems| RegisterError::Settings { policy: policy(), problems })?;

        let pre = sandbox.linker.instantiate_pre(&component).map_err(invalid)?;
        let registered = Self {
            sandbox: Arc::clone(sandbox),
            reference: PolicyRef { name: package.name.clone(), digest: package.digest },
            settings: Arc::new(settings),
            keeps_notebook: found.imports.iter().any(|import| import == "state"),
            questions: Questions::new(&pre, &found).map_err(invalid)?,
            rules: manifest.rules(found.kinds),
            manifest,
            imports: found.imports,
            interface_versions: found.versions,
            pre,
            _code: component,
        };
        registered.try_out()?;
        Ok(registered)
    }

    /// Instantiates once and asks the policy whether its settings make sense.
    fn try_out(&self) -> Result<(), RegisterError> {
        let trial = self.call(Timestamp::EPOCH, Arc::new(NoHistory), &BTreeMap::new(), |store, instance| {
            self.questions.load_all(store, instance)?;
            let Some(self_check) = &self.questions.self_check else { return Ok(Ok(Vec::new())) };
            Ok(Ok(self_check.load(&mut *store, instance)?.call_check_settings(store)?))
        });
        let policy = || self.reference.name.clone();
        match trial.answer {
            Ok(broken) if broken.is_empty() => Ok(()),
            Ok(broken) => {
                let broken =
                    broken.iter().take(MOST_RULES).map(|rule| excerpt(rule, LONGEST_SENTENCE)).collect();
                Err(RegisterError::SelfCheck { policy: policy(), broken })
            }
            Err(failure) => Err(RegisterError::Trial { policy: policy(), failure }),
        }
    }

    /// Its name and digest.
    pub fn reference(&self) -> PolicyRef {
        self.reference.clone()
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.reference.name
    }

    /// What its manifest says.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The questions that it answers.
    pub fn kinds(&self) -> &[PolicyKind] {
        &self.rules.kinds
    }

    /// When it is asked, and what follows.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The interfaces of the policy package that it imports.
    pub fn imports(&self) -> &[String] {
        &self.imports
    }

    /// The versions of the policy interface that it was built against; mostly one.
    pub fn interface_versions(&self) -> impl Iterator<Item = &str> {
        self.interface_versions.iter().map(String::as_str)
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Whether it decides on this finding. Its mode is the caller's business.
    pub fn applies_to(&self, finding: &Finding) -> bool {
        self.rules.decides(finding)
    }

    /// Whether it writes this alert for this channel.
    pub fn formats(&self, channel: &str, alert: &Alert) -> bool {
        self.rules.formats(channel, alert)
    }

    /// Asks `drift-action`: these findings changed; what should be done? All of one subject, gravest first.
    ///
    /// Blocks until the policy has answered or was stopped; not for the threads of an async runtime.
    pub fn decide(
        &self,
        now: Timestamp,
        findings: &[Finding],
        view: Arc<dyn View>,
        notebook: &BTreeMap<String, String>,
    ) -> Call<Decision> {
        let call = self.call(now, view, notebook, |store, instance| {
            let question = self
                .questions
                .drift_action
                .as_ref()
                .ok_or_else(|| self.not_asked(PolicyKind::DriftAction))?;
            Self::tellable(findings.iter().map(|finding| finding.opened))?;
            let findings: Vec<_> = findings.iter().map(Into::into).collect();
            let answer = question.load(&mut *store, instance)?.call_decide(store, &findings)?;
            Ok(answer.map(Decision::from))
        });
        self.checked(call, answer::check_decision)
    }

    /// Asks `alert-format`: how should this alert read on this channel? The policy has no history to read here.
    ///
    /// Blocks like [`Policy::decide`].
    pub fn render(&self, now: Timestamp, alert: &Alert, channel: &str) -> Call<Message> {
        let call = self.call(now, Arc::new(NoHistory), &BTreeMap::new(), |store, instance| {
            let question = self
                .questions
                .alert_format
                .as_ref()
                .ok_or_else(|| self.not_asked(PolicyKind::AlertFormat))?;
            Self::tellable(alert.findings.iter().map(|finding| finding.opened).chain([alert.started]))?;
            let answer = question.load(&mut *store, instance)?.call_render(store, &alert.into(), channel)?;
            Ok(answer.map(Message::from))
        });
        self.checked(call, answer::check_message)
    }

    /// Asks `canary-promotion`: what should become of this experiment? The view is that of the champion.
    ///
    /// Blocks like [`Policy::decide`].
    pub fn judge(
        &self,
        now: Timestamp,
        experiment: &Experiment,
        view: Arc<dyn View>,
        notebook: &BTreeMap<String, String>,
    ) -> Call<Judgement> {
        let call = self.call(now, view, notebook, |store, instance| {
            let question = self
                .questions
                .canary_promotion
                .as_ref()
                .ok_or_else(|| self.not_asked(PolicyKind::CanaryPromotion))?;
            let answer = question.load(&mut *store, instance)?.call_judge(store, &experiment.into())?;
            Ok(answer.map(Judgement::from))
        });
        self.checked(call, answer::check_judgement)
    }

    /// Asks `cleanup`: which versions may go? One recommendation for every version, in the policy's order.
    ///
    /// Blocks like [`Policy::decide`].
    pub fn review(
        &self,
        now: Timestamp,
        inventory: &Inventory,
        view: Arc<dyn View>,
        notebook: &BTreeMap<String, String>,
    ) -> Call<Vec<Recommendation>> {
        let call = self.call(now, view, notebook, |store, instance| {
            let question =
                self.questions.cleanup.as_ref().ok_or_else(|| self.not_asked(PolicyKind::Cleanup))?;
            let answer = question.load(&mut *store, instance)?.call_review(store, &inventory.into())?;
            Ok(answer.map(|review| review.into_iter().map(Recommendation::from).collect()))
        });
        self.checked(call, |review: &Vec<Recommendation>, most| answer::check_review(review, inventory, most))
    }

    /// Asks `retrain-schedule`: how often should this model be retrained from here on?
    ///
    /// Blocks like [`Policy::decide`].
    pub fn plan(
        &self,
        now: Timestamp,
        conditions: &Conditions,
        view: Arc<dyn View>,
        notebook: &BTreeMap<String, String>,
    ) -> Call<Schedule> {
        let call = self.call(now, view, notebook, |store, instance| {
            let question = self
                .questions
                .retrain_schedule
                .as_ref()
                .ok_or_else(|| self.not_asked(PolicyKind::RetrainSchedule))?;
            let answer = question.load(&mut *store, instance)?.call_plan(store, &conditions.into())?;
            Ok(answer.map(Schedule::from))
        });
        self.checked(call, answer::check_schedule)
    }

    fn not_asked(&self, kind: PolicyKind) -> Stop {
        Stop { kind: FailureKind::Load, message: format!("it does not export {kind}") }
    }

    /// The interface counts seconds from 1970 without a sign: what is earlier cannot be put to a policy.
    fn tellable(times: impl IntoIterator<Item = Timestamp>) -> Result<(), Stop> {
        let Some(early) = times.into_iter().find(|time| *time < Timestamp::EPOCH) else { return Ok(()) };
        let message = format!("it cannot be asked about {early}: {}", convert::NO_EARLIER);
        Err(Stop { kind: FailureKind::Load, message })
    }

    /// Turns an answer that no policy may give into a failure.
    fn checked<T>(&self, mut call: Call<T>, check: impl Fn(&T, usize) -> Result<(), String>) -> Call<T> {
        call.answer = call.answer.and_then(|answer| match check(&answer, self.manifest.limits.answer) {
            Ok(()) => Ok(answer),
            Err(problem) => Err(self.failure(FailureKind::InvalidAnswer, format!("its answer {problem}"))),
        });
        if call.answer.is_err() {
            call.notebook.clear();
        }
        call
    }

    /// One call: a fresh instance, asked once.
    #[expect(clippy::disallowed_methods, reason = "this module measures how long calls take")]
    fn call<T>(
        &self,
        now: Timestamp,
        view: Arc<dyn View>,
        notebook: &BTreeMap<String, String>,
        ask: impl FnOnce(&mut Store<Guest>, &Instance) -> wasmtime::Result<Result<T, String>>,
    ) -> Call<T> {
        let _permit = self.sandbox.permit();
        let started = Instant::now();
        let limits = self.manifest.limits;
        let notebook = if self.keeps_notebook { notebook.clone() } else { BTreeMap::new() };
        let guest = Guest::new(now, limits, Arc::clone(&self.settings), view, notebook);
        let mut store = Store::new(&self.sandbox.engine, guest);

        let mut stage = Stage::Instantiation;
        let ready = prepare(&mut store, limits).and_then(|()| match self.sandbox.is_closing() {
            // Looked at once the deadline is set: who closes moves all deadlines that are set.
            true => Err(closing().into()),
            false => Ok(()),
        });
        let asked = ready.and_then(|()| self.pre.instantiate(&mut store)).and_then(|instance| {
            stage = Stage::Question;
            Self::tellable([now])?;
            ask(&mut store, &instance)
        });

        let fuel = limits.fuel.saturating_sub(store.get_fuel().unwrap_or(0));
        // From here on nothing of the policy runs, and its instance is gone.
        let mut guest = store.into_data();
        let answer = match (guest.excess_of_host_calls(), asked) {
            (Some(stop), _) => Err(self.failure(stop.kind, stop.message)),
            (None, Ok(Ok(answer))) => Ok(answer),
            (None, Ok(Err(sentence))) => {
                Err(self.failure(FailureKind::Refused, excerpt(&sentence, LONGEST_SENTENCE)))
            }
            (None, Err(error)) => Err(self.classify(&error, stage)),
        };
        let log = guest.log.lock().unwrap_or_else(PoisonError::into_inner).take();
        let notebook = if answer.is_ok() { guest.take_changes() } else { Vec::new() };
        Call { answer, reads: guest.reads, notebook, log, fuel, duration: started.elapsed() }
    }

    /// The same without the net of wall-clock time behind the fuel.
    pub(crate) fn without_clock(mut self) -> Self {
        self.manifest.limits.time = LONGEST_CALL;
        self
    }

    fn failure(&self, kind: FailureKind, what: String) -> Failure {
        Failure { kind, message: format!("policy `{}`: {what}", self.reference.name) }
    }

    /// What ended the call, in words.
    fn classify(&self, error: &wasmtime::Error, stage: Stage) -> Failure {
        let (kind, what) = if let Some(stop) = error.downcast_ref::<Stop>() {
            (stop.kind, stop.message.clone())
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            self.classify_trap(*trap)
        } else if let Some(exit) = error.downcast_ref::<I32Exit>() {
            (FailureKind::Trap, format!("it ended itself with exit code {}", exit.0))
        } else if error.is::<ResourceTableError>() {
            let what = format!("it held more than {MOST_HANDLES} WASI handles, or used one that is gone");
            (FailureKind::HostCall, what)
        } else {
            match stage {
                Stage::Instantiation => {
                    (FailureKind::Load, format!("it could not be instantiated: {error:#}"))
                }
                // What is copied out of the policy is counted.
                Stage::Question if format!("{error:#}").contains(COPIED_TOO_MUCH) => {
                    let Limits { answer, .. } = self.manifest.limits;
                    let most = Size(answer.max(MOST_AT_ONCE));
                    let what = format!(
                        "it handed over more than {most} at once; the limit on an answer is limits.answer of {}",
                        Size(answer)
                    );
                    (FailureKind::InvalidAnswer, what)
                }
                // Whatever else goes wrong while asking is about data that the policy handed over.
                Stage::Question => {
                    (FailureKind::InvalidAnswer, format!("it handed over something invalid: {error:#}"))
                }
            }
        };
        self.failure(kind, what)
    }

    fn classify_trap(&self, trap: Trap) -> (FailureKind, String) {
        let Limits { fuel, time, .. } = self.manifest.limits;
        match trap {
            Trap::OutOfFuel => {
                (FailureKind::Fuel, format!("it used up its fuel of {fuel}; the limit is limits.fuel"))
            }
            Trap::Interrupt => {
                let millis = time.as_millis();
                (FailureKind::Deadline, format!("it was stopped after {millis} ms; the limit is limits.time"))
            }
            Trap::StackOverflow => {
                let what = format!("it recursed too deeply; a call has {} of stack", Size(STACK));
                (FailureKind::Trap, what)
            }
            Trap::MemoryOutOfBounds => {
                let what = "it read or wrote outside its memory; where it recurses, the stack that it keeps inside its \
                            memory is used up: the linker that built it sets how large that is (`-z stack-size`)";
                (FailureKind::Trap, what.to_owned())
            }
            trap => (FailureKind::Trap, format!("it trapped: {trap}")),
        }
    }
}

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy")
            .field("reference", &self.reference)
            .field("kinds", &self.kinds())
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Instantiation,
    Question,
}

fn closing() -> Stop {
    Stop { kind: FailureKind::Deadline, message: "it was not asked: the host is closing".to_owned() }
}

/// Sets every limit of the store, before the first instruction of the policy: a start function is policy code, too.
fn prepare(store: &mut Store<Guest>, limits: Limits) -> wasmtime::Result<()> {
    store.limiter(|guest| guest);
    store.set_fuel(limits.fuel)?;
    store.set_epoch_deadline(ticks(limits.time));
    store.set_hostcall_fuel(limits.answer.max(MOST_AT_ONCE));
    store.set_max_component_handles(MOST_HANDLES);
    Ok(())
}

/// The beginning of a policy's own error sentence.
fn excerpt(sentence: &str, most: usize) -> String {
    let end = (0..=most.min(sentence.len())).rev().find(|end| sentence.is_char_boundary(*end)).unwrap_or(0);
    sentence[..end].to_owned()
}
