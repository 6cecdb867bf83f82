//! What is done about versions: registered, promoted, gone back from, put aside, marked, pinned, brought back.

use trimtab_types::{
    ErrorKind, Move, ProposalState, Proposed, Refusal, Registration, Stage, Timestamp, VersionAct,
    VersionChange,
};

use super::{
    Done, no,
    registry::{Registry, Reign, Version},
    table::{Event, cell},
    trials::Outcome,
};

/// Versions of a model that are remembered at most, the deleted ones too: their names are not used again.
const MOST_VERSIONS: usize = 50_000;

/// What becomes of a champion that leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leaves {
    Archived,
    Degraded,
}

impl Registry {
    pub(super) fn change_version(&mut self, change: &VersionChange, now: Timestamp) -> Result<Done, Refusal> {
        let version = change.version.as_str();
        match &change.act {
            VersionAct::Register(registration) => self.register(version, registration, now),
            VersionAct::Promote { again } => self.promote(version, *again, now),
            VersionAct::Rollback => self.roll_back(version, now),
            VersionAct::Archive => self.move_to(version, Event::Archive, "is archived"),
            VersionAct::MarkDegraded => self.mark_degraded(version, now),
            VersionAct::ClearDegraded => self.clear_degraded(version),
            VersionAct::Pin => self.pin(version, true),
            VersionAct::Unpin => self.pin(version, false),
            VersionAct::Restore => self.restore(version),
            VersionAct::Purged { freed_bytes } => self.purged(version, *freed_bytes),
        }
    }

    pub(super) fn register(
        &mut self,
        name: &str,
        given: &Registration,
        now: Timestamp,
    ) -> Result<Done, Refusal> {
        if let Some(known) = self.versions.get(name) {
            return match known {
                known if known.purged => no(
                    ErrorKind::Gone,
                    format!("`{name}` was deleted, and its name is not used again; take another"),
                ),
                known if known.registration == *given => {
                    Ok(Done::unchanged(format!("`{name}` is registered so already")))
                }
                _ => no(
                    ErrorKind::Conflict,
                    format!(
                        "`{name}` is registered with other content; a version never changes: give the new one a name of its own"
                    ),
                ),
            };
        }
        if self.versions.len() >= MOST_VERSIONS {
            return no(
                ErrorKind::Occupied,
                format!(
                    "{MOST_VERSIONS} versions are registered already, which is the most; a model name of its own helps"
                ),
            );
        }
        if given.champion
            && let Some(champion) = self.champion()
        {
            return no(
                ErrorKind::Occupied,
                format!("`{champion}` serves; register without `--champion` and promote it then"),
            );
        }
        let number = self.versions.values().map(|known| known.number + 1).max().unwrap_or(1);
        let version = Version {
            stage: Stage::Candidate,
            marked: false,
            pinned: false,
            registered: now,
            number,
            registration: given.clone(),
            deleted: None,
            purged: false,
        };
        self.versions.insert(name.to_owned(), version);
        if given.champion {
            let to = Stage::Production;
            self.reign(name, Leaves::Archived, now);
            let moves = vec![Move { version: name.to_owned(), from: None, to }];
            return Ok(Done::of(moves, format!("`{name}` is registered and serves")));
        }
        let to = Stage::Candidate;
        let moves = vec![Move { version: name.to_owned(), from: None, to }];
        Ok(Done::of(moves, format!("`{name}` is registered as a candidate")))
    }

    /// A version that is there.
    pub(super) fn known(&self, name: &str) -> Result<&Version, Refusal> {
        match self.versions.get(name) {
            Some(known) if known.purged => no(ErrorKind::Gone, format!("`{name}` was deleted for good")),
            Some(known) => Ok(known),
            None => no(
                ErrorKind::NotFound,
                format!("there is no version `{name}`; `trimtab model list` shows those that are registered"),
            ),
        }
    }

    /// The stage to which an event leads a version.
    pub(super) fn led(&self, name: &str, event: Event) -> Result<(Stage, Stage), Refusal> {
        let from = self.known(name)?.stage;
        match cell(from, event) {
            Ok(to) => Ok((from, to)),
            Err(kind) => no(kind, format!("`{name}` is {from}: {}", way_out(from, event))),
        }
    }

    pub(super) fn set_stage(&mut self, name: &str, to: Stage) -> Option<Move> {
        let known = self.versions.get_mut(name)?;
        let from = std::mem::replace(&mut known.stage, to);
        (from != to).then(|| Move { version: name.to_owned(), from: Some(from), to })
    }

    fn move_to(&mut self, name: &str, event: Event, says: &str) -> Result<Done, Refusal> {
        let (from, to) = self.led(name, event)?;
        if from == to {
            return Ok(Done::unchanged(format!("`{name}` {says} already")));
        }
        Ok(Done::of(self.set_stage(name, to).into_iter().collect(), format!("`{name}` {says}")))
    }

    /// A version serves from here on.
    pub(super) fn promote(&mut self, name: &str, again: bool, now: Timestamp) -> Result<Done, Refusal> {
        let (from, _) = self.led(name, Event::Promote)?;
        if from == Stage::Production {
            return Ok(Done::unchanged(format!("`{name}` serves already")));
        }
        self.unless_degraded(name, again)?;
        let moves = self.reign(name, Leaves::Archived, now);
        Ok(Done::of(moves, format!("`{name}` serves since {}", now.for_people())))
    }

    pub(super) fn unless_degraded(&self, name: &str, again: bool) -> Result<(), Refusal> {
        if self.known(name)?.stage == Stage::Degraded && !again {
            return no(
                ErrorKind::WrongStage,
                format!(
                    "`{name}` is marked degraded; say `--again` with a reason, or take the mark away first"
                ),
            );
        }
        Ok(())
    }

    /// Back to the previous champion, or to a version. What is left is degraded, so that nothing goes back to it.
    pub(super) fn roll_back(&mut self, to: &str, now: Timestamp) -> Result<Done, Refusal> {
        let Some(left) = self.champion().map(str::to_owned) else {
            return no(ErrorKind::NoPrevious, "nothing serves, so there is nothing to go back from");
        };
        let to = match (to.is_empty(), self.previous()) {
            (false, _) => to.to_owned(),
            (true, Some(previous)) => previous.to_owned(),
            (true, None) => {
                let problem = "no version that served before is left that is neither degraded nor deleted; promote one by its name";
                return no(ErrorKind::NoPrevious, problem);
            }
        };
        let (from, _) = self.led(&to, Event::RollBackTo)?;
        if from == Stage::Production {
            return Ok(Done::unchanged(format!("`{to}` serves already")));
        }
        self.unless_degraded(&to, false)?;
        let moves = self.reign(&to, Leaves::Degraded, now);
        Ok(Done::of(moves, format!("`{to}` serves again since {}; `{left}` is degraded", now.for_people())))
    }

    /// Somebody else serves. Experiments end, and what was proposed about versions is stale.
    fn reign(&mut self, name: &str, leaves: Leaves, now: Timestamp) -> Vec<Move> {
        let mut moves = Vec::new();
        if let Some(old) = self.champion().map(str::to_owned) {
            let marked = self.versions.get(&old).is_some_and(|known| known.marked);
            let to = if marked || leaves == Leaves::Degraded { Stage::Degraded } else { Stage::Archived };
            moves.extend(self.set_stage(&old, to));
            if let Some(known) = self.versions.get_mut(&old) {
                known.marked = false;
            }
        }
        let tried: Vec<String> = self.trials.keys().cloned().collect();
        for challenger in tried {
            if challenger == name {
                self.end_trial(&challenger, Outcome::Promoted, "it serves", now);
            } else {
                let why = format!("`{name}` serves now");
                moves.extend(self.stop_trial(&challenger, Outcome::Stopped, &why, now));
            }
        }
        moves.extend(self.set_stage(name, Stage::Production));
        self.reigns.push(Reign { version: name.to_owned(), from: now, revision: self.revision + 1 });
        self.outdate(&format!("`{name}` serves now"), |what| !matches!(what, Proposed::Cleanup { .. }));
        moves
    }

    /// What was proposed about something that is no more is stale.
    pub(super) fn outdate(&mut self, why: &str, about: impl Fn(&Proposed) -> bool) {
        let open = self.proposals.iter_mut().filter(|proposal| proposal.state == ProposalState::Open);
        for proposal in open.filter(|proposal| about(&proposal.what)) {
            proposal.state = ProposalState::Stale { why: why.to_owned() };
        }
    }

    pub(crate) fn mark_degraded(&mut self, name: &str, now: Timestamp) -> Result<Done, Refusal> {
        let (from, to) = self.led(name, Event::MarkDegraded)?;
        if from == Stage::Production {
            let marked = self.versions.get_mut(name).map(|known| std::mem::replace(&mut known.marked, true));
            return Ok(match marked {
                Some(true) => Done::unchanged(format!("`{name}` is marked degraded already")),
                _ => Done::of(Vec::new(), format!("`{name}` serves on and is marked degraded")),
            });
        }
        if from == to {
            return Ok(Done::unchanged(format!("`{name}` is degraded already")));
        }
        self.end_trial(name, Outcome::Stopped, "it is degraded", now);
        Ok(Done::of(self.set_stage(name, to).into_iter().collect(), format!("`{name}` is degraded")))
    }

    fn clear_degraded(&mut self, name: &str) -> Result<Done, Refusal> {
        let known = self.known(name)?;
        if known.stage == Stage::Degraded {
            let moved = self.set_stage(name, Stage::Archived);
            return Ok(Done::of(
                moved.into_iter().collect(),
                format!("`{name}` is archived, and no longer degraded"),
            ));
        }
        if !known.marked {
            return Ok(Done::unchanged(format!("`{name}` is not marked degraded")));
        }
        if let Some(known) = self.versions.get_mut(name) {
            known.marked = false;
        }
        Ok(Done::of(Vec::new(), format!("`{name}` serves, and is no longer marked")))
    }

    fn pin(&mut self, name: &str, pinned: bool) -> Result<Done, Refusal> {
        let known = self.known(name)?;
        if known.stage == Stage::Deleted {
            return no(ErrorKind::WrongStage, format!("`{name}` is deleted; restore it first"));
        }
        let says = if pinned { "is pinned: nothing deletes it" } else { "is not pinned: it may be deleted" };
        if known.pinned == pinned {
            return Ok(Done::unchanged(format!("`{name}` {says}")));
        }
        if let Some(known) = self.versions.get_mut(name) {
            known.pinned = pinned;
        }
        if pinned {
            self.outdate(&format!("`{name}` is pinned"), |what| match what {
                Proposed::Cleanup { plan } => {
                    plan.iter().any(|line| line.version == name && line.fate == trimtab_types::Fate::Delete)
                }
                _ => false,
            });
        }
        Ok(Done::of(Vec::new(), format!("`{name}` {says}")))
    }

    fn restore(&mut self, name: &str) -> Result<Done, Refusal> {
        self.led(name, Event::Restore)?;
        let before = self
            .versions
            .get(name)
            .and_then(|known| known.deleted)
            .map_or(Stage::Archived, |(_, stage)| stage);
        if let Some(known) = self.versions.get_mut(name) {
            known.deleted = None;
        }
        let moved = self.set_stage(name, before);
        Ok(Done::of(moved.into_iter().collect(), format!("`{name}` is {before} again")))
    }

    /// The files of a deleted version are gone.
    fn purged(&mut self, name: &str, freed_bytes: u64) -> Result<Done, Refusal> {
        if self.known(name)?.stage != Stage::Deleted {
            return no(ErrorKind::WrongStage, format!("`{name}` is not deleted"));
        }
        let size = self.versions.get_mut(name).map_or(0, |known| {
            known.purged = true;
            known.registration.artifact.as_ref().map_or(0, |artifact| artifact.size_bytes)
        });
        let says = format!("the files of `{name}` are gone: {freed_bytes} bytes freed, {size} predicted");
        Ok(Done::of(Vec::new(), says))
    }

    /// A version is deleted: its files may go once the grace is over.
    pub(super) fn delete(&mut self, name: &str, now: Timestamp) -> Result<Option<Move>, Refusal> {
        let protections = self.protections(name);
        if !protections.is_empty() {
            return no(ErrorKind::Protected, format!("`{name}` is protected: {}", names(&protections)));
        }
        let (from, to) = self.led(name, Event::Delete)?;
        if let Some(known) = self.versions.get_mut(name).filter(|_| from != to) {
            known.deleted = Some((now, from));
        }
        Ok(self.set_stage(name, to))
    }
}

/// Protections, as people read them.
pub(crate) fn names(protections: &[trimtab_types::Protection]) -> String {
    use trimtab_types::Protection as P;
    let name = |protection: &P| match protection {
        P::Champion => "it serves",
        P::Challenger => "it serves a share",
        P::PreviousChampion => "one would go back to it",
        P::Experiment => "it is tried, or waits for an answer",
        P::Pinned => "it is pinned",
    };
    protections.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// What somebody does who wants it nevertheless.
fn way_out(stage: Stage, event: Event) -> &'static str {
    match (stage, event) {
        (Stage::Deleted, _) => "restore it first",
        (_, Event::Restore) => "only what is deleted is restored",
        (Stage::Canary, Event::StartServing) => "it is tried already; end that experiment first",
        (Stage::Canary, Event::StartShadow) => "it serves a share already; end that experiment first",
        (Stage::Production, Event::StartShadow | Event::StartServing) => "it serves everything already",
        (_, Event::Fraction | Event::PauseOrResume) => "no experiment of that kind is under way with it",
        (_, Event::RollBackTo) => "one goes back only to what has served; promote it",
        (_, Event::Stop) => "no experiment is under way with it",
        (Stage::Shadow | Stage::Canary, _) => "end its experiment first",
        (Stage::Production, _) => "promote another version first",
        _ => "that is not possible now",
    }
}
