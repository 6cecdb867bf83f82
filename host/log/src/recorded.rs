//! Between what a step of the core gives and the rows that a log keeps of it: moments, decisions and effects. Digests of
//! what was done and said are made here, so that equal decisions are seen without reading them.

use std::collections::BTreeMap;

use trimtab_types::{
    Action, Answer, DecisionRecord, Digest, DigestBuilder, Finding, Place, Shard, Subject, Timestamp, Verdict,
};

use crate::{About, Decision, Effect, LogError, Moment, Outputs, StoredEffect};

/// A moment because findings of a subject changed.
const FINDINGS: u8 = 1;

/// What one log recorded over a stretch, in the words of the core; each in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Folded {
    /// Changes of findings.
    pub findings: Vec<Finding>,
    /// Everything that was decided.
    pub decisions: Vec<DecisionRecord>,
    /// What was to happen outside.
    pub effects: Vec<trimtab_types::Effect>,
}

/// The rows that are kept of findings, decisions and effects of one log.
pub fn outputs_of(
    findings: &[Finding],
    decisions: &[DecisionRecord],
    effects: &[trimtab_types::Effect],
) -> Result<Rows, LogError> {
    let rows = rows(findings, decisions, effects);
    rows.map_err(|error| LogError::Commit(format!("what came out cannot be written: {error}")))
}

type Rows = (Vec<Moment>, Vec<Decision>, Vec<Effect>);

fn rows(
    findings: &[Finding],
    decisions: &[DecisionRecord],
    effects: &[trimtab_types::Effect],
) -> Result<Rows, serde_json::Error> {
    let mut moments: Vec<Moment> = Vec::new();
    // By position and subject: the ordinal of the moment.
    let mut ordinals: BTreeMap<(u64, &Subject), u32> = BTreeMap::new();
    let mut rest = findings;
    let mut here = 0;
    while let Some(first) = rest.first() {
        let same = |one: &Finding| one.position == first.position && one.subject == first.subject;
        let (changes, others) = rest.split_at(rest.iter().take_while(|one| same(one)).count());
        here =
            if moments.last().is_some_and(|before| before.position == first.position) { here + 1 } else { 0 };
        ordinals.insert((first.position.0, &first.subject), here);
        moments.push(moment(first, changes)?);
        rest = others;
    }
    let decisions = decisions
        .iter()
        .map(|record| {
            let moment = ordinals.get(&(record.position.0, &record.subject)).copied();
            decision(record, moment)
        })
        .collect::<Result<_, _>>()?;
    let effects = effects.iter().map(effect).collect::<Result<_, _>>()?;
    Ok((moments, decisions, effects))
}

fn moment(first: &Finding, changes: &[Finding]) -> Result<Moment, serde_json::Error> {
    let findings = serde_json::to_vec(changes)?;
    Ok(Moment {
        position: first.position,
        about: About::Subject(first.subject.clone()),
        kind: FINDINGS,
        at: first.at,
        severity: changes.iter().map(|finding| finding.severity).max(),
        changes: u32::try_from(changes.len()).unwrap_or(u32::MAX),
        facts: Vec::new(),
        digest: short(&Digest::of(&findings)),
        findings,
    })
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
    };
    (short(&did.finish()), short(&said.finish()))
}

fn effect(effect: &trimtab_types::Effect) -> Result<Effect, serde_json::Error> {
    let alert = &effect.body["alert"];
    let subject: Subject = serde_json::from_value(alert["subject"].clone())?;
    let due: Option<Timestamp> = serde_json::from_value(alert["started"].clone()).ok();
    Ok(Effect {
        position: effect.position,
        key: effect.key.clone(),
        kind: effect.kind.clone(),
        about: About::Subject(subject),
        sink: effect.channel.clone(),
        body: effect.body.to_string(),
        due: due.unwrap_or(Timestamp::EPOCH),
        expires: None,
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
    serde_json::from_slice(&moment.findings)
        .map_err(|error| unreadable("moment", Place { shard, position: moment.position }, &error))
}

/// The record of a decision.
pub fn decision_of(shard: Shard, decision: &Decision) -> Result<DecisionRecord, LogError> {
    serde_json::from_str(&decision.body)
        .map_err(|error| unreadable("decision", Place { shard, position: decision.position }, &error))
}

/// An effect as the core gave it.
pub fn effect_of(stored: &StoredEffect) -> Result<trimtab_types::Effect, LogError> {
    let Effect { position, key, kind, sink, body, .. } = &stored.effect;
    let place = Place { shard: stored.shard, position: *position };
    Ok(trimtab_types::Effect {
        key: key.clone(),
        position: *position,
        kind: kind.clone(),
        channel: sink.clone(),
        body: serde_json::from_str(body).map_err(|error| unreadable("effect", place, &error))?,
    })
}

fn unreadable(what: &'static str, place: Place, error: &serde_json::Error) -> LogError {
    LogError::Unreadable { what, place, problem: error.to_string() }
}

impl Outputs {
    /// In the words of the core.
    pub fn folded(&self, shard: Shard) -> Result<Folded, LogError> {
        let findings: Vec<Vec<Finding>> =
            self.moments.iter().map(|stored| findings_of(shard, &stored.moment)).collect::<Result<_, _>>()?;
        Ok(Folded {
            findings: findings.into_iter().flatten().collect(),
            decisions: self
                .decisions
                .iter()
                .map(|stored| decision_of(shard, &stored.decision))
                .collect::<Result<_, _>>()?,
            effects: self.effects.iter().map(effect_of).collect::<Result<_, _>>()?,
        })
    }
}
