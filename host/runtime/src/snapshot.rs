//! What everybody who asks sees: the state at one position with the kill switches that are on disk and not folded yet.
//! Immutable and replaced as a whole, so that no question waits for the fold, and the fold for no question.

use std::sync::{Arc, PoisonError, RwLock};

use trimtab_api::MayTrade;
use trimtab_core::fold::{KillNote, ModelState, State};
use trimtab_types::{ModelKey, Position, ReleaseStage, Severity};

/// What was known at one moment.
#[derive(Debug, Default)]
pub struct Snapshot {
    state: Arc<State>,
    /// Acknowledged after the state's position, oldest first.
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

/// Where the newest snapshot is. State and pending switches are replaced together: read apart, a switch could be missed in
/// between.
#[derive(Debug, Default)]
pub(crate) struct Board(RwLock<Arc<Snapshot>>);

impl Board {
    /// The newest snapshot. Nobody holds the lock longer than it takes to copy a pointer.
    pub(crate) fn newest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The fold has come so far.
    pub(crate) fn folded(&self, state: State) {
        let state = Arc::new(state);
        let mut newest = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut pending = newest.pending.clone();
        pending.retain(|switch| switch.position > state.position);
        *newest = Arc::new(Snapshot { state, pending });
    }

    /// A switch is on disk.
    pub(crate) fn switched(&self, switch: Switch) {
        let mut newest = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if switch.position > newest.state.position {
            let pending = newest.pending.iter().cloned().chain([switch]).collect();
            *newest = Arc::new(Snapshot { state: Arc::clone(&newest.state), pending });
        }
    }
}

impl Snapshot {
    /// The state, as of its position.
    pub fn state(&self) -> &State {
        &self.state
    }

    /// "May I trade, and how much?" No for what nobody has heard of.
    pub fn may_trade(&self, key: &ModelKey) -> MayTrade {
        let mut everything = self.state.killed.as_ref().map(said);
        let mut terms = self.state.models.get(key).and_then(Terms::of);
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
                        terms.stopped = None;
                    }
                }
            }
        }
        let mut answer = answer(key, everything, terms);
        if answer.allowed {
            answer.reasons.extend(self.ignored(key));
        }
        answer
    }

    /// A critical finding of which nothing follows at the model's stage.
    fn ignored(&self, key: &ModelKey) -> Option<String> {
        let stage = self.state.configuration.stage(key);
        if stage >= ReleaseStage::Protect {
            return None;
        }
        let mut open = self.state.subjects_of(key).flat_map(|(_, known)| known.open_findings());
        let (_, finding) = open.find(|(_, finding)| finding.severity == Severity::Critical)?;
        Some(format!(
            "{} on {} of {} is critical; at the stage `{}` nobody but a person stops trading",
            finding.detector,
            finding.quantity,
            finding.subject,
            stage.name()
        ))
    }
}

impl Terms {
    /// A model is known from its first prediction on; it may be stopped before.
    fn of(model: &ModelState) -> Option<Self> {
        let stopped = model.killed_by_operator.as_ref().or(model.killed_by_policy.as_ref()).map(said);
        (model.predictions > 0 || stopped.is_some()).then_some(Self {
            stopped,
            exposure: model.exposure.share(),
            minimum_confidence: model.minimum_confidence,
        })
    }
}

fn said(note: &KillNote) -> String {
    format!("{}: {}", note.by, note.reason)
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
            (known.predictions, known.exposure) = (5, known.exposure.reduced("ladder", exposure));
            state.models.insert(key("btc"), known);
            let board = Board::default();
            board.folded(state);
            for (position, model, on) in switches {
                let model = model.map(key);
                board.switched(Switch {
                    position: Position(*position),
                    model,
                    on: *on,
                    note: "ada: test".into(),
                });
            }
            let answer = board.newest().may_trade(&key("btc"));
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
        check(0.5, &[(11, Some("btc"), true), (12, Some("btc"), false)], "yes 0.5");
        check(1.0, &[(11, None, true), (12, Some("btc"), false)], "trading is stopped on all models");
        check(1.0, &[(9, Some("btc"), true)], "yes 1"); // the fold knows better
    }

    #[test]
    fn what_nobody_has_heard_of_is_not_traded() {
        let board = Board::default();
        assert!(!board.newest().may_trade(&key("btc")).allowed);
        board.switched(Switch {
            position: Position(1),
            model: Some(key("btc")),
            on: false,
            note: String::new(),
        });
        assert!(
            !board.newest().may_trade(&key("btc")).allowed,
            "to lift what was never set makes no model known"
        );
    }
}
