//! The pure step: one record in, state and output out. A live host, a backtest, a dry run and `verify` all run this code;
//! they differ in where records come from, who is asked, and where the output goes.

use std::sync::Arc;

use trimtab_types::{
    About, Act, Ask, Digest, Entry, Finding, Moment, MomentKind, OperatorAct, Phase, Position, Record,
    Request,
};

use super::{again::Before, moments::moments, output::Output, turn::Turn};
use crate::{
    Configuration,
    fold::{self, State},
    in_force::InForce,
};

/// What an entry that names contents puts in force, loaded by whoever could.
pub struct Prepared {
    /// `None`: the configuration stays.
    pub configuration: Option<Arc<Configuration>>,
    /// The policies that are asked from here on.
    pub policies: Vec<InForce>,
}

/// Takes one record through. With a configuration or a policy set comes what it names, prepared; without, what was in
/// force stays.
pub fn step(state: &mut State, record: &Record, prepared: Option<Prepared>, ask: &mut dyn Ask) -> Output {
    let mut findings = fold::apply(state, record);
    let before = before(state);
    name(state, &record.entry);
    if let Some(prepared) = prepared {
        findings.extend(put_in_force(state, prepared));
    }
    let moments = moments(state, &record.entry, findings);
    follow(state, Some(&record.entry), moments, &before, ask)
}

/// What was lived at one position: the moments that were recorded there, and the entry where it changes something besides
/// rows.
pub struct Lived<'a> {
    /// Where.
    pub position: Position,
    /// The entry, but for rows.
    pub entry: Option<&'a Entry>,
    /// What changed by it, in order, without what decisions ordered.
    pub moments: Vec<Moment>,
}

/// Takes what was lived at one position through, without the rows that led to it. It comes to what `step` comes to, as long
/// as the same is ordered as then, and whoever answers can be told what the rows were.
pub fn relive(state: &mut State, lived: Lived<'_>, prepared: Option<Prepared>, ask: &mut dyn Ask) -> Output {
    fold::passed(state, lived.position);
    let before = before(state);
    if let Some(entry) = lived.entry {
        state.advance(entry);
        if let Entry::Baseline(baseline) = entry {
            state.hold_against(baseline);
        }
        name(state, entry);
    }
    if let Some(prepared) = prepared {
        // Nothing is watched here, so nothing closes.
        put_in_force(state, prepared);
    }
    follow(state, lived.entry, lived.moments, &before, ask)
}

/// What is in force until a record is taken through.
fn before(state: &State) -> Before {
    Before { configuration: Arc::clone(&state.configuration), policies: Arc::clone(&state.in_force) }
}

/// What an entry says is in force.
fn name(state: &mut State, entry: &Entry) {
    match entry {
        Entry::Configuration(digest) => {
            state.configuration_digest = Some(*digest);
            state.touch_global();
        }
        Entry::PolicySet(set) => {
            state.policies = set.clone();
            state.touch_global();
        }
        _ => {}
    }
}

/// What follows from moments and their entry.
fn follow(
    state: &mut State,
    entry: Option<&Entry>,
    moments: Vec<Moment>,
    before: &Before,
    ask: &mut dyn Ask,
) -> Output {
    // Counts are forgotten before what closed is written down.
    for moment in moments.iter().filter(|moment| moment.kind == MomentKind::Act) {
        state.live(moment);
    }
    if let Some(entry) = entry {
        fold::enter(state, entry);
    }
    for moment in moments.iter().filter(|moment| moment.kind != MomentKind::Act) {
        state.live(moment);
    }
    let looked: Vec<_> = moments
        .iter()
        .filter(|moment| moment.kind == MomentKind::Look)
        .filter_map(|moment| moment.about.model_key())
        .collect();
    let wanted = match entry {
        Some(Entry::PolicySet(set)) => set.ask.as_deref(),
        _ => None,
    };
    let mut turn = Turn::new(state, ask);
    turn.found(moments);
    turn.look(&looked);
    turn.ask_where_more_may_be_done(before, wanted);
    match entry {
        Some(Entry::Tick(_)) => {
            turn.end_pauses();
            turn.reconsider();
            turn.tell_what_is_due();
            turn.lives_go_on();
            turn.runs_go_on();
            turn.watch_activations();
        }
        Some(Entry::VersionChange(change)) => turn.request(Request::Version(change.clone())),
        Some(Entry::Experiment(change)) => turn.request(Request::Experiment(change.clone())),
        Some(Entry::Approval(answer)) => turn.request(Request::Answer(answer.clone())),
        Some(Entry::Retrain(change)) => turn.request(Request::Retrain(change.clone())),
        Some(Entry::Trainer(report)) => turn.request(Request::Trainer(report.clone())),
        Some(Entry::OperatorAct(OperatorAct { act: Act::Review { model }, .. })) => turn.review(model),
        Some(Entry::OperatorAct(OperatorAct { act: Act::PlanRetrains { model }, .. })) => {
            turn.plan_retrains(model);
        }
        Some(Entry::OperatorAct(OperatorAct { act: Act::Ask { policy, model }, .. })) => {
            turn.ask_one(policy, model);
        }
        Some(Entry::OperatorAct(OperatorAct { act: Act::Resume { model }, .. })) => {
            let paused = turn.state.diaries_of(model).filter(|(_, known)| known.paused);
            let paused: Vec<_> = paused.map(|(subject, _)| subject.clone()).collect();
            turn.resume(&paused);
        }
        _ => {}
    }
    let output = turn.output;
    // What serves and what does not is known by now.
    if let Some(model) = entry.and_then(fold::acted_on) {
        state.expect_by_stages(&model);
    }
    output
}

/// Puts something else in force without an entry that says so: what is tried out.
pub fn try_out(state: &mut State, prepared: Prepared, ask: &mut dyn Ask) -> Output {
    let before = before(state);
    let findings = put_in_force(state, prepared);
    // No entry says so: it is as if a configuration had come.
    let entry = Entry::Configuration(Digest::of(b""));
    let moments = moments(state, &entry, findings);
    follow(state, None, moments, &before, ask)
}

/// What is in force, at the beginning or after a restart: nothing follows from it.
pub fn resume(state: &mut State, prepared: Prepared) {
    if let Some(configuration) = prepared.configuration {
        state.configuration = configuration;
    }
    state.stand(prepared.policies);
}

fn put_in_force(state: &mut State, prepared: Prepared) -> Vec<Finding> {
    let findings = match prepared.configuration {
        Some(configuration) => state.put_in_force(configuration),
        None => Vec::new(),
    };
    state.stand(prepared.policies);
    findings
}

impl State {
    /// These policies are asked from here on; failures of others are forgotten.
    fn stand(&mut self, policies: Vec<InForce>) {
        self.keep_breakers(|known| policies.iter().any(|policy| policy.has(known)));
        self.in_force = Arc::new(policies);
    }
}

impl Turn<'_> {
    /// Records moments and puts what changed to the policies, each subject by itself.
    fn found(&mut self, moments: Vec<Moment>) {
        self.output.moments.extend(moments.iter().cloned());
        for moment in moments {
            let About::Subject(subject) = &moment.about else { continue };
            let put = fold::put_to_policies(&moment.findings);
            if !put.is_empty() {
                self.decide(subject, put);
            }
            // Whatever was decided, people know when the last of something is over.
            if moment.findings.iter().any(|finding| finding.phase == Phase::Closed) {
                self.tell_what_is_over(&subject.model_key());
            }
        }
    }
}
