//! What folds left behind, as readers ask for it: of a stretch of one log, or of all logs, newest first; and how much there
//! is.

use std::collections::BTreeMap;

use rusqlite::{Connection, params, params_from_iter, types::Value};
use trimtab_log::{
    About, Decision, Effect, EffectState, Listing, LogError, Moment, Outputs, StoredDecision, StoredEffect,
    StoredMoment, Stretch,
};
use trimtab_types::{Counts, Digest, Mode, PolicyRef, Position, Severity, Shard};

use crate::{Result, codec, damaged, names::Names, reader::LogsReader, writer::LogsWriter};

impl LogsReader {
    pub(crate) fn about(&self, model: u32, subject: Option<u32>) -> std::result::Result<About, String> {
        let names = self.names();
        Ok(match subject {
            Some(subject) => About::Subject((*names.subject(subject)?).clone()),
            None => {
                let (tenant, model) = names.model(model)?;
                About::Model(trimtab_types::ModelKey { tenant, model })
            }
        })
    }

    pub(crate) fn moments_where(&self, wanted: &Wanted) -> Result<Vec<(Shard, StoredMoment)>> {
        let sql = format!(
            "SELECT seq, position, ordinal, model, subject, kind, at, severity, findings, facts, digest, changes, shard
             FROM moment {}",
            wanted.sql
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(&wanted.values))?;
        let mut moments = Vec::new();
        while let Some(row) = rows.next()? {
            let position: u64 = row.get(1)?;
            let shard = shard_of("moment", row.get(12)?)?;
            let unreadable = |problem| damaged("moment", shard, position, problem);
            let severity: Option<String> = row.get(7)?;
            let severity = severity.and_then(|name| Severity::ALL.into_iter().find(|one| one.name() == name));
            let moment = Moment {
                position: Position(position),
                about: self.about(row.get(3)?, row.get(4)?).map_err(unreadable)?,
                kind: row.get(5)?,
                at: codec::timestamp(Some(row.get(6)?)).map_err(unreadable)?,
                severity,
                changes: row.get(11)?,
                findings: row.get(8)?,
                facts: row.get(9)?,
                digest: row.get(10)?,
            };
            moments.push((shard, StoredMoment { seq: row.get(0)?, ordinal: row.get(2)?, moment }));
        }
        Ok(moments)
    }

    pub(crate) fn decisions_where(&self, wanted: &Wanted) -> Result<Vec<StoredDecision>> {
        let sql = format!(
            "SELECT seq, shard, position, ordinal, id, moment, policy, version, mode, did, said, reads, carried, body,
                    model, subject
             FROM decision {}",
            wanted.sql
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(&wanted.values))?;
        let mut decisions = Vec::new();
        while let Some(row) = rows.next()? {
            let position: u64 = row.get(2)?;
            let shard = shard_of("decision", row.get(1)?)?;
            let unreadable = |problem: &str| damaged("decision", shard, position, problem);
            let (name, version): (Option<String>, Option<Vec<u8>>) = (row.get(6)?, row.get(7)?);
            let version = version.as_deref().map(|bytes| Digest::from_bytes(bytes).ok_or("its version"));
            let version = version.transpose().map_err(unreadable)?;
            let mode: String = row.get(8)?;
            let mode = [Mode::Enforce, Mode::Shadow, Mode::Off].into_iter().find(|one| one.name() == mode);
            let decision = Decision {
                position: Position(position),
                id: row.get(4)?,
                about: self.about(row.get(14)?, row.get(15)?).map_err(|problem| unreadable(&problem))?,
                moment: row.get(5)?,
                policy: name.zip(version).map(|(name, digest)| PolicyRef { name, digest }),
                mode: mode.ok_or_else(|| unreadable("its mode"))?,
                did: row.get(9)?,
                said: row.get(10)?,
                reads: row.get(11)?,
                carried: row.get(12)?,
                body: row.get(13)?,
            };
            decisions.push(StoredDecision { seq: row.get(0)?, shard, ordinal: row.get(3)?, decision });
        }
        Ok(decisions)
    }

    pub(crate) fn effects_where(&self, wanted: &Wanted) -> Result<Vec<StoredEffect>> {
        let sql = format!(
            "SELECT seq, position, ordinal, key, kind, model, subject, sink, body, state, due, expires,
                    (SELECT count(*) FROM attempt WHERE attempt.effect = effect.seq), shard,
                    (SELECT max(ended) FROM attempt WHERE attempt.effect = effect.seq),
                    (SELECT result FROM attempt WHERE attempt.effect = effect.seq ORDER BY number DESC LIMIT 1),
                    (SELECT detail FROM attempt WHERE attempt.effect = effect.seq ORDER BY number DESC LIMIT 1)
             FROM effect {}",
            wanted.sql
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params_from_iter(&wanted.values))?;
        let mut effects = Vec::new();
        while let Some(row) = rows.next()? {
            let position: u64 = row.get(1)?;
            let shard = shard_of("effect", row.get(13)?)?;
            let unreadable = |problem| damaged("effect", shard, position, problem);
            let state: String = row.get(9)?;
            let expires: Option<i64> = row.get(11)?;
            let effect = Effect {
                position: Position(position),
                key: row.get(3)?,
                kind: row.get(4)?,
                about: self.about(row.get(5)?, row.get(6)?).map_err(unreadable)?,
                sink: row.get(7)?,
                body: row.get(8)?,
                due: codec::timestamp(Some(row.get(10)?)).map_err(unreadable)?,
                expires: expires.map(|time| codec::timestamp(Some(time))).transpose().map_err(unreadable)?,
            };
            let state =
                EffectState::from_name(&state).ok_or_else(|| unreadable(format!("state `{state}`")))?;
            let tried: Option<i64> = row.get(14)?;
            let tried = tried.map(|time| codec::timestamp(Some(time))).transpose().map_err(unreadable)?;
            let (seq, ordinal, attempts) = (row.get(0)?, row.get(2)?, row.get(12)?);
            let (result, detail): (Option<String>, Option<String>) = (row.get(15)?, row.get(16)?);
            let said = result.zip(detail);
            effects.push(StoredEffect { seq, shard, ordinal, state, attempts, tried, said, effect });
        }
        Ok(effects)
    }

    pub(crate) fn recorded(&self, shard: Shard, after: Position, until: Position) -> Result<Outputs> {
        let _moment = self.connection.unchecked_transaction()?;
        let wanted = Wanted::within(shard, after, until);
        let moments = self.moments_where(&wanted)?;
        Ok(Outputs {
            moments: moments.into_iter().map(|(_, moment)| moment).collect(),
            decisions: self.decisions_where(&wanted)?,
            effects: self.effects_where(&wanted)?,
        })
    }

    pub(crate) fn stretches_of(&self, shard: Shard) -> Result<Vec<Stretch>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT epoch, build, rules, start, upto, hash FROM stretch WHERE shard = ? ORDER BY epoch",
        )?;
        let mut rows = statement.query([shard.number()])?;
        let mut stretches = Vec::new();
        while let Some(row) = rows.next()? {
            let (upto, hash): (u64, Vec<u8>) = (row.get(4)?, row.get(5)?);
            stretches.push(Stretch {
                shard,
                epoch: row.get(0)?,
                build: row.get(1)?,
                rules: row.get(2)?,
                from: Position(row.get(3)?),
                to: Position(upto),
                hash: Digest::from_bytes(&hash).ok_or_else(|| damaged("stretch", shard, upto, "its hash"))?,
            });
        }
        Ok(stretches)
    }
}

/// Which rows of a table are wanted, in which order: the end of a query and its values.
pub(crate) struct Wanted {
    sql: String,
    values: Vec<Value>,
}

impl Wanted {
    /// Those of a stretch of one log, in order.
    pub(crate) fn within(shard: Shard, after: Position, until: Position) -> Self {
        let sql = "WHERE shard = ? AND position > ? AND position <= ? ORDER BY position, ordinal".to_owned();
        Self { sql, values: vec![i64::from(shard.number()).into(), number(after.0), number(until.0)] }
    }

    /// Those recorded after a number, in order of recording.
    pub(crate) fn after(seq: u64, limit: usize) -> Self {
        let sql = "WHERE seq > ? ORDER BY seq LIMIT ?".to_owned();
        Self { sql, values: vec![number(seq), number(limit as u64)] }
    }

    /// The one with this id.
    pub(crate) fn named(id: &str) -> Self {
        Self { sql: "WHERE id = ?".to_owned(), values: vec![id.to_owned().into()] }
    }

    /// What a listing asks for, newest first; `None`: no model is asked for. `besides` is a condition of the table.
    pub(crate) fn listed(connection: &Connection, listing: &Listing, besides: &str) -> Result<Option<Self>> {
        let (mut sql, mut values) =
            (format!("WHERE seq < ? {besides}"), vec![number(listing.before.unwrap_or(u64::MAX))]);
        if listing.tenant.is_some() || listing.model.is_some() {
            let models = models(connection, listing)?;
            if models.is_empty() {
                return Ok(None);
            }
            let marks = vec!["?"; models.len()].join(", ");
            sql.push_str(&format!(" AND model IN ({marks})"));
            values.extend(models.into_iter().map(Value::from));
        }
        sql.push_str(" ORDER BY seq DESC LIMIT ?");
        values.push(number(u64::from(listing.limit)));
        Ok(Some(Self { sql, values }))
    }

    /// Effects that wait, oldest first.
    pub(crate) fn waiting(sink: &str, limit: u32) -> Self {
        let sql = "WHERE state = 'waiting' AND sink = ? ORDER BY seq LIMIT ?".to_owned();
        Self { sql, values: vec![Value::Text(sink.to_owned()), number(u64::from(limit))] }
    }
}

/// The numbers of the models that a listing is about.
fn models(connection: &Connection, listing: &Listing) -> Result<Vec<i64>> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM model WHERE (?1 IS NULL OR tenant = ?1) AND (?2 IS NULL OR model = ?2) ORDER BY id",
    )?;
    let found = statement.query_map(params![listing.tenant, listing.model], |row| row.get(0))?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

fn number(value: u64) -> Value {
    i64::try_from(value).unwrap_or(i64::MAX).into()
}

/// The shard that a row names.
fn shard_of(what: &'static str, number: u8) -> Result<Shard> {
    let problem = || format!("shard {number}, and there are {}", Shard::COUNT);
    Ok(Shard::from_number(number).ok_or_else(|| LogError::Damaged {
        what,
        position: 0,
        problem: problem(),
    })?)
}

/// How many effects wait, by sink.
pub(crate) fn waiting_count(connection: &Connection) -> Result<BTreeMap<String, u64>> {
    let sql = "SELECT sink, count(*) FROM effect WHERE state = 'waiting' GROUP BY sink";
    let mut statement = connection.prepare_cached(sql)?;
    let counts = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(counts.collect::<rusqlite::Result<_>>()?)
}

/// How much there is.
pub(crate) fn counts(connection: &Connection) -> Result<Counts> {
    let sql = "SELECT predictions, outcomes, findings, decisions, effects FROM counted";
    Ok(connection.query_row(sql, [], |row| {
        Ok(Counts {
            predictions: row.get(0)?,
            outcomes: row.get(1)?,
            findings: row.get(2)?,
            decisions: row.get(3)?,
            effects: row.get(4)?,
        })
    })?)
}

impl LogsWriter {
    pub(crate) fn write_counts(&self) -> Result<()> {
        let Counts { predictions, outcomes, findings, decisions, effects } = self.counts;
        self.connection
            .prepare_cached(
                "UPDATE counted SET predictions = ?, outcomes = ?, findings = ?, decisions = ?, effects = ?",
            )?
            .execute(params![predictions, outcomes, findings, decisions, effects])?;
        Ok(())
    }
}
