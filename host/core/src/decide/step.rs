//! The pure step: one record in, state and output out. A live host, a backtest, a dry run and `verify` all run this code;
//! they differ in where records come from, who is asked, and where the output goes.

use std::sync::Arc;

use trimtab_types::{Act, Ask, Entry, Finding, OperatorAct, Record};

use super::{output::Output, turn::Turn};
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
    match &record.entry {
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
    let before = Arc::clone(&state.configuration);
    if let Some(prepared) = prepared {
        findings.extend(put_in_force(state, prepared));
    }
    let mut turn = Turn::new(state, ask);
    turn.found(&findings);
    turn.ask_where_more_may_be_done(&before);
    match &record.entry {
        Entry::Tick(_) => {
            turn.end_pauses();
            turn.tell_what_is_due();
        }
        Entry::OperatorAct(OperatorAct { act: Act::Resume { model }, .. }) => {
            let paused = turn.state.subjects_of(model).filter(|(_, known)| known.paused);
            let paused: Vec<_> = paused.map(|(subject, _)| subject.clone()).collect();
            turn.resume(&paused);
        }
        _ => {}
    }
    turn.output
}

/// Puts something else in force without an entry that says so: what is tried out.
pub fn try_out(state: &mut State, prepared: Prepared, ask: &mut dyn Ask) -> Output {
    let before = Arc::clone(&state.configuration);
    let findings = put_in_force(state, prepared);
    let mut turn = Turn::new(state, ask);
    turn.found(&findings);
    turn.ask_where_more_may_be_done(&before);
    turn.output
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
    /// Where the stage of a model rose, policies are asked again about what is open.
    fn ask_where_more_may_be_done(&mut self, before: &Arc<Configuration>) {
        let after = Arc::clone(&self.state.configuration);
        if !Arc::ptr_eq(before, &after) {
            self.ask_again(|subject| {
                let model = subject.model_key();
                after.stage(&model) > before.stage(&model)
            });
        }
    }

    /// Records findings and puts them to the policies, those of one subject together.
    fn found(&mut self, findings: &[Finding]) {
        self.output.findings.extend(findings.iter().cloned());
        let mut rest = findings;
        while let Some(first) = rest.first() {
            let (same, others) =
                rest.split_at(rest.partition_point(|finding| finding.subject <= first.subject));
            let put = fold::put_to_policies(same);
            if !put.is_empty() {
                self.decide(&first.subject, put);
            }
            rest = others;
        }
    }
}
