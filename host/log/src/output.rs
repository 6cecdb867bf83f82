//! What a fold leaves behind: moments, decisions, effects and their attempts, and the step that writes them.

use serde::{Deserialize, Serialize};
use trimtab_types::{Digest, DigestBuilder, Mode, Place, PolicyRef, Position, Severity, Shard, Timestamp};

use crate::{About, LogError};

/// One step of the fold of one shard: everything in one transaction, or nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct FoldCommit {
    /// Which log.
    pub shard: Shard,
    /// Of the lease under which it was folded; with another one nothing is written.
    pub epoch: u64,
    /// The cursor before this step; refused if the stored one differs.
    pub from: Position,
    /// The cursor after it: every entry up to here is folded.
    pub to: Position,
    /// In order of position; all in `(from, to]`.
    pub moments: Vec<Moment>,
    /// In order of position; all in `(from, to]`.
    pub decisions: Vec<Decision>,
    /// In order of position; all in `(from, to]`.
    pub effects: Vec<Effect>,
}

impl FoldCommit {
    /// A step without output.
    pub fn of(shard: Shard, epoch: u64, from: Position, to: Position) -> Self {
        Self { shard, epoch, from, to, moments: Vec::new(), decisions: Vec::new(), effects: Vec::new() }
    }
}

impl FoldCommit {
    /// Whether the lease under which it was folded is the newest, whose epoch is `found`; 0 before the first.
    pub fn check_epoch(&self, found: u64) -> Result<(), LogError> {
        match (found, self.epoch) {
            (0, _) => Err(LogError::Unclaimed(self.shard)),
            (found, given) if found != given => Err(LogError::Stale { shard: self.shard, given, found }),
            _ => Ok(()),
        }
    }

    /// Whether the step fits together and fits a log that ends at `head`; what does not is named.
    pub fn check(&self, head: Position) -> Result<(), LogError> {
        if self.to < self.from || self.to > head {
            return Err(self.unfitting(
                "step",
                self.to,
                "it ends before it begins, or after the end of the log",
            ));
        }
        self.check_positions("moment", self.moments.iter().map(|moment| (moment.position, &moment.about)))?;
        self.check_positions(
            "decision",
            self.decisions.iter().map(|decision| (decision.position, &decision.about)),
        )?;
        self.check_positions("effect", self.effects.iter().map(|effect| (effect.position, &effect.about)))?;
        for decision in &self.decisions {
            let moments = self.moments.iter().filter(|moment| moment.position == decision.position).count();
            if decision.moment.is_some_and(|ordinal| ordinal as usize >= moments) {
                let problem = "it names a moment that this position does not have";
                return Err(self.unfitting("decision", decision.position, problem));
            }
        }
        Ok(())
    }

    fn check_positions<'a>(
        &self,
        what: &'static str,
        output: impl Iterator<Item = (Position, &'a About)>,
    ) -> Result<(), LogError> {
        let mut before = self.from;
        for (position, about) in output {
            if position <= self.from || position > self.to {
                return Err(self.unfitting(what, position, "its position is not one of this step"));
            }
            if position < before {
                return Err(self.unfitting(what, position, "it comes after output of a later position"));
            }
            match about {
                About::Model(key) if key.shard() == self.shard => {}
                About::Subject(subject) if subject.model_key().shard() == self.shard => {}
                _ => return Err(self.unfitting(what, position, "it concerns no model of this shard")),
            }
            before = position;
        }
        Ok(())
    }

    /// The hash of a stretch that this step ends, from the one before.
    pub fn chained(&self, before: Option<Digest>) -> Digest {
        let (moments, decisions, effects) = (&self.moments, &self.decisions, &self.effects);
        chain(before, self.shard, moments.iter(), decisions.iter(), effects.iter())
    }

    /// The error that names a piece of this step.
    pub fn unfitting(&self, what: &'static str, position: Position, problem: &'static str) -> LogError {
        LogError::Unfitting { what, place: Place { shard: self.shard, position }, problem }
    }
}

/// Chains what was recorded of a log, position by position, so that it does not matter in which steps it was written.
/// Facts and findings count by the digest of their moment, what was done and said by theirs. Each comes in order.
pub fn chain<'a>(
    before: Option<Digest>,
    shard: Shard,
    moments: impl Iterator<Item = &'a Moment>,
    decisions: impl Iterator<Item = &'a Decision>,
    effects: impl Iterator<Item = &'a Effect>,
) -> Digest {
    let seed = || DigestBuilder::new("log").number(u64::from(shard.number())).finish();
    let mut hash = before.unwrap_or_else(seed);
    let (mut moments, mut decisions, mut effects) =
        (moments.peekable(), decisions.peekable(), effects.peekable());
    loop {
        let next = [
            moments.peek().map(|moment| moment.position),
            decisions.peek().map(|decision| decision.position),
            effects.peek().map(|effect| effect.position),
        ];
        let Some(position) = next.into_iter().flatten().min() else { return hash };
        let mut here = DigestBuilder::new("position").part(hash.as_bytes()).number(position.0);
        while let Some(moment) = moments.next_if(|moment| moment.position == position) {
            here = here.part(b"moment").part(&moment.digest);
        }
        while let Some(decision) = decisions.next_if(|decision| decision.position == position) {
            here =
                here.part(b"decision").part(decision.id.as_bytes()).part(&decision.did).part(&decision.said);
            here = here.part(&decision.reads).part(&decision.carried);
        }
        while let Some(effect) = effects.next_if(|effect| effect.position == position) {
            here = here.part(b"effect").part(effect.key.as_bytes());
        }
        hash = here.finish();
    }
}

/// Counts what is at one position; positions come in order.
#[derive(Debug, Default)]
pub struct Ordinals {
    position: Position,
    next: u32,
}

impl Ordinals {
    /// The ordinal of the next one at `position`.
    pub fn next(&mut self, position: Position) -> u32 {
        if self.position != position {
            (self.position, self.next) = (position, 0);
        }
        self.next += 1;
        self.next - 1
    }
}

/// What changed about a subject or model at one position, and what deciding needs to know of the rows besides.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Where.
    pub position: Position,
    /// Whom it concerns: a model or a subject.
    pub about: About,
    /// Why it was written; the numbers are the core's.
    pub kind: u8,
    /// The model's clock.
    pub at: Timestamp,
    /// The gravest of its findings.
    pub severity: Option<Severity>,
    /// How many findings changed.
    pub changes: u32,
    /// What changed, in the core's format.
    pub findings: Vec<u8>,
    /// What deciding needs to know of the rows besides, in the core's format.
    pub facts: Vec<u8>,
    /// Of findings and facts.
    pub digest: [u8; 16],
}

/// What was decided, or changed in diary and ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Where.
    pub position: Position,
    /// Derived from content.
    pub id: String,
    /// Whom it concerns: a model or a subject.
    pub about: About,
    /// The moment that was put to the policy: its ordinal among those of this position.
    pub moment: Option<u32>,
    /// Which version of which policy; `None`: the host or a person.
    pub policy: Option<PolicyRef>,
    /// Whether it was acted on.
    pub mode: Mode,
    /// Digest of the actions with the names of their verdicts.
    pub did: [u8; 16],
    /// Digest of reasons and messages.
    pub said: [u8; 16],
    /// What the policy read, in the core's format.
    pub reads: Vec<u8>,
    /// The change to diary and ledger, in the core's format.
    pub carried: Vec<u8>,
    /// What people read, as JSON.
    pub body: String,
}

/// Something that is to happen outside.
#[derive(Debug, Clone, PartialEq)]
pub struct Effect {
    /// Where it was decided.
    pub position: Position,
    /// Derived from content: the idempotency key of every try.
    pub key: String,
    /// `alert`, `start-trainer`, …
    pub kind: String,
    /// Whom it concerns.
    pub about: About,
    /// Who carries it out.
    pub sink: String,
    /// What is to be sent, as JSON.
    pub body: String,
    /// Not before.
    pub due: Timestamp,
    /// Not after, if it can come too late.
    pub expires: Option<Timestamp>,
}

/// What has become of an effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "the names are the field's own")]
pub enum EffectState {
    Waiting,
    Delivered,
    Expired,
    Refused,
    Superseded,
}

impl EffectState {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Waiting, Self::Delivered, Self::Expired, Self::Refused, Self::Superseded];

    /// The name that is stored and that people read.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Expired => "expired",
            Self::Refused => "refused",
            Self::Superseded => "superseded",
        }
    }

    /// From its name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }
}

/// One try to carry out an effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// Key of the effect.
    pub effect: String,
    /// When it began.
    pub started: Timestamp,
    /// When it ended.
    pub ended: Timestamp,
    /// What the sink said, in a word or a status.
    pub result: String,
    /// In the sink's words.
    pub detail: String,
    /// What has become of the effect by it.
    pub state: EffectState,
}

/// A moment as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredMoment {
    /// Rises in the order of recording, over moments, decisions and effects together.
    pub seq: u64,
    /// Counts the moments of one position, from 0.
    pub ordinal: u32,
    /// What.
    pub moment: Moment,
}

/// A decision as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredDecision {
    /// Rises in the order of recording, over moments, decisions and effects together.
    pub seq: u64,
    /// Which log.
    pub shard: Shard,
    /// Counts the decisions of one position, from 0.
    pub ordinal: u32,
    /// What.
    pub decision: Decision,
}

/// An effect as it was recorded, and what has become of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEffect {
    /// Rises in the order of recording, over moments, decisions and effects together.
    pub seq: u64,
    /// Which log.
    pub shard: Shard,
    /// Counts the effects of one position, from 0.
    pub ordinal: u32,
    /// What has become of it.
    pub state: EffectState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was tried last.
    pub tried: Option<Timestamp>,
    /// What that came to: in a word or a status, and in the sink's words.
    pub said: Option<(String, String)>,
    /// What.
    pub effect: Effect,
}

/// What a fold recorded over a stretch of one log, each in order.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the names are the field's own")]
pub struct Outputs {
    pub moments: Vec<StoredMoment>,
    pub decisions: Vec<StoredDecision>,
    pub effects: Vec<StoredEffect>,
}
