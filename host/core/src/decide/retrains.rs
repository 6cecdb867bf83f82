//! Retrains in a turn: begun for a drift or by plan, told to people, and followed by what their trainer brings. What a run may
//! become is the registry's matter.

use std::sync::Arc;

use trimtab_types::{
    Action, AlertKind, DecisionRecord, ModelKey, Proposed, RetrainCause, RetrainMode, Run, RunState,
    Severity, TrainerEvent, TrainerReport, Verdict, format_duration,
};

use super::turn::Turn;
use crate::lifecycle::{Registry, Setting};

impl Turn<'_> {
    /// A run begins as soon as a trainer is free.
    pub(super) fn begin_retrain(&mut self, model: &ModelKey, cause: RetrainCause) -> Verdict {
        let configuration = Arc::clone(&self.state.configuration);
        let now = self.state.now(model);
        let setting = Setting::of(&configuration, model, now);
        let registry = self.state.registry_mut(model);
        let done = registry.begin_run(model, cause, now, &setting);
        let ruled = registry.ruled(done);
        match ruled.refusal {
            None => {
                self.state.model_mut(model).retrain_planned = None;
                Verdict::Allowed { what: ruled.says }
            }
            Some(refusal) => Verdict::Refused { reasons: vec![refusal.problem] },
        }
    }

    /// What follows from a report that was taken: the cooldown, and who is told.
    pub(super) fn follow_report(
        &mut self,
        model: &ModelKey,
        report: &TrainerReport,
        record: &mut DecisionRecord,
    ) {
        let now = self.state.now(model);
        let registry = self.state.registries.get(model);
        let of_it = |registry: &Arc<Registry>| registry.runs.iter().find(|run| run.id == report.run).cloned();
        let Some(run) = registry.and_then(of_it) else { return };
        if report.event == TrainerEvent::Started {
            self.state.model_mut(model).retrain_began(now);
        }
        if let (RunState::Validated, Some(version)) = (run.state, &run.version)
            && self.proposes(model)
        {
            let what = Proposed::Promote { version: version.clone() };
            let verdict = self.put_before_a_person(model, what, record, &run.says);
            record.verdicts.push((Action::Promote(version.clone()), verdict));
        }
        self.tell_of_run(model, &run, &record.id);
    }

    fn proposes(&self, model: &ModelKey) -> bool {
        let trainer = self.state.configuration.trainer(model);
        trainer.is_some_and(|trainer| trainer.then == crate::config::Then::Propose)
    }

    /// Tells people of a run that began or ended, where that is news to somebody who did not ask for it.
    fn tell_of_run(&mut self, model: &ModelKey, run: &Run, decision: &str) {
        let emergency = run.cause.mode == RetrainMode::Emergency;
        let severity = match run.state {
            RunState::Running if emergency => Severity::High,
            state if state.is_failure() && emergency => Severity::Critical,
            state if state.is_failure() => Severity::High,
            RunState::Rejected => Severity::Medium,
            RunState::Validated | RunState::NoModel if emergency => Severity::Medium,
            _ => return,
        };
        let mode = run.cause.mode;
        let text = match run.state {
            RunState::Running => {
                format!("{mode} retrain started, run {}: {}", run.id, run.cause.reason)
            }
            state if state.is_failure() => {
                format!("{mode} retrain failed, run {} ({state}): {}", run.id, run.says)
            }
            state => format!("{mode} retrain is over, run {} ({state}): {}", run.id, run.says),
        };
        let subject = self.champion_of(model);
        self.announce(&subject, (AlertKind::Retrain, severity), text, decision);
    }

    /// Time has passed: what nobody took is over, and what is planned or due begins.
    pub(super) fn runs_go_on(&mut self) {
        let mut models: Vec<ModelKey> = self.state.registries.keys().cloned().collect();
        models.extend(
            self.state
                .models
                .iter()
                .filter(|(_, known)| known.retrain_planned.is_some())
                .map(|(key, _)| key.clone()),
        );
        models.sort();
        models.dedup();
        for model in models {
            let now = self.state.now(&model);
            if let Some(run) = self.state.registries.get(&model).and_then(|known| known.active_run()) {
                // What goes on is not written anew at each tick.
                if !Registry::waits_too_long(run, now) {
                    continue;
                }
                let registry = self.state.registry_mut(&model);
                if let Some(run) = registry.expire_run(now) {
                    registry.failed_runs += 1;
                    registry.revision += 1;
                    let decision = format!("{} {}", run.id, run.state);
                    self.tell_of_run(&model, &run, &decision);
                }
                continue;
            }
            if let Some((by, reason)) = self.due_retrain(&model) {
                let cause = RetrainCause {
                    mode: RetrainMode::Scheduled,
                    by,
                    reason,
                    threshold: None,
                    segment: String::new(),
                };
                self.begin_retrain(&model, cause);
            }
        }
    }

    /// By whom and why a retrain is due that the host is to begin, and may.
    fn due_retrain(&self, model: &ModelKey) -> Option<(String, String)> {
        let configuration = &self.state.configuration;
        configuration.trainer(model).filter(|trainer| trainer.scheduled)?;
        let now = self.state.now(model);
        let setting = Setting::of(configuration, model, now);
        let registry = self.state.registries.get(model);
        let free =
            registry.map_or_else(|| setting.off.is_empty(), |known| known.in_the_way(&setting).is_empty());
        if !free {
            return None;
        }
        let known = self.state.models.get(model);
        if let Some(until) = known.and_then(|known| known.retrain_planned).filter(|until| now >= *until) {
            return Some((
                "plan".to_owned(),
                format!("it was planned to begin until {}", until.for_people()),
            ));
        }
        let (_, schedule) = registry?.schedule.as_ref()?;
        // What failed is not begun at every tick, but when it is due again.
        let tried = registry.and_then(|registry| registry.runs.last()).map(|run| run.asked);
        // It is said anew each day, so it does not count from then.
        let serves = registry.and_then(|registry| registry.reigns.last()).map(|reign| reign.from);
        let last = known.and_then(|known| known.last_retrain).max(tried).or(serves)?;
        let every = u64::from(schedule.every);
        (now.since(last) >= every).then(|| {
            ("schedule".to_owned(), format!("every {}: {}", format_duration(every), schedule.reason))
        })
    }
}

#[cfg(test)]
mod tests {
    use trimtab_types::{
        Asked, Asking, Entry, FailureKind, ModelKey, Position, Record, Registration, Schedule, Timestamp,
        VersionAct, VersionChange,
    };

    use super::*;
    use crate::{Configuration, decide::step, fold::State};

    const DAY: u64 = 86_400;
    const ON: &str = "[safeguards.retrain]\nenabled = true\ntenants = [\"*\"]\n[[models]]\nmodel = \"*\"\nretrain = true\n[[trainers]]\nmodel = \"*\"\ncommand = [\"train\"]\nscheduled = true\n";

    struct Nobody;

    impl trimtab_types::Ask for Nobody {
        fn ask(&mut self, _: &Asking<'_>) -> Asked {
            Asked::failed(FailureKind::Load, "nobody is there".to_owned())
        }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH.plus(seconds)
    }

    fn model() -> ModelKey {
        ModelKey { tenant: "default".into(), model: "m".into() }
    }

    /// A model whose version serves since the beginning, under a configuration.
    fn serving(config: &str) -> State {
        let configuration = Arc::new(Configuration::parse(config, "test").expect("valid"));
        let mut state = State { configuration, ..State::default() };
        let registration = Box::new(Registration { champion: true, ..Registration::default() });
        let change = VersionChange {
            model: model(),
            version: "v1".into(),
            act: VersionAct::Register(registration),
            seen: None,
            actor: "ann".into(),
            at: at(0),
            reason: String::new(),
        };
        take(&mut state, Entry::VersionChange(change));
        state
    }

    fn take(state: &mut State, entry: Entry) {
        let record = Record::new(Position(state.position.0 + 1), entry, None);
        step(state, &record, None, &mut Nobody);
    }

    /// By whom runs were begun, after ticks at these times.
    fn begun(state: &mut State, ticks: &[u64]) -> Vec<String> {
        for tick in ticks {
            take(state, Entry::Tick(at(*tick)));
        }
        state.registries[&model()].runs.iter().map(|run| run.cause.by.clone()).collect()
    }

    fn schedule(state: &mut State, every: u64) {
        let every = u32::try_from(every).expect("short");
        let schedule = Schedule { every, immediately: false, reason: "calm".into() };
        state.registry_mut(&model()).schedule = Some((at(0), schedule));
    }

    #[test]
    fn a_plan_begins_at_the_end_of_its_time_and_once() {
        let mut state = serving(ON);
        state.model_mut(&model()).retrain_planned = Some(at(DAY));
        assert_eq!(begun(&mut state, &[60, DAY - 1]), Vec::<String>::new());
        assert_eq!(begun(&mut state, &[DAY, DAY + 60, DAY + 120]), ["plan"]);
        assert_eq!(state.models[&model()].retrain_planned, None);
    }

    #[test]
    fn a_schedule_begins_one_each_interval_also_after_failures() {
        let mut state = serving(ON);
        schedule(&mut state, DAY);
        assert_eq!(begun(&mut state, &[60]), Vec::<String>::new());
        // Policies say it anew each day; that does not put it off.
        let known = state.registry_mut(&model()).schedule.as_mut().expect("a schedule");
        known.0 = at(DAY - 60);
        assert_eq!(begun(&mut state, &[DAY, DAY + 60]), ["schedule"]);
        // It failed: the next is due a day later, and not at the next tick.
        state.registry_mut(&model()).runs[0].state = RunState::Failed;
        assert_eq!(begun(&mut state, &[DAY + 120, 2 * DAY - 1]).len(), 1);
        assert_eq!(begun(&mut state, &[2 * DAY, 2 * DAY + 60]).len(), 2);
    }

    #[test]
    fn without_switches_or_where_somebody_else_does_it_nothing_begins() {
        for config in [
            ON.replace("enabled = true", "enabled = false"),
            ON.replace("retrain = true", "retrain = false"),
            ON.replace("tenants = [\"*\"]", "tenants = [\"other\"]"),
            ON.replace("scheduled = true", "scheduled = false"),
        ] {
            let mut state = serving(&config);
            schedule(&mut state, DAY);
            state.model_mut(&model()).retrain_planned = Some(at(DAY));
            assert_eq!(begun(&mut state, &[DAY, 2 * DAY]), Vec::<String>::new(), "{config}");
            assert_eq!(state.models[&model()].retrain_planned, Some(at(DAY)), "the plan stands");
        }
        let mut state = serving(ON);
        schedule(&mut state, DAY);
        state.registry_mut(&model()).failed_runs = 3;
        assert_eq!(begun(&mut state, &[DAY, 2 * DAY]), Vec::<String>::new(), "the breaker is open");
    }
}
