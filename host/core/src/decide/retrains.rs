//! Retrains in a turn: begun for a drift or by plan, told to people, and followed by what their trainer brings. What a run may
//! become is the registry's matter.

use std::sync::Arc;

use trimtab_types::{
    Action, DecisionRecord, ModelKey, Proposed, RetrainCause, RetrainMode, Run, RunState, Severity,
    TrainerEvent, TrainerReport, Verdict, format_duration,
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
        self.announce(&subject, severity, text, decision);
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
            if self.state.registries.get(&model).and_then(|known| known.active_run()).is_some() {
                if let Some(run) = self.state.registry_mut(&model).expire_run(now) {
                    let registry = self.state.registry_mut(&model);
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
        let (planned, schedule) = registry?.schedule.as_ref()?;
        // What failed is not begun at every tick, but when it is due again.
        let tried = registry.and_then(|registry| registry.runs.last()).map(|run| run.asked);
        let last = known.and_then(|known| known.last_retrain).max(tried).unwrap_or(*planned);
        let every = u64::from(schedule.every);
        (now.since(last) >= every).then(|| {
            ("schedule".to_owned(), format!("every {}: {}", format_duration(every), schedule.reason))
        })
    }
}
