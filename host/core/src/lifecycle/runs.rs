//! Retrains: one at a time of a model, from the request to the version that comes of it or the reason why none does. Whether a
//! drift may ask for one is the safeguards' matter; how a trainer is run is somebody else's.

use trimtab_types::{
    Design, DigestBuilder, ErrorKind, ModelKey, Plan, Refusal, Registration, RetrainAct, RetrainCause,
    RetrainChange, RetrainMode, Run, RunState, Timestamp, TrainerEnd, TrainerEvent, TrainerReport, number,
};

use super::{Done, Setting, no, registry::Registry};
use crate::{
    config::{Then, TrainerRule, Validation},
    metric::Metric,
};

/// Runs of a model that are remembered.
const MOST_RUNS: usize = 100;
/// A run that no trainer takes for so long is over, in seconds. Whoever runs trainers begins none for half of it.
const WAITS: u64 = 2 * 86_400;
/// After so many failures in a row nothing is begun until a person says so.
const FAILURES: u32 = 3;

/// The id of a run that was asked for at a time, after so many others at the same time: other retrains before it do not
/// change it.
pub fn run_id(model: &ModelKey, asked: Timestamp, others: u64) -> String {
    DigestBuilder::new("run")
        .part(model.tenant.as_bytes())
        .part(model.model.as_bytes())
        .part(asked.to_string().as_bytes())
        .number(others)
        .id('r')
}

impl Registry {
    /// The run that goes on.
    pub fn active_run(&self) -> Option<&Run> {
        self.runs.last().filter(|run| run.state.is_active())
    }

    /// Whether retrains failed so often that none is begun until a person says so.
    pub fn is_retrain_stopped(&self) -> bool {
        self.failed_runs >= FAILURES
    }

    /// What is in the way of any run but another one: switches, failures.
    pub(crate) fn in_the_way(&self, setting: &Setting<'_>) -> Vec<String> {
        let mut reasons = setting.off.clone();
        if self.is_retrain_stopped() {
            reasons.push(format!(
                "{} runs in a row failed; `trimtab retrain close-breaker` has them begun again",
                self.failed_runs
            ));
        }
        reasons
    }

    pub(super) fn change_retrain(
        &mut self,
        change: &RetrainChange,
        setting: &Setting<'_>,
    ) -> Result<Done, Refusal> {
        match &change.act {
            RetrainAct::Now => {
                let mode = RetrainMode::Scheduled;
                let cause = RetrainCause {
                    mode,
                    by: change.actor.clone(),
                    reason: change.reason.clone(),
                    threshold: None,
                    segment: String::new(),
                };
                let waits = change.wall.unwrap_or(setting.now).max(setting.now);
                self.begin_run(&change.model, cause, waits, setting)
            }
            RetrainAct::Cancel { run } => self.cancel(run, &change.actor),
            RetrainAct::CloseBreaker if self.failed_runs == 0 => {
                Ok(Done::unchanged("no retrain has failed since the last that did not"))
            }
            RetrainAct::CloseBreaker => {
                self.failed_runs = 0;
                Ok(Done::of(Vec::new(), "retrains are begun again"))
            }
        }
    }

    /// A run begins as soon as a trainer is free, or the request joins the one that goes on.
    pub(crate) fn begin_run(
        &mut self,
        model: &ModelKey,
        cause: RetrainCause,
        waits: Timestamp,
        setting: &Setting<'_>,
    ) -> Result<Done, Refusal> {
        let mut reasons = self.in_the_way(setting);
        if setting.trainer.is_none() {
            reasons.push(format!("no trainer is configured for `{model}`; [[trainers]] names one"));
        }
        if !reasons.is_empty() {
            return no(ErrorKind::Refused, reasons.join("; "));
        }
        if let Some(run) = self.runs.last_mut().filter(|run| run.state.is_active()) {
            run.joined += 1;
            return Ok(Done::of(Vec::new(), format!("joined run {}, which is {}", run.id, run.state)));
        }
        let at_this_time = self.runs.iter().rev().take_while(|run| run.asked == setting.now).count();
        let id = run_id(model, setting.now, at_this_time as u64);
        if self.runs.len() == MOST_RUNS {
            self.runs.remove(0);
        }
        let says = format!("run {id} begins as soon as a trainer is free");
        self.runs.push(Run {
            id,
            cause,
            champion: self.champion().map(str::to_owned),
            state: RunState::Starting,
            asked: setting.now,
            waits,
            started: None,
            ended: None,
            took: 0,
            cost: None,
            version: None,
            says: String::new(),
            said: String::new(),
            joined: 0,
            cancelled_by: None,
        });
        Ok(Done::of(Vec::new(), says))
    }

    fn cancel(&mut self, id: &str, actor: &str) -> Result<Done, Refusal> {
        let Some(run) = self.runs.iter_mut().rev().find(|run| run.id == id) else {
            return no(
                ErrorKind::NotFound,
                format!("there is no run `{id}` of this model; `trimtab retrain list` shows them"),
            );
        };
        if !run.state.is_active() {
            return no(ErrorKind::WrongStage, format!("run `{id}` is over: {}", run.state));
        }
        if let Some(by) = &run.cancelled_by {
            return Ok(Done::unchanged(format!("{by} has cancelled run {id} already")));
        }
        run.cancelled_by = Some(actor.to_owned());
        Ok(Done::of(Vec::new(), format!("run {id} is being ended")))
    }

    /// Whether no trainer took a run in time.
    pub(crate) fn waits_too_long(run: &Run, now: Timestamp) -> bool {
        run.state == RunState::Starting && now.since(run.waits) >= WAITS
    }

    /// A run that no trainer took in time is over. Says which.
    pub(crate) fn expire_run(&mut self, now: Timestamp) -> Option<Run> {
        let run = self.runs.last_mut().filter(|run| Self::waits_too_long(run, now))?;
        run.state = RunState::Expired;
        run.ended = Some(now);
        run.says = "no trainer took it within two days".to_owned();
        Some(run.clone())
    }

    /// A trainer reports. What it brings is registered, held against the validation, and tried as is configured.
    pub(super) fn report(&mut self, report: &TrainerReport, setting: &Setting<'_>) -> Result<Done, Refusal> {
        let id = &report.run;
        let Some(place) = self.runs.iter().rposition(|run| run.id == *id) else {
            return no(ErrorKind::NotFound, format!("there is no run `{id}` of this model"));
        };
        let state = self.runs[place].state;
        if !state.is_active() {
            return no(ErrorKind::Answered, format!("run `{id}` is over already: {state}"));
        }
        match &report.event {
            TrainerEvent::Started if state == RunState::Running => {
                Ok(Done::unchanged(format!("run {id} is running")))
            }
            TrainerEvent::Started => {
                self.runs[place].state = RunState::Running;
                self.runs[place].started = Some(setting.now);
                let mode = self.runs[place].cause.mode;
                Ok(Done::of(Vec::new(), format!("{mode} retrain started, run {id}")))
            }
            TrainerEvent::Ended { end, took, cost, said } => {
                let (state, version, done) = self.ended(&report.model, end, setting);
                self.failed_runs = if state.is_failure() {
                    self.failed_runs + 1
                } else if state == RunState::Cancelled {
                    self.failed_runs
                } else {
                    0
                };
                let run = &mut self.runs[place];
                run.state = state;
                run.version = version;
                run.ended = Some(setting.now);
                run.took = *took;
                run.cost = *cost;
                run.said.clone_from(said);
                run.says.clone_from(&done.says);
                Ok(Done { says: format!("run {id} {state}: {}", done.says), ..done })
            }
        }
    }

    fn ended(
        &mut self,
        model: &ModelKey,
        end: &TrainerEnd,
        setting: &Setting<'_>,
    ) -> (RunState, Option<String>, Done) {
        let over = |state: RunState, why: &str| (state, None, Done::of(Vec::new(), why));
        match end {
            TrainerEnd::NoModel => over(RunState::NoModel, "nothing better was found"),
            TrainerEnd::Failed { why } => over(RunState::Failed, why),
            TrainerEnd::TimedOut { why } => over(RunState::TimedOut, why),
            TrainerEnd::Cancelled { why } => over(RunState::Cancelled, why),
            TrainerEnd::Lost => over(RunState::Lost, "what watched the trainer is gone, and left no result"),
            TrainerEnd::Trained { version, registration } => {
                if self.versions.contains_key(version) {
                    let why = format!(
                        "conflict: it brought version `{version}`, which there is already; each run needs a name of its own, such as `$TRIMTAB_RUN`"
                    );
                    return over(RunState::Failed, &why);
                }
                let registration = Registration { champion: false, ..Registration::clone(registration) };
                let mut done = match self.register(version, &registration, setting.now) {
                    Ok(done) => done,
                    Err(refusal) => return over(RunState::Failed, &refusal.problem),
                };
                let compared = self.validate(&registration, setting.trainer);
                let state = match &compared {
                    Ok(passed) => {
                        done.says = format!("`{version}` is registered and passes the validation: {passed}");
                        RunState::Validated
                    }
                    Err(failed) => {
                        done.says =
                            format!("`{version}` is registered and does not pass the validation: {failed}");
                        RunState::Rejected
                    }
                };
                if let (RunState::Validated, Some(trainer)) = (state, setting.trainer) {
                    let next = self.try_out(model, version, trainer, setting.now);
                    done.says = format!("{}; {}", done.says, next.says);
                    done.moves.extend(next.moves);
                }
                (state, Some(version.clone()), done)
            }
        }
    }

    /// A version that passes is tried as is configured. Where that cannot be, it stays a candidate, and why is said.
    fn try_out(&mut self, model: &ModelKey, version: &str, trainer: &TrainerRule, now: Timestamp) -> Done {
        let plan = |design, fraction| Plan {
            design,
            fraction,
            ramp: None,
            margin: 0.0,
            block: Plan::block(),
            end: None,
            affected: false,
            again: false,
        };
        let plan = match trainer.then {
            Then::Shadow => plan(Design::Shadow, 0.0),
            Then::Canary => plan(Design::Canary, trainer.fraction),
            Then::Register => return Done::of(Vec::new(), "it is a candidate"),
            Then::Propose => return Done::of(Vec::new(), "a person is asked whether it is to serve"),
        };
        match self.start(model, version, &plan, now) {
            Ok(done) => done,
            Err(refusal) => Done::of(Vec::new(), format!("it is not tried: {}", refusal.problem)),
        }
    }

    /// Holds what a trainer measured against the limits and against the champion. Both answers name what was compared.
    fn validate(&self, given: &Registration, trainer: Option<&TrainerRule>) -> Result<String, String> {
        let usual = Validation::default();
        let rules = trainer.map_or(&usual, |trainer| &trainer.validation);
        let value = |registration: &Registration, name: &str| {
            let found = registration.metrics.iter().find(|metric| metric.name == name);
            found.map(|metric| metric.estimate.value)
        };
        let (mut failed, mut passed) = (Vec::new(), Vec::new());
        let mut note = |ok: bool, what: String| if ok { passed.push(what) } else { failed.push(what) };
        if given.metrics.is_empty() && !rules.unmeasured {
            note(false, "no metric was reported; `validation.unmeasured = true` lets that pass".to_owned());
        }
        let limits = rules.minimum.iter().map(|limit| (limit, true));
        for ((name, limit), at_least) in limits.chain(rules.maximum.iter().map(|limit| (limit, false))) {
            let word = if at_least { "at least" } else { "at most" };
            match value(given, name) {
                Some(value) => {
                    let ok = if at_least { value >= *limit } else { value <= *limit };
                    note(ok, format!("{name} {} ({word} {})", number(value), number(*limit)));
                }
                None => note(false, format!("{name} was not reported ({word} {})", number(*limit))),
            }
        }
        let champion = self.champion().and_then(|champion| self.versions.get(champion));
        for metric in &given.metrics {
            let of_champion = champion.and_then(|champion| value(&champion.registration, &metric.name));
            let can_drop = Metric::from_name(&metric.name).is_some_and(Metric::can_drop);
            if let Some(before) = of_champion.filter(|_| can_drop) {
                let ok = metric.estimate.value >= before - rules.below_champion;
                note(
                    ok,
                    format!(
                        "{} {} (champion {})",
                        metric.name,
                        number(metric.estimate.value),
                        number(before)
                    ),
                );
            }
        }
        if failed.is_empty() {
            Ok(if passed.is_empty() { "nothing was asked for".to_owned() } else { passed.join(", ") })
        } else {
            Err(failed.join(", "))
        }
    }
}

#[cfg(test)]
mod tests;
