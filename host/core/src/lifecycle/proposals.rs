//! What waits for a person: made of what is proposed, so that the same again is the same, and bound to what was shown.

use trimtab_types::{
    Action, Approval, Digest, DigestBuilder, ErrorKind, Fate, ModelKey, PlanLine, PolicyRef, Proposal,
    ProposalState, Proposed, Refusal, Subject, Timestamp,
};

use super::{Done, Setting, no, registry::Registry, trials::Outcome};

/// Answered proposals that are remembered.
const MOST_ANSWERED: usize = 200;
/// What was refused is not proposed again for so long, in seconds.
const QUIET: u64 = 86_400;
const DAY: u64 = 86_400;

/// Whether something is a change that tightens because of a subject.
fn tightens(what: &Proposed, subject: &Subject) -> bool {
    matches!(what, Proposed::Change { subject: about, action, .. } if about == subject && action.tightens())
}

/// Whether an action is about a model as a whole, whichever of its segments led to it.
fn is_of_a_model(action: &Action) -> bool {
    matches!(
        action,
        Action::KillSwitchOn
            | Action::KillSwitchOff
            | Action::MinimumConfidence(_)
            | Action::ScheduleRetrain(_)
            | Action::MarkDegraded
    )
}

/// What comes of it that something is proposed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Put {
    /// It waits, under this id.
    New(String),
    /// It waits already.
    Waits(String),
    /// A person refused it a short while ago.
    Refused(String),
}

impl Registry {
    /// Puts something before a person. The same content waits once, and is not put again for a day after it was refused.
    pub(crate) fn propose(
        &mut self,
        model: &ModelKey,
        what: Proposed,
        (by, decision, reason): (Option<&PolicyRef>, &str, &str),
        now: Timestamp,
    ) -> Put {
        self.expire_proposals(now);
        let shown = self.digest(model, &what, by);
        let id = format!("p{}", shown.short());
        if let Some(known) = self.proposals.iter().rev().find(|known| known.shown == shown) {
            match &known.state {
                ProposalState::Open => return Put::Waits(id),
                ProposalState::Rejected { at, .. } if now.since(*at) < QUIET => return Put::Refused(id),
                _ => {}
            }
        }
        // A newer one on the same matter takes the place of the older.
        let same = |known: &Proposed| match (known, &what) {
            (Proposed::Cleanup { .. }, Proposed::Cleanup { .. })
            | (Proposed::Retrain { .. }, Proposed::Retrain { .. }) => true,
            (Proposed::Promote { version: a }, Proposed::Promote { version: b })
            | (Proposed::Fraction { version: a, .. }, Proposed::Fraction { version: b, .. }) => a == b,
            (Proposed::Act { version: a, action: x }, Proposed::Act { version: b, action: y }) => {
                a == b && x.name() == y.name()
            }
            (
                Proposed::Change { subject: a, action: x, .. },
                Proposed::Change { subject: b, action: y, .. },
            ) => a == b && x.name() == y.name(),
            _ => false,
        };
        self.outdate(&format!("proposal {id} takes its place"), same);
        let answered = self.proposals.iter().filter(|known| known.state != ProposalState::Open).count();
        if answered >= MOST_ANSWERED
            && let Some(oldest) = self.proposals.iter().position(|known| known.state != ProposalState::Open)
        {
            self.proposals.remove(oldest);
        }
        self.proposals.retain(|known| known.id != id);
        let days = if matches!(what, Proposed::Cleanup { .. }) { 7 } else { 3 };
        self.proposals.push(Proposal {
            id: id.clone(),
            shown,
            model: model.clone(),
            what,
            by: by.cloned(),
            decision: decision.to_owned(),
            reason: reason.to_owned(),
            revision: self.revision,
            opened: now,
            expires: now.plus(days * DAY),
            state: ProposalState::Open,
        });
        Put::New(id)
    }

    /// Of all that an answer depends on: what is proposed, by which version of a policy, and how the versions stand that it is
    /// about.
    fn digest(&self, model: &ModelKey, what: &Proposed, by: Option<&PolicyRef>) -> Digest {
        let mut builder = DigestBuilder::new("proposal")
            .part(model.tenant.as_bytes())
            .part(model.model.as_bytes())
            .part(self.champion().unwrap_or_default().as_bytes());
        if let Some(by) = by {
            builder = builder.part(by.name.as_bytes()).part(by.digest.as_bytes());
        }
        let about = |builder: DigestBuilder, version: &str| {
            let known = self.versions.get(version);
            let stage = known.map_or("unknown", |known| known.stage.name());
            let protections = super::versions::names(&self.protections_of_plan(version));
            builder.part(version.as_bytes()).part(stage.as_bytes()).part(protections.as_bytes())
        };
        match what {
            Proposed::Promote { version } => {
                let trial = self.trials.get(version).map(|trial| trial.id.clone()).unwrap_or_default();
                about(builder.part(b"promote").part(trial.as_bytes()), version)
            }
            Proposed::Fraction { version, fraction } => {
                about(builder.part(b"fraction").number(fraction.to_bits()), version)
            }
            Proposed::Act { version, action } => {
                about(builder.part(b"act").part(action.to_string().as_bytes()), version)
            }
            // Not of the finding that led to it: another one that leads to the same is the same.
            Proposed::Change { subject, action, .. } => {
                let segment = if is_of_a_model(action) { "" } else { &subject.segment };
                let parts = [&action.to_string(), &subject.version, segment];
                parts.iter().fold(builder.part(b"change"), |builder, part| builder.part(part.as_bytes()))
            }
            Proposed::Cleanup { plan } => {
                builder = builder.part(b"cleanup");
                for line in plan {
                    builder = about(builder, &line.version)
                        .part(line.fate.name().as_bytes())
                        .part(line.reason.as_bytes())
                        .number(line.size_bytes);
                }
                builder
            }
            // Made of why, and not of the numbers of a finding, which change with each row.
            Proposed::Retrain { cause } => builder
                .part(b"retrain")
                .part(cause.mode.name().as_bytes())
                .part(cause.by.as_bytes())
                .part(cause.segment.as_bytes()),
        }
        .finish()
    }

    /// Protections without the proposals themselves, of which each would change the other.
    fn protections_of_plan(&self, version: &str) -> Vec<trimtab_types::Protection> {
        let mut protections = self.protections(version);
        if !self.trials.contains_key(version) {
            protections.retain(|protection| *protection != trimtab_types::Protection::Experiment);
        }
        protections
    }

    /// A person answers.
    pub(super) fn answer(&mut self, answer: &Approval, setting: &Setting<'_>) -> Result<Done, Refusal> {
        let now = setting.now;
        let Some(place) = self.proposals.iter().rposition(|known| known.id == answer.proposal) else {
            return no(
                ErrorKind::NotFound,
                format!(
                    "there is no proposal `{}`; `trimtab proposals` lists those that wait",
                    answer.proposal
                ),
            );
        };
        let proposal = self.proposals[place].clone();
        self.may_answer(&proposal, answer, now)?;
        if !answer.approved {
            let state =
                ProposalState::Rejected { by: answer.actor.clone(), at: now, reason: answer.reason.clone() };
            if let Proposed::Promote { version } = &proposal.what
                && let Some(trial) = self.trials.get_mut(version)
            {
                trial.refused_at = Some(trial.looked_at);
            }
            self.proposals[place].state = state;
            return Ok(Done::of(
                Vec::new(),
                format!("proposal {} is rejected: {}", proposal.id, answer.reason),
            ));
        }
        // Closed first, so that what it does cannot make it stale.
        self.proposals[place].state = ProposalState::Approved { by: answer.actor.clone(), at: now };
        let done = self.carry_out(&proposal, &answer.only, setting);
        if done.is_err() {
            self.proposals[place].state = ProposalState::Open;
        }
        done
    }

    fn may_answer(&self, proposal: &Proposal, answer: &Approval, now: Timestamp) -> Result<(), Refusal> {
        let at = |at: Timestamp| at.for_people();
        match &proposal.state {
            ProposalState::Open => {}
            ProposalState::Approved { by, at: when } | ProposalState::Rejected { by, at: when, .. } => {
                let word = proposal.state.name();
                return no(ErrorKind::Answered, format!("{by} has {word} it at {}", at(*when)));
            }
            ProposalState::Expired => return no(ErrorKind::Stale, "it has expired; nobody answered in time"),
            ProposalState::Stale { why } => {
                return no(ErrorKind::Stale, format!("{why}; look at what waits now"));
            }
        }
        if now > proposal.expires {
            return no(ErrorKind::Stale, format!("it has expired at {}", at(proposal.expires)));
        }
        if answer.shown != proposal.shown {
            return no(
                ErrorKind::Stale,
                "the hash is not that of what waits now; show the proposal again, and answer what it says",
            );
        }
        let now_shown = self.digest(&proposal.model, &proposal.what, proposal.by.as_ref());
        if answer.approved && now_shown != proposal.shown {
            return no(
                ErrorKind::Stale,
                "the versions that it is about have changed since; it will be proposed anew",
            );
        }
        if !answer.approved && answer.reason.trim().is_empty() {
            return no(ErrorKind::Invalid, "say why it is rejected, with `--reason`");
        }
        Ok(())
    }

    fn carry_out(
        &mut self,
        proposal: &Proposal,
        only: &[String],
        setting: &Setting<'_>,
    ) -> Result<Done, Refusal> {
        let now = setting.now;
        match &proposal.what {
            Proposed::Promote { version } => self.promote(version, false, now),
            Proposed::Fraction { version, fraction } => self.share_out(version, *fraction),
            Proposed::Act { version, action } => match action {
                Action::Rollback => self.roll_back("", now),
                Action::RollbackTo(to) => self.roll_back(to, now),
                Action::StopCanary => {
                    let moves = self.stop_trial(
                        version,
                        Outcome::Stopped,
                        "a policy proposed it, and a person approved",
                        now,
                    );
                    Ok(Done::of(moves, format!("the experiment with `{version}` is over")))
                }
                Action::MarkDegraded => self.mark_degraded(version, now),
                other => no(ErrorKind::Refused, format!("{other} cannot be approved")),
            },
            // The ledger is another's; here it is only said that it may be.
            Proposed::Change { subject, action, .. } => {
                Ok(Done::of(Vec::new(), format!("{action} ({subject})")))
            }
            Proposed::Cleanup { plan } => self.clean_up(plan, only, now),
            Proposed::Retrain { cause } => self.begin_run(&proposal.model, cause.clone(), now, setting),
        }
    }

    fn clean_up(&mut self, plan: &[PlanLine], only: &[String], now: Timestamp) -> Result<Done, Refusal> {
        let planned = |name: &str| plan.iter().any(|line| line.version == name && line.fate == Fate::Delete);
        if let Some(other) = only.iter().find(|name| !planned(name)) {
            return no(
                ErrorKind::NotInPlan,
                format!("the plan does not say that `{other}` goes; nothing was done"),
            );
        }
        let (mut moves, mut skipped, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
        for line in plan.iter().filter(|line| line.fate == Fate::Delete) {
            if !only.is_empty() && !only.contains(&line.version) {
                continue;
            }
            // Each by itself: one that has become protected is skipped and named.
            match self.delete(&line.version, now) {
                Ok(moved) => {
                    bytes = bytes.saturating_add(if moved.is_some() { line.size_bytes } else { 0 });
                    moves.extend(moved);
                }
                Err(refusal) => skipped.push(refusal.problem),
            }
        }
        let mut says = format!("{} deleted, {bytes} bytes predicted", moves.len());
        if !skipped.is_empty() {
            says = format!("{says}; left alone: {}", skipped.join("; "));
        }
        Ok(Done::of(moves, says))
    }

    /// Proposals that can be answered at this time.
    pub fn waiting(&self, now: Timestamp) -> impl Iterator<Item = &Proposal> {
        self.proposals.iter().filter(move |known| known.waits_at(now))
    }

    /// What a person would have happen by this answer, if it is a change of the ledger that is approved.
    pub(crate) fn change_in(&self, answer: &Approval) -> Option<&Proposal> {
        let known = self.proposals.iter().rev().find(|known| known.id == answer.proposal)?;
        let is_change = matches!(known.what, Proposed::Change { .. });
        (answer.approved && is_change && known.state == ProposalState::Open).then_some(known)
    }

    /// Whether something waits that was to tighten because of what is open on a subject.
    pub(crate) fn waits_because_of(&self, subject: &Subject) -> bool {
        let waits = |known: &Proposal| known.state == ProposalState::Open && tightens(&known.what, subject);
        self.proposals.iter().any(waits)
    }

    /// Nothing is open on a subject any more: what was to tighten because of it need not be answered.
    pub(crate) fn withdraw(&mut self, subject: &Subject) {
        self.outdate("what led to it is over", |what| tightens(what, subject));
    }

    /// Proposals that nobody answered in time are over. Says whether there were any.
    pub(crate) fn expire_proposals(&mut self, now: Timestamp) -> bool {
        let mut any = false;
        for proposal in &mut self.proposals {
            if proposal.state == ProposalState::Open && now > proposal.expires {
                proposal.state = ProposalState::Expired;
                any = true;
            }
        }
        any
    }
}
