//! What everybody who asks sees: the state of each log at one position, what is in force, and the kill switches that are on
//! disk and not folded yet. Immutable and replaced as a whole, so that no question waits for the fold, and the fold for no
//! question. Of the logs only those that changed are copied.

use std::sync::{Arc, PoisonError, RwLock};

use trimtab_api::MayTrade;
use trimtab_core::fold::{Diary, KillNote, ModelState, State, SubjectState};
use trimtab_replay::Standing;
use trimtab_types::{ModelKey, Place, ReleaseStage, Severity, Shard, Subject, Timestamp};

/// What was known at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    logs: Vec<Option<Arc<State>>>,
    standing: Arc<Standing>,
    /// Acknowledged and not folded yet, oldest first.
    pending: Vec<Switch>,
    /// Logs with something folded that is not restored yet.
    restoring: Vec<Shard>,
}

impl Default for Snapshot {
    fn default() -> Self {
        Self {
            logs: vec![None; Shard::COUNT],
            standing: Arc::default(),
            pending: Vec::new(),
            restoring: Vec::new(),
        }
    }
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
    pub(crate) of: Of,
    pub(crate) on: bool,
    /// Who, and why.
    pub(crate) note: String,
}

/// What a switch stops, and where it is recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Of {
    /// All models of all tenants; by control entry.
    Everything(u64),
    /// One model.
    Model(ModelKey, Place),
}

/// Where the newest snapshot is. States and pending switches are replaced together: read apart, a switch could be missed in
/// between.
#[derive(Debug, Default)]
pub(crate) struct Board(RwLock<Arc<Snapshot>>);

impl Board {
    /// Of a host that begins, and has to restore these logs.
    pub(crate) fn restoring(restoring: Vec<Shard>) -> Self {
        Self(RwLock::new(Arc::new(Snapshot { restoring, ..Snapshot::default() })))
    }

    /// The newest snapshot. Nobody holds the lock longer than it takes to copy a pointer.
    pub(crate) fn newest(&self) -> Arc<Snapshot> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// These logs have come so far, and this is in force.
    pub(crate) fn folded(&self, changed: Vec<(Shard, State)>, standing: &Standing) {
        let mut newest = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = Snapshot::clone(&newest);
        for (shard, state) in changed {
            next.logs[shard.index()] = Some(Arc::new(state));
            next.restoring.retain(|waits| *waits != shard);
        }
        if next.standing.number != standing.number {
            next.standing = Arc::new(standing.clone());
        }
        let mut pending = std::mem::take(&mut next.pending);
        pending.retain(|switch| !next.has_folded(&switch.of));
        next.pending = pending;
        *newest = Arc::new(next);
    }

    /// A switch is on disk.
    pub(crate) fn switched(&self, switch: Switch) {
        let mut newest = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !newest.has_folded(&switch.of) {
            let mut next = Snapshot::clone(&newest);
            next.pending.push(switch);
            *newest = Arc::new(next);
        }
    }
}

impl Snapshot {
    fn has_folded(&self, of: &Of) -> bool {
        match of {
            Of::Everything(number) => self.standing.number >= *number,
            Of::Model(_, place) => {
                let log = self.logs[place.shard.index()].as_ref();
                log.is_some_and(|state| state.position >= place.position)
            }
        }
    }

    /// What is in force.
    pub fn standing(&self) -> &Standing {
        &self.standing
    }

    /// The state of each log that is awake.
    pub fn states(&self) -> impl Iterator<Item = &State> {
        self.logs.iter().flatten().map(AsRef::as_ref)
    }

    /// The state of the log that has a model's entries.
    pub fn log_of(&self, model: &ModelKey) -> Option<&State> {
        self.logs[model.shard().index()].as_deref()
    }

    /// What is known of a model.
    pub fn model(&self, key: &ModelKey) -> Option<&ModelState> {
        self.log_of(key)?.models.get(key)
    }

    /// What is known of a subject.
    pub fn subject(&self, subject: &Subject) -> Option<&SubjectState> {
        self.log_of(&subject.model_key())?.subjects.get(subject).map(AsRef::as_ref)
    }

    /// What is remembered of a subject's findings.
    pub fn diary(&self, subject: &Subject) -> Option<&Diary> {
        self.log_of(&subject.model_key())?.diaries.get(subject).map(AsRef::as_ref)
    }

    /// All subjects, by name.
    pub fn subjects(&self) -> Vec<(&Subject, &SubjectState)> {
        let mut all: Vec<_> = self.all_subjects().collect();
        all.sort_by_key(|(subject, _)| *subject);
        all
    }

    /// All subjects, in no order.
    pub fn all_subjects(&self) -> impl Iterator<Item = (&Subject, &SubjectState)> {
        self.states()
            .flat_map(|state| state.subjects.iter().map(|(subject, known)| (subject, known.as_ref())))
    }

    /// All models, by name.
    pub fn models(&self) -> Vec<(&ModelKey, &ModelState)> {
        let mut all: Vec<_> = self.states().flat_map(|state| &state.models).collect();
        all.sort_by_key(|(model, _)| *model);
        all
    }

    /// The newest time that any log knows.
    pub fn newest(&self) -> Timestamp {
        self.states().map(State::newest).fold(Timestamp::MIN, Timestamp::max)
    }

    /// "May I trade, and how much?" No for what nobody has heard of.
    pub fn may_trade(&self, key: &ModelKey) -> MayTrade {
        let mut everything = self.standing.killed.as_ref().map(said);
        let mut terms = self.log_of(key).and_then(|state| state.models.get(key)).and_then(Terms::of);
        for switch in &self.pending {
            match &switch.of {
                Of::Everything(_) => everything = switch.on.then(|| switch.note.clone()),
                Of::Model(model, _) if model != key => {}
                Of::Model(..) if switch.on => {
                    let unknown = Terms { stopped: None, exposure: 1.0, minimum_confidence: None };
                    terms.get_or_insert(unknown).stopped = Some(switch.note.clone());
                }
                // To lift what was never set makes no model known.
                Of::Model(..) => {
                    if let Some(terms) = &mut terms {
                        terms.stopped = None;
                    }
                }
            }
        }
        // A switch on the model itself is known once the model is.
        if self.is_restoring(key) {
            return not_yet(key, everything);
        }
        let mut answer = answer(key, everything, terms);
        if answer.allowed {
            answer.reasons.extend(self.ignored(key));
        }
        answer
    }

    /// Whether nothing is known of a model yet, because the host is starting.
    pub fn is_restoring(&self, key: &ModelKey) -> bool {
        self.restoring.contains(&key.shard())
    }

    /// Models that are stopped by themselves, whatever is said of all.
    pub fn stopped_by_themselves(&self) -> Vec<String> {
        let stopped =
            |known: &ModelState| known.killed_by_operator.is_some() || known.killed_by_policy.is_some();
        let all = self.models().into_iter().filter(|(_, known)| stopped(known));
        all.map(|(model, _)| model.to_string()).collect()
    }

    /// A critical finding of which nothing follows at the model's stage.
    fn ignored(&self, key: &ModelKey) -> Option<String> {
        let stage = self.standing.configuration.stage(key);
        if stage >= ReleaseStage::Protect {
            return None;
        }
        let mut open = self.log_of(key)?.subjects_of(key).flat_map(|(_, known)| known.open_findings());
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

/// What a host says of a model whose terms it has not restored yet: nobody trades on a guess.
fn not_yet(key: &ModelKey, everything: Option<String>) -> MayTrade {
    let mut said =
        answer(key, everything, Some(Terms { stopped: None, exposure: 0.0, minimum_confidence: None }));
    said.reasons.retain(|reason| !reason.starts_with("exposure"));
    said.reasons
        .push("the host is starting and has not restored this model yet; ask again in a moment".to_owned());
    said
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
    use trimtab_types::Position;

    use super::*;

    fn key(model: &str) -> ModelKey {
        ModelKey { tenant: "t".into(), model: model.into() }
    }

    fn switch(number: u64, model: Option<&str>, on: bool) -> Switch {
        let of = match model.map(key) {
            None => Of::Everything(number),
            Some(key) => {
                let place = Place { shard: key.shard(), position: Position(number) };
                Of::Model(key, place)
            }
        };
        Switch { of, on, note: "ada: test".into() }
    }

    #[test]
    fn a_switch_holds_from_its_acknowledgement_on() {
        /// Switches as (position or control entry, model or all, on), then the answer about `btc`. Its log is folded up to
        /// position 10, and control entries up to 10.
        fn check(exposure: f64, switches: &[(u64, Option<&str>, bool)], expected: &str) {
            let mut state = State::default();
            state.position = Position(10);
            let mut known = ModelState::default();
            (known.predictions, known.exposure) = (5, known.exposure.reduced("ladder", exposure));
            state.models.insert(key("btc"), known);
            let board = Board::default();
            board.folded(vec![(key("btc").shard(), state)], &Standing { number: 10, ..Standing::default() });
            for (number, model, on) in switches {
                board.switched(switch(*number, *model, *on));
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
        check(1.0, &[(9, Some("btc"), true), (9, None, true)], "yes 1"); // the fold knows better
    }

    #[test]
    fn what_nobody_has_heard_of_is_not_traded() {
        let board = Board::default();
        assert!(!board.newest().may_trade(&key("btc")).allowed);
        board.switched(switch(1, Some("btc"), false));
        assert!(
            !board.newest().may_trade(&key("btc")).allowed,
            "to lift what was never set makes no model known"
        );
    }

    #[test]
    fn nobody_trades_on_what_is_not_restored_yet() {
        let (btc, eth) = (key("btc"), key("eth"));
        assert_ne!(btc.shard(), eth.shard());
        let board = Board::restoring(vec![btc.shard(), eth.shard()]);
        let state = |key: &ModelKey| {
            let (mut state, mut known) = (State::default(), ModelState::default());
            known.predictions = 5;
            state.models.insert(key.clone(), known);
            state
        };
        let said = |key: &ModelKey| {
            let answer = board.newest().may_trade(key);
            (answer.allowed, answer.reasons.join("; "))
        };
        assert!(said(&btc).1.contains("has not restored this model yet"), "{:?}", said(&btc));
        board.folded(vec![(btc.shard(), state(&btc))], &Standing::default());
        assert_eq!(said(&btc), (true, String::new()));
        assert!(!said(&eth).0);
        board.switched(switch(1, None, true));
        assert!(said(&eth).1.starts_with("trading is stopped on all models"), "{:?}", said(&eth));
    }
}
