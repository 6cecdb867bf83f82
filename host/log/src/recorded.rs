//! Between what a step of the core gives and the rows that a log keeps of it: moments, decisions and effects. Digests of
//! what was done and said are made here, so that equal decisions are seen without reading them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use trimtab_types::{
    Action, Answer, DecisionRecord, Digest, DigestBuilder, Finding, MomentKind, Place, Shard, Subject,
    Verdict,
};

use crate::{About, Decision, Effect, LogError, Moment, Outputs, StoredEffect};

/// Version of the form in which findings and facts of a moment are kept.
const FORMAT: u8 = 1;

/// What one log recorded over a stretch, in the words of the core; each in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folded {
    /// What changed.
    pub moments: Vec<trimtab_types::Moment>,
    /// Everything that was decided.
    pub decisions: Vec<DecisionRecord>,
    /// What was to happen outside.
    pub effects: Vec<trimtab_types::Effect>,
}

/// The rows that are kept of moments, decisions and effects of one log.
pub fn outputs_of(
    moments: &[trimtab_types::Moment],
    decisions: &[DecisionRecord],
    effects: &[trimtab_types::Effect],
) -> Result<Rows, LogError> {
    rows(moments, decisions, effects)
        .map_err(|problem| LogError::Commit(format!("what came out cannot be written: {problem}")))
}

type Rows = (Vec<Moment>, Vec<Decision>, Vec<Effect>);

fn rows(
    all: &[trimtab_types::Moment],
    decisions: &[DecisionRecord],
    effects: &[trimtab_types::Effect],
) -> Result<Rows, String> {
    let mut moments: Vec<Moment> = Vec::new();
    // By position and subject: the ordinal of the first moment.
    let mut ordinals: BTreeMap<(u64, &Subject), u32> = BTreeMap::new();
    let mut here = 0;
    for known in all {
        here =
            if moments.last().is_some_and(|before| before.position == known.position) { here + 1 } else { 0 };
        if let About::Subject(subject) = &known.about {
            ordinals.entry((known.position.0, subject)).or_insert(here);
        }
        moments.push(moment(known)?);
    }
    let decisions = decisions
        .iter()
        .map(|record| {
            let moment = ordinals.get(&(record.position.0, &record.subject)).copied();
            decision(record, moment).map_err(|error| error.to_string())
        })
        .collect::<Result<_, _>>()?;
    let effects = effects.iter().map(effect).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    Ok((moments, decisions, effects))
}

fn moment(known: &trimtab_types::Moment) -> Result<Moment, String> {
    let findings = written(&known.findings)?;
    Ok(Moment {
        position: known.position,
        about: known.about.clone(),
        kind: known.kind.number(),
        at: known.at,
        severity: known.findings.iter().map(|finding| finding.severity).max(),
        changes: u32::try_from(known.findings.len()).unwrap_or(u32::MAX),
        facts: written(&known.facts)?,
        digest: short(&Digest::of(&findings)),
        findings,
    })
}

/// A part of a moment as it is kept.
fn written<T: Serialize>(part: &T) -> Result<Vec<u8>, String> {
    postcard::to_extend(part, vec![FORMAT]).map_err(|error| error.to_string())
}

/// The opposite of `written`.
fn read<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    match bytes.split_first() {
        Some((&FORMAT, part)) => postcard::from_bytes(part).map_err(|error| error.to_string()),
        Some((format, _)) => Err(format!("its form is {format}, and this build knows {FORMAT}")),
        None => Err("it is empty".to_owned()),
    }
}

fn decision(record: &DecisionRecord, moment: Option<u32>) -> Result<Decision, serde_json::Error> {
    let (did, said) = told(record);
    Ok(Decision {
        position: record.position,
        id: record.id.clone(),
        about: About::Subject(record.subject.clone()),
        moment,
        policy: record.policy.clone(),
        mode: record.mode,
        did,
        said,
        reads: Vec::new(),
        carried: Vec::new(),
        body: serde_json::to_string(record)?,
    })
}

/// Digests of the actions in order with the names of their verdicts, and of reasons and messages.
fn told(record: &DecisionRecord) -> ([u8; 16], [u8; 16]) {
    let mut did = DigestBuilder::new("did");
    let mut said = DigestBuilder::new("said");
    for (action, verdict) in &record.verdicts {
        let (action, verdict): (&Action, &Verdict) = (action, verdict);
        did = did.part(action.to_string().as_bytes()).part(verdict.name().as_bytes());
        said = said.part(verdict.to_string().as_bytes());
    }
    let said = match &record.answer {
        Answer::Decision(decision) => said.part(b"decision").part(decision.reason.as_bytes()),
        Answer::Message(message) => said.part(b"message").part(format!("{message:?}").as_bytes()),
        Answer::Failed(failure) => said.part(b"failed").part(failure.to_string().as_bytes()),
        answer @ (Answer::Judgement(_) | Answer::Review(_) | Answer::Schedule(_) | Answer::Ruled(_)) => {
            said.part(b"answer").part(format!("{answer:?}").as_bytes())
        }
    };
    (short(&did.finish()), short(&said.finish()))
}

fn effect(effect: &trimtab_types::Effect) -> Result<Effect, serde_json::Error> {
    let alert = &effect.body["alert"];
    let subject: Subject = serde_json::from_value(alert["subject"].clone())?;
    let mut body = effect.body.clone();
    body["channel"] = effect.channel.clone().into();
    Ok(Effect {
        position: effect.position,
        key: effect.key.clone(),
        kind: effect.kind.clone(),
        about: About::Subject(subject),
        sink: effect.sink.clone(),
        body: body.to_string(),
        due: effect.at,
        expires: effect.expires,
    })
}

/// The first half of a digest: enough to tell equal from different.
fn short(digest: &Digest) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&digest.as_bytes()[..16]);
    half
}

/// The findings of a moment.
pub fn findings_of(shard: Shard, moment: &Moment) -> Result<Vec<Finding>, LogError> {
    read(&moment.findings).map_err(|problem| damaged(shard, moment, problem))
}

/// A moment in the words of the core.
pub fn moment_of(shard: Shard, moment: &Moment) -> Result<trimtab_types::Moment, LogError> {
    let kind = MomentKind::from_number(moment.kind)
        .ok_or_else(|| damaged(shard, moment, format!("it is of kind {}", moment.kind)))?;
    Ok(trimtab_types::Moment {
        position: moment.position,
        about: moment.about.clone(),
        kind,
        at: moment.at,
        facts: read(&moment.facts).map_err(|problem| damaged(shard, moment, problem))?,
        findings: findings_of(shard, moment)?,
    })
}

fn damaged(shard: Shard, moment: &Moment, problem: String) -> LogError {
    LogError::Unreadable { what: "moment", place: Place { shard, position: moment.position }, problem }
}

/// The record of a decision.
pub fn decision_of(shard: Shard, decision: &Decision) -> Result<DecisionRecord, LogError> {
    serde_json::from_str(&decision.body)
        .map_err(|error| unreadable("decision", Place { shard, position: decision.position }, &error))
}

/// An effect as the core gave it.
pub fn effect_of(stored: &StoredEffect) -> Result<trimtab_types::Effect, LogError> {
    let Effect { position, key, kind, sink, body, due, expires, .. } = &stored.effect;
    let place = Place { shard: stored.shard, position: *position };
    let mut body: serde_json::Value =
        serde_json::from_str(body).map_err(|error| unreadable("effect", place, &error))?;
    // It stands beside the body for whoever works with it.
    let channel = body.as_object_mut().and_then(|body| body.remove("channel"));
    let channel = channel.as_ref().and_then(|channel| channel.as_str()).unwrap_or(sink).to_owned();
    Ok(trimtab_types::Effect {
        key: key.clone(),
        position: *position,
        kind: kind.clone(),
        sink: sink.clone(),
        channel,
        at: *due,
        expires: *expires,
        body,
    })
}

fn unreadable(what: &'static str, place: Place, error: &serde_json::Error) -> LogError {
    LogError::Unreadable { what, place, problem: error.to_string() }
}

impl Folded {
    /// Changes of findings, in order.
    pub fn findings(&self) -> impl Iterator<Item = &Finding> {
        self.moments.iter().flat_map(|moment| &moment.findings)
    }
}

impl Outputs {
    /// In the words of the core.
    pub fn folded(&self, shard: Shard) -> Result<Folded, LogError> {
        Ok(Folded {
            moments: self
                .moments
                .iter()
                .map(|stored| moment_of(shard, &stored.moment))
                .collect::<Result<_, _>>()?,
            decisions: self
                .decisions
                .iter()
                .map(|stored| decision_of(shard, &stored.decision))
                .collect::<Result<_, _>>()?,
            effects: self.effects.iter().map(effect_of).collect::<Result<_, _>>()?,
        })
    }
}
