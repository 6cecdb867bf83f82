//! "May I trade, and how much?": what the fold knows, with the kill switches that are on disk and not folded yet. One
//! cheap look-up; nothing is changed here.

use std::collections::BTreeMap;

use trimtab_api::MayTrade;
use trimtab_core::fold::{KillNote, State};
use trimtab_types::{ModelKey, Position};

/// What the answers are made of. View and switches belong together: read apart, a switch could be missed in between.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    /// What was folded up to this position.
    position: Position,
    everything: Option<String>,
    models: BTreeMap<ModelKey, Terms>,
    /// Acknowledged after that position, oldest first.
    pending: Vec<Switch>,
}

/// On which terms a model may be traded.
#[derive(Debug, Clone, PartialEq)]
struct Terms {
    /// Who stopped it, and why.
    stopped: Option<String>,
    exposure: f64,
    minimum_confidence: Option<f64>,
}

/// A kill switch that was acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Switch {
    pub(crate) position: Position,
    /// `None`: all models of all tenants.
    pub(crate) model: Option<ModelKey>,
    pub(crate) on: bool,
    /// Who, and why.
    pub(crate) note: String,
}

impl Desk {
    /// As of a state, with nothing pending.
    pub(crate) fn of(state: &State) -> Self {
        let mut desk = Self::default();
        desk.folded(state);
        desk
    }

    /// The fold has come so far.
    pub(crate) fn folded(&mut self, state: &State) {
        let note = |note: &KillNote| format!("{}: {}", note.by, note.reason);
        self.position = state.position;
        self.everything = state.killed.as_ref().map(note);
        self.models = state
            .models
            .iter()
            .filter_map(|(key, model)| {
                let stopped = model.killed_by_operator.as_ref().or(model.killed_by_policy.as_ref()).map(note);
                // A model is known from its first prediction on; it may be stopped before.
                (model.predictions > 0 || stopped.is_some()).then(|| {
                    let terms = Terms {
                        stopped,
                        exposure: model.exposure,
                        minimum_confidence: model.minimum_confidence,
                    };
                    (key.clone(), terms)
                })
            })
            .collect();
        self.pending.retain(|switch| switch.position > state.position);
    }

    /// A switch is on disk.
    pub(crate) fn switched(&mut self, switch: Switch) {
        if switch.position > self.position {
            self.pending.push(switch);
        }
    }

    /// The answer. No for what nobody has heard of.
    pub(crate) fn may_trade(&self, key: &ModelKey) -> MayTrade {
        let (mut everything, mut terms) = (self.everything.clone(), self.models.get(key).cloned());
        for switch in &self.pending {
            match &switch.model {
                None => everything = switch.on.then(|| switch.note.clone()),
                Some(model) if model != key => {}
                Some(_) if switch.on => {
                    let unknown = Terms { stopped: None, exposure: 1.0, minimum_confidence: None };
                    terms.get_or_insert(unknown).stopped = Some(switch.note.clone());
                }
                // To lift what was never set makes no model known.
                Some(_) => {
                    if let Some(terms) = &mut terms {
                        (terms.stopped, terms.exposure) = (None, 1.0);
                    }
                }
            }
        }
        answer(key, everything, terms)
    }
}

fn answer(key: &ModelKey, everything: Option<String>, terms: Option<Terms>) -> MayTrade {
    let mut reasons = Vec::new();
    if let Some(note) = &everything {
        reasons.push(format!("trading is stopped on all models ({note})"));
    }
    match &terms {
        None => reasons.push("no prediction of this model was ever recorded".to_owned()),
        Some(Terms { stopped: Some(note), .. }) => {
            reasons.push(format!("trading is stopped on this model ({note})"));
        }
        Some(_) => {}
    }
    let exposure = terms.as_ref().map_or(0.0, |terms| terms.exposure);
    let allowed = reasons.is_empty() && exposure > 0.0;
    if terms.is_some() && exposure < 1.0 {
        reasons.push(format!("exposure is reduced to {exposure}"));
    }
    MayTrade {
        tenant: key.tenant.clone(),
        model: key.model.clone(),
        allowed,
        exposure: if allowed { exposure } else { 0.0 },
        minimum_confidence: terms.and_then(|terms| terms.minimum_confidence),
        reasons,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use trimtab_core::fold::ModelState;

    fn key(model: &str) -> ModelKey {
        ModelKey { tenant: "t".into(), model: model.into() }
    }

    #[test]
    fn a_switch_holds_from_its_acknowledgement_on() {
        /// Switches as (position, model or all, on), then the answer about `btc`. The fold is at position 10.
        fn check(exposure: f64, switches: &[(u64, Option<&str>, bool)], expected: &str) {
            let mut state = State::default();
            state.position = Position(10);
            let mut known = ModelState::default();
            (known.predictions, known.exposure) = (5, exposure);
            state.models.insert(key("btc"), known);
            let mut desk = Desk::of(&state);
            for (position, model, on) in switches {
                let model = model.map(key);
                desk.switched(Switch {
                    position: Position(*position),
                    model,
                    on: *on,
                    note: "ada: test".into(),
                });
            }
            let answer = desk.may_trade(&key("btc"));
            let said =
                if answer.allowed { format!("yes {}", answer.exposure) } else { answer.reasons.join("; ") };
            assert!(said.starts_with(expected), "{switches:?}: {said}");
        }
        check(1.0, &[], "yes 1");
        check(0.5, &[], "yes 0.5");
        check(0.0, &[], "exposure is reduced to 0");
        check(1.0, &[(11, Some("btc"), true)], "trading is stopped on this model (ada: test)");
        check(1.0, &[(11, None, true)], "trading is stopped on all models (ada: test)");
        check(1.0, &[(11, Some("eth"), true)], "yes 1");
        check(0.5, &[(11, Some("btc"), true), (12, Some("btc"), false)], "yes 1");
        check(1.0, &[(11, None, true), (12, Some("btc"), false)], "trading is stopped on all models");
        check(1.0, &[(9, Some("btc"), true)], "yes 1"); // the fold knows better
    }

    #[test]
    fn what_nobody_has_heard_of_is_not_traded() {
        let mut desk = Desk::default();
        assert!(!desk.may_trade(&key("btc")).allowed);
        desk.switched(Switch {
            position: Position(1),
            model: Some(key("btc")),
            on: false,
            note: String::new(),
        });
        assert!(!desk.may_trade(&key("btc")).allowed, "to lift what was never set makes no model known");
    }
}
