//! The life of a model in a turn: what people ask for is answered by the registry, experiments are put to policies, and so are
//! the questions which versions may go and how often to retrain. What the registry allows is its own matter.

use std::sync::Arc;

use trimtab_types::{
    Action, Answer, Arm, Asked, Budget, Conditions, DecisionRecord, Experiment, Fate, Inventory, Mode,
    ModelKey, MomentKind, PlanLine, PolicyKind, Proposed, Question, Request, Ruled, Ruling, Seconds,
    Severity, Stage, Subject, Verdict, View as _,
};

use super::{ask::decision_id, moments::moment, output::Order, turn::Turn};
use crate::{
    config::ReleaseStage,
    fold::State,
    lifecycle::{Event, Outcome, Put, Running, Setting, Tally, TallyArm, Trial, cell, protected},
    measure,
    metric::Metric,
    view::{SubjectView, versions, whole},
};

/// The host looks at an experiment no more often than this, in seconds, unless a policy said when.
const LOOK: u64 = 3_600;
const DAY: u64 = 86_400;
const WEEK: u64 = 7 * DAY;
/// A promotion that a person refused is proposed again only with so many more blocks of evidence.
const MORE_BLOCKS: u64 = 10;
/// What a policy may want to know of an arm besides, from the rows that are kept.
const MEASURED: [Metric; 7] = [
    Metric::Sharpe,
    Metric::Drawdown,
    Metric::Ece,
    Metric::Precision,
    Metric::Recall,
    Metric::F1,
    Metric::PrAuc,
];

/// Whether an experiment of a model is to be looked at.
pub(super) fn is_due(state: &State, model: &ModelKey) -> bool {
    !due(state, model).is_empty()
}

/// The versions of a model whose experiments are to be looked at: their time is over, or there is new evidence, or nobody has
/// looked for a day.
fn due(state: &State, model: &ModelKey) -> Vec<String> {
    let (Some(registry), Some(tallies)) = (state.registries.get(model), state.tallies.get(model)) else {
        return Vec::new();
    };
    let now = state.clock(model);
    let is_due = |trial: &&Trial| {
        let blocks = tallies.get(&trial.version).map_or(0, |tally| tally.blocks());
        let is_new = blocks > trial.looked_at || now >= trial.next_look.plus(DAY);
        trial.is_over(now) || (trial.running == Running::Yes && now >= trial.next_look && is_new)
    };
    registry.trials.values().filter(is_due).map(|trial| trial.version.clone()).collect()
}

/// The versions of a model together, as policies are asked about them.
fn of_model(model: &ModelKey, version: &str) -> Subject {
    let ModelKey { tenant, model } = model.clone();
    Subject { tenant, model, version: version.to_owned(), segment: String::new() }
}

impl Turn<'_> {
    /// The champion of a model over all segments.
    pub(super) fn champion_of(&self, model: &ModelKey) -> Subject {
        let champion = self.state.registries.get(model).and_then(|registry| registry.champion());
        of_model(model, champion.unwrap_or_default())
    }

    /// Somebody wants something done about a model. What came of it is recorded, also where nothing did.
    pub(super) fn request(&mut self, request: Request) {
        let (model, version) = match &request {
            Request::Version(change) => (change.model.clone(), change.version.clone()),
            Request::Experiment(change) => (change.model.clone(), change.version.clone()),
            Request::Answer(answer) => (answer.model.clone(), String::new()),
            Request::Retrain(change) => (change.model.clone(), String::new()),
            Request::Trainer(report) => (report.model.clone(), String::new()),
        };
        let now = self.state.now(&model);
        let before = self.state.registries.get(&model).and_then(|known| known.champion()).map(str::to_owned);
        let configuration = Arc::clone(&self.state.configuration);
        let setting = Setting::of(&configuration, &model, now);
        let change = self.approved_change(&request);
        let revision = self.state.registries.get(&model).map_or(0, |known| known.revision);
        let ruled = match &change {
            Some(Err(refusal)) => self.state.registry_mut(&model).ruled(Err(refusal.clone())),
            _ => self.state.registry_mut(&model).take(&request, setting),
        };
        let ruled = self.follow_change(change, ruled);
        let subject = of_model(&model, &version);
        // What is reported twice is told once.
        let taken = ruled.revision > revision;
        let mut record = self.host_record(&subject, Question::Request(Box::new(request.clone())), ruled);
        if let (Request::Trainer(report), true) = (&request, taken) {
            self.follow_report(&model, report, &mut record);
        }
        self.output.decisions.push(record);
        self.keep_up(&model, before.as_deref());
    }

    /// Writes down what the host did by itself.
    fn ruled(&mut self, subject: &Subject, question: Question, ruled: Ruled) {
        let record = self.host_record(subject, question, ruled);
        self.output.decisions.push(record);
    }

    fn host_record(&self, subject: &Subject, question: Question, ruled: Ruled) -> DecisionRecord {
        let id = decision_id(self.state.position, subject, &question, None);
        self.record(id, subject, None, Mode::Enforce, question, Asked::of(Answer::Ruled(ruled)))
    }

    /// Whatever follows the registry follows it: who serves, what is counted of experiments, which detectors start anew.
    fn keep_up(&mut self, model: &ModelKey, before: Option<&str>) {
        let Some(registry) = self.state.registries.get(model).cloned() else { return };
        self.state.model_mut(model).follow(&registry);
        let tallies = self.state.tallies_mut(model);
        tallies.retain(|version, _| registry.trials.contains_key(version));
        for (version, trial) in &registry.trials {
            match tallies.get_mut(version) {
                Some(tally) if tally.is_of(trial) => Arc::make_mut(tally).share_out(trial.share()),
                _ => drop(tallies.insert(version.clone(), Arc::new(Tally::new(trial)))),
            }
        }
        // Where none is left, that is stored, too: what was stored before must not come back.
        let champion = registry.champion();
        if let Some(champion) = champion.filter(|champion| before.is_some_and(|before| before != *champion)) {
            self.start_anew(model, champion);
        }
    }

    /// The detectors of a version that serves from here on start anew: what was found in shadow is no news of what serves.
    fn start_anew(&mut self, model: &ModelKey, version: &str) {
        self.output.orders.push(Order::promotion(model, version));
        let of_it = |subject: &&Subject| subject.version == version;
        let mut subjects: Vec<Subject> =
            self.state.diaries_of(model).map(|(subject, _)| subject).filter(of_it).cloned().collect();
        subjects.extend(self.state.subjects_of(model).map(|(subject, _)| subject).filter(of_it).cloned());
        subjects.sort();
        subjects.dedup();
        for subject in subjects {
            let closed = self.state.order_reset(&subject, None);
            if closed.is_empty() {
                continue;
            }
            let moment = moment(self.state, MomentKind::Ordered, &subject, closed);
            self.state.live(&moment);
            self.output.moments.push(moment);
        }
    }

    /// Time has passed: proposals expire, and what is due daily is asked.
    pub(super) fn lives_go_on(&mut self) {
        let models: Vec<ModelKey> = self.state.registries.keys().cloned().collect();
        for model in models {
            let now = self.state.now(&model);
            let Some(registry) = self.state.registries.get(&model) else { continue };
            let expired = registry.proposals.iter().any(|proposal| {
                proposal.state == trimtab_types::ProposalState::Open && now > proposal.expires
            });
            // One of which only something waits for a person has no versions to speak of.
            let (planned, has_versions) = (registry.planned, !registry.versions.is_empty());
            if expired {
                self.state.registry_mut(&model).expire_proposals(now);
            }
            if has_versions
                && planned.is_none_or(|planned| now.since(planned) >= DAY)
                && self.is_minded(PolicyKind::RetrainSchedule, &model)
            {
                self.plan_retrains(&model);
            }
        }
    }

    /// Whether some policy is asked such questions about a model.
    fn is_minded(&self, kind: PolicyKind, model: &ModelKey) -> bool {
        self.state.configuration.stage(model) != ReleaseStage::Observe
            && self.state.in_force.iter().any(|policy| policy.minds(kind, model))
    }

    /// Puts a question about a model to the policies. Those in shadow are asked and recorded; of the others the first one's
    /// answer counts, and is returned unrecorded. `None`: nobody is asked.
    fn put_of_model(&mut self, subject: &Subject, question: &Question) -> Option<DecisionRecord> {
        let model = subject.model_key();
        let kind = question.kind()?;
        if !self.is_minded(kind, &model) {
            return None;
        }
        let policies = Arc::clone(&self.state.in_force);
        let mut counts = None;
        for policy in policies.iter().filter(|policy| policy.minds(kind, &model)) {
            let Some(version) = policy.version_for(subject) else { continue };
            if version.mode == Mode::Enforce && counts.is_some() {
                continue;
            }
            let id = decision_id(self.state.position, subject, question, Some(version.reference));
            let asked = self.ask(&id, Some(version), subject, question);
            let reference = Some(version.reference.clone());
            let record = self.record(id, subject, reference, version.mode, question.clone(), asked);
            match version.mode {
                Mode::Enforce => counts = Some(record),
                Mode::Shadow | Mode::Off => self.output.decisions.push(record),
            }
        }
        if let Some(record) = &counts {
            self.write_notebook(record);
        }
        counts
    }

    /// Experiments of these models are looked at.
    pub(super) fn look(&mut self, models: &[ModelKey]) {
        for model in models {
            for version in due(self.state, model) {
                self.look_at(model, &version);
            }
        }
    }

    fn look_at(&mut self, model: &ModelKey, version: &str) {
        let now = self.state.now(model);
        let Some((trial, tally)) = self.trial(model, version) else { return };
        let subject = of_model(model, version);
        let question =
            Question::CanaryPromotion { experiment: Box::new(experiment(self.state, model, &trial, &tally)) };
        if trial.is_over(now) {
            let before = self.champion_of(model).version;
            let registry = self.state.registry_mut(model);
            let moves = registry.stop_trial(
                version,
                Outcome::Inconclusive,
                "its time is over and nothing was shown",
                now,
            );
            registry.revision += 1;
            let says = format!(
                "inconclusive: the time of the experiment with `{version}` is over; the champion stays"
            );
            let ruled = Ruled { refusal: None, revision: registry.revision, moves, says };
            self.ruled(&subject, question, ruled);
            self.keep_up(model, Some(&before));
            return;
        }
        let record = self.put_of_model(&subject, &question);
        let blocks = tally.blocks();
        if let Some(trial) = self.state.registry_mut(model).trials.get_mut(version) {
            trial.looked_at = blocks;
            trial.next_look = now.plus(LOOK);
        }
        let Some(mut record) = record else { return };
        if let Answer::Judgement(judgement) = &record.answer {
            let (verdict, reason) = (judgement.verdict, judgement.reason.clone());
            let judged = self.follow_ruling(model, &trial, blocks, verdict, (&record, &reason));
            record.verdicts.push(judged);
        }
        self.output.decisions.push(record);
    }

    fn trial(&self, model: &ModelKey, version: &str) -> Option<(Trial, Arc<Tally>)> {
        let trial = self.state.registries.get(model)?.trials.get(version)?.clone();
        let tally = self.state.tallies.get(model)?.get(version)?;
        Some((trial, Arc::clone(tally)))
    }

    /// What follows from a policy's ruling: what tightens is done from the stage `protect` on, all else waits for a person.
    fn follow_ruling(
        &mut self,
        model: &ModelKey,
        trial: &Trial,
        blocks: u64,
        ruling: Ruling,
        (record, reason): (&DecisionRecord, &str),
    ) -> (Action, Verdict) {
        let now = self.state.now(model);
        let version = trial.version.clone();
        let may_tighten = self.state.configuration.stage(model) >= ReleaseStage::Protect;
        let done = |what: String| Verdict::Done { what };
        match ruling {
            Ruling::Extend => (Action::Monitor, done("the experiment goes on".to_owned())),
            Ruling::ExtendBy(time) => {
                if let Some(trial) = self.state.registry_mut(model).trials.get_mut(&version) {
                    trial.next_look = now.plus(u64::from(time));
                }
                (
                    Action::Monitor,
                    done(format!("looked at again at {}", now.plus(u64::from(time)).for_people())),
                )
            }
            Ruling::Promote => {
                let action = Action::Promote(version.clone());
                let too_soon = trial.refused_at.filter(|at| blocks < at + MORE_BLOCKS);
                let verdict = match too_soon {
                    Some(at) => Verdict::Suppressed {
                        why: format!(
                            "a person refused it at {at} blocks; it is proposed again at {}",
                            at + MORE_BLOCKS
                        ),
                    },
                    None => self.put_before_a_person(model, Proposed::Promote { version }, record, reason),
                };
                (action, verdict)
            }
            Ruling::Abort if may_tighten => {
                let registry = self.state.registry_mut(model);
                registry.stop_trial(&version, Outcome::Stopped, reason, now);
                registry.revision += 1;
                let champion = trial.champion.clone();
                self.keep_up(model, Some(&champion));
                (
                    Action::StopCanary,
                    done(format!("the experiment with `{version}` is over; everything goes to `{champion}`")),
                )
            }
            Ruling::Abort => {
                let what = Proposed::Act { version, action: Action::StopCanary };
                (Action::StopCanary, self.put_before_a_person(model, what, record, reason))
            }
            Ruling::SetFraction(fraction) => {
                let action = Action::SetFraction(fraction);
                let within_ramp = trial.plan.ramp.is_some_and(|ramp| fraction <= ramp);
                if !trial.serves() {
                    let reasons = vec!["in shadow nothing is served, so there is no share".to_owned()];
                    return (action, Verdict::Refused { reasons });
                }
                if may_tighten && (fraction <= trial.fraction || within_ramp) {
                    let done = self.state.registry_mut(model).share_out(&version, fraction);
                    let ruled = self.state.registry_mut(model).ruled(done);
                    let champion = trial.champion.clone();
                    self.keep_up(model, Some(&champion));
                    return (action, Verdict::Done { what: Answer::Ruled(ruled).words() });
                }
                (
                    action,
                    self.put_before_a_person(model, Proposed::Fraction { version, fraction }, record, reason),
                )
            }
        }
    }

    /// An experiment is over because of what was found about its version.
    pub(super) fn stop_experiment(&mut self, model: &ModelKey, version: &str, why: &str) {
        let now = self.state.now(model);
        let before = self.champion_of(model).version;
        let registry = self.state.registry_mut(model);
        registry.stop_trial(version, Outcome::Stopped, why, now);
        registry.revision += 1;
        self.keep_up(model, Some(&before));
    }

    /// A version is marked degraded because of what was found about it; one that is not registered, by its name alone.
    pub(super) fn mark_degraded(&mut self, subject: &Subject) {
        let model = subject.model_key();
        let is_known =
            |registry: &Arc<crate::lifecycle::Registry>| registry.versions.contains_key(&subject.version);
        if !self.state.registries.get(&model).is_some_and(is_known) {
            self.state.model_mut(&model).degraded.insert(subject.version.clone());
            return;
        }
        let now = self.state.now(&model);
        let before = self.champion_of(&model).version;
        let registry = self.state.registry_mut(&model);
        let done = registry.mark_degraded(&subject.version, now);
        registry.ruled(done);
        self.keep_up(&model, Some(&before));
    }

    /// Puts something before a person.
    pub(super) fn put_before_a_person(
        &mut self,
        model: &ModelKey,
        what: Proposed,
        record: &DecisionRecord,
        reason: &str,
    ) -> Verdict {
        let now = self.state.now(model);
        let by = record.policy.as_ref();
        match self.state.registry_mut(model).propose(model, what, (by, &record.id, reason), now) {
            Put::New(id) => Verdict::Waits { why: format!("a person answers proposal {id}") },
            Put::Waits(id) => Verdict::Suppressed { why: format!("proposal {id} waits already") },
            Put::Refused(id) => {
                Verdict::Suppressed { why: format!("a person refused {id} within the last day") }
            }
        }
    }

    /// Policies are asked which versions of a model may go. What they say becomes a plan that a person approves; the host's
    /// protections have the last word.
    pub(super) fn review(&mut self, model: &ModelKey) {
        let now = self.state.now(model);
        let versions = versions(self.state, model);
        let there: Vec<_> = versions.into_iter().filter(|version| version.stage != Stage::Deleted).collect();
        let used_bytes = there.iter().map(|version| version.size_bytes).sum();
        let budget = Budget { used_bytes, ..self.state.configuration.cleanup.budget() };
        let inventory = Inventory {
            tenant: model.tenant.clone(),
            model: model.model.clone(),
            versions: there.clone(),
            budget,
        };
        let subject = self.champion_of(model);
        let question = Question::Cleanup { inventory: Box::new(inventory) };
        self.state.registry_mut(model).reviewed = Some(now);
        let Some(mut record) = self.put_of_model(&subject, &question) else {
            let refusal = trimtab_types::Refusal {
                kind: trimtab_types::ErrorKind::NotFound.name().to_owned(),
                problem: "no policy in force answers `cleanup` about this model".to_owned(),
            };
            let revision = self.state.registry_mut(model).revision;
            let ruled = Ruled { refusal: Some(refusal), revision, moves: Vec::new(), says: String::new() };
            self.ruled(&subject, question, ruled);
            return;
        };
        if let Answer::Review(review) = &record.answer {
            let line = |version: &trimtab_types::ModelVersion| {
                let said = review.iter().find(|said| said.version == version.version);
                let (fate, reason) = match said {
                    Some(said) if said.fate == Fate::Delete && !version.protections.is_empty() => (
                        Fate::Keep,
                        format!("protected, whatever the policy says: {}", protected(&version.protections)),
                    ),
                    Some(said)
                        if said.fate == Fate::Delete && cell(version.stage, Event::Delete).is_err() =>
                    {
                        (Fate::Keep, format!("it is {}, whatever the policy says", version.stage))
                    }
                    Some(said) => (said.fate, said.reason.clone()),
                    None => (Fate::Keep, "the policy says nothing of it".to_owned()),
                };
                PlanLine { version: version.version.clone(), fate, reason, size_bytes: version.size_bytes }
            };
            let plan: Vec<PlanLine> = there.iter().map(line).collect();
            let gone: Vec<String> = plan
                .iter()
                .filter(|line| line.fate == Fate::Delete)
                .map(|line| line.version.clone())
                .collect();
            let verdict = if gone.is_empty() {
                (Action::Monitor, Verdict::Done { what: "nothing goes".to_owned() })
            } else {
                let reason = format!("{} of {} versions may go", gone.len(), plan.len());
                (
                    Action::Delete(gone),
                    self.put_before_a_person(model, Proposed::Cleanup { plan }, &record, &reason),
                )
            };
            record.verdicts.push(verdict);
        }
        self.output.decisions.push(record);
    }

    /// Policies are asked how often a model is to be retrained.
    pub(super) fn plan_retrains(&mut self, model: &ModelKey) {
        let now = self.state.now(model);
        let subject = self.champion_of(model);
        let question = Question::RetrainSchedule { conditions: conditions(self.state, model, &subject) };
        let Some(mut record) = self.put_of_model(&subject, &question) else { return };
        // Also where it fails: it is asked again tomorrow, and not at every tick.
        self.state.registry_mut(model).planned = Some(now);
        if let Answer::Schedule(schedule) = &record.answer {
            let schedule = schedule.clone();
            let every = trimtab_types::format_duration(u64::from(schedule.every));
            record.verdicts.push((
                Action::RetrainEvery(schedule.every),
                Verdict::Done { what: format!("the schedule of `{model}` is every {every}") },
            ));
            if schedule.immediately {
                let action = Action::ScheduleRetrain(0);
                let verdict = self.judge_and_apply(&action, &record);
                record.verdicts.push((action, verdict));
            }
            self.state.registry_mut(model).schedule = Some((now, schedule));
        }
        self.output.decisions.push(record);
    }
}

/// An experiment as policies see it.
pub fn experiment(state: &State, model: &ModelKey, trial: &Trial, tally: &Tally) -> Experiment {
    let [champion, challenger] = tally.arms();
    Experiment {
        id: trial.id.clone(),
        tenant: model.tenant.clone(),
        model: model.model.clone(),
        design: trial.plan.design,
        fraction: trial.share(),
        running: Seconds::try_from(trial.age(state.now(model))).unwrap_or(Seconds::MAX),
        concerns: tally.concerns(trial),
        champion: arm(state, model, &trial.champion, champion),
        challenger: arm(state, model, &trial.version, challenger),
        differences: tally.differences(),
    }
}

fn arm(state: &State, model: &ModelKey, version: &str, counted: &TallyArm) -> Arm {
    let subject = of_model(model, version);
    let mut metrics: Vec<trimtab_types::Metric> = counted
        .means()
        .map(|(name, rows, mean)| trimtab_types::Metric {
            name: name.to_owned(),
            estimate: trimtab_types::Estimate {
                value: mean,
                samples: u32::try_from(rows).unwrap_or(u32::MAX),
                interval: None,
                from_outcomes: true,
            },
        })
        .collect();
    if let Some(known) = whole(state, &subject) {
        let rows = known.rows.newest(known.rows.len());
        metrics.extend(MEASURED.into_iter().filter_map(|metric| {
            let estimate = measure::of(metric, &rows, &state.configuration.metrics)?;
            Some(trimtab_types::Metric { name: metric.name().to_owned(), estimate })
        }));
    }
    let of_it = state.diaries_of(model).filter(|(subject, _)| subject.version == version);
    let critical = of_it
        .flat_map(|(_, diary)| &diary.open)
        .filter(|finding| finding.severity == Severity::Critical)
        .count();
    Arm {
        version: version.to_owned(),
        samples: u32::try_from(counted.resolved).unwrap_or(u32::MAX),
        metrics,
        critical_findings: u32::try_from(critical).unwrap_or(u32::MAX),
    }
}

fn conditions(state: &State, model: &ModelKey, champion: &Subject) -> Conditions {
    let now = state.now(model);
    let known = whole(state, champion);
    let volatility = known.and_then(|known| {
        let rows = known.rows.newest(known.rows.len());
        measure::of(Metric::DailyVolatility, &rows, &state.configuration.metrics)
    });
    let since = state.models.get(model).and_then(|model| model.last_retrain).map(|at| now.since(at));
    let view = SubjectView::of(state, champion);
    let opened = view
        .findings(u32::try_from(WEEK).unwrap_or(Seconds::MAX), Severity::Info, u32::MAX)
        .iter()
        .filter(|finding| finding.phase == trimtab_types::Phase::Opened)
        .count();
    Conditions {
        tenant: model.tenant.clone(),
        model: model.model.clone(),
        daily_volatility: volatility.map(|estimate| estimate.value),
        since_retrain: since.map(|since| Seconds::try_from(since).unwrap_or(Seconds::MAX)),
        drifts_last_week: u32::try_from(opened).unwrap_or(u32::MAX),
    }
}
